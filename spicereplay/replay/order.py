"""In which order the messages of a session change its screens.

Out of every message index only the rows matter that can change a picture; acknowledgements, pings and the like
are passed over in bulk. Where bytes are missing, that has its place in the order too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from spicereplay.bytestream import Int64Array
from spicereplay.protocol.enums import ChannelType, ServerCommon, ServerCursor, ServerDisplay, Side
from spicereplay.session.log import ChannelLog, Gap, SessionLog

GAP: Final = -1
"""Stands for a row where messages are missing."""

_BLOCK: Final = 4096
_WITHOUT_EFFECT: Final = (
    ServerDisplay.STREAM_ACTIVATE_REPORT,
    ServerDisplay.QUALITY_INDICATOR,
    ServerDisplay.GL_DRAW,
)
_TYPES: Final = {
    ChannelType.DISPLAY: np.array([kind for kind in ServerDisplay if kind not in _WITHOUT_EFFECT], np.uint16),
    ChannelType.CURSOR: np.array(list(ServerCursor), np.uint16),
}


def screen_types(channel: ChannelType) -> frozenset[int]:
    """Return the types of a server's messages that can change a picture; none for channels without a screen."""
    return frozenset(int(kind) for kind in _TYPES.get(channel, ()))


@dataclass(frozen=True, slots=True, eq=False)
class ScreenOrder:
    """What changes the screens of a session, in order of capture time; the arrays have one length."""

    logs: tuple[ChannelLog, ...]
    """The display and cursor channels."""
    time_ns: Int64Array
    """Never falls; within a channel the order of the bytes holds even where the capture's clock stepped back."""
    log: npt.NDArray[np.intp]
    """Index into `logs`."""
    row: npt.NDArray[np.intp]
    """Row of that channel's `server` index, or `GAP`."""

    def __len__(self) -> int:
        return len(self.row)

    def __iter__(self) -> Iterator[tuple[int, int, int]]:
        """Yield `(time_ns, index into logs, row or GAP)`; never more than a block of them as Python's numbers."""
        for start in range(0, len(self), _BLOCK):
            part = slice(start, start + _BLOCK)
            yield from zip(
                self.time_ns[part].tolist(), self.log[part].tolist(), self.row[part].tolist(), strict=True
            )


def screen_order(session: SessionLog) -> ScreenOrder:
    """Return the order of everything that changes what the displays of `session` show."""
    logs = (*session.of(ChannelType.DISPLAY), *session.of(ChannelType.CURSOR))
    lanes = [_lane(log) for log in logs]
    row = np.concatenate([rows for rows, _ in lanes]) if lanes else np.empty(0, np.intp)
    time_ns = np.concatenate([times for _, times in lanes]) if lanes else np.empty(0, np.int64)
    which = np.repeat(np.arange(len(lanes)), [len(rows) for rows, _ in lanes])
    order = np.argsort(time_ns, kind="stable")
    return ScreenOrder(logs, time_ns[order], which[order], row[order])


def _lane(log: ChannelLog) -> tuple[npt.NDArray[np.intp], Int64Array]:
    """Return the rows and gaps of one channel that matter, in order, with their times."""
    index = log.server
    gaps = [gap for gap in log.gaps if gap.side is Side.SERVER]
    wanted = np.isin(index.type, _TYPES[log.channel])
    wanted |= index.partial & (index.type == ServerCommon.LIST)
    whole = np.flatnonzero(~index.sub)
    if len(whole) and index.partial[whole[-1]] and not _touched(log, int(whole[-1]), gaps):
        # The capture ends in the middle of it: nobody has seen it whole, and no bytes are missing.
        wanted[whole[-1] :] = False
    rows = np.flatnonzero(wanted)
    times = index.time_ns[rows]
    if log.channel is ChannelType.DISPLAY:
        rows, times = _with_gaps(log, rows, times, whole, gaps)
    return rows, np.maximum.accumulate(times)


def _touched(log: ChannelLog, row: int, gaps: Iterable[Gap]) -> bool:
    """Whether bytes of a message lie in a gap."""
    start = int(log.server.position[row])
    stop = start + int(log.server.size[row])
    return any(gap.position < stop and gap.position + (gap.length or 1) > start for gap in gaps)


def _with_gaps(
    log: ChannelLog,
    rows: npt.NDArray[np.intp],
    times: Int64Array,
    whole: npt.NDArray[np.intp],
    gaps: Iterable[Gap],
) -> tuple[npt.NDArray[np.intp], Int64Array]:
    """Put a `GAP` where messages may be missing: not for a hole inside of one message, whose row says `partial`."""
    starts = log.server.position[whole]
    stops = starts + log.server.size[whole]
    places: list[int] = []
    at: list[int] = []
    for gap in sorted(gaps, key=lambda gap: gap.position):
        after = int(np.searchsorted(starts, gap.position, "right"))
        if gap.length is not None and after and gap.position + gap.length <= stops[after - 1]:
            continue
        first = int(whole[after]) if after < len(whole) else len(log.server)
        places.append(int(np.searchsorted(rows, first)))
        at.append(gap.time_ns)
    if not places:
        return rows, times
    return np.insert(rows, places, GAP), np.insert(times, places, at)
