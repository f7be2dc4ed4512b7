"""Our drawing beside spice-gtk's own canvas, message by message, pixel by pixel.

spice-gtk connects to a server made for the purpose (`canvas_server`) and draws what `random_draws` makes up; its
primary surface must equal ours after every single message. What it cannot be compared on is listed there.
"""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Iterator

import lz4.block
import numpy as np
import pytest
from interop.canvas_server import SpiceGtkCanvas, client_missing, surface
from interop.random_draws import KINDS, RandomDraws
from PIL import Image as Pillow
from support.absent import absent

from spicereplay.display.model import DisplayModel
from spicereplay.display.surfaces import Surface
from spicereplay.protocol.enums import BitmapFormat, ChannelType, ImageType, Side, SurfaceFormat
from spicereplay.protocol.messages import display as m
from spicereplay.protocol.messages import drawing as d
from spicereplay.protocol.messages import geometry as g
from spicereplay.protocol.messages import images as i
from spicereplay.protocol.registry import parse_message
from spicereplay.protocol.wire import build

pytestmark = pytest.mark.interop

WIDTH, HEIGHT = 64, 48
OTHER = 50, 40
MESSAGES = int(os.environ.get("SPICEREPLAY_CANVAS_MESSAGES", "600"))
"""Random messages per surface format; raise it for a long run by hand."""
SEED = int(os.environ.get("SPICEREPLAY_CANVAS_SEED", "1"))

MEANINGFUL = {SurfaceFormat.FMT_32_xRGB: 0x00FFFFFF, SurfaceFormat.FMT_16_555: 0x7FFF}
"""Bits of a word that are seen, where not all are."""


class Pair:
    """spice-gtk's canvas and ours, fed alike."""

    def __init__(self, canvas: SpiceGtkCanvas) -> None:
        self.canvas = canvas
        self.model = DisplayModel()

    def draw(self, *messages: object) -> None:
        for message in messages:
            kind = int(message.TYPES[0])  # type: ignore[attr-defined]
            parsed = parse_message(ChannelType.DISPLAY, Side.SERVER, kind, build(message))
            assert not parsed.problems
            self.model.handle(0, parsed.message, 0)
        self.canvas.draw(*messages)

    @property
    def ours(self) -> Surface:
        return self.model.channels[0].surfaces[0]

    def theirs(self) -> np.ndarray:
        words = self.ours.words
        rows = self.canvas.picture()[:, : words.shape[1] * words.itemsize]
        return np.ascontiguousarray(rows).view(words.dtype)

    def assert_equal(self, format: SurfaceFormat, message: object) -> None:
        bits = self.ours.words.dtype.type(MEANINGFUL.get(format, self.ours.format.bits))
        differ = (self.ours.words ^ self.theirs()) & bits != 0
        assert not differ.any(), f"{differ.sum()} pixels differ after {str(message)[:2000]}"
        assert self.ours.unknown is None


@pytest.fixture
def pair() -> Iterator[Pair]:
    if (why := client_missing()) is not None:
        absent(f"spice-gtk's binding: {why}")
    with SpiceGtkCanvas() as canvas:
        yield Pair(canvas)


SOURCES = {
    SurfaceFormat.FMT_32_xRGB: (SurfaceFormat.FMT_32_xRGB, SurfaceFormat.FMT_32_ARGB),
    SurfaceFormat.FMT_32_ARGB: (SurfaceFormat.FMT_32_xRGB, SurfaceFormat.FMT_32_ARGB),
    SurfaceFormat.FMT_16_555: (SurfaceFormat.FMT_16_555,),
    SurfaceFormat.FMT_16_565: (SurfaceFormat.FMT_16_565,),
    SurfaceFormat.FMT_8_A: (SurfaceFormat.FMT_8_A,),
}
"""Off-screen surfaces that are drawn from, per format of the primary one."""


