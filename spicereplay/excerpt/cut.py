"""A span of time out of a capture, with all of the past that it needs to be read and shown as before.

A plain cut loses what the messages in it refer to. Here the handshakes stay, and on every channel the messages that
set its state; of a display channel those that brought what is used later (`needs`), and what its surfaces show when
the span begins is drawn by messages made for that (`redraw`). So the screen within the span is that of the full
capture, unknown parts included. What nobody sent is marked by comments in the file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from spicereplay.display.surfaces import Surface
from spicereplay.errors import InputError, UsageError
from spicereplay.excerpt.needs import needs
from spicereplay.excerpt.redraw import redraw
from spicereplay.limits import DEFAULT_LIMITS, Limits
from spicereplay.protocol.enums import (
    ChannelType,
    ClientCommon,
    ClientDisplay,
    ClientInputs,
    ClientRecord,
    ServerCommon,
    ServerCursor,
    ServerInputs,
    ServerPlayback,
    ServerSpicevmc,
    Side,
)
from spicereplay.protocol.messages.common import SetAck
from spicereplay.protocol.wire import build, parse
from spicereplay.recording.script import ChannelScript, Inserted, Lane, lane_of, script_of
from spicereplay.recording.sessions import Progress, Written, write_scripts
from spicereplay.replay import Replay
from spicereplay.replay.screens import Screens
from spicereplay.session.log import ChannelLog, SessionLog
from spicereplay.units import NS_PER_S

REDRAWN: Final = "synthetic: draws what the surface shows where the excerpt begins"
UNKNOWN: Final = (
    f"{REDRAWN}; the missing byte before it stands for messages left out: what is not drawn again is unknown"
)
ACKNOWLEDGED: Final = "synthetic: stands for acknowledgements of messages left out"

_ANY: Final = -1
_MOST_SAID: Final = 3
"""Sessions that are named where none goes on."""
_MOVES: Final = (ServerCursor.MOVE, ServerCursor.TRAIL)
_SPICEVMC: Final = (ChannelType.USBREDIR, ChannelType.PORT, ChannelType.WEBDAV, ChannelType.SMARTCARD)
_PASSING: Final[dict[tuple[ChannelType | None, Side], tuple[int, ...]]] = {
    (None, Side.SERVER): (ServerCommon.PING, ServerCommon.NOTIFY),
    (None, Side.CLIENT): (ClientCommon.PONG, ClientCommon.ACK),
    (ChannelType.DISPLAY, Side.CLIENT): (ClientDisplay.STREAM_REPORT, ClientDisplay.GL_DRAW_DONE),
    (ChannelType.INPUTS, Side.SERVER): (ServerInputs.MOUSE_MOTION_ACK,),
    (ChannelType.INPUTS, Side.CLIENT): (_ANY,),
    (ChannelType.PLAYBACK, Side.SERVER): (ServerPlayback.DATA,),
    (ChannelType.RECORD, Side.CLIENT): (ClientRecord.DATA,),
    **{(c, side): (ServerSpicevmc.DATA, ServerSpicevmc.COMPRESSED_DATA) for c in _SPICEVMC for side in Side},
}
"""Messages that change nothing that lasts, by channel (None: all) and sender: those before the span are left out."""
_LAST_COUNTS: Final = {
    (ChannelType.CURSOR, Side.SERVER): _MOVES,
    (ChannelType.INPUTS, Side.CLIENT): (ClientInputs.MOUSE_POSITION,),
}
"""Messages of which only the last before the span says anything about it."""


@dataclass(frozen=True, slots=True)
class Cut:
    """What an excerpt holds."""

    written: Written
    of_messages: int
    """Messages of the input, sub-messages aside."""
    before: int
    """Messages of before the span that it needs."""
    within: int
    """Messages of the span."""
    remarks: tuple[str, ...]
    """What was kept whole and why, in sentences."""


@dataclass(frozen=True, slots=True)
class _Span:
    """From when to when, both inclusive, in capture time."""

    start_ns: int
    stop_ns: int


def cut(
    replay: Replay,
    from_s: float,
    to_s: float,
    out: Path,
    *,
    raw: bool = False,
    limits: Limits = DEFAULT_LIMITS,
    progress: Progress | None = None,
) -> Cut:
    """Write the sessions between two moments, both inclusive, as a pcapng; seconds are those of the whole capture.

    Times stay as they are, and so do seconds. With `raw` only the messages within the span are written, behind the
    handshakes: what they refer to is missing. An `out` that exists is replaced.

    Raises `UsageError` for moments that are none or in the wrong order and for an `out` that is the input, `InputError`
    where no session goes on then.
    """
    if out.resolve() == replay.path.resolve():
        raise UsageError(f"{out} is the input itself")
    if not 0 <= from_s <= to_s < float("inf"):
        raise UsageError(
            f"from {from_s} s to {to_s} s is no span: give seconds since the first packet, ascending"
        )
    start = replay.start_time_ns
    span = _Span(start + round(from_s * NS_PER_S), start + round(to_s * NS_PER_S))
    sessions = _sessions(replay, span)
    if not sessions:
        raise InputError(f"{replay.path.name}: no session between {from_s:g} and {to_s:g} s; {_when(replay)}")
    remarks: list[str] = []
    scripts: list[list[ChannelScript]] = []
    for session in sessions:
        redrawn = {} if raw else _redrawn(session, span, limits, remarks, progress)
        channels = [log for log in session.channels if log.start_time_ns <= span.stop_ns]
        scripts.append([_script(session, log, span, raw, redrawn) for log in channels])
    how = " as they are; what they refer to may be missing" if raw else ""
    about = f"Excerpt of {replay.path.name}, {from_s:g} s to {to_s:g} s: messages of that span{how}."
    if not raw:
        about += " Before it: what it needs. Packets with a comment that says synthetic were never sent."
    written = write_scripts(
        out,
        scripts,
        utc_offset_ns=replay.utc_offset_ns,
        origin_ns=replay.start_time_ns,
        limits=limits,
        progress=progress,
        about=about,
    )
    parts = [script for session in scripts for script in session]
    within = sum(int((lane.time_ns >= span.start_ns).sum()) for s in parts for lane in s.lanes.values())
    return Cut(
        written=written,
        of_messages=sum(
            int((~log.index(side).sub).sum())
            for session in replay.sessions
            for log in session.channels
            for side in Side
        ),
        before=written.messages - within,
        within=within,
        remarks=tuple(remarks),
    )


def _when(replay: Replay) -> str:
    """Say when sessions go on, of a few."""
    if not replay.sessions:
        return "there is none in it at all"
    times = [
        f"session {s.number} goes on from {(s.start_time_ns - replay.start_time_ns) / NS_PER_S:.3f} to "
        f"{(s.end_time_ns - replay.start_time_ns) / NS_PER_S:.3f} s"
        for s in replay.sessions[:_MOST_SAID]
    ]
    more = len(replay.sessions) - len(times)
    return "; ".join(times) + (f"; and there are {more} more" if more else "")


def _sessions(replay: Replay, span: _Span) -> list[SessionLog]:
    """Return the sessions of the span, and the one whose picture is still the last there is when it begins."""
    going_on = [
        s for s in replay.sessions if s.start_time_ns <= span.stop_ns and s.end_time_ns >= span.start_ns
    ]
    shown = [s for s in replay.sessions if s.start_time_ns <= span.start_ns and s.of(ChannelType.DISPLAY)]
    if shown and shown[-1] not in going_on and span.start_ns <= replay.end_time_ns:
        going_on.append(shown[-1])
    return sorted(going_on, key=lambda session: session.number)


# --- display channels ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class _Redrawn:
    """How a display channel begins; rows are those of its `server` index."""

    rows: frozenset[int] | None
    """Kept of before the span; None: all."""
    inserted: tuple[Inserted, ...] = ()


def _redrawn(
    session: SessionLog, span: _Span, limits: Limits, remarks: list[str], progress: Progress | None
) -> dict[int, _Redrawn]:
    """Return how the display channels that are there before the span begin, by channel id."""
    displays = [log for log in session.of(ChannelType.DISPLAY) if log.start_time_ns < span.start_ns]
    if not displays:
        return {}
    name = f"session {session.number}"
    if len(session.of(ChannelType.DISPLAY)) > 1:
        remarks.append(
            f"{name}: its display channels share images, so that all their messages up to the span are kept"
        )
        return {log.channel_id: _Redrawn(None) for log in displays}
    (log,) = displays
    needed = needs(log, span.start_ns, span.stop_ns, limits=limits)
    with Screens(session, limits=limits, progress=progress) as screens:
        screens.play(span.start_ns - 1)
        surfaces = list(screens.model.channel(log.channel_id).surfaces.values())
    unknown = any(surface.unknown is not None for surface in surfaces)
    if unknown and needed.inter_frames:
        remarks.append(
            f"{name}: a part of display/{log.channel_id} is unknown while a video goes on, so that all its messages "
            "up to the span are kept"
        )
        return {log.channel_id: _Redrawn(None)}
    redrawn = _Redrawn(needed.rows, _drawing(surfaces, span.start_ns, unknown))
    if _bytes_before(log, span, None) <= _bytes_before(log, span, redrawn):
        remarks.append(
            f"{name}: all messages of display/{log.channel_id} up to the span are kept: they are smaller than a "
            "picture of what they drew"
        )
        return {log.channel_id: _Redrawn(None)}
    if needed.inter_frames:
        remarks.append(
            f"{name}: frames of a video build on each other: the {needed.inter_frames} before the span are kept"
        )
    if needed.glz:
        remarks.append(
            f"{name}: GLZ images in the span may copy from earlier ones: all that are in their reach are kept"
        )
    return {log.channel_id: redrawn}


def _bytes_before(log: ChannelLog, span: _Span, redrawn: _Redrawn | None) -> int:
    """Return the bytes of a display channel's messages before the span: all of them, or what replaces them."""
    lane = lane_of(log, Side.SERVER)
    past = lane.time_ns < span.start_ns
    keep = past if redrawn is None else _carriers(lane, redrawn.rows, past)
    kept = int(log.server.size[lane.rows[keep]].sum(dtype=np.int64))
    return kept + (sum(len(i.body) for i in redrawn.inserted) if redrawn is not None else 0)


