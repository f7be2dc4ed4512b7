"""The table `webdav`: requests of the guest to the folder that the client shares."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from spicereplay.analysis.columns import Record, records, second
from spicereplay.analysis.tunnels import slices
from spicereplay.defects import DefectLog
from spicereplay.limits import Limits
from spicereplay.protocol.enums import ChannelType
from spicereplay.protocol.webdav import WebdavRequest, WebdavTalk
from spicereplay.session.log import ChannelLog, SessionLog
from spicereplay.units import NS_PER_MS

if TYPE_CHECKING:
    import pandas as pd


def webdav(
    sessions: Sequence[SessionLog], origin_ns: int, limits: Limits, defects: DefectLog
) -> pd.DataFrame:
    """Return the table `webdav`, in order of time within each channel."""
    return records(
        "webdav",
        [
            _row(session, log, request, origin_ns)
            for session in sessions
            for log in session.of(ChannelType.WEBDAV)
            for request in sorted(_requests(log, limits, defects), key=lambda request: request.start_ns)
        ],
    )


def _requests(log: ChannelLog, limits: Limits, defects: DefectLog) -> Iterator[WebdavRequest]:
    talk = WebdavTalk(limits, defects, log.name, complete=log.link is not None)
    for piece in slices(log, limits, defects):
        if piece.closed:
            yield from talk.close()
        elif piece.data is None:
            yield from talk.lost(piece.side)
        else:
            yield from talk.feed(piece.side, piece.data, piece.time_ns)
    yield from talk.finish()


def _row(session: SessionLog, log: ChannelLog, request: WebdavRequest, origin_ns: int) -> Record:
    return {
        "session": session.number,
        "channel_id": log.channel_id,
        "time_s": second(request.start_ns, origin_ns),
        "client": request.client,
        "method": request.method,
        "status": request.status,
        "outcome": str(request.outcome),
        "request_bytes": request.request_bytes,
        "response_bytes": request.response_bytes,
        "response_ms": _between(request.asked_ns, request.answer_ns),
        "duration_ms": _between(request.start_ns, request.end_ns),
    }


def _between(start_ns: int | None, end_ns: int | None) -> float:
    if start_ns is None or end_ns is None:
        return float("nan")
    return (end_ns - start_ns) / NS_PER_MS
