"""The heads of a display channel: which part of which surface each monitor shows.

Source: spice-wire.md 7.1; spice-gtk src/channel-display.c, display_handle_monitors_config.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from spicereplay.display.region import Box
from spicereplay.protocol.messages.display import Head

MOST_MONITORS: Final = 256
"""Heads of one channel that are kept. Source: spice-gtk src/channel-display.c, MONITORS_MAX."""


@dataclass(frozen=True, slots=True)
class Monitor:
    """One monitor of a display channel."""

    monitor_id: int
    surface_id: int
    box: Box
    """What of the surface it shows."""


def monitors_of(heads: Sequence[Head], max_allowed: int) -> tuple[Monitor, ...]:
    """Return the monitors of a MONITORS_CONFIG, at most `max_allowed` of them."""
    most = min(max(max_allowed, 1), MOST_MONITORS)
    return tuple(
        Monitor(
            head.monitor_id, head.surface_id, Box(head.x, head.y, head.x + head.width, head.y + head.height)
        )
        for head in heads[:most]
    )


def whole_surface(surface_id: int, box: Box) -> tuple[Monitor, ...]:
    """Return the one monitor of a channel that never got a MONITORS_CONFIG."""
    return (Monitor(0, surface_id, box),)
