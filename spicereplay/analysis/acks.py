"""What the client acknowledged, and when the server had to wait for it. Source: spice-wire.md 4.3.

The server counts what it sends since SET_ACK, takes off a window for every ACK from the ACK_SYNC on that answers it,
and stops sending on that channel while more than two windows are open. Counted here at the capture point: near the
client the stall looks later, near the server earlier than it was, by the time the messages travel.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from spicereplay.analysis import schema
from spicereplay.analysis.columns import (
    NEVER,
    IndexArray,
    Record,
    category,
    concat,
    constant,
    nullable,
    records,
    second,
    seconds,
)
from spicereplay.analysis.fields import fields, present
from spicereplay.analysis.transport import place
from spicereplay.bytestream import Int64Array
from spicereplay.protocol.enums import ClientCommon, ServerCommon
from spicereplay.session.log import ChannelLog, SessionLog

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class _Term:
    """The time in which one SET_ACK holds: what was sent and acknowledged in it."""

    window: int
    sent: Int64Array
    """Times of the messages; the first is SET_ACK itself, which is not counted."""
    acks: IndexArray
    """Rows of the ACKs that count."""
    start_ns: int
    until_ns: int


@dataclass(frozen=True, slots=True)
class Stall:
    """One period; `end_ns` is `NEVER` where nothing lifted it."""

    start_ns: int
    end_ns: int
    window: int
    most: int
    """Most messages outstanding."""


def acks(sessions: Sequence[SessionLog], origin_ns: int) -> pd.DataFrame:
    """Return the table `acks`, in order of time within each channel."""
    return concat(
        "acks", (_acks(session, log, origin_ns) for session in sessions for log in session.channels)
    )


def _acks(session: SessionLog, log: ChannelLog, origin_ns: int) -> pd.DataFrame:
    index = log.client
    rows = np.sort(np.concatenate((index.rows(ClientCommon.ACK_SYNC), index.rows(ClientCommon.ACK))))
    if not len(rows):
        return schema.empty("acks")
    syncs, said = fields(index, ClientCommon.ACK_SYNC)
    generations = _in_force(said["generation"], present(index, syncs, ClientCommon.ACK_SYNC))
    generation = generations[np.searchsorted(syncs, rows, "right") - 1]
    windows, granted = fields(log.server, ServerCommon.SET_ACK)
    offered = _in_force(granted["window"], present(log.server, windows, ServerCommon.SET_ACK))
    window = offered[np.searchsorted(log.server.time_ns[windows], index.time_ns[rows], "right") - 1]
    outstanding = np.full(len(rows), -1, np.int64)
    for term in _terms(log):
        inside = slice(*np.searchsorted(index.time_ns[rows], (term.start_ns, term.until_ns)))
        sent = np.searchsorted(term.sent, index.time_ns[rows[inside]]) - 1
        counted = np.searchsorted(term.acks, rows[inside], "right")
        outstanding[inside] = np.maximum(sent - term.window * counted, 0)
    return schema.frame(
        "acks",
        {
            "session": np.full(len(rows), session.number, np.int32),
            "channel": constant(log.channel.label, len(rows)),
            "channel_id": np.full(len(rows), log.channel_id, np.uint8),
            "time_s": seconds(index.time_ns[rows], origin_ns),
            "kind": category((index.type[rows] == ClientCommon.ACK).astype(np.int8), ["ack_sync", "ack"]),
            "generation": nullable(generation, generation >= 0),
            "window": nullable(window, window >= 0),
            "outstanding": nullable(outstanding, outstanding >= 0),
        },
    )


def _in_force(values: npt.NDArray[np.generic], whole: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Return the values; -1 for those of which bytes are missing, and a last one for what is before the first."""
    return np.append(np.where(whole, values.astype(np.int64), -1), -1)


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

    Without SET_ACK in the capture the window is not known, and there are none either, nor where one direction was not
    captured.
    """
    return [
        stall
        for term in _terms(log)
        if term.window
        for stall in _stalls(term.sent, log.client.time_ns[term.acks], term.window)
    ]


def _terms(log: ChannelLog) -> Iterator[_Term]:
    """Yield the terms of the SET_ACKs of one channel, as far as there is no hole before their end."""
    if log.unseen:
        return
    rows, granted = fields(log.server, ServerCommon.SET_ACK)
    stop_ns = min((gap.time_ns for gap in log.gaps), default=NEVER)
    sent = log.server.time_ns[~log.server.sub]
    acks = log.client.rows(ClientCommon.ACK)
    syncs, said = fields(log.client, ClientCommon.ACK_SYNC)
    set_ns = log.server.time_ns[rows]
    for i in range(len(rows)):
        until = min(stop_ns, int(set_ns[i + 1]) if i + 1 < len(rows) else NEVER)
        bounds = (int(set_ns[i]), until)
        if bounds[0] >= until:
            continue
        mine = np.searchsorted(sent, bounds)
        theirs = acks[slice(*np.searchsorted(log.client.time_ns[acks], bounds))]
        # ACKs that were under way when SET_ACK was sent do not count.
        answers = syncs[
            (said["generation"] == granted["generation"][i]) & (log.client.time_ns[syncs] >= bounds[0])
        ]
        if len(answers):
            theirs = theirs[theirs > answers[0]]
        yield _Term(int(granted["window"][i]), sent[mine[0] : mine[1]], theirs, *bounds)


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
