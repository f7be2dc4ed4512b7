"""TCP segments to connections: who sent which bytes, when they could be delivered, and which are missing.

Sequence numbers become 64-bit stream positions. A segment belongs nearest to what its side last sent or had
acknowledged, so wrapping needs no special case. A step of more than 1 GiB, which no window allows, is
believed only if the peer acknowledges numbers there or the side goes on from there; else the segment is left
out, with a defect. Of bytes sent twice the first arrival counts.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

import numpy as np

from spicereplay.bytestream import ByteStream, DirectionFacts, Int64Array
from spicereplay.capture._kernels import tcp as kernel
from spicereplay.capture._kernels.tcp import Fact
from spicereplay.capture.connection import Connection
from spicereplay.capture.container import MappedFile
from spicereplay.capture.packets import PacketTable
from spicereplay.capture.tcp_analysis import analyse
from spicereplay.defects import DefectKind, DefectLog
from spicereplay.limits import Limits
from spicereplay.units import MIB

_CLOSED: Final = (None, "fin", "rst")
_SYN: Final = 2
_NONE: Final = np.empty(0, np.int64)
_COMPARED_AT_ONCE: Final = 16_384
_COMPARED_WITHIN: Final = 32 * MIB
"""Segments, and bytes of the file they lie in, that are held against others before the pages are let go."""


@dataclass(frozen=True, slots=True, eq=False)
class _Chunks:
    """Pieces of one direction, sorted by position, none of them over another."""

    position: Int64Array
    length: Int64Array
    offset: Int64Array
    row: Int64Array
    """Row of the packet table each comes from."""
    retransmitted_bytes: int = 0
    conflicts: int = 0


_NO_CHUNKS: Final = _Chunks(_NONE, _NONE, _NONE, _NONE)
_FactsOfSides = list[list[int]]
"""By side, then by `Fact`."""


def reassemble(
    table: PacketTable, file: MappedFile, *, limits: Limits, defects: DefectLog
) -> list[Connection]:
    """Return the TCP connections of `table`, in the order of their first packets.

    `file` is what the table was read from; the streams point into it. A SYN with a new initial sequence
    number starts another connection on the same ports. More connections than `limits.flows` are left out,
    with a defect.
    """
    order = np.empty(len(table.flow), np.int64)
    starts = np.empty(len(table.flows) + 1, np.int64)
    kernel.group_by_flow(table.flow, starts, order)
    # A connection begins with a flow or a SYN, or (very rarely) at an unlikely jump backwards.
    room = len(table.flows) + int(np.count_nonzero(table.flags & _SYN)) + 1024
    room = min(room, limits.flows, len(order))
    while True:
        connection_starts = np.empty(room + 1, np.int64)
        position = np.empty(len(order), np.int64)
        facts = np.zeros((room, 2, Fact.FACTS), np.int64)
        count = kernel.follow(
            order,
            starts,
            table.side,
            table.sequence,
            table.acknowledgement,
            table.flags,
            table.length,
            table.wire_length,
            connection_starts,
            position,
            facts,
        )
        if count >= 0:
            break
        if room >= min(limits.flows, len(order)):
            defects.add(
                DefectKind.OVER_LIMIT,
                "packets",
                f"more than {limits.flows:,} TCP connections; the rest is left out",
            )
            count = room
            break
        room = min(2 * room, limits.flows, len(order))
    connection_starts = connection_starts[: count + 1]
    analysis = analyse(table, file, order, connection_starts, position, facts[:count], limits, defects)
    places = np.flatnonzero(position[: connection_starts[-1]] == kernel.WILD)
    wild = set((np.searchsorted(connection_starts[:-1], places, "right") - 1).tolist())
    first_rows = order[connection_starts[:-1]]
    return [
        _connection(
            table,
            file,
            order[connection_starts[c] : connection_starts[c + 1]],
            position[connection_starts[c] : connection_starts[c + 1]],
            facts[c].tolist(),
            (analysis.facts(c, 0), analysis.facts(c, 1)),
            int(connection_starts[c]),
            c in wild,
            limits,
        )
        for c in np.argsort(first_rows, kind="stable").tolist()
    ]


def _connection(
    table: PacketTable,
    file: MappedFile,
    rows: Int64Array,
    position: Int64Array,
    facts: _FactsOfSides,
    analysed: tuple[DirectionFacts, DirectionFacts],
    base: int,
    wild: bool,
    limits: Limits,
) -> Connection:
    """Put one connection together from its rows; `base` is the place of the first of them in the order.

    `wild` says whether one of them has a sequence number that cannot be.
    """
    sides = table.side[rows]
    syn = (facts[0][Fact.SYN], facts[1][Fact.SYN])
    # A SYN (1) or one known from its answer (3) tells the opener. An answer (2) makes the other side's a 3.
    opener = 0 if syn[0] % 2 else 1 if syn[1] % 2 else int(sides[0])
    pair = table.flows[int(table.flow[rows[0]])]
    endpoints = (pair[opener], pair[1 - opener])
    defects = DefectLog(limits.defects_per_kind)
    streams, found = [], []
    for side in (opener, 1 - opener):
        chunks = _NO_CHUNKS
        if facts[side][Fact.SEGMENTS] or wild:
            mine = sides == side
            where = f"{pair[side]} → {pair[1 - side]}"
            _note_wild(table, rows[mine & (position == kernel.WILD)], where, defects)
            mine &= position > kernel.WILD
            late = facts[side][Fact.LATE] > 0
            chunks = _chunks(table, file, rows[mine], position[mine], late, where, defects)
        streams.append(_stream(table, file, chunks, facts[side]))
        found.append(_with_bytes(analysed[side], chunks, facts[side]))
    closing = [side[Fact.CLOSED_AT] for side in facts if side[Fact.CLOSED_AT] >= 0]
    times = table.time_ns[rows]
    return Connection(
        endpoints=endpoints,
        streams=(streams[0], streams[1]),
        facts=(found[0], found[1]),
        opener_seen=any(syn),
        first_time_ns=int(times[0]),
        last_time_ns=int(times.max()),
        closed=(_CLOSED[facts[opener][Fact.CLOSED]], _CLOSED[facts[1 - opener][Fact.CLOSED]]),
        closed_time_ns=int(times[min(closing) - base]) if closing else None,
        defects=defects,
    )


def _note_wild(table: PacketTable, rows: Int64Array, where: str, defects: DefectLog) -> None:
    for row in rows.tolist():
        defects.add(
            DefectKind.PACKET_MALFORMED,
            where,
            f"packet {int(table.packet[row]) + 1} has sequence number {int(table.sequence[row])}, more than "
            f"1 GiB from its neighbours; its {int(table.wire_length[row]):,} bytes are left out",
            time_ns=int(table.time_ns[row]),
        )


def _chunks(
    table: PacketTable,
    file: MappedFile,
    rows: Int64Array,
    position: Int64Array,
    late: bool,
    where: str,
    defects: DefectLog,
) -> _Chunks:
    """Return the chunks of one direction, whose segments lie at `position` in order of arrival."""
    if not len(rows):
        return _NO_CHUNKS
    length = table.length[rows].astype(np.int64)
    if not late:
        return _Chunks(position, length, table.offset[rows], rows)
    return _sorted_chunks(table, file, rows, position, length, where, defects)


def _sorted_chunks(
    table: PacketTable,
    file: MappedFile,
    rows: Int64Array,
    position: Int64Array,
    length: Int64Array,
    where: str,
    defects: DefectLog,
) -> _Chunks:
    """Return the chunks of a direction in which segments come late, again, or over one another."""
    before = np.minimum(np.maximum(-position, 0), length)  # bytes of before position 0
    keep = np.flatnonzero(before < length)
    order = keep[np.argsort((position + before)[keep], kind="stable")]
    start, stop = (position + before)[order], (position + length)[order]
    offset = table.offset[rows][order]
    offset += np.where(offset >= 0, before[order], -before[order])

    n = len(order)
    owner, piece_start, piece_stop = (np.empty(2 * n, np.int64) for _ in range(3))
    pieces = kernel.overlay(start, stop, order, np.empty(n, np.int64), owner, piece_start, piece_stop)
    owner, piece_start, piece_stop = owner[:pieces], piece_start[:pieces], piece_stop[:pieces]
    own_bytes, differs_at = np.empty(n, np.int64), np.empty(n, np.int64)
    spill = np.frombuffer(table.spill, np.uint8)
    piece = 0
    furthest = np.maximum.accumulate(np.maximum(offset, 0)) // _COMPARED_WITHIN
    edges = np.union1d(np.arange(0, n, _COMPARED_AT_ONCE), np.flatnonzero(np.diff(furthest)) + 1)
    for first, last in pairwise([*edges.tolist(), n]):
        piece = kernel.compare(
            file.memory,
            spill,
            start,
            stop,
            offset,
            pieces,
            owner,
            piece_start,
            piece_stop,
            first,
            last,
            piece,
            own_bytes,
            differs_at,
        )
        if piece < 0:
            raise ValueError("the packet table does not belong to this file")
        file.release(0, file.size)
    conflicts = np.flatnonzero(differs_at >= 0)
    for i in conflicts[np.argsort(order[conflicts])].tolist():
        row = int(rows[order[i]])
        defects.add(
            DefectKind.RETRANSMISSION_CONFLICT,
            where,
            f"packet {int(table.packet[row]) + 1} sends {int(stop[i] - start[i]):,} bytes from position "
            f"{int(start[i]):,} again, with other content from {int(differs_at[i]):,} on; "
            "the first arrival counts",
            time_ns=int(table.time_ns[row]),
            position=int(differs_at[i]),
        )
    skip = piece_start - start[owner]
    offset = offset[owner]
    return _Chunks(
        piece_start,
        piece_stop - piece_start,
        offset + np.where(offset >= 0, skip, -skip),
        rows[order][owner],
        retransmitted_bytes=int((stop - start - own_bytes).sum()),
        conflicts=len(conflicts),
    )


def _stream(table: PacketTable, file: MappedFile, chunks: _Chunks, facts: list[int]) -> ByteStream:
    end, known = 0, _known_end(facts)
    time_ns = packet = _NONE
    if len(chunks.row):
        end = int(chunks.position[-1] + chunks.length[-1])
        time_ns, packet = np.maximum.accumulate(table.time_ns[chunks.row]), table.packet[chunks.row]
    return ByteStream(
        file=file.memory,
        spill=table.spill,
        position=chunks.position,
        offset=chunks.offset,
        length=chunks.length,
        time_ns=time_ns,
        packet=packet,
        first_sequence=facts[Fact.FIRST_SEQUENCE],
        begins_with_syn=bool(facts[Fact.SYN]),
        markers=_markers(table, chunks, max(end, known)),
        end_position=known if len(chunks.row) and known > end else -1,
    )


def _known_end(facts: list[int]) -> int:
    """One past the last byte of the direction that is known to have been sent.

    An acknowledgement counts the FIN as one byte. Where one goes just one past the last byte and no FIN was
    captured, it is taken to acknowledge the FIN.
    """
    high, fin, acked = facts[Fact.HIGH], facts[Fact.FIN], facts[Fact.ACKED]
    if fin >= 0:
        return max(high, fin)
    return high if acked == high + 1 else max(high, acked)


def _markers(table: PacketTable, chunks: _Chunks, end: int) -> Int64Array:
    """Return where empty records of the capture may stand for bytes of this direction.

    An empty record has no addresses; it stands for a message that took sequence numbers and left no bytes. So
    it belongs to a hole whose neighbouring segments lie before and behind it in the file, or to bytes known
    to be missing after the last segment. A record that fits holes of several directions is a marker in each.
    Source: ryll-formats.md 10.5.
    """
    placeholders = table.empty_records.rows_before
    if not len(placeholders) or not len(chunks.row):
        return _NONE
    ends = chunks.position + chunks.length
    holes = np.flatnonzero(chunks.position[1:] > ends[:-1])
    before, behind, at = chunks.row[holes], chunks.row[holes + 1], ends[holes]
    if end > ends[-1]:
        before, behind, at = (
            np.append(a, b) for a, b in ((before, chunks.row[-1]), (behind, len(table.flow)), (at, ends[-1]))
        )
    # Rows up to `before` precede the record, and row `behind` follows it.
    count = np.searchsorted(placeholders, behind, "right") - np.searchsorted(placeholders, before, "right")
    return np.repeat(at, np.maximum(count, 0))


def _with_bytes(analysed: DirectionFacts, chunks: _Chunks, facts: list[int]) -> DirectionFacts:
    """Add what the bytes show to what the headers do."""
    end = int(chunks.position[-1] + chunks.length[-1]) if len(chunks.row) else 0
    return replace(
        analysed,
        segments=facts[Fact.SEGMENTS],
        payload_bytes=facts[Fact.PAYLOAD_BYTES],
        retransmitted_bytes=chunks.retransmitted_bytes,
        conflicts=chunks.conflicts,
        sequence_wraps=(facts[Fact.FIRST_SEQUENCE] + max(end - 1, 0)) >> 32,
    )
