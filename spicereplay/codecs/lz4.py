"""SPICE LZ4 images (type LZ4) to pixels.

Source: spice-wire.md 9.4; spice server/lz4-encoder.c, lz4_encode; spice-common common/canvas_base.c,
canvas_get_lz4.
"""

from __future__ import annotations

from typing import Final

import lz4
import lz4.block
import numpy as np

from spicereplay.codecs.base import Data, Decoded, Size, check_header, check_size
from spicereplay.codecs.bitmap import BITS, BitmapFormat, bitmap_format, unpack_rows
from spicereplay.defects import DefectKind
from spicereplay.errors import DecodeError
from spicereplay.limits import DEFAULT_LIMITS, Limits

VERSION: Final[str] = lz4.__version__
LIBRARY_VERSION: Final[str] = lz4.library_version_string()
BACKEND: Final = f"lz4 {VERSION}"
_REACH: Final = 64 * 1024
"""How far back a match of a block can lie in what the blocks before it gave."""
_FORMATS: Final = (
    BitmapFormat.RGB16,
    BitmapFormat.RGB24,
    BitmapFormat.RGB32,
    BitmapFormat.RGBA,
    BitmapFormat.A8,
)
"""spice-gtk refuses the last, the server can send it."""


def decode_lz4(data: Data, *, size: Size, limits: Limits = DEFAULT_LIMITS) -> Decoded:
    """Decode one LZ4 image; `size` is the (width, height) of the image descriptor, the data holds none.

    Raises `DecodeError`: `codec_data`, `codec_data_short`, `image_over_limit`, `codec_unsupported`.
    """
    check_header("lz4", data, 2)
    top_down, kind = bool(data[0]), bitmap_format("lz4", data[1])
    if kind not in _FORMATS:
        raise DecodeError(f"lz4: {kind.name} pixels", reason=DefectKind.CODEC_UNSUPPORTED, offset=1)
    width, height = size
    check_size("lz4", width, height, limits)
    row_bytes = width * BITS[kind] // 8
    raw = _inflate(data, 2, row_bytes * height)
    rows = np.frombuffer(raw, np.uint8).reshape(height, row_bytes)
    return unpack_rows(rows, kind, width, top_down, BACKEND)


def _inflate(data: Data, at: int, total: int) -> bytearray:
    """Return `total` bytes out of the blocks at `data[at:]`; blocks after those are not looked at."""
    view = memoryview(data)
    raw = bytearray()
    while len(raw) < total:
        if len(view) - at < 4:
            raise _short(at, len(raw), total)
        length = int.from_bytes(view[at : at + 4])
        at += 4
        if length > len(view) - at:
            raise _short(at, len(raw), total)
        try:
            # The library takes an empty dictionary for none.
            block = lz4.block.decompress(
                view[at : at + length], uncompressed_size=total - len(raw), dict=bytes(raw[-_REACH:])
            )
        except lz4.block.LZ4BlockError as error:
            raise DecodeError(f"lz4: block at byte {at}: {error}", offset=at) from None
        if not block:
            raise DecodeError(f"lz4: block at byte {at} holds nothing", offset=at)
        raw += block
        at += length
    return raw


def _short(at: int, have: int, total: int) -> DecodeError:
    return DecodeError(
        f"lz4: compressed data ends early, at byte {at}, with {have} of {total} bytes",
        reason=DefectKind.CODEC_DATA_SHORT,
        offset=at,
    )
