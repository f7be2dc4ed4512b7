"""The table `usbredir`: what passed between USB devices at the client and the guest, counted by kind."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from spicereplay.analysis.columns import Record, records, second
from spicereplay.analysis.transport import place
from spicereplay.analysis.tunnels import slices
from spicereplay.defects import DefectLog
from spicereplay.limits import Limits
from spicereplay.protocol.enums import ChannelType, Side
from spicereplay.protocol.usbredir import (
    ANSWERS,
    ENDPOINT_IN,
    UsbPacket,
    UsbPacketType,
    UsbredirTalk,
    UsbStatus,
    type_name,
)
from spicereplay.session.log import ChannelLog, SessionLog
from spicereplay.units import NS_PER_MS

if TYPE_CHECKING:
    import pandas as pd


@dataclass(slots=True, eq=False)
class _Kind:
    """All packets of one type that one side sent."""

    count: int = 0
    bytes: int = 0
    first_ns: int | None = None
    last_ns: int | None = None
    statuses: Counter[int] = field(default_factory=Counter)
    answer_ms: array[float] = field(default_factory=lambda: array("d"))
    unanswered: int = 0


def usbredir(
    sessions: Sequence[SessionLog], origin_ns: int, limits: Limits, defects: DefectLog
) -> pd.DataFrame:
    """Return the table `usbredir`, in the order of the packets' numbers within each direction of a channel."""
    return records(
        "usbredir",
        [
            row
            for session in sessions
            for log in session.of(ChannelType.USBREDIR)
            for row in _rows(session, log, origin_ns, limits, defects)
        ],
    )


def _rows(
    session: SessionLog, log: ChannelLog, origin_ns: int, limits: Limits, defects: DefectLog
) -> Iterator[Record]:
    talk = UsbredirTalk(limits, defects, log.name, complete=log.link is not None)
    kinds = _count(talk, log, limits, defects)
    for side in (Side.SERVER, Side.CLIENT):
        where = {**place(session, log), "from": str(side)}
        del where["channel"]
        for type_ in sorted(kinds[side]):
            yield {**where, **_columns(type_name(type_), kinds[side][type_], origin_ns)}
        if talk.skipped(side):
            yield {**where, **_columns("unread", _Kind(bytes=talk.skipped(side)), origin_ns)}


def _count(
    talk: UsbredirTalk, log: ChannelLog, limits: Limits, defects: DefectLog
) -> dict[Side, dict[int, _Kind]]:
    kinds: dict[Side, dict[int, _Kind]] = {side: {} for side in Side}
    waiting: dict[tuple[int, int], tuple[_Kind, int]] = {}
    for piece in slices(log, limits, defects):
        if piece.data is None:
            talk.lost(piece.side)
            # Their answers may be among what is missing.
            waiting.clear()
            continue
        for packet in talk.feed(piece.side, piece.data, piece.time_ns):
            kind = kinds[packet.side].setdefault(packet.type, _Kind())
            _add(kind, packet)
            _pair(kind, packet, waiting, limits)
    for kind, _ in waiting.values():
        kind.unanswered += 1
    return kinds


def _add(kind: _Kind, packet: UsbPacket) -> None:
    kind.count += 1
    kind.bytes += packet.size
    if kind.first_ns is None:
        kind.first_ns = packet.end_ns
    kind.last_ns = packet.end_ns
    if packet.status:
        kind.statuses[packet.status] += 1


def _pair(
    kind: _Kind, packet: UsbPacket, waiting: dict[tuple[int, int], tuple[_Kind, int]], limits: Limits
) -> None:
    """Remember a request of the guest, or find the one that a packet of the device's end answers by its id."""
    if packet.side is Side.SERVER:
        if packet.type in ANSWERS:
            if len(waiting) >= limits.usbredir_pending:
                waiting.pop(next(iter(waiting)))[0].unanswered += 1
            waiting[ANSWERS[packet.type], packet.id] = kind, packet.end_ns
        return
    if packet.type == UsbPacketType.INTERRUPT_PACKET and (packet.endpoint or 0) & ENDPOINT_IN:
        return  # Sent unasked, with ids of its own. Source: protocol, "usb_redir_interrupt_packet".
    asked = waiting.pop((packet.type, packet.id), None)
    if asked is not None:
        asked[0].answer_ms.append((packet.end_ns - asked[1]) / NS_PER_MS)


def _columns(name: str, kind: _Kind, origin_ns: int) -> Record:
    took = np.frombuffer(kind.answer_ms) if kind.answer_ms else np.array([np.nan])
    cancelled, stalled = kind.statuses[UsbStatus.CANCELLED], kind.statuses[UsbStatus.STALL]
    return {
        "packet": name,
        "count": kind.count,
        "bytes": kind.bytes,
        "first_s": second(kind.first_ns, origin_ns),
        "last_s": second(kind.last_ns, origin_ns),
        "cancelled": cancelled,
        "stalled": stalled,
        "errors": kind.statuses.total() - cancelled - stalled,
        "answered": len(kind.answer_ms),
        "unanswered": kind.unanswered,
        "answer_ms_median": float(np.median(took)),
        "answer_ms_p95": float(np.percentile(took, 95)),
        "answer_ms_max": float(took.max()),
    }
