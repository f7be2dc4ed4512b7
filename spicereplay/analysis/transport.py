"""Tables about the connections themselves: channels, gaps, defects. Source of facts: `session.log`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from spicereplay.analysis.columns import records, second
from spicereplay.defects import Defect
from spicereplay.protocol.enums import Side
from spicereplay.session.log import ChannelLog, SessionLog

if TYPE_CHECKING:
    import pandas as pd


def place(session: SessionLog, log: ChannelLog) -> dict[str, object]:
    """Return the columns that say which channel a row is about."""
    return {"session": session.number, "channel": log.channel.label, "channel_id": log.channel_id}


def channels(sessions: Sequence[SessionLog], origin_ns: int) -> pd.DataFrame:
    """Return the table `channels`."""
    return records(
        "channels",
        [
            {
                **place(session, log),
                "handshake": log.link is not None,
                "mini_header": log.mini_header,
                "start_s": second(log.start_time_ns, origin_ns),
                "end_s": second(log.end_time_ns, origin_ns),
                "messages_from_server": own_messages(log, Side.SERVER),
                "messages_from_client": own_messages(log, Side.CLIENT),
                "bytes_from_server": log.bytes_from.get(Side.SERVER, 0),
                "bytes_from_client": log.bytes_from.get(Side.CLIENT, 0),
                "gaps": len(log.gaps),
                "missing_bytes": missing_bytes(log),
                "unparsed_bytes": log.unparsed_bytes,
                "closed_by": log.closed_by or "",
            }
            for session in sessions
            for log in session.channels
        ],
    )


def own_messages(log: ChannelLog, side: Side) -> int:
    """Return how many messages `side` sent, those inside other messages not counted."""
    index = log.index(side)
    return len(index) - int(index.sub.sum())


def missing_bytes(log: ChannelLog) -> int:
    """Return the bytes in holes whose size is known."""
    return sum(gap.length or 0 for gap in log.gaps)


def gaps(sessions: Sequence[SessionLog], origin_ns: int) -> pd.DataFrame:
    """Return the table `gaps`, in order of time within each channel."""
    return records(
        "gaps",
        [
            {
                **place(session, log),
                "from": str(gap.side),
                "time_s": second(gap.time_ns, origin_ns),
                "position": gap.position,
                "bytes": gap.length,
                "cause": str(gap.cause),
                "messages": gap.messages,
            }
            for session in sessions
            for log in session.channels
            for gap in sorted(log.gaps, key=lambda gap: (gap.time_ns, gap.position))
        ],
    )


def defects(found: Iterable[Defect], origin_ns: int) -> pd.DataFrame:
    """Return the table `defects`, in the order in which they were found."""
    return records(
        "defects",
        [
            {
                "kind": str(defect.kind),
                "where": defect.where,
                "time_s": second(defect.time_ns, origin_ns),
                "position": defect.position,
                "detail": defect.detail,
            }
            for defect in found
        ],
    )
