"""Tables as CSV and as JSON Lines.

JSON holds every value as the command line's `--json` does: null for what was not seen, text unchanged. CSV is for
spreadsheets, which take a cell that begins with `=` for a formula, and text of a capture comes from strangers: such
text gets an apostrophe in front (see `CSV_FORMULA`).
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from spicereplay.analysis.json import to_lines
from spicereplay.analysis.schema import TABLES
from spicereplay.export.folder import encodable

if TYPE_CHECKING:
    import pandas as pd

ROWS_AT_ONCE: Final = 65_536
"""Rows that become text at a time."""
CSV_FORMULA: Final = re.compile(r"[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
"""How text begins that a spreadsheet may run. Source: OWASP, CSV Injection; the last four are = + - @ in full width."""
_NUMBER: Final = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?", re.ASCII)


def csv_frame(name: str, frame: pd.DataFrame, path: Path) -> None:
    """Write one table as CSV: a line of names, nothing for what was not seen, lists as JSON, lines end in LF."""
    with path.open("w", encoding="utf-8", newline="") as out:
        safe(name, frame).to_csv(out, index=False, lineterminator="\n", chunksize=ROWS_AT_ONCE)


def json_frame(name: str, frame: pd.DataFrame, path: Path) -> None:
    """Write one table as JSON Lines."""
    with path.open("w", encoding="ascii", newline="\n") as out:
        for first in range(0, len(frame), ROWS_AT_ONCE):
            lines = to_lines(name, frame.iloc[first : first + ROWS_AT_ONCE])
            out.write("".join(line.rstrip("\n") + "\n" for line in lines))


def safe(name: str, frame: pd.DataFrame) -> pd.DataFrame:
    """Return the table `name` with its text as a cell of a CSV file may hold it."""
    changed: dict[str, Any] = {}
    for column in TABLES[name].columns:
        values = frame[column.name]
        if column.dtype == "str":
            changed[column.name] = values.map(cell, na_action="ignore")
        elif column.dtype == "object":
            changed[column.name] = values.map(
                lambda texts: encodable(json.dumps(list(texts), ensure_ascii=False))
            )
        elif column.dtype == "category":
            texts = {text: cell(str(text)) for text in values.cat.categories}
            changed[column.name] = values.map(texts, na_action="ignore").astype("object")
    return frame.assign(**changed)


def cell(text: str) -> str:
    """Return text as a CSV cell holds it: no formula, no carriage return (which not every reader takes as text).

    Plain numbers stay as they are: a spreadsheet does nothing worse with `-5` than to show it.
    """
    if CSV_FORMULA.match(text) and not _NUMBER.fullmatch(text):
        text = f"'{text}"
    return encodable(text.replace("\r\n", "\n").replace("\r", "\n"))
