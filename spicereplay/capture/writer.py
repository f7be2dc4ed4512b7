"""Writes pcapng files, packet by packet; each is complete in the file's buffer before the next one comes.

One section, one interface, times in nanoseconds, little-endian. Source: draft-ietf-opsawg-pcapng, 3 and 4.
"""

from __future__ import annotations

import struct
from typing import Final, Protocol

from spicereplay._version import __version__
from spicereplay.errors import UsageError

ETHERNET: Final = 1
"""Source: tcpdump.org/linktypes.html."""
APPLICATION: Final = f"spicereplay {__version__}"

_SECTION_HEADER: Final = 0x0A0D0D0A
_INTERFACE_DESCRIPTION: Final = 1
_ENHANCED_PACKET: Final = 6
_DECRYPTION_SECRETS: Final = 10
_BYTE_ORDER: Final = 0x1A2B3C4D
_TLS_KEY_LOG: Final = 0x544C534B
_COMMENT: Final = 1
_HARDWARE, _OS, _APPLICATION = 2, 3, 4
_IF_NAME, _IF_TSRESOL = 2, 9
_NANOSECONDS: Final = bytes([9])
"""if_tsresol: a time unit is 10 to the power of minus this, in seconds."""
_MOST_OPTION_BYTES: Final = 65_535
_ENHANCED: Final = struct.Struct("<IIIIIII")


class Output(Protocol):
    """What packets are written to: an open binary file, or what takes its place."""

    def write(self, data: bytes, /) -> object:
        """Take one whole block."""

    def flush(self) -> object:
        """Hand everything so far to the operating system."""


class PcapngWriter:
    """Writes packets to a binary file that it neither opens nor closes.

    The file's headers are written at once. Secrets are written only by `write_secrets`.
    """

    def __init__(
        self,
        file: Output,
        *,
        link: int = ETHERNET,
        interface: str = "",
        snaplen: int = 0,
        application: str = APPLICATION,
        hardware: str = "",
        operating_system: str = "",
        comment: str = "",
    ) -> None:
        """Begin a section with one interface. Empty texts are left out; `snaplen` 0 says that there is no limit."""
        self._file = file
        self.packets = 0
        """How many were written."""
        self.bytes_written = 0
        """How long the section is by now."""
        options = (
            _option(_COMMENT, comment)
            + _option(_HARDWARE, hardware)
            + _option(_OS, operating_system)
            + _option(_APPLICATION, application)
        )
        self._block(_SECTION_HEADER, struct.pack("<IHHq", _BYTE_ORDER, 1, 0, -1), options)
        options = _option(_IF_NAME, interface) + _padded(_IF_TSRESOL, _NANOSECONDS)
        self._block(_INTERFACE_DESCRIPTION, struct.pack("<HHI", link, 0, snaplen), options)

    def write(
        self, packet: bytes, time_ns: int, *, comment: str = "", wire_length: int | None = None
    ) -> None:
        """Write one packet, captured at `time_ns` nanoseconds since 1970.

        `wire_length` is its length on the wire where that is not all that was captured. Raises `UsageError` for a
        time before 1970 or beyond the year 2554, where the numbers end.
        """
        if not 0 <= time_ns < 1 << 64:
            raise UsageError(f"{time_ns} ns since 1970 cannot be written as the time of a packet")
        captured = len(packet)
        padding = -captured % 4
        options = _option(_COMMENT, comment)
        if options:
            options += bytes(4)
        total = 32 + captured + padding + len(options)
        wire = captured if wire_length is None else wire_length
        head = _ENHANCED.pack(_ENHANCED_PACKET, total, 0, time_ns >> 32, time_ns & 0xFFFFFFFF, captured, wire)
        self._file.write(b"".join((head, packet, bytes(padding), options, total.to_bytes(4, "little"))))
        self.packets += 1
        self.bytes_written += total

    def write_secrets(self, key_log: bytes) -> None:
        """Write secrets of TLS connections (SSLKEYLOGFILE format); whoever has the file can then read these."""
        self._block(_DECRYPTION_SECRETS, struct.pack("<II", _TLS_KEY_LOG, len(key_log)) + key_log, b"")

    def flush(self) -> None:
        """Hand everything so far to the operating system, so that others can read it."""
        self._file.flush()

    def _block(self, kind: int, body: bytes, options: bytes) -> None:
        body += bytes(-len(body) % 4)
        if options:
            options += bytes(4)  # the end of the options
        total = 12 + len(body) + len(options)
        length = total.to_bytes(4, "little")
        self._file.write(kind.to_bytes(4, "little") + length + body + options + length)
        self.bytes_written += total


def _option(code: int, text: str) -> bytes:
    """Return an option of text, cut where it is too long; nothing for an empty one."""
    value = text.encode("utf-8", "replace")
    if len(value) > _MOST_OPTION_BYTES:
        value = value[:_MOST_OPTION_BYTES].decode("utf-8", "ignore").encode()
    return _padded(code, value) if value else b""


def _padded(code: int, value: bytes) -> bytes:
    return struct.pack("<HH", code, len(value)) + value + bytes(-len(value) % 4)
