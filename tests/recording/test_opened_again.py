"""Connections that go on in another file, wrapped in WebSocket, behind a proxy, or neither."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.spicewire import link_stage, stream_data

from spicereplay.bytestream import DirectionFacts, stream_of
from spicereplay.capture.connection import Connection, Endpoint
from spicereplay.defects import DefectLog
from spicereplay.limits import DEFAULT_LIMITS
from spicereplay.protocol.enums import ChannelType, Side
from spicereplay.recording.opened_again import OpenedAgain
from spicereplay.replay.channels import Watched, watch

CONNECT = b"CONNECT node:5900 HTTP/1.1\r\n\r\n"
REFUSED = b"HTTP/1.1 407 Who are you\r\nContent-Length: 4\r\n\r\nwho?"
GRANTED = b"HTTP/1.0 200 OK\r\n\r\n"
REQUEST = b"GET / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n"
ANSWER = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"
KEY = b"\x11\x9a\x00\xff"
CLIENT, SERVER = link_stage(ChannelType.DISPLAY)
SIZES = (9, 100, 3_000, 70_000)


def framed(data: bytes, key: bytes = b"") -> bytes:
    masked = bytes(byte ^ key[i % 4] for i, byte in enumerate(data)) if key else data
    bit = 0x80 if key else 0
    if len(data) < 126:
        return bytes([0x82, bit | len(data)]) + key + masked
    return bytes([0x82, bit | 127]) + len(data).to_bytes(8, "big") + key + masked


def conversation(wrapped: str) -> list[tuple[Side, bytes]]:
    """What is said, up to the end of the link stage, in order."""
    inside = [(Side.CLIENT, CLIENT[:-132]), (Side.SERVER, SERVER[:-4])]
    inside += [(Side.CLIENT, CLIENT[-132:]), (Side.SERVER, SERVER[-4:])]
    said: list[tuple[Side, bytes]] = []
    if "proxy" in wrapped:
        said += [
            (Side.CLIENT, CONNECT),
            (Side.SERVER, REFUSED),
            (Side.CLIENT, CONNECT),
            (Side.SERVER, GRANTED),
        ]
    if "web" not in wrapped:
        return said + inside
    said += [(Side.CLIENT, REQUEST), (Side.SERVER, ANSWER)]
    return said + [(s, framed(data, KEY if s is Side.CLIENT else b"")) for s, data in inside]


def messages(said: list[tuple[Side, bytes]]) -> list[int]:
    """Sizes of the server's messages that are found, whole, in a recording."""
    streams = [
        stream_of(b"".join(data for one, data in said if one is side)) for side in (Side.CLIENT, Side.SERVER)
    ]
    defects = DefectLog()
    connection = Connection(
        endpoints=(Endpoint("192.0.2.1", 40_000), Endpoint("192.0.2.2", 5900)),
        streams=(streams[0], streams[1]),
        facts=(DirectionFacts(), DirectionFacts()),
        opener_seen=True,
        first_time_ns=0,
        last_time_ns=0,
    )
    found = watch(connection, DEFAULT_LIMITS, defects)
    assert isinstance(found, Watched)
    assert found.log.channel is ChannelType.DISPLAY
    assert not found.log.unparsed_bytes
    assert not [defect for defect in defects if defect.kind != "message_incomplete"]
    return [int(size) for size in found.log.server.size]


@settings(max_examples=60, deadline=None)
@given(
    wrapped=st.sampled_from(["bare", "proxy", "web", "web behind a proxy"]),
    share=st.floats(0, 1),
    pieces=st.integers(1, 5_000),
    per_frame=st.integers(1, 80_000),
)
def test_each_file_can_be_read_alone(wrapped: str, share: float, pieces: int, per_frame: int) -> None:
    whole = b"".join(stream_data(size) for size in SIZES)
    if "web" in wrapped:
        wire = b"".join(framed(whole[at : at + per_frame]) for at in range(0, len(whole), per_frame))
    else:
        wire = whole
    end = int(share * len(wire))
    again = OpenedAgain()
    first = conversation(wrapped)
    for side, data in first:
        for at in range(0, len(data), pieces):
            again.take(side, data[at : at + pieces])
    for at in range(0, end, pieces):
        again.take(Side.SERVER, wire[at : min(end, at + pieces)])
    rest = wire[end:]
    before = messages([*first, (Side.SERVER, wire[:end])])
    behind = messages([*again.opening(), (Side.SERVER, rest)])
    everything = messages([*first, (Side.SERVER, wire)])
    assert behind == everything[len(everything) - len(behind) :]
    assert len(before) + len(behind) in (len(everything), len(everything) + 1), (
        "the one that was cut is in both"
    )


@pytest.mark.parametrize("cut", range(0, 32, 3))
def test_a_client_s_frame_goes_on_under_its_own_key(cut: int) -> None:
    again = OpenedAgain()
    for side, data in conversation("web"):
        again.take(side, data)
    body = bytes(range(20))
    frame = framed(b"\x01\x00" + len(body).to_bytes(4, "little") + body, KEY)
    again.take(Side.CLIENT, frame[:cut])
    said = b"".join(data for side, data in again.opening() if side is Side.CLIENT) + frame[cut:]
    after = OpenedAgain()
    after.take(Side.CLIENT, said[: said.index(b"\r\n\r\n") + 4])
    after.take(Side.SERVER, ANSWER)
    inner = after._frames[Side.CLIENT].take(said[said.index(b"\r\n\r\n") + 4 :])
    assert inner.endswith(body)
    assert inner.startswith(b"REDQ")


def test_behind_a_hole_frames_are_not_made_up() -> None:
    again = OpenedAgain()
    for side, data in conversation("web"):
        again.take(side, data)
    again.take(Side.SERVER, framed(stream_data(100))[:20])
    opening = again.opening()
    again.lose(Side.SERVER)
    again.take(Side.SERVER, b"whatever follows")
    assert len(again.opening()) < len(opening)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(list(Side)), st.binary(max_size=60)), max_size=12), st.booleans())
def test_anything_at_all_is_survived(said: list[tuple[Side, bytes]], web: bool) -> None:
    again = OpenedAgain()
    for side, data in [(Side.CLIENT, REQUEST), (Side.SERVER, ANSWER)] * web + said:
        again.take(side, data)
    assert all(data for _, data in again.opening())
