"""Any input becomes sessions, or an error that says what it was instead."""

import gzip
import json
from collections.abc import Iterable
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.pcapfile import ACK, CLIENT, FIN, SERVER, SYN, Frame, tcp_frame, write_pcap, write_pcapng
from support.ryllzip import Unit, message, report_zip, ring_pcap, write_capture_directory
from support.spicewire import full, link_reply, link_stage, mini, ping, stream_data

from spicereplay.errors import InputError, NoSpiceError, NotACaptureError
from spicereplay.protocol.enums import ChannelType, Side
from spicereplay.replay import Replay, replay
from spicereplay.session.log import ChannelLog

CAPTURES = Path(__file__).parent.parent.parent / "fixtures" / "captures"
DISPLAY = ChannelType.DISPLAY


def connection(
    client: bytes,
    server: bytes,
    *,
    begin: bool = True,
    port: int = 40_000,
    at: int = 0,
    to: int = 5900,
    lost: Iterable[int] = (),
    segment: int = 500,
) -> list[Frame]:
    """A TCP connection in which the client speaks first; `lost` are the server's segments that are not there."""
    ends: dict[str, Any] = {"client": (CLIENT[0], port), "server": (SERVER[0], to)}
    frames = []
    if begin:
        frames = [
            tcp_frame(flags=SYN, sequence=99, time_ns=at, **ends),
            tcp_frame(
                flags=SYN | ACK, sequence=199, acknowledgement=100, from_server=True, time_ns=at + 1, **ends
            ),
        ]
    for from_server, data, sequence in ((False, client, 100), (True, server, 200)):
        for n, start in enumerate(range(0, len(data), segment)):
            if not (from_server and n in lost):
                frames.append(
                    tcp_frame(
                        data[start : start + segment],
                        sequence=sequence + start,
                        from_server=from_server,
                        flags=ACK,
                        time_ns=at + 1000 * (n + 1) + from_server,
                        **ends,
                    )
                )
    return frames


def spoken(kind: ChannelType = DISPLAY, count: int = 20, **link: Any) -> tuple[bytes, bytes]:
    """A channel with a link stage, `count` messages from the server and one from the client."""
    client, server = link_stage(kind, **link)
    if link.get("mini_header", True):
        return client + mini(3, ping()), server + b"".join(
            mini(123, stream_data(300 + n)) for n in range(count)
        )
    said = b"".join(full(n + 1, 123, stream_data(300 + n)) for n in range(count))
    return client + full(1, 3, ping()), server + said


def only(replayed: Replay) -> ChannelLog:
    (session,) = replayed.sessions
    (log,) = session.channels
    return log


def own(log: ChannelLog, side: Side) -> int:
    return int((~log.index(side).sub).sum())


# -- every kind of input ----------------------------------------------------------------------------------


def as_gzip(path: Path, frames: list[Frame]) -> Path:
    plain = write_pcap(path.with_suffix(".plain"), frames)
    path.write_bytes(gzip.compress(plain.read_bytes()))
    return path


@pytest.mark.parametrize("write", [write_pcap, write_pcapng, as_gzip])
def test_captures_in_every_container_give_the_same(write: Any, tmp_path: Path) -> None:
    write(tmp_path / "capture", connection(*spoken()))
    (tmp_path / "capture.plain").unlink(missing_ok=True)
    with replay(tmp_path / "capture") as replayed:
        log = only(replayed)
        assert (log.name, own(log, Side.SERVER), own(log, Side.CLIENT)) == ("display/0", 20, 1)
        assert (log.unparsed_bytes, log.gaps, log.assumptions) == (0, [], [])
        assert log.link is not None
        assert replayed.kind == ("pcapng" if write is write_pcapng else "pcap")
        assert not len(replayed.defects)


def test_full_headers(tmp_path: Path) -> None:
    log = only(replay(write_pcap(tmp_path / "c.pcap", connection(*spoken(mini_header=False)))))
    assert not log.mini_header
    assert log.server.serial.tolist() == list(range(1, 21))


