"""A recording's bytes, and beside them what they are to become.

Streams point into a mapped file or into memory. Each such buffer is copied once, and what is written at a position of
a stream lands in the copy where the stream's chunk lies. What was there before stays readable, so that afterwards
somebody can look whether any of it is left.
"""

from __future__ import annotations

import mmap
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from spicereplay.bytestream import Buffer, ByteStream
from spicereplay.redact.what import TEXTUAL, Kind
from spicereplay.units import MIB


@dataclass(frozen=True, slots=True)
class Removed:
    """A stretch of a stream that was replaced, if only by what it was already."""

    stream: ByteStream
    start: int
    stop: int
    kind: Kind


@dataclass(slots=True)
class Edits:
    """Copies of buffers, and what was written into them. Close it to give back the copies."""

    removed: list[Removed] = field(default_factory=list)
    counts: Counter[Kind] = field(default_factory=Counter)
    """How many things of each kind were replaced."""
    _copies: dict[int, tuple[Buffer, mmap.mmap | bytearray]] = field(default_factory=dict)

    def copy_of(self, buffer: Buffer) -> mmap.mmap | bytearray:
        """Return the copy of a buffer; it lies in a temporary file without a name."""
        known = self._copies.get(id(buffer))
        if known is not None:
            return known[1]
        made = _copy(buffer)
        self._copies[id(buffer)] = (buffer, made)  # the buffer is kept, so that its id stays its own
        return made

    def edited(self, stream: ByteStream) -> ByteStream:
        """Return a stream with the same chunks over what its bytes have become."""
        return replace(
            stream, file=memoryview(self.copy_of(stream.file)), spill=memoryview(self.copy_of(stream.spill))
        )

    def write(self, stream: ByteStream, start: int, new: bytes, kind: Kind) -> bool:
        """Put `new` at a position of a stream, as far as its bytes are there; whether that changed anything."""
        changed = False
        stop = start + len(new)
        i = max(0, int(np.searchsorted(stream.position, start, "right")) - 1)
        while i < len(stream.position) and int(stream.position[i]) < stop:
            at = int(stream.position[i])
            low, high = max(start, at), min(stop, at + int(stream.length[i]))
            if low < high:
                offset = int(stream.offset[i])
                buffer, base = (stream.file, offset) if offset >= 0 else (stream.spill, -1 - offset)
                copy = self.copy_of(buffer)
                where = slice(base + low - at, base + high - at)
                piece = new[low - start : high - start]
                if copy[where] != piece:
                    copy[where] = piece
                    changed = True
            i += 1
        if changed or kind not in TEXTUAL:
            # A picture that was black already is one that was made from its size.
            self.removed.append(Removed(stream, start, stop, kind))
        return changed

    def replaced(self, removed: Removed) -> Iterator[tuple[bytes, bytes]]:
        """Yield the pieces of a stretch as they were, and as they are now."""
        now = dict(self.edited(removed.stream).pieces(removed.start, removed.stop))
        for position, old in removed.stream.pieces(removed.start, removed.stop):
            yield old, now[position]

    def close(self) -> None:
        """Give back the copies. One that somebody still looks into goes when that look ends."""
        for _, copy in self._copies.values():
            if isinstance(copy, mmap.mmap):
                try:
                    copy.close()
                except BufferError:
                    continue
        self._copies.clear()


def _copy(buffer: Buffer) -> mmap.mmap | bytearray:
    if not len(buffer):
        return bytearray()
    with tempfile.TemporaryFile() as file:
        for start in range(0, len(buffer), MIB):
            file.write(bytes(buffer[start : start + MIB]))
        file.flush()
        return mmap.mmap(file.fileno(), 0)
