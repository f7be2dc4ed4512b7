"""Which messages of the past are needed: those that brought what is referred to, and no others."""

from __future__ import annotations

import struct
import zlib

import pytest
from display.made import base, bitmap, copy, create, fill, from_cache, image
from support.observed import Said, channel, ns

from spicereplay.excerpt.needs import Needs, images_of, needs
from spicereplay.protocol.enums import (
    BitmapFlags,
    BitmapFormat,
    ChannelType,
    ImageFlags,
    ImageType,
    ResourceType,
    VideoCodec,
)
from spicereplay.protocol.messages import display as m
from spicereplay.protocol.messages import drawing as d
from spicereplay.protocol.messages import geometry as g
from spicereplay.protocol.messages import images as i
from spicereplay.protocol.wire import Message
from spicereplay.session.log import ChannelLog

BOX = (0, 0, 4, 4)
PIXEL = [[0x102030]]


def display(*messages: Message) -> ChannelLog:
    """One message a second, the first at 1 s."""
    said = [Said(n, int(message.TYPES[0]), message) for n, message in enumerate(messages, 1)]
    return channel(ChannelType.DISPLAY, said)


def needed(log: ChannelLog, start: float) -> Needs:
    return needs(log, ns(start), ns(60))


def put(image_id: int, flags: int = ImageFlags.CACHE_ME) -> m.DrawCopy:
    return copy(bitmap(PIXEL, image_id=image_id, flags=flags), *BOX)


def get(image_id: int) -> m.DrawCopy:
    return copy(from_cache(image_id, 1, 1), *BOX)


def glz(image_id: int, reach: int, *, zipped: bool = False) -> m.DrawCopy:
    """A dictionary image with a header only: what it may copy from is all that counts here."""
    head = struct.pack(">2IB3IQI", 0x20205A4C, 0x00010001, 8, 1, 1, 4, image_id, reach)
    if zipped:
        packed = zlib.compress(head)
        return copy(image(ImageType.ZLIB_GLZ_RGB, i.ZlibGlz(len(head), packed)), *BOX)
    return copy(image(ImageType.GLZ_RGB, i.BinaryData(head)), *BOX)


def drop(image_id: int) -> m.InvalList:
    return m.InvalList((m.ResourceID(ResourceType.PIXMAP, image_id),))


def stream(codec: int, number: int = 1) -> m.StreamCreate:
    area = g.Rect(top=0, left=0, bottom=4, right=4)
    return m.StreamCreate(0, number, 0, codec, 0, 4, 4, 4, 4, area, g.Clip(type=0, rects=None))


def frame(number: int = 1) -> m.StreamData:
    return m.StreamData(m.StreamDataHeader(number, 0), b"\0" * 9)


def test_draws_are_not_needed_and_what_shapes_the_channel_is() -> None:
    log = display(
        create(0, 4, 4),
        fill(1, *BOX),
        put(3),
        m.Mark(),
        m.MonitorsConfig(1, ()),
        fill(2, *BOX),
        fill(3, *BOX),
    )
    assert needed(log, 6.5).rows == {0, 3, 4}


def test_an_image_from_the_cache_needs_who_put_it() -> None:
    assert needed(display(put(1), put(2), put(3), get(2)), 3.5).rows == {1}
    assert needed(display(put(1), put(2), put(3), get(2)), 4.5).rows == frozenset()


def test_an_image_that_was_dropped_or_put_again_within_the_span_needs_nobody() -> None:
    assert needed(display(put(1), drop(1), get(1)), 2.5).rows == {1}
    assert needed(display(put(1), put(1), get(1)), 1.5).rows == {0}
    assert needed(display(put(1), m.InvalAllPixmaps(()), get(1)), 2.5).rows == {1}


def test_a_lossless_image_that_replaced_a_lossy_one_comes_with_it() -> None:
    assert needed(display(put(1), put(1, ImageFlags.CACHE_REPLACE_ME), get(1)), 2.5).rows == {0, 1}


