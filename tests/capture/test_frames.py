"""Packets that are built: scapy computes the same lengths and checksums."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether

from spicereplay.capture.connection import Endpoint
from spicereplay.capture.frames import ACK, FIN, MOST_FRAME_BYTES, PSH, SYN, checksum, path, tcp_frame
from spicereplay.errors import UsageError

V4 = path(Endpoint("192.0.2.1", 40_000), Endpoint("192.0.2.2", 5930))
V6 = path(Endpoint("2001:db8::1", 40_000), Endpoint("2001:db8::2", 5930))


@settings(max_examples=60)
@given(
    way=st.sampled_from([V4, V6]),
    payload=st.binary(max_size=300),
    sequence=st.integers(0, 2**33),
    acknowledgement=st.integers(0, 2**33),
    flags=st.sampled_from([ACK, SYN, ACK | PSH, FIN | ACK]),
    window=st.integers(0, 0xFFFF),
    options=st.sampled_from([b"", b"\x03\x03\x0e", b"\x02\x04\xff\xc9\x03\x03\x0e"]),
)
def test_scapy_reads_what_was_meant_and_computes_the_same_sums(
    way, payload, sequence, acknowledgement, flags, window, options
) -> None:
    frame = tcp_frame(
        way,
        payload,
        sequence=sequence,
        acknowledgement=acknowledgement,
        flags=flags,
        window=window,
        options=options,
    )
    packet = Ether(frame)
    ip = packet[IP] if way.version == 4 else packet[IPv6]
    tcp = packet[TCP]
    assert (ip.src, ip.dst) == (way.source.address, way.destination.address)
    assert (tcp.sport, tcp.dport, tcp.flags, tcp.window) == (40_000, 5930, flags, window)
    assert (tcp.seq, tcp.ack) == (sequence % 2**32, acknowledgement % 2**32)
    assert bytes(tcp.payload) == payload
    sums = tcp.chksum, getattr(ip, "chksum", None)
    del tcp.chksum
    if way.version == 4:
        del ip.chksum, ip.len
    else:
        del ip.plen
    again = Ether(bytes(packet))
    assert bytes(again) == frame
    again_ip = again[IP] if way.version == 4 else again[IPv6]
    assert (again[TCP].chksum, getattr(again_ip, "chksum", None)) == sums


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (bytes.fromhex("00 01 f2 03 f4 f5 f6 f7"), 0x220D),  # RFC 1071, 3: the sum is ddf2
        (b"\xff\xff", 0),
        (b"\xff\xff\xff\xff", 0),
        (b"\x01", 0xFEFF),
    ],
)
def test_the_internet_checksum(data: bytes, expected: int) -> None:
    assert checksum(data) == expected


@pytest.mark.parametrize(("way", "most"), [(V4, 65_481), (V6, 65_461)])
def test_the_longest_segment_fills_the_longest_frame(way, most: int) -> None:
    assert way.most_payload == most
    assert len(tcp_frame(way, bytes(most), sequence=0)) == MOST_FRAME_BYTES
    with pytest.raises(UsageError, match="do not fit into one segment"):
        tcp_frame(way, bytes(most + 1), sequence=0)


def test_what_is_no_way_between_two_ends() -> None:
    good = Endpoint("192.0.2.1", 1)
    with pytest.raises(UsageError, match="no IP address"):
        path(good, Endpoint("example.org", 1))
    with pytest.raises(UsageError, match="no TCP port"):
        path(good, Endpoint("192.0.2.2", 65_536))
    with pytest.raises(UsageError, match="different IP versions"):
        path(good, Endpoint("::1", 1))
    with pytest.raises(UsageError):
        tcp_frame(V4, b"", sequence=0, options=bytes(41))
