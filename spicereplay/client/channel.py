"""What a client does on every channel: acknowledge, answer PINGs, move to another host, count.

What a channel does besides is told in a class of its own.

Source: spice-wire.md 3 and 4; spice-gtk src/spice-channel.c, spice_channel_recv_msg, and src/channel-base.c.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

from spicereplay.client.diagnostics import Baseline, Counting
from spicereplay.client.notices import SERVER, Notice
from spicereplay.client.options import ClientOptions
from spicereplay.client.shared import Shared
from spicereplay.limits import DEFAULT_LIMITS
from spicereplay.protocol import caps, registry
from spicereplay.protocol.enums import (
    ChannelType,
    ClientCommon,
    MigrateFlags,
    NotifySeverity,
    NotifyVisibility,
    ServerCommon,
    Side,
)
from spicereplay.protocol.events import MessageSeen
from spicereplay.protocol.link import Link, error_name
from spicereplay.protocol.messages import common
from spicereplay.protocol.wire import Message, build

FULL_HEADER_BYTES: Final = 18
MINI_HEADER_BYTES: Final = 6
HELD_MESSAGES: Final = 1024
"""Messages that a moving channel keeps for the target; more than it would send in the seconds that this takes."""

_TYPES_TOLD: Final = 4
_UNKNOWN: Final = (
    "this channel of SPICE has none such, so the server is newer than this client or sends nonsense"
)


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message to send; whoever sends it puts the header before it."""

    type: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Moving:
    """The server has told the channel to go on at the target of a seamless migration.

    Source: spice-gtk src/channel-base.c, spice_channel_handle_migrate.
    """

    waits_for_data: bool
    """MIGRATE_DATA is still to come; it is the last message on the old connection."""
    data: bytes | None = None
    """The channel's state, to be handed to the target unread; None: there is none."""


