"""The tables as attributes, each with its type, for whoever looks at them in a notebook.

They are declared one by one so that type checkers and editors know them; a test holds the list to `schema.TABLES`.
What a table holds is declared in the schema alone, and `help` shows it from there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn, Self, overload

from spicereplay.analysis import schema

if TYPE_CHECKING:
    import pandas as pd


class TableAttribute:
    """One table, made when it is looked at. Its name is that of the attribute; it cannot be assigned to."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name
        self.__doc__ = schema.TABLES[name].meaning

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...

    @overload
    def __get__(self, instance: TableAttributes, owner: type) -> pd.DataFrame: ...

    def __get__(self, instance: TableAttributes | None, owner: type) -> Self | pd.DataFrame:
        return self if instance is None else instance.table(self.name)

    def __set__(self, instance: TableAttributes, value: NoReturn) -> None:
        raise AttributeError(f"the table {self.name!r} is made from the input and cannot be assigned to")


class TableAttributes:
    """Whatever has all tables of the schema."""

    def table(self, name: str) -> pd.DataFrame:
        """Return a table by its name. Raises `KeyError` for a name that the schema does not know."""
        raise NotImplementedError

    messages = TableAttribute()
    channels = TableAttribute()
    bandwidth = TableAttribute()
    acks = TableAttribute()
    ack_stalls = TableAttribute()
    pings = TableAttribute()
    gaps = TableAttribute()
    tcp = TableAttribute()
    tcp_events = TableAttribute()
    tcp_stalls = TableAttribute()
    streams = TableAttribute()
    frames = TableAttribute()
    flaps = TableAttribute()
    regions = TableAttribute()
    reports = TableAttribute()
    draws = TableAttribute()
    display_silence = TableAttribute()
    images = TableAttribute()
    cache = TableAttribute()
    sound_runs = TableAttribute()
    playback = TableAttribute()
    inputs = TableAttribute()
    cursor = TableAttribute()
    input_latency = TableAttribute()
    usbredir = TableAttribute()
    webdav = TableAttribute()
    agent = TableAttribute()
    agent_messages = TableAttribute()
    agent_starvation = TableAttribute()
    notifications = TableAttribute()
    defects = TableAttribute()
    client_reported = TableAttribute()
    disagreements = TableAttribute()
    findings = TableAttribute()
