"""Where HTTP messages begin and end."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spicereplay.limits import Limits
from spicereplay.protocol.http import HttpReader


def read(reader, *pieces):
    out = []
    for piece in pieces:
        for message in reader.feed(piece):
            out.append((message.method or message.status, message.complete, message.size))
    return out


def test_requests_one_after_the_other():
    get = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n"
    put = b"PUT /b HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello"
    got = read(HttpReader(requests=True), get + put + b"\r\n" + get)
    assert [(m, size) for m, complete, size in got if complete] == [
        ("GET", len(get)),
        ("PUT", len(put)),
        ("GET", len(get)),
    ]
    assert [m for m, complete, _ in got if not complete] == ["GET", "PUT", "GET"]


@pytest.mark.parametrize(
    "response",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
        b"HTTP/1.1 207 Multi-Status\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\nContent-Length: 9\r\n\r\n0\r\nTrailer: 1\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 304 Not Modified\r\nContent-Length: 100\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.0 404 \r\ncontent-length:0\r\n\r\n",
        b"HTTP/1.1 200\nContent-Length: 1\n\nx",
    ],
)
@given(cuts=st.lists(st.integers(1, 40), min_size=1, max_size=8))
def test_a_response_ends_where_its_head_says(response, cuts):
    pieces, at, turn = [], 0, 0
    whole = response * 2
    while at < len(whole):
        size = cuts[turn % len(cuts)]
        pieces.append(whole[at : at + size])
        at, turn = at + size, turn + 1
    reader = HttpReader(requests=False)
    got = read(reader, *pieces)
    assert [size for _, complete, size in got if complete] == [len(response)] * 2
    assert reader.problem is None


def test_a_response_without_a_length_ends_with_the_connection():
    reader = HttpReader(requests=False)
    assert not any(complete for _, complete, _ in read(reader, b"HTTP/1.0 200 OK\r\n\r\n", b"abc", b"def"))
    (message,) = reader.close()
    assert (message.complete, message.size) == (True, 19 + 6)
    assert not list(HttpReader(requests=False).close())


def test_the_response_to_head_has_no_body():
    reader = HttpReader(requests=False)
    for message in reader.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\nHTTP/1.1 404 No\r\n\r\n"):
        message.bodiless = True
        last = message
    assert (last.status, last.complete) == (404, True)


def test_a_method_nobody_knows_keeps_no_name():
    assert read(HttpReader(requests=True), b"SECRET /x HTTP/1.1\r\n\r\n")[0][0] == "OTHER"


@pytest.mark.parametrize(
    ("requests", "bad"),
    [
        (True, b"\x16\x03\x01 this is no HTTP\r\n"),
        (True, b"GET  HTTP/1.1\r\n"),
        (False, b"GET / HTTP/1.1\r\n\r\n"),
        (False, b"\r\n"),
        (False, b"HTTP/1.1 999 x\r\n"),
        (False, b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n"),
        (False, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n"),
        (False, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n"),
        (True, b"GET /" + b"a" * 200),
    ],
)
def test_what_is_no_http_is_passed_over_until_a_message_begins(requests, bad):
    reader = HttpReader(requests, Limits(http_line_bytes=100))
    list(reader.feed(bad))
    assert reader.problem
    assert read(reader, b"more of it", b"and more") == []
    good = b"GET /a HTTP/1.1\r\n\r\n" if requests else b"HTTP/1.1 204 No\r\n\r\n"
    assert read(reader, good)[-1][1:] == (True, len(good))
    assert reader.problem is None


def test_missing_bytes_are_like_that_too():
    reader = HttpReader(requests=False)
    read(reader, b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nabc")
    reader.lost()
    assert read(reader, b"the rest", b"HTTP/1.1 204 No\r\n\r\n")[-1][1:] == (True, 19)


@given(st.booleans(), st.lists(st.binary(max_size=80), max_size=12))
def test_noise_is_no_error(requests, pieces):
    got = read(HttpReader(requests), *pieces)
    assert sum(size for _, complete, size in got if complete) <= sum(map(len, pieces))


@pytest.mark.parametrize("requests", [True, False])
def test_a_message_after_missing_bytes_may_come_byte_by_byte(requests):
    reader = HttpReader(requests)
    reader.lost()
    whole = b"GET /a HTTP/1.1\r\n\r\n" if requests else b"HTTP/1.1 204 No\r\n\r\n"
    got = read(reader, *(bytes([byte]) for byte in b"the rest\r\n" + whole + whole))
    assert [size for _, complete, size in got if complete] == [len(whole)] * 2
