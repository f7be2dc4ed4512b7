"""The terminal view: what it knows, what it writes, what its keys do."""

import asyncio
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import watched_session as scene
from support.watched_session import S, at, created, destroyed, frame, told

from spicereplay.client.agent import AgentState
from spicereplay.live import events as live
from spicereplay.live import watch_text
from spicereplay.live.notifications import Notifications
from spicereplay.live.video_light import Light
from spicereplay.live.view import MessageFilter, MessageShown, RecordingShown, ViewState
from spicereplay.live.watch import Panel, WatchApp
from spicereplay.protocol.enums import Side


def light(state: ViewState, seconds: float) -> Light:
    return state.view(at(seconds)).video.light


def lived(state: ViewState, end: float, lifetime: float, stream_id: int = 1) -> None:
    created(state, end - lifetime, stream_id)
    destroyed(state, end, stream_id, lifetime)


# --- the light (ryll-behaviour.md 5) -----------------------------------------------------------------


def test_grey_until_a_stream_begins_green_while_it_lives_amber_for_five_seconds():
    state = scene.began()
    assert light(state, 1) is Light.GREY
    created(state, 10, 1)
    assert light(state, 10) is Light.GREEN
    destroyed(state, 20, 1, 10.0)
    assert light(state, 20) is Light.AMBER
    assert light(state, 24.999) is Light.AMBER
    assert light(state, 25) is Light.GREY, "exactly at the edge is out"
    assert state.view(at(24)).video.ended_s == 4.0


def test_red_at_the_third_end_within_thirty_seconds_if_they_lived_less_than_three_on_average():
    state = scene.began()
    lived(state, 10, 1.0)
    lived(state, 15, 1.0)
    assert light(state, 15) is Light.AMBER
    lived(state, 20, 1.0)
    shown = state.view(at(20)).video
    assert shown.light is Light.RED
    assert (shown.flap.count, shown.flap.window_s, shown.flap.mean_lifetime_s) == (3, 30.0, 1.0)
    assert light(state, 39.999) is Light.RED
    assert light(state, 40) is Light.GREY, "the first one is out of the window"


@pytest.mark.parametrize(("lifetimes", "flaps"), [((3.0, 3.0, 3.0), False), ((3.0, 3.0, 2.99), True)])
def test_the_mean_must_be_strictly_less_than_three_seconds(lifetimes, flaps):
    state = scene.began()
    for number, lifetime in enumerate(lifetimes):
        lived(state, 10 + 4 * number, lifetime)
    assert (light(state, 18) is Light.RED) == flaps


def test_red_wins_over_an_open_stream():
    state = scene.began()
    for end in (10, 12, 14):
        lived(state, end, 1.0)
    created(state, 15, 1)
    assert light(state, 15) is Light.RED


def test_parts_of_one_picture_are_told_apart_in_words():
    state = scene.began()
    for stream_id in (1, 2, 3):
        lived(state, 10 + stream_id / 100, 1.0, stream_id)
    flap = state.view(at(11)).video.flap
    assert flap.together
    assert "one moment" in flap.hint
    lived(state, 12, 1.0)
    assert not state.view(at(12)).video.flap.together


def test_each_display_channel_is_judged_by_itself():
    state = scene.began()
    for channel_id in (0, 1, 2):
        state.see(
            live.StreamDestroyed(time_ns=at(10), channel_id=channel_id, stream_id=1, lifetime_s=0.5, frames=1)
        )
    assert light(state, 10) is Light.AMBER


def test_a_negative_lifetime_counts_as_none():
    state = scene.began()
    for end, lifetime in ((10, 4.0), (11, 4.0), (12, -50.0)):
        destroyed(state, end, 1, lifetime)
    assert state.view(at(12)).video.flap.mean_lifetime_s == pytest.approx(8 / 3)


def test_a_young_stream_is_not_shown_at_half_its_speed():
    """Streams of a flapping video are seldom older than the two seconds that the rate looks back."""
    state = scene.began()
    created(state, 10, 7)
    for number in range(25):
        frame(state, 10.02 + number / 25, 7)
    (stream,) = state.view(at(11)).video.streams
    assert stream.rate == 25.0


