"""Rows of tables as JSON: the contract's keys first, null for what was not seen, plain Python numbers."""

from __future__ import annotations

import json as stdlib_json
import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

from spicereplay.analysis.schema import TABLES

if TYPE_CHECKING:
    import pandas as pd

TIME_DECIMALS: Final = 9
"""Digits after the point of seconds: capture files have nanoseconds at best."""
_DECIMALS: Final = 6

_UNSEEN: Final = {("streams", "width"): 0, ("streams", "height"): 0, ("streams", "codec"): "unknown"}
"""Values of integer and category columns that stand for "not seen"."""


def to_records(name: str, frame: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Yield one JSON-able dict per row of the table `name`, keys in the order of the schema."""
    columns = [_column(name, c.name, c.dtype, c.unit, frame[c.name]) for c in TABLES[name].columns]
    names = TABLES[name].names
    for values in zip(*columns, strict=True):
        yield dict(zip(names, values, strict=True))


def to_lines(name: str, frame: pd.DataFrame) -> Iterator[str]:
    """Yield one line of JSON per row, without its newline; control characters are escaped, as in all JSON."""
    encode = stdlib_json.JSONEncoder(ensure_ascii=True, allow_nan=False).encode
    for record in to_records(name, frame):
        yield encode(record)


def _column(table: str, name: str, dtype: str, unit: str, series: pd.Series[Any]) -> list[Any]:
    if dtype == "float64":
        return _floats(series, TIME_DECIMALS if unit == "s" else _DECIMALS)
    if dtype == "object":
        return [list(value) for value in series]
    values: list[Any]
    if dtype == "category":
        texts = [None if c == "" else str(c) for c in series.cat.categories]
        values = [texts[code] if code >= 0 else None for code in series.cat.codes]
    elif dtype[0].isupper() or dtype == "boolean":  # pandas' own dtypes, which know null
        values = [None if null else v for v, null in zip(series.tolist(), series.isna(), strict=True)]
    else:
        convert: Callable[[Any], Any] = {"bool": bool, "str": str}.get(dtype, int)
        values = [convert(v) for v in series.tolist()]
    unseen = _UNSEEN.get((table, name))
    return values if unseen is None else [None if v == unseen else v for v in values]


def _floats(series: pd.Series[Any], decimals: int) -> list[float | None]:
    return [round(v, decimals) if math.isfinite(v) else None for v in series.tolist()]
