"""Stories of connections: what was sent again, who had no room, how long the way is."""

import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.pcapfile import (
    ACK,
    CLIENT,
    FIN,
    RST,
    SERVER,
    SYN,
    Frame,
    ethernet,
    ip_packet,
    pcap_bytes,
    tcp_segment,
)

from spicereplay.bytestream import DirectionFacts, SegmentEvent
from spicereplay.capture import read_connections
from spicereplay.capture._kernels import tcp_analysis as kernel
from spicereplay.capture.container import map_bytes
from spicereplay.defects import DefectKind
from spicereplay.limits import Limits

MS = 1_000_000
MSS = bytes.fromhex("020405b4")
"""Option: 1,460 bytes."""
SHIFT_2 = bytes.fromhex("01030302")
"""Option: windows count in units of 4."""


def frame(at_ms: float, server: bool, sequence: int, payload: bytes = b"", **options: Any) -> Frame:
    source, destination = (SERVER, CLIENT) if server else (CLIENT, SERVER)
    segment = tcp_segment(payload, sequence=sequence, from_server=server, **options)
    packet = ip_packet(segment, source=source[0], destination=destination[0])
    return Frame(ethernet(packet), 10**18 + round(at_ms * MS))


def says(at_ms: float, sequence: int, payload: bytes = b"", **options: Any) -> Frame:
    """A segment from the client; numbers begin at 1001 and 5001."""
    return frame(at_ms, False, sequence, payload, **{"acknowledgement": 5001, **options})


def answers(at_ms: float, sequence: int = 5001, payload: bytes = b"", **options: Any) -> Frame:
    """A segment from the server."""
    return frame(at_ms, True, sequence, payload, **{"acknowledgement": 1001, **options})


def handshake(client: bytes = MSS + SHIFT_2, server: bytes = MSS + SHIFT_2) -> list[Frame]:
    """A handshake of 30 ms: 20 to the server and back, 10 to the client and back."""
    return [
        says(0, 1000, flags=SYN, acknowledgement=0, options=client),
        answers(20, 5000, flags=SYN | ACK, options=server),
        says(30, 1001, window=1000),
    ]


def facts_of(frames: list[Frame], limits: Limits = Limits()) -> tuple[DirectionFacts, DirectionFacts]:  # noqa: B008
    with read_connections(map_bytes(pcap_bytes(frames, nanoseconds=True)), limits=limits) as capture:
        (connection,) = capture.connections
        return connection.facts


def events(facts: DirectionFacts) -> list[tuple[str, float, int, int]]:
    """Return kind, milliseconds, position and count."""
    names = [str(kind) for kind in SegmentEvent]
    found = facts.events
    columns = (found.kind.tolist(), found.time_ns.tolist(), found.position.tolist(), found.count.tolist())
    return [
        (names[kind], (time_ns - 10**18) / MS, position, count)
        for kind, time_ns, position, count in zip(*columns, strict=True)
    ]


def test_the_kernel_numbers_kinds_as_the_enumeration_does() -> None:
    assert len(kernel.Event) == len(SegmentEvent)
    facts, _ = facts_of(
        [*handshake(), says(40, 1001, b"ab"), says(90, 1001, b"ab"), says(91, 1003, flags=RST)]
    )
    assert [kind for kind, *_ in events(facts)] == ["retransmission", "rst"]


# What the SYNs say.


def test_the_handshake_is_measured_in_its_two_parts() -> None:
    client, server = facts_of(handshake())
    assert (client.syn_round_trip_ns, server.syn_round_trip_ns) == (20 * MS, 10 * MS)
    assert (client.mss, client.window_scale, server.window_scale) == (1460, 2, 2)


def test_a_syn_sent_twice_measures_nothing() -> None:
    client, server = facts_of([says(-9, 1000, flags=SYN, acknowledgement=0), *handshake()])
    assert client.syn_round_trip_ns is None
    assert server.syn_round_trip_ns == 10 * MS
    assert client.retransmitted_segments == 1


