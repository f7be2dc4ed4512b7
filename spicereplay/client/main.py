"""The main channel of a client: the session, its channels, the mouse mode, the clock, migration.

Source: spice-wire.md 5; spice-gtk src/channel-main.c.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from spicereplay.client.channel import ChannelClient
from spicereplay.client.options import ClientOptions
from spicereplay.client.shared import Shared
from spicereplay.protocol.enums import ChannelType, ClientMain, MouseMode
from spicereplay.protocol.messages import main
from spicereplay.protocol.wire import Message

ALL_TOKENS: Final = 0xFFFFFFFF
"""Credit for the server's agent messages that never runs out. Source: spice-wire.md 6.1."""


@dataclass(frozen=True, slots=True)
class Offered:
    """A channel that the server has."""

    channel: int
    """A `ChannelType`, or a number that the protocol does not define."""
    channel_id: int


class MainClient(ChannelClient):
    """The main channel. `offered` grows with every CHANNELS_LIST."""

    def __init__(self, channel: ChannelType, channel_id: int, options: ClientOptions, shared: Shared) -> None:
        super().__init__(channel, channel_id, options, shared)
        self.offered: list[Offered] = []
        """Every channel announced so far, in the order announced, each once."""
        self.mouse_mode = 0

    def on_message(self, type: int, message: Message, now_ns: int) -> None:
        """Take in a message of the main channel."""
        match message:
            case main.Init():
                self.shared.session_id = message.session_id
                self.shared.ram_hint = message.ram_hint
                self.shared.set_mm_time(message.multi_media_time, now_ns)
                self._mouse_mode(message.supported_mouse_modes, message.current_mouse_mode)
                self.send(ClientMain.ATTACH_CHANNELS)
            case main.ChannelsList():
                for channel in message.channels:
                    new = Offered(channel.type, channel.id)
                    if new not in self.offered:
                        self.offered.append(new)
            case main.MouseModeChange():
                self._mouse_mode(message.supported_modes, message.current_mode)
            case main.MultiMediaTime():
                self.shared.set_mm_time(message.time, now_ns)

    def _mouse_mode(self, supported: int, current: int) -> None:
        """Ask for the client's pointer where the server can have it. Source: spice-gtk set_mouse_mode."""
        self.mouse_mode = current
        if current != MouseMode.CLIENT and supported & MouseMode.CLIENT:
            self.send(ClientMain.MOUSE_MODE_REQUEST, main.MouseModeRequest(MouseMode.CLIENT))
