"""The packets that ryll makes up around what a channel said, and the pcap files that they are in.

One TCP connection per channel, told apart by the client's port, without handshake and end. What ryll itself loses,
segments of 65,482 to 65,495 bytes, is here: everything is cut so that it fits. Source: ryll-formats.md 9.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import cache
from typing import Final

from spicereplay.capture.connection import Endpoint
from spicereplay.capture.frames import Path, path, tcp_frame
from spicereplay.units import NS_PER_S, NS_PER_US

CLIENT_ADDRESS: Final = "10.0.0.1"
SERVER_ADDRESS: Final = "10.0.0.2"
SERVER_PORT: Final = 5900
"""Always, whatever the real port. Source: ryll-formats.md 9.3."""
PORT_BASE: Final = 10_000
"""A channel's client port is this and the number of its type. Source: ryll-formats.md 9.3."""
FIRST_FROM_CLIENT: Final = 1000
FIRST_FROM_SERVER: Final = 2000
"""Sequence numbers of the first bytes of a connection. Source: ryll-formats.md 9.3."""
WRITTEN_BYTES: Final = 65_481
"""Longest payload that reaches the file: a frame must not exceed the snap length. Source: ryll-formats.md 9.4."""
FILE_HEADER: Final = bytes.fromhex("a1b2c3d4 0002 0004 00000000 00000000 0000ffff 00000001")
"""Big-endian, microseconds, Ethernet. Source: ryll-formats.md 9.1."""

_HARDWARE: Final = bytes.fromhex("020000000002 020000000001")
"""Both directions have the same. Source: ryll-formats.md 9.3."""
_RECORD: Final = struct.Struct(">IIII")


def records(
    port: int, data: bytes, elapsed_ns: int, *, from_server: bool, sequence: int, acknowledgement: int
) -> Iterator[bytes]:
    """Yield the pcap records of `data`, which a side of the connection with that client port says at once.

    `elapsed_ns` is the time since the recording began; a negative one is written as its beginning. `sequence` is the
    number of the first byte.
    """
    seconds, rest = divmod(max(0, elapsed_ns), NS_PER_S)
    for start in range(0, len(data), WRITTEN_BYTES):
        frame = tcp_frame(
            _way(port, from_server),
            data[start : start + WRITTEN_BYTES],
            sequence=sequence + start,
            acknowledgement=acknowledgement,
        )
        yield _RECORD.pack(seconds & 0xFFFFFFFF, rest // NS_PER_US, len(frame), len(frame)) + frame


@cache
def _way(port: int, from_server: bool) -> Path:
    client, server = Endpoint(CLIENT_ADDRESS, port), Endpoint(SERVER_ADDRESS, SERVER_PORT)
    source, destination = (server, client) if from_server else (client, server)
    made = path(source, destination)
    return Path(source, destination, made.version, _HARDWARE + made.ethernet[12:], made.addresses)
