"""One display channel: its surfaces, streams, palettes and monitors, message by message.

Source: spice-wire.md 7, 10; spice-gtk src/channel-display.c.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from spicereplay.codecs.video import VideoDecoder
from spicereplay.defects import DefectKind
from spicereplay.display.cache import PaletteCache
from spicereplay.display.draws import DRAW_MESSAGES, Draws, clip_boxes
from spicereplay.display.images import SessionImages
from spicereplay.display.monitors import Monitor, monitors_of, whole_surface
from spicereplay.display.records import ImageRecord
from spicereplay.display.region import Box, Region, box_of
from spicereplay.display.streams import Stream, frame_picture, frame_region, paint_frame
from spicereplay.display.surfaces import (
    SURFACE_FORMATS,
    Surface,
    WordFormat,
    extent_of,
    inferred_surface,
    new_surface,
)
from spicereplay.errors import DecodeError
from spicereplay.protocol.enums import ResourceType, StreamFlags, SurfaceFlags
from spicereplay.protocol.messages import display as messages
from spicereplay.protocol.messages.drawing import DisplayBase

OpenVideo = Callable[[int], VideoDecoder]
"""Opens a decoder for a codec number; raises `DecodeError` where there is none."""

PRIMARY: Final = 0
"""The number of the primary surface."""


@dataclass(slots=True)
class DisplayChannel:
    """State of one display channel of a session."""

    channel_id: int
    images: SessionImages
    open_video: OpenVideo
    streams: dict[int, Stream] = field(default_factory=dict)
    monitors: tuple[Monitor, ...] = ()
    marked: bool = False
    """The server has said that the picture may be shown."""
    scanout: Box | None = None
    """The screen is in a DMA buffer of this size, of which no pixel travels over the network."""
    palettes: PaletteCache = field(init=False)
    draws: Draws = field(init=False)
    _primary: int | None = None
    _destroyed: set[int] = field(default_factory=set)
    _unknown_clips: dict[int, tuple[Box, ...] | None] = field(default_factory=dict)
    """Clips of streams whose STREAM_CREATE was not seen."""

    def __post_init__(self) -> None:
        self.palettes = PaletteCache(self.images.limits)
        self.draws = Draws(self.channel_id, self.images, self.palettes)

    @property
    def where(self) -> str:
        """The channel in words."""
        return f"display/{self.channel_id}"

    @property
    def surfaces(self) -> dict[int, Surface]:
        """The surfaces there are now, by number."""
        return self.draws.surfaces

    @property
    def primary(self) -> Surface | None:
        """The surface that the screen shows."""
        return None if self._primary is None else self.surfaces.get(self._primary)

    @property
    def heads(self) -> tuple[Monitor, ...]:
        """The monitors, or one that shows the whole primary surface where none were announced."""
        primary = self.primary
        if self.monitors or primary is None:
            return self.monitors
        return whole_surface(primary.surface_id, primary.box)

    def handle(self, message: object, time_ns: int) -> None:
        """Take in one message from the server. Raises `NotYetError` as `Draws.perform` does."""
        if isinstance(message, DRAW_MESSAGES):
            base: DisplayBase = message.base
            box = box_of(base.box)
            if isinstance(message, messages.CopyBits):
                box = box.union(box.shift(message.src_pos.x - box.left, message.src_pos.y - box.top))
            surface = self._surface(base.surface_id, box, time_ns)
            if surface is not None:
                self.draws.perform(message, surface, time_ns)
            return
        match message:
            case messages.StreamData():
                self._frame(message.base.id, message.data, None, time_ns)
            case messages.StreamDataSized():
                self._frame(message.base.id, message.data, box_of(message.dest), time_ns)
            case messages.StreamCreate():
                self._stream_create(message, time_ns)
            case messages.StreamClip():
                if (stream := self.streams.get(message.id)) is not None:
                    stream.clip = clip_boxes(message.clip)
                elif message.id < self.images.limits.streams:
                    self._unknown_clips[message.id] = clip_boxes(message.clip)
            case messages.StreamDestroy():
                self.streams.pop(message.id, None)
                self._unknown_clips.pop(message.id, None)
            case messages.StreamDestroyAll():
                self.streams.clear()
                self._unknown_clips.clear()
            case messages.SurfaceCreate():
                self._surface_create(message, time_ns)
            case messages.SurfaceDestroy():
                self._surface_destroy(message.surface_id)
            case messages.Mode():
                format = WordFormat.X888 if message.bits == 32 else WordFormat.X555
                self._create(PRIMARY, message.x_res, message.y_res, format, SurfaceFlags.PRIMARY, time_ns)
            case messages.MonitorsConfig():
                if message.heads:
                    self.monitors = monitors_of(message.heads, message.max_allowed)
            case messages.Mark():
                self.marked = True
            case messages.Reset():
                self._reset()
            case messages.InvalList():
                for resource in message.resources:
                    if resource.type == ResourceType.PIXMAP:
                        self.images.cache.invalidate(resource.id)
            case messages.InvalAllPixmaps():
                self.images.cache.clear()
            case messages.InvalPalette():
                self.palettes.invalidate(message.id)
            case messages.InvalAllPalettes():
                self.palettes.clear()
            case messages.GlScanoutUnix():
                self.scanout = Box(0, 0, message.width, message.height)

    def lost(self, box: Box | None = None, surface_id: int | None = None) -> None:
        """Say that messages are missing here: what they may have drawn is unknown from now on.

        `box` and `surface_id` narrow it down where the head of a damaged message was still readable. Streams
        wait for their next key frame.
        """
        for surface in self.surfaces.values():
            if surface_id is None or surface.surface_id == surface_id:
                region = surface.box if box is None else box.intersect(surface.box)
                if not region.empty:
                    surface.mark(Region(region), True)
        if box is None:
            for stream in self.streams.values():
                if stream.decoder is not None:
                    stream.decoder.lost()

    # --- surfaces -------------------------------------------------------------------------------------

    def _surface(self, surface_id: int, box: Box, time_ns: int) -> Surface | None:
        """Return the surface a message draws on; one that was never created is inferred from what is drawn."""
        surface = self.surfaces.get(surface_id)
        if surface is not None:
            if surface.inferred:
                surface.grow(box, self.images.limits)
            return surface
        if surface_id in self._destroyed or len(self.surfaces) >= self.images.limits.surfaces:
            detail = f"surface {surface_id} does not exist any more"
            self.images.defects.add(DefectKind.SURFACE_UNKNOWN, self.where, detail, time_ns=time_ns)
            return None
        extent = extent_of(box, self.images.limits)
        if extent.empty:
            return None
        detail = (
            f"surface {surface_id} was never created: taken for 32-bit xRGB as large as what is drawn on it"
        )
        self.images.defects.add(DefectKind.SURFACE_UNKNOWN, self.where, detail, time_ns=time_ns)
        surface = inferred_surface(surface_id, extent.right, extent.bottom)
        self.surfaces[surface_id] = surface
        if surface.primary:
            self._primary = surface_id
        return surface

    def _surface_create(self, message: messages.SurfaceCreate, time_ns: int) -> None:
        format = SURFACE_FORMATS.get(int(message.format))
        if format is None:
            detail = f"surface {message.surface_id} of format {int(message.format)}"
            self.images.defects.add(DefectKind.VALUE_UNKNOWN, self.where, detail, time_ns=time_ns)
            return
        self._create(message.surface_id, message.width, message.height, format, message.flags, time_ns)

    def _create(
        self, surface_id: int, width: int, height: int, format: WordFormat, flags: int, time_ns: int
    ) -> None:
        limits = self.images.limits
        if extent_of(Box(0, 0, width, height), limits).empty or len(self.surfaces) >= limits.surfaces:
            detail = f"surface {surface_id} of {width}×{height} px, beside {len(self.surfaces)} others"
            self.images.defects.add(DefectKind.IMAGE_OVER_LIMIT, self.where, detail, time_ns=time_ns)
            return
        self._destroyed.discard(surface_id)
        primary = bool(flags & SurfaceFlags.PRIMARY)
        if primary:
            old = self.primary
            if old is not None:
                if (old.box.right, old.box.bottom) == (width, height) and not old.inferred:
                    return  # the reference client goes on with the surface it has, pixels and format
                del self.surfaces[old.surface_id]
            self._primary = surface_id
            self.scanout = None
        self.surfaces[surface_id] = new_surface(
            surface_id,
            width,
            height,
            format,
            primary=primary,
            streaming=bool(flags & SurfaceFlags.STREAMING_MODE),
        )

    def _surface_destroy(self, surface_id: int) -> None:
        surface = self.surfaces.pop(surface_id, None)
        if surface is not None and surface_id == self._primary:
            self._primary = None
        if len(self._destroyed) < self.images.limits.surfaces:
            self._destroyed.add(surface_id)

    def _reset(self) -> None:
        if (primary := self.primary) is not None:
            primary.put(Region(primary.box), 0)
        self.palettes.clear()
        self.marked = False

    # --- streams --------------------------------------------------------------------------------------

    def _stream_create(self, message: messages.StreamCreate, time_ns: int) -> None:
        if message.id >= self.images.limits.streams:
            detail = f"stream {message.id}, at most {self.images.limits.streams} are possible"
            self.images.defects.add(DefectKind.STREAMS_OVER_LIMIT, self.where, detail, time_ns=time_ns)
            return
        if message.id in self.streams:
            detail = f"stream {message.id} is created again without having been destroyed"
            self.images.defects.add(DefectKind.STREAM_UNKNOWN, self.where, detail, time_ns=time_ns)
            return
        self._unknown_clips.pop(message.id, None)
        decoder: VideoDecoder | None = None
        try:
            decoder = self.open_video(int(message.codec_type))
        except DecodeError as error:
            self.images.defects.add(DefectKind(error.reason), self.where, str(error), time_ns=time_ns)
        self.streams[message.id] = Stream(
            message.id,
            message.surface_id,
            int(message.codec_type),
            bool(message.flags & StreamFlags.TOP_DOWN),
            box_of(message.dest),
            clip_boxes(message.clip),
            decoder,
        )

    def _frame(self, stream_id: int, data: bytes, sized: Box | None, time_ns: int) -> None:
        stream = self.streams.get(stream_id)
        if stream is None:
            self._stray_frame(stream_id, sized, time_ns)
            return
        dest = stream.dest if sized is None else sized
        surface = self._surface(stream.surface_id, dest, time_ns)
        if surface is None:
            return
        region = frame_region(surface, dest, stream.clip)
        start = self.images.clock()
        decoded = None
        if stream.decoder is not None:
            try:
                decoded = stream.decoder.decode(data)
            except DecodeError as error:
                detail = f"stream {stream_id}: {error}"
                self.images.defects.add(DefectKind(error.reason), self.where, detail, time_ns=time_ns)
        took = self.images.clock() - start
        if decoded is not None:
            paint_frame(surface, region, frame_picture(decoded, top_down=stream.top_down), dest)
        elif not region.empty:
            surface.mark(region, True)
        record = ImageRecord(
            time_ns=time_ns,
            channel_id=self.channel_id,
            codec=stream.codec_name,
            width=decoded.width if decoded is not None else dest.width,
            height=decoded.height if decoded is not None else dest.height,
            size_bytes=len(data),
            decode_ns=took if decoded is not None else 0,
            backend=decoded.backend if decoded is not None else "",
            cache_hit=False,
            surface_id=stream.surface_id,
            box=dest,
            stream_id=stream_id,
            decoded=decoded is not None,
        )
        self.images.record(record)
        if decoded is not None and self.images.seen is not None:
            self.images.seen(record, decoded, data)

    def _stray_frame(self, stream_id: int, sized: Box | None, time_ns: int) -> None:
        """Account for a frame of a stream whose beginning was not seen: it paints, but what cannot be known.

        Before something is drawn over a stream's area the server takes that area out of its clip. Without any
        STREAM_CLIP so far, what has been drawn since the recording began therefore lies outside of the stream.
        """
        detail = f"a frame of stream {stream_id}, whose STREAM_CREATE was not seen"
        self.images.defects.add(DefectKind.STREAM_UNKNOWN, self.where, detail, time_ns=time_ns)
        primary = self.primary
        if primary is None or (sized is None and stream_id not in self._unknown_clips):
            return
        dest = primary.box if sized is None else sized
        region = frame_region(primary, dest, self._unknown_clips.get(stream_id))
        if not region.empty:
            primary.mark(region, True)
