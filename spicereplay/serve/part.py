"""What one channel of a recorded session has to say to a client, line by line."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from spicereplay.bytestream import Int64Array
from spicereplay.protocol.enums import (
    ChannelType,
    ServerCommon,
    ServerDisplay,
    ServerInputs,
    ServerMain,
)
from spicereplay.protocol.messages.common import SubMessage, sub_messages
from spicereplay.session.log import ChannelLog

FIRST_OF_CHANNEL: Final = 101
"""Message types below this are common to all channels."""

SILENT: Final = (
    ChannelType.RECORD,
    ChannelType.TUNNEL,
    ChannelType.SMARTCARD,
    ChannelType.USBREDIR,
    ChannelType.WEBDAV,
)
"""Channels on which only the common messages are played. What else a server says there asks the client for
something: its microphone, its USB devices and cards, its files. A recording must not get these."""

REPLACED: Final = {
    ChannelType.MAIN: (ServerMain.AGENT_TOKEN,),
    ChannelType.INPUTS: (ServerInputs.MOUSE_MOTION_ACK,),
}
"""Answers to what the recorded client sent; this client gets its own."""

UNPLAYED: Final = {
    ChannelType.MAIN: (
        ServerMain.MIGRATE_BEGIN,
        ServerMain.MIGRATE_CANCEL,
        ServerMain.MIGRATE_SWITCH_HOST,
        ServerMain.MIGRATE_END,
        ServerMain.MIGRATE_BEGIN_SEAMLESS,
        ServerMain.MIGRATE_DST_SEAMLESS_ACK,
        ServerMain.MIGRATE_DST_SEAMLESS_NACK,
    ),
    ChannelType.DISPLAY: (ServerDisplay.GL_SCANOUT_UNIX, ServerDisplay.GL_DRAW),
}
"""What would send the client to the recorded host of a migration, or needs a file descriptor of the server."""
UNPLAYED_COMMON: Final = (
    ServerCommon.MIGRATE,
    ServerCommon.MIGRATE_DATA,
    ServerCommon.DISCONNECTING,
    ServerCommon.BASE_LAST,
)
DEFAULT_WINDOW: Final = 20
"""Window of a SET_ACK that was not recorded. Source: spice server/common-graphics-channel.cpp, CLIENT_ACK_WINDOW."""
ACKNOWLEDGED: Final = (ChannelType.DISPLAY, ChannelType.CURSOR)
"""Channels with an acknowledgement window. Source: spice-wire.md 4.3."""

_SUB_HEADER: Final = struct.Struct("<HI")


class OwnLine(NamedTuple):
    """A message that is not in the recording."""

    type: int
    body: bytes


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """The messages for one channel, in order; `time_ns`, `row`, `type` and `serial` have an entry for each.

    A message of the recording stays where it lies until it is sent.
    """

    channel: ChannelType
    channel_id: int
    log: ChannelLog | None
    """None: nothing of this channel was recorded."""
    time_ns: Int64Array
    """Capture time; never falls."""
    row: Int64Array
    """Row of the log's `server` index; -1 - i for `own[i]`."""
    type: npt.NDArray[np.uint16]
    serial: Int64Array
    """Serial number in the recording; 0 for `own` ones."""
    own: tuple[OwnLine, ...] = ()
    opening: int = 0
    """How many of them are sent before the replay's clock starts."""
    left_out: Counter[str] = field(default_factory=Counter)
    """Messages of the recording that are not played, by a phrase that goes on after "messages"."""

    def __len__(self) -> int:
        return len(self.row)

    @property
    def name(self) -> str:
        """The lower-case SPICE name with the id, `display/0`."""
        return f"{self.channel.label}/{self.channel_id}"

    @property
    def key(self) -> tuple[ChannelType, int]:
        """Type and id."""
        return self.channel, self.channel_id

    def body(self, line: int) -> bytes:
        """Return the body of one message as it was recorded."""
        row = int(self.row[line])
        if row < 0:
            return self.own[-1 - row].body
        assert self.log is not None
        return self.log.server.body(row)

    def sent_as(self, recorded_serial: int) -> int:
        """Return the serial number under which this client has had everything up to a recorded serial number.

        Serial numbers count what is sent on a channel, from 1. Source: spice-wire.md 3.
        """
        known = np.flatnonzero((self.serial > 0) & (self.serial <= recorded_serial))
        return int(known[-1]) + 1 if len(known) else 0

    def without(self, lines: npt.NDArray[np.bool_], why: str) -> Part:
        """Return the part less the marked lines."""
        count = int(np.count_nonzero(lines))
        if not count:
            return self
        keep = ~lines
        return replace(
            self,
            time_ns=self.time_ns[keep],
            row=self.row[keep],
            type=self.type[keep],
            serial=self.serial[keep],
            opening=int(np.count_nonzero(keep[: self.opening])),
            left_out=self.left_out + Counter({why: count}),
        )

    def inserted(self, at: int, lines: Sequence[OwnLine]) -> Part:
        """Return the part with own messages before line `at`, at the time of that line."""
        if not lines:
            return self
        n = len(lines)
        time_ns = int(self.time_ns[min(at, len(self) - 1)]) if len(self) else self._start_ns()
        rows = -1 - np.arange(len(self.own), len(self.own) + n)
        return replace(
            self,
            time_ns=np.insert(self.time_ns, at, np.full(n, time_ns)),
            row=np.insert(self.row, at, rows),
            type=np.insert(self.type, at, np.array([line.type for line in lines], np.uint16)),
            serial=np.insert(self.serial, at, np.zeros(n, np.int64)),
            own=(*self.own, *lines),
            opening=self.opening + (n if at < self.opening else 0),
        )

    def opened(self) -> Part:
        """Return the part with `opening` found: up to the first CHANNELS_LIST on main, else the leading SET_ACK."""
        if self.channel is ChannelType.MAIN:
            lists = np.flatnonzero(self.type == ServerMain.CHANNELS_LIST)
            return replace(self, opening=int(lists[0]) + 1 if len(lists) else 0)
        others = np.flatnonzero(self.type != ServerCommon.SET_ACK)
        return replace(self, opening=int(others[0]) if len(others) else len(self))

    def _start_ns(self) -> int:
        return self.log.start_time_ns if self.log is not None else 0


