import random
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.pcapfile import ACK, CLIENT, FIN, RST, SERVER, SYN, Frame, pcap_bytes, tcp_frame

from spicereplay.bytestream import ByteStream
from spicereplay.capture import Capture, read_connections
from spicereplay.capture._kernels import tcp as kernel
from spicereplay.capture.connection import Connection, Endpoint
from spicereplay.capture.container import map_bytes
from spicereplay.defects import DefectKind
from spicereplay.limits import Limits

MIB = 1 << 20
GIB = 1 << 30


def capture_of(frames: list[Frame]) -> Capture:
    stamped = [Frame(f.data, f.time_ns or 10**9 + i, f.wire) for i, f in enumerate(frames)]
    return read_connections(map_bytes(pcap_bytes(stamped, nanoseconds=True)))


def connection_of(frames: list[Frame]) -> Connection:
    (connection,) = capture_of(frames).connections
    return connection


def whole(stream: ByteStream) -> bytes:
    return stream.read(0, stream.end)


def gaps(stream: ByteStream) -> list[tuple[int, int]]:
    return [gap[:2] for gap in stream.gaps()]


def says(sequence: int, payload: bytes, **options: Any) -> Frame:
    """A segment from the client."""
    return tcp_frame(payload, sequence=sequence, **options)


def answers(sequence: int, payload: bytes = b"", **options: Any) -> Frame:
    """A segment from the server."""
    return tcp_frame(payload, sequence=sequence, from_server=True, **options)


def handshake(client: int = 1000, server: int = 5000, **ports: Any) -> list[Frame]:
    return [
        says(client, b"", flags=SYN, **ports),
        answers(server, flags=SYN | ACK, acknowledgement=client + 1, **ports),
        says(client + 1, b"", acknowledgement=server + 1, **ports),
    ]


# An ordinary connection.


def test_a_whole_connection() -> None:
    frames = [
        *handshake(),
        says(1001, b"hello ", acknowledgement=5001),
        answers(5001, b"good day", acknowledgement=1007),
        says(1007, b"bye", flags=ACK | FIN, acknowledgement=5009),
        answers(5009, flags=ACK | FIN, acknowledgement=1011),
        says(1011, b"", acknowledgement=5010),
    ]
    connection = connection_of(frames)
    assert connection.endpoints == (Endpoint(*CLIENT), Endpoint(*SERVER))
    client, server = connection.streams
    assert (whole(client), whole(server)) == (b"hello bye", b"good day")
    assert (client.first_sequence, server.first_sequence) == (1001, 5001)
    assert client.begins_with_syn
    assert server.begins_with_syn
    assert (client.end_position, server.end_position) == (-1, -1), "an acknowledged FIN is no byte"
    assert client.packet.tolist() == [3, 5]
    assert connection.opener_seen
    assert connection.closed == ("fin", "fin")
    assert connection.closed_time_ns == 10**9 + 5
    assert (connection.first_time_ns, connection.last_time_ns) == (10**9, 10**9 + 7)
    assert [fact.segments for fact in connection.facts] == [2, 1]
    assert not len(connection.defects)


def test_side_0_is_the_opener_even_if_its_packet_came_second() -> None:
    syn, answer, rest = handshake()
    for frames in ([answer, syn, rest], [answer, rest]):
        connection = connection_of([*frames, says(1001, b"x")])
        assert connection.endpoints[0] == Endpoint(*CLIENT)
        assert connection.opener_seen
        assert whole(connection.streams[0]) == b"x"
        assert connection.streams[0].begins_with_syn


def test_without_a_syn_side_0_is_whoever_came_first() -> None:
    connection = connection_of([answers(7, b"ab"), says(3, b"c")])
    assert connection.endpoints[0] == Endpoint(*SERVER)
    assert not connection.opener_seen
    assert [whole(stream) for stream in connection.streams] == [b"ab", b"c"]
    assert not connection.streams[0].begins_with_syn
    assert connection.closed == (None, None)


