"""What the server told the user, and what the client told its user.

Source: spice-wire.md 4.1 (NOTIFY); ryll-formats.md 6 and ryll-behaviour.md 10 for the client's own notices.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from spicereplay.analysis.columns import Record, records, second
from spicereplay.bugreport.report import BugReport
from spicereplay.limits import Limits
from spicereplay.protocol.enums import NotifySeverity, ServerCommon
from spicereplay.protocol.messages.common import Notify
from spicereplay.protocol.wire import parse
from spicereplay.session.log import SessionLog
from spicereplay.units import NS_PER_S

if TYPE_CHECKING:
    import pandas as pd

_SEVERITIES: Final = {severity.value: severity.name.lower() for severity in NotifySeverity}


EARLY_NS: Final = NS_PER_S
"""A client says that it connects, or has connected, before the first recorded packet of the session by no more."""


def notifications(
    sessions: Sequence[SessionLog],
    reports: Sequence[BugReport],
    origin_ns: int,
    limits: Limits,
    *,
    utc_offset_ns: int = 0,
) -> pd.DataFrame:
    """Return the table `notifications`, in order of time, those without a time last.

    `utc_offset_ns` added to a capture time gives a time of day, which is what the client's notifications have.
    """
    rows = [
        *_from_server(sessions, origin_ns, limits),
        *_from_client(sessions, reports, origin_ns, utc_offset_ns),
    ]
    rows.sort(key=lambda row: (row["time_s"] != row["time_s"], row["time_s"]))
    return records("notifications", rows)


def _from_server(sessions: Sequence[SessionLog], origin_ns: int, limits: Limits) -> list[Record]:
    rows: list[Record] = []
    for session in sessions:
        for log in session.channels:
            for row in log.server.rows(ServerCommon.NOTIFY).tolist():
                said = parse(Notify, log.server.body(row), limits=limits).message
                if said is None:
                    continue
                text = said.message[: limits.text_chars].rstrip(b"\0").decode("utf-8", "replace")
                rows.append(
                    {
                        "session": session.number,
                        "time_s": second(int(log.server.time_ns[row]), origin_ns),
                        "origin": "server",
                        "source": log.channel.label,
                        "severity": _SEVERITIES.get(int(said.severity), "error"),
                        "message": text,
                        "count": 1,
                    }
                )
    return rows


def _from_client(
    sessions: Sequence[SessionLog], reports: Sequence[BugReport], origin_ns: int, utc_offset_ns: int
) -> list[Record]:
    """Read the newest report: it holds what the earlier ones of its connection held, and more."""
    if not reports:
        return []
    report = reports[-1]
    times = [
        None if report.clock is None or said.time_ns is None else said.time_ns - utc_offset_ns
        for said in report.notifications
    ]
    return [
        {
            "session": _session_at(sessions, time_ns),
            "time_s": second(time_ns, origin_ns),
            "origin": "client_reported",
            "source": said.source_name or "",
            "severity": (said.severity or "info").lower(),
            "message": said.message or "",
            "count": said.count or 1,
        }
        for said, time_ns in zip(report.notifications, times, strict=True)
    ]


def _session_at(sessions: Sequence[SessionLog], time_ns: int | None) -> int:
    """Return the number of the session that had begun last; of the newest one where the time is not known."""
    begun = [s.number for s in sessions if time_ns is None or s.start_time_ns <= time_ns + EARLY_NS]
    return begun[-1] if begun else 0
