"""Pictures as a canvas keeps them: words of the surface's own format, and which of them are known.

A surface stores what the wire gave it, pad bits included, since raster operations and later readers see them.
Arithmetic on colours happens on ARGB words, to and from which every format converts as pixman does.
Source: spice-wire.md 7.5, 8.1; spice-common common/pixman_utils.c, spice_surface_format_to_pixman; pixman
pixman-access.c.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from spicereplay.display.region import NOWHERE, Box, Mask, Region
from spicereplay.limits import Limits
from spicereplay.protocol.enums import SurfaceFormat

Words = npt.NDArray[Any]
"""(height, width) words of one format: uint32, uint16 or uint8."""
ArgbWords = npt.NDArray[np.uint32]
"""(height, width) uint32, 0xAARRGGBB, colours premultiplied."""


class WordFormat(Enum):
    """What the words of a picture mean; the value is for people."""

    A1 = "1-bit alpha"
    """One byte per pixel here, 0 or 1."""
    A8 = "8-bit alpha"
    X555 = "xRGB 1555"
    R565 = "RGB 565"
    X888 = "xRGB 8888"
    A888 = "ARGB 8888"

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of one word."""
        return _DTYPES[self]

    @property
    def bits(self) -> int:
        """The bits of a word that a raster operation can change."""
        return 1 if self is WordFormat.A1 else (1 << 8 * self.dtype.itemsize) - 1


_DTYPES: Final[dict[WordFormat, np.dtype[Any]]] = {
    WordFormat.A1: np.dtype(np.uint8),
    WordFormat.A8: np.dtype(np.uint8),
    WordFormat.X555: np.dtype(np.uint16),
    WordFormat.R565: np.dtype(np.uint16),
    WordFormat.X888: np.dtype(np.uint32),
    WordFormat.A888: np.dtype(np.uint32),
}

SURFACE_FORMATS: Final[dict[int, WordFormat]] = {
    SurfaceFormat.FMT_1_A: WordFormat.A1,
    SurfaceFormat.FMT_8_A: WordFormat.A8,
    SurfaceFormat.FMT_16_555: WordFormat.X555,
    SurfaceFormat.FMT_16_565: WordFormat.R565,
    SurfaceFormat.FMT_32_xRGB: WordFormat.X888,
    SurfaceFormat.FMT_32_ARGB: WordFormat.A888,
}

_OPAQUE: Final = np.uint32(0xFF000000)
_COLOURS: Final = np.uint32(0x00FFFFFF)


def to_argb(words: Words, format: WordFormat) -> ArgbWords:
    """Return words of any format as ARGB; formats without alpha become opaque, those without colour black."""
    if format is WordFormat.A888:
        return words
    if format is WordFormat.X888:
        return words | _OPAQUE
    wide: Any = words.astype(np.uint32)
    if format is WordFormat.A8:
        alpha: ArgbWords = wide << 24
        return alpha
    if format is WordFormat.A1:
        return np.where(words != 0, _OPAQUE, np.uint32(0))
    colours: ArgbWords
    if format is WordFormat.X555:
        colours = _OPAQUE | _scaled(wide >> 10, 5) << 16 | _scaled(wide >> 5, 5) << 8 | _scaled(wide, 5)
    else:
        colours = _OPAQUE | _scaled(wide >> 11, 5) << 16 | _scaled(wide >> 5, 6) << 8 | _scaled(wide, 5)
    return colours


def _scaled(values: Any, bits: int) -> Any:
    """Return the low `bits` (5 or 6) widened to 8 by repeating their top bits."""
    low = values & ((1 << bits) - 1)
    return low << (8 - bits) | low >> (2 * bits - 8)


def from_argb(argb: ArgbWords, format: WordFormat) -> Words:
    """Return ARGB words in any format: colours cut to the bits there are, alpha dropped where there is none."""
    if format in (WordFormat.A888, WordFormat.X888):
        return argb
    if format is WordFormat.A8:
        return (argb >> 24).astype(np.uint8)
    if format is WordFormat.A1:
        return (argb >> 31).astype(np.uint8)
    if format is WordFormat.X555:
        packed = argb >> 9 & 0x7C00 | argb >> 6 & 0x03E0 | argb >> 3 & 0x001F
    else:
        packed = argb >> 8 & 0xF800 | argb >> 5 & 0x07E0 | argb >> 3 & 0x001F
    return packed.astype(np.uint16)


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """Something to draw from: an image that was decoded, or a surface as it is now."""

    words: Words
    """(height, width) in `format`."""
    format: WordFormat
    unknown: Mask | None = None
    """(height, width) bool, True where the pixel cannot be known; None: all are known."""

    @property
    def box(self) -> Box:
        """Its extent, from (0, 0)."""
        return Box(0, 0, self.words.shape[1], self.words.shape[0])

    def argb(self) -> ArgbWords:
        """Return all of it as ARGB words."""
        return to_argb(self.words, self.format)

    def converted(self, format: WordFormat) -> Picture:
        """Return it in another format; itself where it is so already."""
        if format is self.format:
            return self
        return Picture(from_argb(self.argb(), format), format, self.unknown)

    def read_as(self, format: WordFormat) -> Picture:
        """Return the same words taken to mean another format of the same size (xRGB as ARGB, say)."""
        return Picture(self.words, format, self.unknown)

    def unknown_in(self, box: Box) -> Mask | None:
        """Return which pixels of `box`, which lies inside, are unknown; None: none."""
        return None if self.unknown is None else self.unknown[box.slices]