@pytest.mark.parametrize(
    ("client", "server", "scales", "mss"),
    [
        (MSS, MSS + SHIFT_2, (0, 0), 1460),
        (MSS + SHIFT_2, b"", (0, 0), 1460),
        (b"\x01\x01\x03\x03\x3f" + MSS, SHIFT_2, (14, 2), 1460),
        (b"\x00" + MSS + SHIFT_2, SHIFT_2, (0, 0), None),
        (b"\x03\x09\x02" + MSS, SHIFT_2, (0, 0), None),
        (b"\x05\x00" + MSS, SHIFT_2, (0, 0), None),
    ],
    ids=["one offers", "the other offers", "more than 14", "after the end", "over the end", "no length"],
)
def test_windows_are_scaled_only_where_both_offer_it(
    client: bytes, server: bytes, scales: tuple[int, int], mss: int | None
) -> None:
    found = facts_of(handshake(client, server))
    assert (found[0].window_scale, found[1].window_scale) == scales
    assert found[0].mss == mss


def test_options_that_were_not_captured_are_not_read() -> None:
    first, *rest = handshake()
    cut = Frame(first.data[:54], first.time_ns, wire=len(first.data))
    client, server = facts_of([cut, *rest])
    assert (client.mss, client.window_scale) == (None, None)
    assert server.window_scale == 2, "an answer offers only what the SYN did"


def test_without_the_syns_windows_are_not_known() -> None:
    client, server = facts_of(
        [says(0, 1, b"a" * 10, window=10), answers(1, 5001, b"b" * 10, acknowledgement=11)]
    )
    for facts in (client, server):
        assert facts.mss is facts.window_scale is facts.window_full is facts.window_stalls is None
        assert facts.window_stalled_ns is facts.syn_round_trip_ns is None


# What was sent again, or overtaken.


def test_a_retransmission_after_a_timeout() -> None:
    client, _ = facts_of([*handshake(), says(40, 1001, b"abcd"), says(240, 1001, b"abcd")])
    assert events(client) == [("retransmission", 240.0, 0, 1)]
    assert (client.retransmitted_segments, client.retransmitted_bytes) == (1, 4)


def test_a_retransmission_whose_first_copy_was_lost_before_the_capture() -> None:
    client, _ = facts_of([*handshake(), says(40, 1005, b"efgh"), says(240, 1001, b"abcd")])
    assert events(client) == [("retransmission", 240.0, 0, 1)]
    assert client.retransmitted_bytes == 0


def test_three_duplicate_acks_ask_for_a_fast_one() -> None:
    frames = [
        *handshake(),
        says(40, 1001, b"abcd"),
        says(41, 1005, b"efgh"),
    ]
    frames += [answers(61 + i, acknowledgement=1001) for i in range(3)]
    client, server = facts_of([*frames, says(65, 1001, b"abcd")])
    assert events(client) == [("fast_retransmission", 65.0, 0, 1)]
    assert (client.retransmitted_segments, client.fast_retransmissions) == (1, 1)
    assert server.duplicate_acks == 3
    assert events(server) == [("duplicate_ack", 61.0, 0, 3)]


def test_one_that_had_been_acknowledged_is_spurious() -> None:
    frames = [says(40, 1001, b"abcd"), answers(50, acknowledgement=1005), says(60, 1001, b"abcd")]
    client, _ = facts_of([*handshake(), *frames])
    assert events(client) == [("spurious_retransmission", 60.0, 0, 1)]


@pytest.mark.parametrize(
    ("later_ms", "kind"),
    [(29.0, "out_of_order"), (31.0, "retransmission")],
    ids=["soon", "after a round trip"],
)
def test_what_is_overtaken_comes_within_a_round_trip(later_ms: float, kind: str) -> None:
    client, _ = facts_of([*handshake(), says(40, 1005, b"efgh"), says(40 + later_ms, 1001, b"abcd")])
    assert [event[0] for event in events(client)] == [kind]
    assert client.out_of_order == (kind == "out_of_order")


def test_what_was_seen_before_was_not_overtaken() -> None:
    client, _ = facts_of([*handshake(), says(40, 1001, b"ab"), says(41, 1003, b"cd"), says(42, 1001, b"ab")])
    assert [event[0] for event in events(client)] == ["retransmission"]


def test_a_fin_and_a_syn_can_be_sent_again_too() -> None:
    fin = {"flags": FIN | ACK}
    client, server = facts_of(
        [*handshake(), answers(31, 5000, flags=SYN | ACK), says(40, 1001, **fin), says(90, 1001, **fin)]
    )
    assert (client.retransmitted_segments, server.retransmitted_segments) == (1, 1)


def test_after_a_probe_of_a_closed_window_nothing_is_sent_again() -> None:
    frames = [
        answers(31, window=0),
        says(200, 1001, b"a"),
        answers(210, acknowledgement=1002, window=500),
        says(211, 1002, b"bc"),
    ]
    client, _ = facts_of([*handshake(), *frames])
    assert (client.zero_window_probes, client.retransmitted_segments, client.keep_alives) == (1, 0, 0)
    assert client.payload_bytes == 3


