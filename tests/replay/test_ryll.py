"""Recordings of ryll: holes and their causes, evictions, wraps, merged snapshots, reads without borders."""

import json
import struct
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from support.ryllzip import (
    START,
    Unit,
    message,
    report_zip,
    ring_pcap,
    write_capture_directory,
    write_snapshots,
)

from spicereplay.protocol.enums import ChannelType, Side
from spicereplay.replay import Replay, replay
from spicereplay.session.log import ChannelLog, GapCause

FIXTURES = Path(__file__).parent.parent.parent / "fixtures"
STREAM_DATA = 123


def frame(size: int, fill: int = 0xA5) -> bytes:
    """A STREAM_DATA message of `size` bytes in all."""
    return message(STREAM_DATA, struct.pack("<III", 0, 1, size - 18) + bytes([fill % 256]) * (size - 18))


def displayed(sizes: list[int], **options: Any) -> list[Unit]:
    return [Unit(n / 10, "display", "server", frame(size)) for n, size in enumerate(sizes)]


def recorded(tmp_path: Path, units: list[Unit], **options: Any) -> Replay:
    path = tmp_path / "report.zip"
    path.write_bytes(report_zip(pcap=ring_pcap(units, **options)))
    return replay(path)


def only(replayed: Replay) -> ChannelLog:
    (session,) = replayed.sessions
    (log,) = session.channels
    return log


def holes(log: ChannelLog) -> list[tuple[str, int | None, int | None]]:
    return [(gap.cause.value, gap.length, gap.messages) for gap in log.gaps]


LOSSES = {
    # sizes of the messages, what a reader is left with
    "the largest that fits": ([100, 65_481, 100], 3, []),
    "one that does not": ([100, 65_482, 100], 2, [("segment_over_snaplen", 65_482, 1)]),
    "the largest of one segment": ([100, 65_495, 100], 2, [("segment_over_snaplen", 65_495, 1)]),
    "one byte more leaves a tail": ([100, 65_496, 100], 2, [("segment_over_snaplen", 65_495, 1)]),
    "four segments": ([100, 200_000, 100], 2, [("segment_over_snaplen", 196_485, 1)]),
    "as the first": ([200_000, 100], 1, [("evicted", 196_485, None)]),
    "two after each other": (
        [100, 130_000, 70_000, 100],
        2,
        [("segment_over_snaplen", 65_495, 1), ("segment_over_snaplen", 65_495, 1)],
    ),
}


@pytest.mark.parametrize("name", LOSSES)
def test_large_messages_lose_their_full_segments(name: str, tmp_path: Path) -> None:
    sizes, left, lost = LOSSES[name]
    log = only(recorded(tmp_path, displayed(sizes)))
    assert len(log.server) == left
    assert set(log.server.size.tolist()) <= {94, 65_475}
    assert not log.server.partial.any()
    assert holes(log) == lost
    assert log.unparsed_bytes == 0


@pytest.mark.parametrize("options", [{"segment": 65_481}, {"writes_over_snaplen": True}])
def test_writers_without_that_defect_lose_nothing(options: dict[str, Any], tmp_path: Path) -> None:
    sizes = [100, 65_481, 65_490, 65_495, 65_496, 200_000, 100]
    replayed = recorded(tmp_path, displayed(sizes), **options)
    log = only(replayed)
    assert log.server.size.tolist() == [size - 6 for size in sizes]
    assert not log.gaps
    assert not [d for d in replayed.defects if d.kind.value != "member_missing"]


def test_older_writers_leave_an_empty_record_for_each(tmp_path: Path) -> None:
    log = only(recorded(tmp_path, displayed([100, 70_000, 100, 80_000, 90_000, 100]), revision="G0"))
    assert len(log.server) == 3
    assert holes(log) == [("oversize_placeholder", 70_000, 1), ("oversize_placeholder", 170_000, 2)]


def test_what_was_evicted_before_the_first_is_known(tmp_path: Path) -> None:
    log = only(recorded(tmp_path, displayed([100, 100]), evicted={("display", "server"): 3_000_000_000}))
    assert holes(log) == [("evicted", 3_000_000_000, None)]
    assert len(log.server) == 2


