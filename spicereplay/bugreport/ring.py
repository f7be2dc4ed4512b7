"""The last traffic of a running session, in bounded memory: a ring per channel, the largest for the display.

What is kept are whole messages, as ryll keeps them, so that its readers and ours find their way in what is written.
Channels of one type share a ring, and channels that ryll has no ring for are not kept.

Source: ryll-formats.md 10.1, 10.2 and 10.4.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, NamedTuple

from spicereplay.bugreport.rules import CLIENT_PORTS, FIRST_SEQUENCE
from spicereplay.capture.ryll_frames import WRITTEN_BYTES
from spicereplay.errors import UsageError
from spicereplay.protocol.enums import ChannelType, Side
from spicereplay.units import MIB

RING_BYTES: Final[Mapping[ChannelType, int]] = MappingProxyType(
    {
        ChannelType.MAIN: 4 * MIB,
        ChannelType.DISPLAY: 32 * MIB,
        ChannelType.INPUTS: 2 * MIB,
        ChannelType.CURSOR: 4 * MIB,
        ChannelType.USBREDIR: 4 * MIB,
        ChannelType.PLAYBACK: 4 * MIB,
    }
)
"""What each ring holds, in the order in which ryll merges them. Source: ryll-formats.md 10.2 and 10.3."""
ALL_RINGS_BYTES: Final = sum(RING_BYTES.values())
HEADER_BYTES: Final = 6
"""The mini header before each message."""
FRAME_OVERHEAD: Final = 54
"""Ethernet, IPv4 and TCP headers of a frame, which count against a ring's size. Source: ryll-formats.md 10.2."""


class Unit(NamedTuple):
    """One message as it is kept."""

    time_ns: int
    side: Side
    type: int
    body: bytes

    @property
    def size(self) -> int:
        """Bytes with the mini header."""
        return HEADER_BYTES + len(self.body)

    @property
    def cost(self) -> int:
        """What it takes of the ring: the length of its frames."""
        return self.size + FRAME_OVERHEAD * -(-self.size // WRITTEN_BYTES)


@dataclass(frozen=True, slots=True)
class KeptChannel:
    """What one ring held at one moment."""

    units: tuple[Unit, ...]
    """Oldest first."""
    first_sequence: Mapping[Side, int]
    """Sequence number of each side's first byte that was kept, not wrapped."""


@dataclass(frozen=True, slots=True)
class KeptTraffic:
    """What all rings held at one moment."""

    started_ns: int
    """The zero of the connection's clock."""
    channels: Mapping[ChannelType, KeptChannel]

    @property
    def messages(self) -> int:
        """How many messages there are."""
        return sum(len(channel.units) for channel in self.channels.values())


@dataclass(slots=True, eq=False)
class _Ring:
    most: int
    units: deque[Unit] = field(default_factory=deque)
    used: int = 0
    next_sequence: dict[Side, int] = field(default_factory=lambda: dict(FIRST_SEQUENCE))
    kept_bytes: dict[Side, int] = field(default_factory=lambda: dict.fromkeys(Side, 0))


class TrafficRings:
    """The rings of one connection. A new connection has new ones: its clock and sequence numbers begin anew."""

    def __init__(self, started_ns: int, *, most_bytes: int = ALL_RINGS_BYTES) -> None:
        """Begin with empty rings; `most_bytes` is divided among them as ryll divides its 50 MiB.

        Raises `UsageError` where that is not positive.
        """
        if most_bytes <= 0:
            raise UsageError(f"rings of {most_bytes} bytes hold nothing")
        self.started_ns = started_ns
        self._rings = {
            channel: _Ring(share * most_bytes // ALL_RINGS_BYTES) for channel, share in RING_BYTES.items()
        }

    @property
    def used_bytes(self) -> int:
        """What is kept, frame headers included."""
        return sum(ring.used for ring in self._rings.values())

    def add(self, channel: ChannelType, side: Side, type: int, body: bytes, time_ns: int) -> None:
        """Keep a whole message, and forget the oldest of its channel where there is no room.

        One that is larger than the ring leaves it empty. Channels without a ring are passed over.
        """
        ring = self._rings.get(channel)
        if ring is None:
            return
        unit = Unit(time_ns, side, type, body)
        ring.units.append(unit)
        ring.used += unit.cost
        ring.next_sequence[side] += unit.size
        ring.kept_bytes[side] += unit.size
        while ring.used > ring.most:
            gone = ring.units.popleft()
            ring.used -= gone.cost
            ring.kept_bytes[gone.side] -= gone.size

    def kept(self) -> KeptTraffic:
        """Return what is there now; later messages do not change it."""
        channels = {
            channel: KeptChannel(
                tuple(ring.units),
                MappingProxyType({side: ring.next_sequence[side] - ring.kept_bytes[side] for side in Side}),
            )
            for channel, ring in self._rings.items()
        }
        return KeptTraffic(self.started_ns, MappingProxyType(channels))


assert set(RING_BYTES) == set(CLIENT_PORTS), "every channel with a ring has a port"
