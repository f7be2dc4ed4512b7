"""When the picture on the screen changed, as far as messages tell: what latency and silence are measured by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from spicereplay.analysis.columns import BoolArray
from spicereplay.analysis.draws import BASE
from spicereplay.analysis.fields import captured_bytes
from spicereplay.bytestream import Int64Array
from spicereplay.protocol.enums import ChannelType, ServerDisplay
from spicereplay.protocol.messages.drawing import DRAW_TYPES
from spicereplay.session.log import ChannelLog, SessionLog

FRAME_TYPES: Final = (ServerDisplay.STREAM_DATA, ServerDisplay.STREAM_DATA_SIZED)
_OTHER_TYPES: Final = (
    ServerDisplay.MODE,
    ServerDisplay.MARK,
    ServerDisplay.RESET,
    ServerDisplay.GL_SCANOUT_UNIX,
    ServerDisplay.GL_DRAW,
)
_PRIMARY: Final = 0
"""The surface that is the screen. Source: spice-wire.md 7.5."""


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """The messages of all display channels of a session that change the screen, in order of time.

    They are draws on the primary surface (also those whose surface is not known), video frames, MODE, MARK, RESET and
    the two GL messages; what is drawn on another surface is not seen until it is copied. All arrays have one length.
    """

    time_ns: Int64Array
    type: npt.NDArray[np.uint16]
    channel_id: npt.NDArray[np.uint8]

    @property
    def draws(self) -> BoolArray:
        """Which of them are draw messages."""
        return np.isin(self.type, DRAW_TYPES)

    @property
    def frames(self) -> BoolArray:
        """Which of them are video frames."""
        return np.isin(self.type, FRAME_TYPES)


def shown(session: SessionLog) -> Shown:
    """Return what changed the screen of a session."""
    parts = [(log, changing(log)) for log in session.of(ChannelType.DISPLAY)]
    time_ns = np.concatenate([np.empty(0, np.int64), *(log.server.time_ns[rows] for log, rows in parts)])
    types = np.concatenate([np.empty(0, np.uint16), *(log.server.type[rows] for log, rows in parts)])
    ids = np.repeat(
        np.array([log.channel_id for log, _ in parts], np.uint8), [len(rows) for _, rows in parts]
    )
    order = np.argsort(time_ns, kind="stable")
    return Shown(time_ns[order], types[order], ids[order])


def changing(log: ChannelLog) -> npt.NDArray[np.intp]:
    """Return the rows of what the server of one display channel sent that change the screen."""
    index = log.server
    changes = np.isin(index.type, (*DRAW_TYPES, *FRAME_TYPES, *_OTHER_TYPES))
    rows = np.flatnonzero(np.isin(index.type, DRAW_TYPES))
    surface = index.prefixes(rows, BASE)["surface_id"]
    known = captured_bytes(index, rows) >= surface.itemsize
    changes[rows[known & (surface != _PRIMARY)]] = False
    return np.flatnonzero(changes)
