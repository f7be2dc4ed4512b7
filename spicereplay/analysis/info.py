"""Sessions and channels of an input as the dict that `info --json` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from spicereplay.analysis.transport import missing_bytes, own_messages
from spicereplay.protocol.enums import Side
from spicereplay.protocol.link import error_name
from spicereplay.session.log import ChannelLog, SessionLog
from spicereplay.units import NS_PER_S

if TYPE_CHECKING:
    from spicereplay.replay import Replay
    from spicereplay.replay.identify import OtherConnection

SCHEMA_VERSION: Final = 1
"""Of the dict below; rises when a key changes its meaning or goes away."""


def info(replay: Replay) -> dict[str, Any]:
    """Return what `info --json` prints: plain values under the fixed keys of the command line's contract."""
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": replay.kind,
        "start_time_ns": replay.start_time_ns + replay.utc_offset_ns,
        "utc_known": replay.utc_known,
        "duration_s": replay.duration_s,
        "packets": replay.packets,
        "sessions": [_session(session, replay) for session in replay.sessions],
        "other": [_other(other, replay) for other in replay.other],
        "defects": len(replay.defects) + sum(len(session.defects) for session in replay.sessions),
    }


def _session(session: SessionLog, replay: Replay) -> dict[str, Any]:
    return {
        "session": session.number,
        "session_id": session.session_id,
        "start_time_ns": session.start_time_ns + replay.utc_offset_ns,
        "start_s": (session.start_time_ns - replay.start_time_ns) / NS_PER_S,
        "duration_s": (session.end_time_ns - session.start_time_ns) / NS_PER_S,
        "handshake": session.handshake,
        "channels": [_channel(log, replay) for log in session.channels],
    }


def _channel(log: ChannelLog, replay: Replay) -> dict[str, Any]:
    return {
        "channel": log.channel.label,
        "channel_id": log.channel_id,
        "messages_from_server": own_messages(log, Side.SERVER),
        "messages_from_client": own_messages(log, Side.CLIENT),
        "bytes_from_server": log.bytes_from.get(Side.SERVER, 0),
        "bytes_from_client": log.bytes_from.get(Side.CLIENT, 0),
        "gaps": len(log.gaps),
        "missing_bytes": missing_bytes(log),
        "unparsed_bytes": log.unparsed_bytes,
        "client_caps": _caps(log, Side.CLIENT),
        "server_caps": _caps(log, Side.SERVER),
        "client_common_caps": _common_caps(log, Side.CLIENT),
        "server_common_caps": _common_caps(log, Side.SERVER),
        "handshake": log.link is not None,
        "link": None if log.link is None else str(log.link.status),
        "link_error": _link_error(log),
        "mini_header": log.mini_header,
        "start_s": (log.start_time_ns - replay.start_time_ns) / NS_PER_S,
        "end_s": (log.end_time_ns - replay.start_time_ns) / NS_PER_S,
        "closed_by": log.closed_by,
        "client": log.client_address,
        "server": log.server_address,
        "assumptions": list(log.assumptions),
    }


def _other(other: OtherConnection, replay: Replay) -> dict[str, Any]:
    """Return what a connection shows that is not SPICE, or whose SPICE cannot be read."""
    directions = {Side.CLIENT: other.from_client, Side.SERVER: other.from_server}
    return {
        "client": other.client,
        "server": other.server,
        "what": other.what,
        "detail": other.detail,
        "start_s": (other.start_time_ns - replay.start_time_ns) / NS_PER_S,
        "duration_s": (other.end_time_ns - other.start_time_ns) / NS_PER_S,
        "bytes_from_client": other.bytes_from_client,
        "bytes_from_server": other.bytes_from_server,
        **{
            f"{what}_from_{side}": getattr(facts, what)
            for what in ("segments", "retransmitted_bytes", "out_of_order", "zero_windows")
            for side, facts in directions.items()
        },
    }


def _caps(log: ChannelLog, side: Side) -> list[str] | None:
    return None if log.link is None else log.link.cap_names(side)


def _common_caps(log: ChannelLog, side: Side) -> list[str] | None:
    return None if log.link is None else log.link.common_cap_names(side)


def _link_error(log: ChannelLog) -> str | None:
    """Return SPICE's name of the error that refused the channel."""
    if log.link is None:
        return None
    code = log.link.reply_error or log.link.result
    return error_name(code) if code else None
