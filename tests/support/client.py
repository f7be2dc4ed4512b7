"""What a client reports, for tests: everything unknown but what is given."""

from __future__ import annotations

from typing import Any

from spicereplay.bugreport.client_reported import (
    AgentCounters,
    ChannelTraffic,
    ClientSummary,
    StreamLife,
    StreamTotals,
)


def summary(**known: Any) -> ClientSummary:
    empty = {"traffic": {}, "decodes": (), "backends": (), "caches": ()}
    return ClientSummary(**{**dict.fromkeys(ClientSummary.__dataclass_fields__), **empty, **known})


def traffic(**known: Any) -> ChannelTraffic:
    return ChannelTraffic(**{**dict.fromkeys(ChannelTraffic.__dataclass_fields__), **known})


def totals(**known: Any) -> StreamTotals:
    return StreamTotals(
        **{**dict.fromkeys(StreamTotals.__dataclass_fields__), "active": (), "ended": (), **known}
    )


def life(stream_id: int, created: float, destroyed: float | None, frames: int) -> StreamLife:
    known = {"stream_id": stream_id, "created_s": created, "destroyed_s": destroyed, "frames": frames}
    return StreamLife(**{**dict.fromkeys(StreamLife.__dataclass_fields__), **known})


def agent(**known: Any) -> AgentCounters:
    return AgentCounters(
        **{**dict.fromkeys(AgentCounters.__dataclass_fields__), "recent_lags_us": (), **known}
    )
