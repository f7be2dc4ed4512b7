"""usbredir, webdav and port channels of a client that offers the guest nothing: what comes is counted.

They are joined only if `ClientOptions.also_join` names them, so that they can be watched. Nothing is sent: no usbredir
HELLO, no answer to HTTP, no EVENT.

Source: spice-wire.md 15; spice-gtk src/channel-port.c and src/channel-usbredir.c.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from spicereplay.client.channel import ChannelClient
from spicereplay.client.options import ClientOptions
from spicereplay.client.shared import Shared
from spicereplay.protocol.enums import ChannelType, DataCompressionType, PortEvent
from spicereplay.protocol.messages import port
from spicereplay.protocol.wire import Message

NAME_BYTES: Final = 256
"""Bytes of a port's name that are kept; they look like `org.spice-space.webdav.0`."""


@dataclass(frozen=True, slots=True)
class VmcDiagnostics:
    """What a usbredir, webdav or port channel knows. Source: ryll-formats.md 5.9 and 5.10, where nothing is offered."""

    name: str
    """The port's; empty: not told, or no port."""
    opened: bool | None
    """Whether the guest has opened the port; None: not told, or no port."""
    events: int
    """EVENT messages."""
    messages: int
    """Messages that carried data of the guest."""
    data_bytes: int
    """What they carried, decompressed."""
    compressed: int
    """Those of them that were compressed."""


class VmcClient(ChannelClient):
    """A usbredir, webdav or port channel."""

    def __init__(self, channel: ChannelType, channel_id: int, options: ClientOptions, shared: Shared) -> None:
        super().__init__(channel, channel_id, options, shared)
        self._port_name = ""
        self._opened: bool | None = None
        self._events = self._messages = self._bytes = self._compressed = 0

    def diagnostics(self) -> VmcDiagnostics:
        """Return what the channel knows."""
        return VmcDiagnostics(
            name=self._port_name,
            opened=self._opened,
            events=self._events,
            messages=self._messages,
            data_bytes=self._bytes,
            compressed=self._compressed,
        )

    def on_message(self, type: int, message: Message, now_ns: int) -> None:
        """Take in a message of the channel."""
        match message:
            case port.Data():
                self._count(len(message.data))
            case port.CompressedData():
                self._compressed += message.type != DataCompressionType.NONE
                size = message.uncompressed_size
                self._count(len(message.compressed_data) if size is None else size)
            case port.Init():
                name = (message.name or b"").split(b"\0", 1)[0]
                self._port_name = name[:NAME_BYTES].decode("utf-8", "replace")
                self._opened = bool(message.opened)
            case port.Event():
                self._events += 1
                if message.event != PortEvent.BREAK:
                    self._opened = message.event == PortEvent.OPENED

    def _count(self, size: int) -> None:
        self._messages += 1
        self._bytes += size
        if self._opened is not None:
            # A port that sends is open, whatever was said of it. Source: spice-gtk src/channel-port.c, port_handle_msg.
            self._opened = True
