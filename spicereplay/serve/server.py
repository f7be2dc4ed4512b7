"""Serves a script over TCP: the one module here that has sockets, a clock and random numbers."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import os
import secrets
import socket
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from spicereplay.errors import UsageError
from spicereplay.limits import DEFAULT_LIMITS, Limits
from spicereplay.protocol.enums import ChannelType, LinkError
from spicereplay.protocol.link import Link
from spicereplay.protocol.ticket import TicketKey
from spicereplay.serve.door import Door
from spicereplay.serve.performance import (
    PATIENCE_S,
    ChannelSummary,
    Performance,
    refused,
    server_caps,
    summary_of,
)
from spicereplay.serve.player import Player
from spicereplay.serve.script import Script
from spicereplay.serve.tempo import Tempo
from spicereplay.units import KIB, NS_PER_S

READ_BYTES: Final = 64 * KIB
LINK_PATIENCE_S: Final = 10.0
"""How long a connection may take over its link stage."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that whoever runs the server wants to hear of."""

    kind: str
    """`listening`, `connected`, `remark`, `refused`, `started`, `ended` or `left`."""
    text: str
    """The same as a sentence."""
    facts: dict[str, Any] = field(default_factory=dict)
    """The same as values that JSON can hold."""


@dataclass(frozen=True, slots=True)
class Manner:
    """How a script is served."""

    speed: float | None = 1.0
    """Seconds of the recording per second; None: without waiting."""
    password: str | None = None
    """None: any will do."""
    linger_s: float | None = None
    """How long a client is kept after the last message; None: until it leaves."""
    once: bool = False
    """Stop when the first client has left."""
    patience_s: float = PATIENCE_S
    """How long a replay waits for a channel of the recorded client after the last one that came."""


@dataclass(slots=True, eq=False)
class _Room:
    """One client and its connections."""

    performance: Performance
    address: str
    stirs: dict[Player, tuple[asyncio.Event, asyncio.StreamWriter]] = field(default_factory=dict)
    seen: list[Player] = field(default_factory=list)
    """Every player there was, in order of coming."""
    lingering: asyncio.Task[None] | None = None
    told_end: bool = False

    def stir(self) -> None:
        """Have every channel look whether something is due."""
        for event, _ in self.stirs.values():
            event.set()

    def hang_up(self) -> None:
        """Close every connection of the client."""
        for _, writer in self.stirs.values():
            writer.close()


