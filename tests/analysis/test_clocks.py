"""What every clock of a session shows at a capture time, and back."""

import contextlib
import io
import math
import re
import struct
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.observed import ORIGIN_NS, Said, channel, ns, session

import spicereplay as sr
from spicereplay.analysis import pings
from spicereplay.analysis.clock import ClientMediaClock
from spicereplay.analysis.clocks import Clocks, MediaClock, SetClock, SteadyClock, UtcClock, clocks_of
from spicereplay.bytestream import DirectionFacts
from spicereplay.protocol.enums import ChannelType, ServerCommon, ServerDisplay, ServerMain, Side
from spicereplay.replay import Replay
from spicereplay.session.log import SessionLog

PAGE = Path(__file__).parents[2] / "docs" / "topics" / "time.md"
WRAP = 2**32

seconds = st.floats(-1e6, 1e6, allow_nan=False)


def init(mm_time: int) -> bytes:
    return struct.pack("<8I", 1, 1, 3, 1, 0, 10, mm_time, 0)


def ping(timestamp_ns: int, number: int = 7) -> bytes:
    return struct.pack("<IQ", number, timestamp_ns)


def clocks(log: SessionLog, **about: object) -> Clocks:
    replay = Replay(Path("a.pcap"), "pcap", [log], ORIGIN_NS, log.end_time_ns)
    for name, value in about.items():
        setattr(replay, name, value)
    return clocks_of(replay, log, pings.pings([log], ORIGIN_NS))


def set_clock(*settings: tuple[float, int]) -> SetClock:
    at, value = zip(*settings, strict=True)
    media = ClientMediaClock(np.array([ns(t) for t in at], np.int64), np.array(value, np.uint32))
    return SetClock(ORIGIN_NS, media)


# --- there and back ---------------------------------------------------------------------------------------


@given(seconds, seconds)
def test_a_steady_clock_there_and_back(zero_s: float, time_s: float) -> None:
    clock = SteadyClock(zero_s, None, "")
    assert clock.time_s(clock.at(time_s)) == pytest.approx(time_s, abs=1e-8)


@given(st.floats(0, WRAP, exclude_max=True), seconds)
def test_multimedia_time_there_and_back_over_the_wrap(origin_ms: float, time_s: float) -> None:
    clock = MediaClock(origin_ms, None, "")
    shown = clock.at(time_s)
    assert 0 <= shown <= WRAP
    assert clock.time_s(shown, near_s=time_s) == pytest.approx(time_s, abs=1e-5)


@given(st.integers(0, WRAP - 1), st.floats(-2e6, 2e6), seconds)
def test_of_equal_readings_the_nearest_is_meant(mm_time: int, near_s: float, origin_s: float) -> None:
    clock = MediaClock(origin_s % WRAP, None, "")
    found = clock.time_s(mm_time, near_s=near_s)
    assert abs(found - near_s) <= WRAP / 2000 + 1e-3


def test_multimedia_time_begins_anew() -> None:
    clock = MediaClock(WRAP - 500.0, None, "")
    assert clock.at(0.25) == WRAP - 250
    assert clock.at(1.5) == 1000
    assert clock.time_s(1000) == 1.5
    assert clock.time_s(WRAP - 250) == 0.25
    # A session that is open for two months shows 1000 twice.
    assert clock.time_s(1000, near_s=WRAP / 1000) == pytest.approx(1.5 + WRAP / 1000)


@given(st.integers(-(10**18), 10**18), seconds)
def test_the_time_of_day_there_and_back(zero_ns: int, time_s: float) -> None:
    clock = UtcClock(zero_ns, None, "")
    assert clock.time_s(clock.at(time_s)) == pytest.approx(time_s, abs=1e-8)


def test_one_value_or_many() -> None:
    steady, media = SteadyClock(-10.0, None, ""), MediaClock(100.0, None, "")
    column = pd.Series([1.0, 2.0, np.nan])
    assert isinstance(steady.at(1.0), float)
    assert steady.at(column)[:2].tolist() == [11.0, 12.0]
    assert math.isnan(steady.at(column)[2])
    assert media.at(column)[:2].tolist() == [1100.0, 2100.0]
    assert media.time_s(np.array([1100, 2100], np.uint32), near_s=column[:2]).tolist() == [1.0, 2.0]


def test_times_of_day_take_what_people_write() -> None:
    clock = UtcClock(1_700_000_000_123_456_789, None, "")
    assert str(clock.at(0.0)) == "2023-11-14 22:13:20.123456789+00:00"
    assert clock.time_s("2023-11-14T22:13:21.123456789") == 1.0
    assert clock.time_s("2023-11-14 23:13:21.123456789+01:00") == 1.0
    assert clock.time_s(datetime(2023, 11, 14, 22, 13, 30, tzinfo=UTC)) == pytest.approx(9.876543211)
    many = clock.at(pd.Series([0.0, np.nan, 2.5]))
    assert pd.isna(many[1])
    back = clock.time_s(many)
    assert back[[0, 2]].tolist() == [0.0, 2.5]
    assert math.isnan(back[1])


