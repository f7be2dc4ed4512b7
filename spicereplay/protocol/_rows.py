"""Columns that grow: what the framing notes of every message, before it becomes a `MessageIndex`."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from spicereplay.bytestream import Int64Array

Columns = tuple[
    Int64Array, npt.NDArray[np.uint16], npt.NDArray[np.uint32], Int64Array, Int64Array, npt.NDArray[np.uint8]
]
"""Time (ns), type, size of the body, stream position of the body, serial of the full header, flags."""

_TIME, _TYPE, _SIZE, _POSITION, _SERIAL, _FLAGS = range(6)
_GROWTH: Final = 1.5


Column = npt.NDArray[Any]


def _empty(n: int) -> Columns:
    return (
        np.empty(n, np.int64),
        np.empty(n, np.uint16),
        np.empty(n, np.uint32),
        np.empty(n, np.int64),
        np.empty(n, np.int64),
        np.empty(n, np.uint8),
    )


class Rows:
    """Rows in the order of the stream. What `columns` returned stays as it was, save for flags set later."""

    def __init__(self) -> None:
        self._columns = _empty(0)
        self.count = 0

    def __len__(self) -> int:
        return self.count

    def room(self, n: int) -> Columns:
        """Return uninitialised columns for `n` rows behind the last one; `took` says how many were filled."""
        needed = self.count + n
        if needed > len(self._columns[_TIME]):
            grown = _empty(max(needed, int(len(self._columns[_TIME]) * _GROWTH)))
            _copy(self._columns, grown, slice(0, self.count))
            self._columns = grown
        return _part(self._columns, slice(self.count, needed))

    def took(self, n: int) -> None:
        """Note that the first `n` rows of the last `room` are filled."""
        self.count += n

    def append(self, time_ns: int, type: int, size: int, position: int, serial: int, flags: int) -> None:
        """Add one row."""
        columns = self.room(1)
        columns[_TIME][0] = time_ns
        columns[_TYPE][0] = type
        columns[_SIZE][0] = size
        columns[_POSITION][0] = position
        columns[_SERIAL][0] = serial
        columns[_FLAGS][0] = flags
        self.count += 1

    def columns(self, count: int | None = None) -> Columns:
        """Return the first `count` rows, or all of them, without copying."""
        return _part(self._columns, slice(0, self.count if count is None else count))

    def flag_last(self, flag: int) -> None:
        """Set a flag of the last row."""
        self._columns[_FLAGS][self.count - 1] |= flag

    @property
    def last(self) -> tuple[int, int, int]:
        """Size, position and flags of the last row."""
        i = self.count - 1
        columns = self._columns
        return int(columns[_SIZE][i]), int(columns[_POSITION][i]), int(columns[_FLAGS][i])

    def forget(self, n: int) -> None:
        """Drop the first `n` rows."""
        kept = _empty(self.count - n)
        _copy(_part(self._columns, slice(n, self.count)), kept, slice(None))
        self._columns = kept
        self.count -= n


def _copy(source: Columns, target: Columns, rows: slice) -> None:
    pairs: zip[tuple[Column, Column]] = zip(source, target, strict=True)
    for old, new in pairs:
        new[rows] = old[rows]


def _part(columns: Columns, rows: slice) -> Columns:
    time_ns, type_, size, position, serial, flags = columns
    return time_ns[rows], type_[rows], size[rows], position[rows], serial[rows], flags[rows]
