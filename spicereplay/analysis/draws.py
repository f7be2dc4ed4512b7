"""One row per draw message: where it draws, with what image, and whether what was there before shows through.

All of it are fields near the beginning of a message or of its image, read as columns. Offsets inside a body are those
of spice-wire.md 7.1, 7.3 and 8.1; what stands behind a clip or a brush begins where that ends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from spicereplay.analysis import schema
from spicereplay.analysis.cells import Cells
from spicereplay.analysis.columns import BoolArray, IndexArray, by_time
from spicereplay.analysis.fields import Fields, fields_at
from spicereplay.bytestream import Int64Array
from spicereplay.protocol.enums import (
    BrushType,
    ChannelType,
    ClipType,
    ImageType,
    LineFlags,
    RopDescriptor,
    ServerDisplay,
)
from spicereplay.protocol.index import MessageIndex
from spicereplay.protocol.messages.drawing import DRAW_TYPES, DisplayBase
from spicereplay.protocol.messages.images import ImageDescriptor
from spicereplay.session.log import ChannelLog, SessionLog

if TYPE_CHECKING:
    import pandas as pd

BASE: Final = DisplayBase.prefix_dtype()
"""Surface, box and type of the clip: what every draw message begins with."""
RECT_BYTES: Final = 16

IMAGE_AT: Final = {
    ServerDisplay.DRAW_OPAQUE: 0,
    ServerDisplay.DRAW_COPY: 0,
    ServerDisplay.DRAW_BLEND: 0,
    ServerDisplay.DRAW_ROP3: 0,
    ServerDisplay.DRAW_TRANSPARENT: 0,
    ServerDisplay.DRAW_ALPHA_BLEND: 2,
    ServerDisplay.DRAW_COMPOSITE: 4,
}
"""Bytes from the end of the base to the reference to the source image. Source: spice-wire.md 7.1, 7.4."""
_DESCRIPTOR: Final = ImageDescriptor.prefix_dtype()
SIZE_AT: Final = {
    ImageType.QUIC: 18,
    ImageType.LZ_RGB: 18,
    ImageType.GLZ_RGB: 18,
    ImageType.JPEG: 18,
    ImageType.LZ4: 18,
    ImageType.LZ_PLT: 19,
    ImageType.ZLIB_GLZ_RGB: 22,
    ImageType.JPEG_ALPHA: 23,
}
"""Bytes from an image to the size of its compressed data. Source: spice-wire.md 8.1."""
_BITMAP_Y_AT: Final = 24
BITMAP_DATA_AT: Final = 32
_WITHOUT_DATA: Final = (ImageType.FROM_CACHE, ImageType.FROM_CACHE_LOSSLESS, ImageType.SURFACE)

EFFECTS: Final = ("replace", "combine", "move")
_REPLACE, _COMBINE, _MOVE = range(3)
_EFFECT: Final = {
    ServerDisplay.COPY_BITS: _MOVE,
    ServerDisplay.DRAW_OPAQUE: _REPLACE,
    ServerDisplay.DRAW_BLACKNESS: _REPLACE,
    ServerDisplay.DRAW_WHITENESS: _REPLACE,
    ServerDisplay.DRAW_INVERS: _COMBINE,
    ServerDisplay.DRAW_STROKE: _COMBINE,
    ServerDisplay.DRAW_TEXT: _COMBINE,
    ServerDisplay.DRAW_TRANSPARENT: _COMBINE,
    ServerDisplay.DRAW_ALPHA_BLEND: _COMBINE,
}
"""What follows from the type of the message alone. DRAW_OPAQUE combines its brush with its own image, and what is
drawn beside glyphs, lines and pixels left out stays as it was. Source: spice-wire.md 7.5."""
_ROP_REPLACES: Final = RopDescriptor.OP_PUT | RopDescriptor.OP_BLACKNESS | RopDescriptor.OP_WHITENESS
_ROP_COMBINES: Final = (
    RopDescriptor.OP_OR | RopDescriptor.OP_AND | RopDescriptor.OP_XOR | RopDescriptor.OP_INVERS
)
_COMPOSITE_REPLACES: Final = (0, 1)
"""pixman's operators CLEAR and SRC. Source: spice-wire.md 7.4."""

_U8: Final = np.dtype([("value", "u1")])
_U16: Final = np.dtype([("value", "<u2")])
_U32: Final = np.dtype([("value", "<u4")])


def draws(sessions: Sequence[SessionLog], origin_ns: int) -> pd.DataFrame:
    """Return the table `draws`."""
    return by_time("draws", _parts(sessions, origin_ns))


def _parts(sessions: Sequence[SessionLog], origin_ns: int) -> Iterable[pd.DataFrame]:
    for session in sessions:
        for log in session.of(ChannelType.DISPLAY):
            yield _draws(session.number, log, origin_ns)


