"""When a recorded message is sent, and what the time stamps in it become.

A client shows a video frame when its multimedia clock reaches the frame's time stamp, and that clock runs at its own
rate, whatever the replay's speed. At the recorded speed all stamps are right as they are, once the client's clock was
set to what the recorded client's showed; at another speed they are brought nearer or further apart.
Source: spice-wire.md 5.3, 10.3.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from spicereplay.errors import UsageError
from spicereplay.units import NS_PER_MS

LAST_FRAME_MS: Final = 300
"""Without waiting, the last frame that a stream paints somewhere is shown that long after it was sent …"""
PAUSE_NS: Final = 400 * NS_PER_MS
"""… and what ends the stream or changes its clip waits that long for it. All frames before are late at once, and
clients pass over them."""
_WRAP: Final = 1 << 32


@dataclass(frozen=True, slots=True)
class Tempo:
    """How the times of a recording become times of a replay.

    Raises `UsageError` for a speed that is not above 0.
    """

    start_ns: int
    """Capture time at which the replay's clock starts."""
    clock_ms: int
    """What the client's multimedia clock shall show then."""
    speed: float | None = 1.0
    """Seconds of the recording per second; None: without waiting."""

    def __post_init__(self) -> None:
        if self.speed is not None and not (math.isfinite(self.speed) and self.speed > 0):
            raise UsageError(f"a speed is above 0, not {self.speed:g}")

    @property
    def as_recorded(self) -> bool:
        """Whether all intervals, and so all time stamps, stay as they are."""
        return self.speed == 1.0

    def elapsed_at(self, capture_ns: int) -> int:
        """Return nanoseconds after the start at which something recorded then is sent."""
        if self.speed is None:
            return 0
        return max(0, math.ceil((capture_ns - self.start_ns) / self.speed))

    def clock_at(self, elapsed_ns: int) -> int:
        """Return what the client's multimedia clock shows that long after the start, in ms modulo 2^32."""
        return (self.clock_ms + elapsed_ns // NS_PER_MS) % _WRAP

    def stamp(self, recorded_ms: int, elapsed_ns: int, *, last: bool = False) -> int:
        """Return the multimedia time that stands for a recorded one in a message sent that long after the start.

        `last` says that it is the last frame that a stream paints somewhere.
        """
        if self.speed is None:
            return (self.clock_at(elapsed_ns) + (LAST_FRAME_MS if last else 0)) % _WRAP
        if self.as_recorded:
            return recorded_ms
        after = (recorded_ms - self.clock_ms + _WRAP // 2) % _WRAP - _WRAP // 2
        return (self.clock_ms + round(after / self.speed)) % _WRAP
