"""One client's session as it was observed: its channels, and what each side said on them."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from spicereplay.bytestream import DirectionFacts
from spicereplay.defects import DefectLog
from spicereplay.protocol.enums import ChannelType, Side
from spicereplay.protocol.index import MessageIndex
from spicereplay.protocol.link import Link


class GapCause(StrEnum):
    """Why bytes are missing."""

    NOT_CAPTURED = "not_captured"
    """A TCP segment that the capture does not hold."""
    SEGMENT_OVER_SNAPLEN = "segment_over_snaplen"
    """ryll's writer refuses frames above its own snap length (ryll-formats.md 9.4)."""
    OVERSIZE_PLACEHOLDER = "oversize_placeholder"
    """An empty record stands for a message above 65,495 bytes (ryll-formats.md 10.5)."""
    SILENT = "silent"
    """No hole in the sequence numbers; only the message framing shows it (ryll-formats.md 11.3)."""
    EVICTED = "evicted"
    """The recorder's ring had dropped them before the capture begins (ryll-formats.md 10.2)."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Bytes that one side sent and that the capture does not hold."""

    side: Side
    time_ns: int
    """When the first byte after them arrived."""
    position: int
    """Stream position of the first missing byte."""
    length: int | None
    """Missing bytes; None where only their absence is known."""
    cause: GapCause
    messages: int | None = None
    """Whole messages (or heads of messages) known to be lost in it, where that can be told."""


@dataclass(slots=True, eq=False)
class ChannelLog:
    """One channel of one session."""

    channel: ChannelType
    channel_id: int
    link: Link | None
    """The handshake; None where the capture lacks it."""
    mini_header: bool
    server: MessageIndex
    client: MessageIndex
    start_time_ns: int
    end_time_ns: int
    server_address: str = ""
    client_address: str = ""
    facts: dict[Side, DirectionFacts] = field(default_factory=dict)
    """What the TCP headers say, per sending side."""
    gaps: list[Gap] = field(default_factory=list)
    bytes_from: dict[Side, int] = field(default_factory=dict)
    """Captured stream bytes per side, handshake included."""
    unparsed_bytes: int = 0
    """Captured bytes after the handshake that belong to no message."""
    assumptions: list[str] = field(default_factory=list)
    """What had to be assumed because the capture does not show it, in words."""
    unseen: frozenset[Side] = frozenset()
    """Sides of which the capture holds nothing that can be read: nothing follows from their silence."""
    closed_by: str | None = None
    """`"client"`, `"server"`, `"both"` where both sent a FIN or RST, or None where the end was not seen, or not who
    came first."""
    closed_time_ns: int | None = None

    @property
    def name(self) -> str:
        """The lower-case SPICE name with the id, `display/0`."""
        return f"{self.channel.label}/{self.channel_id}"

    def index(self, side: Side) -> MessageIndex:
        """Return what `side` sent."""
        return self.server if side is Side.SERVER else self.client


@dataclass(slots=True, eq=False)
class SessionLog:
    """All channels of one client connected to one server."""

    number: int
    """Index within the capture, from 0, in order of start."""
    session_id: int | None
    """MAIN_INIT's session_id (the others' connection id); None where not seen."""
    channels: list[ChannelLog]
    start_time_ns: int
    end_time_ns: int
    defects: DefectLog = field(default_factory=DefectLog)

    @property
    def handshake(self) -> bool:
        """Whether every channel shows its link handshake."""
        return all(c.link is not None for c in self.channels)

    def of(self, channel: ChannelType) -> list[ChannelLog]:
        """Return the channels of one type, by id."""
        return sorted((c for c in self.channels if c.channel is channel), key=lambda c: c.channel_id)
