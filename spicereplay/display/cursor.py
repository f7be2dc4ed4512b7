"""The cursor channel: shapes in all formats, their cache, position and visibility.

Source: spice-wire.md 13; spice-gtk src/channel-cursor.c, set_cursor.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from spicereplay.codecs.palette import expand_rgb16, indices
from spicereplay.defects import DefectKind, DefectLog
from spicereplay.display.region import Mask
from spicereplay.limits import DEFAULT_LIMITS, Limits
from spicereplay.protocol.enums import CursorFlags, CursorType
from spicereplay.protocol.messages import cursor as messages

RgbaPixels = npt.NDArray[np.uint8]
"""(height, width, 4) uint8 R, G, B, A; colours premultiplied."""


@dataclass(frozen=True, slots=True, eq=False)
class CursorShape:
    """What a cursor looks like."""

    unique: int
    type: int
    """A number of `CursorType`."""
    hot_x: int
    """Which pixel of it points."""
    hot_y: int
    pixels: RgbaPixels
    inverts: Mask | None = None
    """(height, width) bool, True where it inverts what lies below; such pixels are transparent in `pixels`."""


@dataclass(frozen=True, slots=True, eq=False)
class CursorState:
    """The cursor at one moment."""

    shape: CursorShape | None
    """None: no shape, or one that is not known."""
    x: int
    """Where it points, px on the surface."""
    y: int
    visible: bool


class _BadShape(ValueError):
    """A shape whose data is too short or of an unknown type."""


def _plane(data: bytes, at: int, width: int, height: int, bits: int) -> npt.NDArray[np.uint8]:
    """Return rows of `bits` per pixel, padded to whole bytes, as (height, width) numbers."""
    stride = (width * bits + 7) // 8
    if len(data) - at < stride * height:
        raise _BadShape(f"{len(data)} bytes, {at + stride * height} needed")
    rows = np.frombuffer(data, np.uint8, stride * height, at).reshape(height, stride)
    return indices(rows, width, bits, True)


def _words(data: bytes, width: int, height: int, dtype: str) -> npt.NDArray[Any]:
    needed = width * height * np.dtype(dtype).itemsize
    if len(data) < needed:
        raise _BadShape(f"{len(data)} bytes, {needed} needed")
    return np.frombuffer(data, dtype, width * height).reshape(height, width)


def _rgba(words: npt.NDArray[np.uint32]) -> RgbaPixels:
    """0xAARRGGBB words as bytes R, G, B, A."""
    pixels = np.ascontiguousarray(words, np.uint32).view(np.uint8).reshape(*words.shape, 4)
    return np.ascontiguousarray(pixels[..., [2, 1, 0, 3]])


def _alpha(data: bytes, width: int, height: int) -> tuple[RgbaPixels, Mask | None]:
    return _rgba(_words(data, width, height, "<u4")), None


def _mono(data: bytes, width: int, height: int) -> tuple[RgbaPixels, Mask | None]:
    """AND plane, then XOR plane: black, white, transparent, inverting."""
    and_bits = _plane(data, 0, width, height, 1) != 0
    xor_bits = _plane(data, (width + 7) // 8 * height, width, height, 1) != 0
    words = np.where(and_bits, np.uint32(0), np.where(xor_bits, np.uint32(0xFFFFFFFF), np.uint32(0xFF000000)))
    return _rgba(words), _some(and_bits & xor_bits)


def _some(mask: Mask) -> Mask | None:
    return mask if mask.any() else None


def _with_mask(colours: npt.NDArray[np.uint32], data: bytes, at: int) -> tuple[RgbaPixels, Mask | None]:
    """0x00RRGGBB words and the 1-bit mask behind them: a set bit is transparent, or inverts if white."""
    height, width = colours.shape
    hidden = _plane(data, at, width, height, 1) != 0
    words = np.where(hidden, np.uint32(0), colours | np.uint32(0xFF000000))
    return _rgba(words), _some(hidden & (colours == 0xFFFFFF))


def _color4(data: bytes, width: int, height: int) -> tuple[RgbaPixels, Mask | None]:
    numbers = _plane(data, 0, width, height, 4)
    at = (width + 1) // 2 * height
    if len(data) - at < 64:
        raise _BadShape(f"{len(data)} bytes, a palette of 64 at {at} needed")
    palette = np.frombuffer(data, "<u4", 16, at).astype(np.uint32) & np.uint32(0xFFFFFF)
    return _with_mask(palette[numbers], data, at + 64)


def _color8(data: bytes, width: int, height: int) -> tuple[RgbaPixels, Mask | None]:
    numbers = _plane(data, 0, width, height, 8)
    at = width * height
    if len(data) - at < 1024:
        raise _BadShape(f"{len(data)} bytes, a palette of 1024 at {at} needed")
    palette = np.frombuffer(data, "<u4", 256, at).astype(np.uint32) & np.uint32(0xFFFFFF)
    return _with_mask(palette[numbers], data, at + 1024)


def _color16(data: bytes, width: int, height: int) -> tuple[RgbaPixels, Mask | None]:
    return _with_mask(expand_rgb16(_words(data, width, height, "<u2")), data, width * height * 2)


def _color24(data: bytes, width: int, height: int) -> tuple[RgbaPixels, Mask | None]:
    needed = width * height * 3
    if len(data) < needed:
        raise _BadShape(f"{len(data)} bytes, {needed} needed")
    bgr: npt.NDArray[Any] = np.frombuffer(data, np.uint8, needed).reshape(height, width, 3).astype(np.uint32)
    return _with_mask(bgr[..., 2] << 16 | bgr[..., 1] << 8 | bgr[..., 0], data, needed)


def _color32(data: bytes, width: int, height: int) -> tuple[RgbaPixels, Mask | None]:
    colours = _words(data, width, height, "<u4").astype(np.uint32) & np.uint32(0xFFFFFF)
    return _with_mask(colours, data, width * height * 4)


_DECODERS: Final[dict[int, Callable[[bytes, int, int], tuple[RgbaPixels, Mask | None]]]] = {
    CursorType.ALPHA: _alpha,
    CursorType.MONO: _mono,
    CursorType.COLOR4: _color4,
    CursorType.COLOR8: _color8,
    CursorType.COLOR16: _color16,
    CursorType.COLOR24: _color24,
    CursorType.COLOR32: _color32,
}


@dataclass(slots=True)
class CursorChannel:
    """One cursor channel: feed it messages, ask for `state`."""

    where: str
    """What defects name: `cursor/0`."""
    defects: DefectLog
    limits: Limits = DEFAULT_LIMITS
    shape: CursorShape | None = None
    x: int = 0
    y: int = 0
    visible: bool = False
    evicted: int = 0
    """Shapes thrown out to stay within `Limits.cursor_cache_entries`."""
    _cache: OrderedDict[int, CursorShape] = field(default_factory=OrderedDict)

    @property
    def state(self) -> CursorState:
        """The cursor now."""
        return CursorState(self.shape, self.x, self.y, self.visible)

    def handle(self, message: object, time_ns: int) -> None:
        """Take in one message from the server; others than the cursor channel's are passed over."""
        match message:
            case messages.Init():
                self._cache.clear()
                self._set(message.cursor, time_ns)
                self._place(message.position.x, message.position.y, visible=bool(message.visible))
            case messages.Set():
                self._set(message.cursor, time_ns)
                self._place(message.position.x, message.position.y, visible=bool(message.visible))
            case messages.Move():
                self._place(message.position.x, message.position.y, visible=True)
            case messages.Hide():
                self.visible = False
            case messages.Reset():
                self._cache.clear()
                self.shape = None
                self.visible = False
            case messages.InvalOne():
                self._cache.pop(message.id, None)
            case messages.InvalAll():
                self._cache.clear()

    def _place(self, x: int, y: int, *, visible: bool) -> None:
        self.x, self.y, self.visible = x, y, visible

    def _set(self, cursor: messages.Cursor, time_ns: int) -> None:
        header = cursor.header
        if cursor.flags & CursorFlags.NONE or header is None:
            self.shape = None
            return
        if cursor.flags & CursorFlags.FROM_CACHE:
            self.shape = self._cache.get(header.unique)
            if self.shape is None:
                self.defects.add(
                    DefectKind.CACHE_MISS,
                    self.where,
                    f"cursor {header.unique:#x} is not in the cursor cache",
                    time_ns=time_ns,
                )
            return
        self.shape = self._decode(header, cursor.data, time_ns)
        if cursor.flags & CursorFlags.CACHE_ME and self.shape is not None:
            self._cache[header.unique] = self.shape
            self._cache.move_to_end(header.unique)
            while len(self._cache) > self.limits.cursor_cache_entries:
                self._cache.popitem(last=False)
                self.evicted += 1

    def _decode(self, header: messages.CursorHeader, data: bytes, time_ns: int) -> CursorShape | None:
        decoder = _DECODERS.get(int(header.type))
        if decoder is None:
            self._defect(DefectKind.CODEC_UNSUPPORTED, header, f"type {int(header.type)}", time_ns)
            return None
        if not header.width or not header.height:
            self._defect(DefectKind.CODEC_DATA, header, f"{header.width}×{header.height} px", time_ns)
            return None
        if max(header.width, header.height) > self.limits.image_side_px:
            self._defect(DefectKind.IMAGE_OVER_LIMIT, header, f"{header.width}×{header.height} px", time_ns)
            return None
        try:
            pixels, inverts = decoder(bytes(data), header.width, header.height)
        except _BadShape as error:
            self._defect(DefectKind.CODEC_DATA_SHORT, header, str(error), time_ns)
            return None
        hot_x = min(header.hot_spot_x, header.width)
        hot_y = min(header.hot_spot_y, header.height)
        return CursorShape(header.unique, int(header.type), hot_x, hot_y, pixels, inverts)

    def _defect(self, kind: DefectKind, header: messages.CursorHeader, detail: str, time_ns: int) -> None:
        self.defects.add(kind, self.where, f"cursor {header.unique:#x}: {detail}", time_ns=time_ns)
