"""SPICE GLZ images (types GLZ_RGB and ZLIB_GLZ_RGB) to pixels.

Source: spice-wire.md 9.2; spice server/glz-encode.tmpl.c; spice-gtk src/decode-glz-tmpl.c, src/decode-zlib.c.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import Final

import numpy as np

from spicereplay.codecs._kernels import glz as kernel
from spicereplay.codecs.base import (
    KERNEL,
    Data,
    Decoded,
    Size,
    Status,
    check_header,
    check_size,
    raise_status,
    top_down_rows,
)
from spicereplay.codecs.lz import FORMATS, LzType, check_identity
from spicereplay.codecs.window import GlzWindow
from spicereplay.defects import DefectKind
from spicereplay.errors import DecodeError
from spicereplay.limits import DEFAULT_LIMITS, Limits

_HEADER: Final = struct.Struct(">2IB3IQI")
_TYPES: Final = (LzType.RGB16, LzType.RGB24, LzType.RGB32, LzType.RGBA, LzType.XXXA)


class GlzReferenceMissing(DecodeError):
    """An image copies from another that is not in the window (`reason` is `glz_reference_missing`).

    `missing_id` names it; `may_come` says whether it could still arrive, from another display channel: then
    the caller can wait and decode again.
    """

    def __init__(self, image_id: int, missing_id: int, may_come: bool, offset: int) -> None:
        past = "has not been seen" if may_come else "is no longer held, or was never seen"
        super().__init__(
            f"glz: image {image_id} refers to image {missing_id}, which {past}",
            reason=DefectKind.GLZ_REFERENCE_MISSING,
            offset=offset,
        )
        self.image_id = image_id
        self.missing_id = missing_id
        self.may_come = may_come


@dataclass(frozen=True, slots=True)
class GlzHeader:
    """The 33 bytes before the tokens, as sent."""

    type: LzType
    top_down: bool
    width: int
    height: int
    stride: int
    id: int
    win_head_dist: int
    """`id - win_head_dist` is the oldest image that can still be referred to."""


def parse_glz_header(data: Data) -> GlzHeader:
    """Read a GLZ header; raises `DecodeError` where it is short, no GLZ, or of an unknown version or type."""
    check_header("glz", data, _HEADER.size)
    magic, version, kind, width, height, stride, image_id, head = _HEADER.unpack_from(data)
    check_identity("glz", magic, version, kind & 15)
    if kind & 15 not in _TYPES:
        raise DecodeError(
            f"glz: image type {LzType(kind & 15).name}", reason=DefectKind.CODEC_UNSUPPORTED, offset=8
        )
    return GlzHeader(LzType(kind & 15), bool(kind >> 4), width, height, stride, image_id, head)


def decode_glz(
    data: Data,
    window: GlzWindow,
    *,
    limits: Limits = DEFAULT_LIMITS,
    size: Size | None = None,
    partial: bool = False,
) -> Decoded:
    """Decode one GLZ image and add it to `window`.

    `data` begins at the GLZ header; `size` is the (width, height) of the image descriptor. The pixels of a
    top-down image are read-only: the window holds the same memory.

    With `partial`, what an image copies from one that is not there (a capture that begins in the middle)
    becomes black, an alpha 0, and is marked in `Decoded.unknown`; so it is in the images that copy it in turn. A
    pixel is unknown if its colours or its alpha are.

    Raises `GlzReferenceMissing`, or `DecodeError` with `codec_data`, `codec_data_short`, `image_over_limit`
    or `codec_unsupported`; the window is then as before.
    """
    header = parse_glz_header(data)
    check_size("glz", header.width, header.height, limits, size)
    alpha = header.type in (LzType.RGBA, LzType.XXXA)
    colours = header.type != LzType.XXXA
    count = header.width * header.height
    words = (np.empty if colours else np.zeros)(count, np.uint32)
    # Most windows hold nothing unknown, then there is nothing to follow.
    marks = np.zeros(count, np.uint8) if partial or window.partial_ids else None
    status, at, missing = kernel.glz_image(
        data,
        _HEADER.size,
        words,
        marks,
        colours,
        header.type == LzType.RGB16,
        alpha,
        partial,
        header.id,
        window.ids,
        window.addresses,
        window.units,
        window.marks,
    )
    if status == Status.MISSING:
        raise GlzReferenceMissing(header.id, missing, window.may_come(missing), at)
    if status:
        raise_status(status, "glz", at)

    if marks is not None and not marks.any():
        marks = None
    window.add(header.id, words, header.win_head_dist, marks)

    shape = header.height, header.width
    pixels = words.view(np.uint8).reshape(*shape, 4)
    unknown = None if marks is None else (marks != 0).reshape(shape)
    if header.top_down:
        pixels.flags.writeable = False
    elif unknown is not None:
        unknown = np.ascontiguousarray(unknown[::-1])
    return Decoded(
        top_down_rows(pixels, header.top_down), KERNEL, FORMATS[header.type], alpha, unknown=unknown
    )


def inflate_glz(data: Data, glz_size: int, *, limits: Limits = DEFAULT_LIMITS) -> bytes:
    """Return the GLZ image inside a ZLIB_GLZ one; `glz_size` is its length as the message says.

    Never inflates more than `glz_size` bytes, nor when that is over `Limits.message_bytes`.
    Raises `DecodeError`: `codec_data`, `codec_data_short`, `over_limit`.
    """
    if glz_size > limits.message_bytes:
        raise DecodeError(
            f"zlib_glz: {glz_size} bytes inflated, at most {limits.message_bytes}",
            reason=DefectKind.OVER_LIMIT,
        )
    stream = zlib.decompressobj()
    try:
        # One byte more than promised, to notice a stream that holds more.
        glz = stream.decompress(data, glz_size + 1)
    except zlib.error as error:
        raise DecodeError(f"zlib_glz: {error}") from None
    if len(glz) < glz_size:
        raise DecodeError(
            f"zlib_glz: compressed data ends early: {len(glz)} bytes inflated, {glz_size} promised",
            reason=DefectKind.CODEC_DATA_SHORT,
            offset=len(data),
        )
    if len(glz) > glz_size:
        raise DecodeError(f"zlib_glz: inflates to more than the {glz_size} bytes promised")
    return glz


def decode_zlib_glz(
    data: Data,
    glz_size: int,
    window: GlzWindow,
    *,
    limits: Limits = DEFAULT_LIMITS,
    size: Size | None = None,
    partial: bool = False,
) -> Decoded:
    """Decode one ZLIB_GLZ image: inflate it, then as `decode_glz`; raises what `inflate_glz` does, too."""
    return decode_glz(
        inflate_glz(data, glz_size, limits=limits), window, limits=limits, size=size, partial=partial
    )
