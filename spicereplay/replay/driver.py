"""Opens any input and replays it into observed sessions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from spicereplay.bugreport.directory import InputKind, detect, read_capture_directory
from spicereplay.bugreport.report import BugReport, read_report
from spicereplay.bugreport.schema import MainSnapshot
from spicereplay.bugreport.snapshots import read_snapshots
from spicereplay.capture import Capture, read_connections
from spicereplay.defects import DefectKind, DefectLog
from spicereplay.errors import InputError, NoSpiceError
from spicereplay.limits import DEFAULT_LIMITS, Limits
from spicereplay.protocol.enums import ChannelType
from spicereplay.replay import identify, ryll
from spicereplay.replay.channels import Watched, watch
from spicereplay.session.grouping import group, group_as_one, split_reconnects
from spicereplay.session.log import ChannelLog, SessionLog
from spicereplay.units import NS_PER_S

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done and how much there is."""


@dataclass(slots=True, eq=False)
class Replay:
    """All that one input holds. A context manager: the capture file stays mapped until it is closed."""

    path: Path
    kind: str
    """`pcap`, `pcapng`, `bug report`, `auto-snapshots` or `capture directory`."""
    sessions: list[SessionLog]
    start_time_ns: int
    """What all times of day are counted from: the first packet; for a client's own recording the zero of its clock."""
    end_time_ns: int
    utc_offset_ns: int = 0
    """Add to a capture time to get nanoseconds since the epoch; 0 unless the recording has a clock of its own."""
    utc_known: bool = True
    packets: int = 0
    other: list[identify.OtherConnection] = field(default_factory=list)
    """Connections that are not readable SPICE."""
    defects: DefectLog = field(default_factory=DefectLog)
    captures: list[Capture] = field(default_factory=list)
    reports: tuple[BugReport, ...] = ()
    """What the client itself reported, oldest first."""

    @property
    def duration_s(self) -> float:
        """From `start_time_ns` to the last packet, in seconds."""
        return max(0, self.end_time_ns - self.start_time_ns) / 1e9

    def close(self) -> None:
        """Let go of the capture files."""
        for capture in self.captures:
            capture.file.close()

    def __enter__(self) -> Replay:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def replay(path: str | Path, *, limits: Limits = DEFAULT_LIMITS, progress: Progress | None = None) -> Replay:
    """Open a capture, bug report or directory of either and rebuild its sessions.

    Raises `NotACaptureError` for something else, `NoSpiceError` (which says what was there instead) for a capture
    without readable SPICE, `InputError` for what cannot be read at all.
    """
    found = detect(Path(path), limits=limits)
    match found.kind:
        case InputKind.CAPTURE:
            return _capture(found.path, limits, progress)
        case InputKind.BUG_REPORT:
            return _bug_report(found.path, limits)
        case InputKind.CAPTURE_DIRECTORY:
            return _capture_directory(found.path, limits)
        case InputKind.SNAPSHOT_DIRECTORY:
            return _snapshots(found.path, limits)


def _capture(path: Path, limits: Limits, progress: Progress | None) -> Replay:
    tell = (lambda done, total: progress("reading packets", done, total)) if progress else None
    capture = read_connections(path, limits=limits, progress=tell)
    defects = DefectLog(limits.defects_per_kind)
    defects.extend(capture.defects)
    if ryll.is_ryll(capture):
        units = ryll.whole_messages(capture)
        logs = ryll.read_channels(capture, limits, defects, units=units)
        return _recording(path, capture.format, [logs], [capture], defects)
    watched: list[Watched] = []
    other: list[identify.OtherConnection] = []
    for n, connection in enumerate(capture.connections):
        if progress:
            progress("reading connections", n, len(capture.connections))
        found = watch(connection, limits, defects)
        if isinstance(found, Watched):
            watched.append(found)
        else:
            other.append(found)
    if not watched:
        raise NoSpiceError(_nothing_found(path, capture, other))
    for unread in other:
        if unread.what == "tls":
            defects.add(
                DefectKind.TLS_UNREADABLE,
                f"{unread.client} → {unread.server}",
                "TLS, and no keys given: connections, sizes and times are all that can be told",
                time_ns=unread.start_time_ns,
            )
    return Replay(
        path=path,
        kind=capture.format,
        sessions=group(w.log for w in watched),
        start_time_ns=capture.start_time_ns,
        end_time_ns=capture.end_time_ns,
        packets=capture.packets,
        other=other,
        defects=defects,
        captures=[capture],
    )


