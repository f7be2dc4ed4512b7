"""The server's side of the link stage, without a socket: bytes of a client in, bytes for it out.

Source: spice-wire.md 2; spice server/reds.cpp, reds_handle_read_link_done, reds_handle_auth_mechanism.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from spicereplay.limits import DEFAULT_LIMITS, Limits
from spicereplay.protocol import caps, link
from spicereplay.protocol.enums import ChannelType, LinkError, Side
from spicereplay.protocol.link import Link, LinkStatus
from spicereplay.protocol.ticket import TicketKey

COMMON_CAPS: Final = caps.words(None, ("AUTH_SELECTION", "AUTH_SPICE", "MINI_HEADER"))
"""What spice-server announces where SASL is off."""

CapsFor = Callable[[ChannelType, int], tuple[int, ...]]
"""Gives the server's capability words of a channel."""
Admit = Callable[[Link, bytes], tuple[LinkError, str]]
"""Decides on a client with its password: `OK` or what to refuse it with, and why in words."""


@dataclass(slots=True)
class Door:
    """One connection until its link stage is over; feed `receive` and send what it returns."""

    key: TicketKey
    caps_for: CapsFor
    admit: Admit
    limits: Limits = DEFAULT_LIMITS
    link: Link | None = None
    """What was agreed on, once the client is in."""
    refused: str = ""
    """Why it was turned away; close after having sent what `receive` returned."""
    _client: bytearray = field(default_factory=bytearray)
    _server: bytearray = field(default_factory=bytearray)

    @property
    def open(self) -> bool:
        """Whether the link stage goes on."""
        return self.link is None and not self.refused

    @property
    def rest(self) -> bytes:
        """What the client sent after the link stage."""
        return b"" if self.link is None else bytes(self._client[self.link.client_bytes :])

    def receive(self, data: bytes) -> bytes:
        """Take in what the client sent; return what to send it."""
        self._client += data
        sent = len(self._server)
        while self.open:
            now = link.parse_link(bytes(self._client), bytes(self._server), limits=self.limits)
            if now.status is LinkStatus.ESTABLISHED:
                self.link = now
            elif now.status is LinkStatus.MALFORMED:
                wrong_magic = not self._client.startswith(link.MAGIC)
                error = LinkError.INVALID_MAGIC if wrong_magic else LinkError.INVALID_DATA
                self._refuse(error, f"not a SPICE client: {now.detail}")
            elif now.mechanism not in (None, link.MECHANISM_SPICE):
                name = "SASL" if now.mechanism == link.MECHANISM_SASL else f"mechanism {now.mechanism}"
                self._refuse(LinkError.INVALID_DATA, f"it authenticates with {name}; only a ticket will do")
            elif now.waits_for is not Side.SERVER:
                break
            elif not self._server:
                self._reply(now)
            else:
                self._judge(now)
        return bytes(self._server[sent:])

    def _refuse(self, error: LinkError, why: str) -> None:
        self._server += link.link_refusal(error)
        self.refused = why

    def _reply(self, now: Link) -> None:
        major = int.from_bytes(self._client[4:8], "little")
        if major != link.MAJOR_VERSION:
            self._refuse(LinkError.VERSION_MISMATCH, f"it speaks version {major} of the protocol")
            return
        if not isinstance(now.channel, ChannelType):
            self._refuse(LinkError.CHANNEL_NOT_AVAILABLE, f"it asks for a channel of type {now.channel}")
            return
        words = self.caps_for(now.channel, now.channel_id or 0)
        self._server += link.link_reply(self.key.public_key, common_caps=COMMON_CAPS, channel_caps=words)

    def _judge(self, now: Link) -> None:
        ticket = bytes(self._client[now.client_bytes - link.TICKET_BYTES : now.client_bytes])
        password = self.key.decrypt(ticket)
        if password is None:
            error, why = LinkError.PERMISSION_DENIED, "its ticket cannot be decrypted"
        else:
            error, why = self.admit(now, password)
        self._server += link.link_result(error)
        if error:
            self.refused = why
