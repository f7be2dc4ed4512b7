"""A moment of every fuzz harness; `make fuzz` runs them for as long as one likes, on checked kernels."""

from random import Random

import pytest
from fuzz.__main__ import HARNESSES
from fuzz.fuzzing import Case, Harness, run_round


@pytest.mark.parametrize("harness", HARNESSES, ids=lambda harness: harness.name)
def test_a_round_has_only_documented_outcomes(harness: Harness) -> None:
    outcomes = run_round(harness, seed=20, number=0)
    assert len(outcomes) > 1, "every input came to the same end: it is not looked into"


def test_a_round_can_be_had_again() -> None:
    harness = next(harness for harness in HARNESSES if harness.name == "glz-window")
    assert run_round(harness, seed=1, number=5) == run_round(harness, seed=1, number=5)
    assert run_round(harness, seed=1, number=5) != run_round(harness, seed=1, number=6)


def test_what_is_not_documented_fails() -> None:
    def start(chance: Random) -> Case:
        def case() -> str:
            if chance.random() < 0.1:
                raise IndexError("out of range")
            return "decoded"

        return case

    with pytest.raises(IndexError):
        run_round(Harness("wrong", start), seed=1, number=0)
