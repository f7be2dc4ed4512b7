"""Lives of streams: who was created, who ended how, whose frames these are."""

import numpy as np
import pytest
from support.observed import ORIGIN_NS, Said, channel
from support.video import clip, create, data, destroy, sized, u32

from spicereplay.analysis import schema
from spicereplay.analysis.clock import ClientMediaClock, ServerClock
from spicereplay.analysis.lives import Seed, observe_video, sniff
from spicereplay.analysis.streams import streams
from spicereplay.defects import DefectKind, DefectLog
from spicereplay.limits import Limits
from spicereplay.protocol.enums import ChannelType, ClientDisplay, ServerDisplay, Side
from spicereplay.session.log import Gap, GapCause

NOBODY = ClientMediaClock(np.empty(0, np.int64), np.empty(0, np.uint32))


def table(server, client=(), clock=None, seeds=None, limits=Limits(), defects=None, **more):  # noqa: B008
    log = channel(ChannelType.DISPLAY, server, client, **more)
    video = observe_video(log, limits, defects if defects is not None else DefectLog(), seeds)
    return streams(0, [video], clock, NOBODY, schema.empty("reports"), ORIGIN_NS)


def test_a_stream_from_creation_to_timeout():
    found = table([create(1, 49), data(1, 49), data(1.1, 49), data(1.5, 49), destroy(2.52, 49)])
    row = found.iloc[0]
    assert (row.stream_id, row.codec, row.width, row.height) == (49, "mjpeg", 160, 120)
    assert (row.created_s, row.destroyed_s, row.frames, row.bytes) == (1.0, 2.52, 3, 30)
    assert row.lifetime_s == pytest.approx(1.52)
    assert (row.end_cause, row.seen_create, row.top_down) == ("timeout", True, True)
    assert (row.dest_left, row.dest_top, row.dest_right, row.dest_bottom) == (20, 10, 180, 130)
    assert row.fps == pytest.approx(4.0)
    assert row.longest_gap_s == pytest.approx(0.4)


def test_ids_are_reused_and_frames_go_to_the_life_they_fall_into():
    found = table(
        [
            create(1, 7),
            data(1.1, 7),
            destroy(3, 7),
            create(4, 7, codec=3),
            data(4.1, 7),
            data(4.2, 7),
            destroy(9, 7),
        ]
    )
    assert found["frames"].tolist() == [1, 2]
    assert found["codec"].tolist() == ["mjpeg", "h264"]


def test_a_create_for_a_live_id_retires_the_old_stream():
    found = table([create(1, 7), data(1.1, 7), create(2, 7), data(2.1, 7)])
    assert found["end_cause"].tolist() == ["replaced", "capture_ended"]
    assert found["destroyed_s"].tolist()[0] == 2.0
    assert np.isnan(found["destroyed_s"].tolist()[1])


def test_destroy_all_ends_every_stream():
    found = table([create(1, 1), create(1, 2), Said(2, ServerDisplay.STREAM_DESTROY_ALL)])
    assert found["end_cause"].tolist() == ["destroy_all"] * 2


def test_a_mode_change_destroys_streams_before_the_surface():
    found = table(
        [
            create(1, 1),
            create(1, 2),
            data(1.9, 1),
            data(1.9, 2),
            destroy(2, 1),
            destroy(2, 2),
            u32(2.01, ServerDisplay.SURFACE_DESTROY, 0),
        ]
    )
    assert found["end_cause"].tolist() == ["surface_destroyed"] * 2


def test_an_off_screen_surface_going_away_has_nothing_to_do_with_it():
    found = table([create(1, 1), data(1.9, 1), destroy(2, 1), u32(2, ServerDisplay.SURFACE_DESTROY, 5)])
    assert found["end_cause"].tolist() == ["destroyed"]


def test_a_codec_preference_of_the_client_stops_all_streams():
    asked = [Said(1.95, ClientDisplay.PREFERRED_VIDEO_CODEC_TYPE, b"\1\3")]
    both = [create(1, 1), create(1, 2), data(1.9, 1), data(1.9, 2), destroy(2, 1), destroy(2, 2)]
    assert table(both, asked)["end_cause"].tolist() == ["client_preference"] * 2
    one_goes_on = both[:-1]
    assert table(one_goes_on, asked)["end_cause"].tolist() == ["destroyed", "capture_ended"]


