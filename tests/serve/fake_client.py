"""A SPICE client that keeps what it is sent, to look at the wire level of a replay."""

from __future__ import annotations

import asyncio
import struct
from dataclasses import dataclass, field
from typing import NamedTuple

from spicereplay.protocol import caps, link
from spicereplay.protocol.enums import (
    ChannelType,
    ClientCommon,
    ClientDisplay,
    ClientMain,
    ServerCommon,
    ServerMain,
    Side,
)
from spicereplay.protocol.link import Link, LinkStatus
from spicereplay.protocol.ticket import encrypt_ticket

DISPLAY_INIT = struct.pack("<BqBi", 1, 20_971_520, 1, 4_194_304)
ALL_CAPS = {
    ChannelType.MAIN: ("NAME_AND_UUID", "AGENT_CONNECTED_TOKENS"),
    ChannelType.DISPLAY: tuple(cap.name for cap in caps.DisplayCap),
    ChannelType.PLAYBACK: ("VOLUME", "LATENCY", "OPUS"),
}


class Refused(Exception):
    """The server did not let us in; `link` says how."""

    def __init__(self, link: Link) -> None:
        super().__init__(link.detail)
        self.link = link


class Received(NamedTuple):
    type: int
    body: bytes
    serial: int


def channel_caps(channel: ChannelType, without: tuple[str, ...] = ()) -> tuple[int, ...]:
    return caps.words(channel, (name for name in ALL_CAPS.get(channel, ()) if name not in without))


def common_caps(*, mini: bool, selection: bool) -> tuple[int, ...]:
    names = [name for name, wanted in (("MINI_HEADER", mini), ("AUTH_SELECTION", selection)) if wanted]
    return caps.words(None, names)


def framed(mini: bool, serial: int, kind: int, body: bytes = b"") -> bytes:
    if mini:
        return struct.pack("<HI", kind, len(body)) + body
    return struct.pack("<QHII", serial, kind, len(body), 0) + body


@dataclass
class FakeChannel:
    """One connection after its link stage. `acknowledges` answers SET_ACK, PING and the window as spice-gtk does."""

    channel: ChannelType
    link: Link
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    mini: bool
    acknowledges: bool = True
    received: list[Received] = field(default_factory=list)
    sent: bytearray = field(default_factory=bytearray)
    raw: bytearray = field(default_factory=bytearray)
    """Everything from the server, link stage included."""
    _serial: int = 0
    _window: int = 0
    _left: int = 0

    def send(self, kind: int, body: bytes = b"") -> None:
        self._serial += 1
        data = framed(self.mini, self._serial, kind, body)
        self.sent += data
        self.writer.write(data)

    async def receive(self) -> Received:
        """Return the next message; raises `IncompleteReadError` at the end."""
        head = await self._exactly(6 if self.mini else 18)
        if self.mini:
            kind, size = struct.unpack("<HI", head)
            serial = len(self.received) + 1
        else:
            serial, kind, size, sub_list = struct.unpack("<QHII", head)
            assert sub_list == 0
        message = Received(kind, await self._exactly(size), serial)
        self.received.append(message)
        if self.acknowledges:
            self._acknowledge(message)
        return message

    async def _exactly(self, count: int) -> bytes:
        data = await self.reader.readexactly(count)
        self.raw += data
        return data

    def _acknowledge(self, message: Received) -> None:
        """Source: spice-wire.md 4.3."""
        if message.type == ServerCommon.SET_ACK:
            generation, self._window = struct.unpack("<II", message.body)
            self._left = self._window
            self.send(ClientCommon.ACK_SYNC, struct.pack("<I", generation))
            return
        if self._window:
            self._left -= 1
            if not self._left:
                self._left = self._window
                self.send(ClientCommon.ACK)
        if message.type == ServerCommon.PING:
            self.send(ClientCommon.PONG, message.body[:12])

    async def until(self, kind: int, patience_s: float = 20.0) -> Received:
        """Receive up to the next message of a type."""
        async with asyncio.timeout(patience_s):
            while True:
                message = await self.receive()
                if message.type == kind:
                    return message

    async def silence(self, seconds: float = 0.15) -> None:
        """Receive until nothing comes for a while, or the end."""
        while True:
            reading = asyncio.ensure_future(self.receive())
            done, _ = await asyncio.wait((reading,), timeout=seconds)
            if not done:
                reading.cancel()
                await asyncio.wait((reading,))
                return
            if reading.exception() is not None:
                return

    def close(self) -> None:
        self.writer.close()


