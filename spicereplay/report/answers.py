"""How soon the screen answers, and when it does not change: what the page says about them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from spicereplay.report.sections import command
from spicereplay.report.spread import LogAxis
from spicereplay.report.tables import Distribution, TableView, distribution, view
from spicereplay.report.text import number

if TYPE_CHECKING:
    from spicereplay.report.content import ReportContent


FEW: Final = 20
"""Of fewer presses, one in twenty is none: the slowest is told instead of the 95th percentile."""


@dataclass(frozen=True, slots=True)
class AnswerRow:
    """The presses of one kind; `figures` are of those that were answered on a screen that was quiet before."""

    kind: str
    presses: int
    busy: int
    """The screen was changing anyway."""
    unanswered: int
    """The screen did not change any more."""
    figures: Distribution | None


@dataclass(frozen=True, slots=True)
class Answers:
    """How soon the screen answered; without rows `why_empty` says why, without an axis nothing could be measured."""

    rows: list[AnswerRow]
    axis: LogAxis | None
    summary: str
    why_empty: str


def answers(content: ReportContent) -> Answers:
    """Return how soon the screen changed after keys and buttons, by kind."""
    table = content.tables["input_latency"]
    if not len(table):
        typed = len(content.tables["inputs"])
        why = (
            "Nobody pressed a key or a button in the capture."
            if typed
            else "No inputs channel could be read."
        )
        return Answers([], None, "", why)
    latency = table["latency_ms"].to_numpy(np.float64)
    answered = np.isfinite(latency)
    busy = table["busy"].to_numpy(np.bool_)
    measured = latency[answered & ~busy]
    axis = LogAxis.around(float(measured.min()), float(measured.max())) if len(measured) else None
    rows = []
    kind = table["kind"].astype(str).to_numpy()
    for name in sorted(set(kind.tolist()), key=("key", "button", "wheel").index):
        mine = kind == name
        values = latency[mine & answered & ~busy]
        figures = None if axis is None or not len(values) else distribution(values, axis.edges)
        rows.append(
            AnswerRow(
                name,
                int(mine.sum()),
                int((mine & answered & busy).sum()),
                int((mine & ~answered).sum()),
                figures,
            )
        )
    return Answers(rows, axis, _summary(len(table), int((answered & busy).sum()), measured), "")


def _summary(presses: int, busy: int, measured: np.ndarray[tuple[int], np.dtype[np.float64]]) -> str:
    told = f"{number(presses)} {'key or button was' if presses == 1 else 'keys and buttons were'} pressed"
    if busy:
        told += f", {number(busy)} of them while the screen was changing anyway, which says nothing"
    if not len(measured):
        return f"{told}. None of them can be measured."
    count, middle = len(measured), f"{number(float(np.median(measured)))} ms"
    if count == 1:
        return f"{told}. The one that can be measured saw the screen change after {middle}."
    told += f". Of the {number(count)} that can be measured, half saw the screen change within {middle}"
    if count < FEW:
        return f"{told}; the slowest took {number(float(measured.max()))} ms."
    return f"{told}, and 95 of 100 within {number(float(np.percentile(measured, 95)))} ms."


def silences(content: ReportContent) -> TableView:
    """Return the times in which the screen stood still."""
    return view(
        content.tables["display_silence"],
        "display_silence",
        (
            "session",
            "start_s",
            "end_s",
            "duration_s",
            "inputs_during",
            "first_input_s",
            "messages_elsewhere",
            "messages_from_server",
            "agent_messages",
            "holes",
            "ended_by",
        ),
        caption="Times in which the screen stood still: idle or frozen",
        why_empty="The screen never stood still for a second while other messages went to and fro.",
        command=command(content, "table", "display_silence"),
    )
