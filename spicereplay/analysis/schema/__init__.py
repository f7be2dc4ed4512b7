"""Every table the package makes: its columns, their dtypes, units and meaning.

This is the one declaration; frames are built from it (`empty`, `frame`), a test holds them to it, and the
documentation page and Parquet schemas are made from it. The tables are declared by subject, a module each.

Times named `*_s` are seconds since the first packet of the capture (float64, exact to the nanosecond for any
session shorter than a hundred days); NaN means "not seen". A `category` column holds text from a small set.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from spicereplay.analysis.schema import (
    agent,
    channels,
    devices,
    drawing,
    outcome,
    sound,
    transport,
    tunnels,
    video,
)
from spicereplay.analysis.schema.declaration import Column, Table

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["TABLES", "Column", "Table", "empty", "frame"]

TABLES: Final[Mapping[str, Table]] = {
    table.name: table
    for subject in (channels, transport, video, drawing, sound, devices, tunnels, agent, outcome)
    for table in subject.TABLES
}


def empty(name: str) -> pd.DataFrame:
    """Return the table `name` without rows."""
    return frame(name, {})


def frame(name: str, columns: Mapping[str, Any]) -> pd.DataFrame:
    """Return the table `name` from a mapping of column name to values, cast to the declared dtypes.

    Raises `KeyError` for a name the schema does not know, `ValueError` when some but not all columns are given.
    """
    import pandas as pd

    table = TABLES[name]
    if columns and set(columns) != set(table.names):
        odd = sorted(set(columns) ^ set(table.names))
        raise ValueError(f"table {name}: columns {odd} are missing or unknown")
    data = {
        c.name: pd.Series(columns[c.name] if columns else [], dtype=c.dtype, copy=False)
        for c in table.columns
    }
    return pd.DataFrame(data, copy=False)
