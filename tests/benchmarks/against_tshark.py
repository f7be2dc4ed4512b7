"""Speed on an ordinary capture, as ratios against tshark in the same run. Writes `reports/speed.md`.

    make bench

Every figure is the median of several runs. Nothing here is a test: a slow machine changes the times, hardly the
ratios.
"""

from __future__ import annotations

import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import spicereplay
from tests.benchmarks.ordinary_capture import SERVER_PORT, write_capture

RUNS = 5
BIG_MESSAGES = 3_600_000
"""Messages of the capture that memory is measured on: about 2 GB."""


def median(run: Callable[[], object], runs: int = RUNS) -> float:
    """Return the median time of `run` in seconds after one run that is not counted."""
    run()
    times = []
    for _ in range(runs):
        begin = time.perf_counter()
        run()
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def tshark(path: Path) -> None:
    """Let tshark name the messages of every packet."""
    fields = ["frame.time_epoch", "spice.message_type", "_ws.col.Info"]
    subprocess.run(
        ["tshark", "-r", path, "-d", f"tcp.port=={SERVER_PORT},spice", "-T", "fields"]
        + [word for name in fields for word in ("-e", name)],
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def messages(path: Path) -> int:
    """Make the message table through the Python API."""
    with spicereplay.open(path) as capture:
        return len(capture.sessions[0].messages)


def index(path: Path) -> int:
    """Packets, streams and message columns, without the table."""
    from spicereplay.replay import replay

    with replay(path) as found:
        return sum(len(c.server) + len(c.client) for s in found.sessions for c in s.channels)


def command(path: Path) -> None:
    """The same as a command, with all of its output."""
    subprocess.run(
        [sys.executable, "-m", "spicereplay.cli.app", "messages", path, "--json"],
        check=True,
        stdout=subprocess.DEVNULL,
    )


MEMORY_PROBE = """
import resource, sys, spicereplay
with spicereplay.open(sys.argv[1]) as capture:
    rows = len(capture.sessions[0].messages)
print(rows, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def memory(path: Path) -> tuple[int, int]:
    """Return rows of the message table and peak resident MiB of a process that makes it."""
    out = subprocess.run(
        [sys.executable, "-c", MEMORY_PROBE, path], check=True, capture_output=True, text=True
    ).stdout
    rows, peak = out.split()
    return int(rows), int(peak)


def started(*words: str) -> float:
    """Return the median time in seconds of a Python process with these arguments."""
    return median(lambda: subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL), 9)


def version_of(program: str) -> str:
    """Return the first line of `program --version`."""
    out = subprocess.run([program, "--version"], check=True, capture_output=True, text=True).stdout
    return out.splitlines()[0]


def main() -> None:
    """Measure and write the report."""
    if shutil.which("tshark") is None:
        sys.exit("tshark is not installed; the comparison needs it")
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], check=True, capture_output=True, text=True
    ).stdout.strip()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ordinary.pcap"
        size = write_capture(path)
        rows = messages(path)
        table, bare, json, other = (
            median(lambda: messages(path)),
            median(lambda: index(path)),
            median(lambda: command(path), 3),
            median(lambda: tshark(path), 3),
        )
        path.unlink()
        big = Path(folder) / "big.pcap"
        big_size = write_capture(big, BIG_MESSAGES)
        big_rows, peak = memory(big)
    nothing = started("-c", "pass")
    lines = [
        "# Speed",
        "",
        f"`make bench` at commit {commit}: spicereplay {spicereplay.__version__}, Python {platform.python_version()},",
        f"{version_of('tshark')}, {platform.machine()}. Capture: {size / 1e6:.0f} MB, {rows:,} messages.",
        "",
        "| what | s | ratio or rate | target |",
        "|---|---|---|---|",
        f"| tshark -T fields | {other:.2f} | 1 | |",
        f"| message table, Python API | {table:.3f} | {other / table:.0f} x faster | 30 x |",
        f"| `messages --json` as a command | {json:.2f} | {other / json:.1f} x faster | 5 x |",
        f"| indexing (packets, streams, messages) | {bare:.3f} | {size / bare / 1e6:.0f} MB/s | 500 MB/s |",
        f"| message table of {big_size / 1e9:.1f} GB, {big_rows:,} rows | | {peak} MiB at most | 500 MB |",
        f"| `import spicereplay` alone | {started('-c', 'import spicereplay') - nothing:.3f} | | 0.15 s |",
        f"| `spicereplay --help` | {started('-m', 'spicereplay.cli.app', '--help'):.2f} | | 0.4 s |",
        "",
    ]
    text = "\n".join(lines)
    (Path(__file__).parents[2] / "reports" / "speed.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
