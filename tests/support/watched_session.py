"""A live session that never was, for the terminal view: what it tells, second by second."""

from __future__ import annotations

from pathlib import Path

from spicereplay.client.agent import AgentDiagnostics, AgentState
from spicereplay.live import events as live
from spicereplay.live.view import (
    EVERYTHING,
    Facts,
    FlightShown,
    MessageFilter,
    MessageShown,
    RecordingShown,
    View,
    ViewState,
)
from spicereplay.protocol.enums import Side
from spicereplay.units import MIB

S, MS = 1_000_000_000, 1_000_000
BEGAN = 1_790_000_000 * S
PLACE = "desk.example.org:5901"


def at(seconds: float) -> int:
    return BEGAN + round(seconds * S)


def began() -> ViewState:
    """A session that has just begun."""
    state = ViewState(PLACE, BEGAN)
    for channel in ("main", "display", "inputs", "cursor", "playback"):
        state.see(
            live.Linked(
                time_ns=at(0.2), channel=channel, channel_id=0, place=PLACE, secure=True, server_caps=()
            )
        )
    state.see(live.SessionBegan(time_ns=at(0.1), session_id=7))
    state.see(
        live.ChannelAbsent(
            time_ns=at(0.3), channel="usbredir", channel_id=0, reason="no USB device is offered"
        )
    )
    return state


def created(state: ViewState, seconds: float, stream_id: int, codec: str = "mjpeg", **size: int) -> None:
    state.see(
        live.StreamCreated(
            time_ns=at(seconds), channel_id=0, stream_id=stream_id, codec=codec,
            width=size.get("width", 640), height=size.get("height", 360), left=0, top=0,
        )
    )  # fmt: skip


def destroyed(state: ViewState, seconds: float, stream_id: int, lifetime_s: float) -> None:
    state.see(
        live.StreamDestroyed(
            time_ns=at(seconds), channel_id=0, stream_id=stream_id, lifetime_s=lifetime_s, frames=12
        )
    )


def frame(
    state: ViewState, seconds: float, stream_id: int, decode_ms: float = 2.0, *, ok: bool = True
) -> None:
    state.see(
        live.FrameDecoded(
            time_ns=at(seconds), channel_id=0, stream_id=stream_id, codec="mjpeg", width=640, height=360,
            size_bytes=20_000, decode_ns=round(decode_ms * MS), backend="simplejpeg", ok=ok,
        )
    )  # fmt: skip


def told(state: ViewState, seconds: float, severity: str, source: str, text: str) -> None:
    state.see(live.Noticed(time_ns=at(seconds), severity=severity, source=source, code="", text=text))


def traffic(state: ViewState, start: int, stop: int) -> None:
    """Messages and frames of these seconds, as a session with video has them."""
    for second in range(start, stop):
        rate = 4 + (second * 7) % 11
        for i in range(12):
            seconds = second + i / 12
            size = rate * 9_000 + i * 311
            state.message(MessageShown(at(seconds), Side.SERVER, "display/0", "STREAM_DATA", size))
            frame(state, seconds + 0.004, 1, 1.8 + (second * 5 % 13) / 4 + (i == 3) * 2)
        state.message(MessageShown(at(second + 0.95), Side.CLIENT, "display/0", "ACK", 0))
        if second % 3 == 0:
            state.message(MessageShown(at(second + 0.96), Side.SERVER, "main/0", "PING", 12))
            state.message(MessageShown(at(second + 0.961), Side.CLIENT, "main/0", "PONG", 12))
        if second % 2 == 0:
            state.message(MessageShown(at(second + 0.97), Side.SERVER, "playback/0", "PLAYBACK_DATA", 412))
            state.message(MessageShown(at(second + 0.98), Side.SERVER, "cursor/0", "CURSOR_MOVE", 4))
        if second % 7 == 0:
            state.see(live.AgentReply(time_ns=at(second + 0.5), lag_ns=(8 + second % 9) * MS))


def agent(state: AgentState = AgentState.ANSWERING, **changes: object) -> AgentDiagnostics:
    values = {
        "connected": True, "state": state, "capabilities": None, "requests": 9, "replies": 9,
        "reply_errors": 0, "unmatched_replies": 0, "outstanding": 0, "last_reply_ns": at(120),
        "last_lag_ns": 11 * MS, "lags_ns": (), "tokens": 10, "queued": 0, "starved_since_ns": None,
        "stalls": 0, "warnings": 0,
    }  # fmt: skip
    return AgentDiagnostics(**(values | changes))


