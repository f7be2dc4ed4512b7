"""spice-gtk and our client on one server that shows a video, one after the other and both at once, as tcpdump saw them.

What a client must send follows from what the server sent; both are held against the same rules. What is up to a client
is held against each other; where they differ on purpose, docs/topics/live-behaviour.md says why.
"""

from __future__ import annotations

import statistics
import struct
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
from interop.gtk_client import require, spice_gtk, tcpdump
from interop.live_client import Client
from interop.moving_picture import moving_picture
from interop.xspice import Xspice, xspice

from spicereplay.protocol import caps, registry
from spicereplay.protocol.enums import (
    ChannelType,
    ClientCommon,
    ClientDisplay,
    ClientMain,
    MouseMode,
    ServerCommon,
    ServerDisplay,
    ServerMain,
    Side,
)
from spicereplay.protocol.messages import main
from spicereplay.protocol.messages.display import StreamActivateReport, StreamCreate, StreamReport
from spicereplay.protocol.wire import parse
from spicereplay.replay import replay
from spicereplay.session.log import ChannelLog, SessionLog
from spicereplay.units import NS_PER_S

pytestmark = pytest.mark.interop

WATCHED_S: Final = 5.0
UNASKED: Final = ("--codecs", "none", "--compression", "none")
"""spice-gtk asks for neither unless its user does."""
SERVED: Final = {"streaming_video": "all", "video_codecs": "spice:mjpeg"}

SESSIONS: Final = ("alone", "at once")
NOTHING_PLAYS: Final = 0xFFFFFFFF
CLOCKS_APART_MS: Final = 60
"""Between what both think how early a frame came: how much later one of them set its clock, on a busy machine."""
ONLY_OURS: Final = {ChannelType.DISPLAY: {"PREF_COMPRESSION", "PREF_VIDEO_CODEC_TYPE"}}
ONLY_GTK: Final = {ChannelType.DISPLAY: {"GL_SCANOUT"}}


@dataclass(frozen=True)
class Pair:
    """Both clients' sessions on one server."""

    gtk: SessionLog
    ours: SessionLog

    def both(self) -> tuple[SessionLog, SessionLog]:
        return self.gtk, self.ours


def _watch_with_ours(server: Xspice, folder: Path) -> None:
    client = Client(folder, f"spice://127.0.0.1:{server.port}", *UNASKED)
    client.joined("display")
    time.sleep(WATCHED_S)
    code, said = client.end()
    assert code == 130, said


def _sessions(path: Path) -> dict[bool, SessionLog]:
    """By whether it is spice-gtk's: it alone announces SASL."""
    found: dict[bool, SessionLog] = {}
    for session in replay(path).sessions:
        [main] = session.of(ChannelType.MAIN)
        assert main.link is not None
        found["AUTH_SASL" in caps.names(None, main.link.client_common_caps or ())] = session
    return found


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Pair]:
    """The three recordings, and that the server complained about none of them."""
    require()
    folder = tmp_path_factory.mktemp("beside")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPICE_DEBUG_ALLOW_MC", "1")
        with xspice(folder, **SERVED) as server, moving_picture(server):
            before = len(server.said())
            with tcpdump(folder / "gtk.pcap", server.port), spice_gtk(port=server.port) as gtk:
                gtk.wait_for("marked")
                time.sleep(WATCHED_S)
                gtk.leave()
            with tcpdump(folder / "ours.pcap", server.port):
                _watch_with_ours(server, folder)
            with tcpdump(folder / "both.pcap", server.port), spice_gtk(port=server.port) as gtk:
                gtk.wait_for("marked")
                _watch_with_ours(server, folder)
                gtk.leave()
            log = server.said()[before:]
    complaints = [line for line in log.splitlines() if "WARNING" in line or "CRITICAL" in line]
    # The first: it has sound for one client only. The second: about its own machine.
    known = ("reds_fill_channels: sent", "your system seems to be too slow")
    assert [line for line in complaints if not any(words in line for words in known)] == []
    both = _sessions(folder / "both.pcap")
    return {
        "alone": Pair(_sessions(folder / "gtk.pcap")[True], _sessions(folder / "ours.pcap")[False]),
        "at once": Pair(both[True], both[False]),
    }


def _joined(session: SessionLog) -> dict[str, ChannelLog]:
    return {log.name: log for log in session.channels}


