"""Messages of the smartcard channel. Source: spice-wire.md 16; spice.proto, SmartcardChannel."""

from __future__ import annotations

from typing import Annotated

from spicereplay.protocol.enums import ClientSmartcard, ServerSmartcard, VscMessageType
from spicereplay.protocol.wire import U32, Counted, Enum32, Message, derived, message


@message(ServerSmartcard.DATA, ClientSmartcard.DATA)
class Data(Message):
    """One message between a card reader and the guest."""

    type: Enum32[VscMessageType]
    reader_id: U32
    length: U32 = derived()
    data: Annotated[bytes, Counted("length")]
