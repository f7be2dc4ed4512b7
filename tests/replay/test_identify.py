"""What a connection is, told from its first bytes, and the words for what is not SPICE."""

import struct

import pytest
from support.spicewire import link_message, link_reply

from spicereplay.bytestream import stream_of
from spicereplay.replay.identify import (
    OtherConnection,
    is_tls_record,
    looks_like,
    recognise,
    spice_client_of,
    summary,
)

HELLO = b"\x16\x03\x01\x02\x00\x01" + bytes(60)
SERVER_HELLO = b"\x16\x03\x03\x00\x7a\x02" + bytes(60)

FIRST_BYTES = {
    "TLS client first": ([HELLO, SERVER_HELLO], "tls", 0),
    "TLS from the server alone": ([b"", SERVER_HELLO], "tls", 0),
    "TLS in the middle": ([b"\x17\x03\x03\x00\x20" + bytes(32), b""], "tls", None),
    "VNC": ([b"RFB 003.008\n", b"RFB 003.008\n"], "vnc", None),
    "HTTP": ([b"GET /index.html HTTP/1.1\r\n", b"HTTP/1.1 404 Not Found\r\n"], "http", 0),
    "HTTP answer alone": ([b"HTTP/1.1 200 OK\r\n", b""], "http", 1),
    "SSH": ([b"SSH-2.0-OpenSSH_9.2p1\r\n", b""], "ssh", None),
    "RDP": ([b"\x03\x00\x00\x13\x0e\xe0\x00\x00", b"\x03\x00\x00\x13\x0e\xd0\x00\x00"], "rdp", 0),
    "RDP answer alone": ([b"\x03\x00\x00\x13\x0e\xd0\x00\x00", b""], "rdp", 1),
    "nothing": ([b"", b""], "empty", None),
    "a message of SPICE": ([struct.pack("<HI", 4, 12) + bytes(12), b""], "unknown", None),
}


@pytest.mark.parametrize("name", FIRST_BYTES)
def test_first_bytes(name: str) -> None:
    heads, what, client = FIRST_BYTES[name]
    found = recognise(heads)
    assert (found[0], found[2]) == (what, client)


def test_what_an_address_asks_for_is_not_shown() -> None:
    said = recognise([b"GET /spice_auto.html?password=opensesame HTTP/1.1\r\n", b""])
    assert said == ("http", "GET /spice_auto.html", 0)


def test_tls_records() -> None:
    assert is_tls_record(HELLO)
    for head in (
        b"\x16\x03\x01",
        b"\x18\x03\x01\x00\x10",
        b"\x16\x02\x00\x00\x10",
        b"\x16\x03\x01\x00\x00",
        b"\x16\x03\x01\xff\xff",
    ):
        assert not is_tls_record(head)


@pytest.mark.parametrize("swap", [False, True])
def test_the_client_is_who_sent_the_short_link_message(swap: bool) -> None:
    def client_of(client: bytes, server: bytes) -> int | None:
        pair = stream_of(client), stream_of(server)
        return spice_client_of((pair[1], pair[0]) if swap else pair)

    client = 1 if swap else 0
    assert client_of(link_message(), link_reply()) == client
    assert client_of(link_message(), b"") == client
    assert client_of(b"", link_reply()) == client
    assert client_of(link_message(caps=(0,) * 50), link_reply()) == client
    assert client_of(link_message(), link_reply(error=5)) == client
    assert client_of(b"", link_reply(error=5)) == client
    assert client_of(b"REDQ", b"") is None
    assert client_of(b"", b"") is None


def other(what: str, port: int = 5900, detail: str = "") -> OtherConnection:
    return OtherConnection("c:1", f"s:{port}", port, what, detail, 0, 0, 0, 0)


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ([other("vnc")] * 3, "3 flows on port 5900 look like VNC"),
        ([other("ssh", 22)], "1 flow on port 22 looks like SSH"),
        ([other("tls", 5901, "no keys given")], "TLS on port 5901: no keys given"),
        ([other("tls", 5901, "no keys given")] * 4, "4 TLS flows on port 5901: no keys given"),
        (
            [other("websocket", 6080, "refused: 403 Forbidden")],
            "WebSocket on port 6080: refused: 403 Forbidden",
        ),
        ([other("empty", 59877)], "1 flow on port 59877 without payload"),
        ([other("unknown", 80), other("unknown", 80)], "2 flows on port 80 of no known protocol"),
        ([other("rdp", n) for n in range(9)], None),
        ([], ""),
    ],
)
def test_words_for_what_was_there_instead(found: list[OtherConnection], words: str | None) -> None:
    said = summary(found)
    if words is None:
        assert said.endswith("and 5 more")
    else:
        assert said == words


@pytest.mark.parametrize(
    ("what", "written"),
    [("websocket", "WebSocket"), ("tls", "TLS"), ("empty", "nothing"), ("unknown", "no known protocol")],
)
def test_protocols_are_written_as_a_person_writes_them(what: str, written: str) -> None:
    assert looks_like(what) == written
