"""One channel made neutral: every message on its own, then what has no message."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from spicereplay.analysis.lives import observe_video
from spicereplay.bytestream import ByteStream
from spicereplay.defects import DefectLog
from spicereplay.errors import UsageError
from spicereplay.protocol import registry
from spicereplay.protocol.enums import ChannelType, ServerCommon, ServerDisplay, ServerMain, Side
from spicereplay.protocol.framing import FULL_HEADER_BYTES, MINI_HEADER_BYTES
from spicereplay.protocol.index import MessageIndex
from spicereplay.protocol.messages import display, main, playback, port
from spicereplay.protocol.messages.drawing import DRAW_TYPES
from spicereplay.protocol.wire import Message, build, parse
from spicereplay.recording.script import Lane, lane_of
from spicereplay.redact.broken import keep_image_head, numbers_of
from spicereplay.redact.edits import Edits
from spicereplay.redact.guest_agent import AgentDirection
from spicereplay.redact.link_stage import neutral_link
from spicereplay.redact.messages import PLAIN, REPLACED, Neutral, kept_by_choice, learns
from spicereplay.redact.quiet import TIME_BYTES, silent_packets
from spicereplay.redact.tunnels import neutral_bodies
from spicereplay.redact.video import NeutralVideo
from spicereplay.redact.what import Choices, Kind, Screen, Sound
from spicereplay.session.log import ChannelLog

_TUNNELS: Final = {
    ChannelType.USBREDIR: Kind.USB,
    ChannelType.WEBDAV: Kind.WEBDAV,
    ChannelType.PORT: Kind.PORT,
}


def keeps(channel: ChannelType | int, choices: Choices) -> bool:
    """Whether the user wants to keep what a channel is for: pictures, or sound."""
    if channel in (ChannelType.PLAYBACK, ChannelType.RECORD):
        return choices.sound is Sound.KEEP
    return channel in (ChannelType.DISPLAY, ChannelType.CURSOR) and choices.screen is Screen.KEEP


def learn_names(log: ChannelLog, how: Neutral) -> None:
    """Note the names that a channel's messages tell, so that they are found in all other texts."""
    index = log.server
    for row in np.flatnonzero(~index.partial).tolist():
        cls = registry.message_class(log.channel, Side.SERVER, int(index.type[row]))
        if cls is not None and learns(cls):
            message = parse(cls, index.body(row), limits=how.limits).message
            if message is not None:
                REPLACED[cls][0](how, message)


