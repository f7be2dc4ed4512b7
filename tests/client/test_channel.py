"""What a client answers on every channel: acknowledgements, PONGs, and nothing unasked."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spicereplay.client.channel import ChannelClient, Outgoing
from spicereplay.client.options import ClientOptions
from spicereplay.client.shared import Shared
from spicereplay.protocol.enums import ChannelType, ClientCommon, ServerCommon, ServerCursor, Side
from spicereplay.protocol.events import MessageSeen

S = 1_000_000_000


def client(channel: ChannelType = ChannelType.CURSOR) -> ChannelClient:
    return ChannelClient(channel, 0, ClientOptions(), Shared())


def said(kind: int, body: bytes = b"", *, sub: bool = False) -> MessageSeen:
    return MessageSeen(0, Side.SERVER, kind, len(body), 1, sub, False, body)


def set_ack(window: int, generation: int = 1) -> MessageSeen:
    return said(ServerCommon.SET_ACK, struct.pack("<II", generation, window))


def test_a_ping_is_answered_with_its_id_and_stamp_and_without_its_padding() -> None:
    mine = client()
    mine.received(said(ServerCommon.PING, struct.pack("<IQ", 7, 99) + bytes(500)), 5 * S)
    assert mine.take() == [Outgoing(ClientCommon.PONG, struct.pack("<IQ", 7, 99))]
    assert mine.take() == []
    seen = mine.baseline()
    assert (seen.pings, seen.pongs, seen.bytes_in, seen.bytes_out) == (1, 1, 518, 18)
    assert (seen.last_received_ns, seen.last_action) == (5 * S, "sent PONG")


@given(st.integers(1, 50), st.lists(st.booleans(), max_size=200))
def test_every_window_of_messages_is_acknowledged_once(window: int, subs: list[bool]) -> None:
    mine = client()
    mine.received(set_ack(window, 3), 0)
    assert mine.take() == [Outgoing(ClientCommon.ACK_SYNC, struct.pack("<I", 3))]
    for sub in subs:
        mine.received(said(ServerCursor.HIDE, sub=sub), S)
    counted = subs.count(False)
    assert [out.type for out in mine.take()] == [ClientCommon.ACK] * (counted // window)


def test_a_new_window_starts_counting_again() -> None:
    mine = client()
    mine.received(set_ack(3), 0)
    mine.received(said(ServerCursor.HIDE), 0)
    mine.received(set_ack(2, 2), 0)
    mine.take()
    mine.received(said(ServerCursor.HIDE), 0)
    assert mine.take() == []
    mine.received(said(ServerCursor.HIDE), 0)
    assert [out.type for out in mine.take()] == [ClientCommon.ACK]


def test_without_a_window_nothing_is_acknowledged() -> None:
    mine = client()
    for _ in range(100):
        mine.received(said(ServerCursor.HIDE), 0)
    assert mine.take() == []


def test_a_second_set_ack_counts_against_the_window_before() -> None:
    """So spice-gtk does, which counts a message before it looks at it."""
    mine = client()
    for window in (3, 3):
        mine.received(set_ack(window), 0)
        mine.received(said(ServerCursor.HIDE), 0)
        mine.received(said(ServerCursor.HIDE), 0)
    sync = ClientCommon.ACK_SYNC
    assert [out.type for out in mine.take()] == [sync, ClientCommon.ACK, sync]


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 20)), max_size=8))
def test_of_n_messages_after_a_window_w_each_wth_is_acknowledged(windows: list[tuple[int, int]]) -> None:
    mine = client()
    expected = 0
    last = 0
    for i, (window, messages) in enumerate(windows):
        mine.received(set_ack(window, i), 0)
        for _ in range(messages):
            mine.received(said(ServerCursor.HIDE), 0)
        counted = messages + (i + 1 < len(windows))
        expected += counted // window if window else 0
        last = window
    sent = [out.type for out in mine.take()]
    assert sent.count(ClientCommon.ACK) == expected
    assert sent.count(ClientCommon.ACK_SYNC) == len(windows)
    told = mine.baseline()
    assert (told.acks, told.ack_window) == (expected, last)


def test_what_the_baseline_knows_of_acknowledgements() -> None:
    mine = client()
    mine.received(set_ack(2, 9), 0)
    for at in (1, 2, 4, 7, 11, 16):
        mine.received(said(ServerCursor.HIDE), at * S)
    mine.received(said(ServerCursor.HIDE), 17 * S)
    told = mine.baseline()
    assert (told.ack_generation, told.ack_window, told.acks, told.messages) == (9, 2, 3, 8)
    assert (told.messages_at_ack, told.last_ack_ns) == (7, 16 * S)
    assert told.ack_intervals_ns == (5 * S, 9 * S)


def test_what_is_unknown_or_damaged_is_counted() -> None:
    mine = client()
    mine.received(said(900), S)
    mine.received(said(901), S)
    mine.received(said(ServerCursor.INVAL_ONE, b"1"), S)
    told = mine.baseline()
    assert (told.unknown, told.last_unknown, told.errors) == ({900: 1, 901: 1}, 901, 1)
    assert mine.take() == []


@pytest.mark.parametrize(("reason", "shown"), [(0, "OK (0)"), (7, "PERMISSION_DENIED (7)"), (99, "error 99")])
def test_a_server_that_says_goodbye(reason: int, shown: str) -> None:
    mine = client()
    assert mine.disconnecting is None
    mine.received(said(ServerCommon.DISCONNECTING, struct.pack("<QI", 0, reason)), S)
    assert mine.disconnecting == reason
    [notice] = mine.notices()
    assert notice.text == f"the server closes the channel: {shown}"
    assert (notice.source, notice.code, notice.time_ns) == ("cursor/0", "disconnecting", S)
    assert mine.take() == []


@pytest.mark.parametrize(("severity", "shown"), [(0, "INFO"), (2, "ERROR"), (77, "WARN")])
def test_what_the_server_says_is_told(severity: int, shown: str) -> None:
    mine = client()
    body = struct.pack("<QIIII", 0, severity, 2, 42, 2) + b"hi\0"
    mine.received(said(ServerCommon.NOTIFY, body), S)
    (notice,) = mine.notices()
    assert (notice.severity.name, notice.source, notice.text) == (shown, "server", "hi")
    assert (notice.visibility.name, notice.what) == ("HIGH", 42)
    assert mine.notices() == []


@given(st.integers(0, 0xFFFF), st.binary(max_size=64), st.sampled_from(ChannelType))
def test_no_message_of_a_server_raises(kind: int, body: bytes, channel: ChannelType) -> None:
    mine = client(channel)
    mine.received(said(kind, body), S)
    seen = mine.baseline()
    assert seen.received == {kind: 1}
    assert sum(seen.unknown.values()) + seen.errors <= 1


def test_types_that_the_channel_does_not_have_are_told_once_and_counted_on() -> None:
    mine = client()
    for kind in (0, 0, 999, ServerCursor.HIDE):
        mine.received(said(kind), S)
    (notice,) = mine.notices()
    assert (notice.code, notice.channel, notice.time_ns) == ("unknown_message", "cursor", S)
    assert notice.text.startswith(
        "the server has sent 3 messages of type 0, 999; this channel of SPICE has none"
    )
    mine.received(said(998), S)
    mine.waits_for(999, 5, S)
    assert mine.notices() == []
    assert mine.baseline().unknown == {0: 2, 999: 1, 998: 1}


def test_a_message_that_is_waited_for_is_told_if_its_type_is_none() -> None:
    mine = client()
    mine.waits_for(ServerCursor.SET, 100_000, S)
    assert mine.notices() == []
    mine.waits_for(999, 200_000_000, 2 * S)
    (notice,) = mine.notices()
    assert (notice.code, notice.time_ns) == ("unknown_message", 2 * S)
    assert "begins a message of type 999 and 200000000 bytes" in notice.text
    assert notice.text.endswith("nothing else is heard until all of it has come")
