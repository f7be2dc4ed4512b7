"""What the channels of one session know of each other."""

from __future__ import annotations

from dataclasses import dataclass

from spicereplay.units import NS_PER_MS


@dataclass(slots=True)
class Shared:
    """State that one channel sets and others use. Times in ns of the clock that the driver hands in."""

    session_id: int = 0
    """MAIN_INIT's; 0 before."""
    ram_hint: int = 0
    """MAIN_INIT's: the guest's video memory in bytes, 0: not told."""
    mm_time_ms: int = 0
    """Server multimedia time as last set."""
    mm_time_set_ns: int | None = None
    """When it was set; None: never."""
    mm_time_sets: int = 0
    playback_delay_ms: int | None = None
    """How far what is heard lags behind what was received; None: nothing plays."""

    def set_mm_time(self, value_ms: int, now_ns: int) -> None:
        """Take over the server's multimedia time."""
        self.mm_time_ms, self.mm_time_set_ns = value_ms, now_ns
        self.mm_time_sets += 1

    def mm_time(self, now_ns: int) -> int:
        """Return the multimedia time now, in ms modulo 2^32; 0 before it was set. Source: spice-wire.md 5.3."""
        if self.mm_time_set_ns is None:
            return 0
        return (self.mm_time_ms + (now_ns - self.mm_time_set_ns) // NS_PER_MS) % 2**32
