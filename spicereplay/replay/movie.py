"""The screen over time as an MP4 file, every picture at its true time.

The movie begins with the capture: a picture's time in it is the table's `time_s`. Changes less than a sixtieth of a
second apart become one picture, at the time of the last of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

import numpy as np
import numpy.typing as npt

from spicereplay.display.model import Screen
from spicereplay.display.region import Box
from spicereplay.errors import InputError
from spicereplay.limits import DEFAULT_LIMITS, Limits
from spicereplay.protocol import registry
from spicereplay.protocol.enums import ChannelType, ServerDisplay, Side, SurfaceFlags
from spicereplay.protocol.messages import display
from spicereplay.protocol.messages.drawing import DRAW_TYPES
from spicereplay.replay.driver import Progress, Replay
from spicereplay.replay.order import GAP
from spicereplay.replay.picture import opaque
from spicereplay.replay.screens import Screens, Step
from spicereplay.replay.still import chosen_session, shown_channel
from spicereplay.session.log import ChannelLog
from spicereplay.units import NS_PER_S

if TYPE_CHECKING:
    import av

MOST_PER_SECOND: Final = 60
BATCH_NS: Final = NS_PER_S // MOST_PER_SECOND
TIME_BASE: Final = Fraction(1, 60_000)
"""Unit of the movie's times. MPEG-4 part 2 allows no denominator above 65,535."""
ENCODERS: Final = (("libx264", {"preset": "veryfast", "crf": "18", "bf": "0"}), ("mpeg4", {"qscale": "2"}))
"""Encoders with their options, the first that this FFmpeg has is used. Without B-frames nothing is delayed, so the
first picture's time stays 0."""
_BT709: Final = 1
"""FFmpeg's AVCOL_SPC_BT709, AVCOL_PRI_BT709 and AVCOL_TRC_BT709."""

_BOX: Final = np.dtype(
    [("surface_id", "<u4"), ("top", "<i4"), ("left", "<i4"), ("bottom", "<i4"), ("right", "<i4")]
)
"""How a draw message begins. Source: spice-wire.md 7.3, DisplayBase."""
_SHAPES: Final = (ServerDisplay.SURFACE_CREATE, ServerDisplay.MODE, ServerDisplay.GL_SCANOUT_UNIX)
_SHOWN_BY: Final = (
    ServerDisplay.MARK,
    ServerDisplay.RESET,
    ServerDisplay.MONITORS_CONFIG,
    ServerDisplay.SURFACE_DESTROY,
    ServerDisplay.STREAM_DATA,
    ServerDisplay.STREAM_DATA_SIZED,
    *_SHAPES,
)
"""Besides drawing, what can change the picture."""


@dataclass(frozen=True, slots=True)
class Movie:
    """What was written."""

    frames: int
    width: int
    height: int
    duration_s: float
    encoder: str
    channel_id: int
    session: int
    unknown_frames: int
    """Frames of which something is unknown, shown as a checkerboard."""


def write_movie(
    replay: Replay,
    path: Path,
    *,
    session: int | None = None,
    channel_id: int | None = None,
    monitor: int | None = None,
    cursor: bool = False,
    workers: int | None = None,
    limits: Limits = DEFAULT_LIMITS,
    progress: Progress | None = None,
) -> Movie:
    """Write the screen of one display channel over time to `path`, which is replaced when the movie is complete.

    Smaller screens lie in the top left corner of a picture as large as the largest of them; before anything is
    shown, and while there is no screen, it is black. Raises as `still.picture_at` does, and `InputError` where
    nothing is ever shown.
    """
    log = chosen_session(replay, session, replay.end_time_ns)
    with Screens(log, limits=limits, workers=workers, progress=progress) as screens:
        channel = shown_channel(
            screens, channel_id if channel_id is not None else _busiest(log.of(ChannelType.DISPLAY))
        )
        source = next(c for c in log.of(ChannelType.DISPLAY) if c.channel_id == channel)
        width, height = largest_screen(source, monitor, limits)
        if not width or not height:
            raise InputError(f"{replay.path.name}: display/{channel} shows nothing in this capture")
        unfinished = path.with_name(path.name + ".part")
        try:
            with _Film(unfinished, width + width % 2, height + height % 2) as film:
                _shoot(screens, film, source, monitor, cursor, replay.start_time_ns)
                film.hold(max(replay.end_time_ns, screens.now_ns) - replay.start_time_ns)
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)
    return Movie(
        film.frames,
        film.width,
        film.height,
        film.last_tick * float(TIME_BASE),
        film.encoder,
        channel,
        log.number,
        film.unknown_frames,
    )


