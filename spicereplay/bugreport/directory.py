"""What a path is, and the `--capture` directory.

Source: ryll-formats.md 2, 11, 12 and 15.1 (1).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Final

from spicereplay.bugreport.clock import utc_ns
from spicereplay.bugreport.container import ZIP_MAGIC
from spicereplay.bugreport.lenient import decode, read
from spicereplay.bugreport.report import (
    CHANNEL_STATE,
    METADATA,
    PCAP,
    SESSION,
    BugReport,
    is_capture_metadata,
    read_report,
)
from spicereplay.bugreport.rules import LIVE_PCAPS
from spicereplay.bugreport.schema import CaptureMetadata
from spicereplay.bugreport.snapshots import PREFIX, SnapshotDirectory, read_snapshots, snapshot_files
from spicereplay.defects import DefectKind, DefectLog
from spicereplay.errors import InputError, NotACaptureError
from spicereplay.limits import DEFAULT_LIMITS, Limits

REPORTS: Final = "bug-reports"
SNAPSHOTS: Final = "auto-snapshots"
VIDEO: Final = "display.mp4"

_CAPTURE_MAGICS: Final = (
    b"\xa1\xb2\xc3\xd4",
    b"\xd4\xc3\xb2\xa1",
    b"\xa1\xb2\x3c\x4d",
    b"\x4d\x3c\xb2\xa1",
    b"\x0a\x0d\x0d\x0a",
    b"\x1f\x8b",
)
"""pcap in either byte order and resolution, pcapng, and gzip around one of them."""
_OTHER_MAGICS: Final = {
    b"\x89PNG": "a PNG picture",
    b"\xff\xd8\xff": "a JPEG picture",
    b"\x7fELF": "a program",
    b"%PDF": "a PDF document",
    b"\x28\xb5\x2f\xfd": "a file compressed with zstd (unpack it first)",
    b"\xfd7zXZ": "a file compressed with xz (unpack it first)",
    b"BZh": "a file compressed with bzip2 (unpack it first)",
    b"7z\xbc\xaf": "a 7-Zip archive (unpack it first)",
}
_MOST_LISTED: Final = 8


class InputKind(StrEnum):
    """What an input is."""

    CAPTURE = "capture"
    """A pcap or pcapng file, perhaps gzipped."""
    BUG_REPORT = "bug_report"
    """A bug-report zip, or the folder into which one was unpacked."""
    CAPTURE_DIRECTORY = "capture_directory"
    """A directory that `ryll --capture` wrote."""
    SNAPSHOT_DIRECTORY = "snapshot_directory"
    """A directory of auto-snapshots."""


@dataclass(frozen=True, slots=True)
class Detected:
    """An input: what it is, and the path to read, which may lie one level below the one given."""

    kind: InputKind
    path: Path


@dataclass(frozen=True, slots=True, eq=False)
class CaptureDirectory:
    """A `--capture` directory. Source: ryll-formats.md 11.

    The pcaps hold raw reads of the server's bytes, so frames are not messages; after a reconnect the next
    connection's bytes follow in the same flow; `writer_dropped_count` of a bug report of the same run says
    whether bytes are missing without a trace.
    """

    path: Path
    metadata: CaptureMetadata
    pcaps: Mapping[str, Path]
    """Channel label to its recording; a channel that was not used has a file without packets."""
    video: Path | None
    """The client's own recording of surface 0."""
    reports: tuple[BugReport, ...]
    """The bug reports of the run, by name."""
    snapshots: SnapshotDirectory | None

    @property
    def start_ns(self) -> int | None:
        """UTC of the pcaps' zero, up to a second early; None where metadata.json does not say.

        This zero is not that of the bug reports' clocks: theirs begins with each connection.
        """
        return utc_ns(self.metadata.capture_started)


def detect(path: Path, *, limits: Limits = DEFAULT_LIMITS) -> Detected:
    """Say what `path` is, by content.

    A directory that is no input itself but holds exactly one stands for that one. Raises `NotACaptureError`
    with what was found and what to give instead, and `InputError` if the path cannot be read.
    """
    try:
        if not path.exists():
            raise InputError(f"{path}: no such file or directory")
        if not path.is_dir():
            return Detected(_kind_of_file(path), path)
        kind = _kind_of_directory(path, limits)
        if kind is not None:
            return Detected(kind, path)
        return _one_below(path, limits)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error


