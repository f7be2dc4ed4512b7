from __future__ import annotations

import numpy as np
import pytest
from display.made import picture_of, surface_of

from spicereplay.display import drawing
from spicereplay.display.brush import PatternBrush, SolidBrush
from spicereplay.display.region import Box, Region
from spicereplay.display.surfaces import WordFormat
from spicereplay.display.text import solid_argb, text_box, text_coverage, text_paint
from spicereplay.protocol.messages.drawing import RasterGlyph, RasterGlyphA1, RasterGlyphA4, RasterGlyphA8
from spicereplay.protocol.messages.geometry import Point

X888 = WordFormat.X888


def glyph(depth: int, x: int, y: int, width: int, height: int, data: bytes) -> RasterGlyph:
    kind = {1: RasterGlyphA1, 4: RasterGlyphA4, 8: RasterGlyphA8}[depth]
    return kind(
        render_pos=Point(x=x - 1, y=y + 2),
        glyph_origin=Point(x=1, y=-2),
        width=width,
        height=height,
        data=data,
    )


@pytest.mark.parametrize(
    ("depth", "data", "rows"),
    [
        (1, bytes([0b10100000, 0b01000000]), [[0, 255, 0], [255, 0, 255]]),
        (4, bytes([0x12, 0x30, 0xF0, 0x80]), [[0xF0, 0, 0x80], [0x10, 0x20, 0x30]]),
        (8, bytes([1, 2, 3, 4, 5, 6]), [[4, 5, 6], [1, 2, 3]]),
    ],
)
def test_a_glyph_is_stored_from_the_bottom_up(depth: int, data: bytes, rows: list[list[int]]) -> None:
    one = glyph(depth, 10, 20, 3, 2, data)
    assert text_box([one]) == Box(10, 20, 13, 22)
    assert text_coverage([one], depth, Box(10, 20, 13, 22)).tolist() == rows


def test_glyphs_lie_over_one_another_and_the_darker_counts() -> None:
    glyphs = [glyph(8, 0, 0, 2, 1, bytes([5, 200])), glyph(8, 1, 0, 2, 1, bytes([100, 7]))]
    assert text_box(glyphs) == Box(0, 0, 3, 1)
    assert text_coverage(glyphs, 8, Box(0, 0, 3, 1)).tolist() == [[5, 200, 7]]


def test_a_part_of_a_text_is_that_part() -> None:
    glyphs = [glyph(4, 0, 0, 5, 3, bytes(range(9))), glyph(4, 3, 1, 5, 3, bytes(range(100, 109)))]
    whole = text_coverage(glyphs, 4, text_box(glyphs))
    assert (text_coverage(glyphs, 4, Box(2, 1, 6, 3)) == whole[1:3, 2:6]).all()


def test_overlapping_nibbles_in_odd_columns_are_compared_before_they_are_cut() -> None:
    full = glyph(4, 0, 0, 2, 1, bytes([0xFF]))
    over = glyph(4, 0, 0, 2, 1, bytes([0x31]))
    # Even column: 0x30 is less than 0xf0. Odd column: 0x310 is more, and 0x10 is written.
    assert text_coverage([full, over], 4, Box(0, 0, 2, 1)).tolist() == [[0xF0, 0x10]]


@pytest.mark.parametrize(
    ("color", "format", "argb"),
    [
        (0x123456, X888, 0xFF123456),
        (0x7FFF, WordFormat.X555, 0xFFFFFFFF),
        (0x4210, WordFormat.X555, 0xFF848484),  # 16 / 31 in 16 bits, then cut to 8
        (0x7FFF, WordFormat.R565, 0xFFFFFFFF),  # 555 here, too
    ],
)
def test_text_colours(color: int, format: WordFormat, argb: int) -> None:
    assert solid_argb(color, format) == argb


def test_coverage_mixes_text_with_what_is_there() -> None:
    surface = surface_of([[0x000000, 0xFFFFFF, 0x204060]])
    box = Box(0, 0, 3, 1)
    paint = text_paint(SolidBrush(0xFF0000), box, box, X888)
    assert paint is not None
    coverage = np.array([[255, 128, 0]], np.uint8)
    drawing.through_coverage(surface, Region(box), *paint, coverage)
    assert [f"{word:x}" for word in surface.words[0]] == ["ff0000", "ff7f7f", "204060"]


def test_a_pattern_begins_at_the_text_not_at_the_surface() -> None:
    brush = PatternBrush(picture_of([[1, 2, 3]]), 1, 0)
    paint = text_paint(brush, Box(10, 10, 20, 11), Box(12, 10, 16, 11), X888)
    assert paint is not None
    assert (paint[0] & np.uint32(0xFFFFFF)).tolist() == [[2, 3, 1, 2]]
    assert (paint[0] >> 24 == 255).all()


def test_without_a_brush_there_is_no_text() -> None:
    assert text_paint(None, Box(0, 0, 1, 1), Box(0, 0, 1, 1), X888) is None
