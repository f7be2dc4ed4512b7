"""Estimates by resampling: against definitions, closed forms and known cases."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spicereplay.comparison.resampling import (
    cliffs_delta,
    dispersion,
    hodges_lehmann,
    horizon,
    independent,
    kaplan_meier_median,
    log_ratio_interval,
    restricted_mean,
    restricted_mean_interval,
    shift_interval,
    survival,
)

VALUES = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40)


@given(VALUES, VALUES)
@settings(max_examples=40)
def test_the_shift_is_the_median_of_all_differences(a: list[float], b: list[float]) -> None:
    every = [y - x for x in a for y in b]
    assert hodges_lehmann(np.array(a), np.array(b)) == pytest.approx(np.median(every), abs=1e-6)


@given(VALUES, VALUES)
@settings(max_examples=40)
def test_delta_counts_pairs(a: list[float], b: list[float]) -> None:
    wins = sum((y > x) - (y < x) for x in a for y in b)
    assert cliffs_delta(np.array(a), np.array(b)) == pytest.approx(wins / (len(a) * len(b)))


@given(VALUES)
@settings(max_examples=40)
def test_nothing_is_shifted_against_itself(a: list[float]) -> None:
    values = np.array(a)
    assert hodges_lehmann(values, values) == pytest.approx(0.0, abs=1e-6)
    assert cliffs_delta(values, values) == 0.0


def test_a_long_sample_is_as_good_as_its_quantiles() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.exponential(5.0, 1500), rng.exponential(5.0, 1700) + 2.0
    exact = float(np.median(b[:, None] - a[None, :]))
    assert hodges_lehmann(a, b) == pytest.approx(exact, abs=0.05)


def test_independent_noise_is_worth_its_length_and_a_slow_wave_is_not() -> None:
    rng = np.random.default_rng(2)
    noise = rng.normal(size=1000)
    assert independent(noise) > 600
    walk = np.zeros(1000)
    for i in range(1, 1000):
        walk[i] = 0.9 * walk[i - 1] + noise[i]
    # An autoregression with coefficient r has n (1 - r) / (1 + r): 53 here.
    assert 20 < independent(walk) < 120


@pytest.mark.parametrize(
    ("values", "worth"), [([], 0), ([1.0], 1), ([1.0, 2.0], 2), ([3.0] * 50, 50)], ids=str
)
def test_short_and_constant_series_are_worth_their_length(values: list[float], worth: int) -> None:
    assert independent(np.array(values, np.float64)) == worth


def test_intervals_are_the_same_each_time_and_hold_the_estimate() -> None:
    rng = np.random.default_rng(3)
    a, b = rng.normal(10, 1, 200), rng.normal(11, 1, 200)
    low, high = shift_interval(a, b)
    assert (low, high) == shift_interval(a, b)
    assert low < hodges_lehmann(a, b) < high
    assert 0.7 < low < high < 1.4


def test_blocks_make_the_interval_of_a_series_that_remembers_wider() -> None:
    rng = np.random.default_rng(4)
    memory = np.convolve(rng.normal(size=620), np.ones(20) / 20, "valid")[:600]
    shuffled = rng.permutation(memory)
    width = np.subtract(*reversed(shift_interval(memory, memory)))
    narrow = np.subtract(*reversed(shift_interval(shuffled, shuffled)))
    assert width > 2 * narrow


def test_the_interval_of_a_ratio_holds_it() -> None:
    rng = np.random.default_rng(5)
    a, b = rng.poisson(10, 300).astype(float), rng.poisson(30, 300).astype(float)
    low, high = log_ratio_interval(a, b)
    assert low < math.log(3) < high


def test_a_ratio_to_nothing_has_no_interval() -> None:
    assert log_ratio_interval(np.zeros(10), np.ones(10)) == (-math.inf, math.inf)


def test_kaplan_meier_by_hand() -> None:
    """Of five lives, two were lost from sight: the textbook product 4/5, then 2/3 of that, then nothing."""
    seconds = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    ended = np.array([True, False, True, False, True])
    times, alive = survival(seconds, ended)
    assert times.tolist() == [1, 2, 3, 4, 5]
    assert alive.tolist() == pytest.approx([0.8, 0.8, 0.8 * 2 / 3, 0.8 * 2 / 3, 0.0])
    assert kaplan_meier_median(seconds, ended) == 5.0
    assert restricted_mean(seconds, ended, 5.0) == pytest.approx(1 + 0.8 + 0.8 + 2 * 0.8 * 2 / 3)


def test_lives_of_one_age_end_before_others_are_lost_from_sight() -> None:
    _, alive = survival(np.array([2.0, 2.0]), np.array([False, True]))
    assert alive[-1] == 0.5


def test_a_median_that_was_not_reached_is_infinite_and_that_of_nothing_unknown() -> None:
    assert kaplan_meier_median(np.array([3.0, 4.0]), np.array([False, False])) == math.inf
    assert math.isnan(kaplan_meier_median(np.empty(0), np.empty(0, bool)))


@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=30))
@settings(max_examples=40)
def test_without_censoring_the_restricted_mean_is_the_mean(seconds: list[float]) -> None:
    lived = np.array(seconds)
    ended = np.ones(len(lived), bool)
    assert restricted_mean(lived, ended, float(lived.max())) == pytest.approx(lived.mean())


def test_the_horizon_is_where_the_first_unfinished_curve_ends() -> None:
    done = (np.array([1.0, 2.0]), np.array([True, True]))
    going = (np.array([1.0, 8.0]), np.array([True, False]))
    assert horizon(done, going) == 8.0
    assert horizon(done, done) == 2.0


def test_clusters_are_drawn_whole() -> None:
    """Ten lives that began together are one observation: with one cluster there is nothing to vary."""
    seconds, ended = np.linspace(1, 2, 10), np.ones(10, bool)
    together = np.zeros(10, np.intp)
    low, high = restricted_mean_interval((seconds, ended, together), (seconds + 1, ended, together), 3.0)
    assert low == pytest.approx(high) == pytest.approx(1.0)
    low, high = restricted_mean_interval(
        (seconds, ended, np.arange(10)), (seconds + 1, ended, np.arange(10)), 3.0
    )
    assert low < 1.0 < high


def test_dispersion_tells_bursts_from_single_events() -> None:
    rng = np.random.default_rng(6)
    assert dispersion(rng.poisson(20, 500).astype(float)) < 1.3
    assert dispersion(np.array([0.0, 0.0, 100.0, 0.0])) > 20
    assert dispersion(np.zeros(5)) == 1.0
    assert dispersion(np.array([7.0])) == 1.0
