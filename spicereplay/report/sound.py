"""What the page says of sound, USB devices and shared folders: a section that is there only where they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from spicereplay.report.sections import command
from spicereplay.report.tables import TableView, number_heading, rows_view, text_heading, view
from spicereplay.report.text import number

if TYPE_CHECKING:
    from spicereplay.report.content import ReportContent


def sound(content: ReportContent) -> list[TableView]:
    """Return the tables of this section that have rows."""
    return [table for table in (_runs(content), _usb(content), _webdav(content)) if table.rows]


def _runs(content: ReportContent) -> TableView:
    return view(
        content.tables["sound_runs"],
        "sound_runs",
        (
            *(
                "session",
                "channel",
                "start_s",
                "stop_s",
                "codec",
                "packets",
                "sound_s",
                "gaps",
                "longest_gap_ms",
            ),
            *("arrival_gaps", "longest_arrival_gap_ms", "decode_failures", "peak", "volume_max"),
        ),
        caption="Sound from START to STOP",
        why_empty="No sound was played or recorded.",
        command=command(content, "table", "sound_runs"),
    )


def _usb(content: ReportContent) -> TableView:
    return view(
        content.tables["usbredir"],
        "usbredir",
        (
            *("session", "channel_id", "from", "packet", "count", "bytes", "stalled", "errors"),
            *("answered", "answer_ms_median", "answer_ms_p95", "answer_ms_max"),
        ),
        caption="USB: packets by kind",
        why_empty="No USB device was passed on.",
        command=command(content, "table", "usbredir"),
    )


def _webdav(content: ReportContent) -> TableView:
    """Return the requests to the shared folder by method and what became of them."""
    table = content.tables["webdav"]
    status = table["status"].astype("string").fillna("–")
    rows = []
    for (method, answer, outcome), group in table.groupby(
        [table["method"].astype(str), status, table["outcome"].astype(str)], sort=True
    ):
        took = group["response_ms"].dropna().to_numpy(np.float64)
        figures = np.percentile(took, (50, 95, 100)).tolist() if len(took) else [None] * 3
        sent, received = int(group["request_bytes"].sum()), int(group["response_bytes"].sum())
        counts = (number(n) for n in (len(group), sent, received))
        rows.append([str(method), str(answer), str(outcome), *counts, *(number(f, 2) for f in figures)])
    return rows_view(
        "webdav_by_method",
        (
            text_heading("method", "method"),
            text_heading("status", "status"),
            text_heading("outcome", "outcome"),
            number_heading("count", "requests"),
            number_heading("request_bytes", "asked with", "bytes"),
            number_heading("response_bytes", "answered with", "bytes"),
            number_heading("response_median", "response median", "ms"),
            number_heading("response_p95", "response p95", "ms"),
            number_heading("response_max", "response max", "ms"),
        ),
        rows,
        caption="Shared folder: requests of the guest by method",
        why_empty="The guest asked nothing of the shared folder.",
        command=command(content, "table", "webdav"),
    )
