"""The guest agent: requests and replies, all messages, token starvation."""

from __future__ import annotations

from typing import Final

from spicereplay.analysis.schema.declaration import FROM, SESSION, TIME, Table, column

TABLES: Final = (
    Table(
        "agent",
        "one row per request to the guest agent that a reply can answer",
        (
            SESSION,
            TIME,
            column("type", "category", "agent message type, `MONITORS_CONFIG` …"),
            column("reply_time_s", "float64", "time of the reply", "s"),
            column("lag_ms", "float64", "reply_time_s - time_s", "ms"),
            column("outcome", "category", "`answered`, `error`, `unanswered` or `ambiguous`"),
            column("result", "Int64", "result word of the reply"),
        ),
    ),
    Table(
        "agent_messages",
        "one row per whole agent message, put together from its chunks; contents are not kept",
        (
            SESSION,
            TIME,
            FROM,
            column("type", "category", "agent message type"),
            column("size", "uint32", "data after the 20-byte header", "bytes"),
            column("chunks", "int32", "AGENT_DATA messages it took"),
        ),
    ),
    Table(
        "agent_starvation",
        "periods in which a side had no agent token left (spice-wire.md 6.1)",
        (
            SESSION,
            FROM,
            column("start_s", "float64", "when the last token was spent", "s"),
            column("end_s", "float64", "when credit came back; NaN: it did not", "s"),
            column("duration_s", "float64", "end (of the capture at the latest) minus start", "s"),
        ),
    ),
)
