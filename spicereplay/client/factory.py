"""The state machine that belongs to a channel."""

from __future__ import annotations

from typing import Final

from spicereplay.client.channel import ChannelClient
from spicereplay.client.cursor import CursorClient
from spicereplay.client.display import DisplayClient
from spicereplay.client.inputs import InputsClient
from spicereplay.client.main import MainClient
from spicereplay.client.options import ClientOptions
from spicereplay.client.playback import PlaybackClient
from spicereplay.client.record import RecordClient
from spicereplay.client.shared import Shared
from spicereplay.client.smartcard import SmartcardClient
from spicereplay.client.vmc import VmcClient
from spicereplay.protocol.enums import ChannelType

CLASSES: Final[dict[ChannelType, type[ChannelClient]]] = {
    ChannelType.MAIN: MainClient,
    ChannelType.DISPLAY: DisplayClient,
    ChannelType.INPUTS: InputsClient,
    ChannelType.CURSOR: CursorClient,
    ChannelType.PLAYBACK: PlaybackClient,
    ChannelType.RECORD: RecordClient,
    ChannelType.SMARTCARD: SmartcardClient,
    ChannelType.USBREDIR: VmcClient,
    ChannelType.PORT: VmcClient,
    ChannelType.WEBDAV: VmcClient,
}
"""The tunnel channel is never joined."""


def channel_client(
    channel: ChannelType, channel_id: int, options: ClientOptions, shared: Shared
) -> ChannelClient:
    """Return the client's side of one channel."""
    return CLASSES.get(channel, ChannelClient)(channel, channel_id, options, shared)
