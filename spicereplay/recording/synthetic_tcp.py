"""A TCP connection made up around bytes whose own packets are not there or are not wanted.

Sequence numbers run, everything is acknowledged now and then, and missing bytes stay missing: their sequence numbers
are skipped. Nothing is retransmitted, reordered or late, so whoever analyses the connection finds no fault in it but
the holes that are asked for.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from spicereplay.capture.connection import Endpoint
from spicereplay.capture.frames import ACK, FIN, MOST_FRAME_BYTES, PSH, RST, SYN, Path, path, tcp_frame
from spicereplay.capture.writer import PcapngWriter
from spicereplay.errors import UsageError
from spicereplay.protocol.enums import Side

MOST_SEGMENT_BYTES: Final = 65_481
"""Payload of the longest IPv4 segment: its frame has `MOST_FRAME_BYTES`. Source: ryll-formats.md 9.4, 10.5: one more
byte and tools that take 65,535 for the snap length lose the whole segment. With IPv6 it is 20 bytes less."""
ACKNOWLEDGED_BYTES: Final = 1024 * 1024
"""Bytes of one side after which the other acknowledges even though it has nothing to say."""
MOST_GAP_BYTES: Final = 512 * 1024 * 1024
"""Longest hole whose sequence numbers are skipped: readers take steps of 1 GiB and more for damage."""

_WINDOW: Final = 0xFFFF
_WINDOW_SCALE: Final = 14
"""The largest there is (RFC 7323 2.3): 1 GiB, so that nothing ever looks as if it had to wait."""
_SYN_OPTIONS: Final = b"\x02\x04" + (MOST_FRAME_BYTES - 54).to_bytes(2, "big") + bytes([3, 3, _WINDOW_SCALE])
"""MSS and window scale."""


@dataclass(slots=True)
class _End:
    """What one side has sent."""

    way: Path
    sequence: int
    """Of its next byte, not wrapped."""
    acknowledged: int
    """Up to where the other side has said that it has it."""
    closed: bool = False


@dataclass(slots=True)
class SyntheticTcp:
    """One connection, written packet by packet. Times must not fall from call to call.

    `first_sequence` is the number of each side's SYN. The sequence numbers are those of TCP, modulo 2^32.
    """

    writer: PcapngWriter
    client: Endpoint
    server: Endpoint
    client_first_sequence: int = 0
    server_first_sequence: int = 0
    _ends: dict[Side, _End] = field(init=False)
    _opened: bool = False

    def __post_init__(self) -> None:
        self._ends = {
            Side.CLIENT: _End(
                path(self.client, self.server), self.client_first_sequence, self.client_first_sequence
            ),
            Side.SERVER: _End(
                path(self.server, self.client), self.server_first_sequence, self.server_first_sequence
            ),
        }

    def open(self, time_ns: int, comment: str = "") -> None:
        """Write SYN, SYN-ACK and ACK; `comment` goes to the first."""
        if self._opened:
            raise UsageError("the connection is open already")
        self._opened = True
        client, server = self._ends[Side.CLIENT], self._ends[Side.SERVER]
        self._send(Side.CLIENT, b"", time_ns, SYN, comment, options=_SYN_OPTIONS)
        client.sequence += 1
        self._send(Side.SERVER, b"", time_ns, SYN | ACK, options=_SYN_OPTIONS)
        server.sequence += 1
        self._send(Side.CLIENT, b"", time_ns, ACK)

    def data(self, side: Side, data: bytes, time_ns: int, comment: str = "") -> int:
        """Write bytes that `side` sends in as few segments as there can be, and return how many.

        The first one carries `comment`.
        """
        end = self._open_end(side)
        most = end.way.most_payload
        count = 0
        for start in range(0, len(data), most):
            piece = data[start : start + most]
            flags = ACK | PSH if start + most >= len(data) else ACK
            self._send(side, piece, time_ns, flags, comment if not start else "")
            end.sequence += len(piece)
            count += 1
            if end.sequence - end.acknowledged >= ACKNOWLEDGED_BYTES:
                self._send(side.other, b"", time_ns, ACK)
        return count

    def gap(self, side: Side, length: int) -> None:
        """Skip the sequence numbers of bytes that `side` sent and that are missing.

        Raises `UsageError` for less than 0 or more than `MOST_GAP_BYTES` of them.
        """
        end = self._open_end(side)
        if not 0 <= length <= MOST_GAP_BYTES:
            raise UsageError(f"a hole of {length} bytes; up to {MOST_GAP_BYTES} can be written")
        end.sequence += length

    def acknowledge(self, time_ns: int) -> bool:
        """Let both sides acknowledge what they have not yet; whether there was anything."""
        told = False
        for side in Side:
            end = self._open_end(side)
            if end.acknowledged < end.sequence:
                self._send(side.other, b"", time_ns, ACK)
                told = True
        return told

    def close(self, time_ns: int, by: Side = Side.CLIENT, *, reset: bool = False) -> None:
        """Write the end: `by` sends FIN first and the other side answers with its own; or `by` resets."""
        self._open_end(by)
        if reset:
            self._send(by, b"", time_ns, RST | ACK)
        else:
            for side in (by, by.other):
                self._send(side, b"", time_ns, FIN | ACK)
                self._ends[side].sequence += 1
            self._send(by, b"", time_ns, ACK)
        for end in self._ends.values():
            end.closed = True

    def _open_end(self, side: Side) -> _End:
        end = self._ends[side]
        if not self._opened or end.closed:
            raise UsageError(f"the connection is {'closed' if end.closed else 'not open yet'}")
        return end

    def _send(
        self, side: Side, payload: bytes, time_ns: int, flags: int, comment: str = "", options: bytes = b""
    ) -> None:
        end, other = self._ends[side], self._ends[side.other]
        if flags & ACK:
            other.acknowledged = other.sequence
        frame = tcp_frame(
            end.way,
            payload,
            sequence=end.sequence,
            acknowledgement=other.sequence if flags & ACK else 0,
            flags=flags,
            window=_WINDOW,
            options=options,
        )
        self.writer.write(frame, time_ns, comment=comment)
