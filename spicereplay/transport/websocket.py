"""SPICE inside WebSocket: the payloads of binary and text frames, end to end.

Frame borders have nothing to do with message borders, so what comes out is again a `ByteStream`. Payloads a server
sends are not masked: their chunks point at the same memory as before. Payloads of a client are unmasked into the
new stream's `spill`. Source: RFC 6455 section 5.2; spice-wire.md 2.7.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

import numpy as np

from spicereplay.bytestream import ByteStream
from spicereplay.defects import DefectKind, DefectLog
from spicereplay.units import MIB

REQUEST_BYTES: Final = 16 * 1024
"""Longest HTTP prologue looked at; spice-server takes 4096."""
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
CONTROL_BYTES: Final = 125
"""Longest payload of a control frame. Source: RFC 6455 section 5.5."""
CHAIN: Final = 8
"""Frames with content that must follow each other before a position counts as a frame border; pictures of few colours
look like several."""
LEAST_CHAIN: Final = 2
"""As many will do where the stream ends with the last of them."""
SEARCH_BYTES: Final = 16 * MIB
"""How far behind a damaged place a frame border is looked for; a frame seldom holds more than one SPICE message."""
BEGIN_BYTES: Final = MIB
"""The same at the beginning of a stream of which nothing says that it consists of frames."""
_UPGRADE: Final = re.compile(rb"\r\nupgrade:[ \t]*websocket[ \t]*\r\n", re.IGNORECASE)
_STATUS: Final = re.compile(rb"HTTP/1\.[01] +(\d{3}[^\r\n]{0,60})")
_DEFLATE: Final = re.compile(rb"\r\nsec-websocket-extensions:[^\r\n]*permessage-deflate", re.IGNORECASE)
_COMPRESSED: Final = 0x40
"""Bit of a frame's first byte. Source: RFC 7692 section 6."""
_BASE64: Final = re.compile(rb"\r\nsec-websocket-protocol:[ \t]*base64[ \t]*\r\n", re.IGNORECASE)
"""A protocol that websockify had for browsers without binary frames."""
_BORDERS: Final = {
    masked: re.compile(b"[\x02\x80-\x82](?=[%s]|$)" % b, re.DOTALL)
    for masked, b in (
        (True, b"\x80-\xff"),
        (False, b"\x00-\x7f"),
    )
}
"""What the first byte of a data frame looks like, and whether the second one says that it is masked."""


@dataclass(frozen=True, slots=True)
class _Frame:
    opcode: int
    final: bool
    mask: bytes
    start: int
    """Stream position of the payload."""
    length: int


def prologue_end(stream: ByteStream, first_line: bytes) -> int | None:
    """Return where the HTTP prologue that begins with `first_line` ends; None where there is none."""
    head = stream.read(0, REQUEST_BYTES)
    if not head.startswith(first_line):
        return None
    end = head.find(b"\r\n\r\n")
    return end + 4 if end >= 0 and _UPGRADE.search(head, 0, end + 2) else None


def is_websocket(client: ByteStream, server: ByteStream) -> bool:
    """Whether either side shows the WebSocket handshake."""
    return prologue_end(client, b"GET ") is not None or prologue_end(server, b"HTTP/1.1 101") is not None


def obstacle(server: ByteStream) -> str | None:
    """Return why there are no payloads to be read in a connection for which `is_websocket` holds; None: nothing is."""
    head = server.read(0, REQUEST_BYTES)
    status = _STATUS.match(head)
    end = head.find(b"\r\n\r\n")
    if status is None or end < 0:
        return None  # the answer is not in the capture
    if not status[1].startswith(b"101"):
        return f"refused: {status[1].decode('ascii', 'replace')}"
    first = head[end + 4 : end + 5]
    if _DEFLATE.search(head, 0, end + 2) or (first and first[0] & _COMPRESSED):
        return "its frames are compressed (permessage-deflate), which is not opened"
    return "its frames hold Base64 text, which is not decoded" if _BASE64.search(head, 0, end + 2) else None


def frames_begin(client: ByteStream, server: ByteStream) -> tuple[int, int] | None:
    """Return where the first whole frames begin in two streams whose handshake is not there; None: nowhere.

    Only a client's frames are masked. A stream without bytes says nothing, but one of the two has to have frames.
    That three headers chain by chance happens: who unwraps the streams must find a protocol in them.
    """
    found: list[int] = []
    for stream, masked in ((client, True), (server, False)):
        at = _find_frame(stream, 0, masked, BEGIN_BYTES) if len(stream.position) else 0
        if at is None:
            return None
        found.append(at)
    return (found[0], found[1]) if len(client.position) or len(server.position) else None


def unwrap(
    client: ByteStream,
    server: ByteStream,
    defects: DefectLog,
    where: str,
    start: tuple[int, int] | None = None,
) -> tuple[ByteStream, ByteStream]:
    """Return the two payload streams of a connection for which `is_websocket` holds.

    Frames are read from `start` of each on, None: from the end of the handshake.
    """
    if start is None:
        start = prologue_end(client, b"GET ") or 0, prologue_end(server, b"HTTP/1.1 101") or 0
    return (
        _payloads(client, start[0], True, defects, f"{where} from client"),
        _payloads(server, start[1], False, defects, f"{where} from server"),
    )


