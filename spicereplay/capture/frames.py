"""Builds the packets of a capture: TCP in IPv4 or IPv6 in Ethernet, with right lengths and checksums.

Source: RFC 9293 3.1 (TCP), RFC 791 3.1 (IPv4), RFC 8200 3 and 8.1 (IPv6), RFC 1071 (checksum), IEEE 802.3.
"""

from __future__ import annotations

import ipaddress
import struct
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from spicereplay.capture.connection import Endpoint
from spicereplay.errors import UsageError

FIN: Final = 0x01
SYN: Final = 0x02
RST: Final = 0x04
PSH: Final = 0x08
ACK: Final = 0x10

ETHERNET_BYTES: Final = 14
IPV4_BYTES: Final = 20
IPV6_BYTES: Final = 40
TCP_BYTES: Final = 20
MOST_FRAME_BYTES: Final = 65_535
"""Longest frame made here. Tools that take 65,535 for a capture's snap length drop or refuse what is longer, and
none of the length fields overflows. Source: ryll-formats.md 9.4."""

_ETHERTYPE: Final = {4: b"\x08\x00", 6: b"\x86\xdd"}
_PROTOCOL_TCP: Final = 6
_HOPS: Final = 64
_DO_NOT_FRAGMENT: Final = 0x4000
_TCP: Final = struct.Struct(">HHIIBBHHH")
_IPV4: Final = struct.Struct(">BBHHHBBH4s4s")
_IPV6: Final = struct.Struct(">IHBB16s16s")


def checksum(data: bytes) -> int:
    """Return the Internet checksum of bytes, of which at least one is not zero. Source: RFC 1071."""
    if len(data) & 1:
        data += b"\0"
    # Folding the carries of 16-bit words is taking the remainder by 2^16 - 1, whose two zeros are one here.
    total = int.from_bytes(data, "big") % 0xFFFF
    return 0 if total == 0 else 0xFFFF - total


@dataclass(frozen=True, slots=True)
class Path:
    """One direction between two endpoints: all of a frame that does not change from packet to packet."""

    source: Endpoint
    destination: Endpoint
    version: int
    """4 or 6."""
    ethernet: bytes
    addresses: bytes
    """Source and destination as the pseudo header has them."""

    @property
    def most_payload(self) -> int:
        """Payload of the longest segment whose frame stays within `MOST_FRAME_BYTES`: 65,481 with IPv4."""
        ip = IPV4_BYTES if self.version == 4 else IPV6_BYTES
        return MOST_FRAME_BYTES - ETHERNET_BYTES - ip - TCP_BYTES


def path(source: Endpoint, destination: Endpoint) -> Path:
    """Return the way from one endpoint to another.

    Hardware addresses are locally administered ones made from the addresses. Raises `UsageError` for what is no
    address, for addresses of different versions, and for a port outside of 0 to 65,535.
    """
    ends = []
    for end in (source, destination):
        try:
            ends.append(ipaddress.ip_address(end.address.partition("%")[0]))
        except ValueError:
            raise UsageError(f"{end.address!r} is no IP address") from None
        if not 0 <= end.port <= 0xFFFF:
            raise UsageError(f"{end.port} is no TCP port")
    if ends[0].version != ends[1].version:
        raise UsageError(f"{source.address} and {destination.address} are of different IP versions")
    hardware = [b"\x02\x00" + end.packed[-4:] for end in ends]
    return Path(
        source,
        destination,
        ends[0].version,
        hardware[1] + hardware[0] + _ETHERTYPE[ends[0].version],
        ends[0].packed + ends[1].packed,
    )


def tcp_frame(
    way: Path,
    payload: bytes,
    *,
    sequence: int,
    acknowledgement: int = 0,
    flags: int = ACK,
    window: int = 0xFFFF,
    options: bytes = b"",
) -> bytes:
    """Return an Ethernet frame with one TCP segment.

    `sequence` and `acknowledgement` are taken modulo 2^32; `options` are padded to whole words with zero bytes (end
    of option list). Raises `UsageError` for more payload than `way.most_payload`, options included, or more than
    40 bytes of options.
    """
    options += bytes(-len(options) % 4)
    if len(options) > 40 or len(payload) + len(options) > way.most_payload:
        raise UsageError(f"{len(payload):,} bytes do not fit into one segment ({way.most_payload:,} do)")
    header = bytearray(
        _TCP.pack(
            way.source.port,
            way.destination.port,
            sequence & 0xFFFFFFFF,
            acknowledgement & 0xFFFFFFFF,
            (TCP_BYTES + len(options)) << 2,
            flags,
            window,
            0,
            0,
        )
    )
    segment = bytes(header) + options + payload
    pseudo = way.addresses + struct.pack(">II", len(segment), _PROTOCOL_TCP)
    header[16:18] = checksum(pseudo + segment).to_bytes(2, "big")
    return way.ethernet + _ip_header(way, len(segment)) + bytes(header) + options + payload


def marker_frame(text: str) -> bytes:
    """Return a frame that belongs to no protocol and says something in ASCII.

    Source: IEEE Std 802-2014 9.2.4, EtherType 88-B5: local experiments.
    """
    address = b"\x02" + bytes(5)
    return address + address + b"\x88\xb5" + text.encode("ascii", "replace").ljust(46, b"\0")


@lru_cache(maxsize=4096)
def _ip_header(way: Path, payload_bytes: int) -> bytes:
    source, destination = way.addresses[: len(way.addresses) // 2], way.addresses[len(way.addresses) // 2 :]
    if way.version == 6:
        return _IPV6.pack(6 << 28, payload_bytes, _PROTOCOL_TCP, _HOPS, source, destination)
    fields = (0x45, 0, IPV4_BYTES + payload_bytes, 0, _DO_NOT_FRAGMENT, _HOPS, _PROTOCOL_TCP)
    header = _IPV4.pack(*fields, 0, source, destination)
    return _IPV4.pack(*fields, checksum(header), source, destination)
