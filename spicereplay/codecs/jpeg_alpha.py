"""JPEG_ALPHA images: a JPEG for the colours, an LZ stream for the alpha.

Source: spice-wire.md 9.5; spice server/image-encoders.cpp, image_encoders_compress_jpeg; spice-common
common/canvas_base.c, canvas_get_jpeg_alpha.
"""

from __future__ import annotations

from dataclasses import replace

from spicereplay.codecs.base import Data, Decoded, PixelFormat, Size
from spicereplay.codecs.jpeg import JpegBackend, decode_jpeg
from spicereplay.codecs.lz import decode_lz_alpha
from spicereplay.defects import DefectKind
from spicereplay.errors import DecodeError
from spicereplay.limits import DEFAULT_LIMITS, Limits


def decode_jpeg_alpha(
    data: Data,
    jpeg_size: int,
    *,
    top_down: bool,
    limits: Limits = DEFAULT_LIMITS,
    size: Size | None = None,
    backend: JpegBackend | None = None,
) -> Decoded:
    """Decode one JPEG_ALPHA image: the first `jpeg_size` bytes are the JPEG, the rest its alpha plane.

    `top_down` is the image's flag: the row order of the alpha plane. The JPEG is top-down always. The colours
    are not multiplied with the alpha.

    Raises `DecodeError` as `jpeg.decode_jpeg` and `lz.decode_lz_alpha` do.
    """
    if jpeg_size > len(data):
        raise DecodeError(
            f"jpeg_alpha: compressed data ends early: {len(data)} bytes, the JPEG alone has {jpeg_size}",
            reason=DefectKind.CODEC_DATA_SHORT,
            offset=len(data),
        )
    view = memoryview(data)
    colours = decode_jpeg(view[:jpeg_size], limits=limits, backend=backend, size=size)
    decode_lz_alpha(view[jpeg_size:], colours.pixels, top_down=top_down)
    return replace(colours, format=PixelFormat.RGBA, alpha=True)
