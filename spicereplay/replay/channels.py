"""From one TCP connection to the channel it carried."""

from __future__ import annotations

from dataclasses import dataclass, replace

from spicereplay.bytestream import ByteStream
from spicereplay.capture.connection import Connection
from spicereplay.defects import DefectLog
from spicereplay.limits import Limits
from spicereplay.protocol.channel import Assumption, ChannelEngine
from spicereplay.protocol.enums import ChannelType, Side
from spicereplay.protocol.framing import Framer, nothing
from spicereplay.protocol.index import Release
from spicereplay.protocol.link import LinkStatus
from spicereplay.replay import identify
from spicereplay.replay.inference import infer
from spicereplay.session.log import ChannelLog, Gap, GapCause
from spicereplay.transport import http_connect, websocket
from spicereplay.transport.tls.handshake import client_random
from spicereplay.transport.tls.keylog import NO_KEYS, KeyLog


@dataclass(frozen=True, slots=True)
class Watched:
    """A connection that was read as SPICE, and the engine that read it."""

    log: ChannelLog
    engine: ChannelEngine
    connection: Connection
    client: int
    """Index of the endpoint that is the client."""


def watch(
    connection: Connection,
    limits: Limits,
    defects: DefectLog,
    *,
    assumed: tuple[int, Assumption] | None = None,
    keys: KeyLog = NO_KEYS,
    release: Release | None = None,
) -> Watched | identify.OtherConnection:
    """Read one connection: the channel it carried, or what it looks like instead.

    `assumed` (client's index and assumption) is for recordings whose container says what each connection is. A
    connection under TLS is opened with `keys` and then like any other; which it cannot, it is listed with the
    reason. `release` is told which part of the capture file was read through.
    """
    if assumed is not None:
        return _watch(connection, limits, defects, assumed, release)
    target, connection = _behind_proxy(connection)
    found = _opened(connection, limits, defects, keys, release)
    if target is not None and isinstance(found, Watched):
        found.log.assumptions.insert(0, f"through an HTTP proxy, which was asked for {target}")
    return found


def client_random_of(connection: Connection, limits: Limits) -> bytes | None:
    """Return what a connection's secrets are found by; None where it is no TLS, or its ClientHello is not there."""
    streams = _behind_proxy(connection)[1].streams
    kind, _, client = identify.recognise([s.read(0, identify.LOOK_BYTES) for s in streams])
    if kind != "tls":
        return None
    random = client_random(streams[client or 0], limits)
    return random if isinstance(random, bytes) else None


def _behind_proxy(connection: Connection) -> tuple[str | None, Connection]:
    """Return what a proxy was asked for, and the connection without that; None and the connection as it is."""
    streams = connection.streams
    for client in (0, 1):
        found = http_connect.tunnel(streams[client], streams[1 - client])
        if found is not None:
            pair = (found.client, found.server) if client == 0 else (found.server, found.client)
            return found.target, replace(connection, streams=pair)
    return None, connection


def _opened(
    connection: Connection, limits: Limits, defects: DefectLog, keys: KeyLog, release: Release | None
) -> Watched | identify.OtherConnection:
    """Read a connection that may be under TLS."""
    heads = [s.read(0, identify.LOOK_BYTES) for s in connection.streams]
    if identify.recognise(heads)[0] != "tls":
        return _watch(connection, limits, defects, None, release)
    if not keys:
        return identify.other(connection)
    # The cryptography library is loaded when there is something to open with it.
    from spicereplay.transport.tls.opening import Sealed, open_connection

    client = identify.recognise(heads)[2] or 0
    ends = connection.endpoints[client], connection.endpoints[1 - client]
    sides = connection.streams[client], connection.streams[1 - client]
    opened = open_connection(*sides, keys, limits=limits, defects=defects, where=f"{ends[0]} → {ends[1]}")
    if isinstance(opened, Sealed):
        return replace(identify.other(connection), detail=opened.reason)
    streams = (opened.client, opened.server) if client == 0 else (opened.server, opened.client)
    # What was opened lies in memory: there is no file to let go of.
    found = _watch(replace(connection, streams=streams), limits, defects, None, None)
    if isinstance(found, Watched):
        found.log.assumptions.insert(0, f"carried in {opened.version} ({opened.suite}), opened with its keys")
        return found
    return replace(found, detail=f"{found.detail} (inside {opened.version})")


