"""Takes the secrets out of a connection of which nobody has said what it carries.

The first bytes of the client decide: SPICE goes through `LinkMask`, also within WebSocket frames and behind a proxy's
CONNECT; anything else, TLS for instance, passes as it is. Lengths never change.
Source: RFC 6455 sections 4.1 and 5.2, RFC 9110 sections 9.3.6 and 11.6, spice-wire.md 2.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from spicereplay.limits import DEFAULT_LIMITS, Limits
from spicereplay.protocol.enums import Side
from spicereplay.protocol.link import MAGIC, Link
from spicereplay.recording.masking import LinkMask

HEAD_BYTES: Final = 16 * 1024
"""Longest head of an HTTP request; what is longer is none."""
HIDDEN: Final = frozenset((b"authorization", b"proxy-authorization", b"cookie"))
"""Headers whose values are secrets."""

_GET: Final = b"GET "
_CONNECT: Final = b"CONNECT "
_BEGINNINGS: Final = (MAGIC, _GET, _CONNECT)
_NAME_BYTES: Final = 64
_DATA_FRAMES: Final = (0, 1, 2)
"""Opcodes of continuation, text and binary frames."""


class Mask(Protocol):
    """Takes the secrets out of one connection."""

    def take(self, side: Side, data: bytes) -> bytes:
        """Return what may be recorded of the next bytes of `side`: as many bytes."""
        ...


class WireMask:
    """Passes one connection's bytes as they are on the wire, and zeroes what authenticates.

    That is the ticket and SASL's answers, and in an HTTP request credentials, cookies and what follows a question
    mark in the address (there proxies of web clients take their tokens).

    What a server sends passes untouched; it is looked at from the moment on at which the client speaks SPICE, since
    no server speaks first.
    """

    def __init__(self, limits: Limits = DEFAULT_LIMITS) -> None:
        self._mask = LinkMask(limits)
        self._first = b""
        self._client: Callable[[bytes], bytes] = self._beginning
        self._server: Callable[[bytes], object] | None = None
        self._head = _Head()

    @property
    def link(self) -> Link | None:
        """What the link stage says so far; None while nothing shows that it is SPICE."""
        return None if self._server is None else self._mask.link

    @property
    def over(self) -> bool:
        """Whether a link stage is behind."""
        return self._server is not None and self._mask.over

    def take(self, side: Side, data: bytes) -> bytes:
        """Return what may be recorded of the next bytes of `side`: as many bytes."""
        if side is Side.CLIENT:
            return self._client(data)
        if self._server is not None and not self._mask.over:
            self._server(data)
        return data

    # --- what the client sends, stage by stage ---------------------------------------------------------

    def _as_it_is(self, data: bytes) -> bytes:
        return data

    def _beginning(self, data: bytes) -> bytes:
        """Find out what it is. The bytes that tell are no secrets."""
        told = len(self._first)
        first = self._first = self._first + data
        kind = next((b for b in _BEGINNINGS if first.startswith(b)), None)
        if kind is None:
            if not any(b.startswith(first) for b in _BEGINNINGS):
                self._client = self._as_it_is
            return data
        self._first = b""
        if kind == MAGIC:
            return self._speak_spice(first)[told:]
        self._head = _Head()
        self._client = self._request if kind == _GET else self._connect
        return self._client(first)[told:]

    def _speak_spice(self, data: bytes) -> bytes:
        self._client = lambda more: self._mask.take(Side.CLIENT, more)
        self._server = lambda more: self._mask.take(Side.SERVER, more)
        return self._client(data)

    def _request(self, data: bytes) -> bytes:
        """Pass a request that may ask for WebSocket; behind it everything lies in frames."""
        kept = self._head.take(data)
        if self._head.open:
            return kept
        if b"upgrade: websocket" not in bytes(self._head.seen).lower():
            self._client = self._as_it_is
        else:
            # No server sends a frame before the client has: what comes until then is its answer.
            ours, theirs = _Frames(self._mask, Side.CLIENT), _Frames(self._mask, Side.SERVER)

            def framed(more: bytes) -> bytes:
                self._server = theirs.take
                return ours.take(more)

            self._client = framed
        rest = data[len(kept) :]
        return kept + (self._client(rest) if rest else b"")

    def _connect(self, data: bytes) -> bytes:
        """Pass a request to a proxy. Behind it may come another one, if that was refused, or what is tunnelled."""
        kept = self._head.take(data)
        if not self._head.open:
            self._client = self._beginning
            rest = data[len(kept) :]
            kept += self._client(rest) if rest else b""
        return kept


class _Head:
    """The head of one HTTP request."""

    def __init__(self) -> None:
        self.seen = bytearray()
        """What was let through of it."""
        self.open = True
        """Whether more of it is to come."""
        self._name = bytearray()
        self._first_line = True
        self._hidden = False

    def take(self, data: bytes) -> bytes:
        """Return what may be recorded of it: as many bytes, fewer where the head ends within `data`."""
        before = len(self.seen)
        for byte in data:
            self.seen.append(0 if self._secret(byte) else byte)
            if self.seen.endswith(b"\r\n\r\n") or len(self.seen) >= HEAD_BYTES:
                self.open = False
                break
        return bytes(self.seen[before:])

    def _secret(self, byte: int) -> bool:
        """Whether the next byte is part of a secret. Names of headers and blanks are none."""
        if byte == 0x0A:
            self._first_line, self._hidden = False, False
            self._name.clear()
            return False
        if self._first_line:
            if byte in b" \r":
                self._hidden = False
            secret, self._hidden = self._hidden, self._hidden or byte == 0x3F
            return secret
        if byte in b" \r":
            return False
        if self._hidden:
            return True
        if len(self._name) < _NAME_BYTES:
            if byte == 0x3A:
                self._hidden = bytes(self._name).lower() in HIDDEN
                self._name += bytes(_NAME_BYTES)  # the name is over: nothing more belongs to it
            else:
                self._name.append(byte)
        return False


class _Frames:
    """WebSocket frames of one side whose payloads go through a mask, and come back under their own key."""

    def __init__(self, mask: LinkMask, side: Side) -> None:
        self._mask = mask
        self._side = side
        self._header = bytearray()
        self._key = b""
        self._left = 0
        """Bytes of the payload that are still to come."""
        self._at = 0
        """How many of them have come."""
        self._carries = False

    def take(self, data: bytes) -> bytes:
        """Return what may be recorded: as many bytes."""
        kept = bytearray()
        at = 0
        while at < len(data):
            if self._mask.over and self._side is Side.SERVER:
                return bytes(kept) + data[at:]
            if not self._left:
                self._header.append(data[at])
                kept.append(data[at])
                at += 1
                self._look()
                continue
            piece = data[at : at + self._left]
            at += len(piece)
            kept += self._payload(piece)
        return bytes(kept)

    def _look(self) -> None:
        """Begin the payload if the header is complete. Source: RFC 6455 section 5.2."""
        head = self._header
        if len(head) < 2:
            return
        short = head[1] & 127
        wide = {126: 2, 127: 8}.get(short, 0)
        keyed = 4 if head[1] & 128 else 0
        if len(head) < 2 + wide + keyed:
            return
        self._left = int.from_bytes(head[2 : 2 + wide], "big") if wide else short
        self._key = bytes(head[2 + wide :]) if keyed else bytes(4)
        self._carries = head[0] & 15 in _DATA_FRAMES
        self._at = 0
        head.clear()

    def _payload(self, piece: bytes) -> bytes:
        key = (self._key * 2)[self._at % 4 :][:4]
        self._left -= len(piece)
        self._at += len(piece)
        if not self._carries:
            return piece
        plain = _combine(piece, key)
        told = self._mask.take(self._side, plain)
        return piece if told == plain else _combine(told, key)


def _combine(data: bytes, key: bytes) -> bytes:
    """Apply the key of a frame, whose first byte belongs to the first of `data`. Source: RFC 6455 section 5.3."""
    whole = (key * (len(data) // 4 + 1))[: len(data)]
    return (int.from_bytes(data, "big") ^ int.from_bytes(whole, "big")).to_bytes(len(data), "big")
