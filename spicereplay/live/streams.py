"""The video streams of a live session: when they begin and end, and whether they flap."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from spicereplay.analysis.flaps import DEFAULT_RULE, TOGETHER_S, FlapRule
from spicereplay.live.events import Event, Flap, StreamCreated, StreamDestroyed
from spicereplay.protocol import registry
from spicereplay.protocol.enums import ChannelType, ServerDisplay, Side, VideoCodec
from spicereplay.protocol.events import MessageSeen
from spicereplay.protocol.messages import display
from spicereplay.units import NS_PER_S

_FRAMES: Final = (ServerDisplay.STREAM_DATA, ServerDisplay.STREAM_DATA_SIZED)
_ENDS: Final = (
    ServerDisplay.STREAM_CREATE,
    ServerDisplay.STREAM_DESTROY,
    ServerDisplay.STREAM_DESTROY_ALL,
)


@dataclass(slots=True)
class LiveStream:
    """A stream there is now."""

    channel_id: int
    stream_id: int
    codec: str
    width: int
    height: int
    created_ns: int
    frames: int = 0
    last_frame_ns: int | None = None


def codec_name(codec: int) -> str:
    """Return `mjpeg`, or `codec_9` for a number that the protocol does not define."""
    return VideoCodec(codec).label if codec in VideoCodec.__members__.values() else f"codec_{codec}"


@dataclass(slots=True)
class Streams:
    """The streams of all display channels."""

    rule: FlapRule = DEFAULT_RULE
    live: dict[tuple[int, int], LiveStream] = field(default_factory=dict)
    """By display channel and stream id."""
    _ended: dict[int, deque[tuple[int, float]]] = field(default_factory=dict)
    """Per channel: when streams ended, and how long each lived in seconds, as far back as the rule looks."""
    _judged: dict[int, int] = field(default_factory=dict)
    _flapped: dict[int, int] = field(default_factory=dict)

    def message(self, channel_id: int, message: MessageSeen) -> list[Event]:
        """Take in a message of the server; return what it begins or ends."""
        if message.type in _FRAMES:
            stream = self.live.get((channel_id, int.from_bytes(message.body[:4], "little")))
            if stream is not None:
                stream.frames += 1
                stream.last_frame_ns = message.time_ns
            return []
        if message.type not in _ENDS:
            return []
        parsed = registry.parse_message(ChannelType.DISPLAY, Side.SERVER, message.type, message.body).message
        match parsed:
            case display.StreamCreate():
                return self._create(channel_id, parsed, message.time_ns)
            case display.StreamDestroy():
                return list(self._end(channel_id, parsed.id, message.time_ns))
            case display.StreamDestroyAll():
                ids = [stream_id for channel, stream_id in sorted(self.live) if channel == channel_id]
                return [event for one in ids for event in self._end(channel_id, one, message.time_ns)]
        return []

    def flaps(self) -> list[Flap]:
        """Judge what has ended since the last call. Call it when all messages of one instant are in."""
        found: list[Flap] = []
        for channel_id, ended in self._ended.items():
            if ended and ended[-1][0] != self._judged.get(channel_id):
                self._judged[channel_id] = ended[-1][0]
                flap = self._judge(channel_id, ended)
                if flap is not None:
                    found.append(flap)
        return found

    def forget(self) -> None:
        """Begin a new session: its streams are others."""
        self.live.clear()
        self._ended.clear()

    def _create(self, channel_id: int, create: display.StreamCreate, time_ns: int) -> list[Event]:
        if (channel_id, create.id) in self.live:
            return []
        codec = codec_name(int(create.codec_type))
        self.live[channel_id, create.id] = LiveStream(
            channel_id, create.id, codec, create.stream_width, create.stream_height, time_ns
        )
        return [
            StreamCreated(
                time_ns=time_ns,
                channel_id=channel_id,
                stream_id=create.id,
                codec=codec,
                width=create.stream_width,
                height=create.stream_height,
                left=create.dest.left,
                top=create.dest.top,
            )
        ]

    def _end(self, channel_id: int, stream_id: int, time_ns: int) -> Iterator[Event]:
        stream = self.live.pop((channel_id, stream_id), None)
        if stream is None:
            return
        lifetime_s = max(0, time_ns - stream.created_ns) / NS_PER_S
        self._ended.setdefault(channel_id, deque()).append((time_ns, lifetime_s))
        yield StreamDestroyed(
            time_ns=time_ns,
            channel_id=channel_id,
            stream_id=stream_id,
            lifetime_s=lifetime_s,
            frames=stream.frames,
        )

    def _judge(self, channel_id: int, ended: deque[tuple[int, float]]) -> Flap | None:
        """Apply the rule at the last end. Source: `analysis.flaps`, of which this is the same for one instant."""
        rule, now = self.rule, ended[-1][0]
        while now - ended[0][0] >= rule.window_s * NS_PER_S:
            ended.popleft()
        count = len(ended)
        mean = sum(lifetime for _, lifetime in ended) / count
        before = self._flapped.get(channel_id)
        if count < rule.min_destroys or mean >= rule.mean_lifetime_s:
            return None
        if before is not None and now - before < rule.cooldown_s * NS_PER_S:
            return None
        self._flapped[channel_id] = now
        times = [time_ns for time_ns, _ in ended]
        apart = sum(b - a > TOGETHER_S * NS_PER_S for a, b in pairwise(times))
        return Flap(
            time_ns=now,
            channel_id=channel_id,
            count=count,
            window_s=rule.window_s,
            mean_lifetime_s=mean,
            instants=1 + apart,
        )
