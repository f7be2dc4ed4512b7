"""The records of a pcap or pcapng file, in batches of columns."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from spicereplay.bytestream import Int64Array
from spicereplay.capture._kernels import records as kernel
from spicereplay.capture.container import MappedFile
from spicereplay.defects import DefectKind, DefectLog
from spicereplay.errors import NotACaptureError
from spicereplay.limits import Limits
from spicereplay.units import MIB, NS_PER_US

BATCH: Final = 16_384
"""Records of one batch."""
WINDOW: Final = 32 * MIB
"""Bytes of the file that one batch may cover: what of it is resident at a time."""

PCAP_HEADER_BYTES: Final = 24
_PCAP: Final = {
    # magic: (nanoseconds per unit of the second stamp, bytes of a record header, name)
    0xA1B2C3D4: (NS_PER_US, 16, "pcap"),
    0xA1B23C4D: (1, 16, "pcap with nanoseconds"),
    0xA1B2CD34: (NS_PER_US, 24, "Kuznetsov's modified pcap"),
}
"""Source: draft-ietf-opsawg-pcap, section 4; wireshark wiretap/libpcap.h for the modified one."""

SECTION_HEADER: Final = 0x0A0D0D0A
INTERFACE_DESCRIPTION: Final = 1
DECRYPTION_SECRETS: Final = 10
BYTE_ORDER_MAGIC: Final = 0x1A2B3C4D
TLS_KEY_LOG: Final = 0x544C534B
"""Secrets in SSLKEYLOGFILE format. Source: draft-ietf-opsawg-pcapng, 4.7 (Decryption Secrets Block)."""

_ACCEPTED: Final = "A capture is a pcap or pcapng file, plain or compressed with gzip."
_LOOKS_LIKE: Final = (
    (b"PK\x03\x04", "a zip archive"),
    (b"\x28\xb5\x2f\xfd", "data compressed with zstd; decompress it first"),
    (b"\xfd7zXZ", "data compressed with xz; decompress it first"),
    (b"BZh", "data compressed with bzip2; decompress it first"),
    (b"\x04\x22\x4d\x18", "data compressed with lz4; decompress it first"),
    (b"snoop\0", "a snoop capture; convert it with editcap -F pcapng"),
    (b"GMBU", "a Network Monitor capture; convert it with editcap -F pcapng"),
    (b"RTSS", "a Network Monitor capture; convert it with editcap -F pcapng"),
    (b"\x54\x52\x00\x64", "a NetXRay capture; convert it with editcap -F pcapng"),
    (b"\x7fELF", "a program"),
    (b"\x89PNG", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
    (b"<", "HTML or XML"),
    (b"{", "JSON"),
)


def _numbers() -> Int64Array:
    return np.empty(BATCH, np.int64)


@dataclass(slots=True, eq=False)
class Records:
    """One batch of records; `count` of each column are in use, and the next batch overwrites them."""

    count: int = 0
    first: int = 0
    """Number of the batch's first record in the file, from 0."""
    time_ns: Int64Array = field(default_factory=_numbers)
    offset: Int64Array = field(default_factory=_numbers)
    """Where the packet begins in the file."""
    captured: Int64Array = field(default_factory=_numbers)
    wire: Int64Array = field(default_factory=_numbers)
    """Length of the packet on the wire; never less than `captured`."""
    link: npt.NDArray[np.int32] = field(default_factory=lambda: np.empty(BATCH, np.int32))
    """Link type, -1 for a record that contradicts itself. Source: tcpdump.org/linktypes.html."""
    stop: int = 0
    """Byte of the file behind the batch."""


def read_records(
    file: MappedFile, *, limits: Limits, defects: DefectLog, secrets: list[bytes]
) -> tuple[str, Iterator[Records]]:
    """Return the name of the file's format and its records.

    Secrets blocks of a pcapng are added to `secrets` as the records are walked. A file that is cut off or
    damaged ends there, with a defect. Raises `NotACaptureError` for anything but a capture.
    """
    head = bytes(file.memory[:PCAP_HEADER_BYTES])
    if head[:4] == struct.pack("<I", SECTION_HEADER) and len(head) >= 12:
        order = head[8:12]
        if order in (struct.pack("<I", BYTE_ORDER_MAGIC), struct.pack(">I", BYTE_ORDER_MAGIC)):
            return "pcapng", _pcapng(file, limits, defects, secrets)
    for prefix in "<>":
        magic = struct.unpack(prefix + "I", head[:4])[0] if len(head) >= 4 else 0
        if magic in _PCAP:
            if len(head) < PCAP_HEADER_BYTES:
                raise NotACaptureError(
                    f"{file.name}: the header of a pcap file is {PCAP_HEADER_BYTES} bytes, "
                    f"and this file ends after {len(head)}. Copy or record it again."
                )
            return _PCAP[magic][2], _pcap(file, prefix, *_PCAP[magic][:2], limits, defects)
    raise NotACaptureError(_refusal(file.name, head))


