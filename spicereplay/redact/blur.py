"""Images and frames as blocks of colour, in the same codec and as many bytes; None where that cannot be had.

Source: spice-wire.md 8 and 9.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import lz4.block
import numpy as np
import numpy.typing as npt

from spicereplay.codecs.base import Data
from spicereplay.codecs.bitmap import BITS, BitmapFormat
from spicereplay.codecs.glz import inflate_glz, parse_glz_header
from spicereplay.codecs.jpeg import decode_jpeg
from spicereplay.codecs.lz import INDEX_BITS, LzType, parse_lz_header
from spicereplay.codecs.palette import palette_of
from spicereplay.codecs.quic import QuicType, parse_quic_header
from spicereplay.display.images import decode_alone
from spicereplay.errors import DecodeError
from spicereplay.limits import Limits
from spicereplay.protocol.enums import BitmapFlags, ImageType
from spicereplay.protocol.messages.images import BinaryData, Bitmap, Image, JpegAlpha, LzPlt, ZlibGlz
from spicereplay.redact import encode_jpeg, encode_lz4
from spicereplay.redact.blocks import (
    NARROWEST,
    Bytes,
    Mosaic,
    commonest,
    index_rows,
    mosaic_of,
    plane_tokens,
    raw_rows,
    tokens,
    units_of,
)
from spicereplay.redact.encode_lz import glz_tokens
from spicereplay.redact.encode_quic import quic_codes
from spicereplay.redact.glz_links import Dictionary
from spicereplay.redact.pictures import lz_plane, lz_with_alpha
from spicereplay.redact.stretch_lz import exactly

_QUIC_HEADER = 20
_LZ_HEADER = 28
_GLZ_HEADER = 33
_LZ4_HEADER = 2
_COLOURS = (LzType.RGB16, LzType.RGB24, LzType.RGB32, LzType.RGBA)
_NUMBERS = palette_of(range(256))
"""The palette whose colours are their own numbers, in blue."""
_INDEXED = {
    BitmapFormat.BIT1_LE: False,
    BitmapFormat.BIT1_BE: True,
    BitmapFormat.BIT4_LE: False,
    BitmapFormat.BIT4_BE: True,
    BitmapFormat.BIT8: False,
}
"""Formats of numbers of colours, and whether the leftmost is in the highest bits."""
_HIGH_FIRST = (LzType.PLT1_BE, LzType.PLT4_BE)


def blurred_image(image: Image, limits: Limits, known: Dictionary) -> Image | None:
    """Return an image in blocks, as large as `image` in pixels and bytes; None where there is none.

    Palettes stay: they say which colours there are, and not where.
    """
    if min(image.descriptor.width, image.descriptor.height) < NARROWEST:
        return None
    try:
        data = _blurred(image, limits, known)
    except DecodeError:
        return None
    return None if data is None else replace(image, data=replace(image.data, data=data))  # type: ignore[type-var]


def _blurred(image: Image, limits: Limits, known: Dictionary) -> bytes | None:
    """Return the data of an image in blocks."""
    match image.data:
        case ZlibGlz() as data:
            glz = inflate_glz(data.data, data.glz_data_size, limits=limits)
            return _glz(glz, known, lambda made: _filled(zlib.compress(made, 9), len(data.data)))
        case Bitmap() as data:
            return _bitmap(image, data, limits)
        case LzPlt() as data:
            return _indexed_lz(data.data, _numbers(image, limits))
        case JpegAlpha() as data:
            cut = min(data.jpeg_size, len(data.data))
            jpeg = blurred_jpeg(data.data[:cut], limits)
            plane = _opaque_plane(data.data[cut:], limits)
            return None if jpeg is None or plane is None else jpeg + plane
        case BinaryData() as data:
            return _binary(image, data.data, limits, known)
    return None


def _binary(image: Image, data: bytes, limits: Limits, known: Dictionary) -> bytes | None:
    match image.descriptor.type:
        case ImageType.GLZ_RGB:
            return _glz(data, known, lambda made: _filled(made, len(data)))
        case ImageType.LZ_RGB:
            return _lz(data, mosaic_of(decode_alone(image, None, limits).pixels))
        case ImageType.QUIC:
            return _quic(data, mosaic_of(decode_alone(image, None, limits).pixels))
        case ImageType.LZ4:
            return _lz4(data, mosaic_of(decode_alone(image, None, limits).pixels))
        case ImageType.JPEG:
            return blurred_jpeg(data, limits)
    return None


def _filled(data: bytes, size: int) -> bytes | None:
    return data.ljust(size, b"\0") if len(data) <= size else None


def _numbers(image: Image, limits: Limits) -> Bytes:
    """Return the numbers of an image's colours, whatever its palette."""
    return decode_alone(image, _NUMBERS, limits).pixels[..., 0]


