"""Records a network interface with a program that can: dumpcap, tcpdump, else a raw socket of our own.

What matters is the same for all of them: whole packets (network cards and kernels join segments to packets of up to
64 KiB, and a short snap length cuts every one of them), a kernel buffer that outlasts a busy moment, and a filter, so
that nothing but SPICE's ports is recorded.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from spicereplay.errors import InputError, OutputExistsError, UsageError
from spicereplay.units import KIB, MIB

SNAP_BYTES: Final = 262_144
"""Longest packet. Source: libpcap's MAXIMUM_SNAPLEN, which wireshark and tcpdump share."""
BUFFER_BYTES: Final = 32 * MIB
"""Of the kernel, for packets that have not been fetched: two seconds of gigabit Ethernet at an eighth of its rate."""
RING_FILES: Final = 8
LEAST_RING_BYTES: Final = RING_FILES * 1_000_000
"""tcpdump counts the size of a file in millions of bytes."""
PRIVATE_UMASK: Final = 0o077
"""What was typed and shown is in a recording: as that of a tap it is for its owner alone."""
STOP_SECONDS: Final = 10.0
"""How long a program may take to end its file."""
RAW_SOCKET: Final = "a raw socket"
PROGRAMS: Final = ("dumpcap", "tcpdump", RAW_SOCKET)
"""In order of preference: dumpcap writes pcapng and needs no root where it is installed for a group."""
SUFFIXES: Final = {"dumpcap": ".pcapng", "tcpdump": ".pcap", RAW_SOCKET: ".pcapng"}

