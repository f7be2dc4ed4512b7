"""How a recorded session begins: whether a client could start with it, and what stands in where it could not.

Source: spice-wire.md 5.2 (order of a start), 7.7 (start of a display connection), 5.3 (multimedia clock).
"""

from __future__ import annotations

import struct
from typing import Final

import numpy as np

from spicereplay.protocol.enums import (
    ChannelType,
    MouseMode,
    ServerCommon,
    ServerCursor,
    ServerDisplay,
    ServerMain,
    ServerPlayback,
    Side,
    SurfaceFlags,
    SurfaceFormat,
)
from spicereplay.protocol.messages import main
from spicereplay.protocol.messages.display import Mark, SurfaceCreate
from spicereplay.protocol.wire import build
from spicereplay.serve.part import OwnLine, Part
from spicereplay.session.log import ChannelLog, SessionLog
from spicereplay.units import MIB, NS_PER_MS

LATENCY_MS: Final = 400
"""What the client's multimedia clock is behind the server's. Source: spice server/reds.cpp, MM_TIME_DELTA."""
RAM_HINT: Final = 128 * MIB
"""Guest video memory in a MAIN_INIT that was not recorded: with it spice-gtk takes its widest GLZ window."""
PRIMARY: Final = 0
_CREATES: Final = (ServerDisplay.SURFACE_CREATE, ServerDisplay.MODE, ServerDisplay.GL_SCANOUT_UNIX)
_FIRST_DRAW: Final = ServerDisplay.DRAW_FILL
_LAST_DRAW: Final = ServerDisplay.DRAW_ALPHA_BLEND
_SHOWN: Final = (ServerDisplay.STREAM_DATA, ServerDisplay.STREAM_DATA_SIZED, ServerDisplay.DRAW_COMPOSITE)
_U32: Final = np.dtype([("value", "<u4")])


def missing_beginning(session: SessionLog) -> list[str]:
    """Say what of a session's beginning a client would need and the recording lacks; nothing where it is whole."""
    mains = session.of(ChannelType.MAIN)
    lacks: list[str] = []
    if not mains:
        lacks.append("the main channel is not in it, or cannot be read")
    elif not len(mains[0].server.rows(ServerMain.INIT)):
        lacks.append("it begins after the main channel's INIT")
    elif not len(mains[0].server.rows(ServerMain.CHANNELS_LIST)):
        lacks.append("it has no CHANNELS_LIST")
    lacks += [
        f"it begins after {log.name} created its surface"
        for log in session.of(ChannelType.DISPLAY)
        if not display_begins(log)
    ]
    return lacks


def display_begins(log: ChannelLog) -> bool:
    """Whether a display's recording has the beginning: a surface is created, and nothing is missing before."""
    index = log.server
    whole = np.flatnonzero(~index.sub)
    kinds = index.type[whole]
    draws = (kinds >= _FIRST_DRAW) & (kinds <= _LAST_DRAW)
    draws |= np.isin(kinds, (*_SHOWN, ServerDisplay.COPY_BITS))
    creates = np.flatnonzero(np.isin(kinds, _CREATES))
    drawn = np.flatnonzero(draws)
    if not len(creates):
        return not len(drawn) and not any(gap.side is Side.SERVER for gap in log.gaps)
    first = int(index.position[whole[creates[0]]])
    before = any(gap.side is Side.SERVER and gap.position < first for gap in log.gaps)
    return not before and (not len(drawn) or int(drawn[0]) > int(creates[0]))


def lacks_messages(session: SessionLog) -> bool:
    """Whether messages of a display are missing anywhere: then not all that follows can be carried out."""
    for log in session.of(ChannelType.DISPLAY):
        whole = np.flatnonzero(~log.server.sub)
        if any(gap.side is Side.SERVER for gap in log.gaps) or log.server.partial[whole[:-1]].any():
            return True
    return False