@dataclass(slots=True, eq=False)
class Surface:
    """A drawing surface of a display channel."""

    surface_id: int
    format: WordFormat
    words: Words
    """(height, width); bytes of xRGB words beside the colours are whatever the drawing left there."""
    unknown: Mask | None = None
    """(height, width) bool, True where the content cannot be known; None: all of it is known."""
    primary: bool = False
    streaming: bool = False
    """Carries video only, from a guest's streaming agent."""
    inferred: bool = False
    """Its SURFACE_CREATE was not seen: size and format are concluded from what was drawn on it."""

    @property
    def box(self) -> Box:
        """Its extent, from (0, 0)."""
        return Box(0, 0, self.words.shape[1], self.words.shape[0])

    def picture(self) -> Picture:
        """Return its present content to draw from; drawing on the surface changes that picture too."""
        return Picture(self.words, self.format, self.unknown)

    def read(self, box: Box) -> Words:
        """Return the words of `box`, which lies inside; a view."""
        return self.words[box.slices]

    def unknown_in(self, box: Box) -> Mask | None:
        """Return which pixels of `box`, which lies inside, are unknown; None: none. A view."""
        return None if self.unknown is None else self.unknown[box.slices]

    def put(self, region: Region, words: Words | int, unknown: Mask | None = None) -> None:
        """Write `words`, of the shape of the region's box or one for all, where the region is.

        `unknown`, of the same shape, says which of them are not known; None: all are.
        """
        view = self.words[region.box.slices]
        if region.mask is None:
            view[...] = words
        else:
            np.copyto(view, np.asarray(words, self.words.dtype), where=region.mask)
        if self.unknown is None and unknown is None:
            return
        self.mark(region, False if unknown is None else unknown)

    def mark(self, region: Region, unknown: Mask | bool) -> None:
        """Set where the region is whether its pixels are unknown."""
        if self.unknown is None:
            if unknown is False:
                return
            self.unknown = np.zeros(self.words.shape, np.bool_)
        view = self.unknown[region.box.slices]
        if region.mask is None:
            view[...] = unknown
        else:
            np.copyto(view, unknown, where=region.mask)
        if unknown is False and not self.unknown.any():
            self.unknown = None

    def grow(self, box: Box, limits: Limits) -> None:
        """Make an inferred surface large enough for `box`; what is new is unknown.

        A box beyond what a surface may be changes nothing.
        """
        extent = extent_of(self.box.union(box), limits)
        rows, columns = self.words.shape
        if extent.right <= columns and extent.bottom <= rows:
            return
        words = np.zeros((extent.bottom, extent.right), self.words.dtype)
        words[:rows, :columns] = self.words
        unknown = np.ones(words.shape, np.bool_)
        unknown[:rows, :columns] = False if self.unknown is None else self.unknown
        self.words, self.unknown = words, unknown


def extent_of(box: Box, limits: Limits) -> Box:
    """Return from (0, 0) to the end of `box`; empty where that is more than a surface may have."""
    right, bottom = box.right, box.bottom
    if max(right, bottom) > limits.image_side_px or right * bottom > limits.image_pixels:
        return NOWHERE
    return Box(0, 0, right, bottom)


def new_surface(
    surface_id: int, width: int, height: int, format: WordFormat, *, primary: bool, streaming: bool = False
) -> Surface:
    """Return a surface as SURFACE_CREATE makes it: all zero, which is known.

    Source: spice-gtk src/channel-display.c, create_canvas.
    """
    words = np.zeros((height, width), format.dtype)
    return Surface(surface_id, format, words, None, primary, streaming)


def inferred_surface(surface_id: int, width: int, height: int) -> Surface:
    """Return a surface that must exist although its creation was not seen: 32-bit xRGB, nothing of it known.

    Servers make the primary surface of every present-day guest xRGB; 16-bit ones are older than the protocol's
    current version.
    """
    shape = height, width
    return Surface(
        surface_id,
        WordFormat.X888,
        np.zeros(shape, np.uint32),
        np.ones(shape, np.bool_),
        primary=surface_id == 0,
        inferred=True,
    )
