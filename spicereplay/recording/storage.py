"""A file that grows by whole blocks or not at all.

A disk that is full takes half a packet, and nothing behind it could be read. So what was written of an unfinished
block is cut off again, and whoever writes is told which blocks are not there.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from spicereplay.errors import OutputExistsError, UsageError


@dataclass(frozen=True, slots=True)
class Lost:
    """What a failed write left out."""

    bytes: int
    blocks: int
    reason: str
    """In the words of the operating system."""


class BlockFile:
    """A new file; each `write` is one block, and `commit` hands them to the operating system."""

    def __init__(self, path: Path, *, force: bool = False) -> None:
        """Create it. Raises `OutputExistsError` where it exists, unless `force`, and `UsageError`."""
        self.path = path
        flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | (os.O_TRUNC if force else os.O_EXCL)
        try:
            self._fd = os.open(path, flags, 0o600)
        except FileExistsError:
            raise OutputExistsError(f"{path} exists already; --force overwrites it") from None
        except OSError as error:
            raise UsageError(f"{path} cannot be written: {error.strerror}") from None
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self._torn: str | None = None
        """Why half a block lies at the end and cannot be cut off; nothing behind it could be read."""
        self.size = 0
        """Bytes that are written, all of them whole blocks."""
        self.blocks = 0
        """Whole blocks that are written."""

    @property
    def next_block(self) -> int:
        """The number of the block that is written next, if nothing is lost before it."""
        return self.blocks + len(self._waiting)

    @property
    def taken(self) -> int:
        """Bytes that are written or wait; what is lost does not count."""
        return self.size + self._waiting_bytes

    def write(self, block: bytes) -> None:
        """Put a block behind those that wait."""
        self._waiting.append(block)
        self._waiting_bytes += len(block)

    def flush(self) -> None:
        """Do nothing: blocks wait for `commit`, which tells what came of it."""

    def commit(self) -> Lost | None:
        """Write what waits; None, or what of it is lost for good."""
        waiting, self._waiting = self._waiting, []
        self._waiting_bytes = 0
        if not waiting:
            return None
        if self._torn is not None:
            return _lost(waiting, self._torn)
        data = memoryview(b"".join(waiting))
        written = 0
        try:
            while written < len(data):
                written += os.write(self._fd, data[written:])
        except OSError as error:
            return self._cut(waiting, written, error.strerror or str(error))
        self.size += len(data)
        self.blocks += len(waiting)
        return None

    def _cut(self, waiting: list[bytes], written: int, reason: str) -> Lost:
        kept = 0
        while written >= len(waiting[kept]):
            written -= len(waiting[kept])
            self.size += len(waiting[kept])
            kept += 1
        self.blocks += kept
        try:
            os.ftruncate(self._fd, self.size)
            os.lseek(self._fd, self.size, os.SEEK_SET)
        except OSError:
            # A pipe, or a disk that does nothing any more.
            self._torn = reason
        return _lost(waiting[kept:], reason)

    def close(self) -> None:
        """Close it, once; what waits still is forgotten."""
        os.close(self._fd)


def _lost(blocks: list[bytes], reason: str) -> Lost:
    return Lost(sum(map(len, blocks)), len(blocks), reason)
