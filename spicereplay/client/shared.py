"""What the channels of one session know of each other."""

from __future__ import annotations

from dataclasses import dataclass, field

from spicereplay.units import NS_PER_MS


@dataclass(frozen=True, slots=True)
class Monitor:
    """A monitor of the guest as it is now, in px; `x` and `y` are where it lies on its surface."""

    width: int
    height: int
    x: int = 0
    y: int = 0


@dataclass(slots=True)
class Shared:
    """State that one channel sets and others use. Times in ns of the clock that the driver hands in."""

    session_id: int = 0
    """MAIN_INIT's; 0 before."""
    ram_hint: int = 0
    """MAIN_INIT's: the guest's video memory in bytes, 0: not told."""
    mouse_mode: int = 0
    """A `MouseMode`, as the server last said; 0 before."""
    seamless: bool = False
    """The server was told that the target of a seamless migration is connected: channels are about to move."""
    mm_time_ms: int = 0
    """Server multimedia time as last set."""
    mm_time_set_ns: int | None = None
    """When it was set; None: never."""
    mm_time_sets: int = 0
    """How often the server set it; what playback derives is not counted."""
    playback_delay_ms: int | None = None
    """How far what is heard lags behind what was received; None: nothing plays."""
    monitors: dict[int, tuple[Monitor, ...]] = field(default_factory=dict)
    """What each display channel shows; a channel without a picture is not there."""
    monitors_changed_ns: int = 0

    def set_mm_time(self, value_ms: int, now_ns: int) -> None:
        """Take over the server's multimedia time."""
        self.follow_mm_time(value_ms, now_ns)
        self.mm_time_sets += 1

    def follow_mm_time(self, value_ms: int, now_ns: int) -> None:
        """Take over the multimedia time of what is heard now. Source: spice-wire.md 5.3."""
        self.mm_time_ms, self.mm_time_set_ns = value_ms % 2**32, now_ns

    def mm_time(self, now_ns: int) -> int:
        """Return the multimedia time now, in ms modulo 2^32; 0 before it was set. Source: spice-wire.md 5.3."""
        if self.mm_time_set_ns is None:
            return 0
        return (self.mm_time_ms + (now_ns - self.mm_time_set_ns) // NS_PER_MS) % 2**32

    def margin(self, time_ms: int, now_ns: int) -> int:
        """Return how many ms something stamped `time_ms` came early; negative: late. Wraps like the clock."""
        return (time_ms - self.mm_time(now_ns) + 2**31) % 2**32 - 2**31

    def set_monitors(self, channel_id: int, monitors: tuple[Monitor, ...], now_ns: int) -> None:
        """Note what a display channel shows; nothing: it shows nothing."""
        if self.monitors.get(channel_id, ()) == monitors:
            return
        self.monitors_changed_ns = now_ns
        if monitors:
            self.monitors[channel_id] = monitors
        else:
            self.monitors.pop(channel_id, None)

    def screen(self) -> tuple[Monitor, ...]:
        """Return all monitors, in the order of their channels."""
        return tuple(monitor for channel in sorted(self.monitors) for monitor in self.monitors[channel])
