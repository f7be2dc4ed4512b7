"""Which GLZ images cannot be shown whole, because what they copy from is not in the recording.

A black image copies from no other, so it could be shown where the original cannot, and the recording would look more
complete than it is. Such an image therefore keeps one copy of what it lacks.
Source: spice-wire.md 9.2.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from spicereplay.codecs.glz import GlzReferenceMissing, decode_glz, inflate_glz, parse_glz_header
from spicereplay.codecs.window import GlzWindow
from spicereplay.errors import DecodeError
from spicereplay.limits import Limits
from spicereplay.protocol import registry
from spicereplay.protocol.enums import ChannelType, ImageType, Side
from spicereplay.protocol.messages.drawing import Brush
from spicereplay.protocol.messages.images import BinaryData, Image, ZlibGlz
from spicereplay.redact.blocks import Mosaic, mosaic_of
from spicereplay.redact.encode_lz import references
from spicereplay.replay.order import screen_order
from spicereplay.session.log import SessionLog

_HEADER: Final = 33


@dataclass(frozen=True, slots=True)
class Lack:
    """What an image copies that is not there, or not all there."""

    images: int
    """How many image ids back."""
    offset: int
    """Pixel of that image: the last one of an image that is partly known, the first one of one that is not there."""
    broken: bool = False
    """It cannot be decoded at all."""


Lacks = Mapping[int, Lack]
"""GLZ image id to what that image lacks."""


@dataclass(frozen=True, slots=True)
class Dictionary:
    """What the GLZ images of a session are, by their id."""

    lacks: dict[int, Lack] = field(default_factory=dict)
    mosaics: dict[int, Mosaic] = field(default_factory=dict)
    """Of images that can be decoded; only where they are asked for."""


def dictionary_of(session: SessionLog, limits: Limits, *, mosaics: bool) -> Dictionary:
    """Decode the GLZ images of a session and return what they lack, and with `mosaics` what they show in blocks."""
    window = GlzWindow(limits)
    found = Dictionary()
    order = screen_order(session)
    for _, which, row in order:
        log = order.logs[which]
        if row < 0 or log.channel is not ChannelType.DISPLAY or log.server.partial[row]:
            continue
        parsed = registry.parse_message(
            log.channel, Side.SERVER, int(log.server.type[row]), log.server.body(row), limits=limits
        )
        for image in images_of(parsed.message):
            _look(image, window, found, limits, mosaics)
    return found


def images_of(message: object) -> Iterator[Image]:
    """Yield the images of a draw message, those of its brushes included."""
    for name in getattr(message, "__match_args__", ()):
        value = getattr(message, name)
        if isinstance(value, Brush) and value.pattern is not None:
            value = value.pattern.pat
        if isinstance(value, Image):
            yield value


def _look(image: Image, window: GlzWindow, found: Dictionary, limits: Limits, mosaics: bool) -> None:
    data = image.data
    inner = b""
    try:
        if isinstance(data, ZlibGlz):
            inner = inflate_glz(data.data, data.glz_data_size, limits=limits)
        elif isinstance(data, BinaryData) and image.descriptor.type == ImageType.GLZ_RGB:
            inner = data.data
        else:
            return
        header = parse_glz_header(inner)
        lack: Lack | None = None
        for back in sorted(references(inner[_HEADER:])):
            other = header.id - back
            if other in window.partial_ids:
                lack = Lack(back, int(window.units[other & (len(window.units) - 1)]) - 1)
        size = image.descriptor.width, image.descriptor.height
        try:
            decoded = decode_glz(inner, window, limits=limits, size=size)
        except GlzReferenceMissing as error:
            lack = Lack(header.id - error.missing_id, 0)
            if error.may_come:
                window.close_gaps(error.missing_id + 1)
            decoded = decode_glz(inner, window, limits=limits, size=size, partial=True)
        if mosaics:
            found.mosaics[header.id] = mosaic_of(decoded.pixels)
        if lack is not None and (lack.offset == 0 or header.id in window.partial_ids):
            found.lacks[header.id] = lack
    except DecodeError:
        with suppress(DecodeError):
            found.lacks[parse_glz_header(inner).id] = Lack(0, 0, broken=True)
