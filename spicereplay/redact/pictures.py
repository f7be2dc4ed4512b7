"""Images of draw messages, replaced by black ones of the same codec, size in pixels and size in bytes.

What a compressed image is longer than its black twin is filled up in a way that decoders take: zero bytes behind the
last code of QUIC, GLZ, zlib and JPEG, literals instead of copies in LZ and LZ4. The numbers of the GLZ
window are kept, so that what could be referred to still can.
Source: spice-wire.md 8 and 9.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import Final

import lz4.block

from spicereplay.codecs.bitmap import BITS, BitmapFormat
from spicereplay.codecs.glz import inflate_glz, parse_glz_header
from spicereplay.codecs.lz import INDEX_BITS, LzType, parse_lz_header
from spicereplay.codecs.palette import palette_of
from spicereplay.codecs.quic import parse_quic_header
from spicereplay.display.images import decode_alone
from spicereplay.errors import DecodeError
from spicereplay.limits import Limits
from spicereplay.protocol.enums import ImageType
from spicereplay.protocol.messages.images import (
    BinaryData,
    Bitmap,
    Image,
    JpegAlpha,
    LzPlt,
    Palette,
    SurfaceImage,
    ZlibGlz,
)
from spicereplay.redact import encode_jpeg, encode_lz, encode_lz4, encode_quic
from spicereplay.redact.glz_links import Lacks
from spicereplay.redact.stretch_lz import exactly, few, same_mix

_QUIC_HEADER: Final = 20
_LZ_HEADER: Final = 28
_GLZ_HEADER: Final = 33
_LZ4_HEADER: Final = 2
NOTHING: Final[Lacks] = MappingProxyType({})
"""No image lacks anything."""
_REACH: Final = 64 * 1024
"""How far back an LZ4 copy can lie. Source: lz4 doc/lz4_Block_format.md."""


def blank_image(image: Image, limits: Limits, lacks: Lacks) -> Image:
    """Return a black image as large as `image`, in pixels and in bytes; `lacks` says which GLZ images lack what.

    An image that cannot be decoded becomes one that cannot be decoded either, for the same reason where one is found.
    """
    blank = _blank_image(image, limits, lacks)
    if image.descriptor.type in _DEPENDENT or image.data is None or isinstance(image.data, SurfaceImage):
        return blank
    fault = _fault(image, limits)
    if fault is None:
        return blank
    fallback = blank
    for kept in (_LONGEST_HEADER, 16, _LZ4_HEADER, 0):
        for fill in (b"\0", b"\xff"):
            tried = _with_data(blank, image.data.data[:kept], fill)
            found = _fault(tried, limits)
            if found == fault:
                return tried
            fallback = tried if found is not None else fallback
    return fallback


def _with_data(image: Image, head: bytes, fill: bytes) -> Image:
    """Return an image whose data begins with `head` and is filled up to its length."""
    data = image.data
    assert data is not None, "it has data"
    assert not isinstance(data, SurfaceImage), "nobody decodes a surface"
    size = len(data.data)
    return replace(image, data=replace(data, data=head.ljust(size, fill)[:size]))


_DEPENDENT: Final = (ImageType.GLZ_RGB, ImageType.ZLIB_GLZ_RGB)
_LONGEST_HEADER: Final = _LZ_HEADER
_NO_COLOURS: Final = (0,) * 256


def _fault(image: Image, limits: Limits) -> str | None:
    """Return why an image that depends on no other cannot be decoded; None: it can."""
    try:
        decode_alone(image, palette_of(_NO_COLOURS, rgb16=False), limits)
    except DecodeError as error:
        return str(error.reason)
    return None


def _blank_image(image: Image, limits: Limits, lacks: Lacks) -> Image:
    data = image.data
    if isinstance(data, Bitmap):
        return replace(
            image, data=replace(data, palette=_blank_palette(data.palette), data=bytes(len(data.data)))
        )
    if isinstance(data, LzPlt):
        blank = _blank(blank_lz, data.data, limits)
        return replace(image, data=replace(data, palette=_blank_palette(data.palette), data=blank))
    if isinstance(data, ZlibGlz):
        return replace(
            image, data=replace(data, data=blank_zlib_glz(data.data, data.glz_data_size, limits, lacks))
        )
    if isinstance(data, JpegAlpha):
        cut = min(data.jpeg_size, len(data.data))
        alpha = _blank(blank_lz, data.data[cut:], limits)
        return replace(image, data=replace(data, data=blank_jpeg(data.data[:cut]) + alpha))
    if isinstance(data, BinaryData):
        size = image.descriptor.width, image.descriptor.height
        return replace(
            image,
            data=replace(data, data=_blank_binary(image.descriptor.type, data.data, size, limits, lacks)),
        )
    return image


def _blank_palette(palette: Palette | None) -> Palette | None:
    return None if palette is None else replace(palette, ents=(0,) * len(palette.ents))


def _blank_binary(kind: int, data: bytes, size: tuple[int, int], limits: Limits, lacks: Lacks) -> bytes:
    match kind:
        case ImageType.QUIC:
            return _blank(blank_quic, data, limits)
        case ImageType.LZ_RGB:
            return _blank(blank_lz, data, limits)
        case ImageType.GLZ_RGB:
            return _blank(partial(blank_glz, lacks=lacks), data, limits)
        case ImageType.LZ4:
            return blank_lz4(data, size, limits)
        case ImageType.JPEG:
            return blank_jpeg(data)
    return bytes(len(data))


def _blank(codec: Callable[[bytes, Limits], bytes], data: bytes, limits: Limits) -> bytes:
    """Call one of the functions below; where it finds no image, keep nothing."""
    try:
        return codec(data, limits)
    except DecodeError:
        return bytes(len(data))


def _fitted(head: bytes, codes: bytes, size: int) -> bytes:
    """Return header and codes, filled up or, where there is no room for them, the header alone and zeros."""
    whole = head + codes
    return whole.ljust(size, b"\0") if len(whole) <= size else head.ljust(size, b"\0")


def blank_quic(data: bytes, limits: Limits) -> bytes:
    """Return a black QUIC image; raises `DecodeError` where `data` has no QUIC header."""
    header = parse_quic_header(data)
    codes: bytes | None = None
    if header.width * header.height <= limits.image_pixels:
        codes = encode_quic.black(header.width, header.height, header.type, len(data) - _QUIC_HEADER)
    return (data[:_QUIC_HEADER] + (codes or b"")).ljust(len(data), b"\0")


def blank_lz(data: bytes, limits: Limits) -> bytes:
    """Return a black LZ image, its alpha 0, its indices 0; raises `DecodeError` where `data` has no LZ header.

    Its tokens take up all of its bytes. Where nothing else does, they are those of `data` without its colours: of a
    picture of a few pixels, or one that is a byte longer than the shortest there is.
    """
    header = parse_lz_header(data)
    count = min(header.width * header.height, limits.image_pixels)
    room = len(data) - _LZ_HEADER
    if header.type in INDEX_BITS:
        count = min(header.stride * header.height, limits.image_pixels)
    if header.type in INDEX_BITS or header.type in (LzType.XXXA, LzType.A8):
        codes = lz_plane(count, b"\0", 3, room)
    else:
        rgb16 = header.type is LzType.RGB16
        colours = partial(lz_plane, count, bytes(2 if rgb16 else 3), 2 if rgb16 else 1)
        codes = (
            colours(room) if header.type is not LzType.RGBA else lz_with_alpha(count, b"\0", colours, room)
        )
    if len(codes) != room:
        codes = _same_tokens(data[_LZ_HEADER:], header.type, count) or codes
    return _fitted(data[:_LZ_HEADER], codes, len(data))


def _same_tokens(tokens: bytes, kind: LzType, count: int) -> bytes | None:
    """Return tokens with nothing but zeros in them; None where they do not make up the picture and no more."""
    planes = [(b"\0", 3)]
    if kind not in INDEX_BITS and kind not in (LzType.XXXA, LzType.A8):
        planes = [(bytes(2), 2) if kind is LzType.RGB16 else (bytes(3), 1)]
        planes += [(b"\0", 3)] if kind is LzType.RGBA else []
    made = b""
    for unit, bias in planes:
        try:
            made += same_mix(tokens[len(made) :], count, unit, bias)
        except IndexError:
            return None
    return made if len(made) == len(tokens) else None


def lz_with_alpha(count: int, alpha: bytes, colours: Callable[[int], bytes], room: int) -> bytes:
    """Return LZ tokens of colours and of an alpha plane that is `alpha` everywhere, together `room` bytes if possible.

    `colours` gives the tokens of the colours for a number of bytes that they should have.
    """
    least = encode_lz.lz_tokens(count, alpha, 3)
    codes = colours(room - len(least)) + least
    for more in range(1, _ALPHA_STRETCH):
        if len(codes) == room:
            break
        plane = lz_plane(count, alpha, 3, len(least) + more)
        tried = colours(room - len(plane)) + plane
        codes = tried if len(tried) == room else codes
    return codes


_ALPHA_STRETCH: Final = 12


def lz_plane(count: int, unit: bytes, bias: int, room: int) -> bytes:
    """Return LZ tokens for `count` times `unit`, `room` bytes long where there are such, else as short as can be."""
    least = encode_lz.lz_tokens(count, unit, bias)
    made = exactly(least, lambda _: unit, bias, room) or few(count, unit, bias, room)
    if made is None and count > bias + 1:
        # One literal more at the front is the only way to some sizes.
        longer = b"\1" + unit * 2 + encode_lz.lz_back(count - 2, 1, bias)
        made = exactly(longer, lambda _: unit, bias, room)
    return made or least


def blank_glz(data: bytes, limits: Limits, lacks: Lacks = NOTHING) -> bytes:
    """Return a black GLZ image with the same place in the window; one that lacks something lacks it still.

    An image so small that nothing fits but copies of other images keeps these copies: they copy black now. Raises
    `DecodeError` where `data` has no GLZ header.
    """
    header = parse_glz_header(data)
    count = min(header.width * header.height, limits.image_pixels)
    planes = [(bytes(2 if header.type is LzType.RGB16 else 3), 1 if header.type is LzType.RGB16 else 0)]
    if header.type is LzType.RGBA:
        planes.append((b"\0", 2))
    elif header.type is LzType.XXXA:
        planes = [(b"\0", 2)]
    codes = b""
    lack = lacks.get(header.id)
    if lack is not None and lack.broken:
        return data[:_GLZ_HEADER].ljust(len(data), b"\0")
    for unit, bias in planes:
        copied = bias + 1 if lack is not None and not codes and count > bias else 0
        codes += encode_lz.glz_tokens(count - copied, unit, bias)
        if copied and lack is not None:
            # At the end, so that nothing after it copies what is not known.
            codes += encode_lz.glz_copy(copied, lack.images, max(0, lack.offset + 1 - copied), bias)
    if _GLZ_HEADER + len(codes) > len(data) and encode_lz.copies_only(data[_GLZ_HEADER:]):
        return data
    return _fitted(data[:_GLZ_HEADER], codes, len(data))


def blank_zlib_glz(data: bytes, glz_size: int, limits: Limits, lacks: Lacks = NOTHING) -> bytes:
    """Return a deflated black GLZ image of the same sizes, deflated and not."""
    try:
        glz = inflate_glz(data, glz_size, limits=limits)
        deflated = zlib.compress(blank_glz(glz, limits, lacks), 9)
    except DecodeError:
        return bytes(len(data))
    return deflated.ljust(len(data), b"\0") if len(deflated) <= len(data) else bytes(len(data))


def blank_lz4(data: bytes, size: tuple[int, int], limits: Limits) -> bytes:
    """Return a black LZ4 image whose blocks have the lengths they had; zeros from the first unreadable one on."""
    if len(data) < _LZ4_HEADER or data[1] not in BitmapFormat.__members__.values():
        return bytes(len(data))
    total = size[0] * BITS[BitmapFormat(data[1])] // 8 * size[1]
    if size[0] * size[1] > limits.image_pixels:
        total = 0
    made = bytearray(data[:_LZ4_HEADER])
    before = b""
    at, done = _LZ4_HEADER, 0
    while done < total and len(data) - at >= 4:
        (length,) = struct.unpack_from(">I", data, at)
        if length > len(data) - at - 4:
            break
        try:
            block = lz4.block.decompress(
                data[at + 4 : at + 4 + length], uncompressed_size=total - done, dict=before
            )
        except lz4.block.LZ4BlockError:
            break
        blank = encode_lz4.zeros(len(block), length, continued=done > 0)
        if blank is None or not block:
            break
        made += data[at : at + 4] + blank
        before = (before + block)[-_REACH:]
        done += len(block)
        at += 4 + length
    return bytes(made).ljust(len(data), b"\0")


def blank_jpeg(data: bytes) -> bytes:
    """Return a black JPEG of the same length; zeros where `data` is no JPEG."""
    frame = encode_jpeg.frame_header(data)
    blank = None if frame is None or data[:2] != b"\xff\xd8" else encode_jpeg.black(frame, len(data))
    return bytes(len(data)) if blank is None else blank