def _drawing(surfaces: Sequence[Surface], time_ns: int, unknown: bool) -> tuple[Inserted, ...]:
    """Return messages that draw what surfaces show; where something is unknown, a hole makes all of it so first."""
    out: list[Inserted] = []
    for surface in surfaces:
        for message in redraw(surface):
            out.append(Inserted(time_ns, int(message.TYPES[0]), build(message), REDRAWN))
    if unknown and out:
        out[0] = replace(out[0], comment=UNKNOWN, hole=1)
    return tuple(out)


# --- which messages -----------------------------------------------------------------------------------------


def _script(
    session: SessionLog, log: ChannelLog, span: _Span, raw: bool, redrawn: dict[int, _Redrawn]
) -> ChannelScript:
    whole = script_of(log, session.session_id)
    begins = redrawn.get(log.channel_id) if log.channel is ChannelType.DISPLAY else None
    lanes: dict[Side, Lane] = {}
    for side, lane in whole.lanes.items():
        times = lane.time_ns
        keep = times <= span.stop_ns
        past = times < span.start_ns
        if raw:
            keep &= ~past
        elif begins is not None and side is Side.SERVER:
            keep &= ~past | _carriers(lane, begins.rows, past)
        else:
            keep &= ~past | _lasting(log, lane, past)
        lanes[side] = _without_holes_before(lane, times, span, begins, raw).take(keep)
    inserted = begins.inserted if begins is not None else ()
    if not raw and (begins is None or begins.rows is not None):
        inserted += _acknowledgements(whole, lanes, inserted, span)
    return ChannelScript(log, session.session_id, lanes, inserted, stop_ns=span.stop_ns)


