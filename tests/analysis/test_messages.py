"""The table of messages and its lines."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.observed import ORIGIN_NS, Said, channel, session

from spicereplay.analysis import schema
from spicereplay.analysis.json import to_records
from spicereplay.analysis.messages import (
    MessageColumns,
    message_columns,
    message_json,
    message_texts,
    messages,
    on_channel,
)
from spicereplay.errors import UsageError
from spicereplay.protocol.enums import ChannelType


def message_lines(columns: MessageColumns) -> list[str]:
    return b"".join(bytes(block) for block in message_json(columns)).decode().splitlines()


TWO = [
    session(
        channel(
            ChannelType.DISPLAY,
            server=[Said(0.5, 304, bytes(50)), Said(2, 8, bytes(9)), Said(2, 105, bytes(3), sub=True)],
            client=[Said(0.5, 2), Said(3, 777, bytes(1), partial=True)],
        ),
        channel(ChannelType.MAIN, server=[Said(1, 4, bytes(12))]),
    ),
    session(channel(ChannelType.DISPLAY, server=[Said(0.1, 122)], channel_id=3), number=1),
]


def test_rows_are_in_order_of_time_and_the_server_comes_first_at_one_time():
    frame = messages(TWO, ORIGIN_NS)
    assert frame["time_s"].tolist() == [0.1, 0.5, 0.5, 1.0, 2.0, 2.0, 3.0]
    assert frame["name"].tolist() == [
        "STREAM_CREATE",
        "DRAW_COPY",
        "ACK",
        "PING",
        "LIST",
        "INVAL_LIST",
        "UNKNOWN_777",
    ]
    assert frame["from"].tolist() == ["server", "server", "client", "server", "server", "server", "client"]
    assert frame["session"].tolist() == [1, 0, 0, 0, 0, 0, 0]
    assert frame["sub"].tolist() == [False] * 5 + [True, False]
    assert frame["partial"].tolist() == [False] * 6 + [True]


def test_the_lines_are_the_records_in_json():
    lines = message_lines(message_columns(TWO, ORIGIN_NS))
    assert [json.loads(line) for line in lines] == list(to_records("messages", messages(TWO, ORIGIN_NS)))


def test_the_keys_come_in_the_order_of_the_contract():
    line = next(iter(message_lines(message_columns(TWO, ORIGIN_NS))))
    assert list(json.loads(line)) == schema.TABLES["messages"].names
    assert "\n" not in line


def test_text_lines_hold_the_same():
    lines = list(message_texts(message_columns(TWO, ORIGIN_NS)))
    assert lines[1].split() == ["0.500000", "0", "display/0", "server", "304", "DRAW_COPY", "50"]
    assert lines[-1].split()[-1] == "partial"


def test_one_channel_alone():
    columns = message_columns(TWO, ORIGIN_NS)
    assert len(on_channel(columns, "display")) == 6
    (line,) = message_lines(on_channel(columns, "display/3"))
    assert json.loads(line)["name"] == "STREAM_CREATE"
    assert not list(message_lines(on_channel(columns, "cursor")))


@pytest.mark.parametrize("name", ["screen", "display/x", "display/", "DISPLAY"])
def test_a_channel_that_spice_has_not(name):
    with pytest.raises(UsageError, match="no SPICE channel"):
        on_channel(message_columns(TWO, ORIGIN_NS), name)


def test_nothing_was_said():
    frame = messages([], ORIGIN_NS)
    assert list(frame.columns) == schema.TABLES["messages"].names
    assert not list(message_lines(message_columns([], ORIGIN_NS)))


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.builds(
            Said,
            at=st.integers(0, 50).map(lambda n: n / 8),
            type=st.sampled_from([3, 4, 122, 123, 304, 65535]),
            body=st.integers(0, 40).map(bytes),
            partial=st.booleans(),
            sub=st.booleans(),
        ),
        max_size=25,
    )
)
def test_lines_and_records_agree_whatever_was_said(said):
    said = sorted(said, key=lambda m: m.at)
    sessions = [session(channel(ChannelType.DISPLAY, server=said, client=said))]
    frame = messages(sessions, ORIGIN_NS)
    assert len(frame) == 2 * len(said)
    lines = message_lines(message_columns(sessions, ORIGIN_NS))
    assert [json.loads(line) for line in lines] == list(to_records("messages", frame))
