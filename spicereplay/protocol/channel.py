"""The engine of one connection: bytes of both sides in, messages out.

It has no role. A replay feeds it what a capture holds of both sides; a live client feeds it what the server sent and
what it is about to send itself. It opens nothing, reads no clock, logs nothing; whatever the peers do, no call
raises because of it.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from spicereplay.bytestream import ByteStream, stream_of
from spicereplay.defects import DefectKind, DefectLog
from spicereplay.errors import UsageError
from spicereplay.limits import DEFAULT_LIMITS, Limits
from spicereplay.protocol.enums import ChannelType, Side
from spicereplay.protocol.events import BytesMissing, Event, LinkEnded, MessageSeen, SideClosed
from spicereplay.protocol.framing import Framer
from spicereplay.protocol.index import MessageIndex, Release
from spicereplay.protocol.link import MAGIC, MECHANISM_SASL, Link, LinkStatus, parse_link

LINK_USUAL_BYTES: Final = 4096
"""More than the link stage takes without SASL and hundreds of capabilities."""
LINK_STAGE_BYTES: Final = 256 * 1024
"""More than the longest link stage can take; a stream that has not finished it by then never will."""


@dataclass(frozen=True, slots=True)
class Assumption:
    """What is taken for granted about a connection whose link stage is not there."""

    channel: ChannelType
    channel_id: int
    mini_header: bool
    reason: str
    """How it was found out, in words."""
    confidence: float
    """From 0 (guessed) to 1 (certain)."""
    units: bool = False
    """The recording holds whole messages, one or more packets each."""


class GrowingStream:
    """A byte stream that is appended to at its end while it is read, and forgotten from its front."""

    def __init__(self) -> None:
        self._memory = np.empty(4096, np.uint8)
        self._filled = 0
        self._columns = np.empty((4, 16), np.int64)  # position, offset, length, time_ns
        self._chunks = 0
        self.end = 0

    def append(self, data: bytes | bytearray | memoryview, time_ns: int) -> None:
        """Add the next bytes."""
        n = len(data)
        if not n:
            return
        if self._filled + n > len(self._memory):
            grown = np.empty(max(2 * len(self._memory), self._filled + n), np.uint8)
            grown[: self._filled] = self._memory[: self._filled]
            self._memory = grown
        if self._chunks == self._columns.shape[1]:
            self._columns = np.concatenate((self._columns, np.empty_like(self._columns)), axis=1)
        self._memory[self._filled : self._filled + n] = np.frombuffer(data, np.uint8)
        if self._chunks:
            time_ns = max(time_ns, int(self._columns[3, self._chunks - 1]))
        self._columns[:, self._chunks] = (self.end, self._filled, n, time_ns)
        self._chunks += 1
        self._filled += n
        self.end += n

    def skip(self, length: int) -> None:
        """Note that `length` bytes are missing here."""
        self.end += length

    def forget(self, before: int) -> bool:
        """Drop the chunks that end at position `before` or earlier, once they are half of all; whether it did.

        Views returned earlier keep what they show.
        """
        ends = self._columns[0, : self._chunks] + self._columns[2, : self._chunks]
        n = int(np.searchsorted(ends, before, "right"))
        freed = int(self._columns[2, :n].sum())
        if not n or (2 * freed < self._filled and 2 * n < self._chunks):
            return False
        self._memory = self._memory[freed : self._filled].copy()
        self._filled -= freed
        self._columns = np.concatenate(
            (self._columns[:, n : self._chunks], np.empty((4, 16), np.int64)), axis=1
        )
        self._chunks -= n
        self._columns[1, : self._chunks] -= freed
        return True

    def view(self) -> ByteStream:
        """Return what is there now."""
        position, offset, length, time_ns = (self._columns[i, : self._chunks] for i in range(4))
        return ByteStream(
            file=self._memory[: self._filled],
            spill=b"",
            position=position,
            offset=offset,
            length=length,
            time_ns=time_ns,
            packet=np.broadcast_to(np.zeros(1, np.int64), self._chunks),
            end_position=self.end,
        )


@dataclass(slots=True)
class _Half:
    """One side of the connection."""

    side: Side
    seen: bool = True
    """False: the capture does not hold this direction at all."""
    growing: GrowingStream | None = None
    stream: ByteStream = field(default_factory=lambda: stream_of(b""))
    framer: Framer | None = None
    closed: bool = False
    closed_time_ns: int = 0
    closing_told: bool = False
    holes: list[BytesMissing] = field(default_factory=list)
    """Holes in the sequence of bytes that `events` has not told yet, in order."""
    silent_told: int = 0
    """How many of the framer's holes `events` has taken over."""

    @property
    def end(self) -> int:
        """One past the last byte known."""
        return self.stream.end if self.growing is None else self.growing.end

    def look(self) -> ByteStream:
        """Return all that is there now."""
        if self.growing is not None and self.growing.end != self.stream.end:
            self.stream = self.growing.view()
        return self.stream


