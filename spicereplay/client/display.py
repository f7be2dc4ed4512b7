"""A display channel of a client: its caches and preferences, and reports on its video streams.

What the messages draw is not decided here.

Source: spice-wire.md 7.2, 7.7, 10 and 11; spice-gtk src/channel-display.c.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import ClassVar, Final

from spicereplay.client.channel import ChannelClient
from spicereplay.client.options import ClientOptions
from spicereplay.client.shared import Monitor, Shared
from spicereplay.client.stream_report import ReportWindow, cannot_play
from spicereplay.limits import DEFAULT_LIMITS
from spicereplay.protocol.caps import DisplayCap
from spicereplay.protocol.enums import ChannelType, ClientDisplay, NotifySeverity, ServerDisplay, SurfaceFlags
from spicereplay.protocol.messages import display
from spicereplay.protocol.messages.geometry import Rect
from spicereplay.protocol.wire import Message
from spicereplay.units import MIB

CACHE_ID: Final = 1
WINDOW_LEAST: Final = 12 * MIB
WINDOW_MOST: Final = 64 * MIB
"""Bytes of the GLZ window. Source: spice-wire.md 7.2; spice-gtk src/spice-session.c."""
ENDED_STREAMS: Final = 16
"""Streams that are remembered after their end. Source: ryll-formats.md 5.3, `streams_recently_destroyed`."""
UNSTAMPED_LEAD_MS: Final = 100
"""A frame stamped 0 counts as that early. Source: spice-gtk, display_handle_stream_data."""
PRIMARY: Final = 0


def glz_window_pixels(ram_hint: int) -> int:
    """Return the GLZ window that spice-gtk asks for: half of the guest's video memory, 12 to 64 MiB."""
    return max(WINDOW_LEAST, min(WINDOW_MOST, ram_hint // 2)) // 4


@dataclass(frozen=True, slots=True)
class StreamDiagnostics:
    """One video stream. Source: ryll-formats.md 5.4. Times in ns; None: never."""

    stream_id: int
    surface_id: int
    codec: int
    """A `VideoCodec`, or a number that the protocol does not define."""
    width: int
    height: int
    dest: Rect
    created_ns: int
    destroyed_ns: int | None
    frames: int
    """STREAM_DATA messages."""
    late: int
    """Those that came after their time."""
    decoded: int
    failed: int
    last_frame_ns: int | None
    last_decoded_ns: int | None
    last_decode_ns: int
    """How long the last decoding took."""
    backend: str
    """What decoded it last; empty: nothing."""
    report_unique_id: int | None
    """None: the server wants no reports."""
    report_window: int
    report_timeout_ms: int
    reports: int
    last_report_ns: int | None
    last_report: display.StreamReport | None


@dataclass(frozen=True, slots=True)
class DisplayDiagnostics:
    """What a display channel knows. Source: ryll-formats.md 5.3, without caches and decoders."""

    streams_active: tuple[StreamDiagnostics, ...]
    """By stream id."""
    streams_ended: tuple[StreamDiagnostics, ...]
    """The last `ENDED_STREAMS`, oldest first."""
    streams_created: int
    streams_destroyed: int
    streams_refused: int
    """Of a codec that nothing decodes, or with an id or in a number that the protocol does not allow."""
    orphans: int
    """Messages about a stream that is not there."""
    reports: int
    cannot_play_reports: int
    preferred_compression_sent: bool
    preferred_codecs_sent: bool
    monitors: tuple[Monitor, ...]
    """What the channel shows."""


@dataclass(slots=True, eq=False)
class _Stream:
    create: display.StreamCreate
    created_ns: int
    destroyed_ns: int | None = None
    frames: int = 0
    late: int = 0
    decoded: int = 0
    failed: int = 0
    last_frame_ns: int | None = None
    last_decoded_ns: int | None = None
    last_decode_ns: int = 0
    backend: str = ""
    window: ReportWindow | None = None
    reports: int = 0
    last_report_ns: int | None = None
    last_report: display.StreamReport | None = None

    def diagnostics(self) -> StreamDiagnostics:
        """Return what is known of the stream."""
        create, window = self.create, self.window
        return StreamDiagnostics(
            stream_id=create.id,
            surface_id=create.surface_id,
            codec=int(create.codec_type),
            width=create.stream_width,
            height=create.stream_height,
            dest=create.dest,
            created_ns=self.created_ns,
            destroyed_ns=self.destroyed_ns,
            frames=self.frames,
            late=self.late,
            decoded=self.decoded,
            failed=self.failed,
            last_frame_ns=self.last_frame_ns,
            last_decoded_ns=self.last_decoded_ns,
            last_decode_ns=self.last_decode_ns,
            backend=self.backend,
            report_unique_id=None if window is None else window.unique_id,
            report_window=0 if window is None else window.max_window,
            report_timeout_ms=0 if window is None else window.timeout_ms,
            reports=self.reports,
            last_report_ns=self.last_report_ns,
            last_report=self.last_report,
        )


class DisplayClient(ChannelClient):
    """A display channel."""

    HEEDS: ClassVar = frozenset(
        {
            ServerDisplay.MODE,
            ServerDisplay.SURFACE_CREATE,
            ServerDisplay.SURFACE_DESTROY,
            ServerDisplay.MONITORS_CONFIG,
            ServerDisplay.GL_DRAW,
            ServerDisplay.STREAM_CREATE,
            ServerDisplay.STREAM_DATA,
            ServerDisplay.STREAM_DATA_SIZED,
            ServerDisplay.STREAM_CLIP,
            ServerDisplay.STREAM_DESTROY,
            ServerDisplay.STREAM_DESTROY_ALL,
            ServerDisplay.STREAM_ACTIVATE_REPORT,
        }
    )

    def __init__(self, channel: ChannelType, channel_id: int, options: ClientOptions, shared: Shared) -> None:
        super().__init__(channel, channel_id, options, shared)
        self._streams: dict[int, _Stream] = {}
        self._ended: deque[_Stream] = deque(maxlen=ENDED_STREAMS)
        self._created = self._destroyed = self._refused = self._orphans = 0
        self._reports = self._cannot_play_reports = 0
        self._surface: tuple[Monitor, ...] = ()
        self._heads: tuple[Monitor, ...] = ()

    # --- what the driver calls -------------------------------------------------------------------------

    def on_linked(self, now_ns: int) -> None:
        """Send INIT, which must come first, and each preference once where the server knows it."""
        options = self.options
        window = options.glz_window_pixels
        if window is None:
            window = glz_window_pixels(self.shared.ram_hint)
        init = display.Init(CACHE_ID, options.image_cache_pixels, CACHE_ID, window)
        self.send(ClientDisplay.INIT, init)
        compression, codecs = options.preferred_compression, options.preferred_codecs
        if compression is not None and self.server_has(DisplayCap.PREF_COMPRESSION):
            self.send(ClientDisplay.PREFERRED_COMPRESSION, display.PreferredCompression(compression))
        if codecs and self.server_has(DisplayCap.PREF_VIDEO_CODEC_TYPE):
            self.send(ClientDisplay.PREFERRED_VIDEO_CODEC_TYPE, display.PreferredVideoCodecType(codecs))

    def frame_decoded(self, stream_id: int, *, ok: bool, duration_ns: int, backend: str, now_ns: int) -> None:
        """Take note of a frame that was decoded, or could not be; a stream that has ended meanwhile is no matter."""
        stream = self._streams.get(stream_id)
        if stream is None:
            return
        stream.backend = backend
        if ok:
            stream.decoded += 1
            stream.last_decoded_ns, stream.last_decode_ns = now_ns, duration_ns
        else:
            stream.failed += 1

    def cannot_play(self, stream_id: int, now_ns: int) -> None:
        """Give up a stream: its decoder refuses it. The server goes on without video."""
        self._now_ns = now_ns
        if stream_id in self._streams:
            self._end(stream_id, now_ns)
            self._say_cannot_play(stream_id)

    def diagnostics(self) -> DisplayDiagnostics:
        """Return what the channel knows."""
        sent = self.counting.sent
        return DisplayDiagnostics(
            streams_active=tuple(self._streams[id].diagnostics() for id in sorted(self._streams)),
            streams_ended=tuple(stream.diagnostics() for stream in self._ended),
            streams_created=self._created,
            streams_destroyed=self._destroyed,
            streams_refused=self._refused,
            orphans=self._orphans,
            reports=self._reports,
            cannot_play_reports=self._cannot_play_reports,
            preferred_compression_sent=bool(sent[ClientDisplay.PREFERRED_COMPRESSION]),
            preferred_codecs_sent=bool(sent[ClientDisplay.PREFERRED_VIDEO_CODEC_TYPE]),
            monitors=self.shared.monitors.get(self.channel_id, ()),
        )

    # --- messages --------------------------------------------------------------------------------------

    def on_message(self, type: int, message: Message, now_ns: int) -> None:
        """Take in a message of the display channel."""
        match message:
            case display.StreamData() | display.StreamDataSized():
                self._frame(message.base, now_ns)
            case display.StreamCreate():
                self._create(message, now_ns)
            case display.StreamActivateReport():
                self._activate(message)
            case display.StreamClip():
                self._stream(message.id)
            case display.StreamDestroy():
                self._end(message.id, now_ns)
            case display.StreamDestroyAll():
                for stream_id in sorted(self._streams):
                    self._end(stream_id, now_ns)
            case display.GlDraw():
                self.send(ClientDisplay.GL_DRAW_DONE)
            case _:
                self._screen(message, now_ns)

    def _create(self, create: display.StreamCreate, now_ns: int) -> None:
        """Begin a stream. One that is there already is left alone, as spice-gtk does."""
        if create.id in self._streams:
            self._refused += 1
        elif create.id >= DEFAULT_LIMITS.streams:
            self._refused += 1
            self.counting.errors += 1
        elif create.codec_type not in self.options.playable_codecs:
            self._refused += 1
            text = f"a video stream in codec {int(create.codec_type)} cannot be played"
            self.tell(NotifySeverity.WARN, text, "cannot_play")
            self._say_cannot_play(create.id)
        else:
            self._created += 1
            self._streams[create.id] = _Stream(create, now_ns)

    def _stream(self, stream_id: int) -> _Stream | None:
        """Return a stream; one that is not there is reported, each time. Source: spice-gtk, get_stream_by_id."""
        stream = self._streams.get(stream_id)
        if stream is None:
            self._orphans += 1
            # An id that no stream can have is not reported: spice-server closes the channel for it.
            if stream_id < DEFAULT_LIMITS.streams:
                self._say_cannot_play(stream_id)
        return stream

    def _frame(self, base: display.StreamDataHeader, now_ns: int) -> None:
        """Count a frame before it is decoded, and report if that is due."""
        stream = self._stream(base.id)
        if stream is None:
            return
        shared = self.shared
        time_ms = base.multi_media_time or (shared.mm_time(now_ns) + UNSTAMPED_LEAD_MS) % 2**32
        margin = shared.margin(time_ms, now_ns)
        stream.frames += 1
        stream.late += margin < 0
        stream.last_frame_ns = now_ns
        if stream.window is None:
            return
        report = stream.window.frame(time_ms, margin, shared.playback_delay_ms, now_ns)
        if report is not None:
            self._reports += 1
            stream.reports += 1
            stream.last_report, stream.last_report_ns = report, now_ns
            self.send(ClientDisplay.STREAM_REPORT, report)

    def _activate(self, activate: display.StreamActivateReport) -> None:
        stream = self._stream(activate.stream_id)
        if stream is not None:
            stream.window = ReportWindow(
                activate.stream_id, activate.unique_id, activate.max_window_size, activate.timeout_ms
            )

    def _end(self, stream_id: int, now_ns: int) -> None:
        stream = self._streams.pop(stream_id, None)
        if stream is not None:
            stream.destroyed_ns = now_ns
            self._destroyed += 1
            self._ended.append(stream)

    def _say_cannot_play(self, stream_id: int) -> None:
        if self.server_has(DisplayCap.STREAM_REPORT):
            self._cannot_play_reports += 1
            self.send(ClientDisplay.STREAM_REPORT, cannot_play(stream_id))

    def _screen(self, message: Message, now_ns: int) -> None:
        """Note what the channel shows: the heads that the server names, else the primary surface."""
        match message:
            case display.MonitorsConfig():
                heads = (_monitor(h.width, h.height, h.x, h.y) for h in message.heads)
                self._heads = tuple(monitor for monitor in heads if monitor is not None)
            case display.SurfaceCreate() if message.flags & SurfaceFlags.PRIMARY:
                # What a streaming agent shows is another view of a monitor that is there already.
                if not message.flags & SurfaceFlags.STREAMING_MODE:
                    self._primary(message.width, message.height)
            case display.Mode():
                self._primary(message.x_res, message.y_res)
            case display.SurfaceDestroy() if message.surface_id == PRIMARY:
                self._surface = self._heads = ()
            case _:
                return
        monitors = self._heads or self._surface
        self.shared.set_monitors(self.channel_id, monitors if self._surface else (), now_ns)

    def _primary(self, width: int, height: int) -> None:
        monitor = _monitor(width, height, 0, 0)
        # Heads of the surface before do not hold for this one; MONITORS_CONFIG follows it (spice-wire.md 7.7).
        self._surface, self._heads = () if monitor is None else (monitor,), ()


def _monitor(width: int, height: int, x: int, y: int) -> Monitor | None:
    """Return a monitor if a picture of that size can be there."""
    most = DEFAULT_LIMITS.image_side_px
    if not (0 < width <= most and 0 < height <= most and x <= most and y <= most):
        return None
    return Monitor(width, height, x, y)
