"""What FILL, OPAQUE, STROKE and TEXT paint with: one colour, a repeated picture, or nothing.

Source: spice-common common/canvas_base.c, draw_brush; common/pixman_utils.c, spice_pixman_tile_rect.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spicereplay.display.region import Box, Mask
from spicereplay.display.surfaces import Picture, WordFormat, Words


@dataclass(frozen=True, slots=True)
class SolidBrush:
    """One word, written as it is: 0x00RRGGBB, on 16-bit surfaces a 16-bit colour."""

    color: int


@dataclass(frozen=True, slots=True, eq=False)
class PatternBrush:
    """A picture repeated in all directions; its first pixel lies at (`x`, `y`) of the surface."""

    picture: Picture
    x: int
    y: int


Brush = SolidBrush | PatternBrush | None
"""None paints with 0, which still matters to operations that invert."""


def same_words(picture: Picture, format: WordFormat) -> Picture:
    """Return the picture with words of `format`'s size.

    Words of that size already are taken as they are, whatever they mean: that is how a canvas copies.
    """
    return picture if picture.format.dtype == format.dtype else picture.converted(format)


def brush_words(brush: Brush, box: Box, format: WordFormat) -> tuple[Words | int, Mask | None]:
    """Return what the brush paints over `box`, one word or an array of its shape, and what of it is unknown."""
    if not isinstance(brush, PatternBrush):
        return (0 if brush is None else brush.color) & format.bits, None
    rows = np.arange(box.top, box.bottom)
    columns = np.arange(box.left, box.right)
    return _repeated(brush, rows[:, None], columns[None, :], format)


def brush_words_at(
    brush: Brush, x: np.ndarray[tuple[int], np.dtype[np.int64]], y: np.ndarray[tuple[int], np.dtype[np.int64]],
    format: WordFormat,
) -> tuple[Words | int, Mask | None]:  # fmt: skip
    """Return what the brush paints on single pixels, given their columns and rows."""
    if not isinstance(brush, PatternBrush):
        return (0 if brush is None else brush.color) & format.bits, None
    return _repeated(brush, y, x, format)


def _repeated(
    brush: PatternBrush, rows: Words, columns: Words, format: WordFormat
) -> tuple[Words, Mask | None]:
    tile = same_words(brush.picture, format)
    at = (rows - brush.y) % tile.box.height, (columns - brush.x) % tile.box.width
    unknown = None if tile.unknown is None else tile.unknown[at]
    return tile.words[at], unknown
