"""The driver for recordings: a capture or bug report in, observed sessions out."""

from __future__ import annotations

from spicereplay.replay.driver import Replay, replay

__all__ = ["Replay", "replay"]
