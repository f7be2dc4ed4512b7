"""What one session shows of one quantity: the kinds of observation, and the one number that stands for each."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from spicereplay.comparison.resampling import independent, kaplan_meier_median

Float64Array = npt.NDArray[np.float64]

MOST_VALUES: Final = 2000
"""Values of one sample that are kept: evenly spaced ones of longer series, which bounds memory and time."""

TOGETHER_S: Final = 0.2
"""Streams created within this of one another count as one observation: they are parts of one picture.

Source: server-heuristics.md A1, RED_STREAM_DETECTION_MAX_DELTA.
"""


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """Measured values in order of time; neighbours may depend on one another."""

    values: Float64Array
    total: int
    """How many there were before thinning to `MOST_VALUES`."""
    centre: Literal["median", "mean"] = "median"
    """What stands for the sample: `mean` for rates of bursty traffic, whose median second is an idle one."""

    @classmethod
    def of(cls, values: npt.ArrayLike, centre: Literal["median", "mean"] = "median") -> Sample:
        """Take finite values in their order, thinned where there are more than `MOST_VALUES`.

        A series whose mean counts is thinned by averaging neighbours, any other by leaving values out.
        """
        taken = np.asarray(values, np.float64)
        taken = taken[np.isfinite(taken)]
        total = len(taken)
        if total > MOST_VALUES:
            edges = np.linspace(0, total, MOST_VALUES + 1).astype(np.intp)
            if centre == "mean":
                taken = np.add.reduceat(taken, edges[:-1]) / np.diff(edges)
            else:
                taken = taken[edges[:-1]]
        return cls(taken, total, centre)

    @property
    def value(self) -> float:
        """Median or mean; NaN without values."""
        if not len(self.values):
            return math.nan
        return float(np.mean(self.values) if self.centre == "mean" else np.median(self.values))

    @property
    def count(self) -> int:
        """Values observed."""
        return self.total

    @property
    def independent(self) -> float:
        """How many independent values the kept ones are worth, given how alike neighbours are."""
        return independent(self.values)


@dataclass(frozen=True, slots=True)
class Count:
    """Events in a time. `dispersion` is variance over mean of their number in equal parts of that time."""

    events: int
    exposure_s: float
    dispersion: float = 1.0

    @property
    def value(self) -> float:
        """Events per minute; NaN without any time."""
        return 60 * self.events / self.exposure_s if self.exposure_s > 0 else math.nan

    @property
    def count(self) -> int:
        """Events."""
        return self.events

    @property
    def independent(self) -> float:
        """Events that come in bursts count as so many that come one by one."""
        return self.events / self.dispersion


@dataclass(frozen=True, slots=True)
class Share:
    """`part` of `whole`; `design` of the whole are worth one independent observation."""

    part: float
    whole: float
    design: float = 1.0

    @property
    def value(self) -> float:
        """The share, 0 to 1; NaN of nothing."""
        return self.part / self.whole if self.whole else math.nan

    @property
    def count(self) -> int:
        """The whole."""
        return int(self.whole)

    @property
    def independent(self) -> float:
        """The whole in independent observations."""
        return self.whole / self.design


@dataclass(frozen=True, slots=True, eq=False)
class Lifetimes:
    """How long things lived; those still alive at the end of the capture are censored, not short."""

    seconds: Float64Array
    ended: npt.NDArray[np.bool_]
    cluster: npt.NDArray[np.intp]
    """Which of them began together and so are one observation."""

    @classmethod
    def of(cls, created_s: Float64Array, seconds: Float64Array, ended: npt.NDArray[np.bool_]) -> Lifetimes:
        """Take lives in order of creation, those of one display channel after those of another."""
        apart = np.abs(np.diff(created_s, prepend=created_s[:1])) > TOGETHER_S
        cluster = np.cumsum(apart).astype(np.intp)
        return cls(seconds, ended, cluster)

    @property
    def value(self) -> float:
        """Kaplan-Meier median in seconds; infinite where fewer than half are known to have ended."""
        return kaplan_meier_median(self.seconds, self.ended)

    @property
    def count(self) -> int:
        """Lives."""
        return len(self.seconds)

    @property
    def independent(self) -> float:
        """Lives that began apart."""
        return float(self.cluster[-1] + 1) if len(self.cluster) else 0.0


@dataclass(frozen=True, slots=True)
class Occurrences:
    """How often something happened that a rule with thresholds of its own has judged already."""

    times: int
    words: str = ""
    """The same in words, for sentences."""

    @property
    def value(self) -> float:
        """How often."""
        return float(self.times)

    @property
    def count(self) -> int:
        """How often."""
        return self.times

    @property
    def independent(self) -> float:
        """How often."""
        return float(self.times)


@dataclass(frozen=True, slots=True)
class Figure:
    """One number without anything that would say how much it varies."""

    value: float

    @property
    def count(self) -> int:
        """One."""
        return 1

    @property
    def independent(self) -> float:
        """One."""
        return 1.0


Observation = Sample | Count | Share | Lifetimes | Occurrences | Figure
"""What one session shows of one quantity."""

KINDS: Final = {
    Sample: "sample",
    Count: "count",
    Share: "share",
    Lifetimes: "lifetimes",
    Occurrences: "occurrences",
    Figure: "figure",
}
"""Names of the kinds, as JSON and tables show them."""
