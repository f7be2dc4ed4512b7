"""Writes what the two sides of a SPICE connection send, byte by byte, and cuts it into streams.

client, server = link_stage(channel=ChannelType.DISPLAY)
stream = stream_with_holes(server + mini(4, bytes(12)), [(10, 5)])
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

from spicereplay.bytestream import ByteStream
from spicereplay.protocol.enums import ChannelType, Side
from spicereplay.protocol.index import MessageIndex
from spicereplay.replay import replay
from spicereplay.session.log import ChannelLog

AUTH_SELECTION, AUTH_SPICE, AUTH_SASL, MINI_HEADER = (1 << bit for bit in range(4))
GTK = AUTH_SELECTION | MINI_HEADER
SERVER = AUTH_SELECTION | AUTH_SPICE | MINI_HEADER


def mini(kind: int, body: bytes = b"") -> bytes:
    """A message with the 6-byte header."""
    return struct.pack("<HI", kind, len(body)) + body


def full(serial: int, kind: int, body: bytes = b"", sub_list: int = 0) -> bytes:
    """A message with the 18-byte header."""
    return struct.pack("<QHII", serial, kind, len(body), sub_list) + body


def ping(id: int = 1, padding: int = 0) -> bytes:
    return struct.pack("<IQ", id, 123_456_789) + bytes(padding)


def stream_data(size: int, stream: int = 0, fill: int = 0xA5) -> bytes:
    """A body of STREAM_DATA with `size` bytes of data, none of which looks like a header."""
    return struct.pack("<III", stream, 1000, size) + bytes([fill]) * size


def sub_list(*messages: tuple[int, bytes], at: int = 0, stated: int | None = None) -> bytes:
    """A list of sub-messages; `at` is where in the carrier's body it will stand, `stated` a size that lies."""
    offset = at + 2 + 4 * len(messages)
    offsets, bodies = [], b""
    for kind, body in messages:
        offsets.append(offset + len(bodies))
        bodies += struct.pack("<HI", kind, len(body) if stated is None else stated) + body
    return struct.pack(f"<H{len(offsets)}I", len(offsets), *offsets) + bodies


def link_header(size: int, magic: bytes = b"REDQ", major: int = 2) -> bytes:
    return magic + struct.pack("<III", major, 2, size)


def link_message(
    channel: int = ChannelType.MAIN,
    *,
    connection_id: int = 0,
    channel_id: int = 0,
    common: Sequence[int] = (GTK,),
    caps: Sequence[int] = (0,),
    offset: int = 18,
) -> bytes:
    body = struct.pack("<IBBIII", connection_id, channel, channel_id, len(common), len(caps), offset)
    body += bytes(offset - len(body)) + struct.pack(f"<{len(common) + len(caps)}I", *common, *caps)
    return link_header(len(body)) + body


def link_reply(
    *, error: int = 0, common: Sequence[int] = (SERVER,), caps: Sequence[int] = (0,), offset: int = 178
) -> bytes:
    if error:
        return link_header(178) + struct.pack("<I", error) + bytes(174)
    body = struct.pack("<I162sIII", 0, b"\x30" * 162, len(common), len(caps), offset)
    body += bytes(offset - len(body)) + struct.pack(f"<{len(common) + len(caps)}I", *common, *caps)
    return link_header(len(body)) + body


def link_stage(
    channel: int = ChannelType.MAIN,
    *,
    connection_id: int = 0,
    channel_id: int = 0,
    mini_header: bool = True,
    selection: bool = True,
    result: int = 0,
) -> tuple[bytes, bytes]:
    """What client and server send before their first messages."""
    common = (MINI_HEADER if mini_header else 0) | (AUTH_SELECTION if selection else 0)
    client = link_message(channel, connection_id=connection_id, channel_id=channel_id, common=(common,))
    client += (struct.pack("<I", 1) if selection else b"") + b"\x7e" * 128
    return client, link_reply() + struct.pack("<I", result)


def sasl_item(data: bytes) -> bytes:
    return struct.pack("<I", len(data)) + data


def stream_with_holes(
    data: bytes, holes: Iterable[tuple[int, int]] = (), cuts: Iterable[int] = (), time_step_ns: int = 0
) -> ByteStream:
    """Return `data` as a stream that lacks the bytes of each `(position, length)`, in chunks that end at `cuts`.

    Chunk *i* has the time `i * time_step_ns`.
    """
    missing = [(at, at + length) for at, length in holes]
    edges = sorted(
        {0, len(data), *(c for c in cuts if 0 < c < len(data)), *(e for hole in missing for e in hole)}
    )
    chunks = [
        (a, b) for a, b in pairwise(edges) if b <= len(data) and not any(lo <= a < hi for lo, hi in missing)
    ]
    position = np.array([a for a, _ in chunks], np.int64)
    return ByteStream(
        file=data,
        spill=b"",
        position=position,
        offset=position.copy(),
        length=np.array([b - a for a, b in chunks], np.int64),
        time_ns=np.arange(len(chunks), dtype=np.int64) * time_step_ns,
        packet=np.arange(len(chunks), dtype=np.int64),
        end_position=len(data),
    )


class Real(NamedTuple):
    """What one side of a recorded channel said, from its first message on, and where its messages are."""

    name: str
    channel: ChannelType
    side: Side
    data: bytes
    messages: list[tuple[int, int, int]]
    """Position of the header in `data`, type, size of the body."""


def real_streams(captures: Path, names: Iterable[str]) -> list[Real]:
    """Read every side of every channel of some recorded captures."""
    found = []
    for name in names:
        with replay(captures / name / "capture.pcap") as recorded:
            for session in recorded.sessions:
                for log in session.channels:
                    found += [real for side in Side if (real := _real(name, log, side)) is not None]
    return found


def _real(name: str, log: ChannelLog, side: Side) -> Real | None:
    index = log.index(side)
    own = np.flatnonzero(~index.sub)
    if not len(own):
        return None
    start = int(index.position[own[0]]) - 6
    return Real(
        f"{name} {log.name} from {side}",
        log.channel,
        side,
        index.stream.read(start, index.stream.end),
        rows(index, start),
    )


def rows(index: MessageIndex, start: int = 0, header_bytes: int = 6) -> list[tuple[int, int, int]]:
    """Header position, type and size of every message that is not a sub-message."""
    own = np.flatnonzero(~index.sub)
    return [
        (int(index.position[i]) - header_bytes - start, int(index.type[i]), int(index.size[i])) for i in own
    ]
