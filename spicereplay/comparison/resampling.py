"""Estimates that need no distribution: shifts, survival, and how sure they are, by resampling.

Everything is vectorised over the resamples and seeded, so the same samples give the same figures.

Sources of the methods: Hodges and Lehmann 1963 (median of pairwise differences); Cliff 1993 (delta); Politis and
Romano 1992 (circular block bootstrap); Geyer 1992, "Practical Markov chain Monte Carlo", 3.3 (when to stop adding up
autocorrelations); Kaplan and Meier 1958; Royston and Parmar 2013 (restricted mean survival time).
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import numpy.typing as npt

Float64Array = npt.NDArray[np.float64]
IndexArray = npt.NDArray[np.intp]

RESAMPLES: Final = 1000
"""Resamples behind an interval."""
SEED: Final = 20250701
"""Of every resampling; which number it is does not matter, that it is fixed does."""
QUANTILES: Final = 64
"""Points that stand for a longer sample in a Hodges-Lehmann estimate: 4,096 differences instead of millions."""
_TAIL: Final = (2.5, 97.5)


def independent(values: Float64Array) -> float:
    """Return how many independent values a series in order of time is worth; at most its length.

    The length over the integrated autocorrelation time of the ranks, which single outliers do not move.
    """
    count = len(values)
    if count < 3:
        return float(count)
    return count / _correlation_time(values)


def _correlation_time(values: Float64Array) -> float:
    ranks = _ranks(values)
    centred = ranks - ranks.mean()
    spread = float(centred @ centred)
    if spread == 0.0:
        return 1.0
    size = 1 << (2 * len(values) - 1).bit_length()
    spectrum = np.fft.rfft(centred, size)
    correlation = np.fft.irfft(spectrum * spectrum.conj(), size)[: len(values)] / spread
    usable = correlation[: len(values) // 2 * 2].reshape(-1, 2).sum(axis=1)
    # Sums of neighbouring pairs are positive and falling in theory; the first that is not is noise.
    stop = int(np.argmax(usable <= 0)) if (usable <= 0).any() else len(usable)
    return float(np.clip(2 * usable[:stop].sum() - 1, 1.0, len(values)))


def _ranks(values: Float64Array) -> Float64Array:
    """Return the ranks of values, equal ones sharing theirs."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2)[place], np.float64)


def dispersion(counts: Float64Array) -> float:
    """Return variance over mean of counts in equal times, 1 at the least: events that come one by one have 1."""
    if len(counts) < 2 or not counts.any():
        return 1.0
    return max(1.0, float(counts.var(ddof=1) / counts.mean()))


def hodges_lehmann(a: Float64Array, b: Float64Array) -> float:
    """Return the median of all differences `b - a`: by how much `b` is shifted. Both hold at least one value."""
    return float(_shifts(np.sort(a)[None, :], np.sort(b)[None, :])[0])


def _shifts(a: Float64Array, b: Float64Array) -> Float64Array:
    """Return the estimate of each row; rows are sorted."""
    left, right = _thinned(a), _thinned(b)
    return np.asarray(
        np.median((right[:, :, None] - left[:, None, :]).reshape(len(a), -1), axis=1), np.float64
    )


def _thinned(rows: Float64Array) -> Float64Array:
    count = rows.shape[1]
    if count <= QUANTILES:
        return rows
    return rows[:, ((np.arange(QUANTILES) + 0.5) * count / QUANTILES).astype(np.intp)]


def cliffs_delta(a: Float64Array, b: Float64Array) -> float:
    """Return how much more often a value of `b` is the larger one of a pair than the smaller: -1 to 1."""
    ordered = np.sort(a)
    below = np.searchsorted(ordered, b, "left").sum()
    above = (len(a) - np.searchsorted(ordered, b, "right")).sum()
    return float((below - above) / (len(a) * len(b)))


def shift_interval(a: Float64Array, b: Float64Array) -> tuple[float, float]:
    """Return the 95% bootstrap interval of `hodges_lehmann`."""
    rng = np.random.default_rng(SEED)
    left, right = _resampled(a, rng), _resampled(b, rng)
    left.sort(axis=1)
    right.sort(axis=1)
    parts = [
        _shifts(left[at : at + 100], right[at : at + 100]) for at in range(0, RESAMPLES, 100)
    ]  # 100 rows of differences at a time: 3 MiB
    low, high = np.percentile(np.concatenate(parts), _TAIL)
    return float(low), float(high)


