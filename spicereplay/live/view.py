"""What somebody who watches a session sees, as plain values: events in, a `View` out. Widgets come elsewhere.

Nothing here looks at a clock, draws or waits, and texts are as they came: whoever shows them makes them safe.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from statistics import median
from typing import Final

from spicereplay.client.agent import AgentDiagnostics
from spicereplay.live import events as live
from spicereplay.live.notifications import Notifications, Told
from spicereplay.live.video_light import VideoLight, VideoShown
from spicereplay.protocol.enums import Side
from spicereplay.units import NS_PER_MS, NS_PER_S

HISTORY_S: Final = 60
"""Seconds that the curves reach back. Source: ryll-formats.md 4, `bandwidth_history`."""
MESSAGES: Final = 2000
"""Messages that are remembered for the list."""


@dataclass(frozen=True, slots=True)
class MessageShown:
    """One message that went over the wire."""

    time_ns: int
    side: Side
    channel: str
    """`display/0`"""
    name: str
    """SPICE's own, `STREAM_DATA`."""
    size: int
    """Bytes of the body."""

    @property
    def text(self) -> str:
        """What a filter looks at."""
        return f"{self.channel} {self.name} {self.side.value}".lower()


@dataclass(frozen=True, slots=True)
class MessageFilter:
    """Which messages are listed: those with all of `words` and none of `without` in channel, name or side."""

    words: tuple[str, ...] = ()
    without: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> MessageFilter:
        """Read what somebody types: words, and words with a minus in front that must not occur."""
        words = text.lower().split()
        without = tuple(word[1:] for word in words if word.startswith("-") and len(word) > 1)
        return cls(tuple(word for word in words if not word.startswith("-")), without)

    def passes(self, message: MessageShown) -> bool:
        """Say whether a message is listed."""
        text = message.text
        return all(word in text for word in self.words) and not any(word in text for word in self.without)


EVERYTHING: Final = MessageFilter()


@dataclass(frozen=True, slots=True)
class ChannelShown:
    """One channel that the server has."""

    name: str
    """`display/0`"""
    joined: bool
    secure: bool
    reason: str
    """Why it is not joined, or why it ended."""


@dataclass(frozen=True, slots=True)
class AgentShown:
    """The guest agent."""

    state: str
    """An `AgentState`; empty: not known."""
    lag_ms: float | None
    """Of the last reply; None: none so far."""
    lags_ms: tuple[float, ...]
    """The last ones, oldest first."""
    outstanding: int
    tokens: int
    queued: int
    waiting_s: float | None
    """Since the oldest unanswered talk began: since the last reply, while something is outstanding."""


@dataclass(frozen=True, slots=True)
class RecordingShown:
    """The recording that is made."""

    path: str
    lost_bytes: int
    trouble: str
    """What went wrong last; empty: nothing."""


@dataclass(frozen=True, slots=True)
class FlightShown:
    """The flight recorder."""

    kept_bytes: int
    most_bytes: int
    saved: int
    """Reports written."""
    last: str
    """Name of the last one; empty: none."""
    next_s: float | None
    """Until the next automatic one; None: there are none."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is not told in events and has to be asked for now and then."""

    guest: str = ""
    """The guest's name; empty: not told."""
    agent: AgentDiagnostics | None = None
    recording: RecordingShown | None = None
    """None: nothing is recorded."""
    flight: FlightShown | None = None
    """None: there is none."""


@dataclass(frozen=True, slots=True)
class Curve:
    """A value per second over the last `HISTORY_S` seconds, oldest first; the present second is not in it."""

    values: tuple[float, ...]

    @property
    def last(self) -> float:
        """The newest value."""
        return self.values[-1] if self.values else 0.0

    @property
    def most(self) -> float:
        """The largest value."""
        return max(self.values, default=0.0)


@dataclass(frozen=True, slots=True)
class View:
    """Everything there is to see at one moment."""

    now_ns: int
    began_ns: int
    """Times of lists are shown from here on."""
    place: str
    guest: str
    status: str
    """`connecting`, `connected`, or how it ended."""
    connected: bool
    session_s: float | None
    """Age of the session; None: there is none."""
    video: VideoShown
    bandwidth: Curve
    """Bytes per second from the server, all channels."""
    decoding: Curve
    """The longest decoding of each second, ms."""
    decode_median_ms: float | None
    """Over the same time; None: nothing was decoded."""
    agent: AgentShown
    channels: tuple[ChannelShown, ...]
    messages: tuple[MessageShown, ...]
    """Newest last, filtered."""
    messages_hidden: int
    """Remembered ones that the filter hides."""
    notices: tuple[Told, ...]
    """Newest last."""
    recording: RecordingShown | None
    flight: FlightShown | None


