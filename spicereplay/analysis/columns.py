"""From observed values to the typed columns that the schema declares."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from spicereplay.analysis import schema
from spicereplay.units import NS_PER_S

if TYPE_CHECKING:
    import pandas as pd
    from pandas.api.extensions import ExtensionArray

    from spicereplay.bytestream import Int64Array

Float64Array = npt.NDArray[np.float64]
IndexArray = npt.NDArray[np.intp]
BoolArray = npt.NDArray[np.bool_]
Record = Mapping[str, Any]
"""One row of a table by column name; None where the value is not known."""

NEVER: Final = np.iinfo(np.int64).max
"""A time in nanoseconds that stands for "not seen"."""


def seconds(time_ns: Int64Array, origin_ns: int) -> Float64Array:
    """Return times as seconds since `origin_ns`; NaN for `NEVER`."""
    out = (time_ns - origin_ns) / NS_PER_S
    return np.where(time_ns == NEVER, np.nan, out)


def second(time_ns: int | None, origin_ns: int) -> float:
    """Return one time as seconds since `origin_ns`; NaN for `None` and `NEVER`."""
    return float("nan") if time_ns is None or time_ns == NEVER else (time_ns - origin_ns) / NS_PER_S


def records(name: str, rows: Sequence[Record]) -> pd.DataFrame:
    """Return the table `name` with one row per record; every record has every column of the table."""
    return schema.frame(name, {c: [row[c] for row in rows] for c in schema.TABLES[name].names})


def category(codes: npt.NDArray[np.integer[Any]], names: Sequence[str]) -> pd.Categorical:
    """Return the text `names[code]` of every row without making a string per row. `names` may repeat."""
    import pandas as pd

    unique = list(dict.fromkeys(names))
    if len(unique) != len(names):
        place = {text: i for i, text in enumerate(unique)}
        codes = np.array([place[text] for text in names], np.int32)[codes]
    return pd.Categorical.from_codes(codes, categories=pd.Index(unique, dtype=object))


def named(
    values: npt.NDArray[np.integer[Any]], known: BoolArray, name_of: Callable[[int], str]
) -> pd.Categorical:
    """Return `name_of(value)` of every row, null where it is not `known`; asked once per distinct value."""
    import pandas as pd

    codes = np.full(len(values), -1, np.int32)
    distinct, which = np.unique(values[known], return_inverse=True)
    names: dict[str, int] = {}
    code = [names.setdefault(name_of(value), len(names)) for value in distinct.tolist()]
    codes[known] = np.array(code, np.int32)[which.ravel()]
    return pd.Categorical.from_codes(codes, categories=pd.Index(list(names), dtype=object))


def nullable(values: npt.NDArray[Any], known: BoolArray) -> ExtensionArray:
    """Return integers or truth values as a column that is null where they are not `known`."""
    import pandas as pd

    if values.dtype == np.bool_:
        return pd.arrays.BooleanArray(values, ~known)
    return pd.arrays.IntegerArray(values, ~known)


def constant(value: str, count: int) -> pd.Categorical:
    """Return a column of `count` times the same text."""
    return category(np.zeros(count, np.int8), [value])


def concat(name: str, parts: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Return the rows of all `parts`, frames of the table `name`, one after the other."""
    import pandas as pd
    from pandas.api.types import union_categoricals

    frames = [part for part in parts if len(part)]
    if len(frames) < 2:
        return frames[0].reset_index(drop=True) if frames else schema.empty(name)
    columns: dict[str, Any] = {}
    for column in schema.TABLES[name].columns:
        pieces = [frame[column.name] for frame in frames]
        if column.dtype == "category":
            columns[column.name] = union_categoricals(pieces)
        else:
            columns[column.name] = pd.concat(pieces, ignore_index=True)
    return schema.frame(name, columns)


def by_time(name: str, parts: Iterable[pd.DataFrame], key: str = "time_s") -> pd.DataFrame:
    """Return the rows of all `parts` in order of time; of equal times those of the earlier part come first."""
    whole = concat(name, parts)
    if whole[key].is_monotonic_increasing:
        return whole
    return whole.sort_values(key, kind="stable", ignore_index=True)
