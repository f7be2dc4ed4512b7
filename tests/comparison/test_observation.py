"""Observations: what stands for them, and how long series become short ones."""

import math

import numpy as np

from spicereplay.comparison.observation import (
    MOST_VALUES,
    Count,
    Figure,
    Lifetimes,
    Occurrences,
    Sample,
    Share,
)


def test_a_long_sample_keeps_its_median_and_says_how_many_there_were() -> None:
    values = np.random.default_rng(1).gamma(2.0, 3.0, 50_000)
    taken = Sample.of(values)
    assert len(taken.values) == MOST_VALUES
    assert taken.count == 50_000
    assert abs(taken.value - np.median(values)) < 0.3


def test_a_long_series_of_rates_keeps_its_mean() -> None:
    values = np.zeros(30_001)
    values[::1000] = 5000.0
    taken = Sample.of(values, "mean")
    assert len(taken.values) == MOST_VALUES
    assert abs(taken.value / values.mean() - 1) < 0.01


def test_what_is_not_a_number_is_not_a_value() -> None:
    taken = Sample.of([1.0, math.nan, 3.0, math.inf])
    assert taken.count == 2
    assert taken.value == 2.0


def test_nothing_has_no_value() -> None:
    nothing = Lifetimes.of(np.empty(0), np.empty(0), np.empty(0, bool))
    for empty in (Sample.of([]), Count(0, 0.0), Share(0, 0), nothing):
        assert math.isnan(empty.value)
        assert empty.independent == 0


def test_a_count_is_per_minute_and_a_burst_is_worth_less() -> None:
    assert Count(30, 15.0).value == 120
    assert Count(30, 15.0, 10.0).independent == 3
    assert Occurrences(3).value == 3
    assert Figure(2.5).independent == 1
