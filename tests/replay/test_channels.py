"""A connection that something else is wrapped around: proxy, WebSocket, or both; its beginning there or not."""

from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.spicewire import Real, link_stage, real_streams, stream_data

from spicereplay.bytestream import DirectionFacts, stream_of
from spicereplay.capture.connection import Connection, Endpoint
from spicereplay.defects import DefectLog
from spicereplay.limits import DEFAULT_LIMITS
from spicereplay.protocol.enums import ChannelType, Side
from spicereplay.replay.channels import Watched, watch
from spicereplay.replay.identify import OtherConnection

FIXTURES = Path(__file__).parent.parent.parent / "fixtures"
MASK = b"\x11\x9a\x00\xff"
REQUEST = b"GET / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n"
ANSWER = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"


def connection(client: bytes, server: bytes, *, swapped: bool = False) -> Connection:
    streams = (stream_of(client), stream_of(server))
    return Connection(
        endpoints=(Endpoint("192.0.2.1", 40_000), Endpoint("192.0.2.2", 5900)),
        streams=streams[::-1] if swapped else streams,
        facts=(DirectionFacts(), DirectionFacts()),
        opener_seen=not swapped,
        first_time_ns=0,
        last_time_ns=0,
    )


def watched(client: bytes, server: bytes, *, swapped: bool = False) -> Watched | OtherConnection:
    return watch(connection(client, server, swapped=swapped), DEFAULT_LIMITS, DefectLog())


def frames(data: bytes, size: int, mask: bytes = b"") -> list[bytes]:
    """`data` in binary WebSocket frames of `size` bytes."""
    out = []
    for a, b in pairwise([*range(0, len(data), size), len(data)]):
        part, bit = data[a:b], 0x80 if mask else 0
        head = bytes([0x82, bit | len(part)]) if len(part) < 126 else bytes([0x82, bit | 127])
        if len(part) >= 126:
            head += len(part).to_bytes(8, "big")
        if mask:
            key = (mask * (len(part) // 4 + 1))[: len(part)]
            part = (int.from_bytes(part, "big") ^ int.from_bytes(key, "big")).to_bytes(len(part), "big")
        out.append(head + mask + part)
    return out


@cache
def recorded(channel: ChannelType) -> dict[Side, Real]:
    """What both sides of a recorded channel said after the link stage."""
    sides = real_streams(FIXTURES / "captures", ["qemu-guest-desktop-lz4"])
    return {real.side: real for real in sides if real.channel is channel}


def test_spice_through_a_proxy() -> None:
    client, server = link_stage(ChannelType.DISPLAY)
    asked = b"CONNECT node:61000 HTTP/1.1\r\n\r\n"
    found = watched(asked + client, b"HTTP/1.0 200 OK\r\n\r\n" + server + stream_data(9))
    assert isinstance(found, Watched)
    assert (found.log.channel, len(found.log.server)) == (ChannelType.DISPLAY, 1)
    assert found.log.assumptions == ["through an HTTP proxy, which was asked for node:61000"]


def test_websocket_through_a_proxy() -> None:
    client, server = link_stage(ChannelType.DISPLAY)
    found = watched(
        b"CONNECT node:1 HTTP/1.1\r\n\r\n" + REQUEST + b"".join(frames(client, 50, MASK)),
        b"HTTP/1.0 200 OK\r\n\r\n" + ANSWER + b"".join(frames(server + stream_data(9), 70)),
        swapped=True,
    )
    assert isinstance(found, Watched)
    assert (found.log.channel, len(found.log.server), found.client) == (ChannelType.DISPLAY, 1, 1)
    assert found.log.assumptions[1] == "carried in WebSocket frames"


@pytest.mark.parametrize("swapped", [False, True])
@settings(max_examples=6, deadline=None)
@given(data=st.data())
def test_frames_without_their_handshake_are_told(swapped: bool, data: st.DataObject) -> None:
    """Cut anywhere: what is read is what was said, and mostly it is read."""
    sides = recorded(ChannelType.DISPLAY)
    sent = [frames(sides[Side.CLIENT].data, 60, MASK), frames(sides[Side.SERVER].data, 1300)]
    cuts = [data.draw(st.integers(0, sum(map(len, f)) // 4)) for f in sent]
    found = watched(*(b"".join(f)[at:] for f, at in zip(sent, cuts, strict=True)), swapped=swapped)
    assert isinstance(found, Watched)
    assert (found.log.channel, found.client) == (ChannelType.DISPLAY, int(swapped))
    assert "WebSocket frames, whose beginning is not captured" in found.log.assumptions[0]
    told = [(kind, size) for _, kind, size in sides[Side.SERVER].messages]
    behind = sum(at >= cuts[1] for at, _, _ in sides[Side.SERVER].messages)
    index = found.log.server
    own = ~index.sub & ~index.partial
    seen = list(zip(index.type[own].tolist(), index.size[own].tolist(), strict=True))
    assert len(seen) > 0.9 * behind
    assert seen == told[-len(seen) :]


def test_a_link_stage_behind_a_lost_handshake() -> None:
    client, server = link_stage(ChannelType.DISPLAY)
    found = watched(b"".join(frames(client, 50, MASK)), b"".join(frames(server + stream_data(900), 400)))
    assert isinstance(found, Watched)
    assert found.log.link is not None


def test_frames_of_something_else_are_no_spice() -> None:
    chat = b"".join(frames(b"hello " * 500, 100, MASK))
    answers = b"".join(frames(b"world " * 500, 100))
    assert isinstance(watched(chat, answers), OtherConnection)


@pytest.mark.parametrize(
    ("client", "server", "what", "detail"),
    [
        (b"", b"HTTP/1.1 403 Forbidden\r\n\r\nno", "websocket", "refused: 403 Forbidden"),
        (b"\xc1\x81" + MASK + b"x", ANSWER + b"\xc1\x01x", "websocket", "its frames are compressed"),
        (frames(b"GNUT", 4, MASK)[0], ANSWER, "websocket", "begins with 47 4e 55 54"),
        (frames(b"RFB 003.008\n", 12, MASK)[0], ANSWER, "vnc", "003.008 (inside WebSocket)"),
    ],
)
def test_what_is_in_frames_and_no_spice_is_named(
    client: bytes, server: bytes, what: str, detail: str
) -> None:
    found = watched(REQUEST + client, server)
    assert isinstance(found, OtherConnection)
    assert found.what == what
    assert found.detail.startswith(detail)


@pytest.mark.parametrize("swapped", [False, True])
def test_a_link_stage_in_frames_whose_first_message_is_lost_is_named(swapped: bool) -> None:
    client, server = link_stage(ChannelType.CURSOR)
    ticket = frames(client[-132:], 132, MASK)[0] + b"".join(frames(bytes(40), 20, MASK))
    found = watched(
        ticket, b"".join(frames(server, len(server))) + b"".join(frames(bytes(40), 20)), swapped=swapped
    )
    assert isinstance(found, OtherConnection)
    assert (found.what, found.server) == ("spice", "192.0.2.1:40000" if swapped else "192.0.2.2:5900")
    assert found.detail.endswith("(inside WebSocket)")
