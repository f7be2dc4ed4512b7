"""Capture files to TCP connections, and nothing about what they carry.

`read_connections` does all of it: `container` maps the file, `records` walks it, `packets` finds the TCP
segments, `tcp` puts the streams together. The bytes themselves are never copied: a `ByteStream` points into
the mapped file.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from spicereplay.defects import DefectLog
from spicereplay.limits import DEFAULT_LIMITS, Limits

if TYPE_CHECKING:
    from spicereplay.capture.connection import Connection
    from spicereplay.capture.container import MappedFile
    from spicereplay.capture.packets import EmptyRecords


@dataclass(frozen=True, slots=True, eq=False)
class Capture:
    """What a capture file holds. It keeps the file mapped; closing it, or leaving its context, unmaps."""

    file: MappedFile
    format: str
    """Name of the file format."""
    connections: list[Connection]
    """TCP connections, in the order of their first packets."""
    packets: int
    """Records of the file, of any kind."""
    start_time_ns: int
    """Capture time of the first packet of any kind; 0 if there is none."""
    end_time_ns: int
    """Latest capture time."""
    other: dict[str, int]
    """What there was besides TCP and how often: `{"UDP port 53": 12, "ARP": 3}`."""
    empty_records: EmptyRecords
    """Records without a byte, which some writers leave in place of what did not fit."""
    secrets: list[bytes]
    """TLS key logs that a pcapng carries."""
    defects: DefectLog
    """What was wrong with the file or its packets; each connection has its own besides."""

    def close(self) -> None:
        """Unmap the file."""
        self.file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def read_connections(
    source: str | Path | MappedFile,
    *,
    limits: Limits = DEFAULT_LIMITS,
    progress: Callable[[int, int], None] | None = None,
) -> Capture:
    """Read the TCP connections of a pcap or pcapng file, plain or gzip.

    `progress` is called with bytes done and bytes in all. Raises `NotACaptureError` if it is no capture and
    `InputError` if the file cannot be read; whatever else is wrong with it is a defect.
    """
    # NumPy and the kernels are loaded when somebody reads a capture, not by `import spicereplay`.
    from spicereplay.capture.container import MappedFile, open_file
    from spicereplay.capture.packets import read_packets
    from spicereplay.capture.tcp import reassemble

    file = source if isinstance(source, MappedFile) else open_file(source, limits=limits)
    defects = DefectLog(limits.defects_per_kind)
    defects.extend(file.defects)
    try:
        table = read_packets(file, limits=limits, defects=defects, progress=progress)
    except BaseException:
        if file is not source:
            file.close()
        raise
    connections = reassemble(table, file, limits=limits, defects=defects)
    return Capture(
        file=file,
        format=table.format,
        connections=connections,
        packets=table.packets,
        start_time_ns=table.start_time_ns,
        end_time_ns=table.end_time_ns,
        other=table.other,
        empty_records=table.empty_records,
        secrets=table.secrets,
        defects=defects,
    )
