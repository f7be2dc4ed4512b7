from __future__ import annotations

import io

import numpy as np
import pytest
from display.made import (
    NO_CLIP,
    base,
    bitmap,
    clip,
    copy,
    create,
    fill,
    from_cache,
    glz_copy,
    glz_literals,
    image,
    of_surface,
    rect,
)
from PIL import Image as Pillow

from spicereplay.codecs.base import Decoded, PixelFormat
from spicereplay.defects import DefectKind
from spicereplay.display.model import WAITING_MESSAGES, WAITING_NS, DisplayModel
from spicereplay.display.region import Box
from spicereplay.errors import DecodeError
from spicereplay.limits import Limits
from spicereplay.protocol.enums import ImageFlags, ImageType, SurfaceFormat, VideoCodec
from spicereplay.protocol.messages import cursor as c
from spicereplay.protocol.messages import display as m
from spicereplay.protocol.messages import drawing as d
from spicereplay.protocol.messages import geometry as g
from spicereplay.protocol.messages import images as i


def model_of(*messages: object, **options: object) -> DisplayModel:
    model = DisplayModel(**options)  # type: ignore[arg-type]
    for time_ns, message in enumerate(messages):
        model.handle(0, message, time_ns)
    return model


def colours(model: DisplayModel, channel: int = 0) -> list[list[str]]:
    """The screen as RRGGBB, `?` where it is unknown."""
    screen = model.screen(channel)
    assert screen is not None
    return [
        ["?" if hidden else pixel[:3].tobytes().hex() for pixel, hidden in zip(row, mask, strict=True)]
        for row, mask in zip(screen.pixels, screen.unknown, strict=True)
    ]


def kinds(model: DisplayModel) -> list[DefectKind]:
    return [defect.kind for defect in model.defects]


# --- surfaces ----------------------------------------------------------------------------------------------


def test_a_screen_is_the_primary_surface() -> None:
    model = model_of(create(0, 2, 1), fill(0x112233, 1, 0, 2, 1))
    assert colours(model) == [["000000", "112233"]]
    screen = model.screen(0)
    assert screen is not None
    assert screen.all_known
    assert (screen.primary, screen.inferred, screen.surface_id) == (True, False, 0)
    assert (screen.pixels[..., 3] == 255).all()


def test_before_there_is_a_surface_there_is_no_screen() -> None:
    model = model_of(m.Mark())
    assert model.screen(0) is None
    assert model.surface(0, 5) is None
    assert model.monitors(0) == ()
    assert model.channel(0).marked


@pytest.mark.parametrize(
    ("format", "color", "shown"),
    [
        (SurfaceFormat.FMT_16_555, 0x7C1F, "ff00ff"),
        (SurfaceFormat.FMT_16_565, 0x07E0, "00ff00"),
        (SurfaceFormat.FMT_32_ARGB, 0x00123456, "123456"),
    ],
)
def test_surfaces_of_other_formats(format: SurfaceFormat, color: int, shown: str) -> None:
    assert colours(model_of(create(0, 1, 1, format), fill(color, 0, 0, 1, 1))) == [[shown]]


def test_an_offscreen_surface_is_drawn_from() -> None:
    model = model_of(
        create(0, 2, 1), create(4, 2, 1), fill(0xAA, 0, 0, 1, 1, surface=4), copy(of_surface(4), 0, 0, 2, 1)
    )
    assert colours(model) == [["0000aa", "000000"]]
    other = model.surface(0, 4)
    assert other is not None
    assert not other.primary
    model.handle(0, m.SurfaceDestroy(surface_id=4), 9)
    assert model.surface(0, 4) is None
    model.handle(0, copy(of_surface(4), 0, 0, 1, 1), 9)
    assert colours(model) == [["?", "000000"]]
    assert kinds(model) == [DefectKind.SURFACE_UNKNOWN]


def test_a_surface_never_created_is_inferred_from_what_is_drawn() -> None:
    model = model_of(fill(0x0A, 1, 0, 2, 1), fill(0x0B, 0, 1, 1, 2))
    assert colours(model) == [["?", "00000a"], ["00000b", "?"]]
    screen = model.screen(0)
    assert screen is not None
    assert screen.inferred
    assert kinds(model) == [DefectKind.SURFACE_UNKNOWN]


