"""Draw messages of a display channel, from their fields to pixels.

Each message: where it may draw, what it draws with (taken in even where nothing shows, for the caches' sake),
then one call of `drawing`. Where a source cannot be known, neither can what is drawn with it.
Source: spice-wire.md 7; spice-common common/canvas_base.c.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final

from spicereplay.defects import DefectKind
from spicereplay.display import drawing, rop
from spicereplay.display.brush import Brush, PatternBrush, SolidBrush
from spicereplay.display.cache import PaletteCache
from spicereplay.display.composite import Operator
from spicereplay.display.dashes import dash_pattern, dashed_pixels
from spicereplay.display.images import SessionImages, fitted, matters_unseen
from spicereplay.display.records import Place
from spicereplay.display.region import Box, Region, box_of, clipped, masked
from spicereplay.display.scaling import IDENTITY, Repeat, Transform
from spicereplay.display.stroke import line_pixels, polylines
from spicereplay.display.surfaces import Picture, Surface, WordFormat
from spicereplay.display.text import text_box, text_coverage, text_paint
from spicereplay.protocol.enums import (
    AlphaFlags,
    BrushType,
    ClipType,
    CompositeFlags,
    ImageScaleMode,
    ImageType,
    LineFlags,
    MaskFlags,
    RopDescriptor,
    StringFlags,
)
from spicereplay.protocol.messages import display as messages
from spicereplay.protocol.messages import drawing as parts
from spicereplay.protocol.messages.geometry import Clip
from spicereplay.protocol.messages.geometry import Transform as WireTransform
from spicereplay.protocol.messages.images import Image, SurfaceImage

_INVERS_BRUSH: Final = RopDescriptor.INVERS_BRUSH
_WHITE: Final = SolidBrush(0xFFFFFFFF)
_BLACK: Final = SolidBrush(0)


def clip_boxes(clip: Clip) -> tuple[Box, ...] | None:
    """Return a clip's rectangles; None where it does not limit anything."""
    if clip.type != ClipType.RECTS:
        return None
    return tuple(box_of(rect) for rect in clip.rects or ())


