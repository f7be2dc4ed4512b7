from __future__ import annotations

import numpy as np
import pytest
from display.made import picture_of
from hypothesis import given, settings
from hypothesis import strategies as st

from spicereplay.display.region import Box
from spicereplay.display.scaling import (
    FIXED_ONE,
    IDENTITY,
    Repeat,
    covers,
    ratio,
    scaled,
    scaled_for_rop3,
    seen_through,
)
from spicereplay.display.surfaces import WordFormat

A888, A8 = WordFormat.A888, WordFormat.A8


@pytest.mark.parametrize(
    ("source", "target", "fixed"),
    [(2, 1, 2 * FIXED_ONE), (1, 3, 21845), (-1, 3, -21845), (1, 2, FIXED_ONE // 2)],
)
def test_ratios_are_cut_toward_zero(source: int, target: int, fixed: int) -> None:
    assert ratio(source, target) == fixed


def test_the_nearest_pixel_of_a_doubled_and_a_halved_picture() -> None:
    source = picture_of([[1, 2, 3, 4]])
    twice = scaled(source, Box(1, 0, 3, 1), Box(5, 5, 9, 6), Box(5, 5, 9, 6), interpolate=False, format=A888)
    assert (twice.words & np.uint32(0xFFFFFF)).tolist() == [[2, 2, 3, 3]]
    half = scaled(source, Box(0, 0, 4, 1), Box(0, 0, 2, 1), Box(0, 0, 2, 1), interpolate=False, format=A888)
    assert (half.words & np.uint32(0xFFFFFF)).tolist() == [[1, 3]]  # 1.0 lies on an edge: the pixel before it


def test_interpolation_mixes_with_the_black_outside() -> None:
    source = picture_of([[0xFF000000, 0xFFFFFFFF]], A888)
    part = Box(0, 0, 4, 1)
    words = scaled(source, source.box, part, part, interpolate=True, format=A888).words
    # Samples at -0.25, 0.25, 0.75 and 1.25 pixels from the first centre.
    assert [f"{word:08x}" for word in words[0]] == ["bf000000", "ff3f3f3f", "ffbfbfbf", "bfbfbfbf"]


def test_a_part_of_a_scaled_picture_is_that_part() -> None:
    source = picture_of(np.arange(35).reshape(5, 7).tolist())
    target = Box(-3, 2, 10, 15)
    for interpolate in (False, True):
        whole = scaled(source, Box(1, 1, 6, 4), target, target, interpolate=interpolate, format=A888)
        part = scaled(source, Box(1, 1, 6, 4), target, Box(0, 5, 4, 9), interpolate=interpolate, format=A888)
        assert (part.words == whole.words[3:7, 3:7]).all()


@pytest.mark.parametrize(
    ("repeat", "row"),
    [
        (Repeat.NONE, [0, 0, 1, 2, 3, 0, 0, 0]),
        (Repeat.NORMAL, [2, 3, 1, 2, 3, 1, 2, 3]),
        (Repeat.PAD, [1, 1, 1, 2, 3, 3, 3, 3]),
        (Repeat.REFLECT, [2, 1, 1, 2, 3, 3, 2, 1]),
    ],
)
def test_what_lies_outside(repeat: Repeat, row: list[int]) -> None:
    source = picture_of([[1, 2, 3]], A888)
    words, _ = seen_through(source, IDENTITY, Box(-2, 0, 6, 1), repeat=repeat)
    assert words.tolist() == [row]


def test_a_quarter_turn() -> None:
    source = picture_of([[1, 2], [3, 4], [5, 6]], A888)
    turn = (0, -FIXED_ONE, 2 * FIXED_ONE, FIXED_ONE, 0, 0)
    words, _ = seen_through(source, turn, Box(0, 0, 3, 2))
    assert words.tolist() == [[2, 4, 6], [1, 3, 5]]


@given(
    transform=st.tuples(*(st.integers(-(1 << 31), (1 << 31) - 1) for _ in range(6))),
    repeat=st.sampled_from(Repeat),
    smooth=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_no_transform_reads_outside(transform: tuple[int, ...], repeat: Repeat, smooth: bool) -> None:
    source = picture_of([[1, 2, 3], [4, 5, 6]], A888)
    words, _ = seen_through(source, transform, Box(-5, 7, 8, 11), repeat=repeat, interpolate=smooth)
    assert words.shape == (4, 13)


def test_an_unknown_pixel_spreads_to_what_is_mixed_from_it() -> None:
    source = picture_of([[1, 2, 3, 4]], A888, unknown=[[0, 0, 1, 0]])
    part = Box(0, 0, 4, 1)
    _, unknown = seen_through(source, IDENTITY, part)
    assert unknown is not None
    assert unknown.tolist() == [[False, False, True, False]]
    _, unknown = seen_through(source, (FIXED_ONE, 0, FIXED_ONE // 2, 0, FIXED_ONE, 0), part, interpolate=True)
    assert unknown is not None
    assert unknown.tolist() == [[False, True, True, False]]
    _, unknown = seen_through(source, IDENTITY, Box(0, 0, 2, 1))
    assert unknown is None


def test_rop3_rounds_the_place_of_its_area() -> None:
    source = picture_of([list(range(1, 13))])
    target = Box(0, 0, 3, 1)
    words = scaled_for_rop3(source, Box(1, 0, 10, 1), target, target, interpolate=False).words
    assert words.tolist() == [[2, 5, 8]]  # 1 / 3 of a destination pixel is none


@pytest.mark.parametrize(
    ("part", "interpolate", "covered"),
    [
        (Box(0, 0, 3, 2), False, True),
        (Box(0, 0, 4, 2), False, False),
        (Box(-1, 0, 2, 2), False, False),
        (Box(0, 0, 3, 2), True, False),
        (Box(0, 0, 2, 1), True, True),
    ],
)
def test_where_samples_stay_inside(part: Box, interpolate: bool, covered: bool) -> None:
    assert covers(Box(0, 0, 3, 2), IDENTITY, part, interpolate=interpolate) is covered
