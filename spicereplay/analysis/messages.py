"""The table of all messages, and its two textual forms. Nothing here makes an object per message but the text.

The columns exist without pandas (`MessageColumns`): a command that only prints them need not load it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from json import dumps
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from spicereplay.analysis import schema
from spicereplay.analysis._kernels import lines
from spicereplay.analysis.columns import category, seconds
from spicereplay.bytestream import Int64Array
from spicereplay.errors import UsageError
from spicereplay.protocol import registry
from spicereplay.protocol.enums import ChannelType, Side
from spicereplay.protocol.index import MessageIndex
from spicereplay.session.log import SessionLog
from spicereplay.units import NS_PER_S

if TYPE_CHECKING:
    import pandas as pd

_BLOCK: Final = 16_384
"""Rows turned into text at a time: enough to be quick, few enough to be small."""

CHANNELS: Final = [channel.label for channel in ChannelType]
SIDES: Final = [str(Side.SERVER), str(Side.CLIENT)]


@dataclass(frozen=True, slots=True, eq=False)
class MessageColumns:
    """The columns of the table `messages`, one array each; text columns as positions in lists of texts."""

    time_ns: Int64Array
    """Nanoseconds since the origin of the table's times."""
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
        return len(self.time_ns)

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
        time_ns=time_ns[order] - origin_ns,
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
            "time_s": seconds(columns.time_ns, 0),
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


def message_json(columns: MessageColumns) -> Iterator[memoryview]:
    """Yield JSON Lines, many at a time, one line per message; the keys are those of the table.

    What is yielded is overwritten by the next step.
    """
    if not len(columns):
        return
    codes, heads = _combinations(columns)
    text = bytearray()
    bounds = np.empty((len(heads), 4), np.int64)
    for i, (head, tail) in enumerate(heads):
        bounds[i, 0] = len(text)
        text += b'{"time_s": '
        bounds[i, 1] = len(text)
        text += f', {dumps(head)[1:-1]}, "size": '.encode()
        bounds[i, 2] = len(text)
        text += f", {dumps(tail)[1:]}\n".encode()
        bounds[i, 3] = len(text)
    widest = int((bounds[:, 3] - bounds[:, 0]).max()) + lines.TIME_BYTES + lines.NUMBER_BYTES
    out = np.empty(widest * min(_BLOCK, len(columns)), np.uint8)
    for start in range(0, len(columns), _BLOCK):
        part = slice(start, start + _BLOCK)
        written = lines.fill(
            np.frombuffer(text, np.uint8), bounds, codes[part], columns.time_ns[part], columns.size[part], out
        )
        yield out.data[:written]


def message_texts(columns: MessageColumns) -> Iterator[str]:
    """Yield one line of aligned text, without its newline, per message."""
    if not len(columns):
        return
    codes, heads = _combinations(columns)
    places = [f"{head['session']}  {head['channel']}/{head['channel_id']}" for head, _ in heads]
    words = [
        f"{place:<14}  {head['from']:<6}  {head['type']:>5}  {head['name']!s:<28}"
        for place, (head, _) in zip(places, heads, strict=True)
    ]
    marks = [" ".join(mark for mark, is_set in tail.items() if is_set) for _, tail in heads]
    for start in range(0, len(columns), _BLOCK):
        part = slice(start, start + _BLOCK)
        for code, at, length in zip(
            codes[part].tolist(), columns.time_ns[part].tolist(), columns.size[part].tolist(), strict=True
        ):
            yield f"{at / NS_PER_S:14.6f}  {words[code]}  {length:10d}  {marks[code]}".rstrip()


_Head = dict[str, Any]


def _combinations(columns: MessageColumns) -> tuple[npt.NDArray[np.int32], list[tuple[_Head, _Head]]]:
    """Return what rows share that differ in time and size alone: each row's number, and per number the values.

    The values are in the order of the table: those before `size`, and those behind it.
    """
    codes, first = _numbered(
        columns.session,
        columns.channel,
        columns.channel_id,
        columns.side,
        columns.type,
        columns.sub,
        columns.partial,
    )
    return codes, [
        (
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


def _numbered(*columns: npt.NDArray[Any]) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.intp]]:
    """Give each combination of values a number; return each row's number and the first row of each number."""
    code = np.zeros(len(columns[0]), np.int64)
    for column in columns:
        values = column.astype(np.int64)
        low, high = int(values.min()), int(values.max())
        code = code * (high - low + 1) + (values - low)
    # The products above stay small: a few sessions and sides, 256 ids, 65,536 types.
    if int(code.max()) < 1 << 22:
        lookup = np.full(int(code.max()) + 1, -1, np.int32)
        present = np.flatnonzero(np.bincount(code))
        lookup[present] = np.arange(len(present))
        first = np.zeros(len(present), np.intp)
        number = lookup[code]
        first[number[::-1]] = np.arange(len(code))[::-1]
        return number, first
    _, first, numbers = np.unique(code, return_index=True, return_inverse=True)
    return numbers.astype(np.int32), first
