"""Messages of usbredir, port and webdav: pipes for another protocol.

Source: spice-wire.md 15; spice.proto.
"""

from __future__ import annotations

from typing import Annotated

from spicereplay.protocol.enums import (
    ClientPort,
    ClientSpicevmc,
    DataCompressionType,
    PortEvent,
    ServerPort,
    ServerSpicevmc,
)
from spicereplay.protocol.wire import (
    U8,
    U32,
    Counted,
    Enum8,
    Message,
    Pointer,
    Rest,
    When,
    derived,
    message,
)


@message(ServerSpicevmc.DATA, ClientSpicevmc.DATA)
class Data(Message):
    """A slice of the inner byte stream."""

    data: Rest


@message(ServerSpicevmc.COMPRESSED_DATA, ClientSpicevmc.COMPRESSED_DATA)
class CompressedData(Message):
    """A slice of the inner byte stream, compressed by itself."""

    type: Enum8[DataCompressionType]
    uncompressed_size: Annotated[U32 | None, When("type", DataCompressionType.NONE, unless=True)]
    compressed_data: Rest


@message(ServerPort.INIT)
class Init(Message):
    """Which port this is."""

    name_size: U32 = derived()
    name: Annotated[bytes | None, Pointer(required=True), Counted("name_size")]
    """Ends in a NUL that `name_size` counts."""
    opened: U8


@message(ServerPort.EVENT, ClientPort.EVENT)
class Event(Message):
    """Something happened to the port."""

    event: Enum8[PortEvent]
