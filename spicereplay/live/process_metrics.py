"""How busy this process is, as `runtime-metrics.json` says it. Linux has what is needed in /proc; others do not say.

Source: ryll-formats.md 7; Linux Documentation/filesystems/proc.rst (stat, statm).
"""

from __future__ import annotations

import os
import platform
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from spicereplay.bugreport import schema
from spicereplay.bugreport.writing import not_measured
from spicereplay.units import KIB, NS_PER_MS, NS_PER_S

_PROC: Final = Path("/proc/self")
_THREADS: Final = 64
"""Threads that are told of at most, busiest first."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What the process had used at one moment."""

    time_ns: int
    """Of the monotonic clock."""
    threads: dict[int, tuple[str, int]]
    """Thread id to its name and the ticks of the processor that it had used."""


def sample() -> Sample | None:
    """Look at the process; None where the system does not say."""
    threads: dict[int, tuple[str, int]] = {}
    try:
        for task in (_PROC / "task").iterdir():
            try:
                name, fields = _stat(task / "stat")
            except FileNotFoundError:
                continue  # it ended meanwhile
            threads[int(task.name)] = (name, int(fields[11]) + int(fields[12]))
    except OSError:
        return None
    return Sample(time.monotonic_ns(), threads)


def measured(before: Sample | None, after: Sample | None) -> schema.RuntimeMetrics:
    """Return what the process did between two samples."""
    if before is None or after is None or after.time_ns <= before.time_ns:
        return not_measured("this system does not say")
    ticks_per_s = os.sysconf("SC_CLK_TCK")
    window_ns = after.time_ns - before.time_ns
    used = {
        tid: (name, max(0, ticks - before.threads.get(tid, ("", 0))[1]))
        for tid, (name, ticks) in after.threads.items()
    }
    threads = [
        schema.Thread(tid=tid, name=name, cpu_percent=100.0 * ticks / ticks_per_s / (window_ns / NS_PER_S))
        for tid, (name, ticks) in used.items()
    ]
    threads.sort(key=lambda thread: -(thread.cpu_percent or 0.0))
    pages = (_PROC / "statm").read_text().split()
    page_kib = os.sysconf("SC_PAGE_SIZE") // KIB
    _, own = _stat(_PROC / "stat")
    return schema.RuntimeMetrics(
        sample_window_ms=window_ns // NS_PER_MS,
        platform=platform.system().lower(),
        process=schema.Process(
            cpu_percent=sum(thread.cpu_percent or 0.0 for thread in threads),
            rss_kb=int(pages[1]) * page_kib,
            vm_size_kb=int(pages[0]) * page_kib,
            uptime_secs=time.clock_gettime(time.CLOCK_BOOTTIME) - int(own[19]) / ticks_per_s,
        ),
        threads=threads[:_THREADS],
    )


def _stat(path: Path) -> tuple[str, list[str]]:
    """Return the name and the fields behind it, the third (state) first: the name may hold blanks and brackets."""
    head, _, tail = path.read_text().rpartition(")")
    return head.partition("(")[2], tail.split()
