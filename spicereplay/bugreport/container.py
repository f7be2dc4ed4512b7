"""The files of one bug report, read in place from a zip (or from a folder into which one was unpacked).

Nothing is ever extracted to disk. The zip directory is read here rather than with `zipfile`, because a report
that was cut short has no directory (then the local headers are walked), because a directory must not be able
to ask for more memory than `Limits.zip_members` entries, and because a damaged member is still worth reading:
ryll stores its members without compression (ryll-formats.md 2.1). Source of the structures: PKWARE
APPNOTE.TXT 6.3.10, sections 4.3.7, 4.3.12, 4.3.16 and 4.5.3.
"""

from __future__ import annotations

import io
import re
import struct
import zlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, Protocol, cast

from spicereplay.defects import DefectKind, DefectLog
from spicereplay.errors import InputError
from spicereplay.limits import Limits
from spicereplay.units import KIB, MIB

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

Source = Path | BinaryIO
"""A path, or a seekable binary file that stays open as long as what was read from it is used."""

ZIP_MAGIC: Final = (b"PK\x03\x04", b"PK\x05\x06")
"""How a zip begins: a local header, or the end record of an empty one."""

_LOCAL: Final = struct.Struct("<4s5H3L2H")
_ENTRY: Final = struct.Struct("<4s6H3L5H2L")
_END: Final = struct.Struct("<4s4H2LH")
_LONGEST_COMMENT: Final = 0xFFFF
_IN_ZIP64: Final = 0xFFFF_FFFF
_STORED: Final = 0
_DEFLATED: Final = 8
_FLAG_ENCRYPTED: Final = 0x1 | 0x40
_FLAG_SIZES_FOLLOW: Final = 0x8
_FLAG_UTF8: Final = 0x800
_FREE_RATIO: Final = MIB
"""Inflated bytes up to which no ratio is held against a member: small JSON packs well."""
_BLOCK: Final = 256 * KIB


@dataclass(frozen=True, slots=True)
class Member:
    """One file of a zip. Sizes in bytes, as the zip claims them; `start` is where its local header begins."""

    name: str
    size: int
    packed_size: int
    method: int
    flags: int
    crc: int
    start: int


class Container(Protocol):
    """A set of named files that can be read within limits."""

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its files in their order, without those that cannot be used."""

    def read(self, name: str, limit: int, defects: DefectLog) -> bytes | None:
        """Return the content of `name`; None with a defect where it is over `limit` or not readable."""

    def open(self, name: str, limit: int, defects: DefectLog) -> BinaryIO | None:
        """Return `name` as a file that ends, with a defect, after `limit` bytes; None where not readable."""


@dataclass(frozen=True, slots=True)
class Folder:
    """A bug report that was unpacked into a folder."""

    path: Path
    names: tuple[str, ...]

    def read(self, name: str, limit: int, defects: DefectLog) -> bytes | None:
        """Return the content of `name`, see `Container.read`."""
        return _read_bounded(self.open(name, limit, defects), name, limit, defects)

    def open(self, name: str, limit: int, defects: DefectLog) -> BinaryIO | None:
        """Open `name`, see `Container.open`."""
        file = self.path / name
        try:
            if file.stat().st_size > limit:
                defects.add(DefectKind.ZIP_LIMIT, name, f"{file.stat().st_size} bytes, the limit is {limit}")
                return None
            return file.open("rb")
        except OSError as error:
            defects.add(DefectKind.FILE_DAMAGED, name, f"cannot be read: {error.strerror}")
            return None


@dataclass(frozen=True, slots=True)
class Zip:
    """The members of one zip that can be used: safe names, not encrypted, each name once."""

    source: Source
    label: str
    file_size: int
    members: dict[str, Member]
    ratio: int

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the members in the order of the zip."""
        return tuple(self.members)

    def read(self, name: str, limit: int, defects: DefectLog) -> bytes | None:
        """Return the content of `name`, see `Container.read`."""
        return _read_bounded(self.open(name, limit, defects), name, limit, defects)

    def open(self, name: str, limit: int, defects: DefectLog) -> BinaryIO | None:
        """Open `name`, see `Container.open`.

        A wrong CRC, a size that is not the claimed one and an end before the claimed one are defects found
        while reading; the bytes are handed out all the same.
        """
        member = self.members.get(name)
        if member is None:
            return None
        if member.size > limit:
            defects.add(DefectKind.ZIP_LIMIT, name, f"claims {member.size} bytes, the limit is {limit}")
            return None
        if member.method not in (_STORED, _DEFLATED):
            defects.add(DefectKind.ZIP_DAMAGED, name, f"compression method {member.method} is not supported")
            return None
        try:
            file = self.source.open("rb") if isinstance(self.source, Path) else self.source
        except OSError as error:
            defects.add(DefectKind.FILE_DAMAGED, self.label, f"can no longer be read: {error.strerror}")
            return None
        data_start = _data_start(file, member)
        if data_start is None:
            if isinstance(self.source, Path):
                file.close()
            defects.add(DefectKind.ZIP_DAMAGED, name, "there is no local header where the directory says")
            return None
        available = max(0, min(member.packed_size, self.file_size - data_start))
        bound = limit if member.method == _STORED else min(limit, max(_FREE_RATIO, self.ratio * available))
        raw = _MemberFile(file, isinstance(self.source, Path), member, data_start, available, bound, defects)
        return cast(BinaryIO, io.BufferedReader(raw, _BLOCK))


