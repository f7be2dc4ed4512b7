"""SPICE inside WebSocket frames comes out as the stream that went in."""

import random
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.spicewire import link_stage, mini, ping, stream_data, stream_with_holes

from spicereplay.bytestream import ByteStream, stream_of
from spicereplay.defects import DefectLog
from spicereplay.protocol.channel import ChannelEngine
from spicereplay.protocol.enums import ChannelType, Side
from spicereplay.transport.websocket import is_websocket, obstacle, prologue_end, unwrap

REQUEST = (
    b"GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: binary\r\n\r\n"
)
ANSWER = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nSec-WebSocket-Protocol: binary\r\n\r\n"
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
NOTHING = stream_of(b"")


def frame(
    payload: bytes, opcode: int = BINARY, *, mask: bytes = b"", final: bool = True, wide: int = 0
) -> bytes:
    """One frame; `wide` forces a length of 2 or 8 bytes."""
    n, bit = len(payload), 0x80 if mask else 0
    head = bytes([opcode | (0x80 if final else 0)])
    if wide == 8 or n > 0xFFFF:
        head += bytes([bit | 127]) + struct.pack(">Q", n)
    elif wide == 2 or n > 125:
        head += bytes([bit | 126]) + struct.pack(">H", n)
    else:
        head += bytes([bit | n])
    return head + mask + (bytes(b ^ mask[i % 4] for i, b in enumerate(payload)) if mask else payload)


def everything(stream: ByteStream) -> bytes:
    return b"".join(piece for _, piece in stream.pieces(0, stream.end))


def from_server(frames: bytes, **more: object) -> tuple[ByteStream, DefectLog]:
    defects = DefectLog()
    stream = stream_with_holes(ANSWER + frames, **more)  # type: ignore[arg-type]
    return unwrap(NOTHING, stream, defects, "c → s")[1], defects


def test_the_handshake_tells() -> None:
    assert prologue_end(stream_of(REQUEST + b"x"), b"GET ") == len(REQUEST)
    assert is_websocket(stream_of(REQUEST), NOTHING)
    assert is_websocket(NOTHING, stream_of(ANSWER))
    for other in (
        b"GET / HTTP/1.1\r\n\r\n",
        REQUEST[:-2],
        b"REDQ",
        b"HTTP/1.1 200 OK\r\nUpgrade: websocket\r\n\r\n",
    ):
        assert not is_websocket(stream_of(other), stream_of(other))


@pytest.mark.parametrize("wide", [0, 2, 8])
@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536, 200_000])
def test_every_form_of_a_length(size: int, wide: int) -> None:
    payload = random.Random(size).randbytes(size)
    stream, defects = from_server(frame(payload, wide=wide) + frame(b"end"))
    assert everything(stream) == payload + b"end"
    assert not len(defects)


def test_fragments_with_control_frames_between_them() -> None:
    frames = [
        frame(b"REDQ", final=False),
        frame(b"ping", PING),
        frame(b"", PONG),
        frame(b" and ", CONTINUATION, final=False),
        frame(b"more", CONTINUATION),
        frame(b" text", TEXT),
        frame(b"\x03\xe8", CLOSE),
        frame(b"after the end"),
    ]
    stream, defects = from_server(b"".join(frames))
    assert everything(stream) == b"REDQ and more text"
    assert not len(defects)


def test_a_server_s_payload_is_not_copied() -> None:
    source = stream_with_holes(ANSWER + frame(bytes(1000)) + frame(bytes(1000)), cuts=[500, 1500])
    stream = unwrap(NOTHING, source, DefectLog(), "")[1]
    assert stream.file is source.file
    assert (stream.offset >= 0).all()


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_what_comes_out_is_what_went_in(data: st.DataObject) -> None:
    chance = random.Random(data.draw(st.integers(0, 2**32)))
    payload = chance.randbytes(data.draw(st.integers(0, 3000)))
    masked = data.draw(st.booleans())
    wrapped, at = b"", 0
    while at < len(payload):
        size = chance.choice((1, 3, 125, 126, 700))
        mask = chance.randbytes(4) if masked else b""
        wrapped += frame(payload[at : at + size], mask=mask, final=chance.random() < 0.5)
        if chance.random() < 0.3:
            wrapped += frame(b"!", chance.choice((PING, PONG)), mask=mask)
        at += size
    prologue = REQUEST if masked else ANSWER
    source = stream_with_holes(
        prologue + wrapped, cuts=chance.choices(range(len(wrapped) + 200), k=20), time_step_ns=5
    )
    defects = DefectLog()
    pair = unwrap(source, NOTHING, defects, "") if masked else unwrap(NOTHING, source, defects, "")
    stream = pair[0 if masked else 1]
    assert everything(stream) == payload
    assert stream.read(0, stream.end) == payload
    assert (np.diff(stream.time_ns) >= 0).all()
    assert not len(defects)


def test_a_hole_inside_a_payload_keeps_its_size() -> None:
    frames = frame(b"a" * 100) + frame(b"b" * 100) + frame(b"c" * 100)
    at = len(ANSWER) + 102 + 2 + 30
    stream, defects = from_server(frames, holes=[(at, 40)])
    assert everything(stream) == b"a" * 100 + b"b" * 60 + b"c" * 100
    assert [(a, n) for a, n, _ in stream.gaps()] == [(130, 40)]
    assert not len(defects)


