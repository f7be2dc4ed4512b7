"""Plays one channel's part to one client: what is due, in the client's header form, within its window.

Bytes and times go in, bytes come out. Source: spice-wire.md 3, 4.3, 4.4, 4.5, 5, 6.1, 12; spice
server/red-channel-client.cpp, server/inputs-channel.cpp.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

import numpy as np

from spicereplay.protocol import caps
from spicereplay.protocol.caps import MainCap
from spicereplay.protocol.enums import (
    ChannelType,
    ClientCommon,
    ClientDisplay,
    ClientInputs,
    ClientMain,
    ServerCommon,
    ServerDisplay,
    ServerInputs,
    ServerMain,
)
from spicereplay.protocol.link import Link
from spicereplay.protocol.messages.common import sub_messages
from spicereplay.replay.screens import let_go
from spicereplay.serve.beginning import LATENCY_MS, session_id_set
from spicereplay.serve.client_messages import ClientMessage, ClientMessages
from spicereplay.serve.part import Part
from spicereplay.serve.tempo import PAUSE_NS, Tempo
from spicereplay.units import KIB, NS_PER_MS, NS_PER_US

WINDOWS_AHEAD: Final = 2
"""Unacknowledged messages, in windows, at which sending stops. Source: spice-wire.md 4.3."""
TAKE_BYTES: Final = 256 * KIB
"""At about that many bytes a batch is cut off."""
MOTIONS_PER_ACK: Final = 4
"""Source: spice-wire.md 12; spice server/inputs-channel.cpp, SPICE_INPUT_MOTION_ACK_BUNCH."""
MOST_ANSWERS: Final = 1024
"""Messages of our own that wait for the client to read."""
TOKENS_PER_LUMP: Final = 5
"""Source: spice-wire.md 6.1."""

_MINI: Final = struct.Struct("<HI")
_FULL: Final = struct.Struct("<QHII")
_PING: Final = struct.Struct("<IQ")
_U32: Final = struct.Struct("<I")
_WAIT: Final = struct.Struct("<BBQ")
_FRAMES: Final = (ServerDisplay.STREAM_DATA, ServerDisplay.STREAM_DATA_SIZED)
_FRAME_ENDS: Final = (ServerDisplay.STREAM_CLIP, ServerDisplay.STREAM_DESTROY)
_STAMPS: Final[dict[tuple[ChannelType, int], int]] = {
    (ChannelType.MAIN, ServerMain.MULTI_MEDIA_TIME): 0,
    (ChannelType.DISPLAY, ServerDisplay.STREAM_DATA): 4,
    (ChannelType.DISPLAY, ServerDisplay.STREAM_DATA_SIZED): 4,
}
"""Where in a message the multimedia time lies. Those of sound are played at the recorded speed alone, and are right."""


class Stage(Protocol):
    """What a player must know of the replay that it is part of."""

    session_id: int
    tempo: Tempo
    curtain_ns: int | None
    """When the replay's clock started; None: it has not."""

    def horizon_ns(self) -> int:
        """Capture time up to which messages may be sent where nothing is waited for."""
        ...

    def sent_as(self, channel_type: int, channel_id: int, recorded_serial: int) -> int:
        """Return the serial number that stands for a recorded one on another channel; 0 where it is not there."""
        ...


def net_test_lines(part: Part) -> frozenset[int]:
    """Return the PINGs of main's network test: the one with padding, and the two before with the numbers before."""
    if part.channel is not ChannelType.MAIN:
        return frozenset()
    bodies = [(line, part.body(line)) for line in np.flatnonzero(part.type == ServerCommon.PING).tolist()]
    numbers = {line: int.from_bytes(body[:4], "little") for line, body in bodies}
    padded = [line for line, body in bodies if len(body) > _PING.size]
    return frozenset(
        line
        for line in numbers
        if any(line <= last and numbers[last] - numbers[line] in range(3) for last in padded)
    )


def last_frames(part: Part) -> tuple[frozenset[int], frozenset[int]]:
    """Return the video frames whose picture stays, and the messages that must wait until these are shown.

    No other frame of their stream follows before its clip changes or it ends, which is what must wait; the server
    draws over a stream only where its clip does not reach.
    """
    out: list[int] = []
    ends: list[int] = []
    shown: dict[int, int] = {}
    if part.channel is not ChannelType.DISPLAY:
        return frozenset(), frozenset()
    for line in np.flatnonzero(np.isin(part.type, (*_FRAMES, *_FRAME_ENDS))).tolist():
        number = int.from_bytes(part.body(line)[:4], "little")
        if part.type[line] in _FRAMES:
            shown[number] = line
        elif number in shown:
            out.append(shown.pop(number))
            ends.append(line)
    return frozenset((*out, *shown.values())), frozenset(ends)


