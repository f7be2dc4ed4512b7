"""Where two recordings have the same moment: events that every session of a kind goes through."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from spicereplay.comparison.material import Material
from spicereplay.errors import UsageError

START: Final = "start"
MOST_STREAMS: Final = 8
"""Streams of a session that are events."""

EVENTS: Final[Mapping[str, str]] = {
    START: "first packet",
    "main_init": "first MAIN_INIT",
    "surface": "first SURFACE_CREATE",
    "draw": "first drawing message",
    "agent": "first word of the guest agent",
    **{
        f"stream_{n}": "first STREAM_CREATE" if n == 1 else f"STREAM_CREATE number {n}"
        for n in range(1, MOST_STREAMS + 1)
    },
}
"""Events that recordings can be laid over each other by, and what they are."""

_PREFERRED: Final = ("stream_1", "draw", "surface", "main_init")
"""The first of these that all sessions have is what they are aligned on."""


@dataclass(frozen=True, slots=True)
class Alignment:
    """The clocks of all sessions, laid over each other."""

    event: str
    """What is second 0 for all; a key of `EVENTS`."""
    times: Mapping[str, Mapping[str, float]]
    """Per label: event to seconds since the capture's first packet; events that were not seen are left out."""

    def offset_s(self, label: str) -> float:
        """Return the capture time of second 0 for one session."""
        return self.times[label][self.event]


def events(material: Material) -> dict[str, float]:
    """Return when each event was seen, in seconds since the capture's first packet."""
    messages = material.table("messages")
    sent = messages[messages["from"] == "server"]
    name, main, display = sent["name"], sent["channel"] == "main", sent["channel"] == "display"
    drawing = [each for each in name.cat.categories if each.startswith("DRAW_") or each == "COPY_BITS"]
    found = {START: 0.0}
    if material.subject.session is not None:
        found[START] = float(material.table("channels")["start_s"].min())
    for event, which in (
        ("main_init", main & (name == "INIT")),
        ("surface", display & (name == "SURFACE_CREATE")),
        ("draw", display & name.isin(drawing)),
        ("agent", main & name.isin(["AGENT_CONNECTED", "AGENT_CONNECTED_TOKENS", "AGENT_DATA"])),
    ):
        times = sent.loc[which, "time_s"].to_numpy(np.float64)
        if len(times):
            found[event] = float(times.min())
    created = np.sort(material.table("streams")["created_s"].dropna().to_numpy(np.float64))
    found.update({f"stream_{n + 1}": float(at) for n, at in enumerate(created[:MOST_STREAMS])})
    return found


def align(labels: Sequence[str], seen: Sequence[Mapping[str, float]], event: str | None = None) -> Alignment:
    """Lay sessions over each other by `event`, or by the most telling one that all of them have.

    Raises `UsageError` for an event that is unknown or that a session lacks.
    """
    times = dict(zip(labels, seen, strict=True))
    if event is None:
        event = next((e for e in _PREFERRED if all(e in each for each in seen)), START)
    elif event not in EVENTS:
        raise UsageError(f"no event {event!r} to align on; there are {', '.join(EVENTS)}")
    elif lacking := [label for label, each in times.items() if event not in each]:
        raise UsageError(f"{', '.join(lacking)}: {EVENTS[event]} was not seen; align on another event")
    return Alignment(event, times)
