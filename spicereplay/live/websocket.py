"""The client's side of WebSocket, as spice-server speaks it.

Source: RFC 6455; spice server/websocket.c: it wants the subprotocol `binary`, takes binary frames, masked, and sends
them unmasked.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import os
import struct
from typing import Final

from spicereplay.errors import WebSocketFailed
from spicereplay.limits import DEFAULT_LIMITS
from spicereplay.live.target import Target, bracketed
from spicereplay.transport.websocket import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT

PROTOCOL: Final = "binary"
_ACCEPT: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
"""Source: RFC 6455 1.3."""
_FINAL: Final = 0x80
_MASKED: Final = 0x80
_READ_BYTES: Final = 262_144
_HEAD_BYTES: Final = 16_384


async def upgrade(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target: Target, port: int, place: str
) -> None:
    """Ask for a WebSocket. Raises `WebSocketFailed`."""
    nonce = base64.b64encode(os.urandom(16))
    path = target.path or "/"
    if any(ord(sign) <= 0x20 or ord(sign) > 0x7E for sign in path):
        raise WebSocketFailed(f"{place}: the path {path!r} cannot be asked for")
    lines = (
        f"GET {path} HTTP/1.1",
        f"Host: {bracketed(target.host)}:{port}",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {nonce.decode()}",
        f"Sec-WebSocket-Protocol: {PROTOCOL}",
        "",
    )
    writer.write("".join(f"{line}\r\n" for line in lines).encode())
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        raise WebSocketFailed(f"{place}: the answer is no HTTP; is that a WebSocket's port?") from None
    words = head.split(b" ", 2)
    if len(head) > _HEAD_BYTES or not head.startswith(b"HTTP/1.") or len(words) < 2:
        raise WebSocketFailed(f"{place}: the answer is no HTTP; is that a WebSocket's port?")
    if words[1][:3] != b"101":
        shown = words[1][:3].decode("ascii", "replace")
        raise WebSocketFailed(f"{place}: the server gives no WebSocket at {path} (HTTP status {shown})")
    expected = base64.b64encode(hashlib.sha1(nonce + _ACCEPT, usedforsecurity=False).digest())
    if _field(head, b"sec-websocket-accept") != expected:
        raise WebSocketFailed(f"{place}: the answer belongs to another request; is a cache in between?")


def _field(head: bytes, name: bytes) -> bytes:
    for line in head.split(b"\r\n")[1:]:
        key, _, value = line.partition(b":")
        if key.strip().lower() == name:
            return value.strip()
    return b""


class WebSocket:
    """A connection's bytes inside frames. Frame borders mean nothing."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._held = bytearray()
        self._left = 0
        """Bytes of the present data frame that have not come."""
        self._over = False

    async def read(self) -> bytes:
        """Return payload as it comes; nothing at the end. Raises `WebSocketFailed` for what are no frames."""
        while not self._over:
            if self._left and self._held:
                piece = bytes(self._held[: self._left])
                del self._held[: len(piece)]
                self._left -= len(piece)
                return piece
            if self._left or not self._frame():
                data = await self._reader.read(_READ_BYTES)
                if not data:
                    return b""
                self._held += data
        return b""

    def write(self, data: bytes) -> None:
        """Send bytes as one masked binary frame."""
        self._send(BINARY, data)

    async def drain(self) -> None:
        """Wait while too much is on its way out."""
        await self._writer.drain()

    async def close(self) -> None:
        """Say goodbye and close."""
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(1.0):
                self._send(CLOSE, struct.pack(">H", 1000))
                self._writer.close()
                await self._writer.wait_closed()

    def _frame(self) -> bool:
        """Take the head of the next frame, and all of a control frame; whether it was there."""
        held = self._held
        if len(held) < 2:
            return False
        opcode, length, at = held[0] & 15, held[1] & 127, 2
        if (
            held[0] & 0x70
            or held[1] & _MASKED
            or opcode not in (CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG)
        ):
            raise WebSocketFailed(f"the server sent what is no WebSocket frame ({bytes(held[:2]).hex(' ')})")
        if length >= 126:
            at += 2 if length == 126 else 8
            if len(held) < at:
                return False
            length = int.from_bytes(held[2:at], "big")
        if opcode < CLOSE:
            if length > DEFAULT_LIMITS.message_bytes:
                raise WebSocketFailed(f"the server announces a WebSocket frame of {length:,} bytes")
            del held[:at]
            self._left = length
            return True
        if length > 125:
            raise WebSocketFailed("the server sent a WebSocket control frame longer than 125 bytes")
        if len(held) < at + length:
            return False
        payload = bytes(held[at : at + length])
        del held[: at + length]
        if opcode == PING:
            self._send(PONG, payload)
        self._over = opcode == CLOSE
        return True

    def _send(self, opcode: int, payload: bytes) -> None:
        head = bytearray([_FINAL | opcode])
        if len(payload) < 126:
            head.append(_MASKED | len(payload))
        elif len(payload) < 65_536:
            head += struct.pack(">BH", _MASKED | 126, len(payload))
        else:
            head += struct.pack(">BQ", _MASKED | 127, len(payload))
        mask = os.urandom(4)
        self._writer.write(bytes(head) + mask + masked(payload, mask))


def masked(payload: bytes, mask: bytes) -> bytes:
    """Return a payload under its mask; the same again takes it off. Source: RFC 6455 5.3."""
    length = len(payload)
    key = (mask * (length // 4 + 1))[:length]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")).to_bytes(length, "big")
