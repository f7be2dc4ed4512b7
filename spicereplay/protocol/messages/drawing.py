"""What draw messages are made of. Source: spice-wire.md 7.3; spice.proto."""

from __future__ import annotations

from typing import Annotated, Final

from spicereplay.protocol.enums import BrushType, LineFlags, MaskFlags, PathFlags, ServerDisplay, StringFlags
from spicereplay.protocol.messages.geometry import Clip, Point, PointFix, Rect
from spicereplay.protocol.messages.images import Image
from spicereplay.protocol.wire import (
    I32,
    U8,
    U16,
    U32,
    Counted,
    Enum8,
    Pointer,
    Sized,
    Structure,
    When,
    derived,
    structure,
)

DRAW_TYPES: Final = tuple(
    kind for kind in ServerDisplay if kind.name.startswith("DRAW_") or kind is ServerDisplay.COPY_BITS
)
"""Messages that draw on a surface: each begins with a `DisplayBase`. Source: spice-wire.md 7.1."""


@structure
class DisplayBase(Structure):
    """Where a draw message draws."""

    surface_id: U32
    box: Rect
    clip: Clip


@structure
class Pattern(Structure):
    """An image that is repeated."""

    pat: Annotated[Image | None, Pointer(required=True)]
    pos: Point
    """Where on the surface the image's first pixel lies."""


@structure
class Brush(Structure):
    """What a draw message paints with."""

    type: Enum8[BrushType]
    color: Annotated[U32 | None, When("type", BrushType.SOLID)]
    """0x00RRGGBB, on 16-bit surfaces 555."""
    pattern: Annotated[Pattern | None, When("type", BrushType.PATTERN)]


@structure
class QMask(Structure):
    """A one-bit image that limits a drawing; without `bitmap` there is no mask."""

    flags: Enum8[MaskFlags]
    pos: Point
    """The mask's pixel for the top left corner of the box."""
    bitmap: Annotated[Image | None, Pointer()]


@structure
class PathSegment(Structure):
    """Some points of a path; with BEZIER they are control points in threes."""

    flags: Enum8[PathFlags]
    count: U32 = derived()
    points: Annotated[tuple[PointFix, ...], Counted("count")]


@structure
class Path(Structure):
    """What DRAW_STROKE follows."""

    num_segments: U32 = derived()
    segments: Annotated[tuple[PathSegment, ...], Counted("num_segments", limit="path_segments")]


@structure
class LineAttr(Structure):
    """How DRAW_STROKE draws."""

    flags: Enum8[LineFlags]
    style_nseg: U8 = derived()
    style: Annotated[
        tuple[I32, ...] | None, When("flags", LineFlags.STYLED), Pointer(), Counted("style_nseg")
    ]
    """Lengths of dashes and gaps, 28.4 fixed point."""


def rows_of_1bit(width: int, height: int) -> int:
    """Return the bytes of a one-bit glyph. Source: spice.proto, image_size(1, width, height)."""
    return (width + 7) // 8 * height


def rows_of_4bit(width: int, height: int) -> int:
    """Return the bytes of a four-bit glyph. Source: spice.proto, image_size(4, width, height)."""
    return (4 * width + 7) // 8 * height


def rows_of_8bit(width: int, height: int) -> int:
    """Return the bytes of an eight-bit glyph. Source: spice.proto, image_size(8, width, height)."""
    return width * height


@structure
class RasterGlyphA1(Structure):
    """A glyph of one bit per pixel, bottom row first."""

    render_pos: Point
    glyph_origin: Point
    width: U16
    height: U16
    data: Annotated[bytes, Sized(rows_of_1bit, "width", "height")]


@structure
class RasterGlyphA4(Structure):
    """A glyph of four bits per pixel, bottom row first."""

    render_pos: Point
    glyph_origin: Point
    width: U16
    height: U16
    data: Annotated[bytes, Sized(rows_of_4bit, "width", "height")]


@structure
class RasterGlyphA8(Structure):
    """A glyph of eight bits per pixel, bottom row first."""

    render_pos: Point
    glyph_origin: Point
    width: U16
    height: U16
    data: Annotated[bytes, Sized(rows_of_8bit, "width", "height")]


RasterGlyph = RasterGlyphA1 | RasterGlyphA4 | RasterGlyphA8


@structure
class String(Structure):
    """A line of text. Which glyphs it has depends on `flags`; the first of A1, A4, A8 counts."""

    length: U16 = derived()
    flags: Enum8[StringFlags]
    glyphs_a1: Annotated[
        tuple[RasterGlyphA1, ...] | None,
        When("flags", StringFlags.RASTER_A1),
        Counted("length", limit="glyphs"),
    ]
    glyphs_a4: Annotated[
        tuple[RasterGlyphA4, ...] | None,
        When("flags", StringFlags.RASTER_A4, among=StringFlags.RASTER_A1 | StringFlags.RASTER_A4),
        Counted("length", limit="glyphs"),
    ]
    glyphs_a8: Annotated[
        tuple[RasterGlyphA8, ...] | None,
        When(
            "flags",
            StringFlags.RASTER_A8,
            among=StringFlags.RASTER_A1 | StringFlags.RASTER_A4 | StringFlags.RASTER_A8,
        ),
        Counted("length", limit="glyphs"),
    ]

    @property
    def glyphs(self) -> tuple[RasterGlyph, ...]:
        """The glyphs, whatever their depth."""
        return self.glyphs_a1 or self.glyphs_a4 or self.glyphs_a8 or ()
