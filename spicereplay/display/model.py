"""What the screens of one session show: all its display and cursor channels, fed message by message.

The channels share the image cache and the GLZ window; each has surfaces, palettes and streams of its own. Feed
messages in the order of their capture time over all channels.
Source: spice-wire.md 7.6, 9.2.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from spicereplay.codecs.video import open_video
from spicereplay.codecs.window import GlzWindow
from spicereplay.defects import DefectLog
from spicereplay.display.cache import ImageCache
from spicereplay.display.channel import DisplayChannel, OpenVideo
from spicereplay.display.cursor import CursorChannel, CursorState
from spicereplay.display.images import AloneDecoder, NotYetError, SessionImages
from spicereplay.display.monitors import Monitor
from spicereplay.display.records import Clock, ImageRecord, PictureSink, RecordSink
from spicereplay.display.region import Box, Mask
from spicereplay.display.surfaces import Surface, to_argb
from spicereplay.limits import DEFAULT_LIMITS, Limits
from spicereplay.units import NS_PER_S

WAITING_MESSAGES: Final = 4096
"""Messages that one channel holds back for another one's image before it gives up waiting …"""
WAITING_NS: Final = 10 * NS_PER_S
"""… and how long, by the times of its messages."""


@dataclass(frozen=True, slots=True, eq=False)
class Screen:
    """What one monitor, or a whole surface, shows."""

    pixels: npt.NDArray[np.uint8]
    """(height, width, 4) uint8 R, G, B, A; alpha is 255 but for surfaces that are alpha masks or ARGB off-screen."""
    unknown: Mask
    """(height, width) bool, True where the pixel cannot be known from what was recorded."""
    surface_id: int
    inferred: bool
    """Size and format were concluded from what was drawn: the SURFACE_CREATE is not in the recording."""
    primary: bool
    cursor: CursorState | None = None
    """The cursor of the channel with the same id, in coordinates of the surface; not drawn into `pixels`."""
    origin: tuple[int, int] = (0, 0)
    """Which pixel of the surface is the picture's first one."""

    @property
    def all_known(self) -> bool:
        """Whether nothing is unknown."""
        return not self.unknown.any()


def screen_of(surface: Surface, box: Box, cursor: CursorState | None = None) -> Screen:
    """Return a part of a surface as a picture of its own; nothing is shared with the surface."""
    box = box.intersect(surface.box)
    if box.empty:
        box = Box(0, 0, 0, 0)
    words = to_argb(surface.words[box.slices], surface.format)
    if surface.primary:
        words = words | np.uint32(0xFF000000)
    channels = np.ascontiguousarray(words).view(np.uint8).reshape(box.height, box.width, 4)
    unknown = surface.unknown_in(box)
    return Screen(
        np.ascontiguousarray(channels[:, :, [2, 1, 0, 3]]),
        np.zeros((box.height, box.width), np.bool_) if unknown is None else unknown.copy(),
        surface.surface_id,
        surface.inferred,
        surface.primary,
        cursor,
        (box.left, box.top),
    )


