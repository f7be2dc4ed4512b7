"""Differences in plain words, the most important first."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from spicereplay.comparison.effect import Effect, Outcome
from spicereplay.comparison.facts import differing, shown
from spicereplay.comparison.observation import Count, Lifetimes, Observation, Occurrences
from spicereplay.comparison.quantities.declaration import Quantity

if TYPE_CHECKING:
    from spicereplay.comparison.result import Comparison, FindingRow, Row

FINDING_WEIGHTS: Final = {"critical": 90, "warn": 70, "info": 12}
TOLD_BY_QUANTITIES: Final = {"stream_flapping": "flaps"}
"""Findings that a quantity says better, where it could be compared."""
MOST_SENTENCES: Final = 12
"""Sentences of a summary about one session; the rest are counted."""


@dataclass(frozen=True, slots=True)
class Sentence:
    """One difference; of two with one weight, the larger effect is told first."""

    weight: float
    size: float
    text: str


def summary(comparison: Comparison) -> tuple[str, ...]:
    """Return what differs, session by session, each against the baseline."""
    which = (w for w in range(len(comparison.sessions)) if w != comparison.base)
    return tuple(sentence for w in which for sentence in session_summary(comparison, w))


def headline(comparison: Comparison) -> str:
    """Return the most important sentence about any session."""
    found = [
        sentence
        for which in range(len(comparison.sessions))
        if which != comparison.base
        for sentence in _sentences(comparison, which)
    ]
    if not found:
        return f"Nothing differs between {' and '.join(comparison.labels)}."
    return max(found, key=lambda s: (s.weight, s.size)).text


def session_summary(comparison: Comparison, which: int) -> list[str]:
    """Return how one session differs from the baseline, and at the end how much was compared."""
    label = comparison.sessions[which].label
    found = sorted(_sentences(comparison, which), key=lambda s: (-s.weight, -s.size, s.text))
    told = [sentence.text for sentence in found[:MOST_SENTENCES]]
    if len(found) > MOST_SENTENCES:
        more = len(found) - MOST_SENTENCES
        told.append(
            f"{label}: {more} smaller {'difference is' if more == 1 else 'differences are'} in the tables."
        )
    if not found:
        told.append(f"Nothing differs between {label} and {comparison.baseline}.")
    return [*told, _how_much_was_compared(comparison, which)]


def _how_much_was_compared(comparison: Comparison, which: int) -> str:
    outcomes = Counter(
        effect.outcome for row in comparison.rows if (effect := row.effects[which]) is not None
    )
    counted = "; ".join(f"{words}: {outcomes[kind]}" for kind, words in _COUNTED if outcomes[kind])
    label = comparison.sessions[which].label
    return f"{outcomes.total()} quantities of {label} and {comparison.baseline}: {counted}."


_COUNTED: Final = (
    (Outcome.DIFFERENT, "different"),
    (Outcome.NOTED, "different as single figures"),
    (Outcome.SAME, "the same as far as it matters"),
    (Outcome.UNCLEAR, "not certain either way"),
    (Outcome.TOO_FEW, "too few observations to tell"),
    (Outcome.ONE_SIDE, "seen in one of them only"),
)


def _sentences(comparison: Comparison, which: int) -> Iterator[Sentence]:
    for row in comparison.rows:
        effect = row.effects[which]
        if effect is not None and effect.outcome in (Outcome.DIFFERENT, Outcome.NOTED):
            # A figure that nothing says the spread of is told after what is known to differ.
            weight = row.quantity.weight - (30 if effect.outcome is Outcome.NOTED else 0)
            yield Sentence(weight, _size(effect), _row_sentence(comparison, row, which, effect))
    yield from _finding_sentences(comparison, which)
    yield from _fact_sentences(comparison, which)


def _size(effect: Effect) -> float:
    if effect.scale == "ratio" and effect.estimate > 0:
        return abs(math.log(effect.estimate))
    return 0.0 if math.isnan(effect.cliffs_delta) else abs(effect.cliffs_delta)


def _row_sentence(comparison: Comparison, row: Row, which: int, effect: Effect) -> str:
    mine, base = row.observations[which], row.observations[comparison.base]
    assert mine is not None
    assert base is not None
    label, other = comparison.sessions[which].label, comparison.baseline
    if isinstance(mine, Occurrences) and isinstance(base, Occurrences):
        return _occurrence_sentence(row, (label, mine), (other, base))
    quantity = row.quantity
    values = f"{value_text(quantity, mine)} against {value_text(quantity, base)} in {other}"
    return f"{label}: {row.title} {values} ({', '.join(_qualifiers(quantity, effect))})."


def _qualifiers(quantity: Quantity, effect: Effect) -> Iterator[str]:
    judgement = judged(quantity, effect)
    if judgement != "neither":
        yield judgement
    if effect.outcome is Outcome.NOTED:
        yield "single figures, whose spread is not known"
    elif effect.scale == "ratio":
        yield f"{factor_text(effect.estimate)}, between {factor_text(effect.low)} and {factor_text(effect.high)}"
    else:
        more = "more" if effect.direction > 0 else "less"
        low, high = sorted((abs(effect.low), abs(effect.high)))
        yield (
            f"{change_text(quantity, abs(effect.estimate))} {more}, between {change_text(quantity, low)} and "
            f"{change_text(quantity, high)}"
        )
    if effect.detail:
        yield effect.detail


def _occurrence_sentence(row: Row, mine: tuple[str, Occurrences], base: tuple[str, Occurrences]) -> str:
    (who, seen), (other, unseen) = (mine, base) if mine[1].times else (base, mine)
    aside = f" ({unseen.words})" if unseen.words and not unseen.times else ""
    if row.quantity.name == "flaps":
        return f"{who} flaps: {seen.words}, against none in {other}{aside}."
    return f"{who}: {row.title}, {seen.words}; none in {other}{aside}."


def _finding_sentences(comparison: Comparison, which: int) -> Iterator[Sentence]:
    told = {
        row.quantity.name
        for row in comparison.rows
        if (effect := row.effects[which]) is not None and effect.outcome is Outcome.DIFFERENT
    }
    for finding in comparison.findings:
        if TOLD_BY_QUANTITIES.get(finding.code) in told:
            continue
        here, there = finding.severities[which], finding.severities[comparison.base]
        if (here is None) == (there is None):
            continue
        label, other = comparison.sessions[which].label, comparison.baseline
        who, whom = (label, other) if here is not None else (other, label)
        weight = FINDING_WEIGHTS[here or there or "info"]
        yield Sentence(weight, 0.0, f"Only {who}, not {whom}: {_uncapped(finding)}.")


def _uncapped(finding: FindingRow) -> str:
    title = finding.title.rstrip(".")
    # Names and abbreviations keep their capitals.
    return title[:1].lower() + title[1:] if title[1:2].islower() or title[1:2] == " " else title


def _fact_sentences(comparison: Comparison, which: int) -> Iterator[Sentence]:
    base = comparison.base
    label, other = comparison.sessions[which].label, comparison.baseline
    groups: dict[tuple[str, str], list[str]] = {}
    for fact in differing(comparison.facts):
        more, less = fact.only(which, base), fact.only(base, which)
        if not more and not less:
            continue
        if "capabilities" in fact.name:
            place, _, kind = fact.name.partition(" ")
            for who, whom, words in ((label, other, more), (other, label, less)):
                if words:
                    text = f"{kind} of {who}, not of {whom}: {shown(words)}"
                    groups.setdefault((text, who), []).append(place)
            continue
        if more == fact.values[which]:
            text = f"{label}: {fact.name} {shown(more)}, against {shown(fact.values[base])} in {other}."
        else:
            only = [
                f"{shown(words)} in {who}, not in {whom}"
                for who, whom, words in ((label, other, more), (other, label, less))
                if words
            ]
            text = f"{fact.name[:1].upper()}{fact.name[1:]}: {'; '.join(only)}."
        yield Sentence(fact.weight, 0.0, text)
    for (text, _), places in groups.items():
        yield Sentence(18, 0.0, f"On {', '.join(places)}: {text}.")


# --- numbers -------------------------------------------------------------------------------------------


def judged(quantity: Quantity, effect: Effect) -> str:
    """Return `worse`, `better` or `neither`: what the direction of an effect means."""
    if quantity.worse == "neither" or not effect.direction:
        return "neither"
    return "worse" if (effect.direction > 0) == (quantity.worse == "more") else "better"


def value_text(quantity: Quantity, observation: Observation) -> str:
    """Return the number that stands for an observation, with its unit."""
    if isinstance(observation, Lifetimes) and math.isinf(observation.value):
        return "more than half still alive at the end"
    if isinstance(observation, Count):
        return f"{amount(quantity, observation.value)} ({observation.events:,} in {observation.exposure_s:.0f} s)"
    return amount(quantity, observation.value)


def amount(quantity: Quantity, value: float) -> str:
    """Return a value of a quantity with its unit."""
    if not math.isfinite(value):
        return "–" if math.isnan(value) else "∞"
    if quantity.unit == "share":
        return f"{_digits(100 * value)} %"
    unit = {"1/min": "a minute", "1/s": "a second"}.get(quantity.unit, quantity.unit)
    return f"{_digits(value)} {unit}".rstrip()


def change_text(quantity: Quantity, value: float) -> str:
    """Return a difference of two values with its unit; shares differ by points of 100."""
    text = amount(quantity, value)
    return text.replace(" %", " points") if quantity.unit == "share" else text


def factor_text(value: float) -> str:
    """Return a ratio: `×2.1`."""
    return "×∞" if math.isinf(value) else f"×{_digits(value)}"


def _digits(value: float) -> str:
    """Return three digits that count, with separators of thousands."""
    if value == 0:
        return "0"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    if abs(value) < 0.001:
        return f"{value:.1g}"
    return f"{value:.3g}"
