"""One row per message of the inputs channel, both directions. Source: spice-wire.md 12.

Which keys were pressed is left out unless somebody asks for it: it would make passwords readable. Locks and buttons
are told, and none of them depends on a key's code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import IntFlag
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from spicereplay.analysis import schema
from spicereplay.analysis.cells import Cells
from spicereplay.analysis.columns import BoolArray, by_time, constant, nullable
from spicereplay.analysis.fields import fields
from spicereplay.bytestream import Int64Array
from spicereplay.protocol.enums import (
    ChannelType,
    ClientInputs,
    KeyModifiers,
    MouseButton,
    MouseButtonMask,
    ServerInputs,
    Side,
)
from spicereplay.protocol.index import MessageIndex
from spicereplay.session.log import ChannelLog, SessionLog

if TYPE_CHECKING:
    import pandas as pd

MOTION_ACK_BUNCH: Final = 4
"""Motions and positions that one MOUSE_MOTION_ACK acknowledges. Source: spice-wire.md 12."""
_MOTIONS: Final = (ClientInputs.MOUSE_MOTION, ClientInputs.MOUSE_POSITION)
_KEYS: Final = (ClientInputs.KEY_DOWN, ClientInputs.KEY_UP, ClientInputs.KEY_SCANCODE)
_CODE_BYTES: Final = 8
"""Scan code bytes of one message that are looked at: the longest key has six."""
_CODE: Final = np.dtype([("bytes", f"({_CODE_BYTES},)u1")])
_BREAK: Final = 0x80
"""Set in the code of a key that comes up, and in the prefixes 0xe0 and 0xe1."""
_WHEEL: Final = (MouseButton.UP, MouseButton.DOWN)

PRESS_KINDS: Final = ("key", "button", "wheel")
_KEY, _BUTTON, _WHEEL_TURN = range(3)


def inputs(sessions: Sequence[SessionLog], origin_ns: int, *, reveal_keys: bool = False) -> pd.DataFrame:
    """Return the table `inputs`; with `reveal_keys` the column `key` holds what was typed."""
    return by_time("inputs", _parts(sessions, origin_ns, reveal_keys))


def _parts(sessions: Sequence[SessionLog], origin_ns: int, reveal_keys: bool) -> Iterable[pd.DataFrame]:
    for session in sessions:
        for log in session.of(ChannelType.INPUTS):
            # Of equal times the client's come first: an acknowledgement follows what it is for.
            for index, outstanding in zip((log.client, log.server), motion_outstanding(log), strict=True):
                yield _inputs(session.number, log.channel_id, index, outstanding, origin_ns, reveal_keys)


def _inputs(
    session: int,
    channel_id: int,
    index: MessageIndex,
    outstanding: tuple[Int64Array, BoolArray],
    origin_ns: int,
    reveal_keys: bool,
) -> pd.DataFrame:
    cells = Cells.of_channel(index)
    _declare(cells)
    if index.side is Side.CLIENT:
        cells.read(ClientInputs.KEY_MODIFIERS, modifiers="modifiers")
        cells.read(ClientInputs.MOUSE_MOTION, dx="dx", dy="dy", buttons_state="buttons_state")
        cells.read(
            ClientInputs.MOUSE_POSITION, x="x", y="y", buttons_state="buttons_state", display_id="display_id"
        )
        for message_type in (ClientInputs.MOUSE_PRESS, ClientInputs.MOUSE_RELEASE):
            cells.read(message_type, button="button", buttons_state="buttons_state")
    else:
        cells.read(ServerInputs.INIT, modifiers="keyboard_modifiers")
        cells.read(ServerInputs.KEY_MODIFIERS, modifiers="modifiers")
    count, known = outstanding
    return schema.frame(
        "inputs",
        {
            "session": np.full(len(cells), session),
            "channel_id": np.full(len(cells), channel_id),
            "time_s": cells.seconds(origin_ns),
            "from": constant(str(index.side), len(cells)),
            "name": cells.names(),
            **{name: cells.column(name) for name in ("x", "y", "dx", "dy")},
            "button": cells.texts("button", button_name),
            "buttons_state": cells.texts("buttons_state", flag_names(MouseButtonMask)),
            "modifiers": cells.texts("modifiers", flag_names(KeyModifiers)),
            "display_id": cells.column("display_id"),
            "motion_outstanding": nullable(count[cells.rows], known[cells.rows]),
            "key": _keys(cells, reveal_keys),
            "partial": index.partial[cells.rows],
        },
    )


_COLUMNS: Final = {
    "x": np.uint32,
    "y": np.uint32,
    "dx": np.int32,
    "dy": np.int32,
    "button": np.uint8,
    "buttons_state": np.uint16,
    "modifiers": np.uint16,
    "display_id": np.uint8,
}


def _declare(cells: Cells) -> None:
    """Begin every column that only some messages or one side of the channel has."""
    nowhere = np.empty(0, np.intp)
    for name, dtype in _COLUMNS.items():
        cells.put(name, nowhere, np.empty(0, dtype), np.empty(0, np.bool_))


def motion_outstanding(log: ChannelLog) -> list[tuple[Int64Array, BoolArray]]:
    """Return how many motions the server had not acknowledged behind each message, and where that can be told.

    The first pair is for the client's messages, the second for the server's. Nothing can be told where the channel's
    beginning was not captured, and from the first hole on.
    """
    client, server = log.client, log.server
    moved = np.isin(client.type, _MOTIONS)
    acked = server.type == ServerInputs.MOUSE_MOTION_ACK
    moves, acks = client.time_ns[moved], server.time_ns[acked]
    counts = (
        np.cumsum(moved) - MOTION_ACK_BUNCH * np.searchsorted(acks, client.time_ns, "left"),
        np.searchsorted(moves, server.time_ns, "right") - MOTION_ACK_BUNCH * np.cumsum(acked),
    )
    first_hole = min((gap.time_ns for gap in log.gaps), default=None)
    whole = log.link is not None and not log.unseen
    known = (
        np.full(len(index), whole) if first_hole is None else whole & (index.time_ns < first_hole)
        for index in (client, server)
    )
    return [(count.astype(np.int64), where) for count, where in zip(counts, known, strict=True)]


def _keys(cells: Cells, reveal: bool) -> pd.Categorical:
    """Return the scan code bytes of each key as text; all null unless they are to be revealed."""
    codes = np.zeros(len(cells), np.uint64)
    at = cells.among(*_KEYS) if reveal and cells.index.side is Side.CLIENT else np.empty(0, np.intp)
    codes[at] = cells.index.prefixes(cells.rows[at], _CODE)["bytes"].view("<u8").reshape(-1)
    known = np.zeros(len(cells), np.bool_)
    known[at] = cells.captured[at] > 0
    cells.put("key", np.arange(len(cells)), codes, known)
    return cells.texts("key", code_text)


def code_text(code: int) -> str:
    """Return scan code bytes, the least significant first and up to the last that is not 0, as `e0 48`."""
    data = code.to_bytes(_CODE_BYTES, "little").rstrip(b"\0")
    return data.hex(" ") or "00"


def button_name(button: int) -> str:
    """Return SPICE's name of a mouse button in lower case."""
    return MouseButton(button).name.lower() if button in _BUTTONS else f"button_{button}"