class _MemberFile(io.RawIOBase):
    """The bytes of one member from front to back, never more than `bound` of them."""

    def __init__(
        self,
        file: BinaryIO,
        owned: bool,
        member: Member,
        data_start: int,
        available: int,
        bound: int,
        defects: DefectLog,
    ) -> None:
        self._file, self._owned, self._member, self._defects = file, owned, member, defects
        self._at, self._packed_end, self._bound = data_start, data_start + available, bound
        self._inflate = zlib.decompressobj(-zlib.MAX_WBITS) if member.method == _DEFLATED else None
        self._pending = b""
        self._given = 0
        self._crc = 0
        self._ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        with memoryview(buffer).cast("B") as view:
            data = b"" if self._ended or not len(view) else self._next(min(len(view), _BLOCK))
            if not data:
                if len(view):
                    self._finish()
                return 0
            if self._given + len(data) > self._bound:
                self._stop(
                    DefectKind.ZIP_LIMIT, f"inflates to more than {self._bound} bytes; the rest is left out"
                )
                data = data[: self._bound - self._given]
            view[: len(data)] = data
        self._given += len(data)
        self._crc = zlib.crc32(data, self._crc)
        return len(data)

    def close(self) -> None:
        if self._owned and not self.closed:
            self._file.close()
        super().close()

    def _packed(self, size: int) -> bytes:
        """Return the next bytes as they lie in the zip."""
        size = min(size, self._packed_end - self._at)
        if size <= 0:
            return b""
        self._file.seek(self._at)
        data = self._file.read(size)
        self._at += len(data)
        return data

    def _next(self, size: int) -> bytes:
        if self._inflate is None:
            return self._packed(size)
        while not self._inflate.eof:
            packed = self._pending or self._packed(_BLOCK)
            try:
                data = self._inflate.decompress(packed, size)
            except zlib.error as error:
                self._stop(
                    DefectKind.ZIP_DAMAGED, f"compressed data is damaged ({error}); what came before is used"
                )
                return b""
            self._pending = self._inflate.unconsumed_tail
            if data:
                return data
            if not packed:
                break
        return b""

    def _stop(self, kind: DefectKind, detail: str) -> None:
        self._ended = True
        self._defects.add(kind, self._member.name, detail, position=self._given)

    def _finish(self) -> None:
        """Compare what was read with what the zip claims, once."""
        if self._ended:
            return
        if self._given != self._member.size:
            self._stop(DefectKind.ZIP_DAMAGED, f"{self._given} bytes, the zip claims {self._member.size}")
        elif self._crc != self._member.crc:
            self._stop(DefectKind.ZIP_DAMAGED, "checksum (CRC-32) does not match; the content is used")
        self._ended = True


