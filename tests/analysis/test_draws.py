"""Draw messages as rows: built here from their declarations, damaged, and as recorded."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.observed import ORIGIN_NS, Said, channel, session

from spicereplay.analysis.draws import draws
from spicereplay.analysis.timeline import Tables
from spicereplay.bytestream import ByteStream
from spicereplay.protocol.enums import (
    BitmapFlags,
    BitmapFormat,
    BrushType,
    ChannelType,
    ClipType,
    ImageFlags,
    ImageScaleMode,
    ImageType,
    LineFlags,
    MaskFlags,
    RopDescriptor,
    ServerDisplay,
)
from spicereplay.protocol.messages import display
from spicereplay.protocol.messages.drawing import (
    DRAW_TYPES,
    Brush,
    DisplayBase,
    LineAttr,
    Pattern,
    QMask,
    String,
)
from spicereplay.protocol.messages.drawing import (
    Path as Stroke,
)
from spicereplay.protocol.messages.geometry import Clip, Point, Point16, Rect
from spicereplay.protocol.messages.images import (
    BinaryData,
    Bitmap,
    Image,
    ImageDescriptor,
    JpegAlpha,
    LzPlt,
    Palette,
    SurfaceImage,
    ZlibGlz,
)
from spicereplay.protocol.wire import build
from spicereplay.replay import replay

FIXTURES = Path(__file__).parents[2] / "fixtures"
CAPTURES = sorted(p.parent.name for p in FIXTURES.glob("captures/*/oracle.json"))

AREA = Rect(0, 0, 30, 40)
NO_MASK = QMask(MaskFlags(0), Point(0, 0), None)
SOLID = Brush(BrushType.SOLID, 0xFF00FF, None)
NOTHING = Brush(BrushType.NONE, None, None)
PUT, XOR = RopDescriptor.OP_PUT, RopDescriptor.OP_XOR
NEAREST = ImageScaleMode.NEAREST


def base(surface=0, rects=None):
    clip = Clip(ClipType.NONE, None) if rects is None else Clip(ClipType.RECTS, (AREA,) * rects)
    return DisplayBase(surface, Rect(10, 20, 40, 60), clip)


def image(kind=ImageType.QUIC, data=None, number=7 << 32 | 3):
    return Image(ImageDescriptor(number, kind, ImageFlags(0), 40, 30), data or BinaryData(b"q" * 99))


PATTERN = Brush(BrushType.PATTERN, None, Pattern(image(number=1), Point(0, 0)))


def table(*said, **more):
    log = channel(
        ChannelType.DISPLAY, [Said(1 + i, kind, body) for i, (kind, body) in enumerate(said)], **more
    )
    return draws([session(log)], ORIGIN_NS)


def copy(source=None, rop=PUT, where=None):
    return display.DrawCopy(where or base(), source or image(), AREA, rop, NEAREST, NO_MASK)


def test_a_copy_says_where_and_what():
    row = table((ServerDisplay.DRAW_COPY, copy(where=base(surface=5, rects=3)))).iloc[0]
    assert (row["name"], row.time_s, row.surface_id) == ("DRAW_COPY", 1.0, 5)
    assert (row.left, row.top, row.right, row.bottom) == (20, 10, 60, 40)
    assert (row.clip_rects, row.effect, row.rop) == (3, "replace", 8)
    assert (row.image_id, row.codec, row.image_width, row.image_height) == (7 << 32 | 3, "quic", 40, 30)
    assert (row.image_bytes, row.partial) == (99, False)


@pytest.mark.parametrize(("rects", "told"), [(None, -1), (0, 0), (1, 1), (400, 400)])
def test_a_clip_without_rectangles_is_not_no_clip(rects, told):
    row = table((ServerDisplay.DRAW_COPY, copy(where=base(rects=rects)))).iloc[0]
    assert (row.clip_rects, row.rop, row.codec) == (told, 8, "quic")


PLAIN = BinaryData(b"x" * 50)
COLOURS = Palette(9, (1, 2, 3))
IMAGES = [
    (ImageType.QUIC, PLAIN, 50),
    (ImageType.LZ_RGB, PLAIN, 50),
    (ImageType.GLZ_RGB, PLAIN, 50),
    (ImageType.JPEG, PLAIN, 50),
    (ImageType.LZ4, PLAIN, 50),
    (ImageType.LZ_PLT, LzPlt(BitmapFlags(0), None, COLOURS, b"x" * 50), 50),
    (ImageType.LZ_PLT, LzPlt(BitmapFlags.PAL_FROM_CACHE, 9, None, b"x" * 50), 50),
    (ImageType.ZLIB_GLZ_RGB, ZlibGlz(4000, b"x" * 50), 50),
    (ImageType.JPEG_ALPHA, JpegAlpha(0, 30, b"x" * 50), 50),
    (
        ImageType.BITMAP,
        Bitmap(BitmapFormat.FMT_32BIT, BitmapFlags(0), 40, 30, 160, None, None, bytes(4800)),
        4800,
    ),
    (ImageType.SURFACE, SurfaceImage(3), 0),
    (ImageType.FROM_CACHE, None, 0),
    (ImageType.FROM_CACHE_LOSSLESS, None, 0),
]


@pytest.mark.parametrize(("kind", "data", "size"), IMAGES)
def test_every_way_to_carry_an_image(kind, data, size):
    source = Image(ImageDescriptor(1, kind, ImageFlags(0), 40, 30), data)
    row = table((ServerDisplay.DRAW_COPY, copy(source))).iloc[0]
    assert (row.codec, row.image_bytes) == (kind.name.lower(), size)


STROKE = Stroke(())
LINE, DASHED = LineAttr(LineFlags(0), None), LineAttr(LineFlags.STYLED, (4, 4))
TEXT = String(0, None, None, None)
OPERATIONS = [
    ("DRAW_FILL", display.DrawFill(base(), SOLID, PUT, NO_MASK), 8, "replace"),
    ("DRAW_FILL", display.DrawFill(base(), NOTHING, XOR, NO_MASK), 64, "combine"),
    ("DRAW_FILL", display.DrawFill(base(rects=2), PATTERN, PUT, NO_MASK), 8, "replace"),
    ("DRAW_OPAQUE", display.DrawOpaque(base(), image(), AREA, SOLID, XOR, NEAREST, NO_MASK), 64, "replace"),
    ("DRAW_OPAQUE", display.DrawOpaque(base(), image(), AREA, PATTERN, PUT, NEAREST, NO_MASK), 8, "replace"),
    (
        "DRAW_BLEND",
        display.DrawBlend(base(), image(), AREA, RopDescriptor.OP_INVERS, NEAREST, NO_MASK),
        512,
        "combine",
    ),
    ("DRAW_BLACKNESS", display.DrawBlackness(base(), NO_MASK), None, "replace"),
    ("DRAW_WHITENESS", display.DrawWhiteness(base(), NO_MASK), None, "replace"),
    ("DRAW_INVERS", display.DrawInvers(base(), NO_MASK), None, "combine"),
    ("DRAW_ROP3", display.DrawRop3(base(), image(), AREA, SOLID, 0xCC, NEAREST, NO_MASK), 0xCC, "replace"),
    ("DRAW_ROP3", display.DrawRop3(base(), image(), AREA, PATTERN, 0x66, NEAREST, NO_MASK), 0x66, "combine"),
    ("DRAW_STROKE", display.DrawStroke(base(), STROKE, LINE, SOLID, PUT, PUT), 8, "combine"),
    ("DRAW_STROKE", display.DrawStroke(base(), STROKE, DASHED, SOLID, XOR, PUT), 64, "combine"),
    ("DRAW_TEXT", display.DrawText(base(), TEXT, AREA, SOLID, NOTHING, PUT, XOR), 8, "combine"),
    ("DRAW_TRANSPARENT", display.DrawTransparent(base(), image(), AREA, 0, 0), None, "combine"),
    ("DRAW_ALPHA_BLEND", display.DrawAlphaBlend(base(), 0, 99, image(), AREA), None, "combine"),
    (
        "DRAW_COMPOSITE",
        display.DrawComposite(base(), 0x100 | 3, image(), None, None, None, Point16(0, 0), Point16(0, 0)),
        3,
        "combine",
    ),
    ("COPY_BITS", display.CopyBits(base(), Point(1, 2)), None, "move"),
]


@pytest.mark.parametrize(("name", "body", "rop", "effect"), OPERATIONS)
def test_every_draw_message_says_what_becomes_of_what_was_there(name, body, rop, effect):
    row = table((ServerDisplay[name], body)).iloc[0]
    assert (row["name"], row.effect, row.surface_id, row.right) == (name, effect, 0, 60)
    assert pd.isna(row.rop) if rop is None else row.rop == rop
    assert pd.isna(row.image_id) == (getattr(body, "src_bitmap", None) is None)
    assert row.bytes == len(build(body))


def test_all_of_them_together_are_the_same_as_each_alone():
    every = [(ServerDisplay[name], body) for name, body, *_ in OPERATIONS]
    together = table(*every)
    assert {ServerDisplay[name] for name in together["name"]} == set(DRAW_TYPES) - {ServerDisplay.DRAW_COPY}
    for i, one in enumerate(every):
        alone = table(one).iloc[0].drop("time_s")
        pd.testing.assert_series_equal(together.iloc[i].drop("time_s"), alone, check_names=False)


def test_a_truth_table_depends_on_the_destination_where_its_odd_and_even_bits_differ():
    def depends(code):
        return any(code >> 2 * i & 1 != code >> 2 * i + 1 & 1 for i in range(4))

    rows = table(
        *(
            (
                ServerDisplay.DRAW_ROP3,
                display.DrawRop3(base(), image(), AREA, NOTHING, code, NEAREST, NO_MASK),
            )
            for code in range(256)
        )
    )
    assert rows["rop"].tolist() == list(range(256))
    assert rows["effect"].tolist() == ["combine" if depends(code) else "replace" for code in range(256)]


def test_several_displays_are_one_table_in_order_of_time():
    logs = [
        channel(
            ChannelType.DISPLAY,
            [Said(at, ServerDisplay.DRAW_COPY, copy()) for at in times],
            channel_id=number,
        )
        for number, times in enumerate(([1, 4], [2, 3]))
    ]
    rows = draws([session(*logs)], ORIGIN_NS)
    assert rows["time_s"].tolist() == [1, 2, 3, 4]
    assert rows["channel_id"].tolist() == [0, 1, 1, 0]


def with_hole(log, start, stop):
    """The same channel without bytes `[start, stop)` of what the server sent."""
    index = log.server
    data = bytes(index.stream.file)
    pieces = [(at, data[at:end]) for at, end in ((0, start), (stop, len(data))) if end > at]
    lengths = np.array([len(piece) for _, piece in pieces], np.int64)
    stream = ByteStream(
        file=b"".join(piece for _, piece in pieces),
        spill=b"",
        position=np.array([at for at, _ in pieces], np.int64),
        offset=np.cumsum(lengths) - lengths,
        length=lengths,
        time_ns=np.zeros(len(pieces), np.int64),
        packet=np.arange(len(pieces)),
    )
    ends = index.position + index.size
    cut = (index.position < stop) & (ends > start)
    return replace(log, server=replace(index, stream=stream, partial=cut))


FIELDS = {
    "surface_id": 4,
    "top": 8,
    "left": 12,
    "bottom": 16,
    "right": 20,
    "clip_rects": 21,
    "rop": 21 + 22,
    "image_id": 57 + 18,
    "image_bytes": 57 + 22,
}
"""Where in an unclipped DRAW_COPY, whose image follows at once, the last byte of each lies."""


@pytest.mark.parametrize("cut", [0, 3, 4, 19, 20, 21, 42, 43, 57, 74, 75, 78, 79, 120])
def test_a_hole_costs_the_fields_behind_it(cut):
    log = channel(ChannelType.DISPLAY, [Said(i, ServerDisplay.DRAW_COPY, copy()) for i in range(3)])
    size = int(log.server.size[0])
    rows = draws([session(with_hole(log, size + cut, size + cut + 40))], ORIGIN_NS)
    for column, end in FIELDS.items():
        assert rows[column].isna().tolist() == [False, cut < end, False], column
    assert rows["partial"].tolist() == [False, True, False]
    assert rows["bytes"].tolist() == [size] * 3


@pytest.mark.parametrize("size", [0, 3, 20, 21, 24, 43, 56, 60])
def test_a_message_that_ends_early_has_what_it_has(size):
    row = table((ServerDisplay.DRAW_COPY, build(copy())[:size])).iloc[0]
    known = {column for column in FIELDS if not pd.isna(row[column])}
    assert known == {column for column, end in FIELDS.items() if end <= size}


def test_numbers_that_the_message_cannot_hold_are_not_believed():
    body = bytearray(build(copy(where=base(rects=1))))
    body[21:25] = b"\xff\xff\xff\xff"
    row = table((ServerDisplay.DRAW_COPY, bytes(body))).iloc[0]
    assert pd.isna(row.clip_rects)
    assert pd.isna(row.rop)
    assert pd.isna(row.codec)
    assert row.right == 60
    body = bytearray(build(copy()))
    body[75:79] = b"\xff\xff\xff\xff"
    row = table((ServerDisplay.DRAW_COPY, bytes(body))).iloc[0]
    assert (row.codec, pd.isna(row.image_bytes)) == ("quic", True)
    vast = Bitmap(BitmapFormat.FMT_32BIT, BitmapFlags(0), 1, 1, 4, None, None, bytes(4))
    body = bytearray(build(copy(image(ImageType.BITMAP, vast))))
    body[57 + 24 : 57 + 32] = b"\xff" * 8
    assert pd.isna(table((ServerDisplay.DRAW_COPY, bytes(body))).iloc[0].image_bytes)


@settings(max_examples=60)
@given(st.lists(st.tuples(st.sampled_from(DRAW_TYPES), st.binary(max_size=140)), max_size=6))
def test_any_bytes_give_one_row_per_message(said):
    rows = table(*said)
    assert rows["name"].tolist() == [kind.name for kind, _ in said]
    assert rows["bytes"].tolist() == [len(body) for _, body in said]


def check(path):
    """Hold a recording's draws to the counts of an independent parser and to the images that were decoded."""
    oracle = json.loads((path.parent / "oracle.json").read_text())["sessions"]
    names = {kind.name for kind in DRAW_TYPES}
    want: dict[tuple[int, int, str], tuple[int, int]] = {}
    for s in oracle:
        for c in s["channels"]:
            if c["channel"] != "display":
                continue
            for seen in c["from_server"]["by_opcode"].values():
                if seen["name"] in names:
                    want[s["session"], c["channel_id"], seen["name"]] = (seen["count"], seen["bytes"])
    keys = path.parent / "keys.log"
    with replay(path, keylog=keys if keys.exists() else None, require_spice=False) as found:
        tables = Tables(found)
        rows = tables["draws"]
        got = rows.groupby(["session", "channel_id", "name"], observed=True)["bytes"].agg(["size", "sum"])
        assert {key: tuple(map(int, value)) for key, value in got.T.items()} == want
        same_images(rows, tables["images"])


def same_images(rows, images):
    assert not rows["surface_id"].isna().any()
    columns = ["time_s", "surface_id", "left", "top", "right", "bottom", "image_id"]
    ours = rows[rows["image_id"].notna()]
    ours = ours[[*columns, "image_width", "image_height", "image_bytes"]].assign(
        codec=ours["codec"].astype(str)
    )
    theirs = images[[*columns, "width", "height", "bytes"]].assign(codec=images["codec"].astype(str))
    # What is drawn as a brush or through a mask is an image, too, but nobody's source.
    assert set(ours.itertuples(index=False, name=None)) <= set(theirs.itertuples(index=False, name=None))


@pytest.mark.parametrize("name", CAPTURES)
def test_recorded_draws(name):
    check(FIXTURES / "captures" / name / "capture.pcap")


@pytest.mark.shared
def test_draws_of_shared_captures(shared):
    for name in (
        "desktop-off",
        "desktop-glz",
        "desktop-deferred-quic",
        "qemu-boot",
        "flap-h264",
        "tls13-keylog",
    ):
        check(shared / "captures" / name / "capture.pcap")
