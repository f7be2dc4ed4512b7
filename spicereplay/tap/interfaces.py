"""The network interfaces of this machine, as its kernel lists them."""

from __future__ import annotations

import fcntl
import ipaddress
import socket
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_SIOCGIFADDR: Final = 0x8915
"""Source: Linux include/uapi/linux/sockios.h."""
_NAME_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class Interface:
    """One network interface."""

    name: str
    state: str
    """`up`, `down`, or what else the kernel says; `unknown` is the ordinary word for loopback."""
    addresses: tuple[str, ...]


def interfaces() -> list[Interface]:
    """Return the interfaces in the kernel's order."""
    six = _addresses6()
    found = []
    for _, name in socket.if_nameindex():
        try:
            state = Path(f"/sys/class/net/{name}/operstate").read_text("ascii").strip()
        except OSError:
            state = "unknown"
        four = _address4(name)
        found.append(Interface(name, state, (*((four,) if four else ()), *six.get(name, ()))))
    return found


def _address4(name: str) -> str | None:
    """Return the first IPv4 address of an interface."""
    asked = struct.pack(f"{_NAME_BYTES}s24x", name.encode()[: _NAME_BYTES - 1])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        try:
            told = fcntl.ioctl(any_socket.fileno(), _SIOCGIFADDR, asked)
        except OSError:
            return None  # it has none
    return socket.inet_ntoa(told[20:24])


def _addresses6() -> dict[str, tuple[str, ...]]:
    """Return the IPv6 addresses by interface. Source: Linux net/ipv6/addrconf.c, if6_seq_show."""
    try:
        lines = Path("/proc/net/if_inet6").read_text("ascii").splitlines()
    except OSError:
        return {}
    found: dict[str, tuple[str, ...]] = {}
    for line in lines:
        digits, *_, name = line.split()
        found[name] = (*found.get(name, ()), str(ipaddress.ip_address(bytes.fromhex(digits))))
    return found