async def open_channel(
    port: int,
    channel: ChannelType,
    *,
    channel_id: int = 0,
    session_id: int = 0,
    password: str = "",
    mini: bool = True,
    selection: bool = True,
    without: tuple[str, ...] = (),
) -> FakeChannel:
    """Connect and carry out the link stage; raises `Refused`."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    sent = bytearray(
        link.link_message(
            channel,
            channel_id,
            connection_id=session_id,
            common_caps=common_caps(mini=mini, selection=selection),
            channel_caps=channel_caps(channel, without),
        )
    )
    writer.write(bytes(sent))
    got = bytearray()
    authenticated = False
    while True:
        now = link.parse_link(bytes(sent), bytes(got))
        if now.status is LinkStatus.ESTABLISHED:
            opened = FakeChannel(channel, now, reader, writer, now.mini_header)
            opened.sent, opened.raw = sent, got
            if channel is ChannelType.DISPLAY:
                opened.send(ClientDisplay.INIT, DISPLAY_INIT)
            return opened
        if now.status is not LinkStatus.INCOMPLETE:
            writer.close()
            raise Refused(now)
        if now.waits_for is Side.SERVER:
            got += await reader.readexactly(now.needs_bytes - len(got))
            continue
        assert not authenticated
        authenticated = True
        ticket = encrypt_ticket(bytes(got[20:182]), password)
        more = link.authentication(ticket, selection=selection)
        sent += more
        writer.write(more)


@dataclass
class FakeClient:
    """A whole client: main, and then the channels of the list that are wanted."""

    port: int
    mini: bool = True
    selection: bool = True
    password: str = ""
    without: tuple[str, ...] = ()
    channels: dict[tuple[ChannelType, int], FakeChannel] = field(default_factory=dict)
    session_id: int = 0
    offered: list[tuple[ChannelType, int]] = field(default_factory=list)

    @property
    def main(self) -> FakeChannel:
        return self.channels[ChannelType.MAIN, 0]

    @property
    def display(self) -> FakeChannel:
        return self.channels[ChannelType.DISPLAY, 0]

    async def start(self) -> None:
        """Open main and learn of the channels."""
        main = await self.open(ChannelType.MAIN)
        init = await main.until(ServerMain.INIT)
        self.session_id = int.from_bytes(init.body[:4], "little")
        main.send(ClientMain.ATTACH_CHANNELS)
        listed = (await main.until(ServerMain.CHANNELS_LIST)).body
        pairs = struct.iter_unpack("<BB", listed[4:])
        self.offered = [(ChannelType(kind), number) for kind, number in pairs]

    async def open(self, channel: ChannelType, channel_id: int = 0) -> FakeChannel:
        opened = await open_channel(
            self.port,
            channel,
            channel_id=channel_id,
            session_id=self.session_id,
            password=self.password,
            mini=self.mini,
            selection=self.selection,
            without=self.without,
        )
        self.channels[channel, channel_id] = opened
        return opened

    async def open_offered(self) -> None:
        for key in self.offered:
            await self.open(*key)

    async def listen(self, quiet_s: float = 0.3) -> None:
        """Take in everything until nothing comes any more."""
        await asyncio.gather(*(channel.silence(quiet_s) for channel in self.channels.values()))

    def close(self) -> None:
        for channel in self.channels.values():
            channel.close()