_STARTED: Final = (b"File: ", b"listening on ")
_COUNTS: Final = {
    "dumpcap": (rb"Packets captured: (\d+)", rb"received/dropped on interface .*: \d+/(\d+)"),
    "tcpdump": (rb"(\d+) packets? captured", rb"(\d+) packets? dropped by kernel"),
}
_FORBIDDEN: Final = re.compile(rb"permission|not permitted", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Sniffing:
    """What is to be recorded, and where to."""

    interface: str
    ports: tuple[int, ...]
    output: Path
    """With `ring_bytes` the name that the files' names are made of."""
    ring_bytes: int | None = None
    """Only the last so many bytes are kept, in `RING_FILES` files."""


@dataclass(frozen=True, slots=True)
class Sniffed:
    """What was recorded."""

    files: tuple[Path, ...]
    packets: int | None
    """None: the program did not say."""
    dropped: int | None
    """Packets for which the kernel had no room."""


def chosen_program(output: Path | None = None) -> str | None:
    """Return the first of `PROGRAMS` that is there and writes what the name of `output` says; None: there is none."""
    for program in PROGRAMS:
        fits = output is None or output.suffix in ("", SUFFIXES[program])
        there = hasattr(socket, "AF_PACKET") if program == RAW_SOCKET else shutil.which(program) is not None
        if fits and there:
            return program
    return None


def port_filter(ports: Sequence[int]) -> str:
    """Return a filter in libpcap's words."""
    return " or ".join(f"tcp port {port}" for port in ports)


def command(program: str, wanted: Sniffing) -> list[str]:
    """Return the command line that records with dumpcap or tcpdump."""
    out = ["-i", wanted.interface, "-s", str(SNAP_BYTES)]
    if program == "dumpcap":
        ring = []
        if wanted.ring_bytes is not None:
            size = f"filesize:{wanted.ring_bytes // RING_FILES // 1000}"
            ring = ["-b", size, "-b", f"files:{RING_FILES}"]
        where = ["-B", str(BUFFER_BYTES // MIB), "-w", str(wanted.output), *ring]
        return [program, *out, *where, "-f", port_filter(wanted.ports)]
    ring = []
    if wanted.ring_bytes is not None:
        ring = ["-C", str(wanted.ring_bytes // RING_FILES // 1_000_000), "-W", str(RING_FILES)]
    # tcpdump gives root up before it opens the file, which may lie where nobody else can write.
    user = ["-Z", "root"] if os.geteuid() == 0 else []
    where = ["-B", str(BUFFER_BYTES // KIB), "-w", str(wanted.output), *ring, *user]
    return [program, *out, *where, port_filter(wanted.ports)]


def instructions(wanted: Sniffing) -> str:
    """Say how to record without us."""
    import shlex

    # Root's is the ordinary case where there is nothing of ours.
    words = command("tcpdump", wanted)
    return shlex.join(word for word in words if word not in ("-Z", "root"))


def check(wanted: Sniffing, *, force: bool) -> None:
    """Raise `UsageError` for a ring that is too small and `OutputExistsError` for files that are there already."""
    if wanted.ring_bytes is not None and wanted.ring_bytes < LEAST_RING_BYTES:
        raise UsageError(
            f"a ring of {wanted.ring_bytes:,} bytes is too small; {LEAST_RING_BYTES:,} is the least"
        )
    there = files_of(wanted)
    if there and not force:
        raise OutputExistsError(f"{there[0]} exists already; --force overwrites it")


def files_of(wanted: Sniffing) -> tuple[Path, ...]:
    """Return the files that a recording has made, oldest first."""
    output = wanted.output
    if wanted.ring_bytes is None:
        return (output,) if output.exists() else ()
    # dumpcap: x_00001_20300131120000.pcapng; tcpdump: x.pcap0
    ours = re.compile(
        rf"{re.escape(output.stem)}_\d{{5}}_\d{{14}}{re.escape(output.suffix)}|{re.escape(output.name)}\d+"
    )
    try:
        found = [path for path in output.parent.iterdir() if ours.fullmatch(path.name)]
    except OSError as error:
        raise UsageError(f"{output.parent}: {error.strerror}") from None
    return tuple(sorted(found, key=lambda path: (path.stat().st_mtime_ns, path.name)))


def sniff(
    wanted: Sniffing,
    program: str,
    *,
    over: threading.Event,
    started: Callable[[], None],
    duration_s: float | None = None,
    force: bool = False,
) -> Sniffed:
    """Record until `over` is set or `duration_s` has passed; `started` is called when packets are being taken.

    Raises `InputError` where the program cannot record (no permission, no such interface), `UsageError` and
    `OutputExistsError` as `check`.
    """
    check(wanted, force=force)
    if program == RAW_SOCKET:
        return _sniff_raw(wanted, over, started, duration_s)
    for path in files_of(wanted):
        path.unlink()
    with _running(command(program, wanted)) as (child, said):
        if not said.begun.wait(STOP_SECONDS) or child.poll() is not None:
            raise InputError(_why_not(program, wanted, bytes(said.text)))
        started()
        while not over.wait(0.2 if duration_s is None else min(0.2, max(duration_s, 0.0))):
            if child.poll() is not None:
                raise InputError(_why_not(program, wanted, bytes(said.text)))
            if duration_s is not None and (duration_s := duration_s - 0.2) <= 0:
                break
        child.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            child.wait(STOP_SECONDS)
        said.ended.wait(STOP_SECONDS)
    counts = [re.search(pattern, bytes(said.text)) for pattern in _COUNTS[program]]
    packets, dropped = (int(found[1]) if found else None for found in counts)
    return Sniffed(files_of(wanted), packets, dropped)


def _sniff_raw(
    wanted: Sniffing, over: threading.Event, started: Callable[[], None], duration_s: float | None
) -> Sniffed:
    from spicereplay.tap.raw_socket import sniff_raw

    try:
        packets, dropped = sniff_raw(
            wanted,
            over=over,
            started=started,
            duration_s=duration_s,
            snap_bytes=SNAP_BYTES,
            buffer_bytes=BUFFER_BYTES,
        )
    except PermissionError:
        raise InputError(forbidden(wanted, RAW_SOCKET)) from None
    return Sniffed((wanted.output,), packets, dropped)


class _Said:
    """What a program says on stderr, read by a thread so that it never waits for us."""

    def __init__(self, child: subprocess.Popen[bytes]) -> None:
        self.text = bytearray()
        self.begun = threading.Event()
        """It records; or it has ended, and never will."""
        self.ended = threading.Event()
        self._child = child
        self._reader = threading.Thread(target=self._read, name="sniffing", daemon=True)
        self._reader.start()

    def close(self) -> None:
        """Wait for its last words; the program has ended."""
        self._reader.join()
        assert self._child.stderr is not None
        self._child.stderr.close()

    def _read(self) -> None:
        assert self._child.stderr is not None
        for line in self._child.stderr:
            if len(self.text) < MIB:
                self.text += line
            if any(word in line for word in _STARTED):
                self.begun.set()
        self._child.wait()
        self.begun.set()
        self.ended.set()


@contextmanager
def _running(words: list[str]) -> Iterator[tuple[subprocess.Popen[bytes], _Said]]:
    """Start a program whose Ctrl-C is ours to give, so that it always ends its file; nothing of it is left behind."""
    child = subprocess.Popen(
        words,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
        umask=PRIVATE_UMASK,
    )
    said = _Said(child)
    try:
        yield child, said
    finally:
        if child.poll() is None:
            child.terminate()
            try:
                child.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        said.close()


def _why_not(program: str, wanted: Sniffing, text: bytes) -> str:
    """Return in one line why a program does not record."""
    if _FORBIDDEN.search(text):
        return forbidden(wanted, program)
    lines = [line.strip() for line in text.decode("utf-8", "replace").splitlines() if line.strip()]
    told = next(
        (line for line in lines if line.startswith(f"{program}: ")),
        lines[-1] if lines else "it does not say why",
    )
    return f"{program} does not record {wanted.interface}: {told.removeprefix(f'{program}: ')}"


def forbidden(wanted: Sniffing, program: str) -> str:
    """Return in one line what to do about missing permissions."""
    path = shutil.which(program)
    group = (
        "" if path is None else f", or allow it once with: sudo setcap cap_net_raw,cap_net_admin=eip {path}"
    )
    return (
        f"no permission to record {wanted.interface}: run this as root (sudo){group}; "
        f"by hand: sudo {instructions(wanted)}"
    )
