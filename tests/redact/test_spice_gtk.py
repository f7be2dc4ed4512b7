"""Replaced pictures in spice-gtk's own canvas: what fills them up does not disturb its decoders, either."""

from __future__ import annotations

import os
import struct
import time
import zlib
from collections.abc import Iterator

import lz4.block
import numpy as np
import pytest
import simplejpeg
from interop.canvas_server import SpiceGtkCanvas, client_missing, surface

from spicereplay.codecs.lz import LzType
from spicereplay.codecs.quic import QuicType
from spicereplay.codecs.video import VideoCodec
from spicereplay.display.model import DisplayModel
from spicereplay.limits import DEFAULT_LIMITS
from spicereplay.protocol.enums import BitmapFlags, BitmapFormat, ChannelType, ImageType, Side, SurfaceFormat
from spicereplay.protocol.messages import display as m
from spicereplay.protocol.messages import drawing as d
from spicereplay.protocol.messages import geometry as g
from spicereplay.protocol.messages import images as i
from spicereplay.protocol.registry import parse_message
from spicereplay.protocol.wire import build
from spicereplay.redact.blocks import SIDE, Mosaic, mosaic_of
from spicereplay.redact.blur import blurred_image, blurred_jpeg
from spicereplay.redact.encode_quic import quic_codes
from spicereplay.redact.encode_video import VideoEncoder, black_planes, blurred_run
from spicereplay.redact.glz_links import Dictionary
from spicereplay.redact.pictures import blank_image, blank_jpeg

pytestmark = pytest.mark.interop

WIDTH, HEIGHT = 96, 80
RANDOM = np.random.default_rng(7)
NOISE = RANDOM.integers(0, 255, (HEIGHT, WIDTH, 4), np.uint8)
SEEN = 0x00FFFFFF


def image(kind: ImageType, data: object) -> i.Image:
    return i.Image(i.ImageDescriptor(id=1, type=kind, flags=0, width=WIDTH, height=HEIGHT), data)


def literal_rgb() -> bytes:
    """Return LZ or GLZ tokens of noise: literals alone."""
    pixels = NOISE[..., :3].reshape(-1, 3)
    return b"".join(b"\x1f" + pixels[at : at + 32].tobytes() for at in range(0, len(pixels), 32))


def images() -> dict[str, i.Image]:
    lz_head = struct.pack(">7I", 0x20205A4C, 0x10001, LzType.RGB32, WIDTH, HEIGHT, 4 * WIDTH, 1)
    glz_head = struct.pack(">2IB3IQI", 0x20205A4C, 0x10001, LzType.RGB32 | 16, WIDTH, HEIGHT, 4 * WIDTH, 0, 0)
    glz = glz_head + literal_rgb()
    zlib_glz = zlib.compress(glz)
    raw = NOISE.tobytes()
    half = len(raw) // 2
    blocks = [lz4.block.compress(part, store_size=False) for part in (raw[:half], raw[half:])]
    lz4_data = bytes([1, BitmapFormat.FMT_32BIT])
    lz4_data += b"".join(struct.pack(">I", len(block)) + block for block in blocks)
    jpeg = simplejpeg.encode_jpeg(np.ascontiguousarray(NOISE[..., :3]), quality=80)
    bitmap = i.Bitmap(
        format=BitmapFormat.FMT_32BIT,
        flags=BitmapFlags.TOP_DOWN,
        x=WIDTH,
        y=HEIGHT,
        stride=4 * WIDTH,
        palette_id=None,
        palette=None,
        data=raw,
    )
    alpha_head = struct.pack(">7I", 0x20205A4C, 0x10001, LzType.XXXA, WIDTH, HEIGHT, 4 * WIDTH, 1)
    plane = RANDOM.integers(0, 255, WIDTH * HEIGHT, np.uint8)
    alpha = alpha_head + b"".join(b"\x1f" + plane[at : at + 32].tobytes() for at in range(0, len(plane), 32))
    quic_head = struct.pack("<5I", 0x43495551, 0, QuicType.RGB32, WIDTH, HEIGHT)
    codes = quic_codes(NOISE.view(np.uint32)[..., 0], QuicType.RGB32, 1 << 20)
    assert codes is not None
    return {
        "quic": image(ImageType.QUIC, i.BinaryData(data=quic_head + codes)),
        "lz": image(ImageType.LZ_RGB, i.BinaryData(data=lz_head + literal_rgb())),
        "glz": image(ImageType.GLZ_RGB, i.BinaryData(data=glz)),
        "zlib": image(ImageType.ZLIB_GLZ_RGB, i.ZlibGlz(glz_data_size=len(glz), data=zlib_glz)),
        "lz4": image(ImageType.LZ4, i.BinaryData(data=lz4_data)),
        "jpeg": image(ImageType.JPEG, i.BinaryData(data=jpeg)),
        "bitmap": image(ImageType.BITMAP, bitmap),
        "jpeg_alpha": image(
            ImageType.JPEG_ALPHA, i.JpegAlpha(flags=1, jpeg_size=len(jpeg), data=jpeg + alpha)
        ),
    }


