"""The flight recorder: what it keeps, when it writes, and that nobody waits for it."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
from live.test_live_session import PATIENT, served, target

import spicereplay as sr
from spicereplay.bugreport import schema
from spicereplay.bugreport.report import BugReport, read_report
from spicereplay.bugreport.variants import ReportKind
from spicereplay.cli.connect import _flight
from spicereplay.client.agent import AgentDiagnostics, AgentState
from spicereplay.client.cursor import CursorDiagnostics
from spicereplay.client.diagnostics import Counting
from spicereplay.client.display import DisplayDiagnostics, StreamDiagnostics
from spicereplay.client.inputs import InputEvent, InputKind, InputsDiagnostics
from spicereplay.client.main import MainDiagnostics
from spicereplay.client.playback import PlaybackDiagnostics, Playing
from spicereplay.client.shared import Monitor
from spicereplay.defects import DefectLog
from spicereplay.display.model import Screen
from spicereplay.errors import ConnectionFailed, UsageError
from spicereplay.live import events as live
from spicereplay.live import flight_writer, process_metrics
from spicereplay.live.events import Event, Noticed, Subscription
from spicereplay.live.flight import FlightOptions, FlightRecorder
from spicereplay.live.ryll_state import image_name
from spicereplay.live.screen import Kept
from spicereplay.live.session import LiveSession, Snapshot
from spicereplay.live.target import Target
from spicereplay.protocol.enums import ChannelType, ClientInputs, ServerDisplay, Side
from spicereplay.protocol.events import MessageSeen
from spicereplay.protocol.messages.cursor import CursorHeader
from spicereplay.protocol.messages.display import StreamReport
from spicereplay.protocol.messages.geometry import Rect
from spicereplay.recording.recorder import Recorder
from spicereplay.replay import replay
from spicereplay.serve import script_of

S, MS = 1_000_000_000, 1_000_000
BEGAN = 1_790_000_000 * S
MAIN, DISPLAY, INPUTS = ChannelType.MAIN, ChannelType.DISPLAY, ChannelType.INPUTS


@dataclass(eq=False)
class Channel:
    """As much of a connection as the recorder looks at."""

    channel: ChannelType


@dataclass
class HandClock:
    """A clock that somebody sets."""

    time_ns: int = BEGAN

    def now_ns(self) -> int:
        return self.time_ns


@dataclass
class StandIn:
    """As much of a session as the recorder looks at."""

    channels: tuple = ()
    clock: HandClock = field(default_factory=HandClock)
    target: Target = field(default_factory=lambda: Target("desk.example.org", 5901))
    watch_messages: list = field(default_factory=list)
    told: list[Event] = field(default_factory=list)
    subscriptions: list[Subscription] = field(default_factory=list)
    written: threading.Event = field(default_factory=threading.Event)
    screen: Screen | None = None
    visits: int = 1

    def subscribe(self, subscription: Subscription) -> Subscription:
        self.subscriptions.append(subscription)
        return subscription

    def tell(self, *events: Event) -> None:
        self.told += events
        for subscription in self.subscriptions:
            subscription.put(events)

    def snapshot(self) -> Snapshot:
        return Snapshot(self.clock.now_ns(), self.target.place, 7, self.channels, (), None, None)

    def picture(self, channel_id: int = 0) -> Future[Screen | None]:
        answer: Future[Screen | None] = Future()
        answer.set_result(self.screen)
        return answer

    def kept(self) -> Future[Kept]:
        answer: Future[Kept] = Future()
        answer.set_result(Kept(3, 3000, (30, 10, 20), 2, 2000, 9000, 4, 4000, 1, 1000, 8000))
        return answer


class Flown:
    """A recorder at work on a stand-in session."""

    def __init__(self, folder: Path, session: StandIn | None = None, **options) -> None:
        self.session = session or StandIn()
        self.folder = folder
        self.recorder = FlightRecorder(self.session, FlightOptions(folder, **options))
        self.main = Channel(MAIN)

    async def __aenter__(self) -> Flown:
        self.recorder.start()
        self.message(self.main, 0.0, 103, bytes(32))
        return self

    async def __aexit__(self, *failure) -> None:
        await self.recorder.close()

    def at(self, seconds: float) -> None:
        self.session.clock.time_ns = BEGAN + round(seconds * S)

    def message(
        self, channel: Channel, seconds: float, type: int, body: bytes, side: Side = Side.SERVER
    ) -> None:
        seen = MessageSeen(BEGAN + round(seconds * S), side, type, len(body), 1, False, False, body)
        for watch in self.session.watch_messages:
            watch(channel, seen)

    async def tell(self, event: Event) -> None:
        """Say that something happened, and let it be looked at."""
        self.session.tell(event)
        await asyncio.sleep(0)

    async def warn(self, seconds: float, text: str = "the agent is silent", source: str = "agent") -> None:
        self.at(seconds)
        now = self.session.clock.now_ns()
        await self.tell(Noticed(time_ns=now, severity="warn", source=source, code="x", text=text))

    async def lose(self, seconds: float, **how) -> None:
        self.at(seconds)
        now = self.session.clock.now_ns()
        await self.tell(live.Disconnected(time_ns=now, reason="early eof", retry_s=1.0, **how))

    def reports(self) -> list[BugReport]:
        return [read(path) for path in sorted(self.folder.glob("*.zip"))]


def read(path: Path) -> BugReport:
    defects = DefectLog()
    report = read_report(path, defects=defects)
    assert not list(defects)
    return report


def fly(work, folder: Path, session: StandIn | None = None, **options) -> Flown:
    """Run `work(flown)` and wait until everything is written."""

    async def go() -> Flown:
        async with Flown(folder, session, **options) as flown:
            await work(flown)
        return flown

    return asyncio.run(go())


# --- when a report is written ------------------------------------------------------------------------


def test_one_on_demand_has_everything(tmp_path: Path):
    async def work(flown: Flown) -> None:
        flown.message(Channel(DISPLAY), 1.0, ServerDisplay.MARK, b"")
        flown.at(2.5)
        flown.recorder.report("my words")

    pixels = np.full((4, 6, 4), 200, np.uint8)
    screen = Screen(pixels, np.zeros((4, 6), np.bool_), 0, False, True)
    flown = fly(work, tmp_path, StandIn(screen=screen))
    (report,) = flown.reports()
    assert report.kind is ReportKind.DISPLAY
    assert report.missing == ()
    assert report.revision.label == "G3"
    assert report.label.endswith("ryll-bugreport-2026-09-21T14-13-22Z.zip")
    assert (report.metadata.channel, report.metadata.description) == ("all", "my words")
    assert (report.metadata.target_host, report.metadata.target_port) == ("desk.example.org", 5901)
    assert report.uptime_s == 2.5
    assert [(shot.width, shot.height) for shot in report.screenshots] == [(6, 4)]
    assert tuple(report.channels) == tuple(schema.SNAPSHOTS)
    assert report.runtime is not None
    assert report.runtime.process is not None
    with sr.open(tmp_path / "ryll-bugreport-2026-09-21T14-13-22Z.zip") as opened:
        assert opened.messages["name"].tolist() == ["INIT", "MARK"]
        assert opened.messages["time_s"].tolist() == [0.0, 1.0]
    assert [event.code for event in flown.session.told] == ["report_written"]


def test_automatic_ones_come_a_whole_interval_after_the_beginning_and_the_oldest_go(tmp_path: Path):
    (tmp_path / "ryll-bugreport-2020-01-01T00-00-00Z.zip").write_bytes(b"somebody's")
    (tmp_path / "ryll-auto-snapshot-2020-01-01T00-00-00Z-T+1.0s.zip").write_bytes(b"an old one")

    async def work(flown: Flown) -> None:
        for seconds in (0, 9.9, 10, 19, 21, 31, 55):
            flown.at(seconds)
            before = flown.recorder._writer.automatic_saved
            flown.recorder.tick(flown.session.clock.now_ns())
            if seconds in (10, 21, 31, 55):
                while flown.recorder._writer.automatic_saved == before:
                    await asyncio.sleep(0.01)
        assert flown.recorder.state().next_ns == BEGAN + 65 * S

    flown = fly(work, tmp_path, interval_s=10, keep=3)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [
        "ryll-auto-snapshot-2026-09-21T14-13-41Z-T+21.0s.zip",
        "ryll-auto-snapshot-2026-09-21T14-13-51Z-T+31.0s.zip",
        "ryll-auto-snapshot-2026-09-21T14-14-15Z-T+55.0s.zip",
        "ryll-bugreport-2020-01-01T00-00-00Z.zip",
    ]
    last = read(tmp_path / names[2])
    assert last.kind is ReportKind.AUTO_SNAPSHOT
    assert not last.screenshots
    assert (last.session.auto_snapshots_saved, last.session.auto_snapshots_pruned) == (3, 1)
    assert flown.session.told == [], "nobody is told of what goes well by itself"
    assert flown.recorder.state().saved == 4


def test_a_warning_makes_one_with_the_traffic_of_that_moment_at_most_every_minute(tmp_path: Path):
    async def work(flown: Flown) -> None:
        await flown.warn(5)
        flown.message(flown.main, 6, 4, bytes(12))
        await flown.warn(30, "another")
        await flown.warn(64.9, "a third")
        await flown.warn(65, "a fourth")

    flown = fly(work, tmp_path)
    first, second = flown.reports()
    assert first.kind is second.kind is ReportKind.NOTIFICATION
    assert (first.type.notification_id, first.type.snapshot_state) == (1, "AtFire")
    assert first.metadata.description == "[warn] the agent is silent"
    assert [notice.message for notice in first.notifications] == ["the agent is silent"]
    assert "a third" in [notice.message for notice in second.notifications]
    with sr.open(Path(first.label)) as opened:
        assert len(opened.messages) == 1
    with sr.open(Path(second.label)) as opened:
        assert len(opened.messages) == 2


def test_a_warning_does_not_keep_another_cause_from_its_report(tmp_path: Path):
    """Xspice says that the keyboard channel is insecure to everybody who joins."""

    async def work(flown: Flown) -> None:
        await flown.warn(1, "keyboard channel is insecure", "server")
        await flown.warn(2, "and something else", "server")
        await flown.warn(38, "the agent is silent", "agent")

    told = [report.metadata.description for report in fly(work, tmp_path).reports()]
    assert told == ["[warn] keyboard channel is insecure", "[warn] the agent is silent"]


def test_a_night_of_warnings_does_not_fill_the_disk(tmp_path: Path):
    """The newest are kept, and what somebody asked for, or another session wrote, stays."""
    (tmp_path / "ryll-notification-1-atfire-2020-01-01T00-00-00Z.zip").write_bytes(b"another session's")

    async def work(flown: Flown) -> None:
        flown.recorder.report()
        for minute in range(1, 8):
            await flown.warn(61 * minute, f"warning {minute}")
            while flown.recorder._writer.saved < 1 + minute:
                await asyncio.sleep(0.01)

    flown = fly(work, tmp_path, keep=3, interval_s=1e5)
    kept = sorted(path for path in tmp_path.iterdir() if "2020" not in path.name)
    assert [path.name.split("-")[1] for path in kept] == ["bugreport", *["notification"] * 3]
    told = {read(path).metadata.description for path in kept[1:]}
    assert told == {f"[warn] warning {minute}" for minute in (5, 6, 7)}
    assert len(list(tmp_path.iterdir())) == 5
    assert flown.recorder._writer.pruned == 0, "that counts automatic snapshots"


def test_what_is_only_said_makes_none(tmp_path: Path):
    async def work(flown: Flown) -> None:
        now = BEGAN + S
        await flown.tell(Noticed(time_ns=now, severity="info", source="agent", code="", text="there"))
        await flown.warn(2, "no report was written", "flight recorder")

    assert fly(work, tmp_path).reports() == []


def test_a_lost_connection_makes_one_with_its_cause(tmp_path: Path):
    counting = Counting(MAIN, 0)
    counting.bytes_in = 12_345
    session = StandIn(channels=(("main/0", counting.baseline(), None),))

    async def work(flown: Flown) -> None:
        await flown.lose(42)
        await flown.lose(50)
        await flown.lose(102)

    flown = fly(work, tmp_path, session)
    first, second = flown.reports()
    assert first.kind is ReportKind.DISCONNECT
    assert first.disconnect is not None
    assert (first.disconnect.channel, first.disconnect.error_message) == ("main", "early eof")
    assert first.disconnect.session_uptime_secs == 42.0
    assert first.disconnect.per_channel is not None
    assert tuple(first.disconnect.per_channel) == tuple(schema.SNAPSHOTS)
    assert first.disconnect.per_channel["main"].bytes_in == 12_345
    assert first.disconnect.per_channel["main"].client_keepalive_send_count is None
    assert first.disconnect.per_channel["inputs"].client_keepalive_send_count == 0
    assert (first.session.connected, first.session.auto_reconnect_count) == (False, 1)
    assert second.session.auto_reconnect_count == 3


def test_an_end_that_was_wanted_makes_none(tmp_path: Path):
    async def work(flown: Flown) -> None:
        await flown.lose(42, wanted=True)

    assert fly(work, tmp_path).reports() == []


def test_without_being_asked_to_it_writes_on_demand_alone(tmp_path: Path):
    async def work(flown: Flown) -> None:
        await flown.warn(5)
        await flown.lose(6)

    assert fly(work, tmp_path / "none", on_trouble=False).reports() == []
    assert not (tmp_path / "none").exists()


def test_a_new_connection_begins_anew(tmp_path: Path):
    async def work(flown: Flown) -> None:
        flown.message(Channel(DISPLAY), 1, ServerDisplay.MARK, b"")
        flown.session.visits += 1
        flown.message(Channel(MAIN), 100, 103, bytes(32))
        flown.at(103)
        flown.recorder.report()

    (report,) = fly(work, tmp_path).reports()
    assert report.uptime_s == 3.0
    with sr.open(Path(report.label)) as opened:
        assert opened.messages["name"].tolist() == ["INIT"]
        assert not any(channel.gaps for channel in opened.sessions[0].log.channels)


# --- what goes wrong ---------------------------------------------------------------------------------


def test_a_disk_that_refuses_is_told_every_five_minutes_and_each_time_somebody_asked(tmp_path: Path):
    (tmp_path / "file").write_text("in the way")

    async def work(flown: Flown) -> None:
        for seconds in (5, 70, 140, 306):
            await flown.warn(seconds, f"at {seconds}")
            await settled(flown)
        flown.recorder.report()

    flown = fly(work, tmp_path / "file" / "reports")
    failures = [event for event in flown.session.told if getattr(event, "code", "") == "report_failed"]
    assert [(event.time_ns - BEGAN) // S for event in failures] == [5, 306, 306]
    assert "Not a directory" in failures[0].text


async def settled(flown: Flown) -> None:
    """Wait until the thread has nothing to do."""
    while flown.recorder._writer._jobs.unfinished_tasks:
        await asyncio.sleep(0.01)


def test_a_disk_that_hangs_holds_nothing_up(tmp_path: Path, monkeypatch):
    """Reports that cannot wait are passed over; the recorder goes on keeping, the session goes on."""
    go_on = threading.Event()
    write = flight_writer.write_report

    def slow(path, contents):
        go_on.wait(20)
        write(path, contents)

    monkeypatch.setattr(flight_writer, "write_report", slow)

    async def work(flown: Flown) -> None:
        for number in range(8):
            flown.at(number)
            flown.recorder.report()
        assert [event.code for event in flown.session.told].count("report_failed") >= 4
        go_on.set()

    flown = fly(work, tmp_path)
    assert 1 <= len(flown.reports()) <= 4


def test_a_file_that_is_there_is_not_overwritten(tmp_path: Path):
    path = tmp_path / "ryll-bugreport-2026-09-21T14-13-21Z.zip"
    path.write_bytes(b"somebody's")

    async def work(flown: Flown) -> None:
        flown.at(1)
        flown.recorder.report()

    flown = fly(work, tmp_path)
    assert path.read_bytes() == b"somebody's"
    assert "exists already" in flown.session.told[0].text


@pytest.mark.parametrize(
    "options", [{"interval_s": 0}, {"interval_s": float("nan")}, {"keep": 0}, {"ring_bytes": 0}]
)
def test_what_cannot_be_is_refused(options):
    with pytest.raises(UsageError):
        FlightOptions(Path("x"), **options)


# --- what is kept ------------------------------------------------------------------------------------


def test_keys_never_get_into_a_report(tmp_path: Path):
    async def work(flown: Flown) -> None:
        inputs = Channel(INPUTS)
        for type, body in (
            (ClientInputs.KEY_DOWN, b"\x1e\0\0\0"),
            (ClientInputs.KEY_UP, b"\x9e\0\0\0"),
            (ClientInputs.KEY_SCANCODE, b"\x1e\x9e"),
            (ClientInputs.MOUSE_POSITION, b"\x1e\0\0\0\x1e\0\0\0\0\0\0"),
        ):
            flown.message(inputs, 1, type, body, Side.CLIENT)
        flown.recorder.report()

    (report,) = fly(work, tmp_path).reports()
    with report.open_pcap(DefectLog()) as pcap:
        data = pcap.read()
    assert b"\x9e" not in data[24:].replace(b"\x00\x9e", b""), "no scan code of a release"
    assert data.count(b"\x1e\0\0\0\x1e") == 1, "the pointer stays"
    with sr.open(Path(report.label), reveal_keys=True) as opened:
        assert opened.messages["name"].tolist() == [
            "INIT", "KEY_DOWN", "KEY_UP", "KEY_SCANCODE", "MOUSE_POSITION"
        ]  # fmt: skip


def test_memory_is_bounded(tmp_path: Path):
    async def work(flown: Flown) -> None:
        display = Channel(DISPLAY)
        for number in range(500):
            flown.message(display, number / 100, ServerDisplay.STREAM_DATA, bytes(60_000))
        state = flown.recorder.state()
        assert 500_000 < state.kept_bytes <= state.most_bytes == 1_000_000

    fly(work, tmp_path, ring_bytes=1_000_000)


# --- the state files ---------------------------------------------------------------------------------


def busy_channels() -> tuple:
    """What a session's snapshot holds when everything is going on."""
    counted = {}
    for channel in (MAIN, DISPLAY, INPUTS, ChannelType.CURSOR, ChannelType.PLAYBACK):
        counting = counted[channel] = Counting(channel, 0)
        counting.bytes_in, counting.bytes_out, counting.pings = 1000 + channel, 50, 2
        counting.received.update({103: 3, 999: 2})
        counting.unknown.update({999: 2})
        counting.last_unknown = 999
        counting.last_received_ns = BEGAN + 3 * S
    ack = counted[DISPLAY]
    ack.ack_generation, ack.ack_window, ack.messages = 1, 20, 41
    for seconds in (1, 2):
        ack.acknowledged(BEGAN + seconds * S)
    agent = AgentDiagnostics(
        True, AgentState.ANSWERING, None, 3, 2, 0, 0, 1, BEGAN + 2 * S, 12 * MS, (9 * MS, 12 * MS), 8, 1,
        BEGAN + 3 * S, 1, 0,
    )  # fmt: skip
    main = MainDiagnostics(77, "guest", None, 2, 123, 4, BEGAN + S, 5, agent, None)
    report = StreamReport(1, 2, 3, 4, 5, 6, -7, 8)
    stream = StreamDiagnostics(
        1, 0, 1, 640, 360, Rect(10, -5, 370, 645), BEGAN + S, None, 9, 1, 7, 1, BEGAN + 2 * S, BEGAN + 2 * S,
        2 * MS, "simplejpeg", 2, 5, 1000, 1, BEGAN + 2 * S, report,
    )  # fmt: skip
    display = DisplayDiagnostics((stream,), (), 1, 0, 0, 2, 1, 0, True, False, (Monitor(1024, 768),))
    key = InputEvent(BEGAN + S, InputKind.KEY_DOWN, 0, 0, 0, 30)
    inputs = InputsDiagnostics(1, 0, 4, 0, 0, BEGAN + S, (key,), 2, BEGAN + 2 * S)
    cursor = CursorDiagnostics(5, 6, True, (CursorHeader(9, 0, 24, 25, 1, 2),), 0)
    playing = Playing(BEGAN + S, 500, 2, 48_000, 3)
    playback = PlaybackDiagnostics(playing, 1, 0, 10, 4000, 0, 0, 2, 0, 3, 200, (65535, 65535), False, 150)
    own = (main, display, inputs, cursor, playback)
    return tuple(
        (f"{c.label}/0", counting.baseline(), diagnostics)
        for (c, counting), diagnostics in zip(counted.items(), own, strict=True)
    )


