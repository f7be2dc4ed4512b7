"""Pictures seen through a transform: scaling for draw messages, any affine map for DRAW_COMPOSITE.

A sample lies at the centre of its destination pixel. Outside of the source there is transparent black unless the
repeat mode says otherwise; interpolation mixes with that black at the edges, as pixman does.
Source: spice-common common/sw_canvas.c, __scale_image; pixman pixman-matrix.c, pixman-inlines.h.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum
from typing import Final

import numpy as np

from spicereplay.display._kernels import sampling
from spicereplay.display.region import Box, Mask
from spicereplay.display.surfaces import ArgbWords, Picture, WordFormat, from_argb

FIXED_ONE: Final = 1 << 16
"""1 in 16.16 fixed point."""
Transform = tuple[int, int, int, int, int, int]
"""t00 t01 t02 t10 t11 t12, 16.16 fixed point: destination pixel to source pixel."""
IDENTITY: Final[Transform] = (FIXED_ONE, 0, 0, 0, FIXED_ONE, 0)


class Repeat(IntEnum):
    """What lies outside of a picture. Source: pixman.h, pixman_repeat_t."""

    NONE = 0
    """Transparent black."""
    NORMAL = 1
    """The picture again."""
    PAD = 2
    """The nearest pixel of its edge."""
    REFLECT = 3
    """The picture mirrored."""


def ratio(source: int, target: int) -> int:
    """Return `source / target` in 16.16 fixed point, cut off toward zero as C divides."""
    quotient = abs(source) * FIXED_ONE // abs(target)
    return quotient if (source < 0) == (target < 0) else -quotient


def seen_through(
    source: Picture,
    transform: Transform,
    part: Box,
    *,
    repeat: Repeat = Repeat.NONE,
    interpolate: bool = False,
) -> tuple[ArgbWords, Mask | None]:
    """Return the ARGB words of `part` of the transformed plane, and which of them are unknown (None: none).

    With interpolation a pixel is unknown if any of those it is mixed from is, and has weight. A transform that
    leads out of all reach gives transparent black.
    """
    words = _sampled(source.argb(), transform, part, repeat, interpolate)
    if source.unknown is None:
        return words, None
    unknown = np.where(source.unknown, np.uint32(0xFFFFFFFF), np.uint32(0))
    seen = _sampled(unknown, transform, part, repeat, interpolate) != 0
    return words, seen if seen.any() else None


def _sampled(words: ArgbWords, transform: Transform, part: Box, repeat: Repeat, smooth: bool) -> ArgbWords:
    out = np.zeros((part.height, part.width), np.uint32)
    if words.size and out.size and all(abs(at) < _REACH for at in _corners(transform, part)):
        matrix = np.array(transform, np.int64)
        sampling.sample(np.ascontiguousarray(words), out, matrix, part.left, part.top, repeat, smooth)
    return out


_REACH: Final = 1 << 44
"""Places, 16.16 fixed point, up to which the kernel's 64-bit sums cannot overflow."""


def _corners(transform: Transform, part: Box) -> Iterator[int]:
    """Yield what places of the source are added up from, 16.16, at the corners of `part`."""
    for column in (part.left, part.right):
        for row in (part.top, part.bottom):
            for a, b, c in (transform[:3], transform[3:]):
                yield from (a * column, b * row, c)


def covers(extent: Box, transform: Transform, part: Box, *, interpolate: bool) -> bool:
    """Return whether every sample for `part` of the transformed plane lies inside of `extent`.

    Source: pixman.c, analyze_extent.
    """
    reach = FIXED_ONE // 2 if interpolate else 0
    for column in (part.left, part.right - 1):
        for row in (part.top, part.bottom - 1):
            x, y = ((2 * place + 1) * FIXED_ONE // 2 for place in (column, row))
            for size, (a, b, c) in ((extent.right, transform[:3]), (extent.bottom, transform[3:])):
                at = (a * x + b * y + (c << 16) + (1 << 15)) >> 16
                if at - reach - (not interpolate) < 0 or at + reach - (not interpolate) >= size << 16:
                    return False
    return True


def scaled(
    source: Picture, area: Box, target: Box, part: Box, *, interpolate: bool, format: WordFormat
) -> Picture:
    """Return `part` of the picture that `area` of the source becomes when stretched over `target`.

    `part` lies inside `target`; the result has its size and `format`.
    """
    transform = (
        ratio(area.width, target.width), 0, area.left * FIXED_ONE,
        0, ratio(area.height, target.height), area.top * FIXED_ONE,
    )  # fmt: skip
    words, unknown = seen_through(
        _with_pad(source, format), transform, part.shift(-target.left, -target.top), interpolate=interpolate
    )
    return Picture(from_argb(words, format), format, unknown)


def scaled_for_rop3(source: Picture, area: Box, target: Box, part: Box, *, interpolate: bool) -> Picture:
    """Return what `scaled` does, with the place of `area` rounded to whole destination pixels.

    DRAW_ROP3 alone scales so. Source: spice-common common/canvas_base.c, canvas_scale_surface.
    """
    across, down = area.width / target.width, area.height / target.height
    transform = (int(across * FIXED_ONE), 0, 0, 0, int(down * FIXED_ONE), 0)
    left = int(np.floor(area.left / across + 0.5)) if across else 0
    top = int(np.floor(area.top / down + 0.5)) if down else 0
    words, unknown = seen_through(
        _with_pad(source, source.format),
        transform,
        part.shift(left - target.left, top - target.top),
        interpolate=interpolate,
    )
    return Picture(from_argb(words, source.format), source.format, unknown)


def _with_pad(source: Picture, format: WordFormat) -> Picture:
    """Return an xRGB source for an xRGB result as ARGB: pixman then treats the pad byte like a colour."""
    both = source.format is WordFormat.X888 and format is WordFormat.X888
    return source.read_as(WordFormat.A888) if both else source
