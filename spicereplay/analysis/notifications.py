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


def notifications(
    sessions: Sequence[SessionLog], reports: Sequence[BugReport], origin_ns: int, limits: Limits
) -> pd.DataFrame:
    """Return the table `notifications`, in order of time, those without a time last."""
    rows = [*_from_server(sessions, origin_ns, limits), *_from_client(reports)]
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


def _from_client(reports: Sequence[BugReport]) -> list[Record]:
    """Read the newest report: it holds what the earlier ones of its connection held, and more."""
    if not reports:
        return []
    report = reports[-1]
    clock = report.clock
    return [
        {
            "session": 0,
            "time_s": float("nan")
            if clock is None or said.time_ns is None
            else (said.time_ns - clock.zero_ns) / NS_PER_S,
            "origin": "client_reported",
            "source": said.source_name or "",
            "severity": (said.severity or "info").lower(),
            "message": said.message or "",
            "count": said.count or 1,
        }
        for said in report.notifications
    ]
