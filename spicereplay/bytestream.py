"""One direction of one connection, as the bytes that were delivered and the holes between them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
import numpy.typing as npt

Int64Array = npt.NDArray[np.int64]
Buffer = bytes | bytearray | memoryview | np.ndarray
"""Anything a kernel can take as `const unsigned char[::1]`; a memory map is wrapped by `memoryview`."""


def _none() -> Int64Array:
    return np.empty(0, np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class ByteStream:
    """The bytes one side sent, in order, without copying them out of the capture file.

    A stream is a table of chunks. Chunk *i* holds `length[i]` bytes that belong at stream position
    `position[i]`; they lie at `offset[i]` of `file` if that is 0 or more, else at `-1 - offset[i]` of `spill`
    (bytes that do not lie in one piece in the file: IP fragments, unwrapped WebSocket frames, opened TLS
    records). Chunks are sorted by position, never empty, never overlap; where one does not begin at the end of
    its predecessor, the bytes between are missing.

    All arrays are one-dimensional int64. Position 0 is the first byte seen, or the byte after the SYN.
    """

    file: Buffer
    spill: Buffer
    position: Int64Array
    offset: Int64Array
    length: Int64Array
    time_ns: Int64Array
    """When the chunk could be delivered: the capture time of its packet, or of the late packet that filled the
    hole before it. Never decreases."""
    packet: Int64Array
    """Number of the packet in its capture, from 0 (row of the segment table's `packet` column)."""
    first_sequence: int = 0
    """TCP sequence number of position 0."""
    begins_with_syn: bool = False
    """Whether position 0 is certainly the first byte of the connection."""
    markers: Int64Array = field(default_factory=_none)
    """Stream positions at which the capture holds an empty record (an oversize placeholder), ascending."""
    end_position: int = -1
    """One past the last byte known to exist (a FIN or a later acknowledgement may lie past the last chunk);
    -1: the end of the last chunk."""

    @property
    def end(self) -> int:
        """One past the last byte known to exist."""
        if self.end_position >= 0:
            return self.end_position
        return int(self.position[-1] + self.length[-1]) if len(self.position) else 0

    @property
    def captured_bytes(self) -> int:
        """How many bytes are there."""
        return int(self.length.sum())

    def gaps(self) -> Iterator[tuple[int, int, int]]:
        """Yield `(position, length, time_ns)` of each hole; the time is that of the first chunk after it."""
        if not len(self.position):
            return
        ends = np.concatenate(([0], self.position + self.length))
        starts = np.concatenate((self.position, [self.end]))
        times = np.concatenate((self.time_ns, self.time_ns[-1:]))
        for i in np.flatnonzero(starts > ends):
            yield int(ends[i]), int(starts[i] - ends[i]), int(times[i])

    def chunk_bytes(self, index: int) -> bytes:
        """Return the bytes of one chunk."""
        offset, length = int(self.offset[index]), int(self.length[index])
        memory, start = (self.file, offset) if offset >= 0 else (self.spill, -1 - offset)
        return bytes(memory[start : start + length])

    def pieces(self, start: int, stop: int) -> Iterator[tuple[int, bytes]]:
        """Yield `(position, bytes)` of what is there of `[start, stop)`, in order."""
        i = max(0, int(np.searchsorted(self.position, start, "right")) - 1)
        while i < len(self.position) and self.position[i] < stop:
            at = int(self.position[i])
            lo, hi = max(start, at), min(stop, at + int(self.length[i]))
            if lo < hi:
                offset = int(self.offset[i])
                memory, base = (self.file, offset) if offset >= 0 else (self.spill, -1 - offset)
                yield lo, bytes(memory[base + lo - at : base + hi - at])
            i += 1

    def read(self, start: int, stop: int) -> bytes:
        """Return the bytes of `[start, stop)` up to the first one that is missing."""
        parts: list[bytes] = []
        for at, piece in self.pieces(start, stop):
            if at != start:
                break
            parts.append(piece)
            start += len(piece)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def places(self, positions: Int64Array) -> Int64Array:
        """Return where in `file` the chunk of each position begins; negative in `spill` and where there is none."""
        if not len(self.position):
            return np.full(len(positions), -1, np.int64)
        return self.offset[np.maximum(np.searchsorted(self.position, positions, "right") - 1, 0)]

    def span(self, start: int, stop: int) -> tuple[int, int] | None:
        """Return the part of `file` in which the bytes of `[start, stop)` lie; None where none of them does."""
        first = max(0, int(np.searchsorted(self.position, start, "right")) - 1)
        last = max(first, int(np.searchsorted(self.position, stop, "left")))
        offset, length = self.offset[first:last], self.length[first:last]
        inside = offset >= 0
        if not inside.any():
            return None
        return int(offset[inside].min()), int((offset + length)[inside].max())

    def within(self, start: int, room: int) -> int:
        """Return a position up to which the bytes from `start` on lie within about `room` bytes of `file`.

        It is after `start`, and at most `start + room`. A connection that sends little has its bytes strewn over the
        whole file: reading it through touches as much of the file as reading the one that sends most.
        """
        first = max(0, int(np.searchsorted(self.position, start, "right")) - 1)
        last = int(np.searchsorted(self.position, start + room, "left"))
        offset = self.offset[first:last]
        far = offset > offset[:1] + room if len(offset) and offset[0] >= 0 else np.empty(0, np.bool_)
        return int(self.position[first + int(np.argmax(far))]) if far.any() else start + room

    def time_at(self, position: int) -> int:
        """Return the delivery time of the byte at `position`, or of the first one there is after it."""
        i = max(0, int(np.searchsorted(self.position, position, "right")) - 1)
        after = i + 1 < len(self.position) and position >= self.position[i] + self.length[i]
        return int(self.time_ns[i + after])


class SegmentEvent(StrEnum):
    """What a segment can be besides the next one. Which rule decides is said in `capture.tcp_analysis`."""

    RETRANSMISSION = "retransmission"
    """Sent again, or late by so much that it can only have been sent again."""
    FAST_RETRANSMISSION = "fast_retransmission"
    """Sent again because duplicate ACKs asked for it."""
    SPURIOUS_RETRANSMISSION = "spurious_retransmission"
    """Sent again although it had been acknowledged."""
    OUT_OF_ORDER = "out_of_order"
    """Overtaken on the way by a later one."""
    DUPLICATE_ACK = "duplicate_ack"
    """A run of ACKs that repeat the one before: something behind a hole arrived."""
    ZERO_WINDOW = "zero_window"
    """A run of segments that announce that there is no room."""
    WINDOW_FULL = "window_full"
    """Goes exactly up to the end of the peer's receive window."""
    ZERO_WINDOW_PROBE = "zero_window_probe"
    """One byte into a window of 0, to see whether it has opened."""
    KEEP_ALIVE = "keep_alive"
    """Nothing, or one byte, from before what was sent last."""
    RESET = "rst"


@dataclass(frozen=True, slots=True, eq=False)
class SegmentEvents:
    """Events of one direction in order of the capture: columns, one-dimensional and equally long."""

    kind: npt.NDArray[np.uint8] = field(default_factory=lambda: np.empty(0, np.uint8))
    """Index into the members of `SegmentEvent`."""
    time_ns: Int64Array = field(default_factory=_none)
    position: Int64Array = field(default_factory=_none)
    """Stream position of the first byte; of a `DUPLICATE_ACK` and a `ZERO_WINDOW` the peer's next byte."""
    bytes: Int64Array = field(default_factory=_none)
    """Payload."""
    idle_ns: Int64Array = field(default_factory=_none)
    """How long the direction had sent nothing new when it sent again, or when the overtaken one came; else 0."""
    count: Int64Array = field(default_factory=_none)
    """Segments of the run; 1 where there are no runs."""


@dataclass(frozen=True, slots=True, eq=False)
class WindowStalls:
    """Periods in which the receiver's window left this direction nothing to send in; columns as above."""

    start_ns: Int64Array = field(default_factory=_none)
    end_ns: Int64Array = field(default_factory=_none)
    """The ACK that made room; -1 where none did."""
    window: Int64Array = field(default_factory=_none)
    """Bytes of the window that was full; 0 where the period began with the announcement of a zero window."""
    zero: npt.NDArray[np.bool_] = field(default_factory=lambda: np.empty(0, np.bool_))
    """Whether a window of 0 was announced in it."""


@dataclass(frozen=True, slots=True)
class DirectionFacts:
    """What the TCP headers of one direction say beyond the bytes themselves. Sizes in bytes."""

    segments: int = 0
    """Segments with payload."""
    payload_bytes: int = 0
    retransmitted_bytes: int = 0
    """Bytes that arrived again after they had been seen, keep-alive probes not counted."""
    retransmitted_segments: int = 0
    """SYN and FIN included, and segments whose first copy was lost before the capture point."""
    fast_retransmissions: int = 0
    spurious_retransmissions: int = 0
    """Both are among `retransmitted_segments`."""
    out_of_order: int = 0
    """Segments that arrived after a later one and were not sent again."""
    conflicts: int = 0
    """Retransmissions whose bytes differ from those seen first."""
    keep_alives: int = 0
    duplicate_acks: int = 0
    """ACKs this side sent that repeat the one before."""
    window_updates: int = 0
    """Segments that only change the receive window of this side."""
    zero_windows: int = 0
    """Segments that announced a receive window of 0."""
    zero_window_probes: int = 0
    window_full: int | None = None
    """Segments that filled the peer's receive window; None where its scale is not known."""
    window_stalls: int | None = None
    """Periods in which the peer's window was full or 0; None where its scale is not known."""
    window_stalled_ns: int | None = None
    """How long they were together."""
    resets: int = 0
    mss: int | None = None
    """Largest segment this side takes, from its SYN; None where that was not seen or does not say."""
    window_scale: int | None = None
    """Shift of the windows this side announces, 0 where the two did not agree on one; None where that was not seen."""
    syn_round_trip_ns: int | None = None
    """From this side's SYN to the answer; None where either was not seen or the SYN was sent more than once."""
    round_trips_ns: npt.NDArray[np.float32] = field(
        default_factory=lambda: np.empty(0, np.float32), compare=False
    )
    """From a segment of this side to the ACK that covers it, in order of the ACKs."""
    sequence_wraps: int = 0
    events: SegmentEvents = field(default_factory=SegmentEvents, compare=False)
    stalls: WindowStalls = field(default_factory=WindowStalls, compare=False)


def stream_of(data: bytes, time_ns: int = 0) -> ByteStream:
    """Return a stream that holds `data` in one chunk."""
    n = 1 if data else 0
    return ByteStream(
        file=data,
        spill=b"",
        position=np.zeros(n, np.int64),
        offset=np.zeros(n, np.int64),
        length=np.full(n, len(data), np.int64),
        time_ns=np.full(n, time_ns, np.int64),
        packet=np.zeros(n, np.int64),
        begins_with_syn=True,
    )
