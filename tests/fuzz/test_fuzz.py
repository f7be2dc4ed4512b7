"""A moment of every fuzz harness; `make fuzz` runs them for as long as one likes, on checked kernels."""

import pytest
from fuzz.__main__ import HARNESSES
from fuzz.fuzzing import Harness, run_round


@pytest.mark.parametrize("harness", HARNESSES, ids=lambda harness: harness.name)
def test_a_round_has_only_documented_outcomes(harness: Harness) -> None:
    outcomes = run_round(harness, seed=20, number=0)
    assert len(outcomes) > 1, "every input came to the same end: it is not looked into"
