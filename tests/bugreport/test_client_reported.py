"""The client's own figures: as rows, and to hold against a capture."""

import io
from typing import Any

import pytest
from support import ryllzip

from spicereplay.bugreport.client_reported import rows, summary
from spicereplay.bugreport.report import read_report
from spicereplay.defects import DefectLog


def report_of(files: dict[str, Any]):
    return read_report(io.BytesIO(ryllzip.pack(files)), defects=DefectLog())


def summary_of(kind: str, revision: str = "G1", **state: Any):
    files = ryllzip.report_files(kind, revision)
    files["channel-state.json"] |= state
    return summary(report_of(files))


# --- rows --------------------------------------------------------------------------------------------


def test_values_are_rows_with_their_paths():
    table = {
        (member, path): value
        for member, path, value in rows(report_of(ryllzip.report_files("display", "G2")))
    }
    assert table["session.json", "fps"] == "24.5"
    assert table["session.json", "bandwidth_history[1]"] == "null"
    assert table["session.json", "cursor_visible"] == "true"
    assert table["metadata.json", "region.left"] == "10"
    assert table["channel-state.json", "streams_recently_destroyed[0].codec_type"] == "1"
    assert table["channel-state.json", "messages_recv_by_opcode.4"] == "3"
    assert table["channel-state.json", "recent_decodes[0].image_id"] == str(2**64 - 1)
    assert table["channel-state.json", "streams_active"] == "[]"
    assert table["notifications.json", "[1].source.Spice.channel"] == "Main"
    assert table["runtime-metrics.json", "threads[1].cpu_percent"] == "40.0"


def test_rows_of_an_auto_snapshot_begin_with_their_channel():
    paths = {path for member, path, _ in rows(report_of(ryllzip.report_files("auto_snapshot")))}
    assert {"display.bytes_in", "main.session_id", "playback.current_session.codec.kind"} <= paths


@pytest.mark.parametrize("kind", ["input", "auto_snapshot", "display", "connection"])
def test_private_values_are_left_out_unless_asked_for(kind: str):
    files = ryllzip.report_files(kind)
    files["session.json"]["clipboard_of_tomorrow"] = "secret"
    report = report_of(files)
    shown = list(rows(report))
    text = repr(shown)
    assert "recent_events" not in text
    assert "password" not in text
    assert "secret" not in text
    assert "desk.example.org" not in text
    assert ("notifications.json", "[0].message", "Connected to <host>:5901") in shown
    everything = list(rows(report, private=True))
    assert set(shown) - set(everything) == {r for r in shown if "<host>" in r[2]}
    assert ("metadata.json", "description", "my password is in the picture") in everything
    assert ("session.json", "clipboard_of_tomorrow", "secret") in everything
    if kind == "input":
        assert ("channel-state.json", "recent_events[0].scancode", "30") in everything


def test_values_of_the_wrong_type_are_rows_as_they_are():
    files = ryllzip.report_files("display")
    files["session.json"] |= {"fps": "fast", "surfaces": 3, "connected": {"a": [1, None]}}
    table = {(m, p): v for m, p, v in rows(report_of(files))}
    assert table["session.json", "fps"] == "fast"
    assert table["session.json", "surfaces"] == "3"
    assert table["session.json", "connected.a[1]"] == "null"


# --- figures -----------------------------------------------------------------------------------------


def test_traffic_of_every_channel():
    figures = summary_of("auto_snapshot", "G2")
    assert set(figures.traffic) == set(ryllzip.CHANNELS)
    assert figures.traffic["display"].received == {4: 3}
    assert figures.traffic["display"].capture_drops == 0
    assert figures.uptime_s == 10.5


def test_a_revision_that_does_not_count_messages():
    traffic = summary_of("display", "G0").traffic["display"]
    assert traffic.received is traffic.capture_drops is None


def test_message_types_that_are_no_numbers_are_left_out():
    state = {"messages_recv_by_opcode": {"4": 1, "x": 2, "-1": 3, "²": 4, "9" * 30: 5}}
    assert summary_of("display", "G2", **state).traffic["display"].received == {4: 1}


def test_a_disconnect_reports_all_channels():
    figures = summary_of("disconnect", "G2")
    assert set(figures.traffic) == set(ryllzip.CHANNELS)
    assert figures.disconnect.kind == "UnexpectedEof"
    assert figures.keepalive_timeout is False
    assert figures.cpu_percent is None


def test_streams_and_their_lives():
    ended = [ryllzip.stream(created_s=2.0 * i, destroyed_s=2.0 * i + 1.5) for i in range(16)]
    figures = summary_of(
        "display",
        streams_recently_destroyed=ended,
        streams_active=[
            ryllzip.stream(created_s=50.0, destroyed_s=None, video_decoder_backend="H264 (openh264)")
        ],
        streams_created_total=21,
        streams_destroyed_total=20,
        stream_data_orphan_count=7,
    )
    streams = figures.streams
    assert (streams.created, streams.destroyed, streams.orphan_frames) == (21, 20, 7)
    assert streams.rejected is None
    assert {life.lifetime_s for life in streams.ended} == {1.5}
    assert streams.active[0].lifetime_s is None
    assert figures.backends == ("libjpeg-turbo", "H264 (openh264)")


def test_a_life_is_never_negative():
    odd = ryllzip.stream(created_s=5.0, destroyed_s=4.0)
    assert summary_of("display", streams_recently_destroyed=[odd]).streams.ended[0].lifetime_s == 0.0


def test_g0_knows_no_streams():
    figures = summary_of("display", "G0")
    assert figures.streams is figures.agent is None
    assert figures.decodes == ()


def test_decode_times_of_nothing_are_unknown():
    figures = summary_of(
        "display",
        mjpeg_decode_total_count=9,
        mjpeg_decode_recent_mean_us=90_000,
        mjpeg_decode_recent_max_us=120_000,
    )
    by_kind = {d.what: d for d in figures.decodes}
    assert (by_kind["mjpeg"].count, by_kind["mjpeg"].mean_us, by_kind["mjpeg"].max_us) == (9, 90_000, 120_000)
    assert by_kind["h264"].mean_us is None


@pytest.mark.parametrize(
    ("errors", "replies", "believed"), [(3, 3, None), (0, 3, 0), (0, 0, 0), (1, 3, 1), (None, 3, None)]
)
def test_an_error_counter_that_equals_the_replies_counts_successes(errors, replies, believed):
    agent = summary_of(
        "connection", agent_reply_error_count=errors, agent_reply_count=replies, agent_request_count=3
    ).agent
    assert agent.errors == believed
    assert agent.errors_written == errors


def test_the_image_cache_may_count_the_dictionary_too():
    (images,) = summary_of("display", "G0", image_cache_bytes=5).caches
    assert (images.bytes, images.includes_glz) == (5, True)
    images, dictionary = summary_of(
        "display", "G1", glz_dictionary_bytes=None, glz_dictionary_entries=None
    ).caches
    assert (images.includes_glz, dictionary.bytes) == (False, None)


def test_the_rest():
    figures = summary_of("connection", "G3", keepalive_timeout_fired=True)
    assert figures.keepalive_timeout is True
    assert (figures.cpu_percent, figures.busiest_thread_percent, figures.rss_kb) == (121.5, 81.5, 412300)
    assert (figures.agent.tokens, figures.agent.stalls) == (0, 0)
    assert (figures.video_drops, figures.worst_image_lag_us) == (0, 0)
