"""The link stage without what authenticates: tickets, keys, what SASL says.

Source: spice-wire.md 2.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from spicereplay.bytestream import ByteStream
from spicereplay.limits import Limits
from spicereplay.protocol.enums import Side
from spicereplay.protocol.link import (
    HEADER_BYTES,
    LINK_MESS_BYTES,
    LINK_REPLY_BYTES,
    MAGIC,
    MECHANISM_SASL,
    PUBLIC_KEY_BYTES,
    Link,
)
from spicereplay.recording.handshake import FILLER_KEY
from spicereplay.recording.masking import LinkMask

_KEY: Final = slice(HEADER_BYTES + 4, HEADER_BYTES + 4 + PUBLIC_KEY_BYTES)

_WORD: Final = 4
_MOST_WORDS: Final = 8
"""Words of capabilities that are believed in; nobody has more than two."""
MOST_HEAD_BYTES: Final = HEADER_BYTES + LINK_REPLY_BYTES + _WORD * _MOST_WORDS
"""What a link message or reply has at most."""
_REFUSAL: Final = b"Authentication failed\0"
"""What every server says to everybody. Source: spice server/red-stream.cpp, red_sasl_handle_auth_step."""


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
        if link.mechanism == MECHANISM_SASL:
            reply = min(HEADER_BYTES + int.from_bytes(server[12:16], "little"), len(server))
            new[reply:] = _without_sasl(server[reply:])
        made[Side.SERVER] = bytes(new)
    return made


def link_head(data: bytes) -> bytes:
    """Return what a stream that begins with a link message or reply begins with then, as far as it is there.

    For link stages that cannot be read as a whole: the numbers of the fixed part and as many capabilities as it
    counts, within reason. Empty where there is no link stage.
    """
    if not data.startswith(MAGIC):
        return b""
    size = int.from_bytes(data[12:16], "little")
    fixed = LINK_MESS_BYTES if size < LINK_REPLY_BYTES else LINK_REPLY_BYTES
    # Both end with the numbers of common and channel capabilities, and where these begin.
    counts = data[HEADER_BYTES + fixed - 3 * _WORD : HEADER_BYTES + fixed - _WORD]
    words = int.from_bytes(counts[:_WORD], "little") + int.from_bytes(counts[_WORD:], "little")
    head = data[: HEADER_BYTES + min(size, fixed + _WORD * min(words, _MOST_WORDS))]
    if fixed == LINK_REPLY_BYTES:
        head = (head[: _KEY.start] + FILLER_KEY + head[_KEY.stop :])[: len(head)]
    return head


def _without_sasl(said: bytes) -> bytes:
    """Return what a server says in a SASL exchange with nothing left but lengths, and whether it was content.

    Its list of mechanisms comes first, then challenges with a byte that says whether they are over, a result, and the
    words of a refusal. Source: spice-wire.md 2.4.
    """
    if said.startswith(MAGIC):  # refused before it began
        return said
    out = bytearray(len(said))
    at = _keep_length(said, out, 0)
    over = False
    while not over and at < len(said):
        at = _keep_length(said, out, at)
        out[at : at + 1] = said[at : at + 1]
        over = said[at : at + 1] == b"\1"
        at += 1
    out[at : at + _WORD] = said[at : at + _WORD]
    refusal = at + _WORD
    if refusal < len(said):
        _keep_length(said, out, refusal)
        if said[refusal + _WORD :] == _REFUSAL:
            out[refusal + _WORD :] = _REFUSAL
    return bytes(out)


def _keep_length(said: bytes, out: bytearray, at: int) -> int:
    """Copy the length of an item, and return where the item ends."""
    length = said[at : at + _WORD]
    out[at : at + len(length)] = length
    return min(at + _WORD + int.from_bytes(length, "little"), len(said))
