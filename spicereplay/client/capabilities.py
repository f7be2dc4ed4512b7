"""What the client announces it can do, per channel, and which channels it joins.

Source: spice-wire.md 2.4; spice-gtk src/channel-*.c, the `_init` functions of the channels; ryll-behaviour.md 1.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from spicereplay.client.options import ClientOptions
from spicereplay.protocol import caps
from spicereplay.protocol.enums import ChannelType

COMMON: Final = ("AUTH_SELECTION", "AUTH_SPICE", "MINI_HEADER")

OWN: Final = {
    ChannelType.MAIN: (
        "SEMI_SEAMLESS_MIGRATE",
        "NAME_AND_UUID",
        "AGENT_CONNECTED_TOKENS",
        "SEAMLESS_MIGRATE",
    ),
    ChannelType.DISPLAY: (
        "SIZED_STREAM",
        "MONITORS_CONFIG",
        "COMPOSITE",
        "A8_SURFACE",
        "STREAM_REPORT",
        "LZ4_COMPRESSION",
        "PREF_COMPRESSION",
        "MULTI_CODEC",
        "PREF_VIDEO_CODEC_TYPE",
    ),
    ChannelType.PLAYBACK: ("VOLUME", "LATENCY", "OPUS"),
    ChannelType.RECORD: ("VOLUME",),
}
"""Without COMPOSITE a guest's QXL driver draws in software. CELT is not announced: nothing here decodes it."""


class Capabilities(NamedTuple):
    """Words of a link message."""

    common: tuple[int, ...]
    channel: tuple[int, ...]


def capabilities(channel: ChannelType, options: ClientOptions | None = None) -> Capabilities:
    """Return what to announce on a channel; on displays, the codecs that `options` name as playable."""
    wanted = OWN.get(channel, ())
    if channel is ChannelType.DISPLAY:
        playable = (options or ClientOptions()).playable_codecs
        wanted += tuple(f"CODEC_{codec.name}" for codec in playable)
    return Capabilities(caps.words(None, COMMON), caps.words(channel, wanted))


ABSENT: Final = {
    ChannelType.RECORD: "no microphone is offered to the guest",
    ChannelType.TUNNEL: "the protocol has given it up",
    ChannelType.SMARTCARD: "no smartcard is offered to the guest",
    ChannelType.USBREDIR: "no USB device is offered to the guest",
    ChannelType.PORT: "nothing listens to ports of the guest",
    ChannelType.WEBDAV: "no folder is shared with the guest",
}
NEVER: Final = frozenset({ChannelType.TUNNEL})


def absence(channel: ChannelType | int, options: ClientOptions) -> str | None:
    """Return why a channel that the server offers is not joined; None: it is."""
    if channel not in ChannelType.__members__.values():
        return f"channel type {int(channel)} is not known"
    known = ChannelType(channel)
    if known is ChannelType.PLAYBACK and not options.playback:
        return "sound is switched off"
    return None if known in options.also_join - NEVER else ABSENT.get(known)
