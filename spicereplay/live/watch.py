"""The terminal view of a live session: `run` shows it until somebody leaves it or the session is over.

The widgets here only place what `watch_text` draws of what `view` knows.
"""

from __future__ import annotations

import asyncio
import select
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar, Final, Protocol

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.widget import Widget
from textual.widgets import Footer, Input

from spicereplay.live import watch_text
from spicereplay.live.connection import Connection
from spicereplay.live.events import Noticed, Screenshot
from spicereplay.live.flight import FlightRecorder
from spicereplay.live.flight_writer import screenshot_png
from spicereplay.live.session import LiveSession
from spicereplay.live.view import (
    Facts,
    FlightShown,
    MessageFilter,
    MessageShown,
    RecordingShown,
    View,
    ViewState,
)
from spicereplay.protocol import registry
from spicereplay.protocol.events import MessageSeen
from spicereplay.units import NS_PER_S

REFRESH_S: Final = 0.25
"""How often the view is drawn anew."""


class Source(Protocol):
    """What the view shows, and what its keys do."""

    def view(self, chosen: MessageFilter) -> View | None:
        """Return what there is to see now; None when all is over."""

    def snapshot(self) -> None:
        """Have a report written."""

    async def screenshot(self) -> None:
        """Write the screen to a file."""

    def interrupt(self) -> None:
        """End as Ctrl-C does."""


class Panel(Widget):
    """One part of the view; `draw` makes its text for the size it has."""

    def __init__(self, draw: watch_text.Draw, *, id: str) -> None:
        super().__init__(id=id)
        self._draw = draw
        self._view: View | None = None

    def show(self, view: View) -> None:
        """Draw this from now on."""
        self._view = view
        self.refresh()

    def render(self) -> Text:
        """Return the text; nothing before there is something to see."""
        if self._view is None:
            return Text()
        return self._draw(self._view, self.content_size.width, self.content_size.height)


class WatchApp(App[None]):
    """The view. It takes everything from `source`."""

    TITLE = "spicereplay"
    ENABLE_COMMAND_PALETTE = False
    AUTO_FOCUS = None
    CSS = f"""
    Screen {{ background: #0d1117; color: {watch_text.TEXT}; layout: vertical; }}
    #header {{ height: 1; background: #1c2430; }}
    #top {{ height: 6; margin: 0 1; }}
    #status {{ height: 3; margin: 0 1; }}
    #bottom {{ height: 1fr; margin: 1 1 0 1; }}
    #video, #messages {{ width: 55%; margin-right: 2; }}
    #curves, #notices {{ width: 1fr; }}
    #network, #decoding {{ height: 1fr; }}
    #filter {{ height: 1; border: none; padding: 0 1; background: #1c2430; display: none; }}
    Footer {{ background: #1c2430; padding: 0 1; }}
    .tall #top {{ height: 9; }}
    .tall #status {{ height: 4; margin: 1 1 0 1; }}
    .tall #header {{ margin-bottom: 1; }}
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        ("q", "quit", "quit"),
        ("s", "snapshot", "snapshot"),
        ("p", "screenshot", "screenshot"),
        ("slash", "filter", "filter"),
    ]

    def __init__(self, source: Source) -> None:
        super().__init__()
        self._source = source
        self._pattern = ""

    # --- layout ----------------------------------------------------------------------------------------

    def compose(self) -> ComposeResult:
        """Place the panels."""
        yield Panel(watch_text.header, id="header")
        with Horizontal(id="top"):
            yield Panel(watch_text.video, id="video")
            with Vertical(id="curves"):
                yield Panel(watch_text.network, id="network")
                yield Panel(watch_text.decoding, id="decoding")
        yield Panel(watch_text.status, id="status")
        with Horizontal(id="bottom"):
            yield Panel(self._messages, id="messages")
            yield Panel(watch_text.notices, id="notices")
        yield Input(placeholder="words that must occur, -words that must not", id="filter", compact=True)
        yield Footer(compact=True, show_command_palette=False)

    def on_mount(self) -> None:
        """Begin to draw."""
        self.look()
        self.set_interval(REFRESH_S, self.look)

    def on_resize(self) -> None:
        """Use the room of a large terminal."""
        self.screen.set_class(self.size.height >= 36, "tall")

    def look(self) -> None:
        """Draw what there is to see now; leave when all is over."""
        view = self._source.view(MessageFilter.parse(self._pattern))
        if view is None:
            self.exit()
            return
        if not self._takes():
            return
        for panel in self.query(Panel):
            panel.show(view)

    def _takes(self) -> bool:
        """Say whether the terminal takes more: Textual waits for one that does not, and the session with it."""
        file = sys.__stderr__
        if self.is_headless or file is None:
            return True
        return bool(select.select([], [file], [], 0)[1])

    def _messages(self, view: View, width: int, height: int) -> Text:
        return watch_text.messages(view, width, height, self._pattern)

    # --- keys ------------------------------------------------------------------------------------------

    def action_snapshot(self) -> None:
        """Write a report."""
        self._source.snapshot()

    def action_screenshot(self, filename: str | None = None, path: str | None = None) -> None:
        """Write the guest's screen; not a picture of the terminal, which is what Textual means by it."""
        self.run_worker(self._source.screenshot(), exclusive=True)

    def action_help_quit(self) -> None:
        """End as Ctrl-C does everywhere else."""
        self._source.interrupt()

    def action_filter(self) -> None:
        """Let the user type which messages to list."""
        field = self.query_one("#filter", Input)
        field.display = True
        field.value = self._pattern
        field.focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        """List at once what passes."""
        if event.input.display:
            self._pattern = event.value
            self.look()

    def on_input_submitted(self) -> None:
        """Leave the field; the filter stays."""
        self._leave_field()

    def key_escape(self) -> None:
        """Leave the field, and list everything again."""
        self._pattern = ""
        self._leave_field()
        self.look()

    def _leave_field(self) -> None:
        self.query_one("#filter", Input).display = False
        self.set_focus(None)


