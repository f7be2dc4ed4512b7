"""When a side had no token left to send agent data with. Source: spice-wire.md 6.1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from spicereplay.analysis.columns import Record, records, second
from spicereplay.analysis.fields import fields
from spicereplay.protocol.enums import ChannelType, ClientMain, ServerMain, Side
from spicereplay.protocol.index import MessageIndex
from spicereplay.session.log import ChannelLog, SessionLog

if TYPE_CHECKING:
    import pandas as pd

_SET, _ADD, _SPEND, _LOSE = range(4)
_UNLIMITED: Final = 0x7FFFFFFF
"""Credit that is not worth counting; spice-gtk grants 0xffffffff."""


@dataclass(frozen=True, slots=True)
class Starved:
    """A period without credit; `end_ns` is None where the capture ends first."""

    start_ns: int
    end_ns: int | None


def starvation(sessions: Sequence[SessionLog], origin_ns: int) -> pd.DataFrame:
    """Return the table `agent_starvation`.

    A side whose credit was granted before the capture begins, and a channel of which bytes are missing, is left out:
    its balance is not known.
    """
    rows: list[Record] = []
    for session in sessions:
        for log in session.of(ChannelType.MAIN):
            if log.gaps or log.unseen:
                continue
            for side in Side:
                rows += [
                    {
                        "session": session.number,
                        "from": str(side),
                        "start_s": second(period.start_ns, origin_ns),
                        "end_s": second(period.end_ns, origin_ns),
                        "duration_s": second(period.end_ns or session.end_time_ns, period.start_ns),
                    }
                    for period in starved_periods(log, side)
                ]
    return records("agent_starvation", rows)


def starved_periods(log: ChannelLog, side: Side) -> list[Starved]:
    """Return the periods in which `side` had spent all its credit."""
    events = _client_credit(log) if side is Side.CLIENT else _server_credit(log)
    # At one capture time credit comes before spending: nobody could send without it.
    events.sort(key=lambda event: (event[0], event[1]))
    balance: int | None = None
    periods: list[Starved] = []
    since: int | None = None
    for time_ns, what, tokens in events:
        if what == _LOSE:
            balance = None
        elif what == _SET:
            balance = tokens
        elif balance is not None:
            balance += tokens if what == _ADD else -1
        starved = balance is not None and balance <= 0 and what != _SET
        if starved and since is None:
            since = time_ns
        elif not starved and since is not None:
            periods.append(Starved(since, time_ns))
            since = None
    return [*periods, Starved(since, None)] if since is not None else periods


_Events = list[tuple[int, int, int]]
"""Time, what happened, tokens."""


def _client_credit(log: ChannelLog) -> _Events:
    """Credit comes with INIT or AGENT_CONNECTED_TOKENS and AGENT_TOKEN of the server."""
    rows, init = fields(log.server, ServerMain.INIT)
    events: _Events = [
        (int(log.server.time_ns[row]), _SET, int(start["agent_tokens"]))
        for row, start in zip(rows, init, strict=True)
        if start["agent_connected"]
    ]
    events += _granted(log.server, ServerMain.AGENT_CONNECTED_TOKENS, _SET)
    events += _granted(log.server, ServerMain.AGENT_TOKEN, _ADD)
    events += _plain(log.server, ServerMain.AGENT_DISCONNECTED, _LOSE)
    return events + _plain(log.client, ClientMain.AGENT_DATA, _SPEND)


def _server_credit(log: ChannelLog) -> _Events:
    """Credit comes with AGENT_START and AGENT_TOKEN of the client."""
    events = _granted(log.client, ClientMain.AGENT_START, _SET)
    events += _granted(log.client, ClientMain.AGENT_TOKEN, _ADD)
    return events + _plain(log.server, ServerMain.AGENT_DATA, _SPEND)


def _granted(index: MessageIndex, message_type: int, what: int) -> _Events:
    rows, granted = fields(index, message_type)
    name = (granted.dtype.names or ("",))[0]
    return [
        (int(time_ns), what, min(int(tokens), _UNLIMITED))
        for time_ns, tokens in zip(index.time_ns[rows], granted[name], strict=True)
    ]


def _plain(index: MessageIndex, message_type: int, what: int) -> _Events:
    return [
        (time_ns, what, 0) for time_ns in index.time_ns[np.flatnonzero(index.type == message_type)].tolist()
    ]
