"""One channel of a client, spoken to by a server that a test writes, or by the one that a capture holds."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from enum import IntEnum
from pathlib import Path

from support.spicewire import link_message, link_reply

from spicereplay.client.channel import ChannelClient
from spicereplay.client.factory import channel_client
from spicereplay.client.notices import Notice
from spicereplay.client.options import ClientOptions
from spicereplay.client.shared import Shared
from spicereplay.protocol import caps, registry
from spicereplay.protocol.enums import ChannelType, Side
from spicereplay.protocol.events import MessageSeen
from spicereplay.protocol.link import Link, parse_link
from spicereplay.protocol.wire import Message, build
from spicereplay.replay import replay
from spicereplay.session.log import ChannelLog, SessionLog

S = 1_000_000_000
MS = 1_000_000


def linked(channel: ChannelType, server_caps: tuple[str, ...] = ()) -> Link:
    """A link stage that the server accepted, and what it announced."""
    client = link_message(channel, common=(9,)) + struct.pack("<I", 1) + bytes(128)
    return parse_link(client, link_reply(caps=caps.words(channel, server_caps)) + bytes(4))


def seen(type: int, body: Message | bytes = b"", *, sub: bool = False) -> MessageSeen:
    data = body if isinstance(body, bytes) else build(body)
    return MessageSeen(0, Side.SERVER, type, len(data), 1, sub, False, data)


class Conversation:
    """Talks to one channel's state machine; what it answers comes back taken apart, with the messages' names."""

    def __init__(
        self,
        channel: ChannelType,
        options: ClientOptions | None = None,
        shared: Shared | None = None,
        *,
        server_caps: tuple[str, ...] = (),
        link: bool = True,
    ) -> None:
        self.shared = Shared() if shared is None else shared
        self.client = channel_client(channel, 0, options or ClientOptions(), self.shared)
        self.channel = channel
        self.bodies: list[bytes] = []
        self.began: list[tuple[str, Message]] = []
        if link:
            self.client.linked(linked(channel, server_caps), 0)
            self.began = self.taken()

    def says(
        self, body: Message | bytes = b"", at: int = 0, *, type: IntEnum | None = None
    ) -> list[tuple[str, Message]]:
        """The server says this at that time; return the answers."""
        if type is None:
            assert isinstance(body, Message)
            types = registry.known_types(self.channel, Side.SERVER)
            kind = next(t for t in body.TYPES if t in types and _declares(self.channel, t, body))
        else:
            kind = type
        self.client.received(seen(kind, body), at)
        return self.taken()

    def waits(self, until: int) -> list[tuple[int, str, Message]]:
        """Let time go by, as a driver does; return what is sent, with its time."""
        sent: list[tuple[int, str, Message]] = []
        rounds = 0
        while (due := self.client.deadline()) is not None and due <= until:
            self.client.tick(due)
            sent += ((due, name, message) for name, message in self.taken())
            after = self.client.deadline()
            assert after is None or after > due, "a deadline that stays makes a driver spin"
            rounds += 1
            assert rounds < 10_000
        return sent

    def taken(self) -> list[tuple[str, Message]]:
        out = self.client.take()
        self.bodies = [o.body for o in out]
        return [
            (
                registry.message_name(self.channel, Side.CLIENT, o.type),
                _parsed(registry.parse_message(self.channel, Side.CLIENT, o.type, o.body).message),
            )
            for o in out
        ]

    def told(self) -> list[tuple[str, str]]:
        return [(n.severity.name, n.code) for n in self.notices()]

    def notices(self) -> list[Notice]:
        return self.client.notices()


def _declares(channel: ChannelType, type: int, body: Message) -> bool:
    return registry.message_class(channel, Side.SERVER, type) is body.__class__


def _parsed(message: object) -> Message:
    assert isinstance(message, Message)
    return message


# --- the server that a capture holds -------------------------------------------------------------------


def sessions(capture: Path) -> list[SessionLog]:
    return list(replay(capture).sessions)


def recorded(log: ChannelLog, side: Side) -> Iterator[tuple[int, MessageSeen]]:
    index = log.index(side)
    for i in range(len(index)):
        message = MessageSeen(
            int(index.time_ns[i]),
            side,
            int(index.type[i]),
            int(index.size[i]),
            int(index.serial[i]),
            bool(index.sub[i]),
            bool(index.partial[i]),
            index.body(i),
        )
        yield message.time_ns, message


def relive(
    session: SessionLog, options: ClientOptions
) -> dict[str, tuple[ChannelClient, list[tuple[int, int, bytes]]]]:
    """Let our client hear all that the server of a session said, when it did.

    Returns each channel's client and what it sent: time, type, body.
    """
    shared = Shared()
    made: dict[str, tuple[ChannelClient, list[tuple[int, int, bytes]]]] = {}
    heard: list[tuple[int, str, MessageSeen | Link]] = []
    for log in session.channels:
        if log.link is None:
            continue
        made[log.name] = (channel_client(log.channel, log.channel_id, options, shared), [])
        heard.append((log.start_time_ns, log.name, log.link))
        heard += ((time_ns, log.name, message) for time_ns, message in recorded(log, Side.SERVER))
    for time_ns, name, what in sorted(heard, key=lambda item: item[0]):
        client, sent = made[name]
        if isinstance(what, Link):
            client.linked(what, time_ns)
        else:
            client.received(what, time_ns)
        sent += ((time_ns, out.type, out.body) for out in client.take())
    return made