def open_zip(source: Source, *, limits: Limits, defects: DefectLog) -> Zip:
    """Read the directory of a zip; where that is damaged or missing, walk the local headers instead.

    Members whose names climb out of the zip are left out (`ZIP_MEMBER_NAME`), as are encrypted ones and all
    but the first of one name (`ZIP_DAMAGED`). Raises `InputError` if the file cannot be read, is no zip, or
    has no member left that can be used.
    """
    label = source_label(source)
    try:
        with _opened(source) as file:
            file_size = file.seek(0, io.SEEK_END)
            file.seek(0)
            if file.read(4) not in ZIP_MAGIC:
                raise InputError(f"{label}: not a zip file")
            listed = _directory(file, file_size, limits.zip_members)
            if listed is None:
                listed = list(_walk(file, file_size, limits.zip_members))
                defects.add(
                    DefectKind.ZIP_DAMAGED,
                    label,
                    f"its directory is missing or damaged; {len(listed)} members were found by their headers",
                )
    except OSError as error:
        raise InputError(f"{label}: cannot be read: {error.strerror or error}") from error
    if len(listed) > limits.zip_members:
        raise InputError(f"{label}: a zip of more than {limits.zip_members} members is not a bug report")
    members: dict[str, Member] = {}
    left_out: list[str] = []
    for member in listed:
        if member.name.endswith("/") and not climbs_out(member.name):
            continue
        reason = _unusable(member, members)
        if reason is None:
            members[member.name] = member
        else:
            kind, detail = reason
            defects.add(kind, label, f"{member.name[:200]!r} {detail}", position=member.start)
            left_out.append(detail)
    if not members:
        why = f": every member {left_out[0]}" if left_out else ""
        raise InputError(f"{label}: a zip without a member that can be read{why}")
    return Zip(source, label, file_size, members, limits.zip_ratio)


def open_folder(path: Path, *, limits: Limits) -> Folder:
    """List the plain files of a folder. Raises `InputError` if it cannot be read or holds too many."""
    try:
        names = sorted(entry.name for entry in path.iterdir() if entry.is_file())
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    if len(names) > limits.zip_members:
        raise InputError(f"{path}: a folder of more than {limits.zip_members} files is not a bug report")
    return Folder(path, tuple(names))


def source_label(source: Source) -> str:
    """Return a name for `source` that a message can begin with."""
    return str(source) if isinstance(source, Path) else str(getattr(source, "name", "bug report"))


def climbs_out(name: str) -> bool:
    """Whether a member name is empty, absolute, or has a drive letter, a backslash, a NUL or a `..` part."""
    return (
        not name
        or name.startswith("/")
        or "\\" in name
        or "\0" in name
        or re.match(r"[A-Za-z]:", name) is not None
        or ".." in name.split("/")
    )


def _unusable(member: Member, known: dict[str, Member]) -> tuple[DefectKind, str] | None:
    if climbs_out(member.name):
        return DefectKind.ZIP_MEMBER_NAME, "has a name that leads out of the zip"
    if member.flags & _FLAG_ENCRYPTED:
        return DefectKind.ZIP_DAMAGED, "is encrypted"
    if member.name in known:
        return DefectKind.ZIP_DAMAGED, "is there more than once; the first is used"
    return None


def _opened(source: Source) -> AbstractContextManager[BinaryIO]:
    return source.open("rb") if isinstance(source, Path) else nullcontext(source)


def _read_bounded(file: BinaryIO | None, name: str, limit: int, defects: DefectLog) -> bytes | None:
    if file is None:
        return None
    refused = defects.counts[DefectKind.ZIP_LIMIT, name]
    with file:
        data = file.read()
    # A member that had to be cut at its limit is not half a document but an attack: nothing of it is used.
    return None if defects.counts[DefectKind.ZIP_LIMIT, name] > refused or len(data) > limit else data


def _data_start(file: BinaryIO, member: Member) -> int | None:
    file.seek(member.start)
    head = file.read(_LOCAL.size)
    if len(head) < _LOCAL.size or not head.startswith(b"PK\x03\x04"):
        return None
    name_length, extra_length = _LOCAL.unpack(head)[-2:]
    return member.start + _LOCAL.size + int(name_length) + int(extra_length)


