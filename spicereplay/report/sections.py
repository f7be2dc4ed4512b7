"""What stands in each section of the page: tables, figures and the sentences for where there is nothing."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np

from spicereplay.analysis.schema import TABLES
from spicereplay.replay.identify import looks_like
from spicereplay.report.spread import LogAxis
from spicereplay.report.tables import (
    MOST_ROWS,
    Distribution,
    Heading,
    TableView,
    distribution,
    number_heading,
    rows_view,
    text_heading,
    view,
)
from spicereplay.report.text import NONE, number

if TYPE_CHECKING:
    from spicereplay.report.content import ReportContent

FINDINGS: Final = 100
"""Findings written out on the page."""

EVIDENCE: Final = 12
"""Sentences of evidence shown for one finding."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One ranked finding; `time_s` is `None` where it is not at a time."""

    code: str
    severity: str
    title: str
    time_s: float | None
    evidence: list[str]
    more_evidence: int


@dataclass(frozen=True, slots=True)
class LatencyRow:
    """Decode times of one codec and picture size."""

    codec: str
    width: int
    height: int
    backends: str
    undecoded: int
    figures: Distribution


@dataclass(frozen=True, slots=True)
class Latency:
    """Decode times by codec and size, in ms; without rows there is no axis, and `why_empty` says why."""

    rows: list[LatencyRow]
    axis: LogAxis | None
    why_empty: str


def command(content: ReportContent, verb: str, *arguments: str) -> str:
    """Return the command line that lists all of what the page shows a part of."""
    return " ".join(["spicereplay", verb, shlex.quote(content.source_name), *arguments])


def findings(content: ReportContent) -> tuple[list[Finding], int]:
    """Return the findings in their order and how many were left out."""
    table = content.tables["findings"]
    rows = []
    columns = (table[name].iloc[:FINDINGS].tolist() for name in TABLES["findings"].names)
    for code, severity, title, time_s, evidence in zip(*columns, strict=True):
        rows.append(
            Finding(
                str(code),
                str(severity),
                str(title),
                time_s if math.isfinite(time_s) else None,
                [str(e) for e in evidence[:EVIDENCE]],
                max(len(evidence) - EVIDENCE, 0),
            )
        )
    return rows, len(table) - len(rows)


def gaps(content: ReportContent) -> TableView:
    """Return the holes of the capture."""
    return view(
        content.tables["gaps"],
        "gaps",
        ("session", "channel", "channel_id", "from", "time_s", "position", "bytes", "cause", "messages"),
        caption="Bytes that were sent and that the capture does not hold",
        why_empty="No gap was found: no byte is known to be missing.",
        command=command(content, "table", "gaps"),
    )


def unread(content: ReportContent) -> TableView:
    """Return the connections that are no SPICE or cannot be read, and what TCP shows of them, the largest first."""
    rows = []
    for other in sorted(content.others, key=lambda o: -(o["bytes_from_server"] + o["bytes_from_client"])):
        what, detail = looks_like(str(other["what"])), str(other["detail"])
        by_side = ("bytes", "retransmitted_bytes", "zero_windows")
        rows.append(
            [
                str(other["client"]),
                str(other["server"]),
                f"{what}: {detail}" if detail else what,
                number(other["start_s"], 3),
                number(other["start_s"] + other["duration_s"], 3),
                *(
                    number(other[f"{figure}_from_{side}"])
                    for figure in by_side
                    for side in ("server", "client")
                ),
            ]
        )
    again, full = "payload that arrived again", "zero windows: how often it said that it takes nothing now"
    return rows_view(
        "unread",
        (
            text_heading("client", "client"),
            text_heading("server", "server"),
            text_heading("what", "looks like", wrapped=True),
            number_heading("start_s", "start", "s"),
            number_heading("end_s", "end", "s"),
            number_heading("bytes_from_server", "from server", "bytes"),
            number_heading("bytes_from_client", "from client", "bytes"),
            number_heading("retransmitted_bytes_from_server", "sent again by server", "bytes", again),
            number_heading("retransmitted_bytes_from_client", "by client", "bytes", again),
            number_heading("zero_windows_from_server", "server had no room", "times", full),
            number_heading("zero_windows_from_client", "client had no room", "times", full),
        ),
        rows,
        caption="Connections that are no SPICE, or whose SPICE cannot be read",
        why_empty="There are none: all connections in the capture are readable SPICE.",
        command=command(content, "info"),
    )