def _busiest(logs: list[ChannelLog]) -> int:
    """Return the channel on which most is drawn, the first of equals."""
    return max(
        logs, key=lambda log: (int(np.isin(log.server.type, DRAW_TYPES).sum()), -log.channel_id)
    ).channel_id


# --- how large ------------------------------------------------------------------------------------------


def largest_screen(log: ChannelLog, monitor: int | None, limits: Limits) -> tuple[int, int]:
    """Return the largest width and height that a channel's screen, or one monitor of it, has in the recording.

    The size of a surface whose creation was not recorded is that of what is drawn on it.
    """
    sizes = [(0, 0), *(_monitor_sizes(log, monitor) if monitor is not None else ())]
    if len(sizes) == 1:
        sizes += [*_announced_sizes(log), _drawn_size(log)]
    sizes = [(w, h) for w, h in sizes if max(w, h) <= limits.image_side_px and w * h <= limits.image_pixels]
    return max(w for w, _ in sizes), max(h for _, h in sizes)


def _parsed(log: ChannelLog, *types: ServerDisplay) -> Iterator[object]:
    for row in log.server.rows(*types).tolist():
        kind = int(log.server.type[row])
        yield registry.parse_message(log.channel, Side.SERVER, kind, log.server.body(row)).message


def _announced_sizes(log: ChannelLog) -> Iterator[tuple[int, int]]:
    for message in _parsed(log, *_SHAPES):
        match message:
            case display.SurfaceCreate() if message.flags & SurfaceFlags.PRIMARY:
                yield message.width, message.height
            case display.Mode():
                yield message.x_res, message.y_res
            case display.GlScanoutUnix():
                yield message.width, message.height


def _monitor_sizes(log: ChannelLog, monitor: int) -> Iterator[tuple[int, int]]:
    for message in _parsed(log, ServerDisplay.MONITORS_CONFIG):
        if isinstance(message, display.MonitorsConfig):
            yield from ((head.width, head.height) for head in message.heads if head.monitor_id == monitor)


def _drawn_size(log: ChannelLog) -> tuple[int, int]:
    """Return how far drawing on surface 0 reaches before a primary surface was announced."""
    index = log.server
    announced = index.rows(*_SHAPES)
    before = int(announced[0]) if len(announced) else len(index)
    rows = index.rows(*DRAW_TYPES)
    boxes = index.prefixes(rows[rows < before], _BOX)
    boxes = boxes[
        (boxes["surface_id"] == 0) & (boxes["right"] > boxes["left"]) & (boxes["bottom"] > boxes["top"])
    ]
    right, bottom = int(boxes["right"].max(initial=0)), int(boxes["bottom"].max(initial=0))
    for message in _parsed(log, ServerDisplay.STREAM_CREATE):
        if isinstance(message, display.StreamCreate) and message.surface_id == 0 and not len(announced):
            right, bottom = max(right, message.dest.right), max(bottom, message.dest.bottom)
    return right, bottom


# --- shooting -------------------------------------------------------------------------------------------