def _directory(file: BinaryIO, file_size: int, most: int) -> list[Member] | None:
    """Read the central directory, at most `most` + 1 entries of it; None where it is missing or damaged."""
    tail_start = max(0, file_size - _END.size - _LONGEST_COMMENT - 20)
    file.seek(tail_start)
    tail = file.read(file_size - tail_start)
    end = tail.rfind(b"PK\x05\x06")
    if end < 0 or end + _END.size > len(tail):
        return None
    _, _, _, _, count, size, offset, _ = _END.unpack_from(tail, end)
    if (count == 0xFFFF or size == _IN_ZIP64 or offset == _IN_ZIP64) and tail[
        end - 20 : end - 16
    ] == b"PK\x06\x07":
        (record,) = struct.unpack_from("<Q", tail, end - 12)
        if record + 56 > file_size:
            return None
        file.seek(record)
        zip64 = file.read(56)
        if not zip64.startswith(b"PK\x06\x06"):
            return None
        count, size, offset = struct.unpack_from("<3Q", zip64, 32)
    members: list[Member] = []
    stop = offset + size
    if stop > file_size:
        return None
    while offset < stop and len(members) <= most:
        file.seek(offset)
        head = file.read(_ENTRY.size)
        if len(head) < _ENTRY.size or not head.startswith(b"PK\x01\x02"):
            return None
        (_, _, _, flags, method, _, _, crc, packed, size, n_name, n_extra, n_comment, _, _, _, start) = (
            _ENTRY.unpack(head)
        )
        variable = file.read(n_name + n_extra)
        if len(variable) < n_name + n_extra:
            return None
        size, packed, start = _zip64_sizes(variable[n_name:], size, packed, start)
        members.append(Member(_name(variable[:n_name], flags), size, packed, method, flags, crc, start))
        offset += _ENTRY.size + n_name + n_extra + n_comment
    return members if len(members) >= min(count, most) else None


def _walk(file: BinaryIO, file_size: int, most: int) -> Iterator[Member]:
    """Yield members by their local headers until one does not follow another, at most `most` + 1."""
    at = 0
    for _ in range(most + 1):
        file.seek(at)
        head = file.read(_LOCAL.size)
        if len(head) < _LOCAL.size or not head.startswith(b"PK\x03\x04"):
            return
        _, _, flags, method, _, _, crc, packed, size, n_name, n_extra = _LOCAL.unpack(head)
        variable = file.read(n_name + n_extra)
        data_start = at + _LOCAL.size + n_name + n_extra
        if len(variable) < n_name + n_extra:
            return
        size, packed, _ = _zip64_sizes(variable[n_name:], size, packed, 0)
        if flags & _FLAG_SIZES_FOLLOW and not packed:
            # The sizes stand behind the data: as good a guess as any is that the data ends where the next
            # begins.
            packed = _next_header(file, data_start, file_size) - data_start
            size = size or (packed if method == _STORED else 0)
        yield Member(_name(variable[:n_name], flags), size, packed, method, flags, crc, at)
        at = data_start + packed


def _next_header(file: BinaryIO, start: int, file_size: int) -> int:
    """Return where the next data descriptor or header begins after `start`, or the end of the file."""
    marks = re.compile(rb"PK(?:\x07\x08|\x03\x04|\x01\x02)")
    at, overlap = start, b""
    file.seek(start)
    while block := file.read(_BLOCK):
        found = marks.search(overlap + block)
        if found:
            return at - len(overlap) + found.start()
        at += len(block)
        overlap = (overlap + block)[-3:]
    return file_size


def _zip64_sizes(extra: bytes, size: int, packed: int, start: int) -> tuple[int, int, int]:
    """Replace the values that stand in the zip64 extra field (APPNOTE 4.5.3)."""
    at = 0
    while at + 4 <= len(extra):
        tag, length = struct.unpack_from("<2H", extra, at)
        if tag == 1:
            values = iter(struct.unpack_from(f"<{min(length, len(extra) - at - 4) // 8}Q", extra, at + 4))
            size, packed, start = (
                next(values, value) if value == _IN_ZIP64 else value for value in (size, packed, start)
            )
            break
        at += 4 + length
    return size, packed, start


def _name(raw: bytes, flags: int) -> str:
    return raw.decode("utf-8" if flags & _FLAG_UTF8 else "cp437", errors="replace")
