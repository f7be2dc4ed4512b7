"""What clients report about streams (STREAM_REPORT). Source: spice-wire.md 11.1 and 10.4."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from spicereplay.analysis import schema
from spicereplay.analysis.columns import concat, seconds
from spicereplay.analysis.fields import fields
from spicereplay.protocol.enums import ChannelType, ClientDisplay
from spicereplay.session.log import ChannelLog, SessionLog

if TYPE_CHECKING:
    from collections.abc import Sequence

CANNOT_PLAY_DROPS: Final = 0xFFFFFFFF
"""`num_drops` of the report, with 0 frames, that says: I cannot play this stream. Source: spice-wire.md 10.4."""
NO_AUDIO_DELAY: Final = 0xFFFFFFFF
"""`audio_delay` when nothing plays. Source: spice-wire.md 11.1."""


def reports(sessions: Sequence[SessionLog], origin_ns: int) -> pd.DataFrame:
    """Return the table `reports`."""
    return concat("reports", _parts(sessions, origin_ns))


def _parts(sessions: Sequence[SessionLog], origin_ns: int) -> Iterable[pd.DataFrame]:
    for session in sessions:
        for log in session.of(ChannelType.DISPLAY):
            yield _reports(session.number, log, origin_ns)


def _reports(session: int, log: ChannelLog, origin_ns: int) -> pd.DataFrame:
    rows, said = fields(log.client, ClientDisplay.STREAM_REPORT)
    cannot = (said["num_frames"] == 0) & (said["num_drops"] == CANNOT_PLAY_DROPS)
    silent = said["audio_delay"] == NO_AUDIO_DELAY
    return schema.frame(
        "reports",
        {
            "session": np.full(len(rows), session),
            "channel_id": np.full(len(rows), log.channel_id),
            "time_s": seconds(log.client.time_ns[rows], origin_ns),
            "stream_id": said["stream_id"],
            "unique_id": said["unique_id"],
            "start_mm_time": said["start_frame_mm_time"],
            "end_mm_time": said["end_frame_mm_time"],
            "frames": said["num_frames"],
            "drops": said["num_drops"],
            "last_frame_delay_ms": said["last_frame_delay"],
            "audio_delay_ms": pd.array(
                np.where(silent, 0, said["audio_delay"].astype(np.int64)), dtype="Int64"
            ).copy(),
            "cannot_play": cannot,
        },
    )
