"""The flight recorder: the last traffic of a live session in memory, written as a bug report when it matters.

It listens to a session and never holds it up: what comes is put into rings where the session runs, and reports are
written by a thread. A report is made every so often, when the user is warned, when the connection is lost, and on
demand; the reports are ryll's, so that everything that reads those reads these. Keys never get into the rings.

Source: ryll-formats.md 2, 10.2 and 12; ryll-behaviour.md 9 and 10.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from spicereplay.bugreport import schema
from spicereplay.bugreport.ring import ALL_RINGS_BYTES, HEADER_BYTES, TrafficRings
from spicereplay.bugreport.variants import ReportKind, ReportType, type_of_kind
from spicereplay.bugreport.writing import ALL, Contents
from spicereplay.client.main import MainDiagnostics
from spicereplay.errors import UsageError
from spicereplay.live.connection import Connection
from spicereplay.live.events import Disconnected, Event, Subscription
from spicereplay.live.flight_writer import Job, ReportWriter
from spicereplay.live.notifications import RECORDER, Notifications, Told
from spicereplay.live.ryll_state import RyllState, notification
from spicereplay.live.session import LiveSession, Snapshot
from spicereplay.protocol.enums import ChannelType, ClientInputs, Side
from spicereplay.protocol.events import MessageSeen
from spicereplay.units import NS_PER_S

AUTOMATIC_KEEP: Final = 20
"""Source: ryll-formats.md 12, `--auto-snapshot-cap`."""
ADVISED_INTERVAL_S: Final = 10.0
"""Reports should not follow each other faster than that. Source: ryll-formats.md 12."""
MOST_INTERVAL_S: Final = 7 * 24 * 3600.0
COOLDOWN_NS: Final = 60 * NS_PER_S
"""Least time between two reports about disconnects, and between two about one cause of warnings, failed ones included.

