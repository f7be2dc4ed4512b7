"""Declarations: what they compile to, what they say about bad bodies, and whose fault is whose."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import numpy as np
import pytest

from spicereplay.defects import DefectKind
from spicereplay.errors import UsageError
from spicereplay.limits import Limits
from spicereplay.protocol import enums
from spicereplay.protocol.messages import common, display, drawing, geometry, images, main
from spicereplay.protocol.wire import (
    U32,
    Counted,
    Layout,
    Problem,
    Structure,
    UnknownMessage,
    build,
    derived,
    parse,
    structure,
)

SQUARE = geometry.Rect(0, 0, 2, 2)


def copy_of(source: images.Image | None, mask: images.Image | None = None) -> display.DrawCopy:
    return display.DrawCopy(
        drawing.DisplayBase(0, SQUARE, geometry.Clip(enums.ClipType.NONE, None)),
        source,
        SQUARE,
        enums.RopDescriptor.OP_PUT,
        enums.ImageScaleMode.INTERPOLATE,
        drawing.QMask(enums.MaskFlags(0), geometry.Point(0, 0), mask),
    )


def picture(palette: images.Palette | None, pixels: bytes = b"\1\2\3\4") -> images.Image:
    return images.Image(
        images.ImageDescriptor(1, enums.ImageType.BITMAP, enums.ImageFlags(0), 2, 2),
        images.Bitmap(
            enums.BitmapFormat.FMT_8BIT, enums.BitmapFlags.TOP_DOWN, 2, 2, 2, None, palette, pixels
        ),
    )


PALETTE = images.Palette(5, (0xFF0000, 0x00FF00))
SOURCE_FIELD, MASK_FIELD, PALETTE_FIELD = 21, 53, 89
"""Offsets of the pointers in the canonical body of `copy_of(picture(...))`."""


def patched(body: bytes, at: int, value: int) -> bytes:
    return body[:at] + value.to_bytes(4, "little") + body[at + 4 :]


# --- what follows from a declaration --------------------------------------------------------------


def test_sizes_and_leading_fields() -> None:
    assert (display.SurfaceCreate.MIN_SIZE, display.SurfaceCreate.MAX_SIZE) == (20, 20)
    assert (common.Ack.MIN_SIZE, common.Ack.MAX_SIZE) == (0, 0)
    assert (display.DrawCopy.MIN_SIZE, display.DrawCopy.MAX_SIZE) == (57, None)
    assert (display.PreferredVideoCodecType.MIN_SIZE, display.PreferredVideoCodecType.MAX_SIZE) == (1, 256)
    assert display.StreamData.PREFIX == (("base_id", "I"), ("base_multi_media_time", "I"), ("data_size", "I"))
    assert [name for name, _ in display.DrawFill.PREFIX] == [
        "base_surface_id",
        "base_box_top",
        "base_box_left",
        "base_box_bottom",
        "base_box_right",
        "base_clip_type",
    ]
    assert main.MigrateSwitchHost.PREFIX[2:4] == (("host_size", "I"), ("host_data", "I"))


def test_leading_fields_as_an_array() -> None:
    dtype = display.StreamCreate.prefix_dtype()
    assert dtype.itemsize == display.StreamCreate.MIN_SIZE == 51
    body = build(display.StreamData(display.StreamDataHeader(7, 99), b"xyz"))
    row = np.frombuffer(body, display.StreamData.prefix_dtype(), count=1)[0]
    assert (row["base_id"], row["base_multi_media_time"], row["data_size"]) == (7, 99, 3)


def test_a_count_is_readable_and_not_an_argument() -> None:
    assert common.Notify(0, 0, 0, 0, b"abc").message_len == 3
    assert geometry.Clip(enums.ClipType.NONE, None).num_rects == 0
    assert "message_len" not in {field.name for field in dataclasses.fields(common.Notify)}


def test_messages_are_frozen_values() -> None:
    assert common.Pong(1, 2) == common.Pong(1, 2)
    with pytest.raises(dataclasses.FrozenInstanceError):
        common.Pong(1, 2).id = 3  # type: ignore[misc]
    assert not hasattr(common.Pong(1, 2), "__dict__")


def test_a_field_without_a_wire_type_is_refused_at_once() -> None:
    with pytest.raises(TypeError, match="size: <class 'int'> says nothing about its bytes"):

        @structure
        class Vague(Structure):
            size: int


def test_a_count_must_stand_before_what_it_counts() -> None:
    with pytest.raises(TypeError, match="no field before this one is called size"):

        @structure
        class Backwards(Structure):
            data: Annotated[bytes, Counted("size")]
            size: U32 = derived()


# --- pointers in any place ------------------------------------------------------------------------


def test_targets_are_built_behind_in_the_order_of_their_pointers() -> None:
    body = build(copy_of(picture(PALETTE), picture(None)))
    source = int.from_bytes(body[SOURCE_FIELD : SOURCE_FIELD + 4], "little")
    mask = int.from_bytes(body[MASK_FIELD : MASK_FIELD + 4], "little")
    palette = int.from_bytes(body[PALETTE_FIELD : PALETTE_FIELD + 4], "little")
    assert (source, mask, palette) == (57, 97, 137)


def test_a_layout_puts_targets_anywhere() -> None:
    message = copy_of(picture(PALETTE), picture(None))
    # palette first, a gap, then the mask, then the source: depth first the order is source, palette, mask
    layout = Layout((200, 57, 90), 250)
    body = build(message, layout=layout, residue=((80, b"gap"), (245, b"tail")))
    parsed = parse(display.DrawCopy, body)
    assert (parsed.message, parsed.problems, parsed.layout) == (message, (), layout)
    assert parsed.residue == ((80, b"gap"), (245, b"tail"))
    assert build(parsed.message, layout=parsed.layout, residue=parsed.residue) == body


def test_two_pointers_may_share_a_target() -> None:
    message = copy_of(picture(PALETTE), picture(PALETTE))
    layout = Layout((57, 97, 57, 97), 120)
    body = build(message, layout=layout)
    parsed = parse(display.DrawCopy, body)
    assert parsed.message == message
    assert parsed.layout == layout
    assert build(parsed.message, layout=parsed.layout, residue=parsed.residue) == body
    assert len(build(message)) > len(body)


def test_a_size_without_its_pointer_survives() -> None:
    body = build(main.MigrateSwitchHost(1, 2, b"h\0", None))
    body = patched(body, 12, 77)  # the size of a certificate subject that is not there
    parsed = parse(main.MigrateSwitchHost, body)
    assert parsed.problems == ()
    assert parsed.message is not None
    assert parsed.message.cert_subject_size == 0
    assert parsed.residue == ((12, b"\x4d"),)
    assert build(parsed.message, layout=parsed.layout, residue=parsed.residue) == body


def test_a_memoryview_is_as_good() -> None:
    body = build(copy_of(picture(PALETTE)))
    assert parse(display.DrawCopy, memoryview(b"x" + body)[1:]) == parse(display.DrawCopy, body)


# --- bad bodies -----------------------------------------------------------------------------------

MALFORMED = DefectKind.MESSAGE_MALFORMED


@pytest.mark.parametrize(
    ("cls", "body", "problem"),
    [
        (common.SetAck, "010000", Problem(MALFORMED, "generation: needs 4 bytes, 3 are left", 0)),
        (common.SetAck, "0100000014", Problem(MALFORMED, "window: needs 4 bytes, 1 are left", 4)),
        (
            display.StreamData,
            "00000000 00000000 05000000 61626364",
            Problem(MALFORMED, "data: needs 5 bytes, 4 are left", 12),
        ),
        (
            display.StreamClip,
            "00000000 01 ffffffff",
            Problem(
                DefectKind.RECTS_OVER_MESSAGE,
                "clip.rects: 4294967295 entries of at least 16 bytes, 0 bytes are left",
                9,
            ),
        ),
        (
            common.WaitForChannels,
            "02 0200 4d00000000000000",
            Problem(MALFORMED, "wait_list: 2 entries of at least 10 bytes, 10 bytes are left", 1),
        ),
        (
            drawing.Path,
            "01000000 00 02000000 00000000",
            Problem(MALFORMED, "segments[0].points: 2 entries of at least 8 bytes, 4 bytes are left", 9),
        ),
        (
            drawing.RasterGlyphA8,
            "00" * 16 + "ffff ffff",
            Problem(MALFORMED, "data: needs 4294836225 bytes, 0 are left", 20),
        ),
    ],
)
def test_a_body_that_breaks_off_costs_the_message(cls: type[Structure], body: str, problem: Problem) -> None:
    parsed = parse(cls, bytes.fromhex(body))
    assert (parsed.message, parsed.problems) == (None, (problem,))


def test_what_holds_and_is_too_many_goes_over_the_limit() -> None:
    body = build(display.StreamClip(0, geometry.Clip(enums.ClipType.RECTS, (SQUARE,) * 5)))
    assert parse(display.StreamClip, body, limits=Limits(rects=5)).problems == ()
    parsed = parse(display.StreamClip, body, limits=Limits(rects=4))
    assert parsed.message is None
    assert parsed.problems == (Problem(DefectKind.OVER_LIMIT, "clip.rects: 5 entries, rects allows 4", 9),)


def test_bytes_after_the_last_field_are_noted_and_kept() -> None:
    parsed = parse(common.Pong, build(common.Pong(1, 2)) + b"more")
    assert parsed.message == common.Pong(1, 2)
    assert parsed.problems == (
        Problem(DefectKind.MESSAGE_TRAILING_BYTES, "4 bytes after the last field", 12),
    )
    assert parsed.residue == ((12, b"more"),)


def test_bytes_that_nothing_points_to_are_legal() -> None:
    assert parse(display.DrawCopy, build(copy_of(picture(PALETTE))) + b"more").problems == ()


def test_an_overstated_list_of_resources_is_legal() -> None:
    body = build(display.InvalList((display.ResourceID(enums.ResourceType.PIXMAP, 1),)))
    assert parse(display.InvalList, body + bytes(13)).problems == ()


@pytest.mark.parametrize(
    ("field", "offset", "kind", "detail"),
    [
        (SOURCE_FIELD, 0, MALFORMED, "src_bitmap: points to nothing"),
        (
            SOURCE_FIELD,
            5000,
            DefectKind.POINTER_OUTSIDE_MESSAGE,
            "src_bitmap: 18 bytes at 5000 lie outside the body of 115",
        ),
        (
            MASK_FIELD,
            0xFFFFFFFF,
            DefectKind.POINTER_OUTSIDE_MESSAGE,
            "bitmap: 18 bytes at 4294967295 lie outside the body of 115",
        ),
        (
            PALETTE_FIELD,
            5000,
            DefectKind.PALETTE_OUTSIDE_MESSAGE,
            "palette: 10 bytes at 5000 lie outside the body of 115",
        ),
    ],
)
def test_a_pointer_astray_costs_its_target(field: int, offset: int, kind: DefectKind, detail: str) -> None:
    whole = build(copy_of(picture(PALETTE)))
    parsed = parse(display.DrawCopy, patched(whole, field, offset))
    assert parsed.problems == (Problem(kind, detail, field),)
    assert parsed.message is not None
    assert parsed.message.src_area == SQUARE
    assert build(parsed.message, layout=parsed.layout, residue=parsed.residue) == parsed.body


def test_a_palette_that_runs_over_the_message_costs_the_palette() -> None:
    body = build(copy_of(picture(PALETTE)))
    parsed = parse(display.DrawCopy, body[:-1])
    assert parsed.message == copy_of(picture(None))
    assert [problem.kind for problem in parsed.problems] == [DefectKind.PALETTE_OUTSIDE_MESSAGE]


def test_a_palette_over_the_limit_costs_the_palette() -> None:
    body = build(copy_of(picture(images.Palette(5, tuple(range(257))))))
    parsed = parse(display.DrawCopy, body)
    assert parsed.message == copy_of(picture(None))
    assert parsed.problems == (
        Problem(DefectKind.OVER_LIMIT, "palette.ents: 257 entries, palette_entries allows 256", 107),
    )


def test_pixels_that_run_over_the_message_cost_the_image() -> None:
    body = patched(build(copy_of(picture(PALETTE))), 85, 0x10000)  # the stride
    parsed = parse(display.DrawCopy, body)
    assert parsed.message == copy_of(None)
    assert parsed.problems == (
        Problem(MALFORMED, "src_bitmap.data.data: needs 131072 bytes, 22 are left", 93),
    )
    assert build(parsed.message, layout=parsed.layout, residue=parsed.residue) == body


def test_an_unknown_value_keeps_its_number() -> None:
    body = bytes.fromhex("00000000 07000000 07000000 21000000 05000000")
    parsed = parse(display.SurfaceCreate, body)
    assert parsed.message == display.SurfaceCreate(0, 7, 7, 0x21, 5)
    assert parsed.problems == (
        Problem(DefectKind.VALUE_UNKNOWN, "format: 0x21 is not among SurfaceFormat", 12),
        Problem(DefectKind.VALUE_UNKNOWN, "flags: 0x5 is not among SurfaceFlags", 16),
    )
    assert build(parsed.message) == body


def test_an_image_of_an_unknown_type_has_no_data() -> None:
    body = bytearray(build(copy_of(picture(None))))
    body[65] = 200
    parsed = parse(display.DrawCopy, bytes(body))
    assert parsed.message is not None
    assert parsed.message.src_bitmap == images.Image(
        images.ImageDescriptor(1, 200, enums.ImageFlags(0), 2, 2), None
    )
    assert [problem.kind for problem in parsed.problems] == [DefectKind.VALUE_UNKNOWN]
    assert build(parsed.message, layout=parsed.layout, residue=parsed.residue) == body


# --- mistakes of the caller -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "complaint"),
    [
        (common.Pong(-1, 0), "Pong.id: -1 does not fit"),
        (common.SetAck(1, None), "SetAck.window is missing"),
        (main.Uuid(b"short"), "5 bytes where 16 belong"),
        (geometry.Clip(enums.ClipType.RECTS, None), "Clip.rects is missing"),
        (geometry.Clip(enums.ClipType.NONE, (SQUARE,)), "Clip.rects is set, and type says that it is absent"),
        (copy_of(geometry.Point(1, 2)), "Point where Image belongs"),
        (
            images.Image(images.ImageDescriptor(1, enums.ImageType.QUIC, 0, 1, 1), None),
            "NoneType where descriptor.type asks for BinaryData",
        ),
        (copy_of(picture(None, b"123")), "3 entries where stride, y asks for 4"),
        (drawing.LineAttr(enums.LineFlags.STYLED, (2**31,)), "LineAttr: .* does not fit"),
        ("text", "str is not a SPICE message"),
    ],
)
def test_a_message_that_cannot_be_built(message: object, complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        build(message)


def test_the_layout_of_another_message() -> None:
    with pytest.raises(UsageError, match="fewer pointers"):
        build(copy_of(picture(None)), layout=Layout((), 200))
    with pytest.raises(UsageError, match="the layout has 100 bytes"):
        build(copy_of(picture(PALETTE)), layout=Layout((57, 97), 100))


def test_of_a_malformed_body_everything_is_left_over() -> None:
    assert parse(common.SetAck, b"abc").residue == ((0, b"abc"),)


def test_an_unknown_message_is_its_bytes() -> None:
    assert build(UnknownMessage(9, b"abc")) == b"abc"


def test_bytes_to_the_end_may_be_none() -> None:
    assert parse(common.Ping, build(common.Ping(1, 2))).message == common.Ping(1, 2, b"")