def test_reading_beyond_an_inferred_surface_gives_the_unknown() -> None:
    move = m.CopyBits(base=base(0, 0, 1, 1), src_pos=g.Point(x=3, y=0))
    assert colours(model_of(fill(1, 0, 0, 2, 1), move)) == [["?", "000001", "?", "?"]]
    model = model_of(create(0, 3, 1), fill(5, 0, 0, 1, 1, surface=9), copy(of_surface(9), 0, 0, 3, 1))
    assert colours(model) == [["000005", "?", "?"]]


def test_a_created_surface_takes_the_place_of_an_inferred_one() -> None:
    model = model_of(fill(1, 0, 0, 2, 1), create(0, 1, 1))
    assert colours(model) == [["000000"]]


def test_the_same_primary_again_keeps_its_content_another_size_does_not() -> None:
    model = model_of(create(0, 2, 1), fill(3, 0, 0, 2, 1), create(0, 2, 1))
    assert colours(model) == [["000003", "000003"]]
    model.handle(0, create(0, 1, 1), 0)
    assert colours(model) == [["000000"]]


def test_drawing_on_a_destroyed_surface_is_a_defect() -> None:
    model = model_of(create(0, 1, 1), m.SurfaceDestroy(surface_id=0), fill(1, 0, 0, 1, 1))
    assert model.screen(0) is None
    assert kinds(model) == [DefectKind.SURFACE_UNKNOWN]


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        (create(0, 1 << 20, 1), DefectKind.IMAGE_OVER_LIMIT),
        (create(0, 16_000, 16_000), DefectKind.IMAGE_OVER_LIMIT),
        (create(0, 0, 5), DefectKind.IMAGE_OVER_LIMIT),
        (create(0, 5, 5, 77), DefectKind.VALUE_UNKNOWN),
    ],
)
def test_absurd_surfaces_are_refused(message: object, kind: DefectKind) -> None:
    model = model_of(message)
    assert kinds(model) == [kind]
    assert model.screen(0) is None


def test_an_absurd_box_infers_nothing_and_surfaces_have_a_limit() -> None:
    assert model_of(fill(1, 0, 0, (1 << 31) - 1, (1 << 31) - 1)).screen(0) is None
    model = model_of(*(create(n, 1, 1, flags=0) for n in range(4)), limits=Limits(surfaces=3))
    assert len(model.channel(0).surfaces) == 3


def test_mode_and_reset() -> None:
    model = model_of(m.Mode(x_res=2, y_res=1, bits=32), fill(7, 0, 0, 2, 1), m.Mark(), m.Reset())
    assert colours(model) == [["000000", "000000"]]
    assert not model.channel(0).marked


def test_monitors_are_parts_of_surfaces() -> None:
    heads = tuple(
        m.Head(monitor_id=n, surface_id=0, width=2, height=1, x=2 * n, y=0, flags=0) for n in range(3)
    )
    model = model_of(create(0, 4, 1), fill(5, 2, 0, 3, 1), m.MonitorsConfig(max_allowed=2, heads=heads))
    assert [monitor.box for monitor in model.monitors(0)] == [Box(0, 0, 2, 1), Box(2, 0, 4, 1)]
    second = model.screen(0, 1)
    assert second is not None
    assert second.pixels.shape == (1, 2, 4)
    assert second.origin == (2, 0)
    assert second.pixels[0, 0, 2] == 5
    assert model.screen(0, 9) is None


def test_without_monitors_there_is_one() -> None:
    model = model_of(create(0, 4, 3))
    assert [monitor.box for monitor in model.monitors(0)] == [Box(0, 0, 4, 3)]
    whole = model.screen(0, 0)
    assert whole is not None
    assert whole.pixels.shape == (3, 4, 4)


def test_a_scanout_is_a_screen_of_which_nothing_is_known() -> None:
    scanout = m.GlScanoutUnix(width=3, height=2, stride=12, drm_fourcc_format=1, flags=1)
    assert colours(model_of(create(0, 1, 1), scanout)) == [["?"] * 3] * 2
    assert colours(model_of(scanout, create(0, 1, 1))) == [["000000"]]


def test_the_cursor_belongs_to_the_screen_with_its_number() -> None:
    model = model_of(create(0, 1, 1))
    model.handle_cursor(0, c.Move(position=g.Point16(x=4, y=5)), 0)
    screen = model.screen(0)
    assert screen is not None
    assert screen.cursor is not None
    assert (screen.cursor.x, screen.cursor.y) == (4, 5)


# --- clips, masks and caches -------------------------------------------------------------------------------


