"""The pixels of a dashed DRAW_STROKE.

The reference canvas draws dashes with X's code for wide lines, at a width of one pixel: every dash is a rectangle
turned along its line, filled by the rule that a pixel belongs to it if its centre does, and dashes that go round a
corner get a mitred joint.
Source: spice-common common/lines.c, miZeroDashLine, miWideDash, miWideDashSegment, miLineJoin, miPolyBuildPoly,
miFillPolyHelper (from X.Org's mi).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

import numpy as np

from spicereplay.display.region import Box
from spicereplay.display.stroke import Coordinates, Polyline, whole

_MITER_LIMIT: Final = 108.856472512142
"""1 / sin²(11°/2): sharper corners are cut off. Source: common/lines.c, SQSECANT."""

Vertex = tuple[float, float]
Span = tuple[int, int, int]
"""Row, first column, last column."""


@dataclass(slots=True)
class Dashes:
    """A pattern of dash and gap lengths, and how far a line has come in it."""

    lengths: Sequence[int]
    """px, dash first, at most 255 each."""
    index: int = 0
    offset: int = 0
    """Pixels of `lengths[index]` that are used up."""

    def advance(self, distance: int) -> None:
        """Go on by whole pixels."""
        if distance < self.lengths[self.index] - self.offset:
            self.offset += distance
            return
        distance -= self.lengths[self.index] - self.offset
        self.index = (self.index + 1) % len(self.lengths)
        distance %= sum(self.lengths)
        while distance >= self.lengths[self.index]:
            distance -= self.lengths[self.index]
            self.index = (self.index + 1) % len(self.lengths)
        self.offset = distance


def dash_pattern(style: Sequence[int], *, start_with_gap: bool) -> Dashes | None:
    """Return the pattern of a LineAttr's `style`, 28.4 lengths; None where it has no length at all.

    With `start_with_gap` the list is turned so that its second length comes first and the line begins at the end
    of that. Source: canvas_base.c, canvas_draw_stroke.
    """
    lengths = [whole(length) & 0xFF for length in style]
    if not any(lengths):
        return None
    if not start_with_gap:
        return Dashes(lengths)
    lengths = [*lengths[1:], lengths[0]]
    dashes = Dashes(lengths)
    dashes.advance(lengths[0])
    return dashes


@dataclass(frozen=True, slots=True)
class _Slope:
    """A side of a polygon: its direction, and k = x0 dy - y0 dx of the line it lies on."""

    dx: int
    dy: int
    k: float


@dataclass(frozen=True, slots=True)
class _Face:
    """One end of a line: where it is, the direction into the line, and one corner of the end."""

    x: int
    y: int
    dx: int
    dy: int
    xa: float
    ya: float
    k: float

    def turned(self) -> _Face:
        """Return it with direction and corner reversed."""
        return replace(self, dx=-self.dx, dy=-self.dy, xa=-self.xa, ya=-self.ya)

    @property
    def draws_joint(self) -> bool:
        """Whether a line of one pixel's width that begins here covers the joining pixel."""
        return self.dx > 0 or (self.dx == 0 and self.dy > 0)


def dashed_pixels(
    line: Polyline, dashes: Dashes, bounds: Box, *, each_once: bool, most_dashes: int
) -> tuple[Coordinates, Coordinates, bool]:
    """Return columns and rows of the pixels of a dashed polyline inside `bounds`, each once, and whether it is all.

    `each_once`: the raster operation inverts, so that overlapping parts may not be drawn twice; joints are then
    chosen differently. Stops after `most_dashes`. The pattern starts where `dashes` is.
    """
    state = Dashes(dashes.lengths, dashes.index, dashes.offset)
    mask = np.zeros((max(bounds.height, 0), max(bounds.width, 0)), np.bool_)
    left_over = most_dashes
    for spans in _polyline(line, state, careful=each_once and len(line) >= 3):
        left_over -= 1
        if left_over < 0:
            break
        for y, first, last in spans:
            if bounds.top <= y < bounds.bottom:
                mask[y - bounds.top, max(first - bounds.left, 0) : max(last + 1 - bounds.left, 0)] = True
    rows, columns = np.nonzero(mask)
    return columns + bounds.left, rows + bounds.top, left_over >= 0


