"""The guest's side of things: its agent, input, sound."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from spicereplay.comparison.material import Material
from spicereplay.comparison.observation import Count, Figure, Observation, Sample, Share
from spicereplay.comparison.quantities.declaration import Quantity


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
    pressed = material.table("input_latency")
    # Where the screen was changing anyway, its next change says nothing about the input.
    pressed = pressed[~pressed["busy"] & pressed["latency_ms"].notna()]
    return {
        str(kind): Sample.of(group["latency_ms"]) for kind, group in pressed.groupby("kind", observed=True)
    }


def _silences(material: Material) -> Mapping[str, Observation]:
    exposure = material.exposure_s("display")
    silent = material.table("display_silence")
    return {"": Count(int((silent["inputs_during"] > 0).sum()), exposure)} if exposure else {}


def _sound_gaps(material: Material) -> Mapping[str, Observation]:
    runs = material.table("sound_runs")
    runs = runs[(runs["channel"] == "playback") & (runs["span_s"] > 0)]
    if not len(runs):
        return {}
    exposure = float(runs["span_s"].sum())
    return {
        "left by the server": Count(int(runs["gaps"].sum()), exposure),
        "on arrival": Count(int(runs["arrival_gaps"].sum()), exposure),
    }


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
        "answer of the screen to input",
        "guest",
        "ms",
        "from a press to the next change of the screen, where it had stood still before; by kind of input",
        "input_latency, capture",
        "presses, over their autocorrelation time",
        "more",
        63,
        10,
        1.3,
        _input_latency,
    ),
    Quantity(
        "silences",
        "screen still in spite of input",
        "guest",
        "1/min",
        "times of a second or more in which keys or buttons were pressed and the screen did not change",
        "display_silence, capture",
        "a time",
        "more",
        59,
        1,
        1.5,
        _silences,
    ),
    Quantity(
        "sound_gaps",
        "gaps in the sound",
        "guest",
        "1/min",
        "silences of 20 ms or more in what the guest plays, per minute of sound",
        "sound_runs, capture",
        "a gap",
        "more",
        69,
        1,
        1.5,
        _sound_gaps,
    ),
)