@pytest.mark.parametrize("format", list(SOURCES), ids=lambda format: format.name)
def test_random_messages_give_the_same_picture(pair: Pair, format: SurfaceFormat) -> None:
    pair.draw(surface(0, WIDTH, HEIGHT, format))
    draws = RandomDraws(SEED, WIDTH, HEIGHT, format)
    for number, other in enumerate(SOURCES[format], start=1):
        pair.draw(surface(number, *OTHER, other))
        content = RandomDraws(SEED + 1000 * number, *OTHER, other, surface_id=number)
        pair.draw(*(content.message("copy") for _ in range(6)))
        draws.others[number] = OTHER
    for _ in range(MESSAGES):
        message = draws.message()
        pair.draw(message)
        pair.assert_equal(format, message)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_message_by_itself(pair: Pair, kind: str) -> None:
    format = SurfaceFormat.FMT_32_xRGB
    pair.draw(surface(0, WIDTH, HEIGHT, format))
    draws = RandomDraws(SEED + 7, WIDTH, HEIGHT, format)
    pair.draw(*(draws.message("copy") for _ in range(8)))
    for _ in range(max(MESSAGES // 6, 60)):
        message = draws.message(kind)
        pair.draw(message)
        pair.assert_equal(format, message)


def copy_of(image: i.Image, width: int, height: int) -> m.DrawCopy:
    box = g.Rect(top=0, left=0, bottom=height, right=width)
    return m.DrawCopy(
        base=d.DisplayBase(surface_id=0, box=box, clip=g.Clip(type=0, rects=None)),
        src_bitmap=image,
        src_area=box,
        rop_descriptor=8,
        scale_mode=0,
        mask=d.QMask(flags=0, pos=g.Point(x=0, y=0), bitmap=None),
    )


def image_of(type: ImageType, data: object, width: int = WIDTH, height: int = HEIGHT) -> i.Image:
    descriptor = i.ImageDescriptor(id=1, type=type, flags=0, width=width, height=height)
    return i.Image(descriptor=descriptor, data=data)


def gradient() -> np.ndarray:
    """A smooth picture with some noise, (height, width, 3) uint8 R, G, B."""
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH]
    noise = np.random.default_rng(3).integers(0, 24, (HEIGHT, WIDTH, 3))
    return (np.stack((rows * 4, columns * 3, rows + columns), -1) + noise).astype(np.uint8)


@pytest.mark.parametrize("quality", [30, 85])
def test_jpeg_images(pair: Pair, quality: int) -> None:
    file = io.BytesIO()
    Pillow.fromarray(gradient()).save(file, "JPEG", quality=quality)
    pair.draw(surface(0, WIDTH, HEIGHT, SurfaceFormat.FMT_32_xRGB))
    message = copy_of(image_of(ImageType.JPEG, i.BinaryData(data=file.getvalue())), WIDTH, HEIGHT)
    pair.draw(message)
    pair.assert_equal(SurfaceFormat.FMT_32_xRGB, message)


@pytest.mark.parametrize("format", [BitmapFormat.FMT_16BIT, BitmapFormat.FMT_24BIT, BitmapFormat.FMT_32BIT])
@pytest.mark.parametrize("top_down", [0, 1])
def test_lz4_images(pair: Pair, format: BitmapFormat, top_down: int) -> None:
    size = {BitmapFormat.FMT_16BIT: 2, BitmapFormat.FMT_24BIT: 3, BitmapFormat.FMT_32BIT: 4}[format]
    raw = np.random.default_rng(5).integers(0, 128, WIDTH * HEIGHT * size, np.uint8).tobytes()
    block = lz4.block.compress(raw, store_size=False)
    data = bytes((top_down, int(format))) + struct.pack(">I", len(block)) + block
    pair.draw(surface(0, WIDTH, HEIGHT, SurfaceFormat.FMT_32_xRGB))
    message = copy_of(image_of(ImageType.LZ4, i.BinaryData(data=data)), WIDTH, HEIGHT)
    pair.draw(message)
    pair.assert_equal(SurfaceFormat.FMT_32_xRGB, message)
