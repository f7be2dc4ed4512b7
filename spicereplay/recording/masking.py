"""Takes the secrets out of a connection's link stage while it passes.

A ticket is the password under a 1024-bit RSA key, and a SASL exchange may hold the password itself. Neither belongs
into a recording; their lengths do, since everything behind them is found by these.
Source: spice-wire.md 2.3 to 2.5.
"""

from __future__ import annotations

from spicereplay.limits import DEFAULT_LIMITS, Limits
from spicereplay.protocol.enums import Side
from spicereplay.protocol.link import (
    HEADER_BYTES,
    MECHANISM_SASL,
    Link,
    LinkStatus,
    parse_link,
)

_SASL_LENGTH_BYTES = 4


class LinkMask:
    """Passes one connection's bytes, in the order in which they come, and zeroes what authenticates.

    What is kept of the client: the link message, the mechanism, and the lengths of SASL items. Everything else that
    it sends before the server has accepted is zeroed, and so is all that follows a link stage which cannot be read:
    where the secrets are cannot be told then. Messages behind the link stage pass untouched.
    """

    def __init__(self, limits: Limits = DEFAULT_LIMITS) -> None:
        self._limits = limits
        self._seen = {side: bytearray() for side in Side}
        self._item_left = 0
        self._length: bytearray = bytearray()
        self.link: Link = parse_link(b"", b"", limits=limits)
        """What the link stage says so far; its ticket is zero bytes here, too."""

    @property
    def over(self) -> bool:
        """Whether the link stage is behind."""
        return self.link.status is not LinkStatus.INCOMPLETE

    def take(self, side: Side, data: bytes) -> bytes:
        """Return what may be recorded of the next bytes of `side`: as many bytes."""
        if self.over:
            blind = side is Side.CLIENT and self.link.status is LinkStatus.MALFORMED
            return bytes(len(data)) if blind else data
        if side is Side.SERVER:
            self._note(side, data)
            return data
        kept = bytearray()
        at = 0
        while at < len(data) and not self.over:
            piece, hidden = self._client_piece(data[at:])
            at += len(piece)
            told = bytes(len(piece)) if hidden else piece
            kept += told
            self._note(side, told)
        return bytes(kept) + (self.take(side, data[at:]) if at < len(data) else b"")

    def _note(self, side: Side, data: bytes) -> None:
        self._seen[side] += data
        self.link = parse_link(
            bytes(self._seen[Side.CLIENT]), bytes(self._seen[Side.SERVER]), limits=self._limits
        )

    def _client_piece(self, data: bytes) -> tuple[bytes, bool]:
        """Return the first bytes that belong together, and whether they are secret."""
        seen = self._seen[Side.CLIENT]
        if len(seen) < HEADER_BYTES:
            return data[: HEADER_BYTES - len(seen)], False
        message_end = HEADER_BYTES + int.from_bytes(seen[12:16], "little")
        if len(seen) < message_end:
            return data[: message_end - len(seen)], False
        link = self.link
        if link.server_common_caps is None:
            return data, True  # before the server has answered, nobody knows what these bytes are
        if link.mechanism is None and link.waits_for is Side.CLIENT:
            # The mechanism's word, or a ticket at once where one of the two does not announce AUTH_SELECTION.
            wanted = link.needs_bytes - len(seen)
            return data[:wanted], link.needs_bytes - message_end != _SASL_LENGTH_BYTES
        if link.mechanism != MECHANISM_SASL:
            # Up to the end of the ticket; what a client sends ahead of the result is not looked at.
            wanted = link.needs_bytes - len(seen) if link.waits_for is Side.CLIENT else len(data)
            return data[:wanted], True
        return self._sasl_piece(data)

    def _sasl_piece(self, data: bytes) -> tuple[bytes, bool]:
        if self._item_left:
            piece = data[: self._item_left]
            self._item_left -= len(piece)
            return piece, True
        piece = data[: _SASL_LENGTH_BYTES - len(self._length)]
        self._length += piece
        if len(self._length) == _SASL_LENGTH_BYTES:
            self._item_left = int.from_bytes(self._length, "little")
            self._length.clear()
        return piece, False