def base_ends(index: MessageIndex, rows: IndexArray, base: Fields) -> tuple[Int64Array, Int64Array]:
    """Return the rectangles of the clip of each draw message, and where in its body the fields behind it begin.

    `base` is the messages' leading fields, with the names that `DisplayBase` has within a message. Both are -1 where
    the body does not hold what the clip says it does; the number is -1, too, where the clip is no list.
    """
    rects = np.full(len(rows), -1, np.int64)
    end = np.full(len(rows), BASE.itemsize, np.int64)
    clipped = np.flatnonzero(base["base_clip_type"] == ClipType.RECTS)
    if len(clipped):
        size = index.size[rows[clipped]].astype(np.int64)
        count = fields_at(index, rows[clipped], end[clipped], _U32)["value"].astype(np.int64)
        behind = BASE.itemsize + _U32.itemsize + RECT_BYTES * count
        fits = (size >= BASE.itemsize + _U32.itemsize) & (behind <= size)
        rects[clipped] = np.where(fits, count, -1)
        end[clipped] = np.where(fits, behind, -1)
    end[index.size[rows] < BASE.itemsize] = -1
    return rects, end


def _draws(session: int, log: ChannelLog, origin_ns: int) -> pd.DataFrame:
    index = log.server
    cells = Cells.of(index, np.flatnonzero(np.isin(index.type, DRAW_TYPES)))
    everywhere = np.arange(len(cells))
    base = index.prefixes(cells.rows, _IN_MESSAGE)
    names = ("surface_id", "box_left", "box_top", "box_right", "box_bottom")
    cells.put_fields(everywhere, base, 0, **{name: f"base_{name}" for name in names})
    rects, end = base_ends(index, cells.rows, base)
    clip_known = (end >= 0) & (cells.captured >= BASE.itemsize)
    listed = base["base_clip_type"] == ClipType.RECTS
    clip_known &= ~listed | (cells.captured >= BASE.itemsize + _U32.itemsize)
    end[~clip_known] = -1
    cells.put("clip_rects", everywhere, rects, clip_known)
    _images(cells, end)
    _operations(cells, end)
    return schema.frame(
        "draws",
        {
            "session": np.full(len(cells), session),
            "channel_id": np.full(len(cells), log.channel_id),
            "time_s": cells.seconds(origin_ns),
            "name": cells.names(),
            "surface_id": cells.column("surface_id"),
            **{side: cells.column(f"box_{side}") for side in ("left", "top", "right", "bottom")},
            "clip_rects": cells.column("clip_rects"),
            "effect": cells.texts("effect", EFFECTS.__getitem__),
            "rop": cells.column("rop"),
            "bytes": index.size[cells.rows],
            "partial": index.partial[cells.rows],
            "image_id": cells.column("image_id"),
            "codec": cells.texts("codec", codec_name),
            "image_width": cells.column("image_width"),
            "image_height": cells.column("image_height"),
            "image_bytes": cells.column("image_bytes"),
        },
    )


_IN_MESSAGE: Final = np.dtype([(f"base_{name}", BASE[name]) for name in BASE.names or ()])


def codec_name(kind: int) -> str:
    """Return SPICE's image type in lower case, as the table `images` has it."""
    return ImageType(kind).name.lower() if kind in _IMAGE_TYPES else f"type_{kind}"


_IMAGE_TYPES: Final = frozenset(ImageType)


class _Reader:
    """Reads integers at places that differ from message to message; a place below 0 is not known."""

    def __init__(self, cells: Cells, at: IndexArray) -> None:
        self.cells = cells
        self.at = at

    def value(self, offset: Int64Array, dtype: np.dtype[np.void]) -> tuple[Int64Array, BoolArray]:
        """Return an integer of each message, and whether its bytes were captured."""
        found = fields_at(self.cells.index, self.cells.rows[self.at], offset, dtype)["value"]
        known = (offset >= 0) & (self.cells.captured[self.at] >= offset + dtype.itemsize)
        return np.where(known, found.astype(np.int64), 0), np.asarray(known, np.bool_)

    def brush_end(self, offset: Int64Array) -> Int64Array:
        """Return where a brush ends that begins at `offset`. Source: spice-wire.md 7.3."""
        kind, known = self.value(offset, _U8)
        size = 1 + 4 * (kind == BrushType.SOLID) + 12 * (kind == BrushType.PATTERN)
        return np.where(known, offset + size, -1)

    def line_end(self, offset: Int64Array) -> Int64Array:
        """Return where a LineAttr ends that begins at `offset`. Source: spice-wire.md 7.3."""
        flags, known = self.value(offset, _U8)
        return np.where(known, offset + 1 + 5 * ((flags & int(LineFlags.STYLED)) != 0), -1)


def _behind(end: Int64Array, distance: int | Int64Array) -> Int64Array:
    """Return `end + distance`, or -1 where `end` is not known."""
    return np.asarray(np.where(end >= 0, end + distance, -1), np.int64)


