"""Random draw messages of every kind, built from the declarations; what spice-gtk cannot take is left out.

Left out, each because the reference canvas is at fault there (it aborts, reads memory that is not its own, or
keeps state it should not), so that there is no picture to compare with:

* images whose area lies outside of them in ROP3, boxes outside of the surface in ROP3 and COMPOSITE;
* ROP3 on 8-bit surfaces: it takes them for 16-bit ones;
* ROP3 codes that do not depend on all three operands: it has none of them;
* palettes shorter than their indices, palettes on 565 surfaces, raw bitmaps of the LE formats;
* text of 8-bit glyphs: it takes rows from beyond the glyph's data;
* several clip rectangles beside each other in strokes: it clips spans in place and runs over those to come;
* patterns from surfaces in strokes: it takes the surface for an image;
* a surface drawn on itself where both places overlap: it reads what it has just written;
* sources with another word size than the surface, where it copies words;
* COMPOSITE with an HSL operator and a mask: pixman multiplies green twice and blue not at all;
* COMPOSITE with the flag DEST_OPAQUE on 8-bit surfaces: it has no such format;
* COMPOSITE with cached images or surfaces that had a transform before: it does not take it off again;
* 16-bit pixels with bit 15 set: it compares that bit with the colour that DRAW_TRANSPARENT leaves out;
* HIGH_BITS_SET on alpha images, text in another mode than PUT;
* curves whose points are no multiple of three, styles without any length.
"""

from __future__ import annotations

import random
import struct
from dataclasses import dataclass, field

import numpy as np

from spicereplay.protocol.enums import (
    BitmapFlags,
    BitmapFormat,
    BrushType,
    ClipType,
    CompositeFlags,
    ImageFlags,
    ImageScaleMode,
    ImageType,
    LineFlags,
    PathFlags,
    RopDescriptor,
    StringFlags,
    SurfaceFormat,
)
from spicereplay.protocol.messages import display as m
from spicereplay.protocol.messages import drawing as d
from spicereplay.protocol.messages import geometry as g
from spicereplay.protocol.messages import images as i

Size = tuple[int, int]
WIDE = (SurfaceFormat.FMT_32_xRGB, SurfaceFormat.FMT_32_ARGB)
KINDS = (
    "fill", "opaque", "copy", "blend", "blackness", "whiteness", "invers", "rop3", "stroke", "text",
    "transparent", "alpha_blend", "composite", "copy_bits",
)  # fmt: skip


def depends_on_all(code: int) -> bool:
    """Whether a ROP3 code needs pattern, source and destination."""
    return all(
        any((code >> at ^ code >> (at | step)) & 1 for at in range(8) if not at & step) for step in (1, 2, 4)
    )


ROP3_CODES = [code for code in range(256) if depends_on_all(code)]