def test_a_stream_shows_its_codec_size_frames_rate_age_and_decoder():
    state = scene.began()
    created(state, 10, 7, "vp8", width=320, height=200)
    for number in range(50):
        frame(state, 10.02 + number / 10, 7)
    frame(state, 15, 7, ok=False)
    frame(state, 15, 99)
    (stream,) = state.view(at(15)).video.streams
    assert (stream.codec, stream.width, stream.height, stream.stream_id) == ("vp8", 320, 200, 7)
    assert (stream.frames, stream.failed, stream.backend, stream.age_s) == (50, 1, "simplejpeg", 5.0)
    assert stream.rate == 10.0


def test_the_end_of_a_session_is_not_the_end_of_its_streams():
    state = scene.began()
    for number in range(3):
        created(state, 10, number)
    state.see(live.Disconnected(time_ns=at(11), reason="gone", retry_s=4.0))
    view = state.view(at(11))
    assert (view.video.light, view.connected) == (Light.GREY, False)
    assert view.status == "disconnected, next attempt in 4 s"
    assert not any(channel.joined for channel in view.channels)
    assert view.notices[-1].text == "gone; next attempt in 4 s"


# --- curves, agent, recording ------------------------------------------------------------------------


def test_curves_have_a_value_per_second_without_the_present_one():
    state = scene.began()
    for second, size in ((100, 994), (100, 994), (101, 94), (102, 9_999)):
        state.message(MessageShown(at(second + 0.5), Side.SERVER, "display/0", "DRAW_COPY", size))
        state.message(MessageShown(at(second + 0.5), Side.CLIENT, "display/0", "ACK", 1_000_000))
    frame(state, 100.1, 1, 4.0)
    frame(state, 100.2, 1, 9.0)
    frame(state, 101.2, 1, 2.0)
    view = state.view(at(102.9))
    assert (len(view.bandwidth.values), view.bandwidth.values[-2:]) == (60, (2000.0, 100.0))
    assert (view.bandwidth.last, view.bandwidth.most) == (100.0, 2000.0)
    assert view.decoding.values[-2:] == (9.0, 2.0)
    assert view.decode_median_ms == 4.0
    later = state.view(at(400))
    assert set(later.bandwidth.values) == {0.0}
    assert later.decode_median_ms is None


def test_nothing_is_kept_for_ever():
    state = scene.began()
    for second in range(1000):
        state.message(MessageShown(at(second), Side.SERVER, "display/0", "DRAW_COPY", 1))
        frame(state, second, 1)
    assert len(state._received) < 70
    assert len(state._decoded) < 70


def test_images_from_the_cache_are_not_decoded():
    state = scene.began()
    state.see(
        live.ImageDecoded(
            time_ns=at(5.5), channel_id=0, codec="from_cache", width=8, height=8, size_bytes=0,
            decode_ns=0, backend="cache", ok=True,
        )
    )  # fmt: skip
    assert state.view(at(6)).decode_median_ms is None


def test_the_agent_is_shown_with_its_lag_and_how_long_it_is_silent():
    state = scene.began()
    state.see(live.AgentReply(time_ns=at(3), lag_ns=12_500_000))
    state.facts(scene.facts(agent=scene.agent(AgentState.SILENT, outstanding=2, last_reply_ns=at(3))))
    agent = state.view(at(13)).agent
    assert (agent.state, agent.lag_ms, agent.waiting_s, agent.outstanding) == ("silent", 12.5, 10.0, 2)


def test_a_hole_in_the_recording_is_seen():
    state = scene.began()
    state.facts(scene.facts(recording=RecordingShown("x.pcapng", 7, "")))
    state.see(live.RecordingTrouble(time_ns=at(5), text="disk full", lost_bytes=7))
    view = state.view(at(6))
    assert (view.recording.trouble, view.recording.lost_bytes) == ("disk full", 7)
    assert view.notices[-1].severity == "error"


# --- notifications (ryll-formats.md 6) ---------------------------------------------------------------


