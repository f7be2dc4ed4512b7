"""What other protocols said inside usbredir, webdav and port channels.

The inner byte stream of each side is put together from its messages, made neutral, and cut again as it was. Of
usbredir the headers stay, of webdav its frames, of HTTP the methods, the status, and how long bodies are.
Source: spice-wire.md 15; `protocol.usbredir`, `protocol.webdav`.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import lz4.block
import numpy as np

from spicereplay.limits import Limits
from spicereplay.protocol import registry
from spicereplay.protocol.enums import (
    ChannelType,
    ClientSpicevmc,
    DataCompressionType,
    ServerSpicevmc,
    Side,
)
from spicereplay.protocol.http import METHODS
from spicereplay.protocol.messages.port import CompressedData, Data
from spicereplay.protocol.usbredir import UsbPacketType, UsbredirTalk
from spicereplay.redact.encode_lz4 import exactly
from spicereplay.session.log import ChannelLog

_TYPES: Final = {
    Side.SERVER: (ServerSpicevmc.DATA, ServerSpicevmc.COMPRESSED_DATA),
    Side.CLIENT: (ClientSpicevmc.DATA, ClientSpicevmc.COMPRESSED_DATA),
}


@dataclass(slots=True)
class _Inner:
    """The inner stream of one side: what it was, what it becomes, and which message has which part."""

    data: bytearray = field(default_factory=bytearray)
    slices: list[tuple[int, int, int]] = field(default_factory=list)
    """Row of the message, and from where to where it has the stream."""


def neutral_bodies(log: ChannelLog, limits: Limits) -> dict[tuple[Side, int], bytes]:
    """Return what the DATA and COMPRESSED_DATA messages of a channel become: (side, row) to body."""
    inner = {side: _Inner() for side in Side}
    spans: dict[Side, list[tuple[int, int]]] = {side: [] for side in Side}
    talk = UsbredirTalk(limits, complete=log.link is not None)
    whole = dict.fromkeys(Side, 0)
    for side, row, data in _in_order(log, limits):
        if data is None:
            talk.lost(side)
            continue
        start = len(inner[side].data)
        inner[side].data += data
        inner[side].slices.append((row, start, start + len(data)))
        if log.channel is ChannelType.USBREDIR:
            for packet in talk.feed(side, data, 0):
                whole[side] += packet.size
                end = whole[side] + talk.skipped(side)
                spans[side].append((end - packet.size, end))
    made: dict[tuple[Side, int], bytes] = {}
    for side in Side:
        match log.channel:
            case ChannelType.USBREDIR:
                neutral = neutral_usbredir(inner[side].data, spans[side])
            case ChannelType.WEBDAV:
                neutral = neutral_webdav(bytes(inner[side].data))
            case _:
                neutral = bytes(len(inner[side].data))
        for row, start, stop in inner[side].slices:
            made[side, row] = _body(log, side, row, neutral[start:stop])
    return made


def _in_order(log: ChannelLog, limits: Limits) -> Iterator[tuple[Side, int, bytes | None]]:
    """Yield the messages of both sides in order of time with what they carried; None where bytes are missing."""
    rows = [
        (int(log.index(side).time_ns[row]), side is Side.CLIENT, row, side)
        for side in Side
        for row in np.flatnonzero(np.isin(log.index(side).type, _TYPES[side])).tolist()
    ]
    holes = {side: sorted(gap.position for gap in log.gaps if gap.side is side) for side in Side}
    for _, _, row, side in sorted(rows, key=lambda each: each[:3]):
        index = log.index(side)
        while holes[side] and holes[side][0] < index.position[row]:
            holes[side].pop(0)
            yield side, row, None
        yield side, row, None if index.partial[row] else carried(log, side, row, limits)


def carried(log: ChannelLog, side: Side, row: int, limits: Limits) -> bytes | None:
    """Return the inner bytes of one message; None where it cannot be read."""
    index = log.index(side)
    message = registry.parse_message(
        log.channel, side, int(index.type[row]), index.body(row), limits=limits
    ).message
    if isinstance(message, Data):
        return message.data
    if not isinstance(message, CompressedData):
        return None
    if message.type == DataCompressionType.NONE:
        return message.compressed_data
    size = message.uncompressed_size or 0
    if message.type != DataCompressionType.LZ4 or not 0 < size <= limits.message_bytes:
        return None
    try:
        data: bytes = lz4.block.decompress(message.compressed_data, uncompressed_size=size)
    except lz4.block.LZ4BlockError:
        return None
    return data if len(data) == size else None


def _body(log: ChannelLog, side: Side, row: int, neutral: bytes) -> bytes:
    """Return a message's body around its new inner bytes, as long as before.

    Zeros stand for compressed bytes where no block of that size holds what they become.
    """
    index = log.index(side)
    old = index.body(row)
    if int(index.type[row]) in (ServerSpicevmc.DATA, ClientSpicevmc.DATA):
        return neutral.ljust(len(old), b"\0")[: len(old)]
    head = 1 if old[:1] == bytes([DataCompressionType.NONE]) else 5
    if head == 1:
        return old[:1] + neutral
    size = len(old) - head
    block = exactly(neutral, size) or exactly(bytes(len(neutral)), size)
    return old[:head] + (block or bytes(size))


# --- usbredir -----------------------------------------------------------------------------------------

_KEPT: Final = {
    UsbPacketType.HELLO: ((64, 1 << 32),),
    UsbPacketType.DEVICE_CONNECT: ((0, 4),),
    UsbPacketType.FILTER_FILTER: (),
    UsbPacketType.CONTROL_PACKET: ((0, 10),),
    UsbPacketType.ISO_PACKET: ((0, 4),),
    UsbPacketType.INTERRUPT_PACKET: ((0, 4),),
    UsbPacketType.BUFFERED_BULK_PACKET: ((0, 10),),
}
"""Which bytes after the header stay: not the sender's version, not what names the device (vendor, product, version),
not what it says. Packets that are not listed have numbers alone. Source: usbredir
docs/usb-redirection-protocol.md."""


def neutral_usbredir(data: bytes | bytearray, spans: list[tuple[int, int]]) -> bytes:
    """Return the stream of one side with zeros for what devices and guest said; `spans` are its packets."""
    out = bytearray(len(data))
    for start, stop in spans:
        kind, length = struct.unpack_from("<II", data, start)
        own = stop - length
        out[start:own] = data[start:own]
        kept = _KEPT.get(UsbPacketType(kind), ((0, 1 << 32),))
        if kind == UsbPacketType.BULK_PACKET:
            kept = ((0, _bulk_header(data[own:stop])),)
        for low, high in kept:
            low, high = min(own + low, stop), min(own + high, stop)
            out[low:high] = data[low:high]
    return bytes(out)


def _bulk_header(own: bytes | bytearray) -> int:
    """Return how long a bulk packet's own header is: 8, or 10 where the upper half of its length is there."""
    stated = int.from_bytes(own[2:4], "little")
    return 10 if len(own) >= 10 and stated == (len(own) - 10) & 0xFFFF and stated != len(own) - 8 else 8


