"""What each draw message does to a surface.

Every function takes the surface, the region it may touch (box, clip and mask already applied), and what the
message brings; it writes pixels, and for each pixel written whether it is known. A result is unknown if it depends
on an unknown source or an unknown destination pixel.
Source: spice-wire.md 7.5; spice-common common/canvas_base.c, common/sw_canvas.c.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from spicereplay.display import rop
from spicereplay.display.brush import Brush, brush_words, brush_words_at, same_words
from spicereplay.display.composite import Operator, combine
from spicereplay.display.region import Box, Mask, Region
from spicereplay.display.scaling import (
    IDENTITY,
    Repeat,
    Transform,
    covers,
    scaled,
    scaled_for_rop3,
    seen_through,
)
from spicereplay.display.stroke import Coordinates
from spicereplay.display.surfaces import ArgbWords, Picture, Surface, WordFormat, Words, from_argb, to_argb

_OPAQUE: Final = np.uint32(0xFF000000)
_COLOURS: Final = np.uint32(0x00FFFFFF)


def either(*masks: Mask | None) -> Mask | None:
    """Return where any of the masks is True; None stands for a mask that is False everywhere."""
    present = [mask for mask in masks if mask is not None]
    if len(present) < 2:
        return present[0] if present else None
    merged: Mask = np.logical_or.reduce(present)
    return merged


def _combined(surface: Surface, region: Region, table: int, words: Words | int, unknown: Mask | None) -> None:
    """Write `words` over the region by a two-operand table."""
    if table == rop.COPY:
        surface.put(region, words, unknown)
        return
    old = surface.read(region.box)
    from_source = unknown if rop.reads_source(table) else None
    from_old = surface.unknown_in(region.box) if rop.reads_destination(table) else None
    surface.put(region, rop.apply2(table, words, old, surface.format.bits), either(from_source, from_old))


def fill(surface: Surface, region: Region, brush: Brush, table: int = rop.COPY) -> None:
    """DRAW_FILL, and with a solid brush BLACKNESS, WHITENESS and INVERS."""
    if region.empty:
        return
    words, unknown = brush_words(brush, region.box, surface.format)
    _combined(surface, region, table, words, unknown)


def copy(
    surface: Surface,
    region: Region,
    source: Picture,
    area: Box,
    target: Box,
    *,
    table: int = rop.COPY,
    interpolate: bool = False,
) -> None:
    """DRAW_COPY and DRAW_BLEND: `area` of the source over `target`, scaled if their sizes differ.

    Without scaling, what `area` has outside of the source leaves the surface as it is; with scaling it is black.
    """
    if region.empty:
        return
    if (area.width, area.height) != (target.width, target.height):
        # What is only copied takes the surface's format, what is combined keeps the source's.
        format = surface.format if table == rop.COPY else source.format
        part = scaled(source, area, target, region.box, interpolate=interpolate, format=format)
        part = same_words(part, surface.format)
        _combined(surface, region, table, part.words, part.unknown)
        return
    inside, part = _overlap(surface, region, source, area, target)
    if not inside.empty:
        _combined(surface, inside, table, part.words, part.unknown)


def _overlap(
    surface: Surface, region: Region, source: Picture, area: Box, target: Box
) -> tuple[Region, Picture]:
    """Return the part of the region that the source covers, and the source's part for its box."""
    dx, dy = target.left - area.left, target.top - area.top
    inside = region.within(source.box.shift(dx, dy))
    if inside.empty:
        return inside, source
    same = same_words(source, surface.format)
    box = inside.box.shift(-dx, -dy)
    part = Picture(same.words[box.slices], same.format, same.unknown_in(box))
    if source.words is surface.words:
        # A surface drawn on itself: read everything before anything is written.
        part = Picture(part.words.copy(), part.format, None if part.unknown is None else part.unknown.copy())
    return inside, part


def copy_bits(surface: Surface, region: Region, dx: int, dy: int) -> None:
    """COPY_BITS: move what lies `dx` to the left and `dy` above to the region; both may overlap."""
    inside = region.within(surface.box.shift(dx, dy))
    if inside.empty or (dx == 0 and dy == 0):
        return
    box = inside.box.shift(-dx, -dy)
    unknown = surface.unknown_in(box)
    surface.put(inside, surface.read(box).copy(), None if unknown is None else unknown.copy())


