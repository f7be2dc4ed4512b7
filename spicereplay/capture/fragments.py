"""IP fragments back to datagrams."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from spicereplay.defects import DefectKind, DefectLog
from spicereplay.limits import Limits
from spicereplay.units import NS_PER_S

PATIENCE_NS: Final = 60 * NS_PER_S
"""How long a datagram waits for its rest. Source: RFC 8200 4.5, RFC 1122 3.3.2."""
UNIT: Final = 8
"""Fragments begin at multiples of this many bytes. Source: RFC 791 3.1."""


@dataclass(slots=True)
class _Datagram:
    time_ns: int
    head: bytes = b""
    """IP header, of the fragment at offset 0."""
    data: bytearray = field(default_factory=bytearray)
    have: bytearray = field(default_factory=bytearray)
    """One byte per unit: whether it is there."""
    size: int = -1
    """Bytes behind the header, -1 until the last fragment was seen."""

    def put(self, start: int, piece: memoryview) -> None:
        """Enter `piece`; what was there first stays."""
        first, units = start // UNIT, (len(piece) + UNIT - 1) // UNIT
        grow = first + units - len(self.have)
        if grow > 0:
            self.have.extend(bytes(grow))
            self.data.extend(bytes(grow * UNIT))
        if not any(self.have[first : first + units]):
            self.data[start : start + len(piece)] = piece
        else:
            for unit in range(units):
                if not self.have[first + unit]:
                    part = piece[unit * UNIT : (unit + 1) * UNIT]
                    self.data[start + unit * UNIT : start + unit * UNIT + len(part)] = part
        self.have[first : first + units] = b"\1" * units

    @property
    def complete(self) -> bool:
        units = (self.size + UNIT - 1) // UNIT
        return bool(self.head) and self.size >= 0 and self.have.count(1, 0, units) == units


@dataclass(slots=True)
class FragmentStore:
    """Fragments waiting for the rest of their datagram, at most `limits.fragment_bytes` of them."""

    limits: Limits
    waiting: dict[bytes, _Datagram] = field(default_factory=dict)
    held: int = 0
    evicted: int = 0
    expired: int = 0

    def add(self, memory: memoryview, at: int, end: int, time_ns: int) -> bytes | None:
        """Take in the IP packet at `at`, captured up to `end`; return its datagram if that is complete now.

        The datagram is an IP packet without any sign of fragmentation; hop-by-hop and other extension headers
        in front of the fragment header are left out of it. A packet that contradicts itself is passed over.
        """
        parsed = _parse(memory, at, end)
        if parsed is None:
            return None
        key, head, start, more, piece, wire = parsed
        datagram = self.waiting.get(key)
        if datagram is not None and time_ns - datagram.time_ns > PATIENCE_NS:
            self._drop(key)
            self.expired += 1
            datagram = None
        if datagram is None:
            datagram = self.waiting[key] = _Datagram(time_ns)
        before = len(datagram.data)
        if start == 0 and not datagram.head:
            datagram.head = head
        if not more and datagram.size < 0:
            datagram.size = start + wire
        # Of a packet that was cut off by the snap length only whole units count, so it never completes.
        datagram.put(start, piece if len(piece) == wire else piece[: len(piece) // UNIT * UNIT])
        self.held += len(datagram.data) - before
        if datagram.complete:
            self._drop(key)
            return datagram.head + bytes(datagram.data[: datagram.size])
        while self.held > self.limits.fragment_bytes:
            self._drop(next(iter(self.waiting)))
            self.evicted += 1
        return None

    def _drop(self, key: bytes) -> None:
        self.held -= len(self.waiting.pop(key).data)

    def report(self, defects: DefectLog) -> None:
        """Add what was left over to `defects`."""
        missing = len(self.waiting) + self.expired
        if missing:
            detail = f"{missing:,} fragmented packets lack a fragment and are left out"
            defects.add(DefectKind.PACKET_CUT, "IP fragments", detail)
        if self.evicted:
            detail = (
                f"more than {self.limits.fragment_bytes:,} bytes of fragments were waiting at a time; "
                f"{self.evicted:,} packets are left out"
            )
            defects.add(DefectKind.OVER_LIMIT, "IP fragments", detail)


def _parse(memory: memoryview, at: int, end: int) -> tuple[bytes, bytes, int, bool, memoryview, int] | None:
    """Return key, header of the datagram, offset, whether more follow, bytes, and how many were sent."""
    if memory[at] >> 4 == 4:
        size = (memory[at] & 15) * 4
        if end < at + size or size < 20:
            return None
        head = bytearray(memory[at : at + size])
        total = int.from_bytes(head[2:4], "big")
        field_ = int.from_bytes(head[6:8], "big")
        start, more = (field_ & 0x1FFF) * UNIT, bool(field_ & 0x2000)
        key = bytes(head[4:6] + head[9:10] + head[12:20])
        head[2:4] = head[6:8] = b"\0\0"  # the length follows from the record
        wire, begin = total - size, at + size
    else:
        if end < at + 40:
            return None
        head = bytearray(memory[at : at + 40])
        stop = at + 40 + int.from_bytes(head[4:6], "big")
        kind, begin = head[6], at + 40
        while kind != 44:
            if end < begin + 8:
                return None
            kind, begin = memory[begin], begin + _extension_bytes(kind, memory[begin + 1])
        if end < begin + 8:
            return None
        field_ = int.from_bytes(memory[begin + 2 : begin + 4], "big")
        start, more = field_ & 0xFFF8, bool(field_ & 1)
        key = bytes(head[8:40]) + bytes(memory[begin + 4 : begin + 8])
        head[6], head[4:6] = memory[begin], b"\0\0"
        begin += 8
        wire = stop - begin
    if wire <= 0 or start + wire > 0xFFFF or (more and wire % UNIT):
        return None
    piece = memory[begin : min(end, begin + wire)]
    return key, bytes(head), start, more, piece, wire


def _extension_bytes(kind: int, length: int) -> int:
    """Size of an IPv6 extension header. Source: RFC 8200 4.3, RFC 4302 2.2 (authentication, 51)."""
    return (length + 2) * 4 if kind == 51 else (length + 1) * 8
