from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from spicereplay.display.region import EMPTY, Box, Region, clipped, masked

BOUNDS = Box(0, 0, 12, 9)
boxes = st.tuples(*(st.integers(-4, 15) for _ in range(4))).map(lambda t: Box(*t))


def pixels(region: Region) -> set[tuple[int, int]]:
    """The pixels of a region as (column, row)."""
    box = region.box
    return {
        (x, y)
        for y in range(box.top, box.bottom)
        for x in range(box.left, box.right)
        if region.mask is None or region.mask[y - box.top, x - box.left]
    }


def inside(box: Box) -> set[tuple[int, int]]:
    return {(x, y) for x in range(box.left, box.right) for y in range(box.top, box.bottom)}


@given(box=boxes, rects=st.none() | st.lists(boxes, max_size=5))
@settings(max_examples=150, deadline=None)
def test_a_clip_leaves_what_lies_in_the_box_the_bounds_and_any_rectangle(
    box: Box, rects: list[Box] | None
) -> None:
    want = inside(box) & inside(BOUNDS)
    if rects is not None:
        want &= set().union(*(inside(rect) for rect in rects))
    region = clipped(box, BOUNDS, rects)
    assert pixels(region) == want
    assert region.empty == (not want)


def test_a_clip_of_no_rectangles_hides_everything() -> None:
    assert clipped(BOUNDS, BOUNDS, []).empty
    assert not clipped(BOUNDS, BOUNDS, None).empty


@given(
    box=boxes, left=st.integers(-5, 8), top=st.integers(-5, 8), inverse=st.booleans(), seed=st.integers(0, 99)
)
@settings(max_examples=100, deadline=None)
def test_a_mask_lets_set_bits_through_and_nothing_beyond_its_edge(
    box: Box, left: int, top: int, inverse: bool, seed: int
) -> None:
    bits = np.random.default_rng(seed).random((5, 7)) < 0.5
    region = clipped(box, BOUNDS, None)
    want = {
        (x, y)
        for x, y in pixels(region)
        if 0 <= x - left < 7 and 0 <= y - top < 5 and bits[y - top, x - left] != inverse
    }
    assert pixels(masked(region, bits, left, top, inverse=inverse)) == want


def test_a_region_within_a_smaller_box_keeps_its_mask() -> None:
    region = clipped(BOUNDS, BOUNDS, [Box(0, 0, 2, 2), Box(4, 4, 6, 6)])
    assert pixels(region.within(Box(1, 1, 5, 5))) == {(1, 1), (4, 4)}
    assert region.within(Box(20, 20, 30, 30)) is EMPTY


def test_boxes_join_and_empty_ones_do_not_count() -> None:
    assert Box(1, 1, 3, 3).union(Box(2, 0, 5, 2)) == Box(1, 0, 5, 3)
    assert Box(1, 1, 3, 3).union(Box(9, 9, 9, 12)) == Box(1, 1, 3, 3)
    assert Box(9, 9, 9, 12).union(Box(1, 1, 3, 3)) == Box(1, 1, 3, 3)
