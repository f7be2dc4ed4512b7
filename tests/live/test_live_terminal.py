"""The terminal of a live session goes away or takes nothing more: the session ends in order, or goes on."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from live.test_live_connect_command import PASSWORD, port

from spicereplay.cli.common import EXIT_INTERRUPTED
from spicereplay.replay import replay

__all__ = ["port"]

PATIENCE_S = 30.0
SIZE = struct.pack("HHHH", 40, 120, 0, 0)


STARTED: list[subprocess.Popen[bytes]] = []


@pytest.fixture(autouse=True)
def _nothing_is_left_running() -> Iterator[None]:
    yield
    while STARTED:
        process = STARTED.pop()
        process.kill()
        process.wait()


def command(*words: str | Path) -> list[str]:
    return [sys.executable, "-m", "spicereplay.cli.app", "connect", *map(str, words)]


def in_terminal(*words: str | Path) -> tuple[subprocess.Popen[bytes], int]:
    """Start `connect` in a terminal of its own; returns it and the terminal's other end."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, SIZE)

    def take_terminal() -> None:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    process = subprocess.Popen(
        command(*words),
        env={**os.environ, "SPICEREPLAY_PASSWORD": PASSWORD, "TERM": "xterm-256color"},
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
        preexec_fn=take_terminal,
    )
    STARTED.append(process)
    os.close(slave)
    return process, master


def until(happened: Callable[[], object], master: int | None = None) -> bytes:
    """Wait for something; what `master` shows meanwhile is read and returned."""
    seen, end = b"", time.monotonic() + PATIENCE_S
    while not happened():
        assert time.monotonic() < end, seen[-2000:]
        if master is None:
            time.sleep(0.05)
        elif select.select([master], [], [], 0.05)[0]:
            with contextlib.suppress(OSError):  # the last one who had the terminal open has left it
                seen += os.read(master, 65_536)
    return seen


def recorded(path: Path) -> Callable[[], bool]:
    return lambda: path.exists() and path.stat().st_size > 100_000


def test_a_terminal_that_goes_away_ends_the_session_in_order(port: int, tmp_path: Path) -> None:
    """Its emulator is closed: SIGHUP comes, and a SIGCONT along with it, on which Textual writes once more."""
    path = tmp_path / "x.pcapng"
    process, master = in_terminal(f"spice://127.0.0.1:{port}", "--record", path)
    until(recorded(path), master)
    os.close(master)
    assert process.wait(PATIENCE_S) == EXIT_INTERRUPTED
    with replay(path) as found:
        assert found.sessions[0].channels


def test_what_nohup_protects_does_not_end(port: int, tmp_path: Path) -> None:
    path = tmp_path / "x.pcapng"
    words = command(f"spice://127.0.0.1:{port}", "--headless", "--record", path)
    process = subprocess.Popen(
        words,
        env={**os.environ, "SPICEREPLAY_PASSWORD": PASSWORD},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
    )
    STARTED.append(process)
    until(recorded(path))
    process.send_signal(signal.SIGHUP)
    time.sleep(0.5)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert process.wait(PATIENCE_S) == EXIT_INTERRUPTED


def test_a_terminal_that_takes_nothing_more_does_not_hold_the_session_up(port: int, tmp_path: Path) -> None:
    """An emulator that is stopped, a line that hangs: pictures are still written, as everything else goes on."""
    shots = tmp_path / "shots"
    process, master = in_terminal(f"spice://127.0.0.1:{port}", "--screenshot-every", "0.25", "-o", shots)
    # Some seconds are enough to fill the terminal's buffer and Textual's queue of 30 writes.
    until(lambda: len(list(shots.glob("*.png"))) >= 44)
    process.send_signal(signal.SIGINT)
    until(lambda: process.poll() is not None, master)
    assert process.returncode == EXIT_INTERRUPTED
    os.close(master)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a Linux device")
def test_events_that_find_no_room_are_told_once_and_the_recording_goes_on(port: int, tmp_path: Path) -> None:
    path = tmp_path / "x.pcapng"
    words: Sequence[str] = command(
        f"spice://127.0.0.1:{port}", "--headless", "--duration", "3", "--record", path
    )
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            words,
            env={**os.environ, "SPICEREPLAY_PASSWORD": PASSWORD},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
        )
    assert (done.returncode, done.stderr) == (
        0,
        "spicereplay: events are printed no more: No space left on device\n",
    )
    with replay(path) as found:
        assert found.sessions[0].channels


def test_without_a_stdout_the_session_is_the_same(port: int, tmp_path: Path) -> None:
    words = command(f"spice://127.0.0.1:{port}", "--headless", "--duration", "2")
    done = subprocess.run(
        words,
        env={**os.environ, "SPICEREPLAY_PASSWORD": PASSWORD},
        stderr=subprocess.PIPE,
        preexec_fn=lambda: os.close(1),
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, b"")