def test_a_hidden_image_still_feeds_the_caches() -> None:
    hidden = copy(bitmap([[6]], image_id=3, flags=ImageFlags.CACHE_ME), 0, 0, 1, 1, clip=clip())
    model = model_of(create(0, 1, 1), hidden, copy(from_cache(3, 1, 1), 0, 0, 1, 1))
    assert colours(model) == [["000006"]]
    ignored = copy(bitmap([[6]], image_id=4), 0, 0, 1, 1, clip=clip())
    assert not model_of(create(0, 1, 1), ignored).records


def test_a_hidden_glz_image_still_feeds_the_window() -> None:
    first = image(ImageType.GLZ_RGB, i.BinaryData(data=glz_literals(0, [1, 2], 2, 1)), 2, 1)
    second = image(ImageType.GLZ_RGB, i.BinaryData(data=glz_copy(1, 1, 2, 2, 1)), 2, 1)
    hidden = copy(first, 50, 0, 52, 1)
    assert colours(model_of(create(0, 2, 1), hidden, copy(second, 0, 0, 2, 1))) == [["000001", "000002"]]


def test_what_is_drawn_with_a_missing_image_is_unknown_where_it_shows() -> None:
    message = copy(from_cache(9, 3, 1), 0, 0, 3, 1, clip=clip(Box(1, 0, 2, 1)))
    model = model_of(create(0, 3, 1), message)
    assert colours(model) == [["000000", "?", "000000"]]
    assert kinds(model) == [DefectKind.CACHE_MISS]


def test_what_lies_under_a_missing_mask_is_unknown() -> None:
    mask = d.QMask(flags=0, pos=g.Point(x=0, y=0), bitmap=from_cache(9, 2, 1))
    model = model_of(create(0, 2, 1), copy(bitmap([[1, 2]]), 0, 0, 2, 1, mask=mask))
    assert colours(model) == [["?", "?"]]


def test_invalidation_lists_and_all() -> None:
    put = copy(bitmap([[6]], image_id=3, flags=ImageFlags.CACHE_ME), 0, 0, 1, 1)
    drop = m.InvalList(resources=(m.ResourceID(type=1, id=3), m.ResourceID(type=1, id=99)))
    assert len(model_of(create(0, 1, 1), put, put, drop).cache) == 1
    assert len(model_of(create(0, 1, 1), put, put, drop, drop).cache) == 0
    assert len(model_of(create(0, 1, 1), put, m.InvalAllPixmaps(wait_list=())).cache) == 0


def test_a_message_without_its_image_leaves_the_unknown() -> None:
    model = model_of(create(0, 1, 1), copy(None, 0, 0, 1, 1))
    assert colours(model) == [["?"]]


# --- channels that wait for each other ---------------------------------------------------------------------


def glz_draw(data: bytes) -> m.DrawCopy:
    return copy(image(ImageType.GLZ_RGB, i.BinaryData(data=data), 2, 1), 0, 0, 2, 1)


def test_a_channel_waits_for_an_image_of_another() -> None:
    model = DisplayModel(channel_ids=(0, 1))
    for channel in (0, 1):
        model.handle(channel, create(0, 2, 1), 0)
    model.handle(1, glz_draw(glz_copy(1, 1, 2, 2, 1)), 1)
    model.handle(1, fill(9, 0, 0, 1, 1), 2)
    assert colours(model, 1) == [["000000", "000000"]]
    model.handle(0, glz_draw(glz_literals(0, [1, 2], 2, 1)), 3)
    assert colours(model, 1) == [["000009", "000002"]]
    assert not len(model.defects)


def test_waiting_ends_with_the_recording() -> None:
    model = DisplayModel(channel_ids=(0, 1))
    model.handle(1, create(0, 2, 1), 0)
    model.handle(1, glz_draw(glz_copy(1, 1, 2, 2, 1)), 1)
    model.handle(1, fill(9, 0, 0, 1, 1), 2)
    model.finish()
    assert colours(model, 1) == [["000009", "?"]]
    assert kinds(model) == [DefectKind.GLZ_REFERENCE_MISSING]


def test_waiting_has_a_limit() -> None:
    model = DisplayModel(channel_ids=(0, 1))
    model.handle(1, create(0, 2, 1), 0)
    model.handle(1, copy(from_cache(5, 2, 1), 0, 0, 2, 1), 1)
    for time_ns in range(WAITING_MESSAGES):
        model.handle(1, fill(9, 0, 0, 1, 1), time_ns)
    assert colours(model, 1) == [["000009", "?"]]


