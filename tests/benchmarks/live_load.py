"""A SPICE server that does nothing but load its client: a video of 1920×1080 in MJPEG, or many small messages.

    python -m benchmarks.live_load video 60        # frames per second; prints its port

It answers nothing beyond the link stage, and ends when its main channel does.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
import sys
import time
from collections.abc import Iterator
from typing import Final

import numpy as np
import simplejpeg
from support.pictures import picture

from spicereplay.protocol import caps
from spicereplay.protocol.enums import (
    ChannelType,
    ClipType,
    LinkError,
    ServerCommon,
    ServerDisplay,
    ServerMain,
    StreamFlags,
    SurfaceFlags,
    SurfaceFormat,
    VideoCodec,
)
from spicereplay.protocol.link import Link
from spicereplay.protocol.messages import common, display, main
from spicereplay.protocol.messages.geometry import Clip, Rect
from spicereplay.protocol.ticket import TicketKey
from spicereplay.protocol.wire import Message, build
from spicereplay.serve.door import Door

WIDTH: Final = 1920
HEIGHT: Final = 1080
PICTURES: Final = 30
"""Frames that are encoded beforehand and sent over and over."""
QUALITY: Final = 80
ACK_WINDOW: Final = 20
"""spice-server's for displays."""
STREAM: Final = 7
BURST: Final = 50
"""Small messages that are sent at once."""


def framed(type: int, message: Message) -> bytes:
    """Return a message with its mini header."""
    body = build(message)
    return struct.pack("<HI", type, len(body)) + body


def frames() -> Iterator[bytes]:
    """Yield JPEGs of a photo-like picture that moves."""
    still = np.ascontiguousarray(picture("photo", WIDTH, HEIGHT)[..., :3])
    for number in range(PICTURES):
        moved = np.roll(still, (8 * number, 16 * number), (0, 1))
        yield simplejpeg.encode_jpeg(np.ascontiguousarray(moved), quality=QUALITY, colorsubsampling="420")


class Load:
    """One server for one client."""

    def __init__(self, kind: str, rate: float) -> None:
        self.kind, self.rate = kind, rate
        self.key = TicketKey.generate()
        self.over = asyncio.Event()
        self.serving: set[asyncio.Task[None]] = set()
        self.frames = list(frames()) if kind == "video" else []
        self.began = time.monotonic()

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Begin with a connection."""
        self.serving.add(asyncio.get_running_loop().create_task(self._connection(reader, writer)))

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        door = Door(self.key, self._caps, self._admit)
        while door.link is None:
            data = await reader.read(65_536)
            if not data:
                return
            writer.write(door.receive(data))
        reading = asyncio.ensure_future(self._read(reader, door.link))
        with contextlib.suppress(OSError):
            match door.link.channel:
                case ChannelType.MAIN:
                    await self._main(writer)
                    await reading
                case ChannelType.DISPLAY:
                    await self._display(writer, reading)
        reading.cancel()
        writer.close()

    def mm_time(self) -> int:
        """Return the multimedia clock, in ms."""
        return 1000 + int((time.monotonic() - self.began) * 1000)

    async def _read(self, reader: asyncio.StreamReader, link: Link) -> None:
        with contextlib.suppress(OSError):
            while await reader.read(65_536):
                pass
        if link.channel is ChannelType.MAIN:
            self.over.set()

    async def _main(self, writer: asyncio.StreamWriter) -> None:
        writer.write(framed(ServerMain.INIT, main.Init(1, 1, 1, 1, 0, 0, self.mm_time(), 0)))
        channels = main.ChannelsList((main.ChannelId(ChannelType.DISPLAY, 0),))
        writer.write(framed(ServerMain.CHANNELS_LIST, channels))
        await writer.drain()

    async def _display(self, writer: asyncio.StreamWriter, reading: asyncio.Future[None]) -> None:
        full = Rect(0, 0, HEIGHT, WIDTH)
        flags, form = SurfaceFlags.PRIMARY, SurfaceFormat.FMT_32_xRGB
        writer.write(framed(ServerCommon.SET_ACK, common.SetAck(1, ACK_WINDOW)))
        created = display.SurfaceCreate(0, WIDTH, HEIGHT, form, flags)
        writer.write(framed(ServerDisplay.SURFACE_CREATE, created))
        size = (WIDTH, HEIGHT)
        create = display.StreamCreate(
            0,
            STREAM,
            StreamFlags.TOP_DOWN,
            VideoCodec.MJPEG,
            0,
            *size,
            *size,
            full,
            Clip(ClipType.NONE, None),
        )
        writer.write(framed(ServerDisplay.STREAM_CREATE, create))
        writer.write(
            framed(ServerDisplay.STREAM_ACTIVATE_REPORT, display.StreamActivateReport(STREAM, 1, 5, 1000))
        )
        writer.write(framed(ServerDisplay.MARK, display.Mark()))
        number, due = 0, time.monotonic()
        while not reading.done():
            if self.kind == "video":
                frame = self.frames[number % PICTURES]
                header = display.StreamDataHeader(STREAM, self.mm_time() + 100)
                writer.write(framed(ServerDisplay.STREAM_DATA, display.StreamData(header, frame)))
                number, due = number + 1, due + 1 / self.rate
            else:
                clip = framed(
                    ServerDisplay.STREAM_CLIP, display.StreamClip(STREAM, Clip(ClipType.NONE, None))
                )
                writer.write(clip * BURST)
                number, due = number + BURST, due + BURST / self.rate
            await writer.drain()
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    def _caps(self, channel: ChannelType, channel_id: int) -> tuple[int, ...]:
        wanted = ("STREAM_REPORT",) if channel is ChannelType.DISPLAY else ()
        return caps.words(channel, wanted)

    def _admit(self, link: Link, password: bytes) -> tuple[LinkError, str]:
        return LinkError.OK, ""


async def _serve(kind: str, rate: float) -> None:
    load = Load(kind, rate)
    server = await asyncio.start_server(load.accept, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await load.over.wait()
    server.close()
    await asyncio.gather(*load.serving)


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1], float(sys.argv[2])))
