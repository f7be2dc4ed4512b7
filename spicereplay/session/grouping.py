"""Which channels belong to one client's session.

Every channel but main carries the session id of MAIN_INIT in its link message. Where that was not seen, channels
between the same two hosts whose times overlap are taken for one session. Source: spice-wire.md 2.8.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Final

import numpy as np

from spicereplay.protocol import registry
from spicereplay.protocol.enums import (
    ChannelType,
    ClientDisplay,
    ImageType,
    ServerCommon,
    ServerDisplay,
    ServerMain,
    Side,
)
from spicereplay.protocol.framing import FULL_HEADER_BYTES, MINI_HEADER_BYTES
from spicereplay.protocol.link import LinkStatus
from spicereplay.session.log import ChannelLog, SessionLog

_FOREVER: Final = int(np.iinfo(np.int64).max)
_LOOKED_AT: Final = 400
"""Images looked at to tell how they are compressed."""
_MOST_CHANGES: Final = 8
_FAMILY: Final = {
    ImageType.LZ4: "lz4",
    ImageType.LZ_RGB: "lz",
    ImageType.GLZ_RGB: "lz",
    ImageType.ZLIB_GLZ_RGB: "lz",
}


def host(address: str) -> str:
    """Return the host part of `host:port`."""
    return address.rpartition(":")[0]


def session_id(log: ChannelLog) -> int | None:
    """Return the session id that a channel shows: MAIN_INIT's, or the one in its link message."""
    if log.channel is ChannelType.MAIN:
        rows = log.server.rows(ServerMain.INIT)
        if len(rows):
            return int.from_bytes(log.server.body(int(rows[0]))[:4], "little")
    if log.link is not None and log.link.connection_id:
        return log.link.connection_id
    return None


def group(logs: Iterable[ChannelLog]) -> list[SessionLog]:
    """Gather channels into sessions, numbered in order of their start."""
    by_id: dict[tuple[str, int], list[ChannelLog]] = {}
    loose: list[ChannelLog] = []
    for log in logs:
        sid = session_id(log)
        if sid is None:
            loose.append(log)
        else:
            by_id.setdefault((host(log.server_address), sid), []).append(log)
    sessions = [_session(members, sid) for (_, sid), members in by_id.items()]
    for log in sorted(loose, key=lambda c: c.start_time_ns):
        home = None if _refused(log) else _overlapping(log, sessions)
        if home is None:
            sessions.append(_session([log], None))
        else:
            home.channels.append(log)
            home.start_time_ns = min(home.start_time_ns, log.start_time_ns)
            home.end_time_ns = max(home.end_time_ns, log.end_time_ns)
    sessions.sort(key=lambda s: s.start_time_ns)
    for number, session in enumerate(sessions):
        session.number = number
        _number_assumed_channels(session)
        session.channels.sort(key=lambda c: (c.start_time_ns, c.channel, c.channel_id))
    return sessions


def group_as_one(number: int, logs: list[ChannelLog]) -> SessionLog:
    """Gather channels that are known to belong to one session."""
    session = _session(logs, next((sid for log in logs if (sid := session_id(log)) is not None), None))
    session.number = number
    session.channels.sort(key=lambda c: (c.start_time_ns, c.channel, c.channel_id))
    return session


def _session(members: list[ChannelLog], sid: int | None) -> SessionLog:
    return SessionLog(
        number=0,
        session_id=sid,
        channels=members,
        start_time_ns=min(c.start_time_ns for c in members),
        end_time_ns=max(c.end_time_ns for c in members),
    )


def _refused(log: ChannelLog) -> bool:
    """Whether a main channel was turned away; such a one never became part of a session."""
    link = log.link
    return log.channel is ChannelType.MAIN and link is not None and link.status is not LinkStatus.ESTABLISHED


def _overlapping(log: ChannelLog, sessions: list[SessionLog]) -> SessionLog | None:
    """Return the session between the same hosts that goes on at the same time; of several, the latest begun.

    A session has one main channel, so that a second one belongs to another session.
    """
    hosts = (host(log.server_address), host(log.client_address))
    fitting = [
        session
        for session in sessions
        if any((host(c.server_address), host(c.client_address)) == hosts for c in session.channels)
        and log.start_time_ns <= session.end_time_ns
        and session.start_time_ns <= log.end_time_ns
        and not (log.channel is ChannelType.MAIN and session.of(ChannelType.MAIN))
    ]
    begun = [session for session in fitting if session.start_time_ns <= log.start_time_ns]
    return max(begun or fitting, key=lambda session: session.start_time_ns, default=None)


def _number_assumed_channels(session: SessionLog) -> None:
    """Give channels whose id is not known the lowest free one of their type."""

    def known(log: ChannelLog) -> bool:
        return log.link is not None and log.link.channel_id is not None

    taken = {(c.channel, c.channel_id) for c in session.channels if known(c)}
    unknown = [log for log in session.channels if not known(log)]
    for log in sorted(unknown, key=lambda c: c.start_time_ns):
        while (log.channel, log.channel_id) in taken:
            log.channel_id += 1
        taken.add((log.channel, log.channel_id))


