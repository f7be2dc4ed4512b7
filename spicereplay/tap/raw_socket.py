"""Records a network interface without a program for it: Linux hands every packet to a raw socket.

Slower than dumpcap, which shares memory with the kernel; the kernel counts what it had to drop, and that is told.
Source: Linux packet(7), socket(7); tcpdump.org/linktypes.html.
"""

from __future__ import annotations

import os
import select
import socket
import struct
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from spicereplay.capture.writer import ETHERNET, PcapngWriter
from spicereplay.errors import InputError, UsageError
from spicereplay.units import NS_PER_S

if TYPE_CHECKING:
    from spicereplay.tap.sniffing import Sniffing

_RAW_IP: Final = 101
_ETH_P_ALL: Final = 3
_ETHERNET_LIKE: Final = (1, 772)
"""ARPHRD_ETHER and ARPHRD_LOOPBACK: their packets begin with an Ethernet header."""
_PACKET_OUTGOING: Final = 4
_PACKET_STATISTICS: Final = 6
_SOL_PACKET: Final = 263
_SO_RCVBUFFORCE: Final = 33
_SO_TIMESTAMPNS: Final = 35
_TIMESPEC: Final = struct.Struct("@qq")
_IPV4, _IPV6 = 0x0800, 0x86DD
_TCP: Final = 6


def sniff_raw(
    wanted: Sniffing,
    *,
    over: threading.Event,
    started: Callable[[], None],
    duration_s: float | None,
    snap_bytes: int,
    buffer_bytes: int,
) -> tuple[int, int]:
    """Record until `over` is set or `duration_s` has passed; return how many packets, and how many were dropped.

    Raises `PermissionError`, `InputError` where the interface cannot be opened, and `UsageError` for a ring.
    """
    if wanted.ring_bytes is not None:
        raise UsageError("--ring needs dumpcap or tcpdump, and neither is installed")
    with (
        _opened(wanted.interface, buffer_bytes) as source,
        open(wanted.output, "wb", opener=_private) as file,
    ):
        ethernet = source.type == socket.SOCK_RAW
        link = ETHERNET if ethernet else _RAW_IP
        writer = PcapngWriter(file, link=link, interface=wanted.interface, snaplen=snap_bytes)
        ports = frozenset(wanted.ports)
        end_ns = None if duration_s is None else time.monotonic_ns() + int(duration_s * NS_PER_S)
        started()
        while not over.is_set() and (end_ns is None or time.monotonic_ns() < end_ns):
            if not select.select([source], [], [], 0.1)[0]:
                file.flush()
                continue
            packet, extra, _, origin = source.recvmsg(snap_bytes, 64)
            # Loopback shows each packet where it goes out and where it comes in.
            if origin[2] == _PACKET_OUTGOING and origin[0] == "lo":
                continue
            kind = int.from_bytes(packet[12:14], "big") if ethernet else origin[1]
            if is_of(packet, 14 if ethernet else 0, kind, ports):
                writer.write(packet, _time_ns(extra))
        dropped = struct.unpack("@II", source.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8))[1]
        return writer.packets, int(dropped)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def is_of(packet: bytes, at: int, kind: int, ports: frozenset[int]) -> bool:
    """Whether a packet whose IP header begins at `at` is TCP of one of the ports; `kind` is its EtherType."""
    if kind == _IPV4 and len(packet) >= at + 20:
        if packet[at + 9] != _TCP or packet[at + 6] & 0x1F or packet[at + 7]:
            return False  # no TCP, or a later fragment, which has no ports
        at += 4 * (packet[at] & 15)
    elif kind == _IPV6 and len(packet) >= at + 40:
        if packet[at + 6] != _TCP:
            return False
        at += 40
    else:
        return False
    found = packet[at : at + 4]
    return len(found) == 4 and not ports.isdisjoint(struct.unpack(">HH", found))


def _opened(interface: str, buffer_bytes: int) -> socket.socket:
    """Open an interface; what it gives are Ethernet frames (SOCK_RAW) or IP packets (SOCK_DGRAM)."""
    try:
        hardware = int(Path(f"/sys/class/net/{interface}/type").read_text("ascii"))
    except OSError:
        raise InputError(f"there is no interface {interface!r}; --list names them") from None
    kind = socket.SOCK_RAW if hardware in _ETHERNET_LIKE else socket.SOCK_DGRAM
    source = socket.socket(socket.AF_PACKET, kind, socket.htons(_ETH_P_ALL))
    try:
        source.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, buffer_bytes)
        source.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        source.bind((interface, _ETH_P_ALL))
    except OSError:
        source.close()
        raise
    return source


def _time_ns(extra: list[tuple[int, int, bytes]]) -> int:
    """Return when the kernel took a packet; where it does not say, the time now."""
    for level, kind, data in extra:
        if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPNS and len(data) >= _TIMESPEC.size:
            seconds, nanoseconds = _TIMESPEC.unpack_from(data)
            return int(seconds) * NS_PER_S + int(nanoseconds)
    return time.time_ns()
