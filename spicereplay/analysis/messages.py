"""The table of all messages, and its two textual forms. Nothing here makes an object per message but the text."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from json import dumps
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from spicereplay.analysis import schema
from spicereplay.analysis.columns import category, seconds
from spicereplay.errors import UsageError
from spicereplay.protocol import registry
from spicereplay.protocol.enums import ChannelType, Side
from spicereplay.protocol.index import MessageIndex
from spicereplay.session.log import SessionLog

if TYPE_CHECKING:
    import pandas as pd

_BLOCK: Final = 16_384
"""Rows turned into text at a time: enough to be quick, few enough to be small."""


def messages(sessions: Sequence[SessionLog], origin_ns: int) -> pd.DataFrame:
    """Return the table `messages`: both sides of all channels, in order of time.

    Messages with equal times stay in the order of their channel, the server's before the client's.
    """
    parts = [
        (session.number, log.channel, log.channel_id, index)
        for session in sessions
        for log in session.channels
        for index in (log.server, log.client)
        if len(index)
    ]
    if not parts:
        return schema.empty("messages")
    time_ns = np.concatenate([index.time_ns for _, _, _, index in parts])
    order = np.argsort(time_ns, kind="stable")
    names: dict[str, int] = {}
    name = np.concatenate([_name_codes(index, names) for _, _, _, index in parts])
    lengths = [len(index) for _, _, _, index in parts]

    def repeated(values: Sequence[int], dtype: npt.DTypeLike) -> npt.NDArray[np.integer]:
        return np.repeat(np.array(values, dtype), lengths)[order]

    channels = list(dict.fromkeys(channel.label for _, channel, _, _ in parts))
    sides = [str(Side.SERVER), str(Side.CLIENT)]
    return schema.frame(
        "messages",
        {
            "time_s": seconds(time_ns[order], origin_ns),
            "session": repeated([session for session, _, _, _ in parts], np.int32),
            "channel": category(
                repeated([channels.index(channel.label) for _, channel, _, _ in parts], np.int8), channels
            ),
            "channel_id": repeated([channel_id for _, _, channel_id, _ in parts], np.uint8),
            "from": category(repeated([sides.index(str(index.side)) for *_, index in parts], np.int8), sides),
            "type": np.concatenate([index.type for *_, index in parts])[order],
            "name": category(name[order], list(names)),
            "size": np.concatenate([index.size for *_, index in parts])[order],
            "sub": np.concatenate([index.sub for *_, index in parts])[order],
            "partial": np.concatenate([index.partial for *_, index in parts])[order],
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


def on_channel(frame: pd.DataFrame, channel: str) -> pd.DataFrame:
    """Return the rows of `messages` on one channel, given as `display` or `display/0`.

    Raises `UsageError` for a name that SPICE has not.
    """
    label, slash, number = channel.partition("/")
    if label not in {each.label for each in ChannelType} or (slash and not number.isdecimal()):
        known = ", ".join(each.label for each in ChannelType)
        raise UsageError(f"no SPICE channel is called {channel!r}; they are {known}, each also as {label}/0")
    kept = frame["channel"] == label
    if slash:
        kept &= frame["channel_id"] == int(number)
    return frame[kept]


def message_lines(frame: pd.DataFrame) -> Iterator[str]:
    """Yield one line of JSON, without its newline, per row of the table `messages`."""

    def template(head: dict[str, object], tail: dict[str, object]) -> str:
        before, after = dumps(head)[1:-1], dumps(tail)[1:]
        return f'{{"time_s": %.9f, {_literal(before)}, "size": %d, {_literal(after)}'

    return _texts(frame, template)


def message_texts(frame: pd.DataFrame) -> Iterator[str]:
    """Yield one line of aligned text, without its newline, per row of the table `messages`."""

    def template(head: dict[str, object], tail: dict[str, object]) -> str:
        place = f"{head['session']}  {head['channel']}/{head['channel_id']}"
        marks = " ".join(mark for mark in ("sub", "partial") if tail[mark])
        words = f"{place:<14}  {head['from']:<6}  {head['type']:>5}  {head['name']!s:<28}"
        return f"%14.6f  {_literal(words)}  %10d  {marks}".rstrip()

    return _texts(frame, template)


def _literal(text: str) -> str:
    return text.replace("%", "%%")


_Template = Callable[[dict[str, object], dict[str, object]], str]


def _texts(frame: pd.DataFrame, make: _Template) -> Iterator[str]:
    """Fill in a template per row; rows that differ in time and size alone share one."""
    if not len(frame):
        return
    head = ("session", "channel", "channel_id", "from", "type", "name")  # the name follows from the others
    tail = ("sub", "partial")
    codes, first = _combinations(frame, (*head[:-1], *tail))
    templates = []
    for row in first:
        values = {c: frame[c].iloc[row] for c in (*head, *tail)}
        plain = {c: v.item() if isinstance(v, np.generic) else str(v) for c, v in values.items()}
        templates.append(make({c: plain[c] for c in head}, {c: plain[c] for c in tail}))
    time_s, size = frame["time_s"].to_numpy(), frame["size"].to_numpy()
    for start in range(0, len(frame), _BLOCK):
        part = slice(start, start + _BLOCK)
        for code, at, length in zip(
            codes[part].tolist(), time_s[part].tolist(), size[part].tolist(), strict=True
        ):
            yield templates[code] % (at, length)


def _combinations(
    frame: pd.DataFrame, columns: Sequence[str]
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Count through the distinct combinations of values; return each row's number and the first row of each number."""
    code = np.zeros(len(frame), np.int64)
    for column in columns:
        series = frame[column]
        values = series.cat.codes.to_numpy() if series.dtype.name == "category" else series.to_numpy()
        values = values.astype(np.int64)
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
