"""The main channel of a client: the session, its channels, the mouse mode, the clock, the agent, migration.

Source: spice-wire.md 5; spice-gtk src/channel-main.c.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final
from uuid import UUID

from spicereplay.client.agent import AgentDiagnostics, AgentProbe
from spicereplay.client.channel import ChannelClient
from spicereplay.client.migration import Migration, MigrationKind, MigrationPhase, migration_to
from spicereplay.client.options import ClientOptions
from spicereplay.client.shared import Shared
from spicereplay.protocol.caps import MainCap
from spicereplay.protocol.enums import ChannelType, ClientMain, MouseMode, NotifySeverity
from spicereplay.protocol.messages import main
from spicereplay.protocol.wire import Message
from spicereplay.units import NS_PER_S

NAME_BYTES: Final = 1024
"""Bytes of the guest's name that are kept; libvirt's names have 50 at most by custom."""

SILENT_S: Final = 90
"""A server that has pinged and then says nothing for so long is taken for dead. spice-server 0.15.1 pings an idle main
channel every 15 s. Source: ryll-behaviour.md 9, "Main inactivity"; spice-gtk has no such rule.
"""


@dataclass(frozen=True, slots=True)
class Offered:
    """A channel that the server has."""

    channel: int
    """A `ChannelType`, or a number that the protocol does not define."""
    channel_id: int


@dataclass(frozen=True, slots=True)
class MainDiagnostics:
    """What the main channel knows. Source: ryll-formats.md 5.7."""

    session_id: int | None
    """None: no INIT so far."""
    name: str
    """The guest's name; empty: not told."""
    uuid: UUID | None
    mouse_mode: int
    """What holds, a `MouseMode`; 0 before INIT."""
    mm_time_ms: int
    """The multimedia clock when the channel last heard of the time; `Shared.mm_time` has it at any other."""
    mm_time_sets: int
    mm_time_set_ns: int | None
    """When the clock was last set, by the server or by playback; None: never."""
    channels_offered: int
    agent: AgentDiagnostics
    migration: Migration | None
    silent: bool = False
    """The server is taken for dead: it has said nothing for `SILENT_S`."""


