"""When the server had to wait for acknowledgements. Source: spice-wire.md 4.3.

The server counts what it sends since SET_ACK, takes off a window for every ACK, and stops sending on that channel
while more than two windows are open. Counted here at the capture point: near the client the stall looks later, near
the server earlier than it was, by the time the messages travel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from spicereplay.analysis.columns import NEVER, Record, records, second
from spicereplay.analysis.fields import fields
from spicereplay.analysis.transport import place
from spicereplay.bytestream import Int64Array
from spicereplay.protocol.enums import ClientCommon, ServerCommon
from spicereplay.session.log import ChannelLog, SessionLog

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class Stall:
    """One period; `end_ns` is `NEVER` where nothing lifted it."""

    start_ns: int
    end_ns: int
    window: int
    most: int
    """Most messages outstanding."""


def ack_stalls(sessions: Sequence[SessionLog], origin_ns: int) -> pd.DataFrame:
    """Return the table `ack_stalls`."""
    rows: list[Record] = []
    for session in sessions:
        for log in session.channels:
            for stall in stalls(log):
                end = min(stall.end_ns, log.end_time_ns)
                rows.append(
                    {
                        **place(session, log),
                        "start_s": second(stall.start_ns, origin_ns),
                        "end_s": second(stall.end_ns, origin_ns),
                        "duration_s": second(end, stall.start_ns),
                        "window": stall.window,
                        "unacknowledged": stall.most,
                    }
                )
    return records("ack_stalls", rows)


def stalls(log: ChannelLog) -> list[Stall]:
    """Return the stalls of one channel; none from the first hole on, where counting would be guessing.

    Without SET_ACK in the capture the window is not known, and there are none either.
    """
    rows, granted = fields(log.server, ServerCommon.SET_ACK)
    if not len(rows):
        return []
    stop_ns = min((gap.time_ns for gap in log.gaps), default=NEVER)
    sent = log.server.time_ns[~log.server.sub]
    acks = log.client.time_ns[log.client.rows(ClientCommon.ACK)]
    set_ns = log.server.time_ns[rows]
    found: list[Stall] = []
    for i, window in enumerate(granted["window"].tolist()):
        last = i + 1 == len(rows)
        until = min(stop_ns, NEVER if last else int(set_ns[i + 1]))
        if window and set_ns[i] < until:
            bounds = (int(set_ns[i]), until)
            mine, theirs = np.searchsorted(sent, bounds), np.searchsorted(acks, bounds)
            found += _stalls(sent[mine[0] : mine[1]], acks[theirs[0] : theirs[1]], window)
    return found


def _stalls(sent: Int64Array, acks: Int64Array, window: int) -> list[Stall]:
    """Count one SET_ACK's time; of equal times the ACK counts first, it made room for the message."""
    time_ns = np.concatenate((acks, sent))
    change = np.concatenate((np.full(len(acks), -window, np.int64), np.ones(len(sent), np.int64)))
    order = np.argsort(time_ns, kind="stable")
    time_ns = time_ns[order]
    # SET_ACK itself is the first of `sent` and is not counted.
    outstanding = np.cumsum(change[order]) - 1
    over = outstanding > 2 * window
    edges = np.flatnonzero(np.diff(np.concatenate(([False], over, [False])).astype(np.int8)))
    found: list[Stall] = []
    for first, after in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        end = int(time_ns[after]) if after < len(time_ns) else NEVER
        found.append(Stall(int(time_ns[first]), end, window, int(outstanding[first:after].max())))
    return found