def test_repeats_within_thirty_seconds_of_the_last_are_one():
    notices = Notifications()
    for seconds in (0, 20, 50):
        notices.tell(seconds * S, "warn", "agent", "silent")
    notices.tell(50 * S, "info", "agent", "silent")
    notices.tell(81 * S, "warn", "agent", "silent")
    assert [(one.number, one.count, one.time_ns // S) for one in notices.all()] == [
        (1, 3, 50),
        (2, 1, 50),
        (3, 1, 81),
    ]


def test_the_oldest_of_more_than_five_hundred_go():
    notices = Notifications()
    for number in range(600):
        notices.tell(number * S, "info", "x", f"notice {number}")
    assert [one.number for one in notices.all()] == list(range(101, 601))


def test_a_session_s_story_in_notices():
    notices = Notifications()
    for event in (
        live.Linked(time_ns=1, channel="main", channel_id=0, place="a:1", secure=False, server_caps=()),
        live.SessionBegan(time_ns=2, session_id=1),
        live.ChannelClosed(time_ns=3, channel="cursor", channel_id=0, reason="closed"),
        live.Flap(time_ns=4, channel_id=0, count=3, window_s=30.0, mean_lifetime_s=1.25, instants=1),
        live.Screenshot(time_ns=5, path="x.png"),
        live.Migrated(time_ns=6, place="b:2"),
        live.EventsSkipped(time_ns=7, count=1234),
        live.Disconnected(time_ns=8, reason="closed", retry_s=None),
    ):
        notices.see(event)
    assert [(one.severity, one.text) for one in notices.all()] == [
        ("info", "connected to a:1"),
        ("info", "ended: closed"),
        (
            "info",
            "video stream flapping: 3 streams ended within 30 s, mean lifetime 1.2 s, all at one moment",
        ),
        ("info", "written to x.png"),
        ("info", "moved to b:2"),
        ("info", "1,234 events came too fast to be looked at"),
        ("error", "closed"),
    ]


# --- which messages ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "passes"),
    [
        ("", True),
        ("stream", True),
        ("DISPLAY data", True),
        ("display/0 server", True),
        ("ping", False),
        ("-ping", True),
        ("-stream", False),
        ("display -client", True),
        ("display -server", False),
        ("-", True),
    ],
)
def test_a_filter_is_words_that_must_and_must_not_occur(typed: str, passes: bool):
    message = MessageShown(0, Side.SERVER, "display/0", "STREAM_DATA", 5)
    assert MessageFilter.parse(typed).passes(message) == passes


def test_the_filter_s_victims_are_counted():
    state, now = scene.streaming()
    everything = state.view(now)
    filtered = state.view(now, MessageFilter.parse("-stream"))
    assert filtered.messages_hidden == len(everything.messages) - len(filtered.messages) > 1000
    assert {message.name for message in filtered.messages} >= {"ACK", "PING", "PONG"}


# --- what is written ---------------------------------------------------------------------------------

PANELS = (
    watch_text.header,
    watch_text.video,
    watch_text.network,
    watch_text.decoding,
    watch_text.status,
    watch_text.messages,
    watch_text.notices,
)


@pytest.mark.parametrize("made", [scene.streaming, scene.flapping, lambda: (scene.began(), at(1))])
@pytest.mark.parametrize("draw", PANELS)
def test_every_panel_fits_whatever_its_size(draw, made):
    state, now = made()
    view = state.view(now)
    for width in (1, 2, 9, 30, 43, 76, 200):
        for height in (1, 2, 5, 30):
            lines = draw(view, width, height).split()
            assert len(lines) <= height
            assert max(line.cell_len for line in lines) <= width


def test_text_of_the_server_is_neither_markup_nor_control():
    state, now = scene.flapping()
    shown = watch_text.notices(state.view(now), 70, 20)
    assert "[red]not markup[/red]" in shown.plain
    assert "\x1b" not in shown.plain
    assert "\u202e" not in shown.plain
    assert "\\u001b[31m\\u202e" in shown.plain


@given(st.text(max_size=300), st.integers(10, 90))
@settings(max_examples=60)
def test_no_text_breaks_a_line(text: str, width: int):
    state = scene.began()
    told(state, 3, "warn", "server", text)
    lines = watch_text.notices(state.view(at(4)), width, 12).split()
    assert all(line.cell_len <= width for line in lines)