# --- webdav -------------------------------------------------------------------------------------------

_FRAME: Final = struct.Struct("<qH")
_METHODS: Final = b"|".join(sorted(method.encode() for method in METHODS))
_HEAD: Final = re.compile(
    rb"(?:(?P<method>"
    + _METHODS
    + rb") (?P<target>[^ \r\n]{1,4096}) HTTP/1\.[01]|HTTP/1\.[01] \d{3}(?P<reason>[^\r\n]*))\r?\n"
    rb"(?P<fields>(?:[^\r\n]+\r?\n)*)\r?\n"
)
_FIELD: Final = re.compile(rb"(?m)^([^:\r\n]*):([ \t]*)([^\r\n]*)")
_KEPT_FIELDS: Final = (b"content-length", b"transfer-encoding", b"connection")
_CHUNK: Final = re.compile(rb"([0-9A-Fa-f]{1,8})(?:;[^\r\n]*)?\r?\n")


def neutral_webdav(data: bytes) -> bytes:
    """Return the stream of one side with its frames as they were and neutral HTTP inside them."""
    frames: list[tuple[int, int, int]] = []
    at = 0
    out = bytearray(len(data))
    while len(data) - at >= _FRAME.size:
        client, size = _FRAME.unpack_from(data, at)
        out[at : at + _FRAME.size] = data[at : at + _FRAME.size]
        at += _FRAME.size
        frames.append((client, at, min(at + size, len(data))))
        at += size
    for number in {client for client, _, _ in frames}:
        mine = [(start, stop) for client, start, stop in frames if client == number]
        neutral = neutral_http(b"".join(data[start:stop] for start, stop in mine))
        done = 0
        for start, stop in mine:
            out[start:stop] = neutral[done : done + stop - start]
            done += stop - start
    return bytes(out)


def neutral_http(data: bytes) -> bytes:
    """Return HTTP of which method, status, the names of fields and the lengths of bodies are left, the rest is `x`."""
    out = bytearray(b"x" * len(data))
    at = 0
    while (found := _HEAD.search(data, at)) is not None:
        head = bytearray(found[0])
        origin = found.start()
        for group in ("target", "reason"):
            if found[group]:
                low, high = found.start(group) - origin, found.end(group) - origin
                head[low:high] = (b"/" if group == "target" else b" ") + b"x" * (high - low - 1)
        chunked = False
        for line in _FIELD.finditer(found["fields"]):
            name = line[1].strip().lower()
            chunked = chunked or (name == b"transfer-encoding" and b"chunked" in line[3].lower())
            if name not in _KEPT_FIELDS:
                low = found.start("fields") - origin + line.start(3)
                head[low : low + len(line[3])] = b"x" * len(line[3])
        out[origin : found.end()] = head
        at = found.end()
        while chunked and (chunk := _CHUNK.match(data, at)) is not None:
            stop = chunk.end() + int(chunk[1], 16)
            out[at : at + len(chunk[1])] = chunk[1]
            end = chunk.end()
            line_end = 2 if data[end - 2 : end - 1] == b"\r" else 1
            out[end - line_end : end] = data[end - line_end : end]
            at = stop
            after = data[at : at + 2]
            newline = 2 if after == b"\r\n" else 1
            out[at : at + newline] = after[:newline]
            at += newline
            chunked = int(chunk[1], 16) > 0
    return bytes(out)
