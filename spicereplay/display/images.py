"""From an Image of a message to a picture: codecs, image cache, palettes, GLZ window.

Decoding alone (`decode_alone`) depends on nothing but the image's bytes and its palette, so a driver may do it
ahead of time on another thread; everything with a memory happens in `SessionImages`, in message order.
Source: spice-wire.md 7.5, 7.6, 8; spice-common common/canvas_base.c, canvas_get_image_internal.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from spicereplay.codecs.base import Decoded, PixelFormat
from spicereplay.codecs.bitmap import bitmap_mask, decode_bitmap
from spicereplay.codecs.glz import GlzReferenceMissing, decode_glz, inflate_glz
from spicereplay.codecs.jpeg import JpegBackend, decode_jpeg
from spicereplay.codecs.jpeg_alpha import decode_jpeg_alpha
from spicereplay.codecs.lz import decode_lz
from spicereplay.codecs.lz4 import decode_lz4
from spicereplay.codecs.palette import Palette, palette_of
from spicereplay.codecs.quic import decode_quic
from spicereplay.codecs.window import GlzWindow
from spicereplay.defects import DefectKind, DefectLog
from spicereplay.display.cache import ImageCache, PaletteCache
from spicereplay.display.records import NOT_DECODED, Clock, ImageRecord, PictureSink, Place, RecordSink
from spicereplay.display.region import Mask
from spicereplay.display.surfaces import Picture, WordFormat
from spicereplay.errors import DecodeError
from spicereplay.limits import DEFAULT_LIMITS, Limits
from spicereplay.protocol.enums import BitmapFlags, ImageFlags, ImageType, JpegAlphaFlags
from spicereplay.protocol.messages.images import BinaryData, Bitmap, Image, JpegAlpha, LzPlt, ZlibGlz

FROM_CACHE: Final = (ImageType.FROM_CACHE, ImageType.FROM_CACHE_LOSSLESS)
_GLZ: Final = (ImageType.GLZ_RGB, ImageType.ZLIB_GLZ_RGB)
_LOSSY: Final = (ImageType.JPEG, ImageType.JPEG_ALPHA)
_KEPT: Final = ImageFlags.CACHE_ME | ImageFlags.CACHE_REPLACE_ME
_HIGH_BITS: Final = np.uint32(0xFF000000)
_COLOURS: Final = np.uint32(0x00FFFFFF)


class NotYetError(Exception):
    """An image needs another that a second display channel has not brought yet; nothing was changed."""


def independent(image: Image) -> bool:
    """Whether an image can be decoded from its own bytes (and palette) alone."""
    return isinstance(image.data, Bitmap | LzPlt | JpegAlpha) or (
        isinstance(image.data, BinaryData) and image.descriptor.type != ImageType.GLZ_RGB
    )


def decode_alone(
    image: Image, palette: Palette | None, limits: Limits, jpeg: JpegBackend | None = None
) -> Decoded:
    """Decode an independent image; a pure function. Raises `DecodeError` as the codecs do."""
    descriptor, data = image.descriptor, image.data
    size = descriptor.width, descriptor.height
    match data:
        case Bitmap():
            return decode_bitmap(
                data.data,
                format=int(data.format),
                width=data.x,
                height=data.y,
                stride=data.stride,
                top_down=bool(data.flags & BitmapFlags.TOP_DOWN),
                limits=limits,
                palette=palette,
            )
        case LzPlt():
            return decode_lz(data.data, limits=limits, palette=palette, size=size)
        case JpegAlpha():
            top_down = bool(data.flags & JpegAlphaFlags.TOP_DOWN)
            return decode_jpeg_alpha(
                data.data, data.jpeg_size, top_down=top_down, limits=limits, size=size, backend=jpeg
            )
        case BinaryData() if descriptor.type == ImageType.QUIC:
            return decode_quic(data.data, limits=limits, size=size)
        case BinaryData() if descriptor.type == ImageType.LZ_RGB:
            return decode_lz(data.data, limits=limits, size=size)
        case BinaryData() if descriptor.type == ImageType.JPEG:
            return decode_jpeg(data.data, limits=limits, backend=jpeg, size=size)
        case BinaryData() if descriptor.type == ImageType.LZ4:
            return decode_lz4(data.data, size=size, limits=limits)
    raise DecodeError(f"image type {descriptor.type}", reason=DefectKind.CODEC_UNSUPPORTED)


AloneDecoder = Callable[[Image, Palette | None], Decoded]
"""`decode_alone` or something that has its results ready."""


_WIDENED: Final = (
    (ImageType.BITMAP, PixelFormat.RGB16),
    (ImageType.LZ4, PixelFormat.RGB16),
    (ImageType.LZ4, PixelFormat.RGB24),
)
"""Images that the reference canvas holds in their own format and has pixman convert, which sets the pad byte;
so it does with all 16-bit images that are to be cached."""


def picture_of(decoded: Decoded, image: Image) -> Picture:
    """Return a decoded image as a canvas would hold it.

    The pad byte of xRGB words is 0 or 255; it counts where such words are read as ARGB later.
    """
    height, width = decoded.pixels.shape[:2]
    words = np.ascontiguousarray(decoded.pixels).view(np.uint32).reshape(height, width)
    if decoded.format == PixelFormat.A8:
        return Picture((words >> 24).astype(np.uint8), WordFormat.A8, decoded.unknown)
    if decoded.alpha:
        return Picture(words, WordFormat.A888, decoded.unknown)
    kept = image.descriptor.flags & _KEPT and decoded.format == PixelFormat.RGB16
    if not kept and (image.descriptor.type, decoded.format) not in _WIDENED:
        words = words & _COLOURS
    return Picture(words, WordFormat.X888, decoded.unknown)


def fitted(picture: Picture, surface: WordFormat) -> Picture:
    """Return the picture as a surface's draw operations take it.

    On a 32-bit surface xRGB and ARGB stay as they are and all else becomes xRGB; elsewhere it becomes the
    surface's format. Source: canvas_base.c, canvas_get_target_format.
    """
    wide = (WordFormat.X888, WordFormat.A888)
    if surface in wide:
        return picture if picture.format in wide else picture.converted(WordFormat.X888)
    return picture.converted(surface)


def brings_palette(image: Image) -> bool:
    """Whether an image holds a palette for the palette cache."""
    data = image.data
    return (
        isinstance(data, Bitmap | LzPlt)
        and data.palette is not None
        and bool(data.flags & BitmapFlags.PAL_CACHE_ME)
    )


def matters_unseen(image: Image) -> bool:
    """Whether an image must be taken in although nothing of it is drawn, for what it leaves behind.

    Source: canvas_base.c, canvas_touch_image.
    """
    descriptor = image.descriptor
    return bool(descriptor.flags & _KEPT) or descriptor.type in _GLZ or brings_palette(image)


def _ignore(_: ImageRecord) -> None:
    """Drop a record."""


@dataclass(slots=True)
class SessionImages:
    """The images of one session: what its display channels share."""

    defects: DefectLog
    limits: Limits = DEFAULT_LIMITS
    clock: Clock = lambda: 0
    record: RecordSink = _ignore
    decode: AloneDecoder | None = None
    """Decodes independent images; None: `decode_alone` with the selected JPEG backend."""
    seen: PictureSink | None = None
    may_wait: bool = False
    """Raise `NotYetError` where another channel may still bring what is missing."""
    cache: ImageCache = field(init=False)
    window: GlzWindow = field(init=False)

    def __post_init__(self) -> None:
        self.cache = ImageCache(self.limits)
        self.window = GlzWindow(self.limits)

    def read(
        self, image: Image, place: Place, palettes: PaletteCache, *, rgb16: bool = False
    ) -> Picture | None:
        """Return an image in its own format, and do with the caches what its flags ask for.

        `rgb16`: palettes hold 555 colours, as on 16-bit surfaces. None where it cannot be known: a defect then
        says why. Not for images of type SURFACE.
        """
        descriptor = image.descriptor
        if descriptor.type in FROM_CACHE:
            return self._from_cache(image, place)
        decoded = self._decoded(image, place, palettes, rgb16)
        if decoded is None:
            return None
        picture = picture_of(decoded, image)
        if descriptor.flags & ImageFlags.HIGH_BITS_SET and picture.format is WordFormat.X888:
            picture = Picture(picture.words | _HIGH_BITS, picture.format, picture.unknown)
        self._keep(image, picture, place)
        return picture

    def read_mask(self, image: Image, place: Place) -> Mask | None:
        """Return a one-bit image, True where its bit is set; None as in `read`.

        Masks come as raw bitmaps, or from the cache as such.
        """
        if image.descriptor.type in FROM_CACHE:
            picture = self._from_cache(image, place)
            if picture is None or picture.unknown is not None:
                return None
            return picture.words != 0 if picture.format is WordFormat.A1 else None
        data = image.data
        if not isinstance(data, Bitmap):
            self._defect(DefectKind.CODEC_UNSUPPORTED, place, image, "a mask that is no raw bitmap")
            return None
        try:
            bits = bitmap_mask(
                data.data,
                format=int(data.format),
                width=data.x,
                height=data.y,
                stride=data.stride,
                top_down=bool(data.flags & BitmapFlags.TOP_DOWN),
                limits=self.limits,
            )
        except DecodeError as error:
            self._defect(DefectKind(error.reason), place, image, str(error))
            return None
        if image.descriptor.flags & ImageFlags.CACHE_ME:
            self.cache.put(image.descriptor.id, Picture(bits.astype(np.uint8), WordFormat.A1))
        return bits

    def _from_cache(self, image: Image, place: Place) -> Picture | None:
        descriptor = image.descriptor
        lossless = descriptor.type == ImageType.FROM_CACHE_LOSSLESS
        held = self.cache.find(descriptor.id)
        good = held is not None and not (lossless and held.lossy)
        if not good and self.may_wait and not self.cache.was_evicted(descriptor.id):
            raise NotYetError
        held = self.cache.get(descriptor.id)
        width, height = descriptor.width, descriptor.height
        if held is not None:
            height, width = held.picture.words.shape
        self._note(image, place, (width, height), 0, 0, NOT_DECODED, good)
        if held is None or not good:
            why = "only its lossy form is in the image cache" if held else "not in the image cache"
            if self.cache.was_evicted(descriptor.id):
                why = f"thrown out to stay within {self.limits.image_cache_bytes} bytes of image cache"
            self._defect(DefectKind.CACHE_MISS, place, image, why)
            return None
        return held.picture

    def _decoded(self, image: Image, place: Place, palettes: PaletteCache, rgb16: bool) -> Decoded | None:
        start = self.clock()
        try:
            decoded = self._decode(image, place, palettes, rgb16)
        except DecodeError as error:
            self._fail(image, place, error)
            return None
        took = self.clock() - start
        size = decoded.width, decoded.height
        record = self._note(image, place, size, _size_of(image), took, decoded.backend, True)
        if self.seen is not None:
            self.seen(record, decoded, image)
        if decoded.outside_palette:
            detail = f"{decoded.outside_palette} pixels with an index outside of the palette"
            self._defect(DefectKind.CODEC_DATA, place, image, detail)
        return decoded

    def _decode(self, image: Image, place: Place, palettes: PaletteCache, rgb16: bool) -> Decoded:
        if image.descriptor.type in _GLZ:
            return self._glz(image, place)
        palette = self._palette(image, palettes, rgb16)
        if self.decode is not None:
            return self.decode(image, palette)
        return decode_alone(image, palette, self.limits)

    def _glz(self, image: Image, place: Place) -> Decoded:
        """Decode strictly first, since what is missing must be named or waited for; then what can be known."""
        data = image.data
        if isinstance(data, ZlibGlz):
            inner = inflate_glz(data.data, data.glz_data_size, limits=self.limits)
        else:
            inner = data.data if isinstance(data, BinaryData) else b""
        size = image.descriptor.width, image.descriptor.height
        try:
            return decode_glz(inner, self.window, limits=self.limits, size=size)
        except GlzReferenceMissing as error:
            if self.may_wait and error.may_come:
                raise NotYetError from None
            if error.may_come:
                self.window.close_gaps(error.missing_id + 1)
            self._defect(DefectKind.GLZ_REFERENCE_MISSING, place, image, str(error))
        return decode_glz(inner, self.window, limits=self.limits, size=size, partial=True)

    def _palette(self, image: Image, palettes: PaletteCache, rgb16: bool) -> Palette | None:
        data = image.data
        if not isinstance(data, Bitmap | LzPlt):
            return None
        entries = None
        if data.flags & BitmapFlags.PAL_FROM_CACHE:
            if data.palette_id is not None:
                entries = palettes.get(data.palette_id)
            if entries is None:
                raise DecodeError(
                    f"palette {data.palette_id} is not in the palette cache",
                    reason=DefectKind.PALETTE_MISSING,
                )
        elif data.palette is not None:
            entries = data.palette.ents
            if data.flags & BitmapFlags.PAL_CACHE_ME:
                palettes.put(data.palette.unique, entries)
        return None if entries is None else palette_of(entries, rgb16=rgb16)

    def _keep(self, image: Image, picture: Picture, place: Place) -> None:
        descriptor = image.descriptor
        lossy = descriptor.type in _LOSSY
        if descriptor.flags & ImageFlags.CACHE_ME:
            self.cache.put(descriptor.id, picture, lossy=lossy)
        elif descriptor.flags & ImageFlags.CACHE_REPLACE_ME:
            if lossy:
                self._defect(DefectKind.CODEC_DATA, place, image, "a lossy image to replace a lossy one")
                return
            self.cache.replace_lossy(descriptor.id, picture)

    def _fail(self, image: Image, place: Place, error: DecodeError) -> None:
        size = image.descriptor.width, image.descriptor.height
        self._note(image, place, size, _size_of(image), 0, "", False)
        self._defect(DefectKind(error.reason), place, image, str(error))

    def _note(
        self,
        image: Image,
        place: Place,
        size: tuple[int, int],
        size_bytes: int,
        took_ns: int,
        backend: str,
        decoded: bool,
    ) -> ImageRecord:
        kind = image.descriptor.type
        record = ImageRecord(
            time_ns=place.time_ns,
            channel_id=place.channel_id,
            codec=kind.name.lower() if isinstance(kind, ImageType) else f"type_{int(kind)}",
            width=size[0],
            height=size[1],
            size_bytes=size_bytes,
            decode_ns=took_ns,
            backend=backend,
            cache_hit=kind in FROM_CACHE and decoded,
            surface_id=place.surface_id,
            box=place.box,
            image_id=image.descriptor.id,
            decoded=decoded,
        )
        self.record(record)
        return record

    def _defect(self, kind: DefectKind, place: Place, image: Image, detail: str) -> None:
        image_id = f"image {image.descriptor.id:#x}"
        self.defects.add(kind, place.where, f"{image_id}: {detail}", time_ns=place.time_ns)


def _size_of(image: Image) -> int:
    """Return the bytes of an image's pixel data as sent."""
    return 0 if image.data is None or not hasattr(image.data, "data") else len(image.data.data)
