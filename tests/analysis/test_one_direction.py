"""Captures of one direction: nothing follows from the silence of a side that was not captured."""

from __future__ import annotations

import json
from pathlib import Path

import dpkt
import pytest

import spicereplay as sr
from spicereplay.protocol.enums import Side
from spicereplay.protocol.framing import nothing


def only(fixtures: Path, name: str, side: Side, into: Path) -> Path:
    """Write a recorded capture without what the other side sent."""
    folder = fixtures / "captures" / name
    port = json.loads((folder / "truth.json").read_text())["server"]["port"]
    path = into / f"{name}-{side}.pcap"
    with (folder / "capture.pcap").open("rb") as source, path.open("wb") as out:
        writer = dpkt.pcap.Writer(out)
        for time_s, frame in dpkt.pcap.Reader(source):
            segment = dpkt.ethernet.Ethernet(frame).data.data
            if (segment.sport == port) is (side is Side.SERVER):
                writer.writepkt(frame, time_s)
    return path


@pytest.mark.parametrize("name", ["flap-mjpeg", "qemu-guest-desktop-lz4"])
def test_a_client_that_was_not_captured_is_not_called_slow(name: str, fixtures: Path, tmp_path: Path) -> None:
    with (
        sr.open(fixtures / "captures" / name / "capture.pcap", decode=False) as whole,
        sr.open(only(fixtures, name, Side.SERVER, tmp_path), decode=False) as half,
    ):
        for table in ("draws", "frames"):
            assert len(half.table(table)) == len(whole.table(table))
        assert not len(half.ack_stalls)
        assert not len(half.agent_starvation)
        assert half.pings["rtt_ms"].isna().all()
        assert set(half.channels["closed_by"]) == {""}
        codes = set(half.findings["code"])
        assert "one_direction" in codes
        assert not codes & {"ack_stall", "ping_unanswered", "disconnected", "malformed_input"}
        assert not any("points to the client" in line for each in half.findings["evidence"] for line in each)
        flapping = half.findings[half.findings["code"] == "stream_flapping"]
        assert not any("guest drew no" in title for title in flapping["title"])
        assert {other.what for other in half.replay.other} <= {"spice"}


@pytest.mark.parametrize("name", ["xspice-agent", "qemu-guest-desktop-lz4"])
def test_a_server_that_was_not_captured_left_nothing_unanswered(
    name: str, fixtures: Path, tmp_path: Path
) -> None:
    with sr.open(only(fixtures, name, Side.CLIENT, tmp_path), decode=False) as half:
        assert len(half.agent)
        assert set(half.agent["outcome"]) == {"ambiguous"}
        assert not len(half.display_silence)
        assert half.inputs["motion_outstanding"].isna().all()
        assert half.findings["code"].tolist() == ["one_direction"]
        assert "as far as the capture goes" in half.verdict.sentence


def test_the_guests_requests_to_a_client_that_was_not_captured_are_of_unknown_fate(fixtures: Path) -> None:
    with sr.open(fixtures / "captures" / "usb-webdav" / "capture.pcap.gz", decode=False) as capture:
        for log in (log for session in capture.replay.sessions for log in session.channels):
            log.client = nothing(log.channel, Side.CLIENT)
            log.unseen = frozenset({Side.CLIENT})
        assert capture.usbredir["count"].sum()
        assert not capture.usbredir["unanswered"].any()
        assert set(capture.webdav["outcome"]) == {"unknown"}
