"""A real SPICE server with a screen of its own: QEMU without a guest shows its firmware's text within a second."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from interop.xspice import free_port
from PIL import Image

PROGRAM = "qemu-system-x86_64"
PATIENCE_S = 20.0


def missing() -> str | None:
    """Return what is not installed; None: everything is there."""
    if shutil.which(PROGRAM) is None:
        return PROGRAM
    asked = subprocess.run(
        [PROGRAM, "-display", "none", "-device", "help"], capture_output=True, text=True, timeout=60
    )
    return None if "qxl-vga" in asked.stdout else "QEMU's qxl"


@dataclass
class Qemu:
    """One that runs."""

    port: int
    process: subprocess.Popen[bytes]
    log: Path
    _socket: socket.socket
    _buffer: bytes = b""

    def qmp(self, command: str, **arguments: object) -> Any:
        """Carry out a command of QEMU's monitor; return its answer."""
        self._socket.sendall(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
        while True:
            answer = self._line()
            assert "error" not in answer, answer
            if "return" in answer:
                return answer["return"]

    def screen(self, device: str | None = None) -> npt.NDArray[np.uint8]:
        """Return what a display shows, (height, width, 3) uint8 R, G, B."""
        with tempfile.NamedTemporaryFile(suffix=".ppm") as file:
            which = {} if device is None else {"device": device}
            self.qmp("screendump", filename=file.name, **which)
            return np.asarray(Image.open(file.name).convert("RGB"))

    def stand_still(self) -> None:
        """Stop the guest's time, and with it the blinking of its text cursor; wait until clients know the screen."""
        self.qmp("stop")
        time.sleep(0.7)

    def until_text(self) -> None:
        """Wait until the firmware has written its last lines and stopped."""
        end, before = time.monotonic() + PATIENCE_S, None
        while time.monotonic() < end:
            shown = self.screen()
            # The blinking cursor is smaller than a letter's cell and one line.
            same = before is not None and shown.shape == before.shape
            if same and shown.any() and (shown != before).any(axis=2).sum() <= 32:
                return
            before = shown
            time.sleep(0.7)
        raise AssertionError("the firmware does not come to rest")

    def _line(self) -> Any:
        while b"\n" not in self._buffer:
            piece = self._socket.recv(65_536)
            assert piece, f"QEMU ended: {self.log.read_text(errors='replace')[-800:]}"
            self._buffer += piece
        line, self._buffer = self._buffer.split(b"\n", 1)
        return json.loads(line)


@contextlib.contextmanager
def qemu(
    folder: Path, *words: str, port: int | None = None, vga: str = "qxl-vga", **spice: str
) -> Iterator[Qemu]:
    """Run one. `spice` holds parts of its -spice option with `_` for `-`; `words` are further arguments.

    Without a `port` one is chosen; 0: none, as for a Unix socket or TLS alone.
    """
    port = free_port() if port is None else port
    options = {"addr": "127.0.0.1", **({"port": str(port)} if port else {}), **spice}
    if "sasl" not in options and "password_secret" not in options:
        options["disable_ticketing"] = "on"
    said = ",".join(f"{name.replace('_', '-')}={value}" for name, value in options.items())
    with tempfile.TemporaryDirectory(prefix="qemu-") as place:
        where, log = Path(place) / "qmp", folder / f"qemu-{port or 'unix'}.log"
        command = [PROGRAM, "-machine", "pc", "-accel", "tcg", "-m", "64", "-nodefaults", "-display", "none"]
        command += ["-net", "none", "-device", vga, "-spice", said, *words]
        command += ["-qmp", f"unix:{where},server=on,wait=off"]
        with log.open("wb") as out:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        try:
            with _asked(where, process, log) as monitor:
                started = Qemu(port, process, log, monitor)
                assert "QMP" in started._line()
                started.qmp("qmp_capabilities")
                yield started
        finally:
            process.kill()
            process.wait()


def _asked(where: Path, process: subprocess.Popen[bytes], log: Path) -> socket.socket:
    end = time.monotonic() + PATIENCE_S
    while True:
        assert process.poll() is None, f"QEMU ended: {log.read_text(errors='replace')[-800:]}"
        made = socket.socket(socket.AF_UNIX)
        made.settimeout(PATIENCE_S)
        try:
            made.connect(str(where))
            return made
        except OSError:
            made.close()
            assert time.monotonic() < end, "QEMU's monitor does not answer"
            time.sleep(0.05)