class MainClient(ChannelClient):
    """The main channel. `offered` grows with every CHANNELS_LIST."""

    def __init__(self, channel: ChannelType, channel_id: int, options: ClientOptions, shared: Shared) -> None:
        super().__init__(channel, channel_id, options, shared)
        self.offered: list[Offered] = []
        """Every channel announced so far, in the order announced, each once."""
        self.agent = AgentProbe(options, shared, self.send, self._tell_of_agent)
        self.migration: Migration | None = None
        """A migration under way, and what the driver is to do about it; None: there is none."""
        self.seamless_answer: bool | None = None
        """On a target: whether it can take over the channels' state; None: it has not said so far."""
        self.initialised = False
        """Whether INIT has come: the other channels can be linked."""
        self.silent = False
        """Whether the server has said nothing for `SILENT_S`: the driver gives the session up."""
        self._attaches = True
        self._known: set[Offered] = set()
        self._offered_before = 0
        self._guest_name = b""
        self._uuid: UUID | None = None

    @property
    def session_id(self) -> int:
        """What the other channels put into their link message; 0 before INIT."""
        return self.shared.session_id

    # --- what the driver calls -------------------------------------------------------------------------

    def channels_offered(self) -> list[Offered]:
        """Return the channels that were announced since the last call."""
        new = self.offered[self._offered_before :]
        self._offered_before = len(self.offered)
        return new

    def deadline(self) -> int | None:
        """Return when `tick` has something to do at the latest, in ns."""
        due = (self.agent.deadline(), None if self.silent else self._silent_at())
        return min((at for at in due if at is not None), default=None)

    def tick(self, now_ns: int) -> None:
        """Do what is due: probe the agent, tell what is overdue."""
        super().tick(now_ns)
        self.agent.tick(now_ns)
        if not self.silent and (at := self._silent_at()) is not None and now_ns >= at:
            self.silent = True
            self.tell(NotifySeverity.ERROR, f"the server has said nothing for {SILENT_S} s", "server_silent")

    def diagnostics(self) -> MainDiagnostics:
        """Return what the channel knows."""
        shared = self.shared
        return MainDiagnostics(
            session_id=shared.session_id if self.initialised else None,
            name=self._guest_name.split(b"\0", 1)[0].decode("utf-8", "replace"),
            uuid=self._uuid,
            mouse_mode=shared.mouse_mode,
            mm_time_ms=shared.mm_time(self._now_ns),
            mm_time_sets=shared.mm_time_sets,
            mm_time_set_ns=shared.mm_time_set_ns,
            channels_offered=len(self.offered),
            agent=self.agent.diagnostics(),
            migration=self.migration,
            silent=self.silent,
        )

    # --- what the driver calls when the guest moves ----------------------------------------------------

    def target_connected(self, *, seamless: bool, now_ns: int) -> None:
        """Say that all channels are linked to the target of `migration`; `seamless`: it can take over their state.

        Nothing happens where the migration was cancelled meanwhile.
        """
        self._now_ns = now_ns
        if self.migration is None or self.migration.phase is not MigrationPhase.CONNECT:
            return
        seamless = seamless and self.migration.kind is MigrationKind.SEAMLESS
        kind = MigrationKind.SEAMLESS if seamless else MigrationKind.SEMI_SEAMLESS
        self.migration = replace(self.migration, kind=kind, phase=MigrationPhase.CONNECTED)
        self.shared.seamless = seamless
        self.send(ClientMain.MIGRATE_CONNECTED_SEAMLESS if seamless else ClientMain.MIGRATE_CONNECTED)

    def target_failed(self, now_ns: int) -> None:
        """Say that a channel could not be linked to the target. The source may still say SWITCH_HOST."""
        self._now_ns = now_ns
        if self.migration is None or self.migration.phase is not MigrationPhase.CONNECT:
            return
        self.migration = None
        self.send(ClientMain.MIGRATE_CONNECT_ERROR)

    def migration_done(self) -> None:
        """Say that every channel goes on at the target (seamless): main, too, which has moved with the others."""
        self.migration, self.shared.seamless = None, False

    def ask_seamless(self, source_version: int, now_ns: int) -> bool:
        """Ask this target, just linked, whether it can take over the channels' state; whether that can be asked.

        `seamless_answer` has the answer.
        """
        self._now_ns = now_ns
        if not self.server_has(MainCap.SEAMLESS_MIGRATE):
            self.seamless_answer = False
            return False
        self.send(ClientMain.MIGRATE_DST_DO_SEAMLESS, main.MigrateDstDoSeamless(source_version))
        return True

    def take_over(self, now_ns: int) -> None:
        """Say to this target that the guest has arrived (semi-seamless). Its INIT begins the channels linked before."""
        self._now_ns = now_ns
        self._attaches = False
        self.send(ClientMain.MIGRATE_END)

    # --- messages --------------------------------------------------------------------------------------

    def on_message(self, type: int, message: Message, now_ns: int) -> None:
        """Take in a message of the main channel."""
        match message:
            case main.Init():
                self._init(message, now_ns)
            case main.ChannelsList():
                for channel in message.channels:
                    new = Offered(channel.type, channel.id)
                    if new not in self._known:
                        self._known.add(new)
                        self.offered.append(new)
            case main.MouseModeChange():
                self._mouse_mode(message.supported_modes, message.current_mode)
            case main.MultiMediaTime():
                self.shared.set_mm_time(message.time, now_ns)
            case main.Name():
                self._guest_name = message.name[:NAME_BYTES]
            case main.Uuid():
                self._uuid = UUID(bytes=message.uuid)
            case main.AgentConnected():
                self._agent_connected(None, now_ns)
            case main.AgentConnectedTokens():
                self._agent_connected(message.num_tokens, now_ns)
            case main.AgentDisconnected():
                self.agent.disconnected()
                self.tell(NotifySeverity.INFO, "the guest agent is gone", "agent_disconnected", "agent")
            case main.AgentToken():
                self.agent.credit(message.num_tokens, now_ns)
            case main.AgentData():
                self.agent.data(message.data, now_ns)
            case _:
                self._migration(message)

    def _silent_at(self) -> int | None:
        """Return when the server is to be taken for dead; None: it never pinged, so its silence means nothing."""
        last = self.counting.last_received_ns
        return None if last is None or not self.counting.pings else last + SILENT_S * NS_PER_S

    def _init(self, init: main.Init, now_ns: int) -> None:
        """Begin the session. Source: spice-gtk src/channel-main.c, main_handle_init."""
        shared = self.shared
        self.initialised = True
        shared.session_id, shared.ram_hint = init.session_id, init.ram_hint
        shared.set_mm_time(init.multi_media_time, now_ns)
        self._mouse_mode(init.supported_mouse_modes, init.current_mouse_mode)
        self.agent.credit_before(init.agent_tokens)
        if init.agent_connected:
            self._agent_connected(None, now_ns)
        if self._attaches:
            self.send(ClientMain.ATTACH_CHANNELS)

    def _agent_connected(self, tokens: int | None, now_ns: int) -> None:
        self.tell(NotifySeverity.INFO, "the guest agent is there", "agent_connected", "agent")
        self.agent.connected(tokens, now_ns)

    def _mouse_mode(self, supported: int, current: int) -> None:
        """Ask for the client's pointer where the server can have it. Source: spice-gtk set_mouse_mode."""
        self.shared.mouse_mode = int(current)
        if current != MouseMode.CLIENT and supported & MouseMode.CLIENT:
            self.send(ClientMain.MOUSE_MODE_REQUEST, main.MouseModeRequest(MouseMode.CLIENT))

    def _migration(self, message: Message) -> None:
        """Follow what the server says of a migration. Source: spice-gtk src/channel-main.c, main_handle_migrate_*."""
        begin = MigrationPhase.CONNECT
        match message:
            case main.MigrateBegin():
                self._migrate(migration_to(MigrationKind.SEMI_SEAMLESS, begin, message.dst_info))
            case main.MigrateBeginSeamless():
                kind, version = MigrationKind.SEAMLESS, message.src_mig_version
                self._migrate(migration_to(kind, begin, message.dst_info, version))
            case main.MigrateSwitchHost():
                self._migrate(migration_to(MigrationKind.SWITCH_HOST, MigrationPhase.ENDED, message))
            case main.MigrateCancel():
                self.migration, self.shared.seamless = None, False
                self.tell(NotifySeverity.INFO, "the migration was cancelled", "migration_cancelled")
            case main.MigrateEnd() if self.migration is not None:
                self.migration = replace(self.migration, phase=MigrationPhase.ENDED)
            case main.MigrateDstSeamlessAck():
                self.seamless_answer = True
            case main.MigrateDstSeamlessNack():
                self.seamless_answer = False

    def _migrate(self, migration: Migration | None) -> None:
        if migration is None:
            self.send(ClientMain.MIGRATE_CONNECT_ERROR)
            self.tell(NotifySeverity.WARN, "the guest moves, and the server does not say where", "migration")
            return
        self.migration = migration
        text = f"the guest moves to {migration.host} ({migration.kind.value.replace('_', '-')})"
        self.tell(NotifySeverity.INFO, text, "migration")

    def _tell_of_agent(self, severity: NotifySeverity, text: str, code: str) -> None:
        self.tell(severity, text, code, "agent")
