"""The record channel of a client without a microphone: the guest listens, and nobody speaks.

It is joined only if `ClientOptions.also_join` names it. START is not answered, neither with MODE nor with START_MARK:
so does spice-gtk where no program hands it sound.

Source: spice-wire.md 14; spice-gtk src/channel-record.c, record_handle_start and spice_record_channel_send_data.
"""

from __future__ import annotations

from dataclasses import dataclass

from spicereplay.client.channel import ChannelClient
from spicereplay.client.options import ClientOptions
from spicereplay.client.shared import Shared
from spicereplay.protocol.enums import ChannelType, NotifySeverity
from spicereplay.protocol.messages import playback, record
from spicereplay.protocol.wire import Message


@dataclass(frozen=True, slots=True)
class RecordDiagnostics:
    """What the record channel knows."""

    listening: bool
    """Whether the guest listens now."""
    starts: int
    stops: int
    channels: int
    """As the guest last asked; 0: it has not."""
    frequency: int
    """Hz, likewise."""
    volume: tuple[int, ...]
    """Per channel, 0 to 65535; empty: not told."""
    mute: bool | None


class RecordClient(ChannelClient):
    """The record channel."""

    def __init__(self, channel: ChannelType, channel_id: int, options: ClientOptions, shared: Shared) -> None:
        super().__init__(channel, channel_id, options, shared)
        self._listening = False
        self._starts = self._stops = self._channels = self._frequency = 0
        self._volume: tuple[int, ...] = ()
        self._mute: bool | None = None

    def diagnostics(self) -> RecordDiagnostics:
        """Return what the channel knows."""
        return RecordDiagnostics(
            listening=self._listening,
            starts=self._starts,
            stops=self._stops,
            channels=self._channels,
            frequency=self._frequency,
            volume=self._volume,
            mute=self._mute,
        )

    def on_message(self, type: int, message: Message, now_ns: int) -> None:
        """Take in a message of the record channel."""
        match message:
            case record.Start():
                self._listening = True
                self._starts += 1
                self._channels, self._frequency = message.channels, message.frequency
                text = "the guest listens to the microphone, and none is offered"
                self.tell(NotifySeverity.INFO, text, "no_microphone")
            case record.Stop():
                self._listening = False
                self._stops += 1
            case playback.Volume():
                self._volume = message.volume
            case playback.Mute():
                self._mute = bool(message.mute)
