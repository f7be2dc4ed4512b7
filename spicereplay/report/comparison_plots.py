"""The small plots of a comparison: streams and bandwidth on one clock, and how values are spread.

They are drawn here as SVG and need no script. What has to keep its shape (bars, text) is placed in percent of the
width, so a narrow page squeezes the time axis and not the letters; curves are stretched without their lines growing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from markupsafe import Markup

from spicereplay.comparison.effect import Outcome
from spicereplay.comparison.observation import Float64Array, Lifetimes, Sample
from spicereplay.comparison.resampling import survival
from spicereplay.report.looks import codec_look
from spicereplay.report.text import number

if TYPE_CHECKING:
    from spicereplay.comparison.result import ComparedSession, Comparison, Row

SIDES: Final = 8
"""Sessions that have a colour and a dash of their own; further ones begin again."""
DISTRIBUTIONS: Final = 9
"""Plots of how values are spread, the most telling quantities first."""
FEWEST_VALUES: Final = 5
"""Values whose spread is worth a curve."""
CURVE_POINTS: Final = 400
"""Points of one curve."""
ROWS: Final = 6
"""Rows of one session's stream bars; streams beyond so many at once share the last."""
BAR_PX: Final = 9
_LOG_RANGE: Final = 50.0


@dataclass(frozen=True, slots=True)
class Curve:
    """One session's line; `path` is in a box of 1000 by 100, y downward."""

    side: int
    label: str
    path: Markup


@dataclass(frozen=True, slots=True)
class Plot:
    """Curves over one axis; ticks are (percent of the width, text, where the text is anchored)."""

    title: str
    unit: str
    curves: tuple[Curve, ...]
    ticks: tuple[tuple[float, str, str], ...]
    top: str
    """What the upper edge of the box stands for."""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Bar:
    """The life of a stream; `x` and `width` in percent."""

    x: float
    width: float
    y: int
    look: str
    title: str


@dataclass(frozen=True, slots=True)
class Lane:
    """One session's streams and events; events are (percent, name)."""

    side: int
    label: str
    bars: tuple[Bar, ...]
    height: int
    begin: float
    """Percent at which its capture begins."""
    end: float
    events: tuple[tuple[float, str], ...]
    more: int
    """Streams that share a row with another for want of room."""


@dataclass(frozen=True, slots=True)
class Overlay:
    """All sessions on one clock."""

    lanes: tuple[Lane, ...]
    zero: float
    """Percent at which the event lies that they are aligned on."""
    bandwidth: Plot
    ticks: tuple[tuple[float, str, str], ...]
    codecs: tuple[str, ...]


def overlay(comparison: Comparison) -> Overlay:
    """Return the sessions laid over each other, seconds counted from the event they are aligned on."""
    offsets = [comparison.alignment.offset_s(label) for label in comparison.labels]
    low = min(-offset for offset in offsets)
    high = max(
        max(session.duration_s, _last(session)) - offset
        for session, offset in zip(comparison.sessions, offsets, strict=True)
    )
    span = max(high - low, 1e-9)

    def place(second: float) -> float:
        return round(100 * min(max((second - low) / span, 0.0), 1.0), 3)

    lanes = tuple(
        _lane(comparison, which, session, offset, place)
        for which, (session, offset) in enumerate(zip(comparison.sessions, offsets, strict=True))
    )
    ticks = tuple(_ticks(low, low + span))
    codecs = sorted({line.codec for session in comparison.sessions for line in session.streams})
    return Overlay(lanes, place(0.0), _bandwidth(comparison, offsets, low, span, ticks), ticks, tuple(codecs))


def _last(session: ComparedSession) -> float:
    return float(session.bandwidth_s[-1]) if len(session.bandwidth_s) else 0.0


