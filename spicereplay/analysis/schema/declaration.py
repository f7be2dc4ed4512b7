"""How a table is declared, and the columns that many tables share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Column:
    """One column: `dtype` is a pandas dtype name, `unit` is empty where the value has none."""

    name: str
    dtype: str
    meaning: str
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """One table."""

    name: str
    meaning: str
    columns: tuple[Column, ...]

    @property
    def names(self) -> list[str]:
        """The column names in order."""
        return [c.name for c in self.columns]


def column(name: str, dtype: str, meaning: str, unit: str = "") -> Column:
    """Declare a column."""
    return Column(name, dtype, meaning, unit)


SESSION: Final = column("session", "int32", "index of the session within the capture, from 0")
CHANNEL: Final = column("channel", "category", "lower-case SPICE channel name")
CHANNEL_ID: Final = column("channel_id", "uint8", "index within the channel type")
FROM: Final = column("from", "category", "`server` or `client`: who sent it")
TIME: Final = column("time_s", "float64", "when it was complete on the wire", "s")