def _frame_at(stream: ByteStream, position: int, masked: bool) -> _Frame | str | None:
    """Parse the frame header at `position`: a frame, why it is none, or None when bytes are missing."""
    head = stream.read(position, position + 14)
    if len(head) < 2:
        return None
    opcode, length = head[0] & 15, head[1] & 127
    if opcode >= CLOSE and (length > CONTROL_BYTES or not head[0] & 128):
        return "control frame that is fragmented or longer than 125 bytes"
    if head[0] & 0x70:
        return f"reserved bits set in frame header {head[:2].hex(' ')}"
    if opcode not in (CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG):
        return f"frame of reserved opcode {opcode}"
    if bool(head[1] & 128) != masked:
        return "masked frame from the server" if not masked else "unmasked frame from the client"
    at = 2
    if length >= 126:
        wide = 2 if length == 126 else 8
        if len(head) < at + wide:
            return None
        length = int.from_bytes(head[at : at + wide], "big")
        at += wide
        if length >> 63:
            return "frame length with its top bit set"
    mask = b""
    if masked:
        if len(head) < at + 4:
            return None
        mask = head[at : at + 4]
        at += 4
    return _Frame(opcode, bool(head[0] & 128), mask, position + at, length)


def _find_frame(stream: ByteStream, start: int, masked: bool, within: int = SEARCH_BYTES) -> int | None:
    """Find the first of `within` positions from `start` on where `CHAIN` data frames follow each other."""
    for at, piece in stream.pieces(start, min(stream.end, start + within)):
        for border in _BORDERS[masked].finditer(piece):
            if _chains(stream, at + border.start(), masked):
                return at + border.start()
    return None


def _chains(stream: ByteStream, position: int, masked: bool) -> bool:
    """Whether `CHAIN` frames follow each other from `position`; `LEAST_CHAIN` where the stream ends with them."""
    for n in range(CHAIN):
        if position == stream.end:
            return n >= LEAST_CHAIN
        frame = _frame_at(stream, position, masked)
        if not isinstance(frame, _Frame) or frame.start + frame.length > stream.end:
            return False
        if not frame.length and frame.opcode <= BINARY:
            return False
        position = frame.start + frame.length
    return True


def _payloads(stream: ByteStream, start: int, masked: bool, defects: DefectLog, where: str) -> ByteStream:
    builder = _Builder(stream)
    position = start
    last_hole = max((at + length for at, length, _ in stream.gaps()), default=0)
    while position < stream.end:
        frame = _frame_at(stream, position, masked)
        if isinstance(frame, _Frame):
            if frame.opcode in (CONTINUATION, TEXT, BINARY):
                builder.add(frame)
            elif frame.opcode == CLOSE:
                break
            position = frame.start + frame.length
            continue
        if frame is None and position >= last_hole:
            break  # the capture ends within a frame header
        reason = frame or "a frame header lies in a hole"
        found = _find_frame(stream, position + 1, masked)
        defects.add(
            DefectKind.WEBSOCKET,
            where,
            f"{reason}; "
            + ("the rest cannot be read" if found is None else f"{found - position} bytes skipped"),
            time_ns=stream.time_at(position),
            position=position,
        )
        if found is None:
            break
        builder.hole(found - position)
        position = found
    return builder.stream()


class _Builder:
    """Collects payloads as the chunks of a new stream."""

    def __init__(self, source: ByteStream) -> None:
        self.source = source
        self.spill = bytearray()
        self.rows: list[tuple[int, int, int, int, int]] = []
        self.end = 0
        self.first_spill = len(source.spill)

    def hole(self, length: int) -> None:
        """Leave a hole. How much payload it held is not known exactly: the frame headers in it count too.

        Whoever frames messages behind a hole therefore checks that one begins where the hole's length says.
        """
        self.end += length

    def add(self, frame: _Frame) -> None:
        """Append the payload of `frame`; bytes of it that are missing leave a hole of their size."""
        source = self.source
        stop = min(frame.start + frame.length, source.end)
        i = max(0, int(np.searchsorted(source.position, frame.start, "right")) - 1)
        while i < len(source.position) and source.position[i] < stop:
            at, size = int(source.position[i]), int(source.length[i])
            low, high = max(at, frame.start), min(at + size, stop)
            if low < high:
                place = self._place(frame, i, low, high)
                row = (
                    self.end + low - frame.start,
                    place,
                    high - low,
                    int(source.time_ns[i]),
                    int(source.packet[i]),
                )
                self.rows.append(row)
            i += 1
        # A payload cut off by the end of the capture ends there.
        self.end += max(0, stop - frame.start)

    def _place(self, frame: _Frame, chunk: int, low: int, high: int) -> int:
        """Return the offset of payload bytes [low, high) of `chunk`, unmasked where they are masked."""
        skip = low - int(self.source.position[chunk])
        offset = int(self.source.offset[chunk])
        if not frame.mask:
            return offset + skip if offset >= 0 else offset - skip
        memory, base = (self.source.file, offset) if offset >= 0 else (self.source.spill, -1 - offset)
        data = np.frombuffer(memory, np.uint8)[base + skip : base + skip + high - low]
        phase = (low - frame.start) % 4
        key = np.frombuffer((frame.mask * 2)[phase : phase + 4], np.uint8)
        place = -1 - (self.first_spill + len(self.spill))
        self.spill += (data ^ np.resize(key, len(data))).tobytes()
        return place

    def stream(self) -> ByteStream:
        """Return what was collected."""
        columns = np.array(self.rows, np.int64).reshape(-1, 5).T
        position, offset, length, time_ns, packet = (np.ascontiguousarray(c) for c in columns)
        return ByteStream(
            file=self.source.file,
            spill=bytes(self.source.spill) + bytes(self.spill),
            position=position,
            offset=offset,
            length=length,
            time_ns=time_ns,
            packet=packet,
            begins_with_syn=self.source.begins_with_syn,
            end_position=self.end,
        )
