"""The encoder against Google's own protobuf and Perfetto's own message definitions."""

from __future__ import annotations

import io
import math
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st
from perfetto.protos.perfetto.trace.perfetto_trace_pb2 import Trace, TrackDescriptor, TrackEvent

from spicereplay.export.track_event import Lanes, TraceWriter, Value

START_NS = 1_700_000_000_123_456_789

TIMES = st.integers(0, (1 << 63) - 1)
TEXTS = st.text(st.characters(exclude_categories=[]), max_size=30)
VALUES = st.one_of(
    st.booleans(),
    st.integers(-(1 << 63), (1 << 64) - 1),
    st.floats(allow_nan=False),
    TEXTS,
    st.lists(TEXTS, min_size=1, max_size=4),
)


def written(write: Callable[[TraceWriter], object], start_ns: int = START_NS) -> Trace:
    file = io.BytesIO()
    write(TraceWriter(file, start_ns))
    return Trace.FromString(file.getvalue())


def as_read(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


def value_of(annotation: object) -> Value:
    if annotation.array_values:  # type: ignore[attr-defined]
        return [item.string_value for item in annotation.array_values]  # type: ignore[attr-defined]
    return getattr(annotation, annotation.WhichOneof("value"))  # type: ignore[attr-defined,no-any-return]


def test_a_trace_begins_with_its_clocks() -> None:
    (first,) = written(lambda w: None).packet
    assert first.timestamp == START_NS
    assert first.sequence_flags == 1  # SEQ_INCREMENTAL_STATE_CLEARED
    clocks = {c.clock_id: c.timestamp for c in first.clock_snapshot.clocks}
    assert clocks == {1: START_NS, 6: START_NS}  # REALTIME and BOOTTIME


def test_every_packet_is_of_the_one_sequence_and_nothing_is_unknown_to_perfetto() -> None:
    def write(w: TraceWriter) -> None:
        process = w.process(1, "session 0")
        track = w.track(process, "display/0", 3, "what it is")
        w.slice(track, "streams", "mjpeg", 5, 9, {"codec": "mjpeg", "width": 640, "evidence": ["a", "b"]})
        w.instant(track, "flaps", "flap", 7, {"mean": 0.5, "seen": True})
        w.count(w.counter(process, "bytes", 0, unit="B/s"), 8, 12.5)

    trace = written(write)
    assert {p.trusted_packet_sequence_id for p in trace.packet} == {1}
    again = trace.SerializeToString(deterministic=True)
    trace.DiscardUnknownFields()
    assert trace.SerializeToString(deterministic=True) == again


def test_tracks_stand_where_they_are_told_to() -> None:
    def write(w: TraceWriter) -> None:
        process = w.process(7, "session 6")
        w.track(process, "main/0", 100, "about it")
        w.counter(process, "bytes", 0, unit="B/s")
        w.track(0, "capture", 1)

    process, track, counter, alone = (p.track_descriptor for p in written(write).packet[1:])
    assert (process.process.pid, process.process.process_name) == (7, "session 6")
    assert (track.name, track.sibling_order_rank, track.description) == ("main/0", 100, "about it")
    assert track.parent_uuid == counter.parent_uuid == process.uuid
    assert (counter.name, counter.counter.unit_name) == ("bytes", "B/s")
    assert not alone.HasField("parent_uuid")
    assert len({t.uuid for t in (process, track, counter, alone)}) == 4
    assert process.child_ordering == TrackDescriptor.ChildTracksOrdering.EXPLICIT


@given(TEXTS, TIMES, TIMES, st.dictionaries(TEXTS, VALUES, max_size=5))
def test_slices_say_what_they_were_given(name: str, start: int, end: int, args: dict[str, Value]) -> None:
    _, begin, finish = written(lambda w: w.slice(3, "streams", name, start, end, args)).packet
    assert (begin.timestamp, finish.timestamp) == (start, end)
    assert begin.track_event.type == TrackEvent.TYPE_SLICE_BEGIN
    assert finish.track_event.type == TrackEvent.TYPE_SLICE_END
    assert begin.track_event.track_uuid == finish.track_event.track_uuid == 3
    assert begin.track_event.name == as_read(name)
    assert list(begin.track_event.categories) == ["streams"]
    got = [(a.name, value_of(a)) for a in begin.track_event.debug_annotations]
    want = [
        (
            as_read(k),
            [as_read(t) for t in v] if isinstance(v, list) else as_read(v) if isinstance(v, str) else v,
        )
        for k, v in args.items()
    ]
    assert got == want
    assert [type(v) for _, v in got] == [type(v) for _, v in want]


def test_what_is_not_known_is_left_out() -> None:
    (_, event) = written(lambda w: w.instant(1, "c", "n", 0, {"a": None, "b": math.nan, "c": 0})).packet
    assert [a.name for a in event.track_event.debug_annotations] == ["c"]


def test_a_slice_whose_end_was_not_seen_has_none() -> None:
    _, begin = written(lambda w: w.slice(1, "streams", "mjpeg", 5, None, {})).packet
    assert begin.track_event.type == TrackEvent.TYPE_SLICE_BEGIN


@given(st.floats(allow_nan=False), TIMES)
def test_counters_keep_their_value(value: float, time_ns: int) -> None:
    _, event = written(lambda w: w.count(2, time_ns, value)).packet
    assert event.track_event.type == TrackEvent.TYPE_COUNTER
    assert (event.timestamp, event.track_event.double_counter_value) == (time_ns, value)


SPANS = st.lists(st.tuples(st.integers(0, 50), st.integers(0, 20) | st.none()), max_size=30)


@given(SPANS)
def test_no_two_slices_of_a_lane_overlap_and_no_lane_is_wasted(spans: list[tuple[int, int | None]]) -> None:
    spans = sorted(spans, key=lambda span: span[0])
    lanes = Lanes()
    placed: dict[int, list[tuple[int, float]]] = {}
    for start, took in spans:
        end = None if took is None else start + took
        busy = sum(any(s <= start < e for s, e in lane) for lane in placed.values())
        lane = lanes.place(start, end)
        assert lane < len(placed) or lane == len(placed) == busy  # a new one only where all others are taken
        assert all(e <= start for _, e in placed.get(lane, ()))
        placed.setdefault(lane, []).append((start, math.inf if end is None else end))
