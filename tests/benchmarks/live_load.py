"""A SPICE server that does nothing but load its client: videos of 1920×1080 in MJPEG, drawing, many small messages.

    python -m benchmarks.live_load video 60        # frames per second; prints its port
    python -m benchmarks.live_load grain 60        # a film with so much grain that it takes four times the bytes
    python -m benchmarks.live_load drawing 20e6    # bytes per second of images, QUIC and GLZ by turns

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
from support.lz_encoder import encode_glz
from support.pictures import picture
from support.quic_encoder import encode_quic

from spicereplay.protocol import caps
from spicereplay.protocol.enums import (
    ChannelType,
    ClipType,
    ImageFlags,
    ImageScaleMode,
    ImageType,
    LinkError,
    RopDescriptor,
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
from spicereplay.protocol.messages.drawing import DisplayBase, QMask
from spicereplay.protocol.messages.geometry import Clip, Point, Rect
from spicereplay.protocol.messages.images import BinaryData, Image, ImageDescriptor
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
DRAWN: Final = (512, 384)
"""Size of an image that is drawn."""
GLZ_ID: Final = slice(21, 29)
"""Where a GLZ image says its number."""


def framed(type: int, message: Message) -> bytes:
    """Return a message with its mini header."""
    body = build(message)
    return struct.pack("<HI", type, len(body)) + body


def frames(grain: float = 0.0) -> Iterator[bytes]:
    """Yield JPEGs of a photo-like picture that moves; `grain`: noise in every one, its standard deviation."""
    still = np.ascontiguousarray(picture("photo", WIDTH, HEIGHT)[..., :3])
    chance = np.random.default_rng(7)
    for number in range(PICTURES):
        moved = np.roll(still, (8 * number, 16 * number), (0, 1))
        if grain:
            moved = np.clip(moved + chance.normal(0, grain, (HEIGHT, WIDTH, 1)), 0, 255).astype(np.uint8)
        yield simplejpeg.encode_jpeg(np.ascontiguousarray(moved), quality=QUALITY, colorsubsampling="420")


def drawing(type: ImageType, data: bytes, number: int) -> bytes:
    """Return a DRAW_COPY of an image to one of the places of the screen."""
    width, height = DRAWN
    left, top = number * 96 % (WIDTH - width), number * 56 % (HEIGHT - height)
    return framed(
        ServerDisplay.DRAW_COPY,
        display.DrawCopy(
            DisplayBase(0, Rect(top, left, top + height, left + width), Clip(ClipType.NONE, None)),
            Image(ImageDescriptor(number, type, ImageFlags(0), width, height), BinaryData(data)),
            Rect(0, 0, height, width),
            RopDescriptor.OP_PUT,
            ImageScaleMode.INTERPOLATE,
            QMask(0, Point(0, 0), None),
        ),
    )


def drawings() -> Iterator[bytes]:
    """Yield drawing messages without end: photos as QUIC, text that scrolls as GLZ which copies from the one before."""
    photo, text = picture("photo", *DRAWN), picture("text", *DRAWN)
    quic = [encode_quic(np.roll(photo, 40 * number, 1)) for number in range(4)]
    first = encode_glz(text, 1)
    copied = encode_glz(np.roll(text, 16, 0), 2, text, 16 * DRAWN[0])
    number = 0
    while True:
        for data in quic:
            number += 1
            yield drawing(ImageType.QUIC, data, number)
        for turn in range(16):
            number += 1
            glz = bytearray(copied if turn % 2 else first)
            glz[GLZ_ID] = number.to_bytes(8, "big")
            yield drawing(ImageType.GLZ_RGB, bytes(glz), number)


class Load:
    """One server for one client."""

    def __init__(self, kind: str, rate: float) -> None:
        self.kind, self.rate = kind, rate
        self.key = TicketKey.generate()
        self.over = asyncio.Event()
        self.serving: set[asyncio.Task[None]] = set()
        self.frames = list(frames(10.0 if kind == "grain" else 0.0)) if kind in ("video", "grain") else []
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
        drawn = drawings()
        clip = framed(ServerDisplay.STREAM_CLIP, display.StreamClip(STREAM, Clip(ClipType.NONE, None)))
        while not reading.done():
            match self.kind:
                case "messages":
                    said = clip * BURST
                    due += BURST / self.rate
                case "drawing":
                    said = next(drawn)
                    due += len(said) / self.rate
                case _:
                    header = display.StreamDataHeader(STREAM, self.mm_time() + 100)
                    frame = self.frames[number % PICTURES]
                    said = framed(ServerDisplay.STREAM_DATA, display.StreamData(header, frame))
                    due += 1 / self.rate
            number += 1
            writer.write(said)
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
