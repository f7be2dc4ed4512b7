"""The table of all messages, and its two textual forms. Nothing here makes an object per message but the text.

The columns exist without pandas (`MessageColumns`): a command that only prints them need not load it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from json import dumps
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from spicereplay.analysis import schema
from spicereplay.analysis.columns import Float64Array, category, seconds
from spicereplay.errors import UsageError
from spicereplay.protocol import registry
from spicereplay.protocol.enums import ChannelType, Side
from spicereplay.protocol.index import MessageIndex
from spicereplay.session.log import SessionLog

if TYPE_CHECKING:
    import pandas as pd

_BLOCK: Final = 16_384
"""Rows turned into text at a time: enough to be quick, few enough to be small."""

CHANNELS: Final = [channel.label for channel in ChannelType]
SIDES: Final = [str(Side.SERVER), str(Side.CLIENT)]


@dataclass(frozen=True, slots=True, eq=False)
class MessageColumns:
    """The columns of the table `messages`, one array each; text columns as positions in lists of texts."""

    time_s: Float64Array
    session: npt.NDArray[np.int32]
    channel: npt.NDArray[np.int8]
    """Position in `CHANNELS`."""
    channel_id: npt.NDArray[np.uint8]
    side: npt.NDArray[np.int8]
    """Position in `SIDES`."""
    type: npt.NDArray[np.uint16]
    name: npt.NDArray[np.int16]
    """Position in `names`."""
    size: npt.NDArray[np.uint32]
    sub: npt.NDArray[np.bool_]
    partial: npt.NDArray[np.bool_]
    names: list[str]

    def __len__(self) -> int:
        return len(self.time_s)

    def where(self, mask: npt.NDArray[np.bool_]) -> MessageColumns:
        """Return the rows for which `mask` is true."""
        columns: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self)}
        return MessageColumns(**{n: v if n == "names" else v[mask] for n, v in columns.items()})


def message_columns(sessions: Sequence[SessionLog], origin_ns: int) -> MessageColumns:
    """Return the columns of the table `messages`: both sides of all channels, in order of time.

    Messages with equal times stay in the order of their channel, the server's before the client's.
    """
    parts = [
        (session.number, log.channel, log.channel_id, index)
        for session in sessions
        for log in session.channels
        for index in (log.server, log.client)
        if len(index)
    ]
    names: dict[str, int] = {}
    lengths = [len(index) for *_, index in parts]

    def joined(columns: list[npt.NDArray[Any]], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        return np.concatenate([np.empty(0, dtype), *columns])

    time_ns = joined([index.time_ns for *_, index in parts], np.int64)
    order = np.argsort(time_ns, kind="stable")

    def repeated(values: Sequence[int], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        return np.repeat(np.array(values, dtype), lengths)[order]

    return MessageColumns(
        time_s=seconds(time_ns[order], origin_ns),
        session=repeated([session for session, *_ in parts], np.int32),
        channel=repeated([CHANNELS.index(channel.label) for _, channel, _, _ in parts], np.int8),
        channel_id=repeated([channel_id for _, _, channel_id, _ in parts], np.uint8),
        side=repeated([SIDES.index(index.side) for *_, index in parts], np.int8),
        type=joined([index.type for *_, index in parts], np.uint16)[order],
        name=joined([_name_codes(index, names) for *_, index in parts], np.int16)[order],
        size=joined([index.size for *_, index in parts], np.uint32)[order],
        sub=joined([index.sub for *_, index in parts], np.bool_)[order],
        partial=joined([index.partial for *_, index in parts], np.bool_)[order],
        names=list(names),
    )


def messages(sessions: Sequence[SessionLog], origin_ns: int) -> pd.DataFrame:
    """Return the table `messages`."""
    columns = message_columns(sessions, origin_ns)
    return schema.frame(
        "messages",
        {
            "time_s": columns.time_s,
            "session": columns.session,
            "channel": category(columns.channel, CHANNELS),
            "channel_id": columns.channel_id,
            "from": category(columns.side, SIDES),
            "type": columns.type,
            "name": category(columns.name, columns.names),
            "size": columns.size,
            "sub": columns.sub,
            "partial": columns.partial,
        },
    )


def _name_codes(index: MessageIndex, names: dict[str, int]) -> npt.NDArray[np.int16]:
    """Return every message's position in `names`, which grows by the names that are new."""
    lookup = np.zeros(1 << 16, np.int16)
    for message_type in np.flatnonzero(np.bincount(index.type, minlength=1)):
        name = registry.message_name(index.channel, index.side, int(message_type))
        # 32,767 names are more than all channels have; a hostile capture can show 65,536 numbers per side.
        code = (
            names.setdefault(name, len(names))
            if len(names) < 32_000
            else names.setdefault("UNKNOWN", len(names))
        )
        lookup[message_type] = code
    return lookup[index.type]