def _refusal(name: str, head: bytes) -> str:
    if not head:
        return f"{name} is empty. {_ACCEPTED} Was the recording stopped before anything was written?"
    looks = next((what for magic, what in _LOOKS_LIKE if head.startswith(magic)), None)
    if looks is None and not any(head):
        looks = "a hole in a damaged or sparse file: only zeros"
    elif looks is None and not any(head[:4]):
        looks = "a capture whose magic number was overwritten: it is zero"
    elif looks is None and all(32 <= c < 127 or c in b"\t\r\n" for c in head):
        looks = "text"
    seen = f"its first bytes are {head[:8].hex(' ')}" + (f", which looks like {looks}" if looks else "")
    return (
        f"{name} is not a capture: {seen}. {_ACCEPTED} Other formats: editcap -F pcapng IN OUT converts them."
    )


def _pcap(
    file: MappedFile, prefix: str, fraction_ns: int, header_bytes: int, limits: Limits, defects: DefectLog
) -> Iterator[Records]:
    batch = Records()
    # The upper bits of the link type say how long a frame check sequence is, which nobody here reads.
    batch.link[:] = struct.unpack(prefix + "I", file.memory[20:24])[0] & 0xFFFF
    position, why = PCAP_HEADER_BYTES, int(kernel.Walk.MORE)
    while why == kernel.Walk.MORE:
        begin, batch.first = position, batch.first + batch.count
        why, position, batch.count = kernel.pcap_records(
            file.memory,
            position,
            position + WINDOW,
            prefix == ">",
            fraction_ns,
            header_bytes,
            limits.packet_bytes,
            batch.time_ns,
            batch.offset,
            batch.captured,
            batch.wire,
        )
        batch.stop = position
        yield batch
        file.release(begin, position)
    if why == kernel.Walk.DAMAGED:
        length = struct.unpack(prefix + "I", file.memory[position + 8 : position + 12])[0]
        _damaged(defects, batch, position, f"it claims {length:,} captured bytes", limits.packet_bytes)
    elif why == kernel.Walk.CUT_OFF:
        _cut_off(defects, batch, position, file.size)


def _damaged(defects: DefectLog, batch: Records, position: int, why: str, limit: int | None = None) -> None:
    record = batch.first + batch.count + 1
    allowed = f", and {limit:,} are the limit" if limit else ""
    defects.add(
        DefectKind.FILE_DAMAGED,
        f"record {record}",
        f"capture file damaged at record {record}; the {record - 1} before it are used ({why}{allowed})",
        position=position,
    )


def _cut_off(defects: DefectLog, batch: Records, position: int, size: int) -> None:
    record = batch.first + batch.count + 1
    defects.add(
        DefectKind.FILE_TRUNCATED,
        f"record {record}",
        f"capture file ends within record {record}, {size - position:,} bytes after its begin; "
        f"the {record - 1} before it are used",
        position=position,
    )


@dataclass(slots=True, eq=False)
class _Section:
    """What a pcapng section has declared so far."""

    prefix: str
    link: list[int] = field(default_factory=list)
    units: list[int] = field(default_factory=list)
    """Time units per second."""
    offset_s: list[int] = field(default_factory=list)
    snaplen: list[int] = field(default_factory=list)

    def columns(self) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.uint64], Int64Array, Int64Array]:
        return (
            np.array(self.link, np.int32),
            np.array(self.units, np.uint64),
            np.array(self.offset_s, np.int64),
            np.array(self.snaplen, np.int64),
        )


