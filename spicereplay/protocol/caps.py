"""Capability words and their names.

Each side of a link announces two arrays of 32-bit words: one for what holds on every channel, one for the
channel at hand. Word k, bit b is capability 32k + b. Source: spice-wire.md 2.4; spice-protocol
spice/protocol.h.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import IntEnum
from typing import Final

from spicereplay.protocol.enums import ChannelType

_UNKNOWN: Final = "UNKNOWN_"


class CommonCap(IntEnum):
    """Capabilities of every channel. Source: spice/protocol.h, SPICE_COMMON_CAP_*."""

    AUTH_SELECTION = 0
    """The client names its mechanism before it authenticates; counts when both sides have it."""
    AUTH_SPICE = 1
    AUTH_SASL = 2
    MINI_HEADER = 3
    """6-byte message headers in both directions; counts when both sides have it."""


class MainCap(IntEnum):
    """Capabilities of the main channel. Source: spice/protocol.h, SPICE_MAIN_CAP_*."""

    SEMI_SEAMLESS_MIGRATE = 0
    NAME_AND_UUID = 1
    AGENT_CONNECTED_TOKENS = 2
    SEAMLESS_MIGRATE = 3


class DisplayCap(IntEnum):
    """Capabilities of a display channel. Source: spice/protocol.h, SPICE_DISPLAY_CAP_*."""

    SIZED_STREAM = 0
    MONITORS_CONFIG = 1
    COMPOSITE = 2
    A8_SURFACE = 3
    STREAM_REPORT = 4
    LZ4_COMPRESSION = 5
    PREF_COMPRESSION = 6
    GL_SCANOUT = 7
    MULTI_CODEC = 8
    CODEC_MJPEG = 9
    CODEC_VP8 = 10
    CODEC_H264 = 11
    PREF_VIDEO_CODEC_TYPE = 12
    CODEC_VP9 = 13
    CODEC_H265 = 14


class InputsCap(IntEnum):
    """Capabilities of the inputs channel. Source: spice/protocol.h, SPICE_INPUTS_CAP_*."""

    KEY_SCANCODE = 0


class PlaybackCap(IntEnum):
    """Capabilities of the playback channel. Source: spice/protocol.h, SPICE_PLAYBACK_CAP_*."""

    CELT_0_5_1 = 0
    VOLUME = 1
    LATENCY = 2
    OPUS = 3


class RecordCap(IntEnum):
    """Capabilities of the record channel. Source: spice/protocol.h, SPICE_RECORD_CAP_*."""

    CELT_0_5_1 = 0
    VOLUME = 1
    OPUS = 2


class SpicevmcCap(IntEnum):
    """Capabilities of usbredir, port and webdav. Source: spice/protocol.h, SPICE_SPICEVMC_CAP_*."""

    DATA_COMPRESS_LZ4 = 0


class AgentCap(IntEnum):
    """Capabilities in ANNOUNCE_CAPABILITIES records. Source: spice-protocol spice/vd_agent.h."""

    MOUSE_STATE = 0
    MONITORS_CONFIG = 1
    REPLY = 2
    CLIPBOARD = 3
    DISPLAY_CONFIG = 4
    CLIPBOARD_BY_DEMAND = 5
    CLIPBOARD_SELECTION = 6
    SPARSE_MONITORS_CONFIG = 7
    GUEST_LINEEND_LF = 8
    GUEST_LINEEND_CRLF = 9
    MAX_CLIPBOARD = 10
    AUDIO_VOLUME_SYNC = 11
    MONITORS_CONFIG_POSITION = 12
    FILE_XFER_DISABLED = 13
    FILE_XFER_DETAILED_ERRORS = 14
    GRAPHICS_DEVICE_INFO = 15
    CLIPBOARD_NO_RELEASE_ON_REGRAB = 16
    CLIPBOARD_GRAB_SERIAL = 17


CHANNEL_CAPS: Final[dict[ChannelType, type[IntEnum]]] = {
    ChannelType.MAIN: MainCap,
    ChannelType.DISPLAY: DisplayCap,
    ChannelType.INPUTS: InputsCap,
    ChannelType.PLAYBACK: PlaybackCap,
    ChannelType.RECORD: RecordCap,
    ChannelType.USBREDIR: SpicevmcCap,
    ChannelType.PORT: SpicevmcCap,
    ChannelType.WEBDAV: SpicevmcCap,
}
"""Both sides of a channel number their capabilities alike. Channels that are not listed have none."""


def bits(words: Sequence[int]) -> list[int]:
    """Return the capability numbers that `words` announce, ascending."""
    return [32 * k + b for k, word in enumerate(words) for b in range(32) if word >> b & 1]


def has(words: Sequence[int], bit: int) -> bool:
    """Say whether `words` announce capability number `bit`."""
    return bit // 32 < len(words) and bool(words[bit // 32] >> bit % 32 & 1)


def registry(channel: ChannelType | int | None) -> type[IntEnum] | None:
    """Return the capabilities of a channel, the common ones for `None`; `None` where a channel has none."""
    if channel is None:
        return CommonCap
    return CHANNEL_CAPS.get(ChannelType(channel)) if channel in ChannelType.__members__.values() else None


def enum_names(known: type[IntEnum] | None, words: Sequence[int]) -> list[str]:
    """Return the names `known` gives the capabilities in `words`, ascending; `UNKNOWN_<bit>` for the rest."""
    by_bit = {} if known is None else {member.value: member.name for member in known}
    return [by_bit.get(bit, f"{_UNKNOWN}{bit}") for bit in bits(words)]


def names(channel: ChannelType | int | None, words: Sequence[int]) -> list[str]:
    """Return the names of the capabilities in `words`, ascending; `UNKNOWN_<bit>` for those without a name.

    `channel` is the channel whose own capabilities these are, or `None` for the common ones.
    """
    return enum_names(registry(channel), words)


def words(channel: ChannelType | int | None, wanted: Iterable[str]) -> tuple[int, ...]:
    """Return the fewest words that announce the capabilities called `wanted`; the inverse of `names`.

    Raises `ValueError` for a name that the channel does not have.
    """
    known = registry(channel)
    by_name = {} if known is None else {member.name: member.value for member in known}
    numbers = []
    for name in wanted:
        if name in by_name:
            numbers.append(by_name[name])
        elif name.startswith(_UNKNOWN) and name.removeprefix(_UNKNOWN).isdecimal():
            numbers.append(int(name.removeprefix(_UNKNOWN)))
        else:
            raise ValueError(f"no capability is called {name!r}; they are {', '.join(by_name)}")
    out = [0] * (max(numbers) // 32 + 1 if numbers else 0)
    for number in numbers:
        out[number // 32] |= 1 << number % 32
    return tuple(out)