@pytest.fixture
def canvas() -> Iterator[SpiceGtkCanvas]:
    if (why := client_missing()) is not None:
        if os.environ.get("CI") == "true":
            pytest.fail(f"spice-gtk's binding is needed in CI: {why}")
        pytest.skip(f"spice-gtk's canvas is not to be had: {why}")
    with SpiceGtkCanvas() as canvas:
        yield canvas


def shown(canvas: SpiceGtkCanvas, drawn: i.Image) -> tuple[np.ndarray, np.ndarray]:
    """Return what spice-gtk and we show after white and an image drawn over it."""
    box = g.Rect(top=0, left=0, bottom=HEIGHT, right=WIDTH)
    base = d.DisplayBase(surface_id=0, box=box, clip=g.Clip(type=0, rects=None))
    mask = d.QMask(flags=0, pos=g.Point(x=0, y=0), bitmap=None)
    messages = (
        surface(0, WIDTH, HEIGHT, SurfaceFormat.FMT_32_xRGB),
        m.DrawWhiteness(base=base, mask=mask),
        m.DrawCopy(base=base, src_bitmap=drawn, src_area=box, rop_descriptor=8, scale_mode=0, mask=mask),
    )
    model = DisplayModel()
    for message in messages:
        kind = int(message.TYPES[0])
        parsed = parse_message(ChannelType.DISPLAY, Side.SERVER, kind, build(message))
        model.handle(0, parsed.message, 0)
    canvas.draw(*messages)
    rows = np.ascontiguousarray(canvas.picture()[:, : 4 * WIDTH]).view(np.uint32)
    return rows & SEEN, model.channels[0].surfaces[0].words & SEEN


@pytest.mark.parametrize("name", ["quic", "lz", "glz", "zlib", "lz4", "jpeg", "bitmap", "jpeg_alpha"])
def test_blank_pictures_are_black_in_spice_gtk(canvas: SpiceGtkCanvas, name: str) -> None:
    original = images()[name]
    blank = blank_image(original, DEFAULT_LIMITS, {})
    assert len(blank.data.data) == len(original.data.data)
    theirs, ours = shown(canvas, blank)
    assert not (theirs & 0xFEFEFE).any()
    assert not (ours & 0xFEFEFE).any()


