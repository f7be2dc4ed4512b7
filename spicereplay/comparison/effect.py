"""How two observations of one quantity differ, how sure that is, and whether it matters.

An interval holds for all quantities of a comparison together with 95%: it is widened for their number (Bonferroni)
and for few observations (Student's t), so that two recordings of the same thing seldom differ anywhere. Nothing is
called different unless its interval excludes no change and the effect is at least what the quantity's declaration
calls relevant.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from statistics import NormalDist
from typing import TYPE_CHECKING, Final, Literal

from spicereplay.comparison.observation import (
    Count,
    Figure,
    Lifetimes,
    Observation,
    Occurrences,
    Sample,
    Share,
)
from spicereplay.comparison.resampling import (
    cliffs_delta,
    hodges_lehmann,
    horizon,
    log_ratio_interval,
    restricted_mean,
    restricted_mean_interval,
    shift_interval,
)

if TYPE_CHECKING:
    from spicereplay.comparison.quantities.declaration import Quantity

CONFIDENCE: Final = 0.95
"""Of all intervals of one comparison together."""
FEWEST: Final = 5
"""Independent observations that each side needs; of counts, both together."""
FIGURE_FACTOR: Final = 2.0
"""By how much a single figure without any spread must change before it is worth a word."""
_Z95: Final = NormalDist().inv_cdf(0.975)


class Outcome(StrEnum):
    """What the comparison of one quantity comes to."""

    DIFFERENT = "different"
    """The interval excludes no change, and the effect is relevant."""
    SAME = "same"
    """The whole interval lies within what is not relevant, or so do both values themselves."""
    UNCLEAR = "unclear"
    """Neither can be said."""
    TOO_FEW = "too_few"
    """Too few independent observations to tell."""
    NOTED = "noted"
    """A single figure differs by a factor; nothing says how much it varies by itself."""
    ONE_SIDE = "one_side"
    """Only one session shows the quantity at all."""


@dataclass(frozen=True, slots=True)
class Effect:
    """Session less baseline, or session over baseline, in the quantity's unit."""

    outcome: Outcome
    scale: Literal["difference", "ratio", ""] = ""
    """What `estimate`, `low` and `high` are; empty where there is none."""
    estimate: float = math.nan
    low: float = math.nan
    high: float = math.nan
    cliffs_delta: float = math.nan
    """Of samples: how much more often the session's value is the larger one, -1 to 1."""
    detail: str = ""
    """What else has to be said of it, in words."""

    @property
    def neutral(self) -> float:
        """The estimate that means no change."""
        return 1.0 if self.scale == "ratio" else 0.0

    @property
    def direction(self) -> int:
        """1 where the session has more than the baseline, -1 less, 0 neither."""
        if math.isnan(self.estimate):
            return 0
        return int(self.estimate > self.neutral) - int(self.estimate < self.neutral)


def effect(quantity: Quantity, baseline: Observation, session: Observation, tests: int) -> Effect:
    """Return how `session` differs from `baseline`; `tests` is how many quantities are compared altogether.

    Raises `TypeError` for observations of two kinds.
    """
    if _negligible(quantity, baseline, session):
        return Effect(Outcome.SAME, detail="in both less than what matters")
    match baseline, session:
        case Sample(), Sample():
            return _samples(quantity, baseline, session, tests)
        case Count(), Count():
            return _counts(quantity, baseline, session, tests)
        case Share(), Share():
            return _shares(quantity, baseline, session, tests)
        case Lifetimes(), Lifetimes():
            return _lifetimes(quantity, baseline, session, tests)
        case Occurrences(), Occurrences():
            return _occurrences(baseline, session)
        case Figure(), Figure():
            return _figures(quantity, baseline, session)
    raise TypeError(f"{quantity.name}: {type(baseline).__name__} and {type(session).__name__}")


def gives_interval(quantity: Quantity, baseline: Observation, session: Observation) -> bool:
    """Whether an interval is given for two observations, which is what the number of tests counts."""
    return not _negligible(quantity, baseline, session) and _enough(baseline, session)


