"""The pixels of DRAW_STROKE: paths of straight lines and curves, one pixel wide, end point excluded.

Lines are drawn one after another, each pixel of a line once, so that operations which invert show where lines
cross. Dashed lines are the business of `dashes`.
Source: spice-wire.md 7.3, 7.5; spice-common common/canvas_base.c, canvas_draw_stroke; common/lines.c, miZeroLine.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from spicereplay.display.region import Box
from spicereplay.protocol.enums import PathFlags
from spicereplay.protocol.messages.drawing import PathSegment

Coordinates = npt.NDArray[np.int64]
Point = tuple[int, int]
Polyline = list[Point]


def whole(fixed: int) -> int:
    """Return a 28.4 number rounded; a half goes down. Source: canvas_base.c, fix_to_int."""
    return (fixed >> 4) + (fixed & 15 > 8)


def polylines(segments: Sequence[PathSegment], most_points: int) -> tuple[list[Polyline], bool]:
    """Return the paths as lists of whole pixels, and whether all of it was taken.

    Stops when curves would make more than `most_points` points in all.
    """
    done: list[Polyline] = []
    line: Polyline = []
    room = most_points
    for segment in segments:
        points = [(point.x, point.y) for point in segment.points]
        if segment.flags & PathFlags.BEGIN:
            done.append(line)
            line = []
            if points:
                line.append((whole(points[0][0]), whole(points[0][1])))
                points = points[1:]
        if segment.flags & PathFlags.BEZIER:
            for at in range(0, len(points) - 2, 3):
                if not line:
                    break
                start = line[-1][0] << 4, line[-1][1] << 4
                for point in _curve(start, points[at], points[at + 1], points[at + 2]):
                    if len(line) >= room:
                        return [*(known for known in done if known), line], False
                    line.append((whole(point[0]), whole(point[1])))
        else:
            line.extend((whole(x), whole(y)) for x, y in points)
        if segment.flags & PathFlags.END:
            if segment.flags & PathFlags.CLOSE and line:
                line.append(line[0])
            done.append(line)
            room -= len(line)
            line = []
    done.append(line)
    return [known for known in done if known], True


def _half(a: int, b: int) -> int:
    """Return (a + b) / 2 cut off toward zero, as C divides."""
    total = a + b
    return total // 2 if total >= 0 else -(-total // 2)


def _middle(a: Point, b: Point) -> Point:
    return _half(a[0], b[0]), _half(a[1], b[1])


def _dot(a: Point, b: Point) -> int:
    return a[0] * b[0] + a[1] * b[1] >> 4


def _minus(a: Point, b: Point) -> Point:
    return a[0] - b[0], a[1] - b[1]


def _curve(p0: Point, p1: Point, p2: Point, p3: Point) -> Iterator[Point]:
    """Yield the ends of the straight pieces of a Bézier curve, 28.4; a piece is halved until it is flat.

    Source: canvas_base.c, subdivide_bezier.
    """
    pending = [(p0, p1, p2, p3)]
    while pending:
        a, b, c, d = pending.pop()
        chord, first, last = _minus(d, a), _minus(b, a), _minus(c, d)
        length = _dot(chord, chord)
        back = -chord[0], -chord[1]
        h1 = _dot(first, first) * length - _dot(first, chord) ** 2 >> 3
        h2 = _dot(last, last) * length - _dot(last, back) ** 2 >> 3
        if h1 < length and h2 < length:
            yield d
            continue
        ab, bc, cd = _middle(a, b), _middle(b, c), _middle(c, d)
        abc, bcd = _middle(ab, bc), _middle(bc, cd)
        centre = _middle(abc, bcd)
        halves = (a, ab, abc, centre), (centre, bcd, cd, d)
        if (a, b, c, d) in halves:
            yield d  # a point: it would be halved for ever
            continue
        pending.append(halves[1])
        pending.append(halves[0])


def line_pixels(start: Point, end: Point, bounds: Box) -> tuple[Coordinates, Coordinates]:
    """Return the columns and rows of the pixels of one line inside `bounds`; `end` itself is not drawn.

    Bresenham's line; where it passes exactly between two pixels it takes the step along the major axis when that
    axis runs downward in number. Source: common/lines.c, miZeroLine, DEFAULTZEROLINEBIAS.
    """
    (x1, y1), (x2, y2) = start, end
    across, down = abs(x2 - x1), abs(y2 - y1)
    step_x, step_y = (1 if x2 >= x1 else -1), (1 if y2 >= y1 else -1)
    if across > down:
        steps = _inside(x1, step_x, across, bounds.left, bounds.right)
        return _filter(x1 + step_x * steps, y1 + step_y * _minor(steps, across, down, step_x < 0), bounds)
    steps = _inside(y1, step_y, down, bounds.top, bounds.bottom)
    return _filter(x1 + step_x * _minor(steps, down, across, step_y < 0), y1 + step_y * steps, bounds)


def _inside(start: int, step: int, length: int, low: int, high: int) -> Coordinates:
    """Return the steps 0..length-1 at which `start + step * n` is at least `low` and less than `high`."""
    first, last = (low - start, high - start) if step > 0 else (start - high + 1, start - low + 1)
    return np.arange(max(first, 0), max(min(last, length), max(first, 0)), dtype=np.int64)


def _minor(steps: Coordinates, major: int, minor: int, backward: bool) -> Coordinates:
    """Return how far the minor axis has moved after each of `steps` along the major one."""
    if major == 0:
        return steps
    return (2 * steps * minor + major - backward) // (2 * major)


def _filter(x: Coordinates, y: Coordinates, bounds: Box) -> tuple[Coordinates, Coordinates]:
    keep = (x >= bounds.left) & (x < bounds.right) & (y >= bounds.top) & (y < bounds.bottom)
    return x[keep], y[keep]
