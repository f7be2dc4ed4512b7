"""What of a recorded session is played to a client, on all its channels."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from spicereplay.errors import InputError
from spicereplay.limits import DEFAULT_LIMITS, Limits
from spicereplay.protocol import registry
from spicereplay.protocol.enums import ChannelType, ServerMain, Side
from spicereplay.protocol.link import LinkStatus
from spicereplay.protocol.messages import main
from spicereplay.replay.driver import Progress, Replay
from spicereplay.replay.still import chosen_session
from spicereplay.serve.beginning import (
    client_clock_ms,
    display_begins,
    lacks_messages,
    missing_beginning,
    with_synthetic_main,
    with_synthetic_surfaces,
)
from spicereplay.serve.part import Part, empty_part, in_words, part_of
from spicereplay.serve.rehearsal import Rehearsal, rehearse
from spicereplay.session.log import ChannelLog, SessionLog
from spicereplay.units import NS_PER_S

Key = tuple[ChannelType, int]

AWAITED: Final = (
    ChannelType.MAIN,
    ChannelType.DISPLAY,
    ChannelType.INPUTS,
    ChannelType.CURSOR,
    ChannelType.PLAYBACK,
)
"""Channels that a replay waits for before it starts, where the recorded client had them."""


@dataclass(frozen=True, slots=True, eq=False)
class Script:
    """A session that can be played any number of times."""

    session: SessionLog
    parts: dict[Key, Part]
    """What was recorded, and an empty part for each further channel that the server offered."""
    awaited: frozenset[Key]
    """Channels that must be there before the replay starts."""
    start_ns: int
    """Capture time at which the replay's clock starts: the first message that is not part of an opening."""
    end_ns: int
    """Capture time of the last message."""
    clock_ms: int
    """What the recorded client's multimedia clock showed at `start_ns`."""
    remarks: tuple[str, ...] = ()
    """What is not as it was recorded, in words."""

    @property
    def duration_s(self) -> float:
        """From the start of the replay's clock to the last message, in seconds of the recording."""
        return max(0, self.end_ns - self.start_ns) / NS_PER_S


def script_of(
    replay: Replay,
    session: int | None = None,
    *,
    synthetic_beginning: bool = False,
    limits: Limits = DEFAULT_LIMITS,
    progress: Progress | None = None,
) -> Script:
    """Return what can be played of a session; without a number, of the last begun one that has a display.

    Where messages of a display are missing, those that a client could not carry out for that are left out.

    Raises `InputError` where there is no display, and where the recording lacks the beginning that a client needs,
    unless `synthetic_beginning` asks to make one up: surfaces as large as what is drawn on them, black until then.
    `UsageError` for a session that is not there.
    """
    log, remarks = _let_in(chosen_session(replay, session, max(replay.end_time_ns, replay.start_time_ns)))
    lacks = missing_beginning(log)
    if lacks and not synthetic_beginning:
        raise InputError(
            f"{replay.path.name}: session {log.number} cannot be served as it is: {'; '.join(lacks)}. "
            "--synthetic-beginning makes up what is missing"
        )
    if lacks:
        remarks.append(f"the beginning is made up: {'; '.join(lacks)}")
    parts = {(channel.channel, channel.channel_id): part_of(channel) for channel in log.channels}
    awaited = frozenset(key for key in parts if key[0] in AWAITED)
    if lacks or lacks_messages(log):
        rehearsal = rehearse(log, limits=limits, progress=progress)
        for display in log.of(ChannelType.DISPLAY):
            key = display.channel, display.channel_id
            parts[key] = _without_lost(parts[key], rehearsal)
            if not display_begins(display):
                parts[key] = with_synthetic_surfaces(
                    parts[key], rehearsal.surfaces.get(display.channel_id, {})
                )
    main_key = ChannelType.MAIN, 0
    parts[main_key] = with_synthetic_main(parts.get(main_key, empty_part(*main_key)), log)
    parts = {key: part.opened() for key, part in parts.items()}
    for offered in _offered(parts[main_key]):
        parts.setdefault(offered, empty_part(*offered))
    times = [part.time_ns[part.opening :] for part in parts.values()]
    start_ns = min((int(t[0]) for t in times if len(t)), default=log.start_time_ns)
    return Script(
        session=log,
        parts=parts,
        awaited=awaited | {main_key},
        start_ns=start_ns,
        end_ns=max((int(t[-1]) for t in times if len(t)), default=start_ns),
        clock_ms=client_clock_ms(log, start_ns),
        remarks=(*remarks, *_left_out(parts)),
    )


def _let_in(session: SessionLog) -> tuple[SessionLog, list[str]]:
    """Return the session with the channels that were let in, and remarks.

    Of a channel that was opened several times it has the time with most messages.
    """
    remarks: list[str] = []
    chosen: dict[Key, ChannelLog] = {}
    for log in session.channels:
        if log.link is not None and log.link.status is not LinkStatus.ESTABLISHED:
            continue
        other = chosen.setdefault((log.channel, log.channel_id), log)
        if other is not log:
            remarks.append(f"{log.name} was opened again: the time with most messages is played")
            if len(log.server) > len(other.server):
                chosen[log.channel, log.channel_id] = log
    return replace(session, channels=list(chosen.values())), remarks


def _without_lost(part: Part, rehearsal: Rehearsal) -> Part:
    reasons: dict[str, list[int]] = {}
    for (channel_id, row), reason in rehearsal.lost.items():
        if channel_id == part.channel_id:
            reasons.setdefault(reason, []).append(row)
    for reason, rows in reasons.items():
        part = part.without(np.isin(part.row, rows), reason)
    return part


def _offered(part: Part) -> list[Key]:
    """Return the channels that all CHANNELS_LIST of a main channel name; of unknown types none."""
    out: list[Key] = []
    for line in np.flatnonzero(part.type == ServerMain.CHANNELS_LIST).tolist():
        parsed = registry.parse_message(
            ChannelType.MAIN, Side.SERVER, ServerMain.CHANNELS_LIST, part.body(line)
        ).message
        if isinstance(parsed, main.ChannelsList):
            known = ChannelType.__members__.values()
            out += [(ChannelType(c.type), c.id) for c in parsed.channels if c.type in known]
    return out


def _left_out(parts: dict[Key, Part]) -> list[str]:
    return [
        f"{part.name}: left out {phrase}" for part in parts.values() if (phrase := in_words(part.left_out))
    ]
