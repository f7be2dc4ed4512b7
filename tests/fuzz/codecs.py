"""Compressed images: pictures or `DecodeError`, whatever the bytes are."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path
from random import Random
from typing import Final

import lz4.block
import numpy as np
import simplejpeg
from fuzz.fuzzing import Case, Harness, mutate
from support.codec_vectors import GREYS, vectors_in
from support.lz_tokens import glz_header, glz_match, literals

from spicereplay.codecs.base import Decoded
from spicereplay.codecs.bitmap import BitmapFormat, bitmap_mask, decode_bitmap
from spicereplay.codecs.glz import decode_glz, decode_zlib_glz
from spicereplay.codecs.jpeg import decode_jpeg
from spicereplay.codecs.jpeg_alpha import decode_jpeg_alpha
from spicereplay.codecs.jpeg_markers import STANDARD_HUFFMAN, jpeg_quality, parse_jpeg, with_huffman
from spicereplay.codecs.lz import LzType, decode_lz
from spicereplay.codecs.lz4 import decode_lz4
from spicereplay.codecs.quic import decode_quic
from spicereplay.codecs.window import GlzWindow
from spicereplay.defects import DefectKind
from spicereplay.errors import DecodeError
from spicereplay.limits import Limits

VECTORS: Final = Path(__file__).parents[2] / "fixtures" / "vectors"
SMALL: Final = Limits(
    image_side_px=512, image_pixels=16 * 1024, glz_window_bytes=48 * 1024, glz_window_images=96
)
"""A changed header may ask for a large picture, which costs time and shows nothing."""
LARGEST_SEED: Final = 3000
REASONS: Final = {
    DefectKind.CODEC_DATA,
    DefectKind.CODEC_DATA_SHORT,
    DefectKind.CODEC_UNSUPPORTED,
    DefectKind.IMAGE_OVER_LIMIT,
    DefectKind.GLZ_REFERENCE_MISSING,
    DefectKind.PALETTE_MISSING,
    DefectKind.OVER_LIMIT,
}
GLZ_TYPES: Final = (LzType.RGB16, LzType.RGB24, LzType.RGB32, LzType.RGBA, LzType.XXXA)


def reason_of(error: DecodeError, size: int) -> str:
    """Return why `size` bytes were refused, which must be one of the documented reasons."""
    assert error.reason in REASONS, error.reason
    assert error.offset is None or 0 <= error.offset <= size, error.offset
    return str(error.reason)


def attempt(decode: Callable[[], Decoded], size: int) -> str:
    """Decode `size` bytes and return the reason of the error, or `decoded`."""
    try:
        picture = decode()
    except DecodeError as error:
        return reason_of(error, size)
    pixels = picture.pixels
    assert pixels.dtype == np.uint8
    assert pixels.ndim == 3
    assert pixels.shape[2] == 4
    assert pixels.flags.c_contiguous
    assert picture.width * picture.height <= SMALL.image_pixels
    if picture.unknown is None:
        return "decoded"
    assert picture.unknown.shape == pixels.shape[:2]
    assert picture.unknown.any()
    return "decoded in part"


def mutated(seeds: Sequence[bytes], decode: Callable[[bytes, Random], Decoded]) -> Callable[[Random], Case]:
    """Return the start of a harness that decodes changed seeds."""

    def start(chance: Random) -> Case:
        def case() -> str:
            data = mutate(chance.choice(seeds), chance, chance.choice(seeds))
            return attempt(lambda: decode(data, chance), len(data))

        return case

    return start


@cache
def vectors(codec: str) -> tuple[bytes, ...]:
    """The reference encoders' streams that are short."""
    found = (v.data for v in vectors_in(VECTORS) if v.facts["codec"] == codec)
    return tuple(data for data in found if len(data) <= LARGEST_SEED)


# --- GLZ --------------------------------------------------------------------------------------------------


