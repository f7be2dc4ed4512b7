"""The state machine that belongs to a channel."""

from __future__ import annotations

from typing import Final

from spicereplay.client.channel import ChannelClient
from spicereplay.client.display import DisplayClient
from spicereplay.client.main import MainClient
from spicereplay.client.options import ClientOptions
from spicereplay.client.shared import Shared
from spicereplay.protocol.enums import ChannelType

CLASSES: Final[dict[ChannelType, type[ChannelClient]]] = {
    ChannelType.MAIN: MainClient,
    ChannelType.DISPLAY: DisplayClient,
}
"""A channel that is not listed needs nothing but what every channel does."""


def channel_client(
    channel: ChannelType, channel_id: int, options: ClientOptions, shared: Shared
) -> ChannelClient:
    """Return the client's side of one channel."""
    return CLASSES.get(channel, ChannelClient)(channel, channel_id, options, shared)