def _display(session: SessionLog) -> ChannelLog:
    [log] = session.of(ChannelType.DISPLAY)
    return log


def _bodies(log: ChannelLog, side: Side, kind: int) -> list[bytes]:
    index = log.index(side)
    return [index.body(row) for row in index.rows(kind)]


def _said(log: ChannelLog) -> Counter[str]:
    return Counter(registry.message_name(log.channel, Side.CLIENT, int(kind)) for kind in log.client.type)


# --- what must be sent ---------------------------------------------------------------------------------


def _acks_due(log: ChannelLog) -> int:
    """Count a message, then look at it. Source: spice-gtk src/spice-channel.c, spice_channel_recv_msg."""
    window = left = due = 0
    index = log.server
    for row in range(len(index)):
        if index.sub[row]:
            continue
        if left:
            left -= 1
            if not left:
                due, left = due + 1, window
        if index.type[row] == ServerCommon.SET_ACK:
            _, window = struct.unpack("<II", index.body(row))
            left = window
    return due


@pytest.mark.parametrize("how", SESSIONS)
def test_answers_are_those_that_the_server_asked_for(pairs: dict[str, Pair], how: str) -> None:
    for session in pairs[how].both():
        for log in session.channels:
            pings = [body[:12] for body in _bodies(log, Side.SERVER, ServerCommon.PING)]
            pongs = _bodies(log, Side.CLIENT, ClientCommon.PONG)
            assert pongs == pings[: len(pongs)]
            assert len(pings) - len(pongs) <= 1, log.name  # it may have left just then
            generations = [body[:4] for body in _bodies(log, Side.SERVER, ServerCommon.SET_ACK)]
            assert _bodies(log, Side.CLIENT, ClientCommon.ACK_SYNC) == generations
            acks = len(_bodies(log, Side.CLIENT, ClientCommon.ACK))
            assert acks <= _acks_due(log) <= acks + 1


@pytest.mark.parametrize("how", SESSIONS)
def test_they_ask_for_the_clients_pointer_where_it_is_not_theirs_yet(
    pairs: dict[str, Pair], how: str
) -> None:
    """The server keeps the mouse mode when a client leaves, so that only the first has to ask."""
    for session in pairs[how].both():
        [log] = session.of(ChannelType.MAIN)
        [body] = _bodies(log, Side.SERVER, ServerMain.INIT)
        init = parse(main.Init, body).message
        assert init is not None
        asks = _bodies(log, Side.CLIENT, ClientMain.MOUSE_MODE_REQUEST)
        needed = init.supported_mouse_modes & ~init.current_mouse_mode & MouseMode.CLIENT
        assert asks == [struct.pack("<H", MouseMode.CLIENT)] * bool(needed)


@pytest.mark.parametrize("how", SESSIONS)
def test_reports_about_video_come_as_often_and_say_the_same(pairs: dict[str, Pair], how: str) -> None:
    per_report, delays = [], []
    for session in pairs[how].both():
        reports = [
            parse(StreamReport, body).message
            for body in _bodies(_display(session), Side.CLIENT, ClientDisplay.STREAM_REPORT)
        ]
        windows = _windows(_display(session))
        assert len(reports) >= 10
        for report in reports:
            assert report is not None
            activate, frames = windows[report.unique_id]
            assert report.stream_id == activate.stream_id
            # The frames since the last report, none left out and none told twice.
            mine = [stamp for _, stamp in frames[: report.num_frames]]
            del frames[: report.num_frames]
            assert [report.start_frame_mm_time, report.end_frame_mm_time] == [mine[0], mine[-1]]
            # Due by the number of frames, by three late ones, or by time; never before.
            if report.num_frames != activate.max_window_size and report.num_drops < 3:
                assert mine[-1] - mine[0] > activate.timeout_ms - 200
            assert report.num_frames <= activate.max_window_size
            assert report.audio_delay == NOTHING_PLAYS
        # What nothing was said of came just before the client left.
        for activate, rest in windows.values():
            late = [time_ns for time_ns, _ in rest[activate.max_window_size :]]
            assert all(time_ns > session.end_time_ns - NS_PER_S for time_ns in late)
        per_report.append(statistics.median(report.num_frames for report in reports if report is not None))
        delays.append(statistics.median(report.last_frame_delay for report in reports if report is not None))
    assert per_report[0] == per_report[1]
    assert abs(delays[0] - delays[1]) <= CLOCKS_APART_MS


