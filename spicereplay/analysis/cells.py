"""Columns that messages of several types fill: a value where the type has the field and its bytes were captured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from spicereplay.analysis.columns import BoolArray, IndexArray, named, nullable, seconds
from spicereplay.analysis.fields import Fields, captured_bytes, fields
from spicereplay.bytestream import Int64Array
from spicereplay.protocol import registry
from spicereplay.protocol.enums import ServerCommon
from spicereplay.protocol.index import MessageIndex

if TYPE_CHECKING:
    import pandas as pd
    from pandas.api.extensions import ExtensionArray

Values = npt.NDArray[Any]
"""Integers or truth values."""


@dataclass(slots=True)
class Cells:
    """The cells of some messages of one side of one channel, by column.

    A cell is known where something was put into it and the bytes it came from are there; damage to a message costs
    the fields behind it, not the row.
    """

    index: MessageIndex
    rows: IndexArray
    captured: Int64Array
    """Bytes of each body before its first missing one."""
    _columns: dict[str, tuple[Values, BoolArray]] = field(default_factory=dict)

    @classmethod
    def of(cls, index: MessageIndex, rows: IndexArray) -> Cells:
        """Return the messages `rows` with no cell known yet."""
        return cls(index, rows, captured_bytes(index, rows))

    @classmethod
    def of_channel(cls, index: MessageIndex) -> Cells:
        """Return all messages but those that any channel has (PING, ACK, …)."""
        return cls.of(index, np.flatnonzero(index.type > ServerCommon.BASE_LAST))

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def type(self) -> npt.NDArray[np.uint16]:
        """Message type of each row."""
        return self.index.type[self.rows]

    def among(self, *types: int) -> IndexArray:
        """Return which of these messages are of one of `types`."""
        return np.flatnonzero(np.isin(self.type, types))

    def read(self, message_type: int, **columns: str) -> tuple[IndexArray, Fields]:
        """Fill columns, given as `column="field"`, from the fixed leading fields of one message type.

        Returns which of the messages are of that type, and their fields.
        """
        at = self.among(message_type)
        _, found = fields(self.index, message_type, self.rows[at])
        self.put_fields(at, found, 0, **columns)
        return at, found

    def put_fields(self, at: IndexArray, found: Fields, offset: int | Int64Array, **columns: str) -> None:
        """Fill columns from fields that lie `offset` bytes into the bodies of the messages `at`."""
        for column, name in columns.items():
            self.put(column, at, found[name], self.has(at, found, name, offset))

    def has(self, at: IndexArray, found: Fields, name: str, offset: int | Int64Array = 0) -> BoolArray:
        """Say which of the messages `at` hold the field `name` of `found`, `offset` bytes into their bodies."""
        layout = found.dtype.fields
        assert layout is not None
        dtype, begin = layout[name][:2]
        return np.asarray(self.captured[at] >= offset + begin + dtype.itemsize, np.bool_)

    def put(self, column: str, at: IndexArray, values: Values, known: BoolArray) -> None:
        """Fill one column of the messages `at`. A column has the dtype of what comes first."""
        if column not in self._columns:
            self._columns[column] = (np.zeros(len(self), values.dtype), np.zeros(len(self), np.bool_))
        cells, are_known = self._columns[column]
        cells[at] = values
        are_known[at] = known

    def column(self, name: str) -> ExtensionArray:
        """Return a column of numbers or truth values."""
        return nullable(*self._columns[name])

    def texts(self, name: str, name_of: Callable[[int], str]) -> pd.Categorical:
        """Return a column as text: `name_of(value)`, asked once per distinct value."""
        return named(*self._columns[name], name_of)

    def names(self) -> pd.Categorical:
        """Return the name of each message."""
        index = self.index
        return named(
            self.type,
            np.ones(len(self), np.bool_),
            lambda kind: registry.message_name(index.channel, index.side, kind),
        )

    def seconds(self, origin_ns: int) -> npt.NDArray[np.float64]:
        """Return the time of each message."""
        return seconds(self.index.time_ns[self.rows], origin_ns)
