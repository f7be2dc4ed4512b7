"""The guest agent's protocol: records in a byte stream that AGENT_DATA messages carry in slices.

Clipboards and files pass through here. What is in them is private: the assembler counts those bytes and
forgets them unless its caller asks for them by type.

Source: spice-wire.md 6; spice-protocol spice/vd_agent.h.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Final

from spicereplay.defects import DefectKind, DefectLog
from spicereplay.limits import DEFAULT_LIMITS, Limits
from spicereplay.protocol.enums import (
    AgentDisplayFlags,
    AgentMonitorsFlags,
    AgentMouseButtonMask,
    AgentResult,
    AgentType,
    ClipboardSelection,
    ClipboardType,
    FileXferResult,
)
from spicereplay.protocol.wire import (
    I32,
    U8,
    U16,
    U32,
    U64,
    Counted,
    Enum8,
    Enum32,
    FixedBytes,
    Message,
    Negotiated,
    Parsed,
    Rest,
    Structure,
    ToEnd,
    UnknownMessage,
    When,
    build,
    derived,
    message,
    parse,
    structure,
    unknown,
)

PROTOCOL: Final = 1
"""What every record begins with. Source: vd_agent.h, VD_AGENT_PROTOCOL."""
SLICE_BYTES: Final = 2048
"""Largest body of one AGENT_DATA. Source: vd_agent.h, VD_AGENT_MAX_DATA_SIZE."""

CLIPBOARD_SELECTION: Final = "clipboard_selection"
CLIPBOARD_GRAB_SERIAL: Final = "clipboard_grab_serial"


@structure
class AgentHeader(Structure):
    """What begins every record."""

    protocol: U32
    type: U32
    opaque: U64
    size: U32
    """Bytes of data after the header."""


@structure
class SelectionPrefix(Structure):
    """Which clipboard; there when both ends announced CLIPBOARD_SELECTION."""

    selection: Enum8[ClipboardSelection]
    reserved: Annotated[bytes, FixedBytes(3)] = b"\0\0\0"


# --- records, in the order of their types ---------------------------------------------------------


@message(AgentType.MOUSE_STATE)
class MouseState(Message):
    """The pointer, from the server to the guest."""

    x: U32
    y: U32
    buttons: Enum32[AgentMouseButtonMask]
    display_id: U8


@structure
class MonitorConfig(Structure):
    """One monitor; height stands before width. 0 by 0 is a monitor that is off."""

    height: U32
    width: U32
    depth: U32
    x: I32
    y: I32


@structure
class MonitorSize(Structure):
    """One monitor's size in mm; height stands before width."""

    height: U16
    width: U16


@message(AgentType.MONITORS_CONFIG)
class MonitorsConfig(Message):
    """The client asks for these monitors."""

    num_of_monitors: U32 = derived()
    flags: Enum32[AgentMonitorsFlags]
    monitors: Annotated[tuple[MonitorConfig, ...], Counted("num_of_monitors")]
    physical_sizes: Annotated[
        tuple[MonitorSize, ...] | None,
        When("flags", AgentMonitorsFlags.PHYSICAL_SIZE),
        Counted("num_of_monitors"),
    ] = None


@message(AgentType.REPLY)
class Reply(Message):
    """The guest's answer to a record of that type."""

    type: Enum32[AgentType]
    error: Enum32[AgentResult]


@message(AgentType.CLIPBOARD)
class Clipboard(Message):
    """What the clipboard holds."""

    selection: Annotated[SelectionPrefix | None, Negotiated(CLIPBOARD_SELECTION)]
    type: Enum32[ClipboardType]
    data: Rest


@message(AgentType.DISPLAY_CONFIG)
class DisplayConfig(Message):
    """The client asks for a plainer desktop."""

    flags: Enum32[AgentDisplayFlags]
    depth: U32


@message(AgentType.ANNOUNCE_CAPABILITIES)
class AnnounceCapabilities(Message):
    """What the sender can do; `caps.enum_names(caps.AgentCap, words)` names it."""

    request: U32
    """1: please announce yours."""
    caps: Annotated[tuple[U32, ...], ToEnd()]


@message(AgentType.CLIPBOARD_GRAB)
class ClipboardGrab(Message):
    """The sender's clipboard holds something of these types."""

    selection: Annotated[SelectionPrefix | None, Negotiated(CLIPBOARD_SELECTION)]
    serial: Annotated[U32 | None, Negotiated(CLIPBOARD_GRAB_SERIAL)]
    types: Annotated[tuple[Enum32[ClipboardType], ...], ToEnd()]