def _pcapng(file: MappedFile, limits: Limits, defects: DefectLog, secrets: list[bytes]) -> Iterator[Records]:
    batch = Records()
    section = _Section("<")
    columns = section.columns()
    position, last_time_ns, why = 0, 0, int(kernel.Walk.MORE)
    while why in (kernel.Walk.MORE, kernel.Walk.OTHER_BLOCK):
        begin, batch.first = position, batch.first + batch.count
        why, position, batch.count = kernel.pcapng_records(
            file.memory,
            position,
            position + WINDOW,
            section.prefix == ">",
            limits.pcapng_block_bytes,
            limits.packet_bytes,
            *columns,
            last_time_ns,
            batch.time_ns,
            batch.offset,
            batch.captured,
            batch.wire,
            batch.link,
        )
        batch.stop = position
        if batch.count:
            last_time_ns = int(batch.time_ns[batch.count - 1])
        yield batch
        file.release(begin, position)
        if why != kernel.Walk.OTHER_BLOCK:
            continue
        trouble, total = _block(file, position, section.prefix, limits)
        if trouble:
            why = kernel.Walk.CUT_OFF if trouble == "cut off" else kernel.Walk.DAMAGED
            break
        body = file.memory[position + 8 : position + total - 4]
        kind = struct.unpack_from(section.prefix + "I", file.memory, position)[0]
        if kind == SECTION_HEADER:
            section = _Section("<" if bytes(body[:4]) == struct.pack("<I", BYTE_ORDER_MAGIC) else ">")
            columns = section.columns()
        elif kind == INTERFACE_DESCRIPTION and len(section.link) < limits.interfaces:
            _declare(section, body)
            columns = section.columns()
        elif kind == DECRYPTION_SECRETS and len(body) >= 8:
            what, length = struct.unpack_from(section.prefix + "II", body)
            if what == TLS_KEY_LOG and sum(map(len, secrets)) + length <= limits.pcapng_block_bytes:
                secrets.append(bytes(body[8 : 8 + length]))
        position += total
    if why == kernel.Walk.DAMAGED:
        trouble, total = _block(file, position, section.prefix, limits)
        _damaged(defects, batch, position, f"block of {total:,} bytes: {trouble}")
    elif why == kernel.Walk.CUT_OFF:
        _cut_off(defects, batch, position, file.size)


def _block(file: MappedFile, position: int, prefix: str, limits: Limits) -> tuple[str, int]:
    """Return what is wrong with the block at `position` ("" if nothing) and its length."""
    if file.size - position < 12:
        return "cut off", 0
    kind, order = struct.unpack_from("<I4x4s", file.memory, position)
    least = 12
    if kind == SECTION_HEADER:  # the same in both byte orders; the length that follows is not
        least = 28
        prefix = "<" if order == struct.pack("<I", BYTE_ORDER_MAGIC) else ">"
        if order != struct.pack(prefix + "I", BYTE_ORDER_MAGIC):
            return "a section header without its byte-order magic", 0
    elif struct.unpack_from(prefix + "I", file.memory, position)[0] == INTERFACE_DESCRIPTION:
        least = 20
    total: int = struct.unpack_from(prefix + "I", file.memory, position + 4)[0]
    if total < least or total % 4:
        return "no length that such a block can have", total
    if total > limits.pcapng_block_bytes:
        return f"more than the limit of {limits.pcapng_block_bytes:,}", total
    if file.size - position < total:
        return "cut off", total
    trailing = struct.unpack_from(prefix + "I", file.memory, position + total - 4)[0]
    if trailing != total:
        return f"at its end it says {trailing:,}", total
    return "", total


def _declare(section: _Section, body: memoryview) -> None:
    """Note an interface. Source: draft-ietf-opsawg-pcapng, 4.2 (if_tsresol is option 9, if_tsoffset 14)."""
    link, snaplen = struct.unpack_from(section.prefix + "H2xI", body)
    units, offset_s, at = 10**6, 0, 8
    while at + 4 <= len(body):
        option, length = struct.unpack_from(section.prefix + "HH", body, at)
        value = bytes(body[at + 4 : at + 4 + length])
        at += 4 + (length + 3) // 4 * 4
        if option == 0:
            break
        if option == 9 and len(value) == 1:
            exponent = value[0] & 0x7F
            # 64 bits of stamps cannot count finer units than these over even one second.
            units = 2 ** min(exponent, 63) if value[0] & 0x80 else 10 ** min(exponent, 19)
        elif option == 14 and len(value) == 8:
            offset_s = struct.unpack(section.prefix + "q", value)[0]
    section.link.append(link)
    section.units.append(units)
    section.offset_s.append(offset_s)
    section.snaplen.append(snaplen)