class ChannelClient:
    """One channel of a client: messages and the time in, messages to send out.

    The driver calls `linked` once, `received` for every message the server sent (sub-messages, too, in the order of
    `ChannelEngine.events`), `tick` when `deadline` has come, and sends what `take` returns after each of these. A
    deadline may change with any message on any channel of the session, so it is asked for again before each wait. No
    call raises because of what the server sent.
    """

    HEEDS: ClassVar[frozenset[int] | None] = None
    """Types of its own messages that the channel takes apart; None: all. The others are counted."""

    def __init__(self, channel: ChannelType, channel_id: int, options: ClientOptions, shared: Shared) -> None:
        self.channel = channel
        self.channel_id = channel_id
        self.options = options
        self.shared = shared
        self.counting = Counting(channel, channel_id)
        self.link: Link | None = None
        self.disconnecting: int | None = None
        """Reason of the server's DISCONNECTING, a `LinkError`; None: it has not said so."""
        self.moving: Moving | None = None
        """Not None: once nothing is waited for, the driver calls `continue_on` with the target's connection."""
        self._out: list[Outgoing] = []
        self._held: list[Outgoing] = []
        self._notices: list[Notice] = []
        self._header_bytes = MINI_HEADER_BYTES
        self._until_ack = 0
        self._told_unknown = False
        self._now_ns = 0

    @property
    def name(self) -> str:
        """The lower-case SPICE name with the id, `display/0`."""
        return f"{self.channel.label}/{self.channel_id}"

    @property
    def ready_to_move(self) -> bool:
        """Whether the channel has all that it needs to go on at the target: the driver calls `continue_on`."""
        return self.moving is not None and not self.moving.waits_for_data

    # --- what the driver calls -------------------------------------------------------------------------

    def linked(self, link: Link, now_ns: int) -> None:
        """Begin: the link stage is over and the server accepted it.

        On the target of a semi-seamless migration, main apart, this waits until the target's INIT has come.
        """
        self._use(link, now_ns)
        self.on_linked(now_ns)

    def received(self, message: MessageSeen, now_ns: int) -> None:
        """Take in one whole message of the server."""
        self._now_ns = now_ns
        type, counting = message.type, self.counting
        counting.received[type] += 1
        counting.last_received_ns = now_ns
        counting.last_action = f"received {registry.message_name(self.channel, Side.SERVER, type)}"
        if not message.sub:
            counting.bytes_in += self._header_bytes + message.size
            counting.messages += 1
            self._acknowledge(now_ns)
        if not self._knows(type):
            counting.unknown[type] += 1
            counting.last_unknown = type
            return
        if type >= ServerCommon.BASE_LAST and self.HEEDS is not None and type not in self.HEEDS:
            return
        parsed = registry.parse_message(self.channel, Side.SERVER, type, message.body).message
        if not isinstance(parsed, Message):
            counting.errors += 1
        elif type >= ServerCommon.BASE_LAST:
            self.on_message(type, parsed, now_ns)
        else:
            self._common(parsed, now_ns)

    def waits_for(self, type: int, size: int, now_ns: int) -> None:
        """Take note that a message of `size` bytes has begun; until the whole of it has come, nothing else can."""
        if self._told_unknown or self._knows(type):
            return
        self._now_ns, self._told_unknown = now_ns, True
        text = f"the server begins a message of type {type} and {size} bytes; {_UNKNOWN}: nothing else is heard until"
        self.tell(NotifySeverity.WARN, f"{text} all of it has come", "unknown_message")

    def take(self) -> list[Outgoing]:
        """Return what is to be sent, in order, and forget it."""
        out, self._out = self._out, []
        return out

    def notices(self) -> list[Notice]:
        """Return what the user must be told, and forget it."""
        if self.counting.unknown and not self._told_unknown:
            self._told_unknown = True
            types = sorted(self.counting.unknown)
            named = ", ".join(map(str, types[:_TYPES_TOLD])) + ", …" * (len(types) > _TYPES_TOLD)
            number = self.counting.unknown.total()
            what = "a message" if number == 1 else f"{number} messages"
            text = f"the server has sent {what} of type {named}; {_UNKNOWN}: such messages are passed over and counted"
            self.tell(NotifySeverity.WARN, text, "unknown_message")
        told, self._notices = self._notices, []
        return told

    def deadline(self) -> int | None:
        """Return when `tick` wants to be called at the latest, in ns; None: not at all."""
        return None

    def tick(self, now_ns: int) -> None:
        """Do what is due."""
        self._now_ns = now_ns

    def baseline(self) -> Baseline:
        """Return what was counted so far."""
        return self.counting.baseline()

    def diagnostics(self) -> object:
        """Return what the channel knows besides, a frozen dataclass of its own; None: nothing."""
        return None

    def continue_on(self, link: Link, now_ns: int) -> None:
        """Go on with the target of a seamless migration: its connection stands and takes the place of the old one.

        The channel's state goes first, then what was kept back meanwhile.
        """
        moving, self.moving = self.moving, None
        self._use(link, now_ns)
        held, self._held = self._held, []
        if moving is not None and moving.data is not None:
            self.send(ClientCommon.MIGRATE_DATA, common.MigrateData(moving.data))
        self._out += held

    # --- what a channel's own part overrides -----------------------------------------------------------

    def on_linked(self, now_ns: int) -> None:
        """Send what this channel begins with."""

    def on_message(self, type: int, message: Message, now_ns: int) -> None:
        """Take in a message of this channel."""

    # --- what it uses ----------------------------------------------------------------------------------

    def server_has(self, capability: int) -> bool:
        """Say whether the server announced a capability of this channel."""
        words = None if self.link is None else self.link.server_channel_caps
        return caps.has(words or (), capability)

    def send(self, type: int, message: Message | bytes = b"") -> None:
        """Put a message into the queue for `take`; while the channel moves, it is kept for the target."""
        body = message if isinstance(message, bytes) else build(message)
        counting = self.counting
        counting.sent[int(type)] += 1
        counting.bytes_out += self._header_bytes + len(body)
        counting.last_sent_ns = self._now_ns
        counting.last_action = f"sent {registry.message_name(self.channel, Side.CLIENT, type)}"
        if self.moving is None:
            self._out.append(Outgoing(int(type), body))
        elif len(self._held) < HELD_MESSAGES:
            self._held.append(Outgoing(int(type), body))

    def tell(self, severity: NotifySeverity, text: str, code: str, source: str | None = None) -> None:
        """Put a notice into the queue for `notices`."""
        self._notices.append(
            Notice(
                self._now_ns,
                severity,
                source or self.name,
                text,
                code,
                channel=self.channel.label,
                channel_id=self.channel_id,
            )
        )

    def _knows(self, type: int) -> bool:
        return registry.message_class(self.channel, Side.SERVER, type) is not None

    def _use(self, link: Link, now_ns: int) -> None:
        self.link = link
        self._now_ns = now_ns
        self._header_bytes = MINI_HEADER_BYTES if link.mini_header else FULL_HEADER_BYTES

    def _acknowledge(self, now_ns: int) -> None:
        """Count a message against the window that holds, before it is looked at.

        So the SET_ACK that sets the first window is not counted, and one that sets another counts against the old.
        Source: spice-gtk src/spice-channel.c, spice_channel_recv_msg.
        """
        if not self._until_ack:
            return
        self._until_ack -= 1
        if not self._until_ack:
            self._until_ack = self.counting.ack_window
            self.send(ClientCommon.ACK)
            self.counting.acknowledged(now_ns)

    def _common(self, message: Message, now_ns: int) -> None:
        """Answer what every channel answers alike."""
        counting = self.counting
        match message:
            case common.SetAck():
                counting.ack_generation, counting.ack_window = message.generation, message.window
                self._until_ack = message.window
                self.send(ClientCommon.ACK_SYNC, common.AckSync(message.generation))
            case common.Ping():
                counting.pings += 1
                counting.pongs += 1
                counting.last_ping_ns = now_ns
                self.send(ClientCommon.PONG, common.Pong(message.id, message.timestamp))
            case common.Notify():
                self._notices.append(self._notice(message, now_ns))
            case common.Disconnecting():
                self.disconnecting = int(message.reason)
                text = f"the server closes the channel: {error_name(self.disconnecting)}"
                self.tell(NotifySeverity.INFO, text, "disconnecting")
            case common.Migrate():
                if message.flags & MigrateFlags.NEED_FLUSH:
                    self.send(ClientCommon.MIGRATE_FLUSH_MARK)
                if self.shared.seamless:
                    self.moving = Moving(bool(message.flags & MigrateFlags.NEED_DATA_TRANSFER))
            case common.MigrateData() if self.moving is not None and self.moving.waits_for_data:
                self.moving = Moving(False, message.data)

    def _notice(self, notify: common.Notify, now_ns: int) -> Notice:
        """Return what the server tells the user; a severity that nobody has defined is taken for a warning."""
        severities, visibilities = NotifySeverity.__members__.values(), NotifyVisibility.__members__.values()
        return Notice(
            now_ns,
            NotifySeverity(notify.severity) if notify.severity in severities else NotifySeverity.WARN,
            SERVER,
            notify.message[: DEFAULT_LIMITS.text_chars].decode("utf-8", "replace"),
            visibility=NotifyVisibility(notify.visibilty)
            if notify.visibilty in visibilities
            else NotifyVisibility.MEDIUM,
            channel=self.channel.label,
            channel_id=self.channel_id,
            what=notify.what,
        )
