"""The link stage: what it tells, how it fails, and that the pieces in which it came do not matter."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.spicewire import (
    AUTH_SASL,
    AUTH_SELECTION,
    GTK,
    MINI_HEADER,
    SERVER,
    link_header,
    link_message,
    link_reply,
    link_stage,
    sasl_item,
)

from spicereplay.protocol.enums import ChannelType, LinkError, Side
from spicereplay.protocol.link import Link, LinkStatus, error_name, parse_link

TICKET = b"\x7e" * 128
SASL_SERVER = link_reply(common=(AUTH_SELECTION | AUTH_SASL | MINI_HEADER,))
SASL_CLIENT = link_message(common=(AUTH_SELECTION | AUTH_SASL | MINI_HEADER,)) + struct.pack("<I", 2)


def test_an_ordinary_link_tells_channel_capabilities_and_where_messages_begin() -> None:
    client, server = link_stage(ChannelType.DISPLAY, connection_id=77, channel_id=3)
    link = parse_link(client + b"messages", server + b"messages")
    assert link.status is LinkStatus.ESTABLISHED
    assert (link.client_bytes, link.server_bytes) == (len(client), len(server))
    assert (link.connection_id, link.channel, link.channel_id) == (77, ChannelType.DISPLAY, 3)
    assert (link.mechanism, link.result, link.reply_error) == (1, 0, 0)
    assert link.mini_header


@pytest.mark.parametrize(
    ("common_of_client", "mini"), [(GTK, True), (AUTH_SELECTION, False), (MINI_HEADER, True), (0, False)]
)
def test_mini_headers_need_both_sides_and_the_mechanism_word_too(common_of_client: int, mini: bool) -> None:
    word = struct.pack("<I", 1) if common_of_client & AUTH_SELECTION else b""
    client = link_message(common=(common_of_client,)) + word + TICKET
    link = parse_link(client, link_reply() + bytes(4))
    assert link.status is LinkStatus.ESTABLISHED
    assert link.mini_header is mini
    assert link.client_bytes == len(client)
    assert link.mechanism == (1 if word else None)


def test_a_client_without_any_capability_word_is_an_old_one() -> None:
    client = link_message(common=(), caps=()) + TICKET
    link = parse_link(client, link_reply() + bytes(4))
    assert link.status is LinkStatus.ESTABLISHED
    assert not link.mini_header
    assert link.client_common_caps == ()


def test_capabilities_may_stand_behind_a_gap() -> None:
    client = link_message(ChannelType.PLAYBACK, caps=(0b1110,), offset=30) + struct.pack("<I", 1) + TICKET
    link = parse_link(client, link_reply(offset=200) + bytes(4))
    assert link.status is LinkStatus.ESTABLISHED
    assert link.client_channel_caps == (0b1110,)
    assert link.cap_names(Side.CLIENT) == ["VOLUME", "LATENCY", "OPUS"]
    assert link.server_common_caps == (SERVER,)


def test_a_channel_type_nobody_defined_stays_a_number() -> None:
    client, server = link_stage(200)
    assert parse_link(client, server).channel == 200


REFUSALS = {
    "error in the reply": (link_message(), link_reply(error=5), "NEED_SECURED (5)"),
    "error no definition knows": (link_message(), link_reply(error=42), "error 42"),
    "error as result": (*link_stage(result=7), "PERMISSION_DENIED (7)"),
    "second reply instead of the mechanism": (
        link_message(),
        link_reply() + link_reply(error=4),
        "VERSION_MISMATCH (4)",
    ),
    "second reply instead of the result": (
        link_stage()[0],
        link_reply() + link_reply(error=3),
        "INVALID_DATA (3)",
    ),
    "second reply instead of SASL's mechanisms": (
        SASL_CLIENT,
        SASL_SERVER + link_reply(error=LinkError.VERSION_MISMATCH),
        "VERSION_MISMATCH (4)",
    ),
    "SASL says no": (
        SASL_CLIENT + sasl_item(b"PLAIN") + sasl_item(b""),
        SASL_SERVER
        + sasl_item(b"PLAIN")
        + sasl_item(b"")
        + b"\x01"
        + struct.pack("<I", 1)
        + sasl_item(b"Authentication failed\0"),
        "Authentication failed",
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_refusals(name: str) -> None:
    client, server, words = REFUSALS[name]
    link = parse_link(client, server)
    assert link.status is LinkStatus.REFUSED
    assert link.detail.endswith(words)


def test_a_sasl_exchange_is_followed_to_its_end() -> None:
    client = SASL_CLIENT + sasl_item(b"GSSAPI") + sasl_item(b"token\0") + sasl_item(b"more")
    server = SASL_SERVER + sasl_item(b"GSSAPI,PLAIN") + sasl_item(b"challenge") + b"\x00"
    server += sasl_item(b"") + b"\x01" + bytes(4)
    link = parse_link(client + b"wrapped", server + b"wrapped")
    assert link.status is LinkStatus.ESTABLISHED
    assert (link.client_bytes, link.server_bytes) == (len(client), len(server))
    assert link.mechanism == 2


MALFORMED = {
    "no magic": (b"RFB 003.008\n" + bytes(20), link_reply(), "instead of REDQ"),
    "message too small": (link_header(17) + bytes(17), link_reply(), "18 to 4096"),
    "message over the limit": (link_header(4097) + bytes(5000), link_reply(), "4096"),
    "more capability words than bytes": (
        link_header(18) + struct.pack("<IBBIII", 0, 1, 0, 1, 0, 18),
        link_reply(),
        "past its 18 bytes",
    ),
    "2^32-1 capability words": (
        link_header(18) + struct.pack("<IBBIII", 0, 1, 0, 2**32 - 1, 2**32 - 1, 18),
        link_reply(),
        "past its 18 bytes",
    ),
    "offset outside": (link_header(18) + struct.pack("<IBBIII", 0, 1, 0, 0, 0, 99), link_reply(), "at 99"),
    "reply too small": (link_message(), link_header(177) + bytes(177), "178 to 4096"),
    "SASL item of 4 GiB": (SASL_CLIENT, SASL_SERVER + b"\xff\xff\xff\xff", "the limit is 65536"),
    "SASL without end": (
        SASL_CLIENT + sasl_item(b"X") * 2 + sasl_item(b"r") * 100,
        SASL_SERVER + sasl_item(b"X") + (sasl_item(b"c") + b"\x00") * 100,
        "not over after 64 rounds",
    ),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_broken_rules(name: str) -> None:
    client, server, words = MALFORMED[name]
    link = parse_link(client, server)
    assert link.status is LinkStatus.MALFORMED
    assert words in link.detail


def test_the_server_alone_tells_all_but_the_channel() -> None:
    server = link_stage()[1]
    link = parse_link(None, server)
    assert link.status is LinkStatus.ESTABLISHED
    assert link.channel is None
    assert link.client_common_caps is None
    assert link.mini_header
    assert link.server_bytes == len(server)


def test_the_client_alone_tells_the_channel_and_is_taken_to_be_let_in() -> None:
    client = link_stage(ChannelType.CURSOR)[0]
    link = parse_link(client, None)
    assert link.status is LinkStatus.ESTABLISHED
    assert link.channel is ChannelType.CURSOR
    assert link.result is None


@pytest.mark.parametrize(
    ("client", "server"), [(None, SASL_SERVER + sasl_item(b"PLAIN")), (SASL_CLIENT, None)]
)
def test_sasl_with_one_side_missing_cannot_be_followed(client: bytes | None, server: bytes | None) -> None:
    link = parse_link(client, server)
    assert link.status is LinkStatus.MALFORMED
    assert "one direction missing" in link.detail


def test_error_names() -> None:
    assert error_name(8) == "BAD_CONNECTION_ID (8)"
    assert error_name(4711) == "error 4711"


EVERY = [
    link_stage(),
    link_stage(selection=False),
    link_stage(mini_header=False),
    *((client, server) for client, server, _ in (*REFUSALS.values(), *MALFORMED.values())),
]


@given(st.sampled_from(EVERY), st.data())
def test_a_prefix_is_incomplete_or_says_what_the_whole_says(
    pair: tuple[bytes, bytes], data: st.DataObject
) -> None:
    client, server = pair
    whole = parse_link(client, server)
    cut = [data.draw(st.integers(0, len(side))) for side in pair]
    part = parse_link(client[: cut[0]], server[: cut[1]])
    if part.status is LinkStatus.INCOMPLETE:
        waited_for = cut[0] if part.waits_for is Side.CLIENT else cut[1]
        assert part.needs_bytes > waited_for
    else:
        assert part == whole


@given(st.binary(max_size=600), st.binary(max_size=600))
def test_any_bytes_give_an_answer(client: bytes, server: bytes) -> None:
    for prefix in (b"", b"REDQ"):
        link = parse_link(prefix + client, prefix + server)
        assert isinstance(link, Link)
        assert link.client_bytes <= len(prefix + client)
        assert link.server_bytes <= len(prefix + server)
