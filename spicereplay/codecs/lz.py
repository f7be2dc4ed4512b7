"""SPICE LZ images (types LZ_PLT and LZ_RGB, and the alpha part of JPEG_ALPHA) to pixels.

Source: spice-wire.md 9.1; spice-common common/lz.c, common/lz_decompress_tmpl.c.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import numpy as np

from spicereplay.codecs._kernels import lz as kernel
from spicereplay.codecs.base import (
    KERNEL,
    Data,
    Decoded,
    PixelArray,
    PixelFormat,
    Size,
    check_header,
    check_size,
    raise_status,
    top_down_rows,
)
from spicereplay.codecs.palette import Palette, indices, paint
from spicereplay.defects import DefectKind
from spicereplay.errors import DecodeError
from spicereplay.limits import DEFAULT_LIMITS, Limits

MAGIC: Final = 0x20205A4C
"""`"  ZL"`, big-endian."""
VERSION: Final = 0x00010001
_HEADER: Final = struct.Struct(">7I")


class LzType(IntEnum):
    """Image types of LZ and GLZ. Source: spice-common common/lz_common.h, LzImageType."""

    PLT1_LE = 1
    PLT1_BE = 2
    PLT4_LE = 3
    PLT4_BE = 4
    PLT8 = 5
    RGB16 = 6
    RGB24 = 7
    RGB32 = 8
    RGBA = 9
    XXXA = 10
    A8 = 11


INDEX_BITS: Final = {
    LzType.PLT1_LE: 1,
    LzType.PLT1_BE: 1,
    LzType.PLT4_LE: 4,
    LzType.PLT4_BE: 4,
    LzType.PLT8: 8,
}
"""Bits of one palette index; the other types have none."""

FORMATS: Final = {
    LzType.PLT1_LE: PixelFormat.PLT1,
    LzType.PLT1_BE: PixelFormat.PLT1,
    LzType.PLT4_LE: PixelFormat.PLT4,
    LzType.PLT4_BE: PixelFormat.PLT4,
    LzType.PLT8: PixelFormat.PLT8,
    LzType.RGB16: PixelFormat.RGB16,
    LzType.RGB24: PixelFormat.RGB24,
    LzType.RGB32: PixelFormat.RGB32,
    LzType.RGBA: PixelFormat.RGBA,
    LzType.XXXA: PixelFormat.A8,
    LzType.A8: PixelFormat.A8,
}


@dataclass(frozen=True, slots=True)
class LzHeader:
    """The 28 bytes before the tokens, as sent. `stride` is in bytes, of the source bitmap."""

    type: LzType
    width: int
    height: int
    stride: int
    top_down: bool


def parse_lz_header(data: Data) -> LzHeader:
    """Read an LZ header; raises `DecodeError` where it is short, no LZ, or of an unknown version or type."""
    check_header("lz", data, _HEADER.size)
    magic, version, kind, width, height, stride, top_down = _HEADER.unpack_from(data)
    check_identity("lz", magic, version, kind)
    return LzHeader(LzType(kind), width, height, stride, bool(top_down))


def check_identity(codec: str, magic: int, version: int, kind: int) -> None:
    """Raise `DecodeError` unless magic, version and type are those of LZ and GLZ."""
    if magic != MAGIC:
        raise DecodeError(f"{codec}: begins with {magic:#010x}, not with {MAGIC:#010x}", offset=0)
    if version != VERSION:
        raise DecodeError(f"{codec}: version {version:#010x}", reason=DefectKind.CODEC_UNSUPPORTED, offset=4)
    if kind not in LzType.__members__.values():
        raise DecodeError(f"{codec}: image type {kind}", reason=DefectKind.CODEC_UNSUPPORTED, offset=8)


def decode_lz(
    data: Data,
    *,
    limits: Limits = DEFAULT_LIMITS,
    palette: Palette | None = None,
    size: Size | None = None,
) -> Decoded:
    """Decode one LZ image of any type.

    `data` begins at the LZ header; bytes after the last token are ignored. `palette` gives the colours of the
    PLT types (`palette.Palette`), `size` the (width, height) of the image descriptor.

    Raises `DecodeError`: `codec_data`, `codec_data_short`, `image_over_limit`, `codec_unsupported`, and
    `palette_missing` for a PLT type without palette.
    """
    header = parse_lz_header(data)
    check_size("lz", header.width, header.height, limits, size)
    if header.type in INDEX_BITS:
        return _decode_indices(data, header, limits, palette)

    words = np.zeros((header.height, header.width), np.uint32)
    at = _HEADER.size
    if header.type not in (LzType.XXXA, LzType.A8):
        status, at = kernel.lz_pixels(data, at, words.reshape(-1), header.type == LzType.RGB16)
        if status:
            raise_status(status, "lz", at)
    pixels = words.view(np.uint8).reshape(header.height, header.width, 4)
    alpha = header.type in (LzType.RGBA, LzType.XXXA, LzType.A8)
    if alpha:
        _decode_alpha(data, at, pixels)
    return Decoded(top_down_rows(pixels, header.top_down), KERNEL, FORMATS[header.type], alpha)


def decode_lz_alpha(data: Data, pixels: PixelArray, *, top_down: bool) -> None:
    """Decode an XXXA image into the alpha bytes of `pixels`, in place.

    `top_down` says in which order the rows come; the flag in the stream's own header is not used.
    Source: spice-wire.md 9.5; spice-common common/canvas_base.c, canvas_get_jpeg_alpha.

    Raises `DecodeError` as `decode_lz`, and `codec_data` where type or size is another.
    """
    header = parse_lz_header(data)
    height, width = pixels.shape[:2]
    if header.type != LzType.XXXA:
        raise DecodeError(f"lz: {header.type.name} where an alpha plane (XXXA) belongs", offset=8)
    if (header.width, header.height) != (width, height):
        raise DecodeError(
            f"lz: alpha plane of {header.width}×{header.height} pixels for a picture of {width}×{height}"
        )
    if top_down:
        _decode_alpha(data, _HEADER.size, pixels)
        return
    plane = np.empty(width * height, np.uint8)
    status, at = kernel.lz_bytes(data, _HEADER.size, plane, 1)
    if status:
        raise_status(status, "lz", at)
    pixels[:, :, 3] = plane.reshape(height, width)[::-1]


def _decode_alpha(data: Data, at: int, pixels: PixelArray) -> None:
    status, at = kernel.lz_bytes(data, at, pixels.reshape(-1)[3:], 4)
    if status:
        raise_status(status, "lz", at)


def _decode_indices(data: Data, header: LzHeader, limits: Limits, palette: Palette | None) -> Decoded:
    if palette is None:
        raise DecodeError(
            f"lz: {header.type.name} image without a palette", reason=DefectKind.PALETTE_MISSING
        )
    bits = INDEX_BITS[header.type]
    row_bytes = (header.width * bits + 7) // 8
    if header.stride < row_bytes:
        raise DecodeError(
            f"lz: rows of {header.stride} bytes, {header.width} pixels need {row_bytes}", offset=20
        )
    if header.stride * header.height > limits.image_pixels:
        raise DecodeError(
            f"lz: image dimensions over the limit: {header.height} rows of {header.stride} bytes, at most "
            f"{limits.image_pixels} in all",
            reason=DefectKind.IMAGE_OVER_LIMIT,
        )
    rows = np.empty((header.height, header.stride), np.uint8)
    status, at = kernel.lz_bytes(data, _HEADER.size, rows.reshape(-1), 1)
    if status:
        raise_status(status, "lz", at)
    most_significant_first = header.type in (LzType.PLT1_BE, LzType.PLT4_BE)
    numbers = indices(rows, header.width, bits, most_significant_first)
    pixels, outside = paint(numbers, palette, bits)
    return Decoded(
        top_down_rows(pixels, header.top_down),
        KERNEL,
        FORMATS[header.type],
        alpha=False,
        outside_palette=outside,
    )
