"""Leaving out what can be spared."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from spicereplay.excerpt.ddmin import spare


class Needed:
    """Something that holds as long as all of `needed` is in it."""

    def __init__(self, units: Sequence[int], needed: set[int]) -> None:
        self.left, self.needed, self.trials = list(units), needed, 0

    def leave_out(self, units: Sequence[int]) -> bool:
        self.trials += 1
        rest = [unit for unit in self.left if unit not in set(units)]
        if not self.needed <= set(rest):
            return False
        self.left = rest
        return True


@given(st.integers(0, 60), st.sets(st.integers(0, 59), max_size=6))
def test_just_what_is_needed_is_left(count: int, needed: set[int]) -> None:
    needed &= set(range(count))
    thing = Needed(range(count), needed)
    assert set(spare(range(count), thing.leave_out)) == needed == set(thing.left)


def test_one_of_a_thousand_takes_few_trials() -> None:
    thing = Needed(range(1000), {617})
    assert spare(range(1000), thing.leave_out) == [617]
    assert thing.trials < 40


def test_nothing_is_asked_for_nothing() -> None:
    thing = Needed([], set())
    assert spare([], thing.leave_out) == []
    assert thing.trials == 0
