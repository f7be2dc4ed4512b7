from __future__ import annotations

import numpy as np
import pytest
from display.made import X888, hex_rows, picture_of, surface_of
from hypothesis import given
from hypothesis import strategies as st

from spicereplay.display.region import Box, Region
from spicereplay.display.surfaces import WordFormat, from_argb, inferred_surface, new_surface, to_argb
from spicereplay.limits import DEFAULT_LIMITS, Limits

A1, A8, X555, R565, A888 = (
    WordFormat.A1, WordFormat.A8, WordFormat.X555, WordFormat.R565, WordFormat.A888,
)  # fmt: skip


@pytest.mark.parametrize(
    ("format", "word", "argb"),
    [
        (A1, 1, 0xFF000000),
        (A1, 0, 0),
        (A8, 0x80, 0x80000000),
        (X555, 0x7FFF, 0xFFFFFFFF),
        (X555, 0xFC00, 0xFFFF0000),  # bit 15 means nothing
        (X555, 0x4210, 0xFF848484),  # 16 of 31: 10000 100
        (R565, 0xFFFF, 0xFFFFFFFF),
        (R565, 0x0400, 0xFF008200),  # 32 of 63: 100000 10
        (X888, 0x12345678, 0xFF345678),
        (A888, 0x12345678, 0x12345678),
    ],
)
def test_words_become_argb(format: WordFormat, word: int, argb: int) -> None:
    assert int(to_argb(np.array([[word]], format.dtype), format)[0, 0]) == argb


@pytest.mark.parametrize(
    ("format", "argb", "word"),
    [
        (A1, 0x80FFFFFF, 1),
        (A1, 0x7FFFFFFF, 0),
        (A8, 0x7F123456, 0x7F),
        (X555, 0x00FF8007, 0x7E00),  # cut off, not rounded
        (R565, 0x00FF8307, 0xFC00),
        (A888, 0x12345678, 0x12345678),
    ],
)
def test_argb_becomes_words(format: WordFormat, argb: int, word: int) -> None:
    assert int(from_argb(np.array([[argb]], np.uint32), format)[0, 0]) == word


@given(word=st.integers(0, 0xFFFF))
def test_16_bit_colours_survive_the_way_through_argb(word: int) -> None:
    for format, bits in ((X555, 0x7FFF), (R565, 0xFFFF)):
        words = np.array([[word & bits]], np.uint16)
        assert from_argb(to_argb(words, format), format) == words


def test_a_created_surface_is_black_and_known() -> None:
    surface = new_surface(3, 4, 2, X888, primary=False)
    assert surface.words.shape == (2, 4)
    assert not surface.words.any()
    assert surface.unknown is None


def test_an_inferred_surface_knows_nothing_until_it_is_drawn_on() -> None:
    surface = inferred_surface(0, 3, 2)
    assert surface.unknown is not None
    assert surface.unknown.all()
    surface.put(Region(Box(0, 0, 2, 2)), 0xABCDEF)
    assert surface.unknown.tolist() == [[False, False, True], [False, False, True]]
    surface.put(Region(Box(2, 0, 3, 2)), 1)
    assert surface.unknown is None


def test_an_inferred_surface_grows_to_what_is_drawn_and_new_pixels_are_unknown() -> None:
    surface = inferred_surface(0, 2, 1)
    surface.put(Region(surface.box), 5)
    surface.grow(Box(1, 0, 3, 2), DEFAULT_LIMITS)
    assert surface.words.tolist() == [[5, 5, 0], [0, 0, 0]]
    assert surface.unknown is not None
    assert surface.unknown.tolist() == [[False, False, True], [True, True, True]]


def test_growing_beyond_the_limits_is_refused() -> None:
    surface = inferred_surface(0, 2, 2)
    surface.grow(Box(0, 0, 1 << 30, 4), Limits(image_side_px=100))
    surface.grow(Box(0, 0, 90, 90), Limits(image_pixels=1000))
    assert surface.words.shape == (2, 2)


def test_unknown_words_are_written_as_such_and_only_where_the_region_is() -> None:
    surface = surface_of([[1, 2, 3]])
    unknown = np.array([[True, False, True]])
    surface.put(
        Region(surface.box, np.array([[True, True, False]])), np.array([[7, 8, 9]], np.uint32), unknown
    )
    assert hex_rows(surface.words) == [["7", "8", "3"]]
    assert surface.unknown is not None
    assert surface.unknown.tolist() == [[True, False, False]]


def test_conversion_keeps_what_is_unknown() -> None:
    picture = picture_of([[0xFF0000, 0]], unknown=[[0, 1]]).converted(R565)
    assert hex_rows(picture.words) == [["f800", "0"]]
    assert picture.unknown is not None
    assert picture.unknown.tolist() == [[False, True]]