# --- the client's clock jumps -------------------------------------------------------------------------------


def test_the_clients_clock_shows_what_the_server_set_last() -> None:
    clock = set_clock((1, 1000), (3, 2500), (5, 9000))
    shown = clock.at([0.5, 1.0, 2.0, 2.999, 3.0, 4.0, 5.5])
    assert math.isnan(shown[0])
    assert shown[1:] == pytest.approx([1000, 2000, 2999, 2500, 3500, 9500])
    assert clock.set_s.tolist() == [1, 3, 5]


def test_a_frame_is_due_when_the_clock_as_set_on_its_arrival_shows_its_time() -> None:
    clock = set_clock((1, 1000), (3, 2500), (5, 9000))
    assert clock.time_s(1500, near_s=1.2) == pytest.approx(1.5)  # early
    assert clock.time_s(1100, near_s=1.2) == pytest.approx(1.1)  # late: it was due before it came
    assert clock.time_s(2900, near_s=3.1) == pytest.approx(3.4)  # after a step backward
    assert clock.time_s(2900, near_s=2.0) == pytest.approx(2.9)  # the same reading, before it
    assert math.isnan(clock.time_s(5000, near_s=3.1))  # jumped over by the step to 9000
    assert math.isnan(clock.time_s(400, near_s=1.2))  # before it was set
    assert math.isnan(clock.time_s(1000, near_s=0.5))
    assert clock.time_s(9100, near_s=6) == pytest.approx(5.1)


def test_the_clients_clock_over_the_wrap() -> None:
    clock = set_clock((1, WRAP - 1000))
    assert clock.at(3.0) == 1000
    assert clock.time_s(1000, near_s=1.5) == pytest.approx(3.0)


@given(
    st.lists(
        st.tuples(st.integers(0, 100), st.integers(0, WRAP - 1)),
        min_size=1,
        max_size=6,
        unique_by=lambda s: s[0],
    ),
    st.floats(0, 120),
)
def test_what_the_clients_clock_shows_it_shows_then(settings: list[tuple[float, int]], time_s: float) -> None:
    clock = set_clock(*sorted(settings))
    shown = clock.at(time_s)
    if math.isnan(shown):
        assert time_s < clock.set_s[0]
    else:
        assert clock.time_s(shown, near_s=time_s) == pytest.approx(time_s, abs=1e-5)


# --- where they come from -----------------------------------------------------------------------------------


def test_the_fastest_ping_gives_the_servers_clock_and_tcp_its_error() -> None:
    boot_ns = 500_000_000_000
    main = channel(
        ChannelType.MAIN,
        server=[
            Said(t, ServerCommon.PING, ping(boot_ns + round(t * 1e9) - late))
            for t, late in ((1, 900), (2, 200))
        ],
    )
    found = clocks(session(main))
    assert found.server is not None
    assert found.media is not None
    assert found.server.at(0.0) == pytest.approx(500 - 200e-9, abs=1e-12)
    assert found.server.uncertainty_s is None
    assert found.media.at(0.0) == pytest.approx(500_000, abs=1e-3)
    assert found.media.uncertainty_s is None
    main.facts[Side.CLIENT] = DirectionFacts(round_trips_ns=np.array([5_000_000, 3_000_000], np.int64))
    told = clocks(session(main))
    assert told.server is not None
    assert told.media is not None
    assert told.server.uncertainty_s == 0.003
    assert told.media.uncertainty_s == 0.004


def frame(mm_time: int) -> bytes:
    return struct.pack("<III", 1, mm_time, 0)


def test_without_a_ping_the_promptest_stamp_gives_multimedia_time() -> None:
    stamps = [(1.0, WRAP - 600), (2.0, 450), (3.0, 1480), (3.5, 0)]  # the last has none
    display = channel(
        ChannelType.DISPLAY, server=[Said(at, ServerDisplay.STREAM_DATA, frame(mm)) for at, mm in stamps]
    )
    found = clocks(session(display))
    assert found.server is None
    assert found.media is not None
    assert found.media.at(3.0) == pytest.approx(1480)
    assert found.media.uncertainty_s is None
    assert "3 stamps" in found.media.source


