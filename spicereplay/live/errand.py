"""What a session without a user is there for: timed actions, pictures, and when it is over."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from PIL import Image

from spicereplay.client.shared import Monitor
from spicereplay.display.model import DisplayModel, Screen
from spicereplay.errors import Unreachable
from spicereplay.live.events import Flap, Linked, Noticed, Screenshot, SessionBegan, Subscription
from spicereplay.live.keys import SHIFT
from spicereplay.live.script import Button, Key, Move, Quit, Resize, Shoot, Timed, Type
from spicereplay.live.session import LiveSession
from spicereplay.recording.whole_file import whole_file
from spicereplay.replay.picture import opaque

STROKE_S: Final = 0.01
"""Between two keys of a text."""
_LOOK_S: Final = 0.05
_INPUTS_S: Final = 5.0
"""How long the first actions wait for the inputs channel."""


class Outcome(StrEnum):
    """Why it was over."""

    INTERRUPTED = "interrupted"
    DURATION = "duration"
    FLAP = "flap"
    QUIT = "quit"
    """A script's `quit`, or who watched it."""


@dataclass(frozen=True, slots=True)
class Errand:
    """What to do. All of it may be absent: then it goes on until it is interrupted."""

    duration_s: float | None = None
    """Seconds from the call on."""
    until_flap: bool = False
    script: Sequence[Timed] = ()
    screenshot: Path | None = None
    """The screen at the end."""
    every_s: float | None = None
    """Seconds from one picture to the next …"""
    folder: Path = Path()
    """… and where they go: `screen-000001.png` and so on."""