class ChannelEngine:
    """Watches one connection. `where` names it in defects, for instance `display/0`."""

    def __init__(
        self,
        *,
        where: str = "connection",
        assumed: Assumption | None = None,
        fallback: ChannelType | None = None,
        limits: Limits = DEFAULT_LIMITS,
        defects: DefectLog | None = None,
        release: Release | None = None,
    ) -> None:
        """Begin with the link stage, or without one.

        `assumed` takes the place of a link stage; `fallback` is the channel where the link stage lacks the
        client's side, which alone names it. `release` is told which part of the streams' file was read through.
        """
        self.limits = limits
        self.defects = DefectLog(limits.defects_per_kind) if defects is None else defects
        self.assumed = assumed
        self.link: Link | None = None
        """The link stage once it is over; None before, and for good where the capture lacks it."""
        self._where = where
        self._fallback = fallback
        self._halves = {side: _Half(side) for side in Side}
        self._release = release
        self._waiting: Link | None = None
        self._link_event: LinkEnded | None = None
        if assumed is not None:
            starts = dict.fromkeys(Side, 0)
            self._start_framing(assumed.channel, assumed.mini_header, starts, units=assumed.units)

    # -- bytes in -----------------------------------------------------------------------------------------

    def receive(self, side: Side, data: bytes | bytearray | memoryview, time_ns: int) -> None:
        """Take bytes that `side` put on the wire at `time_ns`."""
        half, growing = self._open_half(side)
        growing.append(data, time_ns)
        self._advance(half)

    def gap(self, side: Side, length: int, time_ns: int) -> None:
        """Note that `length` bytes which `side` sent are not to be had."""
        if length < 0:
            raise UsageError(f"a gap of {length} bytes")
        half, growing = self._open_half(side)
        if not length:
            return
        growing.skip(length)
        half.holes.append(BytesMissing(time_ns, side, growing.end - length, length))
        self._advance(half)

    def close(self, side: Side, time_ns: int) -> None:
        """Note that `side` sends no more; what it left unfinished is settled."""
        half = self._halves[side]
        if half.closed:
            return
        half.closed = True
        half.closed_time_ns = time_ns
        self._advance(half)

    def feed(self, side: Side, stream: ByteStream | None) -> None:
        """Take all that `side` ever sent, at once; None: the capture does not hold that direction.

        The same as `receive`, `gap` and `close` with the chunks of `stream`, without copying them.
        """
        half = self._halves[side]
        if half.growing is not None or half.closed:
            raise UsageError(f"{self._where}: {side} was fed before")
        half.seen = stream is not None
        if stream is not None:
            half.stream = stream
            half.holes = [BytesMissing(time_ns, side, at, length) for at, length, time_ns in stream.gaps()]
        half.closed = True
        half.closed_time_ns = int(half.stream.time_ns[-1]) if len(half.stream.time_ns) else 0
        self._advance(half)

    def _open_half(self, side: Side) -> tuple[_Half, GrowingStream]:
        half = self._halves[side]
        if half.closed:
            raise UsageError(f"{self._where}: {side} is closed")
        if self.assumed is not None and self.assumed.units:
            raise UsageError(f"{self._where}: a recording of whole messages has to be fed whole")
        if half.growing is None:
            half.growing = GrowingStream()
        return half, half.growing

    def _advance(self, half: _Half) -> None:
        if self.assumed is None and self.link is None:
            if self._try_link():
                for other in self._halves.values():
                    self._frame(other)
            return
        self._frame(half)

    # -- link stage ---------------------------------------------------------------------------------------

    def _try_link(self) -> bool:
        """Parse the link stage if there is more of it than the last look wanted; whether it is over."""
        if self._waiting is not None and self._must_wait(self._waiting):
            return False
        # A side that sends six bytes at a time has the most that a link stage may take strewn over a whole capture.
        for most in (LINK_USUAL_BYTES, LINK_STAGE_BYTES):
            client, server = (self._link_bytes(side, most) for side in (Side.CLIENT, Side.SERVER))
            link = parse_link(client, server, limits=self.limits)
            if link.status is not LinkStatus.INCOMPLETE or link.needs_bytes <= most:
                break
        if link.status is LinkStatus.INCOMPLETE:
            if self._must_wait(link):
                self._waiting = link
                return False
            link = self._link_with_holes(link)
        time_ns = self._link_time(link)
        match link.status:
            case LinkStatus.INCOMPLETE:
                kind, detail = DefectKind.LINK_MALFORMED, "the connection ends within the link stage"
                self.defects.add(kind, self._where, detail, time_ns=time_ns)
            case LinkStatus.MALFORMED:
                self.defects.add(DefectKind.LINK_MALFORMED, self._where, link.detail, time_ns=time_ns)
            case LinkStatus.REFUSED:
                self.defects.add(DefectKind.LINK_REFUSED, self._where, link.detail, time_ns=time_ns)
        self.link = link
        self._link_event = LinkEnded(time_ns, link)
        if link.status is LinkStatus.ESTABLISHED:
            self._start_linked(link, time_ns)
        return True

    def _must_wait(self, link: Link) -> bool:
        """Whether an incomplete link stage can still be completed by bytes that have yet to come."""
        assert link.waits_for is not None
        awaited = self._halves[link.waits_for]
        if any(hole.position < link.needs_bytes for hole in awaited.holes):
            return not all(half.closed for half in self._halves.values())
        return not awaited.closed and awaited.end < link.needs_bytes

    def _link_bytes(self, side: Side, most: int) -> bytes | None:
        half = self._halves[side]
        return half.look().read(0, most) if half.seen else None

    def _link_with_holes(self, link: Link) -> Link:
        """Look again at a link stage with a hole where the authentication is; its lengths are fixed.

        What the hole held is taken for zero bytes: a ticket nobody reads, and a result that says yes.
        """
        halves = [self._halves[side] for side in (Side.CLIENT, Side.SERVER)]
        told = (link.client_common_caps, link.server_common_caps)
        if not any(half.holes for half in halves) or any(
            half.seen and words is None for half, words in zip(halves, told, strict=True)
        ):
            return link
        client, server = (_filled(half.stream, LINK_STAGE_BYTES) if half.seen else None for half in halves)
        second = parse_link(client, server, limits=self.limits)
        if second.status is not LinkStatus.ESTABLISHED or second.mechanism == MECHANISM_SASL:
            return link
        self.defects.add(
            DefectKind.BYTES_MISSING,
            self._where,
            "bytes of the authentication are missing; that it succeeded is assumed",
            time_ns=self._link_time(second),
        )
        return second

    def _link_time(self, link: Link) -> int:
        """When the byte arrived that ended the link stage."""
        times = [
            half.stream.time_at(max(0, used - 1))
            for half, used in zip(self._halves.values(), (link.server_bytes, link.client_bytes), strict=True)
            if len(half.stream.time_ns) and used
        ]
        return max(times, default=0)

    def _start_linked(self, link: Link, time_ns: int) -> None:
        channel = self._fallback if link.channel is None else link.channel
        if isinstance(channel, ChannelType):
            # After SASL the bytes are wrapped unless TLS did that, which cannot be seen here: messages have to show.
            self._start_framing(
                channel,
                link.mini_header,
                {Side.CLIENT: link.client_bytes, Side.SERVER: link.server_bytes},
                trusted=link.mechanism != MECHANISM_SASL,
            )
            return
        if link.channel is None:
            detail = "the client's side, which names the channel, is not captured"
            self.defects.add(DefectKind.BYTES_MISSING, self._where, detail, time_ns=time_ns)
            return
        detail = f"the channel is of type {link.channel}, which the protocol does not define"
        self.defects.add(DefectKind.LINK_MALFORMED, self._where, detail, time_ns=time_ns)

    # -- messages -----------------------------------------------------------------------------------------

    def _start_framing(
        self,
        channel: ChannelType,
        mini_header: bool,
        start: dict[Side, int],
        *,
        trusted: bool = False,
        units: bool = False,
    ) -> None:
        for side, half in self._halves.items():
            half.framer = Framer(
                channel,
                side,
                mini_header=mini_header,
                start=start[side],
                trusted=trusted,
                units=units,
                limits=self.limits,
                defects=self.defects,
                where=f"{self._where} from {side}",
                release=self._release,
            )

    def _frame(self, half: _Half) -> None:
        framer = half.framer
        if framer is None or not half.seen or not (half.closed or framer.wants(half.end)):
            return
        framer.advance(half.look(), final=half.closed)

    # -- what came of it ----------------------------------------------------------------------------------

    def framer(self, side: Side) -> Framer | None:
        """Return the framer of one side; None before the link stage is over or where it failed."""
        return self._halves[side].framer

    def unfinished(self, side: Side) -> tuple[int, int] | None:
        """Return type and size of a message of `side` whose header alone is there yet; None: there is none."""
        half = self._halves[side]
        return None if half.framer is None else half.framer.unfinished(half.stream)

    def index(self, side: Side) -> MessageIndex | None:
        """Return every message of `side` found so far (and not yet taken by `events`)."""
        half = self._halves[side]
        return None if half.framer is None else half.framer.index(half.stream)

    def events(self) -> list[Event]:
        """Return what the bytes so far caused, and forget it, and the bytes that caused it.

        Within a side events are in the order of its bytes, whatever the pieces in which these came; the two
        sides are merged by time.
        """
        events: list[Event] = []
        if self._link_event is not None:
            events.append(self._link_event)
            self._link_event = None
        sides = (self._events_of(half) for half in self._halves.values())
        events += heapq.merge(*sides, key=lambda event: event.time_ns)
        return events

    def _events_of(self, half: _Half) -> list[Event]:
        framer = half.framer
        events: list[Event] = []
        if framer is not None:
            index = framer.drain(half.stream, final=half.closed)
            silent = framer.holes[half.silent_told :]
            half.silent_told += len(silent)
            half.holes += [BytesMissing(h.time_ns, half.side, h.position, h.length) for h in silent]
            half.holes.sort(key=lambda hole: hole.position)
            ends = _ends(index, framer)
            told = 0
            for i in range(len(index)):
                while told < len(half.holes) and half.holes[told].position < ends[i]:
                    events.append(half.holes[told])
                    told += 1
                events.append(_seen(index, i))
            del half.holes[:told]
            if half.growing is not None and half.growing.forget(framer.keeps_from):
                half.stream = half.growing.view()
                framer.rewind_chunks()
        if half.closed and not half.closing_told and (framer is not None or self.link is not None):
            events += half.holes
            half.holes = []
            events.append(SideClosed(half.closed_time_ns, half.side))
            half.closing_told = True
        return events


