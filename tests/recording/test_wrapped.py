"""Secrets taken out of connections that may be SPICE, bare or wrapped, however their bytes are cut."""

from __future__ import annotations

import struct
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spicereplay.protocol import link
from spicereplay.protocol.enums import ChannelType, LinkError, Side
from spicereplay.recording.wrapped import HEAD_BYTES, WireMask

TICKET = bytes(range(1, 129))
CAPS = (0b1011,)
MESS = link.link_message(ChannelType.MAIN, 0, common_caps=CAPS)
REPLY = link.link_reply(b"\x30" * link.PUBLIC_KEY_BYTES, common_caps=CAPS)
MECHANISM = struct.pack("<I", link.MECHANISM_SPICE)
RESULT = link.link_result(LinkError.OK)
AFTER = b"\x66\x00\x04\x00\x00\x00\x01\x02\x03\x04" * 3
CLIENT, SERVER = Side.CLIENT, Side.SERVER
Said = list[tuple[Side, bytes]]

SPICE: Said = [
    (CLIENT, MESS),
    (SERVER, REPLY),
    (CLIENT, MECHANISM + TICKET),
    (SERVER, RESULT + AFTER),
    (CLIENT, AFTER),
]
BLANKED: Said = [(side, data.replace(TICKET, bytes(128))) for side, data in SPICE]
KEY = b"\x11\x9a\x00\xff"
UPGRADE = b"GET /websockify%s HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nCookie: %s\r\nOrigin: b\r\n\r\n"
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"


def frame(side: Side, data: bytes, opcode: int = 2) -> bytes:
    mask = 0x80 if side is CLIENT else 0
    length = bytes([mask | len(data)]) if len(data) < 126 else struct.pack(">BH", mask | 126, len(data))
    if side is CLIENT:
        data = bytes(byte ^ KEY[i % 4] for i, byte in enumerate(data))
    return bytes([0x80 | opcode]) + length + (KEY if mask else b"") + data


def in_frames(said: Said) -> Said:
    """Every piece in frames of 100 bytes, and a ping between them."""
    out: Said = []
    for side, data in said:
        for at in range(0, len(data), 100):
            out.append((side, frame(side, data[at : at + 100]) + frame(side, b"still there?", 9)))
    return out


def recorded(said: Said, cuts: list[int] = []) -> Said:  # noqa: B006
    """What a mask lets through of pieces that come cut at `cuts` of each."""
    mask = WireMask()
    out: Said = []
    for side, data in said:
        places = [0, *sorted({c for c in cuts if 0 < c < len(data)}), len(data)]
        kept = b"".join(mask.take(side, data[a:b]) for a, b in pairwise(places))
        out.append((side, kept))
    return out


anywhere = st.lists(st.integers(1, 600), max_size=30)


@settings(max_examples=60)
@given(cuts=anywhere)
def test_the_ticket_is_zeroed_and_nothing_else(cuts: list[int]) -> None:
    assert recorded(SPICE, cuts) == BLANKED


@settings(max_examples=60)
@given(cuts=anywhere)
def test_within_websocket_the_ticket_and_what_a_request_tells(cuts: list[int]) -> None:
    said = [(CLIENT, UPGRADE % (b"?token=s3cret", b"PVE=abc def")), (SERVER, SWITCHED), *in_frames(SPICE)]
    head = UPGRADE % (b"?" + bytes(12), bytes(7) + b" " + bytes(3))
    assert recorded(said, cuts) == [(CLIENT, head), (SERVER, SWITCHED), *in_frames(BLANKED)]


@settings(max_examples=60)
@given(cuts=anywhere, web=st.booleans())
def test_behind_a_proxy_that_asks_for_a_password(cuts: list[int], web: bool) -> None:
    ask = b"CONNECT node:5900 HTTP/1.1\r\nHost: node\r\n%s\r\n"
    said: Said = [
        (CLIENT, ask % b""),
        (SERVER, b"HTTP/1.1 407 Who?\r\nContent-Length: 4\r\n\r\nwho?"),
        (CLIENT, ask % b"Proxy-Authorization: Basic dTpw\r\n"),
        (SERVER, b"HTTP/1.1 200 OK\r\n\r\n"),
    ]
    told = [
        *said[:2],
        (CLIENT, ask % (b"Proxy-Authorization: " + bytes(5) + b" " + bytes(4) + b"\r\n")),
        said[3],
    ]
    if web:
        upgrade: Said = [(CLIENT, UPGRADE % (b"", b"")), (SERVER, SWITCHED)]
        said, told = said + upgrade + in_frames(SPICE), told + upgrade + in_frames(BLANKED)
    else:
        said, told = said + SPICE, told + BLANKED
    assert recorded(said, cuts) == told


@pytest.mark.parametrize(
    "said",
    [
        [(CLIENT, b"\x16\x03\x01\x00\x05hello"), (SERVER, b"\x16\x03\x03")],
        [(SERVER, b"RFB 003.008\n"), (CLIENT, b"RFB 003.008\n"), (SERVER, MESS)],
        [(CLIENT, b"RE"), (CLIENT, b"ADME"), (SERVER, b"?")],
        [(CLIENT, b"GET / HTTP/1.1\r\nAccept: all\r\n\r\n" + MESS + TICKET), (SERVER, b"HTTP/1.1 200 OK")],
        [(CLIENT, b"GET /" + b"x" * HEAD_BYTES + TICKET)],
        [(CLIENT, b"CONNECT a:1 HTTP/1.1\r\n\r\n"), (SERVER, b"HTTP/1.1 200 OK"), (CLIENT, b"SSH-2.0")],
    ],
    ids=["TLS", "VNC", "nearly", "no upgrade", "endless", "tunnel"],
)
@settings(max_examples=20)
@given(cuts=anywhere)
def test_what_is_no_spice_passes_as_it_is(said: Said, cuts: list[int]) -> None:
    assert recorded(said, cuts) == said


@settings(max_examples=200)
@given(
    said=st.lists(
        st.tuples(
            st.sampled_from(Side),
            st.sampled_from([MESS, REPLY, TICKET, MECHANISM, RESULT, SWITCHED, UPGRADE, frame(CLIENT, MESS)])
            | st.binary(max_size=40),
        ),
        max_size=8,
    )
)
def test_lengths_never_change(said: Said) -> None:
    assert [len(data) for _, data in recorded(said)] == [len(data) for _, data in said]


def test_the_channel_is_known_when_the_client_has_named_it() -> None:
    mask = WireMask()
    assert mask.link is None
    mask.take(CLIENT, MESS)
    assert mask.link is not None
    assert mask.link.channel is ChannelType.MAIN