_ROP_WORD_AT: Final[Mapping[tuple[ServerDisplay, ...], Callable[[_Reader, Int64Array], Int64Array]]] = {
    # An image and its source area come first in what copies, the text and its background in DRAW_TEXT.
    (ServerDisplay.DRAW_COPY, ServerDisplay.DRAW_BLEND): lambda reader, end: _behind(end, 20),
    (ServerDisplay.DRAW_FILL,): lambda reader, end: reader.brush_end(end),
    (ServerDisplay.DRAW_OPAQUE,): lambda reader, end: reader.brush_end(_behind(end, 20)),
    (ServerDisplay.DRAW_TEXT,): lambda reader, end: reader.brush_end(reader.brush_end(_behind(end, 20))),
    (ServerDisplay.DRAW_STROKE,): lambda reader, end: reader.brush_end(reader.line_end(_behind(end, 4))),
}
"""Where the raster operation lies, for fields behind the base that begin at `end`. Source: spice-wire.md 7.1, 7.3."""


def _images(cells: Cells, end: Int64Array) -> None:
    """Fill the columns about the source image of each message."""
    at = cells.among(*IMAGE_AT)
    index, rows, captured = cells.index, cells.rows[at], cells.captured[at]
    size = index.size[rows].astype(np.int64)
    distance = np.zeros(1 << 16, np.int64)
    for message_type, bytes_behind in IMAGE_AT.items():
        distance[message_type] = bytes_behind
    reader = _Reader(cells, at)
    image_at, known = reader.value(_behind(end[at], distance[cells.type[at]]), _U32)
    image_at[~known | (image_at == 0)] = -1
    found = fields_at(index, rows, image_at, _DESCRIPTOR)
    known = (image_at >= 0) & (captured >= image_at + _DESCRIPTOR.itemsize)
    for column, name in (
        ("image_id", "id"),
        ("codec", "type"),
        ("image_width", "width"),
        ("image_height", "height"),
    ):
        cells.put(column, at, found[name], known)

    kind = found["type"]
    size_at = np.full(256, -1, np.int64)
    for image_type, place in SIZE_AT.items():
        size_at[image_type] = place
    place = size_at[kind]
    length, length_known = reader.value(np.where(known & (place >= 0), image_at + place, -1), _U32)
    length_known &= image_at + place + _U32.itemsize + length <= size
    raw = np.flatnonzero(known & (kind == ImageType.BITMAP))
    if len(raw):
        part = _Reader(cells, at[raw])
        height, has_height = part.value(image_at[raw] + _BITMAP_Y_AT, _U32)
        stride, has_stride = part.value(image_at[raw] + _BITMAP_Y_AT + 4, _U32)
        pixels = height.astype(np.uint64) * stride.astype(np.uint64)
        room = np.maximum(size[raw] - image_at[raw] - BITMAP_DATA_AT, 0).astype(np.uint64)
        length_known[raw] = has_height & has_stride & (pixels <= room)
        length[raw] = np.where(length_known[raw], pixels, 0).astype(np.int64)
    length_known |= known & np.isin(kind, _WITHOUT_DATA)
    cells.put("image_bytes", at, length, length_known)


def _operations(cells: Cells, end: Int64Array) -> None:
    """Fill `rop` and `effect`."""
    everywhere = np.arange(len(cells))
    unknown = np.zeros(len(cells), np.bool_)
    cells.put("rop", everywhere, np.zeros(len(cells), np.int64), unknown)
    cells.put("effect", everywhere, np.zeros(len(cells), np.int8), unknown)
    for kind, effect in _EFFECT.items():
        at = cells.among(kind)
        cells.put("effect", at, np.full(len(at), effect), np.ones(len(at), np.bool_))

    for kinds, place in _ROP_WORD_AT.items():
        at = cells.among(*kinds)
        reader = _Reader(cells, at)
        rop, known = reader.value(place(reader, end[at]), _U16)
        cells.put("rop", at, rop, known)
        if kinds[0] not in _EFFECT:
            combines, replaces = (rop & int(_ROP_COMBINES)) != 0, (rop & int(_ROP_REPLACES)) != 0
            cells.put("effect", at, _effect(combines), known & (combines | replaces))

    at = cells.among(ServerDisplay.DRAW_ROP3)
    reader = _Reader(cells, at)
    rop, known = reader.value(reader.brush_end(_behind(end[at], 20)), _U8)
    cells.put("rop", at, rop, known)
    # Bit 0 of the index into the truth table is the destination: does any pair of results differ in it?
    cells.put("effect", at, _effect(((rop ^ rop >> 1) & 0x55) != 0), known)

    at = cells.among(ServerDisplay.DRAW_COMPOSITE)
    flags, known = _Reader(cells, at).value(end[at], _U32)
    operator = flags & 0xFF
    cells.put("rop", at, operator, known)
    cells.put("effect", at, _effect(~np.isin(operator, _COMPOSITE_REPLACES)), known)


def _effect(combines: npt.NDArray[Any]) -> npt.NDArray[np.int8]:
    return np.where(combines, _COMBINE, _REPLACE).astype(np.int8)
