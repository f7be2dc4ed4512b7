"""What counts as a picture, and which message it belongs to."""

from __future__ import annotations

from display.made import bitmap, copy, create, fill, from_cache, glz_copy, glz_literals, image
from support.observed import Said, channel, session

from spicereplay.golden.manifest import Key
from spicereplay.golden.observe import Seen, observe_session
from spicereplay.protocol.enums import BrushType, ChannelType, ImageFlags, ImageType
from spicereplay.protocol.messages import display as m
from spicereplay.protocol.messages import drawing as d
from spicereplay.protocol.messages import geometry as g
from spicereplay.protocol.messages import images as i
from spicereplay.session.log import ChannelLog

DISPLAY = ChannelType.DISPLAY
RED = 0xFF0000


def said(at: float, message: object) -> Said:
    return Said(at, int(message.TYPES[0]), message)  # type: ignore[attr-defined]


def display(*messages: Said, channel_id: int = 0) -> ChannelLog:
    return channel(DISPLAY, messages, channel_id=channel_id)


def keys(*logs: ChannelLog, every: int = 256) -> list[tuple[str, int, str, str, int, str]]:
    seen: list[Seen] = []
    observe_session(session(*logs), seen.append, every=every)
    return [(s.key.channel, s.key.row, s.key.kind, s.key.what, s.key.ordinal, s.why_not) for s in seen]


def test_images_surfaces_and_what_is_missing_from_the_cache() -> None:
    log = display(
        said(0, create(0, 4, 4)),
        said(1, copy(bitmap([[RED]], image_id=3, flags=int(ImageFlags.CACHE_ME)), 0, 0, 1, 1)),
        said(2, copy(from_cache(3, 1, 1), 1, 1, 2, 2)),
        said(3, copy(from_cache(99, 1, 1), 2, 2, 3, 3)),
    )
    assert keys(log) == [
        ("display/0", 1, "image", "bitmap", 0, ""),
        ("display/0", 3, "image", "from_cache", 0, "missing"),
        ("display/0", 4, "end", "surface/0", 0, ""),
    ]


def test_rarer_operations_are_looked_at_one_by_one_and_surfaces_every_so_often() -> None:
    log = display(
        said(0, create(0, 4, 4)),
        said(1, create(5, 2, 2)),
        said(2, fill(RED, 0, 0, 1, 1)),
        said(3, m.DrawWhiteness(base=fill(0, 0, 0, 2, 2).base, mask=fill(0, 0, 0, 1, 1).mask)),
        said(4, fill(RED, 0, 0, 1, 1)),
        said(5, m.SurfaceDestroy(surface_id=5)),
        said(6, fill(0, 3, 3, 4, 4)),
    )
    assert [key[1:4] for key in keys(log, every=2)] == [
        (1, "state", "surface/0"),
        (1, "state", "surface/5"),
        (3, "draw", "DRAW_WHITENESS"),
        (3, "state", "surface/0"),  # the other has not changed
        (5, "last", "surface/5"),
        (5, "state", "surface/0"),
        (7, "end", "surface/0"),
    ]


def test_several_images_of_one_message_are_numbered() -> None:
    pattern = d.Pattern(pat=bitmap([[RED, 0], [0, RED]], image_id=8), pos=g.Point(x=0, y=0))
    opaque = m.DrawOpaque(
        base=fill(0, 0, 0, 2, 2).base,
        src_bitmap=bitmap([[1, 2], [3, 4]], image_id=9),
        src_area=copy(None, 0, 0, 2, 2).src_area,
        brush=d.Brush(type=BrushType.PATTERN, color=None, pattern=pattern),
        rop_descriptor=8,
        scale_mode=0,
        mask=fill(0, 0, 0, 1, 1).mask,
    )
    found = [key for key in keys(display(said(0, create(0, 4, 4)), said(1, opaque))) if key[2] == "image"]
    assert [(key[1], key[4]) for key in found] == [(1, 0), (1, 1)]


def glz(image_id: int, data: bytes) -> i.Image:
    return image(ImageType.GLZ_RGB, i.BinaryData(data=data), 2, 1, image_id=image_id)


def test_an_image_that_had_to_wait_for_another_channel_belongs_to_its_own_message() -> None:
    later = display(
        said(0, create(0, 4, 4)),
        said(1, copy(glz(2, glz_copy(1, 1, 2, 2, 1)), 0, 0, 2, 1)),
        said(1, copy(glz(4, glz_copy(2, 2, 2, 2, 1)), 2, 0, 4, 1)),
        channel_id=1,
    )
    first = display(
        said(0, create(0, 4, 4)),
        said(2, fill(RED, 0, 0, 1, 1)),
        said(3, copy(glz(1, glz_literals(0, [1, 2], 2, 1)), 0, 0, 2, 1)),
    )
    images = [key[:2] for key in keys(first, later) if key[2] == "image"]
    assert images == [("display/0", 2), ("display/1", 1), ("display/1", 2)]


def test_a_key_names_its_message() -> None:
    assert (
        str(Key(1, "display/0", 7, "state", "surface/2")) == "session 1 display/0: surface/2 after message 7"
    )
    assert (
        str(Key(0, "display/0", 7, "draw", "DRAW_TEXT"))
        == "session 0 display/0 message 7: what DRAW_TEXT drew"
    )
    assert str(Key(0, "display/0", 9, "end", "surface/0")) == "session 0 display/0: surface/0 at the end"
