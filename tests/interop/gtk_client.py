"""A real client (spice-glib) and tcpdump, beside the server of `interop.xspice`, all on loopback.

Each is a context manager that ends the process it started. `require()` skips where something is not installed.
"""

from __future__ import annotations

import os
import queue
import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from interop.canvas_server import SYSTEM_PYTHON, client_missing
from interop.xspice import Xspice
from interop.xspice import missing as no_server
from support.absent import absent

CLIENT = Path(__file__).with_name("spice_gtk_client.py")
PATIENCE_S = 30.0


def missing() -> str | None:
    """Return what is not installed here; None where all is."""
    if (why := no_server()) is not None:
        return why
    if shutil.which("tcpdump") is None:
        return "no tcpdump"
    if os.geteuid() != 0:
        return "recording the wire needs root"
    return client_missing()


def require() -> None:
    """Skip the test where something is missing; in CI fail it."""
    if (why := missing()) is not None:
        absent(why)


def until(holds: Callable[[], object], what: str) -> None:
    end = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < end, f"gave up waiting for {what}"
        time.sleep(0.05)


def stop(process: subprocess.Popen[bytes] | subprocess.Popen[str], number: int = signal.SIGTERM) -> None:
    if process.poll() is None:
        process.send_signal(number)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def paint(server: Xspice, seconds: float) -> None:
    """Have the server's picture change for some time."""
    end = time.monotonic() + seconds
    step = 0
    while time.monotonic() < end:
        step += 1
        server.run(
            "xsetroot", "-mod", str(2 + step % 15), str(3 + step % 13), "-fg", f"#{step * 7919 % 4096:03x}"
        )
        time.sleep(0.05)


class Client:
    """A running spice-glib client."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.said: list[str] = []
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, args=(process.stdout,))
        self._reader.start()

    def _read(self, out: IO[str]) -> None:
        for line in out:
            self._lines.put(line.strip())
        self._lines.put(None)

    def wait_for(self, words: str) -> None:
        while words not in self.said:
            line = self._lines.get(timeout=PATIENCE_S)
            assert line is not None, f"no {words!r}, only {self.said}"
            self.said.append(line)

    def keys(self, *codes: int) -> None:
        """Press and release keys."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"keys {' '.join(map(str, codes))}\n")
        self._process.stdin.flush()

    def close(self) -> None:
        stop(self._process)
        self._reader.join()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def leave(self) -> None:
        """Disconnect in good order."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(PATIENCE_S)


@contextmanager
def spice_gtk(**properties: str | int) -> Iterator[Client]:
    """Start a client; `properties` are those of SpiceSession, `tls_port` for `tls-port`."""
    chosen = [f"{name.replace('_', '-')}={value}" for name, value in properties.items()]
    process = subprocess.Popen(
        [SYSTEM_PYTHON, str(CLIENT), *chosen],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    client = Client(process)
    try:
        yield client
    finally:
        client.close()


@contextmanager
def tcpdump(path: Path, *ports: int) -> Iterator[None]:
    """Record whole packets of the loopback interface."""
    log = path.with_suffix(".log")
    with log.open("wb") as out:
        words = ["tcpdump", "-Z", "root", "-i", "lo", "-s", "0", "-B", "16384", "-U", "-w", str(path)]
        words.append(" or ".join(f"tcp port {port}" for port in ports))
        process = subprocess.Popen(words, stdout=out, stderr=subprocess.STDOUT)
        try:
            until(lambda: b"listening on" in log.read_bytes(), "tcpdump")
            time.sleep(0.2)
            yield
            time.sleep(0.7)  # the last packets reach the file
        finally:
            stop(process, signal.SIGINT)
    dropped = re.search(rb"(\d+) packets? dropped", log.read_bytes())
    assert dropped is not None
    assert int(dropped[1]) == 0
