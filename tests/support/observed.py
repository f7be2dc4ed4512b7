"""Observed channels made of messages written out by hand, for tests of what is told about them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from spicereplay.bytestream import stream_of
from spicereplay.protocol.enums import ChannelType, Side
from spicereplay.protocol.index import MessageIndex
from spicereplay.protocol.link import Link, LinkStatus
from spicereplay.protocol.wire import Message, build
from spicereplay.session.log import ChannelLog, Gap, SessionLog

ORIGIN_NS = 1_700_000_000_000_000_000
LINK = Link(LinkStatus.ESTABLISHED, 0, 0)


@dataclass(frozen=True)
class Said:
    """One message: when (seconds), of which type, with which body."""

    at: float
    type: int
    body: bytes | Message = b""
    partial: bool = False
    sub: bool = False


def ns(seconds: float) -> int:
    return ORIGIN_NS + round(seconds * 1e9)


def index(channel: ChannelType, side: Side, said: Iterable[Said]) -> MessageIndex:
    said = list(said)
    bodies = [m.body if isinstance(m.body, bytes) else build(m.body) for m in said]
    sizes = np.array([len(b) for b in bodies], np.int64)
    return MessageIndex(
        channel=channel,
        side=side,
        stream=stream_of(b"".join(bodies)),
        time_ns=np.array([ns(m.at) for m in said], np.int64),
        type=np.array([m.type for m in said], np.uint16),
        size=sizes.astype(np.uint32),
        position=np.cumsum(sizes) - sizes,
        serial=np.arange(1, len(said) + 1, dtype=np.int64),
        sub=np.array([m.sub for m in said], bool),
        partial=np.array([m.partial for m in said], bool),
    )


def channel(
    kind: ChannelType,
    server: Iterable[Said] = (),
    client: Iterable[Said] = (),
    *,
    link: Link | None = LINK,
    gaps: Sequence[Gap] = (),
    end: float = 60.0,
    channel_id: int = 0,
) -> ChannelLog:
    return ChannelLog(
        channel=kind,
        channel_id=channel_id,
        link=link,
        mini_header=True,
        server=index(kind, Side.SERVER, server),
        client=index(kind, Side.CLIENT, client),
        start_time_ns=ns(0),
        end_time_ns=ns(end),
        gaps=list(gaps),
    )


def session(*channels: ChannelLog, number: int = 0) -> SessionLog:
    return SessionLog(number, 1, list(channels), ns(0), max(c.end_time_ns for c in channels))
