"""The findings in one sentence, and how far the capture can be trusted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from spicereplay.analysis.facts import Facts
from spicereplay.analysis.finding import Finding, at, plural, rows_of
from spicereplay.markup import cell, severity
from spicereplay.text import LONGEST_TEXT, visible

if TYPE_CHECKING:
    import pandas as pd

Severity = Literal["ok", "info", "warn", "critical"]


MOST_SHOWN: Final = 12
"""Findings that a verdict shows in a notebook; the rest is counted."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the input comes to. `str` gives the sentence; a notebook shows the findings behind it."""

    sentence: str
    severity: Severity
    evidence: tuple[str, ...]
    findings: tuple[Finding, ...] = ()
    """All of them, worst first."""

    def __str__(self) -> str:
        return visible(self.sentence)

    def _repr_html_(self) -> str:
        # The finding that made the sentence is told by it.
        told = [f for f in self.findings if f.evidence == self.evidence and self.sentence.startswith(f.title)]
        others = [found for found in self.findings if found not in told]
        items = [_folded(found, open_=n == 0 and not told) for n, found in enumerate(others[:MOST_SHOWN])]
        left = len(others) - MOST_SHOWN
        more = f"<p>… and {left:,} more</p>" if left > 0 else ""
        title = f"{severity(self.severity)} <b>{cell(self.sentence, LONGEST_TEXT)}</b>"
        return f"<div><p>{title}</p>{_evidence(self.evidence)}{''.join(items)}{more}</div>"


def _folded(found: Finding, *, open_: bool) -> str:
    """Return a finding for a notebook, its evidence folded away or not."""
    when = "" if found.time_s is None else f" <small>at {found.time_s:.3f} s</small>"
    return (
        f"<details{' open' if open_ else ''}><summary>{severity(found.severity)} "
        f"{cell(found.title, LONGEST_TEXT)}{when}</summary>{_evidence(found.evidence)}</details>"
    )


def _evidence(sentences: tuple[str, ...]) -> str:
    items = "".join(f"<li>{cell(sentence, LONGEST_TEXT)}</li>" for sentence in sentences)
    return f"<ul>{items}</ul>" if items else ""


@dataclass(frozen=True, slots=True)
class Note:
    """One thing the capture lacks, and what nobody can know because of it."""

    severity: Severity
    title: str
    consequence: str


_ABOUT_THE_CAPTURE = frozenset(
    {
        "capture_begins_late",
        "capture_incomplete",
        "framing_lost",
        "handshake_missing",
        "large_messages_lost",
        "malformed_input",
        "members_missing",
        "one_direction",
        "recorder_dropped",
        "several_displays_merged",
        "tls_unreadable",
    }
)
"""Findings that say something about the capture and nothing about the session."""

_NOT_ALL_THERE = frozenset(
    {
        "capture_incomplete",
        "large_messages_lost",
        "one_direction",
        "several_displays_merged",
        "tls_unreadable",
    }
)
"""Findings with which no problem is none only as far as the capture goes."""


def judge(findings: pd.DataFrame, tables: Mapping[str, pd.DataFrame], facts: Facts) -> Verdict:
    """Return the verdict that ranked findings come to."""
    about_session = findings[~findings["code"].isin(_ABOUT_THE_CAPTURE)]
    serious = about_session[about_session["severity"].isin(["critical", "warn"])]
    incomplete = bool(findings["code"].isin(_NOT_ALL_THERE).any()) or not len(tables["channels"])
    figures = _figures(tables, facts)
    ranked = tuple(
        Finding(row.code, row.severity, row.title, tuple(row.evidence), at(row.time_s))
        for row in rows_of(findings)
    )
    if not len(serious) and not len(tables["channels"]):
        return Verdict(f"There is no recorded traffic; {_client_figures(facts)}.", "info", (), ranked)
    if not len(serious):
        caution = " as far as the capture goes, which is not all the way" if incomplete else ""
        calm: Severity = "info" if incomplete else "ok"
        return Verdict(f"No problem was found{caution}: {figures}.", calm, (), ranked)
    first = serious.iloc[0]
    rest = len(serious) - 1
    more = f" ({plural(rest, 'further problem')} below)" if rest else ""
    return Verdict(f"{first['title']}{more}.", first["severity"], tuple(first["evidence"]), ranked)


