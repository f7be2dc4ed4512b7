"""Kept traffic as `traffic.pcap`: frames around messages, as ryll makes them up.

Source: ryll-formats.md 9, 10.3 and 15.2.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterator
from heapq import merge
from typing import Final

from spicereplay.bugreport.ring import KeptChannel, KeptTraffic, Unit
from spicereplay.bugreport.rules import CLIENT_PORTS
from spicereplay.capture import ryll_frames
from spicereplay.protocol.enums import ChannelType, Side

_MINI: Final = struct.Struct("<HI")


def pcap_chunks(traffic: KeptTraffic, channels: Collection[ChannelType] | None = None) -> Iterator[bytes]:
    """Yield the file piece by piece: of these channels, or of all; by time, in ryll's order of channels where equal.

    The messages of one channel stay in their order. A time before the connection began is written as its beginning.
    """
    yield ryll_frames.FILE_HEADER
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
    return b"".join(
        ryll_frames.records(
            CLIENT_PORTS[channel],
            _MINI.pack(unit.type, len(unit.body)) + unit.body,
            unit.time_ns - started_ns,
            from_server=unit.side is Side.SERVER,
            sequence=sequence[unit.side],
            acknowledgement=sequence[unit.side.other],
        )
    )
