"""The link stage from the server's side: who is let in, who is not, and what each is told."""

from __future__ import annotations

import struct
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spicereplay.protocol import link
from spicereplay.protocol.enums import ChannelType, LinkError, Side
from spicereplay.protocol.link import Link, LinkStatus
from spicereplay.protocol.ticket import TicketKey, encrypt_ticket
from spicereplay.serve.door import Door

KEY = TicketKey.generate()
TICKET = encrypt_ticket(KEY.public_key, "secret")


def door(error: LinkError = LinkError.OK) -> Door:
    def admit(seen: Link, password: bytes) -> tuple[LinkError, str]:
        assert password == b"secret"
        return error, "no" if error else ""

    return Door(KEY, lambda channel, channel_id: (int(channel) << 8 | channel_id,), admit)


def greeting(common: int = 0b1001, channel: int = ChannelType.DISPLAY) -> bytes:
    out = bytearray(link.link_message(ChannelType.DISPLAY, 1, connection_id=9, common_caps=(common,)))
    out[20] = channel
    return bytes(out)


@pytest.mark.parametrize("selection", [True, False])
@given(cuts=st.lists(st.integers(1, 400), max_size=10))
@settings(max_examples=30)
def test_a_client_is_let_in_however_its_bytes_come(selection: bool, cuts: list[int]) -> None:
    sent = greeting(0b1000 | selection) + link.authentication(TICKET, selection=selection) + b"and more"
    entrance = door()
    edges = sorted({0, len(sent), *(cut for cut in cuts if cut < len(sent))})
    answer = b"".join(entrance.receive(sent[a:b]) for a, b in pairwise(edges))
    assert not entrance.open
    assert not entrance.refused
    assert entrance.link is not None
    assert entrance.link.mini_header
    assert entrance.rest == b"and more"
    seen = link.parse_link(sent, answer)
    assert seen.status is LinkStatus.ESTABLISHED
    assert seen.server_channel_caps == (2 << 8 | 1,)
    assert seen.common_cap_names(Side.SERVER) == ["AUTH_SELECTION", "AUTH_SPICE", "MINI_HEADER"]


@pytest.mark.parametrize("mechanism", [2, 7, 0])
def test_only_a_ticket_will_do(mechanism: int) -> None:
    entrance = door()
    entrance.receive(greeting())
    answer = entrance.receive(struct.pack("<I", mechanism))
    assert answer == link.link_refusal(LinkError.INVALID_DATA)
    assert "only a ticket will do" in entrance.refused


@pytest.mark.parametrize(
    ("data", "error", "why"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", LinkError.INVALID_MAGIC, "instead of REDQ"),
        (b"REDQ" + struct.pack("<III", 2, 2, 5), LinkError.INVALID_DATA, "5 bytes"),
        (b"REDQ" + struct.pack("<III", 2, 2, 1 << 31), LinkError.INVALID_DATA, "bytes"),
        (b"REDQ" + struct.pack("<III", 1, 2, 18) + bytes(18), LinkError.VERSION_MISMATCH, "version 1"),
        (greeting(channel=77), LinkError.CHANNEL_NOT_AVAILABLE, "channel of type 77"),
    ],
    ids=["http", "short", "long", "version", "channel"],
)
def test_what_is_no_client_of_ours_is_told_so(data: bytes, error: LinkError, why: str) -> None:
    entrance = door()
    assert entrance.receive(data) == link.link_refusal(error)
    assert why in entrance.refused
    assert not entrance.open


def test_a_ticket_that_cannot_be_decrypted_is_no_permission() -> None:
    entrance = door()
    entrance.receive(greeting())
    assert entrance.receive(link.authentication(bytes(128), selection=True)) == struct.pack("<I", 7)
    assert "cannot be decrypted" in entrance.refused


def test_whoever_is_not_admitted_is_told_why_by_number() -> None:
    entrance = door(LinkError.BAD_CONNECTION_ID)
    entrance.receive(greeting())
    assert entrance.receive(link.authentication(TICKET, selection=True)) == struct.pack("<I", 8)
    assert entrance.refused == "no"
    assert entrance.link is None


@given(st.lists(st.binary(max_size=300), max_size=6))
@settings(max_examples=60)
def test_any_bytes_at_all_are_waited_on_or_refused(pieces: list[bytes]) -> None:
    entrance = door()
    for piece in pieces:
        entrance.receive(piece)
    assert entrance.link is None
