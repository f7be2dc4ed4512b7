"""Messages of the playback channel; the record channel shares several.

Source: spice-wire.md 14; spice.proto.
"""

from __future__ import annotations

from typing import Annotated

from spicereplay.protocol.enums import (
    AudioDataMode,
    AudioFormat,
    ClientRecord,
    ServerPlayback,
    ServerRecord,
)
from spicereplay.protocol.wire import (
    U8,
    U16,
    U32,
    Counted,
    Enum16,
    Message,
    Rest,
    derived,
    message,
)


@message(ServerPlayback.DATA, ClientRecord.DATA)
class Data(Message):
    """One packet of sound in the mode that holds."""

    time: U32
    """ms of the server's clock at capture."""
    data: Rest


@message(ServerPlayback.MODE, ClientRecord.MODE)
class Mode(Message):
    """How sound is coded from now on."""

    time: U32
    mode: Enum16[AudioDataMode]
    data: Rest = b""
    """Nothing, in every mode there is."""


@message(ServerPlayback.START)
class Start(Message):
    """The guest begins to play; decoders start anew."""

    channels: U32
    format: Enum16[AudioFormat]
    frequency: U32
    """Hz"""
    time: U32
    """ms of the server's clock."""


@message(ServerPlayback.STOP)
class Stop(Message):
    """The guest plays no more."""


@message(ServerPlayback.VOLUME, ServerRecord.VOLUME)
class Volume(Message):
    """The guest's volume, per channel."""

    nchannels: U8 = derived()
    volume: Annotated[tuple[U16, ...], Counted("nchannels")]


@message(ServerPlayback.MUTE, ServerRecord.MUTE)
class Mute(Message):
    """Whether the guest has muted."""

    mute: U8


@message(ServerPlayback.LATENCY)
class Latency(Message):
    """Hold back at least that much sound."""

    latency_ms: U32
