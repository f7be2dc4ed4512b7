"""What a connection is, told from the first bytes each side sent."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from spicereplay.bytestream import ByteStream, DirectionFacts
from spicereplay.capture.connection import Connection
from spicereplay.protocol.link import HEADER_BYTES, LINK_REPLY_BYTES, MAGIC
from spicereplay.transport.tls.records import records_begin
from spicereplay.transport.websocket import is_websocket

LOOK_BYTES: Final = 64
LINK_LOOK_BYTES: Final = 4096
"""Where the link stage of either side lies: link messages have some 200 bytes, the ticket 128."""
NO_KEYS_GIVEN: Final = "no keys given"
BEGAN_BEFORE: Final = "it began before the capture, and only a ClientHello tells which keys are its own"
_HANDSHAKE: Final = 22
"""Content type of the TLS record that a connection begins with."""


@dataclass(frozen=True, slots=True)
class OtherConnection:
    """A connection in the capture that is not (readable) SPICE."""

    client: str
    server: str
    port: int
    what: str
    """`spice` (which channel cannot be told), `tls`, `vnc`, `http`, `ssh`, `rdp`, `websocket`, `empty` or `unknown`."""
    detail: str
    bytes_from_client: int
    bytes_from_server: int
    start_time_ns: int
    end_time_ns: int
    from_client: DirectionFacts = field(default_factory=DirectionFacts)
    """What the TCP headers say, which no encryption hides."""
    from_server: DirectionFacts = field(default_factory=DirectionFacts)


def spice_client_of(streams: tuple[ByteStream, ByteStream]) -> int | None:
    """Return which side is the client where the streams show a SPICE link stage; None: they show none.

    Source: spice-wire.md 2.8: the client's link message is 18 + 4n bytes, the server's reply 178 or more.
    """
    heads = [stream.read(0, HEADER_BYTES + LINK_REPLY_BYTES) for stream in streams]
    linked = [head.startswith(MAGIC) and len(head) >= HEADER_BYTES for head in heads]
    replies = [linked[i] and _is_reply(head) for i, head in enumerate(heads)]
    if replies[0] != replies[1]:
        return replies.index(False)
    return linked.index(True) if any(linked) else None


def _is_reply(head: bytes) -> bool:
    """Whether a link stage begins with a server's reply, which says where its capability words begin.

    A client's link message of that size has something else there. An error reply has zero bytes from there on.
    """
    size, error, caps_offset = (
        int.from_bytes(head[at : at + 4], "little") for at in (12, HEADER_BYTES, HEADER_BYTES + 174)
    )
    return size >= LINK_REPLY_BYTES and (
        LINK_REPLY_BYTES <= caps_offset <= size or (0 < error < 256 and size == LINK_REPLY_BYTES)
    )


def http_client(connection: Connection) -> int | None:
    """Return which endpoint is the client of a WebSocket connection; None: it is none."""
    for i in (0, 1):
        if is_websocket(connection.streams[i], connection.streams[1 - i]):
            return i
    return None


def other(connection: Connection, client: int | None = None) -> OtherConnection:
    """Name what a connection without SPICE looks like; `client` is the client's index where that is known."""
    heads = [stream.read(0, LOOK_BYTES) for stream in connection.streams]
    what, detail, found = recognise(heads)
    client = found if client is None else client
    if what == "unknown" and any(records_begin(stream) is not None for stream in connection.streams):
        what, detail = "tls", BEGAN_BEFORE
    if client is None:
        client = 0 if connection.opener_seen else _lower_port_is_server(connection)
    return OtherConnection(
        client=str(connection.endpoints[client]),
        server=str(connection.endpoints[1 - client]),
        port=connection.endpoints[1 - client].port,
        what=what,
        detail=detail,
        bytes_from_client=connection.streams[client].captured_bytes,
        bytes_from_server=connection.streams[1 - client].captured_bytes,
        start_time_ns=connection.first_time_ns,
        end_time_ns=connection.last_time_ns,
        from_client=connection.facts[client],
        from_server=connection.facts[1 - client],
    )