def test_sequence_numbers_that_wrap_are_no_hole(tmp_path: Path) -> None:
    evicted = 2**32 - 2000 - 250
    log = only(recorded(tmp_path, displayed([100] * 6), evicted={("display", "server"): evicted}))
    assert len(log.server) == 6
    assert holes(log) == [("evicted", evicted, None)]


def test_channels_follow_from_ports(tmp_path: Path) -> None:
    units = [
        Unit(0, name, "server", message(4, bytes(12))) for name in ("main", "cursor", "playback", "usbredir")
    ]
    (session,) = recorded(tmp_path, units).sessions
    assert [log.name for log in session.channels] == ["main/0", "cursor/0", "playback/0", "usbredir/0"]
    assert not session.handshake
    assert all("recorded by ryll" in log.assumptions[0] for log in session.channels)


def test_the_pcap_of_a_report_alone_is_recognised(tmp_path: Path) -> None:
    path = tmp_path / "traffic.pcap"
    path.write_bytes(ring_pcap(displayed([100, 200_000, 100])))
    log = only(replay(path))
    assert len(log.server) == 2
    assert holes(log)[0][0] == "segment_over_snaplen"


# -- auto-snapshots ---------------------------------------------------------------------------------------


def test_overlapping_snapshots_are_one_recording(tmp_path: Path) -> None:
    units = displayed([100, 200, 300, 400, 500])
    before = {("display", "server"): 300}
    write_snapshots(tmp_path, [1.0], pcap=ring_pcap(units[:3]))
    write_snapshots(tmp_path, [2.0], pcap=ring_pcap(units[2:], evicted=before))
    replayed = replay(tmp_path)
    assert only(replayed).server.size.tolist() == [94, 194, 294, 394, 494]
    assert not only(replayed).gaps
    assert len(replayed.reports) == 2


def test_a_snapshot_cut_off_does_not_damage_those_after_it(tmp_path: Path) -> None:
    units = displayed([100, 200, 300, 400, 500])
    write_snapshots(tmp_path, [1.0], pcap=ring_pcap(units[:3])[:-7])
    write_snapshots(tmp_path, [2.0], pcap=ring_pcap(units[2:], evicted={("display", "server"): 300}))
    replayed = replay(tmp_path)
    assert only(replayed).server.size.tolist() == [94, 194, 294, 394, 494]
    assert "file_truncated" in {d.kind.value for d in replayed.defects}


def test_a_snapshot_of_another_format_is_left_out(tmp_path: Path) -> None:
    units = displayed([100, 200])
    write_snapshots(tmp_path, [1.0], pcap=ring_pcap(units))
    write_snapshots(tmp_path, [2.0], pcap=b"no pcap at all, and long enough to look at")
    replayed = replay(tmp_path)
    assert len(only(replayed).server) == 2
    assert "file_damaged" in {d.kind.value for d in replayed.defects}


def test_connections_that_follow_each_other_share_one_clock(tmp_path: Path) -> None:
    later = START + timedelta(seconds=60)
    write_snapshots(tmp_path, [2.0], pcap=ring_pcap(displayed([100])))
    write_snapshots(tmp_path, [2.0], start=later, host="other.example.org", pcap=ring_pcap(displayed([100])))
    replayed = replay(tmp_path)
    first, second = (session.channels[0] for session in replayed.sessions)
    assert second.start_time_ns - first.start_time_ns == pytest.approx(60e9, abs=2e9)
    assert second.server.time_ns[0] == second.start_time_ns
    assert replayed.end_time_ns >= second.end_time_ns


# -- capture directories ----------------------------------------------------------------------------------


def reads(data: bytes, size: int, channel: str = "display") -> list[Unit]:
    return [Unit(i / 1e6, channel, "server", data[i : i + size]) for i in range(0, len(data), size)]


def test_reads_have_no_borders(tmp_path: Path) -> None:
    data = b"".join(frame(100 + n) for n in range(50))
    log = only(replay(write_capture_directory(tmp_path, reads(data, 333))))
    assert len(log.server) == 50
    assert not log.server.partial.any()