def test_channels_that_wait_for_each_other_give_up() -> None:
    model = DisplayModel(channel_ids=(0, 1))
    for channel in (0, 1):
        model.handle(channel, create(0, 2, 1), 0)
    model.handle(1, glz_draw(glz_copy(101, 3, 2, 2, 1)), 1)
    model.handle(0, glz_draw(glz_copy(102, 1, 2, 2, 1)), 2)
    assert colours(model, 0) == colours(model, 1) == [["?", "?"]]
    assert kinds(model) == [DefectKind.GLZ_REFERENCE_MISSING]
    assert "image 98" in next(iter(model.defects)).detail


def test_waiting_has_its_time() -> None:
    model = DisplayModel(channel_ids=(0, 1))
    model.handle(1, create(0, 2, 1), 0)
    model.handle(1, copy(from_cache(5, 2, 1), 0, 0, 2, 1), 1)
    model.handle(1, fill(9, 0, 0, 1, 1), 1 + WAITING_NS)
    assert colours(model, 1) == [["000000", "000000"]]
    model.handle(1, fill(9, 0, 0, 1, 1), 2 + WAITING_NS)
    assert colours(model, 1) == [["000009", "?"]]


def test_a_lone_channel_does_not_wait() -> None:
    model = model_of(create(0, 2, 1), glz_draw(glz_copy(1, 1, 2, 2, 1)))
    assert colours(model) == [["?", "?"]]


# --- loss --------------------------------------------------------------------------------------------------


def test_after_a_loss_nothing_is_known_until_it_is_drawn() -> None:
    model = model_of(create(0, 2, 1), fill(1, 0, 0, 2, 1))
    model.lost(0)
    model.handle(0, fill(2, 0, 0, 1, 1), 5)
    assert colours(model) == [["000002", "?"]]


def test_a_damaged_message_costs_its_box() -> None:
    model = model_of(create(0, 3, 1))
    model.lost(0, box=Box(1, 0, 2, 9), surface_id=0)
    assert colours(model) == [["000000", "?", "000000"]]


# --- streams -----------------------------------------------------------------------------------------------


class Frames:
    """A decoder whose frames are one colour each: the first data byte. 0 does not decode, 1 gives no picture."""

    backend = "made up"
    waiting = False

    def __init__(self, width: int = 2, height: int = 2) -> None:
        self.shape = height, width
        self.losses = 0

    def decode(self, data: bytes) -> Decoded | None:
        if data[0] == 0:
            raise DecodeError("frames: zero", reason=DefectKind.CODEC_DATA)
        if data[0] == 1:
            return None
        pixels = np.full((*self.shape, 4), data[0], np.uint8)
        pixels[-1] += 1
        return Decoded(pixels, self.backend, PixelFormat.YUV, alpha=False)

    def lost(self) -> None:
        self.losses += 1


def stream(*box: int, top_down: bool = True, clip: g.Clip = NO_CLIP, stream_id: int = 3) -> m.StreamCreate:
    return m.StreamCreate(
        surface_id=0,
        id=stream_id,
        flags=int(top_down),
        codec_type=VideoCodec.MJPEG,
        stamp=0,
        stream_width=2,
        stream_height=2,
        src_width=2,
        src_height=2,
        dest=rect(*box),
        clip=clip,
    )


def frame(value: int, stream_id: int = 3) -> m.StreamData:
    return m.StreamData(base=m.StreamDataHeader(id=stream_id, multi_media_time=1), data=bytes([value]))


def played(*messages: object) -> DisplayModel:
    return model_of(create(0, 4, 2), *messages, video=lambda codec: Frames())


def grey(model: DisplayModel) -> list[list[str]]:
    return [[word[:2] for word in row] for row in colours(model)]


def test_a_frame_is_painted_where_the_stream_is() -> None:
    model = played(stream(1, 0, 3, 2), frame(0x50))
    assert grey(model) == [["00", "50", "50", "00"], ["00", "51", "51", "00"]]
    record = model.records[-1]
    assert (record.codec, record.stream_id, record.backend, record.box) == (
        "mjpeg",
        3,
        "made up",
        Box(1, 0, 3, 2),
    )
    assert (record.width, record.height, record.size_bytes, record.decoded) == (2, 2, 1, True)