def _lower_port_is_server(connection: Connection) -> int:
    a, b = (endpoint.port for endpoint in connection.endpoints)
    return 0 if a > b else 1


def recognise(heads: list[bytes]) -> tuple[str, str, int | None]:
    """Return what the first bytes of both sides look like, a detail, and the client's index where they tell."""
    if not any(heads):
        return "empty", "no payload", None
    for i, head in enumerate(heads):
        if is_tls_record(head):
            hello = head[5] if len(head) > 5 else 0
            client = {1: i, 2: 1 - i}.get(hello) if head[0] == _HANDSHAKE else None
            return "tls", NO_KEYS_GIVEN if head[0] == _HANDSHAKE else BEGAN_BEFORE, client
        if head.startswith(MAGIC):
            return "spice", "what channel it is cannot be told", None
        if head.startswith(b"RFB "):
            return "vnc", head[4:11].decode("ascii", "replace"), None
        if head.startswith(b"SSH-"):
            return "ssh", head.split(b"\r")[0][:40].decode("ascii", "replace"), None
        if head.split(b" ")[0] in (b"GET", b"POST", b"HEAD", b"PUT", b"OPTIONS", b"CONNECT"):
            # What follows a question mark may be a password or a token.
            return "http", re.split(rb"[\r?]", head)[0][:40].decode("ascii", "replace"), i
        if head.startswith(b"HTTP/1."):
            return "http", head.split(b"\r")[0][:40].decode("ascii", "replace"), 1 - i
        if head[:2] == b"\x03\x00" and head[5:6] in (b"\xe0", b"\xd0"):
            return "rdp", "", i if head[5] == 0xE0 else 1 - i
    first = next(head for head in heads if head)
    return "unknown", f"begins with {first[:8].hex(' ')}", None


def is_tls_record(head: bytes) -> bool:
    """Whether `head` begins with the header of a TLS record. Source: RFC 8446 section 5.1."""
    return (
        len(head) >= 5
        and head[0] in (20, 21, 22, 23)
        and head[1] == 3
        and head[2] <= 4
        and 0 < int.from_bytes(head[3:5], "big") <= 16384 + 2048
    )


def looks_like(what: str) -> str:
    """Return how a person writes `OtherConnection.what`."""
    match what:
        case "websocket":
            return "WebSocket"
        case "empty":
            return "nothing"
        case "unknown":
            return "no known protocol"
        case _:
            return what.upper()


def summary(connections: Iterable[OtherConnection]) -> str:
    """Say in one phrase what was there instead of SPICE: `3 flows on port 5900 look like VNC`."""
    counts = Counter(
        (c.what, c.port, c.detail if c.what in ("tls", "websocket") else "") for c in connections
    )
    phrases = []
    for (what, port, detail), n in counts.most_common(4):
        flows = f"{n} flow{'s' if n != 1 else ''} on port {port}"
        match what:
            case "tls":
                phrases.append(f"{'TLS' if n == 1 else f'{n} TLS flows'} on port {port}: {detail}")
            case "websocket":
                phrases.append(
                    f"{'WebSocket' if n == 1 else f'{n} WebSocket flows'} on port {port}: {detail}"
                )
            case "spice":
                phrases.append(
                    f"{flows} {'begins' if n == 1 else 'begin'} like SPICE, of channels that cannot be told"
                )
            case "empty":
                phrases.append(f"{flows} without payload")
            case "unknown":
                phrases.append(f"{flows} of no known protocol")
            case _:
                phrases.append(f"{flows} {'looks' if n == 1 else 'look'} like {looks_like(what)}")
    if len(counts) > 4:
        phrases.append(f"and {sum(counts.values()) - sum(n for _, n in counts.most_common(4))} more")
    return "; ".join(phrases)


def empty_stream(like: ByteStream) -> bool:
    """Whether a direction is not in the capture at all."""
    return len(like.position) == 0
