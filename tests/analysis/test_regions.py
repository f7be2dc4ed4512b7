"""Places that were drawn over and over, and the condition that kept them from being video."""

import struct

import numpy as np
import pytest
from support.observed import ORIGIN_NS, Said, channel, session
from support.tables import full

from spicereplay.analysis import schema
from spicereplay.analysis.regions import longest_run, regions
from spicereplay.protocol.enums import ChannelType, ImageType, ServerDisplay

BOX = (0, 0, 120, 160)  # top, left, bottom, right


def copy(at, box=BOX, *, surface=0, rects=None, rop=8, kind=ImageType.LZ_RGB, group=0, source=None, mask=0):
    clip = b"\0" if rects is None else b"\1" + struct.pack("<I", rects) + bytes(16 * rects)
    head = struct.pack("<I4i", surface, *box) + clip
    src = source or (0, 0, box[2] - box[0], box[3] - box[1])
    image_at = len(head) + 4 + 16 + 2 + 1 + 13
    tail = struct.pack("<I4iHBBiiI", image_at, *src, rop, 0, 0, 0, 0, mask)
    image = struct.pack("<QBBII", 7 << 32 | group, kind, 0, src[3] - src[1], src[2] - src[0])
    return Said(at, ServerDisplay.DRAW_COPY, head + tail + image)


def found(said, streams=None):
    log = channel(ChannelType.DISPLAY, said)
    return regions([session(log)], schema.empty("streams") if streams is None else streams, ORIGIN_NS)


def run(**more):
    return [copy(1 + i * 0.04, **more) for i in range(30)]


def test_thirty_plain_pictures_in_a_row_are_eligible():
    row = found(run()).iloc[0]
    assert (row.pictures, row.longest_run, row.reason) == (30, 30, "eligible")
    assert (row.left, row.top, row.right, row.bottom, row.src_pixels) == (0, 0, 160, 120, 19200)
    assert (row.run_start_s, row.run_end_s) == (1.0, pytest.approx(2.16))


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ({"surface": 3}, "off_screen"),
        ({"rop": 64}, "not_plain_copy"),
        ({"mask": 99}, "not_plain_copy"),
        ({"kind": ImageType.SURFACE}, "from_surface"),
        ({"group": 1}, "device_picture"),
        ({"source": (0, 0, 90, 90)}, "too_small"),
        ({"rects": 2}, "eligible"),
    ],
)
def test_the_first_condition_that_fails_is_named(how, reason):
    assert found(run(**how))["reason"].tolist() == [reason]


def test_a_changing_source_size_is_no_predecessor():
    said = [copy(1 + i * 0.04, source=(0, 0, 120, 160 - i % 2)) for i in range(30)]
    assert found(said)["reason"].tolist() == ["source_size_varies"]


def test_twenty_pictures_are_one_too_few():
    assert found(run()[:20])["reason"].tolist() == ["too_slow_or_short"]


def test_pictures_of_the_servers_own_making_are_no_candidates():
    assert not len(found(run(group=2)))


def test_a_box_that_moves_is_many_places():
    assert not len(found([copy(1 + i * 0.04, (i, 0, 120 + i, 160)) for i in range(30)]))


def test_where_a_stream_was_made_there_is_nothing_to_explain():
    stream = full("streams", dest_left=[0], dest_top=[0], dest_right=[160], dest_bottom=[120])
    assert found(run(), stream)["reason"].tolist() == ["streamed"]


def test_messages_that_end_early_do_no_harm():
    cut = [
        Said(1 + i * 0.04, ServerDisplay.DRAW_COPY, copy(0).body[:n])
        for i, n in enumerate([0, 3, 20, 21, 30] * 4)
    ]
    lying = [
        Said(2 + i * 0.04, ServerDisplay.DRAW_COPY, bytes(20) + b"\1\xff\xff\xff\xff") for i in range(12)
    ]
    assert set(found(cut + lying)["reason"]) <= {"not_plain_copy"}


def test_the_longest_run_is_found_between_gaps():
    times = np.array([0, 100, 300, 301, 302, 900, 901], np.int64) * 1_000_000
    assert longest_run(times) == (0, 5)
    assert longest_run(times[2:]) == (0, 3)
