"""One session at one server: the main channel first, then every channel it offers, until main ends.

Which channels are joined, what they say, and when a guest moves is decided in `spicereplay.client`; here it is
carried out.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol

from spicereplay.client.capabilities import absence
from spicereplay.client.channel import ChannelClient
from spicereplay.client.factory import channel_client
from spicereplay.client.main import SILENT_S, MainClient, Offered
from spicereplay.client.migration import Migration, MigrationKind, MigrationPhase
from spicereplay.client.notices import Notice
from spicereplay.client.options import ClientOptions
from spicereplay.client.shared import Shared
from spicereplay.errors import ConnectionFailed, LinkRefused, SpiceReplayError
from spicereplay.limits import Limits
from spicereplay.live.clock import Clock
from spicereplay.live.connection import Connection, OnMessage, Watcher
from spicereplay.live.dial import Manner, Wire, dial
from spicereplay.live.events import (
    ChannelAbsent,
    ChannelClosed,
    Event,
    Linked,
    Migrated,
    Noticed,
    SessionBegan,
)
from spicereplay.live.linking import link
from spicereplay.live.moving import can_take_over, go_on
from spicereplay.live.target import Target, Transport
from spicereplay.protocol.enums import ChannelType, LinkError, NotifySeverity, Side

TICK_S: Final = 0.05
"""How often what is due is looked for."""
LEAVING_S: Final = 0.5
"""How long a server may take to end its channels when the client leaves."""

Key = tuple[ChannelType, int]
NewWatchers = Callable[[ChannelType, int, Wire, int], list[Watcher]]
"""Gets the channel, its id, the connection and the time; returns who watches it."""


class Company(Protocol):
    """What a visit needs of the session it is part of."""

    def tell(self, *events: Event) -> None:
        """Pass on what happened."""

    def notice(self, notice: Notice) -> None:
        """Pass on what the user must be told."""

    def main_round(self, main: MainClient, now_ns: int) -> None:
        """Look at the main channel after messages."""

    async def display_round(self) -> None:
        """Wait while the screen has too much to do."""

    def display_joined(self, channel_id: int) -> None:
        """Take note of a display channel."""


@dataclass(frozen=True, slots=True)
class Means:
    """What does not change from visit to visit."""

    options: ClientOptions
    manner: Manner
    limits: Limits
    clock: Clock
    watchers: NewWatchers
    on_message: OnMessage
    disabled: frozenset[ChannelType] = frozenset()


@dataclass(frozen=True, slots=True)
class Ended:
    """How a visit ended."""

    reason: str
    moved_to: Visit | None = None
    """Where the guest is now."""


@dataclass(eq=False)
class Visit:
    """One session at one server. `run` is called once; `target` says where."""

    target: Target
    means: Means
    company: Company
    shared: Shared = field(default_factory=Shared)
    arrives: bool = False
    """The guest has moved here: main says so first, and the channels are linked before."""
    connections: dict[Key, Connection] = field(default_factory=dict)
    """Those that are linked."""
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _joining: set[Key] = field(default_factory=set)
    _began: bool = False
    _prepared: Visit | None = None
    _held: dict[Key, Connection] = field(default_factory=dict)
    """At a migration's target: channels that are linked and wait for main's INIT."""
    _over: asyncio.Event = field(default_factory=asyncio.Event)
    _reason: str = ""
    _moved_to: Visit | None = None
    _preparing: bool = False
    _failed: BaseException | None = None

    # --- the whole -------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Link the main channel. Raises `ConnectionFailed`."""
        await self._join(ChannelType.MAIN, 0)

    async def run(self) -> Ended:
        """Carry the session to its end: the server's, a migration's, or `leave`."""
        main = self.connections[ChannelType.MAIN, 0]
        self._begin(main, self._now())
        self._start(self._ticking())
        self._start(self._expecting_init())
        try:
            await self._over.wait()
            if self._failed is not None:
                raise self._failed
            return Ended(self._reason, self._moved_to)
        finally:
            await self._take_leave()
            await self.close()

    def leave(self, reason: str) -> None:
        """End the session."""
        if not self._over.is_set():
            self._reason = reason
            self._over.set()

    async def close(self) -> None:
        """Close what is open, main last."""
        await self._cease()
        for connection in reversed([*self.connections.values(), *self._held.values()]):
            await connection.close()
        if self._prepared is not None and self._prepared is not self._moved_to:
            await self._prepared.close()

    async def _take_leave(self) -> None:
        """Close main, upon which the server ends the other channels in its own order; wait for that.

        A channel that is closed while the server writes to it makes spice-server 0.15.1 warn, and Xspice crash when it
        is the one with sound.
        """
        await self._cease()
        main = self.connections.get((ChannelType.MAIN, 0))
        if main is None or main.closed or self._moved_to is not None:
            return
        await main.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LEAVING_S):
                await asyncio.gather(*(one.hung_up() for one in self.connections.values() if not one.closed))

    async def _cease(self) -> None:
        """Stop listening."""
        tasks = [task for task in self._tasks if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def client(self, channel: ChannelType, channel_id: int = 0) -> ChannelClient | None:
        """Return the state machine of a channel; None where it is not joined."""
        connection = self.connections.get((channel, channel_id))
        return None if connection is None or connection.closed else connection.client

    def send(self) -> None:
        """Send what all clients want to send."""
        for connection in self.connections.values():
            connection.send()

    # --- channels --------------------------------------------------------------------------------------

    async def _join(self, channel: ChannelType, channel_id: int) -> Connection:
        """Connect and link a channel, with TLS if the server asks for it."""
        secure = self.target.secure(channel)
        try:
            connection = await self._linked(channel, channel_id, secure)
        except LinkRefused as error:
            other = self.target.tls_port if error.code == LinkError.NEED_SECURED else self.target.port
            wrong = LinkError.NEED_UNSECURED if secure else LinkError.NEED_SECURED
            if error.code != wrong or other is None:
                raise
            connection = await self._linked(channel, channel_id, not secure)
        self.connections[channel, channel_id] = connection
        return connection

    async def _linked(self, channel: ChannelType, channel_id: int, secure: bool) -> Connection:
        means = self.means
        wire = await dial(self.target, secure=secure, manner=means.manner)
        watchers = means.watchers(channel, channel_id, wire, self._now())
        connection = Connection(
            channel, channel_id, wire, means.clock, means.limits, watchers, means.on_message
        )
        try:
            await link(connection, self.shared.session_id, self.target.password, means.options, means.manner)
        except BaseException:
            await connection.close(Side.SERVER)
            raise
        return connection

    def _begin(self, connection: Connection, now: int) -> None:
        """Let the client of a linked channel begin, with what the server said along with its answer."""
        made = connection.link
        assert made is not None, "the channel is linked"
        client = channel_client(connection.channel, connection.channel_id, self.means.options, self.shared)
        connection.begin(client, now)
        if self.arrives and isinstance(client, MainClient):
            client.take_over(now)
        self.connections[connection.channel, connection.channel_id] = connection
        self.company.tell(
            Linked(
                time_ns=now,
                channel=connection.channel.label,
                channel_id=connection.channel_id,
                place=connection.wire.place,
                secure=connection.wire.secure,
                server_caps=tuple(made.cap_names(Side.SERVER) or ()),
            )
        )
        if connection.channel is ChannelType.DISPLAY:
            self.company.display_joined(connection.channel_id)
        connection.send()
        self._pass_on(client)
        self._start(self._carry(connection))

    async def _carry(self, connection: Connection) -> None:
        """Run one channel; when main ends, so does the session."""
        reason = await connection.run(self._round)
        if self._goes_on(connection):
            await connection.close()
            return
        await connection.close(Side.SERVER)
        if connection.channel is ChannelType.MAIN:
            self.leave(reason)
            return
        self.company.tell(
            ChannelClosed(
                time_ns=self._now(),
                channel=connection.channel.label,
                channel_id=connection.channel_id,
                reason=reason,
            )
        )

    async def _round(self, connection: Connection) -> None:
        client = connection.client
        if client is not None:
            self._pass_on(client)
        if isinstance(client, MainClient):
            self._look_at_main(client)
        if connection.channel is ChannelType.DISPLAY:
            await self.company.display_round()

    def _pass_on(self, client: ChannelClient) -> None:
        for notice in client.notices():
            self.company.notice(notice)

    # --- main ------------------------------------------------------------------------------------------

    def _look_at_main(self, main: MainClient) -> None:
        now = self._now()
        if main.initialised and not self._began:
            self._began = True
            self.company.tell(SessionBegan(time_ns=now, session_id=self.shared.session_id))
            held, self._held = self._held, {}
            for connection in held.values():
                self._begin(connection, now)
        for offered in main.channels_offered():
            self._offered(offered, now)
        self.company.main_round(main, now)
        migration = main.migration
        if migration is None:
            if self._prepared is not None and not self._preparing:
                abandoned, self._prepared = self._prepared, None
                self._start(abandoned.close())
            return
        if migration.phase is MigrationPhase.CONNECT and not self._preparing:
            self._preparing = True
            self._start(self._prepare(main, migration))
        elif migration.phase is MigrationPhase.ENDED:
            self._move(migration)

    def _offered(self, offered: Offered, now: int) -> None:
        number, channel_id = offered.channel, offered.channel_id
        known = ChannelType(number) if number in ChannelType.__members__.values() else None
        reason = absence(number, self.means.options)
        if known in self.means.disabled:
            reason = "it is switched off"
        if known is None or reason is not None:
            name = f"type_{number}" if known is None else known.label
            self.company.tell(
                ChannelAbsent(time_ns=now, channel=name, channel_id=channel_id, reason=reason or "")
            )
            return
        key = (known, channel_id)
        if key not in self.connections and key not in self._joining:
            self._joining.add(key)
            self._start(self._join_offered(known, channel_id))

    async def _join_offered(self, channel: ChannelType, channel_id: int) -> None:
        try:
            self._begin(await self._join(channel, channel_id), self._now())
        except ConnectionFailed as error:
            self.company.tell(
                ChannelAbsent(
                    time_ns=self._now(), channel=channel.label, channel_id=channel_id, reason=str(error)
                )
            )
        finally:
            self._joining.discard((channel, channel_id))

    async def _expecting_init(self) -> None:
        """Give up a server that lets us in and then does not begin the session."""
        step_s = self.means.manner.step_s
        await asyncio.sleep(step_s)
        if not self._began:
            self.leave(f"the server does not begin the session within {step_s:g} s (--timeout gives it more)")

    async def _ticking(self) -> None:
        """Do what is due, again and again."""
        while True:
            await asyncio.sleep(TICK_S)
            now = self._now()
            for connection in list(self.connections.values()):
                client = connection.client
                if client is None or connection.closed:
                    continue
                due = client.deadline()
                if due is not None and due <= now:
                    client.tick(now)
                    self._pass_on(client)
                    if isinstance(client, MainClient) and client.silent:
                        self.leave(f"the server has said nothing for {SILENT_S} s")
                connection.send()

    # --- migration -------------------------------------------------------------------------------------

    async def _prepare(self, main: MainClient, migration: Migration) -> None:
        """Link all channels to where the guest moves, and ask whether their state can be taken along."""
        shared = Shared(session_id=self.shared.session_id)
        visit = Visit(_moved(self.target, migration), self.means, self.company, shared, arrives=True)
        self._prepared, seamless = visit, False
        try:
            await visit.open()
            if migration.kind is MigrationKind.SEAMLESS:
                seamless = await can_take_over(
                    visit.connections[ChannelType.MAIN, 0],
                    migration.source_version,
                    self.means.options,
                    self.means.manner,
                    self._now(),
                )
            for channel, channel_id in list(self.connections):
                if channel is not ChannelType.MAIN:
                    visit._held[channel, channel_id] = await visit._join(channel, channel_id)
        except SpiceReplayError as error:
            self.company.tell(
                Noticed(
                    time_ns=self._now(),
                    severity=NotifySeverity.WARN.name.lower(),
                    source="main/0",
                    code="migration",
                    text=f"the guest cannot be followed: {error}",
                )
            )
            self._prepared = None
            await visit.close()
            main.target_failed(self._now())
        else:
            main.target_connected(seamless=seamless, now_ns=self._now())
        self._preparing = False
        self.connections[ChannelType.MAIN, 0].send()

    def _move(self, migration: Migration) -> None:
        """Leave for the target: the one prepared, or a new session there."""
        self._moved_to = self._prepared
        if self._moved_to is None or migration.kind is MigrationKind.SWITCH_HOST:
            self._moved_to = Visit(_moved(self.target, migration), self.means, self.company)
        self.leave(f"the guest has moved to {self._moved_to.target.place}")

    def _goes_on(self, source: Connection) -> bool:
        """Go on with a channel that was told to move, at the target, to which it is linked; False: it does not move."""
        key = source.channel, source.channel_id
        client, prepared = source.client, self._prepared
        if client is None or not client.ready_to_move or prepared is None or key not in prepared.connections:
            return False
        target = prepared.connections.pop(key)
        prepared._held.pop(key, None)
        go_on(client, source, target, self._now())
        self.connections[key] = target
        self._start(self._carry(target))
        if source.channel is ChannelType.MAIN:
            self.target = prepared.target
            self.company.tell(Migrated(time_ns=self._now(), place=prepared.target.place))
        if not prepared.connections:
            self._prepared = None
            main = self.client(ChannelType.MAIN)
            if isinstance(main, MainClient):
                main.migration_done()
        return True

    # --- parts -----------------------------------------------------------------------------------------

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            # A fault of ours: whoever waits for the session gets it.
            self._failed = error
            self.leave(f"{type(error).__name__}: {error}")

    def _now(self) -> int:
        return self.means.clock.now_ns()


def _moved(target: Target, migration: Migration) -> Target:
    """Return the target of a migration: a host and ports, whatever way led to the source."""
    return replace(
        target,
        transport=Transport.TCP,
        path="",
        host=migration.host,
        port=migration.port or None,
        tls_port=migration.tls_port or None,
        host_subject=migration.cert_subject or None,
    )
