"""From the bytes one side sent to the messages in them, past holes and damage.

The stream is walked header by header. While nothing is missing the walk trusts the sizes in the headers. Where
bytes are missing the rules are, in order:

1. A hole inside a body whose size is known costs only that message (`partial`); the walk goes on behind it.
2. A hole that holds a header loses the message boundary. The next boundary is the first position behind the hole
   from which `CHAIN` headers of known types with plausible sizes follow each other (fewer where the bytes end
   exactly at a boundary).
3. In a recording whose packets are whole messages (`units`), a boundary lies at the start of a packet and the
   message ends at the end of one; a packet that fails this is the tail of a message that lost its head.
   Source: ryll-formats.md 15.1 (6).
4. Once a stream is not trusted, a header of an unknown type or an impossible size means that bytes are missing
   without a hole in the sequence numbers. The boundary is then searched from inside the message before it, which
   swallowed what followed. Source: ryll-formats.md 11.3.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt

from spicereplay.bytestream import ByteStream, Int64Array, stream_of
from spicereplay.defects import DefectKind, DefectLog
from spicereplay.limits import DEFAULT_LIMITS, Limits
from spicereplay.protocol import registry
from spicereplay.protocol._kernels import framing as kernel
from spicereplay.protocol.enums import ChannelType, Side
from spicereplay.protocol.index import MessageIndex
from spicereplay.protocol.messages.common import sub_messages

MINI_HEADER_BYTES: Final = 6
FULL_HEADER_BYTES: Final = 18
LIST: Final = 8
CHAIN: Final = 3
"""Headers that must follow each other before a position counts as a message boundary."""
ROWS: Final = 1 << 16
"""Rows scanned at a time."""


@dataclass(frozen=True, slots=True)
class Hole:
    """Bytes of the stream that are not there, as the framing met them."""

    position: int
    length: int | None
    """None: how many is not known (missing without a hole in the sequence numbers)."""
    time_ns: int


@dataclass(frozen=True, slots=True)
class Tail:
    """The captured end of a message whose beginning is missing."""

    position: int
    length: int
    time_ns: int


@cache
def bounds(channel: ChannelType, side: Side, unbounded: int) -> tuple[Int64Array, Int64Array]:
    """Return the least and most body bytes of each message type; -1 in the first marks unknown types."""
    known = registry.known_types(channel, side)
    least = np.full(max(known) + 1, -1, np.int64)
    most = np.full(max(known) + 1, -1, np.int64)
    for kind, (low, high) in known.items():
        least[kind] = low
        # A later version of the protocol may append fields to a message of fixed size.
        most[kind] = unbounded if high is None else high + 64
    return least, most


class Framer:
    """Finds the messages of one side of one channel. Feed it a stream that only ever grows."""

    def __init__(
        self,
        channel: ChannelType,
        side: Side,
        *,
        mini_header: bool,
        start: int,
        trusted: bool,
        units: bool,
        limits: Limits,
        defects: DefectLog,
        where: str,
    ) -> None:
        self.channel = channel
        self.side = side
        self.header_bytes = MINI_HEADER_BYTES if mini_header else FULL_HEADER_BYTES
        self.position = start
        """Start of the first message that is not complete yet."""
        self.holes: list[Hole] = []
        self.unparsed_bytes = 0
        self._trusted = trusted
        self._units = units
        self._limits = limits
        self._defects = defects
        self._where = where
        self._least, self._most = bounds(channel, side, limits.message_bytes)
        self.tails: list[Tail] = []
        """In a recording of whole messages: what is left of those that lost their head."""
        self._searching = units or not trusted
        """Looking for a message boundary from `position` on."""
        self._lost_from = start
        self._chunk = 0
        self._needed = start
        self._blocks: list[_Rows] = []
        self._held: list[_Rows] = []
        self._first_serial = 1

    # -- walking ------------------------------------------------------------------------------------------

    def advance(self, stream: ByteStream, *, final: bool = False) -> int:
        """Find the messages that `stream` completes; with `final`, no byte will follow. Return how many."""
        if not final and stream.end < self._needed:
            return 0
        memory = _memory(stream)
        before = self.count
        while True:
            if self._searching and not self._search(stream, memory, final):
                break
            status = self._scan(stream, memory)
            if status == kernel.FULL:
                continue
            if status == kernel.MORE:
                break
            if status == kernel.HOLE:
                self._lose_boundary(stream)
            elif not self._accept_unknown(stream, memory, final):
                break
        if final:
            self._finish(stream)
        return self.count - before

    @property
    def count(self) -> int:
        """Messages found so far, sub-messages not counted."""
        return sum(len(b[0]) for b in self._blocks)

    def _scan(self, stream: ByteStream, memory: _Memory) -> int:
        n = min(ROWS, max(16, (stream.end - self.position) // self.header_bytes + 1))
        out = (
            np.empty(n, np.int64),
            np.empty(n, np.uint16),
            np.empty(n, np.uint32),
            np.empty(n, np.int64),
            np.zeros(n, np.int64),
            np.empty(n, np.uint8),
        )
        rows, status, self._chunk, self.position, self._needed = kernel.scan(
            *memory,
            stream.time_ns,
            self._chunk,
            self.position,
            self.header_bytes,
            self._limits.message_bytes,
            self._least,
            self._most,
            not (self._trusted or self._units),
            *out,
        )
        if rows:
            self._blocks.append(_rows(out, slice(rows)) if rows < n else out)
        return status

    def _lose_boundary(self, stream: ByteStream) -> None:
        """The header at `position` is not there."""
        self._trusted = False
        self._searching = True
        self._lost_from = self.position

    def _search(self, stream: ByteStream, memory: _Memory, final: bool) -> bool:
        """Look for a boundary; True when the walk can go on from `position`."""
        find = self._find_unit if self._units else self._find_chain
        if not find(stream, memory, final):
            return False
        self._searching = False
        lost = self.position - self._lost_from
        present = sum(len(piece) for _, piece in stream.pieces(self._lost_from, self.position)) if lost else 0
        if present and self._units:
            start = int(stream.position[np.searchsorted(stream.position, self._lost_from, "left")])
            self.tails.append(Tail(start, present, stream.time_at(start)))
        elif present:
            self.unparsed_bytes += present
            self._defects.add(
                DefectKind.FRAMING_LOST,
                self._where,
                f"{present} bytes belong to no message; the next one was found again behind them",
                time_ns=stream.time_at(self.position),
                position=self._lost_from,
            )
        return True

    def _find_chain(self, stream: ByteStream, memory: _Memory, final: bool) -> bool:
        answer, self._chunk, position = kernel.find_boundary(
            *memory, self._chunk, self.position, stream.end, self.header_bytes, self._least, self._most, CHAIN, final
        )
        self.position = position
        self._needed = stream.end + 1
        return answer == 1

    def _find_unit(self, stream: ByteStream, memory: _Memory, final: bool) -> bool:
        i = int(np.searchsorted(stream.position, self.position, "left"))
        ends = stream.position + stream.length
        while i < len(stream.position):
            at = int(stream.position[i])
            kind, size = self._header(stream, at)
            end = at + self.header_bytes + size
            j = int(np.searchsorted(ends, end, "left"))
            if kind is not None and j < len(ends) and ends[j] == end and (j == i or self._known(kind, size)):
                if int(stream.length[i : j + 1].sum()) == end - at:
                    self.position, self._chunk = at, i
                    return True
            i += 1
            self.position = int(ends[i - 1])
        self._needed = stream.end + 1
        return False

    def _header(self, stream: ByteStream, position: int) -> tuple[int | None, int]:
        head = stream.read(position, position + self.header_bytes)
        if len(head) < self.header_bytes:
            return None, 0
        head = head[-10:-4] if self.header_bytes == FULL_HEADER_BYTES else head
        return int.from_bytes(head[:2], "little"), int.from_bytes(head[2:6], "little")

    def _known(self, kind: int, size: int) -> bool:
        return (
            kind < len(self._least)
            and self._least[kind] >= 0
            and bool(self._least[kind] <= size <= self._most[kind])
        )

    def _accept_unknown(self, stream: ByteStream, memory: _Memory, final: bool) -> bool:
        """Decide about an unlikely header at `position`; False when that needs bytes that are not there yet."""
        kind, size = self._header(stream, self.position)
        time_ns = stream.time_at(self.position)
        follower = self.position + self.header_bytes + size
        if kind is not None and size <= self._limits.message_bytes and not self._units:
            # An unknown message is one if a chain of known ones follows it.
            if not final and follower >= stream.end:
                self._needed = follower + 1
                return False
            chunk = int(np.searchsorted(stream.position + stream.length, follower, "right"))
            answer, headers = kernel.count_chain(
                *memory, chunk, follower, self.header_bytes, self._least, self._most, CHAIN, final
            )
            if answer == 2 and headers == 0 and not final:
                self._needed = stream.end + 1
                return False
            if follower == stream.end or (answer == 1 and headers >= 2):
                self._append_unchecked(stream, kind, size, follower)
                return True
        if size > self._limits.message_bytes:
            self._defects.add(
                DefectKind.OVER_LIMIT,
                self._where,
                f"message of type {kind} claims {size} bytes; the limit is {self._limits.message_bytes}",
                time_ns=time_ns,
                position=self.position,
            )
        self._trusted = False
        self._searching = True
        self._lost_from = self.position
        if not self._units:
            self._search_inside_last(stream, memory, time_ns)
        return True

    def _append_unchecked(self, stream: ByteStream, kind: int, size: int, end: int) -> None:
        body = self.position + self.header_bytes
        serial = 0
        if self.header_bytes == FULL_HEADER_BYTES:
            serial = int.from_bytes(stream.read(self.position, self.position + 8), "little", signed=True)
        self._blocks.append(
            (
                np.array([stream.time_at(max(end - 1, self.position))], np.int64),
                np.array([kind], np.uint16),
                np.array([size], np.uint32),
                np.array([body], np.int64),
                np.array([serial], np.int64),
                np.zeros(1, np.uint8),
            )
        )
        self.position = end

    def _search_inside_last(self, stream: ByteStream, memory: _Memory, time_ns: int) -> None:
        """Bytes went missing inside the last message, and it swallowed what came next: look there first."""
        if not self._blocks:
            return
        last = self._blocks[-1]
        start = int(last[3][-1])  # its body
        if last[5][-1] & kernel.PARTIAL or start >= self.position:
            return
        chunk = int(np.searchsorted(stream.position + stream.length, start, "right"))
        answer, chunk, found = kernel.find_boundary(
            *memory, chunk, start, self.position, self.header_bytes, self._least, self._most, CHAIN, True
        )
        if answer != 1:
            return
        last[5][-1] |= kernel.PARTIAL
        self._defects.add(
            DefectKind.BYTES_MISSING_SILENTLY,
            self._where,
            f"message framing lost: a message of {int(last[2][-1])} bytes holds {found - start} only, without a "
            "hole in the sequence numbers; found again behind it",
            time_ns=time_ns,
            position=found,
        )
        self.holes.append(Hole(found, None, stream.time_at(found)))
        self.position = self._lost_from = found
        self._chunk = chunk
        self._searching = False

    def _finish(self, stream: ByteStream) -> None:
        """The stream ends here: what is left is a message cut off, or belongs to none."""
        left = sum(len(piece) for _, piece in stream.pieces(self.position, stream.end))
        if self._searching:
            left = sum(len(piece) for _, piece in stream.pieces(self._lost_from, stream.end))
        if not left:
            return
        kind, size = self._header(stream, self.position)
        time_ns = int(stream.time_ns[-1])
        if kind is not None and not self._searching and size <= self._limits.message_bytes:
            self._append_unchecked(stream, kind, size, stream.end)
            self._blocks[-1][5][-1] |= kernel.PARTIAL
            detail = f"the last message, type {kind}, has {left - self.header_bytes} of its {size} bytes"
        else:
            self.unparsed_bytes += left
            detail = f"{left} bytes at the end belong to no message"
        self._defects.add(
            DefectKind.MESSAGE_INCOMPLETE, self._where, detail, time_ns=time_ns, position=self.position
        )

    # -- result -------------------------------------------------------------------------------------------

    def drain(self, stream: ByteStream, *, final: bool) -> MessageIndex:
        """Return the messages that no later byte can change, and forget them.

        While the stream is not trusted the last message is held back: it may turn out to have swallowed others.
        """
        index = self.index(stream, keep_last=not (final or self._trusted or self._units))
        self._first_serial += int((~index.sub).sum())
        self._blocks = self._held
        return index

    def index(self, stream: ByteStream, *, keep_last: bool = False) -> MessageIndex:
        """Return the messages found so far, with a row for each sub-message."""
        self._held: list[_Rows] = []
        if self._blocks and keep_last:
            last = self._blocks[-1]
            self._held = [_rows(last, slice(-1, None))]
            self._blocks[-1] = _rows(last, slice(None, -1))
        if self._blocks:
            if len(self._blocks) > 1:
                self._blocks = [_joined(self._blocks)]
            time_ns, kind, size, position, serial, flags = self._blocks[0]
        else:
            time_ns = position = serial = np.empty(0, np.int64)
            kind, size, flags = np.empty(0, np.uint16), np.empty(0, np.uint32), np.empty(0, np.uint8)
        if self.header_bytes == MINI_HEADER_BYTES:
            serial = np.arange(self._first_serial, self._first_serial + len(kind), dtype=np.int64)
        partial = (flags & kernel.PARTIAL) != 0
        index = MessageIndex(
            self.channel,
            self.side,
            stream,
            time_ns,
            kind,
            size,
            position,
            serial,
            np.zeros(len(kind), np.bool_),
            partial,
        )
        if self.side is Side.CLIENT:
            return index
        carriers = np.flatnonzero(((kind == LIST) | ((flags & kernel.SUB_LIST) != 0)) & ~partial)
        return self._with_sub_messages(index, carriers) if len(carriers) else index

    def _with_sub_messages(self, index: MessageIndex, carriers: npt.NDArray[np.intp]) -> MessageIndex:
        """Return `index` with the sub-messages of `carriers` behind (LIST) or before (sub-list) their carrier.

        Source: spice-wire.md 3; sub-messages are handled before the message that carries them.
        """
        extra: list[tuple[float, int, int, int, int]] = []  # sort key, carrier, type, size, position
        for row in carriers.tolist():
            body = index.body(row)
            is_list = int(index.type[row]) == LIST
            at = 0
            if not is_list:
                head = index.stream.read(int(index.position[row]) - 4, int(index.position[row]))
                at = int.from_bytes(head, "little")
            found, problems = sub_messages(body, at, limits=self._limits)
            for kind, detail, offset in problems:
                self._defects.add(
                    kind, self._where, detail, time_ns=int(index.time_ns[row]), position=int(index.position[row]) + offset
                )
            for n, sub in enumerate(found):
                key = row + (0.5 if is_list else -0.5) + n / (4 * len(found))
                extra.append((key, row, sub.type, sub.size, int(index.position[row]) + sub.offset))
        if not extra:
            return index
        parents = np.array([e[1] for e in extra], np.intp)
        keys = np.concatenate((np.arange(len(index), dtype=np.float64), [e[0] for e in extra]))
        order = np.argsort(keys, kind="stable")
        return MessageIndex(
            index.channel,
            index.side,
            index.stream,
            np.concatenate((index.time_ns, index.time_ns[parents]))[order],
            np.concatenate((index.type, np.array([e[2] for e in extra], np.uint16)))[order],
            np.concatenate((index.size, np.array([e[3] for e in extra], np.uint32)))[order],
            np.concatenate((index.position, np.array([e[4] for e in extra], np.int64)))[order],
            np.concatenate((index.serial, index.serial[parents]))[order],
            np.concatenate((index.sub, np.ones(len(extra), np.bool_)))[order],
            np.concatenate((index.partial, np.zeros(len(extra), np.bool_)))[order],
        )


def nothing(channel: ChannelType, side: Side) -> MessageIndex:
    """Return the index of a side that sent no message."""
    return Framer(
        channel,
        side,
        mini_header=True,
        start=0,
        trusted=True,
        units=False,
        limits=DEFAULT_LIMITS,
        defects=DefectLog(),
        where="",
    ).index(stream_of(b""))


_Rows = tuple[
    Int64Array, npt.NDArray[np.uint16], npt.NDArray[np.uint32], Int64Array, Int64Array, npt.NDArray[np.uint8]
]
"""time_ns, type, size, position of the body, serial, flags"""


def _rows(rows: _Rows, part: slice) -> _Rows:
    """Return a part of some rows as arrays of their own, so that the rest can be freed."""
    time_ns, kind, size, position, serial, flags = rows
    return (
        time_ns[part].copy(),
        kind[part].copy(),
        size[part].copy(),
        position[part].copy(),
        serial[part].copy(),
        flags[part].copy(),
    )


def _joined(blocks: list[_Rows]) -> _Rows:
    return (
        np.concatenate([b[0] for b in blocks]),
        np.concatenate([b[1] for b in blocks]),
        np.concatenate([b[2] for b in blocks]),
        np.concatenate([b[3] for b in blocks]),
        np.concatenate([b[4] for b in blocks]),
        np.concatenate([b[5] for b in blocks]),
    )


_Memory = tuple[
    npt.NDArray[np.uint8], npt.NDArray[np.uint8], npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]
]


def _memory(stream: ByteStream) -> _Memory:
    return (
        np.frombuffer(stream.file, np.uint8),
        np.frombuffer(stream.spill, np.uint8),
        stream.position,
        stream.offset,
        stream.length,
    )
