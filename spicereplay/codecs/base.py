"""What every decoder takes and gives: pixels, sizes, limits and the words for what went wrong.

One pixel layout is used everywhere: a C-contiguous uint8 array of shape (height, width, 4), rows from top to
bottom, the bytes of a pixel in the order blue, green, red, alpha. That is a little-endian xRGB or ARGB word,
the layout of a SPICE surface. Where a picture has no alpha of its own the fourth byte is 255.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Final, NoReturn

import numpy as np
import numpy.typing as npt

from spicereplay.defects import DefectKind
from spicereplay.errors import DecodeError
from spicereplay.limits import Limits

if sys.byteorder != "little":
    raise ImportError("spicereplay.codecs stores pixels as little-endian words; this machine is big-endian")

Data = bytes | bytearray | memoryview
"""Compressed bytes; a memoryview must be contiguous and of single bytes."""
PixelArray = npt.NDArray[np.uint8]
"""Pixels as (height, width, 4) uint8: B, G, R, A; rows top-down; C-contiguous."""
Mask = npt.NDArray[np.bool_]
Size = tuple[int, int]
"""Width and height in pixels."""

KERNEL: Final = "kernel"
"""`Decoded.backend` of the decoders in `_kernels`."""


class PixelFormat(StrEnum):
    """What the compressed data itself held, before it became B, G, R, A."""

    PLT1 = "plt1"
    PLT4 = "plt4"
    PLT8 = "plt8"
    A8 = "a8"
    GRAY = "gray"
    RGB16 = "rgb16"
    RGB24 = "rgb24"
    RGB32 = "rgb32"
    RGBA = "rgba"
    YUV = "yuv"


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """One decoded picture, and who decoded it."""

    pixels: PixelArray
    """(height, width, 4) uint8, see the module's docstring. Read-only where `pixels.flags.writeable` says so
    (a picture that the GLZ window holds too)."""
    backend: str
    """Which decoder made it: `kernel`, `simplejpeg 1.9.0`, `pyav h264 (FFmpeg 8.0)`."""
    format: PixelFormat
    alpha: bool
    """Whether the fourth byte means something; where not it is 255. Colours are premultiplied by convention
    and never touched. An `A8` picture has only alpha, its colours are 0."""
    unknown: Mask | None = None
    """(height, width) bool, True where the pixel could not be known because the data it refers to was never
    seen (`glz.decode_glz` with `partial=True`); None: all of it is known."""
    outside_palette: int = 0
    """Pixels whose index lies past the end of the palette; they are black."""

    @property
    def width(self) -> int:
        """Width in pixels."""
        return int(self.pixels.shape[1])

    @property
    def height(self) -> int:
        """Height in pixels."""
        return int(self.pixels.shape[0])


@dataclass(frozen=True, slots=True)
class BackendInfo:
    """One decoder that exists on this machine, for people to read."""

    name: str
    version: str
    detail: str


@dataclass(frozen=True, slots=True)
class BackendMissing:
    """One decoder that could exist and does not, and what to do about it."""

    name: str
    why: str
    how: str


class Status(IntEnum):
    """How a kernel ended. The numbers stand in `_kernels/status.pxd` too."""

    OK = 0
    SHORT = 1
    """The input ended before the picture was complete."""
    OVERRUN = 2
    """The data asked for more than the picture holds."""
    BAD_REFERENCE = 3
    """A copy from before the first pixel, or past the end of another image."""
    MISSING = 4
    """A copy from an image that is not in the GLZ window."""


def raise_status(status: int, codec: str, offset: int) -> NoReturn:
    """Raise the `DecodeError` for a kernel's status other than OK or MISSING; `offset` in bytes."""
    if status == Status.SHORT:
        raise DecodeError(
            f"{codec}: compressed data ends early, at byte {offset}",
            reason=DefectKind.CODEC_DATA_SHORT,
            offset=offset,
        )
    what = (
        "more pixels than the picture has" if status == Status.OVERRUN else "a reference outside the picture"
    )
    raise DecodeError(f"{codec}: {what}, at byte {offset}", reason=DefectKind.CODEC_DATA, offset=offset)


def check_size(codec: str, width: int, height: int, limits: Limits, expected: Size | None = None) -> None:
    """Hold a picture's size against the limits and against what the image descriptor said.

    Raises `DecodeError`: `image_over_limit` over `Limits.image_side_px` or `Limits.image_pixels`;
    `codec_data` if a side is 0 or less, or if the size is not `expected` (width, height).
    Source: spice-wire.md 8.1, "Descriptor width/height must equal the codec's own header".
    """
    if width <= 0 or height <= 0:
        raise DecodeError(f"{codec}: picture of {width}×{height} pixels")
    if max(width, height) > limits.image_side_px or width * height > limits.image_pixels:
        raise DecodeError(
            f"{codec}: image dimensions over the limit: {width}×{height} pixels, at most "
            f"{limits.image_side_px} a side and {limits.image_pixels} in all",
            reason=DefectKind.IMAGE_OVER_LIMIT,
        )
    if expected is not None and (width, height) != expected:
        raise DecodeError(
            f"{codec}: the data says {width}×{height} pixels, "
            f"the image descriptor {expected[0]}×{expected[1]}"
        )


def check_header(codec: str, data: Data, size: int) -> None:
    """Raise `DecodeError` (`codec_data_short`) unless `data` holds a header of `size` bytes."""
    if len(data) < size:
        raise DecodeError(
            f"{codec}: compressed data ends early: {len(data)} bytes, the header alone has {size}",
            reason=DefectKind.CODEC_DATA_SHORT,
            offset=len(data),
        )


def top_down_rows(pixels: PixelArray, top_down: bool) -> PixelArray:
    """Return `pixels` with the top row first, given whether they are so already; a copy if they are not."""
    return pixels if top_down else np.ascontiguousarray(pixels[::-1])
