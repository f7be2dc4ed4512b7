"""Uncompressed bitmaps, in every format SPICE has, to pixels.

Source: spice-wire.md 8.1; spice-common common/canvas_base.c, canvas_get_bits.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

import numpy as np
import numpy.typing as npt

from spicereplay.codecs.base import (
    Data,
    Decoded,
    Mask,
    PixelArray,
    PixelFormat,
    check_size,
    top_down_rows,
)
from spicereplay.codecs.palette import OPAQUE, Palette, expand_rgb16, indices, paint
from spicereplay.defects import DefectKind
from spicereplay.errors import DecodeError
from spicereplay.limits import DEFAULT_LIMITS, Limits

RAW: Final = "raw"
"""`Decoded.backend` of what was never compressed."""


class BitmapFormat(IntEnum):
    """Source: spice-protocol spice/enums.h, SpiceBitmapFmt. BE: the leftmost pixel in the highest bits."""

    BIT1_LE = 1
    BIT1_BE = 2
    BIT4_LE = 3
    BIT4_BE = 4
    BIT8 = 5
    RGB16 = 6
    RGB24 = 7
    RGB32 = 8
    RGBA = 9
    A8 = 10


BITS: Final = {
    BitmapFormat.BIT1_LE: 1,
    BitmapFormat.BIT1_BE: 1,
    BitmapFormat.BIT4_LE: 4,
    BitmapFormat.BIT4_BE: 4,
    BitmapFormat.BIT8: 8,
    BitmapFormat.RGB16: 16,
    BitmapFormat.RGB24: 24,
    BitmapFormat.RGB32: 32,
    BitmapFormat.RGBA: 32,
    BitmapFormat.A8: 8,
}
"""Bits of one pixel as stored."""

FORMATS: Final = {
    BitmapFormat.BIT1_LE: PixelFormat.PLT1,
    BitmapFormat.BIT1_BE: PixelFormat.PLT1,
    BitmapFormat.BIT4_LE: PixelFormat.PLT4,
    BitmapFormat.BIT4_BE: PixelFormat.PLT4,
    BitmapFormat.BIT8: PixelFormat.PLT8,
    BitmapFormat.RGB16: PixelFormat.RGB16,
    BitmapFormat.RGB24: PixelFormat.RGB24,
    BitmapFormat.RGB32: PixelFormat.RGB32,
    BitmapFormat.RGBA: PixelFormat.RGBA,
    BitmapFormat.A8: PixelFormat.A8,
}
_INDEXED: Final = (PixelFormat.PLT1, PixelFormat.PLT4, PixelFormat.PLT8)


def bitmap_format(codec: str, number: int) -> BitmapFormat:
    """Return the format with that number; raises `DecodeError` (`codec_unsupported`) where there is none."""
    if number not in BitmapFormat.__members__.values():
        raise DecodeError(f"{codec}: bitmap format {number}", reason=DefectKind.CODEC_UNSUPPORTED)
    return BitmapFormat(number)


def decode_bitmap(
    data: Data,
    *,
    format: int,
    width: int,
    height: int,
    stride: int,
    top_down: bool,
    limits: Limits = DEFAULT_LIMITS,
    palette: Palette | None = None,
) -> Decoded:
    """Return the pixels of a bitmap.

    `format` is a number of `BitmapFormat`, `stride` the bytes from one row to the next; `data` holds
    `stride * height` bytes, bytes after that are ignored. `palette` belongs to the 1-, 4- and 8-bit formats.

    Raises `DecodeError`: `codec_unsupported` for an unknown format, `image_over_limit`, `codec_data` for a
    stride too small, `codec_data_short`, and `palette_missing`.
    """
    kind = bitmap_format("bitmap", format)
    check_size("bitmap", width, height, limits)
    row_bytes = (width * BITS[kind] + 7) // 8
    if stride < row_bytes:
        raise DecodeError(f"bitmap: rows of {stride} bytes, {width} {kind.name} pixels need {row_bytes}")
    needed = stride * height
    if len(data) < needed:
        raise DecodeError(
            f"bitmap: data ends early: {len(data)} bytes, {height} rows of {stride} need {needed}",
            reason=DefectKind.CODEC_DATA_SHORT,
            offset=len(data),
        )
    rows = np.frombuffer(data, np.uint8, needed).reshape(height, stride)[:, :row_bytes]
    return unpack_rows(rows, kind, width, top_down, RAW, palette)


def bitmap_mask(
    data: Data,
    *,
    format: int,
    width: int,
    height: int,
    stride: int,
    top_down: bool,
    limits: Limits = DEFAULT_LIMITS,
) -> Mask:
    """Return a 1-bit bitmap as (height, width) bool, top row first: True where the bit is set.

    Raises `DecodeError` as `decode_bitmap`, and `codec_unsupported` for more than one bit a pixel.
    """
    kind = bitmap_format("mask", format)
    if BITS[kind] != 1:
        raise DecodeError(f"mask: {kind.name} pixels", reason=DefectKind.CODEC_UNSUPPORTED)
    black_and_white = np.array([0, 0xFFFFFF], np.uint32)
    picture = decode_bitmap(
        data,
        format=format,
        width=width,
        height=height,
        stride=stride,
        top_down=top_down,
        limits=limits,
        palette=black_and_white,
    )
    mask: Mask = picture.pixels[:, :, 0] != 0
    return mask


def unpack_rows(
    rows: npt.NDArray[np.uint8],
    kind: BitmapFormat,
    width: int,
    top_down: bool,
    backend: str,
    palette: Palette | None = None,
) -> Decoded:
    """Return the pixels of raw rows, (height, bytes of a row) uint8 in the order stored, padding cut off.

    Raises `DecodeError` (`palette_missing`) for palette indices without a palette.
    """
    outside = 0
    form = FORMATS[kind]
    if form in _INDEXED:
        if palette is None:
            raise DecodeError(
                f"bitmap: {kind.name} pixels without a palette", reason=DefectKind.PALETTE_MISSING
            )
        most_significant_first = kind in (BitmapFormat.BIT1_BE, BitmapFormat.BIT4_BE)
        numbers = indices(rows, width, BITS[kind], most_significant_first)
        pixels, outside = paint(numbers, palette, BITS[kind])
    else:
        pixels = _direct(rows, form, width)
    alpha = form in (PixelFormat.RGBA, PixelFormat.A8)
    return Decoded(top_down_rows(pixels, top_down), backend, form, alpha, outside_palette=outside)


def _direct(rows: npt.NDArray[np.uint8], form: PixelFormat, width: int) -> PixelArray:
    shape = len(rows), width, 4
    if form == PixelFormat.RGB16:
        return (expand_rgb16(rows.view("<u2")) | OPAQUE).view(np.uint8).reshape(shape)
    if form == PixelFormat.RGB32:
        return (rows.view("<u4") | OPAQUE).view(np.uint8).reshape(shape)
    if form == PixelFormat.RGBA:
        return rows.reshape(shape).copy()
    pixels = np.zeros(shape, np.uint8)
    if form == PixelFormat.A8:
        pixels[:, :, 3] = rows
        return pixels
    for place in range(3):
        pixels[:, :, place] = rows[:, place::3]
    pixels[:, :, 3] = 255
    return pixels
