"""Capture files written anew from what their packets said, with nothing else of them left.

A capture keeps every packet at its place and time. A TCP segment of SPICE is built again: pseudonyms for its addresses,
its own ports, numbers, flags and options, the neutral bytes of its payload, and checksums that are right. A packet of
anything else leaves an empty one of no protocol, so that packets keep their numbers. ryll's recordings have addresses
of their own making and stay pcap files, record for record.
Source: RFC 791, RFC 8200, RFC 9293; RFC 3692 (protocol 253); ryll-formats.md 9.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np

from spicereplay.bytestream import ByteStream, Int64Array
from spicereplay.capture import Capture
from spicereplay.capture.connection import Connection, Endpoint
from spicereplay.capture.frames import IPV4_BYTES, TCP_BYTES, checksum, path
from spicereplay.capture.frames import Path as Way
from spicereplay.capture.packets import RAW_IP, PacketTable, read_packets
from spicereplay.capture.records import PCAP_HEADER_BYTES, read_records
from spicereplay.capture.writer import PcapngWriter
from spicereplay.defects import DefectKind, DefectLog
from spicereplay.limits import Limits
from spicereplay.redact.edits import Edits
from spicereplay.redact.pseudonyms import Pseudonyms

Progress = Callable[[int, int], None]

_PROTOCOL_TCP: Final = 6
_NO_PROTOCOL: Final = 253
"""Source: RFC 3692 2.1 (for experiments; nobody may take it for anything)."""
_OPTIONS_CUT: Final = 255
"""`PacketTable.options` where not all of them were captured."""
_KEPT_OPTIONS: Final = (2, 3, 4, 5)
"""MSS, window scale, and selective acknowledgements: what an analysis of the connection needs. The others become
padding: a timestamp tells how long a machine has been up. Source: RFC 9293 3.2, RFC 7323, RFC 2018."""
_HALF: Final = 1 << 31
_WRAP: Final = 1 << 32
_TELL_EVERY: Final = 4096


@dataclass(slots=True)
class Payloads:
    """The neutral payload of each TCP segment of a capture."""

    table: PacketTable
    edits: Edits
    connections: Mapping[frozenset[Endpoint], list[Connection]]
    """The connections that stay, by their ends."""
    _covered: dict[bool, tuple[Int64Array, Int64Array, Int64Array]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        streams = [stream for found in self.connections.values() for c in found for stream in c.streams]
        for in_file in (True, False):
            starts = [
                np.where(s.offset >= 0, s.offset, -1 - s.offset)[(s.offset >= 0) == in_file] for s in streams
            ]
            lengths = [s.length[(s.offset >= 0) == in_file] for s in streams]
            start = np.concatenate([*starts, np.empty(0, np.int64)])
            length = np.concatenate([*lengths, np.empty(0, np.int64)])
            order = np.argsort(start, kind="stable")
            total = np.concatenate(([0], np.cumsum(length[order])))
            self._covered[in_file] = start[order], length[order], total

    def of(self, row: int, memory: memoryview) -> bytes:
        """Return the payload of a row of the table; `memory` is the capture file."""
        offset, length = int(self.table.offset[row]), int(self.table.length[row])
        if not length:
            return b""
        in_file = offset >= 0
        start = offset if in_file else -1 - offset
        if self._is_covered(in_file, start, start + length):
            copy = self.edits.copy_of(memory if in_file else self.table.spill)
            return bytes(copy[start : start + length])
        old = bytes((memory if in_file else self.table.spill)[start : start + length])
        return self._sent_again(row, old)

    def _is_covered(self, in_file: bool, start: int, stop: int) -> bool:
        """Say whether all bytes of a stretch belong to chunks of streams."""
        begins, lengths, total = self._covered[in_file]

        def before(at: int) -> int:
            i = int(np.searchsorted(begins, at, "left"))
            if i == 0:
                return 0
            inside = min(at - int(begins[i - 1]), int(lengths[i - 1]))
            return int(total[i - 1]) + inside

        return before(stop) - before(start) == stop - start

    def _sent_again(self, row: int, old: bytes) -> bytes:
        """Return the payload of a segment of which some bytes came another time.

        They become what the others became; where they differed then, they differ now, in a way that tells nothing.
        """
        stream = self._stream_of(row)
        if stream is None:
            return bytes(len(old))
        position = self._position(row, stream)
        now = self.edits.edited(stream)
        made = bytearray(len(old))
        for (at, was), (_, new) in zip(
            stream.pieces(position, position + len(old)),
            now.pieces(position, position + len(old)),
            strict=True,
        ):
            low = at - position
            made[low : low + len(new)] = new
            mine = old[low : low + len(was)]
            if mine != was:
                for i, (a, b) in enumerate(zip(mine, was, strict=True)):
                    if a != b:
                        made[low + i] = new[i] ^ 0xFF
        return bytes(made)

    def _stream_of(self, row: int) -> ByteStream | None:
        pair = self.table.flows[int(self.table.flow[row])]
        sender = pair[int(self.table.side[row])]
        time_ns = int(self.table.time_ns[row])
        best, least = None, -1
        for connection in self.connections.get(frozenset(pair), ()):
            away = max(connection.first_time_ns - time_ns, time_ns - connection.last_time_ns, 0)
            if best is None or away < least:
                best, least = connection, away
        if best is None:
            return None
        side = 0 if best.endpoints[0] == sender else 1
        return best.streams[side] if len(best.streams[side].position) else None

    def _position(self, row: int, stream: ByteStream) -> int:
        """Return where in a stream a segment begins: of all places its number could mean the one nearest in time."""
        place = (int(self.table.sequence[row]) - stream.first_sequence) % _WRAP
        i = min(int(np.searchsorted(stream.time_ns, self.table.time_ns[row])), len(stream.position) - 1)
        near = int(stream.position[i])
        return place + (near - place + _HALF) // _WRAP * _WRAP


def write_capture(
    capture: Capture,
    edits: Edits,
    names: Pseudonyms,
    connections: list[Connection],
    target: Path,
    limits: Limits,
    progress: Progress | None = None,
) -> int:
    """Write a capture as pcapng and return how many packets lost all they held.

    `connections` are those that stay. Raises `OSError` where it cannot be written.
    """
    by_ends: dict[frozenset[Endpoint], list[Connection]] = {}
    for connection in connections:
        by_ends.setdefault(frozenset(connection.endpoints), []).append(connection)
    table = read_packets(capture.file, limits=limits, defects=DefectLog())
    payloads = Payloads(table, edits, by_ends)
    kept = [frozenset(pair) in by_ends for pair in table.flows]
    frames = _Frames(names, table, capture.file.memory)
    emptied = row = 0
    with target.open("wb") as file:
        writer = PcapngWriter(file, link=RAW_IP)
        for number, time_ns, empty in _records(capture, limits):
            while row < len(table.packet) and table.packet[row] < number:
                row += 1
            if empty:
                writer.write(b"", time_ns)
            elif row < len(table.packet) and table.packet[row] == number and kept[int(table.flow[row])]:
                frame, wire = frames.segment(row, payloads.of(row, capture.file.memory))
                writer.write(frame, time_ns, wire_length=wire)
            else:
                writer.write(frames.nothing(), time_ns)
                emptied += 1
            if progress is not None and number % _TELL_EVERY == 0:
                progress(number, capture.packets)
        if capture.defects.counts[DefectKind.FILE_TRUNCATED, f"record {capture.packets + 1}"]:
            file.write(struct.pack("<II", 6, 32))  # a packet's block that begins and is not there
        elif capture.defects.counts[DefectKind.FILE_DAMAGED, f"record {capture.packets + 1}"]:
            file.write(struct.pack("<III", 5, 12, 16))  # a block whose two lengths differ
    return emptied


def _records(capture: Capture, limits: Limits) -> Iterator[tuple[int, int, bool]]:
    """Yield number, time and emptiness of every record of a capture file."""
    _, batches = read_records(capture.file, limits=limits, defects=DefectLog(), secrets=[])
    for batch in batches:
        for i in range(batch.count):
            yield batch.first + i, int(batch.time_ns[i]), not batch.wire[i] and not batch.captured[i]


@dataclass(frozen=True, slots=True)
class _Frames:
    """Builds IP packets without anything below them."""

    names: Pseudonyms
    table: PacketTable
    memory: memoryview

    def segment(self, row: int, payload: bytes) -> tuple[bytes, int]:
        """Return a row's packet as far as it was captured, and its length on the wire."""
        table = self.table
        pair = table.flows[int(table.flow[row])]
        side = int(table.side[row])
        way = path(self.names.endpoint(pair[side]), self.names.endpoint(pair[1 - side]))
        wire = max(int(table.wire_length[row]), len(payload))
        whole = _ip_packet(way, table, row, payload.ljust(wire, b"\0"), self._options(row))
        return whole[: len(whole) - (wire - len(payload))], len(whole)

    def _options(self, row: int) -> bytes:
        count, offset = int(self.table.options[row]), int(self.table.offset[row])
        if count in (0, _OPTIONS_CUT):
            return b""
        end = offset if offset >= 0 else -1 - offset
        options = bytearray((self.memory if offset >= 0 else self.table.spill)[end - count : end])
        at = 0
        while at < len(options) and options[at]:
            length = 1 if options[at] == 1 else options[at + 1] if at + 1 < len(options) else 0
            if length < 1 or at + length > len(options):
                break
            if options[at] not in _KEPT_OPTIONS:
                options[at : at + length] = b"\1" * length
            at += length
        options[at:] = bytes(len(options) - at)
        return bytes(options)

    def nothing(self) -> bytes:
        """Return a packet of no protocol between nobodies."""
        return _ip_header(4, bytes([192, 0, 2, 0, 192, 0, 2, 0]), 0, _NO_PROTOCOL)


