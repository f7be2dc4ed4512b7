"""Messages of the record channel that playback does not have. Source: spice-wire.md 14; spice.proto."""

from __future__ import annotations

from spicereplay.protocol.enums import AudioFormat, ClientRecord, ServerRecord
from spicereplay.protocol.wire import U32, Enum16, Message, message


@message(ServerRecord.START)
class Start(Message):
    """The guest begins to listen."""

    channels: U32
    format: Enum16[AudioFormat]
    frequency: U32
    """Hz"""


@message(ServerRecord.STOP)
class Stop(Message):
    """The guest listens no more."""


@message(ClientRecord.START_MARK)
class StartMark(Message):
    """The client begins to send."""

    time: U32
    """ms"""
