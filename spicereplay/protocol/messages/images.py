"""Images, in whatever way they are carried; their pixels stay bytes.

Offsets inside an image count from the start of the message body like all others, never from the image.
Source: spice-wire.md 8.1, 17 (traps 10, 11); spice.proto, Image.
"""

from __future__ import annotations

from typing import Annotated

from spicereplay.defects import DefectKind
from spicereplay.protocol.enums import BitmapFlags, BitmapFormat, ImageFlags, ImageType, JpegAlphaFlags
from spicereplay.protocol.wire import (
    U16,
    U32,
    U64,
    Choice,
    Counted,
    Enum8,
    Pointer,
    Sized,
    Structure,
    When,
    derived,
    structure,
)


@structure
class ImageDescriptor(Structure):
    """What begins every image."""

    id: U64
    """Low 32 bits: group (0 driver, 1 device, 2 server, 3 driver without caching); high ones: number."""
    type: Enum8[ImageType]
    flags: Enum8[ImageFlags]
    width: U32
    height: U32


@structure
class Palette(Structure):
    """Colours of a palette image, each 0x00RRGGBB (on 16-bit surfaces 555)."""

    unique: U64
    """Key in the palette cache."""
    num_ents: U16 = derived()
    ents: Annotated[
        tuple[U32, ...],
        Counted("num_ents", limit="palette_entries", over=DefectKind.PALETTE_OUTSIDE_MESSAGE),
    ]


def bitmap_bytes(stride: int, y: int) -> int:
    """Return the bytes of `y` rows."""
    return stride * y


@structure
class Bitmap(Structure):
    """Raw pixels, bottom row first unless TOP_DOWN."""

    format: Enum8[BitmapFormat]
    flags: Enum8[BitmapFlags]
    x: U32
    """Width, px."""
    y: U32
    """Rows."""
    stride: U32
    """Bytes from one row to the next."""
    palette_id: Annotated[U64 | None, When("flags", BitmapFlags.PAL_FROM_CACHE)]
    palette: Annotated[
        Palette | None,
        When("flags", BitmapFlags.PAL_FROM_CACHE, unless=True),
        Pointer(fault=DefectKind.PALETTE_OUTSIDE_MESSAGE),
    ]
    data: Annotated[bytes, Sized(bitmap_bytes, "stride", "y")]


@structure
class BinaryData(Structure):
    """Compressed data whose codec the image type names: QUIC, LZ_RGB, GLZ_RGB, JPEG, LZ4."""

    data_size: U32 = derived()
    data: Annotated[bytes, Counted("data_size")]


@structure
class LzPlt(Structure):
    """LZ over palette indices."""

    flags: Enum8[BitmapFlags]
    data_size: U32 = derived()
    palette_id: Annotated[U64 | None, When("flags", BitmapFlags.PAL_FROM_CACHE)]
    palette: Annotated[
        Palette | None,
        When("flags", BitmapFlags.PAL_FROM_CACHE, unless=True),
        Pointer(required=True, fault=DefectKind.PALETTE_OUTSIDE_MESSAGE),
    ]
    data: Annotated[bytes, Counted("data_size")]


@structure
class ZlibGlz(Structure):
    """A GLZ image inside a zlib stream."""

    glz_data_size: U32
    """Bytes after inflating."""
    data_size: U32 = derived()
    data: Annotated[bytes, Counted("data_size")]


@structure
class JpegAlpha(Structure):
    """A JPEG file, then an LZ stream of its alpha."""

    flags: Enum8[JpegAlphaFlags]
    jpeg_size: U32
    """Bytes of the JPEG file; the rest of `data` is alpha."""
    data_size: U32 = derived()
    data: Annotated[bytes, Counted("data_size")]


@structure
class SurfaceImage(Structure):
    """The present picture of a surface."""

    surface_id: U32


@structure
class Image(Structure):
    """An image. FROM_CACHE, FROM_CACHE_LOSSLESS and types nobody knows have no `data`."""

    descriptor: ImageDescriptor
    data: Annotated[
        Bitmap | BinaryData | LzPlt | ZlibGlz | JpegAlpha | SurfaceImage | None,
        Choice(
            "descriptor.type",
            {
                ImageType.BITMAP: Bitmap,
                ImageType.QUIC: BinaryData,
                ImageType.LZ_PLT: LzPlt,
                ImageType.LZ_RGB: BinaryData,
                ImageType.GLZ_RGB: BinaryData,
                ImageType.SURFACE: SurfaceImage,
                ImageType.JPEG: BinaryData,
                ImageType.ZLIB_GLZ_RGB: ZlibGlz,
                ImageType.JPEG_ALPHA: JpegAlpha,
                ImageType.LZ4: BinaryData,
            },
        ),
    ]