def test_flapping_is_said_in_words_with_counts_and_a_hint():
    state, now = scene.flapping()
    shown = watch_text.video(state.view(now), 76, 8).plain
    assert "FLAPPING" in shown
    assert "7 streams ended in 30 s, mean life 1.1 s" in shown
    assert "the guest draws too rarely" in shown
    assert "960×540" in shown


@pytest.mark.parametrize(
    ("values", "width", "rows", "expected"),
    [
        ([0, 1, 2, 4, 8], 5, 1, [" ▁▂▄█"]),
        ([0, 8, 16], 3, 2, ["  █", " ██"]),
        ([1e-9, 1], 2, 1, ["▁█"]),
        ([1, 8], 5, 1, [" ▁▁██"]),
        ([8, 1, 8], 2, 1, ["▁█"]),
        ([], 3, 1, ["   "]),
        ([1], 0, 1, []),
    ],
)
def test_bars(values, width, rows, expected):
    assert watch_text.bars(values, width, rows) == expected


# --- widgets and keys --------------------------------------------------------------------------------


def watched(work, source: scene.Shown | None = None, size: tuple[int, int] = (80, 24)):
    """Run `work(app, pilot)` with the view open."""
    source = source or scene.Shown(*scene.streaming())

    async def go() -> None:
        app = WatchApp(source)
        async with app.run_test(size=size) as pilot:
            await work(app, pilot)

    asyncio.run(go())
    return source


def plain(app: WatchApp, panel: str) -> str:
    return app.query_one(f"#{panel}", Panel).render().plain


@pytest.mark.parametrize("size", [(80, 24), (140, 45), (40, 10), (200, 60)])
def test_all_panels_are_there_in_terminals_of_any_size(size):
    async def work(app, pilot):
        await pilot.pause()
        assert "desk" in plain(app, "header")
        if size[1] >= 24:
            assert "STREAMING" in plain(app, "video")
            assert "STREAM_DATA" in plain(app, "messages")
            assert "unsecured" in plain(app, "notices")
            assert "next in 23 s" in plain(app, "status")

    watched(work, size=size)


def test_keys_ask_for_a_snapshot_and_a_screenshot():
    async def work(app, pilot):
        await pilot.press("s", "p", "s")
        await app.workers.wait_for_complete()

    assert sorted(watched(work).asked) == ["screenshot", "snapshot", "snapshot"]


def test_ctrl_c_interrupts_and_q_leaves():
    async def work(app, pilot):
        await pilot.press("ctrl+c")
        assert not app._exit
        await pilot.press("q")
        assert app._exit

    assert watched(work).asked == ["interrupt"]


def test_the_filter_works_while_it_is_typed_and_escape_takes_it_away():
    async def work(app, pilot):
        await pilot.press("slash", *"ack", "enter")
        assert "ACK" in plain(app, "messages")
        assert "STREAM_DATA" not in plain(app, "messages")
        assert "/ack" in plain(app, "messages")
        await pilot.press("s", "escape")
        assert "STREAM_DATA" in plain(app, "messages")
        assert "/ack" not in plain(app, "messages")

    assert watched(work).asked == ["snapshot"], "keys are keys again once the filter is entered"


def test_letters_typed_into_the_filter_are_no_keys():
    async def work(app, pilot):
        await pilot.press("slash", *"qsp")
        assert not app._exit
        await pilot.press("escape")

    assert watched(work).asked == []


def test_the_view_ends_with_the_session():
    async def work(app, pilot):
        await pilot.pause()
        source.over = True
        app.look()
        assert app._exit

    source = scene.Shown(*scene.streaming())
    watched(work, source)


def test_a_picture_of_it_holds_what_it_shows(tmp_path: Path):
    path = tmp_path / "view.svg"
    asyncio.run(scene.picture(scene.Shown(*scene.flapping()), (140, 45), path))
    text = path.read_text().replace("&#160;", " ")
    assert "FLAPPING" in text
    assert "[red]not" in text
