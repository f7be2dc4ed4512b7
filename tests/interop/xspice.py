"""A real SPICE server on the loopback: Xorg with the spiceqxl driver.

Xorg is started directly and takes its options from XSPICE_* variables: the wrapper script `Xspice` of Debian 12 does
not end when it is told to.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

CONFIGURATION = """
Section "Device"
    Identifier "XSPICE"
    Driver "spiceqxl"
    Option "NumHeads" "1"
    Option "SurfaceBufferSize" "128"
    Option "CommandBufferSize" "128"
    Option "FrameBufferSize" "32"
    Option "SpiceAddr" "127.0.0.1"
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
    Identifier "Monitor"
EndSection
Section "Screen"
    Identifier "XSPICE Screen"
    Monitor "Monitor"
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
PATIENCE_S = 20.0
_DRIVERS = (
    "/usr/lib/xorg/modules/drivers/spiceqxl_drv.so",
    "/usr/lib64/xorg/modules/drivers/spiceqxl_drv.so",
)


def missing() -> str | None:
    """Return what is not installed; None: everything is there."""
    absent = [name for name in ("Xorg", "xwd", "xsetroot", "x11perf") if shutil.which(name) is None]
    if not any(Path(driver).exists() for driver in _DRIVERS):
        absent.append("the spiceqxl driver")
    return ", ".join(absent) or None


@dataclass
class Xspice:
    """One that runs."""

    port: int
    display: str
    log: Path
    process: subprocess.Popen[bytes]

    def run(self, *command: str) -> bytes:
        """Run an X client to its end; return what it prints."""
        environment = {**os.environ, "DISPLAY": self.display}
        return subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True, timeout=60).stdout

    def screen(self) -> npt.NDArray[np.uint8]:
        """Return what the X server shows, (height, width, 3) uint8 R, G, B.

        Source: xwd's header, X11/XWDFile.h: big-endian words; size of the header, then width, height and bytes per
        line at 16, 20 and 48, and the number of colours at 76, each 12 bytes.
        """
        data = self.run("xwd", "-root", "-silent")
        words = np.frombuffer(data[:100], ">u4")
        width, height, line = int(words[4]), int(words[5]), int(words[12])
        start = int(words[0]) + 12 * int(words[19])
        rows = np.frombuffer(data, np.uint8, height * line, start).reshape(height, line)
        return rows[:, : 4 * width].reshape(height, width, 4)[:, :, [2, 1, 0]]

    def said(self) -> str:
        """Return the server's log."""
        return self.log.read_text(errors="replace")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def xspice(folder: Path, *, sound: Path | None = None, **options: str) -> Iterator[Xspice]:
    """Run one; options are those of the wrapper with `_` for `-`: `password`, `tls_port`, `image_compression` …

    `sound` is a directory: of a FIFO that is made there later, 16-bit stereo at 44,100 Hz is played.
    """
    configuration, log, port = folder / "xorg.conf", folder / "server.log", free_port()
    address = '    Option "SpiceAddr" "127.0.0.1"\n'
    plays = "" if sound is None else f'    Option "SpicePlaybackFIFODir" "{sound}"\n'
    configuration.write_text(CONFIGURATION.replace(address, address + plays))
    settings = dict(options)
    if "password" not in settings:
        settings["disable_ticketing"] = "1"
    environment = {**os.environ, "XSPICE_PORT": str(port), "G_MESSAGES_DEBUG": "all"}
    environment |= {f"XSPICE_{name.upper()}": value for name, value in settings.items()}
    reading, writing = os.pipe()
    command = ["Xorg", "-displayfd", str(writing), "-noreset", "-nolisten", "tcp"]
    command += ["-config", str(configuration), "-logfile", str(folder / "xorg.log")]
    with log.open("wb") as out:
        process = subprocess.Popen(command, env=environment, stdout=out, stderr=out, pass_fds=[writing])
    os.close(writing)
    try:
        number = _display(reading)
        yield Xspice(port, f":{number}", log, process)
    finally:
        os.close(reading)
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _display(reading: int) -> str:
    text, end = b"", time.monotonic() + PATIENCE_S
    while not text.endswith(b"\n") and time.monotonic() < end:
        if select.select([reading], [], [], 0.5)[0]:
            piece = os.read(reading, 16)
            assert piece, "the X server ended before it had a display"
            text += piece
    assert text.endswith(b"\n"), "the X server does not start"
    return text.decode().strip()