def test_one_direction_alone() -> None:
    connection = connection_of([says(3 + i, b"x", acknowledgement=100 + 7 * i) for i in range(9)])
    assert whole(connection.streams[0]) == b"x" * 9
    empty = connection.streams[1]
    assert (empty.end, len(empty.position), list(empty.gaps())) == (0, 0, [])


def test_data_in_the_syn() -> None:
    connection = connection_of([says(99, b"early", flags=SYN), says(105, b" bird")])
    assert whole(connection.streams[0]) == b"early bird"


def test_data_that_overtakes_the_syn() -> None:
    connection = connection_of([says(1001, b"abc"), *handshake(), says(1004, b"def")])
    assert whole(connection.streams[0]) == b"abcdef"
    assert connection.streams[0].begins_with_syn


def test_simultaneous_open() -> None:
    frames = [says(10, b"", flags=SYN), answers(20, flags=SYN), says(11, b"a"), answers(21, b"b")]
    connection = connection_of(frames)
    assert [whole(stream) for stream in connection.streams] == [b"a", b"b"]


# Ports used again.


def test_a_new_syn_starts_another_connection() -> None:
    frames = [*handshake(), says(1001, b"one"), *handshake(90_000, 70_000), says(90_001, b"two")]
    first, second = capture_of(frames).connections
    assert (whole(first.streams[0]), whole(second.streams[0])) == (b"one", b"two")


def test_a_syn_sent_again_does_not() -> None:
    syn, answer, rest = handshake()
    connection = connection_of([syn, syn, answer, answer, syn, rest, says(1001, b"x"), syn, answer])
    assert whole(connection.streams[0]) == b"x"


def test_a_syn_after_a_connection_without_one() -> None:
    frames = [answers(500, b"old"), *handshake(), says(1001, b"new")]
    first, second = capture_of(frames).connections
    assert whole(first.streams[0]) == b"old"
    assert whole(second.streams[0]) == b"new"


def test_refused_attempts_are_connections_of_their_own() -> None:
    frames = []
    for attempt in range(3):
        frames += [says(attempt * 777, b"", flags=SYN), answers(0, flags=RST | ACK)]
    connections = capture_of(frames).connections
    assert [c.closed for c in connections] == [(None, "rst")] * 3


def test_connections_over_the_limit_are_left_out() -> None:
    frames = [f for i in range(5) for f in (says(1000 * i, b"", flags=SYN), says(1000 * i + 1, b"ab"))]
    capture = read_connections(map_bytes(pcap_bytes(frames)), limits=Limits(flows=3))
    assert [whole(c.streams[0]) for c in capture.connections] == [b"ab"] * 3
    assert [defect.kind for defect in capture.defects] == [DefectKind.OVER_LIMIT]


def test_connections_come_in_the_order_of_their_first_packets() -> None:
    ports = [{"client": ("192.0.2.1", port)} for port in (3, 1, 2)]
    frames = [says(1, b"", flags=SYN, **p) for p in ports]
    frames += [says(9_000_000, b"", flags=SYN, **ports[0])]
    connections = capture_of(frames).connections
    assert [c.endpoints[0].port for c in connections] == [3, 1, 2, 3]


def test_a_jump_back_that_the_peer_confirms_is_another_connection() -> None:
    far = 3 * GIB // 2
    frames = [says(3 * GIB + i, b"x", acknowledgement=7) for i in range(3)]
    frames += [f for i in range(3) for f in (says(far + i, b"y"), answers(7, acknowledgement=far + i + 1))]
    first, second = capture_of(frames).connections
    assert (whole(first.streams[0]), whole(second.streams[0])) == (b"xxx", b"yyy")


# Loss, repetition, disorder.