@dataclass(slots=True)
class Window:
    """The acknowledgement window of one channel."""

    size: int = 0
    """Messages; 0: there is none."""
    generation: int = 0
    in_step: bool = False
    """The client has answered the latest SET_ACK."""
    unacknowledged: int = 0
    acks: int = 0
    most_unacknowledged: int = 0

    @property
    def closed(self) -> bool:
        """Whether nothing may be sent for now."""
        return bool(self.size) and self.unacknowledged >= WINDOWS_AHEAD * self.size

    def begin(self, size: int) -> int:
        """Begin anew with a SET_ACK; return its generation."""
        self.size = size
        self.generation += 1
        self.in_step = False
        self.unacknowledged = 0
        return self.generation

    def sent(self) -> None:
        """Count one message, other than SET_ACK."""
        if self.size:
            self.unacknowledged += 1
            self.most_unacknowledged = max(self.most_unacknowledged, self.unacknowledged)

    def acknowledged(self) -> None:
        """Count one ACK; one that answers an older SET_ACK does not count."""
        if self.in_step:
            self.acks += 1
            self.unacknowledged = max(0, self.unacknowledged - self.size)


@dataclass(slots=True, eq=False)
class Player:
    """One channel of one client."""

    part: Part
    link: Link
    stage: Stage
    attached_ns: int
    window: Window = field(default_factory=Window)
    messages: int = 0
    """Sent so far; the serial number of the last one."""
    bytes_sent: int = 0
    """Headers included."""
    from_client: int = 0
    """Messages received."""
    round_trips_ns: list[int] = field(default_factory=list)
    """Of each PING that was answered."""
    greeted: bool = False
    """The client has said what lets the server go on: ATTACH_CHANNELS, DISPLAY_INIT."""
    display_init: ClientMessage | None = None
    _next: int = 0
    _extra: deque[tuple[int, bytes]] = field(default_factory=deque)
    _incoming: ClientMessages = field(init=False)
    _pings: dict[tuple[int, int], int] = field(default_factory=dict)
    _agent_credit: int = 0
    _agent_waiting: deque[int] = field(default_factory=deque)
    _agent_dropped: int = 0
    _agent_received: int = 0
    _motions: int = 0
    _modifiers: int | None = None
    _net_test: frozenset[int] = frozenset()
    _last_frames: frozenset[int] = frozenset()
    _frame_ends: frozenset[int] = frozenset()
    _shown_ns: int = 0
    """When the last frames that were sent will have been shown."""
    _released: int = 0

    def __post_init__(self) -> None:
        self._net_test = net_test_lines(self.part)
        if self.stage.tempo.speed is None:
            self._last_frames, self._frame_ends = last_frames(self.part)
        self._incoming = ClientMessages(self.link.mini_header)
        self.greeted = self.part.channel not in (ChannelType.MAIN, ChannelType.DISPLAY)

    @property
    def finished(self) -> bool:
        """Whether all of the part was sent, but for agent data that the client gives no tokens for."""
        return self._next >= len(self.part) and not self._extra

    @property
    def unsent(self) -> int:
        """How many messages of the part have not been sent."""
        return len(self.part) - self._next + len(self._agent_waiting) + self._agent_dropped

    @property
    def next_ns(self) -> int | None:
        """Capture time of the next message that is not part of the opening; None: there is none."""
        line = max(self._next, self.part.opening)
        return int(self.part.time_ns[line]) if line < len(self.part) else None

    # --- to the client ---------------------------------------------------------------------------------

    def take(self, now_ns: int) -> bytes:
        """Return what is to be sent now: whole messages, about `TAKE_BYTES` at most."""
        frames: list[bytes] = []
        size = 0
        while size < TAKE_BYTES and not self.window.closed:
            frame = self._next_frame(now_ns)
            if frame is None:
                break
            frames.append(frame)
            size += len(frame)
        self.bytes_sent += size
        return b"".join(frames)

    def due_ns(self) -> int | None:
        """Return when the next message will be due; None where that hangs on what is received."""
        stage, line = self.stage, self._next
        if self.window.closed or line >= len(self.part) or stage.curtain_ns is None or not self.greeted:
            return None
        time_ns = int(self.part.time_ns[line])
        if stage.tempo.speed is None and time_ns > stage.horizon_ns():
            return None
        if line in self._frame_ends:
            return self._shown_ns
        return stage.curtain_ns + stage.tempo.elapsed_at(time_ns)

    def say(self, kind: int, body: bytes) -> None:
        """Send a message of our own as soon as may be; not to a client that reads nothing and asks on and on."""
        if len(self._extra) < MOST_ANSWERS:
            self._extra.append((kind, body))

    def _next_frame(self, now_ns: int) -> bytes | None:
        if self._extra:
            return self._framed(*self._extra.popleft())
        if self._agent_waiting and self._agent_credit > 0:
            self._agent_credit -= 1
            return self._framed(ServerMain.AGENT_DATA, self.part.body(self._agent_waiting.popleft()))
        while self._next < len(self.part) and self._is_due(self._next, now_ns):
            line = self._next
            self._next += 1
            kind = int(self.part.type[line])
            if self.part.channel is ChannelType.MAIN:
                if kind == ServerMain.AGENT_DATA:
                    if self._agent_waiting or self._agent_credit <= 0:
                        self._agent_waiting.append(line)
                        continue
                    self._agent_credit -= 1
                elif kind == ServerMain.AGENT_DISCONNECTED:
                    self._agent_dropped += len(self._agent_waiting)
                    self._agent_waiting.clear()
                    self._agent_credit = 0
            return self._framed(*self._rewritten(line, kind, now_ns))
        return None

    def _is_due(self, line: int, now_ns: int) -> bool:
        part, stage = self.part, self.stage
        if line < part.opening:
            return self.greeted or part.channel is not ChannelType.MAIN or line < part.opening - 1
        if stage.curtain_ns is None or not self.greeted:
            return False
        time_ns = int(part.time_ns[line])
        if stage.tempo.speed is None:
            if line in self._frame_ends and now_ns < self._shown_ns:
                return False
            return time_ns <= stage.horizon_ns()
        return now_ns - stage.curtain_ns >= stage.tempo.elapsed_at(time_ns)

    def _framed(self, kind: int, body: bytes) -> bytes:
        self.messages += 1
        if kind != ServerCommon.SET_ACK:
            self.window.sent()
        if self.link.mini_header:
            return _MINI.pack(kind, len(body)) + body
        return _FULL.pack(self.messages, kind, len(body), 0) + body

    # --- what changes in a recorded message ------------------------------------------------------------

    def _rewritten(self, line: int, kind: int, now_ns: int) -> tuple[int, bytes]:
        """Return type and body of a message as this client gets it; most are as they were recorded."""
        part, stage = self.part, self.stage
        body = part.body(line)
        if part.log is not None and (row := int(part.row[line])) >= 0:
            self._released = let_go(part.log.server, self._released, row)
        match kind:
            case ServerCommon.SET_ACK:
                return kind, _U32.pack(self.window.begin(int.from_bytes(body[4:8], "little"))) + body[4:]
            case ServerCommon.PING:
                return kind, self._ping(line, body, now_ns)
            case ServerCommon.WAIT_FOR_CHANNELS | ServerCommon.LIST:
                return kind, self._renumbered(kind, body)
        if part.channel is ChannelType.DISPLAY and kind == ServerDisplay.INVAL_ALL_PIXMAPS:
            return kind, self._renumbered(kind, body)
        if part.channel is ChannelType.MAIN:
            if kind == ServerMain.INIT:
                return kind, session_id_set(body, stage.session_id)
            words = self.link.client_channel_caps or ()
            if kind == ServerMain.AGENT_CONNECTED_TOKENS and not caps.has(
                words, MainCap.AGENT_CONNECTED_TOKENS
            ):
                return ServerMain.AGENT_CONNECTED, b""
        if part.channel is ChannelType.INPUTS and kind in (ServerInputs.INIT, ServerInputs.KEY_MODIFIERS):
            self._modifiers = int.from_bytes(body[:2], "little")
        at = _STAMPS.get((part.channel, kind))
        if at is not None and not stage.tempo.as_recorded:
            assert stage.curtain_ns is not None, "the opening has no time stamps"
            last = line in self._last_frames
            if last:
                self._shown_ns = now_ns + PAUSE_NS
            recorded = int.from_bytes(body[at : at + 4], "little")
            stamp = stage.tempo.stamp(recorded, now_ns - stage.curtain_ns, last=last)
            body = body[:at] + _U32.pack(stamp) + body[at + 4 :]
        return kind, body

    def _ping(self, line: int, body: bytes, now_ns: int) -> bytes:
        """Return a PING with our own time in place of the recorded one; PINGs of one number stay of one number.

        Ours is the server's clock that the multimedia times belong to; the network test's is in µs, all others' in
        ns. Source: spice-wire.md 4.4.
        """
        stage = self.stage
        since = self.attached_ns if stage.curtain_ns is None else stage.curtain_ns
        clock_ns = (stage.tempo.clock_ms + LATENCY_MS) * NS_PER_MS + now_ns - since
        stamp = clock_ns // NS_PER_US if line in self._net_test else clock_ns
        number = int.from_bytes(body[:4], "little")
        self._pings[number, stamp] = now_ns
        return _PING.pack(number, stamp) + body[_PING.size :]

    def _renumbered(self, kind: int, body: bytes) -> bytes:
        """Return a message that says which serial numbers of other channels to wait for, with this replay's numbers.

        Source: spice-wire.md 4.5, 7.1.
        """
        out = bytearray(body)
        starts = [0] if kind != ServerCommon.LIST else []
        if kind == ServerCommon.LIST:
            waits = (ServerCommon.WAIT_FOR_CHANNELS, ServerDisplay.INVAL_ALL_PIXMAPS)
            starts = [sub.offset for sub in sub_messages(body)[0] if sub.type in waits]
        for start in starts:
            for n in range(out[start] if start < len(out) else 0):
                at = start + 1 + n * _WAIT.size
                if at + _WAIT.size > len(out):
                    break
                channel, channel_id, serial = _WAIT.unpack_from(out, at)
                _WAIT.pack_into(out, at, channel, channel_id, self.stage.sent_as(channel, channel_id, serial))
        return bytes(out)

    # --- from the client -------------------------------------------------------------------------------

    def receive(self, data: bytes, now_ns: int) -> None:
        """Take in what the client sent."""
        for message in self._incoming.receive(data):
            self.from_client += 1
            hear = _HEARD.get((None, message.type)) or _HEARD.get((self.part.channel, message.type))
            if hear is not None:
                hear(self, message, now_ns)

    def _ack_sync(self, message: ClientMessage, now_ns: int) -> None:
        self.window.in_step = message.word() == self.window.generation

    def _ack(self, message: ClientMessage, now_ns: int) -> None:
        self.window.acknowledged()

    def _pong(self, message: ClientMessage, now_ns: int) -> None:
        sent_ns = self._pings.pop((message.word(), message.word(4) | message.word(8) << 32), None)
        if sent_ns is not None:
            self.round_trips_ns.append(now_ns - sent_ns)

    def _greet(self, message: ClientMessage, now_ns: int) -> None:
        self.greeted = True
        if self.part.channel is ChannelType.DISPLAY:
            self.display_init = message

    def _agent_start(self, message: ClientMessage, now_ns: int) -> None:
        self._agent_credit = message.word()

    def _agent_token(self, message: ClientMessage, now_ns: int) -> None:
        self._agent_credit += message.word()

    def _agent_data(self, message: ClientMessage, now_ns: int) -> None:
        """Drop what the client tells the guest's agent, and give it its tokens back, or it would fall silent."""
        self._agent_received += 1
        if self._agent_received % TOKENS_PER_LUMP == 0:
            self.say(ServerMain.AGENT_TOKEN, _U32.pack(TOKENS_PER_LUMP))

    def _motion(self, message: ClientMessage, now_ns: int) -> None:
        self._motions += 1
        if self._motions % MOTIONS_PER_ACK == 0:
            self.say(ServerInputs.MOUSE_MOTION_ACK, b"")

    def _key_modifiers(self, message: ClientMessage, now_ns: int) -> None:
        """Agree to the state of the lock keys that the client wants, or it would ask again and again."""
        wanted = int.from_bytes(message.head[:2], "little")
        if wanted != self._modifiers:
            self._modifiers = wanted
            self.say(ServerInputs.KEY_MODIFIERS, wanted.to_bytes(2, "little"))


_HEARD: Final[dict[tuple[ChannelType | None, int], Callable[[Player, ClientMessage, int], None]]] = {
    (None, ClientCommon.ACK_SYNC): Player._ack_sync,
    (None, ClientCommon.ACK): Player._ack,
    (None, ClientCommon.PONG): Player._pong,
    (ChannelType.MAIN, ClientMain.ATTACH_CHANNELS): Player._greet,
    (ChannelType.MAIN, ClientMain.AGENT_START): Player._agent_start,
    (ChannelType.MAIN, ClientMain.AGENT_TOKEN): Player._agent_token,
    (ChannelType.MAIN, ClientMain.AGENT_DATA): Player._agent_data,
    (ChannelType.DISPLAY, ClientDisplay.INIT): Player._greet,
    (ChannelType.INPUTS, ClientInputs.MOUSE_MOTION): Player._motion,
    (ChannelType.INPUTS, ClientInputs.MOUSE_POSITION): Player._motion,
    (ChannelType.INPUTS, ClientInputs.KEY_MODIFIERS): Player._key_modifiers,
}
"""What is done about a client's message, by channel (None: any) and type; everything else is dropped."""