def test_progress_is_told_and_ends_at_all(tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    path = write_pcap(tmp_path / "c.pcap", connection(*spoken()))
    replay(path, progress=lambda *step: told.append(step)).close()
    assert {what for what, _, _ in told} == {"reading packets", "reading connections"}
    for what in ("reading packets", "reading connections"):
        last = [step for step in told if step[0] == what][-1]
        assert last[1] == last[2] > 0
    told.clear()
    report = tmp_path / "r.zip"
    report.write_bytes(report_zip())
    replay(report, progress=lambda *step: told.append(step)).close()
    folder = write_capture_directory(tmp_path / "dir", [Unit(0, "main", "server", message(4, bytes(12)) * 3)])
    replay(folder, progress=lambda *step: told.append(step)).close()
    assert {what for what, _, _ in told} >= {"reading packets", "reading main.pcap"}


def test_closing_lets_go_of_the_file_and_is_safe_twice(tmp_path: Path) -> None:
    replayed = replay(write_pcap(tmp_path / "c.pcap", connection(*spoken())))
    memory = replayed.captures[0].file
    with replayed:
        pass
    replayed.close()
    del replayed
    with pytest.raises(ValueError, match="released"):
        memory.memory[0]


# -- what is missing --------------------------------------------------------------------------------------


def test_a_missing_segment_costs_what_it_held(tmp_path: Path) -> None:
    frames = connection(*spoken(count=40), lost=[8])
    log = only(replay(write_pcap(tmp_path / "c.pcap", frames)))
    assert [(gap.length, gap.cause.value) for gap in log.gaps] == [(500, "not_captured")]
    assert 36 <= len(log.server) <= 39


def test_a_capture_that_begins_in_the_middle_names_what_it_assumes(tmp_path: Path) -> None:
    client, server = spoken(count=60)
    frames = connection(client[-18:], server[900:], begin=False)
    log = only(replay(write_pcap(tmp_path / "c.pcap", frames)))
    assert log.channel is DISPLAY
    assert log.link is None
    assert "display channel with mini headers inferred" in log.assumptions[0]
    assert 55 <= len(log.server) < 60


def test_a_hole_in_the_link_message_leaves_the_messages(tmp_path: Path) -> None:
    client, server = spoken(count=60)
    frames = [f for f in connection(client, server, segment=100) if client[:50] not in f.data]
    log = only(replay(write_pcap(tmp_path / "c.pcap", frames)))
    assert log.channel is DISPLAY
    assert len(log.server) == 60
    assert log.assumptions


def test_the_server_alone_is_read_with_its_channel_inferred(tmp_path: Path) -> None:
    frames = connection(b"", spoken(count=60)[1], begin=False)
    log = only(replay(write_pcap(tmp_path / "c.pcap", frames)))
    assert (log.name, len(log.server), len(log.client)) == ("display/0", 60, 0)
    assert any("display channel inferred" in text for text in log.assumptions)
    assert "nothing the client sent is in the capture" in log.assumptions


def test_a_refused_channel_is_a_channel_with_a_defect(tmp_path: Path) -> None:
    client, _ = link_stage(DISPLAY)
    frames = connection(client[:-132], link_reply(error=5))
    replayed = replay(write_pcap(tmp_path / "c.pcap", frames))
    assert only(replayed).link is not None
    assert [d.kind.value for d in replayed.defects] == ["link_refused"]


def test_who_closed_a_channel(tmp_path: Path) -> None:
    frames = connection(*spoken())
    frames.append(
        tcp_frame(flags=FIN | ACK, sequence=100 + len(spoken()[0]), client=(CLIENT[0], 40_000), time_ns=10**6)
    )
    log = only(replay(write_pcap(tmp_path / "c.pcap", frames)))
    assert (log.closed_by, log.closed_time_ns) == ("client", 10**6)


# -- no SPICE ---------------------------------------------------------------------------------------------

VNC = (b"RFB 003.008\n", b"RFB 003.008\n" + bytes(50))
TLS = (b"\x16\x03\x01\x00\x40\x01" + bytes(63), b"\x16\x03\x03\x00\x40\x02" + bytes(63))


@pytest.mark.parametrize(
    ("frames", "words"),
    [
        (
            [f for n in range(3) for f in connection(*VNC, port=40_000 + n)],
            "3 flows on port 5900 look like VNC",
        ),
        (connection(*TLS, to=5901), "TLS on port 5901: no keys given"),
        (connection(b"GET / HTTP/1.0\r\n\r\n", b"", to=80), "1 flow on port 80 looks like HTTP"),
        (connection(b"", b""), "without payload"),
        ([], "0 packets: no TCP connection with payload"),
    ],
)
def test_without_spice_the_error_says_what_was_there(frames: list[Frame], words: str, tmp_path: Path) -> None:
    with pytest.raises(NoSpiceError, match=words):
        replay(write_pcap(tmp_path / "c.pcap", frames))


def test_other_connections_are_listed_beside_spice(tmp_path: Path) -> None:
    frames = connection(*spoken()) + connection(*VNC, port=41_000) + connection(*TLS, port=42_000, to=5901)
    replayed = replay(write_pcap(tmp_path / "c.pcap", frames))
    assert [(c.what, c.port) for c in replayed.other] == [("vnc", 5900), ("tls", 5901)]
    assert [d.kind.value for d in replayed.defects] == ["tls_unreadable"]


def test_what_is_no_input_at_all(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        replay(tmp_path / "nothing")
    (tmp_path / "words.txt").write_text("words")
    with pytest.raises(NotACaptureError, match="text file"):
        replay(tmp_path / "words.txt")
    with pytest.raises(NoSpiceError, match="hold no message"):
        replay(write_capture_directory(tmp_path / "dir"))


@pytest.mark.parametrize("pcap", [b"", b"\xa1\xb2\xc3\xd4", b"not a capture", ring_pcap([])[:20]])
def test_a_damaged_recording_does_not_cost_the_report(pcap: bytes, tmp_path: Path) -> None:
    (tmp_path / "r.zip").write_bytes(report_zip(pcap=pcap))
    with replay(tmp_path / "r.zip") as replayed:
        assert replayed.sessions == []
        assert len(replayed.reports) == 1
        assert len(replayed.defects)


# -- given captures ---------------------------------------------------------------------------------------


def check(folder: Path) -> None:
    """Hold a capture against an independent count of its messages."""
    oracle = json.loads((folder / "oracle.json").read_bytes())
    expected = {
        (c["client"], c["server"]): (
            s["session"],
            c["channel"],
            c["channel_id"],
            c["from_server"]["messages"],
            c["from_client"]["messages"],
        )
        for s in oracle["sessions"]
        for c in s["channels"]
    }
    with replay(folder / "capture.pcap") as replayed:
        found = {
            (log.client_address, log.server_address): (
                session.number,
                log.channel.label,
                log.channel_id,
                own(log, Side.SERVER),
                own(log, Side.CLIENT),
            )
            for session in replayed.sessions
            for log in session.channels
        }
        assert found == expected
        for session in replayed.sessions:
            for log in session.channels:
                assert log.unparsed_bytes == 0
                assert not log.server.partial.any()
                assert (np.diff(log.server.time_ns[~log.server.sub]) >= 0).all()


@pytest.mark.parametrize("name", sorted(oracle.parent.name for oracle in CAPTURES.glob("*/oracle.json")))
def test_captures_hold_what_they_should(name: str) -> None:
    check(CAPTURES / name)


@pytest.mark.shared
def test_shared_captures_hold_what_they_should(shared: Path) -> None:
    for folder in sorted((shared / "captures").iterdir()):
        if (folder / "capture.pcap").is_file() and not folder.name.startswith(("tls-no-keys", "tls13")):
            check(folder)
    with pytest.raises(NoSpiceError, match=r"4 TLS flows on port \d+: no keys given"):
        replay(shared / "captures" / "tls-no-keys" / "capture.pcap")


@pytest.mark.shared
def test_shared_hostile_inputs_end_as_they_should(shared: Path) -> None:
    for case in json.loads((shared / "hostile" / "index.json").read_bytes()):
        path, outcome = shared / "hostile" / case["file"], case["expect"]["outcome"]
        if outcome == "exit3":
            with pytest.raises(InputError):
                replay(path)
            continue
        with suppress(InputError) if outcome == "either" else nullcontext(), replay(path) as replayed:
            found = {
                log.channel.label: {"server": own(log, Side.SERVER), "client": own(log, Side.CLIENT)}
                for session in replayed.sessions
                for log in session.channels
            }
            assert found == case["expect"].get("messages", found), case["file"]
