"""What a comparison comes to: the result object, as a table, as JSON, and in a notebook."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any, Final

from spicereplay.comparison import words
from spicereplay.comparison.alignment import Alignment
from spicereplay.comparison.effect import Effect, Outcome
from spicereplay.comparison.facts import Fact
from spicereplay.comparison.observation import KINDS, Float64Array, Observation
from spicereplay.comparison.quantities.declaration import Quantity
from spicereplay.text import visible

if TYPE_CHECKING:
    import pandas as pd

SCHEMA_VERSION: Final = 1
"""Of `Comparison.to_json`; rises when a key changes its meaning or goes away."""


@dataclass(frozen=True, slots=True)
class StreamLine:
    """The life of one stream on the capture's clock; NaN: its beginning or end was not seen."""

    codec: str
    created_s: float
    destroyed_s: float
    first_frame_s: float


@dataclass(frozen=True, slots=True, eq=False)
class ComparedSession:
    """One side of the comparison."""

    label: str
    source: str
    """Name of the file or folder."""
    kind: str
    """Kind of input, as `info` has it."""
    duration_s: float
    sessions: int
    """How many recorded sessions are added up in it."""
    verdict: str
    factors: Mapping[str, str]
    """What was varied, by name; from a label such as `driver:qxl,vmem:16`."""
    streams: tuple[StreamLine, ...]
    bandwidth_s: Float64Array
    """Middles of equal bins on the capture's clock."""
    bandwidth_kb_s: Float64Array
    """Bytes per second from the server on all display channels, in these bins."""


@dataclass(frozen=True, slots=True)
class Row:
    """One quantity, or one variant of it, in all sessions."""

    quantity: Quantity
    variant: str
    """A codec, a channel; empty where the quantity has none."""
    observations: tuple[Observation | None, ...]
    """Per session, in their order; None where a session does not show it."""
    effects: tuple[Effect | None, ...]
    """Per session, against the baseline; None for the baseline, and where neither shows the quantity."""

    @property
    def title(self) -> str:
        """The quantity in words, with its variant."""
        return f"{self.quantity.title}, {self.variant}" if self.variant else self.quantity.title

    @property
    def outcomes(self) -> set[Outcome]:
        """What it came to for any session."""
        return {effect.outcome for effect in self.effects if effect is not None}