def transparent(
    surface: Surface, region: Region, source: Picture, area: Box, target: Box, true_color: int
) -> None:
    """DRAW_TRANSPARENT: copy all pixels but those of one colour, 0x00RRGGBB."""
    if region.empty:
        return
    if (area.width, area.height) != (target.width, target.height):
        inside = region
        part = scaled(source, area, target, region.box, interpolate=False, format=source.format)
        part = same_words(part, surface.format)
    else:
        inside, part = _overlap(surface, region, source, area, target)
        if inside.empty:
            return
    drawn = part.words & _COLOUR_BITS[surface.format] != _color_key(true_color, surface.format)
    if part.unknown is not None:
        drawn |= part.unknown
    surface.put(inside.where(drawn), part.words, part.unknown)


_COLOUR_BITS: Final = {
    WordFormat.A1: np.uint8(0xFF),
    WordFormat.A8: np.uint8(0xFF),
    WordFormat.X555: np.uint16(0xFFFF),
    WordFormat.R565: np.uint16(0xFFFF),
    WordFormat.X888: np.uint32(0x00FFFFFF),
    WordFormat.A888: np.uint32(0x00FFFFFF),
}


def _color_key(true_color: int, format: WordFormat) -> int:
    """Return the colour that is left out in the surface's own format; on alpha surfaces it is 0."""
    if format in (WordFormat.X888, WordFormat.A888):
        return true_color & 0x00FFFFFF
    if format in (WordFormat.A1, WordFormat.A8):
        return 0
    return int(from_argb(np.array([[true_color]], np.uint32), format)[0, 0])


def alpha_blend(
    surface: Surface,
    region: Region,
    source: Picture,
    area: Box,
    target: Box,
    alpha: int,
    *,
    dest_has_alpha: bool,
) -> None:
    """DRAW_ALPHA_BLEND: the premultiplied source over the surface, weakened by `alpha` (0 to 255).

    A scaled source takes its nearest pixels. On an xRGB surface the pad byte becomes 0, or with
    `dest_has_alpha` counts as alpha. Outside of the source nothing changes.
    """
    if alpha == 0 or region.empty:
        return
    if (area.width, area.height) == (target.width, target.height):
        dx, dy = target.left - area.left, target.top - area.top
        region = region.within(source.box.shift(dx, dy))
        if region.empty:
            return
        box = region.box.shift(-dx, -dy)
        words, unknown = to_argb(source.words[box.slices], source.format), source.unknown_in(box)
    else:
        part = scaled(source, area, target, region.box, interpolate=False, format=WordFormat.A888)
        words, unknown = part.words, part.unknown
    mask: ArgbWords | None = None if alpha == 255 else np.full(words.shape, alpha << 24, np.uint32)
    as_alpha = dest_has_alpha and surface.format is WordFormat.X888
    _over(surface, region, words, mask, unknown, WordFormat.A888 if as_alpha else surface.format)


def _over(
    surface: Surface,
    region: Region,
    words: ArgbWords,
    mask: ArgbWords | None,
    unknown: Mask | None,
    format: WordFormat,
) -> None:
    """Put ARGB words over the region's box, which takes its own words to be of `format`."""
    result = combine(Operator.OVER, words, mask, to_argb(surface.read(region.box), format))
    old = surface.unknown_in(region.box)
    if old is not None:
        hidden = words & _OPAQUE == _OPAQUE
        if mask is not None:
            hidden &= mask & _OPAQUE == _OPAQUE
        old = old & ~hidden
    if format is WordFormat.X888:
        result &= _COLOURS
    surface.put(region, from_argb(result, format), either(unknown, old))


def through_coverage(
    surface: Surface, region: Region, words: ArgbWords, unknown: Mask | None, coverage: Words
) -> None:
    """DRAW_TEXT: ARGB words over the region's box, seen through `coverage`, uint8 of the same shape."""
    mask: ArgbWords = np.left_shift(coverage, 24, dtype=np.uint32)
    if unknown is not None:
        unknown = unknown & (mask != 0)
    _over(surface, region, words, mask, unknown, surface.format)


