"""What is sent on the wire: messages, channels, acknowledgements, round trips, holes."""

from __future__ import annotations

from typing import Final

from spicereplay.analysis.schema.declaration import CHANNEL, CHANNEL_ID, FROM, SESSION, TIME, Table, column

TABLES: Final = (
    Table(
        "messages",
        "one row per SPICE message, both directions, in order of time",
        (
            column("time_s", "float64", "capture time of the packet that completed the message", "s"),
            SESSION,
            CHANNEL,
            CHANNEL_ID,
            FROM,
            column("type", "uint16", "message type as on the wire"),
            column(
                "name",
                "category",
                "the SPICE definition's name in upper case, `UNKNOWN_<type>` otherwise",
            ),
            column("size", "uint32", "body without the data header", "bytes"),
            column("sub", "bool", "carried inside another message (LIST or a sub-message list)"),
            column("partial", "bool", "bytes of it are missing from the capture"),
        ),
    ),
    Table(
        "channels",
        "one row per channel of a session",
        (
            SESSION,
            CHANNEL,
            CHANNEL_ID,
            column("handshake", "bool", "the link stage is in the capture"),
            column("mini_header", "bool", "6-byte data headers"),
            column("start_s", "float64", "first packet", "s"),
            column("end_s", "float64", "last packet", "s"),
            column("messages_from_server", "int64", "whole and partial, sub-messages not counted"),
            column("messages_from_client", "int64", "whole and partial, sub-messages not counted"),
            column("bytes_from_server", "int64", "stream bytes, handshake included", "bytes"),
            column("bytes_from_client", "int64", "stream bytes, handshake included", "bytes"),
            column("gaps", "int64", "holes"),
            column("missing_bytes", "int64", "known size of the holes", "bytes"),
            column("unparsed_bytes", "int64", "captured bytes that belong to no message", "bytes"),
            column(
                "closed_by",
                "category",
                "who sent a FIN or RST: `client`, `server` or `both`; empty: not seen, or not who came first",
            ),
        ),
    ),
    Table(
        "bandwidth",
        "bytes on the wire per channel and direction in equal bins of time",
        (
            SESSION,
            CHANNEL,
            CHANNEL_ID,
            FROM,
            column("time_s", "float64", "start of the bin", "s"),
            column("width_s", "float64", "width of the bin", "s"),
            column(
                "bytes",
                "int64",
                "message bytes, headers included, that were completed in the bin",
                "bytes",
            ),
            column("messages", "int64", "messages completed in the bin"),
        ),
    ),
    Table(
        "acks",
        "one row per acknowledgement the client sends (spice-wire.md 4.3)",
        (
            SESSION,
            CHANNEL,
            CHANNEL_ID,
            TIME,
            column("kind", "category", "`ack_sync` or `ack`"),
            column("generation", "Int64", "of ACK_SYNC, for `ack` that of the last one; null: not seen"),
            column("window", "Int64", "window of SET_ACK in force; null: not seen", "messages"),
            column(
                "outstanding",
                "Int64",
                "messages of the server not acknowledged after it; null: not known, without SET_ACK or after a hole",
            ),
        ),
    ),
    Table(
        "ack_stalls",
        "periods in which the server had more than two windows of messages unacknowledged (spice-wire.md 4.3)",
        (
            SESSION,
            CHANNEL,
            CHANNEL_ID,
            column("start_s", "float64", "when the limit was passed", "s"),
            column("end_s", "float64", "when an ACK lifted it", "s"),
            column("duration_s", "float64", "end minus start", "s"),
            column("window", "uint32", "window of SET_ACK", "messages"),
            column("unacknowledged", "int64", "most messages outstanding during the stall"),
        ),
    ),
    Table(
        "pings",
        "one row per server PING",
        (
            SESSION,
            CHANNEL,
            CHANNEL_ID,
            TIME,
            column("ping_id", "uint32", "id of the PING"),
            column("timestamp", "uint64", "server monotonic clock, as sent"),
            column("unit", "category", "`us` for the three PINGs of main's network test, else `ns`"),
            column("padding", "uint32", "bytes after the timestamp", "bytes"),
            column("pong_s", "float64", "time of the PONG", "s"),
            column("rtt_ms", "float64", "from PING to PONG at the capture point", "ms"),
        ),
    ),
    Table(
        "gaps",
        "bytes that were sent and that the capture does not hold",
        (
            SESSION,
            CHANNEL,
            CHANNEL_ID,
            FROM,
            column("time_s", "float64", "when the first byte after them was complete on the wire", "s"),
            column("position", "int64", "stream position of the first missing byte", "bytes"),
            column("bytes", "Int64", "how many; null: unknown", "bytes"),
            column(
                "cause",
                "category",
                "`not_captured`, `segment_over_snaplen`, `oversize_placeholder`, `silent`, `evicted`",
            ),
            column("messages", "Int64", "messages lost in it or that lost their head; null: unknown"),
        ),
    ),
)
