"""What counts as different: certain, relevant, and never from noise alone."""

import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spicereplay.comparison import words
from spicereplay.comparison.effect import Effect, Outcome, effect, gives_interval, quantile
from spicereplay.comparison.observation import Count as Events
from spicereplay.comparison.observation import Figure, Lifetimes, Observation, Occurrences, Sample, Share
from spicereplay.comparison.quantities import QUANTITIES

RTT = QUANTITIES["ping_rtt"]
LATE = QUANTITIES["late_frames"]
LIVES = QUANTITIES["stream_lifetime"]
IMAGES = QUANTITIES["images"]
FLAPS = QUANTITIES["flaps"]


def noise(seed: int, middle: float, count: int = 200, spread: float = 1.0) -> Sample:
    return Sample.of(np.random.default_rng(seed).normal(middle, spread, count))


def test_a_certain_and_large_shift_is_different() -> None:
    found = effect(RTT, noise(1, 10), noise(2, 30), 20)
    assert found.outcome is Outcome.DIFFERENT
    assert found.scale == "difference"
    assert found.low < 20 < found.high
    assert found.cliffs_delta == 1.0
    assert words.judged(RTT, found) == "worse"


def test_a_certain_shift_that_does_not_matter_is_the_same() -> None:
    found = effect(RTT, noise(1, 10, spread=0.1), noise(2, 11, spread=0.1), 20)
    assert found.low > 0
    assert found.outcome is Outcome.SAME


def test_a_large_shift_that_is_not_certain_is_unclear() -> None:
    found = effect(RTT, noise(1, 100, 8, 60), noise(2, 140, 8, 60), 20)
    assert found.outcome is Outcome.UNCLEAR


def test_with_few_values_nobody_can_tell() -> None:
    found = effect(RTT, noise(1, 10, 4), noise(2, 99, 400), 20)
    assert found.outcome is Outcome.TOO_FEW
    assert "too few to tell" in found.detail


def test_more_tests_make_intervals_wider() -> None:
    assert quantile(1) == pytest.approx(1.96, abs=0.001)
    assert quantile(40) == pytest.approx(3.227, abs=0.001)
    one, many = (effect(RTT, noise(1, 10), noise(2, 30), tests) for tests in (1, 40))
    assert many.low < one.low < one.high < many.high


def test_recordings_of_one_thing_seldom_differ() -> None:
    """Forty pairs of autocorrelated series of one process, judged one by one, with no threshold to help."""
    exact = replace(RTT, relevant=0.0, factor=1.0)
    rng = np.random.default_rng(7)
    outcomes = Counter()
    for _ in range(40):
        series = [np.convolve(rng.gamma(2.0, 5.0, 153), np.ones(4) / 4, "valid") for _ in range(2)]
        outcomes[effect(exact, Sample.of(series[0]), Sample.of(series[1]), 1).outcome] += 1
    assert outcomes[Outcome.DIFFERENT] <= 5


@given(st.integers(0, 200), st.integers(0, 200), st.floats(1, 100), st.floats(1, 100), st.floats(1, 5))
@settings(max_examples=80)
def test_rates_compare_both_ways(a: int, b: int, at: float, bt: float, burst: float) -> None:
    there = effect(IMAGES, Events(a, at, burst), Events(b, bt, burst), 5)
    back = effect(IMAGES, Events(b, bt, burst), Events(a, at, burst), 5)
    assert there.outcome is back.outcome
    if there.scale == "ratio":
        assert there.low <= there.estimate * (1 + 1e-9)
        assert there.estimate <= there.high * (1 + 1e-9)
        if a > 0 and b > 0:
            assert there.low == pytest.approx(1 / back.high, rel=1e-6)


def test_a_rate_that_appears_is_infinitely_more() -> None:
    found = effect(IMAGES, Events(0, 60), Events(200, 60), 5)
    assert found.outcome is Outcome.DIFFERENT
    assert found.estimate == math.inf
    assert found.low > 1
    assert words.factor_text(found.estimate) == "×∞"


def test_bursts_need_more_events() -> None:
    single = effect(IMAGES, Events(100, 60), Events(300, 60), 20)
    bursts = effect(IMAGES, Events(100, 60, 40.0), Events(300, 60, 40.0), 20)
    assert single.outcome is Outcome.DIFFERENT
    assert bursts.outcome is Outcome.UNCLEAR


