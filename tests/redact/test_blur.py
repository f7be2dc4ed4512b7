"""Pictures in blocks: every codec carries them in the bytes that the picture had, and shows them as they are."""

import struct
import zlib
from dataclasses import replace

import lz4.block
import numpy as np
import pytest
import simplejpeg
from hypothesis import given, settings
from hypothesis import strategies as st

from spicereplay.codecs.lz import LzType
from spicereplay.codecs.palette import palette_of
from spicereplay.codecs.quic import QuicType, decode_quic
from spicereplay.display.images import decode_alone
from spicereplay.limits import DEFAULT_LIMITS
from spicereplay.protocol.enums import BitmapFlags, BitmapFormat, ImageType
from spicereplay.protocol.messages import images as i
from spicereplay.redact.blocks import SIDE, Mosaic, commonest, index_rows, mosaic_of, plane_tokens
from spicereplay.redact.blur import blurred_image
from spicereplay.redact.encode_quic import quic_codes
from spicereplay.redact.glz_links import Dictionary

WIDTH, HEIGHT = 150, 100
NUMBERS = palette_of(range(256))


def desktop() -> np.ndarray:
    """Return a picture with areas, edges and noise: (height, width, 4) uint8 B, G, R, A."""
    picture = np.full((HEIGHT, WIDTH, 4), 255, np.uint8)
    picture[:20, :, :3] = (120, 40, 10)
    picture[40:90, 20:90, :3] = np.random.default_rng(3).integers(0, 255, (50, 70, 3))
    return picture


def image(kind: ImageType, data: object) -> i.Image:
    return i.Image(i.ImageDescriptor(id=1, type=kind, flags=0, width=WIDTH, height=HEIGHT), data)