def _without_holes_before(
    lane: Lane, times: npt.NDArray[np.int64], span: _Span, begins: _Redrawn | None, raw: bool
) -> Lane:
    """Drop the holes of before the span where messages are left out around them."""
    everything = begins is not None and begins.rows is None
    if (everything and not raw) or lane.index.channel is ChannelType.MAIN:
        return lane
    return replace(lane, hole=np.where(times < span.start_ns, 0, lane.hole))


def _carriers(lane: Lane, rows: frozenset[int] | None, past: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return which messages of a lane are wanted, or carry a sub-message that is; None: all of them."""
    if rows is None:
        return past.copy()
    keep = np.zeros(len(lane), np.bool_)
    wanted = np.array(sorted(rows), np.intp)
    if len(wanted):
        starts = lane.index.position[lane.rows]
        keep[np.searchsorted(starts, lane.index.position[wanted], "right") - 1] = True
    return keep & past


def _lasting(log: ChannelLog, lane: Lane, past: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return which messages of before the span set a state that lasts into it."""
    side, kinds = lane.index.side, lane.index.type[lane.rows]
    passing = (*_PASSING[None, side], *_PASSING.get((log.channel, side), ()))
    keep = past & ~np.isin(kinds, passing) & ~lane.index.partial[lane.rows]
    if _ANY in passing:
        keep[:] = False
    for kind in _LAST_COUNTS.get((log.channel, side), ()):
        of_kind = np.flatnonzero(past & (kinds == kind))
        keep[of_kind] = False
        keep[of_kind[-1:]] = True
    return keep


def _acknowledgements(
    whole: ChannelScript, lanes: dict[Side, Lane], inserted: Sequence[Inserted], span: _Span
) -> tuple[Inserted, ...]:
    """Return the ACKs of what is kept and put in before the span.

    They leave the window at its beginning as far open as it was, to less than a window. Source: spice-wire.md 4.3.
    """
    index = lanes[Side.SERVER].index
    rows = lanes[Side.SERVER].rows
    rows = rows[lanes[Side.SERVER].time_ns < span.start_ns]
    set_acks = [int(row) for row in rows if index.type[row] == ServerCommon.SET_ACK]
    if not set_acks:
        return ()
    sent = [(int(index.time_ns[row]), int(row)) for row in rows if row >= set_acks[0]]
    sent += [(i.time_ns, -1) for i in inserted]
    open_at_start = _outstanding(whole, set_acks[-1], span.start_ns)
    window = count = 0
    out: list[Inserted] = []
    for time_ns, row in sent:
        if row in set_acks:
            granted = parse(SetAck, index.body(row)).message
            window = 0 if granted is None else int(granted.window)
            count = 0
            continue
        count += 1
        allowed = open_at_start if row > set_acks[-1] or row < 0 else 0
        if window and count > max(0, allowed):
            out.append(Inserted(time_ns, int(ClientCommon.ACK), b"", ACKNOWLEDGED, side=Side.CLIENT))
            count -= window
    return tuple(out)


def _outstanding(whole: ChannelScript, set_ack: int, until_ns: int) -> int:
    """Return how many messages were sent and not acknowledged, by the observed channel's count."""
    server, client = whole.lanes[Side.SERVER].index, whole.lanes[Side.CLIENT].index
    granted = parse(SetAck, server.body(set_ack)).message
    window = 0 if granted is None else int(granted.window)
    since = int(server.time_ns[set_ack])
    sent = server.time_ns[~server.sub]
    acks = client.time_ns[client.rows(ClientCommon.ACK)]
    mine = np.searchsorted(sent, (since, until_ns))
    theirs = np.searchsorted(acks, (since, until_ns))
    return int(mine[1] - mine[0]) - 1 - window * int(theirs[1] - theirs[0])
