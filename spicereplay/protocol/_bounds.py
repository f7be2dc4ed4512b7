"""By what a header is told from other bytes: the types a side sends, and the sizes their bodies can have."""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np

from spicereplay.bytestream import Int64Array
from spicereplay.protocol import registry
from spicereplay.protocol.enums import ChannelType, ClientCommon, ServerCommon, ServerDisplay, Side
from spicereplay.units import KIB

UNLIKELY: Final[dict[Side, tuple[int, ...]]] = {
    Side.SERVER: (ServerCommon.MIGRATE_DATA, ServerCommon.BASE_LAST, ServerDisplay.QUALITY_INDICATOR),
    Side.CLIENT: (ClientCommon.MIGRATE_DATA,),
}
"""Messages that are rare or never sent and may have any content: too easily seen in what is none."""
LIKELY_BYTES: Final[dict[int, int]] = {
    ServerCommon.PING: 12 + 64,
    ServerCommon.WAIT_FOR_CHANNELS: 1 + 255 * 10,
    ServerCommon.NOTIFY: 64 * KIB,
    ServerCommon.LIST: 64 * KIB,
}
"""Bodies of common messages that are likely: only main's PING is padded, for the network test.

Source: spice-wire.md 3, 4.1 and 4.4.
"""
ACKNOWLEDGED: Final = (ChannelType.DISPLAY, ChannelType.CURSOR)
"""Channels with an acknowledgement window. Source: spice-wire.md 4.3."""


@cache
def bounds(channel: ChannelType, side: Side, unbounded: int) -> tuple[Int64Array, Int64Array]:
    """Return the least and most body bytes of each message type, by which a header is told from other bytes.

    -1 in the first marks types that are not known, or too rare to tell anything.
    """
    known = registry.known_types(channel, side)
    least = np.full(max(known) + 1, -1, np.int64)
    most = np.full(max(known) + 1, -1, np.int64)
    for kind, (low, high) in known.items():
        least[kind] = low
        # A later version of the protocol may append fields to a message of fixed size.
        most[kind] = unbounded if high is None else min(unbounded, high + 64)
    for unlikely in UNLIKELY[side]:
        if unlikely < len(least):
            least[unlikely] = -1
    if side is Side.SERVER:
        for common, likely in LIKELY_BYTES.items():
            most[common] = min(unbounded, likely)
        if channel is ChannelType.MAIN:
            most[ServerCommon.PING] = unbounded
    elif channel not in ACKNOWLEDGED:
        least[ClientCommon.ACK] = -1
    return least, most