def words(pixels: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(pixels).view(np.uint32)[..., 0]


def quic_image(kind: QuicType) -> i.Image:
    codes = quic_codes(words(desktop()), kind, 1 << 20)
    assert codes is not None
    return image(ImageType.QUIC, i.BinaryData(struct.pack("<5I", 0x43495551, 0, kind, WIDTH, HEIGHT) + codes))


def lz4_image(form: BitmapFormat) -> i.Image:
    pixels = desktop()
    raw = (pixels if form is BitmapFormat.FMT_32BIT else pixels[..., :3]).tobytes()
    cut = len(raw) // 3
    data = bytes([1, form])
    for at in (0, cut):
        part, before = (raw[:cut], b"") if not at else (raw[cut:], raw[:cut])
        block = lz4.block.compress(part, store_size=False, dict=before or None)
        data += struct.pack(">I", len(block)) + block
    return image(ImageType.LZ4, i.BinaryData(data))


@given(
    st.integers(1, 80), st.integers(1, 60), st.sampled_from(list(QuicType)), st.integers(0, 3), st.randoms()
)
@settings(max_examples=80, deadline=None)
def test_quic_gives_back_what_was_encoded(
    width: int, height: int, kind: QuicType, texture: int, random: object
) -> None:
    noise = np.random.default_rng(random.getrandbits(32)).integers(0, 1 << 32, (height, width), np.uint32)  # type: ignore[attr-defined]
    small = noise[:: 1 << texture, :: 1 << texture]
    picture = small.repeat(1 << texture, 0)[:height].repeat(1 << texture, 1)[:, :width]
    codes = quic_codes(picture, kind, 1 << 20)
    assert codes is not None
    assert quic_codes(picture, kind, len(codes)) == codes
    assert quic_codes(picture, kind, len(codes) - 1) is None
    head = struct.pack("<5I", 0x43495551, 0, kind, width, height)
    shown = words(decode_quic(head + codes, size=(width, height)).pixels)
    expected = picture | np.uint32(0xFF000000) if kind is not QuicType.RGBA else picture
    if kind is QuicType.GRAY:
        expected = (picture & 255) * np.uint32(0x10101) | np.uint32(0xFF000000)
    if kind is QuicType.RGB16:
        expected = expected & np.uint32(0xFFF8F8F8)
        shown = shown & np.uint32(0xFFF8F8F8)
    assert np.array_equal(shown, expected)


@pytest.mark.parametrize("kind", [QuicType.RGB24, QuicType.RGB32, QuicType.RGBA])
def test_quic_in_blocks(kind: QuicType) -> None:
    check(quic_image(kind))


@pytest.mark.parametrize("form", [BitmapFormat.FMT_32BIT, BitmapFormat.FMT_24BIT])
def test_lz4_in_blocks(form: BitmapFormat) -> None:
    check(lz4_image(form))


def check(original: i.Image) -> None:
    """Hold a blurred image against its original: as long, in blocks, each of the mean of what was there."""
    blurred = blurred_image(original, DEFAULT_LIMITS, Dictionary())
    assert blurred is not None
    assert len(blurred.data.data) == len(original.data.data)
    shown = decode_alone(blurred, None, DEFAULT_LIMITS).pixels
    mosaic = mosaic_of(desktop())
    candidates = [coarse.painted() for coarse in mosaic.sizes()]
    assert any(np.array_equal(shown[..., :3], each) for each in candidates)


def test_blocks_become_larger_until_they_fit() -> None:
    original = quic_image(QuicType.RGB32)
    least = [quic_codes(m.words(), QuicType.RGB32, 1 << 20) for m in mosaic_of(desktop()).sizes()]
    sizes = [len(codes) for codes in least if codes is not None]
    assert sizes == sorted(sizes, reverse=True)
    picture = mosaic_of(desktop()).coarser()
    codes = quic_codes(picture.words(), QuicType.RGB32, 1 << 20)
    assert codes is not None
    head = original.data.data[:20]
    shorter = replace(original, data=i.BinaryData(head + codes))
    blurred = blurred_image(shorter, DEFAULT_LIMITS, Dictionary())
    assert blurred is not None
    assert len(blurred.data.data) == len(head) + len(codes)


# --- numbers of colours -------------------------------------------------------------------------------


def indexed(bits: int) -> np.ndarray:
    """Return numbers of colours, (height, width) uint8: areas, and a few pixels that differ."""
    numbers = np.full((HEIGHT, WIDTH), 1, np.uint8)
    numbers[30:] = 0
    numbers[50:, 40:] = (1 << bits) - 1
    numbers[5:25:3, 7:60:5] = 0
    return numbers


@pytest.mark.parametrize(
    ("form", "bits", "high"),
    [
        (BitmapFormat.FMT_1BIT_LE, 1, False),
        (BitmapFormat.FMT_1BIT_BE, 1, True),
        (BitmapFormat.FMT_4BIT_LE, 4, False),
        (BitmapFormat.FMT_4BIT_BE, 4, True),
        (BitmapFormat.FMT_8BIT, 8, False),
    ],
)
@pytest.mark.parametrize("top_down", [True, False])
def test_a_bitmap_of_numbers_in_blocks(form: BitmapFormat, bits: int, high: bool, top_down: bool) -> None:
    mosaic = Mosaic(indexed(bits)[..., None], WIDTH, HEIGHT, 1)
    rows = index_rows(mosaic, bits, high)
    stride = -(-rows.shape[1] // 4) * 4
    padded = np.zeros((HEIGHT, stride), np.uint8)
    padded[:, : rows.shape[1]] = rows if top_down else rows[::-1]
    bitmap = i.Bitmap(
        format=form,
        flags=BitmapFlags.TOP_DOWN if top_down else BitmapFlags(0),
        x=WIDTH,
        y=HEIGHT,
        stride=stride,
        palette_id=None,
        palette=i.Palette(unique=1, ents=(1, 2)),
        data=padded.tobytes(),
    )
    original = image(ImageType.BITMAP, bitmap)
    blurred = blurred_image(original, DEFAULT_LIMITS, Dictionary())
    assert blurred is not None
    shown = decode_alone(blurred, NUMBERS, DEFAULT_LIMITS).pixels[..., 0]
    assert np.array_equal(shown, commonest(indexed(bits)).painted()[..., 0])


@pytest.mark.parametrize(
    "kind", [LzType.PLT1_LE, LzType.PLT1_BE, LzType.PLT4_LE, LzType.PLT4_BE, LzType.PLT8]
)
@pytest.mark.parametrize("top_down", [True, False])
def test_an_lz_image_of_numbers_in_blocks(kind: LzType, top_down: bool) -> None:
    bits = 1 if kind <= LzType.PLT1_BE else 4 if kind <= LzType.PLT4_BE else 8
    mosaic = Mosaic(indexed(bits)[..., None], WIDTH, HEIGHT, 1)
    rows = index_rows(mosaic, bits, kind in (LzType.PLT1_BE, LzType.PLT4_BE))
    rows = np.ascontiguousarray(rows if top_down else rows[::-1])
    head = struct.pack(">7I", 0x20205A4C, 0x10001, kind, WIDTH, HEIGHT, rows.shape[1], top_down)
    original = image(
        ImageType.LZ_PLT,
        i.LzPlt(
            flags=0, palette_id=None, palette=i.Palette(unique=1, ents=(1, 2)), data=head + plane_tokens(rows)
        ),
    )
    assert np.array_equal(decode_alone(original, NUMBERS, DEFAULT_LIMITS).pixels[..., 0], indexed(bits))
    blurred = blurred_image(original, DEFAULT_LIMITS, Dictionary())
    assert blurred is not None
    assert len(blurred.data.data) == len(original.data.data)
    shown = decode_alone(blurred, NUMBERS, DEFAULT_LIMITS).pixels[..., 0]
    candidates = [coarse.painted()[..., 0] for coarse in commonest(indexed(bits)).sizes()]
    assert any(np.array_equal(shown, each) for each in candidates)


# --- alpha ----------------------------------------------------------------------------------------------


def test_a_jpeg_with_alpha_in_blocks_is_opaque() -> None:
    jpeg = simplejpeg.encode_jpeg(np.ascontiguousarray(desktop()[..., 2::-1]), quality=80)
    rows = np.arange(WIDTH * HEIGHT, dtype=np.uint32).astype(np.uint8)
    tokens = b"".join(b"\x1f" + rows[at : at + 32].tobytes() for at in range(0, len(rows) - 32, 32))
    rest = rows[32 * (len(tokens) // 33) :].tobytes()
    tokens += bytes([len(rest) - 1]) + rest
    head = struct.pack(">7I", 0x20205A4C, 0x10001, LzType.XXXA, WIDTH, HEIGHT, 4 * WIDTH, 1)
    original = image(
        ImageType.JPEG_ALPHA, i.JpegAlpha(flags=1, jpeg_size=len(jpeg), data=jpeg + head + tokens)
    )
    assert decode_alone(original, None, DEFAULT_LIMITS).pixels[..., 3].min() == 0
    blurred = blurred_image(original, DEFAULT_LIMITS, Dictionary())
    assert blurred is not None
    assert len(blurred.data.data) == len(original.data.data)
    shown = decode_alone(blurred, None, DEFAULT_LIMITS).pixels
    assert (shown[..., 3] == 255).all()
    expected = mosaic_of(desktop()).painted().astype(int)
    # The first block is of one colour of the picture; its chroma blocks lie in it.
    assert abs(shown[:SIDE, :SIDE, :3].astype(int) - expected[:SIDE, :SIDE]).max() <= 4


def test_a_deflated_glz_image_in_blocks_is_deflated_again() -> None:
    pixels = desktop()[..., :3].reshape(-1, 3)
    literals = b"".join(
        bytes([len(pixels[at : at + 32]) - 1]) + pixels[at : at + 32].tobytes()
        for at in range(0, len(pixels), 32)
    )
    head = struct.pack(">2IB3IQI", 0x20205A4C, 0x10001, LzType.RGB32 | 16, WIDTH, HEIGHT, 4 * WIDTH, 0, 0)
    glz = head + literals
    original = image(ImageType.ZLIB_GLZ_RGB, i.ZlibGlz(len(glz), zlib.compress(glz)))
    known = Dictionary(mosaics={0: mosaic_of(desktop())})
    blurred = blurred_image(original, DEFAULT_LIMITS, known)
    assert blurred is not None
    assert len(blurred.data.data) == len(original.data.data)
    assert len(zlib.decompressobj().decompress(blurred.data.data)) == len(glz)
