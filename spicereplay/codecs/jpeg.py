"""JPEG images and MJPEG frames to pixels, through whichever library is selected.

Sources: spice-wire.md 9.5 (JPEG is always stored top-down) and 10.2 (MJPEG: spice-server writes Huffman
tables only into the first frame of a stream).
"""

from __future__ import annotations

from dataclasses import dataclass

from spicereplay.codecs.base import BackendInfo, Data, Decoded, PixelFormat, Size, check_size
from spicereplay.codecs.jpeg_backends import JpegBackend, available, missing, select
from spicereplay.codecs.jpeg_markers import (
    STANDARD_HUFFMAN,
    JpegHeader,
    jpeg_quality,
    parse_jpeg,
    with_huffman,
)
from spicereplay.defects import DefectKind
from spicereplay.errors import DecodeError
from spicereplay.limits import DEFAULT_LIMITS, Limits

__all__ = [
    "BackendInfo",
    "JpegBackend",
    "JpegHeader",
    "MjpegStream",
    "available",
    "decode_jpeg",
    "jpeg_quality",
    "missing",
    "parse_jpeg",
    "select",
]


def decode_jpeg(
    data: Data,
    *,
    limits: Limits = DEFAULT_LIMITS,
    backend: JpegBackend | None = None,
    size: Size | None = None,
    huffman: bytes = STANDARD_HUFFMAN,
) -> Decoded:
    """Decode one JPEG.

    `size` is the (width, height) that the image descriptor promised, if there was one; `huffman` are the DHT
    segments to use if the data has none (a single MJPEG frame); `backend` is one of `select()`.

    Raises `DecodeError`: `codec_data`, `codec_data_short`, `image_over_limit`, and `codec_unsupported` for
    anything but one or three colour components.
    """
    return _decode(bytes(data), parse_jpeg(data), limits, backend or select(), size, huffman)


@dataclass(slots=True)
class MjpegStream:
    """The frames of one MJPEG stream, in order; a `video.VideoDecoder`.

    A frame without Huffman tables is decoded with those of the last frame that had some and decoded, and with
    the standard ones before there was any.
    """

    jpeg: JpegBackend
    limits: Limits = DEFAULT_LIMITS
    huffman: bytes = STANDARD_HUFFMAN
    """DHT segments for the next frame without any."""

    @property
    def backend(self) -> str:
        """Name and version of the library that decodes."""
        return self.jpeg.label

    @property
    def waiting(self) -> bool:
        """Never: every frame is a whole picture."""
        return False

    def lost(self) -> None:
        """Frames are missing here, which changes nothing: every frame is a whole picture."""

    def decode(self, data: Data) -> Decoded:
        """Decode one frame; raises as `decode_jpeg` does."""
        header = parse_jpeg(data)
        picture = _decode(bytes(data), header, self.limits, self.jpeg, None, self.huffman)
        if header.huffman:
            self.huffman = header.huffman
        return picture


def _decode(
    data: bytes, header: JpegHeader, limits: Limits, backend: JpegBackend, size: Size | None, huffman: bytes
) -> Decoded:
    check_size("jpeg", header.width, header.height, limits, size)
    if header.components not in (1, 3):
        raise DecodeError(f"jpeg: {header.components} colour components", reason=DefectKind.CODEC_UNSUPPORTED)
    # Decoders draw what there is of a cut picture and fill up with grey, each in its own way: refuse it here.
    if data.rfind(b"\xff\xd9", header.scan_at) < 0:
        raise DecodeError(
            f"jpeg: compressed data ends early, at byte {len(data)}: no end-of-image marker",
            reason=DefectKind.CODEC_DATA_SHORT,
            offset=len(data),
        )
    if header.lacks_huffman:
        data = with_huffman(data, header, huffman)
    pixels = backend.decode(data, header.width, header.height)
    if pixels.shape != (header.height, header.width, 4):
        raise DecodeError(
            f"jpeg: {backend.label} gave {pixels.shape[1]}×{pixels.shape[0]} pixels, the header says "
            f"{header.width}×{header.height}"
        )
    return Decoded(
        pixels, backend.label, PixelFormat.YUV if header.components == 3 else PixelFormat.GRAY, False
    )
