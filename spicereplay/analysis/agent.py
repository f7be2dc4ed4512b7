"""Which request to the guest agent got which answer, and how long it took.

The agent protocol has no request numbers. The agent works through its records in order, so answers come in the
order of the requests, and a run of requests that were all answered can be paired exactly. Where some of a run were
not (the agent drops a record it does not like in silence), which ones cannot be told, and the table says so.
Source: spice-wire.md 6.3, ryll-behaviour.md 8.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from spicereplay.analysis.agent_records import AgentRecord, AgentTalk
from spicereplay.analysis.columns import records, second
from spicereplay.protocol.agent import record_name
from spicereplay.protocol.enums import AgentResult, AgentType, FileXferResult, Side
from spicereplay.units import NS_PER_MS

if TYPE_CHECKING:
    import pandas as pd

_Key = tuple[int, int]
"""Type of the request, and the number that tells requests of this type apart (0 where there is none)."""

_REPLIED: Final = (AgentType.MONITORS_CONFIG, AgentType.DISPLAY_CONFIG)
"""Requests that a REPLY answers. Source: spice-wire.md 6.3."""
_FILE_FINE: Final = (FileXferResult.CAN_SEND_DATA, FileXferResult.SUCCESS)


@dataclass(slots=True)
class Request:
    """One request and what became of it."""

    time_ns: int
    type: int
    outcome: str = "unanswered"
    reply_ns: int | None = None
    result: int | None = None


@dataclass(slots=True)
class _Run:
    """Requests of one key since none was outstanding, and the answers so far."""

    asked: list[Request] = field(default_factory=list)
    answers: list[tuple[int, int | None]] = field(default_factory=list)
    """Time and result."""


def pair(talk: AgentTalk) -> list[Request]:
    """Return every request of the client, in order of time, with its outcome."""
    runs: dict[_Key, _Run] = {}
    made: list[Request] = []
    ends = [*talk.ends_ns]
    for record in talk.records:
        while ends and ends[0] <= record.time_ns:
            end = ends.pop(0)
            for run in runs.values():
                _settle(run, end, talk.doubtful_ns)
            runs.clear()
        if record.side is Side.CLIENT:
            key = _asks(record)
            if key is not None:
                request = Request(record.time_ns, record.type)
                made.append(request)
                runs.setdefault(key, _Run()).asked.append(request)
            continue
        answered = _answers(record)
        if answered is None:
            continue
        key, result = answered
        run = runs.get(key, _Run())
        if run.asked:
            run.answers.append((record.time_ns, result))
            if len(run.answers) == len(run.asked):
                _settle(run, record.time_ns, ())
    for run in runs.values():
        _settle(run, None, talk.doubtful_ns)
    return made


def _asks(record: AgentRecord) -> _Key | None:
    """Return what a client's record asks for; None where nothing answers it."""
    if record.type in (*_REPLIED, AgentType.CLIPBOARD_REQUEST):
        return record.type, 0
    if record.type == AgentType.ANNOUNCE_CAPABILITIES and record.words[:1] == (1,):
        return record.type, 0
    if record.type == AgentType.FILE_XFER_START and record.words:
        return record.type, record.words[0]
    return None


def _answers(record: AgentRecord) -> tuple[_Key, int | None] | None:
    """Return which request a record of the agent answers, and its result word."""
    words = record.words
    if record.type == AgentType.REPLY and len(words) > 1:
        return (words[0], 0), words[1]
    if record.type == AgentType.CLIPBOARD:
        return (AgentType.CLIPBOARD_REQUEST, 0), None
    if record.type == AgentType.ANNOUNCE_CAPABILITIES and words[:1] == (0,):
        return (AgentType.ANNOUNCE_CAPABILITIES, 0), None
    if record.type == AgentType.FILE_XFER_STATUS and len(words) > 1:
        return (AgentType.FILE_XFER_START, words[0]), words[1]
    return None


def _settle(run: _Run, end_ns: int | None, doubtful_ns: Sequence[int]) -> None:
    """Decide the outcomes of a run at its end: all answered, or the agent or the capture is gone."""
    asked, answers = run.asked, run.answers
    complete = len(asked) == len(answers)
    last_answer = answers[-1][0] if answers else None
    for i, request in enumerate(asked):
        if i < len(answers):
            request.reply_ns, request.result = answers[i]
            request.outcome = _outcome(request.type, request.result) if complete else "ambiguous"
        elif last_answer is not None and request.time_ns <= last_answer:
            request.outcome = "ambiguous"
        else:
            hole = bisect_right(doubtful_ns, request.time_ns)
            lost = hole < len(doubtful_ns) and (end_ns is None or doubtful_ns[hole] <= end_ns)
            request.outcome = "ambiguous" if lost else "unanswered"
    run.asked, run.answers = [], []


def _outcome(kind: int, result: int | None) -> str:
    """Source: spice-wire.md 6.2; success of a REPLY is 1, not 0."""
    if kind in _REPLIED:
        return "answered" if result == AgentResult.SUCCESS else "error"
    if kind == AgentType.FILE_XFER_START:
        return "answered" if result in _FILE_FINE else "error"
    return "answered"


def agent(talks: Sequence[tuple[int, AgentTalk]], origin_ns: int) -> pd.DataFrame:
    """Return the table `agent` of `(session, talk)` pairs."""
    nan = float("nan")
    return records(
        "agent",
        [
            {
                "session": session,
                "time_s": second(request.time_ns, origin_ns),
                "type": record_name(request.type),
                "reply_time_s": second(request.reply_ns, origin_ns),
                "lag_ms": nan
                if request.reply_ns is None
                else (request.reply_ns - request.time_ns) / NS_PER_MS,
                "outcome": request.outcome,
                "result": request.result,
            }
            for session, talk in talks
            for request in pair(talk)
        ],
    )