def _ip_packet(way: Way, table: PacketTable, row: int, payload: bytes, options: bytes = b"") -> bytes:
    """Return the IP packet of a row of the table with other bytes in it."""
    header = bytearray(
        struct.pack(
            ">HHIIBBHHH",
            way.source.port,
            way.destination.port,
            int(table.sequence[row]),
            int(table.acknowledgement[row]),
            (TCP_BYTES + len(options)) << 2,
            int(table.flags[row]),
            int(table.window[row]),
            0,
            0,
        )
    )
    segment = bytes(header) + options + payload
    pseudo = way.addresses + struct.pack(">II", len(segment), _PROTOCOL_TCP)
    header[16:18] = checksum(pseudo + segment).to_bytes(2, "big")
    head = _ip_header(way.version, way.addresses, len(segment), _PROTOCOL_TCP)
    return head + bytes(header) + options + payload


def _ip_header(version: int, addresses: bytes, payload_bytes: int, protocol: int) -> bytes:
    """Return an IP header. A length beyond 16 bits is written as 0, as captures of segments to be cut later have it."""
    if version == 6:
        size = payload_bytes if payload_bytes <= 0xFFFF else 0
        return struct.pack(">IHBB", 6 << 28, size, protocol, 64) + addresses
    size = IPV4_BYTES + payload_bytes
    size = size if size <= 0xFFFF else 0
    bare = struct.pack(">BBHHHBBH", 0x45, 0, size, 0, 0x4000, 64, protocol, 0) + addresses
    return bare[:10] + checksum(bare).to_bytes(2, "big") + bare[12:]


