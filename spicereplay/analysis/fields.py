"""The fixed leading fields of many messages at once, as columns.

No object is made per message: a structured array with the declaration's own field names comes straight from the
bytes. Fields after the first one of variable length are out of reach here; rare messages are parsed whole instead.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import numpy.typing as npt

from spicereplay.analysis.columns import IndexArray
from spicereplay.bytestream import Int64Array
from spicereplay.protocol import registry
from spicereplay.protocol.enums import ChannelType, Side
from spicereplay.protocol.index import MessageIndex
from spicereplay.protocol.wire import Message

Fields = npt.NDArray[np.void]
"""A structured array; the names of its fields are those of the declaration, flattened (`base_box_top`)."""


@cache
def _dtype(channel: ChannelType, side: Side, message_type: int) -> np.dtype[np.void]:
    declared: type[Message] | None = registry.message_class(channel, side, message_type)
    if declared is None:
        raise ValueError(f"{side} sends no message of type {message_type} on {channel.label}")
    return declared.prefix_dtype()


def fields(
    index: MessageIndex, message_type: int, rows: IndexArray | None = None
) -> tuple[IndexArray, Fields]:
    """Return the rows of all whole messages of one type and their fixed leading fields.

    `rows` picks the messages instead; all of them have to be of that type. Bytes that a message lacks read as 0.
    """
    if rows is None:
        rows = index.rows(message_type)
    return rows, index.prefixes(rows, _dtype(index.channel, index.side, message_type))


def fields_at(index: MessageIndex, rows: IndexArray, offset: Int64Array, dtype: np.dtype[np.void]) -> Fields:
    """Return what lies `offset` bytes into the body of each of `rows`, read as `dtype`.

    Bytes past the end of a body read as 0, and so does everything at an offset that is not inside it.
    """
    size = index.size[rows].astype(np.int64)
    inside = (offset >= 0) & (offset < size)
    part = replace(
        index.take(rows),
        position=index.position[rows] + np.where(inside, offset, 0),
        size=np.where(inside, size - offset, 0).astype(np.uint32),
    )
    return part.prefixes(np.arange(len(rows)), dtype)


def captured_bytes(index: MessageIndex, rows: IndexArray) -> Int64Array:
    """Return how many bytes of each body were captured before its first missing one."""
    size = index.size[rows].astype(np.int64)
    cut = np.flatnonzero(index.partial[rows])
    stream = index.stream
    if not len(cut) or not len(stream.position):
        return size
    starts = index.position[rows[cut]]
    ends = stream.position + stream.length
    run_ends = np.append(stream.position[1:] != ends[:-1], True)
    # Where the chunks that follow one another without a hole end, for each chunk.
    end_of_run = ends[np.flatnonzero(run_ends)[np.cumsum(run_ends) - run_ends]]
    chunk = np.searchsorted(ends, starts, "right")
    there = chunk < len(ends)
    chunk = np.minimum(chunk, len(ends) - 1)
    there &= stream.position[chunk] <= starts
    size[cut] = np.where(there, np.minimum(size[cut], end_of_run[chunk] - starts), 0)
    return size


def present(index: MessageIndex, rows: IndexArray, message_type: int) -> npt.NDArray[np.bool_]:
    """Say for each row whether its fixed leading fields were captured whole."""
    whole = captured_bytes(index, rows) >= _dtype(index.channel, index.side, message_type).itemsize
    return np.asarray(whole, np.bool_)
