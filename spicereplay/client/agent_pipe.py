"""The pipe to the guest agent: records cut into AGENT_DATA, one token each, in both directions.

Source: spice-wire.md 6.1; spice-gtk src/channel-main.c, agent_msg_queue_many and agent_send_msg_queue.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Final, NamedTuple

from spicereplay.limits import DEFAULT_LIMITS
from spicereplay.protocol.agent import AgentAssembler, AgentMessage, slices
from spicereplay.protocol.enums import AgentType, ClientMain
from spicereplay.protocol.messages import main
from spicereplay.protocol.wire import Message
from spicereplay.units import KIB

UNLIMITED: Final = 0xFFFFFFFF
"""A grant that never runs out. Source: spice-wire.md 6.1."""
TOP_UP: Final = 5
"""A grant that can run out is topped up by so many at a time, as spice-server does. Source: spice server/reds.cpp,
REDS_TOKENS_TO_SEND.
"""


LIMITS: Final = replace(DEFAULT_LIMITS, agent_message_bytes=4 * KIB)
"""Records larger than that are followed to their end and not kept: none that is looked at has 100 bytes."""


def _is_heeded(type: int) -> bool:
    return type in (AgentType.ANNOUNCE_CAPABILITIES, AgentType.REPLY)


class _Slice(NamedTuple):
    type: int
    """Type of the record that it belongs to."""
    first: bool
    last: bool
    body: bytes


class AgentPipe:
    """What the agent and the client may send each other, and what waits. It writes with `send`."""

    def __init__(self, send: Callable[[int, Message], None], grant: int) -> None:
        self._send = send
        self._grant = grant
        self._waiting: deque[_Slice] = deque()
        self._assembler = AgentAssembler(keep_data=_is_heeded, limits=LIMITS)
        self._used = 0
        self.open = False
        self.tokens = 0
        """AGENT_DATA that may be sent."""
        self.granted = 0
        """AGENT_DATA that the server may still send; not counted down from `UNLIMITED`."""
        self.overdrawn = 0
        """AGENT_DATA received without a token."""
        self.tokens_received = 0
        self.starved_since_ns: int | None = None
        """Since when something waits without a token; None: nothing does."""

    @property
    def queued(self) -> int:
        """AGENT_DATA that wait for tokens."""
        return len(self._waiting)

    def waits(self, type: int) -> bool:
        """Say whether a record of that type waits for tokens."""
        return any(piece.type == type for piece in self._waiting)

    def start(self, tokens: int | None) -> None:
        """Begin: the agent is there; `tokens` replaces the credit, None leaves it as it is."""
        if tokens is not None:
            self.tokens = tokens
        self.open = True
        self._assembler = AgentAssembler(keep_data=_is_heeded, limits=LIMITS)
        self._used, self.granted = 0, self._grant
        self._send(ClientMain.AGENT_START, main.AgentStart(self._grant))

    def stop(self) -> None:
        """End: the agent is gone.

        Records that wait are forgotten, but one that was begun is completed: the server insists on the rest of it.
        Source: spice server/reds.cpp, reds_reset_vdp; spice-gtk src/channel-main.c, spice_main_channel_reset.
        """
        self.open = False
        begun = []
        for piece in self._waiting:
            if piece.first:
                break
            begun.append(piece)
        self._waiting = deque(begun)
        self.starved_since_ns = None

    def put(self, record: Message, now_ns: int) -> list[int]:
        """Send a record, or as much of it as there are tokens for; return what `credit` returns."""
        pieces = slices(record)
        last = len(pieces) - 1
        self._waiting += (_Slice(record.TYPES[0], i == 0, i == last, body) for i, body in enumerate(pieces))
        return self._flush(now_ns)

    def credit(self, tokens: int, now_ns: int) -> list[int]:
        """Take tokens of the server; return the types of the records whose last slice is sent with them."""
        self.tokens = min(self.tokens + tokens, UNLIMITED)
        self.tokens_received += tokens
        return self._flush(now_ns)

    def take(self, body: bytes, now_ns: int) -> list[AgentMessage]:
        """Take in one AGENT_DATA; return the records that it completes."""
        if self.granted != UNLIMITED:
            self.overdrawn += not self.granted
            self.granted = max(0, self.granted - 1)
            self._used += 1
            lump = min(TOP_UP, self._grant)
            if lump and self._used >= lump:
                self._used -= lump
                self.granted += lump
                self._send(ClientMain.AGENT_TOKEN, main.AgentToken(lump))
        return self._assembler.feed(body, now_ns)

    def _flush(self, now_ns: int) -> list[int]:
        done = []
        while self._waiting and self.tokens:
            piece = self._waiting.popleft()
            self.tokens -= 1
            self._send(ClientMain.AGENT_DATA, main.AgentData(piece.body))
            if piece.last:
                done.append(piece.type)
        if not self._waiting:
            self.starved_since_ns = None
        elif self.starved_since_ns is None:
            self.starved_since_ns = now_ns
        return done
