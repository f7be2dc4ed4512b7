"""The link stage without what authenticates: tickets, keys, what SASL says.

Source: spice-wire.md 2.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from spicereplay.bytestream import ByteStream
from spicereplay.limits import Limits
from spicereplay.protocol.enums import Side
from spicereplay.protocol.link import HEADER_BYTES, MAGIC, PUBLIC_KEY_BYTES, Link
from spicereplay.recording.handshake import FILLER_KEY
from spicereplay.recording.masking import LinkMask

_KEY: Final = slice(HEADER_BYTES + 4, HEADER_BYTES + 4 + PUBLIC_KEY_BYTES)


def neutral_link(streams: Mapping[Side, ByteStream], link: Link, limits: Limits) -> dict[Side, bytes]:
    """Return what the first bytes of both sides become: as many as belong to the link stage and are there."""
    client = streams[Side.CLIENT].read(0, link.client_bytes)
    server = streams[Side.SERVER].read(0, link.server_bytes)
    made = {}
    if client:
        mask = LinkMask(limits)
        message = HEADER_BYTES + int.from_bytes(client[12:16], "little") if client.startswith(MAGIC) else 0
        kept = mask.take(Side.CLIENT, client[:message])
        mask.take(Side.SERVER, server)
        made[Side.CLIENT] = kept + mask.take(Side.CLIENT, client[message:])
    if server:
        new = bytearray(server)
        if len(server) >= _KEY.stop and any(server[_KEY]):
            new[_KEY] = FILLER_KEY
        made[Side.SERVER] = bytes(new)
    return made
