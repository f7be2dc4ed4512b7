"""QUIC images to pixels.

Source: spice-wire.md 9.3; spice-common common/quic.c, common/quic_tmpl.c, common/quic_family_tmpl.c.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import numpy as np

from spicereplay.codecs._kernels import quic as kernel
from spicereplay.codecs.base import (
    KERNEL,
    Data,
    Decoded,
    PixelFormat,
    Size,
    check_header,
    check_size,
    raise_status,
)
from spicereplay.defects import DefectKind
from spicereplay.errors import DecodeError
from spicereplay.limits import DEFAULT_LIMITS, Limits

MAGIC: Final = 0x43495551
"""`"QUIC"`, little-endian."""
_HEADER: Final = struct.Struct("<5I")


class QuicType(IntEnum):
    """Source: spice-common common/quic.h, QuicImageType."""

    GRAY = 1
    RGB16 = 2
    RGB24 = 3
    RGB32 = 4
    RGBA = 5


_CHANNELS: Final = {
    QuicType.GRAY: 1,
    QuicType.RGB16: 5,
    QuicType.RGB24: 8,
    QuicType.RGB32: 8,
    QuicType.RGBA: 32,
}
"""The kernel's word for what a type holds."""

FORMATS: Final = {
    QuicType.GRAY: PixelFormat.GRAY,
    QuicType.RGB16: PixelFormat.RGB16,
    QuicType.RGB24: PixelFormat.RGB24,
    QuicType.RGB32: PixelFormat.RGB32,
    QuicType.RGBA: PixelFormat.RGBA,
}


@dataclass(frozen=True, slots=True)
class QuicHeader:
    """The five words before the codes."""

    type: QuicType
    width: int
    height: int


def parse_quic_header(data: Data) -> QuicHeader:
    """Read a QUIC header; raises `DecodeError` where it is short, none, or of an unknown version or type."""
    check_header("quic", data, _HEADER.size)
    magic, version, kind, width, height = _HEADER.unpack_from(data)
    if magic != MAGIC:
        raise DecodeError(f"quic: begins with {magic:#010x}, not with {MAGIC:#010x}", offset=0)
    if version != 0:
        raise DecodeError(f"quic: version {version:#010x}", reason=DefectKind.CODEC_UNSUPPORTED, offset=4)
    if kind not in QuicType.__members__.values():
        raise DecodeError(f"quic: image type {kind}", reason=DefectKind.CODEC_UNSUPPORTED, offset=8)
    return QuicHeader(QuicType(kind), width, height)


def decode_quic(data: Data, *, limits: Limits = DEFAULT_LIMITS, size: Size | None = None) -> Decoded:
    """Decode one QUIC image of any type.

    `data` begins at the QUIC header; bytes after the last code are ignored. `size` is the (width, height) of
    the image descriptor.

    Raises `DecodeError`: `codec_data`, `codec_data_short`, `image_over_limit`, `codec_unsupported`.
    """
    header = parse_quic_header(data)
    check_size("quic", header.width, header.height, limits, size)
    words = np.empty((header.height, header.width), np.uint32)
    symbols = np.zeros((4, header.width), np.uint8)
    # Codes run through little-endian words from bit 31 down: with the words turned round, through bytes.
    count = (len(data) - _HEADER.size) // 4
    codes = np.zeros(count + 2, ">u4")
    codes[:count] = np.frombuffer(data, "<u4", count, _HEADER.size)
    status, at = kernel.quic_image(codes.view(np.uint8), words, symbols, 4 * count, _CHANNELS[header.type])
    if status:
        raise_status(status, "quic", at + _HEADER.size)
    pixels = words.view(np.uint8).reshape(header.height, header.width, 4)
    return Decoded(pixels, KERNEL, FORMATS[header.type], header.type == QuicType.RGBA)
