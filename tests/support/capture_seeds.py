"""Captures that hold one of everything, to be damaged, and what any capture must keep to."""

import numpy as np
from support.pcapfile import (
    ACK,
    RAW,
    SYN,
    Frame,
    Interface,
    ethernet,
    ip_packet,
    pcap_bytes,
    section_bytes,
    tcp_frame,
    tcp_packet,
    tcp_segment,
)

from spicereplay.capture import Capture


def frames() -> list[Frame]:
    """One of everything."""
    out = [
        tcp_frame(b"", sequence=99, flags=SYN),
        tcp_frame(b"", sequence=7, flags=SYN | ACK, from_server=True),
    ]
    for i in range(12):
        out.append(tcp_frame(bytes([i]) * 40, sequence=100 + 40 * i))
        out.append(
            tcp_frame(bytes([i]) * 60, sequence=8 + 40 * i, from_server=True, acknowledgement=100 + 40 * i)
        )
    segment = tcp_segment(b"f" * 100, sequence=580)
    out += [
        Frame(ethernet(ip_packet(segment[:64], identification=3, fragment=0x2000))),
        Frame(ethernet(ip_packet(segment[64:], identification=3, fragment=8))),
    ]
    inner = tcp_packet(b"t" * 50, sequence=680)
    six = {"source": "2001:db8::1", "destination": "2001:db8::2"}
    v6 = tcp_segment(b"6" * 80, client=("2001:db8::1", 5), server=("2001:db8::2", 6))
    out += [
        Frame(ethernet(inner, vlans=[(0x88A8, 1), (0x8100, 2)])),
        Frame(ethernet(ip_packet(b"\0\0\x08\0" + inner, protocol=47))),
        Frame(
            ethernet(
                ip_packet(bytes.fromhex("000112b500000000 0800000000000100") + ethernet(inner), protocol=17)
            )
        ),
        Frame(ethernet(b"\x11\0\0\1\0\0\0\x21" + inner, 0x8864)),
        Frame(ethernet(b"\0\1\1\x40" + inner, 0x8847)),
        Frame(ethernet(ip_packet(b"\x06\0\0\0\0\0\0\0" + v6, protocol=0, **six))),
        Frame(ethernet(ip_packet(b"\x06\0\0\1\0\0\0\1" + v6[:64], protocol=44, **six))),
        Frame(ethernet(ip_packet(b"\x06\0\0\x40\0\0\0\1" + v6[64:], protocol=44, **six))),
        Frame(b""),
        tcp_frame(b"end", sequence=900),
    ]
    return [Frame(frame.data, 10**9 + 1000 * i) for i, frame in enumerate(out)]


def seeds() -> dict[str, bytes]:
    """Files of every kind that hold them."""
    everything = frames()
    raw = [Frame(frame.data[14:], frame.time_ns) for frame in everything]
    mixed = [Frame(f.data, f.time_ns, interface=i % 2) for i, f in enumerate(everything)]
    return {
        "pcap": pcap_bytes(everything),
        "big-endian pcap": pcap_bytes(everything, big=True, nanoseconds=True),
        "raw pcap": pcap_bytes(raw, link=RAW),
        "pcapng": section_bytes(mixed, interfaces=[Interface(), Interface(resolution=0x8A)], key_log=b"key"),
        "two sections": section_bytes(everything, big=True, packet_block=2)
        + section_bytes(everything, packet_block=3),
    }


def hold_to_contract(capture: Capture) -> None:
    """Check what `ByteStream` promises of every stream."""
    for connection in capture.connections:
        for stream, facts in zip(connection.streams, connection.facts, strict=True):
            assert (stream.length > 0).all()
            assert (stream.position >= 0).all()
            assert (stream.position[1:] >= stream.position[:-1] + stream.length[:-1]).all()
            assert (np.diff(stream.time_ns) >= 0).all()
            assert stream.end >= (int(stream.position[-1] + stream.length[-1]) if len(stream.position) else 0)
            assert sum(len(piece) for _, piece in stream.pieces(0, stream.end)) == stream.captured_bytes
            assert stream.captured_bytes + sum(gap[1] for gap in stream.gaps()) == stream.end
            assert (np.diff(stream.markers) >= 0).all()
            assert min(facts.retransmitted_bytes, facts.out_of_order, facts.conflicts) >= 0
