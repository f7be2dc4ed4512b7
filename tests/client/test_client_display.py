"""What a display says about the video streams that the server sends, and what it learns of the screen."""

import pytest
from support.conversation import MS, Conversation

from spicereplay.client.display import DisplayClient
from spicereplay.client.options import ClientOptions
from spicereplay.client.shared import Monitor, Shared
from spicereplay.protocol.enums import (
    ChannelType,
    ServerDisplay,
    StreamFlags,
    SurfaceFlags,
    SurfaceFormat,
    VideoCodec,
)
from spicereplay.protocol.messages import display
from spicereplay.protocol.messages.display import StreamDataHeader, StreamReport
from spicereplay.protocol.messages.geometry import Clip, Rect

DEST = Rect(10, 20, 110, 220)
NONE = 0xFFFFFFFF


def screen(
    options: ClientOptions | None = None, caps: tuple[str, ...] = ("STREAM_REPORT",)
) -> tuple[Conversation, DisplayClient]:
    talk = Conversation(ChannelType.DISPLAY, options, server_caps=caps)
    assert isinstance(talk.client, DisplayClient)
    talk.shared.set_mm_time(1000, 0)
    return talk, talk.client


def create(id: int, codec: int = VideoCodec.MJPEG) -> display.StreamCreate:
    return display.StreamCreate(
        0, id, StreamFlags.TOP_DOWN, codec, 0, 200, 100, 200, 100, DEST, Clip(0, None)
    )


def frame(id: int, time_ms: int) -> display.StreamData:
    return display.StreamData(StreamDataHeader(id, time_ms), b"jpeg")


def activate(id: int, unique: int = 77) -> display.StreamActivateReport:
    return display.StreamActivateReport(id, unique, 5, 1000)


def test_a_stream_is_reported_on_once_the_server_wants_that() -> None:
    talk, mine = screen()
    assert talk.says(create(49)) == []
    for i in range(9):
        assert talk.says(frame(49, 1300), i * MS) == []
    assert talk.says(activate(49)) == []
    sent = [talk.says(frame(49, 1300 + 40 * i), 40 * i * MS) for i in range(5)]
    assert sent == [[]] * 4 + [[("STREAM_REPORT", StreamReport(49, 77, 1300, 1460, 5, 0, 300, NONE))]]
    [stream] = mine.diagnostics().streams_active
    assert (stream.frames, stream.late, stream.reports, stream.report_unique_id) == (14, 0, 1, 77)
    assert stream.last_report == sent[-1][0][1]


def test_the_report_holds_how_far_sound_lags() -> None:
    talk, _ = screen()
    talk.shared.playback_delay_ms = 230
    talk.says(create(1))
    talk.says(activate(1))
    for i in range(2):
        assert talk.says(frame(1, 900), i * MS) == []
    [(_, report)] = talk.says(frame(1, 900), 2 * MS)
    assert report == StreamReport(1, 77, 900, 900, 3, 3, -102, 230)


def test_a_frame_without_a_stamp_counts_as_early() -> None:
    talk, _ = screen()
    talk.says(create(1))
    talk.says(display.StreamActivateReport(1, 5, 1, 1000))
    [(_, report)] = talk.says(frame(1, 0), 10 * MS)
    assert report == StreamReport(1, 5, 1110, 1110, 1, 0, 100, NONE)


@pytest.mark.parametrize("caps", [("STREAM_REPORT",), ()])
def test_what_cannot_be_played_is_said_where_the_server_hears_it(caps: tuple[str, ...]) -> None:
    talk, mine = screen(ClientOptions(playable_codecs=(VideoCodec.MJPEG,)), caps)
    refusal = [("STREAM_REPORT", StreamReport(3, 0, 0, 0, 0, NONE, 0, 0))] if caps else []
    assert talk.says(create(3, VideoCodec.H265)) == refusal
    assert talk.told() == [("WARN", "cannot_play")]
    # As spice-gtk: the stream is forgotten, and each message about it says so again.
    assert talk.says(activate(3)) == refusal
    assert talk.says(frame(3, 1300)) == refusal
    assert talk.says(display.StreamClip(3, Clip(0, None))) == refusal
    assert talk.says(display.StreamDestroy(3)) == []
    told = mine.diagnostics()
    assert (told.streams_refused, told.orphans, told.streams_created) == (1, 3, 0)
    assert told.cannot_play_reports == 4 * bool(caps)


