"""The page of a comparison: what differs in words, all sessions on one clock, every quantity, every fact.

Made like the report's page, with the same walls between the input and the reader's browser (`report.page`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Final

from markupsafe import Markup

from spicereplay._version import __version__
from spicereplay.comparison import words
from spicereplay.comparison.alignment import EVENTS
from spicereplay.comparison.effect import CONFIDENCE, FEWEST, Effect, Outcome
from spicereplay.comparison.facts import Fact, shown
from spicereplay.comparison.resampling import RESAMPLES
from spicereplay.report.comparison_plots import SIDES, distributions, overlay
from spicereplay.report.page import asset, policy, template, write_page

if TYPE_CHECKING:
    from spicereplay.comparison.quantities.declaration import Quantity
    from spicereplay.comparison.result import Comparison, Row

SECTIONS: Final = (
    ("summary", "Summary"),
    ("clock", "On one clock"),
    ("quantities", "Quantities"),
    ("spread", "Distributions"),
    ("facts", "Facts"),
    ("findings", "Findings"),
    ("method", "Method"),
)
"""Sections in their order: anchor and name in the navigation."""

_SCRIPTS: Final = ("page.js",)
_STYLES: Final = ("page.css", "comparison.css")
_SUBJECTS: Final = {
    "video": "Video",
    "drawing": "Images and caches",
    "network": "Network",
    "guest": "Guest",
    "capture": "The captures themselves",
}
_OUTCOMES: Final = {
    Outcome.SAME: "same",
    Outcome.UNCLEAR: "not certain",
    Outcome.TOO_FEW: "too few",
    Outcome.ONE_SIDE: "one side only",
}
_SIGNS: Final = {1: "▲", -1: "▼", 0: ""}


@dataclass(frozen=True, slots=True)
class Cell:
    """One session's value of one quantity, and how it compares."""

    value: str
    look: str
    """Class of the cell: `worse`, `better`, `changed`, `noted`, `quiet`, `base` or `none`."""
    effect: str
    detail: str


@dataclass(frozen=True, slots=True)
class QuantityRow:
    """One row of the matrix."""

    title: str
    meaning: str
    cells: tuple[Cell, ...]


def render_comparison(comparison: Comparison, *, command_line: str = "") -> str:
    """Return the whole page as text; the same comparison gives the same text."""
    facts = sorted(comparison.facts, key=lambda fact: (-fact.weight, fact.name))
    names = list(dict.fromkeys(name for session in comparison.sessions for name in session.factors))
    return template("comparison.html.j2").render(
        comparison=comparison,
        version=__version__,
        policy=policy(_SCRIPTS, _STYLES),
        scripts=[Markup(asset(name)) for name in _SCRIPTS],
        styles=[Markup(asset(name)) for name in _STYLES],
        contents=SECTIONS,
        title=" and ".join(comparison.labels)
        if len(comparison.labels) < 4
        else f"{len(comparison.labels)} sessions",
        sides=[which % SIDES for which in range(len(comparison.sessions))],
        factors=names,
        headline=words.headline(comparison),
        summaries=_summaries(comparison),
        any_difference=bool(comparison.differences),
        overlay=overlay(comparison),
        event=EVENTS[comparison.alignment.event],
        differences=[_row(comparison, row) for row in comparison.differences],
        groups=_groups(comparison),
        plots=distributions(comparison),
        differing=[(fact.name, _fact_cells(fact)) for fact in facts if fact.differs],
        alike=[
            (fact.name, shown(next(v for v in fact.values if v is not None)))
            for fact in facts
            if not fact.differs
        ],
        findings=comparison.findings,
        command_line=command_line,
        confidence=round(100 * CONFIDENCE),
        fewest=FEWEST,
        resamples=RESAMPLES,
    )


def write_comparison(
    comparison: Comparison, path: str | Path, force: bool = False, *, command_line: str = ""
) -> Path:
    """Write the page to `path` and return it.

    Raises `OutputExistsError` when something is there and `force` is false, `OSError` when it cannot be written.
    """
    return write_page(render_comparison(comparison, command_line=command_line), path, force)


