"""What every channel publishes about itself: the baseline. What a channel has besides lies beside its state machine.

Source: ryll-formats.md 5.1 and 5.2, whose counters these are.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Final

from spicereplay.protocol.enums import ChannelType

ACK_INTERVALS: Final = 32
"""Gaps between ACKs that are kept. Source: ryll-formats.md 5.3, `recent_ack_intervals_secs`."""


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
    last_unknown: int | None
    last_ping_ns: int | None
    ack_generation: int
    """SET_ACK's; 0 before."""
    ack_window: int
    """SET_ACK's; 0: nothing is acknowledged."""
    acks: int
    """ACKs sent."""
    messages: int
    """Messages received, sub-messages not counted."""
    messages_at_ack: int
    """`messages` when the last ACK was sent."""
    last_ack_ns: int | None
    ack_intervals_ns: tuple[int, ...]
    """Gaps between the last ACKs, oldest first."""


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
    last_unknown: int | None = None
    last_ping_ns: int | None = None
    ack_generation: int = 0
    ack_window: int = 0
    acks: int = 0
    messages: int = 0
    messages_at_ack: int = 0
    last_ack_ns: int | None = None
    ack_intervals_ns: deque[int] = field(default_factory=lambda: deque(maxlen=ACK_INTERVALS))

    def acknowledged(self, now_ns: int) -> None:
        """Count an ACK."""
        if self.last_ack_ns is not None:
            self.ack_intervals_ns.append(now_ns - self.last_ack_ns)
        self.acks += 1
        self.last_ack_ns, self.messages_at_ack = now_ns, self.messages

    def baseline(self) -> Baseline:
        """Return what was counted so far."""
        return Baseline(
            channel=self.channel,
            channel_id=self.channel_id,
            bytes_in=self.bytes_in,
            bytes_out=self.bytes_out,
            received=dict(self.received),
            sent=dict(self.sent),
            unknown=dict(self.unknown),
            errors=self.errors,
            pings=self.pings,
            pongs=self.pongs,
            last_received_ns=self.last_received_ns,
            last_sent_ns=self.last_sent_ns,
            last_action=self.last_action,
            last_unknown=self.last_unknown,
            last_ping_ns=self.last_ping_ns,
            ack_generation=self.ack_generation,
            ack_window=self.ack_window,
            acks=self.acks,
            messages=self.messages,
            messages_at_ack=self.messages_at_ack,
            last_ack_ns=self.last_ack_ns,
            ack_intervals_ns=tuple(self.ack_intervals_ns),
        )
