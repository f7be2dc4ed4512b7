"""Writes Perfetto traces: the few protobuf messages of tracks, slices, instants and counters.

A trace is a sequence of packets, each with a time, or a description of a track, or both. A track is a line of the
viewer; the slices of one track may touch or nest and must not overlap otherwise. Tracks of one name below one parent
are shown as one, so slices that do overlap go to several tracks of the same name (`Lanes`).

Source of all field numbers: google/perfetto, protos/perfetto/trace: trace_packet.proto, clock_snapshot.proto,
track_event/{track_event, track_descriptor, counter_descriptor, process_descriptor, debug_annotation}.proto. How
numbers and bytes are encoded: Protocol Buffers, "Encoding".
"""

from __future__ import annotations

import heapq
import math
import struct
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import BinaryIO, Final

Value = bool | int | float | str | Sequence[str] | None
"""What an argument of an event may be; None and NaN are left out."""

# Trace
_PACKET: Final = 1
# TracePacket
_CLOCK_SNAPSHOT: Final = 6
_TIMESTAMP: Final = 8
_SEQUENCE_ID: Final = 10
_TRACK_EVENT: Final = 11
_SEQUENCE_FLAGS: Final = 13
_TRACK_DESCRIPTOR: Final = 60
# ClockSnapshot and its Clock
_CLOCKS: Final = 1
_CLOCK_ID: Final = 1
_CLOCK_TIMESTAMP: Final = 2
# TrackDescriptor
_UUID: Final = 1
_TRACK_NAME: Final = 2
_PROCESS: Final = 3
_PARENT_UUID: Final = 5
_COUNTER: Final = 8
_CHILD_ORDERING: Final = 11
_SIBLING_ORDER_RANK: Final = 12
_DESCRIPTION: Final = 14
# ProcessDescriptor
_PID: Final = 1
_PROCESS_NAME: Final = 6
# CounterDescriptor
_UNIT_NAME: Final = 6
# TrackEvent
_DEBUG_ANNOTATIONS: Final = 4
_TYPE: Final = 9
_EVENT_TRACK: Final = 11
_CATEGORIES: Final = 22
_EVENT_NAME: Final = 23
_DOUBLE_COUNTER_VALUE: Final = 44
# DebugAnnotation
_BOOL_VALUE: Final = 2
_UINT_VALUE: Final = 3
_INT_VALUE: Final = 4
_DOUBLE_VALUE: Final = 5
_STRING_VALUE: Final = 6
_ANNOTATION_NAME: Final = 10
_ARRAY_VALUES: Final = 12

_SLICE_BEGIN, _SLICE_END, _INSTANT, _COUNT = 1, 2, 3, 4
"""TrackEvent.Type."""
_REALTIME, _BOOTTIME = 1, 6
"""BuiltinClock. BOOTTIME is what the times of packets are in where they name no clock."""
_EXPLICIT: Final = 3
"""TrackDescriptor.ChildTracksOrdering: children stand in the order of their sibling_order_rank."""
_STATE_CLEARED: Final = 1
"""TracePacket.SequenceFlags.SEQ_INCREMENTAL_STATE_CLEARED: nothing before this packet is needed to read it."""
_SEQUENCE: Final = 1
"""All packets are of one writer."""

_VARINT, _FIXED64, _LENGTH = 0, 1, 2
"""Wire types of protobuf."""
_U64: Final = (1 << 64) - 1