# Round trips.


def test_round_trips_run_to_the_ack_of_the_last_segment_it_covers() -> None:
    frames = [says(40, 1001, b"a"), says(50, 1002, b"b"), answers(75, acknowledgement=1003)]
    frames += [answers(80, 5001, b"xy", acknowledgement=1003), says(81, 1003, acknowledgement=5003)]
    client, server = facts_of([*handshake(), *frames])
    assert client.round_trips_ns.tolist() == [25 * MS]
    assert server.round_trips_ns.tolist() == [1 * MS]


def test_an_ack_within_a_segment_is_of_the_one_before() -> None:
    frames = [says(40, 1001, b"ab"), says(41, 1003, b"cdef"), answers(60, acknowledgement=1005)]
    client, _ = facts_of([*handshake(), *frames, answers(70, acknowledgement=1007)])
    assert client.round_trips_ns.tolist() == [20 * MS, 29 * MS]


def test_what_was_sent_twice_gives_no_round_trip() -> None:
    frames = [says(40, 1001, b"ab"), says(240, 1001, b"ab"), answers(250, acknowledgement=1003)]
    frames += [says(260, 1003, b"cd"), answers(285, acknowledgement=1005)]
    client, _ = facts_of([*handshake(), *frames])
    assert client.round_trips_ns.tolist() == [25 * MS]


def test_more_segments_on_the_way_than_are_remembered() -> None:
    count = 2 * kernel.WAITING + 5
    frames = [says(40 + i * 0.001, 1001 + i, b"x") for i in range(count)]
    client, _ = facts_of([*handshake(), *frames, answers(500, acknowledgement=1001 + count)])
    assert len(client.round_trips_ns) == 1


# Windows.


def test_a_segment_that_fills_the_window_stalls_its_side() -> None:
    """The client's window of 1,000 counts fours; the server fills it and waits 50 ms."""
    frames = [
        answers(40, 5001, b"x" * 3000),
        answers(41, 8001, b"x" * 1000),
        says(91, 1001, acknowledgement=9001, window=1000),
        answers(92, 9001, b"y"),
    ]
    client, server = facts_of([*handshake(), *frames])
    assert (server.window_full, server.window_stalls, server.window_stalled_ns) == (1, 1, 50 * MS)
    assert server.stalls.window.tolist() == [4000]
    assert server.stalls.zero.tolist() == [False]
    assert client.window_full == 0


def test_a_window_of_zero_ends_with_the_ack_that_opens_it() -> None:
    frames = [
        answers(40, 5001, b"x" * 100),
        says(50, 1001, acknowledgement=5101, window=0),
        says(60, 1001, acknowledgement=5101, window=0),
        says(850, 1001, acknowledgement=5101, window=500),
        answers(900, 5101, b"y"),
    ]
    client, server = facts_of([*handshake(), *frames])
    assert (client.zero_windows, client.window_updates) == (2, 1)
    assert events(client) == [("zero_window", 50.0, 100, 2)]
    stalls = server.stalls
    assert ((stalls.end_ns - stalls.start_ns) / MS).tolist() == [800.0]
    assert (stalls.window.tolist(), stalls.zero.tolist()) == ([0], [True])


def test_a_stall_that_nothing_ends() -> None:
    frames = [says(50, 1001, window=0), answers(700, 5001, b"x")]
    _, server = facts_of([*handshake(), *frames])
    assert server.stalls.end_ns.tolist() == [-1]
    assert server.window_stalled_ns == 650 * MS
    assert server.zero_window_probes == 1


def test_zero_windows_are_seen_without_a_scale_too() -> None:
    frames = [answers(0, 5001, b"x"), says(1, 1, acknowledgement=5002, window=0)]
    server, client = facts_of([*frames, says(301, 1, acknowledgement=5002, window=7)])
    assert client.zero_windows == 1
    assert server.window_stalls is None, "full ones could not be seen"
    assert ((server.stalls.end_ns - server.stalls.start_ns) / MS).tolist() == [300.0]


def test_an_old_ack_does_not_move_the_window() -> None:
    frames = [
        answers(40, 5001, b"x" * 3000),
        says(50, 1001, acknowledgement=8001, window=250),
        says(51, 1001, acknowledgement=5001, window=1000),
        answers(60, 8001, b"x" * 1000),
    ]
    _, server = facts_of([*handshake(), *frames])
    assert server.window_full == 1


