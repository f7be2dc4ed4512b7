"""What a rule gives: one thing that went wrong, with its evidence."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    import pandas as pd

Severity = Literal["critical", "warn", "info"]
SEVERITIES: Final[tuple[Severity, ...]] = ("critical", "warn", "info")
"""Worst first."""

Source = Literal["capture", "client_reported", "remeasured", "inferred"]
Culprit = Literal["server", "network", "decoder", "client", "guest agent", "guest", "capture", ""]

MOST_EXAMPLES: Final = 5
"""Sentences about single cases in one finding; the rest are counted."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that went wrong."""

    code: str
    """Stable name of the rule, in snake case."""
    severity: Severity
    title: str
    """One sentence in plain words."""
    evidence: tuple[str, ...]
    """Sentences with figures; each ends in the source of its figures in brackets."""
    time_s: float | None = None
    """When it began or was noticed, seconds since the capture's first packet."""
    who: Culprit = ""
    """Who was slow or wrong, where that can be told."""


def cite(sentence: str, source: Source) -> str:
    """Return a sentence of evidence with the source of its figures."""
    return f"{sentence} [{source}]"


def examples(sentences: list[str]) -> list[str]:
    """Return the first of many sentences, and how many were left out."""
    left = len(sentences) - MOST_EXAMPLES
    return sentences if left <= 0 else [*sentences[:MOST_EXAMPLES], f"and {left} more like these"]


def at(time_s: float) -> float | None:
    """Return a time of a table as the `time_s` of a finding: None for NaN."""
    return None if math.isnan(time_s) else float(time_s)


def rows_of(frame: pd.DataFrame) -> Iterator[Any]:
    """Yield the rows of a table as tuples with the columns' names; for the few rows that evidence is about."""
    return iter(frame.itertuples(index=False))


def plural(count: int, one: str, many: str = "") -> str:
    """Return `1 stream`, `3 streams`."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"