def test_lost_segments_are_holes() -> None:
    connection = connection_of([*handshake(), says(1011, b"b" * 10), says(1031, b"d" * 10)])
    stream = connection.streams[0]
    assert gaps(stream) == [(0, 10), (20, 10)]
    assert list(stream.gaps())[1][2] == 10**9 + 4


def test_what_the_peer_acknowledges_existed() -> None:
    stream = connection_of([says(0, b"ab"), answers(9, acknowledgement=50)]).streams[0]
    assert (stream.end, gaps(stream)) == (50, [(2, 48)])


def test_a_fin_tells_the_end() -> None:
    stream = connection_of(
        [says(0, b"ab"), says(30, b"", flags=FIN | ACK), answers(9, acknowledgement=31)]
    ).streams[0]
    assert (stream.end, gaps(stream)) == (30, [(2, 28)])


def test_an_acknowledged_fin_that_was_not_captured_is_no_byte() -> None:
    stream = connection_of([says(0, b"ab"), answers(9, acknowledgement=3)]).streams[0]
    assert stream.end == 2


def test_retransmissions() -> None:
    connection = connection_of([says(0, b"abcd"), says(4, b"efgh"), says(0, b"abcd"), says(2, b"cdefghij")])
    assert whole(connection.streams[0]) == b"abcdefghij"
    facts = connection.facts[0]
    assert (facts.retransmitted_bytes, facts.out_of_order, facts.conflicts) == (10, 0, 0)
    assert (facts.segments, facts.payload_bytes) == (4, 20)


def test_reordering_delays_what_was_behind() -> None:
    frames = [says(0, b"a"), says(2, b"c"), says(3, b"d"), says(1, b"b"), says(4, b"e")]
    connection = connection_of(frames)
    stream = connection.streams[0]
    assert whole(stream) == b"abcde"
    assert (stream.time_ns - 10**9).tolist() == [0, 3, 3, 3, 4]
    assert stream.packet.tolist() == [0, 3, 1, 2, 4]
    assert connection.facts[0].out_of_order == 1
    assert connection.facts[0].retransmitted_bytes == 0


def test_the_begin_may_be_out_of_order_too() -> None:
    stream = connection_of([says(20, b"c" * 10), says(10, b"b" * 10), says(0, b"a" * 10)]).streams[0]
    assert whole(stream) == b"a" * 10 + b"b" * 10 + b"c" * 10
    assert stream.first_sequence == 0


def test_bytes_from_before_the_begin_are_cut() -> None:
    frames = [*handshake(), says(1001, b"abc"), says(991, b"x" * 10 + b"abcd"), says(900, b"y" * 5)]
    connection = connection_of(frames)
    assert whole(connection.streams[0]) == b"abcd"
    assert connection.facts[0].retransmitted_bytes == 3


def test_of_conflicting_retransmissions_the_first_counts() -> None:
    frames = [says(0, b"first!"), says(6, b" more"), says(3, b"stX more and"), says(0, b"first!")]
    connection = connection_of(frames)
    assert whole(connection.streams[0]) == b"first! more and"
    (defect,) = connection.defects
    assert defect.kind == DefectKind.RETRANSMISSION_CONFLICT
    assert (defect.position, defect.time_ns) == (5, 10**9 + 2)
    assert connection.facts[0].conflicts == 1
    assert "192.0.2.1:40000 → 192.0.2.2:5900" in defect.where


def test_keep_alives_are_not_retransmissions() -> None:
    frames = [*handshake(), says(1001, b"abc"), says(1003, b"\0"), says(1003, b""), says(1004, b"d")]
    connection = connection_of(frames)
    assert whole(connection.streams[0]) == b"abcd"
    facts = connection.facts[0]
    assert (facts.keep_alives, facts.retransmitted_bytes, facts.conflicts, facts.segments) == (2, 0, 0, 2)


def test_closed_windows_are_counted() -> None:
    frames = [*handshake(), says(1001, b"", window=0), answers(5001, window=0), says(1001, b"", window=0)]
    assert [facts.zero_windows for facts in connection_of(frames).facts] == [2, 1]


