"""Files as memory: mapped, inflated first where they are compressed."""

from __future__ import annotations

import mmap
import stat
import tempfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

from spicereplay.defects import DefectKind, DefectLog
from spicereplay.errors import InputError
from spicereplay.limits import DEFAULT_LIMITS, Limits
from spicereplay.units import KIB, MIB

GZIP_MAGIC: Final = b"\x1f\x8b"
"""Source: RFC 1952 2.3.1."""
_PIECE: Final = 256 * KIB


@dataclass(slots=True, eq=False)
class MappedFile:
    """A file as read-only memory.

    `memory` is what kernels and `numpy.frombuffer` take; whoever keeps a view of it keeps it alive. `defects`
    holds what was wrong with the container (damaged compression, a size over its limit).
    """

    name: str
    memory: memoryview
    defects: DefectLog = field(default_factory=DefectLog)
    _map: mmap.mmap | None = None

    @property
    def size(self) -> int:
        """Size in bytes, inflated."""
        return len(self.memory)

    def release(self, start: int, stop: int) -> None:
        """Let go of the resident pages of `[start, stop)`; they come back from the file when read again.

        Does nothing for memory that is no map, or where the system has no such call.
        """
        if self._map is None or not hasattr(mmap, "MADV_DONTNEED"):
            return
        start = max(0, start) // mmap.PAGESIZE * mmap.PAGESIZE
        stop = min(stop, self.size)
        if stop > start:
            self._map.madvise(mmap.MADV_DONTNEED, start, stop - start)

    def close(self) -> None:
        """Unmap. Where arrays still look into the memory, that happens when the last of them is gone."""
        try:
            self.memory.release()
            if self._map is not None:
                self._map.close()
        except BufferError:
            # Somebody still has a view: the map stays until the view goes, and reading it stays safe.
            return

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def map_bytes(data: bytes | bytearray | memoryview, name: str = "memory") -> MappedFile:
    """Return `data` as a `MappedFile`, without copying it."""
    return MappedFile(name, memoryview(data).cast("B"))


def open_file(path: str | Path, *, limits: Limits = DEFAULT_LIMITS) -> MappedFile:
    """Map the file at `path`.

    A gzip file, told by its first bytes, is inflated into a temporary file that has no name, and so is what
    comes through a pipe; both up to `limits.zip_member_bytes`. A damaged or cut off gzip file gives what
    could be inflated of it, and a defect. Raises `InputError` if there is no such file or it cannot be read.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            mode = path.stat().st_mode
            if stat.S_ISREG(mode):
                magic = file.read(2)
                file.seek(0)
                if magic == GZIP_MAGIC:
                    return _inflate(file, path.name, limits)
                return _map(file, path.name, DefectLog())
            spooled = map_member(file, limits.zip_member_bytes, name=path.name)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from error
    if bytes(spooled.memory[:2]) != GZIP_MAGIC:
        return spooled
    with spooled, tempfile.TemporaryFile() as file:
        file.write(spooled.memory)
        file.seek(0)
        return _inflate(file, path.name, limits)


def map_member(
    fileobj: IO[bytes], size_limit: int, *, name: str = "member", defects: DefectLog | None = None
) -> MappedFile:
    """Map what `fileobj` gives: for instance a zip member opened for reading.

    The bytes go through a temporary file that has no name. More than `size_limit` of them are cut off
    (`ZIP_LIMIT`); an error while inflating ends the member early (`ZIP_DAMAGED`). Defects go to `defects` if
    given, else to those of the result.
    """
    # A zip member's own errors: a wrong checksum is BadZipFile, a bad deflate stream zlib.error.
    from zipfile import BadZipFile

    log = DefectLog() if defects is None else defects
    with tempfile.TemporaryFile() as spool:
        size = 0
        try:
            while piece := fileobj.read(min(_PIECE, size_limit + 1 - size)):
                size += len(piece)
                if size > size_limit:
                    spool.write(piece[: size_limit - size])
                    log.add(
                        DefectKind.ZIP_LIMIT, name, f"more than {size_limit:,} bytes; the rest is left out"
                    )
                    break
                spool.write(piece)
        except (BadZipFile, zlib.error, EOFError) as error:
            log.add(DefectKind.ZIP_DAMAGED, name, f"damaged after {size:,} bytes: {error}", position=size)
        return _map(spool, name, log)


def _map(file: IO[bytes], name: str, defects: DefectLog) -> MappedFile:
    file.flush()
    if not file.seek(0, 2):
        return MappedFile(name, memoryview(b""), defects)  # nothing cannot be mapped
    mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    return MappedFile(name, memoryview(mapped), defects, mapped)


def _inflate(file: IO[bytes], name: str, limits: Limits) -> MappedFile:
    """Inflate all members of a gzip file into a temporary file and map that."""
    defects = DefectLog()
    limit = limits.zip_member_bytes
    size = 0
    inflater = zlib.decompressobj(wbits=31)
    with tempfile.TemporaryFile() as spool:
        data = file.read(_PIECE)
        while data and size < limit:
            before = inflater.copy()
            try:
                out = inflater.decompress(data, min(limit - size, 4 * MIB))
            except zlib.error as error:
                size += spool.write(_until_damage(before, data, limit - size))
                defects.add(
                    DefectKind.FILE_DAMAGED,
                    name,
                    f"gzip data is damaged ({error}); the {size:,} bytes before that are used",
                )
                return _map(spool, name, defects)
            size += spool.write(out)
            data = inflater.unconsumed_tail
            if inflater.eof:
                data = inflater.unused_data or file.read(_PIECE)
                if not data.startswith(GZIP_MAGIC[: len(data)]):
                    break  # padding behind the last member
                if data:
                    inflater = zlib.decompressobj(wbits=31)
            elif not data:
                data = file.read(_PIECE)
        if size >= limit and not inflater.eof:
            defects.add(
                DefectKind.OVER_LIMIT, name, f"inflates to more than {limit:,} bytes; the rest is left out"
            )
        elif not inflater.eof:
            defects.add(
                DefectKind.FILE_TRUNCATED, name, f"gzip data is cut off; the {size:,} bytes there are used"
            )
        return _map(spool, name, defects)


def _until_damage(inflater: zlib._Decompress, data: bytes, limit: int) -> bytes:
    """Return what `data` inflates to before the byte that makes no sense."""
    out = bytearray()
    try:
        for i in range(len(data)):
            out += inflater.decompress(data[i : i + 1])
            if len(out) >= limit:
                break
    except zlib.error:
        pass  # the caller has recorded it
    return bytes(out[:limit])
