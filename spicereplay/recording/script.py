"""What is to be written of one channel: which of its messages, what is missing between them, what is put in.

A script refers to the observed channel and copies nothing; whole channels, excerpts and single messages are written
from scripts alike.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from spicereplay.bytestream import Int64Array
from spicereplay.protocol.enums import Side
from spicereplay.protocol.framing import FULL_HEADER_BYTES, MINI_HEADER_BYTES
from spicereplay.protocol.index import MessageIndex
from spicereplay.session.log import ChannelLog, GapCause

Rows = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class Lane:
    """Messages of one side in order, sub-messages within the ones that carry them. The arrays have one length."""

    index: MessageIndex
    rows: Rows
    """Of `index`."""
    hole: Int64Array
    """Bytes that are not there, or belong to no message, between the message before and this one's header."""
    stop: Int64Array
    """Stream position behind what there can be of it: its end, or where the next message begins if that is nearer."""
    end_hole: int = 0
    """Bytes missing behind the last message."""

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def time_ns(self) -> Int64Array:
        """When each was complete; never falls."""
        return np.maximum.accumulate(self.index.time_ns[self.rows])

    def take(self, keep: npt.NDArray[np.bool_]) -> Lane:
        """Return only the messages where `keep` is true. The hole before a message stays or goes with it."""
        whole = bool(keep[-1]) if len(keep) else True
        return replace(
            self,
            rows=self.rows[keep],
            hole=self.hole[keep],
            stop=self.stop[keep],
            end_hole=self.end_hole if whole else 0,
        )

    def pieces(self, at: int) -> Iterator[tuple[int, bytes]]:
        """Yield `(offset within the body, bytes)` of what is there of a message's body, in order."""
        start = int(self.index.position[self.rows[at]])
        for position, piece in self.index.stream.pieces(start, int(self.stop[at])):
            yield position - start, piece


@dataclass(frozen=True, slots=True)
class Inserted:
    """A message that nobody sent, put in at a time before all others of that time."""

    time_ns: int
    type: int
    body: bytes
    comment: str
    side: Side = Side.SERVER
    hole: int = 0
    """Bytes to leave out before it."""


@dataclass(frozen=True, slots=True, eq=False)
class ChannelScript:
    """What to write of one channel."""

    log: ChannelLog
    session_id: int | None
    lanes: Mapping[Side, Lane]
    inserted: tuple[Inserted, ...] = ()
    stop_ns: int | None = None
    """Nothing is written after this time, not even the end of the connection."""

    @property
    def messages(self) -> int:
        """How many messages of the channel are to be written."""
        return sum(len(lane) for lane in self.lanes.values())


def script_of(log: ChannelLog, session_id: int | None) -> ChannelScript:
    """Return the script of all of a channel."""
    return ChannelScript(log, session_id, {side: lane_of(log, side) for side in Side})


def lane_of(log: ChannelLog, side: Side) -> Lane:
    """Return all messages of one side.

    What lies between them and belongs to none counts as missing: a reader finds the next message behind a hole, and
    would search for it behind other bytes.
    """
    index = log.index(side)
    rows = np.flatnonzero(~index.sub)
    header_bytes = MINI_HEADER_BYTES if log.mini_header else FULL_HEADER_BYTES
    position = index.position[rows]
    stop = position + index.size[rows].astype(np.int64)
    end = index.stream.end
    starts = position - header_bytes
    if not len(rows):
        return Lane(index, rows, starts, stop)
    # A message behind which bytes went missing unnoticed claims those of the next one.
    following = np.append(starts[1:], end)
    partial = index.partial[rows]
    stop[partial] = np.minimum(stop, np.maximum(following, position))[partial]
    stated = position + index.size[rows].astype(np.int64)
    before = np.concatenate(([_begins_at(log, side)], stated[:-1]))
    hole = np.maximum(starts - before, 0)
    hole[0] += sum(gap.length or 0 for gap in log.gaps if gap.side is side and gap.cause is GapCause.EVICTED)
    left = end - int(stated[-1])
    behind = sum(len(piece) for _, piece in index.stream.pieces(int(stated[-1]), end)) if left > 0 else 0
    # What a client counted and its recorder did not keep may be missing anywhere up to the end.
    unplaced = sum(gap.length or 0 for gap in log.gaps if gap.side is side and gap.cause is GapCause.SILENT)
    return Lane(index, rows, hole, stop, max(0, left - behind) + unplaced)


def _begins_at(log: ChannelLog, side: Side) -> int:
    """Return where the first message is expected."""
    if log.link is None:
        return 0
    return log.link.client_bytes if side is Side.CLIENT else log.link.server_bytes