_BUTTONS: Final = frozenset(MouseButton)


def flag_names(kind: type[IntFlag]) -> Callable[[int], str]:
    """Return what turns a value into the names of its flags, as `left+right`; `none` for 0."""

    def text(value: int) -> str:
        words = [str(flag.name).lower() for flag in kind if value & flag]
        rest = value & ~sum(kind)
        return "+".join([*words, *([f"{rest:#x}"] if rest else [])]) or "none"

    return text


@dataclass(frozen=True, slots=True, eq=False)
class Presses:
    """The keys and buttons that a client pressed in a session, in order of time."""

    time_ns: Int64Array
    kind: npt.NDArray[np.int8]
    """Position in `PRESS_KINDS`."""


def presses(session: SessionLog) -> Presses:
    """Return the presses of a session: KEY_DOWN, MOUSE_PRESS, and KEY_SCANCODE unless it only lets keys go."""
    times, kinds = [np.empty(0, np.int64)], [np.empty(0, np.int8)]
    for log in session.of(ChannelType.INPUTS):
        index = log.client
        raw = index.rows(ClientInputs.KEY_SCANCODE)
        code = index.prefixes(raw, _CODE)["bytes"]
        raw = raw[((code != 0) & (code & _BREAK == 0)).any(axis=1)]
        keys = np.union1d(index.rows(ClientInputs.KEY_DOWN), raw)
        buttons, said = fields(index, ClientInputs.MOUSE_PRESS)
        times += [index.time_ns[keys], index.time_ns[buttons]]
        kinds += [
            np.full(len(keys), _KEY, np.int8),
            np.where(np.isin(said["button"], _WHEEL), _WHEEL_TURN, _BUTTON).astype(np.int8),
        ]
    time_ns = np.concatenate(times)
    order = np.argsort(time_ns, kind="stable")
    return Presses(time_ns[order], np.concatenate(kinds)[order])
