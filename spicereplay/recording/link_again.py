"""What a connection has to be opened with again, where a recording of it goes on in another file."""

from __future__ import annotations

from typing import Final

from spicereplay.limits import DEFAULT_LIMITS, Limits
from spicereplay.protocol.enums import Side
from spicereplay.protocol.framing import FULL_HEADER_BYTES, MINI_HEADER_BYTES
from spicereplay.protocol.link import Link, LinkStatus, parse_link
from spicereplay.units import MIB

MOST_BYTES: Final = MIB
"""Longest link stage of one side: what is longer is none."""


class _Unfinished:
    """The bytes of the message that one side is in the middle of."""

    def __init__(self, header_bytes: int, limits: Limits) -> None:
        self._header_bytes = header_bytes
        self._most = limits.message_bytes
        self.held = bytearray()
        self.lost = False
        """Where messages begin is not known any more."""

    def take(self, data: bytes) -> None:
        """Note the next bytes."""
        if self.lost:
            return
        # The size is the last but one u32 of a full header, the last of a short one. Source: spice-wire.md 3.
        size_at = 2 if self._header_bytes == MINI_HEADER_BYTES else 10
        self.held += data
        at = 0
        while len(self.held) - at >= self._header_bytes:
            size = int.from_bytes(self.held[at + size_at : at + size_at + 4], "little")
            if size > self._most:
                self.lose()
                return
            if len(self.held) - at < self._header_bytes + size:
                break
            at += self._header_bytes + size
        del self.held[:at]

    def lose(self) -> None:
        """Note that bytes are missing."""
        self.lost = True
        self.held.clear()


class LinkAgain:
    """Follows a connection's bytes, as recorded, and keeps its link stage and the unfinished messages."""

    def __init__(self, limits: Limits = DEFAULT_LIMITS) -> None:
        self._limits = limits
        self._seen = {side: bytearray() for side in Side}
        self._sides: dict[Side, _Unfinished] = {}
        self._link: Link | None = None

    def take(self, side: Side, data: bytes) -> None:
        """Note the next bytes of a side."""
        if self._sides:
            self._sides[side].take(data)
            return
        if self._link is not None:
            return
        self._seen[side] += data
        link = parse_link(bytes(self._seen[Side.CLIENT]), bytes(self._seen[Side.SERVER]), limits=self._limits)
        if link.status is LinkStatus.INCOMPLETE and len(self._seen[side]) < MOST_BYTES:
            return
        self._link = link
        if link.status is not LinkStatus.ESTABLISHED:
            return
        header_bytes = MINI_HEADER_BYTES if link.mini_header else FULL_HEADER_BYTES
        for one, used in ((Side.CLIENT, link.client_bytes), (Side.SERVER, link.server_bytes)):
            self._sides[one] = _Unfinished(header_bytes, self._limits)
            self._sides[one].take(bytes(self._seen[one][used:]))
            del self._seen[one][used:]

    def lose(self, side: Side) -> None:
        """Note that bytes of a side are missing here."""
        if self._sides:
            self._sides[side].lose()

    def opening(self) -> list[tuple[Side, bytes]]:
        """Return what both sides say first where the connection is opened again, in order.

        The ticket, already zeroed, is in one piece with what is before it.
        """
        seen = {side: bytes(data) for side, data in self._seen.items()}
        result_bytes = 4
        client, server = seen[Side.CLIENT], seen[Side.SERVER]
        message_end = 16 + int.from_bytes(client[12:16], "little") if len(client) >= 16 else len(client)
        said = [
            (Side.CLIENT, client[:message_end]),
            (Side.SERVER, server[:-result_bytes] if self._sides else server),
            (Side.CLIENT, client[message_end:]),
            (Side.SERVER, server[-result_bytes:] if self._sides else b""),
        ]
        said += [(side, bytes(one.held)) for side, one in self._sides.items()]
        return [(side, data) for side, data in said if data]