# --- ryll's ---------------------------------------------------------------------------------------------


def write_ryll(
    capture: Capture, edits: Edits, connections: list[Connection], target: Path, limits: Limits
) -> None:
    """Write a recording of ryll's as a pcap with the records it had.

    A record that is no TCP segment of these connections becomes zeros, as long as it was.
    """
    by_ends: dict[frozenset[Endpoint], list[Connection]] = {}
    for connection in connections:
        by_ends.setdefault(frozenset(connection.endpoints), []).append(connection)
    memory = capture.file.memory
    table = read_packets(capture.file, limits=limits, defects=DefectLog())
    payloads = Payloads(table, edits, by_ends)
    row = 0
    with target.open("wb") as file:
        file.write(memory[:PCAP_HEADER_BYTES])
        at = PCAP_HEADER_BYTES
        _, batches = read_records(capture.file, limits=limits, defects=DefectLog(), secrets=[])
        for batch in batches:
            for i in range(batch.count):
                number, offset, captured = batch.first + i, int(batch.offset[i]), int(batch.captured[i])
                while row < len(table.packet) and table.packet[row] < number:
                    row += 1
                frame = b""
                if row < len(table.packet) and table.packet[row] == number:
                    frame = _ryll_frame(table, row, payloads.of(row, memory))
                file.write(memory[at:offset])
                file.write(frame if len(frame) == captured else bytes(captured))
                at = offset + captured
        rest = len(memory) - at
        # What is left of a record that was cut off: its lengths, and nothing of what they announce.
        file.write(bytes(memory[at : at + 16]).ljust(rest, b"\0")[:rest])


def _ryll_frame(table: PacketTable, row: int, payload: bytes) -> bytes:
    pair = table.flows[int(table.flow[row])]
    side = int(table.side[row])
    way = path(pair[side], pair[1 - side])
    return way.ethernet + _ip_packet(way, table, row, payload)
