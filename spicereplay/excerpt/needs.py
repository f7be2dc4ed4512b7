"""What of a display channel's past its later messages need.

Every message is looked at once, in order: which cached images, palettes and dictionary images it refers to, and which
earlier messages brought them. Surfaces aside: what they show can be drawn anew.
Source: spice-wire.md 7.6 (caches), 9.2 (GLZ), 10 (streams).
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from spicereplay.codecs.glz import parse_glz_header
from spicereplay.display.draws import DRAW_MESSAGES
from spicereplay.display.images import FROM_CACHE
from spicereplay.errors import DecodeError
from spicereplay.limits import DEFAULT_LIMITS, Limits
from spicereplay.protocol import registry
from spicereplay.protocol.enums import (
    BitmapFlags,
    ImageFlags,
    ImageType,
    ResourceType,
    ServerCommon,
    ServerDisplay,
    Side,
    VideoCodec,
)
from spicereplay.protocol.messages import display as messages
from spicereplay.protocol.messages.images import BinaryData, Bitmap, Image, LzPlt, ZlibGlz
from spicereplay.protocol.wire import Structure
from spicereplay.session.log import ChannelLog

_GLZ_HEADER_BYTES: Final = 33
_LEFT_OUT: Final = (
    ServerCommon.PING,
    ServerCommon.NOTIFY,
    ServerDisplay.GL_DRAW,
    ServerDisplay.QUALITY_INDICATOR,
)
"""Messages of before that nothing later depends on."""


@dataclass(slots=True)
class _Stream:
    """A stream that is alive."""

    codec: int | None
    """None: its STREAM_CREATE is not in the recording."""
    rows: list[int] = field(default_factory=list)
    """What describes it: creation, clips, the request for reports."""
    frames: list[int] = field(default_factory=list)

    @property
    def depends(self) -> bool:
        """Whether its frames need those before."""
        return self.codec not in (None, VideoCodec.MJPEG)


@dataclass(frozen=True, slots=True)
class Needs:
    """What must stay of the messages before a moment. Rows are those of the channel's `server` index."""

    rows: frozenset[int]
    images: int
    """How many of them brought an image that is used later."""
    glz: bool
    """Whether dictionary images are among them: then all that the window could reach back to."""
    inter_frames: int
    """Frames of streams whose pictures build on each other."""


@dataclass(slots=True)
class _Walk:
    """The caches' books: not what is in them, but which messages it came from."""

    cached: dict[int, list[int]] = field(default_factory=dict)
    references: dict[int, int] = field(default_factory=dict)
    palettes: dict[int, int] = field(default_factory=dict)
    streams: dict[int, _Stream] = field(default_factory=dict)

    def refer(self, image: Image, row: int) -> set[int]:
        """Return the rows an image refers to, and enter what it leaves behind."""
        descriptor, data = image.descriptor, image.data
        found: set[int] = set()
        if descriptor.type in FROM_CACHE:
            found.update(self.cached.get(descriptor.id, ()))
        if isinstance(data, Bitmap | LzPlt):
            if data.flags & BitmapFlags.PAL_FROM_CACHE and data.palette_id in self.palettes:
                found.add(self.palettes[data.palette_id])
            if data.flags & BitmapFlags.PAL_CACHE_ME and data.palette is not None:
                self.palettes[data.palette.unique] = row
        if descriptor.flags & ImageFlags.CACHE_ME:
            self.cached.setdefault(descriptor.id, []).append(row)
            self.references[descriptor.id] = self.references.get(descriptor.id, 0) + 1
        elif descriptor.flags & ImageFlags.CACHE_REPLACE_ME:
            # The lossy form was sent to be replaced: both are kept, since references count puts alone.
            self.cached.setdefault(descriptor.id, []).append(row)
            self.references.setdefault(descriptor.id, 1)
        return found

    def forget(self, image_id: int) -> None:
        """Take note of an order to drop one reference to an image."""
        left = self.references.get(image_id, 0) - 1
        if left > 0:
            self.references[image_id] = left
        else:
            self.references.pop(image_id, None)
            self.cached.pop(image_id, None)

    def follow(self, message: object, row: int) -> None:
        """Take note of anything else that changes caches or streams."""
        match message:
            case messages.InvalList():
                for resource in message.resources:
                    if resource.type == ResourceType.PIXMAP:
                        self.forget(resource.id)
            case messages.InvalAllPixmaps():
                self.cached.clear()
                self.references.clear()
            case messages.InvalPalette():
                self.palettes.pop(message.id, None)
            case messages.InvalAllPalettes() | messages.Reset():
                self.palettes.clear()
            case messages.StreamCreate():
                live = self.streams.get(message.id)
                if live is None or live.codec is None:
                    live = self.streams[message.id] = _Stream(int(message.codec_type))
                live.rows.append(row)
            case messages.StreamClip():
                self.streams.setdefault(message.id, _Stream(None)).rows.append(row)
            case messages.StreamActivateReport():
                self.streams.setdefault(message.stream_id, _Stream(None)).rows.append(row)
            case messages.StreamData() | messages.StreamDataSized():
                if message.base.id in self.streams:
                    self.streams[message.base.id].frames.append(row)
            case messages.StreamDestroy():
                self.streams.pop(message.id, None)
            case messages.StreamDestroyAll():
                self.streams.clear()


