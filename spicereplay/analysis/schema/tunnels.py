"""Other protocols inside a SPICE channel: USB devices and shared folders."""

from __future__ import annotations

from typing import Final

from spicereplay.analysis.schema.declaration import CHANNEL_ID, FROM, SESSION, Table, column

TABLES: Final = (
    Table(
        "usbredir",
        "one row per kind of usbredir packet and direction; the device is at the client. What devices say is not kept",
        (
            SESSION,
            CHANNEL_ID,
            FROM,
            column(
                "packet",
                "category",
                "`control_packet`, `bulk_packet`, `device_connect` …; `unread`: bytes that could not be told apart, "
                "because the capture begins in the middle, bytes are missing or malformed",
            ),
            column("count", "int64", "packets; of `unread` 0"),
            column("bytes", "int64", "their size, headers included", "bytes"),
            column("first_s", "float64", "end of the first one", "s"),
            column("last_s", "float64", "end of the last one", "s"),
            column("cancelled", "int64", "with the status that the guest took the request back"),
            column(
                "stalled",
                "int64",
                "with the status by which devices refuse requests that they do not know",
            ),
            column("errors", "int64", "with any other status but success"),
            column("answered", "int64", "requests of the guest that found their answer by number"),
            column("unanswered", "int64", "requests of the guest that did not"),
            column("answer_ms_median", "float64", "from request to answer at the capture point", "ms"),
            column("answer_ms_p95", "float64", "95th percentile", "ms"),
            column("answer_ms_max", "float64", "the longest", "ms"),
        ),
    ),
    Table(
        "webdav",
        "one row per HTTP request of the guest to the folder that the client shares; names and contents are not kept",
        (
            SESSION,
            CHANNEL_ID,
            column("time_s", "float64", "when the first line of the request was there", "s"),
            column("client", "int64", "number of the connection inside the channel"),
            column("method", "category", "`GET`, `PROPFIND` …; `OTHER`"),
            column("status", "Int64", "of the response; null: there was none"),
            column(
                "outcome",
                "category",
                "`answered`, `unanswered` (the capture ended), `broken` (the connection was closed), `unknown` "
                "(bytes are missing or malformed)",
            ),
            column("request_bytes", "int64", "head and body", "bytes"),
            column("response_bytes", "int64", "heads and body", "bytes"),
            column(
                "response_ms", "float64", "from the end of the request to the beginning of the response", "ms"
            ),
            column(
                "duration_ms", "float64", "from the beginning of the request to the end of the response", "ms"
            ),
        ),
    ),
)