def test_images_in_masks_and_brushes_count() -> None:
    pattern = d.Brush(type=2, color=None, pattern=d.Pattern(from_cache(1, 1, 1), g.Point(x=0, y=0)))
    mask = d.QMask(flags=0, pos=g.Point(x=0, y=0), bitmap=from_cache(2, 1, 1))
    both = m.DrawFill(base=base(*BOX), brush=pattern, rop_descriptor=8, mask=mask)
    assert [found.descriptor.id for found in images_of(both)] == [1, 2]
    assert needed(display(put(1), put(2), put(3), both), 3.5).rows == {0, 1}


@pytest.mark.parametrize("forget", [m.InvalPalette(9), m.InvalAllPalettes(), m.Reset()])
def test_palettes_need_who_brought_them(forget: Message) -> None:
    brought = palette_image(BitmapFlags.PAL_CACHE_ME)
    used = palette_image(BitmapFlags.PAL_FROM_CACHE)
    assert needed(display(brought, fill(1, *BOX), used), 2.5).rows == {0}
    assert needed(display(brought, forget, used), 2.5).rows == {1}


def palette_image(flags: int) -> m.DrawCopy:
    cached = bool(flags & BitmapFlags.PAL_FROM_CACHE)
    raw = i.Bitmap(
        format=BitmapFormat.FMT_8BIT,
        flags=flags | BitmapFlags.TOP_DOWN,
        x=1,
        y=1,
        stride=1,
        palette_id=9 if cached else None,
        palette=None if cached else i.Palette(unique=9, ents=(1, 2)),
        data=b"\1",
    )
    return copy(image(ImageType.BITMAP, raw), *BOX)


@pytest.mark.parametrize("zipped", [False, True])
def test_dictionary_images_need_all_in_their_reach_and_theirs(zipped: bool) -> None:
    log = display(glz(0, 0), glz(1, 0), glz(2, 1), glz(3, 0), glz(4, 2, zipped=zipped))
    found = needed(log, 4.5)  # 4 reaches 2, which reaches 1; nobody reaches 0
    assert (found.rows, found.glz) == ({1, 2, 3}, True)
    assert needed(display(glz(0, 0), glz(1, 0, zipped=zipped)), 1.5).rows == frozenset()


def test_a_cached_dictionary_image_needs_its_reach() -> None:
    cached = copy(
        image(
            ImageType.GLZ_RGB,
            i.BinaryData(struct.pack(">2IB3IQI", 0x20205A4C, 0x00010001, 8, 1, 1, 4, 1, 1)),
            image_id=7,
            flags=ImageFlags.CACHE_ME,
        ),
        *BOX,
    )
    assert needed(display(glz(0, 0), cached, glz(2, 0), get(7)), 3.5).rows == {0, 1, 2}


@pytest.mark.parametrize(
    ("codec", "rows", "frames"), [(VideoCodec.MJPEG, {0, 3}, 0), (VideoCodec.VP8, {0, 1, 2, 3}, 2)]
)
def test_a_live_stream_keeps_its_beginning_and_frames_that_others_build_on(
    codec: int, rows: set[int], frames: int
) -> None:
    clip = m.StreamClip(1, g.Clip(type=0, rects=None))
    found = needed(display(stream(codec), frame(), frame(), clip, frame()), 4.5)
    assert (found.rows, found.inter_frames) == (rows, frames)


def test_streams_that_ended_leave_nothing() -> None:
    one = display(stream(VideoCodec.VP8), frame(), m.StreamDestroy(1), stream(VideoCodec.MJPEG), frame())
    assert needed(one, 4.5).rows == {3}
    assert needed(
        display(stream(VideoCodec.VP8), frame(), m.StreamDestroyAll(), fill(1, *BOX)), 3.5
    ).rows == (frozenset())


def test_damage_is_passed_over() -> None:
    bad = copy(image(ImageType.ZLIB_GLZ_RGB, i.ZlibGlz(9, b"no zlib")), *BOX)
    short = copy(image(ImageType.GLZ_RGB, i.BinaryData(b"short")), *BOX)
    assert needed(display(bad, short, bad, short), 2.5).rows == frozenset()