def _recording(
    path: Path,
    kind: str,
    connections: list[list[ChannelLog]],
    captures: list[Capture],
    defects: DefectLog,
    reports: Sequence[BugReport] = (),
    zero_utc_ns: int | None = None,
) -> Replay:
    """Gather what a recorder with a clock of its own left: a session per connection, times from that clock's zero."""
    sessions = []
    for number, logs in enumerate(c for c in connections if c):
        session = group_as_one(number, logs)
        for log in session.of(ChannelType.DISPLAY):
            ryll.note_merged_displays(log, defects)
        if session.session_id is None:
            session.session_id = _reported_session_id(reports)
        sessions.append(session)
    uptimes = [int(r.uptime_s * NS_PER_S) for r in reports if r.uptime_s is not None]
    return Replay(
        path=path,
        kind=kind,
        sessions=sessions,
        start_time_ns=0,
        end_time_ns=max([0, *uptimes, *(c.end_time_ns for c in captures)]),
        utc_offset_ns=zero_utc_ns or 0,
        utc_known=zero_utc_ns is not None,
        packets=sum(c.packets for c in captures),
        defects=defects,
        captures=captures,
        reports=tuple(reports),
    )


def _reported_session_id(reports: Sequence[BugReport]) -> int | None:
    mains = (r.channels.get("main") for r in reports)
    return next(
        (m.session_id for m in mains if isinstance(m, MainSnapshot) and m.session_id is not None), None
    )


def _bug_report(path: Path, limits: Limits) -> Replay:
    defects = DefectLog(limits.defects_per_kind)
    report = read_report(path, limits=limits, defects=defects)
    capture = ryll.open_recording(report, limits, defects)
    logs: list[ChannelLog] = []
    if capture is not None:
        defects.extend(capture.defects)
        logs = ryll.read_channels(capture, limits, defects, units=True)
    zero = report.clock.zero_ns if report.clock is not None else None
    return _recording(path, "bug report", [logs], [capture] if capture else [], defects, [report], zero)


def _snapshots(path: Path, limits: Limits) -> Replay:
    defects = DefectLog(limits.defects_per_kind)
    directory = read_snapshots(path, limits=limits, defects=defects)
    captures: list[Capture] = []
    connections: list[list[ChannelLog]] = []
    for run in directory.runs:
        capture = ryll.open_merged(run.reports, limits, defects)
        if capture is None:
            continue
        defects.extend(capture.defects)
        captures.append(capture)
        connections.append(ryll.read_channels(capture, limits, defects, units=True))
    clock = directory.runs[0].clock
    reports = [r for run in directory.runs for r in run.reports]
    zero = clock.zero_ns if clock is not None else None
    return _recording(path, "auto-snapshots", connections, captures, defects, reports, zero)


def _capture_directory(path: Path, limits: Limits) -> Replay:
    defects = DefectLog(limits.defects_per_kind)
    directory = read_capture_directory(path, limits=limits, defects=defects)
    captures: list[Capture] = []
    logs: list[ChannelLog] = []
    for label, file in directory.pcaps.items():
        try:
            capture = read_connections(file, limits=limits)
        except InputError as error:
            defects.add(DefectKind.FILE_DAMAGED, f"{label}.pcap", str(error))
            continue
        defects.extend(capture.defects)
        captures.append(capture)
        logs += ryll.read_channels(capture, limits, defects, units=False)
    if not logs and not directory.reports:
        raise NoSpiceError(f"{path.name}: the recordings of {', '.join(directory.pcaps)} hold no message")
    for report in directory.reports:
        ryll.note_refused_chunks(logs, report, defects)
    snapshots = [r for run in (directory.snapshots.runs if directory.snapshots else ()) for r in run.reports]
    return _recording(
        path,
        "capture directory",
        split_reconnects(logs),
        captures,
        defects,
        [*directory.reports, *snapshots],
        directory.start_ns,
    )


def _nothing_found(path: Path, capture: Capture, other: list[identify.OtherConnection]) -> str:
    what = identify.summary(other) or "no TCP connection with payload"
    return f"{path.name}: no SPICE in {capture.packets} packets: {what}"
