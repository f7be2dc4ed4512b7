"""What a live session tells, and how it is listened to without holding the session up."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, fields
from enum import Enum
from typing import Any, ClassVar, Final

MOST_WAITING: Final = 65_536
"""Events that wait for a slow listener; of more, the oldest go."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened; `time_ns` since 1970."""

    kind: ClassVar[str] = ""
    time_ns: int

    def facts(self) -> dict[str, Any]:
        """Return it as values that JSON can hold: `event` first, then the fields."""
        found: dict[str, Any] = {"event": self.kind}
        for one in fields(self):
            value = getattr(self, one.name)
            found[one.name] = value.value if isinstance(value, Enum) else value
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Linked(Event):
    """A channel is joined."""

    kind: ClassVar[str] = "linked"
    channel: str
    channel_id: int
    place: str
    secure: bool
    server_caps: tuple[str, ...]
    """Names of the server's capabilities on that channel."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelAbsent(Event):
    """A channel that the server offers is not joined."""

    kind: ClassVar[str] = "channel_absent"
    channel: str
    channel_id: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelClosed(Event):
    """A channel has ended, and the session goes on without it."""

    kind: ClassVar[str] = "channel_closed"
    channel: str
    channel_id: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionBegan(Event):
    """The server has begun a session."""

    kind: ClassVar[str] = "session_began"
    session_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamCreated(Event):
    """The server has begun a video stream."""

    kind: ClassVar[str] = "stream_created"
    channel_id: int
    stream_id: int
    codec: str
    width: int
    """Of the picture in px."""
    height: int
    left: int
    """Where it lies on its surface."""
    top: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamDestroyed(Event):
    """The server has ended a video stream."""

    kind: ClassVar[str] = "stream_destroyed"
    channel_id: int
    stream_id: int
    lifetime_s: float
    frames: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameDecoded(Event):
    """A frame of a video was decoded, or could not be (`ok`)."""

    kind: ClassVar[str] = "frame"
    channel_id: int
    stream_id: int
    codec: str
    width: int
    height: int
    size_bytes: int
    decode_ns: int
    backend: str
    ok: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageDecoded(Event):
    """An image was decoded, taken from the cache, or could not be had (`ok`)."""

    kind: ClassVar[str] = "image"
    channel_id: int
    codec: str
    width: int
    height: int
    size_bytes: int
    decode_ns: int
    backend: str
    ok: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Flap(Event):
    """Videos are started and stopped over and over; the rule is that of the findings."""

    kind: ClassVar[str] = "flap"
    channel_id: int
    count: int
    window_s: float
    mean_lifetime_s: float
    instants: int
    """Of how many moments the streams' ends are: 1, and they are parts of one picture."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentReply(Event):
    """The guest agent has answered."""

    kind: ClassVar[str] = "agent_reply"
    lag_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Noticed(Event):
    """Something the user must be told; a server's text is as received."""

    kind: ClassVar[str] = "notice"
    severity: str
    source: str
    code: str
    text: str
    channel: str | None = None
    """On which it was said or noticed; None: on none."""
    channel_id: int | None = None
    what: int = 0
    """NOTIFY's own number of what it is about; 0: none, or not of the server."""
    visibility: str | None = None
    """Of a server's notice: `low`, `medium` or `high`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Disconnected(Event):
    """The session has ended."""

    kind: ClassVar[str] = "disconnected"
    reason: str
    retry_s: float | None
    """When it is tried again; None: it is not."""
    wanted: bool = False
    """Somebody here ended it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Migrated(Event):
    """The session goes on at another server."""

    kind: ClassVar[str] = "migrated"
    place: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingTrouble(Event):
    """The recording is not whole."""

    kind: ClassVar[str] = "recording_trouble"
    text: str
    lost_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Screenshot(Event):
    """A picture of the screen was written."""

    kind: ClassVar[str] = "screenshot"
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EventsSkipped(Event):
    """A listener was too slow: it did not get so many events."""

    kind: ClassVar[str] = "events_skipped"
    count: int


class Subscription:
    """The events for one listener, from any thread to any other. Nobody waits for a listener."""

    def __init__(self, most: int = MOST_WAITING) -> None:
        self._waiting: deque[Event] = deque()
        self._most = most
        self._skipped = 0
        self._closed = False
        self._changed = threading.Condition()

    def put(self, events: Iterable[Event]) -> None:
        """Add events; the oldest give way where there are too many."""
        with self._changed:
            self._waiting.extend(events)
            while len(self._waiting) > self._most:
                self._waiting.popleft()
                self._skipped += 1
            self._changed.notify()

    def take(self, timeout_s: float | None = 0.0) -> list[Event] | None:
        """Return what has come, waiting up to `timeout_s` for it (None: without end); None when all is over."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed, timeout_s)
            events = list(self._waiting)
            self._waiting.clear()
            if self._skipped:
                events.insert(0, EventsSkipped(time_ns=events[0].time_ns, count=self._skipped))
                self._skipped = 0
            return events if events or not self._closed else None

    def close(self) -> None:
        """Say that nothing more comes."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
