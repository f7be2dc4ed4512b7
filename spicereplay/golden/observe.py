"""Replays a capture and gives every picture that a manifest has a line for, in the order it came about.

Pictures are: each image and video frame that is decoded; what the rarer drawing operations drew; each surface every
so many messages, before it is destroyed and at the end; each cursor shape. What comes from a cache was a picture
before and shows in the surfaces.
"""

from __future__ import annotations

import hashlib
import platform
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Final

import numpy as np

from spicereplay.codecs.base import Data, Decoded
from spicereplay.codecs.palette import Palette
from spicereplay.display.draws import DRAW_MESSAGES
from spicereplay.display.images import decode_alone
from spicereplay.display.model import WAITING_MESSAGES
from spicereplay.display.records import Clock, ImageRecord
from spicereplay.display.region import box_of
from spicereplay.display.surfaces import Surface
from spicereplay.golden.digest import Pixels, pixels_of, shape_pixels, surface_pixels
from spicereplay.golden.manifest import MISSING, REFUSED, Key
from spicereplay.limits import DEFAULT_LIMITS, Limits
from spicereplay.protocol.enums import ChannelType, CursorFlags, CursorType, ServerDisplay
from spicereplay.protocol.messages import cursor as cursor_messages
from spicereplay.protocol.messages import display as messages
from spicereplay.protocol.messages.images import Image
from spicereplay.replay.driver import Progress, Replay
from spicereplay.replay.order import GAP
from spicereplay.replay.screens import Screens
from spicereplay.session.log import ChannelLog, SessionLog

LOSSY: Final = frozenset({"jpeg", "jpeg_alpha", "mjpeg", "vp8", "h264", "vp9", "h265"})
"""Codecs whose decoders may differ in the last bits, or convert colours differently."""
EVERY: Final = 256
"""Surfaces are looked at after so many messages of a display channel."""

_ORDINARY: Final = (messages.DrawFill, messages.DrawCopy, messages.CopyBits)
"""What nearly all drawing is: too many for a line each, and wrong pixels of theirs show in the next state."""
_NO_ROW: Final = -1


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """One picture."""

    key: Key
    size: tuple[int, int]
    """Width and height in pixels."""
    pixels: Pixels | None
    """None: `why_not` says why."""
    libraries: tuple[str, ...] = ()
    """What made the lossy pictures in it, with version and architecture; none: it is lossless."""
    why_not: str = ""
    source: Image | Data | None = None
    """The image, or the bytes of the frame, that it was decoded from."""
    palette: Palette | None = None
    """That was needed for it."""
    stream: str = ""
    """Of a frame: which stream, `display/0/49#2` for the second one with that number."""
    position: int = 0
    """Of the message in the server's stream, bytes."""
    backend: str = ""
    """Name and version of what decoded it."""
    decode_ns: int = 0
    """By the clock that was handed in."""


def library(backend: str) -> str:
    """Return a backend's name with what else its pixels may depend on: the architecture its SIMD code is for."""
    return f"{backend} {platform.machine() or 'unknown'}"


def observe(
    replay: Replay,
    see: Callable[[Seen], None],
    *,
    every: int = EVERY,
    limits: Limits = DEFAULT_LIMITS,
    clock: Clock | None = None,
    progress: Progress | None = None,
) -> None:
    """Replay all sessions and give every picture to `see`, one at a time; it must not change or keep its pixels."""
    for session in replay.sessions:
        if session.of(ChannelType.DISPLAY) or session.of(ChannelType.CURSOR):
            observe_session(session, see, every=every, limits=limits, clock=clock, progress=progress)


def observe_session(
    session: SessionLog,
    see: Callable[[Seen], None],
    *,
    every: int = EVERY,
    limits: Limits = DEFAULT_LIMITS,
    clock: Clock | None = None,
    progress: Progress | None = None,
) -> None:
    """Replay one session; see `observe`."""
    _Observer(session, see, every, limits).run(clock, progress)


def message_counts(replay: Replay) -> dict[tuple[int, str], int]:
    """Return how many messages the server sent on each display and cursor channel, by session and channel."""
    return {
        (session.number, log.name): len(log.server)
        for session in replay.sessions
        for kind in (ChannelType.DISPLAY, ChannelType.CURSOR)
        for log in session.of(kind)
    }


@dataclass(slots=True, eq=False)
class _Waiting:
    """A message of which nothing was decoded when it came: it may wait for another channel's image."""

    time_ns: int
    row: int
    holds: frozenset[int]
    """Ids of its images; of a frame that of the stream, negative."""