def test_the_servers_clock_decides_about_timeouts_where_it_is_known():
    """The last frame waited 300 ms in the queue: on the wire it is 0.71 s old, for the server 1.01 s."""
    clock = ServerClock(offset_ns=ORIGIN_NS, pings=2, spread_ns=0)
    server = [create(1, 1), data(2.0, 1, mm_time=1700), destroy(2.71, 1)]
    assert table(server)["end_cause"].tolist() == ["destroyed"]
    assert table(server, clock=clock)["end_cause"].tolist() == ["timeout"]


def test_interruptions_are_empty_clips_that_frames_follow():
    found = table(
        [
            create(1, 1),
            data(1, 1),
            clip(1.1, 1, 0),
            clip(1.2, 1, 1),
            data(1.2, 1),
            data(1.3, 1),
            clip(1.4, 1, 0),
            data(1.5, 1),
            clip(1.6, 1, 2),
            clip(1.7, 1, 0),
            destroy(2.8, 1),
        ]
    )
    assert found["clips"].tolist() == [5]
    assert found["interruptions"].tolist() == [2]


def test_sized_frames_count_as_frames():
    found = table([create(1, 1), data(1, 1), sized(1.1, 1, 64, 48)])
    assert (found["frames"][0], found["sized_frames"][0], found["bytes"][0]) == (2, 1, 16)


class TestCapturesThatBeginInTheMiddle:
    def test_frames_without_a_create_are_a_stream_of_their_own(self):
        found = table([data(1, 9), data(1.1, 9), destroy(3, 9), create(4, 9)], link=None)
        assert found["seen_create"].tolist() == [False, True]
        assert np.isnan(found["created_s"][0])
        assert (found["frames"][0], found["destroyed_s"][0]) == (2, 3.0)

    def test_a_destroy_alone_shows_that_there_was_one(self):
        assert len(table([destroy(3, 9)], link=None)) == 1

    def test_unless_the_whole_channel_was_captured(self):
        """ACTIVATE_REPORT without CREATE: no common codec; the id is destroyed all the same."""
        assert not len(table([destroy(3, 9)]))

    def test_the_codec_is_read_from_the_frames(self):
        frame = b"\0\0\0\1\x09\xf0" + bytes(20)
        found = table([data(1, 9, payload=frame)], link=None)
        assert (found["codec"][0], found["codec_source"][0]) == ("h264", "inferred")

    def test_the_client_knows_more(self):
        found = table([data(1, 9)], link=None, seeds={9: Seed("vp8", 640, 480)})
        assert (found["codec"][0], found["width"][0], found["codec_source"][0]) == (
            "vp8",
            640,
            "client_reported",
        )

    def test_a_hole_can_hide_a_create(self):
        hole = Gap(Side.SERVER, ORIGIN_NS, 0, 100, GapCause.NOT_CAPTURED)
        assert len(table([destroy(3, 9)], gaps=[hole])) == 1


def test_a_partial_frame_counts_while_its_head_is_there():
    found = table([create(1, 1), data(1, 1), data(1.1, 1, partial=True)])
    assert found["frames"].tolist() == [2]


def test_a_size_beyond_the_message_is_cut_to_the_message():
    lying = np.array([1, 0, 0xFFFFFFFF], "<u4").tobytes() + b"abc"
    found = table([create(1, 1), Said(1, ServerDisplay.STREAM_DATA, lying)])
    assert found["bytes"].tolist() == [3]


def test_a_flood_of_ids_costs_defects_and_no_rows():
    defects = DefectLog()
    found = table(
        [create(1, i) for i in range(500)] + [data(2, 499)], limits=Limits(streams=10), defects=defects
    )
    assert len(found) == 10
    assert defects.counts[DefectKind.STREAMS_OVER_LIMIT, "display/0 from server"] == 491


@pytest.mark.parametrize(
    ("head", "codec"),
    [
        (b"\xff\xd8\xff\xe0junk", "mjpeg"),
        (b"\0\0\0\1\x09\x10", "h264"),
        (b"\0\0\1\x67\x42\x00", "h264"),
        (b"\0\0\0\1\x46\x01\x50", "h265"),
        (b"\x10\x02\x00\x9d\x01\x2a\x40\x01\xf0\x00", "vp8"),
        (b"", "unknown"),
        (b"anything else", "unknown"),
    ],
)
def test_codecs_are_known_by_their_first_bytes(head, codec):
    assert sniff(head)[0] == codec


def test_a_vp8_key_frame_says_its_size():
    assert sniff(b"\x10\x02\x00\x9d\x01\x2a\x40\x01\xf0\x00") == ("vp8", 320, 240)
