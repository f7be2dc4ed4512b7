"""The table of video streams: one row per life of a stream id."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from spicereplay.analysis.clock import ClientMediaClock, ServerClock
from spicereplay.analysis.columns import Float64Array, IndexArray, Record, records, second
from spicereplay.analysis.end_cause import end_causes
from spicereplay.analysis.lives import Video, in_order
from spicereplay.units import NS_PER_S

if TYPE_CHECKING:
    import pandas as pd

_NAN = float("nan")


def streams(
    session: int,
    videos: Sequence[Video],
    server_clock: ServerClock | None,
    client_clock: ClientMediaClock,
    reports: pd.DataFrame,
    origin_ns: int,
) -> pd.DataFrame:
    """Return the table `streams` of one session, in order of creation, without decode times.

    `reports` is the table of that name. Streams whose creation was not seen stand where their first frame or, for
    want of one, their end is.
    """
    causes = [end_causes(video, server_clock) for video in videos]
    mine = reports[reports["session"] == session]
    said = [_Reports.of(mine[mine["channel_id"] == video.channel.channel_id]) for video in videos]
    rows: list[Record] = []
    for v, i in in_order(videos):
        rows.append(_row(session, videos[v], i, causes[v][i], client_clock, said[v], origin_ns))
    return records("streams", rows)


@dataclass(frozen=True, slots=True, eq=False)
class _Reports:
    """The STREAM_REPORTs of one display channel as plain arrays: there can be thousands of streams to ask for."""

    stream_id: npt.NDArray[np.int64]
    time_s: Float64Array
    drops: npt.NDArray[np.int64]
    cannot_play: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, table: pd.DataFrame) -> _Reports:
        return cls(
            table["stream_id"].to_numpy(np.int64),
            table["time_s"].to_numpy(np.float64),
            table["drops"].to_numpy(np.int64),
            table["cannot_play"].to_numpy(bool),
        )

    def during(self, stream_id: int, created_s: float, destroyed_s: float) -> npt.NDArray[np.bool_]:
        """Say which reports are about one life; NaN stands for a bound that was not seen."""
        in_time = ~(self.time_s < created_s) & ~(self.time_s > destroyed_s)
        return np.asarray((self.stream_id == stream_id) & in_time, np.bool_)


def _row(
    session: int,
    video: Video,
    i: int,
    cause: str,
    client_clock: ClientMediaClock,
    reports: _Reports,
    origin_ns: int,
) -> dict[str, Any]:
    life, frames, clips = video.lives[i], video.frames, video.clips
    mine, my_clips = video.frames_of[i], video.clips_of[i]
    time_ns = frames.time_ns[mine]
    created, destroyed = second(life.created_ns, origin_ns), second(life.ended_ns, origin_ns)
    span_s = int(time_ns[-1] - time_ns[0]) / NS_PER_S if len(mine) > 1 else 0.0
    margin = client_clock.margin_ms(time_ns, frames.mm_time[mine])
    timed = np.isfinite(margin)
    said = reports.during(life.stream_id, created, destroyed)
    return {
        "session": session,
        "channel_id": video.channel.channel_id,
        "stream_id": life.stream_id,
        "codec": life.codec,
        "width": life.width,
        "height": life.height,
        "created_s": created,
        "destroyed_s": destroyed,
        "lifetime_s": destroyed - created,
        "frames": len(mine),
        "bytes": int(frames.size[mine].sum()),
        "end_cause": cause,
        "surface_id": life.surface_id,
        "dest_left": life.dest[0],
        "dest_top": life.dest[1],
        "dest_right": life.dest[2],
        "dest_bottom": life.dest[3],
        "top_down": life.top_down,
        "seen_create": life.seen_create,
        "codec_source": life.codec_source,
        "sized_frames": int(frames.sized[mine].sum()),
        "clips": len(my_clips),
        "interruptions": _interruptions(clips.row[my_clips], clips.empty[my_clips], frames.row[mine]),
        "first_frame_s": second(int(time_ns[0]), origin_ns) if len(mine) else _NAN,
        "last_frame_s": second(int(time_ns[-1]), origin_ns) if len(mine) else _NAN,
        "fps": (len(mine) - 1) / span_s if span_s else _NAN,
        "longest_gap_s": int(np.diff(time_ns).max()) / NS_PER_S if len(mine) > 1 else _NAN,
        "late_frames": int((margin[timed] < 0).sum()) if timed.any() else None,
        "worst_margin_ms": float(margin[timed].min()) if timed.any() else _NAN,
        "reports": int(said.sum()),
        "reported_drops": int(reports.drops[said & ~reports.cannot_play].sum()),
        "cannot_play": bool((said & reports.cannot_play).any()),
        "decode_ms_median": _NAN,
        "decode_ms_p95": _NAN,
        "decode_failures": 0,
    }


def _interruptions(clip_row: IndexArray, empty: Any, frame_row: IndexArray) -> int:
    """Count the empty clips after which, and before the next empty one, frames came. Source: heuristics B6."""
    detached = clip_row[empty]
    if not len(detached):
        return 0
    after = np.searchsorted(detached, frame_row, "right") - 1
    return len(np.unique(after[after >= 0]))


def with_decode_times(streams: pd.DataFrame, frames: pd.DataFrame) -> pd.DataFrame:
    """Return `streams` with the decode columns filled from the table `frames` (column `stream` is a row here)."""
    decoded = frames[frames["outcome"] == "decoded"].groupby("stream")["decode_ms"]
    failed = frames[frames["outcome"] == "failed"].groupby("stream").size()
    place = np.arange(len(streams))
    return streams.assign(
        decode_ms_median=decoded.median().reindex(place).to_numpy(np.float64),
        decode_ms_p95=decoded.quantile(0.95).reindex(place).to_numpy(np.float64),
        decode_failures=failed.reindex(place, fill_value=0).to_numpy(np.int64),
    )
