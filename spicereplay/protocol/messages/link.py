"""What is exchanged before the first message. Source: spice-wire.md 2; spice-protocol spice/protocol.h."""

from __future__ import annotations

from typing import Annotated

from spicereplay.protocol.enums import AuthMechanism, ChannelType, LinkError
from spicereplay.protocol.wire import (
    U8,
    U32,
    Counted,
    Enum8,
    Enum32,
    FixedBytes,
    Pointer,
    Structure,
    structure,
)


@structure
class LinkHeader(Structure):
    """What both sides begin with."""

    magic: Annotated[bytes, FixedBytes(4)]
    """`REDQ`"""
    major_version: U32
    minor_version: U32
    size: U32
    """Bytes of the LinkMess or LinkReply that follows, its capabilities included."""


@structure
class LinkMess(Structure):
    """What the client wants. Offsets count from its own first byte."""

    connection_id: U32
    """0 for the first main channel, else `session_id` of MAIN_INIT."""
    channel_type: Enum8[ChannelType]
    channel_id: U8
    num_common_caps: U32
    num_channel_caps: U32
    caps: Annotated[tuple[U32, ...] | None, Pointer(), Counted("num_common_caps", "num_channel_caps")]
    """Words: the common ones, then the channel's."""

    @property
    def common_caps(self) -> tuple[int, ...]:
        """Words that hold for every channel."""
        return (self.caps or ())[: self.num_common_caps]

    @property
    def channel_caps(self) -> tuple[int, ...]:
        """Words that hold for this channel."""
        return (self.caps or ())[self.num_common_caps :]


@structure
class LinkReply(Structure):
    """What the server answers. Offsets count from its own first byte."""

    error: Enum32[LinkError]
    pub_key: Annotated[bytes, FixedBytes(162)]
    """RSA key in DER; zero bytes with SASL and in refusals."""
    num_common_caps: U32
    num_channel_caps: U32
    caps: Annotated[tuple[U32, ...] | None, Pointer(), Counted("num_common_caps", "num_channel_caps")]
    """Words: the common ones, then the channel's."""

    @property
    def common_caps(self) -> tuple[int, ...]:
        """Words that hold for every channel."""
        return (self.caps or ())[: self.num_common_caps]

    @property
    def channel_caps(self) -> tuple[int, ...]:
        """Words that hold for this channel."""
        return (self.caps or ())[self.num_common_caps :]


@structure
class LinkAuthMechanism(Structure):
    """How the client will authenticate; sent when both sides have AUTH_SELECTION."""

    auth_mechanism: Enum32[AuthMechanism]


@structure
class LinkEncryptedTicket(Structure):
    """The password and a NUL, by RSA-OAEP under the server's key."""

    encrypted_data: Annotated[bytes, FixedBytes(128)]


@structure
class LinkResult(Structure):
    """Whether messages may follow."""

    error: Enum32[LinkError]