def _client_figures(facts: Facts) -> str:
    """Say in figures what the client reports of a session that was not recorded."""
    client = facts.client
    if client is None:
        return "nothing can be judged"
    parts = [] if client.uptime_s is None else [f"connected for {client.uptime_s:.1f} s"]
    if client.streams is not None and client.streams.created is not None:
        parts.append(plural(client.streams.created, "video stream"))
    parts += [
        f"{decodes.what} decoding {decodes.mean_us / 1e3:.1f} ms a picture"
        for decodes in client.decodes
        if decodes.mean_us is not None
    ]
    return f"the client's own figures show no problem: {', '.join(parts) or 'it reports next to nothing'}"


def _figures(tables: Mapping[str, pd.DataFrame], facts: Facts) -> str:
    """Say in figures what a healthy session held."""
    channels, streams = tables["channels"], tables["streams"]
    parts = [
        f"{plural(channels['session'].nunique(), 'session')} of {facts.duration_s:.1f} s in all, "
        f"{plural(int(channels['messages_from_server'].sum()), 'message')} from the server"
    ]
    if len(streams):
        parts.append(
            f"{plural(len(streams), 'video stream')} with {plural(int(streams['frames'].sum()), 'frame')}"
        )
        decode = streams["decode_ms_median"].dropna()
        if len(decode):
            parts.append(f"decoding takes {_ms(np.median(decode))} a frame here")
    rtt = tables["pings"]["rtt_ms"].dropna()
    if len(rtt):
        parts.append(f"PING to PONG {_ms(rtt.median())}")
    lag = tables["agent"]["lag_ms"].dropna()
    if len(lag):
        parts.append(f"the guest agent answers within {max(lag.max(), 1):.0f} ms")
    return ", ".join(parts)


def _ms(value: float) -> str:
    """Return milliseconds as text; nothing is said to take no time."""
    return f"{value:.1f} ms" if value >= 0.05 else "under 0.1 ms"


def notes(tables: Mapping[str, pd.DataFrame], facts: Facts) -> list[Note]:
    """Return what the capture lacks, worst first; empty where nothing is known to be missing."""
    found: list[Note] = []
    channels, gaps = tables["channels"], tables["gaps"]
    if not len(channels):
        found.append(
            Note(
                "critical",
                "There is no recorded traffic",
                "Only what the client says of itself can be shown.",
            )
        )
    for cause, group in gaps.groupby("cause", observed=True):
        known = int(group["bytes"].fillna(0).sum())
        found.append(
            Note(
                "info" if cause == "evicted" else "warn",
                f"{plural(len(group), 'hole')} ({cause}), {known:,} bytes known to be missing",
                _CONSEQUENCES[str(cause)],
            )
        )
    late = channels[~channels["handshake"]]
    if len(late):
        names = ", ".join(sorted({f"{row.channel}/{row.channel_id}" for row in rows_of(late)}))
        found.append(
            Note(
                "info",
                f"The link stage is not in the capture: {names}",
                "Capabilities are unknown; kind of channel and header were inferred or taken from the file.",
            )
        )
    unparsed = int(channels["unparsed_bytes"].sum())
    if unparsed:
        found.append(
            Note(
                "warn",
                f"{unparsed:,} captured bytes belong to no message",
                "Messages in them are not counted.",
            )
        )
    sealed = sum(unread.what == "tls" for unread in facts.unread)
    if sealed:
        found.append(
            Note(
                "warn",
                f"{plural(sealed, 'TLS connection')} could not be opened",
                "Their contents are unknown; sizes, times and what TCP shows of them are listed, and not counted.",
            )
        )
    if facts.missing_members:
        found.append(
            Note(
                "info",
                f"Files missing from the report: {', '.join(facts.missing_members)}",
                "What they hold is not shown.",
            )
        )
    unseen = tables["streams"]
    unseen = unseen[~unseen["seen_create"]]
    if len(unseen):
        found.append(
            Note(
                "info",
                f"{plural(len(unseen), 'video stream')} began before the capture",
                "Their size and codec are inferred or reported by the client, their lifetimes are unknown.",
            )
        )
    order = ("critical", "warn", "info", "ok")
    return sorted(found, key=lambda note: order.index(note.severity))


_CONSEQUENCES = {
    "not_captured": "Messages in the holes are lost; pictures that depend on them are marked as unknown.",
    "segment_over_snaplen": "Large messages lost their heads in the recorder; the pictures they drew are unknown.",
    "oversize_placeholder": "Large messages were left out by the recorder; the pictures they drew are unknown.",
    "silent": "The recorder dropped bytes without a trace; counters and times around the holes are lower bounds.",
    "evicted": "What came before the beginning is unknown: surfaces, caches, streams that had started.",
}