def _bitmap(image: Image, data: Bitmap, limits: Limits) -> bytes | None:
    if data.format not in BITS:
        return None
    kind = BitmapFormat(data.format)
    if kind in _INDEXED:
        rows: Bytes | None = index_rows(commonest(_numbers(image, limits)), BITS[kind], _INDEXED[kind])
    elif kind is BitmapFormat.A8:
        return None
    else:
        rows = raw_rows(mosaic_of(decode_alone(image, None, limits).pixels), BITS[kind])
    if rows is None or rows.shape[1] > data.stride:
        return None
    out = np.zeros((data.y, data.stride), np.uint8)
    out[:, : rows.shape[1]] = rows if data.flags & BitmapFlags.TOP_DOWN else rows[::-1]
    return out.tobytes()


def _lz(data: bytes, mosaic: Mosaic) -> bytes | None:
    header = parse_lz_header(data)
    if header.type not in _COLOURS or header.width >= 1 << 16:
        return None
    rgb16 = header.type is LzType.RGB16
    size, bias = (2, 2) if rgb16 else (3, 1)
    room = len(data) - _LZ_HEADER

    def colours(coarse: Mosaic, room: int) -> bytes:
        least = tokens(coarse, top_down=header.top_down, rgb16=rgb16, glz=False)
        if len(least) >= room:
            return least
        units = units_of(coarse, top_down=header.top_down, rgb16=rgb16)
        return exactly(least, lambda at: units[size * at : size * at + size], bias, room) or least

    for coarse in mosaic.sizes():
        if header.type is LzType.RGBA:
            count = header.width * header.height
            codes = lz_with_alpha(count, b"\xff", partial(colours, coarse), room)
        else:
            codes = colours(coarse, room)
        if len(codes) == room:
            return data[:_LZ_HEADER] + codes
    return None


def _indexed_lz(data: bytes, numbers: Bytes) -> bytes | None:
    header = parse_lz_header(data)
    if header.type not in INDEX_BITS:
        return None
    room = len(data) - _LZ_HEADER
    for coarse in commonest(numbers).sizes():
        rows = index_rows(coarse, INDEX_BITS[header.type], header.type in _HIGH_FIRST)
        padded = np.zeros((header.height, header.stride), np.uint8)
        padded[:, : rows.shape[1]] = rows if header.top_down else rows[::-1]
        codes = exactly(plane_tokens(padded), _bytes_of(padded.tobytes()), 3, room)
        if codes is not None:
            return data[:_LZ_HEADER] + codes
    return None


def _bytes_of(plane: bytes) -> Callable[[int], bytes]:
    return lambda at: plane[at : at + 1]


def _opaque_plane(data: bytes, limits: Limits) -> bytes | None:
    """Return the alpha plane of a JPEG_ALPHA image, opaque everywhere."""
    header = parse_lz_header(data)
    count = header.width * header.height
    if header.type is not LzType.XXXA or count > limits.image_pixels:
        return None
    codes = lz_plane(count, b"\xff", 3, len(data) - _LZ_HEADER)
    return data[:_LZ_HEADER] + codes if len(codes) == len(data) - _LZ_HEADER else None