@dataclass(frozen=True, slots=True)
class _Glz:
    """A dictionary image."""

    id: int
    oldest: int
    """The oldest image that it may copy from."""
    row: int


def needs(log: ChannelLog, start_ns: int, stop_ns: int, *, limits: Limits = DEFAULT_LIMITS) -> Needs:
    """Return which messages of a display channel before `start_ns` those from then until `stop_ns` need.

    What shapes the channel is always needed: surfaces, monitors, marks, what is dropped from caches, live streams.
    """
    walk = _Walk()
    refers: dict[int, set[int]] = {}
    glz: dict[int, list[_Glz]] = {}
    always: set[int] = set()
    wanted: list[int] = []
    live: dict[int, _Stream] | None = None
    index = log.server
    times = np.maximum.accumulate(index.time_ns)
    before = int(np.searchsorted(times, start_ns, "left"))
    for row in range(int(np.searchsorted(times, stop_ns, "right"))):
        if row == before:
            live = {n: _Stream(s.codec, [*s.rows], [*s.frames]) for n, s in walk.streams.items()}
        if index.partial[row]:
            continue
        kind = int(index.type[row])
        message = registry.parse_message(
            log.channel, Side.SERVER, kind, index.body(row), limits=limits
        ).message
        drawn = isinstance(message, DRAW_MESSAGES)
        if drawn:
            found: set[int] = set()
            for image in images_of(message):
                found |= walk.refer(image, row)
                if (entry := _glz(image, row)) is not None:
                    glz.setdefault(row, []).append(entry)
            if found:
                refers[row] = found
        else:
            walk.follow(message, row)
        if row >= before:
            wanted.append(row)
        elif not drawn and kind not in _STREAM_TYPES and kind not in _LEFT_OUT:
            always.add(row)
    if live is None:
        live = walk.streams
    used = _closure(wanted, refers, glz, before)
    frames = {row for stream in live.values() if stream.depends for row in stream.frames}
    shapes = {row for stream in live.values() for row in stream.rows}
    return Needs(
        rows=frozenset(row for row in always | used | frames | shapes if row < before),
        images=len(used),
        glz=any(row in glz for row in used),
        inter_frames=len(frames),
    )


_STREAM_TYPES: Final = (
    ServerDisplay.STREAM_CREATE,
    ServerDisplay.STREAM_CLIP,
    ServerDisplay.STREAM_ACTIVATE_REPORT,
    ServerDisplay.STREAM_DATA,
    ServerDisplay.STREAM_DATA_SIZED,
    ServerDisplay.STREAM_DESTROY,
    ServerDisplay.STREAM_DESTROY_ALL,
)


def _closure(
    wanted: list[int], refers: dict[int, set[int]], glz: dict[int, list[_Glz]], before: int
) -> set[int]:
    """Return the rows before `before` that the wanted ones need, and those that these need in turn."""
    dictionary = sorted(
        (entry for row, entries in glz.items() if row < before for entry in entries),
        key=lambda entry: entry.id,
        reverse=True,
    )
    done: set[int] = set()
    waiting = list(wanted)
    oldest = min((e.oldest for row in wanted for e in glz.get(row, ())), default=None)
    reached = 0
    while waiting:
        row = waiting.pop()
        if row in done:
            continue
        done.add(row)
        waiting.extend(refers.get(row, ()))
        for entry in glz.get(row, ()):
            oldest = entry.oldest if oldest is None else min(oldest, entry.oldest)
        # What lies in reach of an image lies behind the ids that are newer: one walk down is enough.
        while oldest is not None and reached < len(dictionary) and dictionary[reached].id >= oldest:
            oldest = min(oldest, dictionary[reached].oldest)
            waiting.append(dictionary[reached].row)
            reached += 1
    return {row for row in done if row < before}


def _glz(image: Image, row: int) -> _Glz | None:
    data = image.data
    if image.descriptor.type == ImageType.GLZ_RGB and isinstance(data, BinaryData):
        head = data.data[:_GLZ_HEADER_BYTES]
    elif isinstance(data, ZlibGlz):
        try:
            head = zlib.decompressobj().decompress(data.data, _GLZ_HEADER_BYTES)
        except zlib.error:
            return None  # it cannot be decoded either, and nothing refers to it
    else:
        return None
    try:
        header = parse_glz_header(head)
    except DecodeError:
        return None
    return _Glz(header.id, max(0, header.id - header.win_head_dist), row)


def images_of(value: object) -> Iterator[Image]:
    """Yield every image within a message: sources, masks, patterns of brushes."""
    if isinstance(value, Image):
        yield value
    elif isinstance(value, Structure):
        for name in getattr(value, "__dataclass_fields__", ()):
            yield from images_of(getattr(value, name))