def streams(content: ReportContent) -> list[TableView]:
    """Return the streams, the flap notifications, and the places that were no stream."""
    return [
        view(
            content.tables["streams"],
            "streams",
            (
                "session",
                "channel_id",
                "stream_id",
                "codec",
                "width",
                "height",
                "created_s",
                "lifetime_s",
                "end_cause",
                "frames",
                "fps",
                "bytes",
                "longest_gap_s",
                "late_frames",
                "reported_drops",
                "decode_ms_median",
                "decode_ms_p95",
                "decode_failures",
            ),
            caption="Video streams in order of creation",
            why_empty="Neither the creation of a video stream nor a frame of one was seen.",
            command=command(content, "streams"),
        ),
        view(
            content.tables["flaps"],
            "flaps",
            ("session", "channel_id", "time_s", "kind", "count", "window_s", "mean_lifetime_s", "instants"),
            caption="Flaps: streams destroyed soon after one another",
            why_empty="Streams were not destroyed often enough within one window to count as flapping.",
            command=command(content, "table", "flaps"),
        ),
        _regions(content),
    ]


def _regions(content: ReportContent) -> TableView:
    return view(
        content.tables["regions"],
        "regions",
        (
            "session",
            "channel_id",
            "surface_id",
            "left",
            "top",
            "right",
            "bottom",
            "reason",
            "pictures",
            "longest_run",
            "bytes",
            "start_s",
            "end_s",
        ),
        caption="Places painted again and again, and why they became a stream or not",
        why_empty="No place was painted ten times or more with pictures of one box.",
        command=command(content, "table", "regions"),
        most=50,
    )


def latency(content: ReportContent) -> Latency:
    """Return decode times grouped by codec and picture size, on one logarithmic axis."""
    table = content.tables["frames"]
    cost = table["decode_ms"].to_numpy(dtype=np.float64)
    measured = np.isfinite(cost) & (cost >= 0)
    if not measured.any():
        why = (
            "No frame could be decoded, so there is no time to show."
            if len(table)
            else "There are no video frames in the capture, so nothing was decoded."
        )
        return Latency([], None, why)
    axis = LogAxis.around(float(cost[measured].min()), float(cost[measured].max()))
    rows = []
    groups = table.assign(measured=measured).groupby(["codec", "width", "height"], observed=True, sort=True)
    for key, group in groups:
        codec, width, height = cast("tuple[str, int, int]", key)
        values = group.loc[group["measured"], "decode_ms"].to_numpy(dtype=np.float64)
        if not len(values):
            continue
        backends = ", ".join(sorted({str(b) for b in group["backend"].unique() if str(b) not in ("", "nan")}))
        rows.append(
            LatencyRow(
                str(codec),
                int(width),
                int(height),
                backends,
                len(group) - len(values),
                distribution(values, axis.edges),
            )
        )
    rows.sort(key=lambda r: (-r.figures.count, r.codec, r.width, r.height))
    return Latency(rows, axis, "")


def agent(content: ReportContent) -> list[TableView]:
    """Return requests to the guest agent by type, all requests, and the times without a token."""
    table = content.tables["agent"]
    rows = []
    for kind, group in table.groupby("type", observed=True, sort=True):
        outcome = group["outcome"].astype(str)
        lag = group["lag_ms"].to_numpy(dtype=np.float64)
        lag = lag[np.isfinite(lag)]
        figures = np.percentile(lag, (50, 95, 100)).tolist() if len(lag) else [None] * 3
        counts = [int((outcome == o).sum()) for o in ("answered", "error", "unanswered", "ambiguous")]
        rows.append(
            [str(kind), *(number(c) for c in (len(group), *counts)), *(number(f, 2) for f in figures)]
        )
    return [
        rows_view(
            "agent_by_type",
            (
                text_heading("type", "request", "agent message type"),
                number_heading("count", "requests"),
                number_heading("answered", "answered"),
                number_heading("error", "errors", meaning="the reply says that it failed"),
                number_heading("unanswered", "unanswered"),
                number_heading(
                    "ambiguous", "ambiguous", meaning="which request a reply belongs to cannot be told"
                ),
                number_heading("lag_median", "lag median", "ms"),
                number_heading("lag_p95", "lag p95", "ms"),
                number_heading("lag_max", "lag max", "ms"),
            ),
            rows,
            caption="Requests to the guest agent by type",
            why_empty="No request that the guest agent has to answer is in the capture.",
        ),
        view(
            table,
            "agent",
            ("session", "time_s", "type", "reply_time_s", "lag_ms", "outcome", "result"),
            caption="Every request",
            why_empty="No request that the guest agent has to answer is in the capture.",
            command=command(content, "table", "agent"),
        ),
        view(
            content.tables["agent_starvation"],
            "agent_starvation",
            ("session", "from", "start_s", "end_s", "duration_s"),
            caption="Starvation: no agent token left",
            why_empty="Neither side was seen without agent tokens.",
            command=command(content, "table", "agent_starvation"),
        ),
    ]


