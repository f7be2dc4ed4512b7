"""Frames and what decoding them took, by a stopwatch that ticks a millisecond at a time."""

from itertools import count

import numpy as np
import simplejpeg
from support.observed import ORIGIN_NS, channel
from support.video import create, data, destroy, sized

from spicereplay.analysis import schema
from spicereplay.analysis.clock import ClientMediaClock
from spicereplay.analysis.frames import Decoding, frames
from spicereplay.analysis.lives import in_order, observe_video
from spicereplay.analysis.streams import streams, with_decode_times
from spicereplay.defects import DefectLog
from spicereplay.limits import DEFAULT_LIMITS
from spicereplay.protocol.enums import ChannelType

NOBODY = ClientMediaClock(np.empty(0, np.int64), np.empty(0, np.uint32))
JPEG = simplejpeg.encode_jpeg(np.zeros((16, 32, 3), np.uint8))


def watched(said, decode=True):
    """Return the tables `streams` and `frames`."""
    videos = [observe_video(channel(ChannelType.DISPLAY, said), DEFAULT_LIMITS, DefectLog())]
    rows = {at: row for row, at in enumerate(in_order(videos))}
    ticks = count(0, 1_000_000)
    decoding = Decoding(lambda: next(ticks), DEFAULT_LIMITS) if decode else None
    table = frames(0, videos, rows, NOBODY, ORIGIN_NS, decoding)
    made = streams(0, videos, None, NOBODY, schema.empty("reports"), ORIGIN_NS)
    return with_decode_times(made, table), table


def test_every_frame_is_decoded_and_timed():
    streams_, table = watched([create(1, 5), data(1, 5, payload=JPEG), data(1.1, 5, payload=JPEG)])
    assert table["outcome"].tolist() == ["decoded"] * 2
    assert table["decode_ms"].tolist() == [1.0, 1.0]
    assert table["backend"].astype(str).str.startswith("simplejpeg").all()
    assert table["bytes"].tolist() == [len(JPEG)] * 2
    assert (streams_["decode_ms_median"][0], streams_["decode_failures"][0]) == (1.0, 0)


def test_what_cannot_be_decoded_costs_itself():
    said = [
        create(1, 5),
        data(1, 5, payload=JPEG[:40]),
        data(1.1, 5, payload=JPEG),
        data(1.2, 5, payload=b""),
    ]
    streams_, table = watched(said)
    assert table["outcome"].tolist() == ["failed", "decoded", "failed"]
    assert streams_["decode_failures"].tolist() == [2]


def test_a_frame_with_a_hole_is_not_tried():
    _, table = watched([create(1, 5), data(1, 5, payload=JPEG, partial=True)])
    assert table["outcome"].tolist() == ["partial"]


def test_a_codec_that_nobody_knows_is_not_decoded():
    _, table = watched([create(1, 5, codec=77), data(1, 5)])
    assert table["codec"].tolist() == ["unknown_77"]
    assert table["outcome"].tolist() == ["not_decoded"]


def test_without_decoding_nothing_is_decoded():
    streams_, table = watched([create(1, 5), data(1, 5, payload=JPEG)], decode=False)
    assert table["outcome"].tolist() == ["not_decoded"]
    assert np.isnan(streams_["decode_ms_median"][0])


def test_frames_know_the_row_of_their_stream():
    said = [create(1, 5), create(2, 4), data(3, 4), data(3, 5), destroy(4, 5), create(5, 5), data(6, 5)]
    streams_, table = watched(said, decode=False)
    assert streams_["stream_id"].tolist() == [5, 4, 5]
    assert table["stream"].tolist() == [1, 0, 2]


def test_a_sized_frame_has_its_own_size():
    _, table = watched([create(1, 5), data(1, 5), sized(1.1, 5, 64, 48)], decode=False)
    assert list(zip(table["width"], table["height"], strict=True)) == [(160, 120), (64, 48)]


def test_progress_is_told():
    told = []
    videos = [
        observe_video(
            channel(ChannelType.DISPLAY, [create(1, 5), *(data(1 + i / 10, 5) for i in range(60))]),
            DEFAULT_LIMITS,
            DefectLog(),
        )
    ]
    decoding = Decoding(lambda: 0, DEFAULT_LIMITS, lambda *what: told.append(what))
    frames(0, videos, {(0, 0): 0}, NOBODY, ORIGIN_NS, decoding)
    assert told == [("decoding video", 25, 60), ("decoding video", 50, 60)]


def test_no_video_no_frames():
    _, table = watched([])
    assert list(table.columns) == schema.TABLES["frames"].names