@dataclass(slots=True)
class Draws:
    """Draws on the surfaces of one display channel."""

    channel_id: int
    images: SessionImages
    palettes: PaletteCache
    surfaces: dict[int, Surface] = field(default_factory=dict)

    def perform(self, message: object, surface: Surface, time_ns: int) -> bool:
        """Carry out a draw message on its surface; False for any other message.

        Raises `NotYetError`, before anything has changed, where `SessionImages.may_wait` and something from
        another channel is missing.
        """
        draw = _DRAWS.get(type(message))
        if draw is None:
            return False
        base: parts.DisplayBase = message.base  # type: ignore[attr-defined]
        box = box_of(base.box)
        region = clipped(box, surface.box, clip_boxes(base.clip))
        draw(self, message, surface, region, Place(time_ns, self.channel_id, surface.surface_id, box))
        return True

    # --- what is drawn with ---------------------------------------------------------------------------

    def _source(
        self,
        image: Image | None,
        surface: Surface,
        region: Region,
        place: Place,
        area: Box | None = None,
        *,
        original: bool = False,
    ) -> Picture | None:
        """Return an image as the surface's operations take it, or with `original` as it is; None: unknown.

        `area` is what will be read of it; None: all, wherever it ends.
        """
        if image is None:
            return None
        if image.descriptor.type == ImageType.SURFACE:
            other = self._surface_of(image, place)
            if other is not None and other.inferred:
                if area is None:
                    return None
                other.grow(area, self.images.limits)
            return None if other is None else other.picture()
        if region.empty and not matters_unseen(image):
            return None
        rgb16 = surface.format in (WordFormat.X555, WordFormat.R565)
        picture = self.images.read(image, place, self.palettes, rgb16=rgb16)
        return picture if picture is None or original else fitted(picture, surface.format)

    def _surface_of(self, image: Image, place: Place) -> Surface | None:
        surface_id = image.data.surface_id if isinstance(image.data, SurfaceImage) else -1
        surface = self.surfaces.get(surface_id)
        if surface is None:
            detail = f"an image is the content of surface {surface_id}, which does not exist"
            self._defect(DefectKind.SURFACE_UNKNOWN, place, detail)
        return surface

    def _brush(
        self, brush: parts.Brush, surface: Surface, region: Region, place: Place
    ) -> tuple[bool, Brush]:
        """Return whether a brush can be known, and it."""
        if brush.type == BrushType.SOLID:
            return True, SolidBrush(brush.color or 0)
        if brush.type != BrushType.PATTERN:
            return True, None
        if brush.pattern is None:
            return False, None
        picture = self._source(brush.pattern.pat, surface, region, place)
        if picture is None or picture.box.empty:
            return False, None
        return True, PatternBrush(picture, brush.pattern.pos.x, brush.pattern.pos.y)

    def _masked(self, region: Region, mask: parts.QMask, surface: Surface, place: Place) -> Region:
        """Return the region a QMask leaves. Where the mask is unknown so is what lies under it: nothing is left."""
        image = mask.bitmap
        if image is None:
            return region
        if image.descriptor.type == ImageType.SURFACE:
            other = self._surface_of(image, place)
            known = other is not None and other.unknown is None
            bits = other.words != 0 if other is not None and known else None
        else:
            bits = self.images.read_mask(image, place)
        if bits is None:
            _lose(surface, region)
            return region.within(Box(0, 0, 0, 0))
        left, top = place.box.left - mask.pos.x, place.box.top - mask.pos.y
        return masked(region, bits, left, top, inverse=bool(mask.flags & MaskFlags.INVERS))

    def _defect(self, kind: DefectKind, place: Place, detail: str) -> None:
        self.images.defects.add(kind, place.where, detail, time_ns=place.time_ns)

    # --- the messages ---------------------------------------------------------------------------------

    def _copy_bits(self, m: messages.CopyBits, surface: Surface, region: Region, place: Place) -> None:
        drawing.copy_bits(surface, region, place.box.left - m.src_pos.x, place.box.top - m.src_pos.y)

    def _fill(self, m: messages.DrawFill, surface: Surface, region: Region, place: Place) -> None:
        known, brush = self._brush(m.brush, surface, region, place)
        region = self._masked(region, m.mask, surface, place)
        if not known:
            _lose(surface, region)
            return
        drawing.fill(surface, region, brush, rop.rop2(m.rop_descriptor, _INVERS_BRUSH))

    def _opaque(self, m: messages.DrawOpaque, surface: Surface, region: Region, place: Place) -> None:
        source = self._source(m.src_bitmap, surface, region, place, box_of(m.src_area))
        known, brush = self._brush(m.brush, surface, region, place)
        region = self._masked(region, m.mask, surface, place)
        if source is None or not known:
            _lose(surface, region)
            return
        interpolate = m.scale_mode == ImageScaleMode.INTERPOLATE
        drawing.copy(surface, region, source, box_of(m.src_area), place.box, interpolate=interpolate)
        table = rop.rop2(m.rop_descriptor, _INVERS_BRUSH, RopDescriptor.INVERS_SRC)
        drawing.fill(surface, region, brush, table)

    def _copy(
        self, m: messages.DrawCopy | messages.DrawBlend, surface: Surface, region: Region, place: Place
    ) -> None:
        source = self._source(m.src_bitmap, surface, region, place, box_of(m.src_area))
        region = self._masked(region, m.mask, surface, place)
        if source is None:
            _lose(surface, region)
            return
        drawing.copy(
            surface,
            region,
            source,
            box_of(m.src_area),
            place.box,
            table=rop.rop2(m.rop_descriptor, RopDescriptor.INVERS_SRC),
            interpolate=m.scale_mode == ImageScaleMode.INTERPOLATE,
        )

    def _blackness(self, m: messages.DrawBlackness, surface: Surface, region: Region, place: Place) -> None:
        drawing.fill(surface, self._masked(region, m.mask, surface, place), _BLACK)

    def _whiteness(self, m: messages.DrawWhiteness, surface: Surface, region: Region, place: Place) -> None:
        drawing.fill(surface, self._masked(region, m.mask, surface, place), _WHITE)

    def _invers(self, m: messages.DrawInvers, surface: Surface, region: Region, place: Place) -> None:
        drawing.fill(surface, self._masked(region, m.mask, surface, place), _BLACK, rop.INVERT)

    def _rop3(self, m: messages.DrawRop3, surface: Surface, region: Region, place: Place) -> None:
        source = self._source(m.src_bitmap, surface, region, place, box_of(m.src_area))
        known, brush = self._brush(m.brush, surface, region, place)
        region = self._masked(region, m.mask, surface, place)
        if source is None or not known:
            _lose(surface, region)
            return
        covered = drawing.rop3(
            surface,
            region,
            source,
            box_of(m.src_area),
            place.box,
            brush,
            m.rop3,
            interpolate=m.scale_mode == ImageScaleMode.INTERPOLATE,
        )
        if not covered:
            detail = f"DRAW_ROP3: {box_of(m.src_area)} lies outside of a source of {source.box}"
            self._defect(DefectKind.MESSAGE_MALFORMED, place, detail)

    def _transparent(
        self, m: messages.DrawTransparent, surface: Surface, region: Region, place: Place
    ) -> None:
        source = self._source(m.src_bitmap, surface, region, place, box_of(m.src_area))
        if source is None:
            _lose(surface, region)
            return
        drawing.transparent(surface, region, source, box_of(m.src_area), place.box, m.true_color)

    def _alpha_blend(
        self, m: messages.DrawAlphaBlend, surface: Surface, region: Region, place: Place
    ) -> None:
        if m.alpha == 0:
            region = region.within(Box(0, 0, 0, 0))
        source = self._source(m.src_bitmap, surface, region, place, box_of(m.src_area), original=True)
        if source is None:
            _lose(surface, region)
            return
        from_surface = m.src_bitmap is not None and m.src_bitmap.descriptor.type == ImageType.SURFACE
        has_alpha = from_surface and m.alpha_flags & AlphaFlags.SRC_SURFACE_HAS_ALPHA
        if has_alpha and source.format is WordFormat.X888:
            source = source.read_as(WordFormat.A888)
        drawing.alpha_blend(
            surface,
            region,
            source,
            box_of(m.src_area),
            place.box,
            m.alpha,
            dest_has_alpha=bool(m.alpha_flags & AlphaFlags.DEST_HAS_ALPHA),
        )

    def _composite(self, m: messages.DrawComposite, surface: Surface, region: Region, place: Place) -> None:
        source = self._source(m.src_bitmap, surface, region, place)
        mask = self._source(m.mask_bitmap, surface, region, place)
        number = m.flags & 0xFF
        if number not in Operator.__members__.values():
            self._defect(DefectKind.VALUE_UNKNOWN, place, f"DRAW_COMPOSITE: operator {number}")
            source = None
        if source is None or (mask is None and m.mask_bitmap is not None):
            _lose(surface, region)
            return
        from_surface = m.src_bitmap is not None and m.src_bitmap.descriptor.type == ImageType.SURFACE
        # SOURCE_OPAQUE counts for surfaces only, MASK_OPAQUE and DEST_OPAQUE not at all (canvas_draw_composite).
        if from_surface and m.flags & CompositeFlags.SOURCE_OPAQUE and source.format is WordFormat.A888:
            source = source.read_as(WordFormat.X888)
        drawing.composite(
            surface,
            region,
            place.box,
            Operator(number),
            drawing.Layer(
                source,
                m.src_origin.x,
                m.src_origin.y,
                _transform(m.src_transform),
                Repeat(m.flags >> 14 & 3),
                m.flags >> 8 & 7 in _SMOOTH_FILTERS,
            ),
            None
            if mask is None
            else drawing.Layer(
                mask,
                m.mask_origin.x,
                m.mask_origin.y,
                _transform(m.mask_transform),
                Repeat(m.flags >> 16 & 3),
                m.flags >> 11 & 7 in _SMOOTH_FILTERS,
            ),
            component_alpha=bool(m.flags & CompositeFlags.COMPONENT_ALPHA),
        )

    def _stroke(self, m: messages.DrawStroke, surface: Surface, region: Region, place: Place) -> None:
        known, brush = self._brush(m.brush, surface, region, place)
        if region.empty or m.path is None:
            return
        lines, whole = polylines(m.path.segments, self.images.limits.path_segments)
        table = rop.rop2(m.fore_mode, _INVERS_BRUSH)
        dashes = None
        if m.attr.flags & LineFlags.STYLED:
            with_gap = bool(m.attr.flags & LineFlags.START_WITH_GAP)
            dashes = dash_pattern(m.attr.style or (), start_with_gap=with_gap)
            if dashes is None:
                return
        for line in lines:
            if dashes is not None:
                x, y, all_of_it = dashed_pixels(
                    line,
                    dashes,
                    region.box,
                    each_once=rop.inverts_destination(table),
                    most_dashes=self.images.limits.path_segments,
                )
                whole &= all_of_it
                _draw_or_lose(surface, region, x, y, brush, table, known)
                continue
            for start, end in pairwise(line):
                _draw_or_lose(surface, region, *line_pixels(start, end, region.box), brush, table, known)
        if not whole:
            _lose(surface, region)
            most = self.images.limits.path_segments
            self._defect(DefectKind.OVER_LIMIT, place, f"DRAW_STROKE: more than {most} points or dashes")

    def _text(self, m: messages.DrawText, surface: Surface, region: Region, place: Place) -> None:
        """Draw text; the modes are not looked at: fore is always OVER, back always a copy."""
        back = box_of(m.back_area)
        behind = region.within(back)
        # The back brush is not looked at where it paints nothing, unless nothing at all is painted.
        if region.empty or not behind.empty:
            known, brush = self._brush(m.back_brush, surface, region, place)
            if known:
                drawing.fill(surface, behind, brush)
            else:
                _lose(surface, behind)
        fore_known, fore = self._brush(m.fore_brush, surface, region, place)
        if region.empty:
            return
        glyphs = m.str.glyphs if m.str is not None else ()
        if not glyphs or m.str is None:
            return
        around = text_box(glyphs)
        inside = region.within(around)
        if inside.empty:
            return
        coverage = text_coverage(glyphs, _depth(m.str), inside.box)
        if not fore_known:
            _lose(surface, inside.where(coverage != 0))
            return
        if (paint := text_paint(fore, around, inside.box, surface.format)) is not None:
            drawing.through_coverage(surface, inside, *paint, coverage)