def channels(content: ReportContent) -> list[TableView]:
    """Return channels, message counts, flow-control stalls, round trips, TCP and capabilities."""
    return [
        view(
            content.tables["channels"],
            "channels",
            (
                "session",
                "channel",
                "channel_id",
                "handshake",
                "start_s",
                "end_s",
                "messages_from_server",
                "messages_from_client",
                "bytes_from_server",
                "bytes_from_client",
                "gaps",
                "missing_bytes",
                "unparsed_bytes",
                "closed_by",
            ),
            caption="Channels",
            why_empty="No channel was found.",
            command=command(content, "info"),
        ),
        _message_counts(content),
        view(
            content.tables["ack_stalls"],
            "ack_stalls",
            (
                "session",
                "channel",
                "channel_id",
                "start_s",
                "end_s",
                "duration_s",
                "window",
                "unacknowledged",
            ),
            caption="Stalls: the server had more than two windows unacknowledged",
            why_empty="No channel had more than two windows of messages unacknowledged.",
            command=command(content, "table", "ack_stalls"),
        ),
        _round_trips(content),
        view(
            content.tables["tcp"],
            "tcp",
            (
                "session",
                "channel",
                "channel_id",
                "from",
                "segments",
                "bytes",
                "retransmitted_segments",
                "retransmitted_bytes",
                "out_of_order",
                "window_stalled_s",
                "rtt_ms_median",
                "rtt_ms_p95",
            ),
            caption="What the TCP headers say",
            why_empty="There are no TCP headers in this input.",
            command=command(content, "table", "tcp"),
        ),
        _capabilities(content.sessions),
    ]


def _message_counts(content: ReportContent) -> TableView:
    table = content.tables["messages"]
    keys = ["session", "channel", "channel_id", "from", "name"]
    rows = []
    if len(table):
        sums = table.groupby(keys, observed=True, sort=True)["size"].agg(["size", "sum", "max"]).reset_index()
        partial = table[table["partial"]].groupby(keys, observed=True).size()
        order = sums.sort_values(["size", *keys], ascending=[False] + [True] * len(keys), kind="stable")
        for row in order.itertuples(index=False, name=None):
            session, channel, channel_id, sender, name, count, total, largest = row
            lost = int(partial.get((session, channel, channel_id, sender, name), 0))
            rows.append(
                [
                    str(session),
                    str(channel),
                    str(channel_id),
                    str(sender),
                    str(name),
                    *(number(int(v)) for v in (count, total, largest, lost)),
                ]
            )
    heads = [
        number_heading("session", "session"),
        text_heading("channel", "channel"),
        number_heading("channel_id", "channel id"),
        text_heading("from", "from"),
        text_heading("name", "message"),
        number_heading("count", "count", "", "sub-messages counted too"),
        number_heading("bytes", "bytes", "bytes", "bodies without their headers"),
        number_heading("largest", "largest", "bytes"),
        number_heading("partial", "partial", "", "bytes of it are missing from the capture"),
    ]
    return _by_session(
        "message_counts",
        heads,
        rows,
        caption="Messages by name",
        why_empty="Not one SPICE message could be read.",
        command=command(content, "messages"),
        most=150,
    )