Source: ryll-formats.md 8. Each cause waits for itself: what a server tells everybody who joins must not be why there is
no report of an agent that falls silent half a minute later.
"""

_TYPED: Final = frozenset({ClientInputs.KEY_DOWN, ClientInputs.KEY_UP, ClientInputs.KEY_SCANCODE})


@dataclass(frozen=True, slots=True)
class FlightOptions:
    """What the flight recorder does."""

    folder: Path
    """Where the reports go; it is made when the first one is written."""
    interval_s: float | None = None
    """Between automatic reports; None: there are none."""
    keep: int = AUTOMATIC_KEEP
    """Automatic reports that are kept; older ones of the folder are deleted."""
    on_trouble: bool = True
    """Whether a warning and a lost connection make a report."""
    ring_bytes: int = ALL_RINGS_BYTES
    """What is kept in memory, all channels together."""

    def __post_init__(self) -> None:
        if self.interval_s is not None and not 0 < self.interval_s <= MOST_INTERVAL_S:
            raise UsageError(
                f"reports cannot be {self.interval_s:g} s apart; {ADVISED_INTERVAL_S:g} s is a good least"
            )
        if self.keep < 1:
            raise UsageError(f"{self.keep} reports cannot be kept; 1 is the least")
        if self.ring_bytes <= 0:
            raise UsageError(f"rings of {self.ring_bytes} bytes hold nothing")


@dataclass(frozen=True, slots=True)
class FlightState:
    """What there is to say of the recorder."""

    kept_bytes: int
    most_bytes: int
    saved: int
    """Reports written."""
    last: str
    """Name of the last one; empty: none."""
    next_ns: int | None
    """When the next automatic one is due; None: there is none."""


class FlightRecorder:
    """Listens to one `LiveSession`; all calls are made on its thread. `start` before it runs, `close` after."""

    def __init__(self, session: LiveSession, options: FlightOptions) -> None:
        self._session = session
        self._options = options
        self._notifications = Notifications()
        self._visits = 0
        self._rings = TrafficRings(session.clock.now_ns(), most_bytes=options.ring_bytes)
        self._state = RyllState(self._rings.started_ns)
        self._events = _Waking(self._look)
        self._due_ns: int | None = None
        self._reported_ns: dict[tuple[str, ...], int] = {}
        self._attempts = 0
        self._writer = ReportWriter(options.folder, options.keep, session.clock, session.tell)
        self._timer: asyncio.Task[None] | None = None

    # --- for whoever runs the session ------------------------------------------------------------------

    def start(self) -> None:
        """Begin to listen. Called where the session is going to run."""
        self._session.watch_messages.append(self.message)
        self._events.loop = asyncio.get_running_loop()
        self._session.subscribe(self._events)
        self._writer.start()
        if self._options.interval_s is not None:
            self._timer = self._events.loop.create_task(self._ticking())

    async def close(self) -> None:
        """Write what is to be written and end; what the disk does not take in time is given up."""
        self._look()
        if self._timer is not None:
            self._timer.cancel()
            await asyncio.gather(self._timer, return_exceptions=True)
        await asyncio.to_thread(self._writer.close)

    def report(self, description: str = "asked for") -> None:
        """Write a report now, with a screenshot: what ryll's user asks for, but about all channels."""
        kind = type_of_kind(ReportKind.DISPLAY)
        now = self._session.clock.now_ns()
        self._make(kind, now, description, automatic=False, picture=True)

    def state(self) -> FlightState:
        """Return what there is to say."""
        return FlightState(
            kept_bytes=self._rings.used_bytes,
            most_bytes=self._options.ring_bytes,
            saved=self._writer.saved,
            last=self._writer.last,
            next_ns=self._due_ns,
        )

    # --- what comes ------------------------------------------------------------------------------------

    def message(self, connection: Connection, message: MessageSeen) -> None:
        """Keep a message of either side; the first of a new session begins anew."""
        if message.sub or message.partial:
            return
        channel = connection.channel
        if self._session.visits != self._visits:
            self._visits = self._session.visits
            self._begin(message.time_ns)
        body = message.body
        if channel is ChannelType.INPUTS and message.side is Side.CLIENT and message.type in _TYPED:
            body = bytes(len(body))
        self._rings.add(channel, message.side, message.type, body, message.time_ns)
        size = HEADER_BYTES + len(body)
        self._state.message(channel, message.side, message.type, size, message.time_ns)

    def tick(self, now_ns: int) -> None:
        """Write the automatic report if it is due. The next one is due a whole interval later."""
        if self._options.interval_s is None or self._due_ns is None or now_ns < self._due_ns:
            return
        self._due_ns = now_ns + round(self._options.interval_s * NS_PER_S)
        uptime = self._state.seconds(now_ns)
        kind = type_of_kind(ReportKind.AUTO_SNAPSHOT)
        self._make(kind, now_ns, f"automatic, {uptime:.1f} s after the connection began", automatic=True)

    def _begin(self, now_ns: int) -> None:
        self._rings = TrafficRings(now_ns, most_bytes=self._options.ring_bytes)
        self._state = RyllState(now_ns)
        if self._options.interval_s is not None:
            self._due_ns = now_ns + round(self._options.interval_s * NS_PER_S)

    def _look(self) -> None:
        """See what has happened."""
        for event in self._events.take() or ():
            self._state.event(event)
            told = self._notifications.see(event)
            if isinstance(event, Disconnected):
                self._attempts += event.retry_s is not None
                self._due_ns = None
                if not event.wanted:
                    self._disconnected(event)
            elif told is not None:
                self._told(event, told)

    def _told(self, event: Event, told: Told) -> None:
        if told.severity == "info" or told.source == RECORDER or not self._options.on_trouble:
            return
        kind = type_of_kind(ReportKind.NOTIFICATION, notification_id=told.number, snapshot_state="AtFire")
        if self._cooled_down((kind.kind, told.source, told.code), event.time_ns):
            text = f"[{told.severity}] {told.text}"
            self._make(kind, event.time_ns, text, automatic=True, picture=True)

    def _disconnected(self, event: Disconnected) -> None:
        kind = type_of_kind(ReportKind.DISCONNECT, channel="main")
        if not self._options.on_trouble or not self._cooled_down((kind.kind,), event.time_ns):
            return
        channels = self._session.snapshot().channels
        main = (own for _, _, own in channels if isinstance(own, MainDiagnostics))
        cause = schema.DisconnectCause(
            channel="main",
            error_message=event.reason,
            keepalive_timeout_fired=any(own.silent for own in main),
            session_uptime_secs=self._state.seconds(event.time_ns),
            per_channel=self._state.at_disconnect(channels),
        )
        text = f"main: {event.reason}"
        self._make(kind, event.time_ns, text, automatic=True, picture=True, disconnect=cause)

    def _cooled_down(self, cause: tuple[str, ...], now_ns: int) -> bool:
        """Say whether a report of that cause may be made again, and count it as made."""
        last = self._reported_ns.get(cause)
        if last is not None and now_ns - last < COOLDOWN_NS:
            return False
        self._reported_ns[cause] = now_ns
        return True

    # --- reports ---------------------------------------------------------------------------------------

    def _make(
        self,
        kind: ReportType,
        now_ns: int,
        description: str,
        *,
        automatic: bool,
        picture: bool = False,
        disconnect: schema.DisconnectCause | None = None,
    ) -> None:
        """Take down everything as it is now, and leave the writing to the thread."""
        snapshot, session = self._session.snapshot(), self._session
        contents = Contents(
            type=kind,
            channel=ALL,
            written_ns=now_ns,
            uptime_s=self._state.seconds(now_ns),
            description=description,
            target_host=session.target.host,
            target_port=session.target.port or session.target.tls_port or 0,
            session=self._state.session(
                snapshot.channels,
                now_ns,
                connected=disconnect is None and bool(snapshot.channels),
                auto_reconnect_count=self._attempts,
                auto_snapshots_saved=self._writer.automatic_saved,
                auto_snapshots_pruned=self._writer.pruned,
            ),
            channels=self._state.channels(snapshot.channels),
            notifications=[notification(told) for told in self._notifications.all()],
            disconnect=disconnect,
            traffic=self._rings.kept(),
        )
        asked = session.picture(_first_display(snapshot)) if picture else None
        self._writer.put(Job(contents, automatic, asked, session.kept()))

    async def _ticking(self) -> None:
        while True:
            now = self._session.clock.now_ns()
            self.tick(now)
            wait_s = 1.0 if self._due_ns is None else max(0.0, (self._due_ns - now) / NS_PER_S)
            await asyncio.sleep(min(wait_s, 1.0))


class _Waking(Subscription):
    """A subscription that has `look` called on the loop's thread soon after something came, from whichever thread."""

    def __init__(self, look: Callable[[], None]) -> None:
        super().__init__()
        self.loop: asyncio.AbstractEventLoop | None = None
        self._look = look
        self._called = False

    def put(self, events: Iterable[Event]) -> None:
        """Add events, and have them looked at."""
        super().put(events)
        if not self._called and self.loop is not None and not self.loop.is_closed():
            self._called = True
            self.loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        self._called = False
        self._look()


def _first_display(snapshot: Snapshot) -> int:
    """Return the channel id of the display that a screenshot shows."""
    displays = (
        counted.channel_id for _, counted, _ in snapshot.channels if counted.channel is ChannelType.DISPLAY
    )
    return min(displays, default=0)