class SessionSource:
    """A live session as `Source`. Made before the session runs, on its thread."""

    def __init__(
        self, session: LiveSession, recording: Path | None, flight: FlightRecorder | None, pictures: Path
    ) -> None:
        self._session = session
        self._recording = recording
        self._flight = flight
        self._pictures = pictures
        self._state = ViewState(session.target.place, session.clock.now_ns())
        self._events = session.subscribe()
        session.watch_messages.append(self._message)

    def view(self, chosen: MessageFilter) -> View | None:
        """Return what there is to see now; None when the session is over."""
        events = self._events.take()
        if events is None:
            return None
        for event in events:
            self._state.see(event)
        self._state.facts(self._facts())
        return self._state.view(self._session.clock.now_ns(), chosen)

    def snapshot(self) -> None:
        """Have the flight recorder write a report."""
        if self._flight is not None:
            self._flight.report()

    async def screenshot(self) -> None:
        """Write what the first display shows, under a name of its own."""
        session = self._session
        screen = await asyncio.wrap_future(session.picture())
        if screen is None:
            self._note("there is no picture yet")
            return
        now = session.clock.now_ns()
        stamp = datetime.fromtimestamp(now // NS_PER_S, UTC).strftime("%Y%m%dT%H%M%SZ")
        path = self._pictures / f"screen-{stamp}.png"
        try:
            data = await asyncio.to_thread(screenshot_png, screen)
            with path.open("xb") as file:
                file.write(data)
        except OSError as error:
            self._note(f"{path}: {error.strerror}")
            return
        session.tell(Screenshot(time_ns=now, path=str(path)))

    def interrupt(self) -> None:
        """End as Ctrl-C does."""
        signal.raise_signal(signal.SIGINT)

    def _message(self, connection: Connection, message: MessageSeen) -> None:
        name = registry.message_name(connection.channel, message.side, message.type)
        self._state.message(MessageShown(message.time_ns, message.side, connection.name, name, message.size))

    def _facts(self) -> Facts:
        session = self._session
        snapshot, main = session.snapshot(), session.main
        recording = None
        if self._recording is not None:
            recording = RecordingShown(str(self._recording), snapshot.recording_lost_bytes or 0, "")
        return Facts(
            guest="" if main is None else main.diagnostics().name,
            agent=snapshot.agent,
            recording=recording,
            flight=None if self._flight is None else _flight(self._flight, snapshot.time_ns),
        )

    def _note(self, text: str) -> None:
        now = self._session.clock.now_ns()
        self._session.tell(
            Noticed(time_ns=now, severity="warn", source="screenshot", code="screenshot", text=text)
        )


async def run(
    session: LiveSession,
    *,
    recording: Path | None = None,
    flight: FlightRecorder | None = None,
    pictures: Path = Path(),
) -> None:
    """Show a session until somebody leaves the view or the session is over. Begin before the session runs.

    `recording` is what is recorded to, and `pictures` the folder for screenshots.
    """
    await WatchApp(SessionSource(session, recording, flight, pictures)).run_async()


def _flight(recorder: FlightRecorder, now_ns: int) -> FlightShown:
    state = recorder.state()
    next_s = None if state.next_ns is None else (state.next_ns - now_ns) / NS_PER_S
    return FlightShown(state.kept_bytes, state.most_bytes, state.saved, state.last, next_s)