def rop3(
    surface: Surface,
    region: Region,
    source: Picture,
    area: Box,
    target: Box,
    brush: Brush,
    table: int,
    *,
    interpolate: bool = False,
) -> bool:
    """DRAW_ROP3: brush, source and destination by one of the 256 codes.

    Returns False, and draws nothing, where the source does not cover the whole target.
    """
    if (area.width, area.height) != (target.width, target.height):
        if region.empty:
            return True
        part = same_words(
            scaled_for_rop3(source, area, target, region.box, interpolate=interpolate), surface.format
        )
    else:
        if area.intersect(source.box) != area:
            return False
        if region.empty:
            return True
        region, part = _overlap(surface, region, source, area, target)
    pattern, pattern_unknown = brush_words(brush, region.box, surface.format)
    old = surface.read(region.box)
    words = rop.apply3(table, pattern, part.words, old, surface.format.bits)
    unknown = either(
        pattern_unknown if rop.reads(table, 2) else None,
        part.unknown if rop.reads(table, 1) else None,
        surface.unknown_in(region.box) if rop.reads(table, 0) else None,
    )
    surface.put(region, words, unknown)
    return True


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """Source or mask of DRAW_COMPOSITE."""

    picture: Picture
    x: int
    """Its pixel, before the transform, for the top left corner of the box."""
    y: int
    transform: Transform = IDENTITY
    repeat: Repeat = Repeat.NONE
    interpolate: bool = False

    def seen(self, box: Box, target: Box) -> tuple[ArgbWords, Mask | None]:
        """Return what of it lies over `box`, a part of `target`."""
        part = box.shift(self.x - target.left, self.y - target.top)
        return seen_through(
            self.picture, self.transform, part, repeat=self.repeat, interpolate=self.interpolate
        )

    def opaque_over(self, target: Box) -> bool:
        """Whether it is opaque all over the target: of a format without alpha, and without an end."""
        if self.picture.format in (WordFormat.A1, WordFormat.A8, WordFormat.A888):
            return False
        part = Box(self.x, self.y, self.x + target.width, self.y + target.height)
        return self.repeat is not Repeat.NONE or covers(
            self.picture.box, self.transform, part, interpolate=self.interpolate
        )


def composite(
    surface: Surface,
    region: Region,
    target: Box,
    operator: Operator,
    source: Layer,
    mask: Layer | None = None,
    *,
    component_alpha: bool = False,
) -> None:
    """DRAW_COMPOSITE: the source, seen through the mask, combined with the surface by any of pixman's operators.

    Where a source ends there is transparent black, which some operators draw.
    """
    if region.empty:
        return
    opaque_mask = mask is None or (not component_alpha and mask.opaque_over(target))
    if operator is Operator.SATURATE and opaque_mask and source.opaque_over(target):
        # The same for an opaque source, but for the rounding. Source: pixman.c, optimize_operator.
        operator = Operator.OVER_REVERSE
    words, unknown = source.seen(region.box, target)
    through, through_unknown = None, None
    if mask is not None:
        through, through_unknown = mask.seen(region.box, target)
        component_alpha &= mask.picture.format not in (WordFormat.A1, WordFormat.A8)
    if operator is Operator.OVER and not component_alpha:
        _over(surface, region, words, through, either(unknown, through_unknown), surface.format)
        return
    old = to_argb(surface.read(region.box), surface.format)
    formats = (
        source.picture.format,
        WordFormat.A888 if mask is None else mask.picture.format,
        surface.format,
    )
    result = combine(operator, words, through, old, component_alpha=component_alpha, formats=formats)
    if operator in (Operator.CLEAR, Operator.DISJOINT_CLEAR, Operator.CONJOINT_CLEAR):
        depends = None
    elif operator in (Operator.SRC, Operator.DISJOINT_SRC, Operator.CONJOINT_SRC):
        depends = either(unknown, through_unknown)
    elif operator in (Operator.DST, Operator.DISJOINT_DST, Operator.CONJOINT_DST):
        depends = surface.unknown_in(region.box)
    else:
        depends = either(unknown, through_unknown, surface.unknown_in(region.box))
    surface.put(region, from_argb(result, surface.format), depends)


def draw_pixels(
    surface: Surface, region: Region, x: Coordinates, y: Coordinates, brush: Brush, table: int
) -> None:
    """Write single pixels, given their columns and rows, each at most once, where the region is.

    This is how DRAW_STROKE draws.
    """
    box = region.box
    keep = (x >= box.left) & (x < box.right) & (y >= box.top) & (y < box.bottom)
    x, y = x[keep], y[keep]
    if region.mask is not None:
        keep = region.mask[y - box.top, x - box.left]
        x, y = x[keep], y[keep]
    if not len(x):
        return
    words, unknown = brush_words_at(brush, x, y, surface.format)
    depends = None
    if unknown is not None and rop.reads_source(table):
        depends = unknown
    if surface.unknown is not None and rop.reads_destination(table):
        depends = either(depends, surface.unknown[y, x])
    surface.words[y, x] = rop.apply2(table, words, surface.words[y, x], surface.format.bits)
    if surface.unknown is None and depends is not None:
        surface.unknown = np.zeros(surface.words.shape, np.bool_)
    if surface.unknown is not None:
        surface.unknown[y, x] = False if depends is None else depends