def _shoot(
    screens: Screens, film: _Film, log: ChannelLog, monitor: int | None, cursor: bool, origin_ns: int
) -> None:
    """Play everything and film what it shows, batch by batch of changes."""
    channel = log.channel_id
    marks = len(log.server.rows(ServerDisplay.MARK)) > 0
    several = len(screens.session.of(ChannelType.DISPLAY)) > 1
    film.show(None, 0)
    first_ns = last_ns = None

    def shown() -> Screen | None:
        screen = screens.model.screen(channel, monitor)
        held_back = marks and not screens.model.channel(channel).marked
        return None if screen is None or (held_back and not screen.inferred) else screen

    while (coming_ns := screens.next_time_ns) is not None:
        if first_ns is not None and last_ns is not None and coming_ns - first_ns >= BATCH_NS:
            film.show(shown(), last_ns - origin_ns, cursor)
            first_ns = None
        step = screens.step()
        if step is not None and _changes(step, screens, channel, cursor, several):
            last_ns = step.time_ns
            first_ns = last_ns if first_ns is None else first_ns
    screens.play()
    if last_ns is not None:
        film.show(shown(), last_ns - origin_ns, cursor)


def _changes(step: Step, screens: Screens, channel: int, cursor: bool, several: bool) -> bool:
    """Whether a step may have changed the picture of a channel; with several any of them may set another going."""
    if step.log.channel is ChannelType.CURSOR:
        return cursor and step.log.channel_id == channel
    if several or step.row == GAP or step.message is None:
        return True
    kind = int(step.log.server.type[step.row])
    if kind not in DRAW_TYPES:
        return kind in _SHOWN_BY
    primary = screens.model.channel(channel).primary
    base = getattr(step.message, "base", None)
    return primary is None or base is None or bool(base.surface_id == primary.surface_id)


class _Film:
    """An MP4 file that is being written; a context manager."""

    def __init__(self, path: Path, width: int, height: int) -> None:
        import av

        self._av = av
        self.width, self.height = width, height
        self.frames = self.unknown_frames = 0
        self.last_tick = -1
        self._canvas: npt.NDArray[np.uint8] = np.zeros((height, width, 4), np.uint8)
        self._covered = Box(0, 0, 0, 0)
        self._container = av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"})
        self.encoder, options = _encoder()
        added = self._container.add_stream(self.encoder, rate=MOST_PER_SECOND, options=options)
        self._stream = cast("av.VideoStream", added)
        self._stream.width, self._stream.height = width, height
        self._stream.pix_fmt = "yuv420p"
        self._stream.time_base = TIME_BASE
        context = self._stream.codec_context
        context.time_base = TIME_BASE
        context.colorspace = context.color_primaries = context.color_trc = _BT709

    def __enter__(self) -> _Film:
        return self

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        if kind is None:
            self._container.mux(self._stream.encode(None))
        self._container.close()

    def show(self, screen: Screen | None, time_ns: int, cursor: bool = False) -> None:
        """Show a screen from a time on, None: black. Times since the beginning must not fall."""
        pixels = None if screen is None else opaque(screen, screen.cursor if cursor else None)
        height, width = (0, 0) if pixels is None else pixels.shape[:2]
        covered = Box(0, 0, min(width, self.width), min(height, self.height))
        if covered != self._covered:
            self._canvas[...] = 0
            self._covered = covered
        if pixels is not None and not covered.empty:
            self._canvas[covered.slices] = pixels[covered.slices]
        if screen is not None and not screen.all_known:
            self.unknown_frames += 1
        self._write(time_ns)

    def hold(self, time_ns: int) -> None:
        """Show what is shown up to a time, so that the movie ends with the capture."""
        if _tick(time_ns) > self.last_tick:
            self._write(time_ns)

    def _write(self, time_ns: int) -> None:
        frame: av.VideoFrame = self._av.VideoFrame.from_ndarray(self._canvas, format="rgba")
        frame = frame.reformat(format="yuv420p", dst_colorspace=_BT709)
        self.last_tick = max(_tick(time_ns), self.last_tick + 1)
        frame.pts, frame.time_base = self.last_tick, TIME_BASE
        self._container.mux(self._stream.encode(frame))
        self.frames += 1


def _tick(time_ns: int) -> int:
    return round(time_ns * TIME_BASE.denominator / NS_PER_S)


def _encoder() -> tuple[str, dict[str, str]]:
    import av

    for name, options in ENCODERS:
        try:
            av.codec.Codec(name, "w")
        except av.codec.codec.UnknownCodecError:
            continue
        return name, options
    raise InputError(f"this FFmpeg ({av.ffmpeg_version_info}) can write neither H.264 nor MPEG-4")
