"""Every message that one side of one channel sent, as columns; the bodies stay where they lie."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spicereplay.bytestream import ByteStream, Int64Array
from spicereplay.protocol.enums import ChannelType, Side


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
        framing.gather(
            np.frombuffer(self.stream.file, np.uint8),
            np.frombuffer(self.stream.spill, np.uint8),
            self.stream.position,
            self.stream.offset,
            self.stream.length,
            np.ascontiguousarray(self.position[rows]),
            np.ascontiguousarray(self.size[rows]).astype(np.int64),
            out.view(np.uint8).reshape(len(rows), dtype.itemsize) if len(rows) else np.empty((0, 1), np.uint8),
        )
        return out

    def between(self, start_ns: int, stop_ns: int) -> MessageIndex:
        """Return the rows with `start_ns <= time_ns < stop_ns`."""
        mask = (self.time_ns >= start_ns) & (self.time_ns < stop_ns)
        return self.take(np.flatnonzero(mask))

    def take(self, rows: npt.NDArray[np.intp]) -> MessageIndex:
        """Return only `rows`, in that order."""
        return MessageIndex(
            self.channel,
            self.side,
            self.stream,
            self.time_ns[rows],
            self.type[rows],
            self.size[rows],
            self.position[rows],
            self.serial[rows],
            self.sub[rows],
            self.partial[rows],
        )
