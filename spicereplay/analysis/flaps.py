"""The flap rule: a video that the server starts and stops over and over.

Source: ryll-behaviour.md 5. The rule is evaluated whenever a stream is destroyed, on all streams destroyed at or
before that instant; the client it comes from knows the last 16 only and evaluates on every screen refresh, so its
notice can differ by a fraction of a second.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from spicereplay.analysis.columns import Float64Array, IndexArray, Record, records

if TYPE_CHECKING:
    import pandas as pd

TOGETHER_S: Final = 0.2
"""Streams destroyed within this of one another count as one instant.

Streams that show parts of one picture each time out one second after their own last frame, and a stream's frames
come at most 200 ms apart. Source: server-heuristics.md A1, RED_STREAM_DETECTION_MAX_DELTA and RED_STREAM_TIMEOUT.
"""


@dataclass(frozen=True, slots=True)
class FlapRule:
    """The rule's constants. Source: ryll-behaviour.md 5."""

    min_destroys: int = 3
    """Fewest streams destroyed in the window."""
    window_s: float = 30.0
    """The window ends at the evaluated instant; what was destroyed exactly `window_s` before is outside."""
    mean_lifetime_s: float = 3.0
    """The mean lifetime has to be strictly less."""
    cooldown_s: float = 60.0
    """Least time between two notifications."""


DEFAULT_RULE: Final = FlapRule()


def flaps(streams: pd.DataFrame, rule: FlapRule = DEFAULT_RULE) -> pd.DataFrame:
    """Return the table `flaps` for the table `streams`.

    Each display channel is judged by itself. A stream whose creation the capture does not hold has no lifetime and
    takes no part.
    """
    rows: list[Record] = []
    for (session, channel_id), group in streams.groupby(["session", "channel_id"], observed=True, sort=True):
        known = group["destroyed_s"].notna() & group["created_s"].notna()
        created = group.loc[known, "created_s"].to_numpy(np.float64)
        destroyed = group.loc[known, "destroyed_s"].to_numpy(np.float64)
        order = np.argsort(destroyed, kind="stable")
        destroyed, lifetime = destroyed[order], np.maximum(destroyed - created, 0.0)[order]
        for at, first, last in _notices(destroyed, lifetime, rule):
            instants = 1 + int((np.diff(destroyed[first:last]) > TOGETHER_S).sum())
            rows.append(
                {
                    "session": session,
                    "channel_id": channel_id,
                    "time_s": at,
                    "count": last - first,
                    "window_s": rule.window_s,
                    "mean_lifetime_s": float(lifetime[first:last].mean()),
                    "instants": instants,
                    "kind": "flapping" if instants > 1 else "torn_down_together",
                }
            )
    return records("flaps", rows)


def _notices(destroyed: Float64Array, lifetime: Float64Array, rule: FlapRule) -> list[tuple[float, int, int]]:
    """Return `(time, first, last)` of every notification: rows `[first, last)` are in its window."""
    total = np.concatenate(([0.0], np.cumsum(lifetime)))
    instants = np.unique(destroyed)
    first: IndexArray = np.searchsorted(destroyed, instants - rule.window_s, "right")
    last: IndexArray = np.searchsorted(destroyed, instants, "right")
    count = last - first
    mean = (total[last] - total[first]) / count if len(count) else np.empty(0)
    notices: list[tuple[float, int, int]] = []
    for i in np.flatnonzero((count >= rule.min_destroys) & (mean < rule.mean_lifetime_s)):
        at = float(instants[i])
        if not notices or at - notices[-1][0] >= rule.cooldown_s:
            notices.append((at, int(first[i]), int(last[i])))
    return notices
