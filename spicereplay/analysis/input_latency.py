"""How long after each key or button the screen next changed.

The time is from the capture of the press to the capture of the next message that draws: near the client it holds the
way to the server and back, near the server it does not. Whether the change is the answer cannot be seen, only that it
came; where pictures came all the time anyway, the figure says nothing and is marked `busy`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from spicereplay.analysis import schema
from spicereplay.analysis.columns import NEVER, by_time, category, nullable, seconds
from spicereplay.analysis.inputs import PRESS_KINDS, presses
from spicereplay.analysis.shown import shown
from spicereplay.bytestream import Int64Array
from spicereplay.session.log import SessionLog
from spicereplay.units import NS_PER_MS

if TYPE_CHECKING:
    import pandas as pd

BUSY_NS: Final = 250 * NS_PER_MS
"""A picture so shortly before a press means that the next one would have come without it, too."""


def input_latency(sessions: Sequence[SessionLog], origin_ns: int, *, busy_ns: int = BUSY_NS) -> pd.DataFrame:
    """Return the table `input_latency`."""
    return by_time("input_latency", _parts(sessions, origin_ns, busy_ns))


def _parts(sessions: Sequence[SessionLog], origin_ns: int, busy_ns: int) -> Iterable[pd.DataFrame]:
    for session in sessions:
        pressed = presses(session)
        if not len(pressed.time_ns):
            continue
        screen = shown(session)
        at = pressed.time_ns
        behind = np.searchsorted(screen.time_ns, at, "right")
        answered = behind < len(screen.time_ns)
        next_ns = _next(screen.time_ns, at)
        # Behind the last of them the place is past the end; what is put there is masked.
        channel = np.append(screen.channel_id, np.uint8(0))[behind].astype(np.int64)
        before = np.concatenate(([-busy_ns - 1 + int(at[0])], screen.time_ns))[behind]
        yield schema.frame(
            "input_latency",
            {
                "session": np.full(len(at), session.number),
                "time_s": seconds(at, origin_ns),
                "kind": category(pressed.kind, PRESS_KINDS),
                "next_draw_s": seconds(_next(screen.time_ns[screen.draws], at), origin_ns),
                "next_frame_s": seconds(_next(screen.time_ns[screen.frames], at), origin_ns),
                "next_display_s": seconds(next_ns, origin_ns),
                "latency_ms": np.where(answered, (next_ns - at) / NS_PER_MS, np.nan),
                "busy": at - before <= busy_ns,
                "channel_id": nullable(channel, answered),
            },
        )


def _next(time_ns: Int64Array, at: Int64Array) -> Int64Array:
    """Return for each of `at` the first of the ascending `time_ns` behind it; `NEVER` where there is none."""
    return np.append(time_ns, NEVER)[np.searchsorted(time_ns, at, "right")]
