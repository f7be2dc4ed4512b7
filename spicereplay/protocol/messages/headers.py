"""What precedes the body of a message. Source: spice-wire.md 3; spice-protocol spice/protocol.h."""

from __future__ import annotations

from spicereplay.protocol.wire import U16, U32, U64, Structure, structure


@structure
class DataHeader(Structure):
    """The full header."""

    serial: U64
    type: U16
    size: U32
    """Bytes of the body."""
    sub_list: U32
    """Where in the body a list of sub-messages begins; 0 for none."""


@structure
class MiniDataHeader(Structure):
    """The mini header, and that of a sub-message."""

    type: U16
    size: U32
    """Bytes of the body."""