def read_capture_directory(
    path: Path, *, limits: Limits = DEFAULT_LIMITS, defects: DefectLog
) -> CaptureDirectory:
    """Read a `--capture` directory: its metadata and bug reports, and where its recordings are.

    Raises `NotACaptureError` if it has no recording, and `InputError` if it cannot be read.
    """
    pcaps = {label: path / f"{label}.pcap" for label in LIVE_PCAPS if (path / f"{label}.pcap").is_file()}
    if not pcaps:
        raise NotACaptureError(f"{path}: no recording of a channel ({', '.join(LIVE_PCAPS)}.pcap)")
    metadata = None
    value = _metadata(path, limits, defects)
    if value is not None:
        metadata = read(CaptureMetadata, value, METADATA, defects)
    reports: list[BugReport] = []
    for file in sorted((path / REPORTS).glob("*.zip")):
        try:
            reports.append(read_report(file, limits=limits, defects=defects))
        except InputError as error:
            defects.add(DefectKind.FILE_DAMAGED, str(file), str(error))
    snapshots = path / REPORTS / SNAPSHOTS
    return CaptureDirectory(
        path=path,
        metadata=metadata or CaptureMetadata(),
        pcaps=MappingProxyType(pcaps),
        video=path / VIDEO if (path / VIDEO).is_file() else None,
        reports=tuple(reports),
        snapshots=read_snapshots(snapshots, limits=limits, defects=defects)
        if snapshots.is_dir() and snapshot_files(snapshots)
        else None,
    )


def _metadata(path: Path, limits: Limits, defects: DefectLog) -> object:
    """Return the plain value of a directory's metadata.json; None with a defect where it cannot be used."""
    file = path / METADATA
    if not file.is_file():
        defects.add(DefectKind.MEMBER_MISSING, str(path), f"{METADATA} is missing")
        return None
    try:
        with file.open("rb") as opened:
            data = opened.read(limits.zip_json_bytes + 1)
    except OSError as error:
        defects.add(DefectKind.FILE_DAMAGED, METADATA, f"cannot be read: {error.strerror}")
        return None
    if len(data) > limits.zip_json_bytes:
        defects.add(DefectKind.ZIP_LIMIT, METADATA, f"more than {limits.zip_json_bytes} bytes")
        return None
    value: object = decode(data, METADATA, limits, defects)
    return value


def _kind_of_file(path: Path) -> InputKind:
    if not path.is_file():
        raise NotACaptureError(f"{path}: neither a file nor a directory")
    with path.open("rb") as file:
        start = file.read(512)
    if start.startswith(ZIP_MAGIC):
        return InputKind.BUG_REPORT
    if start.startswith(_CAPTURE_MAGICS):
        return InputKind.CAPTURE
    raise NotACaptureError(f"{path}: {_what_else(start)}; a pcap, pcapng or a bug-report zip was expected")


def _what_else(start: bytes) -> str:
    if not start:
        return "an empty file"
    for magic, name in _OTHER_MAGICS.items():
        if start.startswith(magic):
            return name
    if all(byte >= 0x20 or byte in b"\t\r\n\f" for byte in start):
        return "a text file"
    return f"a file that begins with {start[:4].hex(' ')}"


def _kind_of_directory(path: Path, limits: Limits) -> InputKind | None:
    if any((path / f"{label}.pcap").is_file() for label in LIVE_PCAPS):
        return InputKind.CAPTURE_DIRECTORY
    if (path / METADATA).is_file():
        value = _metadata(path, limits, DefectLog())
        if is_capture_metadata(value):
            raise NotACaptureError(f"{path}: a --capture directory without any recording in it")
        has_type = isinstance(value, dict) and "report_type" in value
        if has_type or any((path / name).is_file() for name in (SESSION, CHANNEL_STATE, PCAP)):
            return InputKind.BUG_REPORT
    if snapshot_files(path):
        return InputKind.SNAPSHOT_DIRECTORY
    return None


def _one_below(path: Path, limits: Limits) -> Detected:
    """Return the only input inside a directory that is none itself."""
    inside = sorted(path.iterdir())
    if len(inside) > limits.zip_members:
        raise NotACaptureError(f"{path}: a directory of {len(inside)} entries; give one of them")
    found: list[Detected] = []
    for entry in inside:
        if entry.is_dir():
            kind = _kind_of_directory(entry, limits)
        else:
            kind = _quietly(_kind_of_file, entry)
        if kind is not None:
            found.append(Detected(kind, entry))
    if len(found) == 1:
        return found[0]
    if found:
        raise NotACaptureError(
            f"{path}: a directory of several inputs, give one of them: "
            + _listed([f"{one.path.name} ({one.kind.value.replace('_', ' ')})" for one in found])
        )
    raise NotACaptureError(
        f"{path}: neither a --capture directory ({', '.join(LIVE_PCAPS)}.pcap) nor one of auto-snapshots "
        f"({PREFIX}*.zip); it holds {_listed([entry.name for entry in inside]) or 'nothing'}"
    )


def _quietly(kind_of: Callable[[Path], InputKind], path: Path) -> InputKind | None:
    try:
        return kind_of(path)
    except NotACaptureError:
        return None


def _listed(names: list[str]) -> str:
    shown = ", ".join(names[:_MOST_LISTED])
    return f"{shown} and {len(names) - _MOST_LISTED} more" if len(names) > _MOST_LISTED else shown