def split_reconnects(logs: list[ChannelLog]) -> list[list[ChannelLog]]:
    """Cut channels that hold several connections one after the other, as a `--capture` directory may.

    A second MAIN_INIT marks a new connection; where main was not recorded, a second display INIT of the client.
    Nothing of a connection comes before its first MAIN_INIT but the link stage. Source: ryll-formats.md 11.3 (3).
    """
    cuts = _restart_times(logs)
    if not cuts:
        return [logs]
    edges = [-_FOREVER, *cuts, _FOREVER]
    return [
        [part for log in logs if (part := _between(log, start, stop)) is not None]
        for start, stop in pairwise(edges)
    ]


def _restart_times(logs: list[ChannelLog]) -> list[int]:
    for channel, side, kind in (
        (ChannelType.MAIN, Side.SERVER, ServerMain.INIT),
        (ChannelType.DISPLAY, Side.CLIENT, ClientDisplay.INIT),
    ):
        for log in logs:
            if log.channel is channel:
                index = log.index(side)
                times = index.time_ns[index.rows(kind)]
                if len(times):
                    return [int(t) for t in times[1:]]
    return []


def _between(log: ChannelLog, start_ns: int, stop_ns: int) -> ChannelLog | None:
    server, client = log.server.between(start_ns, stop_ns), log.client.between(start_ns, stop_ns)
    times = [int(i.time_ns[k]) for i in (server, client) if len(i) for k in (0, -1)]
    if not times:
        return None
    header_bytes = MINI_HEADER_BYTES if log.mini_header else FULL_HEADER_BYTES
    first = not any(len(i.between(-_FOREVER, start_ns)) for i in (log.server, log.client))
    return ChannelLog(
        channel=log.channel,
        channel_id=log.channel_id,
        link=log.link,
        mini_header=log.mini_header,
        server=server,
        client=client,
        start_time_ns=min(times),
        end_time_ns=max(times),
        server_address=log.server_address,
        client_address=log.client_address,
        gaps=[g for g in log.gaps if start_ns <= g.time_ns < stop_ns],
        bytes_from={
            side: int(index.size[~index.sub].sum(dtype=np.int64)) + header_bytes * int((~index.sub).sum())
            for side, index in ((Side.SERVER, server), (Side.CLIENT, client))
        },
        unparsed_bytes=log.unparsed_bytes if first else 0,
        assumptions=[
            *log.assumptions,
            "several connections follow each other in one recording; cut where the server's INIT repeats",
        ],
    )


def repeated_beginnings(log: ChannelLog) -> list[str]:
    """Return which messages that open a display channel appear in `log` more often than one channel can."""
    found = []
    inits = len(log.client.rows(ClientDisplay.INIT))
    if inits > 1:
        found.append(f"{inits} INIT messages of the client")
    set_acks = len(log.server.rows(ServerCommon.SET_ACK))
    if set_acks > 1:
        found.append(f"{set_acks} SET_ACK trains")
    live: set[int] = set()
    repeated: set[int] = set()
    for row in log.server.rows(ServerDisplay.SURFACE_CREATE, ServerDisplay.SURFACE_DESTROY).tolist():
        surface = int.from_bytes(log.server.body(row)[:4], "little")
        if int(log.server.type[row]) == ServerDisplay.SURFACE_DESTROY:
            live.discard(surface)
        elif surface in live:
            repeated.add(surface)
        else:
            live.add(surface)
    if repeated:
        found.append(
            f"SURFACE_CREATE of surface {', '.join(map(str, sorted(repeated)[:4]))} while it was live"
        )
    return found


def alternating_compression(log: ChannelLog) -> list[str]:
    """Return whether images alternate between LZ4 and the LZ family, which one channel never does.

    A server codes the images of a client with one of them; only PREFERRED_COMPRESSION changes that, once. Source:
    server-heuristics.md A11.
    """
    rows = log.server.rows(ServerDisplay.DRAW_COPY)
    rows = rows[:: max(1, len(rows) // _LOOKED_AT)]
    families = []
    for row in rows.tolist():
        parsed = registry.parse_message(
            log.channel, Side.SERVER, ServerDisplay.DRAW_COPY, log.server.body(row)
        )
        image = getattr(parsed.message, "src_bitmap", None)
        if image is not None and image.descriptor.type in _FAMILY:
            families.append(_FAMILY[image.descriptor.type])
    changes = sum(a != b for a, b in pairwise(families))
    preferences = len(log.client.rows(ClientDisplay.PREFERRED_COMPRESSION))
    if changes < _MOST_CHANGES + 2 * preferences:
        return []
    return [f"images change {changes} times between LZ4 and LZ or GLZ among {len(families)} looked at"]