def test_the_state_of_every_channel_is_in_the_report(tmp_path: Path):
    async def work(flown: Flown) -> None:
        display = Channel(DISPLAY)
        for number in range(5):
            flown.message(display, 1 + number / 4, ServerDisplay.MARK, b"")
        for seconds in (1, 3):
            flown.message(flown.main, seconds, 4, bytes(12))
        common = {"time_ns": BEGAN + 2 * S, "channel_id": 0, "width": 64, "height": 48, "size_bytes": 99}
        for codec, backend, decode_ns, ok in (
            ("zlib_glz_rgb", "glz", 3 * MS, True),
            ("quic", "quic", 1 * MS, True),
            ("from_cache", "cache", 0, True),
            ("lz_rgb", "", 5 * MS, False),
        ):
            flown.session.tell(
                live.ImageDecoded(codec=codec, backend=backend, decode_ns=decode_ns, ok=ok, **common)
            )
        for decode_ns, ok in ((2 * MS, True), (4 * MS, False)):
            flown.session.tell(
                live.FrameDecoded(
                    stream_id=1, codec="mjpeg", backend="simplejpeg", decode_ns=decode_ns, ok=ok, **common
                )
            )
        await asyncio.sleep(0)
        flown.at(4)
        flown.recorder.report()

    (report,) = fly(work, tmp_path, StandIn(channels=busy_channels())).reports()
    main, display = report.channels["main"], report.channels["display"]
    assert (main.bytes_in, main.session_id, main.mm_time_now, main.server_mouse_mode) == (1001, 77, 123, 2)
    assert (main.messages_recv_by_opcode, main.unknown_opcode_count) == ({"103": 3}, 2)
    assert (main.last_unknown_opcode, main.last_recv_ts_secs) == (999, 3.0)
    assert (main.agent_request_count, main.agent_reply_count, main.agent_tokens) == (3, 2, 8)
    assert (main.last_agent_reply_lag_us, main.recent_agent_reply_lag_us) == (12_000, [9_000, 12_000])
    assert (main.agent_starved_since_ts_secs, main.queued_agent_message_count) == (3.0, 1)
    assert (display.ack_window, display.message_count, display.last_ack) == (20, 41, 41)
    assert display.recent_ack_intervals_secs == [1.0]
    assert [one.image_name for one in display.recent_decodes] == [
        "ZlibGlzRgb", "Quic", "FromCache", "LzRgb"
    ]  # fmt: skip
    assert (display.decode_total_count, display.decode_failed_count) == (4, 1)
    assert (display.decode_from_cache_count, display.decode_recent_mean_us) == (1, 2_000)
    assert (display.mjpeg_decode_total_count, display.mjpeg_decode_failed_count) == (2, 1)
    assert (display.mjpeg_decode_recent_min_us, display.mjpeg_decode_recent_max_us) == (2_000, 4_000)
    assert (display.image_cache_entries, display.image_cache_ids) == (3, [30, 10, 20])
    assert (display.image_cache_bytes, display.image_cache_cap_bytes) == (3000, 9000)
    assert (display.image_cache_evictions_total, display.image_cache_evicted_bytes_total) == (2, 2000)
    assert (display.glz_dictionary_entries, display.glz_dictionary_bytes) == (4, 4000)
    assert (display.glz_dictionary_evictions_total, display.glz_dictionary_evicted_bytes_total) == (1, 1000)
    assert (display.glz_dictionary_cap_bytes, main.keepalive_timeout_fired) == (8000, False)
    (stream,) = display.streams_active
    assert (stream.created_at_secs, stream.destroyed_at_secs, stream.dest_left) == (1.0, None, 2**32 - 5)
    assert (stream.last_report_last_frame_delay, stream.mjpeg_decoder_backend) == (-7, "simplejpeg")
    inputs = report.channels["inputs"]
    assert (inputs.motion_count, inputs.secs_since_last_key, inputs.client_keepalive_send_count) == (
        4,
        2.0,
        2,
    )
    assert report.plain_values()["channel-state.json"]["inputs"]["recent_events"] == []
    (shape,) = report.channels["cursor"].cache_contents
    assert (shape.cursor_id, shape.width, shape.hot_spot_y) == (9, 24, 2)
    playback = report.channels["playback"]
    assert playback.current_session.codec == {"kind": "opus"}
    assert (playback.data_packets_received, playback.last_latency_ms) == (10, 150)
    session = report.session
    assert (session.fps, session.last_latency_ms, session.frames_received) == (4.0, 2000.0, 4)
    assert session.bandwidth_history == [38.0, 42.0, 6.0, 18.0]
    assert (session.cursor_pos, session.surfaces[0].width, session.mouse_mode) == ([5, 6], 1024, 2)
    assert not report.unknown_fields


