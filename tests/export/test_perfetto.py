"""The trace of an input, decoded by Perfetto's own definitions, against the tables it is made from."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from perfetto.protos.perfetto.trace.perfetto_trace_pb2 import Trace, TrackEvent
from support.tables import full, session_tables

from spicereplay.analysis import schema
from spicereplay.analysis.timeline import Tables
from spicereplay.errors import OutputExistsError
from spicereplay.export import perfetto
from spicereplay.replay import replay

FIXTURES = Path(__file__).parents[2] / "fixtures"
CAPTURES = sorted(
    p for end in ("pcap", "pcapng", "pcap.gz") for p in FIXTURES.glob(f"captures/*/capture.{end}")
)
REPORTS = sorted(FIXTURES.glob("bugreports/*.zip"))


@dataclass
class Read:
    """A trace as the viewer would take it: names of tracks, and what is on each."""

    start_ns: int = 0
    names: dict[int, str] = field(default_factory=dict)
    parents: dict[int, int] = field(default_factory=dict)
    slices: list[tuple[int, str, int, int | None, dict[str, Any]]] = field(default_factory=list)
    instants: list[tuple[int, str, int, dict[str, Any]]] = field(default_factory=list)
    counts: dict[int, list[tuple[int, float]]] = field(default_factory=lambda: defaultdict(list))

    def path(self, track: int) -> str:
        parent = self.parents[track]
        return (self.path(parent) + "/" if parent else "") + self.names[track]

    def spans(self, category: str) -> Counter[tuple[str, int, int | None]]:
        """Return the slices of a table as track, start and duration."""
        return Counter(
            (self.path(track), start, None if end is None else end - start)
            for track, kind, start, end, _ in self.slices
            if kind == category
        )

    def marks(self, category: str) -> Counter[tuple[str, int]]:
        return Counter((self.path(track), at) for track, kind, at, _ in self.instants if kind == category)


def read(path: Path) -> Read:
    trace = Trace.FromString(path.read_bytes())
    found = Read(start_ns=trace.packet[0].timestamp)
    events = []
    for packet in trace.packet:
        if packet.HasField("track_descriptor"):
            track = packet.track_descriptor
            found.names[track.uuid] = track.name or track.process.process_name
            found.parents[track.uuid] = track.parent_uuid
        elif packet.HasField("track_event"):
            events.append(packet)
    open_now: dict[int, list[Any]] = {}
    # As trace_processor does: in order of time, and of the file where times are equal.
    for packet in sorted(events, key=lambda p: p.timestamp):
        event, at = packet.track_event, packet.timestamp
        assert event.track_uuid in found.names
        args = {a.name: a for a in event.debug_annotations}
        match event.type:
            case TrackEvent.TYPE_SLICE_BEGIN:
                assert event.track_uuid not in open_now, "slices of one track overlap"
                open_now[event.track_uuid] = [event.track_uuid, event.categories[0], at, None, args]
            case TrackEvent.TYPE_SLICE_END:
                begun = open_now.pop(event.track_uuid)
                begun[3] = at
                found.slices.append(tuple(begun))
            case TrackEvent.TYPE_INSTANT:
                found.instants.append((event.track_uuid, event.categories[0], at, args))
            case TrackEvent.TYPE_COUNTER:
                found.counts[event.track_uuid].append((at, event.double_counter_value))
    found.slices += [tuple(begun) for begun in open_now.values()]
    return found


def ns(seconds: float) -> int:
    return round(seconds * 1e9)


def expected(
    entry: perfetto.Shown, frame: pd.DataFrame, starts: dict[tuple[int, str], int], zero_ns: int
) -> tuple[Counter[Any], Counter[Any]]:
    """Work out a table's slices and instants row by row, from the declared columns alone."""
    spans: Counter[Any] = Counter()
    marks: Counter[Any] = Counter()
    for row in frame.to_dict("records"):
        channel = row.get("channel") or entry.channel
        place = f"{channel}/{row.get('channel_id', 0)}" if channel else ""
        track = "/".join(filter(None, (f"session {row['session']}", place, entry.track)))
        start = starts.get((row["session"], place), 0) if pd.isna(row[entry.start]) else ns(row[entry.start])
        if entry.took and not pd.isna(row[entry.took]):
            spans[track, zero_ns + start, round(row[entry.took] * 1e6)] += 1
        elif entry.end and not pd.isna(row[entry.end]):
            spans[track, zero_ns + start, max(ns(row[entry.end]) - start, 0)] += 1
        elif entry.lasting:
            spans[track, zero_ns + start, None] += 1
        else:
            marks[track, zero_ns + start] += 1
    return spans, marks


def check(tables: Any, found: Read) -> None:
    starts = {
        (row["session"], f"{row['channel']}/{row['channel_id']}"): ns(row["start_s"])
        for row in tables["channels"].to_dict("records")
    }
    for entry in perfetto.SHOWN:
        if entry.table not in schema.TABLES:
            continue
        spans, marks = expected(entry, tables[entry.table], starts, found.start_ns)
        assert found.spans(entry.table) == spans, entry.table
        assert found.marks(entry.table) == marks, entry.table
    assert found.spans("channels") == Counter(
        (
            f"session {row['session']}/{row['channel']}/{row['channel_id']}",
            found.start_ns + ns(row["start_s"]),
            ns(row["end_s"]) - ns(row["start_s"]),
        )
        for row in tables["channels"].to_dict("records")
    )
    assert len([1 for _, kind, *_ in found.instants if kind == "findings"]) == len(tables["findings"])