def _glz(data: bytes, known: Dictionary, packed: Callable[[bytes], bytes | None]) -> bytes | None:
    """Return a GLZ image in blocks; one that lacks something is not there whole, and stays black.

    `packed` gives what is sent of a stream that fits.
    """
    header = parse_glz_header(data)
    mosaic = known.mosaics.get(header.id)
    if mosaic is None or header.id in known.lacks or header.type not in _COLOURS or header.width >= 1 << 17:
        return None
    for coarse in mosaic.sizes():
        codes = tokens(coarse, top_down=header.top_down, rgb16=header.type is LzType.RGB16, glz=True)
        if header.type is LzType.RGBA:
            codes += glz_tokens(header.width * header.height, b"\xff", 2)
        made = _filled(data[:_GLZ_HEADER] + codes, len(data))
        sent = None if made is None else packed(made)
        if sent is not None:
            return sent
    return None


def _quic(data: bytes, mosaic: Mosaic) -> bytes | None:
    kind = parse_quic_header(data).type
    for coarse in mosaic.sizes():
        codes = quic_codes(coarse.words(), QuicType(kind), len(data) - _QUIC_HEADER)
        if codes is not None:
            return _filled(data[:_QUIC_HEADER] + codes, len(data))
    return None


def _lz4(data: bytes, mosaic: Mosaic) -> bytes | None:
    """Return an LZ4 image in blocks; each of its LZ4 blocks holds as much of the picture as before."""
    if data[1] not in BitmapFormat.__members__.values():
        return None
    for coarse in mosaic.sizes():
        rows = raw_rows(coarse, BITS[BitmapFormat(data[1])])
        if rows is None:
            return None
        raw = np.ascontiguousarray(rows if data[0] else rows[::-1]).tobytes()
        made = _lz4_blocks(data, raw)
        if made is not None:
            return made
    return None


def _lz4_blocks(data: bytes, raw: bytes) -> bytes | None:
    made = bytearray(data[:_LZ4_HEADER])
    old = b""
    at, done = _LZ4_HEADER, 0
    while done < len(raw):
        (length,) = struct.unpack_from(">I", data, at)
        # It could be decoded once before.
        plain = lz4.block.decompress(
            data[at + 4 : at + 4 + length], uncompressed_size=len(raw) - done, dict=old[-_LZ4_REACH:]
        )
        block = encode_lz4.exactly(
            raw[done : done + len(plain)], length, raw[max(0, done - _LZ4_REACH) : done]
        )
        if block is None:
            return None
        made += data[at : at + 4] + block
        old = old[-_LZ4_REACH:] + plain
        done += len(plain)
        at += 4 + length
    return bytes(made).ljust(len(data), b"\0")


_LZ4_REACH = 64 * 1024
"""How far back an LZ4 copy can lie. Source: lz4 doc/lz4_Block_format.md."""


def blurred_jpeg(data: Data, limits: Limits) -> bytes | None:
    """Return a JPEG in blocks as long as `data`; None where it cannot be decoded or has no room for them."""
    data = bytes(data)
    frame = encode_jpeg.frame_header(data)
    shapes = None if frame is None else encode_jpeg.plane_shapes(frame)
    if frame is None or shapes is None or len(shapes) not in (1, 3):
        return None
    try:
        mosaic = mosaic_of(decode_jpeg(data, limits=limits).pixels)
    except DecodeError:
        return None
    for coarse in mosaic.sizes():
        made = encode_jpeg.blocky(frame, len(data), _planes(coarse, shapes))
        if made is not None:
            return made
    return None


def _planes(mosaic: Mosaic, shapes: list[tuple[int, int, int, int]]) -> list[npt.NDArray[np.int64]]:
    """Return the levels of the blocks of a JPEG's components. Source: JFIF 1.02, conversion to and from RGB."""
    blue, green, red = (mosaic.blocks[..., n].astype(np.float64) for n in range(3))
    levels = [
        0.299 * red + 0.587 * green + 0.114 * blue - 128,
        -0.168736 * red - 0.331264 * green + 0.5 * blue,
        0.5 * red - 0.418688 * green - 0.081312 * blue,
    ]
    planes = []
    for level, (high, wide, block_height, block_width) in zip(levels, shapes, strict=False):
        down = np.minimum(np.arange(high) * block_height // mosaic.side, level.shape[0] - 1)
        across = np.minimum(np.arange(wide) * block_width // mosaic.side, level.shape[1] - 1)
        planes.append(np.clip(np.rint(level[down][:, across]), -128, 127).astype(np.int64))
    return planes
