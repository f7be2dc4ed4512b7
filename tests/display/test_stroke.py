from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spicereplay.display.dashes import Dashes, dash_pattern, dashed_pixels
from spicereplay.display.region import Box
from spicereplay.display.stroke import line_pixels, polylines, whole
from spicereplay.protocol.enums import PathFlags
from spicereplay.protocol.messages.drawing import PathSegment
from spicereplay.protocol.messages.geometry import PointFix

FIELD = Box(-40, -40, 40, 40)


def pixels(start: tuple[int, int], end: tuple[int, int], bounds: Box = FIELD) -> list[tuple[int, int]]:
    x, y = line_pixels(start, end, bounds)
    return list(zip(x.tolist(), y.tolist(), strict=True))


def segment(flags: int, *points: tuple[float, float]) -> PathSegment:
    return PathSegment(flags=flags, points=tuple(PointFix(x=int(x * 16), y=int(y * 16)) for x, y in points))


@pytest.mark.parametrize(("fixed", "number"), [(0, 0), (8, 0), (9, 1), (16, 1), (-8, -1), (-7, 0), (-16, -1)])
def test_fixed_point_is_rounded_with_halves_down(fixed: int, number: int) -> None:
    assert whole(fixed) == number


def test_a_line_leaves_out_its_end() -> None:
    assert pixels((1, 2), (4, 2)) == [(1, 2), (2, 2), (3, 2)]
    assert pixels((4, 2), (1, 2)) == [(4, 2), (3, 2), (2, 2)]
    assert pixels((0, 0), (0, -3)) == [(0, 0), (0, -1), (0, -2)]
    assert pixels((5, 5), (5, 5)) == []


def test_a_tie_goes_the_other_way_when_the_line_runs_back() -> None:
    assert pixels((0, 0), (4, 2)) == [(0, 0), (1, 1), (2, 1), (3, 2)]
    assert pixels((4, 2), (0, 0)) == [(4, 2), (3, 2), (2, 1), (1, 1)]


coordinates = st.tuples(st.integers(-60, 60), st.integers(-60, 60))


@given(start=coordinates, end=coordinates)
@settings(max_examples=150, deadline=None)
def test_a_line_is_one_pixel_per_step_and_next_to_the_ideal_one(
    start: tuple[int, int], end: tuple[int, int]
) -> None:
    drawn = pixels(start, end, Box(-100, -100, 100, 100))
    dx, dy = end[0] - start[0], end[1] - start[1]
    length = max(abs(dx), abs(dy))
    assert len(drawn) == length == len(set(drawn))
    for x, y in drawn:
        # The distance along the minor axis is at most half a pixel.
        assert abs((x - start[0]) * dy - (y - start[1]) * dx) * 2 <= length * length or length == 0
        assert abs((x - start[0]) * dy - (y - start[1]) * dx) * 2 <= length


@given(start=coordinates, end=coordinates, box=st.tuples(*(st.integers(-50, 50) for _ in range(4))))
@settings(max_examples=100, deadline=None)
def test_bounds_only_take_pixels_away(
    start: tuple[int, int], end: tuple[int, int], box: tuple[int, int, int, int]
) -> None:
    bounds = Box(*box)
    every = pixels(start, end, Box(-100, -100, 100, 100))
    inside = [(x, y) for x, y in every if box[0] <= x < box[2] and box[1] <= y < box[3]]
    assert pixels(start, end, bounds) == inside


def test_a_line_as_long_as_numbers_go_costs_no_more_than_its_bounds() -> None:
    far = (1 << 27) - 1
    assert pixels((-far, 3), (far, 3), Box(0, 0, 5, 5)) == [(x, 3) for x in range(5)]


def test_segments_continue_begin_end_and_close() -> None:
    begin, end, close = PathFlags.BEGIN, PathFlags.END, PathFlags.CLOSE
    lines, all_of_it = polylines(
        [
            segment(begin, (0, 0), (5, 0)),
            segment(end | close, (5, 5)),
            segment(begin, (9, 9), (8, 8)),
            segment(begin | end, (1, 1), (2, 2)),
        ],
        100,
    )
    assert all_of_it
    assert lines == [[(0, 0), (5, 0), (5, 5), (0, 0)], [(9, 9), (8, 8)], [(1, 1), (2, 2)]]


