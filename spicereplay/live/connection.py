"""One channel: its bytes into the engine, its messages to the client's state machine, and what that sends back.

Everything that goes over the wire, either way, is seen by the engine first and by whoever watches (the recording);
a ticket is shown to them as zero bytes.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from spicereplay.client.channel import ChannelClient, Outgoing
from spicereplay.errors import ConnectionFailed
from spicereplay.limits import Limits
from spicereplay.live.clock import Clock
from spicereplay.live.dial import Wire
from spicereplay.protocol.channel import ChannelEngine
from spicereplay.protocol.enums import ChannelType, ClientDisplay, ServerCommon, Side
from spicereplay.protocol.events import MessageSeen
from spicereplay.protocol.link import Link, error_name

_AFTER_INIT: Final = frozenset(
    {ClientDisplay.PREFERRED_COMPRESSION, ClientDisplay.PREFERRED_VIDEO_CODEC_TYPE}
)
"""Not sent right behind INIT: while spice-server 0.15.1 waits for INIT it reads what follows, too, and a preference for
codecs then stops streams of a display that is not set up; with a video running that crashes the server, and QEMU with
it. Its first message of the channel's own comes after that wait. Source: spice server/dcc.cpp, dcc_start."""


class Watcher(Protocol):
    """Somebody who sees every byte of one connection. Must return at once."""

    def data(self, side: Side, data: bytes, time_ns: int) -> None:
        """Take the next bytes of a side."""

    def close(self, time_ns: int, by: Side) -> None:
        """Take note of the end."""


OnMessage = Callable[["Connection", MessageSeen], None]
OnRound = Callable[["Connection"], Awaitable[None]]


class Connection:
    """One connection to a server, from the first byte of the link stage."""

    def __init__(
        self,
        channel: ChannelType,
        channel_id: int,
        wire: Wire,
        clock: Clock,
        limits: Limits,
        watchers: list[Watcher],
        on_message: OnMessage,
    ) -> None:
        """Wrap a connection that stands; nothing is said yet.

        `on_message` gets every message of both sides, whole ones alone, before the client does.
        """
        self.channel = channel
        self.channel_id = channel_id
        self.wire = wire
        self.client: ChannelClient | None = None
        """The state machine, once the link stage is over."""
        self.engine = ChannelEngine(where=self.name, limits=limits)
        self.closed = False
        self._clock = clock
        self._watchers = watchers
        self._on_message = on_message
        self._began_ns = 0
        self._serial = 0
        self._shown = False
        """The server has sent a message of this channel's own."""
        self._held: list[Outgoing] = []

    @property
    def name(self) -> str:
        """The channel in words, `display/0`."""
        return f"{self.channel.label}/{self.channel_id}"

    @property
    def link(self) -> Link | None:
        """The link stage, once it is over."""
        return self.engine.link

    # --- bytes -----------------------------------------------------------------------------------------

    async def receive(self) -> bytes:
        """Return the next bytes of the server after everybody has seen them; nothing at the end."""
        data = await self.wire.bytes.read()
        if data:
            self._see(Side.SERVER, data)
        return data

    def say(self, data: bytes, *, secret: bytes = b"") -> None:
        """Send bytes of the link stage; `secret` follows them, and is seen by nobody but the server."""
        self._see(Side.CLIENT, data + bytes(len(secret)))
        self.wire.bytes.write(data + secret)

    def send(self) -> None:
        """Send what the client wants to send, each message by itself."""
        if self.client is None or self.closed:
            return
        assert self.link is not None, "a client begins when the link stage is over"
        for message in self._due(self.client.take()):
            self._serial += 1
            if self.link.mini_header:
                head = struct.pack("<HI", message.type, len(message.body))
            else:
                head = struct.pack("<QHII", self._serial, message.type, len(message.body), 0)
            data = head + message.body
            self._see(Side.CLIENT, data)
            self.wire.bytes.write(data)
        self._hand_over()

    def _due(self, messages: list[Outgoing]) -> list[Outgoing]:
        """Return what may be sent now; preferences wait until the server shows that it has taken in INIT."""
        if self.channel is not ChannelType.DISPLAY:
            return messages
        messages = self._held + messages
        self._held = [] if self._shown else [message for message in messages if message.type in _AFTER_INIT]
        return messages if self._shown else [one for one in messages if one.type not in _AFTER_INIT]

    # --- messages --------------------------------------------------------------------------------------

    def begin(self, client: ChannelClient, now_ns: int) -> None:
        """Let the client of a linked channel begin; `run` follows."""
        assert self.link is not None, "the channel is linked"
        self.client, self._began_ns = client, now_ns
        client.linked(self.link, now_ns)

    async def run(self, on_round: OnRound) -> str:
        """Carry messages to and fro until the connection ends; return how it ended.

        `on_round` is awaited when the client has had all that was there; nothing more is read meanwhile.
        """
        while True:
            self._hand_over()
            if (framer := self.engine.framer(Side.SERVER)) is not None and framer.lost:
                # A file with a hole is searched for what follows; here nothing is missing, and the server is wrong.
                return "the server sent bytes that are no SPICE message"
            if self.client is not None and (begun := self.engine.unfinished(Side.SERVER)) is not None:
                self.client.waits_for(*begun, self._clock.now_ns())
            self.send()
            try:
                await on_round(self)
                await self.wire.bytes.drain()
                if self.client is not None and self.client.ready_to_move:
                    return "the guest has moved"
                data = await self.receive()
            except OSError as error:
                return f"the connection broke: {error.strerror or error}"
            except ConnectionFailed as error:
                return str(error)
            if not data:
                return self._goodbye()

    async def listen(self, enough: Callable[[], bool]) -> bool:
        """Carry messages until it is enough; False: the server has closed the connection before. Raises `OSError`."""
        self.send()
        while not enough():
            data = await self.receive()
            if not data:
                return False
            self._hand_over()
        return True

    def take_over(self, source: Connection, now_ns: int) -> None:
        """Go on for a channel that has moved here: it has said what it begins with."""
        self._began_ns = now_ns
        self._shown, self._held = source._shown, source._held

    async def hung_up(self) -> None:
        """Wait until the server has closed the connection; what it says until then is not listened to."""
        with contextlib.suppress(OSError, ConnectionFailed):
            while await self.wire.bytes.read():
                pass

    async def close(self, by: Side = Side.CLIENT) -> None:
        """End the connection; a second call does nothing."""
        if self.closed:
            return
        self.closed = True
        now = self._clock.now_ns()
        for side in Side:
            self.engine.close(side, now)
        for watcher in self._watchers:
            watcher.close(now, by)
        await self.wire.bytes.close()

    def _hand_over(self) -> None:
        for event in self.engine.events():
            if not isinstance(event, MessageSeen) or event.partial:
                continue
            if event.side is Side.SERVER and event.type >= ServerCommon.BASE_LAST:
                self._shown = True
            self._on_message(self, event)
            if event.side is Side.SERVER and self.client is not None:
                # What came with the last bytes of the link stage came before the client began.
                self.client.received(event, max(event.time_ns, self._began_ns))

    def _goodbye(self) -> str:
        reason = None if self.client is None else self.client.disconnecting
        if reason is None:
            return "the server closed the connection"
        return f"the server closed the connection: {error_name(reason)}"

    def _see(self, side: Side, data: bytes) -> None:
        now = self._clock.now_ns()
        self.engine.receive(side, data, now)
        for watcher in self._watchers:
            watcher.data(side, data, now)