def filled_window() -> GlzWindow:
    """60 images of 64 pixels, none of which needs another; of every third some are unknown."""
    window = GlzWindow(SMALL)
    marks = (np.arange(64) % 4).astype(np.uint8)
    for image_id in range(60):
        window.add(image_id, np.arange(64, dtype=np.uint32), 60, None if image_id % 3 else marks)
    return window


def tokens(chance: Random, total: int, unit: int, bias: int, most_images: int) -> bytes:
    """Return tokens for `total` pixels that are mostly right."""
    out, done = b"", 0
    while done < total:
        length = min(total - done, 1 + int(chance.random() * 24))
        if done == 0 or length <= bias or chance.random() < 0.4:
            out += literals(*[chance.randbytes(unit) for _ in range(length)])
        elif chance.random() < 0.5:
            out += glz_match(length, int(chance.random() * done), 0, bias)
        else:
            images = 1 + int(chance.random() * most_images)
            out += glz_match(length, int(chance.random() * 48), images, bias)
        done += length
    return out


def glz_stream(chance: Random, image_id: int, head: int, most_images: int) -> bytes:
    """Return a GLZ image of any type that may copy from up to `most_images` ids back."""
    kind = chance.choice(GLZ_TYPES)
    width, height = 1 + int(chance.random() * 12), 1 + int(chance.random() * 8)
    data = glz_header(kind, width, height, image_id, head, top_down=chance.random() < 0.5)
    if kind != LzType.XXXA:
        rgb16 = kind == LzType.RGB16
        data += tokens(chance, width * height, 2 if rgb16 else 3, 1 if rgb16 else 0, most_images)
    if kind in (LzType.RGBA, LzType.XXXA):
        data += tokens(chance, width * height, 1, 2, most_images)
    return data


@cache
def glz_seeds() -> tuple[bytes, ...]:
    chance = Random(7)
    return tuple(glz_stream(chance, 60, 60, 60) for _ in range(60)) + vectors("glz")


def glz(chance: Random) -> Case:
    """Single images, each beside the same window."""
    window = filled_window()
    seeds = glz_seeds()

    def case() -> str:
        nonlocal window
        data = mutate(chance.choice(seeds), chance, chance.choice(seeds))
        if len(window) != 60:
            window = filled_window()
        partial = chance.random() < 0.5
        return attempt(lambda: decode_glz(data, window, limits=SMALL, partial=partial), len(data))

    return case


def glz_window(chance: Random) -> Case:
    """A dictionary's life: images that copy from each other, gaps, jumps, repeats, evictions, damage."""
    window = GlzWindow(SMALL)
    at = 0

    def case() -> str:
        nonlocal at
        step = chance.random()
        if step < 0.005:
            window.clear()
            at = 0
        elif step < 0.02:
            window.close_gaps(at + int(chance.random() * 5))
        at += 1 if step < 0.8 else int(chance.random() * 5) - 1
        at = max(0, at + (1 << int(chance.random() * 40) if step > 0.995 else 0))
        data = glz_stream(chance, at, int(chance.random() * 70), min(at, 40) + (step > 0.9))
        if chance.random() < 0.25:
            data = mutate(data, chance)
        partial = chance.random() < 0.4
        if chance.random() < 0.1:
            size, packed = len(data) + int(chance.random() * 1.1), zlib.compress(data, 1)
            packed = mutate(packed, chance) if chance.random() < 0.2 else packed
            outcome = attempt(
                lambda: decode_zlib_glz(packed, size, window, limits=SMALL, partial=partial), 1 << 20
            )
        else:
            outcome = attempt(lambda: decode_glz(data, window, limits=SMALL, partial=partial), len(data))
        assert 0 <= window.held_bytes <= SMALL.glz_window_bytes
        assert len(window.ids) <= 2 * SMALL.glz_window_images
        assert len(window) or not window.held_bytes
        return outcome

    return case


# --- the others -------------------------------------------------------------------------------------------