def test_a_curve_ends_where_it_says_and_a_straight_one_is_a_line() -> None:
    bezier = PathFlags.BEGIN | PathFlags.BEZIER | PathFlags.END
    lines, _ = polylines([segment(bezier, (0, 0), (10, 0), (20, 0), (30, 0))], 100)
    assert lines == [[(0, 0), (30, 0)]]
    lines, _ = polylines([segment(bezier, (0, 0), (0, 20), (40, 20), (40, 0))], 100)
    assert lines[0][0] == (0, 0)
    assert lines[0][-1] == (40, 0)
    assert (20, 15) in lines[0]


def test_a_curve_that_is_a_point_ends() -> None:
    bezier = PathFlags.BEGIN | PathFlags.BEZIER
    lines, all_of_it = polylines([segment(bezier, (3, 3), (3, 3), (3, 3), (3, 3))], 100)
    assert all_of_it
    assert set(lines[0]) == {(3, 3)}


def test_endless_curves_stop_at_the_limit() -> None:
    bezier = PathFlags.BEGIN | PathFlags.BEZIER
    far = 1 << 26
    curves = [(-far, far), (far, far), (far, -far)] * 40
    lines, all_of_it = polylines([segment(bezier, (0, 0), *curves)], 50)
    assert not all_of_it
    assert sum(map(len, lines)) <= 51


# --- dashes ------------------------------------------------------------------------------------------------


def dashed(
    line: list[tuple[int, int]], *style: int, gap: bool = False, once: bool = False
) -> list[tuple[int, int]]:
    pattern = dash_pattern([length << 4 for length in style], start_with_gap=gap)
    assert pattern is not None
    x, y, all_of_it = dashed_pixels(line, pattern, FIELD, each_once=once, most_dashes=1000)
    assert all_of_it
    return sorted(zip(x.tolist(), y.tolist(), strict=True))


def test_dashes_and_gaps_in_turn() -> None:
    assert dashed([(0, 0), (10, 0)], 3, 2) == [(x, 0) for x in (0, 1, 2, 5, 6, 7)]
    assert dashed([(0, 0), (0, 6)], 1, 1) == [(0, 0), (0, 2), (0, 4)]


def test_a_pattern_that_starts_with_a_gap() -> None:
    # The list is turned, and its new first length is over already.
    assert dashed([(0, 0), (10, 0)], 2, 3, gap=True) == [(x, 0) for x in (2, 3, 4, 7, 8, 9)]


def test_the_pattern_goes_on_round_a_corner() -> None:
    assert dashed([(0, 0), (4, 0), (4, 4)], 3, 3) == [(0, 0), (1, 0), (2, 0), (4, 2), (4, 3)]


def test_a_style_without_length_is_no_pattern() -> None:
    assert dash_pattern([], start_with_gap=False) is None
    assert dash_pattern([0, 4], start_with_gap=False) is None


def test_dashes_advance_over_whole_rounds() -> None:
    pattern = Dashes([3, 2])
    pattern.advance(2)
    assert (pattern.index, pattern.offset) == (0, 2)
    pattern.advance(2)
    assert (pattern.index, pattern.offset) == (1, 1)
    pattern.advance(5 * 7 + 1)
    assert (pattern.index, pattern.offset) == (0, 0)


@given(
    points=st.lists(coordinates, min_size=2, max_size=5),
    style=st.lists(st.integers(0, 9), min_size=1, max_size=4),
)
@settings(max_examples=60, deadline=None)
def test_dashes_lie_along_their_line(points: list[tuple[int, int]], style: list[int]) -> None:
    if not any(style):
        return
    for once in (False, True):
        for x, y in dashed(points, *style, once=once):
            distances = []
            for (ax, ay), (bx, by) in pairwise(points):
                dx, dy = bx - ax, by - ay
                square = dx * dx + dy * dy
                along = 0.0 if not square else min(max(((x - ax) * dx + (y - ay) * dy) / square, 0), 1)
                distances.append((x - ax - along * dx) ** 2 + (y - ay - along * dy) ** 2)
            assert min(distances) < 11 * 11  # as far as a mitred corner reaches


def test_too_many_dashes_stop() -> None:
    pattern = dash_pattern([16, 16], start_with_gap=False)
    assert pattern is not None
    _, _, all_of_it = dashed_pixels([(0, 0), (1 << 20, 0)], pattern, FIELD, each_once=False, most_dashes=50)
    assert not all_of_it
