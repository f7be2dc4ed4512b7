"""Carries out a comparison: measures, observes one input after the other, and puts the result together."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from spicereplay.comparison.alignment import align, events
from spicereplay.comparison.decoding import decode_in_turn
from spicereplay.comparison.effect import Effect, Outcome, effect, gives_interval
from spicereplay.comparison.facts import merged, observed_facts
from spicereplay.comparison.labels import factors
from spicereplay.comparison.material import Material, Subject
from spicereplay.comparison.observation import Float64Array, Observation
from spicereplay.comparison.quantities import QUANTITIES
from spicereplay.comparison.quantities.declaration import OTHERS
from spicereplay.comparison.result import ComparedSession, Comparison, FindingRow, Row, StreamLine
from spicereplay.display.records import Clock
from spicereplay.errors import UsageError
from spicereplay.limits import DEFAULT_LIMITS, Limits
from spicereplay.replay import Progress
from spicereplay.units import NS_PER_S

if TYPE_CHECKING:
    import pandas as pd

Found = Mapping[str, Mapping[str, Observation]]
"""Quantity to variant to what a session shows of it."""

MOST_LINES: Final = 400
"""Stream lives of one input that are kept for drawing, the longest."""


@dataclass(frozen=True, slots=True)
class _Observed:
    """All that is kept of one input."""

    session: ComparedSession
    found: Found
    facts: Mapping[str, frozenset[str]]
    events: Mapping[str, float]
    findings: pd.DataFrame


def compare(
    subjects: Sequence[Subject],
    *,
    baseline: str | None = None,
    align_on: str | None = None,
    limits: Limits = DEFAULT_LIMITS,
    clock: Clock = time.thread_time_ns,
    progress: Progress | None = None,
) -> Comparison:
    """Compare two or more inputs with the one labelled `baseline`, or with the first.

    `align_on` is the event that is second 0 for all (`alignment.EVENTS`); None picks one. `clock` counts the calling
    thread's own time, for decode times, which are measured where all inputs are made with decoding.

    Raises `UsageError` for fewer than two inputs, for labels that are not unique, for a baseline that is none of
    them and for an event that not all of them have.
    """
    labels = [subject.label for subject in subjects]
    base = _base(labels, baseline)
    times: list[dict[str, Float64Array]] = [{} for _ in subjects]
    if all(subject.decode for subject in subjects):
        logs = [subject.sessions for subject in subjects]
        times = decode_in_turn(logs, limits=limits, clock=clock, progress=progress)
    seen = []
    for number, (subject, measured) in enumerate(zip(subjects, times, strict=True)):
        if progress is not None:
            progress("comparing", number, len(subjects))
        seen.append(_observe(Material(subject, subject.tables(), measured)))
    rows, tests = _rows([each.found for each in seen], base)
    return Comparison(
        sessions=tuple(each.session for each in seen),
        base=base,
        alignment=align(labels, [each.events for each in seen], align_on),
        rows=rows,
        findings=tuple(_findings([each.findings for each in seen])),
        facts=merged([each.facts for each in seen]),
        tests=tests,
    )


def _base(labels: Sequence[str], baseline: str | None) -> int:
    if len(labels) < 2:
        raise UsageError("a comparison needs two inputs at least")
    if len(set(labels)) != len(labels):
        raise UsageError(f"labels have to differ from one another: {', '.join(labels)}")
    if baseline is None:
        return 0
    if baseline not in labels:
        raise UsageError(f"the baseline {baseline!r} is none of {', '.join(labels)}")
    return labels.index(baseline)


def _observe(material: Material) -> _Observed:
    subject = material.subject
    return _Observed(
        ComparedSession(
            label=subject.label,
            source=subject.replay.path.resolve().name,
            kind=subject.replay.kind,
            duration_s=sum((log.end_time_ns - log.start_time_ns) / NS_PER_S for log in subject.sessions)
            or subject.replay.duration_s,
            sessions=len(subject.sessions),
            verdict=material.tables.verdict.sentence,
            factors=factors(subject.label),
            streams=tuple(_lines(material)),
            **_bandwidth(material),
        ),
        {name: quantity.observe(material) for name, quantity in QUANTITIES.items()},
        observed_facts(material),
        events(material),
        material.table("findings"),
    )


def _lines(material: Material) -> Iterator[StreamLine]:
    streams = material.table("streams")
    if len(streams) > MOST_LINES:
        longest = streams["lifetime_s"].fillna(np.inf).nlargest(MOST_LINES).index
        streams = streams.loc[sorted(longest)]
    columns = (streams[name].tolist() for name in ("codec", "created_s", "destroyed_s", "first_frame_s"))
    yield from (StreamLine(str(codec), *times) for codec, *times in zip(*columns, strict=True))


def _bandwidth(material: Material) -> dict[str, Float64Array]:
    table = material.table("bandwidth")
    mine = table[(table["channel"] == "display") & (table["from"] == "server")]
    if not len(mine):
        return {"bandwidth_s": np.empty(0), "bandwidth_kb_s": np.empty(0)}
    width = float(mine["width_s"].iloc[0])
    place = np.round(mine["time_s"].to_numpy(np.float64) / width).astype(np.intp)
    first = int(place.min())
    bins = np.bincount(place - first, weights=mine["bytes"].to_numpy(np.float64))
    return {
        "bandwidth_s": np.asarray((np.arange(len(bins)) + first + 0.5) * width, np.float64),
        "bandwidth_kb_s": bins / width / 1e3,
    }


def _rows(found: Sequence[Found], base: int) -> tuple[tuple[Row, ...], int]:
    """Return all rows, and how many intervals of them hold together."""
    paired: list[tuple[str, str, tuple[Observation | None, ...]]] = []
    for name in QUANTITIES:
        variants = dict.fromkeys(v for each in found for v in sorted(each[name]) if v != OTHERS)
        for variant in variants:
            shown = tuple(each[name].get(variant, each[name].get(OTHERS)) for each in found)
            paired.append((name, variant, shown))
    tests = sum(
        gives_interval(QUANTITIES[name], first, each)
        for name, _, shown in paired
        for which, each in enumerate(shown)
        if which != base and each is not None and (first := shown[base]) is not None
    )
    return tuple(
        Row(
            QUANTITIES[name],
            variant,
            shown,
            tuple(
                None if which == base else _effect(name, shown[base], each, tests)
                for which, each in enumerate(shown)
            ),
        )
        for name, variant, shown in paired
    ), tests


def _effect(name: str, first: Observation | None, each: Observation | None, tests: int) -> Effect | None:
    if first is None and each is None:
        return None
    if first is None or each is None:
        return Effect(Outcome.ONE_SIDE)
    return effect(QUANTITIES[name], first, each, tests)


def _findings(tables: Sequence[pd.DataFrame]) -> Iterator[FindingRow]:
    """Yield every rule that found something in any session, worst first."""
    severities: dict[str, list[str | None]] = {}
    titles: dict[str, str] = {}
    for which, table in enumerate(tables):
        columns = (table[name].astype(str) for name in ("code", "severity", "title"))
        for code, severity, title in zip(*columns, strict=True):
            titles.setdefault(code, title)
            row = severities.setdefault(code, [None] * len(tables))
            # A rule may speak up several times; its worst word, which comes first, counts.
            row[which] = row[which] or severity
    order = ("critical", "warn", "info")
    for code in sorted(severities, key=lambda c: (min(order.index(s) for s in severities[c] if s), c)):
        yield FindingRow(code, titles[code], tuple(severities[code]))