@cache
def lz4_seeds() -> tuple[bytes, ...]:
    raw = bytes(range(16)) * 16
    seeds = []
    for kind in (BitmapFormat.RGB32, BitmapFormat.RGBA, BitmapFormat.RGB24, BitmapFormat.RGB16):
        out = bytes((1, kind))
        for begin, end in ((0, 100), (100, 256)):
            block = lz4.block.compress(raw[begin:end], store_size=False, dict=raw[:begin])
            out += len(block).to_bytes(4) + block
        seeds.append(out)
    return tuple(seeds)


def lz4_size(chance: Random) -> tuple[int, int]:
    return chance.choice(((8, 8), (16, 4), (10, 8), (1, 1), (64, 2)))


def bitmap(chance: Random) -> Case:
    """Raw rows of every format, with sizes and strides that lie."""

    def case() -> str:
        draw = chance.random
        width, height = int(draw() * 70), int(draw() * 12)
        format = int(draw() * 12)
        stride = int(draw() * 5 * width) if draw() < 0.5 else 4 * width
        data = chance.randbytes(max(0, stride * height + int(draw() * 5) - 3))
        given = {
            "format": format,
            "width": width,
            "height": height,
            "stride": stride,
            "top_down": draw() < 0.5,
        }
        if draw() < 0.05:
            given[chance.choice(("width", "height", "stride"))] = chance.choice((2**31, 2**32 - 1, 600, 0))
        palette = GREYS[: int(draw() * 300)] if draw() < 0.8 else None
        if draw() < 0.2:
            return attempt(lambda: _masked(data, given), len(data))
        return attempt(lambda: decode_bitmap(data, limits=SMALL, palette=palette, **given), len(data))

    return case


def _masked(data: bytes, given: dict[str, int]) -> Decoded:
    mask = bitmap_mask(data, limits=SMALL, **given)
    assert mask.shape == (given["height"], given["width"])
    return Decoded(np.zeros((*mask.shape, 4), np.uint8), "mask", None, False)


def jpegs() -> Iterable[bytes]:
    for side, quality in ((8, 20), (16, 50), (24, 90)):
        scene = np.random.default_rng(side).integers(0, 255, (side, side + 3, 3), np.uint8)
        yield simplejpeg.encode_jpeg(scene, quality=quality)
        yield simplejpeg.encode_jpeg(scene[:, :, :1].copy(), quality=quality, colorspace="GRAY")


@cache
def jpeg_seeds() -> tuple[bytes, ...]:
    return tuple(jpegs())


def jpeg_markers(chance: Random) -> Case:
    """The parser alone, and what is worked out from its tables."""
    seeds = [*jpeg_seeds(), *(data.replace(STANDARD_HUFFMAN, b"") for data in jpeg_seeds())]

    def case() -> str:
        data = mutate(chance.choice(seeds), chance, chance.choice(seeds))
        try:
            header = parse_jpeg(data)
        except DecodeError as error:
            return reason_of(error, len(data))
        assert data[header.scan_at : header.scan_at + 2] == b"\xff\xda"
        again = parse_jpeg(with_huffman(data, header))
        assert (again.width, again.height) == (header.width, header.height)
        if chance.random() < 0.02:
            assert jpeg_quality(header) in (None, *range(1, 101))
        return "parsed"

    return case


def jpeg(data: bytes, chance: Random) -> Decoded:
    if chance.random() < 0.3:
        alpha = next(v for v in vectors("lz") if v[11] == LzType.XXXA)
        return decode_jpeg_alpha(data + alpha, len(data), top_down=True, limits=SMALL)
    return decode_jpeg(data, limits=SMALL)


HARNESSES: Final = (
    Harness("quic", mutated(vectors("quic"), lambda data, _: decode_quic(data, limits=SMALL))),
    Harness("lz", mutated(vectors("lz"), lambda data, _: decode_lz(data, limits=SMALL, palette=GREYS))),
    Harness("glz", glz),
    Harness("glz-window", glz_window),
    Harness("lz4", mutated(lz4_seeds(), lambda data, c: decode_lz4(data, size=lz4_size(c), limits=SMALL))),
    Harness("bitmap", bitmap),
    Harness("jpeg-markers", jpeg_markers),
    Harness("jpeg", mutated(jpeg_seeds(), jpeg)),
)
