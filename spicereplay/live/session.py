"""A live session from the first connection to the last: events, screen, recording, and trying again.

session = LiveSession(target, options)
events = session.subscribe()          # any number, any thread
await session.run()                   # until `stop`, or a `ConnectionFailed`
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Final

from spicereplay.client.agent import AgentDiagnostics
from spicereplay.client.diagnostics import Baseline
from spicereplay.client.display import DisplayClient
from spicereplay.client.inputs import InputsClient
from spicereplay.client.main import MainClient
from spicereplay.client.notices import SERVER, Notice
from spicereplay.client.options import ClientOptions
from spicereplay.display.model import Screen
from spicereplay.display.records import ImageRecord
from spicereplay.errors import AccessDenied, ConnectionFailed, Unreachable, UsageError
from spicereplay.limits import DEFAULT_LIMITS, Limits
from spicereplay.live.clock import Clock
from spicereplay.live.connection import Connection, Watcher
from spicereplay.live.dial import Manner, Wire
from spicereplay.live.events import (
    AgentReply,
    Disconnected,
    Event,
    Flap,
    FrameDecoded,
    ImageDecoded,
    Migrated,
    Noticed,
    RecordingTrouble,
    Subscription,
)
from spicereplay.live.screen import Kept, LiveScreen
from spicereplay.live.streams import LiveStream, Streams
from spicereplay.live.target import Target
from spicereplay.live.visit import Means, Visit
from spicereplay.protocol.enums import ChannelType, NotifySeverity, Side
from spicereplay.protocol.events import MessageSeen
from spicereplay.recording.recorder import Recorder
from spicereplay.replay.order import screen_types
from spicereplay.units import NS_PER_S

RETRIES_S: Final = (1.0, 4.0, 16.0)
"""Seconds before each new attempt after a session was lost."""
STEADY_S: Final = 60.0
"""A session that lasted this long has worked: the attempts are counted anew."""
TROUBLE_S: Final = 0.25
"""How often the recording is asked for trouble."""
_DRAWN: Final = {channel: screen_types(channel) for channel in (ChannelType.DISPLAY, ChannelType.CURSOR)}
_TOLD: Final = (NotifySeverity.WARN, NotifySeverity.ERROR)

WatchBytes = Callable[[ChannelType, int, Wire, int], Watcher]
"""Gets a new connection (channel, id, wire, time in ns); returns who sees its bytes."""
WatchMessages = Callable[[Connection, MessageSeen], None]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a session knows now."""

    time_ns: int
    place: str
    session_id: int
    channels: tuple[tuple[str, Baseline, object], ...]
    """Of every channel joined: its name, what was counted, and the diagnostics of its own kind."""
    streams: tuple[LiveStream, ...]
    agent: AgentDiagnostics | None
    recording_lost_bytes: int | None
    """None: nothing is recorded."""


