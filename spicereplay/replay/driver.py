"""Opens any input and replays it into observed sessions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from spicereplay.capture import Capture, read_connections
from spicereplay.defects import DefectKind, DefectLog
from spicereplay.errors import NoSpiceError
from spicereplay.limits import DEFAULT_LIMITS, Limits
from spicereplay.replay import identify
from spicereplay.replay.channels import Watched, watch
from spicereplay.session.grouping import group
from spicereplay.session.log import SessionLog

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
    return replay_capture(Path(path), limits=limits, progress=progress)


def replay_capture(path: Path, *, limits: Limits, progress: Progress | None) -> Replay:
    """Replay one pcap or pcapng file."""
    tell = (lambda done, total: progress("reading packets", done, total)) if progress else None
    capture = read_connections(path, limits=limits, progress=tell)
    defects = DefectLog(limits.defects_per_kind)
    defects.extend(capture.defects)
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
    for connection in other:
        if connection.what == "tls":
            defects.add(
                DefectKind.TLS_UNREADABLE,
                f"{connection.client} → {connection.server}",
                "TLS, and no keys given: connections, sizes and times are all that can be told",
                time_ns=connection.start_time_ns,
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


def _nothing_found(path: Path, capture: Capture, other: list[identify.OtherConnection]) -> str:
    what = identify.summary(other) or "no TCP connection with payload"
    return f"{path.name}: no SPICE in {capture.packets} packets: {what}"