def test_without_top_down_the_first_row_is_the_last() -> None:
    assert grey(played(stream(0, 0, 2, 2, top_down=False), frame(0x50))) == [
        ["51", "51", "00", "00"],
        ["50", "50", "00", "00"],
    ]


def test_a_frame_is_stretched_to_the_stream_and_a_sized_one_to_its_own_box() -> None:
    wide = played(stream(0, 0, 4, 2), frame(0x50))
    assert grey(wide) == [["50"] * 4, ["51"] * 4]
    sized = m.StreamDataSized(
        base=m.StreamDataHeader(id=3, multi_media_time=1),
        width=2,
        height=2,
        dest=rect(3, 1, 4, 2),
        data=b"\x60",
    )
    wide.handle(0, sized, 9)
    assert grey(wide) == [["50"] * 4, ["51", "51", "51", "60"]]
    wide.handle(0, frame(0x70), 9)
    assert grey(wide) == [["70"] * 4, ["71"] * 4]


def test_the_clip_holds_from_the_next_frame_on() -> None:
    hide = m.StreamClip(id=3, clip=clip())
    part = m.StreamClip(id=3, clip=clip(Box(0, 0, 1, 1), Box(3, 1, 4, 2)))
    model = played(stream(0, 0, 4, 2), frame(0x50), part, frame(0x60))
    assert grey(model) == [["60", "50", "50", "50"], ["51", "51", "51", "61"]]
    assert grey(played(stream(0, 0, 4, 2), hide, frame(0x50))) == [["00"] * 4] * 2
    assert grey(played(stream(0, 0, 4, 2, clip=clip()), frame(0x50))) == [["00"] * 4] * 2


@pytest.mark.parametrize("value", [0, 1])
def test_a_frame_that_gives_no_picture_leaves_the_unknown(value: int) -> None:
    model = played(stream(0, 0, 2, 2), frame(value))
    assert grey(model) == [["?", "?", "00", "00"]] * 2
    assert not model.records[-1].decoded
    assert kinds(model) == ([DefectKind.CODEC_DATA] if value == 0 else [])


def test_a_codec_nobody_decodes_leaves_the_unknown() -> None:
    def refuse(codec: int) -> Frames:
        raise DecodeError("none", reason=DefectKind.CODEC_UNSUPPORTED)

    model = model_of(create(0, 2, 2), stream(0, 0, 2, 2), frame(9), video=refuse)
    assert colours(model) == [["?", "?"]] * 2
    assert kinds(model) == [DefectKind.CODEC_UNSUPPORTED]


def test_ids_are_used_again_but_not_twice_at_a_time() -> None:
    again = stream(2, 0, 4, 2)
    model = played(stream(0, 0, 2, 2), again, frame(0x50))
    assert grey(model)[0] == ["50", "50", "00", "00"]
    assert kinds(model) == [DefectKind.STREAM_UNKNOWN]
    model = played(stream(0, 0, 2, 2), m.StreamDestroy(id=3), again, frame(0x50))
    assert grey(model)[0] == ["00", "00", "50", "50"]
    assert kinds(played(stream(0, 0, 2, 2), m.StreamDestroyAll(), frame(9))) == [DefectKind.STREAM_UNKNOWN]
    assert kinds(played(stream(0, 0, 2, 2, stream_id=64))) == [DefectKind.STREAMS_OVER_LIMIT]


def test_frames_of_a_stream_whose_beginning_was_not_seen() -> None:
    assert grey(played(frame(0x50))) == [["00"] * 4] * 2
    clipped = m.StreamClip(id=3, clip=clip(Box(0, 0, 1, 2)))
    assert grey(played(clipped, frame(0x50))) == [["?", "00", "00", "00"]] * 2


def test_a_loss_is_told_to_the_decoders() -> None:
    model = played(stream(0, 0, 2, 2))
    decoder = model.channel(0).streams[3].decoder
    assert isinstance(decoder, Frames)
    model.lost(0)
    assert decoder.losses == 1


def test_motion_jpeg_for_real() -> None:
    file = io.BytesIO()
    Pillow.new("RGB", (16, 16), (200, 100, 50)).save(file, "JPEG", quality=95)
    data = m.StreamData(base=m.StreamDataHeader(id=3, multi_media_time=1), data=file.getvalue())
    model = model_of(create(0, 16, 16), stream(0, 0, 16, 16), data)
    screen = model.screen(0)
    assert screen is not None
    assert np.abs(screen.pixels[..., :3].astype(int) - (200, 100, 50)).max() <= 3
    assert model.records[0].backend