@dataclass(slots=True, eq=False)
class DisplayModel:
    """The displays of one session."""

    limits: Limits = DEFAULT_LIMITS
    channel_ids: Iterable[int] = (0,)
    """The display channels of the session, as far as they are known. With several, a channel waits for images
    that another may still bring."""
    clock: Clock = lambda: 0
    """Nanoseconds, for how long decoding takes. The default measures nothing."""
    sink: RecordSink | None = None
    """Gets each `ImageRecord`; None: they are kept in `records`."""
    decode: AloneDecoder | None = None
    """Decodes images that depend on nothing else; None: `images.decode_alone`, here and now."""
    video: OpenVideo | None = None
    """Opens video decoders; None: `codecs.video.open_video`."""
    seen: PictureSink | None = None
    """Gets each picture that is decoded; it must not change it, nor keep many."""
    records: list[ImageRecord] = field(default_factory=list)
    defects: DefectLog = field(init=False)
    images: SessionImages = field(init=False)
    channels: dict[int, DisplayChannel] = field(default_factory=dict)
    cursors: dict[int, CursorChannel] = field(default_factory=dict)
    _waiting: dict[int, deque[tuple[object, int]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.defects = DefectLog(self.limits.defects_per_kind)
        self.images = SessionImages(
            self.defects, self.limits, self.clock, self.sink or self.records.append, self.decode, self.seen
        )
        for channel_id in self.channel_ids:
            self.channel(channel_id)

    @property
    def cache(self) -> ImageCache:
        """The image cache of the session."""
        return self.images.cache

    @property
    def window(self) -> GlzWindow:
        """The GLZ dictionary of the session."""
        return self.images.window

    def channel(self, channel_id: int) -> DisplayChannel:
        """Return a display channel, which from now on exists."""
        if channel_id not in self.channels:
            limits = self.limits
            opener = self.video or (lambda codec: open_video(codec, limits=limits))
            self.channels[channel_id] = DisplayChannel(channel_id, self.images, opener)
        return self.channels[channel_id]

    def handle(self, channel_id: int, message: object, time_ns: int) -> None:
        """Take in one message of a display channel from the server; others than display messages are passed over.

        Where a message needs an image of another channel that has not come yet, it and what follows on its
        channel waits: the real client does the same.
        """
        channel = self.channel(channel_id)
        queue = self._waiting.get(channel_id)
        if queue is not None:
            queue.append((message, time_ns))
            if len(queue) > WAITING_MESSAGES or time_ns - queue[0][1] > WAITING_NS:
                self._drain(channel_id, give_up=True)
            return
        if self._try(channel, message, time_ns, give_up=len(self.channels) < 2):
            if self._waiting:
                self._retry()
            return
        self._waiting[channel_id] = deque([(message, time_ns)])
        while len(self._waiting) == len(self.channels):
            # Each waits for the others: a recording that begins in the middle. The oldest makes do.
            oldest = min(self._waiting, key=lambda waiting: self._waiting[waiting][0][1])
            blocked = self._waiting[oldest]
            self._try(self.channels[oldest], *blocked.popleft(), give_up=True)
            self._retry()

    def handle_cursor(self, channel_id: int, message: object, time_ns: int) -> None:
        """Take in one message of a cursor channel from the server."""
        if channel_id not in self.cursors:
            self.cursors[channel_id] = CursorChannel(f"cursor/{channel_id}", self.defects, self.limits)
        self.cursors[channel_id].handle(message, time_ns)

    def lost(self, channel_id: int, *, box: Box | None = None, surface_id: int | None = None) -> None:
        """Say that messages of a display channel are missing from the recording at this point.

        All it shows is unknown until it is drawn again; with `box` and `surface_id` only that part.
        """
        if channel_id in self._waiting:
            self._drain(channel_id, give_up=True)
        self.channel(channel_id).lost(box, surface_id)

    def finish(self) -> None:
        """Say that no more messages come: what still waits is carried out with what there is."""
        for channel_id in list(self._waiting):
            self._drain(channel_id, give_up=True)

    def surface(self, channel_id: int, surface_id: int) -> Screen | None:
        """Return the present content of a surface; None where there is none."""
        surface = self.channel(channel_id).surfaces.get(surface_id)
        return None if surface is None else screen_of(surface, surface.box)

    def screen(self, channel_id: int, monitor_id: int | None = None) -> Screen | None:
        """Return what a channel's screen shows: the primary surface, or the part that one monitor shows of it.

        None where there is no such surface or monitor now.
        """
        channel = self.channel(channel_id)
        cursor = self.cursors.get(channel_id)
        state = cursor.state if cursor is not None else None
        if channel.scanout is not None:
            return _scanout(channel.scanout, self.limits, state)
        if monitor_id is None:
            primary = channel.primary
            return None if primary is None else screen_of(primary, primary.box, state)
        for head in channel.heads:
            if head.monitor_id == monitor_id and (surface := channel.surfaces.get(head.surface_id)):
                return screen_of(surface, head.box, state)
        return None

    def monitors(self, channel_id: int) -> tuple[Monitor, ...]:
        """Return the monitors of a channel; one for the whole primary surface where none were announced."""
        return self.channel(channel_id).heads

    def _try(self, channel: DisplayChannel, message: object, time_ns: int, *, give_up: bool) -> bool:
        self.images.may_wait = not give_up
        try:
            channel.handle(message, time_ns)
        except NotYetError:
            return False
        return True

    def _retry(self) -> None:
        """Carry on with the channels that wait, as far as that goes now."""
        for channel_id in list(self._waiting):
            self._drain(channel_id, give_up=False)

    def _drain(self, channel_id: int, *, give_up: bool) -> None:
        """Carry out what waits on a channel, up to the next message that must wait."""
        queue = self._waiting[channel_id]
        while queue:
            message, time_ns = queue[0]
            if not self._try(self.channels[channel_id], message, time_ns, give_up=give_up):
                return
            queue.popleft()
        del self._waiting[channel_id]


def _scanout(box: Box, limits: Limits, cursor: CursorState | None) -> Screen:
    """Return a screen of which only the size is known."""
    width, height = min(box.width, limits.image_side_px), min(box.height, limits.image_side_px)
    if width * height > limits.image_pixels:
        width = height = 0
    pixels = np.zeros((height, width, 4), np.uint8)
    return Screen(pixels, np.ones((height, width), np.bool_), 0, False, True, cursor)
