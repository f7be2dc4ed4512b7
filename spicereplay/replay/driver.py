"""Opens any input and replays it into observed sessions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from types import TracebackType

from spicereplay.bugreport.directory import InputKind, detect, read_capture_directory
from spicereplay.bugreport.report import BugReport, read_report
from spicereplay.bugreport.schema import MainSnapshot
from spicereplay.bugreport.snapshots import read_snapshots
from spicereplay.capture import Capture, read_connections
from spicereplay.defects import DefectKind, DefectLog
from spicereplay.errors import InputError, NoSpiceError, UsageError
from spicereplay.limits import DEFAULT_LIMITS, Limits
from spicereplay.protocol.enums import ChannelType
from spicereplay.replay import identify, ryll
from spicereplay.replay.channels import Watched, client_random_of, watch
from spicereplay.session.grouping import group, group_as_one, split_reconnects
from spicereplay.session.log import ChannelLog, SessionLog
from spicereplay.transport.tls.keylog import NO_KEYS, KeyLog
from spicereplay.transport.tls.keylog import pieces as keylog_pieces
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
        return max(0, self.end_time_ns - self.start_time_ns) / NS_PER_S

    def close(self) -> None:
        """Let go of the capture files."""
        for capture in self.captures:
            capture.close()

    def __enter__(self) -> Replay:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def replay(
    path: str | Path,
    *,
    limits: Limits = DEFAULT_LIMITS,
    progress: Progress | None = None,
    keylog: str | Path | None = None,
    require_spice: bool = True,
) -> Replay:
    """Open a capture, bug report or directory of either and rebuild its sessions.

    `keylog` names a file with the secrets of TLS connections (SSLKEYLOGFILE format); those inside a pcapng are used
    besides. What clients record themselves lies above TLS and needs none. Without `require_spice` a capture that
    holds no readable SPICE gives no sessions, and what its connections look like.

    Raises `NotACaptureError` for something else, `NoSpiceError` (which says what was there instead) for a capture
    without readable SPICE, `InputError` for what cannot be read at all, `UsageError` for a `keylog` that is no key
    log, `OSError` where it cannot be read.
    """
    found = detect(Path(path), limits=limits)
    given = _key_log(None if keylog is None else Path(keylog), limits)
    with given as key_log, ExitStack() as opened:
        opening = _Opening(found.path, limits, progress, DefectLog(limits.defects_per_kind), opened)
        match found.kind:
            case InputKind.CAPTURE:
                replayed = _capture(opening, key_log)
                if require_spice and not replayed.sessions:
                    raise no_spice(replayed)
            case InputKind.BUG_REPORT:
                replayed = _bug_report(opening)
            case InputKind.CAPTURE_DIRECTORY:
                replayed = _capture_directory(opening)
            case InputKind.SNAPSHOT_DIRECTORY:
                replayed = _snapshots(opening)
        opened.pop_all()
    return replayed


@dataclass(frozen=True, slots=True)
class _Opening:
    """An input that is being opened. What it opened is closed again if that fails."""

    path: Path
    limits: Limits
    progress: Progress | None
    defects: DefectLog
    opened: ExitStack

    def tell(self, what: str) -> Callable[[int, int], None] | None:
        """Return what reports the progress of one step."""
        progress = self.progress
        return None if progress is None else lambda done, total: progress(what, done, total)

    def keep(self, capture: Capture) -> Capture:
        """Take over a capture that was read."""
        self.opened.callback(capture.close)
        self.defects.extend(capture.defects)
        return capture


@contextmanager
def _key_log(path: Path | None, limits: Limits) -> Iterator[Iterator[bytes] | None]:
    """Open a key log, which may come through a pipe, and give its pieces.

    The first one is looked at beforehand: reading a capture takes long, and the log may be none.
    """
    if path is None:
        yield None
        return
    with path.open("rb") as file:
        read = keylog_pieces(file)
        first = next(read)
        found = KeyLog.parse([first], limits=limits, defects=DefectLog())
        if found.lines and found.bad_lines == found.lines:
            lines = f"none of its {found.lines:,} lines is in the SSLKEYLOGFILE format"
            raise UsageError(f"{path} is no key log: {lines}")
        yield chain([first], read)


def _capture(opening: _Opening, key_log: Iterator[bytes] | None) -> Replay:
    path, limits, defects = opening.path, opening.limits, opening.defects
    capture = opening.keep(read_connections(path, limits=limits, progress=opening.tell("reading packets")))
    if ryll.is_ryll(capture):
        units = ryll.whole_messages(capture)
        logs = ryll.read_channels(capture, limits, defects, units=units)
        return _recording(path, capture.format, [logs], [capture], defects)
    keys = NO_KEYS
    if key_log is not None or capture.secrets:
        randoms = (client_random_of(connection, limits) for connection in capture.connections)
        wanted = {random for random in randoms if random is not None}
        # Of two secrets for the same connection the one the user gave counts.
        keys = KeyLog.parse(
            chain(key_log or (), capture.secrets), limits=limits, defects=defects, wanted=wanted
        )
    watched: list[Watched] = []
    other: list[identify.OtherConnection] = []
    tell = opening.tell("reading connections")
    for n, connection in enumerate(capture.connections):
        if tell is not None:
            tell(n, len(capture.connections))
        found = watch(connection, limits, defects, keys=keys, release=capture.file.release)
        if isinstance(found, Watched):
            watched.append(found)
        else:
            other.append(found)
    if tell is not None:
        tell(len(capture.connections), len(capture.connections))
    for unread in other:
        if unread.what == "tls":
            defects.add(
                DefectKind.TLS_UNREADABLE,
                f"{unread.client} → {unread.server}",
                f"TLS, {unread.detail}: connections, sizes and times are all that can be told",
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
        end_time_ns=max([0, *uptimes, *(log.end_time_ns for s in sessions for log in s.channels)]),
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


def _bug_report(opening: _Opening) -> Replay:
    limits, defects = opening.limits, opening.defects
    report = read_report(opening.path, limits=limits, defects=defects)
    capture = ryll.open_recording(report, limits, defects, opening.tell("reading packets"))
    logs: list[ChannelLog] = []
    if capture is not None:
        opening.keep(capture)
        logs = ryll.read_channels(capture, limits, defects, units=True)
    zero = report.clock.zero_ns if report.clock is not None else None
    captures = [capture] if capture is not None else []
    return _recording(opening.path, "bug report", [logs], captures, defects, [report], zero)


def _snapshots(opening: _Opening) -> Replay:
    limits, defects = opening.limits, opening.defects
    directory = read_snapshots(opening.path, limits=limits, defects=defects)
    captures: list[Capture] = []
    connections: list[list[ChannelLog]] = []
    zero = next((run.clock.zero_ns for run in directory.runs if run.clock is not None), None)
    for run in directory.runs:
        capture = ryll.open_merged(run.reports, limits, defects, opening.tell("reading packets"))
        if capture is None:
            continue
        captures.append(opening.keep(capture))
        # Each connection's clock begins at 0; all of them are put on the first one's.
        later_ns = run.clock.zero_ns - zero if run.clock is not None and zero is not None else 0
        connections.append(ryll.read_channels(capture, limits, defects, units=True, later_ns=later_ns))
    reports = [r for run in directory.runs for r in run.reports]
    return _recording(opening.path, "auto-snapshots", connections, captures, defects, reports, zero)


def _capture_directory(opening: _Opening) -> Replay:
    path, limits, defects = opening.path, opening.limits, opening.defects
    directory = read_capture_directory(path, limits=limits, defects=defects)
    captures: list[Capture] = []
    logs: list[ChannelLog] = []
    for label, file in directory.pcaps.items():
        try:
            capture = read_connections(file, limits=limits, progress=opening.tell(f"reading {label}.pcap"))
        except InputError as error:
            defects.add(DefectKind.FILE_DAMAGED, f"{label}.pcap", str(error))
            continue
        captures.append(opening.keep(capture))
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


def no_spice(replayed: Replay) -> NoSpiceError:
    """Return the error about a capture without sessions: it says what is there instead."""
    what = identify.summary(replayed.other) or "no TCP connection with payload"
    return NoSpiceError(f"{replayed.path.name}: no SPICE in {replayed.packets} packets: {what}")