def _negligible(quantity: Quantity, baseline: Observation, session: Observation) -> bool:
    """Whether amounts are so small in both that their difference cannot matter, however certain."""
    if isinstance(baseline, Lifetimes | Occurrences) or (
        isinstance(baseline, Sample) and baseline.centre == "median"
    ):
        return False
    return max(abs(baseline.value), abs(session.value)) < quantity.relevant


def _enough(baseline: Observation, session: Observation) -> bool:
    if isinstance(baseline, Occurrences | Figure):
        return False
    if isinstance(baseline, Count):
        return baseline.independent + session.independent >= FEWEST
    return min(baseline.independent, session.independent) >= FEWEST


def quantile(tests: int) -> float:
    """Return the normal quantile of an interval that is one of `tests` which hold together."""
    return NormalDist().inv_cdf(1 - (1 - CONFIDENCE) / (2 * max(1, tests)))


def _widening(tests: int, fewest: float) -> float:
    """Return the factor by which half of a 95% interval grows.

    Source of the expansion of Student's quantile: Abramowitz and Stegun 26.7.5, two terms.
    """
    z = quantile(tests)
    freedom = max(fewest - 1, 1.0)
    student = z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
    return student / _Z95


def _samples(quantity: Quantity, a: Sample, b: Sample, tests: int) -> Effect:
    if not _enough(a, b):
        return _too_few(a, b)
    wider = _widening(tests, min(a.independent, b.independent))
    delta = cliffs_delta(a.values, b.values)
    if a.centre == "mean":
        if not (a.value > 0 and b.value > 0):
            return Effect(Outcome.SAME if a.value == b.value else Outcome.ONE_SIDE, cliffs_delta=delta)
        middle = math.log(b.value / a.value)
        low, high = (math.exp(each) for each in _wider(middle, log_ratio_interval(a.values, b.values), wider))
        matters = _by_factor(quantity, a.value, b.value)
        return Effect(
            _judged(low > 1 or high < 1, matters, _near(quantity, low, high)),
            "ratio",
            math.exp(middle),
            low,
            high,
            delta,
        )
    shift = hodges_lehmann(a.values, b.values)
    low, high = _wider(shift, shift_interval(a.values, b.values), wider)
    limit = _limit(quantity, a.value, b.value)
    return Effect(
        _judged(low > 0 or high < 0, abs(shift) >= limit, max(abs(low), abs(high)) < limit),
        "difference",
        shift,
        low,
        high,
        delta,
    )


def _counts(quantity: Quantity, a: Count, b: Count, tests: int) -> Effect:
    """Compare rates: of all events, the session's share is binomial when rates are equal (Wilson's interval)."""
    if a.exposure_s <= 0 or b.exposure_s <= 0:
        return Effect(Outcome.ONE_SIDE, detail="one of them has no time in which this could have happened")
    if not _enough(a, b):
        return _too_few(a, b)
    ratio = b.value / a.value if a.events else math.inf
    dispersion = max(a.dispersion, b.dispersion)
    total = (a.events + b.events) / dispersion
    if total < FEWEST:
        return _too_few(a, b)
    share_low, share_high = _wilson(b.events / dispersion, total, quantile(tests))
    times = a.exposure_s / b.exposure_s
    low = share_low / (1 - share_low) * times if share_low < 1 else math.inf
    high = share_high / (1 - share_high) * times if share_high < 1 else math.inf
    matters = _by_factor(quantity, a.value, b.value)
    return Effect(
        _judged(low > 1 or high < 1, matters, _near(quantity, low, high)), "ratio", ratio, low, high
    )