class TraceWriter:
    """Writes one trace to a file; tracks are numbers that its methods give and take.

    Times are nanoseconds since 1970, or since the zero of a recording that does not know the time of day; they may
    not be negative. Events may come in any order of time; of events at one time on one track the first written is
    the first.
    """

    def __init__(self, file: BinaryIO, start_ns: int) -> None:
        self._file = file
        self._tracks = 0
        # Both clocks agree: the viewer can show the time of day, and puts two captures opened together side by side.
        clocks = b"".join(
            _field(_CLOCKS, _number(_CLOCK_ID, clock) + _number(_CLOCK_TIMESTAMP, start_ns))
            for clock in (_BOOTTIME, _REALTIME)
        )
        self._packet(
            _number(_TIMESTAMP, start_ns),
            _number(_SEQUENCE_FLAGS, _STATE_CLEARED),
            _field(_CLOCK_SNAPSHOT, clocks),
        )

    def process(self, number: int, name: str) -> int:
        """Describe a group of tracks; `number` (from 1) is what the viewer calls its process id."""
        return self._track(0, _field(_PROCESS, _number(_PID, number) + _text(_PROCESS_NAME, name)))

    def track(self, parent: int, name: str, rank: int, description: str = "") -> int:
        """Describe a track for slices and instants below `parent` (0: none), at `rank` among its siblings."""
        return self._track(parent, _about(name, rank, description))

    def counter(self, parent: int, name: str, rank: int, description: str = "", *, unit: str) -> int:
        """Describe a track for values of a quantity, as `track` does."""
        return self._track(
            parent, _about(name, rank, description) + _field(_COUNTER, _text(_UNIT_NAME, unit))
        )

    def slice(
        self,
        track: int,
        category: str,
        name: str,
        start_ns: int,
        end_ns: int | None,
        args: Mapping[str, Value],
    ) -> None:
        """Write what lasted from one time to another; without `end_ns` its end was not seen."""
        self._event(track, start_ns, _named(_SLICE_BEGIN, category, name), _annotations(args))
        if end_ns is not None:
            self._event(track, end_ns, _number(_TYPE, _SLICE_END))

    def instant(self, track: int, category: str, name: str, time_ns: int, args: Mapping[str, Value]) -> None:
        """Write what happened at one time."""
        self._event(track, time_ns, _named(_INSTANT, category, name), _annotations(args))

    def count(self, track: int, time_ns: int, value: float) -> None:
        """Write the value that a counter has from now on."""
        self._event(track, time_ns, _number(_TYPE, _COUNT), _double(_DOUBLE_COUNTER_VALUE, value))

    def _track(self, parent: int, about: bytes) -> int:
        self._tracks += 1
        head = _number(_UUID, self._tracks) + (_number(_PARENT_UUID, parent) if parent else b"")
        self._packet(_field(_TRACK_DESCRIPTOR, head + _number(_CHILD_ORDERING, _EXPLICIT) + about))
        return self._tracks

    def _event(self, track: int, time_ns: int, *fields: bytes) -> None:
        body = _number(_EVENT_TRACK, track) + b"".join(fields)
        self._packet(_number(_TIMESTAMP, time_ns), _field(_TRACK_EVENT, body))

    def _packet(self, *fields: bytes) -> None:
        self._file.write(_field(_PACKET, _number(_SEQUENCE_ID, _SEQUENCE) + b"".join(fields)))


class Lanes:
    """Spreads slices that overlap over as few tracks as they need. Slices come in the order of their start."""

    def __init__(self) -> None:
        self._busy: list[tuple[float, int]] = []
        self._free: list[int] = []

    def place(self, start_ns: int, end_ns: int | None) -> int:
        """Return the lane, from 0, for a slice; one without an end keeps its lane for ever."""
        while self._busy and self._busy[0][0] <= start_ns:
            heapq.heappush(self._free, heapq.heappop(self._busy)[1])
        lane = heapq.heappop(self._free) if self._free else len(self._busy)
        heapq.heappush(self._busy, (math.inf if end_ns is None else end_ns, lane))
        return lane


# --- protobuf -------------------------------------------------------------------------------------------


def _varint(number: int) -> bytes:
    if number < 0x80:
        return number.to_bytes(1, "little")
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


@cache
def _tag(field: int, wire_type: int) -> bytes:
    return _varint(field << 3 | wire_type)


def _number(field: int, value: int) -> bytes:
    """Encode an integer, bool or enum; negative numbers are their 64-bit two's complement."""
    return _tag(field, _VARINT) + _varint(value & _U64)


def _field(field: int, content: bytes) -> bytes:
    """Encode bytes, a text or a message."""
    return _tag(field, _LENGTH) + _varint(len(content)) + content


def _double(field: int, value: float) -> bytes:
    return _tag(field, _FIXED64) + struct.pack("<d", value)


def _text(field: int, text: str) -> bytes:
    return _field(field, text.encode("utf-8", "backslashreplace"))


# --- tracks and events ----------------------------------------------------------------------------------


def _about(name: str, rank: int, description: str) -> bytes:
    told = _text(_DESCRIPTION, description) if description else b""
    return _text(_TRACK_NAME, name) + _number(_SIBLING_ORDER_RANK, rank) + told


def _named(kind: int, category: str, name: str) -> bytes:
    return _number(_TYPE, kind) + _text(_CATEGORIES, category) + _text(_EVENT_NAME, name)


@cache
def _key(name: str) -> bytes:
    return _text(_ANNOTATION_NAME, name)


def _annotations(args: Mapping[str, Value]) -> bytes:
    return b"".join(
        _field(_DEBUG_ANNOTATIONS, _key(name) + content)
        for name, value in args.items()
        for content in _contents(value)
    )


def _contents(value: Value) -> Iterator[bytes]:
    """Yield the encoded value, or nothing where there is none."""
    match value:
        case None:
            return
        case bool():
            yield _number(_BOOL_VALUE, value)
        case int():
            yield _number(_INT_VALUE if -(1 << 63) <= value < 1 << 63 else _UINT_VALUE, value)
        case float():
            if not math.isnan(value):
                yield _double(_DOUBLE_VALUE, value)
        case str():
            yield _text(_STRING_VALUE, value)
        case _:
            yield b"".join(_field(_ARRAY_VALUES, _text(_STRING_VALUE, text)) for text in value)