@pytest.mark.parametrize("start", [0, 1, 50])
def test_behind_a_hole_over_a_frame_header_frames_are_found_again(start: int) -> None:
    frames = [frame(bytes([n]) * 100) for n in range(8)]
    at = len(ANSWER) + 2 * 102 + start
    stream, defects = from_server(b"".join(frames), holes=[(at, 102)])
    said = everything(stream)
    assert said.endswith(b"".join(bytes([n]) * 100 for n in range(4, 8)))
    assert said.startswith(b"\0" * 100 + b"\1" * 100)
    assert len(list(stream.gaps())) == 1
    assert [d.kind.value for d in defects] == ["websocket"]


def test_messages_behind_such_a_hole_are_found_although_its_length_is_not_known() -> None:
    client, server = link_stage(ChannelType.DISPLAY)
    messages = [mini(123, stream_data(900, fill=n)) for n in range(20)]
    said = server + b"".join(messages)
    frames = [frame(said[i : i + 500]) for i in range(0, len(said), 500)]
    wrapped = ANSWER + b"".join(frames)
    starts = len(ANSWER) + sum(map(len, frames[:8]))
    source = stream_with_holes(wrapped, [(starts - 100, 1300)])
    defects = DefectLog()
    inside = unwrap(stream_of(REQUEST + frame(client, mask=b"abcd")), source, defects, "")
    engine = ChannelEngine()
    engine.feed(Side.CLIENT, inside[0])
    engine.feed(Side.SERVER, inside[1])
    index = engine.index(Side.SERVER)
    assert index is not None
    whole = [index.body(i) for i in np.flatnonzero(~index.partial)]
    assert set(whole) <= {m[6:] for m in messages}
    assert len(whole) >= 15
    assert whole[-1] == messages[-1][6:]


BROKEN = {
    "reserved bits": b"\xf2\x05hello",
    "reserved opcode": b"\x83\x05hello",
    "masked by the server": frame(b"hello", mask=b"abcd"),
    "a length with its top bit set": b"\x82\x7f" + b"\xff" * 8,
    "a fragmented ping": b"\x09\x00",
    "a long ping": b"\x89\x7e\x01\x00" + bytes(256),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_no_frame_is_passed_over(name: str) -> None:
    good = [frame(bytes([n]) * 50) for n in range(6)]
    stream, defects = from_server(good[0] + BROKEN[name] + b"".join(good[1:]))
    assert [d.kind.value for d in defects] == ["websocket"]
    said = everything(stream)
    assert said.startswith(b"\0" * 50)
    assert said.endswith(b"".join(bytes([n]) * 50 for n in range(1, 6)))


def test_a_frame_cut_off_by_the_end_gives_what_is_there() -> None:
    wrapped = frame(b"a" * 10) + frame(b"b" * 100)
    assert everything(from_server(wrapped[:-60])[0]) == b"a" * 10 + b"b" * 40
    assert everything(from_server(wrapped[:13])[0]) == b"a" * 10
    assert everything(from_server(frame(b"a")[:2] + b"")[0]) == b""


def test_a_frame_that_claims_to_be_endless_takes_the_rest() -> None:
    stream, _ = from_server(b"\x82\x7f\x7f" + b"\xff" * 7 + b"data")
    assert everything(stream) == b"data"
    assert stream.end == 4


def test_one_side_alone_is_unwrapped_too() -> None:
    wrapped = frame(mini(4, ping()), mask=b"\1\2\3\4")
    client, server = unwrap(stream_of(REQUEST + wrapped), NOTHING, DefectLog(), "")
    assert everything(client) == mini(4, ping())
    assert server.end == 0


@settings(max_examples=80, deadline=None)
@given(st.binary(max_size=300), st.integers(0, 300), st.integers(0, 60))
def test_any_bytes_give_a_stream(noise: bytes, at: int, length: int) -> None:
    for masked in (False, True):
        source = stream_with_holes(
            (REQUEST if masked else ANSWER) + noise, [(len(ANSWER) + at, length)] * (length > 0)
        )
        pair = (source, NOTHING) if masked else (NOTHING, source)
        for stream in unwrap(*pair, DefectLog(), ""):
            assert stream.captured_bytes <= len(noise)


@pytest.mark.parametrize("line", [b"Upgrade: WebSocket", b"upgrade:websocket", b"UPGRADE:  websocket \t"])
def test_headers_may_be_written_in_many_ways(line: bytes) -> None:
    assert is_websocket(stream_of(b"GET / HTTP/1.1\r\n" + line + b"\r\n\r\n"), NOTHING)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (ANSWER, None),
        (ANSWER + b"\x82\x00", None),
        (b"", None),
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", "refused: 403 Forbidden"),
        (b"HTTP/1.0 502 Bad Gateway\r\n\r\n", "refused: 502 Bad Gateway"),
        (
            ANSWER[:-2]
            + b"Sec-WebSocket-Extensions: x; y=1, permessage-deflate; server_max_window_bits=12\r\n\r\n",
            "its frames are compressed (permessage-deflate), which is not opened",
        ),
        (ANSWER + b"\xc2\x01\x00", "its frames are compressed (permessage-deflate), which is not opened"),
        (
            ANSWER[:-2] + b"Sec-WebSocket-Protocol: base64\r\n\r\n",
            "its frames hold Base64 text, which is not decoded",
        ),
        (ANSWER[:-2] + b"Sec-WebSocket-Protocol: binary\r\n\r\n", None),
    ],
)
def test_what_stands_in_the_way_of_payloads_is_named(answer: bytes, why: str | None) -> None:
    assert obstacle(stream_of(answer)) == why