class ViewState:
    """Collects what `view` shows. `place` is the server in words."""

    def __init__(self, place: str, began_ns: int) -> None:
        self._notifications = Notifications()
        self._place = place
        self._began_ns = began_ns
        self._facts = Facts()
        self._light = VideoLight()
        self._status = "connecting"
        self._since_ns: int | None = None
        self._channels: dict[str, ChannelShown] = {}
        self._messages: deque[MessageShown] = deque(maxlen=MESSAGES)
        self._lags_ms: deque[float] = deque(maxlen=HISTORY_S)
        self._received: dict[int, int] = {}
        """Second since the beginning to bytes from the server."""
        self._decoded: dict[int, list[int]] = {}
        """Second since the beginning to how long each decoding took, ns."""
        self._trouble = ""

    # --- what comes in ---------------------------------------------------------------------------------

    def message(self, message: MessageShown, header_bytes: int = 6) -> None:
        """Take in a message that went over the wire."""
        self._messages.append(message)
        if message.side is Side.SERVER:
            second = self._second(message.time_ns)
            self._received[second] = self._received.get(second, 0) + message.size + header_bytes
            self._forget(self._received, second)

    def facts(self, facts: Facts) -> None:
        """Take over what was asked for."""
        self._facts = facts

    def see(self, event: live.Event) -> None:
        """Take in what happened."""
        self._notifications.see(event)
        match event:
            case live.StreamCreated():
                self._light.created(event)
            case live.StreamDestroyed():
                self._light.destroyed(event)
            case live.FrameDecoded():
                self._light.frame(event)
                self._decoding(event)
            case live.ImageDecoded():
                if event.decode_ns:
                    self._decoding(event)
            case live.AgentReply():
                self._lags_ms.append(event.lag_ns / NS_PER_MS)
            case live.RecordingTrouble():
                self._trouble = event.text
            case _:
                self._session(event)

    def _session(self, event: live.Event) -> None:
        match event:
            case live.Linked():
                name = f"{event.channel}/{event.channel_id}"
                self._channels[name] = ChannelShown(name, True, event.secure, "")
            case live.ChannelAbsent() | live.ChannelClosed():
                name = f"{event.channel}/{event.channel_id}"
                self._channels[name] = ChannelShown(name, False, False, event.reason)
            case live.SessionBegan():
                self._status, self._since_ns = "connected", event.time_ns
            case live.Migrated():
                self._place = event.place
            case live.Disconnected():
                self._light.over()
                self._since_ns = None
                again = "" if event.retry_s is None else f", next attempt in {event.retry_s:g} s"
                self._status = f"disconnected{again}"
                self._channels = {
                    name: replace(one, joined=False, reason=one.reason or "the session is over")
                    for name, one in self._channels.items()
                }

    # --- what is seen ----------------------------------------------------------------------------------

    def view(self, now_ns: int, chosen: MessageFilter = EVERYTHING) -> View:
        """Return what there is to see now."""
        shown = tuple(message for message in self._messages if chosen.passes(message))
        present = self._second(now_ns)
        seconds = range(present - HISTORY_S, present)
        decoded = [one for second in seconds for one in self._decoded.get(second, ())]
        recording = self._facts.recording
        if recording is not None and not recording.trouble:
            recording = replace(recording, trouble=self._trouble)
        return View(
            now_ns=now_ns,
            began_ns=self._began_ns,
            place=self._place,
            guest=self._facts.guest,
            status=self._status,
            connected=self._since_ns is not None,
            session_s=None if self._since_ns is None else (now_ns - self._since_ns) / NS_PER_S,
            video=self._light.shown(now_ns),
            bandwidth=Curve(tuple(float(self._received.get(second, 0)) for second in seconds)),
            decoding=Curve(tuple(max(self._decoded.get(s, ()), default=0) / NS_PER_MS for s in seconds)),
            decode_median_ms=median(decoded) / NS_PER_MS if decoded else None,
            agent=self._agent(now_ns),
            channels=tuple(self._channels.values()),
            messages=shown,
            messages_hidden=len(self._messages) - len(shown),
            notices=self._notifications.all(),
            recording=recording,
            flight=self._facts.flight,
        )

    def _agent(self, now_ns: int) -> AgentShown:
        lags, known = tuple(self._lags_ms), self._facts.agent
        lag = lags[-1] if lags else None
        if known is None:
            return AgentShown("", lag, lags, 0, 0, 0, None)
        waiting = None
        if known.outstanding and known.last_reply_ns is not None:
            waiting = (now_ns - known.last_reply_ns) / NS_PER_S
        return AgentShown(
            known.state.value, lag, lags, known.outstanding, known.tokens, known.queued, waiting
        )

    # --- parts -----------------------------------------------------------------------------------------

    def _decoding(self, event: live.FrameDecoded | live.ImageDecoded) -> None:
        second = self._second(event.time_ns)
        self._decoded.setdefault(second, []).append(event.decode_ns)
        self._forget(self._decoded, second)

    def _second(self, time_ns: int) -> int:
        return (time_ns - self._began_ns) // NS_PER_S

    def _forget(self, by_second: dict[int, int] | dict[int, list[int]], newest: int) -> None:
        while by_second and (oldest := next(iter(by_second))) < newest - HISTORY_S - 1:
            del by_second[oldest]