@pytest.mark.parametrize("name", ["quic", "lz", "glz", "zlib", "lz4", "jpeg", "bitmap", "jpeg_alpha"])
def test_blurred_pictures_are_the_same_in_spice_gtk(canvas: SpiceGtkCanvas, name: str) -> None:
    original = images()[name]
    mosaic = mosaic_of(NOISE)
    blurred = blurred_image(original, DEFAULT_LIMITS, Dictionary(mosaics={0: mosaic}))
    assert blurred is not None
    assert len(blurred.data.data) == len(original.data.data)
    theirs, ours = shown(canvas, blurred)
    expected = mosaic.painted().astype(np.int64)
    if name.startswith("jpeg"):
        assert len(np.unique(theirs)) <= (WIDTH // SIDE) * -(-HEIGHT // SIDE) * 12
        return
    assert np.array_equal(theirs, ours)
    assert np.array_equal(theirs, expected[..., 2] << 16 | expected[..., 1] << 8 | expected[..., 0])


@pytest.mark.parametrize("blurred", [False, True], ids=["black", "blocks"])
@pytest.mark.parametrize("codec", [VideoCodec.MJPEG, VideoCodec.VP8, VideoCodec.H264])
def test_frames_are_shown_by_spice_gtk(canvas: SpiceGtkCanvas, codec: VideoCodec, blurred: bool) -> None:
    """What replaces frames is decoded there, too, with the zeros behind it."""
    canvas.draw(surface(0, WIDTH, HEIGHT, SurfaceFormat.FMT_32_xRGB))
    started = time.monotonic()
    picture = np.full((HEIGHT, WIDTH, 4), (200, 60, 20, 255), np.uint8)
    picture[32:64, 32:] = (30, 180, 220, 255)
    mosaic = mosaic_of(picture)
    frames = replaced_frames(codec, mosaic if blurred else None, picture)
    box = g.Rect(top=0, left=0, bottom=HEIGHT, right=WIDTH)
    canvas.draw(
        m.DrawWhiteness(
            base=d.DisplayBase(surface_id=0, box=box, clip=g.Clip(type=0, rects=None)),
            mask=d.QMask(flags=0, pos=g.Point(x=0, y=0), bitmap=None),
        ),
        m.StreamCreate(
            surface_id=0,
            id=1,
            flags=m.StreamFlags.TOP_DOWN,
            codec_type=codec,
            stamp=0,
            stream_width=WIDTH,
            stream_height=HEIGHT,
            src_width=WIDTH,
            src_height=HEIGHT,
            dest=box,
            clip=g.Clip(type=0, rects=None),
        ),
    )
    expected = mosaic.painted() if blurred else np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    for data in frames * 8:  # until the pipeline plays; times are the client's, from its start
        due = int((time.monotonic() - started) * 1000) + 300
        canvas.draw(m.StreamData(base=m.StreamDataHeader(id=1, multi_media_time=due), data=data))
        time.sleep(0.15)
        rows = np.ascontiguousarray(canvas.picture()[:, : 4 * WIDTH]).reshape(HEIGHT, WIDTH, 4)
        if np.abs(rows[..., :3].astype(int) - expected.astype(int)).mean() < 12:
            return
    pytest.fail(f"not shown: {rows[::32, ::32, :3].tolist()}; {canvas.complaints()}")


def replaced_frames(codec: VideoCodec, mosaic: Mosaic | None, picture: np.ndarray) -> list[bytes]:
    """Return two frames, black or of blocks, as long as the bytes they had."""
    if codec is VideoCodec.MJPEG:
        jpeg = simplejpeg.encode_jpeg(np.ascontiguousarray(picture[..., 2::-1]), quality=90)
        made = blank_jpeg(jpeg) if mosaic is None else blurred_jpeg(jpeg, DEFAULT_LIMITS)
        assert made is not None
        return [made, made]
    if mosaic is None:
        encoder = VideoEncoder(codec, WIDTH, HEIGHT)
        return [encoder.packet(black_planes(WIDTH, HEIGHT)) + bytes(500) for _ in range(20)]
    packets = blurred_run(codec, [mosaic] * 20, [5000] * 20, WIDTH, HEIGHT)
    assert packets is not None
    return [packet.ljust(5000, b"\0") for packet in packets]