# Bounds.


def test_events_over_the_limit_are_counted_and_not_listed() -> None:
    frames = [*handshake(), says(40, 1001, b"ab")] + [says(100 * i, 1001, b"ab") for i in range(1, 9)]
    data = map_bytes(pcap_bytes(frames, nanoseconds=True))
    with read_connections(data, limits=Limits(tcp_events=3)) as capture:
        facts = capture.connections[0].facts[0]
        assert (facts.retransmitted_segments, len(facts.events.kind)) == (8, 3)
        (defect,) = capture.defects
        assert defect.kind == DefectKind.OVER_LIMIT
        assert "5 are counted but not listed" in defect.detail


def test_more_holes_than_are_remembered() -> None:
    frames = [says(40 + i, 1001 + 20 * i, b"0123456789") for i in range(600)]
    again = [says(2000 + i, 1011 + 20 * i, b"0123456789") for i in range(590)]
    client, _ = facts_of([*handshake(), *frames, *again])
    assert client.retransmitted_segments == 590
    assert client.retransmitted_bytes == 0


def test_the_kernel_refuses_what_does_not_fit() -> None:
    one = np.zeros(1, np.int64)
    with pytest.raises(ValueError, match="to unpack"):
        kernel.analyse(
            b"", b"", one, np.zeros(2, np.int64), one, one.astype(np.uint8), one.astype(np.uint32),
            one.astype(np.uint32), one.astype(np.uint8), one.astype(np.uint16), one.astype(np.uint8), one,
            one.astype(np.int32), one, np.zeros((1, 2), np.int64), one.reshape(1, 1), one.reshape(1, 1), 1,
            np.zeros((1, 2, kernel.Measure.MEASURES), np.int64), one.astype(np.float32), np.zeros(2, np.int64), (),
            np.zeros(2, np.int64), (),
        )  # fmt: skip


# Whatever happens on the way.


@settings(max_examples=150)
@given(st.randoms(use_true_random=False), st.integers(5, 60), st.booleans())
def test_any_disorder_keeps_the_sums(rng: random.Random, count: int, syn: bool) -> None:
    """Segments shuffled, sent twice, dropped, with any window and acknowledgement: nothing raises, sums agree."""
    frames = handshake() if syn else []
    for _ in range(count):
        server = rng.random() < 0.5
        base, other = (5001, 1001) if server else (1001, 5001)
        frames.append(
            frame(
                0,
                server,
                base + rng.choice([0, 0, 1, 4, 8, 40, 2**31, -1, rng.randrange(2**32)]),
                rng.randbytes(rng.choice([0, 0, 1, 4, 8, 1000])),
                acknowledgement=other + rng.choice([0, 4, 8, -5, rng.randrange(2**32)]),
                window=rng.choice([0, 1, 8, 65_535]),
                flags=rng.choice([ACK, ACK, ACK, ACK, ACK | FIN, 0, RST, SYN, SYN | ACK]),
                options=rng.choice([b"", MSS + SHIFT_2, rng.randbytes(12)]),
            )
        )
    rng.shuffle(frames)
    stamped = [Frame(f.data, 10**18 + i * rng.choice([-MS, 0, MS, 50 * MS])) for i, f in enumerate(frames)]
    with read_connections(map_bytes(pcap_bytes(stamped, nanoseconds=True))) as capture:
        for connection in capture.connections:
            for facts in connection.facts:
                names = [str(kind) for kind in SegmentEvent]
                sums = dict.fromkeys(names, 0)
                for kind, n in zip(facts.events.kind.tolist(), facts.events.count.tolist(), strict=True):
                    sums[names[kind]] += n
                again = sum(sums[f"{how}retransmission"] for how in ("", "fast_", "spurious_"))
                assert again == facts.retransmitted_segments
                assert sums["out_of_order"] == facts.out_of_order
                assert sums["duplicate_ack"] == facts.duplicate_acks
                assert sums["zero_window"] == facts.zero_windows
                assert sums["keep_alive"] == facts.keep_alives
                assert sums["zero_window_probe"] == facts.zero_window_probes
                assert sums["rst"] == facts.resets
                assert facts.window_full in (None, sums["window_full"])
                assert facts.window_stalls in (None, len(facts.stalls.start_ns))
                assert (facts.round_trips_ns >= 0).all()
                assert 0 <= facts.retransmitted_bytes <= facts.payload_bytes