def test_a_rate_needs_time() -> None:
    assert effect(IMAGES, Events(5, 0.0), Events(100, 60), 5).outcome is Outcome.ONE_SIDE


def test_shares() -> None:
    """Newcombe's own example: 56 of 70 against 48 of 80 differ by 0.2, 95% interval 0.0524 to 0.3339."""
    found = effect(LATE, Share(48, 80), Share(56, 70), 1)
    assert (found.estimate, found.low, found.high) == pytest.approx((0.2, 0.0524, 0.3339), abs=0.0001)
    assert found.outcome is Outcome.DIFFERENT
    assert effect(LATE, Share(48, 80, 8), Share(56, 70, 8), 1).outcome is Outcome.UNCLEAR


def test_lives_that_are_cut_off_by_the_end_are_not_short() -> None:
    created = np.arange(12.0) * 10
    short = Lifetimes.of(created, np.full(12, 1.5), np.ones(12, bool))
    going = Lifetimes.of(created, np.full(12, 9.0), np.zeros(12, bool))
    found = effect(LIVES, going, short, 10)
    assert going.value == math.inf
    assert found.outcome is Outcome.DIFFERENT
    assert words.judged(LIVES, found) == "worse"
    assert words.value_text(LIVES, going) == "more than half still alive at the end"


def test_streams_that_begin_together_are_one_observation() -> None:
    lives = Lifetimes.of(np.array([1.0, 1.1, 1.25, 9.0]), np.ones(4), np.ones(4, bool))
    assert lives.count == 4
    assert lives.independent == 2


@pytest.mark.parametrize(
    ("before", "after", "outcome"),
    [(0, 1, Outcome.DIFFERENT), (2, 0, Outcome.DIFFERENT), (1, 3, Outcome.SAME), (0, 0, Outcome.SAME)],
)
def test_what_a_rule_has_judged_counts_by_itself(before: int, after: int, outcome: Outcome) -> None:
    assert effect(FLAPS, Occurrences(before), Occurrences(after), 5).outcome is outcome


@pytest.mark.parametrize(
    ("before", "after", "outcome"),
    [(10, 25, Outcome.NOTED), (10, 12, Outcome.UNCLEAR), (7, 7, Outcome.SAME), (0, 0.5, Outcome.SAME)],
)
def test_a_single_figure_is_noted_from_twice_as_much(before: float, after: float, outcome: Outcome) -> None:
    assert effect(QUANTITIES["client_decode"], Figure(before), Figure(after), 5).outcome is outcome


def test_what_is_too_little_in_both_to_matter_is_not_tested() -> None:
    few, fewer = Events(9, 600), Events(30, 600)
    assert effect(IMAGES, few, fewer, 5).outcome is Outcome.SAME
    assert not gives_interval(IMAGES, few, fewer)


@pytest.mark.parametrize(
    ("name", "seen"),
    [
        ("ping_rtt", noise(1, 50)),
        ("bandwidth", Sample.of(np.random.default_rng(9).exponential(40, 99), "mean")),
        ("images", Events(500, 60, 3.0)),
        ("late_frames", Share(30, 100)),
        ("stream_lifetime", Lifetimes.of(np.arange(8.0), np.arange(8.0) + 1, np.ones(8, bool))),
        ("flaps", Occurrences(2)),
        ("client_decode", Figure(8.0)),
    ],
)
def test_nothing_differs_from_itself(name: str, seen: Observation) -> None:
    found = effect(QUANTITIES[name], seen, seen, 1)
    assert found.outcome in (Outcome.SAME, Outcome.UNCLEAR)
    assert found.direction == 0


def test_observations_of_two_kinds_cannot_be_compared() -> None:
    with pytest.raises(TypeError, match="flaps: Figure and Share"):
        effect(FLAPS, Figure(5), Share(1, 2), 1)


def test_rates_of_traffic_compare_by_their_means() -> None:
    quantity = QUANTITIES["bandwidth"]
    rng = np.random.default_rng(8)
    quiet, busy = (Sample.of(rng.exponential(mean, 300), "mean") for mean in (50, 400))
    found = effect(quantity, quiet, busy, 10)
    assert found.scale == "ratio"
    assert found.low < 8 < found.high
    assert found.outcome is Outcome.DIFFERENT


def test_an_effect_that_is_not_known_has_no_direction() -> None:
    assert Effect(Outcome.TOO_FEW).direction == 0