def _lose(surface: Surface, region: Region) -> None:
    """Mark what would have been drawn as unknown."""
    if not region.empty:
        surface.mark(region, True)


def _draw_or_lose(
    surface: Surface, region: Region, x: Any, y: Any, brush: Brush, table: int, known: bool
) -> None:
    if known:
        drawing.draw_pixels(surface, region, x, y, brush, table)
    elif len(x):
        _lose(surface, region)


def _depth(string: parts.String) -> int:
    if string.flags & StringFlags.RASTER_A1:
        return 1
    return 4 if string.flags & StringFlags.RASTER_A4 else 8


_SMOOTH_FILTERS: Final = (1, 2, 4)
"""GOOD, BEST and BILINEAR; FAST (0) and NEAREST (3) take the nearest pixel. Source: pixman.h, pixman_filter_t."""


def _transform(transform: WireTransform | None) -> Transform:
    """Return a message's matrix with signed numbers."""
    if transform is None:
        return IDENTITY
    words = (
        transform.t00, transform.t01, transform.t02, transform.t10, transform.t11, transform.t12,
    )  # fmt: skip
    t00, t01, t02, t10, t11, t12 = ((word + (1 << 31)) % (1 << 32) - (1 << 31) for word in words)
    return t00, t01, t02, t10, t11, t12


_DRAWS: Final[dict[type, Callable[[Draws, Any, Surface, Region, Place], None]]] = {
    messages.CopyBits: Draws._copy_bits,
    messages.DrawFill: Draws._fill,
    messages.DrawOpaque: Draws._opaque,
    messages.DrawCopy: Draws._copy,
    messages.DrawBlend: Draws._copy,
    messages.DrawBlackness: Draws._blackness,
    messages.DrawWhiteness: Draws._whiteness,
    messages.DrawInvers: Draws._invers,
    messages.DrawRop3: Draws._rop3,
    messages.DrawStroke: Draws._stroke,
    messages.DrawText: Draws._text,
    messages.DrawTransparent: Draws._transparent,
    messages.DrawAlphaBlend: Draws._alpha_blend,
    messages.DrawComposite: Draws._composite,
}
DRAW_MESSAGES: Final[tuple[type[Any], ...]] = tuple(_DRAWS)
"""The message classes that `Draws.perform` carries out."""