def on_channel(columns: MessageColumns, channel: str) -> MessageColumns:
    """Return the messages of one channel, given as `display` or `display/0`.

    Raises `UsageError` for a name that SPICE has not.
    """
    label, slash, number = channel.partition("/")
    if label not in CHANNELS or (slash and not number.isdecimal()):
        known = ", ".join(CHANNELS)
        raise UsageError(f"no SPICE channel is called {channel!r}; they are {known}, each also as main/0")
    mask = columns.channel == CHANNELS.index(label)
    if slash:
        mask &= columns.channel_id == int(number)
    return columns.where(mask)


def message_lines(columns: MessageColumns) -> Iterator[str]:
    """Yield one line of JSON, without its newline, per message; the keys are those of the table."""

    def template(head: dict[str, object], tail: dict[str, object]) -> str:
        before, after = dumps(head)[1:-1], dumps(tail)[1:]
        return f'{{"time_s": %.9f, {_literal(before)}, "size": %d, {_literal(after)}'

    return _texts(columns, template)


def message_texts(columns: MessageColumns) -> Iterator[str]:
    """Yield one line of aligned text, without its newline, per message."""

    def template(head: dict[str, object], tail: dict[str, object]) -> str:
        place = f"{head['session']}  {head['channel']}/{head['channel_id']}"
        marks = " ".join(mark for mark in ("sub", "partial") if tail[mark])
        words = f"{place:<14}  {head['from']:<6}  {head['type']:>5}  {head['name']!s:<28}"
        return f"%14.6f  {_literal(words)}  %10d  {marks}".rstrip()

    return _texts(columns, template)


def _literal(text: str) -> str:
    return text.replace("%", "%%")


_Template = Callable[[dict[str, object], dict[str, object]], str]


def _texts(columns: MessageColumns, make: _Template) -> Iterator[str]:
    """Fill in a template per row; rows that differ in time and size alone share one."""
    if not len(columns):
        return
    codes, first = _combinations(
        columns.session,
        columns.channel,
        columns.channel_id,
        columns.side,
        columns.type,
        columns.sub,
        columns.partial,
    )
    templates = [
        make(
            {
                "session": int(columns.session[row]),
                "channel": CHANNELS[columns.channel[row]],
                "channel_id": int(columns.channel_id[row]),
                "from": SIDES[columns.side[row]],
                "type": int(columns.type[row]),
                "name": columns.names[columns.name[row]],  # follows from the others
            },
            {"sub": bool(columns.sub[row]), "partial": bool(columns.partial[row])},
        )
        for row in first.tolist()
    ]
    for start in range(0, len(columns), _BLOCK):
        part = slice(start, start + _BLOCK)
        for code, at, length in zip(
            codes[part].tolist(), columns.time_s[part].tolist(), columns.size[part].tolist(), strict=True
        ):
            yield templates[code] % (at, length)


def _combinations(*columns: npt.NDArray[Any]) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Count through the distinct combinations of values; return each row's number and the first row of each number."""
    code = np.zeros(len(columns[0]), np.int64)
    for column in columns:
        values = column.astype(np.int64)
        low, high = int(values.min()), int(values.max())
        code = code * (high - low + 1) + (values - low)
    # The products above stay small: a few sessions and sides, 256 ids, 65,536 types.
    if int(code.max()) < 1 << 22:
        lookup = np.full(int(code.max()) + 1, -1, np.intp)
        present = np.flatnonzero(np.bincount(code))
        lookup[present] = np.arange(len(present))
        first = np.zeros(len(present), np.intp)
        number = lookup[code]
        first[number[::-1]] = np.arange(len(code))[::-1]
        return number, first
    _, first, number = np.unique(code, return_index=True, return_inverse=True)
    return number, first
