from __future__ import annotations

import struct

import pytest

from spicereplay.defects import DefectKind, DefectLog
from spicereplay.display.cursor import CursorChannel
from spicereplay.limits import Limits
from spicereplay.protocol.enums import CursorFlags, CursorType
from spicereplay.protocol.messages import cursor as c
from spicereplay.protocol.messages.geometry import Point16


def shape(
    kind: int,
    width: int,
    height: int,
    data: bytes,
    *,
    unique: int = 1,
    flags: int = 0,
    hot: tuple[int, int] = (0, 0),
) -> c.Cursor:
    header = c.CursorHeader(
        unique=unique, type=kind, width=width, height=height, hot_spot_x=hot[0], hot_spot_y=hot[1]
    )
    return c.Cursor(flags=flags, header=header, data=data)


def set_to(cursor: c.Cursor, x: int = 3, y: int = 4, visible: int = 1) -> c.Set:
    return c.Set(position=Point16(x=x, y=y), visible=visible, cursor=cursor)


def channel(**options: object) -> CursorChannel:
    return CursorChannel("cursor/0", DefectLog(), **options)  # type: ignore[arg-type]


RED, GREEN, BLACK = [255, 0, 0, 255], [0, 255, 0, 255], [0, 0, 0, 255]
WHITE, NOTHING = [255, 255, 255, 255], [0, 0, 0, 0]

SHAPES = [
    (CursorType.ALPHA, struct.pack("<2I", 0xFFFF0000, 0x80400000), [RED, [0x40, 0, 0, 0x80]], None),
    (CursorType.MONO, b"\x00" + b"\x40", [BLACK, WHITE], None),
    (CursorType.MONO, b"\xc0" + b"\x40", [NOTHING, NOTHING], [False, True]),
    (
        CursorType.COLOR4,
        b"\x12" + struct.pack("<16I", 0, 0xFF0000, 0xFF00, *[0] * 13) + b"\x00",
        [RED, GREEN],
        None,
    ),
    (
        CursorType.COLOR8,
        b"\1\2" + struct.pack("<256I", 0, 0xFF0000, 0xFF00, *[0] * 253) + b"\x40",
        [RED, NOTHING],
        None,
    ),
    (CursorType.COLOR16, struct.pack("<2H", 0x7C00, 0x7FFF) + b"\x40", [RED, NOTHING], [False, True]),
    (CursorType.COLOR24, b"\0\0\xff" + b"\0\xff\0" + b"\x00", [RED, GREEN], None),
    (CursorType.COLOR32, struct.pack("<2I", 0x55FF0000, 0xFFFFFF) + b"\x40", [RED, NOTHING], [False, True]),
]


@pytest.mark.parametrize(("kind", "data", "pixels", "inverts"), SHAPES)
def test_every_format(
    kind: CursorType, data: bytes, pixels: list[list[int]], inverts: list[bool] | None
) -> None:
    cursor = channel()
    cursor.handle(set_to(shape(kind, 2, 1, data, hot=(1, 9))), 0)
    got = cursor.state.shape
    assert got is not None
    assert got.pixels.tolist() == [pixels]
    assert (got.inverts is None) == (inverts is None)
    if got.inverts is not None:
        assert got.inverts.tolist() == [inverts]
    assert (got.hot_x, got.hot_y) == (1, 1)  # not beyond the shape


@pytest.mark.parametrize(("kind", "data", "pixels", "inverts"), SHAPES)
def test_data_cut_short_is_a_defect_and_no_shape(
    kind: CursorType, data: bytes, pixels: object, inverts: object
) -> None:
    cursor = channel()
    cursor.handle(set_to(shape(kind, 2, 1, data[:-1])), 5)
    assert cursor.state.shape is None
    assert [defect.kind for defect in cursor.defects] == [DefectKind.CODEC_DATA_SHORT]


def test_position_and_visibility() -> None:
    cursor = channel()
    arrow = shape(CursorType.ALPHA, 1, 1, b"\0" * 4)
    init = c.Init(position=Point16(x=1, y=2), trail_length=0, trail_frequency=0, visible=0, cursor=arrow)
    cursor.handle(init, 0)
    assert (cursor.state.x, cursor.state.y, cursor.state.visible) == (1, 2, False)
    cursor.handle(c.Move(position=Point16(x=-5, y=7)), 0)
    assert (cursor.state.x, cursor.state.y, cursor.state.visible) == (-5, 7, True)
    cursor.handle(c.Hide(), 0)
    assert not cursor.state.visible
    cursor.handle(set_to(arrow), 0)
    assert cursor.state.visible
    cursor.handle(c.Trail(length=1, frequency=2), 0)
    cursor.handle(c.Reset(), 0)
    assert cursor.state.shape is None
    assert not cursor.state.visible


def test_no_cursor_at_all() -> None:
    cursor = channel()
    cursor.handle(set_to(shape(CursorType.ALPHA, 1, 1, b"\0" * 4)), 0)
    cursor.handle(set_to(c.Cursor(flags=CursorFlags.NONE, header=None, data=b"")), 0)
    assert cursor.state.shape is None
    assert not len(cursor.defects)


def test_shapes_are_cached_by_their_number() -> None:
    cursor = channel()
    for unique in (1, 2):
        data = struct.pack("<I", unique)
        cursor.handle(
            set_to(shape(CursorType.ALPHA, 1, 1, data, unique=unique, flags=CursorFlags.CACHE_ME)), 0
        )
    again = shape(CursorType.ALPHA, 0, 0, b"", unique=1, flags=CursorFlags.FROM_CACHE)
    cursor.handle(set_to(again), 0)
    assert cursor.state.shape is not None
    assert cursor.state.shape.unique == 1
    cursor.handle(c.InvalOne(id=1), 0)
    cursor.handle(set_to(again), 0)
    assert cursor.state.shape is None
    assert [defect.kind for defect in cursor.defects] == [DefectKind.CACHE_MISS]
    cursor.handle(c.InvalAll(), 0)
    cursor.handle(set_to(shape(CursorType.ALPHA, 0, 0, b"", unique=2, flags=CursorFlags.FROM_CACHE)), 0)
    assert cursor.state.shape is None


def test_the_cache_has_a_limit() -> None:
    cursor = channel(limits=Limits(cursor_cache_entries=2))
    for unique in range(5):
        cursor.handle(
            set_to(shape(CursorType.ALPHA, 1, 1, b"\0" * 4, unique=unique, flags=CursorFlags.CACHE_ME)), 0
        )
    assert cursor.evicted == 3


@pytest.mark.parametrize(
    ("kind", "size", "defect"),
    [
        (99, (1, 1), DefectKind.CODEC_UNSUPPORTED),
        (CursorType.ALPHA, (0, 4), DefectKind.CODEC_DATA),
        (CursorType.ALPHA, (300, 4), DefectKind.IMAGE_OVER_LIMIT),
    ],
)
def test_absurd_shapes(kind: int, size: tuple[int, int], defect: DefectKind) -> None:
    cursor = channel(limits=Limits(image_side_px=256))
    cursor.handle(set_to(shape(kind, *size, b"")), 0)
    assert [one.kind for one in cursor.defects] == [defect]