def log_ratio_interval(a: Float64Array, b: Float64Array) -> tuple[float, float]:
    """Return the 95% bootstrap interval of the logarithm of mean(b) / mean(a); both means are above zero."""
    rng = np.random.default_rng(SEED)
    left, right = _resampled(a, rng).mean(axis=1), _resampled(b, rng).mean(axis=1)
    usable = (left > 0) & (right > 0)
    if not usable.any():
        return -math.inf, math.inf
    low, high = np.percentile(np.log(right[usable] / left[usable]), _TAIL)
    return float(low), float(high)


def _resampled(values: Float64Array, rng: np.random.Generator) -> Float64Array:
    """Return `RESAMPLES` rows drawn in blocks long enough to keep what neighbours have in common."""
    count = len(values)
    block = min(max(1, round(2 * count / independent(values)) - 1), max(1, count // 3))
    starts = rng.integers(0, count, (RESAMPLES, -(-count // block)))
    rows = (starts[:, :, None] + np.arange(block)).reshape(RESAMPLES, -1)[:, :count] % count
    return np.asarray(values[rows], np.float64)


# --- lifetimes -----------------------------------------------------------------------------------------


def survival(seconds: Float64Array, ended: npt.NDArray[np.bool_]) -> tuple[Float64Array, Float64Array]:
    """Return the Kaplan-Meier curve: times in order, and the share still alive after each."""
    order = _by_time(seconds, ended)
    weights = np.ones((1, len(seconds)))
    return seconds[order], _alive(weights, ended[order])[0]


def kaplan_meier_median(seconds: Float64Array, ended: npt.NDArray[np.bool_]) -> float:
    """Return the time by which half have ended; infinite where that was not seen, NaN of nothing."""
    if not len(seconds):
        return math.nan
    times, alive = survival(seconds, ended)
    reached = alive <= 0.5 + 1e-12
    return float(times[np.argmax(reached)]) if reached.any() else math.inf


def horizon(*lives: tuple[Float64Array, npt.NDArray[np.bool_]]) -> float:
    """Return up to which age all of the curves are known; a curve that has reached zero is known for ever."""
    known = []
    for seconds, ended in lives:
        times, alive = survival(seconds, ended)
        known.append(math.inf if alive[-1] <= 1e-12 else float(times[-1]))
    least = min(known)
    return least if math.isfinite(least) else max(float(seconds.max()) for seconds, _ in lives)


def restricted_mean(seconds: Float64Array, ended: npt.NDArray[np.bool_], until_s: float) -> float:
    """Return the mean lifetime within the first `until_s` seconds: the area under the Kaplan-Meier curve."""
    return float(_areas(np.ones((1, len(seconds))), seconds, ended, until_s)[0])


def restricted_mean_interval(
    a: tuple[Float64Array, npt.NDArray[np.bool_], IndexArray],
    b: tuple[Float64Array, npt.NDArray[np.bool_], IndexArray],
    until_s: float,
) -> tuple[float, float]:
    """Return the 95% bootstrap interval of the difference of restricted means, b's less a's.

    Each is `(seconds, ended, cluster)`; whole clusters are drawn.
    """
    rng = np.random.default_rng(SEED)
    areas = []
    for seconds, ended, cluster in (a, b):
        clusters = int(cluster.max()) + 1
        drawn = rng.multinomial(clusters, np.full(clusters, 1 / clusters), RESAMPLES)
        areas.append(_areas(drawn[:, cluster].astype(np.float64), seconds, ended, until_s))
    low, high = np.percentile(areas[1] - areas[0], _TAIL)
    return float(low), float(high)


def _by_time(seconds: Float64Array, ended: npt.NDArray[np.bool_]) -> IndexArray:
    """Return the order in which lives leave: of one age, those that ended leave before those lost from sight."""
    return np.lexsort((~ended, seconds))


def _alive(weights: Float64Array, ended: npt.NDArray[np.bool_]) -> Float64Array:
    at_risk = np.cumsum(weights[:, ::-1], axis=1)[:, ::-1]
    died = np.divide(weights * ended, at_risk, out=np.zeros_like(weights), where=at_risk > 0)
    return np.cumprod(1 - died, axis=1)


def _areas(
    weights: Float64Array, seconds: Float64Array, ended: npt.NDArray[np.bool_], until_s: float
) -> Float64Array:
    order = _by_time(seconds, ended)
    alive = _alive(weights[:, order], ended[order])
    before = np.concatenate((np.ones((len(weights), 1)), alive), axis=1)
    ages = np.concatenate(([0.0], np.minimum(seconds[order], until_s), [until_s]))
    return np.asarray((before * np.diff(ages)).sum(axis=1), np.float64)
