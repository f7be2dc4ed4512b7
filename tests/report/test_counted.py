"""What the client counted is on the page: in words, with its units, and nothing that it did not say."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from support import ryllzip
from support.client import agent, summary, traffic

import spicereplay as sr
from spicereplay.bugreport.client_reported import AgentCounters, CacheState, DecodeTimes
from spicereplay.bugreport.client_reported import summary as summary_of
from spicereplay.bugreport.report import read_report
from spicereplay.defects import DefectLog
from spicereplay.report.assemble import content_of
from spicereplay.report.counted import channels, counters
from spicereplay.report.page import render


def counted(**known: Any) -> dict[str, tuple[str, str]]:
    return {name: (value, note) for name, value, note in counters(summary(**known))}


def groups_of(path: Path) -> dict[str, dict[str, tuple[str, str]]]:
    with sr.open(path, decode=False) as capture:
        groups = content_of(capture.tables).client_report
    return {heading: {name: (value, note) for name, value, note in rows} for heading, rows in groups}


def test_a_report_that_says_nothing_has_no_rows() -> None:
    assert counters(summary()) == channels(summary()) == []


def test_decodes_and_failures() -> None:
    rows = counted(
        decodes=(
            DecodeTimes("image", 1234, 2, 138, 151),
            DecodeTimes("mjpeg", 0, 0, None, None),
            DecodeTimes("h264", 1, None, 41_200, 250_000),
        )
    )
    assert rows["still images"] == (
        "1,234 decodes, 2 failed",
        "0.14 ms each on average, 0.15 ms at most, of the last 20",
    )
    assert rows["MJPEG frames"] == ("0 decodes", "")
    assert rows["H.264 frames"] == ("1 decode", "41 ms each on average, 250 ms at most, of the last 20")


def test_caches_and_evictions() -> None:
    images = CacheState("image_cache", 1, 4096, None, 0, 0, includes_glz=True)
    glz = CacheState("glz_dictionary", 83, 6_799_360, 268_435_456, 12, 1_200_000, includes_glz=False)
    rows = counted(caches=(images, glz))
    assert rows["image cache"] == (
        "1 image, 4.1 kB",
        "0 evicted; may hold those of the GLZ dictionary too",
    )
    assert rows["GLZ dictionary"] == ("83 images, 6.8 MB of at most 268 MB", "12 evicted, 1.2 MB")
    assert not counted(caches=(CacheState("image_cache", *[None] * 5, includes_glz=True),))


@pytest.mark.parametrize(
    ("said", "value", "note"),
    [
        (agent(requests=3, replies=3), "3 requests, 3 replies", ""),
        (agent(replies=1), "1 reply", ""),
        (
            agent(requests=3, replies=2, outstanding=1, recent_lags_us=(3_377, 2_289_726)),
            "3 requests, 2 replies",
            "1 without a reply; answered after 2,290 ms at most",
        ),
        (agent(requests=2, replies=2, errors=1, errors_written=1), None, "1 reply reports a failure"),
        (agent(requests=2, replies=2, errors_written=2), None, "its count of failures cannot be believed"),
        (
            agent(requests=1, tokens=0, queued=4, stalls=1),
            "1 request",
            "0 tokens left; 4 messages wait for tokens; 1 wait longer than 5 s",
        ),
    ],
)
def test_the_guest_agent(said: AgentCounters, value: str | None, note: str) -> None:
    row = counted(agent=said)["guest agent"]
    assert value in (None, row[0])
    assert row[1].startswith(note) if note else row[1] == ""


def test_unknown_messages_are_told_by_channel() -> None:
    known = {"display": traffic(unknown=2), "inputs": traffic(unknown=0), "main": traffic(unknown=1)}
    assert counted(traffic=known)["unknown messages"] == ("3", "ignored: display 2, main 1")
    assert counted(traffic={"main": traffic(unknown=0)})["unknown messages"] == ("0", "")
    assert not counted(traffic={"main": traffic(bytes_in=4)})


def test_the_process_and_what_its_recorder_lost() -> None:
    rows = counted(
        cpu_percent=121.5,
        busiest_thread_percent=81.5,
        rss_kb=412_300,
        worst_image_lag_us=250_000,
        video_drops=3,
    )
    assert rows == {
        "processor": ("121.5 % of one core", "its busiest thread 81.5 %"),
        "memory": ("422 MB", "resident"),
        "window's thread": ("250 ms", "longest recent wait of a picture for it"),
        "frames lost": ("3", "by its recorder of the screen, display.mp4"),
    }
    # Without a recorder the client writes 0, which is not the same as a recorder that lost nothing.
    assert not counted(video_drops=0)


def test_a_lost_connection_shows_which_channel_fell_silent_first(fixtures: Path) -> None:
    groups = groups_of(fixtures / "bugreports" / "disconnect-main-g2.zip")
    rows = groups["The client's channels"]
    # Main had read nothing for seven seconds; of webdav, on which nothing ever passed, there is no row.
    assert rows["main"] == (
        "256 kB in, 96 bytes out",
        "last received at 0.14 s, sent at 0.14 s; answered 5 of 5 PINGs",
    )
    assert rows["display"][1].startswith("last received at 7.28 s")
    assert set(rows) == set(ryllzip.CHANNELS) - {"webdav"}
    assert "processor" not in groups["What the client counted"]


def test_channels_without_times_and_pings() -> None:
    told = summary(traffic={"main": traffic(bytes_in=5), "usbredir": traffic(bytes_out=1, pings=1, pongs=0)})
    assert channels(told) == [("main", "5 bytes in", ""), ("usbredir", "1 byte out", "answered 0 of 1 PING")]


@pytest.mark.parametrize("revision", ryllzip.REVISIONS)
@pytest.mark.parametrize("kind", ryllzip.KINDS)
def test_every_kind_and_revision_can_be_told(kind: str, revision: str) -> None:
    report = read_report(io.BytesIO(ryllzip.pack(ryllzip.report_files(kind, revision))), defects=DefectLog())
    told = summary_of(report)
    for name, value, note in (*counters(told), *channels(told)):
        assert name
        assert value
        assert "None" not in value + note


def test_names_from_the_report_are_escaped(tmp_path: Path) -> None:
    files = ryllzip.report_files("disconnect", "G2")
    nasty = "<script>alert(1)</script>"
    files["disconnect-cause.json"]["per_channel"][nasty] = ryllzip.transport() | {"bytes_in": 2**64 - 1}
    (tmp_path / "nasty.zip").write_bytes(ryllzip.pack(files))
    with sr.open(tmp_path / "nasty.zip", decode=False) as capture:
        content = content_of(capture.tables)
        page = render(content)
    assert nasty in json.dumps(content.client_report)
    assert nasty not in page
    assert "&lt;script&gt;alert(1)" in page