def test_the_text_of_a_reset_is_not_of_the_stream() -> None:
    connection = connection_of([says(0, b"ab"), says(2, b"go away", flags=RST | ACK)])
    assert whole(connection.streams[0]) == b"ab"
    assert connection.closed == ("rst", None)


# Sequence numbers.


@pytest.mark.parametrize("first", [0, 1, 2**31 - 50, 2**32 - 1, 2**32 - 50])
def test_sequence_numbers_wrap(first: int) -> None:
    frames = [says(first + 20 * i, bytes([i]) * 20) for i in range(10)]
    connection = connection_of(frames)
    assert whole(connection.streams[0]) == b"".join(bytes([i]) * 20 for i in range(10))
    assert connection.facts[0].sequence_wraps == (first + 199) >> 32
    assert connection.streams[0].first_sequence == first


def test_positions_go_on_past_four_gigabytes() -> None:
    step = 600 * MIB
    frames = [says(7 + step * i, b"x") for i in range(10)]
    connection = connection_of(frames)
    assert connection.streams[0].position.tolist() == [step * i for i in range(10)]
    assert connection.facts[0].sequence_wraps == 1


def test_a_wild_segment_is_left_out() -> None:
    frames = [
        says(0, b"ab"),
        says(2 * GIB - 9, b"garbage"),
        says(2, b"cd"),
        says(3 * GIB, b"more"),
        says(4, b"ef"),
    ]
    connection = connection_of(frames)
    assert whole(connection.streams[0]) == b"abcdef"
    assert [defect.kind for defect in connection.defects] == [DefectKind.PACKET_MALFORMED] * 2


def test_a_wild_segment_at_the_very_begin() -> None:
    connection = connection_of([says(2 * GIB, b"garbage"), *(says(2 * i, b"ab") for i in range(5))])
    assert whole(connection.streams[0]) == b"ab" * 5


@pytest.mark.parametrize("first", ["the acknowledgement", "the segment", "nothing but the next segment"])
def test_a_large_jump_with_evidence_is_a_hole(first: str) -> None:
    far = 1 + 3 * GIB // 2
    acknowledgement = answers(5, acknowledgement=far + 4)
    jump = [says(far, b"wxyz")]
    if first == "the acknowledgement":
        jump.insert(0, acknowledgement)
    elif first == "the segment":
        jump.append(acknowledgement)
    stream = connection_of([says(0, b"a"), says(1, b"b"), *jump, says(far + 4, b"!")]).streams[0]
    assert gaps(stream) == [(2, far - 2)]
    assert stream.captured_bytes == 7


# Placeholders: records without a byte, for messages that were not written.


def test_placeholders_mark_the_hole_around_them() -> None:
    other = ("192.0.2.1", 40_001)
    nothing = Frame(b"", 5)
    frames = [
        nothing,
        says(0, b"aa"),
        nothing,
        nothing,
        answers(50, b"x"),
        says(100, b"bb"),
        says(7, b"", client=other),
        says(7, b"12", client=other),
        says(112, b"cc"),
        nothing,
        answers(51, b"y", acknowledgement=300),
        answers(62, b"z"),
    ]
    first, second = capture_of(frames).connections
    assert first.streams[0].markers.tolist() == [2, 2, 114]
    assert gaps(first.streams[0]) == [(2, 98), (102, 10), (114, 186)]
    assert first.streams[1].markers.tolist() == []
    assert second.streams[0].markers.tolist() == []


def test_a_placeholder_that_fits_two_holes_marks_both() -> None:
    frames = [says(0, b"a"), answers(0, b"b"), Frame(b"", 5), says(10, b"a"), answers(10, b"b")]
    connection = connection_of(frames)
    assert [stream.markers.tolist() for stream in connection.streams] == [[1], [1]]


# Any disorder whatever.