def _windows(log: ChannelLog) -> dict[int, tuple[StreamActivateReport, list[tuple[int, int]]]]:
    """Return what reports are asked for, by unique id, and the frames they are to be about: arrival in ns, stamp."""
    running: dict[int, list[tuple[int, int]]] = {}
    found: dict[int, tuple[StreamActivateReport, list[tuple[int, int]]]] = {}
    index = log.server
    for row in range(len(index)):
        body = index.body(row)
        match index.type[row]:
            case ServerDisplay.STREAM_CREATE:
                (stream,) = struct.unpack_from("<4xI", body)
                running[stream] = []
            case ServerDisplay.STREAM_ACTIVATE_REPORT:
                activate = parse(StreamActivateReport, body).message
                assert activate is not None
                running[activate.stream_id] = []
                found[activate.unique_id] = activate, running[activate.stream_id]
            case ServerDisplay.STREAM_DATA | ServerDisplay.STREAM_DATA_SIZED:
                stream, stamp = struct.unpack_from("<II", body)
                running[stream].append((int(index.time_ns[row]), stamp))
    return found


# --- what is up to the client --------------------------------------------------------------------------


@pytest.mark.parametrize("how", SESSIONS)
def test_they_join_the_same_channels_and_announce_the_same(pairs: dict[str, Pair], how: str) -> None:
    gtk, ours = (_joined(session) for session in pairs[how].both())
    assert set(ours) == set(gtk)
    for name, log in ours.items():
        theirs, mine = gtk[name].link, log.link
        assert theirs is not None
        assert mine is not None
        assert set(caps.names(None, mine.client_common_caps or ())) == {
            "AUTH_SELECTION",
            "AUTH_SPICE",
            "MINI_HEADER",
        }
        assert set(caps.names(None, theirs.client_common_caps or ())) == {
            "AUTH_SELECTION",
            "AUTH_SASL",
            "MINI_HEADER",
        }
        mine_only = set(caps.names(log.channel, mine.client_channel_caps or ()))
        theirs_only = set(caps.names(log.channel, theirs.client_channel_caps or ()))
        mine_only, theirs_only = mine_only - theirs_only, theirs_only - mine_only
        # spice-gtk announces the codecs that GStreamer plays there; it has a window for GL.
        assert {cap for cap in mine_only if not cap.startswith("CODEC_")} == ONLY_OURS.get(log.channel, set())
        assert theirs_only <= ONLY_GTK.get(log.channel, set())


@pytest.mark.parametrize("how", SESSIONS)
def test_they_begin_alike_and_say_nothing_else(pairs: dict[str, Pair], how: str) -> None:
    gtk, ours = (_joined(session) for session in pairs[how].both())
    for name, log in ours.items():
        theirs, mine = _said(gtk[name]), _said(log)
        if log.channel is ChannelType.INPUTS:
            theirs -= Counter({"KEY_MODIFIERS": 1})
        for answer in ("PONG", "ACK", "STREAM_REPORT", "MOUSE_MODE_REQUEST"):
            del theirs[answer], mine[answer]
        assert mine == theirs, name
    first, second = (
        _bodies(_display(session), Side.CLIENT, ClientDisplay.INIT) for session in pairs[how].both()
    )
    assert len(first) == 1
    assert first == second
    for session in pairs[how].both():
        assert _display(session).client.type[0] == ClientDisplay.INIT


@pytest.mark.parametrize("how", SESSIONS)
def test_the_server_shows_them_the_same_video(pairs: dict[str, Pair], how: str) -> None:
    shown = []
    for session in pairs[how].both():
        log = _display(session)
        made = [
            parse(StreamCreate, body).message
            for body in _bodies(log, Side.SERVER, ServerDisplay.STREAM_CREATE)
        ]
        shown.append([(c.codec_type, c.src_width, c.src_height, c.dest) for c in made if c is not None])
        frames = log.server.rows(ServerDisplay.STREAM_DATA, ServerDisplay.STREAM_DATA_SIZED)
        assert len(frames) >= 50
    assert shown[0] == shown[1]
    assert len(shown[0]) == 1
