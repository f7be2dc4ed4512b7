"""The light that says how video is doing: off, on, just ended, flapping.

Source: ryll-behaviour.md 5. The client it comes from knows the last 16 streams that ended and looks when it draws; here
every stream since the window began counts. Each display channel is judged by itself; the worst light is shown.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum
from itertools import pairwise
from typing import Final

from spicereplay.analysis.flaps import DEFAULT_RULE, TOGETHER_S, FlapRule
from spicereplay.live.events import FrameDecoded, StreamCreated, StreamDestroyed
from spicereplay.units import NS_PER_S

RECENT_NS: Final = 5 * NS_PER_S
"""So long after the last stream the light is amber."""
RATE_NS: Final = 2 * NS_PER_S
"""Frames of that long make up the rate that is shown, of a younger stream those of its life …"""
LEAST_RATE_NS: Final = NS_PER_S // 2
"""… but its first frame does not make it a fast one."""
MOST_ENDED: Final = 4096
"""Ends that are remembered per channel, for the window of the rule."""


class Light(IntEnum):
    """The light, worst last."""

    GREY = 0
    """No video."""
    AMBER = 1
    """The last stream ended less than five seconds ago."""
    GREEN = 2
    """A stream is open."""
    RED = 3
    """Streams are started and stopped over and over."""


@dataclass(frozen=True, slots=True)
class StreamShown:
    """One open stream."""

    channel_id: int
    stream_id: int
    codec: str
    width: int
    height: int
    frames: int
    """Decoded so far."""
    failed: int
    """Not decoded."""
    rate: float
    """Frames per second, lately."""
    age_s: float
    backend: str
    """What decodes it; empty: nothing so far."""


@dataclass(frozen=True, slots=True)
class FlapShown:
    """What the rule found on one channel."""

    channel_id: int
    count: int
    """Streams that ended within the window."""
    window_s: float
    mean_lifetime_s: float
    together: bool
    """They all ended at one moment."""

    @property
    def hint(self) -> str:
        """What it may mean, and what to do."""
        if self.together:
            return "all ended at one moment: parts of one picture, perhaps no flapping at all"
        return "the guest draws too rarely, or the server takes its video for stills"


@dataclass(frozen=True, slots=True)
class VideoShown:
    """The light and what is behind it."""

    light: Light
    streams: tuple[StreamShown, ...]
    """Open ones, by channel and id."""
    ended_s: float | None
    """Seconds since the last stream ended; None: none has."""
    flap: FlapShown | None
    """Not None: the light is red."""


@dataclass(slots=True, eq=False)
class _Open:
    created: StreamCreated
    frames: int = 0
    failed: int = 0
    backend: str = ""
    lately: deque[int] = field(default_factory=lambda: deque(maxlen=512))


class VideoLight:
    """Follows the streams of a session."""

    def __init__(self, rule: FlapRule = DEFAULT_RULE) -> None:
        self._rule = rule
        self._open: dict[tuple[int, int], _Open] = {}
        self._ended: dict[int, deque[tuple[int, float]]] = {}
        """Channel id to `(end, lifetime in s)`, oldest first."""

    def created(self, event: StreamCreated) -> None:
        """Begin a stream; one with the same id is over."""
        self._open[event.channel_id, event.stream_id] = _Open(event)

    def frame(self, event: FrameDecoded) -> None:
        """Count a frame that was decoded, or could not be; of a stream that has ended meanwhile it is no matter."""
        stream = self._open.get((event.channel_id, event.stream_id))
        if stream is None:
            return
        if event.ok:
            stream.frames += 1
            stream.backend = event.backend
            stream.lately.append(event.time_ns)
        else:
            stream.failed += 1

    def destroyed(self, event: StreamDestroyed) -> None:
        """End a stream."""
        self._open.pop((event.channel_id, event.stream_id), None)
        ends = self._ended.setdefault(event.channel_id, deque(maxlen=MOST_ENDED))
        ends.append((event.time_ns, max(0.0, event.lifetime_s)))

    def over(self) -> None:
        """Forget what is open: the session has ended, and the server did not decide that of its streams."""
        self._open.clear()

    def shown(self, now_ns: int) -> VideoShown:
        """Return the light now."""
        ends = [end for channel in self._ended.values() for end, _ in channel if end <= now_ns]
        ended_ns = max(ends, default=None)
        flaps = (self._flap(channel, ended, now_ns) for channel, ended in self._ended.items())
        flap = max((flap for flap in flaps if flap is not None), key=lambda flap: flap.count, default=None)
        if flap is not None:
            light = Light.RED
        elif self._open:
            light = Light.GREEN
        elif ended_ns is not None and ended_ns > now_ns - RECENT_NS:
            light = Light.AMBER
        else:
            light = Light.GREY
        streams = tuple(_shown(self._open[key], now_ns) for key in sorted(self._open))
        ended_s = None if ended_ns is None else (now_ns - ended_ns) / NS_PER_S
        return VideoShown(light, streams, ended_s, flap)

    def _flap(self, channel_id: int, ended: Iterable[tuple[int, float]], now_ns: int) -> FlapShown | None:
        rule = self._rule
        since = now_ns - round(rule.window_s * NS_PER_S)
        inside = [(end, lifetime) for end, lifetime in ended if since < end <= now_ns]
        if len(inside) < rule.min_destroys:
            return None
        mean_s = sum(lifetime for _, lifetime in inside) / len(inside)
        if mean_s >= rule.mean_lifetime_s:
            return None
        apart = any(b[0] - a[0] > TOGETHER_S * NS_PER_S for a, b in pairwise(inside))
        return FlapShown(channel_id, len(inside), rule.window_s, mean_s, not apart)


def _shown(stream: _Open, now_ns: int) -> StreamShown:
    created = stream.created
    age_ns = max(0, now_ns - created.time_ns)
    lately = sum(1 for at in stream.lately if at > now_ns - RATE_NS)
    return StreamShown(
        channel_id=created.channel_id,
        stream_id=created.stream_id,
        codec=created.codec,
        width=created.width,
        height=created.height,
        frames=stream.frames,
        failed=stream.failed,
        rate=lately * NS_PER_S / min(RATE_NS, max(age_ns, LEAST_RATE_NS)),
        age_s=age_ns / NS_PER_S,
        backend=stream.backend,
    )