def test_a_read_over_64_kib_costs_what_it_held(tmp_path: Path) -> None:
    data = b"".join(frame(1000, n) for n in range(400))
    log = only(
        replay(
            write_capture_directory(tmp_path, [*reads(data[:70_400], 400), *reads(data[70_400:], 100_000)])
        )
    )
    assert [gap.cause for gap in log.gaps] == [GapCause.SEGMENT_OVER_SNAPLEN] * len(log.gaps)
    assert 100 < len(log.server) < 400
    bodies = {log.server.body(i) for i in range(len(log.server)) if not log.server.partial[i]}
    assert bodies <= {frame(1000, n)[6:] for n in range(400)}


def test_a_refused_chunk_leaves_no_hole_but_is_noticed(tmp_path: Path) -> None:
    data = b"".join(frame(1000, n) for n in range(40))
    units = reads(data, 333)
    replayed = replay(write_capture_directory(tmp_path, units[:30] + units[31:]))
    log = only(replayed)
    assert [gap.cause for gap in log.gaps] == [GapCause.SILENT]
    assert int(log.server.partial.sum()) == 1
    assert "bytes_missing_silently" in {d.kind.value for d in replayed.defects}


def test_connections_in_one_flow_are_cut_apart(tmp_path: Path) -> None:
    init = message(103, struct.pack("<8I", 5, 1, 3, 2, 0, 10, 0, 0))
    said = init + message(4, bytes(12)) * 4
    units = [Unit(t, "main", "server", said) for t in (0.0, 10.0)]
    replayed = replay(write_capture_directory(tmp_path, units))
    assert [len(session.channels[0].server) for session in replayed.sessions] == [5, 5]
    assert [session.number for session in replayed.sessions] == [0, 1]


# -- given recordings -------------------------------------------------------------------------------------


def check(folder: Path, expected: dict[str, Any]) -> None:
    """Hold a bug report's recording against what is known to be in it."""
    with replay(folder) as replayed:
        logs = {log.channel.label: log for session in replayed.sessions for log in session.channels}
        for label, sides in ((expected.get("pcap") or {}).get("by_channel") or {}).items():
            for side in Side:
                if side.value not in sides or not sides[side.value]["messages_whole"]:
                    continue
                told, log = sides[side.value], logs[label]
                index = log.index(side)
                whole = index.type[~index.sub & ~index.partial].tolist()
                gaps = [gap for gap in log.gaps if gap.side is side]
                evicted = [gap for gap in gaps if gap.cause is GapCause.EVICTED]
                missing = [gap for gap in gaps if gap.cause is not GapCause.EVICTED]
                assert Counter(map(str, whole)) == told["by_opcode"], (label, side)
                assert sum(gap.length or 0 for gap in missing) == told["missing_bytes"]
                assert sum(gap.messages or 0 for gap in missing) == told["oversize_lost"]
                assert sum(gap.length or 0 for gap in evicted) == told["evicted_bytes"]
                assert log.unparsed_bytes == 0


@pytest.mark.parametrize(
    "file", sorted((FIXTURES / "bugreports").glob("*.expected.json")), ids=lambda f: f.name
)
def test_bug_reports_hold_what_they_should(file: Path) -> None:
    check(file.with_name(file.name.replace(".expected.json", ".zip")), json.loads(file.read_bytes()))


def test_the_given_capture_directory_lost_bytes_silently() -> None:
    folder = FIXTURES / "bugreports" / "capture-dir-dropped"
    wire = json.loads((folder / "expected.json").read_bytes())["messages_on_the_wire"]
    with replay(folder) as replayed:
        (session,) = replayed.sessions
        for log in session.channels:
            for side in Side:
                index = log.index(side)
                found = Counter(map(str, index.type[~index.sub].tolist()))
                on_the_wire = Counter(wire[log.channel.label].get(side.value, {}))
                assert not found - on_the_wire, (log.name, side)
                if log.channel is not ChannelType.DISPLAY:
                    assert found == on_the_wire, (log.name, side)
        (display,) = session.of(ChannelType.DISPLAY)
        assert sum(gap.length or 0 for gap in display.gaps) == 661
        assert GapCause.SILENT in {gap.cause for gap in display.gaps}


@pytest.mark.shared
def test_shared_bug_reports_hold_what_they_should(shared: Path) -> None:
    for folder in sorted((shared / "bugreports").iterdir()):
        if (folder / "expected.json").is_file():
            inside = sorted(folder.glob("*.zip"))
            check(inside[0] if inside else folder, json.loads((folder / "expected.json").read_bytes()))
