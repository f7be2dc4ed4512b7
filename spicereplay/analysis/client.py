"""What the client reported, beside what the capture shows. Source: ryll-formats.md 5, ryll-behaviour.md 4, 8."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from spicereplay.analysis.columns import Record, records
from spicereplay.analysis.lives import Seed, codec_name
from spicereplay.bugreport import client_reported as reported
from spicereplay.bugreport.client_reported import ClientSummary, StreamLife, StreamTotals
from spicereplay.protocol import registry
from spicereplay.protocol.enums import ChannelType, Side

if TYPE_CHECKING:
    import pandas as pd

    from spicereplay.analysis.facts import Facts
    from spicereplay.bugreport.report import BugReport

KNOWN_CODECS: Final = frozenset({"mjpeg", "h264"})
"""Codecs the client opens streams for. Source: ryll-behaviour.md 4."""
LIFETIME_TOLERANCE_S: Final = 0.25
"""The client stamps events when its channel task gets to them, a read batch after they arrived."""
DECODE_FACTOR: Final = 3.0
"""Decode times that differ by less are what two machines differ by."""

_EVICTED: Final = "the recording keeps the newest traffic only; the beginning had been dropped"
_HOLES: Final = "the recording has holes on this channel"
_LATER: Final = "the client's counters can lag the recording by one read batch, and go on after it ends"
_CODEC: Final = "the client counts streams in codecs it can decode only (mjpeg, h264)"


def client_reported(reports: Sequence[BugReport], sessions: int = 1) -> pd.DataFrame:
    """Return the table `client_reported`: the newest report's values; private ones are left out.

    They are about the newest of so many `sessions`, which are the client's connections one after the other.
    """
    if not reports:
        return records("client_reported", [])
    return records(
        "client_reported",
        [
            {"session": max(sessions - 1, 0), "member": member, "path": path, "value": value}
            for member, path, value in reported.rows(reports[-1])
        ],
    )


def stream_seeds(reports: Sequence[BugReport]) -> dict[int, Seed]:
    """Return what the newest report says of the streams that were open when it was written, by id."""
    streams = reported.summary(reports[-1]).streams if reports else None
    return {
        stream.stream_id: Seed(codec_name(stream.codec_type), stream.width, stream.height)
        for stream in (streams.active if streams is not None else ())
        if stream.stream_id is not None
        and stream.codec_type is not None
        and stream.width is not None
        and stream.height is not None
    }


@dataclass(frozen=True, slots=True)
class Disagreement:
    """One figure that the client and the capture give differently."""

    what: str
    client: str
    capture: str
    explanation: str = ""


def disagreements(
    reports: Sequence[BugReport], tables: Mapping[str, pd.DataFrame], facts: Facts
) -> pd.DataFrame:
    """Return the table `disagreements` between the newest report and the capture."""
    rows: list[Record] = []
    client = facts.client
    # With several connections in one recording the counters of the newest cannot be told from the others'.
    if reports and client is not None and tables["channels"]["session"].nunique() == 1:
        rows = [
            {
                "session": 0,
                "what": found.what,
                "client_reported": found.client,
                "capture": found.capture,
                "explanation": found.explanation,
            }
            for found in compare(client, tables)
        ]
    return records("disagreements", rows)


def compare(client: ClientSummary, tables: Mapping[str, pd.DataFrame]) -> Iterator[Disagreement]:
    """Yield what the client and the tables give differently; what either does not say is passed over."""
    gaps = tables["gaps"]
    reason = {
        str(channel): _EVICTED if (holes["cause"] == "evicted").any() else _HOLES
        for channel, holes in gaps.groupby("channel", observed=True)
    }
    recorded = {str(channel) for channel in tables["channels"]["channel"].unique()}
    yield from _message_counts(client, tables["messages"], recorded, reason)
    if client.streams is not None and "display" in recorded:
        yield from _streams(client.streams, tables, reason.get("display", ""))
    if client.agent is not None and "main" in recorded:
        yield from _agent(client, tables["agent"], reason.get("main", ""))
    yield from _decode_times(client, tables["frames"])


def _message_counts(
    client: ClientSummary, messages: pd.DataFrame, recorded: set[str], reason: Mapping[str, str]
) -> Iterator[Disagreement]:
    own = messages[~messages["sub"]]
    counts = own.groupby(["channel", "from", "type"], observed=True).size().to_dict()
    for name, traffic in client.traffic.items():
        if name not in recorded:
            continue
        channel = ChannelType.from_label(name)
        for side, said in ((Side.SERVER, traffic.received), (Side.CLIENT, traffic.sent)):
            for kind, told in sorted((said or {}).items()):
                seen = int(counts.get((name, str(side), kind), 0))
                if seen != told:
                    what = f"{name}: {registry.message_name(channel, side, kind)} from {side}"
                    yield Disagreement(what, str(told), str(seen), reason.get(name, _LATER))


def _streams(said: StreamTotals, tables: Mapping[str, pd.DataFrame], reason: str) -> Iterator[Disagreement]:
    streams = tables["streams"]
    strange = streams[~streams["codec"].isin(KNOWN_CODECS)]
    codec_reason = _CODEC if len(strange) else ""
    for what, told, seen, why in (
        ("streams created", said.created, int(streams["seen_create"].sum()), codec_reason),
        ("streams destroyed", said.destroyed, int(streams["destroyed_s"].notna().sum()), codec_reason),
        ("STREAM_REPORTs sent", said.reports_sent, len(tables["reports"]), ""),
        ("stream data without an open stream", said.orphan_frames, 0, _orphan_reason(strange)),
    ):
        if told is not None and told != seen:
            yield Disagreement(what, str(told), str(seen), why or reason or _LATER)
    for life in (*said.ended, *said.active):
        yield from _life(life, streams, reason)


def _orphan_reason(strange: pd.DataFrame) -> str:
    if not len(strange):
        return ""
    codecs = ", ".join(sorted({str(c) for c in strange["codec"].unique()}))
    frames = int(strange["frames"].sum())
    return f"the client has no decoder for {codecs}: {frames} frames of these streams are in the capture"


def _life(life: StreamLife, streams: pd.DataFrame, reason: str) -> Iterator[Disagreement]:
    if life.created_s is None:
        return
    near = streams[
        (streams["stream_id"] == life.stream_id)
        & ((streams["created_s"] - life.created_s).abs() <= LIFETIME_TOLERANCE_S)
    ]
    name = f"stream {life.stream_id} created at {life.created_s:.2f} s"
    if len(near) != 1:
        if not reason:
            yield Disagreement(name, "reported", "not in the capture", _LATER)
        return
    seen = near.iloc[0]
    if life.frames is not None and life.frames != seen["frames"]:
        yield Disagreement(f"{name}: frames", str(life.frames), str(seen["frames"]), reason or _LATER)
    told, shown = life.lifetime_s, float(seen["lifetime_s"])
    if told is not None and abs(told - shown) > LIFETIME_TOLERANCE_S:
        yield Disagreement(f"{name}: lifetime", f"{told:.2f} s", f"{shown:.2f} s", reason)


def _agent(client: ClientSummary, agent: pd.DataFrame, reason: str) -> Iterator[Disagreement]:
    said = client.agent
    assert said is not None
    asked = agent[agent["type"] == "MONITORS_CONFIG"]
    replied = asked[asked["reply_time_s"].notna()]
    for what, told, seen in (
        ("monitor configurations sent to the agent", said.requests, len(asked)),
        ("replies of the agent", said.replies, len(replied)),
    ):
        if told is not None and told != seen:
            yield Disagreement(what, str(told), str(seen), reason or _LATER)
    errors = int((asked["outcome"] == "error").sum())
    if said.errors_written is not None and said.errors_written != errors:
        yield Disagreement(
            "agent replies that report an error",
            str(said.errors_written),
            str(errors),
            "this counter takes every result but 0 for an error, and 1 means success (ryll-formats.md 5.7)",
        )
    lags = asked["lag_ms"].dropna()
    if said.recent_lags_us and len(lags):
        told_ms, seen_ms = max(said.recent_lags_us) / 1e3, float(lags.max())
        if abs(told_ms - seen_ms) > 50 and len(said.recent_lags_us) == len(lags):
            yield Disagreement(
                "longest answer of the agent",
                f"{told_ms:.1f} ms",
                f"{seen_ms:.1f} ms",
                "the client counts from the latest request of a type, not from the one that was answered",
            )


def _decode_times(client: ClientSummary, frames: pd.DataFrame) -> Iterator[Disagreement]:
    for decodes in client.decodes:
        mine = frames[(frames["codec"] == decodes.what) & (frames["outcome"] == "decoded")]
        if decodes.mean_us is None or not len(mine):
            continue
        here = float(np.mean(mine["decode_ms"]))
        told = decodes.mean_us / 1e3
        if max(told, here) > DECODE_FACTOR * min(told, here):
            there = ", ".join(client.backends) or "its decoder"
            backends = ", ".join(sorted({str(b) for b in mine["backend"].unique()}))
            yield Disagreement(
                f"{decodes.what} decode time, mean",
                f"{told:.1f} ms",
                f"{here:.1f} ms",
                f"client: {there} on the client's machine; here: {backends}, one thread, on this machine",
            )
