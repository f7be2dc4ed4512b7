"""Every message that one side of one channel sent, as columns; the bodies stay where they lie."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

from spicereplay.bytestream import ByteStream, Int64Array
from spicereplay.protocol.enums import ChannelType, Side
from spicereplay.units import MIB

Release = Callable[[int, int], None]
"""Told that bytes `[start, stop)` of a stream's `file` have been read and are not needed for now."""

WINDOW_BYTES: Final = 32 * MIB
"""Bytes of the file out of which a column is gathered before `release` is told."""


@dataclass(frozen=True, slots=True, eq=False)
class MessageIndex:
    """The messages of one side of one channel, in the order of their bytes.

    A row per message; the messages carried inside a LIST or a sub-message list are rows of their own
    (`sub` is true). All arrays have the same length. `decode`-ing a row is the business of
    `spicereplay.protocol.registry`; this class only finds bytes.
    """

    channel: ChannelType
    side: Side
    """Who sent them."""
    stream: ByteStream
    time_ns: Int64Array
    """Capture time of the packet that completed the message."""
    type: npt.NDArray[np.uint16]
    size: npt.NDArray[np.uint32]
    """Bytes of the body, without the header, as the header states."""
    position: Int64Array
    """Stream position of the first body byte."""
    serial: Int64Array
    """Serial number: from the header, or counted from the first message seen (1) with mini headers. A sub-message
    has the serial of the message that carries it."""
    sub: npt.NDArray[np.bool_]
    partial: npt.NDArray[np.bool_]
    """Bytes of it are missing from the capture."""
    release: Release | None = None
    """What lets go of the parts of a mapped file that were read; None: nothing has to be."""

    def __len__(self) -> int:
        return len(self.type)

    def rows(self, *types: int) -> npt.NDArray[np.intp]:
        """Return the rows whose message type is one of `types`, whole messages only, in order."""
        mask = self.type == types[0]
        for other in types[1:]:
            mask |= self.type == other
        return np.flatnonzero(mask & ~self.partial)

    def body(self, row: int) -> bytes:
        """Return the body of one message, up to its first missing byte."""
        start = int(self.position[row])
        return self.stream.read(start, start + int(self.size[row]))

    def prefixes(self, rows: npt.NDArray[np.intp], dtype: np.dtype[np.void]) -> npt.NDArray[np.void]:
        """Return the first `dtype.itemsize` bytes of the bodies of `rows` as a structured array.

        Bodies shorter than that are filled up with zero bytes. This is how tables read a field of a hundred
        thousand messages without making an object for any of them.
        """
        from spicereplay.protocol._kernels import framing

        out = np.zeros(len(rows), dtype)
        if not len(rows):
            return out
        cells = out.view(np.uint8).reshape(len(rows), dtype.itemsize)
        starts, sizes = self.position[rows], self.size[rows].astype(np.int64)
        stream = self.stream
        file, spill = np.frombuffer(stream.file, np.uint8), np.frombuffer(stream.spill, np.uint8)
        for part in self._windows(starts):
            framing.gather(
                file,
                spill,
                stream.position,
                stream.offset,
                stream.length,
                np.ascontiguousarray(starts[part]),
                sizes[part],
                cells[part],
            )
            if self.release is not None:
                self._release(starts[part])
        return out

    def bodies(self, rows: npt.NDArray[np.intp]) -> Iterator[bytes]:
        """Yield the bodies of `rows`, each up to its first missing byte, and let go of what was read as it goes."""
        starts = self.position[rows]
        for part in self._windows(starts):
            for row in rows[part].tolist():
                yield self.body(row)
            if self.release is not None:
                self._release(starts[part])

    def _windows(self, starts: Int64Array) -> Iterator[slice]:
        """Cut rows into runs that lie within `WINDOW_BYTES` of the file; one run if nothing is to be released."""
        if self.release is None or not len(starts):
            yield slice(0, len(starts))
            return
        # What was sent again lies further back; that it begins no run keeps their number small.
        furthest = np.maximum.accumulate(np.maximum(self.stream.places(starts), 0))
        cuts = np.flatnonzero(np.diff(furthest // WINDOW_BYTES)) + 1
        edges = [0, *cuts.tolist(), len(starts)]
        yield from (slice(a, b) for a, b in pairwise(edges))

    def _release(self, starts: Int64Array) -> None:
        assert self.release is not None
        if len(starts) and (span := self.stream.span(int(starts.min()), int(starts.max()) + 1)) is not None:
            self.release(*span)

    def between(self, start_ns: int, stop_ns: int) -> MessageIndex:
        """Return the rows with `start_ns <= time_ns < stop_ns`."""
        mask = (self.time_ns >= start_ns) & (self.time_ns < stop_ns)
        return self.take(np.flatnonzero(mask))

    def take(self, rows: npt.NDArray[np.intp]) -> MessageIndex:
        """Return only `rows`, in that order."""
        return replace(
            self,
            time_ns=self.time_ns[rows],
            type=self.type[rows],
            size=self.size[rows],
            position=self.position[rows],
            serial=self.serial[rows],
            sub=self.sub[rows],
            partial=self.partial[rows],
        )
