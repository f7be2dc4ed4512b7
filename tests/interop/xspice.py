"""A real SPICE server (Xorg with the spiceqxl driver), a real client (spice-glib) and tcpdump, on loopback.

Each is a context manager that ends the processes it started. `missing()` says what is not installed.
"""

from __future__ import annotations

import os
import queue
import re
import select
import shutil
import signal
import socket
import subprocess
import sysconfig
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest
from interop.canvas_server import SYSTEM_PYTHON, client_missing

CLIENT = Path(__file__).with_name("spice_gtk_client.py")
PATIENCE_S = 30.0
PROGRAMS = ("Xorg", "tcpdump", "xsetroot", "xset")

CONFIGURATION = """
Section "Device"
    Identifier "XSPICE"
    Driver "spiceqxl"
    Option "SpiceAddr" "127.0.0.1"
    Option "NumHeads" "1"
    Option "SurfaceBufferSize" "128"
    Option "CommandBufferSize" "128"
    Option "FrameBufferSize" "32"
EndSection
Section "InputDevice"
    Identifier "XSPICE POINTER"
    Driver "xspice pointer"
EndSection
Section "InputDevice"
    Identifier "XSPICE KEYBOARD"
    Driver "xspice keyboard"
EndSection
Section "Monitor"
    Identifier "Configured Monitor"
EndSection
Section "Screen"
    Identifier "XSPICE Screen"
    Monitor "Configured Monitor"
    Device "XSPICE"
    DefaultDepth 24
EndSection
Section "ServerLayout"
    Identifier "XSPICE"
    Screen "XSPICE Screen"
    InputDevice "XSPICE KEYBOARD"
    InputDevice "XSPICE POINTER"
EndSection
Section "ServerFlags"
    Option "AutoAddDevices" "False"
EndSection
"""


def missing() -> str | None:
    """Return what is not installed here; None where all is."""
    for program in PROGRAMS:
        if shutil.which(program) is None:
            return f"no {program}"
    drivers = Path("/usr/lib/xorg/modules/drivers/spiceqxl_drv.so")
    triple = sysconfig.get_config_var("MULTIARCH") or ""
    if (
        not drivers.exists()
        and not (Path("/usr/lib") / triple / "xorg/modules/drivers/spiceqxl_drv.so").exists()
    ):
        return "no spiceqxl driver (xserver-xspice)"
    if os.geteuid() != 0:
        return "recording the wire needs root"
    return client_missing()


def require() -> None:
    """Skip the test where something is missing; in CI fail it."""
    if (why := missing()) is not None:
        if os.environ.get("CI") == "true":
            pytest.fail(f"a real server and client are needed in CI: {why}")
        pytest.skip(why)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


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


class Xspice:
    """A running server."""

    def __init__(self, port: int, tls_port: int | None, display: str) -> None:
        self.port = port
        self.tls_port = tls_port
        self._environment = {**os.environ, "DISPLAY": display}

    def call(self, *words: str) -> int:
        """Run an X client to its end."""
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        return subprocess.run(words, env=self._environment, check=False, **quiet).returncode  # type: ignore[call-overload, no-any-return]

    def paint(self, seconds: float) -> None:
        """Have the picture change for some time."""
        end = time.monotonic() + seconds
        step = 0
        while time.monotonic() < end:
            step += 1
            self.call(
                "xsetroot",
                "-mod",
                str(2 + step % 15),
                str(3 + step % 13),
                "-fg",
                f"#{step * 7919 % 4096:03x}",
            )
            time.sleep(0.05)


@contextmanager
def xspice(work: Path, *, certificates: Path | None = None, **options: str) -> Iterator[Xspice]:
    """Start a server. `certificates` is a directory with server-cert.pem, server-key.pem and ca-cert.pem.

    `options` are those of the Xspice command: `password`, `image_compression` and so on.
    """
    port, tls_port = free_port(), free_port() if certificates else None
    if certificates is not None:
        options |= {"tls_port": str(tls_port), "x509_dir": str(certificates)}
    if "password" not in options:
        options["disable_ticketing"] = "1"
    environment = {**os.environ, "XSPICE_PORT": str(port)}
    environment |= {f"XSPICE_{name.upper()}": value for name, value in options.items()}
    work.mkdir(exist_ok=True)
    (work / "xorg.conf").write_text(CONFIGURATION)
    tells, told = os.pipe()
    log = (work / "xorg.out").open("wb")
    words = ["Xorg", "-displayfd", str(told), "-noreset", "-nolisten", "tcp"]
    words += ["-config", str(work / "xorg.conf"), "-logfile", str(work / "xorg.log")]
    process = subprocess.Popen(
        words,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        env=environment,
        pass_fds=[told],
    )
    os.close(told)
    try:
        display = b""
        while not display.endswith(b"\n"):
            assert select.select([tells], [], [], PATIENCE_S)[0], "no display within the time"
            piece = os.read(tells, 16)
            assert piece, (work / "xorg.out").read_bytes()[-500:]
            display += piece
        server = Xspice(port, tls_port, f":{display.decode().strip()}")
        until(lambda: server.call("xset", "q") == 0, "the X server")
        server.call("xset", "s", "off")
        yield server
    finally:
        os.close(tells)
        stop(process)
        log.close()


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
