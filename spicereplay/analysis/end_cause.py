"""Why a stream ended, as far as the wire shows it.

Source: server-heuristics.md A6 (stop reasons and their sequences) and B6.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from spicereplay.analysis.clock import ServerClock
from spicereplay.analysis.columns import NEVER
from spicereplay.analysis.fields import fields
from spicereplay.analysis.lives import End, Life, Video
from spicereplay.bytestream import Int64Array
from spicereplay.protocol.enums import ClientDisplay, ServerCommon, ServerDisplay
from spicereplay.protocol.index import MessageIndex
from spicereplay.units import NS_PER_MS, NS_PER_S

TIMEOUT_NS: Final = NS_PER_S
"""The server stops a stream without a new frame for that long. Source: A1, RED_STREAM_TIMEOUT."""
TOLERANCE_NS: Final = 50 * NS_PER_MS
"""How much less a timeout may look on the wire: the last frame can have waited in the queue before it was captured."""
PREFERENCE_NS: Final = 2 * NS_PER_S
"""How long after PREFERRED_VIDEO_CODEC_TYPE an end of all streams is put down to it: the client's message, the
server's queue and the way back. Source: A6, spice-wire.md 11.3."""
LOOK_AHEAD: Final = 256
"""Messages looked at for the SURFACE_DESTROY of a mode change: STREAM_DESTROY of 50 streams and a few more."""

_BETWEEN: Final = frozenset(
    {
        ServerDisplay.STREAM_DESTROY,
        ServerDisplay.STREAM_CLIP,
        ServerDisplay.INVAL_LIST,
        ServerDisplay.INVAL_ALL_PIXMAPS,
        ServerDisplay.INVAL_PALETTE,
        ServerDisplay.INVAL_ALL_PALETTES,
        ServerCommon.PING,
        ServerCommon.SET_ACK,
        ServerCommon.LIST,
        ServerCommon.WAIT_FOR_CHANNELS,
    }
)
"""Messages that may stand between the STREAM_DESTROY of a mode change and its SURFACE_DESTROY."""


def end_causes(video: Video, clock: ServerClock | None) -> list[str]:
    """Return the `end_cause` of every life of one display channel."""
    preferences = video.channel.client.time_ns[
        video.channel.client.rows(ClientDisplay.PREFERRED_VIDEO_CODEC_TYPE)
    ]
    surface_rows, surfaces = fields(video.channel.server, ServerDisplay.SURFACE_DESTROY)
    primary_gone = set(surface_rows[surfaces["surface_id"] == 0].tolist())
    preferred = _preferred(video.lives, preferences)
    causes: list[str] = []
    for i, life in enumerate(video.lives):
        if life.end is End.NONE:
            causes.append("capture_ended")
        elif life.end is not End.DESTROY:
            causes.append(life.end.value)
        elif _surface_follows(video.channel.server, life.end_row, primary_gone):
            causes.append("surface_destroyed")
        elif i in preferred:
            causes.append("client_preference")
        elif _timed_out(video, i, clock):
            causes.append("timeout")
        else:
            causes.append("destroyed")
    return causes


def _surface_follows(server: MessageIndex, row: int, primary_gone: set[int]) -> bool:
    if not primary_gone:
        return False
    for later in range(row + 1, min(row + 1 + LOOK_AHEAD, len(server))):
        if int(server.type[later]) not in _BETWEEN:
            return later in primary_gone
    return False


def _preferred(lives: list[Life], said_ns: Int64Array) -> set[int]:
    """Return the lives that a message of the client shortly before ended, together with all that lived then."""
    created = np.array([life.created_ns for life in lives], np.int64)
    ended = np.array([life.ended_ns for life in lives], np.int64)
    found: set[int] = set()
    for said in said_ns.tolist():
        then = (created <= said) & (ended > said)
        if then.any() and bool((ended[then] <= said + PREFERENCE_NS).all()):
            found.update(np.flatnonzero(then).tolist())
    return found


def _timed_out(video: Video, i: int, clock: ServerClock | None) -> bool:
    life, frames = video.lives[i], video.frames
    mine = video.frames_of[i]
    if not len(mine):
        return life.created_ns != NEVER and life.ended_ns - life.created_ns >= TIMEOUT_NS - TOLERANCE_NS
    last = mine[-1]
    if clock is not None:
        destroyed = np.array([life.ended_ns], np.int64)
        # mm_time has whole milliseconds.
        return (
            float(clock.lag_ms(destroyed, frames.mm_time[last : last + 1])[0]) * NS_PER_MS
            >= TIMEOUT_NS - NS_PER_MS
        )
    return life.ended_ns - int(frames.time_ns[last]) >= TIMEOUT_NS - TOLERANCE_NS
