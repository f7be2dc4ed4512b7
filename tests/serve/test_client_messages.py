"""A client's bytes, however they are cut."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from serve.fake_client import framed

from spicereplay.serve.client_messages import HEAD_BYTES, ClientMessage, ClientMessages

MESSAGES = st.lists(st.tuples(st.integers(0, 65535), st.binary(max_size=200)), max_size=8)


@given(MESSAGES, st.booleans(), st.lists(st.integers(0, 2000), max_size=12))
def test_the_cuts_make_no_difference(messages: list[tuple[int, bytes]], mini: bool, cuts: list[int]) -> None:
    data = b"".join(framed(mini, n, kind, body) for n, (kind, body) in enumerate(messages, 1))
    edges = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    reading = ClientMessages(mini)
    got = [m for a, b in pairwise(edges) for m in reading.receive(data[a:b])]
    assert got == [ClientMessage(kind, len(body), body[:HEAD_BYTES]) for kind, body in messages]


@pytest.mark.parametrize("mini", [True, False])
def test_a_message_of_four_gigabytes_is_passed_over_in_little_memory(mini: bool) -> None:
    reading = ClientMessages(mini)
    head = framed(mini, 1, 107)
    at = 2 if mini else 10
    assert list(reading.receive(head[:at] + b"\xff\xff\xff\xff" + head[at + 4 :])) == []
    for _ in range(64):
        assert list(reading.receive(bytes(65536))) == []
    assert len(reading._held) == 0


def test_a_number_that_is_not_there_is_zero() -> None:
    assert ClientMessage(1, 2, b"\x05\x00").word() == 5
    assert ClientMessage(1, 0, b"").word(4) == 0
