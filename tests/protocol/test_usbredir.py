"""usbredir packets out of a byte stream that comes in any pieces."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spicereplay.defects import DefectKind, DefectLog
from spicereplay.limits import Limits
from spicereplay.protocol.enums import Side
from spicereplay.protocol.usbredir import CAP_64BITS_IDS, UsbPacketType, UsbredirTalk, UsbStatus

T = UsbPacketType
GUEST, HOST = Side.SERVER, Side.CLIENT


def packet(type_, identity=0, body=b"", wide=True):
    form = "<IIQ" if wide and type_ != T.HELLO else "<III"
    return struct.pack(form, type_, len(body), identity) + body


def hello(wide=True, words=1):
    caps = (1 << CAP_64BITS_IDS if wide else 0).to_bytes(4, "little") + bytes(4 * (words - 1))
    return packet(T.HELLO, body=b"test 1.0".ljust(64, b"\0") + caps)


def control(identity, status=0, data=b"", wide=True, length=None):
    head = struct.pack("<BBBBHHH", 0x80, 6, 0, status, 0x100, 0, len(data) if length is None else length)
    return packet(T.CONTROL_PACKET, identity, head + data, wide)


def bulk(identity, endpoint, status=0, data=b"", wide=True, length=None):
    size = len(data) if length is None else length
    head = struct.pack("<BBHIH", endpoint, status, size & 0xFFFF, 0, size >> 16)
    return packet(T.BULK_PACKET, identity, head + data, wide)


def interrupt(identity, endpoint, data=b"x", wide=True):
    return packet(T.INTERRUPT_PACKET, identity, struct.pack("<BBH", endpoint, 0, len(data)) + data, wide)


def fed(talk, *said):
    """Feed `(side, bytes)` at 1, 2, 3 … ns and return the packets."""
    return [p for at, (side, data) in enumerate(said, 1) for p in talk.feed(side, data, at)]


def names(packets):
    return [(str(p.side), p.name, p.id) for p in packets]


@pytest.mark.parametrize("wide", [True, False])
def test_a_device_is_plugged_in_and_asked(wide):
    talk = UsbredirTalk()
    found = fed(
        talk,
        (GUEST, hello(wide)),
        (HOST, hello()),
        (HOST, packet(T.EP_INFO, 0, bytes(96), wide) + packet(T.INTERFACE_INFO, 0, bytes(132), wide)),
        (HOST, packet(T.DEVICE_CONNECT, 0, bytes(10), wide)),
        (GUEST, control(7, wide=wide, length=18)),
        (HOST, control(7, data=bytes(18), wide=wide)),
        (GUEST, bulk(8, 0x02, data=bytes(512), wide=wide)),
        (HOST, bulk(8, 0x02, UsbStatus.STALL, wide=wide, length=0)),
    )
    assert names(found) == [
        ("server", "hello", 0),
        ("client", "hello", 0),
        ("client", "ep_info", 0),
        ("client", "interface_info", 0),
        ("client", "device_connect", 0),
        ("server", "control_packet", 7),
        ("client", "control_packet", 7),
        ("server", "bulk_packet", 8),
        ("client", "bulk_packet", 8),
    ]
    assert [p.status for p in found[5:]] == [None, 0, None, UsbStatus.STALL]
    assert [p.endpoint for p in found[5:]] == [0x80, 0x80, 2, 2]
    assert not talk.defects.kept
    assert talk.skipped(GUEST) == talk.skipped(HOST) == 0
    head = 16 if wide else 12
    assert found[6].size == head + 10 + 18


def test_ids_are_64_bits_wide_only_if_both_say_so():
    talk = UsbredirTalk()
    found = fed(
        talk,
        (GUEST, hello(True)),
        (HOST, hello(False)),
        (GUEST, packet(T.RESET, 5, wide=False) + packet(T.GET_CONFIGURATION, 6, wide=False)),
    )
    assert names(found)[2:] == [("server", "reset", 5), ("server", "get_configuration", 6)]


def test_a_second_hello_in_the_same_stream_has_narrow_ids_too():
    talk = UsbredirTalk()
    found = fed(
        talk,
        (GUEST, hello()),
        (HOST, hello()),
        (HOST, packet(T.DEVICE_DISCONNECT)),
        (GUEST, packet(T.DEVICE_DISCONNECT_ACK) + hello(words=2) + packet(T.RESET, 1)),
    )
    assert names(found)[3:] == [
        ("server", "device_disconnect_ack", 0),
        ("server", "hello", 0),
        ("server", "reset", 1),
    ]


SAID = [
    (GUEST, hello()),
    (HOST, hello()),
    (HOST, packet(T.EP_INFO, 0, bytes(288))),
    (GUEST, control(1, data=b"secret" * 20)),
    (HOST, control(1, length=120)),
    (HOST, interrupt(0, 0x81, b"keys") + interrupt(1, 0x81, b"keys")),
    (GUEST, packet(T.CANCEL_DATA_PACKET, 3) + bulk(4, 1, data=bytes(3000))),
    (HOST, bulk(4, 1, UsbStatus.CANCELLED, length=0)),
]


@given(st.lists(st.integers(1, 400), min_size=1, max_size=60))
def test_pieces_do_not_matter(cuts):
    whole = [(p.side, p.type, p.id, p.size, p.endpoint, p.status) for p in fed(UsbredirTalk(), *SAID)]
    talk, got, turn = UsbredirTalk(), [], 0
    for side, data in SAID:
        while data:
            size = cuts[turn % len(cuts)]
            got += [
                (p.side, p.type, p.id, p.size, p.endpoint, p.status)
                for p in talk.feed(side, data[:size], turn)
            ]
            data = data[size:]
            turn += 1
    assert got == whole


def test_a_packet_lasts_from_its_first_to_its_last_byte():
    talk = UsbredirTalk()
    fed(talk, (GUEST, hello()), (HOST, hello()))
    data = bulk(9, 2, data=bytes(100))
    assert not list(talk.feed(GUEST, data[:5], 100))
    assert not list(talk.feed(GUEST, data[5:60], 200))
    (whole,) = talk.feed(GUEST, data[60:] + packet(T.RESET, 1)[:4], 300)
    assert (whole.start_ns, whole.end_ns) == (100, 300)
    (reset,) = talk.feed(GUEST, packet(T.RESET, 1)[4:], 400)
    assert (reset.start_ns, reset.end_ns) == (300, 400)


# --- beginning in the middle ------------------------------------------------------------------------------


@pytest.mark.parametrize("wide", [True, False])
def test_a_stream_that_begins_in_the_middle_is_read_from_the_next_packet(wide):
    talk = UsbredirTalk(complete=False)
    found = fed(
        talk,
        (HOST, b"\x9c\x01the rest of a packet"),
        (GUEST, control(70, wide=wide, length=8)),
        (HOST, control(70, data=bytes(8), wide=wide)),
        (HOST, bulk(71, 0x81, data=b"\xff" * 500, wide=wide)[:200]),
        (HOST, bulk(71, 0x81, data=b"\xff" * 500, wide=wide)[200:]),
    )
    assert names(found) == [
        ("server", "control_packet", 70),
        ("client", "control_packet", 70),
        ("client", "bulk_packet", 71),
    ]
    assert talk.skipped(HOST) == 22
    assert talk.skipped(GUEST) == 0


def test_what_was_learned_of_one_packet_may_be_unlearned():
    talk = UsbredirTalk(complete=False)
    found = fed(
        talk,
        (GUEST, packet(T.RESET, 0, wide=True)),
        (HOST, control(2, data=b"abc", wide=False)),
        (GUEST, packet(T.RESET, 5, wide=False)),
    )
    assert names(found)[1:] == [("client", "control_packet", 2), ("server", "reset", 5)]


def test_missing_bytes_cost_what_they_held():
    talk = UsbredirTalk()
    fed(talk, (GUEST, hello()), (HOST, hello()))
    assert not fed(talk, (GUEST, bulk(1, 2, data=bytes(100))[:50]))
    talk.lost(GUEST)
    found = fed(talk, (GUEST, bytes(20)), (GUEST, packet(T.RESET, 3)), (HOST, packet(T.DEVICE_DISCONNECT)))
    assert names(found) == [("server", "reset", 3), ("client", "device_disconnect", 0)]
    assert talk.skipped(GUEST) == 50 + 20
    assert not talk.defects.kept


@pytest.mark.parametrize(
    "bad",
    [
        packet(99),
        packet(T.RESET, body=b"x"),
        packet(T.DEVICE_CONNECT, body=bytes(10)),  # only the device's end says that
        packet(T.CONTROL_PACKET, body=bytes(9)),
        packet(T.BULK_PACKET, body=bytes(2000)),
    ],
)
def test_what_cannot_be_a_packet_is_a_defect(bad):
    defects = DefectLog()
    talk = UsbredirTalk(Limits(usbredir_packet_bytes=1999), defects, "usbredir/0")
    fed(talk, (GUEST, hello()), (HOST, hello()))
    found = fed(talk, (GUEST, bad + packet(T.RESET, 1)), (GUEST, packet(T.RESET, 2)))
    assert names(found) == [("server", "reset", 2)]
    assert talk.skipped(GUEST) == len(bad) + 16
    assert [(d.kind, d.where) for d in defects.kept] == [
        (DefectKind.USBREDIR_MALFORMED, "usbredir/0 from server")
    ]


@given(st.lists(st.tuples(st.sampled_from(list(Side)), st.binary(max_size=300)), max_size=20), st.booleans())
def test_noise_is_counted_and_never_read_twice(said, complete):
    talk = UsbredirTalk(complete=complete)
    found = fed(talk, *said)
    for side in Side:
        read = sum(p.size for p in found if p.side is side)
        assert read + talk.skipped(side) == sum(len(data) for s, data in said if s is side)
