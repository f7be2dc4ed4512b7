"""From the bytes one side sent to the messages in them, past holes and damage.

The stream is walked header by header. While nothing is missing the walk trusts the sizes in the headers. Where
bytes are missing the rules are, in order:

1. A hole inside a body whose size is known costs only that message (`partial`); the walk goes on behind it.
2. A hole that holds a header loses the message boundary. The next boundary is the first position behind the hole
   from which `CHAIN` headers of known types with plausible sizes follow each other (fewer where the bytes end
   exactly at a boundary) and the bodies between them can be taken apart.
3. In a recording whose packets are whole messages (`units`), a boundary lies at the start of a packet and the
   message ends at the end of one; a packet that fails this is the tail of a message that lost its head.
   Source: ryll-formats.md 15.1 (6).
4. Once a stream is not trusted, a header of an unknown type or an impossible size means that bytes are missing
   without a hole in the sequence numbers. The boundary is then searched from inside the message before it, which
   swallowed what followed. Source: ryll-formats.md 11.3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from spicereplay.bytestream import ByteStream, stream_of
from spicereplay.defects import DefectKind, DefectLog
from spicereplay.limits import DEFAULT_LIMITS, Limits
from spicereplay.protocol import registry
from spicereplay.protocol._bounds import bounds
from spicereplay.protocol._kernels import framing as kernel
from spicereplay.protocol._rows import Rows
from spicereplay.protocol.enums import ChannelType, Side
from spicereplay.protocol.index import MessageIndex, Release
from spicereplay.protocol.messages.common import sub_messages
from spicereplay.units import MIB

MINI_HEADER_BYTES: Final = 6
FULL_HEADER_BYTES: Final = 18
LIST: Final = 8
CHAIN: Final = 3
"""Headers that must follow each other before a position counts as a message boundary."""
ROWS: Final = 1 << 16
"""Rows scanned at a time."""
READING_BYTES: Final = 64 * MIB
"""Bytes of bodies that one side may cost while boundaries are searched; then headers alone must do."""
READING_COST: Final = 4096
"""What taking any message apart counts, whatever its size."""
WINDOW: Final = 32 * MIB
"""Bytes of the stream, or of the file, scanned at a time: what of a mapped capture file is resident."""


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
        release: Release | None = None,
    ) -> None:
        """`start` is where the first message is expected (`trusted`) or the search for one begins."""
        self.channel = channel
        self.side = side
        self.header_bytes = MINI_HEADER_BYTES if mini_header else FULL_HEADER_BYTES
        self.position = start
        """Start of the first message that is not complete yet."""
        self.holes: list[Hole] = []
        """Where bytes are missing although no sequence number is."""
        self.tails: list[Tail] = []
        """In a recording of whole messages: what is left of those that lost their head."""
        self.unparsed_bytes = 0
        self._trusted = trusted
        self._units = units
        self._limits = limits
        self._defects = defects
        self._where = where
        self._release = release
        self._least, self._most = bounds(channel, side, limits.message_bytes)
        self._searching = units or not trusted
        """Looking for a message boundary from `position` on."""
        self._lost_from = start
        """Where the bytes begin that belong to no message, while searching."""
        self._chunk = 0
        self._needed = start
        self._reading_left = READING_BYTES
        self._rows = Rows()
        self._first_serial = 1
        self._lists_checked = -1
        """Body position of the last list whose entries were checked: a list's mistakes are noted once."""

    # -- walking ------------------------------------------------------------------------------------------

    def wants(self, end: int) -> bool:
        """Whether a stream that reaches `end` can tell anything new."""
        return end >= self._needed

    def advance(self, stream: ByteStream, *, final: bool = False) -> int:
        """Find the messages that `stream` completes; with `final`, no byte will follow. Return how many."""
        if not final and not self.wants(stream.end):
            return 0
        before = self.count
        memory = _memory(stream)
        while self._step(stream, memory, final):
            pass
        if final:
            self._finish(stream)
        return self.count - before

    @property
    def count(self) -> int:
        """Messages found and not drained, sub-messages not counted."""
        return self._rows.count

    @property
    def lost(self) -> bool:
        """Whether a boundary is looked for, or was and bytes were passed over."""
        return self._searching or self.unparsed_bytes > 0

    @property
    def keeps_from(self) -> int:
        """Stream position from which on bytes may still be looked at."""
        kept = self._lost_from if self._searching else self.position
        if self.count:
            _, body, _ = self._rows.last
            kept = min(kept, body - self.header_bytes)
        return kept

    def unfinished(self, stream: ByteStream) -> tuple[int, int] | None:
        """Return type and size of the message at `position`, if its header is there; None while that is looked for."""
        if self._searching:
            return None
        kind, size = self._header(stream, self.position)
        return None if kind is None else (kind, size)

    def rewind_chunks(self) -> None:
        """Note that chunks were dropped from the front of the stream, so that their numbers changed."""
        self._chunk = 0

    def _step(self, stream: ByteStream, memory: _Memory, final: bool) -> bool:
        """Go as far as one rule reaches; False when only more bytes help."""
        if self._searching and not self._search(stream, memory, final):
            return False
        status = self._scan(stream, memory)
        if status == kernel.FULL:
            return True
        if status == kernel.MORE:
            return False
        if status == kernel.HOLE:
            self._lose_boundary()
            return True
        return self._judge(stream, memory, final)

    def _scan(self, stream: ByteStream, memory: _Memory) -> int:
        room = min(ROWS, max(16, (stream.end - self.position) // self.header_bytes + 1))
        out = self._rows.room(room)
        first = self._chunk
        until = self.position + WINDOW if self._release is None else stream.within(self.position, WINDOW)
        rows, status, self._chunk, self.position, self._needed = kernel.scan(
            *memory,
            stream.time_ns,
            self._chunk,
            self.position,
            until,
            self.header_bytes,
            self._limits.message_bytes,
            self._least,
            self._most,
            not (self._trusted or self._units),
            self._units,
            out[0],
            out[1],
            out[2],
            out[3],
            out[4],
            out[5],
        )
        self._rows.took(rows)
        if rows and self._trusted and not self._units and (out[-1][:rows] & kernel.PARTIAL).any():
            self._trusted = False
        if self._release is not None and len(stream.offset):
            _release(stream, first, self._chunk, self._release)
        return status

    def _lose_boundary(self) -> None:
        """Note that the header at `position` is not there, or is none."""
        self._trusted = False
        self._searching = True
        self._lost_from = self.position

    # -- searching ----------------------------------------------------------------------------------------

    def _search(self, stream: ByteStream, memory: _Memory, final: bool) -> bool:
        """Look for a boundary; True when the walk can go on from `position`."""
        found = self._find_unit(stream) if self._units else self._find_chain(stream, memory, final)
        if not found:
            return False
        self._searching = False
        if self._units:
            self._note_tails(stream, self._lost_from, self.position)
            return True
        skipped = _present(stream, self._lost_from, self.position)
        if skipped:
            self._note_unparsed(stream, skipped, "the next one was found again behind them")
        return True

    def _find_chain(self, stream: ByteStream, memory: _Memory, final: bool) -> bool:
        answer, self._chunk, self.position, needed = self._boundary(
            stream, memory, self._chunk, self.position, stream.end, final
        )
        self._needed = needed if answer == 2 else stream.end + 1
        return answer == 1

    def _boundary(
        self, stream: ByteStream, memory: _Memory, chunk: int, start: int, stop: int, final: bool
    ) -> tuple[int, int, int, int]:
        """Find a message boundary in `[start, stop)`; the answer is that of the kernel's `find_boundary`."""
        while True:
            found = kernel.find_boundary(
                *memory, chunk, start, stop, self.header_bytes, self._least, self._most, CHAIN, final
            )
            if found[0] != 1 or self._reads(stream, found[2]):
                return found
            chunk, start = found[1], found[2] + 1

    def _reads(self, stream: ByteStream, position: int) -> bool:
        """Whether the first messages at `position` can be taken apart, as far as their bodies are there.

        Only those are looked at that the chain has passed: what comes later must not change the answer.
        """
        for _ in range(CHAIN - 1):
            kind, size = self._header(stream, position)
            if kind is None or self._reading_left <= 0:
                return True
            self._reading_left -= size + READING_COST
            body = stream.read(position + self.header_bytes, position + self.header_bytes + size)
            if len(body) < size:
                return True
            parsed = registry.parse_message(self.channel, self.side, kind, body, limits=self._limits)
            if parsed.message is None or parsed.problems:
                return False
            position += self.header_bytes + size
        return True

    def _find_unit(self, stream: ByteStream) -> bool:
        """Find the first packet that begins a message which ends with a packet."""
        i = int(np.searchsorted(stream.position, self.position, "left"))
        ends = stream.position + stream.length
        while i < len(stream.position):
            at = int(stream.position[i])
            kind, size = self._header(stream, at)
            end = at + self.header_bytes + size
            j = int(np.searchsorted(ends, end, "left"))
            if (
                kind is not None
                and size <= self._limits.message_bytes
                and j < len(ends)
                and ends[j] == end
                and (j == i or self._known(kind, size))
                and int(stream.length[i : j + 1].sum()) == end - at
            ):
                self.position, self._chunk = at, i
                return True
            i += 1
        self.position = max(self.position, stream.end)
        self._needed = stream.end + 1
        return False

    def _note_tails(self, stream: ByteStream, start: int, stop: int) -> None:
        """Note the packets in `[start, stop)`, none of which begins a message: tails behind holes, or nothing known."""
        first, end = (int(i) for i in np.searchsorted(stream.position, (start, stop), "left"))
        unknown = 0
        for i in range(first, end):
            at, length = int(stream.position[i]), int(stream.length[i])
            if i == 0 or at > int(stream.position[i - 1] + stream.length[i - 1]):
                self.tails.append(Tail(at, length, int(stream.time_ns[i])))
            else:
                unknown += length
        if unknown:
            self._note_unparsed(
                stream, unknown, "their packets hold no message from its first byte to its last"
            )

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

    # -- unlikely headers ---------------------------------------------------------------------------------

    def _judge(self, stream: ByteStream, memory: _Memory, final: bool) -> bool:
        """Decide about an unlikely header at `position`; False when that needs bytes that are not there yet."""
        kind, size = self._header(stream, self.position)
        assert kind is not None, "the walk read this header"
        over = size > self._limits.message_bytes
        if self._units:
            self._note_over_limit(stream, kind, size)
            self._lose_boundary()
            # This packet begins no message, and the search must not find it again.
            self._chunk = _chunk_at(stream, self.position)
            self.position = int(stream.position[self._chunk] + stream.length[self._chunk])
            return True
        if not over:
            unknown = self._follows_unknown(stream, memory, self.position + self.header_bytes + size, final)
            if unknown is None:
                return False
            if unknown:
                self._append_unchecked(stream, kind, size, self.position + self.header_bytes + size)
                return True
        inside: tuple[int, int] | None = None
        suspect = self.count and not self._trusted
        if suspect:
            answer, chunk, found, needed = self._boundary_in_last(stream, memory, final)
            if answer == 2:
                self._needed = needed
                return False
            inside = (chunk, found) if answer == 1 else None
        self._note_over_limit(stream, kind, size)
        if suspect:
            self._note_swallowed(stream, self.position if inside is None else inside[1], inside is not None)
        if inside is None:
            self._lose_boundary()
        else:
            self._chunk, self.position = inside
        return True

    def _follows_unknown(
        self, stream: ByteStream, memory: _Memory, follower: int, final: bool
    ) -> bool | None:
        """Whether what follows shows that this is a message of a type not known here; None: more bytes tell."""
        if not final and follower >= stream.end:
            self._needed = follower + 1
            return None
        if follower == stream.end:
            return True
        chunk = _chunk_at(stream, follower)
        answer, headers, needed = kernel.count_chain(
            *memory, chunk, follower, self.header_bytes, self._least, self._most, CHAIN, final
        )
        if answer == 2:
            self._needed = needed
            return None
        return answer == 1 and headers >= 2

    def _boundary_in_last(
        self, stream: ByteStream, memory: _Memory, final: bool
    ) -> tuple[int, int, int, int]:
        """Find a boundary inside the last message: it swallowed what came next if bytes went missing in it."""
        _, start, _ = self._rows.last
        chunk = _chunk_at(stream, start)
        return self._boundary(stream, memory, chunk, start, self.position, final)

    def _note_swallowed(self, stream: ByteStream, found: int, inside: bool) -> None:
        """Note that the last message is not followed by one: bytes of it, or behind it, are missing."""
        size, start, flags = self._rows.last
        if flags & kernel.PARTIAL:
            return  # its hole is known, only the length of that was not
        self._rows.flag_last(kernel.PARTIAL)
        held = f"holds {found - start} only" if inside else "is not followed by another"
        self._defects.add(
            DefectKind.BYTES_MISSING_SILENTLY,
            self._where,
            f"message framing lost: a message of {size} bytes {held}, without a hole in the sequence numbers"
            + ("; found again behind it" if inside else ""),
            time_ns=stream.time_at(self.position),
            position=found,
        )
        self.holes.append(Hole(found, None, stream.time_at(found)))

    def _append_unchecked(self, stream: ByteStream, kind: int, size: int, end: int, flags: int = 0) -> None:
        """Add the message at `position`, which ends at `end`, although its header alone would not do."""
        body = self.position + self.header_bytes
        serial = 0
        if self.header_bytes == FULL_HEADER_BYTES:
            head = stream.read(self.position, body)
            serial = int.from_bytes(head[:8], "little", signed=True)
            flags |= kernel.SUB_LIST if any(head[14:]) else 0
        if not flags & kernel.PARTIAL and _present(stream, body, end) < size:
            flags |= kernel.PARTIAL
        self._rows.append(stream.time_at(max(end - 1, self.position)), kind, size, body, serial, flags)
        self.position = end

    # -- words --------------------------------------------------------------------------------------------

    def _note_over_limit(self, stream: ByteStream, kind: int, size: int) -> None:
        if size > self._limits.message_bytes:
            self._defects.add(
                DefectKind.OVER_LIMIT,
                self._where,
                f"message of type {kind} claims {size} bytes; the limit is {self._limits.message_bytes}",
                time_ns=stream.time_at(self.position),
                position=self.position,
            )

    def _note_unparsed(self, stream: ByteStream, count: int, but: str) -> None:
        self.unparsed_bytes += count
        self._defects.add(
            DefectKind.FRAMING_LOST,
            self._where,
            f"{count} bytes belong to no message; {but}",
            time_ns=stream.time_at(self._lost_from),
            position=self._lost_from,
        )

    def _finish(self, stream: ByteStream) -> None:
        """Settle what is left where the stream ends: a message cut off, or bytes that belong to none."""
        if self._searching:
            if self._units:
                self._note_tails(stream, self._lost_from, stream.end)
            elif left := _present(stream, self._lost_from, stream.end):
                self._note_unparsed(stream, left, "no message was found behind them")
            return
        left = _present(stream, self.position, stream.end)
        if not left:
            return
        kind, size = self._header(stream, self.position)
        time_ns, position = int(stream.time_ns[-1]), self.position
        if kind is None:
            self.unparsed_bytes += left
            detail = f"the last {left} bytes are less than the header of a message"
        else:
            self._append_unchecked(stream, kind, size, stream.end, kernel.PARTIAL)
            detail = f"the last message, type {kind}, has {left - self.header_bytes} of its {size} bytes"
        self._defects.add(
            DefectKind.MESSAGE_INCOMPLETE, self._where, detail, time_ns=time_ns, position=position
        )

    # -- result -------------------------------------------------------------------------------------------

    def drain(self, stream: ByteStream, *, final: bool) -> MessageIndex:
        """Return the messages that no later byte can change, and forget them.

        While the stream is not trusted the last message is held back: it may turn out to have swallowed others.
        """
        held = 0 if final or self._trusted or self._units else min(1, self.count)
        count = self.count - held
        index = self._index(stream, count)
        self._first_serial += count
        self._rows.forget(count)
        return index

    def index(self, stream: ByteStream) -> MessageIndex:
        """Return the messages found so far, with a row for each sub-message."""
        return self._index(stream, self.count)

    def _index(self, stream: ByteStream, count: int) -> MessageIndex:
        time_ns, kind, size, position, serial, flags = self._rows.columns(count)
        if self.header_bytes == MINI_HEADER_BYTES:
            serial = np.arange(self._first_serial, self._first_serial + count, dtype=np.int64)
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
            np.zeros(count, np.bool_),
            partial,
            self._release,
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
            start = int(index.position[row])
            if start > self._lists_checked:
                self._lists_checked = start
                for kind, detail, offset in problems:
                    self._defects.add(
                        kind, self._where, detail, time_ns=int(index.time_ns[row]), position=start + offset
                    )
            for n, sub in enumerate(found):
                key = row + (0.5 if is_list else -0.5) + n / (4 * len(found))
                extra.append((key, row, sub.type, sub.size, start + sub.offset))
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
            index.release,
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


_Memory = tuple[
    npt.NDArray[np.uint8],
    npt.NDArray[np.uint8],
    npt.NDArray[np.int64],
    npt.NDArray[np.int64],
    npt.NDArray[np.int64],
]


def _memory(stream: ByteStream) -> _Memory:
    return (
        np.frombuffer(stream.file, np.uint8),
        np.frombuffer(stream.spill, np.uint8),
        stream.position,
        stream.offset,
        stream.length,
    )


def _chunk_at(stream: ByteStream, position: int) -> int:
    """Return a chunk from which the byte at `position` is found by going forward."""
    return max(0, int(np.searchsorted(stream.position, position, "right")) - 1)


def _present(stream: ByteStream, start: int, stop: int) -> int:
    """How many bytes of `[start, stop)` are there."""
    if stop <= start:
        return 0
    part = slice(_chunk_at(stream, start), int(np.searchsorted(stream.position, stop, "left")))
    first = np.maximum(stream.position[part], start)
    last = np.minimum(stream.position[part] + stream.length[part], stop)
    return int(np.maximum(last - first, 0).sum())


def _release(stream: ByteStream, first: int, last: int, release: Release) -> None:
    """Let go of the part of the file in which the chunks from `first` to before `last` lie."""
    offset = stream.offset[first:last]
    inside = offset >= 0
    if inside.any():
        offset, length = offset[inside], stream.length[first:last][inside]
        release(int(offset.min()), int((offset + length).max()))