def _polyline(line: Polyline, dashes: Dashes, *, careful: bool) -> Iterator[Iterator[Span]]:
    closed = line[0] == line[-1]
    pieces = [(a, b) for a, b in pairwise(line) if a != b]
    first_face: _Face | None = None
    before: _Face | None = None
    was_drawn = False
    begin = end = None
    for number, (a, b) in enumerate(pieces):
        starts_drawn = dashes.index % 2 == 0
        begin, end = _faces(a, b)
        yield from _segment(a, b, dashes)
        if starts_drawn:
            if number == 0:
                first_face = begin if closed else None
            elif was_drawn and before is not None:
                yield _joint(begin, before, careful)
        before = end
        was_drawn = bool(dashes.index & 1) ^ (dashes.offset != 0)
    if end is not None and was_drawn and first_face is not None:
        yield _joint(first_face, end, careful)


def _half_width(dx: int, dy: int) -> tuple[float, float, float]:
    """Return the length of a line and half a pixel along its direction."""
    if dx == 0:
        return float(abs(dy)), 0.0, 0.5 if dy > 0 else -0.5
    if dy == 0:
        return float(abs(dx)), 0.5 if dx > 0 else -0.5, 0.0
    length = float(np.hypot(dx, dy))
    return length, 0.5 / length * dx, 0.5 / length * dy


def _faces(a: tuple[int, int], b: tuple[int, int]) -> tuple[_Face, _Face]:
    dx, dy = b[0] - a[0], b[1] - a[1]
    length, rdx, rdy = _half_width(dx, dy)
    k = 0.5 * length
    return _Face(*a, dx, dy, rdy, -rdx, k), _Face(*b, -dx, -dy, -rdy, rdx, k)


def _segment(a: tuple[int, int], b: tuple[int, int], dashes: Dashes) -> Iterator[Iterator[Span]]:
    """Yield the dashes of one line as polygons and move on in the pattern."""
    dx, dy = b[0] - a[0], b[1] - a[1]
    length, rdx, rdy = _half_width(dx, dy)
    k = 0.5 * length
    remaining = length
    index = dashes.index
    dash = dashes.lengths[index] - dashes.offset
    top: Vertex = (rdy, -rdx)
    right: Vertex = (rdy, -rdx)
    bottom: Vertex = (-rdy, rdx)
    left: Vertex = (-rdy, rdx)
    left_k = 0.0
    while remaining > dash:
        step_x, step_y = dash * dx / length, dash * dy / length
        right = right[0] + step_x, right[1] + step_y
        bottom = bottom[0] + step_x, bottom[1] + step_y
        right_k = right[0] * dx + right[1] * dy
        if index % 2 == 0:
            slopes = _Slope(dx, dy, k), _Slope(-dy, dx, right_k), _Slope(-dx, -dy, k), _Slope(dy, -dx, left_k)
            yield _polygon((top, right, bottom, left), slopes, *a)
        remaining -= dash
        index = (index + 1) % len(dashes.lengths)
        dash = dashes.lengths[index]
        top, left, left_k = right, bottom, -right_k
    if index % 2 == 0:
        top, left = (top[0] - dx, top[1] - dy), (left[0] - dx, left[1] - dy)
        slopes = (
            _Slope(dx, dy, k), _Slope(-dy, dx, 0.0),
            _Slope(-dx, -dy, k), _Slope(dy, -dx, left_k + (dx * dx + dy * dy)),
        )  # fmt: skip
        yield _polygon((top, (rdy, -rdx), (-rdy, rdx), left), slopes, *b)
    dash = int(dash - remaining)
    if dash == 0:
        index = (index + 1) % len(dashes.lengths)
        dash = dashes.lengths[index]
    dashes.index, dashes.offset = index, dashes.lengths[index] - dash