@message(AgentType.CLIPBOARD_REQUEST)
class ClipboardRequest(Message):
    """Please send what your clipboard holds."""

    selection: Annotated[SelectionPrefix | None, Negotiated(CLIPBOARD_SELECTION)]
    type: Enum32[ClipboardType]


@message(AgentType.CLIPBOARD_RELEASE)
class ClipboardRelease(Message):
    """The sender's clipboard holds nothing more."""

    selection: Annotated[SelectionPrefix | None, Negotiated(CLIPBOARD_SELECTION)]


@message(AgentType.FILE_XFER_START)
class FileXferStart(Message):
    """A file is coming; name and size in key-file form."""

    id: U32
    data: Rest


@message(AgentType.FILE_XFER_STATUS)
class FileXferStatus(Message):
    """How a transfer stands."""

    id: U32
    result: Enum32[FileXferResult]
    detail: Rest = b""
    """NOT_ENOUGH_SPACE: u64 bytes free. ERROR: u8 registry, u32 code."""


@message(AgentType.FILE_XFER_DATA)
class FileXferData(Message):
    """A piece of a file."""

    id: U32
    size: U64
    data: Rest


@message(AgentType.CLIENT_DISCONNECTED)
class ClientDisconnected(Message):
    """The server tells the guest that its client is gone."""


@message(AgentType.MAX_CLIPBOARD)
class MaxClipboard(Message):
    """No clipboard beyond that many bytes, please; -1 lifts the bound."""

    max: I32


@message(AgentType.AUDIO_VOLUME_SYNC)
class AudioVolumeSync(Message):
    """The client's volume."""

    is_playback: U8
    mute: U8
    nchannels: U8 = derived()
    volume: Annotated[tuple[U16, ...], Counted("nchannels")]


@structure
class DeviceDisplayInfo(Structure):
    """Which device of the guest one monitor is."""

    channel_id: U32
    monitor_id: U32
    device_display_id: U32
    device_address_len: U32 = derived()
    device_address: Annotated[bytes, Counted("device_address_len")]


@message(AgentType.GRAPHICS_DEVICE_INFO)
class GraphicsDeviceInfo(Message):
    """Which devices of the guest the monitors are, from the server to the guest."""

    count: U32 = derived()
    display_info: Annotated[tuple[DeviceDisplayInfo, ...], Counted("count")]


RECORDS: Final[dict[int, type[Message]]] = {
    kind.value: cls
    for cls in tuple(globals().values())
    if isinstance(cls, type) and issubclass(cls, Message) and cls is not Message
    for kind in cls.TYPES
}
"""The declaration of every record type."""


def record_name(kind: int) -> str:
    """Return SPICE's own name of a record type, `MONITORS_CONFIG`; `UNKNOWN_<kind>` where it has none."""
    return AgentType(kind).name if kind in RECORDS else f"UNKNOWN_{kind}"


def parse_record(
    kind: int,
    data: bytes | memoryview,
    *,
    clipboard_selection: bool,
    clipboard_grab_serial: bool,
    limits: Limits = DEFAULT_LIMITS,
) -> Parsed[Message] | Parsed[UnknownMessage]:
    """Take the data of one record apart; as an `UnknownMessage` where there is no such type.

    The two switches say whether both ends' latest announcements had these capabilities; they decide which
    fields clipboard records begin with. Source: spice-wire.md 6.2, 17 (trap 41).
    """
    cls = RECORDS.get(kind)
    if cls is None:
        return unknown(kind, data, f"no agent record has type {kind}")
    agreed = {CLIPBOARD_SELECTION: clipboard_selection, CLIPBOARD_GRAB_SERIAL: clipboard_grab_serial}
    negotiated = frozenset(name for name, both in agreed.items() if both)
    return parse(cls, data, limits=limits, negotiated=negotiated)


def slices(record: Message) -> list[bytes]:
    """Return the AGENT_DATA bodies that carry `record`, each of at most `SLICE_BYTES`."""
    data = build(record)
    whole = build(AgentHeader(PROTOCOL, record.TYPES[0], 0, len(data))) + data
    return [whole[at : at + SLICE_BYTES] for at in range(0, len(whole), SLICE_BYTES)]


# --- from slices to records ------------------------------------------------------------------------

PUBLIC_TYPES: Final = frozenset(
    {
        AgentType.MONITORS_CONFIG,
        AgentType.REPLY,
        AgentType.DISPLAY_CONFIG,
        AgentType.ANNOUNCE_CAPABILITIES,
        AgentType.FILE_XFER_STATUS,
        AgentType.MAX_CLIPBOARD,
        AgentType.AUDIO_VOLUME_SYNC,
        AgentType.GRAPHICS_DEVICE_INFO,
    }
)
"""Records that hold nothing of what the user typed, copied or sent."""


