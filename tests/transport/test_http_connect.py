"""What a proxy was told is taken off the head of a connection, and nothing else is."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.spicewire import stream_with_holes

from spicereplay.bytestream import ByteStream, stream_of
from spicereplay.transport.http_connect import tunnel

ASKED = b"CONNECT node7.example:61000 HTTP/1.0\r\nProxy-Authorization: Basic eHg=\r\n\r\n"
GRANTED = b"HTTP/1.1 200 Connection established\r\n\r\n"
REFUSED = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 5\r\n\r\nnope!"
CHUNKED = b"HTTP/1.1 407 Proxy Authentication Required\r\nTransfer-Encoding: chunked\r\n\r\n"
NOTHING = stream_of(b"")


def everything(stream: ByteStream) -> bytes:
    return b"".join(piece for _, piece in stream.pieces(0, stream.end))


def test_both_sides_begin_behind_the_exchange() -> None:
    found = tunnel(stream_of(ASKED + b"REDQ client"), stream_of(GRANTED + b"REDQ server"))
    assert found is not None
    assert (everything(found.client), everything(found.server)) == (b"REDQ client", b"REDQ server")
    assert found.target == "node7.example:61000"


@pytest.mark.parametrize(
    "refused",
    [
        REFUSED,
        CHUNKED + b"5\r\nnope!\r\n0\r\n\r\n",
        CHUNKED + b"A;x=1\r\nno\r\n\r\nHTTP\r\n3 \r\nyes\r\n00\r\nTrailer: HTTP/1.1 200\r\n\r\n",
    ],
    ids=["a length", "chunks", "chunks and trailers"],
)
def test_who_is_asked_for_a_password_asks_again(refused: bytes) -> None:
    client = stream_of(b"CONNECT h:1 HTTP/1.1\r\n\r\n" + ASKED + b"C")
    found = tunnel(client, stream_of(refused + GRANTED + b"S"))
    assert found is not None
    assert (everything(found.client), everything(found.server)) == (b"C", b"S")


@pytest.mark.parametrize("body", [b"", b"5\r\nnope", b"5\r\nnope!\r\n", b"x\r\n", b"ffffff\r\n", b"0\r\n"])
def test_a_body_of_chunks_that_does_not_end(body: bytes) -> None:
    assert tunnel(stream_of(ASKED * 2), stream_of(CHUNKED + body)) is None


@pytest.mark.parametrize(
    ("client", "server"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", GRANTED),
        (b"REDQ", b"REDQ"),
        (ASKED[:-2], GRANTED),
        (ASKED, GRANTED[:-2]),
        (ASKED, b"HTTP/1.1 503 No\r\nContent-Length: 999999999\r\n\r\n"),
        (ASKED, b"SSH-2.0-x\r\n\r\n"),
        (ASKED * 9, REFUSED * 9),
        (b"", GRANTED),
        (b"CONNECT " + b"h" * 20_000 + b" HTTP/1.1\r\n\r\n", GRANTED),
    ],
)
def test_anything_else_is_left_alone(client: bytes, server: bytes) -> None:
    assert tunnel(stream_of(client), stream_of(server)) is None


def test_without_the_server_the_request_is_enough() -> None:
    found = tunnel(stream_of(ASKED + b"x"), NOTHING)
    assert found is not None
    assert everything(found.client) == b"x"


@given(st.lists(st.integers(1, len(ASKED) + 20), max_size=6), st.integers(0, 15))
def test_the_cuts_of_the_segments_make_no_difference(cuts: list[int], hole: int) -> None:
    data = ASKED + bytes(range(20))
    client = stream_with_holes(data, [(len(ASKED) + hole, 3)], cuts, time_step_ns=10)
    found = tunnel(client, stream_of(GRANTED))
    assert found is not None
    assert found.client.end == 20
    assert everything(found.client) == bytes(i for i in range(20) if not hole <= i < hole + 3)
    assert [(at, length) for at, length, _ in found.client.gaps()] == [(hole, 3)]
    assert found.client.time_at(19) == client.time_at(len(data) - 1)
    assert (np.diff(found.client.position) > 0).all()