def _joint(left: _Face, right: _Face, careful: bool) -> Iterator[Span]:
    """Return the spans of the mitred joint between the beginning of a line and the end of the one before."""
    if not careful and (left.draws_joint or right.draws_joint):
        return iter(())
    denominator = float(-left.dx * right.dy + right.dx * left.dy)
    if denominator == 0:
        return iter(())
    swapped = denominator <= 0
    left, right = (left, right.turned()) if swapped else (left.turned(), right)
    sign = -1 if swapped else 1
    my = (
        left.dy * (right.xa * right.dy - right.ya * right.dx)
        - right.dy * (left.xa * left.dy - left.ya * left.dx)
    ) / denominator
    side = left if left.dy != 0 else right
    mx = side.xa + (my - side.ya) * side.dx / side.dy
    vertices: tuple[Vertex, ...] = ((right.xa, right.ya), (0.0, 0.0), (left.xa, left.ya))
    inner = _Slope(-right.dy, right.dx, 0.0), _Slope(left.dy, -left.dx, 0.0)
    if (mx * mx + my * my) * 4 > _MITER_LIMIT:
        dx, dy = right.xa - left.xa, right.ya - left.ya
        scale = max(abs(dx), abs(dy))
        slope_x, slope_y = int(dx * 65536 / scale), int(dy * 65536 / scale)
        k = ((left.xa + right.xa) * slope_y - (left.ya + right.ya) * slope_x) / 2.0
        return _polygon(vertices, (*inner, _Slope(slope_x, slope_y, k)), left.x, left.y)
    outer = (
        _Slope(sign * left.dx, sign * left.dy, sign * left.k),
        _Slope(sign * right.dx, sign * right.dy, sign * right.k),
    )
    return _polygon((*vertices, (mx, my)), (*inner, *outer), left.x, left.y)


# --- filling a convex polygon ---------------------------------------------------------------------------------


@dataclass(slots=True)
class _Edge:
    """One side of a polygon, walked from row to row: column, error term, and what they change by."""

    height: int
    x: int
    step: int
    sign: int
    error: int
    dx: int
    dy: int

    def walk(self) -> None:
        """Go to the next row."""
        self.x += self.step
        self.error += self.dx
        if self.error > 0:
            self.x += self.sign
            self.error -= self.dy


def _ceil(value: float) -> int:
    whole_part = int(value)
    return whole_part if value == whole_part or value < 0 else whole_part + 1


def _edge(start_y: float, slope: _Slope, xi: int, yi: int, *, left: bool) -> tuple[int, _Edge]:
    """Return the first row whose centre the side reaches, and the side from there on."""
    dx, dy, k = (slope.dx, slope.dy, slope.k) if slope.dy > 0 else (-slope.dx, -slope.dy, -slope.k)
    y = _ceil(start_y)
    numerator = _ceil(k) + y * dx
    x = (numerator - 1) // dy
    error = numerator - x * dy
    if dx >= 0:
        edge = _Edge(0, x + left + xi, dx // dy, 1, error - dy, dx % dy, dy)
    else:
        edge = _Edge(0, x + left + xi, -(-dx // dy), -1, 1 - error, -dx % dy, dy)
    return y + yi, edge


def _polygon(vertices: Sequence[Vertex], slopes: Sequence[_Slope], xi: int, yi: int) -> Iterator[Span]:
    """Yield the spans of a convex polygon at (xi, yi). Side n begins at corner n."""
    count = len(vertices)
    top = min(range(count), key=lambda at: vertices[at][1])
    bottom = max(range(count), key=lambda at: (vertices[at][1], at))
    here, before = slopes[top], slopes[top - 1]
    direction, offset = (-1, -1) if before.dy * here.dx > here.dy * before.dx else (1, 0)
    last_row = _ceil(vertices[bottom][1]) + yi

    def chain(step: int, at_slope: int, left: bool) -> tuple[int, list[_Edge]]:
        edges: list[_Edge] = []
        first = row = 0
        at, slope = top, at_slope % count
        while at != bottom:
            if slopes[slope].dy != 0:
                y, edge = _edge(vertices[at][1], slopes[slope], xi, yi, left=left)
                if edges:
                    edges[-1].height = y - row
                else:
                    first = y
                edges.append(edge)
                row = y
            at, slope = (at + step) % count, (slope + step) % count
        if edges:
            edges[-1].height = last_row - row
        return first, edges

    y, rights = chain(direction, top + offset, False)
    _, lefts = chain(-direction, top + (-1 if offset == 0 else 0), True)
    rights.reverse()
    lefts.reverse()
    left = right = None
    while True:
        while (left is None or left.height <= 0) and lefts:
            left = lefts.pop()
        while (right is None or right.height <= 0) and rights:
            right = rights.pop()
        if left is None or right is None or left.height <= 0 or right.height <= 0:
            return
        for _ in range(min(left.height, right.height)):
            if right.x >= left.x:
                yield y, left.x, right.x
            y += 1
            left.height -= 1
            right.height -= 1
            left.walk()
            right.walk()