class Run:
    """One errand with one session."""

    def __init__(self, session: LiveSession, errand: Errand) -> None:
        self.session = session
        self.errand = errand
        self.outcome: Outcome | None = None
        """None: the session ended by itself."""
        self._events = session.subscribe(Subscription(1024))
        self._began = asyncio.Event()
        self._inputs = asyncio.Event()

    async def carry_out(self) -> Outcome | None:
        """Run the session to its end; return why it was over.

        Raises a `ConnectionFailed` as `LiveSession.run` does; the last picture is written all the same.
        """
        jobs = [self._listen()]
        if self.errand.duration_s is not None:
            jobs.append(self._end_after(self.errand.duration_s))
        if self.errand.script:
            jobs.append(self._perform())
        if self.errand.every_s is not None:
            jobs.append(self._shoot_often(self.errand.every_s))
        tasks = [asyncio.ensure_future(job) for job in jobs]
        session = asyncio.ensure_future(self.session.run())
        try:
            waiting = {session, *tasks}
            while not session.done():
                done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                for task in done - {session}:
                    if task.exception() is not None:
                        self.session.stop()
                        await asyncio.wait((session,))
                        task.result()
            session.result()
            return self.outcome
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            if self.errand.screenshot is not None:
                self._shoot_last(self.errand.screenshot)

    def end(self, outcome: Outcome) -> None:
        """End the session; the first reason counts."""
        self.outcome = self.outcome or outcome
        self.session.stop()

    # --- what is waited for ----------------------------------------------------------------------------

    async def _listen(self) -> None:
        while True:
            self._hear()
            await asyncio.sleep(_LOOK_S)

    def _hear(self) -> None:
        for event in self._events.take() or ():
            if isinstance(event, SessionBegan):
                self._began.set()
            elif isinstance(event, Linked) and event.channel == "inputs":
                self._inputs.set()
            elif isinstance(event, Flap) and self.errand.until_flap:
                self.end(Outcome.FLAP)

    async def _end_after(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        self._hear()
        if not self._began.is_set():
            place = self.session.target.place
            raise Unreachable(f"{place}: no session within {seconds:g} s (--duration); is that SPICE?")
        self.end(Outcome.DURATION)

    # --- pictures --------------------------------------------------------------------------------------

    async def _shoot_often(self, every_s: float) -> None:
        await self._began.wait()
        number = 0
        loop = asyncio.get_running_loop()
        due = loop.time() + every_s
        while True:
            await asyncio.sleep(max(0.0, due - loop.time()))
            due += every_s
            number += 1
            await self._shoot(self.errand.folder / f"screen-{number:06}.png")

    async def _shoot(self, path: Path) -> None:
        screens = await asyncio.wrap_future(self.session.screen.ask(_screens))
        for place, data in await asyncio.to_thread(_pictures, path, screens):
            try:
                await asyncio.to_thread(_write, place, data)
            except OSError as error:
                self._note(f"no picture: {error.filename}: {error.strerror}", "screenshot")
                continue
            self.session.tell(Screenshot(time_ns=self.session.clock.now_ns(), path=str(place)))

    def _shoot_last(self, path: Path) -> None:
        for place, data in _pictures(path, self.session.screen.ask(_screens).result()):
            _write(place, data)

    # --- actions ---------------------------------------------------------------------------------------

    async def _perform(self) -> None:
        await self._began.wait()
        loop = asyncio.get_running_loop()
        start = loop.time()
        for timed in self.errand.script:
            await asyncio.sleep(max(0.0, start + timed.at_s - loop.time()))
            await self._act(timed)

    async def _act(self, timed: Timed) -> None:
        match timed.action:
            case Quit():
                self.end(Outcome.QUIT)
            case Shoot(path):
                await self._shoot(path)
            case Resize(width, height):
                main = self.session.main
                now = self.session.clock.now_ns()
                if main is None or not main.agent.request_monitors([Monitor(width, height)], now):
                    self._note("no agent in the guest: its screen cannot be resized")
                self.session.send()
            case action:
                await self._input(action)

    async def _input(self, action: Key | Type | Move | Button) -> None:
        if self.session.inputs is None:
            try:
                await asyncio.wait_for(self._inputs.wait(), _INPUTS_S)
            except TimeoutError:
                self._note("no inputs channel: keys and pointer do nothing")
                return
        inputs, now = self.session.inputs, self.session.clock.now_ns
        if inputs is None:
            return
        match action:
            case Key(codes, down, up):
                for code in codes if down else ():
                    inputs.key(code, down=True, now_ns=now())
                for code in reversed(codes) if up else ():
                    inputs.key(code, down=False, now_ns=now())
            case Type(strokes):
                for code, shifted in strokes:
                    if shifted:
                        inputs.key(SHIFT, down=True, now_ns=now())
                    inputs.press_and_release(code, now())
                    if shifted:
                        inputs.key(SHIFT, down=False, now_ns=now())
                    self.session.send()
                    await asyncio.sleep(STROKE_S)
            case Move(x, y, relative):
                moved = (
                    inputs.motion(x, y, now()) if relative else inputs.position(max(0, x), max(0, y), now())
                )
                if not moved:
                    mode = "SERVER: use `motion`" if not relative else "CLIENT: use `move`"
                    self._note(f"the pointer is not moved: the guest's mouse mode is {mode}")
            case Button(button, down, up, times):
                for _ in range(times):
                    if down:
                        inputs.button(button, down=True, now_ns=now())
                    if up:
                        inputs.button(button, down=False, now_ns=now())
        self.session.send()

    def _note(self, text: str, source: str = "script") -> None:
        now = self.session.clock.now_ns()
        self.session.tell(Noticed(time_ns=now, severity="warn", source=source, code=source, text=text))


def _screens(model: DisplayModel) -> list[tuple[int, Screen]]:
    found = ((channel_id, model.screen(channel_id)) for channel_id in sorted(model.channels))
    return [(channel_id, screen) for channel_id, screen in found if screen is not None]


def _write(place: Path, data: bytes) -> None:
    """Write a picture whole or not at all. Raises `OSError`, which names it."""
    try:
        with whole_file(place) as file:
            file.write(data)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(place)) from None


def _pictures(path: Path, screens: list[tuple[int, Screen]]) -> list[tuple[Path, bytes]]:
    """Return the PNG of each display: the first at `path`, others with their channel's id in the name."""
    made: list[tuple[Path, bytes]] = []
    for at, (channel_id, screen) in enumerate(screens):
        place = path if not at else path.with_name(f"{path.stem}-{channel_id}{path.suffix}")
        out = io.BytesIO()
        Image.fromarray(opaque(screen), "RGBA").save(out, "PNG", compress_level=3)
        made.append((place, out.getvalue()))
    return made
