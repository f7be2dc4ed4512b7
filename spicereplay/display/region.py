"""Where a drawing may touch a surface: boxes, clip rectangles and masks.

Source: spice-wire.md 7.5; spice-common common/canvas_base.c, canvas_clip_pixman and canvas_mask_pixman.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from spicereplay.protocol.messages.geometry import Rect

Mask = npt.NDArray[np.bool_]


class Box(NamedTuple):
    """A rectangle in pixels; `right` and `bottom` lie outside."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        """Columns; 0 or less where the box is empty."""
        return self.right - self.left

    @property
    def height(self) -> int:
        """Rows; 0 or less where the box is empty."""
        return self.bottom - self.top

    @property
    def empty(self) -> bool:
        """Whether it holds no pixel."""
        return self.left >= self.right or self.top >= self.bottom

    @property
    def slices(self) -> tuple[slice, slice]:
        """Rows and columns of a picture that begins at (0, 0); only for boxes that lie inside it."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    def intersect(self, other: Box) -> Box:
        """Return what both have in common; empty boxes come out as some empty box."""
        return Box(
            max(self.left, other.left),
            max(self.top, other.top),
            min(self.right, other.right),
            min(self.bottom, other.bottom),
        )

    def union(self, other: Box) -> Box:
        """Return the smallest box around both; an empty one does not count."""
        if self.empty or other.empty:
            return other if self.empty else self
        return Box(
            min(self.left, other.left),
            min(self.top, other.top),
            max(self.right, other.right),
            max(self.bottom, other.bottom),
        )

    def shift(self, dx: int, dy: int) -> Box:
        """Return the box moved right by `dx` and down by `dy`."""
        return Box(self.left + dx, self.top + dy, self.right + dx, self.bottom + dy)


NOWHERE = Box(0, 0, 0, 0)


def box_of(rect: Rect) -> Box:
    """Return a message's Rect as a `Box`."""
    return Box(rect.left, rect.top, rect.right, rect.bottom)


@dataclass(frozen=True, slots=True, eq=False)
class Region:
    """A set of pixels: all of `box`, or those of it where `mask`, (height, width) bool, is True."""

    box: Box
    mask: Mask | None = None

    @property
    def empty(self) -> bool:
        """Whether it holds no pixel."""
        return self.box.empty or (self.mask is not None and not self.mask.any())

    def within(self, bounds: Box) -> Region:
        """Return the part inside `bounds`."""
        box = self.box.intersect(bounds)
        if box == self.box:
            return self
        if box.empty:
            return EMPTY
        if self.mask is None:
            return Region(box)
        return Region(box, self.mask[box.shift(-self.box.left, -self.box.top).slices])

    def where(self, mask: Mask) -> Region:
        """Return the part where `mask`, which has the shape of the box, is True."""
        return Region(self.box, mask if self.mask is None else self.mask & mask)


EMPTY = Region(NOWHERE)


def clipped(box: Box, bounds: Box, rects: Iterable[Box] | None) -> Region:
    """Return the part of `box` inside `bounds` and, unless `rects` is None, inside any of `rects`.

    No rectangles at all (an empty `rects`) leave nothing, which is how a server hides a stream.
    """
    inside = box.intersect(bounds)
    if inside.empty:
        return EMPTY
    if rects is None:
        return Region(inside)
    parts = [part for rect in rects if not (part := rect.intersect(inside)).empty]
    if not parts:
        return EMPTY
    if inside in parts:
        return Region(inside)
    around = parts[0]
    for part in parts[1:]:
        around = around.union(part)
    if len(parts) == 1:
        return Region(around)
    mask = np.zeros((around.height, around.width), np.bool_)
    for part in parts:
        mask[part.shift(-around.left, -around.top).slices] = True
    return Region(around, mask)


def masked(region: Region, bits: Mask, left: int, top: int, *, inverse: bool) -> Region:
    """Return the part of `region` that a one-bit image lets through.

    `bits` is True where its bit is set; its first pixel lies at (`left`, `top`). Outside of the image nothing is
    drawn, also where `inverse` turns its bits round.
    """
    height, width = bits.shape
    inner = region.within(Box(left, top, left + width, top + height))
    if inner.empty:
        return EMPTY
    part = bits[inner.box.shift(-left, -top).slices]
    return inner.where(~part if inverse else part)