def _watch(
    connection: Connection,
    limits: Limits,
    defects: DefectLog,
    assumed: tuple[int, Assumption] | None,
    release: Release | None,
) -> Watched | identify.OtherConnection:
    streams = connection.streams
    unwrapped: list[str] = []
    if assumed is None:
        client = identify.http_client(connection)
        if client is not None:
            why = websocket.obstacle(streams[1 - client])
            if why is not None:
                return replace(identify.other(connection), what="websocket", detail=why)
            pair = websocket.unwrap(streams[client], streams[1 - client], defects, str(connection))
            streams = pair if client == 0 else (pair[1], pair[0])
            unwrapped = ["carried in WebSocket frames"]
        client = identify.spice_client_of(streams)
        if client is None:
            if _is_something_else(streams):
                return _other(connection, streams, unwrapped)
            # Frame headers are few among the bytes: plain inference would read over them and call them damage.
            within = _within_frames(streams, limits, defects, str(connection))
            if within is not None:
                streams, client, assumed = within
                unwrapped = ["carried in WebSocket frames, whose beginning is not captured"]
            else:
                assumed = infer(streams, limits)
            if client is None and assumed is None:
                return _other(connection, streams, unwrapped)
    if assumed is not None:
        client = assumed[0]
    assert client is not None
    absent = [identify.empty_stream(s) for s in streams]
    guess = infer(streams, limits) if assumed is None and absent[client] else None
    own = DefectLog(limits.defects_per_kind)
    engine = _run(connection, streams, client, assumed, guess, limits, own, release)
    if assumed is None and _link_in_hole(engine, streams) and (assumed := infer(streams, limits)) is not None:
        client = assumed[0]
        own = DefectLog(limits.defects_per_kind)
        engine = _run(connection, streams, client, assumed, None, limits, own, release)
    log = _log(connection, streams, client, engine)
    # Sub-messages are looked at when the index is made: only now is everything noted.
    defects.extend(own)
    if log is None:
        return _other(connection, streams, unwrapped, client)
    if guess is not None:
        log.assumptions.append(
            f"{log.channel.label} channel inferred: the link message that names it is not captured"
        )
    log.assumptions[:0] = unwrapped
    by_side = {Side.CLIENT: client, Side.SERVER: 1 - client}
    log.unseen = frozenset(side for side, i in by_side.items() if absent[i])
    if log.unseen and log.closed_by != "both":
        log.closed_by = None  # The side that is not there may have come first.
    for side, i in by_side.items():
        if side in log.unseen:
            sealed = connection.facts[i].payload_bytes > 0
            log.assumptions.append(
                f"nothing the {side} sent {'could be read' if sealed else 'is in the capture'}"
            )
    defects.extend(connection.defects)
    return Watched(log, engine, connection, client)


def _other(
    connection: Connection,
    streams: tuple[ByteStream, ByteStream],
    unwrapped: list[str],
    client: int | None = None,
) -> identify.OtherConnection:
    """Name what a connection looks like instead of a channel that can be read; `streams` lie within its frames."""
    outer = identify.other(connection, client)
    if not unwrapped:
        return outer
    what, detail, _ = identify.recognise([s.read(0, identify.LOOK_BYTES) for s in streams])
    if what in ("unknown", "empty"):
        return replace(outer, what="websocket", detail=detail)
    return replace(outer, what=what, detail=f"{detail} (inside WebSocket)")


def _within_frames(
    streams: tuple[ByteStream, ByteStream], limits: Limits, defects: DefectLog, where: str
) -> tuple[tuple[ByteStream, ByteStream], int | None, tuple[int, Assumption] | None] | None:
    """Look for SPICE within WebSocket frames whose handshake is not captured.

    Returns the payloads, and either the client that a link stage names or what is assumed; None: there is no SPICE.
    """
    for i in (0, 1):
        begin = websocket.frames_begin(streams[i], streams[1 - i])
        if begin is None:
            continue
        own = DefectLog(limits.defects_per_kind)
        pair = websocket.unwrap(streams[i], streams[1 - i], own, where, begin)
        payloads = pair if i == 0 else (pair[1], pair[0])
        client = identify.spice_client_of(payloads)
        assumed = infer(payloads, limits) if client is None else None
        if client is not None or assumed is not None:
            defects.extend(own)
            return payloads, client, assumed
    return None


