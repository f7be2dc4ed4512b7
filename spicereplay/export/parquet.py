"""Tables as Parquet files, made from the schema's declaration.

One file per table, each column with its unit and meaning in the field's metadata. A value that was not seen is null,
also where the table has NaN: SQL leaves nulls out of a mean, and pandas reads them back as NaN. Everything else reads
back as it was, in the declared dtype.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from spicereplay.analysis.schema import TABLES, Column
from spicereplay.errors import UsageError
from spicereplay.export.folder import encodable

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

ROWS_PER_GROUP: Final = 131_072
"""Rows that are converted and compressed at a time; DuckDB reads groups of about this size in parallel."""
COMPRESSION: Final = "zstd"


def parquet_frame(name: str, frame: pd.DataFrame, path: Path) -> None:
    """Write the table `name` to a Parquet file, a row group at a time.

    Raises `UsageError` where pyarrow is missing.
    """
    pa = pyarrow()
    import pyarrow.parquet as pq

    frame = _storable(name, frame)
    schema = schema_of(name)
    # pandas' own note about the dtypes, without which nullable integers would read back as floats.
    notes = pa.Schema.from_pandas(frame, preserve_index=False).metadata
    schema = schema.with_metadata({**schema.metadata, **notes})
    with pq.ParquetWriter(path, schema, compression=COMPRESSION) as writer:
        for first in range(0, len(frame), ROWS_PER_GROUP):
            part = frame.iloc[first : first + ROWS_PER_GROUP]
            writer.write_table(pa.Table.from_pandas(part, schema=schema, preserve_index=False))


def schema_of(name: str) -> pa.Schema:
    """Return the Arrow schema of the table `name`; its metadata holds the table's meaning."""
    pa = pyarrow()
    table = TABLES[name]
    return pa.schema(
        [
            pa.field(c.name, _type_of(c), metadata={"unit": c.unit, "meaning": c.meaning})
            for c in table.columns
        ],
        metadata={"table": name, "meaning": table.meaning},
    )


def _type_of(column: Column) -> pa.DataType:
    pa = pyarrow()
    match column.dtype:
        case "category":
            return pa.dictionary(pa.int32(), pa.string())
        case "str":
            return pa.string()
        case "object":
            return pa.list_(pa.string())
        case "bool":
            return pa.bool_()
        case dtype:
            return pa.type_for_alias(dtype.lower())


def _storable(name: str, frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame with text that Parquet can hold."""
    changed: dict[str, Any] = {}
    for column in TABLES[name].columns:
        values = frame[column.name]
        if column.dtype == "str":
            changed[column.name] = values.map(encodable, na_action="ignore").astype("str")
        elif column.dtype == "object":
            changed[column.name] = values.map(lambda texts: [encodable(text) for text in texts])
        elif column.dtype == "category":
            changed[column.name] = _category(values.cat)
    return frame.assign(**changed)


def _category(values: Any) -> pd.Categorical:
    import pandas as pd

    texts = [encodable(str(text)) for text in values.categories]
    unique = list(dict.fromkeys(texts))
    # A code of -1 stands for null, and leads to the last place.
    place = np.array([*map(unique.index, texts), -1], np.int32)
    return pd.Categorical.from_codes(place[values.codes], categories=pd.Index(unique, dtype=object))


def pyarrow() -> Any:
    """Return the module pyarrow; raises `UsageError` that says what to install where it is missing."""
    try:
        import pyarrow as module
    except ImportError:
        raise UsageError(
            "Parquet needs pyarrow, which is not installed: pip install 'spicereplay[parquet]'"
        ) from None
    return module