def empty_part(channel: ChannelType, channel_id: int) -> Part:
    """Return the part of a channel of which nothing was recorded."""
    none = np.empty(0, np.int64)
    return Part(channel, channel_id, None, none, none, np.empty(0, np.uint16), none)


def part_of(log: ChannelLog) -> Part:
    """Return what can be played of one recorded channel; its `opening` is not found yet.

    What the server said in answer to the recorded client alone is not in it; what cannot be played is counted in
    `left_out`.
    """
    index = log.server
    rows = np.flatnonzero(~index.sub)
    part = Part(
        log.channel,
        log.channel_id,
        log,
        np.maximum.accumulate(index.time_ns[rows]) if len(rows) else index.time_ns[rows],
        rows.astype(np.int64),
        index.type[rows],
        index.serial[rows],
    )
    part = part.without(np.isin(part.type, REPLACED.get(log.channel, ())), "replaced")
    part.left_out.pop("replaced", None)
    part = part.without(index.partial[part.row], "with bytes missing")
    if log.channel in SILENT:
        part = part.without(part.type >= FIRST_OF_CHANNEL, f"for the client's {_used(log.channel)}")
    for kind in (*UNPLAYED_COMMON, *UNPLAYED.get(log.channel, ())):
        part = part.without(part.type == kind, f"of type {kind.name}")
    if log.channel in ACKNOWLEDGED and not (part.type == ServerCommon.SET_ACK).any():
        part = part.inserted(0, [OwnLine(ServerCommon.SET_ACK, struct.pack("<II", 1, DEFAULT_WINDOW))])
    return part if log.mini_header else _lists_of_their_own(part)


def _used(channel: ChannelType) -> str:
    return {
        ChannelType.RECORD: "microphone",
        ChannelType.SMARTCARD: "smartcards",
        ChannelType.USBREDIR: "USB devices",
        ChannelType.WEBDAV: "files",
    }.get(channel, channel.label)


def _lists_of_their_own(part: Part) -> Part:
    """Put the sub-messages that full headers point to into a LIST before their carrier, as mini headers need it.

    Both forms of header carry a LIST, and sub-messages are handled before their carrier either way. Source:
    spice-wire.md 3.
    """
    assert part.log is not None
    index = part.log.server
    for line in np.flatnonzero(part.row > 0)[::-1].tolist():
        row = int(part.row[line])
        if not index.sub[row - 1]:
            continue
        start = int(index.position[row])
        at = int.from_bytes(index.stream.read(start - 4, start), "little")
        if at:
            body = index.body(row)
            found, _ = sub_messages(body, at)
            part = part.inserted(line, [OwnLine(ServerCommon.LIST, _list_body(body, found))])
    return part


def _list_body(body: bytes, found: Sequence[SubMessage]) -> bytes:
    offset = 2 + 4 * len(found)
    offsets: list[int] = []
    tail = b""
    for sub in found:
        offsets.append(offset + len(tail))
        tail += _SUB_HEADER.pack(sub.type, sub.size) + body[sub.offset : sub.offset + sub.size]
    return struct.pack(f"<H{len(offsets)}I", len(offsets), *offsets) + tail


def in_words(left_out: Counter[str]) -> str:
    """Say what is left out: `11 messages for want of …`; empty where nothing is."""
    return ", ".join(f"{count} message{'' if count == 1 else 's'} {what}" for what, count in left_out.items())