def _ends(index: MessageIndex, framer: Framer) -> list[int]:
    """Return where each message ends; one that swallowed others ends where the next one begins."""
    ends = index.position + index.size
    own = np.flatnonzero(~index.sub)
    starts = index.position[own] - framer.header_bytes
    # The first header not drained yet bounds the last row.
    following = np.append(starts[1:], max(framer.keeps_from, int(starts[-1]) + 1) if len(own) else 0)
    ends[own] = np.minimum(ends[own], following[: len(own)])
    carrier = np.searchsorted(index.position[own], index.position, "right") - 1
    return [int(end) for end in ends[own][carrier]]


def _seen(index: MessageIndex, row: int) -> MessageSeen:
    return MessageSeen(
        int(index.time_ns[row]),
        index.side,
        int(index.type[row]),
        int(index.size[row]),
        int(index.serial[row]),
        bool(index.sub[row]),
        bool(index.partial[row]),
        index.body(row),
    )


def _filled(stream: ByteStream, length: int) -> bytes:
    """Return the first bytes of a stream with zeros where they are missing."""
    data = bytearray(min(length, stream.end))
    for at, piece in stream.pieces(0, len(data)):
        data[at : at + len(piece)] = piece
    return bytes(data)


def begins_with_link(stream: ByteStream) -> bool:
    """Whether a stream shows the first bytes of the link stage."""
    return stream.read(0, len(MAGIC)) == MAGIC
