"""Which messages of an incomplete recording a client could not carry out.

A client that is sent a GLZ image whose reference it never got waits for it for ever, and one that is to draw from a
cache entry it never got complains at best. So the display messages of a recording that lacks some are gone through
once, with the memories that a client would have; what cannot be carried out is named, and leaves nothing behind that
later messages could rely on.
Source: spice-wire.md 7.6, 9.2; spice-gtk src/decode-glz.c, src/channel-display.c.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields

from spicereplay.codecs.glz import decode_glz, inflate_glz
from spicereplay.codecs.window import GlzWindow
from spicereplay.display.draws import DRAW_MESSAGES
from spicereplay.display.region import Box, box_of
from spicereplay.display.surfaces import extent_of
from spicereplay.errors import DecodeError
from spicereplay.limits import DEFAULT_LIMITS, Limits
from spicereplay.protocol import registry
from spicereplay.protocol.enums import (
    BitmapFlags,
    ChannelType,
    ImageFlags,
    ImageType,
    ResourceType,
    Side,
)
from spicereplay.protocol.messages import display as messages
from spicereplay.protocol.messages.images import BinaryData, Bitmap, Image, LzPlt, SurfaceImage, ZlibGlz
from spicereplay.protocol.wire import Structure
from spicereplay.replay.driver import Progress
from spicereplay.replay.order import GAP, screen_order
from spicereplay.replay.screens import let_go
from spicereplay.session.log import SessionLog

_LOSSY = (ImageType.JPEG, ImageType.JPEG_ALPHA)
_PRIMARY = 0


class _Lost(Exception):
    """What a message needs is not there; the text says what."""


@dataclass(slots=True)
class _Cached:
    references: int
    lossy: bool


@dataclass(slots=True)
class _Display:
    """What a client remembers of one display channel."""

    surfaces: set[int] = field(default_factory=set)
    destroyed: set[int] = field(default_factory=set)
    inferred: dict[int, Box] = field(default_factory=dict)
    streams: set[int] = field(default_factory=set)
    palettes: set[int] = field(default_factory=set)


@dataclass(slots=True)
class Rehearsal:
    """What came of it."""

    lost: dict[tuple[int, int], str] = field(default_factory=dict)
    """Per display channel and row of its `server` index: `for want of` what a client would not have, or why else."""
    surfaces: dict[int, dict[int, tuple[int, int]]] = field(default_factory=dict)
    """Per display channel: width and height of the surfaces that are drawn on and were never seen created."""


def rehearse(
    session: SessionLog, *, limits: Limits = DEFAULT_LIMITS, progress: Progress | None = None
) -> Rehearsal:
    """Go through the display messages of a session in order of capture time."""
    client = _Client(limits)
    order = screen_order(session)
    out = Rehearsal()
    released = [0] * len(order.logs)
    for n, (_, which, row) in enumerate(order):
        if progress is not None and n % 256 == 0:
            progress("rehearsing", n, len(order))
        log = order.logs[which]
        if log.channel is not ChannelType.DISPLAY or row == GAP or log.server.partial[row]:
            continue
        released[which] = let_go(log.server, released[which], row)
        kind = int(log.server.type[row])
        message = registry.parse_message(
            log.channel, Side.SERVER, kind, log.server.body(row), limits=limits
        ).message
        if message is None:
            out.lost[log.channel_id, row] = "that cannot be read"
            continue
        try:
            client.take(client.displays.setdefault(log.channel_id, _Display()), message)
        except _Lost as lost:
            out.lost[log.channel_id, row] = f"for want of {lost}"
    if progress is not None:
        progress("rehearsing", len(order), len(order))
    for channel_id, display in client.displays.items():
        out.surfaces[channel_id] = {i: (box.right, box.bottom) for i, box in display.inferred.items()}
    return out


def images_in(part: object) -> Iterator[Image]:
    """Yield every image of a message: sources, masks, patterns."""
    if isinstance(part, Image):
        yield part
    elif isinstance(part, Structure):
        for item in fields(part):  # type: ignore[arg-type]
            yield from images_in(getattr(part, item.name))


@dataclass(slots=True)
class _Client:
    """What a client remembers of a session."""

    limits: Limits
    displays: dict[int, _Display] = field(default_factory=dict)
    cache: dict[int, _Cached] = field(default_factory=dict)
    window: GlzWindow = field(init=False)

    def __post_init__(self) -> None:
        self.window = GlzWindow(self.limits)

    def take(self, display: _Display, message: object) -> None:
        """Carry out one message; raises `_Lost`, having changed nothing, where that cannot be."""
        if isinstance(message, DRAW_MESSAGES):
            box = box_of(message.base.box)
            if isinstance(message, messages.CopyBits):
                box = box.union(box.shift(message.src_pos.x - box.left, message.src_pos.y - box.top))
            self._surface(display, message.base.surface_id, box)
            self._images(display, message, list(images_in(message)))
            return
        match message:
            case messages.StreamCreate():
                self._surface(display, message.surface_id, box_of(message.dest))
                display.streams.add(message.id)
            case messages.StreamData() | messages.StreamDataSized():
                self._stream(display, message.base.id)
            case messages.StreamClip():
                self._stream(display, message.id)
            case messages.StreamActivateReport():
                self._stream(display, message.stream_id)
            case messages.StreamDestroy():
                self._stream(display, message.id)
                display.streams.discard(message.id)
            case messages.StreamDestroyAll():
                display.streams.clear()
            case messages.SurfaceCreate():
                display.surfaces.add(message.surface_id)
                display.destroyed.discard(message.surface_id)
            case messages.Mode():
                display.surfaces.add(_PRIMARY)
            case messages.SurfaceDestroy():
                if message.surface_id not in display.surfaces:
                    raise _Lost("a surface that was never seen created")
                display.surfaces.discard(message.surface_id)
                display.destroyed.add(message.surface_id)
            case messages.MonitorsConfig():
                for head in message.heads:
                    if head.surface_id not in display.surfaces and head.surface_id not in display.destroyed:
                        shown = Box(0, 0, head.x + head.width, head.y + head.height)
                        self._surface(display, head.surface_id, shown)
            case messages.InvalList():
                for resource in message.resources:
                    if resource.type == ResourceType.PIXMAP:
                        self._invalidate(resource.id)
            case messages.InvalAllPixmaps():
                self.cache.clear()
            case messages.InvalPalette():
                display.palettes.discard(message.id)
            case messages.InvalAllPalettes() | messages.Reset():
                display.palettes.clear()

    def _surface(self, display: _Display, surface_id: int, box: Box) -> None:
        """Make sure that a surface is there; one that was never seen created is concluded from what is drawn."""
        extent = extent_of(box, self.limits)
        if surface_id not in display.surfaces:
            if surface_id in display.destroyed:
                raise _Lost("a surface whose creation is missing")
            if extent.empty or len(display.surfaces) >= self.limits.surfaces:
                raise _Lost("a surface that was never seen created")
            display.surfaces.add(surface_id)
            display.inferred[surface_id] = extent
        elif surface_id in display.inferred and not extent.empty:
            display.inferred[surface_id] = display.inferred[surface_id].union(extent)

    def _stream(self, display: _Display, stream_id: int) -> None:
        if stream_id not in display.streams:
            raise _Lost("a video stream that was never seen created")

    def _images(self, display: _Display, message: object, images: list[Image]) -> None:
        for image in images:
            self._check(display, message, image)
        for image in images:
            self._decode(image)
        for image in images:
            self._keep(display, image)

    def _check(self, display: _Display, message: object, image: Image) -> None:
        descriptor, data = image.descriptor, image.data
        match descriptor.type:
            case ImageType.FROM_CACHE if descriptor.id not in self.cache:
                raise _Lost("an image of the cache that was sent before the recording or in a gap")
            case ImageType.FROM_CACHE_LOSSLESS:
                held = self.cache.get(descriptor.id)
                if held is None or held.lossy:
                    raise _Lost("an image of the cache that was sent before the recording or in a gap")
            case ImageType.SURFACE:
                number = data.surface_id if isinstance(data, SurfaceImage) else -1
                area = getattr(message, "src_area", None)
                self._surface(display, number, box_of(area) if area is not None else Box(0, 0, 0, 0))
            case _:
                if (
                    isinstance(data, Bitmap | LzPlt)
                    and data.flags & BitmapFlags.PAL_FROM_CACHE
                    and data.palette_id not in display.palettes
                ):
                    raise _Lost("a palette that was sent before the recording or in a gap")

    def _decode(self, image: Image) -> None:
        """Decode a GLZ image, which takes it into the window; of others the pixels do not matter here."""
        descriptor, data = image.descriptor, image.data
        size = descriptor.width, descriptor.height
        try:
            if isinstance(data, ZlibGlz):
                inner = inflate_glz(data.data, data.glz_data_size, limits=self.limits)
            elif descriptor.type == ImageType.GLZ_RGB and isinstance(data, BinaryData):
                inner = data.data
            else:
                return
            decode_glz(inner, self.window, limits=self.limits, size=size)
        except DecodeError:
            raise _Lost("a GLZ image that was sent before the recording or in a gap") from None

    def _keep(self, display: _Display, image: Image) -> None:
        descriptor, data = image.descriptor, image.data
        if descriptor.type in (ImageType.FROM_CACHE, ImageType.FROM_CACHE_LOSSLESS, ImageType.SURFACE):
            return
        held = self.cache.get(descriptor.id)
        lossy = descriptor.type in _LOSSY
        if descriptor.flags & ImageFlags.CACHE_ME:
            self.cache[descriptor.id] = _Cached(1 if held is None else held.references + 1, lossy)
        elif descriptor.flags & ImageFlags.CACHE_REPLACE_ME:
            self.cache[descriptor.id] = _Cached(1 if held is None else held.references, lossy)
        if (
            isinstance(data, Bitmap | LzPlt)
            and data.palette is not None
            and data.flags & BitmapFlags.PAL_CACHE_ME
        ):
            display.palettes.add(data.palette.unique)

    def _invalidate(self, image_id: int) -> None:
        held = self.cache.get(image_id)
        if held is None:
            return
        held.references -= 1
        if not held.references:
            del self.cache[image_id]
