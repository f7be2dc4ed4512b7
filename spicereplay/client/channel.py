"""What a client does on every channel: acknowledge, answer PINGs, count; and how a channel's own part is told.

Source: spice-wire.md 4; spice-gtk src/spice-channel.c.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from spicereplay.client.diagnostics import Baseline, Counting
from spicereplay.client.notices import Notice
from spicereplay.client.options import ClientOptions
from spicereplay.client.shared import Shared
from spicereplay.protocol import registry
from spicereplay.protocol.enums import ChannelType, ClientCommon, NotifySeverity, ServerCommon, Side
from spicereplay.protocol.events import MessageSeen
from spicereplay.protocol.link import Link
from spicereplay.protocol.messages import common
from spicereplay.protocol.wire import Message, build

FULL_HEADER_BYTES: Final = 18
MINI_HEADER_BYTES: Final = 6


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message to send; whoever sends it puts the header before it."""

    type: int
    body: bytes


class ChannelClient:
    """One channel of a client: messages and the time in, messages to send out.

    The driver calls `linked` once, `received` for every message the server sent (sub-messages, too, in the order of
    `ChannelEngine.events`), `tick` when `deadline` has come, and sends what `take` returns after each of these. No
    call raises because of what the server sent.
    """

    def __init__(self, channel: ChannelType, channel_id: int, options: ClientOptions, shared: Shared) -> None:
        self.channel = channel
        self.channel_id = channel_id
        self.options = options
        self.shared = shared
        self.counting = Counting(channel, channel_id)
        self.link: Link | None = None
        self._out: list[Outgoing] = []
        self._notices: list[Notice] = []
        self._header_bytes = MINI_HEADER_BYTES
        self._window = 0
        self._until_ack = 0
        self._now_ns = 0

    @property
    def name(self) -> str:
        """The lower-case SPICE name with the id, `display/0`."""
        return f"{self.channel.label}/{self.channel_id}"

    # --- what the driver calls -------------------------------------------------------------------------

    def linked(self, link: Link, now_ns: int) -> None:
        """Begin: the link stage is over and the server accepted it."""
        self.link = link
        self._now_ns = now_ns
        self._header_bytes = MINI_HEADER_BYTES if link.mini_header else FULL_HEADER_BYTES
        self.on_linked(now_ns)

    def received(self, message: MessageSeen, now_ns: int) -> None:
        """Take in one whole message of the server."""
        self._now_ns = now_ns
        counting = self.counting
        name = registry.message_name(self.channel, Side.SERVER, message.type)
        counting.received[message.type] += 1
        counting.last_received_ns = now_ns
        counting.last_action = f"received {name}"
        if not message.sub:
            counting.bytes_in += self._header_bytes + message.size
            self._acknowledge(message.type)
        parsed = registry.parse_message(self.channel, Side.SERVER, message.type, message.body).message
        if registry.message_class(self.channel, Side.SERVER, message.type) is None:
            counting.unknown[message.type] += 1
        elif parsed is None:
            counting.errors += 1
        elif isinstance(parsed, Message) and not self._common(parsed, now_ns):
            self.on_message(message.type, parsed, now_ns)

    def take(self) -> list[Outgoing]:
        """Return what is to be sent, in order, and forget it."""
        out, self._out = self._out, []
        return out

    def notices(self) -> list[Notice]:
        """Return what the user must be told, and forget it."""
        told, self._notices = self._notices, []
        return told

    def deadline(self) -> int | None:
        """Return when `tick` wants to be called at the latest, in ns; None: not at all."""
        return None

    def tick(self, now_ns: int) -> None:
        """Do what is due."""

    def baseline(self) -> Baseline:
        """Return what was counted so far."""
        return self.counting.baseline()

    # --- what a channel's own part overrides -----------------------------------------------------------

    def on_linked(self, now_ns: int) -> None:
        """Send what this channel begins with."""

    def on_message(self, type: int, message: Message, now_ns: int) -> None:
        """Take in a message of this channel, or a common one that needs more than an answer."""

    # --- what it uses ----------------------------------------------------------------------------------

    def send(self, type: int, message: Message | bytes = b"") -> None:
        """Put a message into the queue for `take`."""
        body = message if isinstance(message, bytes) else build(message)
        counting = self.counting
        counting.sent[type] += 1
        counting.bytes_out += self._header_bytes + len(body)
        counting.last_sent_ns = self._now_ns
        counting.last_action = f"sent {registry.message_name(self.channel, Side.CLIENT, type)}"
        self._out.append(Outgoing(type, body))

    def tell(self, notice: Notice) -> None:
        """Put a notice into the queue for `notices`."""
        self._notices.append(notice)

    def _acknowledge(self, type: int) -> None:
        """Count a message against the window; SET_ACK itself is not counted. Source: spice-wire.md 4.3."""
        if not self._window or type == ServerCommon.SET_ACK:
            return
        self._until_ack -= 1
        if self._until_ack <= 0:
            self._until_ack = self._window
            self.send(ClientCommon.ACK)

    def _common(self, message: Message, now_ns: int) -> bool:
        """Answer what every channel answers alike; whether that was all there is to it."""
        match message:
            case common.SetAck():
                self._window = self._until_ack = message.window
                self.send(ClientCommon.ACK_SYNC, common.AckSync(message.generation))
            case common.Ping():
                self.counting.pings += 1
                self.counting.pongs += 1
                self.send(ClientCommon.PONG, common.Pong(message.id, message.timestamp))
            case common.Notify():
                text = message.message.decode("utf-8", "replace")
                known = message.severity in NotifySeverity.__members__.values()
                severity = NotifySeverity(message.severity) if known else NotifySeverity.WARN
                self.tell(Notice(now_ns, severity, "server", text))
            case common.List():
                pass
            case _:
                return False
        return True
