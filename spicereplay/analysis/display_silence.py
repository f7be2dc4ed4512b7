"""Times in which the screen did not change though the session lived: idle, or frozen.

Which of the two it was, the table does not say; keys and buttons pressed in such a time, and what else went over the
wire, are beside it. A period runs from one message that changes the screen to the next one on any display channel.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from spicereplay.analysis import schema
from spicereplay.analysis.columns import NEVER, by_time, named, seconds
from spicereplay.analysis.inputs import presses
from spicereplay.analysis.shown import shown
from spicereplay.bytestream import Int64Array
from spicereplay.protocol import registry
from spicereplay.protocol.enums import ChannelType, ClientMain, ServerMain, Side
from spicereplay.session.log import ChannelLog, SessionLog
from spicereplay.units import NS_PER_S

if TYPE_CHECKING:
    import pandas as pd

LEAST_NS: Final = NS_PER_S
"""Shorter pauses are between two pictures, not a silence; the server ends a stream after as long without a frame
(server-heuristics.md A1, RED_STREAM_TIMEOUT)."""

CLOSED, CAPTURE_ENDED = "channel_closed", "capture_ended"
_CLOSED, _CAPTURE_ENDED = 1 << 16, (1 << 16) + 1
"""Stand for these two beside message types, which have 16 bits."""


def display_silence(
    sessions: Sequence[SessionLog], origin_ns: int, *, least_ns: int = LEAST_NS
) -> pd.DataFrame:
    """Return the table `display_silence`: silences of at least `least_ns` in which another message was seen."""
    return by_time(
        "display_silence",
        (_silences(s, origin_ns, least_ns) for s in sessions if _watched(s)),
        key="start_s",
    )


def _watched(session: SessionLog) -> bool:
    """Whether what the server draws was captured, on all displays."""
    displays = session.of(ChannelType.DISPLAY)
    return bool(displays) and not any(Side.SERVER in log.unseen for log in displays)


def _silences(session: SessionLog, origin_ns: int, least_ns: int) -> pd.DataFrame:
    displays = session.of(ChannelType.DISPLAY)
    screen = shown(session)
    opened = min(log.start_time_ns for log in displays)
    ended = max(log.end_time_ns for log in displays)
    edges = np.concatenate(([opened], screen.time_ns, [ended]))
    long = np.flatnonzero(np.diff(edges) >= least_ns)
    start, end = edges[long], edges[long + 1]
    over = _CLOSED if all(log.closed_by is not None for log in displays) else _CAPTURE_ENDED
    ended_by = np.append(screen.type.astype(np.int64), over)[long]

    # Whatever was said within a silence did not change the screen, or it would have ended there.
    from_server = _between(_said(session, Side.SERVER), start, end)
    elsewhere = from_server + _between(_said(session, Side.CLIENT), start, end)
    alive = elsewhere > 0
    start, end, from_server, elsewhere = start[alive], end[alive], from_server[alive], elsewhere[alive]
    pressed = presses(session).time_ns
    inputs = _between(pressed, start, end)
    first = np.append(pressed, NEVER)[np.searchsorted(pressed, start, "right")]
    return schema.frame(
        "display_silence",
        {
            "session": np.full(len(start), session.number),
            "start_s": seconds(start, origin_ns),
            "end_s": seconds(end, origin_ns),
            "duration_s": (end - start) / NS_PER_S,
            "messages_elsewhere": elsewhere,
            "messages_from_server": from_server,
            "inputs_during": inputs,
            "first_input_s": seconds(np.where(inputs > 0, first, NEVER), origin_ns),
            "agent_messages": _between(_agent(session), start, end),
            "holes": _between(_holes(displays), start, end + 1),
            "ended_by": named(ended_by[alive], np.ones(len(start), np.bool_), _end_name),
        },
    )


def _between(time_ns: Int64Array, start: Int64Array, end: Int64Array) -> Int64Array:
    """Count the ascending `time_ns` behind each `start` and before its `end`."""
    inside = np.searchsorted(time_ns, end, "left") - np.searchsorted(time_ns, start, "right")
    return np.asarray(np.maximum(inside, 0), np.int64)


def _said(session: SessionLog, side: Side) -> Int64Array:
    """Return the times of what one side sent on all channels."""
    indexes = [log.index(side) for log in session.channels]
    return np.sort(np.concatenate([index.time_ns[~index.sub] for index in indexes]))


def _agent(session: SessionLog) -> Int64Array:
    """Return the times of what went to and from the guest agent."""
    data = ((Side.SERVER, ServerMain.AGENT_DATA), (Side.CLIENT, ClientMain.AGENT_DATA))
    times = [
        log.index(side).time_ns[log.index(side).type == kind]
        for log in session.of(ChannelType.MAIN)
        for side, kind in data
    ]
    return np.sort(np.concatenate([np.empty(0, np.int64), *times]))


def _holes(displays: Sequence[ChannelLog]) -> Int64Array:
    """Return when the first bytes behind each hole in what the server drew arrived."""
    return np.sort(
        np.array([gap.time_ns for log in displays for gap in log.gaps if gap.side is Side.SERVER], np.int64)
    )


def _end_name(kind: int) -> str:
    special = {_CLOSED: CLOSED, _CAPTURE_ENDED: CAPTURE_ENDED}
    return special.get(kind) or registry.message_name(ChannelType.DISPLAY, Side.SERVER, kind)
