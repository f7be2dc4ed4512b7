"""Requests and responses out of the multiplex of a webdav channel."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spicereplay.defects import DefectLog
from spicereplay.limits import Limits
from spicereplay.protocol.enums import Side
from spicereplay.protocol.webdav import WebdavTalk

GUEST, CLIENT = Side.SERVER, Side.CLIENT
GET = b"GET /photos/me.jpg HTTP/1.1\r\nHost: localhost\r\n\r\n"
FOUND = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndata"


def frame(client, data=b""):
    return struct.pack("<qH", client, len(data)) + data


def fed(talk, *said, finish=True):
    """Feed `(side, bytes)` at 1, 2, 3 … ms and return the requests."""
    out = [r for at, (side, data) in enumerate(said, 1) for r in talk.feed(side, data, at * 1_000_000)]
    return [*out, *(talk.finish() if finish else ())]


def test_a_request_and_its_response():
    (request,) = fed(WebdavTalk(), (GUEST, frame(5, GET)), (CLIENT, frame(5, FOUND)))
    assert (request.client, request.method, request.status, request.outcome) == (5, "GET", 200, "answered")
    assert (request.request_bytes, request.response_bytes) == (len(GET), len(FOUND))
    assert (request.start_ns, request.asked_ns) == (1_000_000, 1_000_000)
    assert (request.answer_ns, request.end_ns) == (2_000_000, 2_000_000)


def test_nothing_of_what_was_said_is_kept():
    (request,) = fed(WebdavTalk(), (GUEST, frame(5, GET)), (CLIENT, frame(5, FOUND)))
    assert "photos" not in repr(request)


def test_connections_do_not_disturb_each_other():
    slow = b"PROPFIND / HTTP/1.1\r\nContent-Length: 10\r\n\r\n"
    first, second = fed(
        WebdavTalk(),
        (GUEST, frame(1, slow)),
        (GUEST, frame(2, GET) + frame(1, b"0123456789")),
        (CLIENT, frame(2, FOUND[:20])),
        (CLIENT, frame(1, b"HTTP/1.1 207 Multi-Status\r\nTransfer-Encoding: chunked\r\n\r\n")),
        (CLIENT, frame(2, FOUND[20:]) + frame(1, b"2\r\nab\r\n")),
        (CLIENT, frame(1, b"0\r\n\r\n")),
    )
    assert (first.client, first.answer_ns, first.end_ns) == (2, 3_000_000, 5_000_000)
    assert (second.method, second.status) == ("PROPFIND", 207)
    assert (second.start_ns, second.asked_ns, second.answer_ns, second.end_ns) == (
        1_000_000,
        2_000_000,
        4_000_000,
        6_000_000,
    )
    assert second.request_bytes == len(slow) + 10


def test_a_put_that_waits_for_permission():
    put = b"PUT /x HTTP/1.1\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n"
    go, done = b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n"
    (request,) = fed(
        WebdavTalk(),
        (GUEST, frame(1, put)),
        (CLIENT, frame(1, go)),
        (GUEST, frame(1, b"abc")),
        (CLIENT, frame(1, done)),
    )
    assert (request.status, request.outcome) == (201, "answered")
    assert (request.asked_ns, request.answer_ns) == (3_000_000, 4_000_000)
    assert request.response_bytes == len(go) + len(done)


def test_the_response_to_head_says_a_length_and_has_none():
    head = GET.replace(b"GET", b"HEAD")
    requests = fed(
        WebdavTalk(),
        (GUEST, frame(1, head + GET)),
        (CLIENT, frame(1, b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n" + FOUND)),
    )
    assert [(r.method, r.outcome) for r in requests] == [("HEAD", "answered"), ("GET", "answered")]


def test_a_response_that_ends_with_the_connection():
    (request,) = fed(
        WebdavTalk(),
        (GUEST, frame(1, GET)),
        (CLIENT, frame(1, b"HTTP/1.0 200 OK\r\n\r\nabc")),
        (CLIENT, frame(1)),
    )
    assert (request.outcome, request.end_ns) == ("answered", 3_000_000)


@pytest.mark.parametrize(
    ("answer", "closes", "outcome", "status"),
    [
        (b"", True, "broken", None),
        (FOUND[:-1], True, "broken", 200),
        (b"", False, "unanswered", None),
        (FOUND[:-1], False, "unanswered", 200),
    ],
)
def test_a_request_that_is_never_answered_whole(answer, closes, outcome, status):
    said = [(GUEST, frame(1, GET)), *([(CLIENT, frame(1, answer))] if answer else [])]
    (request,) = fed(WebdavTalk(), *said, *([(GUEST, frame(1))] if closes else []))
    assert (request.outcome, request.status, request.end_ns) == (outcome, status, None)


def test_when_the_port_is_closed_all_connections_are_over():
    talk = WebdavTalk()
    assert not fed(talk, (GUEST, frame(1, GET) + b"\1\2"), finish=False)
    (request,) = talk.close()
    assert request.outcome == "broken"
    assert len(fed(talk, (GUEST, frame(1, GET)), (CLIENT, frame(1, FOUND)))) == 1


@given(st.lists(st.integers(1, 30), min_size=1, max_size=20))
def test_pieces_do_not_matter(cuts):
    said = [
        (GUEST, frame(1, GET) + frame(-2, GET)),
        (CLIENT, frame(-2, FOUND) + frame(1, FOUND)),
        (GUEST, frame(1) + frame(9, GET)),
    ]
    pieces, turn = [], 0
    for side, data in said:
        while data:
            pieces.append((side, data[: cuts[turn % len(cuts)]]))
            data = data[cuts[turn % len(cuts)] :]
            turn += 1
    got = fed(WebdavTalk(), *pieces)
    assert [(r.client, r.outcome, r.response_bytes) for r in got] == [
        (-2, "answered", len(FOUND)),
        (1, "answered", len(FOUND)),
        (9, "unanswered", 0),
    ]


# --- beginning in the middle ------------------------------------------------------------------------------


def test_a_stream_that_begins_in_the_middle_is_read_from_the_next_message_on():
    talk = WebdavTalk(complete=False)
    (request,) = fed(
        talk,
        (GUEST, b"the rest of a frame"),
        (CLIENT, b"the rest of a response"),
        (GUEST, frame(7, GET)),
        # spice-gtk sends number, size and data of a frame as messages of their own.
        (CLIENT, frame(7, FOUND)[:8]),
        (CLIENT, frame(7, FOUND)[8:10]),
        (CLIENT, frame(7, FOUND)[10:]),
    )
    assert (request.client, request.outcome, request.answer_ns) == (7, "answered", 6_000_000)
    assert talk.skipped(GUEST) == 19
    assert talk.skipped(CLIENT) == 22


def test_a_size_that_looks_like_letters_does_not_hide_the_method():
    long = GET[:-2] + b"X-Long: " + b"x" * (0x4747 - len(GET) - 10) + b"\r\n\r\n"
    assert len(long) == 0x4747
    talk = WebdavTalk(complete=False)
    (request,) = fed(talk, (GUEST, b"GG" + frame(0x4747474747474747, long)))
    assert (request.client, request.request_bytes) == (0x4747474747474747, 0x4747)


@pytest.mark.parametrize("side", list(Side))
def test_missing_bytes_make_what_is_open_unknown(side):
    talk = WebdavTalk()
    assert not fed(talk, (GUEST, frame(1, GET)), (CLIENT, frame(1, FOUND[:10])), finish=False)
    (request,) = talk.lost(side)
    assert request.outcome == "unknown"
    (request,) = fed(talk, (GUEST, frame(2, GET)), (CLIENT, frame(2, FOUND)))
    assert (request.client, request.outcome) == (2, "answered")


def test_what_is_no_http_is_a_defect():
    defects = DefectLog()
    talk = WebdavTalk(defects=defects, where="webdav/0")
    (request,) = fed(talk, (GUEST, frame(1, GET)), (CLIENT, frame(1, b"nonsense\r\n")))
    assert request.outcome == "unknown"
    assert [(d.kind, d.where, d.time_ns) for d in defects.kept] == [
        ("webdav_malformed", "webdav/0 from client", 2_000_000)
    ]


def test_connections_and_requests_are_limited():
    defects = DefectLog()
    talk = WebdavTalk(Limits(webdav_clients=2, webdav_pending=3), defects)
    requests = fed(talk, (GUEST, b"".join(frame(i, GET) for i in range(4)) + frame(0, GET * 5)))
    assert len(requests) == 4
    assert {d.kind for d in defects.kept} == {"over_limit"}


@given(st.lists(st.tuples(st.sampled_from(list(Side)), st.binary(max_size=120)), max_size=12), st.booleans())
def test_noise_is_no_error(said, complete):
    talk = WebdavTalk(complete=complete)
    fed(talk, *said)
    for side in Side:
        assert talk.skipped(side) <= sum(len(data) for s, data in said if s is side)
