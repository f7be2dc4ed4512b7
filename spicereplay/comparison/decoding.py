"""Decode times of several sessions, measured so that they can be held against one another.

How fast a processor is changes from second to second: with its clock, its caches, and who else wants it. Sessions
are therefore drawn in one process on one thread, a few messages of each in turn, and the time that counts is that of
the thread. Each session is drawn from its beginning, since GLZ and video refer to what came before.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

import numpy as np

from spicereplay.comparison.observation import Float64Array
from spicereplay.display.records import Clock, ImageRecord
from spicereplay.limits import DEFAULT_LIMITS, Limits
from spicereplay.protocol.enums import ChannelType
from spicereplay.replay import Progress
from spicereplay.replay.screens import Screens
from spicereplay.units import NS_PER_MS

if TYPE_CHECKING:
    from spicereplay.session.log import SessionLog

MOST_PICTURES: Final = 3000
"""Pictures decoded per input; what comes later is not measured."""
MOST_MESSAGES: Final = 40_000
"""Messages drawn per input, in which a display that decodes little may have fewer pictures."""
TURN: Final = 4
"""Messages of one session that are drawn before it is the next one's turn."""


class _Turns:
    """The sessions of one input, one after the other, and the decode times they gave."""

    def __init__(
        self, sessions: Sequence[SessionLog], limits: Limits, clock: Clock, open_: ExitStack
    ) -> None:
        self.times: dict[str, list[float]] = {}
        self.pictures = 0
        self._messages = 0
        self._waiting = [session for session in reversed(sessions) if session.of(ChannelType.DISPLAY)]
        self._limits, self._clock, self._open = limits, clock, open_
        self._screens: Screens | None = None

    @property
    def done(self) -> bool:
        enough = self.pictures >= MOST_PICTURES or self._messages >= MOST_MESSAGES
        return enough or (self._screens is None and not self._waiting)

    def take(self) -> None:
        """Draw the next few messages."""
        if self._screens is None:
            self._screens = self._open.enter_context(
                Screens(
                    self._waiting.pop(), limits=self._limits, workers=1, clock=self._clock, sink=self._note
                )
            )
        self._messages += TURN
        for _ in range(TURN):
            if self._screens.step() is None:
                self._screens = None
                return

    def _note(self, record: ImageRecord) -> None:
        if not record.decoded or record.cache_hit:
            return
        self.pictures += 1
        self.times.setdefault(record.codec, []).append(record.decode_ns / NS_PER_MS)


def decode_in_turn(
    inputs: Sequence[Sequence[SessionLog]],
    *,
    limits: Limits = DEFAULT_LIMITS,
    clock: Clock = time.thread_time_ns,
    progress: Progress | None = None,
) -> list[dict[str, Float64Array]]:
    """Return, per input, the decode times in milliseconds by codec, in the order drawn.

    `clock` counts the calling thread's own time. Images and frames that cannot be decoded are left out, and so are
    those from the image cache.
    """
    with ExitStack() as open_:
        all_turns = [_Turns(sessions, limits, clock, open_) for sessions in inputs]
        while left := [turns for turns in all_turns if not turns.done]:
            for turns in left:
                turns.take()
            if progress is not None:
                taken = sum(min(turns.pictures, MOST_PICTURES) for turns in all_turns)
                progress("decoding in turn", taken, MOST_PICTURES * len(all_turns))
    return [
        {codec: np.array(times, np.float64) for codec, times in sorted(turns.times.items())}
        for turns in all_turns
    ]