def is_public(kind: int) -> bool:
    """Say whether records of that type hold nothing private."""
    return kind in PUBLIC_TYPES


@dataclass(frozen=True, slots=True)
class AgentMessage:
    """One record, put together again."""

    type: int
    size: int
    """Bytes of its data, kept or not."""
    opaque: int
    data: bytes | None
    """`None` where it was not kept."""
    first_time_ns: int
    """When its first byte came."""
    last_time_ns: int
    """When its last byte came."""
    chunks: int
    """AGENT_DATA messages that carried a part of it."""


@dataclass(slots=True)
class _Record:
    """The record under way."""

    first_time_ns: int
    head: bytearray = field(default_factory=bytearray)
    header: AgentHeader | None = None
    data: bytearray | None = None
    missing: int = 0
    chunks: int = 0


class AgentAssembler:
    """Puts the records of one direction together out of AGENT_DATA bodies, in any slicing.

    `keep_data` says of which types the data is kept; records larger than `limits.agent_message_bytes` are
    followed to their end without it. After `reset`, or a header that is none, everything is skipped until an
    AGENT_DATA begins with what looks like a header: both ends begin every record with an AGENT_DATA of its
    own.
    """

    __slots__ = ("_record", "_synchronised", "defects", "keep_data", "limits", "where")

    def __init__(
        self,
        *,
        keep_data: Callable[[int], bool] = is_public,
        limits: Limits = DEFAULT_LIMITS,
        defects: DefectLog | None = None,
        where: str = "agent",
    ) -> None:
        self.keep_data = keep_data
        self.limits = limits
        self.defects = DefectLog(limits.defects_per_kind) if defects is None else defects
        self.where = where
        self._record: _Record | None = None
        self._synchronised = True

    def reset(self) -> None:
        """Forget the record under way: bytes were lost, or the sequence begins somewhere in the middle."""
        self._record = None
        self._synchronised = False

    def feed(self, data: bytes, time_ns: int) -> list[AgentMessage]:
        """Take the body of one AGENT_DATA; return the records that it completes."""
        if not self._synchronised:
            if not self._looks_like_header(data):
                return []
            self._synchronised = True
        done: list[AgentMessage] = []
        at = 0
        while at < len(data):
            record = self._record
            if record is None:
                record = self._record = _Record(time_ns)
            at_start = at
            if record.header is None:
                at = self._read_header(record, data, at, time_ns)
                if not self._synchronised:
                    return done
            taken = data[at : at + record.missing]
            if record.data is not None:
                record.data += taken
            record.missing -= len(taken)
            at += len(taken)
            record.chunks += at > at_start
            if record.header is not None and record.missing == 0:
                done.append(self._finished(record, record.header, time_ns))
                self._record = None
        return done

    def _read_header(self, record: _Record, data: bytes, at: int, time_ns: int) -> int:
        head = data[at : at + AgentHeader.MIN_SIZE - len(record.head)]
        record.head += head
        if len(record.head) == AgentHeader.MIN_SIZE:
            header = parse(AgentHeader, bytes(record.head)).message
            assert header is not None, "it has as many bytes as it needs"
            if header.protocol != PROTOCOL:
                detail = f"agent record begins with protocol {header.protocol:#x}, expected {PROTOCOL}"
                self._note(DefectKind.AGENT_MALFORMED, detail, time_ns)
                self.reset()
            elif header.size > self.limits.agent_message_bytes:
                allowed = self.limits.agent_message_bytes
                detail = f"agent record of {header.size} bytes, agent_message_bytes allows {allowed}"
                self._note(DefectKind.OVER_LIMIT, detail, time_ns)
            elif self.keep_data(header.type):
                record.data = bytearray()
            record.header = header
            record.missing = header.size
        return at + len(head)

    def _looks_like_header(self, data: bytes) -> bool:
        header = parse(AgentHeader, data[: AgentHeader.MIN_SIZE]).message
        return (
            header is not None
            and header.protocol == PROTOCOL
            and header.type in RECORDS
            and header.opaque == 0
            and header.size <= self.limits.agent_message_bytes
        )

    def _note(self, kind: DefectKind, detail: str, time_ns: int) -> None:
        self.defects.add(kind, self.where, detail, time_ns=time_ns)

    @staticmethod
    def _finished(record: _Record, header: AgentHeader, time_ns: int) -> AgentMessage:
        return AgentMessage(
            header.type,
            header.size,
            header.opaque,
            None if record.data is None else bytes(record.data),
            record.first_time_ns,
            time_ns,
            record.chunks,
        )