def client_clock_ms(session: SessionLog, at_ns: int) -> int:
    """Return what the recorded client's multimedia clock showed at a capture time, in ms, modulo 2^32.

    From the last INIT or MULTI_MEDIA_TIME by then, else from the first time stamp of a frame or sound packet, which
    is the server's clock when it was made. Source: spice-wire.md 5.3.
    """
    for log in session.of(ChannelType.MAIN):
        index = log.server
        set_at = index.rows(ServerMain.INIT, ServerMain.MULTI_MEDIA_TIME)
        if len(set_at):
            n = max(0, int(np.searchsorted(index.time_ns[set_at], at_ns, "right")) - 1)
            row = int(set_at[n])
            at = 24 if index.type[row] == ServerMain.INIT else 0
            value = int.from_bytes(index.body(row)[at : at + 4], "little")
            return _later(value, at_ns - int(index.time_ns[row]))
    stamped = (
        (ChannelType.DISPLAY, (ServerDisplay.STREAM_DATA, ServerDisplay.STREAM_DATA_SIZED), 4),
        (ChannelType.PLAYBACK, (ServerPlayback.DATA,), 0),
    )
    for channel, kinds, at in stamped:
        for log in session.of(channel):
            rows = log.server.rows(*kinds)
            if len(rows):
                row = int(rows[0])
                value = int.from_bytes(log.server.body(row)[at : at + 4], "little")
                return _later(value - LATENCY_MS, at_ns - int(log.server.time_ns[row]))
    return LATENCY_MS


def _later(value_ms: int, by_ns: int) -> int:
    return (value_ms + by_ns // NS_PER_MS) % (1 << 32)


def with_synthetic_main(part: Part, session: SessionLog) -> Part:
    """Return the main channel's part with an INIT and a CHANNELS_LIST before everything else, where it lacks them."""
    lines: list[OwnLine] = []
    begun = bool((part.type == ServerMain.INIT).any())
    if not begun:
        moved = any(len(log.server.rows(ServerCursor.MOVE)) for log in session.of(ChannelType.CURSOR))
        mode = MouseMode.SERVER if moved else MouseMode.CLIENT
        init = main.Init(
            session_id=session.session_id or 0,
            display_channels_hint=len(session.of(ChannelType.DISPLAY)),
            supported_mouse_modes=MouseMode.SERVER | MouseMode.CLIENT,
            current_mouse_mode=mode,
            agent_connected=0,
            agent_tokens=0,
            multi_media_time=client_clock_ms(session, session.start_time_ns),
            ram_hint=RAM_HINT,
        )
        lines.append(OwnLine(ServerMain.INIT, build(init)))
    at = int(np.flatnonzero(part.type == ServerMain.INIT)[0]) + 1 if begun else 0
    # A list in a recording that begins later has only what came to be offered later.
    if not (begun and (part.type == ServerMain.CHANNELS_LIST).any()):
        there = dict.fromkeys(
            (log.channel, log.channel_id) for log in session.channels if log.channel is not ChannelType.MAIN
        )
        listed = tuple(main.ChannelId(type=kind, id=channel_id) for kind, channel_id in there)
        lines.append(OwnLine(ServerMain.CHANNELS_LIST, build(main.ChannelsList(channels=listed))))
    return part.inserted(at, lines)


def with_synthetic_surfaces(part: Part, surfaces: dict[int, tuple[int, int]]) -> Part:
    """Return a display's part with SURFACE_CREATE of these, and MARK, before its first message that is no SET_ACK.

    What they showed before the recording began is not known; a client begins with black.
    """
    lines = []
    for number, (width, height) in sorted(surfaces.items()):
        create = SurfaceCreate(
            surface_id=number,
            width=width,
            height=height,
            format=SurfaceFormat.FMT_32_xRGB,
            flags=SurfaceFlags.PRIMARY if number == PRIMARY else 0,
        )
        lines.append(OwnLine(ServerDisplay.SURFACE_CREATE, build(create)))
    if PRIMARY in surfaces:
        lines.append(OwnLine(ServerDisplay.MARK, build(Mark())))
    others = np.flatnonzero(part.type != ServerCommon.SET_ACK)
    return part.inserted(int(others[0]) if len(others) else len(part), lines)


def session_id_set(body: bytes, session_id: int) -> bytes:
    """Return a MAIN_INIT with another session id."""
    return struct.pack("<I", session_id) + body[4:]
