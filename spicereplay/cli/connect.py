"""`connect`: a live SPICE client that records."""

from __future__ import annotations

import asyncio
import getpass
import importlib.util
import json
import math
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from spicereplay.cli.common import EXIT_INTERRUPTED, EXIT_NOT_HELD, Force, complain, drop_output, verb
from spicereplay.errors import AccessDenied, InputError, OutputExistsError, UsageError
from spicereplay.units import KIB, MIB

if TYPE_CHECKING:
    from spicereplay.client.options import ClientOptions
    from spicereplay.live.errand import Errand, Outcome, Run
    from spicereplay.live.events import Event, Subscription
    from spicereplay.live.flight import FlightOptions, FlightRecorder
    from spicereplay.live.secret import Secret
    from spicereplay.live.session import LiveSession
    from spicereplay.live.viewer_file import ViewerFile
    from spicereplay.recording.recorder import Recorder
    from spicereplay.recording.rolling import Rotation

PASSWORD: Final = "SPICEREPLAY_PASSWORD"
PROXY: Final = "SPICE_PROXY"
"""The variable that other SPICE clients use, too."""
REPORTS: Final = Path("bug-reports")
"""Where reports go unless it is said. Source: ryll-formats.md 2.3."""
_MOST_PASSWORD: Final = 4096
_SLOW_DISK_S: Final = 3.0
"""How long the end waits for the recording before it says so."""
_UNITS: Final = {"k": KIB, "m": MIB, "g": 1024 * MIB}


