"""The driver for recordings: a capture or bug report in, observed sessions out."""

from __future__ import annotations

from spicereplay.replay.driver import Progress, Replay, replay

__all__ = ["Progress", "Replay", "replay"]
