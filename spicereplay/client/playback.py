"""The playback channel of a client: what the guest plays, how late it comes, and the clock that follows from it.

Decoding and the loudspeaker are the driver's. Where it has none, what is heard lags as far behind as the server asks.

Source: spice-wire.md 5.3 and 14; spice-gtk src/channel-playback.c.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from spicereplay.client.channel import ChannelClient
from spicereplay.client.options import ClientOptions
from spicereplay.client.shared import Shared
from spicereplay.protocol.enums import AudioDataMode, ChannelType
from spicereplay.protocol.messages import playback
from spicereplay.protocol.wire import Message

DEFAULT_LATENCY_MS: Final = 200
"""How far sound lags behind until the server asks for more. Source: spice-gtk src/channel-playback-priv.h."""
CLOCK_EVERY: Final = 100
"""Packets from one setting of the clock to the next. Source: spice-gtk, playback_handle_data."""
DELAY_MOST_MS: Final = 60_000
"""Latencies that a server asks for are not taken further."""


@dataclass(frozen=True, slots=True)
class Playing:
    """What the guest plays now."""

    started_ns: int
    start_time_ms: int
    """The server's multimedia time."""
    channels: int
    frequency: int
    """Hz"""
    mode: int
    """An `AudioDataMode`, or a number that the protocol does not define."""


@dataclass(frozen=True, slots=True)
class PlaybackDiagnostics:
    """What the playback channel knows. Source: ryll-formats.md 5.8."""

    playing: Playing | None
    """None: nothing plays."""
    starts: int
    stops: int
    packets: int
    packet_bytes: int
    """As received, without their headers."""
    stray_packets: int
    """Received while nothing plays."""
    late_packets: int
    """Received after the time at which they were to be heard."""
    underruns: int
    """Runs of late packets: times that the sound broke off."""
    backward_packets: int
    """Stamped before the one received before them."""
    last_margin_ms: int | None
    """How early the last packet was; negative: late. None: no packet so far."""
    delay_ms: int | None
    """How far what is heard lags behind what was received; None: nothing plays."""
    volume: tuple[int, ...]
    """Per channel, 0 to 65535; empty: not told."""
    mute: bool | None
    latency_ms: int | None
    """As the server last asked; None: it has not."""


class PlaybackClient(ChannelClient):
    """The playback channel."""

    def __init__(self, channel: ChannelType, channel_id: int, options: ClientOptions, shared: Shared) -> None:
        super().__init__(channel, channel_id, options, shared)
        self.playing: Playing | None = None
        """What the guest plays now; None: nothing."""
        self._mode = int(AudioDataMode.RAW)
        self._volume: tuple[int, ...] = ()
        self._mute: bool | None = None
        self._latency_ms: int | None = None
        self._device_delay_ms: int | None = None
        self._delay_ms = DEFAULT_LATENCY_MS
        self._until_clock = 0
        self._last_time_ms = 0
        self._last_margin_ms: int | None = None
        self._starts = self._stops = self._packets = self._bytes = 0
        self._stray = self._late = self._underruns = self._backward = 0
        self._breaks = False

    def set_delay(self, delay_ms: int, now_ns: int) -> None:
        """Say how far the loudspeaker lags behind, where there is one; the multimedia clock follows.

        Source: spice-gtk, spice_playback_channel_set_delay.
        """
        self._device_delay_ms = delay_ms
        if self.playing is not None:
            self._set_clock(now_ns)

    def diagnostics(self) -> PlaybackDiagnostics:
        """Return what the channel knows."""
        return PlaybackDiagnostics(
            playing=self.playing,
            starts=self._starts,
            stops=self._stops,
            packets=self._packets,
            packet_bytes=self._bytes,
            stray_packets=self._stray,
            late_packets=self._late,
            underruns=self._underruns,
            backward_packets=self._backward,
            last_margin_ms=self._last_margin_ms,
            delay_ms=None if self.playing is None else self._delay(),
            volume=self._volume,
            mute=self._mute,
            latency_ms=self._latency_ms,
        )

    def on_message(self, type: int, message: Message, now_ns: int) -> None:
        """Take in a message of the playback channel."""
        match message:
            case playback.Data():
                self._packet(message, now_ns)
            case playback.Mode():
                self._mode = int(message.mode)
            case playback.Start():
                self._starts += 1
                self.playing = Playing(now_ns, message.time, message.channels, message.frequency, self._mode)
                self._last_time_ms = message.time
                self._until_clock, self._breaks = 0, False
                self._delay_ms = DEFAULT_LATENCY_MS
                self.shared.playback_delay_ms = self._delay()
            case playback.Stop():
                self._stops += 1
                self.playing = self.shared.playback_delay_ms = None
            case playback.Volume():
                self._volume = message.volume
            case playback.Mute():
                self._mute = bool(message.mute)
            case playback.Latency():
                self._latency_ms = message.latency_ms
                self._delay_ms = min(message.latency_ms, DELAY_MOST_MS)
                self._until_clock = 0

    def _packet(self, packet: playback.Data, now_ns: int) -> None:
        """Count a packet, and set the clock by it now and then: heard now is what came a delay ago."""
        self._packets += 1
        self._bytes += len(packet.data)
        if self.playing is None:
            self._stray += 1
            return
        margin = self._last_margin_ms = self.shared.margin(packet.time, now_ns)
        self._late += margin < 0
        self._underruns += margin < 0 and not self._breaks
        self._breaks = margin < 0
        self._backward += (packet.time - self._last_time_ms) % 2**32 >= 2**31
        self._last_time_ms = packet.time
        if not self._until_clock:
            self._until_clock = CLOCK_EVERY
            self._set_clock(now_ns)
        self._until_clock -= 1

    def _delay(self) -> int:
        return self._delay_ms if self._device_delay_ms is None else self._device_delay_ms

    def _set_clock(self, now_ns: int) -> None:
        delay = self.shared.playback_delay_ms = self._delay()
        self.shared.follow_mm_time(self._last_time_ms - delay, now_ns)
