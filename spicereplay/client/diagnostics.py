"""What every channel publishes about itself: the baseline. What a channel has besides lies beside its state machine.

Source: ryll-formats.md 5.1 and 5.2, whose counters these are.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from spicereplay.protocol.enums import ChannelType


@dataclass(frozen=True, slots=True)
class Baseline:
    """What one channel did so far. Times in ns; None: never."""

    channel: ChannelType
    channel_id: int
    bytes_in: int
    """Headers and bodies, the link stage not counted."""
    bytes_out: int
    received: dict[int, int]
    """Message type to how many, sub-messages included."""
    sent: dict[int, int]
    unknown: dict[int, int]
    """Types without a name that were received."""
    errors: int
    """Messages that could not be taken apart."""
    pings: int
    pongs: int
    last_received_ns: int | None
    last_sent_ns: int | None
    last_action: str
    """Name of the last message in either direction, `received PING`."""


@dataclass(slots=True)
class Counting:
    """Where a `Baseline` is counted."""

    channel: ChannelType
    channel_id: int
    bytes_in: int = 0
    bytes_out: int = 0
    received: Counter[int] = field(default_factory=Counter)
    sent: Counter[int] = field(default_factory=Counter)
    unknown: Counter[int] = field(default_factory=Counter)
    errors: int = 0
    pings: int = 0
    pongs: int = 0
    last_received_ns: int | None = None
    last_sent_ns: int | None = None
    last_action: str = ""

    def baseline(self) -> Baseline:
        """Return what was counted so far."""
        return Baseline(
            self.channel,
            self.channel_id,
            self.bytes_in,
            self.bytes_out,
            dict(self.received),
            dict(self.sent),
            dict(self.unknown),
            self.errors,
            self.pings,
            self.pongs,
            self.last_received_ns,
            self.last_sent_ns,
            self.last_action,
        )