def _shares(quantity: Quantity, a: Share, b: Share, tests: int) -> Effect:
    """Compare proportions. Source: Newcombe 1998, "Interval estimation for the difference", method 10."""
    if not _enough(a, b):
        return _too_few(a, b)
    z = quantile(tests)
    low_a, high_a = _wilson(a.part / a.design, a.independent, z)
    low_b, high_b = _wilson(b.part / b.design, b.independent, z)
    difference = b.value - a.value
    low = difference - math.hypot(b.value - low_b, high_a - a.value)
    high = difference + math.hypot(high_b - b.value, a.value - low_a)
    limit = quantity.relevant
    return Effect(
        _judged(low > 0 or high < 0, abs(difference) >= limit, max(abs(low), abs(high)) < limit),
        "difference",
        difference,
        low,
        high,
    )


def _lifetimes(quantity: Quantity, a: Lifetimes, b: Lifetimes, tests: int) -> Effect:
    """Compare mean lifetimes up to an age that both curves reach: medians may not be known."""
    if not _enough(a, b):
        return _too_few(a, b)
    until = horizon((a.seconds, a.ended), (b.seconds, b.ended))
    mean_a = restricted_mean(a.seconds, a.ended, until)
    mean_b = restricted_mean(b.seconds, b.ended, until)
    difference = mean_b - mean_a
    interval = restricted_mean_interval(
        (a.seconds, a.ended, a.cluster), (b.seconds, b.ended, b.cluster), until
    )
    low, high = _wider(difference, interval, _widening(tests, min(a.independent, b.independent)))
    limit = _limit(quantity, mean_a, mean_b)
    return Effect(
        _judged(low > 0 or high < 0, abs(difference) >= limit, max(abs(low), abs(high)) < limit),
        "difference",
        difference,
        low,
        high,
        detail=f"mean within the first {until:.3g} s: {mean_b:.3g} s against {mean_a:.3g} s",
    )


def _occurrences(a: Occurrences, b: Occurrences) -> Effect:
    difference = float(b.times - a.times)
    happened = (a.times > 0) != (b.times > 0)
    return Effect(
        Outcome.DIFFERENT if happened else Outcome.SAME, "difference", difference, difference, difference
    )


def _figures(quantity: Quantity, a: Figure, b: Figure) -> Effect:
    difference = b.value - a.value
    small, large = sorted((abs(a.value), abs(b.value)))
    changed = abs(difference) >= quantity.relevant and large >= FIGURE_FACTOR * small
    return Effect(
        Outcome.NOTED if changed else Outcome.UNCLEAR if difference else Outcome.SAME,
        "difference",
        difference,
    )


def _too_few(a: Observation, b: Observation) -> Effect:
    return Effect(
        Outcome.TOO_FEW,
        detail=f"too few to tell: worth {a.independent:.3g} and {b.independent:.3g} independent observations",
    )


def _wilson(part: float, whole: float, z: float) -> tuple[float, float]:
    share = part / whole
    middle = share + z * z / (2 * whole)
    half = z * math.sqrt(share * (1 - share) / whole + z * z / (4 * whole * whole))
    scale = 1 + z * z / whole
    low = 0.0 if part <= 0 else max(0.0, (middle - half) / scale)
    high = 1.0 if part >= whole else min(1.0, (middle + half) / scale)
    return low, high


def _wider(middle: float, interval: tuple[float, float], factor: float) -> tuple[float, float]:
    low, high = interval
    return min(middle + (low - middle) * factor, middle), max(middle + (high - middle) * factor, middle)


def _limit(quantity: Quantity, a: float, b: float) -> float:
    """Return the smallest relevant shift: the absolute one, and the factor on the smaller centre."""
    return max(quantity.relevant, (quantity.factor - 1) * min(abs(a), abs(b)))


def _by_factor(quantity: Quantity, a: float, b: float) -> bool:
    small, large = sorted((a, b))
    return large - small >= quantity.relevant and (small == 0 or large / small >= quantity.factor)


def _near(quantity: Quantity, low: float, high: float) -> bool:
    return low > 1 / quantity.factor and high < quantity.factor


def _judged(excludes: bool, matters: bool, within: bool) -> Outcome:
    if excludes and matters:
        return Outcome.DIFFERENT
    return Outcome.SAME if within else Outcome.UNCLEAR
