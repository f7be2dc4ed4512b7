"""One picture out of a recording: which session, display, surface or monitor, and when."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from typing import Final, Literal

import numpy as np

from spicereplay.defects import Defect, DefectKind, DefectLog
from spicereplay.display.cursor import CursorState
from spicereplay.display.model import Screen
from spicereplay.errors import InputError, UsageError
from spicereplay.limits import DEFAULT_LIMITS, Limits
from spicereplay.protocol import registry
from spicereplay.protocol.enums import ChannelType, ClientInputs, MouseMode, ServerMain, Side
from spicereplay.protocol.messages import inputs, main
from spicereplay.replay.driver import Progress, Replay
from spicereplay.replay.picture import Picture, opaque
from spicereplay.replay.screens import Screens
from spicereplay.session.log import SessionLog
from spicereplay.units import NS_PER_S

Moment = float | Literal["end"]
"""Seconds since the capture's first packet, or its end."""

MOST_REASONS: Final = 6
"""Sentences that say why something is unknown."""


def picture_at(
    replay: Replay,
    at: Moment,
    *,
    session: int | None = None,
    channel_id: int | None = None,
    surface: int | None = None,
    monitor: int | None = None,
    cursor: bool = False,
    workers: int | None = None,
    limits: Limits = DEFAULT_LIMITS,
    progress: Progress | None = None,
) -> Picture:
    """Return what a screen shows at a moment, every message that was complete by then carried out.

    Without `session` it is the one with a display that began last by then; without `channel_id` the first display
    that shows something. `surface` asks for a surface instead of the screen, `monitor` for the part of the screen
    that one monitor shows; `cursor` draws the mouse pointer.

    Raises `InputError` where there is no display or nothing was ever shown, `UsageError` for a session, channel,
    surface or monitor that is not there at that moment, or a moment before anything is shown.
    """
    until_ns = moment_ns(replay, at)
    log = chosen_session(replay, session, until_ns)
    with Screens(log, limits=limits, workers=workers, progress=progress) as screens:
        screens.play(None if at == "end" else until_ns)
        channel = shown_channel(screens, channel_id)
        screen = _screen(screens, channel, surface, monitor, at)
        state = None
        if cursor and screen.cursor is not None:
            state = with_client_pointer(log, screen.cursor, until_ns)
        pixels = opaque(screen, state)
        pixels[screen.unknown, 3] = 0
        why = () if screen.all_known else reasons(screen, screens.model.defects, channel)
        return Picture(
            pixels,
            screen.unknown,
            (until_ns - replay.start_time_ns) / NS_PER_S,
            log.number,
            channel,
            screen.surface_id,
            why,
        )


def moment_ns(replay: Replay, at: Moment) -> int:
    """Return a moment as capture time; raises `UsageError` where it is none."""
    if at == "end":
        return max(replay.end_time_ns, replay.start_time_ns)
    if not math.isfinite(at) or at < 0:
        raise UsageError(f"{at!r} is no moment of a capture: give seconds since its first packet, or 'end'")
    return replay.start_time_ns + round(at * NS_PER_S)


def chosen_session(replay: Replay, number: int | None, until_ns: int) -> SessionLog:
    """Return the session that is asked for, or the one with a display that began last by then."""
    if number is not None:
        if not 0 <= number < len(replay.sessions):
            raise UsageError(f"no session {number}: there are {len(replay.sessions)}, from 0")
        log = replay.sessions[number]
        if not log.of(ChannelType.DISPLAY):
            raise InputError(
                f"{replay.path.name}: session {number} has no display channel, only {_channels([log])}"
            )
        return log
    shown = [log for log in replay.sessions if log.of(ChannelType.DISPLAY)]
    if not shown:
        raise InputError(
            f"{replay.path.name}: no display channel in it, "
            + (f"only {there}" if (there := _channels(replay.sessions)) else "nor any other")
        )
    begun = [log for log in shown if log.start_time_ns <= until_ns]
    return begun[-1] if begun else shown[0]


def _channels(sessions: Iterable[SessionLog]) -> str:
    return ", ".join(dict.fromkeys(c.name for log in sessions for c in log.channels))


