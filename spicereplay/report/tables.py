"""Tables as the page shows them: a heading with unit and meaning, cells as text, and what was left out.

A table of the schema becomes a `TableView` with `view`; a table the page computes itself names its columns
with `Heading` and is put together by `rows_view`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from spicereplay.analysis.schema import TABLES, Column
from spicereplay.report.text import NONE, number

if TYPE_CHECKING:
    import pandas as pd

MOST_ROWS: Final = 500
"""Rows of one table on the page."""

_DECIMALS: Final = {"s": 3, "ms": 2, "1/s": 1}
_KINDS: Final[dict[str, Literal["number", "word", "words"]]] = {
    "category": "word",
    "bool": "word",
    "str": "words",
    "object": "words",
}
_SUFFIXES: Final = ("_s", "_ms", "_mm", "_px")


@dataclass(frozen=True, slots=True)
class Heading:
    """Head of one column.

    `name` is the column's name in the schema, or one of the page's own. `kind` says how its cells are set:
    `number` to the right, `word` on one line, `words` wrapped.
    """

    name: str
    label: str
    unit: str
    meaning: str
    kind: Literal["number", "word", "words"]


@dataclass(frozen=True, slots=True)
class TableView:
    """One table on the page.

    `total` is how many rows there are and `rows` those shown; `why_empty` is the sentence for none; `command`
    lists all of them, or is empty.
    """

    name: str
    caption: str
    headings: tuple[Heading, ...]
    rows: list[list[str]]
    total: int
    why_empty: str
    command: str = ""

    @property
    def left_out(self) -> int:
        """How many rows the page does not show."""
        return self.total - len(self.rows)


def heading(column: Column) -> Heading:
    """Return the head of a column of the schema: units leave the name and get a line of their own."""
    label = column.name
    for suffix in _SUFFIXES:
        label = label.removesuffix(suffix)
    kind = _KINDS.get(column.dtype, "number")
    label = label.replace("_ms_", "_").replace("_", " ")
    return Heading(column.name, label, "" if label == column.unit else column.unit, column.meaning, kind)


def text_heading(name: str, label: str, meaning: str = "", *, wrapped: bool = False) -> Heading:
    """Return the head of a column of text; `wrapped` text may take several lines."""
    return Heading(name, label, "", meaning, "words" if wrapped else "word")


def number_heading(name: str, label: str, unit: str = "", meaning: str = "") -> Heading:
    """Return the head of a column of numbers."""
    return Heading(name, label, unit, meaning, "number")


def view(
    table: pd.DataFrame,
    name: str,
    columns: Sequence[str],
    *,
    caption: str,
    why_empty: str,
    command: str = "",
    most: int = MOST_ROWS,
) -> TableView:
    """Return the first `most` rows of the schema's table `name`, as far as `columns` go.

    A session column is left away where there is only one session to tell apart. Raises `KeyError` for a
    column the schema does not have.
    """
    declared = {c.name: c for c in TABLES[name].columns}
    shown = [declared[c] for c in columns if c != "session" or table["session"].nunique() > 1]
    part = table.iloc[:most]
    cells = [_cells(part[c.name], c) for c in shown]
    rows = [list(row) for row in zip(*cells, strict=True)]
    return TableView(name, caption, tuple(heading(c) for c in shown), rows, len(table), why_empty, command)


def rows_view(
    name: str,
    headings: Iterable[Heading],
    rows: list[list[str]],
    *,
    caption: str,
    why_empty: str,
    command: str = "",
    most: int = MOST_ROWS,
) -> TableView:
    """Return a table of the page's own making."""
    return TableView(name, caption, tuple(headings), rows[:most], len(rows), why_empty, command)


def _cells(values: pd.Series[Any], column: Column) -> list[str]:
    if column.dtype == "bool":
        return ["yes" if v else "no" for v in values]
    if column.dtype in ("category", "str", "object"):
        missing = values.isna()
        return [NONE if gone or v == "" else str(v) for v, gone in zip(values, missing, strict=True)]
    if column.dtype == "float64":
        return [number(v, _DECIMALS.get(column.unit, 2)) for v in values]
    # An id is a name made of digits: separators of thousands would only hinder looking it up.
    plain = column.name.endswith(("_id", "session", "position"))
    missing = values.isna()
    return [NONE if gone else str(v) if plain else f"{v:,}" for v, gone in zip(values, missing, strict=True)]


@dataclass(frozen=True, slots=True)
class Distribution:
    """Where the values of a sample lie; all of one unit. `bins` holds shares (0 to 1) of the fullest bin."""

    count: int
    median: float
    p95: float
    p99: float
    greatest: float
    bins: tuple[float, ...]


def distribution(values: np.ndarray[Any, np.dtype[np.float64]], edges: np.ndarray[Any, Any]) -> Distribution:
    """Return the figures of `values` (finite, at least one) and their histogram over `edges`."""
    median, p95, p99 = np.percentile(values, (50, 95, 99))
    counts, _ = np.histogram(np.clip(values, edges[0], edges[-1]), edges)
    top = int(counts.max()) or 1
    bins = tuple(round(int(c) / top, 3) for c in counts)
    return Distribution(len(values), float(median), float(p95), float(p99), float(values.max()), bins)