def test_nothing_is_known_of_an_empty_session() -> None:
    found = clocks(session(channel(ChannelType.INPUTS)))
    assert (found.server, found.media, found.client_media, found.reported) == (None, None, None, None)
    assert found.utc is not None
    assert found.utc.zero_ns == ORIGIN_NS
    assert clocks(session(channel(ChannelType.INPUTS)), utc_known=False).utc is None
    assert repr(found) == "<Clocks: utc>"
    assert found._repr_html_().count("the capture does not tell") == 4


def test_the_server_sets_the_clients_clock() -> None:
    main = channel(
        ChannelType.MAIN,
        server=[
            Said(1, ServerMain.INIT, init(1000)),
            Said(3, ServerMain.MULTI_MEDIA_TIME, struct.pack("<I", 2500)),
        ],
    )
    found = clocks(session(main))
    assert found.client_media is not None
    assert found.client_media.at([2.0, 4.0]).tolist() == [2000, 3500]
    assert "client_media" in found._repr_html_()


# --- recordings ----------------------------------------------------------------------------------------------


def test_servers_of_one_machine_show_the_same_clock(fixtures: Path) -> None:
    # The machine that made these captures was started once: what its servers' clocks showed at a time of day agrees.
    started = []
    for name in ("flap-mjpeg", "video-vp8", "qemu-guest-audio-opus", "reconnect"):
        with sr.open(fixtures / "captures" / name / "capture.pcap", decode=False) as capture:
            for one in capture.sessions:
                server, utc = one.clocks.server, one.clocks.utc
                assert server is not None
                assert utc is not None
                assert server.uncertainty_s is not None
                assert server.uncertainty_s < 1e-4
                started.append(utc.zero_ns + round(server.time_s(0.0) * 1e9))
    assert max(started) - min(started) < 5_000  # ns; the captures count µs


def test_stamps_do_nearly_as_well_as_pings(fixtures: Path) -> None:
    # The evicted report holds the end of the same session, and no PING.
    with (
        sr.open(fixtures / "captures" / "flap-mjpeg" / "capture.pcap", decode=False) as whole,
        sr.open(fixtures / "bugreports" / "display-flap-evicted-g1.zip", decode=False) as end,
    ):
        pinged, stamped = whole.sessions[0].clocks.media, end.sessions[0].clocks.media
        assert pinged is not None
        assert stamped is not None
        assert end.sessions[0].clocks.server is None
        behind_ms = pinged.at(30.0) - stamped.at(30.0)
        assert 0 < behind_ms < 5


def test_margins_of_frames_follow_from_the_clocks(fixtures: Path) -> None:
    with sr.open(fixtures / "captures" / "flap-mjpeg" / "capture.pcap", decode=False) as capture:
        frames = capture.frames
        client = capture.sessions[0].clocks.client_media
        assert client is not None
        due = client.time_s(frames.mm_time, near_s=frames.time_s)
        np.testing.assert_allclose((due - frames.time_s) * 1000, frames.margin_ms, atol=1e-3)


def test_a_client_stamps_its_own_recording(fixtures: Path) -> None:
    for name in ("display-flap-g2.zip", "auto-snapshots-g2/auto-snapshots"):
        with sr.open(fixtures / "bugreports" / name, decode=False) as capture:
            found = capture.sessions[0].clocks
            assert found.reported is not None
            assert found.utc is not None
            assert (found.reported.zero_s, found.reported.uncertainty_s) == (0, 0)
            assert found.utc.uncertainty_s is not None
            assert found.utc.uncertainty_s < 1


def test_a_recording_that_began_before_the_connection(fixtures: Path) -> None:
    with sr.open(fixtures / "bugreports" / "capture-dir-dropped" / "capture", decode=False) as capture:
        found = capture.sessions[0].clocks
        assert found.reported is not None
        assert found.reported.uncertainty_s is not None
        assert 0 < found.reported.zero_s <= capture.sessions[0].start_s
        assert 1 <= found.reported.uncertainty_s < 2.5


def test_several_connections_each_have_their_own_zero(fixtures: Path) -> None:
    with sr.open(fixtures / "captures" / "reconnect" / "capture.pcap") as capture:
        shown = [one.clocks for one in capture.sessions]
        assert [each.reported for each in shown] == [None] * 4
        firsts = [each.client_media.set_s[0] for each in shown if each.client_media is not None]
        assert firsts == sorted(firsts)
        assert len(firsts) == 4


def test_the_pages_code_runs_and_every_clock_is_told(fixtures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(fixtures.parent)
    printed = io.StringIO()
    names: dict[str, object] = {}
    with contextlib.redirect_stdout(printed):
        for code in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL):
            exec(code, names)
    assert "server up for 6287.888 s" in printed.getvalue()
    assert "4.445 s of the client is 4.445 s of the capture" in printed.getvalue()
    for clock in ("server", "media", "client_media", "reported", "utc"):
        assert f"`{clock}`" in PAGE.read_text()