def test_a_decoder_that_gives_up_ends_the_stream() -> None:
    talk, mine = screen()
    talk.says(create(3))
    mine.frame_decoded(3, ok=True, duration_ns=5 * MS, backend="simplejpeg", now_ns=9 * MS)
    mine.frame_decoded(3, ok=False, duration_ns=0, backend="simplejpeg", now_ns=10 * MS)
    mine.cannot_play(3, 11 * MS)
    mine.cannot_play(3, 12 * MS)
    mine.frame_decoded(3, ok=True, duration_ns=5 * MS, backend="simplejpeg", now_ns=13 * MS)
    assert talk.taken() == [("STREAM_REPORT", StreamReport(3, 0, 0, 0, 0, NONE, 0, 0))]
    [ended] = mine.diagnostics().streams_ended
    assert (ended.decoded, ended.failed, ended.last_decode_ns, ended.backend) == (1, 1, 5 * MS, "simplejpeg")
    assert ended.destroyed_ns == 11 * MS


def test_ids_are_used_again_and_the_last_sixteen_lives_are_remembered() -> None:
    talk, mine = screen()
    for i in range(20):
        talk.says(create(49), i * MS)
        talk.says(create(49), i * MS)
        talk.says(display.StreamDestroy(49), i * MS)
    talk.says(create(1), 30 * MS)
    talk.says(create(0), 30 * MS)
    assert [s.stream_id for s in mine.diagnostics().streams_active] == [0, 1]
    talk.says(display.StreamDestroyAll(), 31 * MS)
    told = mine.diagnostics()
    assert (told.streams_created, told.streams_destroyed, told.streams_refused) == (22, 22, 20)
    assert [s.created_ns for s in told.streams_ended] == [*(i * MS for i in range(6, 20)), 30 * MS, 30 * MS]


def test_an_id_that_no_stream_can_have_is_not_spoken_of() -> None:
    talk, mine = screen()
    for message in (create(64), frame(64, 1), activate(2**32 - 1), display.StreamDestroy(64)):
        assert talk.says(message) == []
    assert mine.diagnostics().orphans == 2
    assert mine.baseline().errors == 1


def test_draws_are_counted_and_not_taken_apart() -> None:
    talk, mine = screen()
    talk.says(b"not a draw", type=ServerDisplay.DRAW_COPY)
    told = mine.baseline()
    assert (told.received, told.errors, told.unknown) == ({304: 1}, 0, {})


def test_gl_draws_are_acknowledged() -> None:
    talk, _ = screen()
    assert talk.says(display.GlDraw(0, 0, 1, 1)) == [("GL_DRAW_DONE", display.GlDrawDone())]


PRIMARY = SurfaceFlags.PRIMARY


def surface(width: int, height: int, flags: SurfaceFlags = PRIMARY, id: int = 0) -> display.SurfaceCreate:
    return display.SurfaceCreate(id, width, height, SurfaceFormat.FMT_32_xRGB, flags)


def heads(*boxes: tuple[int, int, int, int]) -> display.MonitorsConfig:
    return display.MonitorsConfig(
        4, tuple(display.Head(i, 0, w, h, x, y, 0) for i, (w, h, x, y) in enumerate(boxes))
    )


def test_what_the_screen_shows() -> None:
    talk, mine = screen()
    shared = talk.shared
    steps = [
        (surface(1024, 768), (Monitor(1024, 768),)),
        (heads((800, 600, 0, 0), (640, 480, 800, 0)), (Monitor(800, 600), Monitor(640, 480, 800, 0))),
        (surface(64, 64, SurfaceFlags(0), 5), (Monitor(800, 600), Monitor(640, 480, 800, 0))),
        (display.SurfaceDestroy(5), (Monitor(800, 600), Monitor(640, 480, 800, 0))),
        (display.SurfaceDestroy(0), ()),
        (surface(1280, 720), (Monitor(1280, 720),)),
        (heads((0, 0, 0, 0)), (Monitor(1280, 720),)),
        (display.Mode(640, 480, 32), (Monitor(640, 480),)),
        (surface(2**31, 5), ()),
    ]
    for at, (message, shown) in enumerate(steps):
        talk.says(message, at)
        assert shared.screen() == mine.diagnostics().monitors == shown, at
    assert shared.monitors_changed_ns == len(steps) - 1


def test_the_view_of_a_streaming_agent_is_no_monitor_of_its_own() -> None:
    talk, _ = screen()
    talk.says(surface(1024, 768, PRIMARY | SurfaceFlags.STREAMING_MODE))
    assert talk.shared.screen() == ()


def test_the_monitors_of_several_channels_are_in_the_order_of_the_channels() -> None:
    shared = Shared()
    shared.set_monitors(1, (Monitor(2, 2),), 5)
    shared.set_monitors(0, (Monitor(1, 1),), 6)
    shared.set_monitors(0, (Monitor(1, 1),), 7)
    assert shared.screen() == (Monitor(1, 1), Monitor(2, 2))
    assert shared.monitors_changed_ns == 6