@verb
def connect(
    where: Annotated[
        str,
        typer.Argument(
            metavar="URI|FILE.vv",
            help="spice://HOST:PORT, spice+tls://, spice+unix:///PATH, ws:// or wss://, or a viewer's .vv file.",
            show_default=False,
        ),
    ],
    record: Annotated[
        Path | None,
        typer.Option(
            "--record", metavar="PATH", help="Record, decrypted: a pcapng; with --rotate a directory."
        ),
    ] = None,
    rotate: Annotated[
        str | None,
        typer.Option("--rotate", metavar="SIZE|TIME", help="Begin a new file after 100M or 600s."),
    ] = None,
    capture_format: Annotated[
        str, typer.Option("--capture-format", metavar="NAME", help="pcapng, or ryll: a directory of pcaps.")
    ] = "pcapng",
    force: Force = False,
    headless: Annotated[
        bool, typer.Option("--headless", help="Print what happens as JSON Lines on stdout.")
    ] = False,
    duration: Annotated[
        float | None, typer.Option("--duration", metavar="S", min=0, help="End after so many seconds.")
    ] = None,
    until_flap: Annotated[
        bool, typer.Option("--until-flap", help="End when videos flap; exit code 1 if they never did.")
    ] = False,
    screenshot: Annotated[
        Path | None, typer.Option("--screenshot", metavar="FILE.png", help="Write the screen at the end.")
    ] = None,
    screenshot_every: Annotated[
        float | None,
        typer.Option("--screenshot-every", metavar="S", min=0.1, help="Write the screen again and again."),
    ] = None,
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="DIR", help="Where these pictures go.")
    ] = Path(),
    script: Annotated[
        Path | None,
        typer.Option(
            "--script", metavar="FILE", help="Keys, text, pointer at given times; see docs/topics/live.md."
        ),
    ] = None,
    password_file: Annotated[
        Path | None,
        typer.Option("--password-file", metavar="FILE", help=f"Its first line; or the variable {PASSWORD}."),
    ] = None,
    ca: Annotated[
        Path | None, typer.Option("--ca", metavar="FILE", help="Certificates to trust, PEM.")
    ] = None,
    host_subject: Annotated[
        str | None,
        typer.Option("--host-subject", metavar="NAME", help="The server's certificate must be this one's."),
    ] = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Do not look at the server's certificate.")
    ] = False,
    proxy: Annotated[
        str | None,
        typer.Option("--proxy", metavar="URL", help=f"HTTP proxy; or the variable {PROXY}."),
    ] = None,
    keylog_out: Annotated[
        Path | None,
        typer.Option("--keylog-out", metavar="FILE", help="Append TLS secrets, in SSLKEYLOGFILE format."),
    ] = None,
    timeout: Annotated[
        float,
        typer.Option("--timeout", metavar="S", min=0.1, help="How long each step of connecting may take."),
    ] = 10.0,
    codecs: Annotated[
        str,
        typer.Option(
            "--codecs", metavar="LIST", help="Video codecs to ask for, best first; none: not asked."
        ),
    ] = "h264,mjpeg",
    compression: Annotated[
        str,
        typer.Option("--compression", metavar="NAME", help="Image compression to ask for; none: not asked."),
    ] = "auto_glz",
    no_sound: Annotated[bool, typer.Option("--no-sound", help="Do not join the sound channel.")] = False,
    no_agent: Annotated[bool, typer.Option("--no-agent", help="Do not talk to the guest's agent.")] = False,
    agent_probe: Annotated[
        float | None,
        typer.Option(
            "--agent-probe",
            metavar="S",
            min=0,
            help="How often an idle agent is asked whether it lives; 0: never; default 30.",
        ),
    ] = None,
    no_reconnect: Annotated[
        bool, typer.Option("--no-reconnect", help="End when the session is lost.")
    ] = False,
    keep_file: Annotated[
        bool, typer.Option("--keep-file", help="Keep a .vv file that asks to be deleted.")
    ] = False,
    snapshot_interval: Annotated[
        float | None,
        typer.Option("--auto-snapshot-interval", metavar="S", help="Write a bug report every S seconds."),
    ] = None,
    snapshot_keep: Annotated[
        int | None,
        typer.Option("--auto-snapshot-keep", metavar="N", min=1, help="Keep the last N of them; default 20."),
    ] = None,
    snapshot_dir: Annotated[
        Path | None,
        typer.Option(
            "--auto-snapshot-dir",
            metavar="DIR",
            help="Where they go, and those that warnings, losses and SIGUSR1 make; default bug-reports.",
        ),
    ] = None,
) -> None:
    """Connect to a running SPICE server: watch, decode and record.

    In a terminal it shows what happens there; with --headless it prints it. Ctrl-C ends it in order. Exit code 3:
    could not connect, was not let in, or the session was lost; 130: Ctrl-C.
    """
    from spicereplay.live.errand import Errand
    from spicereplay.live.script import read_script

    errand = Errand(
        duration_s=duration,
        until_flap=until_flap,
        script=() if script is None else read_script(script),
        screenshot=screenshot,
        every_s=screenshot_every,
        folder=output,
    )
    options = _options(codecs, compression, sound=not no_sound, agent=not no_agent)
    if agent_probe is not None:
        wanted = 0 < agent_probe < math.inf
        options = replace(options, monitors_config_interval_s=agent_probe if wanted else None)
    if screenshot is not None and screenshot.exists() and not force:
        raise OutputExistsError(f"{screenshot} exists already; --force overwrites it")
    if screenshot_every is not None:
        output.mkdir(parents=True, exist_ok=True)
    file = _target(where)
    target = file.target
    if ca is not None:
        target = replace(target, ca=_read(ca, 4 * MIB))
    if host_subject is not None:
        target = replace(target, host_subject=host_subject)
    through = proxy or ("" if target.proxy is not None else os.environ.get(PROXY, ""))
    if through:
        from spicereplay.live.target import parse_proxy

        target = replace(target, proxy=parse_proxy(through))
    if (password := _password(password_file)) is not None:
        target = replace(target, password=password)
    file = replace(file, target=target)
    from spicereplay.live.dial import Manner
    from spicereplay.live.errand import Outcome
    from spicereplay.live.session import RETRIES_S, LiveSession

    manner = Manner(step_s=timeout, insecure=insecure, keylog=keylog_out)

    def new_session(file: ViewerFile, recorder: Recorder | None) -> LiveSession:
        return LiveSession(
            file.target,
            options,
            manner=manner,
            recorder=recorder,
            retries_s=() if no_reconnect else RETRIES_S,
            disabled=file.disabled,
        )

    shows = Shows(headless, record, _flight(snapshot_interval, snapshot_keep, snapshot_dir), output)
    recorder = _recorder(record, rotate, capture_format, time.time_ns(), file, force=force)
    if file.delete and not keep_file:
        _delete(Path(where))
    outcome = _with_password(file, new_session, errand, recorder, shows)
    if outcome is Outcome.INTERRUPTED:
        complain("interrupted")
        raise typer.Exit(EXIT_INTERRUPTED)
    if until_flap and outcome is not Outcome.FLAP:
        complain("no flap was seen")
        raise typer.Exit(EXIT_NOT_HELD)


# --- the session ------------------------------------------------------------------------------------------


def _with_password(
    file: ViewerFile,
    new_session: Callable[[ViewerFile, Recorder | None], LiveSession],
    errand: Errand,
    recorder: Recorder | None,
    shows: Shows,
) -> Outcome | None:
    """Run the session; where the server wants a password and nobody has given one, ask for it in the terminal."""
    from spicereplay.live.secret import Secret

    async def one(file: ViewerFile) -> Outcome | None:
        return await _run(new_session(file, recorder), errand, shows)

    try:
        while True:
            try:
                return asyncio.run(one(file))
            except AccessDenied:
                if file.target.password is not None or not (sys.stdin.isatty() and sys.stderr.isatty()):
                    raise
                typed = getpass.getpass(f"Password of {file.target.place}: ")
                file = replace(file, target=replace(file.target, password=Secret(typed)))
    finally:
        if recorder is not None:
            slow = threading.Timer(
                _SLOW_DISK_S, complain, ("the disk is slow; Ctrl-C gives up the recording's end",)
            )
            slow.daemon = True
            slow.start()
            recorder.close()
            slow.cancel()
            for trouble in recorder.trouble():
                complain(f"recording: {trouble.text}")


