"""A plain reader of the shared captures, independent of the package: whole plain-text connections only."""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import dpkt


class Body(NamedTuple):
    """One message of a recorded session."""

    channel: int
    side: str
    type: int
    data: bytes


class LinkStage(NamedTuple):
    """What both sides of a connection sent before their first message, header included."""

    mess: bytes
    reply: bytes


def _streams(path: Path) -> Iterator[tuple[bytes, bytes]]:
    """Yield what client and server of each connection sent, for those without holes."""
    segments: dict[tuple[bytes, int, bytes, int], dict[int, bytes]] = defaultdict(dict)
    starts: dict[tuple[bytes, int, bytes, int], int] = {}
    clients = []
    with path.open("rb") as file:
        for _, frame in dpkt.pcap.Reader(file):
            tcp = dpkt.ethernet.Ethernet(frame).data.data
            if not isinstance(tcp, dpkt.tcp.TCP):
                continue
            ip = dpkt.ethernet.Ethernet(frame).data
            flow = (ip.src, tcp.sport, ip.dst, tcp.dport)
            if tcp.flags & dpkt.tcp.TH_SYN:
                starts[flow] = tcp.seq + 1
                if not tcp.flags & dpkt.tcp.TH_ACK:
                    clients.append(flow)
            elif tcp.data and flow in starts:
                at = (tcp.seq - starts[flow]) & 0xFFFFFFFF
                segments[flow][at] = max(segments[flow].get(at, b""), tcp.data, key=len)
    for flow in clients:
        src, sport, dst, dport = flow
        yield _joined(segments[flow]), _joined(segments[dst, dport, src, sport])


def _joined(parts: dict[int, bytes]) -> bytes:
    out = bytearray()
    for at in sorted(parts):
        if at > len(out):
            break
        out[at : at + len(parts[at])] = parts[at]
    return bytes(out)


def _u32(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 4], "little")


def links(path: Path) -> Iterator[LinkStage]:
    """Yield the link stages of a capture."""
    for client, server in _streams(path):
        if client.startswith(b"REDQ") and server.startswith(b"REDQ"):
            yield LinkStage(client[: 16 + _u32(client, 12)], server[: 16 + _u32(server, 12)])


def bodies(path: Path) -> Iterator[Body]:
    """Yield the messages of a capture, connection by connection, the server's before the client's."""
    for client, server in _streams(path):
        if not (client.startswith(b"REDQ") and server.startswith(b"REDQ")):
            continue
        channel = client[20]
        # every client of the captures announces mechanism selection and mini headers
        yield from _messages(channel, "server", server, 16 + _u32(server, 12) + 4)
        yield from _messages(channel, "client", client, 16 + _u32(client, 12) + 4 + 128)


def _messages(channel: int, side: str, stream: bytes, at: int) -> Iterator[Body]:
    while at + 6 <= len(stream):
        size = _u32(stream, at + 2)
        if at + 6 + size > len(stream):
            return
        yield Body(
            channel, side, int.from_bytes(stream[at : at + 2], "little"), stream[at + 6 : at + 6 + size]
        )
        at += 6 + size
