"""Draw messages from their fields to pixels. That all of it is what spice-gtk draws is tested beside spice-gtk
(tests/interop); these are the ones small enough to work out by hand, and what it cannot be asked."""

from __future__ import annotations

import random

import pytest
from display.made import (
    NO_MASK,
    base,
    bitmap,
    copy,
    create,
    fill,
    from_cache,
    glz_literals,
    image,
    of_surface,
    rect,
    solid,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from spicereplay.defects import DefectKind
from spicereplay.display.model import DisplayModel
from spicereplay.limits import Limits
from spicereplay.protocol.enums import BitmapFlags, BitmapFormat, ChannelType, ImageType, Side
from spicereplay.protocol.messages import display as m
from spicereplay.protocol.messages import drawing as d
from spicereplay.protocol.messages import geometry as g
from spicereplay.protocol.messages import images as i
from spicereplay.protocol.registry import parse_message
from spicereplay.protocol.wire import build


def drawn(*messages: object, width: int = 4, height: int = 1, before: int = 0) -> DisplayModel:
    model = DisplayModel()
    for message in (create(0, width, height), fill(before, 0, 0, width, height), *messages):
        model.handle(0, message, 0)
    return model


def row(model: DisplayModel, at: int = 0) -> list[str]:
    surface = model.channel(0).surfaces[0]
    unknown = surface.unknown
    return [
        "?" if unknown is not None and unknown[at, x] else f"{int(word) & 0xFFFFFF:x}"
        for x, word in enumerate(surface.words[at])
    ]


def pattern(*words: int, x: int = 0) -> d.Brush:
    return d.Brush(type=2, color=None, pattern=d.Pattern(pat=bitmap([list(words)]), pos=g.Point(x=x, y=0)))


def mask(bits: int, width: int, *, x: int = 0, inverse: bool = False) -> d.QMask:
    data = i.Bitmap(
        format=BitmapFormat.FMT_1BIT_BE,
        flags=BitmapFlags.TOP_DOWN,
        x=width,
        y=1,
        stride=1,
        palette_id=None,
        palette=None,
        data=bytes([bits]),
    )
    return d.QMask(flags=int(inverse), pos=g.Point(x=x, y=0), bitmap=image(ImageType.BITMAP, data, width, 1))


NO_BRUSH = d.Brush(type=0, color=None, pattern=None)


def test_fill_through_a_mask() -> None:
    def message(qmask: d.QMask) -> m.DrawFill:
        return m.DrawFill(base=base(0, 0, 4, 1), brush=solid(7), rop_descriptor=8, mask=qmask)

    assert row(drawn(message(mask(0b10100000, 4)))) == ["7", "0", "7", "0"]
    assert row(drawn(message(mask(0b10100000, 4, inverse=True)))) == ["0", "7", "0", "7"]
    # The mask's pixel 2 lies at the box's corner; where the mask ends nothing is drawn.
    assert row(drawn(message(mask(0b10110000, 4, x=2)))) == ["7", "7", "0", "0"]
    assert row(drawn(message(mask(0b10110000, 3, inverse=True)))) == ["0", "7", "0", "0"]


def test_black_white_and_inverted() -> None:
    where = base(1, 0, 2, 1)
    assert row(drawn(m.DrawBlackness(base=where, mask=NO_MASK), before=5)) == ["5", "0", "5", "5"]
    assert row(drawn(m.DrawWhiteness(base=where, mask=NO_MASK))) == ["0", "ffffff", "0", "0"]
    assert row(drawn(m.DrawInvers(base=where, mask=NO_MASK), before=0xF0)) == ["f0", "ffff0f", "f0", "f0"]


def test_opaque_combines_the_brush_with_the_image_just_copied() -> None:
    message = m.DrawOpaque(
        base=base(0, 0, 4, 1),
        src_bitmap=bitmap([[1, 2, 3, 4]]),
        src_area=rect(0, 0, 4, 1),
        brush=pattern(0x10, 0x20),
        rop_descriptor=16,
        scale_mode=1,
        mask=NO_MASK,
    )
    assert row(drawn(message, before=0xFF0000)) == ["11", "22", "13", "24"]


def test_blend_is_drawn_like_copy() -> None:
    fields = copy(bitmap([[1, 2]]), 1, 0, 3, 1)
    names = ("base", "src_bitmap", "src_area", "rop_descriptor", "scale_mode", "mask")
    message = m.DrawBlend(**{name: getattr(fields, name) for name in names})
    assert row(drawn(message)) == row(drawn(fields)) == ["0", "1", "2", "0"]


def test_rop3_from_its_message() -> None:
    def message(area: g.Rect) -> m.DrawRop3:
        return m.DrawRop3(
            base=base(0, 0, 2, 1),
            src_bitmap=bitmap([[0x0F, 0x0F]]),
            src_area=area,
            brush=solid(0x33),
            rop3=0x96,
            scale_mode=1,
            mask=NO_MASK,
        )

    assert row(drawn(message(rect(0, 0, 2, 1)), before=0x55)) == ["69", "69", "55", "55"]
    model = drawn(message(rect(1, 0, 3, 1)), before=0x55)
    assert row(model) == ["55"] * 4
    assert [defect.kind for defect in model.defects] == [DefectKind.MESSAGE_MALFORMED]


def test_transparent_and_alpha_blend_from_their_messages() -> None:
    keyed = m.DrawTransparent(
        base=base(0, 0, 2, 1),
        src_bitmap=bitmap([[1, 2]]),
        src_area=rect(0, 0, 2, 1),
        src_color=9,
        true_color=1,
    )
    assert row(drawn(keyed, before=5)) == ["5", "2", "5", "5"]
    blended = m.DrawAlphaBlend(
        base=base(0, 0, 2, 1),
        alpha_flags=0,
        alpha=255,
        src_bitmap=bitmap([[0x80000040, 0xFF000001]], alpha=True),
        src_area=rect(0, 0, 2, 1),
    )
    assert row(drawn(blended, before=0x64)) == ["72", "1", "64", "64"]


def test_a_surface_has_alpha_only_if_the_message_says_so() -> None:
    def message(flags: int) -> m.DrawAlphaBlend:
        return m.DrawAlphaBlend(
            base=base(0, 0, 1, 1),
            alpha_flags=flags,
            alpha=255,
            src_bitmap=of_surface(2),
            src_area=rect(0, 0, 1, 1),
        )

    prepare = create(2, 1, 1), fill(0x80000040, 0, 0, 1, 1, surface=2)
    assert row(drawn(*prepare, message(0), before=0x64))[0] == "40"
    assert row(drawn(*prepare, message(2), before=0x64))[0] == "72"


def composite(flags: int, source: i.Image, **fields: object) -> m.DrawComposite:
    values: dict[str, object] = {
        "base": base(0, 0, 4, 1), "flags": flags, "src_bitmap": source, "mask_bitmap": None,
        "src_transform": None, "mask_transform": None,
        "src_origin": g.Point16(x=0, y=0), "mask_origin": g.Point16(x=0, y=0),
    }  # fmt: skip
    return m.DrawComposite(**(values | fields))


def test_composite_with_transform_and_repeat() -> None:
    half = g.Transform(t00=0x8000, t01=0, t02=0, t10=0, t11=0x10000, t12=0)
    message = composite(1 | 1 << 14 | 1 << 20, bitmap([[1, 2]]), src_transform=half)
    assert row(drawn(message)) == ["1", "1", "2", "2"]
    back = g.Transform(t00=0xFFFF0000, t01=0, t02=4 << 16, t10=0, t11=0x10000, t12=0)
    message = composite(1 | 1 << 20, bitmap([[1, 2, 3, 4]]), src_transform=back)
    assert row(drawn(message)) == ["4", "3", "2", "1"]


def test_an_operator_nobody_knows_leaves_the_unknown() -> None:
    model = drawn(composite(0x0E, bitmap([[1]])))
    assert row(model) == ["?"] * 4
    assert [defect.kind for defect in model.defects] == [DefectKind.VALUE_UNKNOWN]


def stroke(
    *points: tuple[int, int], brush: d.Brush, mode: int = 8, style: tuple[int, ...] | None = None
) -> m.DrawStroke:
    fixed = tuple(g.PointFix(x=x << 4, y=y << 4) for x, y in points)
    return m.DrawStroke(
        base=base(0, 0, 9, 9),
        path=d.Path(segments=(d.PathSegment(flags=1 | 2, points=fixed),)),
        attr=d.LineAttr(flags=0 if style is None else 8, style=style),
        brush=brush,
        fore_mode=mode,
        back_mode=8,
    )


def test_strokes_solid_patterned_and_dashed() -> None:
    assert row(drawn(stroke((0, 0), (3, 0), brush=solid(7)))) == ["7", "7", "7", "0"]
    assert row(drawn(stroke((0, 0), (4, 0), brush=pattern(1, 2, x=1)))) == ["2", "1", "2", "1"]
    assert row(drawn(stroke((0, 0), (4, 0), brush=solid(7), style=(16, 32)))) == ["7", "0", "0", "7"]
    assert row(drawn(stroke((0, 0), (4, 0), brush=solid(7), style=()))) == ["0"] * 4


def test_an_inverting_line_there_and_back_undoes_itself() -> None:
    there_and_back = stroke((0, 0), (3, 0), (0, 0), brush=solid(0xFF), mode=64)
    # Each line leaves out its own last pixel.
    assert row(drawn(there_and_back)) == ["ff", "0", "0", "ff"]


def test_a_stroke_of_too_many_pieces_is_a_defect_and_leaves_the_unknown() -> None:
    model = DisplayModel(limits=Limits(path_segments=3))
    for message in (create(0, 4, 1), stroke((0, 0), (90, 0), brush=solid(7), style=(16, 16))):
        model.handle(0, message, 0)
    assert row(model) == ["?"] * 4
    assert [defect.kind for defect in model.defects] == [DefectKind.OVER_LIMIT]


def text(fore: d.Brush, back: d.Brush, back_area: g.Rect) -> m.DrawText:
    letter = d.RasterGlyphA1(
        render_pos=g.Point(x=1, y=0), glyph_origin=g.Point(x=0, y=0), width=2, height=1, data=b"\x80"
    )
    return m.DrawText(
        base=base(0, 0, 4, 1),
        str=d.String(flags=1, glyphs_a1=(letter,), glyphs_a4=None, glyphs_a8=None),
        back_area=back_area,
        fore_brush=fore,
        back_brush=back,
        fore_mode=8,
        back_mode=8,
    )


def test_text_on_its_background() -> None:
    area, nowhere = rect(0, 0, 3, 1), rect(0, 0, 0, 0)
    assert row(drawn(text(solid(0xFF), solid(0x80), area))) == ["80", "ff", "80", "0"]
    assert row(drawn(text(solid(0xFF), solid(0x80), nowhere))) == ["0", "ff", "0", "0"]
    assert row(drawn(text(NO_BRUSH, solid(0x80), area))) == ["80", "80", "80", "0"]


def test_brushes_that_cannot_be_known_leave_the_unknown_where_they_paint() -> None:
    lost = d.Brush(type=2, color=None, pattern=d.Pattern(pat=from_cache(3, 1, 1), pos=g.Point(x=0, y=0)))
    nowhere = rect(0, 0, 0, 0)
    assert row(drawn(text(lost, solid(1), nowhere))) == ["0", "?", "0", "0"]
    assert row(drawn(text(solid(1), lost, rect(0, 0, 1, 1)))) == ["?", "1", "0", "0"]
    filled = m.DrawFill(base=base(1, 0, 3, 1), brush=lost, rop_descriptor=8, mask=NO_MASK)
    assert row(drawn(filled)) == ["0", "?", "?", "0"]
    assert "?" in row(drawn(stroke((0, 0), (3, 0), brush=lost)))


MESSAGES = [
    fill(3, 0, 0, 4, 1),
    copy(bitmap([[1, 2, 3, 4]], flags=1), 0, 0, 4, 1),
    copy(image(ImageType.GLZ_RGB, i.BinaryData(data=glz_literals(0, [1, 2, 3, 4], 4, 1)), 4, 1), 0, 0, 4, 1),
    composite(3 | 1 << 19, bitmap([[1, 2]]), mask_bitmap=bitmap([[3, 4]])),
    stroke((0, 0), (4, 3), (9, 1), brush=pattern(1, 2), style=(20, 40)),
    text(solid(1), pattern(5, 6), rect(0, 0, 4, 1)),
    m.CopyBits(base=base(0, 0, 4, 1), src_pos=g.Point(x=1, y=0)),
]


@pytest.mark.parametrize("number", range(len(MESSAGES)))
@given(seed=st.integers(0, 1 << 30))
@settings(max_examples=25, deadline=None)
def test_damaged_messages_cost_nothing_but_themselves(number: int, seed: int) -> None:
    """Whatever still parses is drawn or becomes a defect; nothing is ever raised."""
    noise = random.Random(seed)
    message = MESSAGES[number]
    body = bytearray(build(message))
    for _ in range(noise.randint(1, 5)):
        body[noise.randrange(len(body))] = noise.choice((0, 1, 0x7F, 0x80, 0xFF, noise.randrange(256)))
    kind = int(message.TYPES[0])  # type: ignore[attr-defined]
    parsed = parse_message(ChannelType.DISPLAY, Side.SERVER, kind, bytes(body))
    model = DisplayModel(limits=Limits(image_pixels=1 << 16, path_segments=500))
    model.handle(0, create(0, 8, 8), 0)
    model.handle(0, parsed.message, 1)
    model.handle(0, fill(9, 0, 0, 8, 8), 2)
    assert set(row(model)) == {"9"}