@st.composite
def deliveries(draw: st.DrawFn) -> tuple[int, int, list[tuple[int, int]], bool]:
    """Draw a first sequence number, a length, `(start, stop)` of segments as they arrive, whether a SYN."""
    length = draw(st.integers(1, 400))
    cuts = sorted(draw(st.sets(st.integers(1, length), max_size=12)) | {0, length})
    segments = list(pairwise(cuts))
    again = draw(st.lists(st.tuples(st.integers(0, length - 1), st.integers(1, 60)), max_size=8))
    segments += [(start, min(length, start + size)) for start, size in again]
    order = draw(st.permutations(segments))
    keep = draw(st.lists(st.booleans(), min_size=len(order), max_size=len(order)))
    kept = [segment for segment, there in zip(order, keep, strict=True) if there or draw(st.booleans())]
    return draw(st.integers(0, 2**32 - 1)), length, kept, draw(st.booleans())


@settings(max_examples=300, deadline=None)
@given(deliveries(), st.randoms(use_true_random=False))
def test_any_disorder_gives_the_same_bytes(
    delivery: tuple[int, int, list[tuple[int, int]], bool], rng: random.Random
) -> None:
    first, length, segments, syn = delivery
    content = rng.randbytes(length)
    frames = [says(first - 1, b"", flags=SYN)] if syn else [answers(3)]
    frames += [says(first + start, content[start:stop]) for start, stop in segments]
    stream = connection_of(frames).streams[0 if syn else 1]
    facts = connection_of(frames).facts[0 if syn else 1]

    # The oracle: one byte after the other, the first to bring it keeps it.
    owner = np.full(length, -1)
    top = 0
    keep_alives = 0
    for i, (start, stop) in enumerate(segments):
        base = 0 if syn else min(s for s, _ in segments)
        if stop - start == 1 and start == top - 1 and top > base:
            keep_alives += 1
            continue
        where = owner[start:stop]
        where[where < 0] = i
        top = max(top, stop)
    seen = np.flatnonzero(owner >= 0)
    begin = 0 if syn else int(seen[0]) if len(seen) else 0
    rebuilt = {at + begin + i: b for at, piece in stream.pieces(0, length) for i, b in enumerate(piece)}
    assert rebuilt == {int(i): content[i] for i in seen}
    assert facts.keep_alives == keep_alives
    assert facts.payload_bytes - facts.retransmitted_bytes == len(seen) == stream.captured_bytes
    assert facts.conflicts == 0
    assert (np.diff(stream.time_ns) >= 0).all()
    assert (stream.position[1:] >= stream.position[:-1] + stream.length[:-1]).all()
    if len(seen):
        assert stream.first_sequence == (first + begin) % 2**32
        packets = np.repeat(stream.packet, stream.length)
        assert packets.tolist() == (owner[seen] + 1).tolist()


# The kernels hold their inputs against each other.


def test_kernels_refuse_what_does_not_fit() -> None:
    one, two = np.zeros(1, np.int64), np.zeros(2, np.int64)
    with pytest.raises(ValueError, match="flow out of range"):
        kernel.group_by_flow(np.array([5], np.int32), two, one)
    with pytest.raises(ValueError, match="sorted and not empty"):
        kernel.overlay(one, one, one, one, two, two, two)
    with pytest.raises(ValueError, match="two pieces"):
        kernel.overlay(one, one + 1, one, one, one, two, two)
    with pytest.raises(ValueError, match="column is too short"):
        kernel.compare(b"", b"", one, one[:0], one, 0, two, two, two, 0, 1, 0, one, one)
    with pytest.raises(ValueError, match="range of segments"):
        kernel.compare(b"ab", b"", one, one + 1, one, 0, two, two, two, 0, 2, 0, one, one)
    assert kernel.compare(b"ab", b"", one, one + 3, one, 0, two, two, two, 0, 1, 0, one, one) == -1
