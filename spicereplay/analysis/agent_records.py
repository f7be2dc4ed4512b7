"""The records that client and guest agent exchanged over the main channel, put together from their slices.

What users copied, typed or sent is looked at no further than pairing needs, and never kept.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from heapq import merge
from typing import TYPE_CHECKING, Final

import numpy as np

from spicereplay.analysis.columns import NEVER, records, second
from spicereplay.defects import DefectLog
from spicereplay.limits import Limits
from spicereplay.protocol.agent import PUBLIC_TYPES, AgentAssembler, record_name
from spicereplay.protocol.enums import AgentType, ChannelType, ClientMain, ServerMain, Side
from spicereplay.session.log import ChannelLog, SessionLog

if TYPE_CHECKING:
    import pandas as pd

_KEPT: Final = PUBLIC_TYPES | {AgentType.FILE_XFER_START}
"""Records whose first words are read; of a FILE_XFER_START only the transfer's number is."""
_DATA: Final = {Side.CLIENT: ClientMain.AGENT_DATA, Side.SERVER: ServerMain.AGENT_DATA}


@dataclass(frozen=True, slots=True)
class AgentRecord:
    """One record, complete at `time_ns`."""

    time_ns: int
    side: Side
    type: int
    size: int
    chunks: int
    words: tuple[int, ...]
    """The first two u32 of its data as far as there are such; empty for private records."""


@dataclass(frozen=True, slots=True)
class AgentTalk:
    """All that passed between client and guest agent on one main channel."""

    records: tuple[AgentRecord, ...]
    """In order of time; at equal times the client's first, because an answer follows its request."""
    ends_ns: tuple[int, ...]
    """When the server said that the agent is gone."""
    doubtful_ns: tuple[int, ...]
    """When bytes of the server are missing: an answer may have been among them; `NEVER` where all of them are."""


def agent_talk(log: ChannelLog, limits: Limits, defects: DefectLog) -> AgentTalk:
    """Return the agent's traffic of one main channel; malformed records become defects."""
    sides = (_records(log, side, limits, defects) for side in (Side.CLIENT, Side.SERVER))
    gone = log.server.time_ns[log.server.rows(ServerMain.AGENT_DISCONNECTED)]
    partial = log.server.time_ns[log.server.partial]
    holes = [gap.time_ns for gap in log.gaps if gap.side is Side.SERVER]
    return AgentTalk(
        records=tuple(merge(*sides, key=lambda record: (record.time_ns, record.side is Side.SERVER))),
        ends_ns=tuple(gone.tolist()),
        doubtful_ns=tuple(
            sorted([*holes, *partial.tolist(), *([NEVER] if Side.SERVER in log.unseen else [])])
        ),
    )


def _records(log: ChannelLog, side: Side, limits: Limits, defects: DefectLog) -> Iterator[AgentRecord]:
    index = log.index(side)
    assembler = AgentAssembler(
        keep_data=_KEPT.__contains__,
        limits=limits,
        defects=defects,
        where=f"{log.name} agent data from {side}",
    )
    if log.link is None and not len(log.server.rows(ServerMain.INIT)):
        assembler.reset()
    holes = sorted(gap.position for gap in log.gaps if gap.side is side)
    passed = 0
    rows = np.flatnonzero(index.type == _DATA[side])
    for row, body in zip(rows.tolist(), index.bodies(rows), strict=True):
        while passed < len(holes) and holes[passed] < index.position[row]:
            passed += 1
            assembler.reset()
        if index.partial[row]:
            assembler.reset()
            continue
        for done in assembler.feed(body, int(index.time_ns[row])):
            yield AgentRecord(
                done.last_time_ns, side, done.type, done.size, done.chunks, _first_words(done.data or b"")
            )


def _first_words(data: bytes) -> tuple[int, ...]:
    count = min(len(data) // 4, 2)
    return struct.unpack_from(f"<{count}I", data)


def agent_messages(talks: Sequence[tuple[int, AgentTalk]], origin_ns: int) -> pd.DataFrame:
    """Return the table `agent_messages` of `(session, talk)` pairs."""
    return records(
        "agent_messages",
        [
            {
                "session": session,
                "time_s": second(record.time_ns, origin_ns),
                "from": str(record.side),
                "type": record_name(record.type),
                "size": record.size,
                "chunks": record.chunks,
            }
            for session, talk in talks
            for record in talk.records
        ],
    )


def talks_of(
    sessions: Sequence[SessionLog], limits: Limits, defects: DefectLog
) -> list[tuple[int, AgentTalk]]:
    """Return `(session, talk)` for every main channel."""
    return [
        (session.number, agent_talk(log, limits, defects))
        for session in sessions
        for log in session.of(ChannelType.MAIN)
    ]
