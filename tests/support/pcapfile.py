"""Writes packets and capture files, byte by byte, so that tests can say exactly what is in them.

    frames = [tcp_frame(b"hello", sequence=1), tcp_frame(b"HELLO", sequence=1, from_server=True)]
    write_pcap(path, frames)

Checksums are zero: nothing that reads captures may depend on them.
"""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

FIN: Final = 0x01
SYN: Final = 0x02
RST: Final = 0x04
PSH: Final = 0x08
ACK: Final = 0x10

CLIENT: Final = ("192.0.2.1", 40_000)
SERVER: Final = ("192.0.2.2", 5900)

ETHERNET: Final = 1
RAW: Final = 101
IPV4: Final = 0x0800
IPV6: Final = 0x86DD


@dataclass(frozen=True, slots=True)
class Frame:
    """One packet of a capture file. `wire` is its length before it was cut, if it was."""

    data: bytes
    time_ns: int = 0
    wire: int | None = None
    interface: int = 0

    @property
    def wire_length(self) -> int:
        return len(self.data) if self.wire is None else self.wire


def tcp_segment(
    payload: bytes = b"",
    *,
    sequence: int = 0,
    acknowledgement: int = 0,
    flags: int = ACK,
    window: int = 65_535,
    from_server: bool = False,
    client: tuple[str, int] = CLIENT,
    server: tuple[str, int] = SERVER,
    options: bytes = b"",
) -> bytes:
    """Return a TCP header and its payload. `options` is padded to a multiple of four bytes."""
    source, destination = (server, client) if from_server else (client, server)
    options += bytes(-len(options) % 4)
    return (
        struct.pack(
            ">HHIIBBHHH",
            source[1],
            destination[1],
            sequence & 0xFFFFFFFF,
            acknowledgement & 0xFFFFFFFF,
            (5 + len(options) // 4) << 4,
            flags,
            window,
            0,
            0,
        )
        + options
        + payload
    )


def ip_packet(
    body: bytes,
    *,
    source: str = CLIENT[0],
    destination: str = SERVER[0],
    protocol: int = 6,
    total: int | None = None,
    options: bytes = b"",
    identification: int = 0,
    fragment: int = 0x4000,
) -> bytes:
    """Return `body` in an IPv4 or IPv6 packet, as the addresses say.

    `total` overrides the length field; `fragment` is IPv4's flags and offset, `options` those of IPv4.
    """
    a, b = ipaddress.ip_address(source), ipaddress.ip_address(destination)
    if a.version == 6:
        length = len(body) if total is None else total
        return struct.pack(">IHBB", 0x60000000, length, protocol, 64) + a.packed + b.packed + body
    options += bytes(-len(options) % 4)
    header = 20 + len(options)
    length = header + len(body) if total is None else total
    return (
        struct.pack(">BBHHHBBH", 0x40 | header // 4, 0, length, identification, fragment, 64, protocol, 0)
        + a.packed
        + b.packed
        + options
        + body
    )


def ethernet(body: bytes, ethertype: int | None = None, *, vlans: Sequence[tuple[int, int]] = ()) -> bytes:
    """Return `body` in an Ethernet frame; `vlans` are `(tag type, VLAN number)`, the outer one first."""
    if ethertype is None:
        ethertype = IPV6 if body[0] >> 4 == 6 else IPV4
    tags = b"".join(struct.pack(">HH", kind, number) for kind, number in vlans)
    return bytes.fromhex("020000000002 020000000001") + tags + struct.pack(">H", ethertype) + body


def tcp_packet(
    payload: bytes = b"",
    *,
    from_server: bool = False,
    client: tuple[str, int] = CLIENT,
    server: tuple[str, int] = SERVER,
    sequence: int = 0,
    acknowledgement: int = 0,
    flags: int = ACK,
    window: int = 65_535,
) -> bytes:
    """Return a TCP segment in an IP packet."""
    source, destination = (server, client) if from_server else (client, server)
    segment = tcp_segment(
        payload,
        sequence=sequence,
        acknowledgement=acknowledgement,
        flags=flags,
        window=window,
        from_server=from_server,
        client=client,
        server=server,
    )
    return ip_packet(segment, source=source[0], destination=destination[0])


def tcp_frame(
    payload: bytes = b"",
    *,
    time_ns: int = 0,
    from_server: bool = False,
    client: tuple[str, int] = CLIENT,
    server: tuple[str, int] = SERVER,
    sequence: int = 0,
    acknowledgement: int = 0,
    flags: int = ACK,
    window: int = 65_535,
) -> Frame:
    """Return a TCP segment in an IP packet in an Ethernet frame."""
    packet = tcp_packet(
        payload,
        from_server=from_server,
        client=client,
        server=server,
        sequence=sequence,
        acknowledgement=acknowledgement,
        flags=flags,
        window=window,
    )
    return Frame(ethernet(packet), time_ns)


def pcap_bytes(
    frames: Iterable[Frame],
    *,
    link: int = ETHERNET,
    nanoseconds: bool = False,
    big: bool = False,
    modified: bool = False,
    snaplen: int = 262_144,
) -> bytes:
    """Return a classic pcap file; `modified` is Kuznetsov's variant with its longer record headers."""
    order = ">" if big else "<"
    magic = 0xA1B2CD34 if modified else 0xA1B23C4D if nanoseconds else 0xA1B2C3D4
    out = [struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, snaplen, link)]
    unit = 1 if nanoseconds else 1000
    for frame in frames:
        seconds, rest = divmod(frame.time_ns, 10**9)
        out.append(
            struct.pack(order + "IIII", seconds, rest // unit, len(frame.data), frame.wire_length)
            + (bytes(8) if modified else b"")
            + frame.data
        )
    return b"".join(out)


def write_pcap(path: Path, frames: Iterable[Frame], **options: object) -> Path:
    """Write a classic pcap file with the options of `pcap_bytes`; return its path."""
    path.write_bytes(pcap_bytes(frames, **options))  # type: ignore[arg-type]
    return path


@dataclass(frozen=True, slots=True)
class Interface:
    """An interface of a pcapng section; `resolution` is the byte of if_tsresol."""

    link: int = ETHERNET
    snaplen: int = 0
    resolution: int | None = None
    offset_s: int | None = None

    @property
    def units_per_s(self) -> int:
        exponent = 6 if self.resolution is None else self.resolution & 0x7F
        return 2**exponent if self.resolution is not None and self.resolution & 0x80 else 10**exponent


def block(kind: int, body: bytes, *, big: bool = False) -> bytes:
    """Return one pcapng block."""
    order = ">" if big else "<"
    body += bytes(-len(body) % 4)
    length = struct.pack(order + "I", len(body) + 12)
    return struct.pack(order + "I", kind) + length + body + length


def option(code: int, value: bytes, *, big: bool = False) -> bytes:
    """Return one pcapng option."""
    return struct.pack(">HH" if big else "<HH", code, len(value)) + value + bytes(-len(value) % 4)


def section_bytes(
    frames: Iterable[Frame],
    *,
    interfaces: Sequence[Interface] = (Interface(),),
    big: bool = False,
    packet_block: int = 6,
    key_log: bytes = b"",
) -> bytes:
    """Return one pcapng section: header, secrets if any, interfaces, packets.

    `packet_block` is 6 (enhanced), 3 (simple: no times, first interface) or 2 (obsolete).
    """
    order = ">" if big else "<"
    out = [block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1), big=big)]
    if key_log:
        out.append(block(10, struct.pack(order + "II", 0x544C534B, len(key_log)) + key_log, big=big))
    for interface in interfaces:
        body = struct.pack(order + "HHI", interface.link, 0, interface.snaplen)
        body += option(2, b"eth0", big=big)
        if interface.resolution is not None:
            body += option(9, bytes([interface.resolution]), big=big)
        if interface.offset_s is not None:
            body += option(14, struct.pack(order + "q", interface.offset_s), big=big)
        out.append(block(1, body + option(0, b"", big=big), big=big))
    for frame in frames:
        interface = interfaces[frame.interface]
        relative_ns = frame.time_ns - (interface.offset_s or 0) * 10**9
        stamp = relative_ns * interface.units_per_s // 10**9
        times = struct.pack(order + "II", stamp >> 32, stamp & 0xFFFFFFFF)
        lengths = struct.pack(order + "II", len(frame.data), frame.wire_length)
        if packet_block == 6:
            body = struct.pack(order + "I", frame.interface) + times + lengths
        elif packet_block == 2:
            body = struct.pack(order + "HH", frame.interface, 0) + times + lengths
        else:
            body = struct.pack(order + "I", frame.wire_length)
        out.append(block(packet_block, body + frame.data, big=big))
    return b"".join(out)


def write_pcapng(path: Path, frames: Iterable[Frame], **options: object) -> Path:
    """Write a pcapng file of one section with the options of `section_bytes`; return its path."""
    path.write_bytes(section_bytes(frames, **options))  # type: ignore[arg-type]
    return path