def _summaries(comparison: Comparison) -> list[tuple[int, str, list[str]]]:
    """Return look, label and sentences of each session but the baseline."""
    return [
        (which % SIDES, session.label, words.session_summary(comparison, which))
        for which, session in enumerate(comparison.sessions)
        if which != comparison.base
    ]


def _groups(comparison: Comparison) -> list[tuple[str, list[QuantityRow]]]:
    """Return the rows in which nothing differs, by subject."""
    groups = []
    for subject, heading in _SUBJECTS.items():
        rows = [row for row in comparison.rows if row.quantity.subject == subject]
        rows = [row for row in rows if not row.outcomes & {Outcome.DIFFERENT, Outcome.NOTED}]
        rows.sort(key=lambda row: -row.quantity.weight)
        if rows:
            groups.append((heading, [_row(comparison, row) for row in rows]))
    return groups


def _row(comparison: Comparison, row: Row) -> QuantityRow:
    cells = tuple(
        Cell(
            "–" if seen is None else words.value_text(row.quantity, seen),
            *_compared(row.quantity, row.effects[which], which == comparison.base),
        )
        for which, seen in enumerate(row.observations)
    )
    quantity = row.quantity
    limits = f"matters from {words.change_text(quantity, quantity.relevant)}"
    if quantity.factor > 1:
        limits += f" and {words.factor_text(quantity.factor)}"
    meaning = f"{quantity.meaning} [{quantity.source}]; one observation: {quantity.independent}; {limits}"
    return QuantityRow(row.title, meaning, cells)


def _compared(quantity: Quantity, effect: Effect | None, is_base: bool) -> tuple[str, str, str]:
    if is_base:
        return "base", "", ""
    if effect is None:
        return "none", "", ""
    if effect.outcome in _OUTCOMES:
        return "quiet", _OUTCOMES[effect.outcome], _interval(quantity, effect)
    if effect.outcome is Outcome.NOTED:
        return (
            "noted",
            f"{_SIGNS[effect.direction]} single figure",
            "nothing says how much it varies by itself",
        )
    judgement = words.judged(quantity, effect)
    look = "changed" if judgement == "neither" else judgement
    if effect.estimate == effect.low == effect.high:
        return look, f"{_SIGNS[effect.direction]} {judgement}", "a rule of its own has judged this"
    said = "" if judgement == "neither" else f" {judgement}"
    return (
        look,
        f"{_SIGNS[effect.direction]} {_estimate(quantity, effect)}{said}",
        _interval(quantity, effect),
    )


def _estimate(quantity: Quantity, effect: Effect) -> str:
    if effect.scale == "ratio":
        return words.factor_text(effect.estimate)
    return words.change_text(quantity, abs(effect.estimate)) + (" more" if effect.direction > 0 else " less")


def _interval(quantity: Quantity, effect: Effect) -> str:
    """Return the interval and what else is to be said, for a tooltip."""
    said = []
    if effect.scale == "ratio":
        said.append(f"{words.factor_text(effect.low)} to {words.factor_text(effect.high)}")
    elif effect.scale == "difference" and effect.low == effect.low:
        low, high = (words.change_text(quantity, each) for each in (effect.low, effect.high))
        said.append(f"{low} to {high}")
    if effect.cliffs_delta == effect.cliffs_delta:
        said.append(f"Cliff’s delta {effect.cliffs_delta:.2f}")
    if effect.detail:
        said.append(effect.detail)
    return "; ".join(said)


def _fact_cells(fact: Fact) -> list[str]:
    """Return what each session has beyond what all have."""
    known = [value for value in fact.values if value is not None]
    common = reduce(frozenset.intersection, known)
    cells = []
    for value in fact.values:
        if value is None:
            cells.append("not known")
            continue
        own = shown(value - common) if value - common else ""
        shared = f"{len(common)} in common" if common else ""
        cells.append(", and ".join(part for part in (shared, own) if part) or "none")
    return cells
