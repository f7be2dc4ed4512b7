"""Reads the comments of a little-endian pcapng."""

from __future__ import annotations

import struct
from pathlib import Path


def comments_of(path: Path) -> list[str]:
    """Return the comments of the section and of all packets, in order."""
    data, at, found = path.read_bytes(), 0, []
    while at < len(data):
        kind, total = struct.unpack_from("<II", data, at)
        body = data[at + 8 : at + total - 4]
        start = len(body)
        if kind == 0x0A0D0D0A:
            start = 16
        elif kind == 6:
            captured = struct.unpack_from("<I", body, 12)[0]
            start = 20 + captured + -captured % 4
        while start + 4 <= len(body):
            code, length = struct.unpack_from("<HH", body, start)
            if code == 1:
                found.append(body[start + 4 : start + 4 + length].decode())
            start += 4 + length + -length % 4
        at += total
    return found
