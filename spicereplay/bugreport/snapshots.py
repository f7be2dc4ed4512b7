"""Auto-snapshot directories: many overlapping reports of a few connections.

Every zip holds the rings as they were, not what is new since the last one, so consecutive recordings overlap,
and where the interval was longer than a ring's span there is a hole between them.

How to merge the recordings of one run: all zips of one connection share the zero of their packet times and,
per channel and direction, one space of TCP sequence numbers. Feed the packets of every `traffic.pcap` of a
`SnapshotRun`, in the order of `SnapshotRun.reports`, into one packet table without shifting any time; what
several zips hold is then the same (channel, direction, sequence number) with the same bytes and the same
time, and TCP reassembly drops it as a retransmission; what no zip holds shows up as a hole in the sequence.
The recordings of different runs must not be mixed: their sequence numbers and their times both begin anew.

Source: ryll-formats.md 12; 9.3 and 10.2 for the sequence numbers.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from spicereplay.bugreport.clock import ConnectionClock
from spicereplay.bugreport.report import BugReport, read_report
from spicereplay.bugreport.schema import MainSnapshot
from spicereplay.defects import DefectKind, DefectLog
from spicereplay.errors import InputError, NotACaptureError
from spicereplay.limits import DEFAULT_LIMITS, Limits
from spicereplay.units import NS_PER_S

PREFIX: Final = "ryll-auto-snapshot-"
"""How the name of an auto-snapshot begins. Source: ryll-formats.md 2.2."""
_SAME_START_NS: Final = 3 * NS_PER_S // 2
"""Starts computed from timestamps cut to whole seconds differ by less than one; the rest is for clocks."""


@dataclass(frozen=True, slots=True)
class SnapshotRun:
    """The snapshots of one connection, oldest first. `reports` is never empty."""

    host: str | None
    port: int | None
    clock: ConnectionClock | None
    """The connection's clock, from the report that fixes it best; None where none has its times."""
    reports: tuple[BugReport, ...]

    @property
    def newest(self) -> BugReport:
        """The report whose values are the state; the others are its history."""
        return self.reports[-1]


@dataclass(frozen=True, slots=True)
class SnapshotDirectory:
    """An auto-snapshot directory, read."""

    path: Path
    runs: tuple[SnapshotRun, ...]
    """In order of their starts."""
    unreadable: tuple[tuple[Path, str], ...]
    """Zips that could not be read, and why."""


def snapshot_files(path: Path) -> list[Path]:
    """Return the auto-snapshots of a directory by name, which is their order in time."""
    return sorted(file for file in path.glob(f"{PREFIX}*.zip") if file.is_file())


def read_snapshots(path: Path, *, limits: Limits = DEFAULT_LIMITS, defects: DefectLog) -> SnapshotDirectory:
    """Read every auto-snapshot of a directory and group them into connections.

    A zip that cannot be read is a defect. Raises `NotACaptureError` if the directory has no auto-snapshot,
    and `InputError` if none of them can be read.
    """
    files = snapshot_files(path)
    if not files:
        raise NotACaptureError(f"{path}: no auto-snapshots ({PREFIX}*.zip)")
    if len(files) > limits.snapshots:
        left_out = len(files) - limits.snapshots
        defects.add(
            DefectKind.OVER_LIMIT, str(path), f"{len(files)} snapshots; the {left_out} oldest are left out"
        )
        files = files[left_out:]
    reports: list[BugReport] = []
    unreadable: list[tuple[Path, str]] = []
    for file in files:
        try:
            reports.append(read_report(file, limits=limits, defects=defects))
        except InputError as error:
            defects.add(DefectKind.FILE_DAMAGED, str(file), str(error))
            unreadable.append((file, str(error)))
    if not reports:
        raise InputError(f"{path}: none of {len(files)} auto-snapshots can be read: {unreadable[0][1]}")
    return SnapshotDirectory(path, tuple(group_runs(reports)), tuple(unreadable))


def group_runs(reports: Iterable[BugReport]) -> list[SnapshotRun]:
    """Group reports by connection, in order of start.

    Reports are of one connection if host and port agree, the uptime grows with the time, and the starts
    (timestamp minus uptime) agree to a second and a half or MAIN_INIT's session id says so; different session
    ids are different connections. Source: ryll-formats.md 12.
    """
    runs: list[list[BugReport]] = []
    for report in sorted(reports, key=lambda report: (_written_ns(report), report.label)):
        own = next((run for run in reversed(runs) if _continues(run[-1], report)), None)
        if own is None:
            runs.append([report])
        else:
            own.append(report)
    return sorted((_run(run) for run in runs), key=lambda run: 0 if run.clock is None else run.clock.zero_ns)


def merge_order(reports: Iterable[BugReport]) -> tuple[BugReport, ...]:
    """Return the reports of one connection in the order in which their recordings are to be fed.

    Oldest first: then the copy of a packet that counts is the one in the report that was written nearest to
    it.
    """
    return tuple(sorted(reports, key=lambda report: (report.uptime_s or 0.0, report.label)))


def _written_ns(report: BugReport) -> int:
    clock, uptime = report.clock, report.uptime_s
    return 0 if clock is None or uptime is None else clock.utc_ns(uptime)


def _continues(before: BugReport, after: BugReport) -> bool:
    if (before.metadata.target_host, before.metadata.target_port) != (
        after.metadata.target_host,
        after.metadata.target_port,
    ):
        return False
    if before.uptime_s is None or after.uptime_s is None or after.uptime_s < before.uptime_s:
        return False
    ids = (_session_id(before), _session_id(after))
    if None not in ids:
        return ids[0] == ids[1]
    clocks = (before.clock, after.clock)
    if clocks[0] is None or clocks[1] is None:
        return False
    return abs(clocks[0].zero_ns - clocks[1].zero_ns) <= _SAME_START_NS


def _session_id(report: BugReport) -> int | None:
    main = report.channels.get("main")
    return main.session_id if isinstance(main, MainSnapshot) else None


def _run(reports: list[BugReport]) -> SnapshotRun:
    ordered = merge_order(reports)
    first = ordered[0]
    clocks = [clock for report in ordered if (clock := report.clock) is not None]
    return SnapshotRun(
        host=first.metadata.target_host,
        port=first.metadata.target_port,
        clock=min(clocks, key=lambda clock: clock.uncertainty_ns, default=None),
        reports=ordered,
    )