@pytest.mark.parametrize("path", [*CAPTURES, *REPORTS], ids=lambda p: f"{p.parent.name}/{p.name}")
def test_slices_are_the_rows_of_the_tables(path: Path, tmp_path: Path) -> None:
    with replay(path) as opened:
        tables = Tables(opened)
        perfetto.write(tables, tmp_path / "t.pftrace")
        found = read(tmp_path / "t.pftrace")
        assert found.start_ns == opened.start_time_ns + opened.utc_offset_ns
        check(tables, found)


def test_counters_hold_the_bytes_of_each_bin_and_fall_to_zero_between(tmp_path: Path) -> None:
    with replay(FIXTURES / "captures" / "flap-mjpeg" / "capture.pcap") as opened:
        tables = Tables(opened, decode=False)
        perfetto.write(tables, tmp_path / "t.pftrace")
        found = read(tmp_path / "t.pftrace")
    counted = {
        found.path(track): sorted(values, key=lambda v: v[0]) for track, values in found.counts.items()
    }
    for key, part in tables["bandwidth"].groupby(["session", "channel", "channel_id", "from"], observed=True):
        steps = counted.pop(f"session {key[0]}/{key[1]}/{key[2]}/bytes from {key[3]}")
        bins = {ns(t) + found.start_ns: b / w for t, b, w in part[["time_s", "bytes", "width_s"]].to_numpy()}
        assert {at: value for at, value in steps if value} == bins
        assert steps[-1][1] == 0
        area = sum(v * (later - at) / 1e9 for (at, v), (later, _) in pairwise(steps))
        assert area == pytest.approx(part["bytes"].sum())
    assert not counted


def test_a_slice_carries_its_row(tmp_path: Path) -> None:
    with replay(FIXTURES / "captures" / "flap-mjpeg" / "capture.pcap") as opened:
        tables = Tables(opened, decode=False)
        perfetto.write(tables, tmp_path / "t.pftrace")
        stream, *_ = (
            args for _, kind, _, _, args in read(tmp_path / "t.pftrace").slices if kind == "streams"
        )
    row = tables["streams"].iloc[0]
    assert stream["codec"].string_value == row["codec"]
    assert stream["width"].int_value == row["width"]
    assert stream["end_cause"].string_value == row["end_cause"]
    assert stream["lifetime_s"].double_value == pytest.approx(row["lifetime_s"])
    assert stream["seen_create"].bool_value is True
    assert "decode_ms_median" not in stream  # not decoded, so not known


class MadeUp(dict[str, pd.DataFrame]):
    """Tables of a recording whose clock does not know the time of day."""

    def __init__(self, opened: Any, frames: dict[str, pd.DataFrame]) -> None:
        super().__init__({**{name: schema.empty(name) for name in schema.TABLES}, **frames})
        self.replay = opened
        self.verdict = Tables(opened, decode=False).verdict


def made_up(tmp_path: Path, start_ns: int | None = None, **frames: pd.DataFrame) -> tuple[MadeUp, Read]:
    with replay(FIXTURES / "captures" / "flap-mjpeg" / "capture.pcap") as opened:
        tables = MadeUp(opened, frames)
        if start_ns is not None:
            opened.utc_offset_ns = start_ns - opened.start_time_ns
        perfetto.write(tables, tmp_path / "t.pftrace")  # type: ignore[arg-type]
    return tables, read(tmp_path / "t.pftrace")


def test_a_session_in_which_everything_goes_wrong(tmp_path: Path) -> None:
    check(*made_up(tmp_path, **session_tables()))


def test_lives_whose_beginning_was_not_recorded_begin_with_their_channel(tmp_path: Path) -> None:
    nan = float("nan")
    tables, found = made_up(
        tmp_path,
        channels=full("channels", channel=["display"], start_s=[1.5], end_s=[9.0]),
        streams=full("streams", created_s=[nan, 2.0], destroyed_s=[4.0, nan], codec=["unknown", "vp9"]),
        notifications=full("notifications", message=["whenever"], time_s=[nan]),
    )
    check(tables, found)
    assert sorted((s - found.start_ns, e) for _, kind, s, e, _ in found.slices if kind == "streams") == [
        (1_500_000_000, found.start_ns + 4_000_000_000),
        (2_000_000_000, None),
    ]


def test_times_before_1970_move_the_whole_trace(tmp_path: Path) -> None:
    frame = full("notifications", message=["early", "late"], time_s=[-2.5, 1.0])
    _, found = made_up(tmp_path, start_ns=0, notifications=frame)
    assert found.start_ns == 2_500_000_000
    assert sorted(at for _, kind, at, _ in found.instants if kind == "notifications") == [0, 3_500_000_000]


def test_an_end_before_the_beginning_is_shown_at_the_beginning(tmp_path: Path) -> None:
    frame = full("streams", created_s=[5.0], destroyed_s=[4.0])
    _, found = made_up(tmp_path, streams=frame)
    assert [(s - found.start_ns, e - s) for _, k, s, e, _ in found.slices if k == "streams"] == [
        (5_000_000_000, 0)
    ]


def test_long_tables_are_written_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(perfetto, "ROWS_AT_ONCE", 50)
    check(*made_up(tmp_path, **session_tables()))


def test_an_existing_trace_stays(tmp_path: Path) -> None:
    (tmp_path / "t.pftrace").write_text("mine")
    with (
        replay(FIXTURES / "captures" / "flap-mjpeg" / "capture.pcap") as opened,
        pytest.raises(OutputExistsError),
    ):
        perfetto.write(Tables(opened), tmp_path / "t.pftrace")
    assert (tmp_path / "t.pftrace").read_text() == "mine"
