"""A byte stream cut into TLS records. Source: RFC 5246 section 6.2, RFC 8446 section 5.1."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from spicereplay.bytestream import ByteStream
from spicereplay.units import KIB, MIB

CHANGE_CIPHER_SPEC, ALERT, HANDSHAKE, APPLICATION_DATA, HEARTBEAT = 20, 21, 22, 23, 24
HEADER_BYTES: Final = 5
CONTENT_BYTES: Final = 16 * 1024
"""Most content of one record."""
FRAGMENT_BYTES: Final = CONTENT_BYTES + 2048
"""Longest protected fragment of TLS 1.2; 1.3 has a shorter one."""
CHAIN: Final = 4
"""Headers that must follow each other before they count."""
LEAST_CHAIN: Final = 2
"""As many will do where what is looked at ends with the last of them."""
LEAST_BYTES: Final = 17
"""Shortest protected fragment: a byte and its tag."""
SEARCH_BYTES: Final = 128 * KIB
"""How far into a stream a record is looked for; a record has 16 KiB at most."""
_APPLICATION_DATA: Final = bytes([APPLICATION_DATA, 3, 3])
"""How a record of content begins in TLS 1.2 and 1.3."""
_WINDOW: Final = MIB


class Record(NamedTuple):
    """One record as it was sent."""

    position: int
    """Stream position of its header."""
    kind: int
    """Content type of the header; what TLS 1.3 protects is always called application data there."""
    header: bytes
    fragment: bytes

    @property
    def end(self) -> int:
        """Stream position behind it."""
        return self.position + HEADER_BYTES + len(self.fragment)


class Broken(NamedTuple):
    """Where records cannot be followed any further, and why."""

    position: int
    reason: str
    no_header: bool = False
    """The bytes there are none of a record's beginning."""


def records(stream: ByteStream, *, window_bytes: int = _WINDOW) -> Iterator[Record | Broken]:
    """Yield the records of a stream from its beginning; a `Broken` is the last to come, if one comes.

    Where records begin is known from their predecessors alone, so that a hole ends them all. `window_bytes` are read
    at once.
    """
    window, base, at = b"", 0, 0
    whole = False  # the window reaches up to the next hole or the end
    while at < stream.end:
        if not whole and len(window) - (at - base) < HEADER_BYTES + FRAGMENT_BYTES:
            window, base = stream.read(at, at + window_bytes), at
            whole = len(window) < window_bytes
        start = at - base
        header = window[start : start + HEADER_BYTES]
        length = int.from_bytes(header[3:], "big")
        if len(header) == HEADER_BYTES and not _plausible(header, length):
            yield Broken(at, f"the bytes {header.hex(' ')} begin no TLS record", no_header=True)
            return
        fragment = window[start + HEADER_BYTES : start + HEADER_BYTES + length]
        if len(header) < HEADER_BYTES or len(fragment) < length:
            yield Broken(at, _cut(stream, base + len(window)))
            return
        yield Record(at, header[0], header, fragment)
        at += HEADER_BYTES + length


def records_begin(stream: ByteStream) -> int | None:
    """Return where the first whole records of application data begin in a stream that begins anywhere; None: nowhere.

    `CHAIN` headers have to follow each other, fewer where the stream ends with the last of them.
    """
    data = stream.read(0, SEARCH_BYTES)
    at = data.find(_APPLICATION_DATA)
    while at >= 0:
        if _chains(data, at):
            return at
        at = data.find(_APPLICATION_DATA, at + 1)
    return None


def _chains(data: bytes, at: int) -> bool:
    for count in range(CHAIN):
        if at == len(data):
            return count >= LEAST_CHAIN
        length = int.from_bytes(data[at + 3 : at + HEADER_BYTES], "big")
        if not data.startswith(_APPLICATION_DATA, at) or not LEAST_BYTES <= length <= FRAGMENT_BYTES:
            return False
        at += HEADER_BYTES + length
    return True


def _plausible(header: bytes, length: int) -> bool:
    return CHANGE_CIPHER_SPEC <= header[0] <= HEARTBEAT and header[1] == 3 and length <= FRAGMENT_BYTES


def _cut(stream: ByteStream, position: int) -> str:
    """Say what ended the bytes at `position`, in the middle of a record."""
    missing = next((length for at, length, _ in stream.gaps() if at == position), 0)
    return f"{missing:,} bytes are missing" if missing else "the capture ends within a record"