def test_what_the_server_says_keeps_its_channel_and_number(tmp_path: Path):
    async def work(flown: Flown) -> None:
        flown.at(2)
        said = {"severity": "warn", "source": "server", "code": "", "text": "careful", "visibility": "high"}
        for channel, what in (("main", 1), ("display", 7), ("display", 7)):
            now = flown.session.clock.now_ns()
            await flown.tell(Noticed(time_ns=now, channel=channel, channel_id=0, what=what, **said))
        flown.recorder.report()

    # The warning made one at once, too.
    report = max(fly(work, tmp_path).reports(), key=lambda one: len(one.notifications))
    first, second = (one for one in report.notifications if one.message == "careful")
    assert (first.source, first.visibility) == ({"Spice": {"channel": "Main", "what": 1}}, "High")
    assert second.source == {"Spice": {"channel": "Display", "what": 7}}
    assert (first.count, second.count) == (1, 2)


def test_a_server_that_fell_silent_is_in_the_cause(tmp_path: Path):
    async def work(flown: Flown) -> None:
        await flown.lose(100)

    (name, counted, main), *others = busy_channels()
    channels = ((name, counted, replace(main, silent=True)), *others)
    (report,) = fly(work, tmp_path, StandIn(channels=channels)).reports()
    assert report.disconnect.keepalive_timeout_fired
    assert report.channels["main"].keepalive_timeout_fired


