"""The bytes that another protocol sent through a usbredir, port or webdav channel.

Source: spice-wire.md 15. Messages are slices of one byte stream in each direction; their borders mean nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import lz4.block
import numpy as np

from spicereplay.defects import DefectKind, DefectLog
from spicereplay.limits import Limits
from spicereplay.protocol import registry
from spicereplay.protocol.enums import (
    ClientPort,
    ClientSpicevmc,
    DataCompressionType,
    PortEvent,
    ServerPort,
    ServerSpicevmc,
    Side,
)
from spicereplay.protocol.messages.port import CompressedData, Data, Event
from spicereplay.session.log import ChannelLog


@dataclass(frozen=True, slots=True)
class Slice:
    """What one message carried."""

    side: Side
    time_ns: int
    data: bytes | None
    """None: bytes are missing here."""
    closed: bool = False
    """The port was closed: nothing before this belongs to what comes after."""


_TYPES: Final = {
    Side.SERVER: (ServerSpicevmc.DATA, ServerSpicevmc.COMPRESSED_DATA, ServerPort.EVENT),
    Side.CLIENT: (ClientSpicevmc.DATA, ClientSpicevmc.COMPRESSED_DATA, ClientPort.EVENT),
}


def slices(log: ChannelLog, limits: Limits, defects: DefectLog) -> Iterator[Slice]:
    """Yield what both sides sent, in order of time; at equal times the server's first.

    A message that cannot be read or decompressed is a defect and a hole. A side of which nothing was captured is a hole
    at the end: what the other one waited for is not known.
    """
    sides = (Side.SERVER, Side.CLIENT)
    wanted = {side: np.flatnonzero(np.isin(log.index(side).type, _TYPES[side])) for side in sides}
    holes = {side: sorted(gap.position for gap in log.gaps if gap.side is side) for side in sides}
    passed = dict.fromkeys(sides, 0)
    of_side = np.repeat((0, 1), [len(wanted[side]) for side in sides])
    rows = np.concatenate([wanted[side] for side in sides])
    times = np.concatenate([log.index(side).time_ns[wanted[side]] for side in sides])
    for i in np.argsort(times, kind="stable").tolist():
        side, row, time_ns = sides[of_side[i]], int(rows[i]), int(times[i])
        index = log.index(side)
        lost = bool(index.partial[row])
        while passed[side] < len(holes[side]) and holes[side][passed[side]] < index.position[row]:
            passed[side] += 1
            lost = True
        if lost:
            yield Slice(side, time_ns, None)
        if not index.partial[row]:
            yield from _carried(log, side, row, time_ns, limits, defects)
    for side in sides:
        if side in log.unseen:
            yield Slice(side, log.end_time_ns, None)


def _carried(
    log: ChannelLog, side: Side, row: int, time_ns: int, limits: Limits, defects: DefectLog
) -> Iterator[Slice]:
    index = log.index(side)
    message = registry.parse_message(
        log.channel, side, int(index.type[row]), index.body(row), limits=limits
    ).message
    if isinstance(message, Data):
        yield Slice(side, time_ns, message.data)
    elif isinstance(message, Event):
        if message.event == PortEvent.CLOSED:
            yield Slice(side, time_ns, None, closed=True)
    elif isinstance(message, CompressedData):
        data = _inflated(message, limits)
        if data is None:
            defects.add(
                DefectKind.MESSAGE_MALFORMED,
                f"{log.name} from {side}",
                f"COMPRESSED_DATA of type {int(message.type)} does not decompress to "
                f"{message.uncompressed_size} bytes",
                time_ns=time_ns,
            )
        yield Slice(side, time_ns, data)


def _inflated(message: CompressedData, limits: Limits) -> bytes | None:
    """Return the bytes of one message: an LZ4 block by itself, without a length before it. Source: spice-wire.md 15."""
    if message.type == DataCompressionType.NONE:
        return message.compressed_data
    size = message.uncompressed_size or 0
    if message.type != DataCompressionType.LZ4 or not 0 < size <= limits.message_bytes:
        return None
    try:
        data: bytes = lz4.block.decompress(message.compressed_data, uncompressed_size=size)
    except lz4.block.LZ4BlockError:
        return None
    return data if len(data) == size else None
