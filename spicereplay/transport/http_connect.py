"""What a proxy exchange leaves at the head of a connection: `CONNECT host:port`, answered with 200.

Behind it both streams are those of the tunnelled connection: SPICE, TLS or WebSocket. A proxy that wants to know who
asks answers 407 first, and the client asks again. Source: RFC 9110 section 9.3.6.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final

from spicereplay.bytestream import ByteStream

HEAD_BYTES: Final = 16 * 1024
"""Longest head of a request or an answer."""
BODY_BYTES: Final = 1024 * 1024
"""Longest page that a proxy sends with a refusal."""
ATTEMPTS: Final = 5
"""Refusals and new requests on one connection."""

_REQUEST: Final = re.compile(rb"CONNECT +(\S{1,300}) +HTTP/1\.[01]\r\n")
_ANSWER: Final = re.compile(rb"HTTP/1\.[01] +(\d{3})[^\r\n]*\r\n")
_CHUNKED: Final = re.compile(rb"\r\ntransfer-encoding:[^\r\n]*chunked[ \t]*\r\n", re.IGNORECASE)
_CHUNK: Final = re.compile(rb"([0-9a-fA-F]{1,6})[ \t]*(?:;[^\r\n]*)?\r\n")
_LENGTH: Final = re.compile(rb"\r\ncontent-length:[ \t]*(\d{1,9})[ \t]*\r\n", re.IGNORECASE)


@dataclass(frozen=True, slots=True, eq=False)
class Tunnel:
    """A connection through a proxy, without what was said to the proxy."""

    client: ByteStream
    server: ByteStream
    target: str
    """Where the client wanted to be connected to, `host:port`."""


def tunnel(client: ByteStream, server: ByteStream) -> Tunnel | None:
    """Return what two streams carry behind a CONNECT that was granted; None where there is none.

    A side without any bytes in the capture says nothing; the other one alone is enough.
    """
    asked = answered = 0
    for _ in range(ATTEMPTS):
        request = _head(client, asked)
        match = _REQUEST.match(request) if request is not None else None
        if request is None or match is None:
            return None
        asked += len(request)
        if not len(server.position):
            return Tunnel(_after(client, asked), server, _text(match[1]))
        answer = _head(server, answered)
        status = _ANSWER.match(answer) if answer is not None else None
        if answer is None or status is None:
            return None
        answered += len(answer)
        if status[1].startswith(b"2"):
            return Tunnel(_after(client, asked), _after(server, answered), _text(match[1]))
        answered += _body_bytes(answer, server, answered)
    return None


def _body_bytes(head: bytes, stream: ByteStream, start: int) -> int:
    """Return the length of the body that follows `head`. Source: RFC 9112 sections 6.3 and 7.1."""
    if not _CHUNKED.search(head):
        length = _LENGTH.search(head)
        return min(int(length[1]) if length else 0, BODY_BYTES)
    data, at = stream.read(start, start + BODY_BYTES), 0
    while (chunk := _CHUNK.match(data, at)) is not None and int(chunk[1], 16):
        at = chunk.end() + int(chunk[1], 16) + len(b"\r\n")
    end = data.find(b"\r\n\r\n", at)  # behind the last chunk, and trailers if there are any
    return 0 if chunk is None or end < 0 else end + 4


def _head(stream: ByteStream, start: int) -> bytes | None:
    """Return the head that begins at `start`, its empty line included."""
    data = stream.read(start, start + HEAD_BYTES)
    end = data.find(b"\r\n\r\n")
    return None if end < 0 else data[: end + 4]


def _text(target: bytes) -> str:
    return target.decode("ascii", "replace")


def _after(stream: ByteStream, start: int) -> ByteStream:
    """Return the stream from `start` on, counted from 0."""
    ends = stream.position + stream.length
    first = int(ends.searchsorted(start, "right"))
    position, offset, length = (a[first:].copy() for a in (stream.position, stream.offset, stream.length))
    position -= start
    if len(position) and position[0] < 0:
        skip = -int(position[0])
        position[0] = 0
        length[0] -= skip
        offset[0] += skip if offset[0] >= 0 else -skip
    return replace(
        stream,
        position=position,
        offset=offset,
        length=length,
        time_ns=stream.time_ns[first:],
        packet=stream.packet[first:],
        first_sequence=(stream.first_sequence + start) % 2**32,
        markers=stream.markers[stream.markers >= start] - start,
        end_position=max(stream.end - start, 0),
    )
