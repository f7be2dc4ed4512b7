"""Tables about TCP: each direction in one row, its events, and when it had to wait for the receiver's window.

A recording without TCP headers of its own (`ChannelLog.facts` is empty then) says nothing: null, not 0.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from spicereplay.analysis import schema
from spicereplay.analysis.columns import NEVER, Record, category, concat, constant, records, seconds
from spicereplay.analysis.transport import place
from spicereplay.bytestream import DirectionFacts, SegmentEvent
from spicereplay.protocol.enums import Side
from spicereplay.session.log import ChannelLog, SessionLog
from spicereplay.units import NS_PER_MS, NS_PER_S

if TYPE_CHECKING:
    import pandas as pd

_KINDS: Final = [str(kind) for kind in SegmentEvent]
_CAUSES: Final = ["window_full", "zero_window"]
_COUNTED: Final = (
    "segments",
    "retransmitted_bytes",
    "retransmitted_segments",
    "fast_retransmissions",
    "spurious_retransmissions",
    "out_of_order",
    "conflicts",
    "keep_alives",
    "duplicate_acks",
    "window_updates",
    "zero_windows",
    "zero_window_probes",
    "window_full",
    "window_stalls",
    "resets",
    "mss",
    "window_scale",
    "sequence_wraps",
)
"""Columns of `tcp` that are fields of `DirectionFacts`."""


def tcp(sessions: Sequence[SessionLog]) -> pd.DataFrame:
    """Return the table `tcp`: two rows per channel, what the server sent first."""
    names = schema.TABLES["tcp"].names
    rows: list[Record] = []
    for session in sessions:
        for log in session.channels:
            for side in (Side.SERVER, Side.CLIENT):
                row = dict.fromkeys(names) | place(session, log) | {"from": str(side)}
                facts = log.facts.get(side)
                if facts is not None:
                    other = log.facts.get(Side.CLIENT if side is Side.SERVER else Side.SERVER)
                    row |= {name: getattr(facts, name) for name in _COUNTED}
                    row |= {"bytes": facts.payload_bytes, **_times(facts, other)}
                rows.append(row)
    return records("tcp", rows)


def _times(facts: DirectionFacts, other: DirectionFacts | None) -> Record:
    """Return the columns that are times; NaN for what was not seen."""
    to_receiver = facts.syn_round_trip_ns
    to_sender = None if other is None else other.syn_round_trip_ns
    whole = None if to_receiver is None or to_sender is None else to_receiver + to_sender
    stalled = facts.window_stalled_ns
    trips = facts.round_trips_ns.astype(np.float64) / NS_PER_MS
    figures = [np.nan] * 4
    if len(trips):
        figures = [float(trips.min()), *np.percentile(trips, (50, 95)).tolist(), float(trips.max())]
    return {
        "window_stalled_s": None if stalled is None else stalled / NS_PER_S,
        "initial_rtt_ms": None if whole is None else whole / NS_PER_MS,
        "syn_rtt_ms": None if to_receiver is None else to_receiver / NS_PER_MS,
        "rtt_samples": len(trips),
        **dict(zip(("rtt_ms_min", "rtt_ms_median", "rtt_ms_p95", "rtt_ms_max"), figures, strict=True)),
    }


def _directions(
    sessions: Sequence[SessionLog],
) -> Iterator[tuple[SessionLog, ChannelLog, Side, DirectionFacts]]:
    for session in sessions:
        for log in session.channels:
            for side in (Side.SERVER, Side.CLIENT):
                facts = log.facts.get(side)
                if facts is not None:
                    yield session, log, side, facts


def _where(session: SessionLog, log: ChannelLog, side: Side, count: int) -> Record:
    return {
        "session": np.full(count, session.number, np.int32),
        "channel": constant(log.channel.label, count),
        "channel_id": np.full(count, log.channel_id, np.uint8),
        "from": constant(str(side), count),
    }


def tcp_events(sessions: Sequence[SessionLog], origin_ns: int) -> pd.DataFrame:
    """Return the table `tcp_events`."""
    return concat(
        "tcp_events",
        (
            schema.frame(
                "tcp_events",
                {
                    **_where(session, log, side, len(facts.events.kind)),
                    "time_s": seconds(facts.events.time_ns, origin_ns),
                    "kind": category(facts.events.kind, _KINDS),
                    "position": facts.events.position,
                    "bytes": facts.events.bytes,
                    "idle_s": facts.events.idle_ns / NS_PER_S,
                    "count": facts.events.count,
                },
            )
            for session, log, side, facts in _directions(sessions)
        ),
    )


def tcp_stalls(sessions: Sequence[SessionLog], origin_ns: int) -> pd.DataFrame:
    """Return the table `tcp_stalls`."""
    parts = []
    for session, log, side, facts in _directions(sessions):
        stalls = facts.stalls
        open_ended = stalls.end_ns < 0
        last = np.where(open_ended, np.maximum(log.end_time_ns, stalls.start_ns), stalls.end_ns)
        parts.append(
            schema.frame(
                "tcp_stalls",
                {
                    **_where(session, log, side, len(last)),
                    "start_s": seconds(stalls.start_ns, origin_ns),
                    "end_s": seconds(np.where(open_ended, NEVER, stalls.end_ns), origin_ns),
                    "duration_s": (last - stalls.start_ns) / NS_PER_S,
                    "cause": category(stalls.zero.astype(np.int8), _CAUSES),
                    "window": stalls.window,
                },
            )
        )
    return concat("tcp_stalls", parts)