async def _run(session: LiveSession, errand: Errand, shows: Shows) -> Outcome | None:
    from spicereplay.live.errand import Outcome, Run
    from spicereplay.live.flight import FlightRecorder

    run = Run(session, errand)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, run.end, Outcome.INTERRUPTED)
    before = signal.getsignal(signal.SIGHUP)
    if before is not signal.SIG_IGN:  # nohup
        terminals = [number for number in range(3) if os.isatty(number)]
        # Not the loop's own way, which comes too late: a SIGCONT goes with it, at which Textual writes to the terminal.
        signal.signal(signal.SIGHUP, lambda *_: _hung_up(loop, run, terminals))
    watched = not shows.headless and sys.stdout.isatty() and sys.stdin.isatty()
    if watched and not importlib.util.find_spec("textual"):
        complain("the terminal view is missing: pip install 'spicereplay[live]'")
        watched = False
    flight = None
    if shows.flight is not None or watched:
        flight = FlightRecorder(session, shows.flight or _on_demand())
        flight.start()
        loop.add_signal_handler(signal.SIGUSR1, flight.report, "asked for with SIGUSR1")
    try:
        if watched:
            return await _watched(run, shows, flight)
        teller = Teller(
            session.subscribe(),
            _as_json if shows.headless else _as_text,
            lambda: loop.call_soon_threadsafe(run.end, Outcome.QUIT),
        )
        try:
            return await run.carry_out()
        finally:
            await asyncio.to_thread(teller.finish)
    finally:
        signal.signal(signal.SIGHUP, before)
        if flight is not None:
            await flight.close()


def _hung_up(loop: asyncio.AbstractEventLoop, run: Run, terminals: Sequence[int]) -> None:
    """End the session whose terminal is gone: what is still written there has nowhere to go, and must not fail."""
    from spicereplay.live.errand import Outcome

    nowhere = os.open(os.devnull, os.O_RDWR)
    for number in terminals:
        os.dup2(nowhere, number)
    os.close(nowhere)
    loop.call_soon_threadsafe(run.end, Outcome.INTERRUPTED)


async def _watched(run: Run, shows: Shows, flight: FlightRecorder | None) -> Outcome | None:
    """Show the session in the terminal; when the view is left, the session ends."""
    from spicereplay.live import watch
    from spicereplay.live.errand import Outcome

    shown = watch.run(run.session, recording=shows.recording, flight=flight, pictures=shows.pictures)
    view = asyncio.ensure_future(shown)
    view.add_done_callback(lambda _: run.end(Outcome.QUIT))
    try:
        return await run.carry_out()
    finally:
        await view


@dataclass(frozen=True, slots=True)
class Shows:
    """How a session is shown, and what is kept of it."""

    headless: bool
    recording: Path | None
    flight: FlightOptions | None
    """None: reports are written on demand at most."""
    pictures: Path
    """Folder of the pictures that a key makes."""


class Teller:
    """Prints events on a thread of its own: a reader that does not read holds nothing up but itself."""

    def __init__(
        self, events: Subscription, form: Callable[[Event], str | None], gone: Callable[[], object]
    ) -> None:
        self._events = events
        self._form = form
        self._gone = gone
        self._thread = threading.Thread(target=self._run, name="teller", daemon=True)
        self._thread.start()

    def finish(self) -> None:
        """Print what is left, as far as somebody reads it within a few seconds."""
        self._events.close()
        self._thread.join(3.0)

    def _run(self) -> None:
        out = sys.stdout if self._form is _as_json else sys.stderr
        while (events := self._events.take(None)) is not None:
            if out is None:  # closed by whoever started this
                continue
            lines = [line for event in events if (line := self._form(event)) is not None]
            try:
                out.write("".join(f"{line}\n" for line in lines))
                out.flush()
            except BrokenPipeError:
                self._gone()
                return
            except OSError as error:
                if out is not sys.stdout:
                    return
                # A disk that is full: what the session is for goes on.
                drop_output()
                complain(f"events are printed no more: {error.strerror or error}")


def _as_json(event: Event) -> str:
    return json.dumps(event.facts())


def _as_text(event: Event) -> str | None:
    from spicereplay.live.sentences import sentence
    from spicereplay.text import visible

    said = sentence(event)
    return None if said is None else f"spicereplay: {visible(said)}"


# --- options ----------------------------------------------------------------------------------------------


