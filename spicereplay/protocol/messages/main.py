"""Messages of the main channel. Source: spice-wire.md 5; spice.proto, MainChannel."""

from __future__ import annotations

from typing import Annotated

from spicereplay.protocol.enums import ClientMain, LinkError, MouseMode, ServerMain
from spicereplay.protocol.wire import (
    U8,
    U16,
    U32,
    U64,
    Counted,
    Enum16,
    Enum32,
    FixedBytes,
    Message,
    Pointer,
    Rest,
    Structure,
    derived,
    message,
    structure,
)


@structure
class DstInfo(Structure):
    """Where the guest moves to. Names end in a NUL that their size counts."""

    port: U16
    sport: U16
    """TLS port."""
    host_size: U32 = derived()
    host_data: Annotated[bytes | None, Pointer(required=True), Counted("host_size")]
    cert_subject_size: U32 = derived()
    cert_subject_data: Annotated[bytes | None, Pointer(), Counted("cert_subject_size")]


@structure
class ChannelId(Structure):
    """One channel a client may open."""

    type: U8
    id: U8


# --- from the server ----------------------------------------------------------------------------------


@message(ServerMain.MIGRATE_BEGIN)
class MigrateBegin(Message):
    """Connect to the target now, beside this connection."""

    dst_info: DstInfo


@message(ServerMain.MIGRATE_CANCEL)
class MigrateCancel(Message):
    """Leave the target again."""


@message(ServerMain.INIT)
class Init(Message):
    """The first message of a session."""

    session_id: U32
    """What the client's other channels put in their link message."""
    display_channels_hint: U32
    supported_mouse_modes: Enum32[MouseMode]
    current_mouse_mode: Enum32[MouseMode]
    agent_connected: U32
    agent_tokens: U32
    multi_media_time: U32
    """ms, latency already subtracted."""
    ram_hint: U32
    """Bytes of guest video memory."""


@message(ServerMain.CHANNELS_LIST)
class ChannelsList(Message):
    """Channels that may be opened; later lists hold only what is new."""

    num_of_channels: U32 = derived()
    channels: Annotated[tuple[ChannelId, ...], Counted("num_of_channels")]


@message(ServerMain.MOUSE_MODE)
class MouseModeChange(Message):
    """Which mouse modes there are and which one holds."""

    supported_modes: Enum16[MouseMode]
    current_mode: Enum16[MouseMode]


@message(ServerMain.MULTI_MEDIA_TIME)
class MultiMediaTime(Message):
    """Set the multimedia clock."""

    time: U32
    """ms, latency already subtracted."""


@message(ServerMain.AGENT_CONNECTED)
class AgentConnected(Message):
    """The guest's agent is there; for clients without AGENT_CONNECTED_TOKENS."""


@message(ServerMain.AGENT_DISCONNECTED)
class AgentDisconnected(Message):
    """The guest's agent is gone."""

    error_code: Enum32[LinkError]


@message(ServerMain.AGENT_DATA, ClientMain.AGENT_DATA)
class AgentData(Message):
    """A slice of the agent's byte stream; see `spicereplay.protocol.agent`."""

    data: Rest


@message(ServerMain.AGENT_TOKEN, ClientMain.AGENT_TOKEN)
class AgentToken(Message):
    """That many more AGENT_DATA may be sent."""

    num_tokens: U32


@message(ServerMain.MIGRATE_SWITCH_HOST)
class MigrateSwitchHost(Message):
    """Leave this host and connect anew to that one."""

    port: U16
    sport: U16
    host_size: U32 = derived()
    host_data: Annotated[bytes | None, Pointer(), Counted("host_size")]
    cert_subject_size: U32 = derived()
    cert_subject_data: Annotated[bytes | None, Pointer(), Counted("cert_subject_size")]


@message(ServerMain.MIGRATE_END)
class MigrateEnd(Message):
    """The guest has moved."""


@message(ServerMain.NAME)
class Name(Message):
    """The guest's name, usually with its NUL."""

    name_len: U32 = derived()
    name: Annotated[bytes, Counted("name_len")]


@message(ServerMain.UUID)
class Uuid(Message):
    """The guest's UUID."""

    uuid: Annotated[bytes, FixedBytes(16)]


@message(ServerMain.AGENT_CONNECTED_TOKENS)
class AgentConnectedTokens(Message):
    """The guest's agent is there, and that many AGENT_DATA may be sent."""

    num_tokens: U32


@message(ServerMain.MIGRATE_BEGIN_SEAMLESS)
class MigrateBeginSeamless(Message):
    """As MIGRATE_BEGIN, and the channels' state will travel along."""

    dst_info: DstInfo
    src_mig_version: U32


@message(ServerMain.MIGRATE_DST_SEAMLESS_ACK)
class MigrateDstSeamlessAck(Message):
    """The target can take over the channels' state."""


@message(ServerMain.MIGRATE_DST_SEAMLESS_NACK)
class MigrateDstSeamlessNack(Message):
    """The target cannot take over the channels' state."""


# --- from the client ----------------------------------------------------------------------------------


@message(ClientMain.CLIENT_INFO)
class ClientInfo(Message):
    """Historic."""

    cache_size: U64


@message(ClientMain.MIGRATE_CONNECTED)
class MigrateConnected(Message):
    """Connected to the target."""


@message(ClientMain.MIGRATE_CONNECT_ERROR)
class MigrateConnectError(Message):
    """Could not connect to the target."""


@message(ClientMain.ATTACH_CHANNELS)
class AttachChannels(Message):
    """Tell me the channels."""


@message(ClientMain.MOUSE_MODE_REQUEST)
class MouseModeRequest(Message):
    """Please change the mouse mode."""

    mode: Enum16[MouseMode]


@message(ClientMain.AGENT_START)
class AgentStart(Message):
    """Begin to talk to the agent; the server may send `num_tokens` AGENT_DATA."""

    num_tokens: U32


@message(ClientMain.MIGRATE_END)
class ClientMigrateEnd(Message):
    """Everything was moved to the target."""


@message(ClientMain.MIGRATE_DST_DO_SEAMLESS)
class MigrateDstDoSeamless(Message):
    """Asks the target whether it can take over the channels' state."""

    src_version: U32


@message(ClientMain.MIGRATE_CONNECTED_SEAMLESS)
class MigrateConnectedSeamless(Message):
    """Connected to the target, which can take over the channels' state."""


@message(ClientMain.QUALITY_INDICATOR)
class QualityIndicator(Message):
    """Unused."""

    data: Rest