class LiveSession:
    """One client at work. Nobody who listens can hold it up."""

    def __init__(
        self,
        target: Target,
        options: ClientOptions | None = None,
        *,
        manner: Manner | None = None,
        recorder: Recorder | None = None,
        retries_s: Sequence[float] = RETRIES_S,
        disabled: frozenset[ChannelType] = frozenset(),
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        """Prepare; nothing is connected yet.

        Without `retries_s` the first loss ends it. Closing `recorder` is the caller's.
        """
        self.target = target
        self.clock = Clock()
        self.visits = 0
        """Sessions begun so far: reconnected ones, and those at the target of a migration that is not seamless."""
        self.screen = LiveScreen(limits, self._decoded)
        self.watch_bytes: list[WatchBytes] = []
        """Added to before `run`. They are called where the bytes are, and must return at once."""
        self.watch_messages: list[WatchMessages] = []
        """Likewise, for whole messages of both sides."""
        self._recorder = recorder
        self._retries_s = tuple(retries_s)
        self._subscriptions: list[Subscription] = []
        self._streams = Streams()
        self._visit: Visit | None = None
        self._stopping = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._replies = 0
        self._attempts = 0
        self._means = Means(
            options or ClientOptions(),
            manner or Manner(),
            limits,
            self.clock,
            self._watchers,
            self._message,
            disabled,
        )

    # --- for whoever runs it ---------------------------------------------------------------------------

    async def run(self) -> None:
        """Connect, and stay connected until `stop`.

        Raises a `ConnectionFailed` where the first connection fails, and where a session is lost for good.
        """
        self._loop = asyncio.get_running_loop()
        troubles = self._loop.create_task(self._look_for_trouble())
        visit = Visit(self.target, self._means, self)
        try:
            await self._or_stop(visit.open())
            while not self._stopping.is_set():
                visit = await self._one(visit)
        finally:
            troubles.cancel()
            await asyncio.gather(troubles, return_exceptions=True)
            self._tell_trouble()
            await asyncio.to_thread(self.screen.close)
            for subscription in self._subscriptions:
                subscription.close()

    def stop(self) -> None:
        """End the session in order; `run` returns soon after. From the loop's thread only."""
        self._stopping.set()
        if self._visit is not None:
            self._visit.leave("ended here")

    def subscribe(self, subscription: Subscription | None = None) -> Subscription:
        """Return the events from now on, for one listener; any number can be had."""
        subscription = subscription or Subscription()
        self._subscriptions.append(subscription)
        return subscription

    def snapshot(self) -> Snapshot:
        """Return what is known now. From the loop's thread only."""
        visit = self._visit
        channels: list[tuple[str, Baseline, object]] = []
        agent = None
        for connection in visit.connections.values() if visit is not None else ():
            client = connection.client
            if client is not None:
                own = getattr(client, "diagnostics", None)
                channels.append((connection.name, client.baseline(), own() if callable(own) else None))
            if isinstance(client, MainClient):
                agent = client.agent.diagnostics()
        return Snapshot(
            self.clock.now_ns(),
            self.target.place if visit is None else visit.target.place,
            0 if visit is None else visit.shared.session_id,
            tuple(channels),
            tuple(self._streams.live.values()),
            agent,
            None if self._recorder is None else self._recorder.lost_bytes,
        )

    @property
    def inputs(self) -> InputsClient | None:
        """The inputs channel, to press keys and move the pointer; `send` afterwards. None: not joined."""
        client = None if self._visit is None else self._visit.client(ChannelType.INPUTS)
        return client if isinstance(client, InputsClient) else None

    @property
    def main(self) -> MainClient | None:
        """The main channel; None: not joined."""
        client = None if self._visit is None else self._visit.client(ChannelType.MAIN)
        return client if isinstance(client, MainClient) else None

    def send(self) -> None:
        """Send what clients were asked to send."""
        if self._visit is not None:
            self._visit.send()

    def picture(self, channel_id: int = 0) -> Future[Screen | None]:
        """Ask for what a display shows, when all that has come is drawn."""
        return self.screen.shown(channel_id)

    def kept(self) -> Future[Kept]:
        """Ask what the displays keep of pictures, when all that has come is drawn."""
        return self.screen.kept()

    # --- sessions --------------------------------------------------------------------------------------

    async def _one(self, visit: Visit) -> Visit:
        """Carry out one session; return the next one, opened."""
        self._visit = visit
        self.visits += 1
        self._replies = 0
        self._streams.forget()
        self.screen.begin()
        if self._stopping.is_set():
            await visit.close()
            return visit
        began_ns = self.clock.now_ns()
        ended = await visit.run()
        if self.clock.now_ns() - began_ns > STEADY_S * NS_PER_S:
            self._attempts = 0
        if self._stopping.is_set():
            now = self.clock.now_ns()
            self.tell(Disconnected(time_ns=now, reason=ended.reason, retry_s=None, wanted=True))
            return visit
        if (following := ended.moved_to) is not None:
            place = following.target.place
            self.tell(Migrated(time_ns=self.clock.now_ns(), place=place))
            if not following.connections:
                try:
                    await self._or_stop(following.open())
                except UsageError as error:
                    raise Unreachable(f"the guest cannot be followed: {error}") from None
            return following
        return await self._again(visit.target, ended.reason)

    async def _again(self, target: Target, reason: str) -> Visit:
        """Open a new session at a server that was lost."""
        while self._attempts < len(self._retries_s):
            wait_s = self._retries_s[self._attempts]
            self._attempts += 1
            self.tell(Disconnected(time_ns=self.clock.now_ns(), reason=reason, retry_s=wait_s))
            await self._or_stop(asyncio.sleep(wait_s))
            visit = Visit(target, self._means, self)
            if self._stopping.is_set():
                return visit
            try:
                await self._or_stop(visit.open())
            except AccessDenied:
                raise
            except ConnectionFailed as error:
                reason = str(error)
                continue
            return visit
        self.tell(Disconnected(time_ns=self.clock.now_ns(), reason=reason, retry_s=None))
        place = "" if reason.startswith(target.place) else f"{target.place}: "
        raise ConnectionFailed(f"{place}{reason}")

    async def _or_stop(self, work: object) -> None:
        """Do something, or give it up when the session is to end."""
        doing = asyncio.ensure_future(work)  # type: ignore[call-overload]
        stop = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait((doing, stop), return_when=asyncio.FIRST_COMPLETED)
            if doing.done():
                doing.result()
        finally:
            for task in (doing, stop):
                task.cancel()
            await asyncio.gather(doing, stop, return_exceptions=True)

    # --- what a visit tells ----------------------------------------------------------------------------

    def tell(self, *events: Event) -> None:
        """Pass on what happened. From any thread."""
        if events:
            for subscription in self._subscriptions:
                subscription.put(events)

    def notice(self, notice: Notice) -> None:
        """Pass on what the user must be told; warnings are written into the recording, too."""
        self.tell(
            Noticed(
                time_ns=notice.time_ns,
                severity=notice.severity.name.lower(),
                source=notice.source,
                code=notice.code,
                text=notice.text,
                channel=notice.channel or None,
                channel_id=notice.channel_id if notice.channel else None,
                what=notice.what,
                visibility=notice.visibility.name.lower() if notice.source == SERVER else None,
            )
        )
        if self._recorder is not None and notice.severity in _TOLD:
            self._recorder.comment(f"{notice.source}: {notice.text}", notice.time_ns)

    def main_round(self, main: MainClient, now_ns: int) -> None:
        """Look whether the agent has answered."""
        agent = main.agent.diagnostics()
        if agent.replies > self._replies and agent.last_lag_ns is not None:
            self.tell(AgentReply(time_ns=now_ns, lag_ns=agent.last_lag_ns))
        self._replies = agent.replies

    async def display_round(self) -> None:
        """Judge the streams, and wait while the screen has too much to do."""
        for flap in self._streams.flaps():
            self.tell(flap)
            self._remark(flap)
        await self.screen.room()

    def display_joined(self, channel_id: int) -> None:
        """Take note of a display channel."""
        self.screen.joined(channel_id)

    # --- bytes and messages ----------------------------------------------------------------------------

    def _watchers(self, channel: ChannelType, channel_id: int, wire: Wire, now_ns: int) -> list[Watcher]:
        watchers: list[Watcher] = [new(channel, channel_id, wire, now_ns) for new in self.watch_bytes]
        if self._recorder is not None:
            label = f"{channel.label}/{channel_id}"
            watchers.append(
                self._recorder.connection(wire.client, wire.server, label, now_ns, channel=channel)
            )
        return watchers

    def _message(self, connection: Connection, message: MessageSeen) -> None:
        for watch in self.watch_messages:
            watch(connection, message)
        if message.side is not Side.SERVER:
            return
        channel = connection.channel
        if channel is ChannelType.DISPLAY:
            self.tell(*self._streams.message(connection.channel_id, message))
        if message.type in _DRAWN.get(channel, ()):
            self.screen.draw(channel, connection.channel_id, message)

    def _decoded(self, records: list[ImageRecord]) -> None:
        """Take what was decoded; on the screen's thread."""
        self.tell(*(_event_of(record) for record in records))
        frames = [record for record in records if record.stream_id is not None]
        if frames and self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._note_frames, frames)

    def _note_frames(self, frames: list[ImageRecord]) -> None:
        """Let the displays know how decoding went."""
        now = self.clock.now_ns()
        for record in frames:
            client = (
                None if self._visit is None else self._visit.client(ChannelType.DISPLAY, record.channel_id)
            )
            if isinstance(client, DisplayClient) and record.stream_id is not None:
                client.frame_decoded(
                    record.stream_id,
                    ok=record.decoded,
                    duration_ns=record.decode_ns,
                    backend=record.backend,
                    now_ns=now,
                )

    # --- the recording ---------------------------------------------------------------------------------

    async def _look_for_trouble(self) -> None:
        while True:
            await asyncio.sleep(TROUBLE_S)
            self._tell_trouble()

    def _tell_trouble(self) -> None:
        if self._recorder is not None:
            for trouble in self._recorder.trouble():
                self.tell(
                    RecordingTrouble(
                        time_ns=trouble.time_ns, text=trouble.text, lost_bytes=trouble.lost_bytes
                    )
                )

    def _remark(self, flap: Flap) -> None:
        if self._recorder is not None:
            words = f"{flap.count} streams ended within {flap.window_s:g} s"
            mean = f"{flap.mean_lifetime_s:.2f} s old on average"
            self._recorder.comment(f"display/{flap.channel_id} flaps: {words}, {mean}", flap.time_ns)


def _event_of(record: ImageRecord) -> Event:
    if record.stream_id is not None:
        return FrameDecoded(
            time_ns=record.time_ns,
            channel_id=record.channel_id,
            stream_id=record.stream_id,
            codec=record.codec,
            width=record.width,
            height=record.height,
            size_bytes=record.size_bytes,
            decode_ns=record.decode_ns,
            backend=record.backend,
            ok=record.decoded,
        )
    return ImageDecoded(
        time_ns=record.time_ns,
        channel_id=record.channel_id,
        codec=record.codec,
        width=record.width,
        height=record.height,
        size_bytes=record.size_bytes,
        decode_ns=record.decode_ns,
        backend=record.backend,
        ok=record.decoded,
    )