def _target(where: str) -> ViewerFile:
    from spicereplay.live.target import parse_target
    from spicereplay.live.viewer_file import ViewerFile, read_viewer_file

    if where.endswith(".vv") or ("://" not in where and Path(where).is_file()):
        file = read_viewer_file(Path(where))
    else:
        target, remarks = parse_target(where)
        file = ViewerFile(target, remarks=remarks)
    for remark in file.remarks:
        complain(remark)
    return file


def _delete(path: Path) -> None:
    """Delete a file that asks for it, once all that was asked for is known to be possible."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        complain(f"{path} asked to be deleted, and cannot be: {error.strerror}")
    else:
        complain(f"{path} asked to be deleted, and is; --keep-file keeps it")


def _password(file: Path | None) -> Secret | None:
    from spicereplay.live.secret import Secret

    if file is not None:
        try:
            text = _read(file, _MOST_PASSWORD).decode()
        except UnicodeDecodeError:
            raise InputError(f"{file}: a password is text") from None
        return Secret(text.split("\n", 1)[0].removesuffix("\r"))
    text = os.environ.get(PASSWORD, "")
    return Secret(text) if text else None


def _read(path: Path, most: int) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(most + 1)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None
    if len(data) > most:
        raise InputError(f"{path}: longer than {most:,} bytes")
    return data


def _flight(interval_s: float | None, keep: int | None, folder: Path | None) -> FlightOptions | None:
    """Return what the flight recorder does; None where nobody asked for it."""
    from spicereplay.live.flight import ADVISED_INTERVAL_S, AUTOMATIC_KEEP, FlightOptions

    if interval_s is None and keep is None and folder is None:
        return None
    options = FlightOptions(folder or REPORTS, interval_s, AUTOMATIC_KEEP if keep is None else keep)
    if interval_s is not None and interval_s < ADVISED_INTERVAL_S:
        complain(f"a report every {interval_s:g} s is a lot; {ADVISED_INTERVAL_S:g} s is a good least")
    return options


def _on_demand() -> FlightOptions:
    from spicereplay.live.flight import FlightOptions

    return FlightOptions(REPORTS, on_trouble=False)


def _options(codecs: str, compression: str, *, sound: bool, agent: bool) -> ClientOptions:
    from spicereplay.client.options import ClientOptions
    from spicereplay.protocol.enums import ImageCompression, VideoCodec

    names = [] if codecs == "none" else codecs.lower().split(",")
    known = {codec.label: codec for codec in VideoCodec}
    if unknown := [name for name in names if name not in known]:
        raise UsageError(f"--codecs: {unknown[0]!r} is no codec; there are {', '.join(known)}, and none")
    forms = {form.name.lower(): form for form in ImageCompression}
    if compression != "none" and compression.lower() not in forms:
        raise UsageError(f"--compression: {compression!r} is none; there are {', '.join(forms)}, and none")
    return ClientOptions(
        preferred_codecs=tuple(known[name] for name in names),
        preferred_compression=None if compression == "none" else forms[compression.lower()],
        playback=sound,
        agent=agent,
    )


def rotation(text: str) -> Rotation:
    """Return when files follow each other: `100M`, `2G`, `600s`, `10min`. Raises `UsageError`."""
    from spicereplay.recording.rolling import Rotation

    match = re.fullmatch(r"(\d{1,9})\s*(k|m|g|s|min|h)", text.strip().lower().removesuffix("ib"))
    number = int(match[1]) if match else 0
    if match is None or not number:
        raise UsageError(f"--rotate: {text!r} is neither a size (100M) nor a time (600s, 10min, 1h)")
    if match[2] in _UNITS:
        return Rotation(bytes=number * _UNITS[match[2]])
    return Rotation(seconds=number * {"s": 1, "min": 60, "h": 3600}[match[2]])


def _recorder(
    path: Path | None, rotate: str | None, form: str, started_ns: int, file: ViewerFile, *, force: bool
) -> Recorder | None:
    from spicereplay.recording.recorder import Form, Recorder
    from spicereplay.recording.ryll_capture import RyllTarget

    if form not in list(Form):
        raise UsageError(f"--capture-format: {form!r} is none; there are {', '.join(Form)}")
    if path is None:
        if rotate is not None:
            raise UsageError("--rotate needs --record DIR")
        return None
    if rotate is not None and form == Form.RYLL:
        raise UsageError("--rotate and --capture-format ryll exclude each other")
    target = file.target
    return Recorder.open(
        path,
        form=Form(form),
        rotation=None if rotate is None else rotation(rotate),
        force=force,
        interface="spicereplay connect",
        comment=f"live session with {target.place}",
        started_ns=started_ns,
        ryll_target=RyllTarget(target.host, target.port or 0, target.tls_port),
    )
