"""The engine of one connection: bytes of both sides in, messages out.

It has no role. A replay feeds it what a capture holds of both sides; a live client feeds it what the server sent and
what it is about to send itself. It opens nothing, reads no clock, logs nothing; whatever the peers do, no call
raises because of it.
"""

from __future__ import annotations

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
from spicereplay.protocol.index import MessageIndex
from spicereplay.protocol.link import MAGIC, Link, LinkStatus, parse_link

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
    """A byte stream that is appended to while it is being read."""

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

    def view(self) -> ByteStream:
        """Return what is there now."""
        position, offset, length, time_ns = (
            np.ascontiguousarray(self._columns[i, : self._chunks]) for i in range(4)
        )
        return ByteStream(
            file=self._memory[: self._filled],
            spill=b"",
            position=position,
            offset=offset,
            length=length,
            time_ns=time_ns,
            packet=np.zeros(self._chunks, np.int64),
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
    holes_told: int = 0


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
    ) -> None:
        """`assumed` takes the place of a link stage; `fallback` is the channel where the link stage lacks the
        client's side, which alone names it.
        """
        self.limits = limits
        self.defects = DefectLog(limits.defects_per_kind) if defects is None else defects
        self.assumed = assumed
        self.link: Link | None = None
        """The link stage once it is over; None before, and for good where the capture lacks it."""
        self._where = where
        self._fallback = fallback
        self._halves = {side: _Half(side) for side in Side}
        self._events: list[Event] = []
        if assumed is not None:
            self._start_framing(assumed.channel, assumed.mini_header, {side: 0 for side in Side}, assumed.units)

    # -- bytes in -----------------------------------------------------------------------------------------

    def receive(self, side: Side, data: bytes | bytearray | memoryview, time_ns: int) -> None:
        """Take bytes that `side` put on the wire at `time_ns`."""
        half = self._open_half(side)
        assert half.growing is not None
        half.growing.append(data, time_ns)
        self._advance(half, time_ns)

    def gap(self, side: Side, length: int, time_ns: int) -> None:
        """Note that `length` bytes which `side` sent are not to be had."""
        if length < 0:
            raise UsageError(f"a gap of {length} bytes")
        half = self._open_half(side)
        assert half.growing is not None
        half.growing.skip(length)
        self._events.append(BytesMissing(time_ns, side, half.growing.end - length, length))
        self._advance(half, time_ns)

    def close(self, side: Side, time_ns: int) -> None:
        """Note that `side` sends no more; what it left unfinished is settled."""
        half = self._halves[side]
        if half.closed:
            return
        half.closed = True
        self._advance(half, time_ns)
        self._events.append(SideClosed(time_ns, side))

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
            self._events += [BytesMissing(time_ns, side, at, length) for at, length, time_ns in stream.gaps()]
        half.closed = True
        self._advance(half, int(half.stream.time_ns[-1]) if len(half.stream.time_ns) else 0)

    def _open_half(self, side: Side) -> _Half:
        half = self._halves[side]
        if half.closed:
            raise UsageError(f"{self._where}: {side} is closed")
        if half.growing is None:
            half.growing = GrowingStream()
        return half

    # -- link stage ---------------------------------------------------------------------------------------

    def _advance(self, half: _Half, time_ns: int) -> None:
        if half.growing is not None:
            half.stream = half.growing.view()
        if self.assumed is None and self.link is None:
            self._try_link(time_ns)
            if self.link is not None:
                for other in self._halves.values():
                    self._frame(other)
            return
        self._frame(half)

    def _try_link(self, time_ns: int) -> None:
        """Parse the link stage from what there is; both sides must have begun, or be known to be absent."""
        client, server = self._halves[Side.CLIENT], self._halves[Side.SERVER]
        prefix = {
            side: half.stream.read(0, LINK_STAGE_BYTES) if half.seen else None
            for side, half in self._halves.items()
        }
        link = parse_link(prefix[Side.CLIENT], prefix[Side.SERVER], limits=self.limits)
        if link.status is LinkStatus.INCOMPLETE:
            over = all(h.closed for h in (client, server)) or any(
                len(p or b"") >= LINK_STAGE_BYTES for p in prefix.values()
            )
            if not over:
                return
            self.defects.add(
                DefectKind.LINK_MALFORMED, self._where, "the connection ends within the link stage", time_ns=time_ns
            )
        elif link.status is LinkStatus.MALFORMED:
            self.defects.add(DefectKind.LINK_MALFORMED, self._where, link.detail, time_ns=time_ns)
        elif link.status is LinkStatus.REFUSED:
            self.defects.add(DefectKind.LINK_REFUSED, self._where, link.detail, time_ns=time_ns)
        self.link = link
        self._events.append(LinkEnded(time_ns, link))
        if link.status is not LinkStatus.ESTABLISHED:
            return
        channel = self._fallback if link.channel is None else link.channel
        if not isinstance(channel, ChannelType):
            what = "unknown" if link.channel is None else f"of type {link.channel}, which the protocol does not define"
            self.defects.add(DefectKind.LINK_MALFORMED, self._where, f"the channel is {what}", time_ns=time_ns)
            return
        self._start_framing(
            channel,
            link.mini_header,
            {Side.CLIENT: link.client_bytes, Side.SERVER: link.server_bytes},
            units=False,
        )

    # -- messages -----------------------------------------------------------------------------------------

    def _start_framing(self, channel: ChannelType, mini_header: bool, start: dict[Side, int], units: bool) -> None:
        for side, half in self._halves.items():
            half.framer = Framer(
                channel,
                side,
                mini_header=mini_header,
                start=start[side],
                trusted=self.assumed is None,
                units=units,
                limits=self.limits,
                defects=self.defects,
                where=f"{self._where} from {side}",
            )

    def _frame(self, half: _Half) -> None:
        if half.framer is not None and half.seen:
            half.framer.advance(half.stream, final=half.closed)

    # -- what came of it ----------------------------------------------------------------------------------

    def framer(self, side: Side) -> Framer | None:
        """Return the framer of one side; None before the link stage is over or where it failed."""
        return self._halves[side].framer

    def index(self, side: Side) -> MessageIndex | None:
        """Return every message of `side` found so far (and not yet taken by `events`)."""
        half = self._halves[side]
        return None if half.framer is None else half.framer.index(half.stream)

    def events(self) -> list[Event]:
        """Return what the bytes so far caused, oldest first, and forget it.

        Within a side events are in the order of its bytes; across sides they are ordered by time.
        """
        events: list[Event] = []
        for half in self._halves.values():
            framer = half.framer
            if framer is None:
                continue
            index = framer.drain(half.stream, final=half.closed)
            events += [
                MessageSeen(
                    int(index.time_ns[i]),
                    half.side,
                    int(index.type[i]),
                    int(index.size[i]),
                    int(index.serial[i]),
                    bool(index.sub[i]),
                    bool(index.partial[i]),
                    index.body(i),
                )
                for i in range(len(index))
            ]
            events += [
                BytesMissing(h.time_ns, half.side, h.position, h.length) for h in framer.holes[half.holes_told :]
            ]
            half.holes_told = len(framer.holes)
        events += self._events
        self._events = []
        # The link stage comes before all, the end of a side after what it sent.
        events.sort(key=lambda e: (not isinstance(e, LinkEnded), e.time_ns, isinstance(e, SideClosed)))
        return events


def begins_with_link(stream: ByteStream) -> bool:
    """Whether a stream shows the first bytes of the link stage."""
    return stream.read(0, len(MAGIC)) == MAGIC