def facts(**changes: object) -> Facts:
    values = {
        "guest": "debian12-desktop",
        "agent": agent(),
        "recording": RecordingShown("captures/2026-09-20-desk.pcapng", 0, ""),
        "flight": FlightShown(
            round(18.4 * MIB), 50 * MIB, 2, "ryll-bugreport-2026-09-20T12-01-00Z.zip", 23.0
        ),
    }
    return Facts(**(values | changes))


def streaming() -> tuple[ViewState, int]:
    """Video that plays, and a session without trouble."""
    state = began()
    created(state, 2.0, 1, width=1280, height=720)
    created(state, 90.0, 2, "vp8", width=320, height=180)
    traffic(state, 3, 128)
    told(state, 1.0, "info", "agent", "the guest agent is there")
    told(state, 61.0, "warn", "server", "keyboard channel is unsecured")
    told(state, 75.0, "warn", "server", "keyboard channel is unsecured")
    told(state, 101.2, "info", "flight recorder", "report written to bug-reports/ryll-bugreport-x.zip")
    state.facts(facts())
    return state, at(128.0)


def flapping(*, hostile: bool = True) -> tuple[ViewState, int]:
    """Video that flaps, an agent that froze, a recording with a hole; `hostile`: and a server that plays tricks."""
    state = began()
    created(state, 2.0, 1, width=1280, height=720)
    traffic(state, 3, 100)
    destroyed(state, 100.0, 1, 98.0)
    for number in range(8):
        start = 131 + number * 2.4
        created(state, start, 49, width=960, height=540)
        frame(state, start + 0.2, 49, 4.0 + number)
        state.message(MessageShown(at(start), Side.SERVER, "display/0", "STREAM_CREATE", 62))
        state.message(MessageShown(at(start + 0.4), Side.SERVER, "display/0", "STREAM_DATA", 61_240))
        state.message(MessageShown(at(start + 0.6), Side.SERVER, "display/0", "DRAW_COPY", 182_004))
        if number < 7:
            state.message(MessageShown(at(start + 1.1), Side.SERVER, "display/0", "STREAM_DESTROY", 4))
            destroyed(state, start + 1.1, 49, 1.1)
    state.see(
        live.Flap(time_ns=at(137.0), channel_id=0, count=3, window_s=30.0, mean_lifetime_s=1.1, instants=3)
    )
    told(state, 141.0, "warn", "agent", "the guest agent has not answered for more than 5 s")
    if hostile:
        told(state, 142.5, "info", "server", "[red]not markup[/red] \x1b[31m\u202egnp.exe")
    state.see(
        live.RecordingTrouble(
            time_ns=at(144.0),
            text="the disk was too slow: 1,204,000 bytes are not in the recording",
            lost_bytes=1_204_000,
        )
    )
    frozen = agent(AgentState.SILENT, outstanding=2)
    recording = RecordingShown("captures/2026-09-20-desk.pcapng", 1_204_000, "")
    state.facts(facts(agent=frozen, recording=recording))
    return state, at(149.0)


class Shown:
    """A source for the view that shows one moment and notes what is asked of it."""

    def __init__(self, state: ViewState, now_ns: int, *, over: bool = False) -> None:
        self.state = state
        self.now_ns = now_ns
        self.over = over
        self.asked: list[str] = []

    def view(self, chosen: MessageFilter = EVERYTHING) -> View | None:
        return None if self.over else self.state.view(self.now_ns, chosen)

    def snapshot(self) -> None:
        self.asked.append("snapshot")

    async def screenshot(self) -> None:
        self.asked.append("screenshot")

    def interrupt(self) -> None:
        self.asked.append("interrupt")


async def picture(source: Shown, size: tuple[int, int], path: Path, *keys: str) -> None:
    """Write what the view shows in a terminal of that size, as SVG."""
    from spicereplay.live.watch import WatchApp

    app = WatchApp(source)
    async with app.run_test(size=size) as pilot:
        await pilot.press(*keys)
        await pilot.pause()
        path.write_text(app.export_screenshot(title="spicereplay connect"))