@dataclass
class RandomDraws:
    """Makes messages for one surface; `others` are surfaces of the same word size that can be drawn from."""

    seed: int
    width: int
    height: int
    format: SurfaceFormat
    others: dict[int, Size] = field(default_factory=dict)
    cached: dict[int, Size] = field(default_factory=dict)
    palettes: dict[int, int] = field(default_factory=dict)
    """Cached palettes: entries by their `unique`."""
    surface_id: int = 0

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.next_id = 1 + (self.seed << 20)

    def message(self, kind: str | None = None) -> object:
        """Return one message."""
        kind = kind or self.random.choice(KINDS)
        if kind == "rop3" and self.format == SurfaceFormat.FMT_8_A:
            kind = "copy"
        return getattr(self, f"_{kind}")()

    # --- small parts ----------------------------------------------------------------------------------

    def _chance(self, one_in: int) -> bool:
        return self.random.randrange(one_in) == 0

    def _bytes(self, count: int) -> bytes:
        return self.random.randbytes(count)

    def _box(self, *, inside: bool = False, size: Size | None = None) -> g.Rect:
        r = self.random
        if inside:
            left, top = r.randrange(self.width), r.randrange(self.height)
            right, bottom = r.randint(left + 1, self.width), r.randint(top + 1, self.height)
        else:
            left, top = r.randint(-8, self.width), r.randint(-8, self.height)
            right, bottom = left + r.randint(1, self.width), top + r.randint(1, self.height)
        if size is not None:
            right, bottom = left + size[0], top + size[1]
        return g.Rect(top=top, left=left, bottom=bottom, right=right)

    def _clip(self, most: int = 5) -> g.Clip:
        if not self._chance(3):
            return g.Clip(type=ClipType.NONE, rects=None)
        rects = tuple(self._box() for _ in range(self.random.randint(0, most)))
        return g.Clip(type=ClipType.RECTS, rects=rects)

    def _base(self, **box: bool) -> d.DisplayBase:
        return d.DisplayBase(surface_id=self.surface_id, box=self._box(**box), clip=self._clip())

    def _rop(self) -> int:
        operation = self.random.choice((8, 16, 32, 64, 128, 256, 512, 8, 8, 0))
        return operation | self.random.choice((0, 0, 1, 2, 4, 3, 5, 6, 7)) | self.random.choice((0, 0, 1024))

    def _color(self) -> int:
        return self.random.choice((0, 0xFFFFFF, self.random.randrange(1 << 24)))

    def _mask(self, box: g.Rect) -> d.QMask:
        pos = g.Point(x=0, y=0)
        if not self._chance(4):
            return d.QMask(flags=0, pos=pos, bitmap=None)
        width, height = self.random.randint(1, 70), self.random.randint(1, 50)
        stride = (width + 7) // 8 + self.random.choice((0, 0, 3))
        bitmap = i.Bitmap(
            format=self.random.choice((BitmapFormat.FMT_1BIT_LE, BitmapFormat.FMT_1BIT_BE)),
            flags=self.random.choice((0, BitmapFlags.TOP_DOWN)),
            x=width,
            y=height,
            stride=stride,
            palette_id=None,
            palette=None,
            data=self._bytes(stride * height),
        )
        pos = g.Point(x=self.random.randint(-4, 8), y=self.random.randint(-4, 8))
        image = self._image_of(ImageType.BITMAP, (width, height), bitmap)
        return d.QMask(flags=self.random.choice((0, 1)), pos=pos, bitmap=image)

    # --- images -----------------------------------------------------------------------------------------

    def _image_of(self, type: ImageType, size: Size, data: object, flags: int = 0) -> i.Image:
        self.next_id += 1
        descriptor = i.ImageDescriptor(id=self.next_id, type=type, flags=flags, width=size[0], height=size[1])
        return i.Image(descriptor=descriptor, data=data)

    def _size(self) -> Size:
        return self.random.randint(1, 40), self.random.randint(1, 30)

    def image(
        self, size: Size | None = None, *, surfaces: bool = True, plain: bool = False
    ) -> tuple[i.Image, Size]:
        """Return an image and its size. `plain`: neither cached nor a surface."""
        if surfaces and not plain and self.others and size is None and self._chance(5):
            other, size = self.random.choice(list(self.others.items()))
            return self._image_of(ImageType.SURFACE, size, i.SurfaceImage(surface_id=other)), size
        if not plain and self.cached and size is None and self._chance(6):
            image_id, size = self.random.choice(list(self.cached.items()))
            kind = self.random.choice((ImageType.FROM_CACHE, ImageType.FROM_CACHE_LOSSLESS))
            descriptor = i.ImageDescriptor(id=image_id, type=kind, flags=0, width=size[0], height=size[1])
            return i.Image(descriptor=descriptor, data=None), size
        size = size or self._size()
        flags = self.random.choice((0, 0, 0, ImageFlags.HIGH_BITS_SET))
        if not plain and self._chance(6):
            flags |= ImageFlags.CACHE_ME
        image = self.random.choice((self._bitmap, self._bitmap, self._lz, self._lz_plt))(size, flags)
        if flags & ImageFlags.CACHE_ME:
            self.cached[image.descriptor.id] = size
        return image, size

    def _pixel_words(self, count: int, *, alpha: bool) -> np.ndarray:
        """Colours that repeat, so that keys and operations meet something; alpha premultiplied or not."""
        few = np.frombuffer(self._bytes(4 * 6), "<u4")
        words = few[np.frombuffer(self._bytes(count), np.uint8) % len(few)]
        if self._chance(2):
            words = np.frombuffer(self._bytes(4 * count), "<u4")
        return words if alpha else words & 0xFFFFFF

    def _bitmap(self, size: Size, flags: int) -> i.Image:
        width, height = size
        formats = [
            BitmapFormat.FMT_32BIT, BitmapFormat.FMT_RGBA, BitmapFormat.FMT_24BIT, BitmapFormat.FMT_16BIT,
            BitmapFormat.FMT_8BIT_A,
        ]  # fmt: skip
        if (
            self.format in (SurfaceFormat.FMT_32_xRGB, SurfaceFormat.FMT_16_555)
            and not flags & ImageFlags.CACHE_ME
        ):
            formats += [BitmapFormat.FMT_8BIT, BitmapFormat.FMT_4BIT_BE, BitmapFormat.FMT_1BIT_BE]
        format = self.random.choice(formats)
        if format == BitmapFormat.FMT_8BIT_A:
            flags &= ~ImageFlags.HIGH_BITS_SET
        bits = {1: 1, 2: 1, 3: 4, 4: 4, 5: 8, 6: 16, 7: 24, 8: 32, 9: 32, 10: 8}[int(format)]
        row = (width * bits + 7) // 8
        stride = (row + 3) // 4 * 4 + self.random.choice((0, 0, 4))
        if bits == 32:
            words = self._pixel_words(stride // 4 * height, alpha=format == BitmapFormat.FMT_RGBA)
            data = words.astype("<u4").tobytes()
        elif bits == 16:
            data = (np.frombuffer(self._bytes(stride // 2 * 2 * height), "<u2") & 0x7FFF).tobytes()
        else:
            data = self._bytes(stride * height)
        bitmap_flags = self.random.choice((0, BitmapFlags.TOP_DOWN))
        palette_id, palette = None, None
        if format in (BitmapFormat.FMT_8BIT, BitmapFormat.FMT_4BIT_BE, BitmapFormat.FMT_1BIT_BE):
            more, palette_id, palette = self._palette(1 << bits)
            bitmap_flags |= more
        bitmap = i.Bitmap(
            format=format,
            flags=bitmap_flags,
            x=width,
            y=height,
            stride=stride,
            palette_id=palette_id,
            palette=palette,
            data=data,
        )
        return self._image_of(ImageType.BITMAP, size, bitmap, flags)

    def _palette(self, entries: int) -> tuple[int, int | None, i.Palette | None]:
        held = [unique for unique, count in self.palettes.items() if count >= entries]
        if held and self._chance(3):
            return BitmapFlags.PAL_FROM_CACHE, self.random.choice(held), None
        top = 1 << (24 if self.format in WIDE else 15)
        self.next_id += 1
        ents = tuple(self.random.randrange(top) for _ in range(entries))
        flags = 0
        if self._chance(2):
            flags = BitmapFlags.PAL_CACHE_ME
            self.palettes[self.next_id] = entries
        return flags, None, i.Palette(unique=self.next_id, ents=ents)

    def _lz(self, size: Size, flags: int) -> i.Image:
        """LZ with literals alone: 16, 24 and 32 bits, with and without alpha."""
        width, height = size
        kind = self.random.choice((6, 7, 8, 9))
        words = self._pixel_words(width * height, alpha=True).astype("<u4")
        pixels = words.view(np.uint8).reshape(-1, 4)
        if kind == 6:
            values = words.astype(np.uint16) & 0x7FFF
            tokens = _literals(values.astype(">u2").tobytes(), 2)
        else:
            tokens = _literals(pixels[:, :3].tobytes(), 3)
        if kind == 9:
            tokens += _literals(pixels[:, 3].tobytes(), 1)
        top_down = self.random.choice((0, 1))
        stride = width * {6: 2, 7: 3, 8: 4, 9: 4}[kind]
        head = struct.pack(">7I", 0x20205A4C, 0x00010001, kind, width, height, stride, top_down)
        return self._image_of(ImageType.LZ_RGB, size, i.BinaryData(data=head + tokens), flags)

    def _lz_plt(self, size: Size, flags: int) -> i.Image:
        width, height = size
        if self.format not in (SurfaceFormat.FMT_32_xRGB, SurfaceFormat.FMT_16_555):
            return self._lz(size, flags)
        kind, bits = self.random.choice(((2, 1), (4, 4), (5, 8), (1, 1), (3, 4)))
        stride = (width * bits + 7) // 8
        more, palette_id, palette = self._palette(1 << bits)
        top_down = self.random.choice((0, 1))
        head = struct.pack(">7I", 0x20205A4C, 0x00010001, kind, width, height, stride, top_down)
        data = head + _literals(self._bytes(stride * height), 1)
        plt = i.LzPlt(flags=more, palette_id=palette_id, palette=palette, data=data)
        return self._image_of(ImageType.LZ_PLT, size, plt, flags)

    def _brush(self, *, surfaces: bool = True, none: bool = True) -> d.Brush:
        kind = self.random.choice((BrushType.SOLID, BrushType.SOLID, BrushType.PATTERN, BrushType.NONE))
        if kind == BrushType.NONE and not none:
            kind = BrushType.SOLID
        if kind == BrushType.SOLID:
            return d.Brush(type=kind, color=self._color(), pattern=None)
        if kind == BrushType.NONE:
            return d.Brush(type=kind, color=None, pattern=None)
        image, _ = self.image(surfaces=surfaces, plain=not surfaces)
        pos = g.Point(x=self.random.randint(-20, 40), y=self.random.randint(-20, 40))
        return d.Brush(type=kind, color=None, pattern=d.Pattern(pat=image, pos=pos))

    def _area(self, size: Size, box: g.Rect, *, covered: bool = False) -> g.Rect:
        """Return a part of an image, as large as the box or scaled."""
        width, height = box.right - box.left, box.bottom - box.top
        r = self.random
        if (covered and (width > size[0] or height > size[1])) or self._chance(3):
            left, top = r.randrange(size[0]), r.randrange(size[1])
            right, bottom = r.randint(left + 1, size[0]), r.randint(top + 1, size[1])
            return g.Rect(top=top, left=left, bottom=bottom, right=right)
        if covered:
            left, top = r.randint(0, size[0] - width), r.randint(0, size[1] - height)
        else:
            left, top = r.randint(-3, max(size[0] - 1, 0)), r.randint(-3, max(size[1] - 1, 0))
        return g.Rect(top=top, left=left, bottom=top + height, right=left + width)

    # --- messages ---------------------------------------------------------------------------------------

    def _fill(self) -> object:
        base = self._base()
        return m.DrawFill(
            base=base, brush=self._brush(), rop_descriptor=self._rop(), mask=self._mask(base.box)
        )

    def _copy_fields(self) -> dict[str, object]:
        base = self._base()
        image, size = self.image()
        return {
            "base": base,
            "src_bitmap": image,
            "src_area": self._area(size, base.box),
            "rop_descriptor": self._rop(),
            "scale_mode": self.random.choice(list(ImageScaleMode)),
            "mask": self._mask(base.box),
        }

    def _copy(self) -> object:
        return m.DrawCopy(**self._copy_fields())

    def _blend(self) -> object:
        return m.DrawBlend(**self._copy_fields())

    def _opaque(self) -> object:
        return m.DrawOpaque(**self._copy_fields(), brush=self._brush())

    def _blackness(self) -> object:
        base = self._base()
        return m.DrawBlackness(base=base, mask=self._mask(base.box))

    def _whiteness(self) -> object:
        base = self._base()
        return m.DrawWhiteness(base=base, mask=self._mask(base.box))

    def _invers(self) -> object:
        base = self._base()
        return m.DrawInvers(base=base, mask=self._mask(base.box))

    def _rop3(self) -> object:
        base = self._base(inside=True)
        image, size = self.image()
        brush = self._brush(none=False)
        if brush.pattern is not None:  # its first pixel not to the right of or below the box
            pos = g.Point(
                x=base.box.left - self.random.randrange(20), y=base.box.top - self.random.randrange(20)
            )
            brush = d.Brush(type=brush.type, color=None, pattern=d.Pattern(pat=brush.pattern.pat, pos=pos))
        return m.DrawRop3(
            base=base,
            src_bitmap=image,
            src_area=self._area(size, base.box, covered=True),
            brush=brush,
            rop3=self.random.choice(ROP3_CODES),
            scale_mode=self.random.choice(list(ImageScaleMode)),
            mask=self._mask(base.box),
        )

    def _transparent(self) -> object:
        base = self._base()
        image, size = self.image()
        color = self._color()
        if isinstance(image.data, i.Bitmap) and len(image.data.data) >= 4 and self._chance(2):
            color = struct.unpack_from("<I", image.data.data)[0] & 0xFFFFFF
        area = self._area(size, base.box)
        return m.DrawTransparent(base=base, src_bitmap=image, src_area=area, src_color=0, true_color=color)

    def _alpha_blend(self) -> object:
        base = self._base()
        image, size = self.image()
        return m.DrawAlphaBlend(
            base=base,
            alpha_flags=self.random.choice((0, 0, 1, 2, 3)),
            alpha=self.random.choice((0, 255, 255, self.random.randrange(256))),
            src_bitmap=image,
            src_area=self._area(size, base.box),
        )

    def _transform(self) -> g.Transform:
        r = self.random
        if self._chance(2):
            values = [
                r.randint(20000, 150000),
                0,
                r.randint(-20, 20) << 16,
                0,
                r.randint(20000, 150000),
                r.randint(-20, 20) << 16,
            ]
        else:
            values = [r.randint(-100000, 100000) for _ in range(6)]
        return g.Transform(
            **dict(
                zip(("t00", "t01", "t02", "t10", "t11", "t12"), (v % (1 << 32) for v in values), strict=True)
            )
        )

    def _composite(self) -> object:
        r = self.random
        flags = r.choice((*range(14), 3, 3, 3, *range(0x10, 0x1C), *range(0x20, 0x2C), *range(0x30, 0x3F)))
        smooth = flags < 0x0D and self._chance(2)
        flags |= (r.choice((1, 2, 4)) if smooth else r.choice((0, 3))) << 8
        flags |= (r.choice((1, 2, 4)) if smooth else r.choice((0, 3))) << 11
        flags |= r.randrange(4) << 14 | r.randrange(4) << 16
        source, _ = self.image(plain=True)
        mask, src_transform, mask_transform = None, None, None
        if flags & 0xFF < 0x3B and self._chance(2):
            flags |= CompositeFlags.HAS_MASK
            mask, _ = self.image(plain=True)
            flags |= r.choice((0, CompositeFlags.COMPONENT_ALPHA))
            if self._chance(2):
                flags |= CompositeFlags.HAS_MASK_TRANSFORM
                mask_transform = self._transform()
        if self._chance(2):
            flags |= CompositeFlags.HAS_SRC_TRANSFORM
            src_transform = self._transform()
        opaque = [0, CompositeFlags.SOURCE_OPAQUE, CompositeFlags.MASK_OPAQUE]
        if self.format != SurfaceFormat.FMT_8_A:
            opaque.append(CompositeFlags.DEST_OPAQUE)
        flags |= r.choice(opaque)
        return m.DrawComposite(
            base=self._base(inside=True),
            flags=int(flags),
            src_bitmap=source,
            mask_bitmap=mask,
            src_transform=src_transform,
            mask_transform=mask_transform,
            src_origin=g.Point16(x=r.randint(-10, 10), y=r.randint(-10, 10)),
            mask_origin=g.Point16(x=r.randint(-10, 10), y=r.randint(-10, 10)),
        )

    def _copy_bits(self) -> object:
        point = g.Point(x=self.random.randint(-10, self.width), y=self.random.randint(-10, self.height))
        return m.CopyBits(base=self._base(), src_pos=point)

    def _points(self, count: int) -> tuple[d.PointFix, ...]:
        r = self.random
        far = self._chance(6)
        low, high = (-3000, 3000) if far else (-10, self.width + 10)
        whole = self._chance(2)
        return tuple(
            g.PointFix(
                x=(r.randint(low, high) << 4) + (0 if whole else r.randrange(16)),
                y=(r.randint(low, high) << 4) + (0 if whole else r.randrange(16)),
            )
            for _ in range(count)
        )

    def _path(self) -> d.Path:
        segments = []
        for _ in range(self.random.randint(1, 3)):
            flags = PathFlags.BEGIN | self.random.choice((0, PathFlags.END, PathFlags.END | PathFlags.CLOSE))
            count = self.random.randint(1, 6)
            if self._chance(3):
                flags |= PathFlags.BEZIER
                count = 1 + 3 * self.random.randint(1, 2)
            segments.append(d.PathSegment(flags=flags, points=self._points(count)))
        return d.Path(segments=tuple(segments))

    def _stroke(self) -> object:
        attr = d.LineAttr(flags=0, style=None)
        if self._chance(2):
            flags = LineFlags.STYLED | self.random.choice((0, LineFlags.START_WITH_GAP))
            style = tuple(self.random.randint(8, 400) for _ in range(self.random.randint(1, 5)))
            attr = d.LineAttr(flags=flags, style=(*style, 32))
        mode = self.random.choice((8, 8, 8, 10, 64, 16, 32, 512, 128, 256, 1032))
        return m.DrawStroke(
            base=d.DisplayBase(surface_id=self.surface_id, box=self._box(), clip=self._clip(most=1)),
            path=self._path(),
            attr=attr,
            brush=self._brush(surfaces=False),
            fore_mode=mode,
            back_mode=8,
        )

    def _text(self) -> object:
        flag, glyph, bits = self.random.choice(
            ((StringFlags.RASTER_A1, d.RasterGlyphA1, 1), (StringFlags.RASTER_A4, d.RasterGlyphA4, 4))
        )
        glyphs = []
        x, y = self.random.randint(-5, self.width), self.random.randint(-5, self.height)
        for _ in range(self.random.randint(1, 6)):
            width, height = self.random.randint(1, 19), self.random.randint(1, 14)
            glyphs.append(
                glyph(
                    render_pos=g.Point(x=x, y=y),
                    glyph_origin=g.Point(x=self.random.randint(-3, 3), y=self.random.randint(-8, 0)),
                    width=width,
                    height=height,
                    data=self._bytes((width * bits + 7) // 8 * height),
                )
            )
            x += self.random.randint(-2, 12)
        text = d.String(
            flags=flag,
            glyphs_a1=tuple(glyphs) if bits == 1 else None,
            glyphs_a4=tuple(glyphs) if bits == 4 else None,
            glyphs_a8=None,
        )
        empty = g.Rect(top=0, left=0, bottom=0, right=0)
        return m.DrawText(
            base=self._base(),
            str=text,
            back_area=empty if self._chance(2) else self._box(),
            fore_brush=self._brush(surfaces=False),
            back_brush=d.Brush(type=BrushType.SOLID, color=self._color(), pattern=None),
            fore_mode=RopDescriptor.OP_PUT,
            back_mode=RopDescriptor.OP_PUT,
        )


def _literals(data: bytes, unit: int) -> bytes:
    """Return LZ tokens that hold `data` as literals of `unit` bytes, at most 32 to a token."""
    out = bytearray()
    step = 32 * unit
    for at in range(0, len(data), step):
        part = data[at : at + step]
        out.append(len(part) // unit - 1)
        out += part
    return bytes(out)