def _lane(
    comparison: Comparison,
    which: int,
    session: ComparedSession,
    offset: float,
    place: Callable[[float], float],
) -> Lane:
    end = max(session.duration_s, _last(session))
    lives = []
    for line in session.streams:
        begun = line.created_s if math.isfinite(line.created_s) else line.first_frame_s
        begun = begun if math.isfinite(begun) else 0.0
        stopped = line.destroyed_s if math.isfinite(line.destroyed_s) else end
        lives.append((begun, max(stopped, begun), line.codec))
    free = [-math.inf] * ROWS
    bars, more = [], 0
    for begun, stopped, codec in sorted(lives):
        row = next((r for r in range(ROWS) if free[r] <= begun), None)
        if row is None:
            row, more = ROWS - 1, more + 1
        free[row] = max(free[row], stopped)
        x = place(begun - offset)
        words = f"{codec} stream, {begun - offset:.2f} s to {stopped - offset:.2f} s"
        bars.append(
            Bar(x, max(place(stopped - offset) - x, 0.15), row * (BAR_PX + 2), codec_look(codec), words)
        )
    rows = max((bar.y // (BAR_PX + 2) for bar in bars), default=0) + 1
    events = comparison.alignment.times[session.label]
    return Lane(
        which % SIDES,
        session.label,
        tuple(bars),
        rows * (BAR_PX + 2) + 4,
        place(-offset),
        place(end - offset),
        tuple((place(at - offset), name) for name, at in events.items() if not name.startswith("stream")),
        more,
    )


def _bandwidth(
    comparison: Comparison,
    offsets: Sequence[float],
    low: float,
    span: float,
    ticks: tuple[tuple[float, str, str], ...],
) -> Plot:
    highest = max(
        (float(s.bandwidth_kb_s.max()) for s in comparison.sessions if len(s.bandwidth_kb_s)), default=0.0
    )
    curves = []
    for which, (session, offset) in enumerate(zip(comparison.sessions, offsets, strict=True)):
        if not len(session.bandwidth_s) or not highest:
            continue
        times, rates = _peaks(session.bandwidth_s - offset, session.bandwidth_kb_s)
        curves.append(
            Curve(which % SIDES, session.label, _path((times - low) / span, np.sqrt(rates / highest)))
        )
    return Plot(
        "Display bandwidth from the server",
        "kB/s, on a square-root axis",
        tuple(curves),
        ticks,
        number(highest, 0),
    )


def _peaks(times: Float64Array, values: Float64Array) -> tuple[Float64Array, Float64Array]:
    """Thin a series to the largest value of each of `CURVE_POINTS` parts."""
    if len(times) <= CURVE_POINTS:
        return times, values
    edges = np.linspace(0, len(times), CURVE_POINTS + 1).astype(np.intp)[:-1]
    return times[edges], np.maximum.reduceat(values, edges)


def distributions(comparison: Comparison) -> list[Plot]:
    """Return how values are spread, for what differs first, then for what weighs most."""
    rows = [row for row in comparison.rows if len(list(_drawable(row))) > 1]
    rows.sort(key=lambda row: (Outcome.DIFFERENT not in row.outcomes, -row.quantity.weight))
    lives = [_survival(comparison, row) for row in comparison.rows if _has_lives(row)]
    return [*lives, *(_cumulative(comparison, row) for row in rows)][:DISTRIBUTIONS]


def _drawable(row: Row) -> Iterator[tuple[int, Float64Array]]:
    for which, seen in enumerate(row.observations):
        if isinstance(seen, Sample) and seen.centre == "median" and len(seen.values) >= FEWEST_VALUES:
            yield which, np.sort(seen.values)


def _cumulative(comparison: Comparison, row: Row) -> Plot:
    """Return the share of values (upward) below each value."""
    samples = list(_drawable(row))
    together = np.concatenate([values for _, values in samples])
    low, high = (float(each) for each in np.percentile(together, (0.5, 99.5)))
    factor = 100.0 if row.quantity.unit == "share" else 1.0
    logarithmic = low > 0 and high / low > _LOG_RANGE
    if high <= low:
        low, high = low - max(abs(low) * 0.01, 0.5), high + max(abs(high) * 0.01, 0.5)

    def along(values: Float64Array) -> Float64Array:
        if logarithmic:
            return np.asarray(np.log(np.maximum(values, low) / low) / math.log(high / low), np.float64)
        return (values - low) / (high - low)

    curves = []
    for which, values in samples:
        at = np.unique(np.linspace(0, len(values) - 1, min(len(values), CURVE_POINTS)).astype(np.intp))
        inside = np.clip(along(values[at]), 0.0, 1.0)
        x = np.repeat(np.concatenate(([0.0], inside, [1.0])), 2)[1:-1]
        y = np.repeat(np.concatenate(([0.0], (at + 1) / len(values))), 2)
        curves.append(Curve(which % SIDES, comparison.labels[which], _path(x, y)))
    if logarithmic:
        ticks = tuple(_log_ticks(low, high))
    else:
        ticks = tuple(_ticks(low * factor, high * factor, 4))
    unit = "%" if factor != 1.0 else row.quantity.unit
    return Plot(row.title, unit, tuple(curves), ticks, "100 %", "share of values up to each value")


def _has_lives(row: Row) -> bool:
    return any(isinstance(seen, Lifetimes) and seen.count > 1 for seen in row.observations)


def _survival(comparison: Comparison, row: Row) -> Plot:
    """Return the Kaplan-Meier curves: the share of streams still alive at each age."""
    lives = [
        (w, seen) for w, seen in enumerate(row.observations) if isinstance(seen, Lifetimes) and seen.count
    ]
    longest = max(float(seen.seconds.max()) for _, seen in lives) * 1.05 or 1.0
    curves = []
    for which, seen in lives:
        ages, alive = survival(seen.seconds, seen.ended)
        x = np.repeat(np.concatenate(([0.0], ages)), 2)[1:]
        y = np.repeat(np.concatenate(([1.0], alive)), 2)[:-1]
        curves.append(Curve(which % SIDES, comparison.labels[which], _path(x / longest, y)))
    return Plot(
        row.title,
        row.quantity.unit,
        tuple(curves),
        tuple(_ticks(0.0, longest, 4)),
        "100 %",
        "share of streams still alive at each age; where a curve ends above zero, the capture ended first",
    )


def _path(x: Float64Array, y: Float64Array) -> Markup:
    """Return an SVG path of points whose coordinates go from 0 to 1, y upward."""
    points = zip(np.round(1000 * x, 1).tolist(), np.round(100 - 100 * y, 2).tolist(), strict=True)
    # Markup, because what is plain text is cut where it is long; there is nothing but numbers in it.
    return Markup("M" + "L".join(f"{a:g} {b:g}" for a, b in points))


def _ticks(low: float, high: float, most: int = 8) -> Iterator[tuple[float, str, str]]:
    """Yield round numbers of an axis."""
    raw = (high - low) / most
    step = 10.0 ** math.floor(math.log10(raw)) if raw > 0 else 1.0
    step *= next((f for f in (1, 2, 5) if step * f >= raw), 10)
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    for k in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1):
        yield _tick((k * step - low) / (high - low), number(k * step + 0.0, decimals))


def _log_ticks(low: float, high: float) -> Iterator[tuple[float, str, str]]:
    for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1):
        if low <= 10.0**power <= high:
            yield _tick(math.log(10.0**power / low) / math.log(high / low), f"{10.0**power:g}")


def _tick(share: float, text: str) -> tuple[float, str, str]:
    anchor = "start" if share < 0.03 else "end" if share > 0.97 else "middle"
    return round(100 * share, 3), text, anchor
