"""What ryll's recorder does, against the golden vectors of ryll-formats.md and files made by its rules."""

import pytest
from support.ryllzip import PORTS, Unit, frame, message, record, ring_pcap

from spicereplay.bugreport.rules import (
    SEGMENT_BYTES,
    HoleExplanation,
    channel_of_port,
    explain_hole,
    is_ryll_connection,
    lost_before,
)
from spicereplay.capture.ryll_frames import WRITTEN_BYTES
from spicereplay.protocol.enums import ChannelType, Side
from spicereplay.session.log import GapCause

LOST = GapCause.SEGMENT_OVER_SNAPLEN


def test_the_writer_gives_the_golden_vectors():
    """ryll-formats.md 9.5."""
    first = message(104)
    assert record(1.25, frame("main", "client", 1000, 2000, first)) == bytes.fromhex(
        "00000001 0003d090 0000003c 0000003c 020000000002 020000000001 0800"
        "4500002e00004000400626c80a0000010a000002 2711170c000003e8000007d05010ffffe9f60000 680000000000"
    )
    ping = message(4, bytes.fromhex("07000000 15cd5b07 00000000"))
    assert frame("main", "server", 2000, 1006, ping) == bytes.fromhex(
        "020000000002 020000000001 0800 4500003a00004000400626bc0a0000020a000001"
        "170c2711000007d0000003ee5010ffffca100000 04000c00000007000000 15cd5b0700000000"
    )


@pytest.mark.parametrize(("label", "port"), PORTS.items())
def test_ports(label, port):
    assert channel_of_port(port).label == label


def test_ports_of_channels_that_ryll_may_come_to_record():
    assert channel_of_port(10011) is ChannelType.WEBDAV
    assert [channel_of_port(p) for p in (0, 5900, 10000, 10012, 65535)] == [None] * 5


@pytest.mark.parametrize(
    ("connection", "ryll"),
    [
        (("10.0.0.1", 10002, "10.0.0.2", 5900), True),
        (("10.0.0.1", 10002, "10.0.0.2", 5901), False),
        (("10.0.0.2", 10002, "10.0.0.1", 5900), False),
        (("10.0.0.1", 40000, "10.0.0.2", 5900), False),
    ],
)
def test_connections(connection, ryll):
    assert is_ryll_connection(*connection) is ryll


@pytest.mark.parametrize(
    ("sequence", "side", "lost"),
    [(1000, Side.CLIENT, 0), (2000, Side.SERVER, 0), (2500, Side.SERVER, 500), (999, Side.CLIENT, 2**32 - 1)],
)
def test_what_the_ring_had_dropped(sequence, side, lost):
    assert lost_before(sequence, side) == lost


# --- holes -------------------------------------------------------------------------------------------

UNITS = [
    # (size of the one message, bytes missing, bytes of its tail): ryll-formats.md 9.4
    (65_482, 65_482, 0),
    (65_495, 65_495, 0),
    (65_496, 65_495, 1),
    (130_000, 65_495, 64_505),
    (200_000, 196_485, 3_515),
    (262_144, 261_980, 164),
    (2_246_044, 2_226_830, 19_214),
]


@pytest.mark.parametrize(("size", "missing", "tail"), UNITS)
def test_the_hole_of_one_oversize_message_gives_its_size(size, missing, tail):
    explained = explain_hole(missing, tail or 100, False, next_is_message=not tail)
    assert explained == HoleExplanation(LOST, 1, size)


@pytest.mark.parametrize(("size", "missing", "tail"), UNITS)
def test_the_writer_loses_just_that(size, missing, tail):
    data = ring_pcap([Unit(1.0, "display", "server", bytes(size))])
    assert len(data) == (24 + 16 + 54 + tail if tail else 24)
    assert size == missing + tail


def test_without_a_header_test_a_full_segment_is_a_head():
    assert explain_hole(SEGMENT_BYTES, 77, False) == HoleExplanation(LOST, 1, SEGMENT_BYTES + 77)


def test_several_lost_segments_before_a_message_may_be_any_number_of_messages():
    assert explain_hole(3 * SEGMENT_BYTES, 100, False, next_is_message=True) == HoleExplanation(
        LOST, None, None
    )
    assert explain_hole(2 * WRITTEN_BYTES + 5, 100, False) == HoleExplanation(LOST, None, None)


@pytest.mark.parametrize("length", [1, 1460, WRITTEN_BYTES, SEGMENT_BYTES + 1, 2 * WRITTEN_BYTES, 1_000_000])
def test_holes_that_ryll_does_not_make(length):
    assert explain_hole(length, 100, False) == HoleExplanation(GapCause.NOT_CAPTURED, None, None)


def test_an_empty_record_stands_for_a_message_of_the_size_of_the_hole():
    assert explain_hole(140_571, 100, True) == HoleExplanation(GapCause.OVERSIZE_PLACEHOLDER, 1, 140_571)


def test_reads_of_a_socket_say_nothing_of_messages():
    explained = explain_hole(4 * SEGMENT_BYTES, 164, False, whole_messages=False)
    assert explained == HoleExplanation(LOST, None, None)
