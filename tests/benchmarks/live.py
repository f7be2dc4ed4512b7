"""What a live session costs: processor time of a video and of many small messages, and whether memory stays flat.

    make bench-live

The server (`benchmarks.live_load`) and the client, `spicereplay connect` as anyone runs it, are processes of their own
on the loopback. The client decodes everything and records everything; what it decoded is counted from its events.
Processor time is that of the client's process with all its threads, from /proc. Writes the beginning of
`reports/live.md`, up to its first heading of the second level. Nothing here is a test.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import av
import numpy as np
import simplejpeg

import spicereplay
from spicereplay.protocol.enums import ChannelType, Side
from spicereplay.replay import replay

ROOT: Final = Path(__file__).parents[2]
WARM_S: Final = 5.0
"""Before anything is measured."""
TARGET: Final = 1.0
"""Cores that 1920×1080 MJPEG at 60 frames a second may take."""


@dataclass(frozen=True, slots=True)
class Use:
    """What a process had used at a moment."""

    at_s: float
    cpu_s: float
    rss_mib: float


def use(pid: int) -> Use:
    """Look at a process. Source: Linux Documentation/filesystems/proc.rst, stat and statm."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    ticks = int(fields[11]) + int(fields[12])
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return Use(time.monotonic(), ticks / os.sysconf("SC_CLK_TCK"), pages * os.sysconf("SC_PAGE_SIZE") / 2**20)


@dataclass(frozen=True, slots=True)
class Measured:
    """One session under load."""

    seconds: float
    cores: float
    rss_mib: tuple[float, ...]
    """At even distances, from the end of the warming up on."""
    messages: int
    """Of the display, from the server, in the recording."""
    bytes: int
    decoded: int
    """Frames and images, as the events tell; what could not be decoded is not counted."""
    span_s: float
    """From the first of these messages to the last."""
    gaps: int
    recording_mib: float


def measure(kind: str, rate: float, seconds: float, looks: int = 10) -> Measured:
    """Run a session under load."""
    with tempfile.TemporaryDirectory() as folder:
        recorded, told = Path(folder) / "x.pcapng", Path(folder) / "events.jsonl"
        server = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.live_load", kind, str(rate)], stdout=subprocess.PIPE
        )
        assert server.stdout is not None
        port = int(server.stdout.readline())
        command = [sys.executable, "-m", "spicereplay.cli.app", "connect", f"spice://127.0.0.1:{port}"]
        with told.open("wb") as out:
            client = subprocess.Popen([*command, "--headless", "--record", str(recorded)], stdout=out)
        try:
            time.sleep(WARM_S)
            first = use(client.pid)
            seen = [first]
            for _ in range(looks):
                time.sleep(seconds / looks)
                seen.append(use(client.pid))
        finally:
            client.send_signal(signal.SIGINT)
            client.wait(30)
            server.wait(30)
        last = seen[-1]
        with replay(recorded) as found:
            (display,) = found.sessions[0].of(ChannelType.DISPLAY)
            index = display.index(Side.SERVER)
            times = index.time_ns
            return Measured(
                seconds=last.at_s - first.at_s,
                cores=(last.cpu_s - first.cpu_s) / (last.at_s - first.at_s),
                rss_mib=tuple(one.rss_mib for one in seen),
                messages=len(index),
                bytes=int(np.sum(index.size)),
                decoded=decoded(told),
                span_s=float(times[-1] - times[0]) / 1e9,
                gaps=len(display.gaps),
                recording_mib=recorded.stat().st_size / 2**20,
            )


def decoded(told: Path) -> int:
    """Return how many frames and images were decoded."""
    with told.open() as lines:
        events = map(json.loads, lines)
        return sum(event["event"] in ("frame", "image") and event["ok"] for event in events)


def row(what: str, one: Measured, target: str) -> str:
    """Return a line of the report's table."""
    rss = f"{one.rss_mib[0]:.0f} → {one.rss_mib[-1]:.0f} (most {max(one.rss_mib):.0f})"
    return (
        f"| {what} | {one.seconds:.0f} | {one.messages / one.span_s:,.0f} | {one.bytes / one.span_s / 1e6:.1f} "
        f"| {one.decoded / one.span_s:,.0f} | {one.cores:.2f} | {target} | {rss} | {one.gaps} |"
    )


def main() -> None:
    """Measure, and write the report."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--video-seconds", type=float, default=30.0)
    parser.add_argument("--soak-seconds", type=float, default=300.0)
    parser.add_argument("-o", type=Path, default=ROOT / "reports" / "live.md")
    options = parser.parse_args()
    rows = [
        row("MJPEG 1920×1080, 60 frames/s", measure("video", 60, options.video_seconds), f"{TARGET:g}"),
        row("the same with grain", measure("grain", 60, options.video_seconds), f"{TARGET:g}"),
        row("drawing, 20 MB/s of QUIC and GLZ", measure("drawing", 20e6, options.video_seconds), "none set"),
        row("20,000 small messages/s", measure("messages", 20_000, options.soak_seconds), "flat memory"),
    ]
    print("\n".join(rows))
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    text = f"""# A live session's cost

`make bench-live` at commit {commit.stdout.strip()}: spicereplay {spicereplay.__version__}, Python \
{platform.python_version()}, simplejpeg {simplejpeg.__version__}, PyAV {av.__version__}, {platform.machine()}, \
{os.cpu_count()} cores. Client and server are processes on one machine; the client decodes and records everything \
(`connect --headless --record`). Cores: processor seconds of the client, all threads, per second. Memory in MiB, after \
{WARM_S:g} s and at the end. Holes: bytes of the display that the recording lacks.

| load | s | messages/s | MB/s | decoded/s | cores | target | resident memory | holes |
|---|---|---|---|---|---|---|---|---|
{chr(10).join(rows)}
"""
    before = options.o.read_text() if options.o.exists() else ""
    _, found, by_hand = before.partition("\n## ")
    options.o.write_text(text + found + by_hand)


if __name__ == "__main__":
    main()