def shown_channel(screens: Screens, channel_id: int | None) -> int:
    """Return the display channel that is asked for, or the first that shows something now."""
    there = [log.channel_id for log in screens.session.of(ChannelType.DISPLAY)]
    if channel_id is None:
        return next((i for i in there if screens.model.screen(i) is not None), there[0])
    if channel_id not in there:
        raise UsageError(f"no display channel {channel_id}: there are {', '.join(map(str, there))}")
    return channel_id


def _screen(screens: Screens, channel: int, surface: int | None, monitor: int | None, at: Moment) -> Screen:
    model = screens.model
    if surface is not None:
        screen = model.surface(channel, surface)
        there = ", ".join(map(str, sorted(model.channel(channel).surfaces))) or "none"
        missing = f"display/{channel} has no surface {surface} then; there are: {there}"
    else:
        screen = model.screen(channel, monitor)
        there = ", ".join(str(head.monitor_id) for head in model.monitors(channel)) or "none"
        missing = f"display/{channel} has no monitor {monitor} then; there are: {there}"
    if screen is not None:
        return screen
    if surface is None and monitor is None:
        if at == "end":
            raise InputError(f"display/{channel} shows nothing at the end: it has no primary surface then")
        raise UsageError(f"display/{channel} shows nothing at {at} s: it has no primary surface then")
    raise UsageError(missing)


def with_client_pointer(session: SessionLog, cursor: CursorState, until_ns: int) -> CursorState:
    """Return the cursor where the client's user saw it.

    In client mouse mode the pointer is the client's own: the server never says where it is, the client does.
    Source: spice-wire.md 12 (MOUSE_POSITION), 5 (MOUSE_MODE).
    """
    if _mouse_mode(session, until_ns) != MouseMode.CLIENT:
        return cursor
    for log in session.of(ChannelType.INPUTS):
        rows = log.client.rows(ClientInputs.MOUSE_POSITION)
        count = int(np.searchsorted(log.client.time_ns[rows], until_ns, "right"))
        if not count:
            continue
        body = log.client.body(int(rows[count - 1]))
        parsed = registry.parse_message(
            ChannelType.INPUTS, Side.CLIENT, ClientInputs.MOUSE_POSITION, body
        ).message
        if isinstance(parsed, inputs.MousePosition):
            return replace(cursor, x=parsed.x, y=parsed.y)
    return cursor


def _mouse_mode(session: SessionLog, until_ns: int) -> int | None:
    """Return the mouse mode that was last announced by then."""
    for log in session.of(ChannelType.MAIN):
        rows = log.server.rows(ServerMain.INIT, ServerMain.MOUSE_MODE)
        count = int(np.searchsorted(log.server.time_ns[rows], until_ns, "right"))
        if not count:
            continue
        row = int(rows[count - 1])
        kind = int(log.server.type[row])
        parsed = registry.parse_message(ChannelType.MAIN, Side.SERVER, kind, log.server.body(row)).message
        if isinstance(parsed, main.Init):
            return int(parsed.current_mouse_mode)
        if isinstance(parsed, main.MouseModeChange):
            return int(parsed.current_mode)
    return None


def reasons(screen: Screen, defects: DefectLog, channel_id: int) -> tuple[str, ...]:
    """Return sentences that say why a part of a screen is unknown: what was wrong on its channel up to now."""
    out: list[str] = []
    if screen.inferred:
        out.append(
            f"the capture begins after surface {screen.surface_id} was created: its size is concluded from what "
            "is drawn on it, and what was drawn before is unknown"
        )
    told: dict[DefectKind, Defect] = {}
    counts: Counter[DefectKind] = Counter()
    for (kind, where), count in defects.counts.items():
        if where.split(" ")[0] == f"display/{channel_id}":
            counts[kind] += count
    for defect in defects:
        if defect.kind in counts and defect.kind not in told:
            told[defect.kind] = defect
    if screen.inferred and counts[DefectKind.SURFACE_UNKNOWN] == 1:
        told.pop(DefectKind.SURFACE_UNKNOWN, None)
    # Causes come before what follows from them.
    for kind, defect in list(told.items())[:MOST_REASONS]:
        count = counts[kind]
        more = "" if count == 1 else f" (and {count - 1} more of kind {kind})"
        out.append(f"{defect.detail}{more}")
    return tuple(out)
