"""Bytes per channel and direction over time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from spicereplay.analysis import schema
from spicereplay.analysis.columns import concat, constant
from spicereplay.protocol.index import MessageIndex
from spicereplay.session.log import ChannelLog, SessionLog
from spicereplay.units import NS_PER_MS, NS_PER_S

if TYPE_CHECKING:
    import pandas as pd

MOST_BINS: Final = 2000
"""Bins that a whole capture is cut into at the most; more than a screen has columns."""
_WIDTHS_MS: Final = tuple(
    base * factor for factor in (1, 10, 100, 1_000, 10_000, 100_000, 1_000_000) for base in (100, 200, 500)
)
_MINI_HEADER, _FULL_HEADER = 6, 18


def bin_width_ns(duration_ns: int) -> int:
    """Return the narrowest of 0.1, 0.2, 0.5, 1, 2, 5 … seconds that gives at most `MOST_BINS` bins."""
    for width in _WIDTHS_MS:
        if duration_ns < width * NS_PER_MS * MOST_BINS:
            return width * NS_PER_MS
    return -(-duration_ns // MOST_BINS)


def bandwidth(sessions: Sequence[SessionLog], origin_ns: int, end_ns: int) -> pd.DataFrame:
    """Return the table `bandwidth`; bins in which nothing was completed have no row."""
    width_ns = bin_width_ns(end_ns - origin_ns)
    return concat(
        "bandwidth",
        (
            _bins(session.number, log, index, origin_ns, width_ns)
            for session in sessions
            for log in session.channels
            for index in (log.server, log.client)
        ),
    )


def _bins(session: int, log: ChannelLog, index: MessageIndex, origin_ns: int, width_ns: int) -> pd.DataFrame:
    own = ~index.sub
    header = _MINI_HEADER if log.mini_header else _FULL_HEADER
    which = (index.time_ns[own] - origin_ns) // width_ns
    bins, place = np.unique(which, return_inverse=True)
    total = np.bincount(place, weights=index.size[own].astype(np.float64) + header, minlength=len(bins))
    return schema.frame(
        "bandwidth",
        {
            "session": np.full(len(bins), session),
            "channel": constant(log.channel.label, len(bins)),
            "channel_id": np.full(len(bins), log.channel_id),
            "from": constant(str(index.side), len(bins)),
            "time_s": bins * width_ns / NS_PER_S,
            "width_s": np.full(len(bins), width_ns / NS_PER_S),
            "bytes": total.astype(np.int64),
            "messages": np.bincount(place, minlength=len(bins)),
        },
    )
