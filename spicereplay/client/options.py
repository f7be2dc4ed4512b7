"""What a user may choose about the behaviour of a client."""

from __future__ import annotations

from dataclasses import dataclass

from spicereplay.protocol.enums import ChannelType, ImageCompression, VideoCodec
from spicereplay.units import MIB


@dataclass(frozen=True, slots=True)
class ClientOptions:
    """Behaviour of a client."""

    preferred_compression: ImageCompression | None = ImageCompression.AUTO_GLZ
    """Sent once when a display is linked; None: nothing is sent. Source: ryll-behaviour.md 2."""
    preferred_codecs: tuple[VideoCodec, ...] = (VideoCodec.H264, VideoCodec.MJPEG)
    """Likewise, best first; empty: nothing is sent."""
    playable_codecs: tuple[VideoCodec, ...] = (
        VideoCodec.MJPEG,
        VideoCodec.VP8,
        VideoCodec.H264,
        VideoCodec.VP9,
        VideoCodec.H265,
    )
    """What is announced as playable. A stream in another codec is answered with "cannot play"."""
    image_cache_pixels: int = 20 * MIB
    """What DISPLAY_INIT offers: 80 MiB of pixels. Source: spice-wire.md 7.2."""
    glz_window_pixels: int | None = None
    """What DISPLAY_INIT offers for the GLZ dictionary; None: spice-gtk's rule, from MAIN_INIT's `ram_hint`."""
    agent: bool = True
    """Whether the guest agent is talked to at all."""
    agent_grant: int = 0xFFFFFFFF
    """AGENT_DATA that the server may send. The default, spice-gtk's, never runs out; a smaller number is topped up."""
    monitors_config_interval_s: float | None = 30.0
    """How often an idle agent is probed with a MONITORS_CONFIG; None: never. Source: ryll-behaviour.md 8."""
    agent_warning_s: float = 5.0
    """A probe unanswered for that long, or a queue without tokens, is told. Source: ryll-behaviour.md 8."""
    playback: bool = True
    """Whether sound is received."""
    also_join: frozenset[ChannelType] = frozenset()
    """Channels of no use to this client that are joined nevertheless, so that they can be watched."""
    restate_modifiers_s: float | None = None
    """How often lock keys are stated again on a quiet inputs channel, as ryll does every 10 s; None: never."""
    remember_keys: bool = False
    """Whether the diagnostics of inputs hold the scan codes of the last keys: passwords, too."""
