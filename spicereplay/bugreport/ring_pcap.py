"""Kept traffic as `traffic.pcap`: frames around messages, as ryll makes them up.

Where ryll loses the long segments of a large message, here they are cut so that they fit, and nothing is missing.

Source: ryll-formats.md 9, 10.3 and 15.2.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterator
from functools import cache
from heapq import merge
from typing import Final

from spicereplay.bugreport.ring import KeptChannel, KeptTraffic, Unit
from spicereplay.bugreport.rules import (
    CLIENT_ADDRESS,
    CLIENT_PORTS,
    SERVER_ADDRESS,
    SERVER_PORT,
    WRITTEN_BYTES,
)
from spicereplay.capture.connection import Endpoint
from spicereplay.capture.frames import Path, path, tcp_frame
from spicereplay.protocol.enums import ChannelType, Side
from spicereplay.units import NS_PER_S, NS_PER_US

FILE_HEADER: Final = bytes.fromhex("a1b2c3d4 0002 0004 00000000 00000000 0000ffff 00000001")
"""Big-endian, microseconds, Ethernet. Source: ryll-formats.md 9.1."""
_HARDWARE: Final = bytes.fromhex("020000000002 020000000001")
"""Both directions have the same. Source: ryll-formats.md 9.3."""
_RECORD: Final = struct.Struct(">IIII")
_MINI: Final = struct.Struct("<HI")


def pcap_chunks(traffic: KeptTraffic, channels: Collection[ChannelType] | None = None) -> Iterator[bytes]:
    """Yield the file piece by piece: of these channels, or of all; by time, in ryll's order of channels where equal.

    The messages of one channel stay in their order. A time before the connection began is written as its beginning.
    """
    yield FILE_HEADER
    chosen = (
        _records(channel, kept, traffic.started_ns)
        for channel, kept in traffic.channels.items()
        if channels is None or channel in channels
    )
    for _, record in merge(*chosen, key=lambda pair: pair[0]):
        yield record


def _records(channel: ChannelType, kept: KeptChannel, started_ns: int) -> Iterator[tuple[int, bytes]]:
    """Yield `(time, records)` of each message of a channel."""
    sequence = dict(kept.first_sequence)
    for unit in kept.units:
        yield unit.time_ns, _record(channel, unit, sequence, started_ns)
        sequence[unit.side] += unit.size


def _record(channel: ChannelType, unit: Unit, sequence: dict[Side, int], started_ns: int) -> bytes:
    data = _MINI.pack(unit.type, len(unit.body)) + unit.body
    seconds, rest = divmod(max(0, unit.time_ns - started_ns), NS_PER_S)
    out = []
    for start in range(0, len(data), WRITTEN_BYTES):
        frame = tcp_frame(
            _way(channel, unit.side),
            data[start : start + WRITTEN_BYTES],
            sequence=sequence[unit.side] + start,
            acknowledgement=sequence[unit.side.other],
        )
        out += [_RECORD.pack(seconds & 0xFFFFFFFF, rest // NS_PER_US, len(frame), len(frame)), frame]
    return b"".join(out)


@cache
def _way(channel: ChannelType, side: Side) -> Path:
    client, server = Endpoint(CLIENT_ADDRESS, CLIENT_PORTS[channel]), Endpoint(SERVER_ADDRESS, SERVER_PORT)
    source, destination = (client, server) if side is Side.CLIENT else (server, client)
    made = path(source, destination)
    return Path(source, destination, made.version, _HARDWARE + made.ethernet[12:], made.addresses)
