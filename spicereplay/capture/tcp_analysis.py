"""How a connection fared: what was sent again, how long answers took, when a receiver had no room.

The rules are those of Wireshark's TCP analysis (its manual, "TCP Analysis"), so that a figure here is found again
there, applied to what passed the capture point:

* **Late** is a segment with payload, SYN or FIN that begins before the highest number seen of its side. It is a
  *spurious* retransmission if the peer had acknowledged all of it; a *fast* one if it answers two or more duplicate
  ACKs within 20 ms; *out of order* if it follows the highest number within the initial round trip (3 ms where that
  is not known) and does not end there; else a retransmission.
* A **keep-alive** has no or one byte and begins one before the next number; a **zero-window probe** is one byte into
  a window of 0. Neither is a retransmission.
* A **duplicate ACK** has no payload and repeats number, acknowledgement and window of its side's last segment; one
  that answers a keep-alive is none. A **window update** differs from that only by its window.
* **Window full** is a segment that ends exactly where the peer's window ends; a **zero window** is one announced
  without SYN, FIN or RST.

On purpose different from Wireshark:

* A segment whose bytes were all seen before is never out of order, however soon it comes: it was sent again.
* Only a late segment can be spurious. One in front of everything seen is new even if its ACK was captured before it.
* An ACK that is older than one seen does not move the window or what counts as acknowledged, and one without any
  window asks for nothing, so that it does not make a retransmission a fast one.
* A keep-alive with one byte does not fill a window a second time, and a window whose scale is not known is not taken as
  unscaled: nothing is said about it.
* Resets are counted and nothing else; their window and acknowledgement mean nothing.

**Round trips** run from a segment to the first ACK that covers it, for the last segment that an ACK newly covers,
which waited least for its ACK. An ACK that covers numbers sent twice or overtaken gives none (Karn's rule, RFC 6298 3).
They are measured at the capture point, so those of a direction hold the way from there to the receiver and back, and
the receiver's delay of its ACK.

**Stalls** of a direction begin with the segment that filled the receiver's window or the announcement of a zero one,
and end with the ACK that opens it beyond what was sent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from spicereplay.bytestream import DirectionFacts, Int64Array, SegmentEvents, WindowStalls
from spicereplay.capture._kernels import tcp_analysis as kernel
from spicereplay.capture._kernels.tcp import Fact
from spicereplay.capture._kernels.tcp_analysis import Measure
from spicereplay.capture.container import MappedFile
from spicereplay.capture.packets import PacketTable
from spicereplay.defects import DefectKind, DefectLog
from spicereplay.limits import Limits

_NEVER: Final = np.iinfo(np.int64).max
_EVENT_COLUMNS: Final = (np.uint8, np.uint8, np.int64, np.int64, np.int64, np.int64, np.int64)
"""Kind, side, time, position, bytes, time since something new was sent, count."""
_STALL_COLUMNS: Final = (np.uint8, np.uint8, np.int64, np.int64, np.int64)
"""Side, whether a zero window was announced, start, end, window."""
_NOTHING: Final = DirectionFacts()


@dataclass(frozen=True, slots=True, eq=False)
class Analysis:
    """What was found about all connections; `facts` gives it out by direction."""

    measures: Int64Array
    """(connections, 2, measures), by `Measure`."""
    round_trips: npt.NDArray[np.float32]
    starts: Int64Array
    """Where the connections begin in `round_trips`."""
    event_starts: Int64Array
    events: tuple[npt.NDArray[Any], ...]
    stall_starts: Int64Array
    stalls: tuple[npt.NDArray[Any], ...]

    def facts(self, connection: int, side: int) -> DirectionFacts:
        """Return what the headers of one direction say; what the bytes say is left at its defaults."""
        own: list[int] = self.measures[connection, side].tolist()
        scaled = self.measures[connection, 1 - side, Measure.SHIFT] >= 0
        return DirectionFacts(
            retransmitted_segments=own[Measure.RETRANSMITTED],
            fast_retransmissions=own[Measure.FAST],
            spurious_retransmissions=own[Measure.SPURIOUS],
            out_of_order=own[Measure.OUT_OF_ORDER],
            keep_alives=own[Measure.KEEP_ALIVES],
            duplicate_acks=own[Measure.DUPLICATE_ACKS],
            window_updates=own[Measure.WINDOW_UPDATES],
            zero_windows=own[Measure.ZERO_WINDOWS],
            zero_window_probes=own[Measure.PROBES],
            window_full=own[Measure.WINDOW_FULL] if scaled else None,
            window_stalls=own[Measure.STALLS] if scaled else None,
            window_stalled_ns=own[Measure.STALLED_NS] if scaled else None,
            resets=own[Measure.RESETS],
            mss=_known(own[Measure.MSS]),
            window_scale=_known(own[Measure.SHIFT]),
            syn_round_trip_ns=_known(own[Measure.SYN_RTT_NS]),
            round_trips_ns=self._round_trips(connection, side, own[Measure.ROUND_TRIPS]),
            events=self._events(connection, side),
            stalls=self._stalls(connection, side),
        )

    def _round_trips(self, connection: int, side: int, count: int) -> npt.NDArray[np.float32]:
        if not count:
            return _NOTHING.round_trips_ns
        # Copied, so that the room for those of the whole capture is given back.
        if side == 0:
            start = int(self.starts[connection])
            return self.round_trips[start : start + count].copy()
        stop = int(self.starts[connection + 1])
        return self.round_trips[stop - count : stop][::-1].copy()

    def _events(self, connection: int, side: int) -> SegmentEvents:
        first, last = self.event_starts[connection : connection + 2].tolist()
        if first == last:
            return _NOTHING.events
        kind, sides, *rest = (column[first:last] for column in self.events)
        mine = sides == side
        return SegmentEvents(kind[mine], *(column[mine] for column in rest))

    def _stalls(self, connection: int, side: int) -> WindowStalls:
        first, last = self.stall_starts[connection : connection + 2].tolist()
        if first == last:
            return _NOTHING.stalls
        sides, zero, start, end, window = (column[first:last] for column in self.stalls)
        mine = sides == side
        end = np.where(end == _NEVER, -1, end)
        return WindowStalls(start[mine], end[mine], window[mine], zero[mine].astype(np.bool_))


def analyse(
    table: PacketTable,
    file: MappedFile,
    order: Int64Array,
    connection_starts: Int64Array,
    position: Int64Array,
    facts: Int64Array,
    limits: Limits,
    defects: DefectLog,
) -> Analysis:
    """Go through the segments of every connection once.

    `order`, `connection_starts`, `position` and `facts` are what `_kernels.tcp.follow` made; connection `c` has the
    rows `order[connection_starts[c]:connection_starts[c + 1]]` of `table`, which was read from `file`. Events and
    stalls of one connection over `limits.tcp_events` are counted and not kept, with a defect.
    """
    connections, rows = len(connection_starts) - 1, len(order)
    known = (facts[:, :, Fact.SYN] != 0) | (facts[:, :, Fact.SEGMENTS] > 0)
    # No segment is more than three things, and begins more than one stall.
    most = max(1, min(3 * rows, connections * limits.tcp_events))
    found = Analysis(
        measures=np.empty((connections, 2, Measure.MEASURES), np.int64),
        round_trips=np.empty(rows, np.float32),
        starts=connection_starts,
        event_starts=np.empty(connections + 1, np.int64),
        events=tuple(np.empty(most, dtype) for dtype in _EVENT_COLUMNS),
        stall_starts=np.empty(connections + 1, np.int64),
        stalls=tuple(np.empty(most, dtype) for dtype in _STALL_COLUMNS),
    )
    left_out = kernel.analyse(
        file.memory,
        table.spill,
        order,
        connection_starts,
        table.time_ns,
        table.side,
        table.sequence,
        table.acknowledgement,
        table.flags,
        table.window,
        table.options,
        table.offset,
        table.wire_length,
        position,
        np.where(known, facts[:, :, Fact.FIRST_SEQUENCE], -1),
        np.empty((2, kernel.WAITING), np.int64),
        np.empty((2, kernel.WAITING), np.int64),
        limits.tcp_events,
        found.measures,
        found.round_trips,
        found.event_starts,
        found.events,
        found.stall_starts,
        found.stalls,
    )
    if left_out:
        defects.add(
            DefectKind.OVER_LIMIT,
            "packets",
            f"more than {limits.tcp_events:,} retransmissions, window events and the like on one TCP connection; "
            f"{left_out:,} are counted but not listed",
        )
    return found


def _known(value: int) -> int | None:
    return value if value >= 0 else None
