"""The smartcard channel of a client without a card reader: what the guest says is counted, nothing is answered.

It is joined only if `ClientOptions.also_join` names it. Without a ReaderAdd the guest has no reader to talk to.

Source: spice-wire.md 16; spice-gtk src/channel-smartcard.c.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Final

from spicereplay.client.channel import ChannelClient
from spicereplay.client.options import ClientOptions
from spicereplay.client.shared import Shared
from spicereplay.protocol.enums import ChannelType, VscMessageType
from spicereplay.protocol.messages import smartcard
from spicereplay.protocol.wire import Message

_KINDS: Final = frozenset(VscMessageType)


@dataclass(frozen=True, slots=True)
class SmartcardDiagnostics:
    """What the smartcard channel knows."""

    messages: dict[int, int]
    """`VscMessageType` to how many came; 0 for types that the protocol does not define."""


class SmartcardClient(ChannelClient):
    """The smartcard channel."""

    def __init__(self, channel: ChannelType, channel_id: int, options: ClientOptions, shared: Shared) -> None:
        super().__init__(channel, channel_id, options, shared)
        self._messages: Counter[int] = Counter()

    def diagnostics(self) -> SmartcardDiagnostics:
        """Return what the channel knows."""
        return SmartcardDiagnostics(dict(self._messages))

    def on_message(self, type: int, message: Message, now_ns: int) -> None:
        """Take in a message of the smartcard channel."""
        if isinstance(message, smartcard.Data):
            kind = int(message.type)
            # A type that the protocol does not define is counted as 0, lest there be a counter for each.
            self._messages[kind if kind in _KINDS else 0] += 1