@dataclass(slots=True, eq=False)
class _Observer:
    """Observes one session."""

    session: SessionLog
    see: Callable[[Seen], None]
    every: int
    limits: Limits
    log: ChannelLog = field(init=False)
    row: int = _NO_ROW
    """The message that is taken in."""
    libraries: set[str] = field(default_factory=set)
    """That made lossy pictures of this session so far: what is on its surfaces may stem from them."""
    ordinals: dict[Key, int] = field(default_factory=dict)
    shown: dict[tuple[int, int], bytes] = field(default_factory=dict)
    """Channel and surface to what a surface was when it was looked at last."""
    counts: dict[int, int] = field(default_factory=dict)
    """Channel id to messages since its surfaces were looked at last."""
    waiting: dict[int, deque[_Waiting]] = field(default_factory=dict)
    """Per channel; only where there are several displays."""
    created: Counter[tuple[str, int]] = field(default_factory=Counter)
    """Streams so far, by channel and number."""
    decoded_now: bool = False
    palette: Palette | None = None

    def run(self, clock: Clock | None, progress: Progress | None) -> None:
        displays = self.session.of(ChannelType.DISPLAY)
        if len(displays) > 1:
            self.waiting = {log.channel_id: deque(maxlen=2 * WAITING_MESSAGES) for log in displays}
        with Screens(
            self.session,
            limits=self.limits,
            workers=1,
            clock=clock,
            sink=self._recorded,
            seen=self._decoded,
            decode=self._decode,
            progress=progress,
        ) as screens:
            for time_ns, which, row in screens.order:
                self.log, self.row = screens.order.logs[which], row
                if row != GAP and self.log.channel is ChannelType.DISPLAY:
                    self._before(screens)
                self.decoded_now = False
                if not self.waiting or len(self.ordinals) > 2 * WAITING_MESSAGES:
                    self.ordinals.clear()
                step = screens.step()
                if row == GAP or step is None:
                    continue
                if self.log.channel is ChannelType.CURSOR:
                    self._cursor(screens, step.message)
                    continue
                if self.waiting and not self.decoded_now:
                    held = frozenset(_holds(step.message))
                    if held:
                        self.waiting[self.log.channel_id].append(_Waiting(time_ns, row, held))
                if isinstance(step.message, messages.StreamCreate):
                    self.created[self.log.name, step.message.id] += 1
                self._drawn(screens, step.message)
                self._look(screens)
            screens.step()
            for log in displays:
                self.log, self.row = log, len(log.server)
                self._surfaces(screens, "end", always=True)

    # --- images and frames -----------------------------------------------------------------------------

    def _decode(self, image: Image, palette: Palette | None) -> Decoded:
        self.palette = palette
        return decode_alone(image, palette, self.limits)

    def _recorded(self, record: ImageRecord) -> None:
        self.decoded_now = True
        if record.decoded:
            return
        why_not = MISSING if record.codec.startswith("from_cache") else REFUSED
        size = record.width, record.height
        self._emit(self._log(record), Seen(self._key(record), size, None, why_not=why_not))

    def _decoded(self, record: ImageRecord, decoded: Decoded, source: Image | Data) -> None:
        libraries: tuple[str, ...] = ()
        if record.codec in LOSSY:
            libraries = (library(record.backend),)
            self.libraries.update(libraries)
        pixels = pixels_of(decoded)
        palette, self.palette = self.palette, None
        seen = Seen(
            self._key(record),
            pixels.size,
            pixels,
            libraries,
            source=source,
            palette=palette,
            stream=self._stream(record),
            backend=record.backend,
            decode_ns=record.decode_ns,
        )
        self._emit(self._log(record), seen)

    def _key(self, record: ImageRecord) -> Key:
        kind = "image" if record.stream_id is None else "frame"
        return Key(
            self.session.number, f"display/{record.channel_id}", self._row_of(record), kind, record.codec
        )

    def _row_of(self, record: ImageRecord) -> int:
        """Return the row of the message that a record is about: the present one, unless it had to wait."""
        queue = self.waiting.get(record.channel_id)
        holds = record.image_id if record.stream_id is None else -1 - record.stream_id
        for n, held in enumerate(queue or ()):
            if held.time_ns == record.time_ns and holds in held.holds:
                assert queue is not None
                for _ in range(n):
                    queue.popleft()
                return held.row
        return self.row

    def _stream(self, record: ImageRecord) -> str:
        if record.stream_id is None:
            return ""
        channel = f"display/{record.channel_id}"
        return f"{channel}/{record.stream_id}#{self.created[channel, record.stream_id]}"

    def _log(self, record: ImageRecord) -> ChannelLog:
        if self.log.channel is ChannelType.DISPLAY and self.log.channel_id == record.channel_id:
            return self.log
        displays = self.session.of(ChannelType.DISPLAY)
        return next(log for log in displays if log.channel_id == record.channel_id)

    def _emit(self, log: ChannelLog, seen: Seen) -> None:
        """Give a picture away, with its number among those of its message and its place in the stream."""
        key, index = seen.key, log.server
        ordinal = self.ordinals.get(key, 0)
        self.ordinals[key] = ordinal + 1
        if key.row < len(index):
            position = int(index.position[key.row])
        else:
            position = int(index.position[-1]) + int(index.size[-1]) if len(index) else 0
        self.see(replace(seen, key=replace(key, ordinal=ordinal), position=position))

    # --- surfaces --------------------------------------------------------------------------------------

    def _before(self, screens: Screens) -> None:
        """Look at the surface that the present message is about to destroy."""
        index = self.log.server
        if int(index.type[self.row]) != ServerDisplay.SURFACE_DESTROY or index.partial[self.row]:
            return
        surface_id = int.from_bytes(bytes(index.body(self.row)[:4]), "little")
        surface = screens.model.channel(self.log.channel_id).surfaces.get(surface_id)
        if surface is not None:
            self._surface("last", surface)
            self.shown.pop((self.log.channel_id, surface_id), None)

    def _drawn(self, screens: Screens, message: object) -> None:
        """Look at what a drawing operation that is not one of the ordinary ones drew."""
        if not isinstance(message, DRAW_MESSAGES) or isinstance(message, _ORDINARY):
            return
        surface = screens.model.channel(self.log.channel_id).surfaces.get(message.base.surface_id)
        if surface is None:
            return
        pixels = surface_pixels(surface, box_of(message.base.box))
        if 0 not in pixels.size:
            name = ServerDisplay(int(self.log.server.type[self.row])).name
            self._show("draw", name, pixels)

    def _look(self, screens: Screens) -> None:
        channel_id = self.log.channel_id
        self.counts[channel_id] = self.counts.get(channel_id, 0) + 1
        if self.counts[channel_id] >= self.every:
            self.counts[channel_id] = 0
            self._surfaces(screens, "state", always=False)

    def _surfaces(self, screens: Screens, kind: str, *, always: bool) -> None:
        """Look at all surfaces of the present channel; without `always` only at those that have changed."""
        surfaces = screens.model.channel(self.log.channel_id).surfaces
        for surface_id, surface in sorted(surfaces.items()):
            known = self.log.channel_id, surface_id
            now = _fingerprint(surface)
            if always or self.shown.get(known) != now:
                self.shown[known] = now
                self._surface(kind, surface)

    def _surface(self, kind: str, surface: Surface) -> None:
        self._show(kind, f"surface/{surface.surface_id}", surface_pixels(surface))

    def _show(self, kind: str, what: str, pixels: Pixels) -> None:
        key = Key(self.session.number, self.log.name, self.row, kind, what)
        self._emit(self.log, Seen(key, pixels.size, pixels, tuple(sorted(self.libraries))))

    # --- cursors ---------------------------------------------------------------------------------------

    def _cursor(self, screens: Screens, message: object) -> None:
        """Look at a shape that the present message brought."""
        if not isinstance(message, cursor_messages.Init | cursor_messages.Set):
            return
        header, flags = message.cursor.header, message.cursor.flags
        if header is None or flags & CursorFlags.NONE:
            return
        shape = screens.model.cursors[self.log.channel_id].shape
        number = int(header.type)
        known = number in CursorType.__members__.values()
        name = CursorType(number).name.lower() if known else f"type_{number}"
        key = Key(self.session.number, self.log.name, self.row, "shape", name)
        if shape is None:
            why_not = MISSING if flags & CursorFlags.FROM_CACHE else REFUSED
            self._emit(self.log, Seen(key, (header.width, header.height), None, why_not=why_not))
        elif not flags & CursorFlags.FROM_CACHE:
            pixels = shape_pixels(shape)
            self._emit(self.log, Seen(key, pixels.size, pixels))


def _fingerprint(surface: Surface) -> bytes:
    """Return what tells two states of a surface apart, cheaply."""
    state = hashlib.blake2b(repr((surface.words.shape, surface.format)).encode(), digest_size=16)
    state.update(np.ascontiguousarray(surface.words).data)
    if surface.unknown is not None:
        state.update(np.ascontiguousarray(surface.unknown).data)
    return state.digest()


def _holds(message: object) -> Iterator[int]:
    """Yield the ids of the images in a message; of a frame that of its stream, negative."""
    if isinstance(message, messages.StreamData | messages.StreamDataSized):
        yield -1 - message.base.id
    elif isinstance(message, Image):
        yield message.descriptor.id
    elif is_dataclass(message):
        for each in fields(message):
            yield from _holds(getattr(message, each.name))
