"""What opens a connection again in the next file, whatever SPICE is wrapped in.

`LinkAgain` repeats the link stage. Around it may lie a proxy's CONNECT and WebSocket: their handshakes are repeated as
they were, what is repeated inside goes into frames of its own, and a frame that a side is in the middle of gets a
header for what is left of it. TLS cannot be opened again: its records count from its beginning.
Source: RFC 6455 section 5.2, RFC 9110 section 9.3.6.
"""

from __future__ import annotations

from typing import Final

from spicereplay.limits import DEFAULT_LIMITS, Limits
from spicereplay.protocol.enums import Side
from spicereplay.recording.link_again import LinkAgain

HEAD_BYTES: Final = 16 * 1024
"""Longest head of a request or an answer."""
_GET, _CONNECT = b"GET ", b"CONNECT "
_END: Final = b"\r\n\r\n"
_STATUS: Final = slice(9, 12)
_DATA: Final = (0, 1, 2)
"""Opcodes of continuation, text and binary frames."""
_BINARY: Final = 0x82
_MASKED: Final = 0x80


class OpenedAgain:
    """Follows a connection's bytes, as recorded, and keeps what has to be said again."""

    def __init__(self, limits: Limits = DEFAULT_LIMITS) -> None:
        self._inner = LinkAgain(limits)
        self._waiting: dict[Side, bytearray] | None = {side: bytearray() for side in Side}
        """Bytes of HTTP exchanges that are not complete; None: they are over."""
        self._handshakes: list[tuple[Side, bytes]] = []
        self._frames: dict[Side, _Frames] = {}

    def take(self, side: Side, data: bytes) -> None:
        """Note the next bytes of a side."""
        if self._waiting is None:
            self._pass(side, data)
            return
        self._waiting[side] += data
        if self._exchanges_over(self._waiting):
            waiting, self._waiting = self._waiting, None
            for one, rest in waiting.items():
                self._pass(one, bytes(rest))

    def lose(self, side: Side) -> None:
        """Note that bytes of a side are missing here."""
        if side in self._frames:
            self._frames[side].lost = True
        self._inner.lose(side)

    def opening(self) -> list[tuple[Side, bytes]]:
        """Return what both sides say first where the connection is opened again, in order."""
        said = list(self._handshakes)
        for side, data in self._inner.opening():
            said.append((side, _frame(side, data) if self._frames else data))
        said += [(side, frames.unfinished()) for side, frames in self._frames.items()]
        said += [(side, bytes(rest)) for side, rest in (self._waiting or {}).items()]
        return [(side, data) for side, data in said if data]

    def _pass(self, side: Side, data: bytes) -> None:
        inner = self._frames[side].take(data) if self._frames else data
        if inner:
            self._inner.take(side, inner)

    def _exchanges_over(self, waiting: dict[Side, bytearray]) -> bool:
        """Take complete exchanges off; whether what follows is no more HTTP that leads to SPICE."""
        client, server = waiting[Side.CLIENT], waiting[Side.SERVER]
        while True:
            asks = next((word for word in (_GET, _CONNECT) if client.startswith(word)), None)
            if asks is None:
                return not any(word.startswith(client[: len(word)]) for word in (_GET, _CONNECT))
            del server[: max(0, server.find(b"HTTP/1."))]  # the page that came with a refusal
            request, answer = client.find(_END) + 4, server.find(_END) + 4
            if request < 4 or answer < 4:
                return max(len(client), len(server)) > HEAD_BYTES
            status = bytes(server[_STATUS])
            upgraded = asks == _GET and status == b"101"
            if asks == _GET and not upgraded:
                return True
            if upgraded or status.startswith(b"2"):
                self._handshakes.append((Side.CLIENT, bytes(client[:request])))
                self._handshakes.append((Side.SERVER, bytes(server[:answer])))
            del client[:request], server[:answer]
            if upgraded:
                self._frames = {side: _Frames() for side in Side}
                return True


class _Frames:
    """The WebSocket frames of one side."""

    def __init__(self) -> None:
        self.lost = False
        """Where frames begin is not known any more."""
        self._header = bytearray()
        self._first = 0
        self._key = b""
        self._left = 0
        """Bytes of the payload that are still to come."""
        self._at = 0
        """How many of them have come."""

    def take(self, data: bytes) -> bytes:
        """Return the payloads among the next bytes, unmasked."""
        out = bytearray()
        at = 0
        while at < len(data) and not self.lost:
            if not self._left:
                self._header.append(data[at])
                at += 1
                self._look()
                continue
            piece = data[at : at + self._left]
            at += len(piece)
            if self._first & 15 in _DATA:
                out += _combine(piece, self._rotated()) if any(self._key) else piece
            self._left -= len(piece)
            self._at += len(piece)
        return bytes(out)

    def unfinished(self) -> bytes:
        """Return the header of a frame that holds what is left of this one, or as much of one as has come."""
        if self.lost:
            return b""
        if not self._left:
            return bytes(self._header)
        return _header(self._first, self._left, self._rotated() if self._key else b"")

    def _rotated(self) -> bytes:
        """Return the key for the next byte on."""
        phase = self._at % 4
        return self._key[phase:] + self._key[:phase]

    def _look(self) -> None:
        head = self._header
        if len(head) < 2:
            return
        short = head[1] & 127
        wide = {126: 2, 127: 8}.get(short, 0)
        keyed = 4 if head[1] & _MASKED else 0
        if len(head) < 2 + wide + keyed:
            return
        self._first = head[0]
        self._left = int.from_bytes(head[2 : 2 + wide], "big") if wide else short
        self._key = bytes(head[2 + wide :])
        self._at = 0
        head.clear()


def _header(first: int, length: int, key: bytes) -> bytes:
    masked = _MASKED if key else 0
    if length < 126:
        return bytes([first, masked | length]) + key
    wide = 2 if length < 1 << 16 else 8
    return bytes([first, masked | (126 if wide == 2 else 127)]) + length.to_bytes(wide, "big") + key


def _frame(side: Side, data: bytes) -> bytes:
    """Return a frame of its own; the key of zeros, which a client needs, changes nothing."""
    return _header(_BINARY, len(data), bytes(4) if side is Side.CLIENT else b"") + data


def _combine(data: bytes, key: bytes) -> bytes:
    whole = (key * (len(data) // 4 + 1))[: len(data)]
    return (int.from_bytes(data, "big") ^ int.from_bytes(whole, "big")).to_bytes(len(data), "big")
