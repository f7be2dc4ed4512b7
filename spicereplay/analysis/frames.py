"""One row per video frame, and what decoding it took here.

Decoding is measured again because nobody else says it frame by frame: one stream after the other, one thread, the
time of the decoder's call alone. The stopwatch is handed in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from spicereplay.analysis import schema
from spicereplay.analysis.clock import ClientMediaClock
from spicereplay.analysis.columns import Float64Array, category, concat, seconds
from spicereplay.analysis.lives import Video
from spicereplay.codecs.video import VideoDecoder, open_video
from spicereplay.errors import DecodeError
from spicereplay.limits import Limits
from spicereplay.protocol.enums import VideoCodec
from spicereplay.units import NS_PER_MS

if TYPE_CHECKING:
    import pandas as pd

Stopwatch = Callable[[], int]
"""Returns nanoseconds that only ever grow (`time.perf_counter_ns`)."""
Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done and how much there is."""

OUTCOMES: Final = ("decoded", "failed", "partial", "no_output", "not_decoded")
_DECODED, _FAILED, _PARTIAL, _NO_OUTPUT, _NOT_DECODED = range(5)
_TELL_EVERY: Final = 25


@dataclass(frozen=True, slots=True)
class Decoding:
    """How frames are to be decoded."""

    stopwatch: Stopwatch
    limits: Limits
    progress: Progress | None = None


def decoder_for(codec: str, limits: Limits) -> VideoDecoder | None:
    """Return a fresh decoder for one stream; None for a codec that is unknown or that nothing here decodes."""
    known = {each.name.lower(): each for each in VideoCodec}
    if codec not in known:
        return None
    try:
        return open_video(known[codec], limits=limits)
    except DecodeError:
        return None


def frames(
    session: int,
    videos: Sequence[Video],
    stream_rows: dict[tuple[int, int], int],
    client_clock: ClientMediaClock,
    origin_ns: int,
    decoding: Decoding | None = None,
) -> pd.DataFrame:
    """Return the table `frames` of one session, in order within each display channel.

    `stream_rows` maps index of the video and of the life to the row of the table `streams`. Without `decoding`
    the outcome of every whole frame is `not_decoded`.
    """
    return concat(
        "frames",
        (
            _frames(session, v, video, stream_rows, client_clock, origin_ns, decoding)
            for v, video in enumerate(videos)
        ),
    )


def _frames(
    session: int,
    v: int,
    video: Video,
    stream_rows: dict[tuple[int, int], int],
    client_clock: ClientMediaClock,
    origin_ns: int,
    decoding: Decoding | None,
) -> pd.DataFrame:
    columns, lives = video.frames, video.lives
    count = len(columns)
    # One more entry at the end serves life -1: no stream.
    row_of = np.array([*(stream_rows[v, i] for i in range(len(lives))), -1], np.int32)
    codecs = [*(life.codec for life in lives), "unknown"]
    width = np.array([*(life.width for life in lives), 0], np.uint32)[columns.life]
    height = np.array([*(life.height for life in lives), 0], np.uint32)[columns.life]
    measured = Measured.nothing(columns.partial)
    if decoding is not None:
        measured = measure(video, decoding)
    return schema.frame(
        "frames",
        {
            "session": np.full(count, session),
            "channel_id": np.full(count, video.channel.channel_id),
            "stream": row_of[columns.life],
            "stream_id": columns.stream_id,
            "time_s": seconds(columns.time_ns, origin_ns),
            "mm_time": columns.mm_time,
            "margin_ms": client_clock.margin_ms(columns.time_ns, columns.mm_time),
            "codec": category(columns.life % len(codecs), codecs),
            "width": np.where(columns.sized, columns.width, width),
            "height": np.where(columns.sized, columns.height, height),
            "bytes": columns.size,
            "sized": columns.sized,
            "decode_ms": measured.decode_ms,
            "backend": category(measured.backend, measured.backends),
            "outcome": category(measured.outcome, OUTCOMES),
        },
    )


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """What decoding the frames of one display channel gave, one entry per frame."""

    decode_ms: Float64Array
    backend: npt.NDArray[np.int32]
    """Index into `backends`."""
    outcome: npt.NDArray[np.int8]
    """Index into `OUTCOMES`."""
    backends: list[str]

    @classmethod
    def nothing(cls, partial: npt.NDArray[np.bool_]) -> Measured:
        """Return the entries of frames that nobody decoded."""
        return cls(
            np.full(len(partial), np.nan),
            np.zeros(len(partial), np.int32),
            np.where(partial, _PARTIAL, _NOT_DECODED).astype(np.int8),
            [""],
        )


def measure(video: Video, decoding: Decoding) -> Measured:
    """Decode every whole frame of one display channel, stream by stream, and say how long each took.

    A frame that cannot be decoded costs itself; how later frames of its stream fare is up to their codec.
    """
    columns = video.frames
    out = Measured.nothing(columns.partial)
    tell, done = decoding.progress, 0
    for i, life in enumerate(video.lives):
        mine = video.frames_of[i].tolist()
        decoder = decoder_for(life.codec, decoding.limits)
        for frame in mine:
            done += 1
            if tell is not None and done % _TELL_EVERY == 0:
                tell("decoding video", done, len(columns))
            if decoder is None:
                continue
            if columns.partial[frame]:
                decoder.lost()
            else:
                _decode(decoder, video.frame_bytes(frame), frame, out, decoding.stopwatch)
    return out


def _decode(decoder: VideoDecoder, data: bytes, frame: int, out: Measured, stopwatch: Stopwatch) -> None:
    start = stopwatch()
    try:
        picture = decoder.decode(data)
    except DecodeError:
        out.outcome[frame] = _FAILED
        return
    out.decode_ms[frame] = (stopwatch() - start) / NS_PER_MS
    if picture is None:
        out.outcome[frame] = _NO_OUTPUT
        return
    out.outcome[frame] = _DECODED
    if picture.backend not in out.backends:
        out.backends.append(picture.backend)
    out.backend[frame] = out.backends.index(picture.backend)
