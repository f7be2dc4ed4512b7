"""One row per message of the cursor channel's server. Source: spice-wire.md 13."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from spicereplay.analysis import schema
from spicereplay.analysis.cells import Cells
from spicereplay.analysis.columns import by_time
from spicereplay.analysis.fields import fields_at
from spicereplay.protocol.enums import ChannelType, CursorFlags, CursorType, ServerCursor
from spicereplay.protocol.messages.cursor import CursorHeader
from spicereplay.session.log import ChannelLog, SessionLog

if TYPE_CHECKING:
    import pandas as pd

_HEADER: Final = CursorHeader.prefix_dtype()
_SHAPES: Final = frozenset(CursorType)


def cursor(sessions: Sequence[SessionLog], origin_ns: int) -> pd.DataFrame:
    """Return the table `cursor`."""
    return by_time("cursor", _parts(sessions, origin_ns))


def _parts(sessions: Sequence[SessionLog], origin_ns: int) -> Iterable[pd.DataFrame]:
    for session in sessions:
        for log in session.of(ChannelType.CURSOR):
            yield _cursor(session.number, log, origin_ns)


def _cursor(session: int, log: ChannelLog, origin_ns: int) -> pd.DataFrame:
    cells = Cells.of_channel(log.server)
    where = {"x": "position_x", "y": "position_y"}
    cells.read(ServerCursor.MOVE, **where)
    for message_type in (ServerCursor.INIT, ServerCursor.SET):
        at, found = cells.read(message_type, **where)
        cells.put("visible", at, found["visible"] != 0, cells.has(at, found, "visible"))
        flags = found["cursor_flags"]
        flagged = cells.has(at, found, "cursor_flags")
        for column, flag in (("from_cache", CursorFlags.FROM_CACHE), ("cached", CursorFlags.CACHE_ME)):
            cells.put(column, at, (flags & int(flag)) != 0, flagged)
        shaped = at[flagged & ((flags & int(CursorFlags.NONE)) == 0)]
        behind = np.full(len(shaped), found.dtype.itemsize, np.int64)
        header = fields_at(log.server, cells.rows[shaped], behind, _HEADER)
        cells.put_fields(
            shaped,
            header,
            behind,
            unique_id="unique",
            shape="type",
            width="width",
            height="height",
            hot_x="hot_spot_x",
            hot_y="hot_spot_y",
        )
    gone = cells.among(ServerCursor.HIDE, ServerCursor.RESET)
    cells.put("visible", gone, np.zeros(len(gone), np.bool_), np.ones(len(gone), np.bool_))
    cells.read(ServerCursor.INVAL_ONE, unique_id="id")
    return schema.frame(
        "cursor",
        {
            "session": np.full(len(cells), session),
            "channel_id": np.full(len(cells), log.channel_id),
            "time_s": cells.seconds(origin_ns),
            "name": cells.names(),
            **{name: cells.column(name) for name in ("x", "y", "visible")},
            "shape": cells.texts("shape", shape_name),
            **{name: cells.column(name) for name in ("width", "height", "hot_x", "hot_y")},
            **{name: cells.column(name) for name in ("unique_id", "from_cache", "cached")},
            "bytes": log.server.size[cells.rows],
            "partial": log.server.partial[cells.rows],
        },
    )


def shape_name(kind: int) -> str:
    """Return SPICE's cursor type in lower case."""
    return CursorType(kind).name.lower() if kind in _SHAPES else f"type_{kind}"
