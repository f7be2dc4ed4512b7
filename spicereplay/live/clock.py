"""The clock of a live session: nanoseconds since 1970 that never run backwards."""

from __future__ import annotations

import time


class Clock:
    """Takes the wall clock once and counts on from there: someone who sets it does not disturb a session."""

    def __init__(self) -> None:
        self._offset_ns = time.time_ns() - time.monotonic_ns()

    def now_ns(self) -> int:
        """Return the time."""
        return self._offset_ns + time.monotonic_ns()
