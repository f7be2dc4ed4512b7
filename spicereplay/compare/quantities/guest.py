"""The guest's side of things: its agent, input, sound."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from spicereplay.compare.material import Material
from spicereplay.compare.observation import Count, Figure, Observation, Sample, Share
from spicereplay.compare.quantities.declaration import Quantity

_INPUT_LATENCY: Final = (
    ("input_latency", "latency_ms"),
    ("inputs", "latency_ms"),
    ("inputs", "ack_ms"),
    ("input_latency", "response_ms"),
)
"""Tables and columns that may hold how long the screen or the server took to answer an input."""
_AUDIO_GAPS: Final = (("audio_gaps", "start_s"), ("audio_gaps", "time_s"), ("playback_gaps", "start_s"))
"""Tables and columns that may hold gaps in the sound."""


def _lag(material: Material) -> Mapping[str, Observation]:
    taken = Sample.of(material.table("agent")["lag_ms"])
    return {"": taken} if taken.total else {}


def _unanswered(material: Material) -> Mapping[str, Observation]:
    outcome = material.table("agent")["outcome"]
    told = outcome[outcome != "ambiguous"]
    return {"": Share(float((told == "unanswered").sum()), float(len(told)))} if len(told) else {}


def _starved(material: Material) -> Mapping[str, Observation]:
    starved = material.table("agent_starvation")
    exposure = material.exposure_s("main")
    if not exposure:
        return {}
    return {side: Count(int((starved["from"] == side).sum()), exposure) for side in ("client", "server")}


def _starved_for(material: Material) -> Mapping[str, Observation]:
    starved = material.table("agent_starvation")
    exposure = material.exposure_s("main")
    if not exposure:
        return {}
    return {
        side: Figure(float(starved.loc[starved["from"] == side, "duration_s"].sum()) / exposure)
        for side in ("client", "server")
    }


def _input_latency(material: Material) -> Mapping[str, Observation]:
    for table, name in _INPUT_LATENCY:
        column = material.column(table, name)
        if column is not None and len(taken := Sample.of(column.to_numpy(np.float64)).values):
            return {"": Sample.of(taken)}
    return {}


def _audio_gaps(material: Material) -> Mapping[str, Observation]:
    exposure = material.exposure_s("playback")
    for table, name in _AUDIO_GAPS:
        column = material.column(table, name)
        if column is not None and exposure:
            return {"": Count(int(column.notna().sum()), exposure)}
    return {}


QUANTITIES: Final = (
    Quantity(
        "agent_lag",
        "answers of the guest agent",
        "guest",
        "ms",
        "from a request to the agent to its reply",
        "agent, capture",
        "requests, over their autocorrelation time",
        "more",
        65,
        50,
        1.5,
        _lag,
    ),
    Quantity(
        "agent_unanswered",
        "requests the guest agent did not answer",
        "guest",
        "share",
        "share of requests without a reply, of those whose fate can be told",
        "agent, capture",
        "a request",
        "more",
        67,
        0.1,
        1,
        _unanswered,
    ),
    Quantity(
        "agent_starvation",
        "times without an agent token",
        "guest",
        "1/min",
        "times a side had no token left to send to the agent with, by side",
        "agent_starvation, capture",
        "a time",
        "more",
        54,
        0.5,
        1.5,
        _starved,
    ),
    Quantity(
        "agent_starved",
        "time without an agent token",
        "guest",
        "share",
        "share of the main channel's time in which a side had no agent token, by side",
        "agent_starvation, capture",
        "one figure per session",
        "more",
        55,
        0.02,
        1,
        _starved_for,
    ),
    Quantity(
        "input_latency",
        "answer to input",
        "guest",
        "ms",
        "from an input to what answers it, where the analysis measures that",
        "inputs, capture",
        "inputs, over their autocorrelation time",
        "more",
        63,
        10,
        1.3,
        _input_latency,
    ),
    Quantity(
        "audio_gaps",
        "gaps in the sound",
        "guest",
        "1/min",
        "interruptions of playback, where the analysis measures them",
        "audio_gaps, capture",
        "a gap",
        "more",
        69,
        0.5,
        1.5,
        _audio_gaps,
    ),
)