def _round_trips(content: ReportContent) -> TableView:
    table = content.tables["pings"]
    rows = []
    groups = table.groupby(["session", "channel", "channel_id"], observed=True, sort=True)
    for key, group in groups:
        rtt = group["rtt_ms"].to_numpy(dtype=np.float64)
        rtt = rtt[np.isfinite(rtt)]
        figures = np.percentile(rtt, (50, 95, 100)).tolist() if len(rtt) else [None] * 3
        session, channel, channel_id = cast("tuple[int, str, int]", key)
        counts = (number(len(group)), number(len(group) - len(rtt)))
        rows.append([str(session), str(channel), str(channel_id), *counts, *(number(f, 2) for f in figures)])
    return _by_session(
        "round_trips",
        (
            number_heading("session", "session"),
            text_heading("channel", "channel"),
            number_heading("channel_id", "channel id"),
            number_heading("pings", "pings"),
            number_heading("unanswered", "unanswered", meaning="PINGs whose PONG is not in the capture"),
            number_heading("rtt_median", "median", "ms", "from PING to PONG at the capture point"),
            number_heading("rtt_p95", "p95", "ms"),
            number_heading("rtt_max", "max", "ms"),
        ),
        rows,
        caption="Round trips: PING to PONG",
        why_empty="The server sent no PING.",
        command=command(content, "table", "pings"),
    )


def _capabilities(sessions: Sequence[Mapping[str, Any]]) -> TableView:
    rows = []
    for session in sessions:
        for channel in session.get("channels", ()):
            place = (
                str(session.get("session", 0)),
                f"{channel.get('channel')} {channel.get('channel_id', 0)}",
            )
            for side in ("client", "server"):
                rows.append([*place, side, _listed(channel.get(f"{side}_caps"))])
    return _by_session(
        "capabilities",
        (
            number_heading("session", "session"),
            text_heading("channel", "channel"),
            text_heading("side", "side"),
            text_heading("caps", "capabilities", wrapped=True),
        ),
        rows,
        caption="Capabilities exchanged when linking",
        why_empty="The link stage of no channel is in the capture, so capabilities are unknown.",
    )


def _by_session(
    name: str,
    heads: Sequence[Heading],
    rows: list[list[str]],
    *,
    caption: str,
    why_empty: str,
    command: str = "",
    most: int = MOST_ROWS,
) -> TableView:
    """Return a table whose first column is the session, without it where there is only one to tell apart."""
    if len({row[0] for row in rows}) <= 1:
        heads, rows = heads[1:], [row[1:] for row in rows]
    return rows_view(name, heads, rows, caption=caption, why_empty=why_empty, command=command, most=most)


def _listed(value: object) -> str:
    """Return capabilities as text: a list of names, a mapping to such lists, or nothing."""
    if isinstance(value, Mapping):
        return "; ".join(f"{name}: {_listed(part)}" for name, part in value.items()) or NONE
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(str(v) for v in value) or NONE
    return NONE if value is None else str(value)


def client(content: ReportContent) -> list[TableView]:
    """Return what the client said of itself, where the capture disagrees, and the notifications."""
    heads: tuple[Heading, ...] = (
        text_heading("name", "name", wrapped=True),
        text_heading("value", "value", wrapped=True),
        text_heading("note", "note", wrapped=True),
    )
    groups = [
        rows_view(
            "client_report",
            heads,
            [[str(cell) for cell in row] for row in rows],
            caption=heading,
            why_empty="The client left this part of its report empty.",
            command=command(content, "table", "client_reported"),
            most=200,
        )
        for heading, rows in content.client_report
    ]
    return [
        view(
            content.tables["disagreements"],
            "disagreements",
            ("session", "what", "client_reported", "capture", "explanation"),
            caption="Where the client and the capture disagree",
            why_empty=(
                "No figure of the client differs from the capture."
                if content.client_report
                else "There is no client's report in this input to compare the capture with."
            ),
            command=command(content, "table", "disagreements"),
        ),
        view(
            content.tables["notifications"],
            "notifications",
            ("session", "time_s", "severity", "origin", "source", "message", "count"),
            caption="What server and client told the user",
            why_empty="Neither the server nor the client told the user anything.",
            command=command(content, "table", "notifications"),
        ),
        *groups,
    ]


def defects(content: ReportContent) -> list[TableView]:
    """Return how often each rule was broken, and where."""
    table = content.tables["defects"]
    counts = table["kind"].astype(str).value_counts()
    order = sorted(counts.items(), key=lambda item: (-int(item[1]), str(item[0])))
    return [
        rows_view(
            "defects_by_kind",
            (text_heading("kind", "rule"), number_heading("count", "defects")),
            [[str(kind), number(int(n))] for kind, n in order],
            caption="Rules that the input broke",
            why_empty="No rule was broken: whatever was read could be understood.",
        ),
        view(
            table,
            "defects",
            ("time_s", "kind", "where", "position", "detail"),
            caption="Every defect",
            why_empty="No rule was broken: whatever was read could be understood.",
            command=command(content, "table", "defects"),
        ),
    ]
