"""Images and frames as blocks of colour, in the same codec and as many bytes; None where that cannot be had.

Source: spice-wire.md 8 and 9.
"""

from __future__ import annotations

import zlib
from dataclasses import replace

import numpy as np

from spicereplay.codecs.base import Data
from spicereplay.codecs.bitmap import BITS, BitmapFormat
from spicereplay.codecs.glz import inflate_glz, parse_glz_header
from spicereplay.codecs.jpeg import decode_jpeg
from spicereplay.codecs.lz import LzType, parse_lz_header
from spicereplay.display.images import decode_alone
from spicereplay.errors import DecodeError
from spicereplay.limits import Limits
from spicereplay.protocol.enums import BitmapFlags, ImageType
from spicereplay.protocol.messages.images import BinaryData, Bitmap, Image, ZlibGlz
from spicereplay.redact import encode_jpeg
from spicereplay.redact.blocks import SIDE, Blocks, blocks_of, raw_rows, tokens, units_of
from spicereplay.redact.encode_lz import glz_tokens
from spicereplay.redact.glz_links import Dictionary
from spicereplay.redact.pictures import lz_with_alpha
from spicereplay.redact.stretch_lz import exactly

_LZ_HEADER = 28
_GLZ_HEADER = 33
_LEAST = SIDE // 2
"""Pictures that are narrower or lower stay black: strips of a few pixels, side by side, would show what blocks hide."""
_COLOURS = (LzType.RGB16, LzType.RGB24, LzType.RGB32, LzType.RGBA)


def blurred_image(image: Image, limits: Limits, known: Dictionary) -> Image | None:
    """Return an image in blocks, as large as `image` in pixels and bytes; None where there is none."""
    if min(image.descriptor.width, image.descriptor.height) < _LEAST:
        return None
    data = image.data
    try:
        if isinstance(data, ZlibGlz):
            glz = inflate_glz(data.data, data.glz_data_size, limits=limits)
            made = _glz(glz, known)
            packed = None if made is None else _filled(zlib.compress(made, 9), len(data.data))
            return None if packed is None else replace(image, data=replace(data, data=packed))
        if isinstance(data, Bitmap):
            raw = _bitmap(image, data, limits)
            return None if raw is None else replace(image, data=replace(data, data=raw))
        if not isinstance(data, BinaryData):
            return None
        blurred = _binary(image, data.data, limits, known)
    except DecodeError:
        return None
    return None if blurred is None else replace(image, data=replace(data, data=blurred))


def _binary(image: Image, data: bytes, limits: Limits, known: Dictionary) -> bytes | None:
    match image.descriptor.type:
        case ImageType.GLZ_RGB:
            return _glz(data, known)
        case ImageType.LZ_RGB:
            return _lz(data, blocks_of(decode_alone(image, None, limits).pixels))
        case ImageType.JPEG:
            return blurred_jpeg(data, limits)
    return None


def _filled(data: bytes, size: int) -> bytes | None:
    return data.ljust(size, b"\0") if len(data) <= size else None


def _bitmap(image: Image, data: Bitmap, limits: Limits) -> bytes | None:
    if data.palette is not None or data.palette_id is not None or data.format not in BITS:
        return None
    blocks = blocks_of(decode_alone(image, None, limits).pixels)
    rows = raw_rows(blocks, data.x, data.y, BITS[BitmapFormat(data.format)])
    if rows is None or rows.shape[1] > data.stride:
        return None
    out = np.zeros((data.y, data.stride), np.uint8)
    out[:, : rows.shape[1]] = rows if data.flags & BitmapFlags.TOP_DOWN else rows[::-1]
    return out.tobytes()


def _lz(data: bytes, blocks: Blocks) -> bytes | None:
    header = parse_lz_header(data)
    if header.type not in _COLOURS or header.width >= 1 << 16:
        return None
    rgb16 = header.type is LzType.RGB16
    least = tokens(blocks, header.width, header.height, top_down=header.top_down, rgb16=rgb16, glz=False)
    units = units_of(blocks, header.width, header.height, top_down=header.top_down, rgb16=rgb16)
    size = 2 if rgb16 else 3

    def colours(room: int) -> bytes:
        return (
            exactly(least, lambda at: units[size * at : size * at + size], 2 if rgb16 else 1, room) or least
        )

    room = len(data) - _LZ_HEADER
    if header.type is LzType.RGBA:
        codes = lz_with_alpha(header.width * header.height, b"\xff", colours, room)
    else:
        codes = colours(room)
    return data[:_LZ_HEADER] + codes if len(codes) == room else None


def _glz(data: bytes, known: Dictionary) -> bytes | None:
    """Return a GLZ image in blocks; one that lacks something is not there whole, and stays black."""
    header = parse_glz_header(data)
    blocks = known.blocks.get(header.id)
    if blocks is None or header.id in known.lacks or header.type not in _COLOURS or header.width >= 1 << 17:
        return None
    codes = tokens(
        blocks,
        header.width,
        header.height,
        top_down=header.top_down,
        rgb16=header.type is LzType.RGB16,
        glz=True,
    )
    if header.type is LzType.RGBA:
        codes += glz_tokens(header.width * header.height, b"\xff", 2)
    return _filled(data[:_GLZ_HEADER] + codes, len(data))


def blurred_jpeg(data: Data, limits: Limits) -> bytes | None:
    """Return a JPEG in blocks as long as `data`; None where it cannot be decoded or has no room for them."""
    data = bytes(data)
    frame = encode_jpeg.frame_header(data)
    shapes = None if frame is None else encode_jpeg.plane_shapes(frame)
    if frame is None or shapes is None:
        return None
    try:
        blocks = blocks_of(decode_jpeg(data, limits=limits).pixels).astype(np.float64)
    except DecodeError:
        return None
    blue, green, red = blocks[..., 0], blocks[..., 1], blocks[..., 2]
    # Source: JFIF 1.02, conversion to and from RGB.
    levels = [
        0.299 * red + 0.587 * green + 0.114 * blue - 128,
        -0.168736 * red - 0.331264 * green + 0.5 * blue,
        0.5 * red - 0.418688 * green - 0.081312 * blue,
    ]
    if len(shapes) not in (1, 3):
        return None
    planes = []
    for level, (high, wide, block_height, block_width) in zip(levels, shapes, strict=False):
        down = np.minimum(np.arange(high) * block_height // SIDE, level.shape[0] - 1)
        across = np.minimum(np.arange(wide) * block_width // SIDE, level.shape[1] - 1)
        planes.append(np.clip(np.rint(level[down][:, across]), -128, 127).astype(np.int64))
    return encode_jpeg.blocky(frame, len(data), planes)