@dataclass(slots=True)
class ChannelRedaction:
    """Makes one channel neutral in `edits`."""

    log: ChannelLog
    how: Neutral
    edits: Edits
    videos: NeutralVideo
    _frames: Mapping[int, bytes] = field(default_factory=dict)
    _sound: Mapping[int, bytes] = field(default_factory=dict)
    _tunnel: Mapping[tuple[Side, int], bytes] = field(default_factory=dict)

    def run(self, streams: Mapping[Side, ByteStream]) -> dict[Side, list[tuple[int, int]]]:
        """Replace what is private; `streams` are all bytes of both sides, the link stage included.

        Returns which stretches of them belong to the link stage or to messages.
        """
        log, limits, choices = self.log, self.how.limits, self.how.choices
        if log.channel is ChannelType.DISPLAY and choices.screen is not Screen.KEEP:
            self._frames = self.videos.frames(
                observe_video(log, limits, DefectLog()), limits, blurred=choices.screen is Screen.BLUR
            )
        if log.channel in (ChannelType.PLAYBACK, ChannelType.RECORD) and choices.sound is Sound.SILENCE:
            self._sound = silent_packets(log, limits)
        if log.channel in _TUNNELS:
            self._tunnel = neutral_bodies(log, limits)
        covered: dict[Side, list[tuple[int, int]]] = {side: [] for side in Side}
        if log.link is not None:
            for side, new in neutral_link(streams, log.link, limits).items():
                covered[side].append((0, len(new)))
                if self.edits.write(streams[side], 0, new, Kind.TICKETS):
                    self.edits.counts[Kind.TICKETS] += 1
        header = MINI_HEADER_BYTES if log.mini_header else FULL_HEADER_BYTES
        for side in Side:
            lane = lane_of(log, side)
            if log.channel is ChannelType.MAIN:
                self._agent(lane, side)
            else:
                for at in range(len(lane)):
                    self._message(lane, side, at, None)
            starts = lane.index.position[lane.rows] - header
            covered[side] += zip(starts.tolist(), lane.stop.tolist(), strict=True)
        return covered

    def _agent(self, lane: Lane, side: Side) -> None:
        """Go through the main channel with the agent's stream in mind. Source: `analysis.agent_records`."""
        log, index = self.log, lane.index
        agent = AgentDirection(self.how.limits)
        if log.link is None and not len(log.server.rows(ServerMain.INIT)):
            agent.reset()
        holes = sorted(gap.position for gap in log.gaps if gap.side is side)
        for at, row in enumerate(lane.rows.tolist()):
            while holes and holes[0] < index.position[row]:
                holes.pop(0)
                agent.reset()
            self._message(lane, side, at, agent)

    def _message(self, lane: Lane, side: Side, at: int, agent: AgentDirection | None) -> None:
        """Replace what is private in one message of a lane."""
        index = lane.index
        row = int(lane.rows[at])
        kind = int(index.type[row])
        cls = registry.message_class(self.log.channel, side, kind)
        size = int(index.size[row])
        inner = self._inner(index, row)
        if cls is not None and not len(inner):
            if cls in PLAIN and (cls.MAX_SIZE is not None and size <= cls.MAX_SIZE):
                return
            if kept_by_choice(cls, self.how.choices):
                return
        start = int(index.position[row])
        body = bytearray(min(size, int(lane.stop[at]) - start))
        for offset, piece in lane.pieces(at):
            body[offset : offset + len(piece)] = piece
        old = bytes(body)
        new, what = self._neutral(side, row, cls, old, bool(index.partial[row]), agent)
        made = bytearray(new)
        for low, high in self._list_places(index, row, old, kind, len(inner)):
            made[low:high] = old[low:high]
        for sub in inner:
            low = int(index.position[sub]) - start
            high = min(low + int(index.size[sub]), len(old))
            if not 0 <= low <= high:
                continue
            sub_cls = registry.message_class(self.log.channel, side, int(index.type[sub]))
            made[low - MINI_HEADER_BYTES : low] = old[low - MINI_HEADER_BYTES : low]
            made[low:high], _ = self._neutral(side, sub, sub_cls, old[low:high], False, agent)
        if self.edits.write(index.stream, start, bytes(made[: len(old)]), what):
            self.edits.counts[what] += 1

    def _neutral(
        self,
        side: Side,
        row: int,
        cls: type[Message] | None,
        body: bytes,
        partial: bool,
        agent: AgentDirection | None,
    ) -> tuple[bytes, Kind]:
        """Return what the body of one message becomes, and what was in it."""
        if cls is None:
            return bytes(len(body)), Kind.UNREAD
        if cls is main.AgentData:
            assert agent is not None, "only the main channel has such messages"
            if partial:
                agent.reset()
            return agent.pass_on(body)
        if cls in (port.Data, port.CompressedData):
            kind = _TUNNELS.get(self.log.channel, Kind.PORT)
            return self._tunnel.get((side, row), b"").ljust(len(body), b"\0"), kind
        if cls is playback.Data:
            if self.how.choices.sound is Sound.KEEP:
                return body, Kind.SOUND
            return (body[:TIME_BYTES] + self._sound.get(row, b"")).ljust(len(body), b"\0")[
                : len(body)
            ], Kind.SOUND
        if cls in (display.StreamData, display.StreamDataSized):
            if self.how.choices.screen is Screen.KEEP:
                return body, Kind.FRAMES
            head = cls.MIN_SIZE
            return (body[:head] + self._frames.get(row, b"")).ljust(len(body), b"\0")[
                : len(body)
            ], Kind.FRAMES
        draw = self._draw(side, row)
        rule, what = REPLACED.get(cls, (None, Kind.UNREAD))
        parsed = parse(cls, body, limits=self.how.limits)
        if parsed.message is None:
            return numbers_of(body, parsed.problems, draw), what
        if what is Kind.DRAWING and getattr(parsed.message, "src_bitmap", None) is not None:
            what = Kind.IMAGES
        message = parsed.message if rule is None else rule(self.how, parsed.message)
        try:
            new = bytearray(build(message, layout=parsed.layout))
        except UsageError:
            return numbers_of(body, parsed.problems, draw), what
        for problem in parsed.problems:
            # A pointer that leads nowhere is not built; it still has to lead nowhere.
            new[problem.offset : problem.offset + 4] = body[problem.offset : problem.offset + 4]
        if parsed.problems and draw is not None:
            keep_image_head(new, body, draw)
        return bytes(new[: len(body)]), what

    def _draw(self, side: Side, row: int) -> ServerDisplay | None:
        """Return the type of a message that draws, None for all others."""
        if self.log.channel is not ChannelType.DISPLAY or side is not Side.SERVER:
            return None
        kind = int(self.log.server.type[row])
        return ServerDisplay(kind) if kind in DRAW_TYPES else None

    @staticmethod
    def _inner(index: MessageIndex, row: int) -> list[int]:
        """Return the rows of the messages inside a message."""
        found = []
        n = row + 1
        while n < len(index) and index.sub[n] and index.serial[n] == index.serial[row]:
            found.append(n)
            n += 1
        n = row - 1
        while n >= 0 and index.sub[n] and index.serial[n] == index.serial[row]:
            found.append(n)
            n -= 1
        start, stop = int(index.position[row]), int(index.position[row]) + int(index.size[row])
        return [n for n in found if start <= int(index.position[n]) <= stop]

    def _list_places(
        self, index: MessageIndex, row: int, body: bytes, kind: int, count: int
    ) -> Iterator[tuple[int, int]]:
        """Yield where a body holds a list of messages inside it."""
        if not count:
            return
        at = 0
        if kind != ServerCommon.LIST and not self.log.mini_header:
            position = int(index.position[row])
            at = int.from_bytes(index.stream.read(position - 4, position), "little")
        many = int.from_bytes(body[at : at + 2], "little")
        yield at, min(at + 2 + 4 * many, len(body))
