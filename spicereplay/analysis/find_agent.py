"""Rules about the guest agent: slow, silent or not reading."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

from spicereplay.analysis.facts import Facts
from spicereplay.analysis.finding import Finding, at, cite, examples, plural, rows_of

if TYPE_CHECKING:
    import pandas as pd

Tables = Mapping[str, "pd.DataFrame"]

SLOW_MS: Final = 1000.0
"""A healthy agent answers in well under 100 ms (ryll-behaviour.md 8); a second is what a user notices."""
STARVED_S: Final = 5.0
"""No token for that long means that the guest does not read (ryll-behaviour.md 8, generation B)."""
_MONITORS_HEAD, _MONITOR = 8, 20
"""Bytes of MONITORS_CONFIG before the monitors, and of each (spice-wire.md 6.2)."""


def agent_slow(tables: Tables, facts: Facts) -> Iterator[Finding]:
    """Find requests whose answer took long; pairs that are only likely do not count."""
    agent = tables["agent"]
    answered = agent[agent["outcome"].isin(["answered", "error"])]
    slow = answered[answered["lag_ms"] >= SLOW_MS]
    if not len(slow):
        yield from _reported_slow(tables, facts)
        return
    worst = float(slow["lag_ms"].max())
    yield Finding(
        "agent_slow",
        "warn",
        f"The guest agent took up to {worst / 1e3:.2f} s to answer",
        (
            cite(
                f"{len(slow)} of {plural(len(answered), 'answered request')} took a second or more", "capture"
            ),
            *(
                cite(sentence, "capture")
                for sentence in examples(
                    [
                        f"{row.type} at {row.time_s:.2f} s was answered after {row.lag_ms / 1e3:.2f} s"
                        for row in rows_of(slow.sort_values("lag_ms", ascending=False))
                    ]
                )
            ),
        ),
        at(float(slow["time_s"].min())),
        "guest agent",
    )


def _reported_slow(tables: Tables, facts: Facts) -> Iterator[Finding]:
    """Take what the client measured itself, where the main channel was not recorded."""
    said = facts.client.agent if facts.client is not None else None
    if said is None or not said.recent_lags_us or (tables["channels"]["channel"] == "main").any():
        return
    worst = max(said.recent_lags_us) / 1e3
    if worst >= SLOW_MS:
        yield Finding(
            "agent_slow",
            "warn",
            f"The guest agent took up to {worst / 1e3:.2f} s to answer",
            (
                cite(
                    f"longest of the last {len(said.recent_lags_us)} answers: {worst / 1e3:.2f} s",
                    "client_reported",
                ),
            ),
            who="guest agent",
        )


def agent_unanswered(tables: Tables, facts: Facts) -> Iterator[Finding]:
    """Find requests without an answer, and the harmless reasons there are for that (spice-wire.md 6.3)."""
    agent = tables["agent"]
    for kind, group in agent.groupby("type", observed=True, sort=True):
        silent = group[group["outcome"] == "unanswered"]
        # The last moment of a capture may simply lie before the answer.
        silent = silent[silent["time_s"] < facts.duration_s - SLOW_MS / 1e3] if facts.duration_s else silent
        if not len(silent):
            continue
        never = not group["reply_time_s"].notna().any()
        alive = agent[(agent["type"] != kind) & (agent["reply_time_s"] > silent["time_s"].min())]
        evidence = [
            cite(f"{len(silent)} of {plural(len(group), f'{kind} request')} got no answer", "capture"),
            *_harmless(str(kind), never, len(alive), _odd_sizes(tables)),
        ]
        usual = kind == "MONITORS_CONFIG" and never
        yield Finding(
            "agent_unanswered",
            "info" if usual else "warn",
            f"The guest agent never answered {kind}; that alone does not mean that it is dead"
            if usual
            else f"The guest agent left {plural(len(silent), f'{kind} request')} unanswered",
            tuple(evidence),
            at(float(silent["time_s"].min())),
            "" if usual else "guest agent",
        )


def _odd_sizes(tables: Tables) -> int:
    """Count the MONITORS_CONFIG records that carry physical sizes: these are not 8 + 20n bytes long."""
    sent = tables["agent_messages"]
    sent = sent[(sent["type"] == "MONITORS_CONFIG") & (sent["from"] == "client")]
    return int(((sent["size"].astype("int64") - _MONITORS_HEAD) % _MONITOR != 0).sum())


def _harmless(kind: str, never: bool, alive: int, odd_sizes: int) -> Iterator[str]:
    if alive:
        yield cite(f"the agent is alive: it answered {plural(alive, 'other request')} afterwards", "capture")
    if kind == "MONITORS_CONFIG" and never:
        yield cite(
            "where the display device handles monitor configurations (QXL) the agent never sees them: nobody answers",
            "inferred",
        )
        if odd_sizes:
            yield cite(
                f"{plural(odd_sizes, 'record')} with physical sizes: agents of spice-vdagent 0.22 and before reject "
                "these "
                "without a word",
                "inferred",
            )


def agent_errors(tables: Tables, facts: Facts) -> Iterator[Finding]:
    """Find answers that report a failure; success of a REPLY is 1."""
    agent = tables["agent"]
    failed = agent[agent["outcome"] == "error"]
    if len(failed):
        yield Finding(
            "agent_error",
            "warn",
            f"The guest agent reported that {plural(len(failed), 'request')} failed",
            tuple(
                cite(s, "capture")
                for s in examples(
                    [f"{row.type} at {row.time_s:.2f} s: result {row.result}" for row in rows_of(failed)]
                )
            ),
            at(float(failed["time_s"].min())),
            "guest agent",
        )


def agent_starved(tables: Tables, facts: Facts) -> Iterator[Finding]:
    """Find a side that could not send to the other for want of tokens."""
    starved = tables["agent_starvation"]
    starved = starved[starved["duration_s"] >= STARVED_S]
    said = facts.client.agent if facts.client is not None else None
    evidence = [
        cite(f"the {sender} had no token for {duration:.1f} s from {start:.2f} s on", "capture")
        for sender, start, duration in zip(
            starved["from"], starved["start_s"], starved["duration_s"], strict=True
        )
    ]
    if said is not None and (said.stalls or said.starved_since_s is not None):
        since = (
            "" if said.starved_since_s is None else f", the present one since {said.starved_since_s:.1f} s"
        )
        evidence.append(cite(f"{plural(said.stalls or 1, 'stall')} of the agent{since}", "client_reported"))
    if evidence:
        yield Finding(
            "agent_starved",
            "warn",
            "The guest agent stopped reading: messages to it had to wait for credit",
            tuple(examples(evidence)),
            at(float(starved["start_s"].min())) if len(starved) else None,
            "guest agent",
        )


RULES: Final = (agent_slow, agent_unanswered, agent_errors, agent_starved)