@dataclass(frozen=True, slots=True)
class FindingRow:
    """One rule of the findings, in all sessions."""

    code: str
    title: str
    """Of the first session that has it."""
    severities: tuple[str | None, ...]
    """Per session; None where the rule found nothing."""


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """Two or more sessions side by side. Shows itself in a notebook; `str` gives its summary."""

    sessions: tuple[ComparedSession, ...]
    base: int
    """Which of the sessions the others are compared with."""
    alignment: Alignment
    rows: tuple[Row, ...]
    findings: tuple[FindingRow, ...]
    facts: tuple[Fact, ...]
    tests: int
    """Intervals that hold together."""

    @property
    def labels(self) -> list[str]:
        """The sessions' names."""
        return [session.label for session in self.sessions]

    @property
    def baseline(self) -> str:
        """The name of the session that the others are compared with."""
        return self.sessions[self.base].label

    @property
    def summary(self) -> tuple[str, ...]:
        """What differs, in sentences, the most important first; the last one about each session counts the rest."""
        return words.summary(self)

    @property
    def differences(self) -> list[Row]:
        """The rows in which some session differs from the baseline, or a single figure by a factor."""
        found = [row for row in self.rows if row.outcomes & {Outcome.DIFFERENT, Outcome.NOTED}]
        return sorted(found, key=lambda row: -row.quantity.weight)

    @property
    def table(self) -> pd.DataFrame:
        """One row per quantity, variant and session but the baseline; columns as the keys of `to_json`.

        `value`, `count` and `independent` are the session's, those with `baseline_` before them the baseline's.
        `low` and `high` are the 95% interval of `estimate`, which `scale` says to be a `difference` or a `ratio`.
        """
        import pandas as pd

        return pd.DataFrame(
            [
                {
                    "quantity": row.quantity.name,
                    "variant": row.variant,
                    "unit": row.quantity.unit,
                    "session": self.labels[which],
                    **_seen("", row.observations[which]),
                    **_seen("baseline_", row.observations[self.base]),
                    **_judged(row.quantity, effect),
                }
                for row in self.rows
                for which, effect in enumerate(row.effects)
                if effect is not None
            ]
        )

    @property
    def matrix(self) -> pd.DataFrame:
        """The value of each quantity (rows: name and variant) in each session (columns: labels)."""
        import pandas as pd

        index = pd.MultiIndex.from_tuples(
            [(row.quantity.name, row.variant) for row in self.rows], names=["quantity", "variant"]
        )
        values = [
            [math.nan if each is None else each.value for each in row.observations] for row in self.rows
        ]
        return pd.DataFrame(values, index=index, columns=self.labels)

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain values, ready for `json.dump`; the keys are listed in `docs/topics/compare.md`.

        What is not known or infinite is None.
        """
        return {
            "schema_version": SCHEMA_VERSION,
            "baseline": self.baseline,
            "sessions": [
                {
                    "label": session.label,
                    "source": session.source,
                    "kind": session.kind,
                    "duration_s": session.duration_s,
                    "sessions": session.sessions,
                    "verdict": session.verdict,
                    "factors": dict(session.factors),
                    "events": dict(self.alignment.times[session.label]),
                }
                for session in self.sessions
            ],
            "alignment": {
                "event": self.alignment.event,
                "offsets_s": {label: self.alignment.offset_s(label) for label in self.labels},
            },
            "summary": list(self.summary),
            "quantities": [self._row_json(row) for row in self.rows],
            "findings": [
                {
                    "code": finding.code,
                    "title": finding.title,
                    "severities": dict(zip(self.labels, finding.severities, strict=True)),
                }
                for finding in self.findings
            ],
            "facts": [
                {
                    "name": fact.name,
                    "differs": fact.differs,
                    "values": {
                        label: None if value is None else sorted(value)
                        for label, value in zip(self.labels, fact.values, strict=True)
                    },
                }
                for fact in self.facts
            ],
        }

    def _row_json(self, row: Row) -> dict[str, Any]:
        return {
            "name": row.quantity.name,
            "variant": row.variant,
            "title": row.title,
            "unit": row.quantity.unit,
            "worse": row.quantity.worse,
            "kind": next(KINDS[type(each)] for each in row.observations if each is not None),
            "values": {
                label: None if seen is None else _finite(_seen("", seen))
                for label, seen in zip(self.labels, row.observations, strict=True)
            },
            "effects": {
                label: _finite(_judged(row.quantity, effect))
                for label, effect in zip(self.labels, row.effects, strict=True)
                if effect is not None
            },
        }

    def __str__(self) -> str:
        return "\n".join(visible(sentence) for sentence in self.summary)

    def __repr__(self) -> str:
        return f"<Comparison of {', '.join(self.labels)}: {len(self.differences)} quantities differ>"

    def _repr_html_(self) -> str:
        def cell(text: str) -> str:
            return escape(visible(text))

        sentences = "".join(f"<li>{cell(sentence)}</li>" for sentence in self.summary)
        head = "".join(f"<th>{cell(label)}</th>" for label in self.labels)
        rows = "".join(
            f"<tr><td>{cell(row.title)}</td>"
            + "".join(
                f"<td>{'–' if seen is None else cell(words.value_text(row.quantity, seen))}</td>"
                for seen in row.observations
            )
            + "</tr>"
            for row in self.differences
        )
        table = f"<table><thead><tr><th></th>{head}</tr></thead><tbody>{rows}</tbody></table>" if rows else ""
        return f"<div><ul>{sentences}</ul>{table}</div>"


def _seen(prefix: str, observation: Observation | None) -> dict[str, Any]:
    if observation is None:
        return {f"{prefix}value": math.nan, f"{prefix}count": 0, f"{prefix}independent": 0.0}
    return {
        f"{prefix}value": observation.value,
        f"{prefix}count": observation.count,
        f"{prefix}independent": observation.independent,
    }


def _judged(quantity: Quantity, effect: Effect) -> dict[str, Any]:
    return {
        "outcome": str(effect.outcome),
        "judgement": words.judged(quantity, effect),
        "scale": effect.scale,
        "estimate": effect.estimate,
        "low": effect.low,
        "high": effect.high,
        "cliffs_delta": effect.cliffs_delta,
        "detail": effect.detail,
    }


def _finite(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in values.items()
    }