def _run(
    connection: Connection,
    streams: tuple[ByteStream, ByteStream],
    client: int,
    assumed: tuple[int, Assumption] | None,
    guess: tuple[int, Assumption] | None,
    limits: Limits,
    defects: DefectLog,
    release: Release | None,
) -> ChannelEngine:
    engine = ChannelEngine(
        where=_where(connection, client, assumed),
        assumed=assumed[1] if assumed else None,
        fallback=guess[1].channel if guess else None,
        limits=limits,
        defects=defects,
        release=release,
    )
    for side, stream in ((Side.CLIENT, streams[client]), (Side.SERVER, streams[1 - client])):
        engine.feed(side, None if identify.empty_stream(stream) else stream)
    return engine


def _link_in_hole(engine: ChannelEngine, streams: tuple[ByteStream, ByteStream]) -> bool:
    """Whether the link stage cannot be read and bytes of it are missing, so that the messages may still be."""
    link = engine.link
    if link is None or link.status not in (LinkStatus.INCOMPLETE, LinkStatus.MALFORMED):
        return False
    return any(at < identify.LINK_LOOK_BYTES for stream in streams for at, _, _ in stream.gaps())


def _is_something_else(streams: tuple[ByteStream, ByteStream]) -> bool:
    """Whether the first bytes belong to a protocol that is known and is not SPICE."""
    heads = [s.read(0, identify.LOOK_BYTES) for s in streams]
    return identify.recognise(heads)[0] != "unknown"


def _where(connection: Connection, client: int, assumed: tuple[int, Assumption] | None) -> str:
    if assumed is not None and connection.label:
        return connection.label
    return f"{connection.endpoints[client]} → {connection.endpoints[1 - client]}"


def _log(
    connection: Connection, streams: tuple[ByteStream, ByteStream], client: int, engine: ChannelEngine
) -> ChannelLog | None:
    """Gather what the engine found."""
    link, assumed = engine.link, engine.assumed
    if assumed is not None:
        channel, channel_id, mini = assumed.channel, assumed.channel_id, assumed.mini_header
    elif link is not None and (link.channel is None or isinstance(link.channel, ChannelType)):
        framer = engine.framer(Side.SERVER)
        kind = link.channel if link.channel is not None else framer.channel if framer is not None else None
        if kind is None:
            return None
        channel, channel_id, mini = kind, link.channel_id or 0, link.mini_header
    else:
        return None
    by_side = {Side.CLIENT: client, Side.SERVER: 1 - client}
    indexes = {side: engine.index(side) or nothing(channel, side) for side in Side}
    log = ChannelLog(
        channel=channel,
        channel_id=channel_id,
        link=link if link is not None and link.status is not LinkStatus.MALFORMED else None,
        mini_header=mini,
        server=indexes[Side.SERVER],
        client=indexes[Side.CLIENT],
        start_time_ns=connection.first_time_ns,
        end_time_ns=connection.last_time_ns,
        server_address=str(connection.endpoints[1 - client]),
        client_address=str(connection.endpoints[client]),
        facts={side: connection.facts[i] for side, i in by_side.items()},
        bytes_from={side: streams[i].captured_bytes for side, i in by_side.items()},
        closed_time_ns=connection.closed_time_ns,
    )
    closers = [side for side, i in by_side.items() if connection.closed[i] is not None]
    log.closed_by = str(closers[0]) if len(closers) == 1 else ("both" if closers else None)
    for side, i in by_side.items():
        framer = engine.framer(side)
        log.gaps += gaps_of(streams[i], side, framer)
        log.unparsed_bytes += framer.unparsed_bytes if framer is not None else 0
    if assumed is not None:
        log.assumptions.append(assumed.reason)
    return log


def gaps_of(stream: ByteStream, side: Side, framer: Framer | None) -> list[Gap]:
    """Return the holes of one direction."""
    gaps = [Gap(side, time_ns, at, length, GapCause.NOT_CAPTURED) for at, length, time_ns in stream.gaps()]
    if framer is not None:
        gaps += [Gap(side, h.time_ns, h.position, h.length, GapCause.SILENT) for h in framer.holes]
    return gaps
