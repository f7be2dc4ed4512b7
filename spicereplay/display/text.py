"""The coverage of a line of text: glyphs of 1, 4 or 8 bits laid over one another.

Source: spice-wire.md 7.3; spice-common common/canvas_base.c, canvas_get_str_mask, canvas_put_glyph_bits.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from spicereplay.display.brush import Brush, PatternBrush, SolidBrush, brush_words
from spicereplay.display.region import NOWHERE, Box, Mask
from spicereplay.display.surfaces import ArgbWords, Picture, WordFormat
from spicereplay.protocol.messages.drawing import RasterGlyph

Coverage = npt.NDArray[np.uint8]


def glyph_box(glyph: RasterGlyph) -> Box:
    """Return where on the surface a glyph lies."""
    left = glyph.render_pos.x + glyph.glyph_origin.x
    top = glyph.render_pos.y + glyph.glyph_origin.y
    return Box(left, top, left + glyph.width, top + glyph.height)


def text_box(glyphs: Sequence[RasterGlyph]) -> Box:
    """Return the smallest box around all glyphs."""
    around = NOWHERE
    for glyph in glyphs:
        around = around.union(glyph_box(glyph))
    return around


def text_coverage(glyphs: Sequence[RasterGlyph], depth: int, box: Box) -> Coverage:
    """Return how much of each pixel of `box` the glyphs cover, (height, width) uint8.

    `depth` is 1, 4 or 8 bits. Rows of a glyph run from the bottom up. A 4-bit value v becomes 16 v, so that full
    coverage is 240: not quite opaque, but what the reference canvas draws.
    """
    coverage = np.zeros((max(box.height, 0), max(box.width, 0)), np.uint8)
    for glyph in glyphs:
        place = glyph_box(glyph)
        part = place.intersect(box)
        if part.empty:
            continue
        rows = _rows(glyph, depth)[part.shift(-place.left, -place.top).slices]
        view = coverage[part.shift(-box.left, -box.top).slices]
        if depth == 4:
            _overlay4(view, rows, odd=(np.arange(part.left, part.right) - place.left) % 2 == 1)
        else:
            np.maximum(view, rows, out=view)
    return coverage


def _rows(glyph: RasterGlyph, depth: int) -> Coverage:
    """Return a glyph's values, top row first; of 4-bit ones the low nibble of a byte comes second."""
    stride = (glyph.width * depth + 7) // 8
    data = np.frombuffer(glyph.data, np.uint8, stride * glyph.height).reshape(glyph.height, stride)[::-1]
    if depth == 1:
        return np.unpackbits(data, axis=1, count=glyph.width) * np.uint8(255)
    if depth == 4:
        # Every byte twice: the second one keeps its high nibble for the comparison in _overlay4.
        return np.repeat(data, 2, axis=1)[:, : glyph.width]
    return data


def _overlay4(view: Coverage, rows: Coverage, odd: Mask) -> None:
    """Lay 4-bit values over what is there, with the reference canvas's way of choosing the larger one.

    It compares a byte shifted left by four bits with what is there before it cuts the byte off, so that in odd
    columns of overlapping glyphs the high nibble decides and the low one is written.
    """
    wide = rows.astype(np.uint16)
    compared = np.where(odd, wide << 4, wide & 0xF0)
    np.copyto(view, (compared & 0xFF).astype(np.uint8), where=compared > view)


def text_paint(
    brush: Brush, text: Box, part: Box, format: WordFormat
) -> tuple[ArgbWords, Mask | None] | None:
    """Return the brush as ARGB words for `part` of a text's box, and what of it is unknown; None: no brush.

    A pattern begins at the text's own top left corner, moved by its origin, not at the surface's as elsewhere.
    Colours on 16-bit surfaces are taken as 555, also on 565 ones.
    Source: spice-common common/sw_canvas.c, canvas_get_pixman_brush.
    """
    if brush is None:
        return None
    if isinstance(brush, SolidBrush):
        words = np.full((part.height, part.width), solid_argb(brush.color, format), np.uint32)
        return words, None
    tile = PatternBrush(
        Picture(brush.picture.argb(), WordFormat.A888, brush.picture.unknown), brush.x, brush.y
    )
    painted, unknown = brush_words(tile, part.shift(-text.left, -text.top), WordFormat.A888)
    return np.asarray(painted, np.uint32), unknown


def solid_argb(color: int, format: WordFormat) -> int:
    """Return a solid text colour as an opaque ARGB word."""
    bits = 5 if format in (WordFormat.X555, WordFormat.R565) else 8
    top = (1 << bits) - 1
    red, green, blue = ((color >> bits * place & top) * 0xFFFF // top >> 8 for place in (2, 1, 0))
    return 0xFF << 24 | red << 16 | green << 8 | blue