class Server:
    """Serves a script to any number of clients, a replay of its own to each."""

    def __init__(
        self,
        script: Script,
        manner: Manner,
        tell: Callable[[Event], None],
        *,
        limits: Limits = DEFAULT_LIMITS,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """`tell` gets every `Event`; `clock` gives nanoseconds. Raises `UsageError` for a speed that cannot be."""
        self.script, self.manner, self.tell, self.limits, self.clock = script, manner, tell, limits, clock
        self.tempo = Tempo(script.start_ns, script.clock_ms, manner.speed)
        self.key = TicketKey.generate()
        self._rooms: dict[int, _Room] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._over: asyncio.Future[None] | None = None

    @contextlib.asynccontextmanager
    async def listening(self, host: str, port: int) -> AsyncIterator[int]:
        """Accept clients meanwhile; gives the port, which the system chooses for 0.

        Raises `UsageError` where that cannot be listened on.
        """
        self._over = asyncio.get_running_loop().create_future()
        try:
            listener = await asyncio.start_server(self._accept, host, port)
        except socket.gaierror as error:
            raise UsageError(f"cannot listen on {_place(host, port)}: {error.strerror}") from None
        except OSError as error:
            why = os.strerror(error.errno) if error.errno else str(error)
            raise UsageError(f"cannot listen on {_place(host, port)}: {why}") from None
        try:
            chosen = int(listener.sockets[0].getsockname()[1])
            place = _place(host, chosen)
            self.tell(Event("listening", f"listening on {place}", {"host": host, "port": chosen}))
            yield chosen
        finally:
            listener.close()
            tasks = list(self._tasks)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def over(self) -> None:
        """Wait until the first client has left, where the manner says `once`; for ever otherwise."""
        assert self._over is not None, "nobody can have come before `listening`"
        await self._over

    # --- one connection --------------------------------------------------------------------------------

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._connection(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            assert self._over is not None
            if not self._over.done():
                self._over.set_exception(error)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = writer.get_extra_info("peername")
        address = _place(*peer[:2]) if peer else "a client"
        door = Door(self.key, self._caps, self._admit, self.limits)
        # A client that goes away ends its reading and writing with an OSError, and that is no news here: who waits
        # for it is told by what is closed below.
        try:
            with contextlib.suppress(OSError):
                answer = await self._link(door, reader, writer)
                if door.link is not None:
                    await self._channel(door, answer, reader, writer, address)
            if door.refused:
                facts = {"client": address, "why": door.refused}
                self.tell(Event("refused", f"{address}: {door.refused}", facts))
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _link(self, door: Door, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        """Carry out the link stage; return what is still to be said where it succeeded."""
        try:
            async with asyncio.timeout(LINK_PATIENCE_S):
                while data := await reader.read(READ_BYTES):
                    answer = door.receive(data)
                    if door.link is not None:
                        return answer
                    writer.write(answer)
                    await writer.drain()
                    if not door.open:
                        break
        except TimeoutError:
            door.refused = f"it did not complete a link stage within {LINK_PATIENCE_S:g} s"
        return b""

    def _caps(self, channel: ChannelType, channel_id: int) -> tuple[int, ...]:
        return server_caps(self.script, channel, channel_id)

    def _admit(self, link: Link, password: bytes) -> tuple[LinkError, str]:
        wanted = self.manner.password
        if wanted is not None and not hmac.compare_digest(password, wanted.encode()):
            return LinkError.PERMISSION_DENIED, refused(LinkError.PERMISSION_DENIED, "the password is wrong")
        assert isinstance(link.channel, ChannelType), "the door lets no others in"
        number = link.connection_id or 0
        if link.channel is ChannelType.MAIN and not number:
            return LinkError.OK, ""
        room = self._rooms.get(number)
        if room is None:
            error, why = LinkError.BAD_CONNECTION_ID, f"there is no session {number}"
        else:
            error, why = room.performance.refusal((link.channel, link.channel_id or 0))
        return error, refused(error, why) if error else ""

    # --- one channel -----------------------------------------------------------------------------------

    async def _channel(
        self,
        door: Door,
        answer: bytes,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        address: str,
    ) -> None:
        link = door.link
        assert link is not None
        room = self._rooms.get(link.connection_id or 0) or self._new_room(address)
        player, remarks = room.performance.attach(link, self.clock())
        room.seen.append(player)
        stir = asyncio.Event()
        room.stirs[player] = stir, writer
        try:
            writer.write(answer)
            self._remark(room, remarks)
            self._heard(room, player, door.rest)
            playing = asyncio.create_task(self._play(room, player, stir, writer))
            playing.add_done_callback(lambda _: writer.close())
            try:
                while data := await reader.read(READ_BYTES):
                    self._heard(room, player, data)
            finally:
                playing.cancel()
                await asyncio.wait((playing,))
            if not playing.cancelled():
                playing.result()
        finally:
            del room.stirs[player]
            room.performance.detach(player)
            if player.part.channel is ChannelType.MAIN:
                self._close(room)

    def _new_room(self, address: str) -> _Room:
        number = 0
        while not number or number in self._rooms:
            number = secrets.randbits(32)
        performance = Performance(
            self.script,
            number,
            self.tempo,
            self.clock(),
            limits=self.limits,
            patience_ns=int(self.manner.patience_s * NS_PER_S),
        )
        self._rooms[number] = room = _Room(performance, address)
        self.tell(Event("connected", f"{address} connected", {"client": address, "session_id": number}))
        return room

    def _heard(self, room: _Room, player: Player, data: bytes) -> None:
        if not data:
            return
        greeted = player.greeted
        player.receive(data, self.clock())
        if player.greeted and not greeted:
            self._remark(room, room.performance.glz_remarks(player))
        self._look(room)
        room.stir()

    async def _play(
        self, room: _Room, player: Player, stir: asyncio.Event, writer: asyncio.StreamWriter
    ) -> None:
        """Send what is due, as fast as the client takes it."""
        performance = room.performance
        while True:
            stir.clear()
            self._look(room)
            data = player.take(self.clock())
            if data:
                writer.write(data)
                room.stir()
                await writer.drain()
                continue
            due_ns = performance.due_ns(player)
            wait_s = None if due_ns is None else max(0.0, (due_ns - self.clock()) / NS_PER_S)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await stir.wait()

    def _look(self, room: _Room) -> None:
        """Have the replay start or end if it is time, and say so."""
        performance = room.performance
        started = performance.curtain_ns is not None
        self._remark(room, performance.look(self.clock()))
        facts: dict[str, Any] = {"client": room.address, "session_id": performance.session_id}
        if performance.curtain_ns is not None and not started:
            waited_s = (performance.curtain_ns - performance.begun_ns) / NS_PER_S
            self.tell(Event("started", f"{room.address}: the replay starts", {**facts, "waited_s": waited_s}))
            room.stir()
        if performance.finished_ns is not None and performance.curtain_ns is not None and not room.told_end:
            room.told_end = True
            took_s = (performance.finished_ns - performance.curtain_ns) / NS_PER_S
            text = f"{room.address}: all is sent, {took_s:.1f} s after the start"
            self.tell(Event("ended", text, {**facts, "took_s": took_s}))
            if self.manner.linger_s is not None:
                room.lingering = asyncio.create_task(self._linger(room, self.manner.linger_s))

    async def _linger(self, room: _Room, seconds: float) -> None:
        await asyncio.sleep(seconds)
        room.hang_up()

    def _remark(self, room: _Room, remarks: list[str]) -> None:
        for remark in remarks:
            self.tell(
                Event("remark", f"{room.address}: {remark}", {"client": room.address, "remark": remark})
            )

    def _close(self, room: _Room) -> None:
        """End a replay whose main channel is gone."""
        performance = room.performance
        del self._rooms[performance.session_id]
        if room.lingering is not None:
            room.lingering.cancel()
        room.hang_up()
        stayed_s = (self.clock() - performance.begun_ns) / NS_PER_S
        channels = summary_of(room.seen)
        done = (
            "after the whole replay"
            if performance.finished_ns is not None
            else "before the end of the replay"
        )
        text = "\n".join((f"{room.address} left after {stayed_s:.1f} s, {done}", *map(_row, channels)))
        self.tell(
            Event(
                "left",
                text,
                {
                    "client": room.address,
                    "session_id": performance.session_id,
                    "stayed_s": stayed_s,
                    "whole": performance.finished_ns is not None,
                    "channels": [asdict(channel) for channel in channels],
                },
            )
        )
        if self.manner.once and self._over is not None and not self._over.done():
            self._over.set_result(None)


def _row(channel: ChannelSummary) -> str:
    trip = (
        ""
        if channel.round_trip_ms is None
        else f", {channel.pongs} pongs (best {channel.round_trip_ms:.2f} ms)"
    )
    unsent = f", {channel.unsent:,} not sent" if channel.unsent else ""
    acks = f", {channel.acks} acks" if channel.acks else ""
    return (
        f"  {channel.channel:<12} {channel.messages:>7,} messages, {channel.bytes:,} bytes{unsent}"
        f"{acks}{trip}; {channel.messages_from_client} messages from the client"
    )


def _place(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


async def serve(
    script: Script,
    manner: Manner,
    tell: Callable[[Event], None],
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    limits: Limits = DEFAULT_LIMITS,
) -> None:
    """Serve until cancelled, or until the first client has left where `manner` says `once`.

    Raises `UsageError` where the port cannot be listened on, or for a speed that cannot be.
    """
    server = Server(script, manner, tell, limits=limits)
    async with server.listening(host, port):
        await server.over()