@pytest.mark.parametrize(
    ("codec", "name"),
    [("glz_rgb", "GlzRgb"), ("lz_plt", "LzPalette"), ("jpeg_alpha", "JpegAlpha"), ("lz4", "Lz4"),
     ("surface", "Surface"), ("bitmap", "Pixmap")],
)  # fmt: skip
def test_image_types_have_ryll_s_names(codec: str, name: str):
    assert image_name(codec) == name


def test_how_busy_the_process_is():
    before = process_metrics.sample()
    sum(range(2_000_000))
    metrics = process_metrics.measured(before, process_metrics.sample())
    assert metrics.process.rss_kb > 1000
    assert metrics.process.uptime_secs > 0
    assert metrics.threads
    assert process_metrics.measured(None, before).available is False


# --- with a real session -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["flap-mjpeg", "desktop-jpeg-zlib-wan"])
def test_the_report_of_a_lost_session_gives_the_tables_of_its_recording(
    fixtures: Path, tmp_path: Path, name: str
):
    path, folder = tmp_path / "x.pcapng", tmp_path / "reports"

    async def go() -> None:
        with replay(fixtures / "captures" / name / "capture.pcap") as opened:
            async with served(script_of(opened)) as port:
                with Recorder.open(path, started_ns=0) as recorder:
                    session = LiveSession(target(port), recorder=recorder, retries_s=(), manner=PATIENT)
                    flight = FlightRecorder(session, FlightOptions(folder, ring_bytes=1 << 30))
                    flight.start()
                    with pytest.raises(ConnectionFailed, match="the server closed the connection"):
                        await session.run()
                    await flight.close()

    asyncio.run(go())
    made = list(folder.glob("ryll-disconnect-*.zip"))
    report = read(made[0])
    assert "the server closed the connection" in report.disconnect.error_message
    assert report.notifications[0].message.startswith("connected to 127.0.0.1")
    with sr.open(made[0]) as ours, sr.open(path) as recording:
        for table in ("messages", "streams", "frames", "draws", "reports"):
            # Times are cut to microseconds in the one and not in the other, and what is made of them differs.
            columns = [c for c, kind in recording.table(table).dtypes.items() if kind.kind != "f"]
            assert rows(ours.table(table)[columns]) == rows(recording.table(table)[columns]), table
        assert np.array_equal(ours.frame_at("end").pixels, recording.frame_at("end").pixels)
        assert read_png(made[0]).shape == ours.frame_at("end").pixels.shape


def rows(table) -> list[list]:
    table = table.astype(object)
    return sorted(table.where(table.notna(), None).to_numpy().tolist(), key=repr)


def read_png(path: Path) -> np.ndarray:
    import io

    from PIL import Image

    (shot,) = read(path).screenshots
    return np.asarray(Image.open(io.BytesIO(shot.png)))


# --- options of `connect` ----------------------------------------------------------------------------


def test_any_of_its_options_switches_it_on(capsys):
    assert _flight(None, None, None) is None
    assert _flight(None, None, Path("x")) == FlightOptions(Path("x"))
    assert _flight(None, 3, None) == FlightOptions(Path("bug-reports"), keep=3)
    assert _flight(60.0, None, None) == FlightOptions(Path("bug-reports"), 60.0)
    assert capsys.readouterr().err == ""
    assert _flight(2.0, None, None).interval_s == 2.0
    assert "10 s is a good least" in capsys.readouterr().err
    with pytest.raises(UsageError):
        _flight(0.0, None, None)
