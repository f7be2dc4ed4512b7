"""Every way to wrap a TCP segment gives the same stream. Scapy, which shares no code with us, wraps."""

import random
import struct
import warnings
from collections.abc import Callable
from typing import Any

import pytest
from support.pcapfile import (
    ACK,
    CLIENT,
    RAW,
    SERVER,
    SYN,
    Frame,
    ethernet,
    ip_packet,
    pcap_bytes,
    tcp_frame,
    tcp_packet,
    tcp_segment,
)

from spicereplay.capture import Capture, read_connections
from spicereplay.capture.connection import Endpoint
from spicereplay.capture.container import map_bytes
from spicereplay.capture.packets import PacketTable, read_packets
from spicereplay.defects import DefectKind, DefectLog
from spicereplay.limits import DEFAULT_LIMITS, Limits

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from scapy.all import (
        ARP,
        GRE,
        ICMP,
        IP,
        LLC,
        SNAP,
        TCP,
        UDP,
        CookedLinux,
        CookedLinuxV2,
        Dot1AD,
        Dot1Q,
        Dot11,
        Dot11QoS,
        Ether,
        IPv6,
        IPv6ExtHdrDestOpt,
        IPv6ExtHdrFragment,
        IPv6ExtHdrHopByHop,
        IPv6ExtHdrRouting,
        Loopback,
        PPPoE,
        RadioTap,
        Raw,
        fragment,
        fragment6,
    )
    from scapy.contrib.geneve import GENEVE
    from scapy.contrib.mpls import MPLS
    from scapy.layers.ipsec import AH
    from scapy.layers.ppp import PPP
    from scapy.layers.vxlan import VXLAN

PAYLOAD = bytes(range(1, 201)) * 3


def capture_of(packets: list[bytes], link: int = 1, **limits: Any) -> Capture:
    frames = [Frame(packet, time_ns=10**9 + i) for i, packet in enumerate(packets)]
    data = pcap_bytes(frames, link=link, nanoseconds=True)
    return read_connections(map_bytes(data), limits=Limits(**limits))


def table_of(packets: list[bytes], link: int = 1) -> tuple[PacketTable, DefectLog]:
    defects = DefectLog()
    frames = [Frame(packet, time_ns=10**9 + i) for i, packet in enumerate(packets)]
    file = map_bytes(pcap_bytes(frames, link=link, nanoseconds=True))
    return read_packets(file, limits=DEFAULT_LIMITS, defects=defects), defects


def check(packet: Any, link: int = 1, *, v6: bool = False) -> None:
    """`packet` holds PAYLOAD in one segment between the two usual endpoints."""
    table, defects = table_of([bytes(packet)], link)
    assert not len(defects), list(defects)
    assert table.other == {}
    source, destination = ("2001:db8::1", "2001:db8::2") if v6 else (CLIENT[0], SERVER[0])
    assert table.flows == [(Endpoint(source, 40_000), Endpoint(destination, 5900))]
    row = {name: getattr(table, name).tolist() for name in ("sequence", "acknowledgement", "flags", "window")}
    assert row == {"sequence": [77], "acknowledgement": [88], "flags": [0x18], "window": [1234]}
    assert (table.length.tolist(), table.wire_length.tolist()) == ([len(PAYLOAD)], [len(PAYLOAD)])
    (connection,) = capture_of([bytes(packet)], link).connections
    assert connection.streams[0].read(0, 10_000) == PAYLOAD
    assert connection.streams[1].end == 0


def ether(**fields: Any) -> Any:
    # With both addresses, or scapy asks the network for them.
    return Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02", **fields)


def inner(v6: bool = False, *, options: bool = False) -> Any:
    tcp = TCP(sport=40_000, dport=5900, seq=77, ack=88, flags="PA", window=1234)
    if options:
        tcp.options = [("NOP", None), ("NOP", None), ("Timestamp", (1, 2))]
    ip = IPv6(src="2001:db8::1", dst="2001:db8::2") if v6 else IP(src=CLIENT[0], dst=SERVER[0])
    return ip / tcp / Raw(PAYLOAD)


OUTER = {"src": "198.51.100.1", "dst": "198.51.100.2"}
OUTER6 = {"src": "2001:db8:ffff::1", "dst": "2001:db8:ffff::2"}
WRAPPINGS: dict[str, Callable[[Any], Any]] = {
    "Ethernet": lambda p: ether() / p,
    "VLAN": lambda p: ether() / Dot1Q(vlan=5) / p,
    "QinQ": lambda p: ether() / Dot1AD(vlan=7) / Dot1Q(vlan=5) / p,
    "old QinQ": lambda p: ether(type=0x9100) / Dot1Q(vlan=7) / Dot1Q(vlan=5) / p,
    "802.3 with SNAP": lambda p: ether(type=8 + len(p)) / LLC(dsap=0xAA, ssap=0xAA, ctrl=3) / SNAP() / p,
    "MPLS": lambda p: ether(type=0x8847) / MPLS(label=16, s=0) / MPLS(label=17, s=1) / p,
    "MPLS pseudowire": lambda p: (
        ether(type=0x8847) / MPLS(label=17, s=1) / Raw(bytes(4) + bytes(ether() / p))
    ),
    "PPPoE": lambda p: ether() / PPPoE(sessionid=3) / PPP() / p,
    "IP in IP": lambda p: ether() / IP(**OUTER) / p,
    "IP in IPv6": lambda p: ether() / IPv6(**OUTER6) / p,
    "GRE": lambda p: ether() / IP(**OUTER) / GRE() / p,
    "GRE with everything": lambda p: (
        ether() / IP(**OUTER) / GRE(chksum_present=1, key_present=1, seqnum_present=1) / p
    ),
    "GRE with Ethernet": lambda p: ether() / IPv6(**OUTER6) / GRE(proto=0x6558) / ether() / p,
    "VXLAN": lambda p: ether() / IP(**OUTER) / UDP(sport=5555, dport=4789) / VXLAN(vni=9) / ether() / p,
    "VXLAN with VLAN": lambda p: (
        ether() / Dot1Q() / IPv6(**OUTER6) / UDP(sport=5, dport=4789) / VXLAN() / ether() / Dot1Q() / p
    ),
    "Geneve": lambda p: ether() / IP(**OUTER) / UDP(sport=5555, dport=6081) / GENEVE(vni=9) / ether() / p,
    "three tunnels": lambda p: (
        ether() / IP(**OUTER) / GRE() / IPv6(**OUTER6) / UDP(dport=4789) / VXLAN() / ether() / IP(**OUTER) / p
    ),
}


@pytest.mark.parametrize("v6", [False, True], ids=["IPv4", "IPv6"])
@pytest.mark.parametrize("name", WRAPPINGS)
def test_links_and_tunnels(name: str, v6: bool) -> None:
    check(WRAPPINGS[name](inner(v6)), v6=v6)


@pytest.mark.parametrize("v6", [False, True], ids=["IPv4", "IPv6"])
@pytest.mark.parametrize(
    ("link", "wrap"),
    [
        (113, lambda p: CookedLinux() / p),
        (276, lambda p: CookedLinuxV2() / p),
        (113, lambda p: CookedLinux(proto=0x8100) / Dot1Q() / p),
        (101, lambda p: p),
        (12, lambda p: p),
        (14, lambda p: p),
        (9, lambda p: PPP() / p),
        (50, lambda p: Raw(b"\xff\3" + bytes(PPP() / p))),
        (51, lambda p: PPPoE() / PPP() / p),
        (105, lambda p: Dot11(type=2, FCfield=1) / LLC(dsap=0xAA, ssap=0xAA, ctrl=3) / SNAP() / p),
        (
            105,
            lambda p: (
                Dot11(type=2, subtype=8, FCfield=2)
                / Dot11QoS()
                / LLC(dsap=0xAA, ssap=0xAA, ctrl=3)
                / SNAP()
                / p
            ),
        ),
        (105, lambda p: Dot11(type=2, FCfield=3) / LLC(dsap=0xAA, ssap=0xAA, ctrl=3) / SNAP() / p),
        (
            127,
            lambda p: RadioTap() / Dot11(type=2, FCfield=1) / LLC(dsap=0xAA, ssap=0xAA, ctrl=3) / SNAP() / p,
        ),
    ],
)
def test_link_types(link: int, wrap: Callable[[Any], Any], v6: bool) -> None:
    check(wrap(inner(v6)), link, v6=v6)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("link", [0, 108])
@pytest.mark.parametrize("family", [2, 10, 24, 28, 30])
def test_loopback_families(link: int, order: str, family: int) -> None:
    v6 = family != 2
    check(struct.pack(order + "I", family) + bytes(inner(v6)), link, v6=v6)
    assert bytes(Loopback(type=family))[:4] in (struct.pack("<I", family), struct.pack(">I", family))


def test_raw_link_types_of_one_version() -> None:
    check(inner(), 228)
    check(inner(v6=True), 229, v6=True)


@pytest.mark.parametrize("v6", [False, True], ids=["IPv4", "IPv6"])
def test_tcp_options_are_skipped(v6: bool) -> None:
    check(ether() / inner(v6, options=True), v6=v6)


def test_ip_options_are_skipped() -> None:
    packet = inner()
    packet[IP].options = [b"\x44\x0c\x05\x00" + bytes(8)]
    check(ether() / packet)


@pytest.mark.parametrize(
    "headers",
    [
        IPv6ExtHdrHopByHop(),
        IPv6ExtHdrDestOpt(),
        IPv6ExtHdrRouting(addresses=["2001:db8::9"]),
        AH(nh=6, payloadlen=4, icv=b"\0" * 12),
        IPv6ExtHdrHopByHop() / IPv6ExtHdrRouting() / IPv6ExtHdrDestOpt(),
    ],
    ids=["hop by hop", "destination", "routing", "authentication", "three"],
)
def test_ipv6_extension_headers(headers: Any) -> None:
    packet = inner(v6=True)
    check(ether() / IPv6(src=packet.src, dst=packet.dst) / headers / packet[TCP], v6=True)


def test_authenticated_ipv4() -> None:
    packet = inner()
    check(ether() / IP(src=packet.src, dst=packet.dst) / AH(nh=6, payloadlen=4, icv=b"\0" * 12) / packet[TCP])


@pytest.mark.parametrize("v6", [False, True], ids=["IPv4", "IPv6"])
def test_a_length_left_to_the_network_card(v6: bool) -> None:
    packet = bytearray(bytes(inner(v6)))
    at = 4 if v6 else 2
    packet[at : at + 2] = b"\0\0"
    check(ethernet(bytes(packet)), v6=v6)


@pytest.mark.parametrize("size", [0, 1, 5])
def test_padding_of_short_frames_is_no_payload(size: int) -> None:
    frame = ethernet(tcp_packet(b"x" * size, sequence=5)).ljust(60, b"\xee")
    table, defects = table_of([frame])
    assert table.wire_length.tolist() == [size]
    assert not len(defects)


def test_a_check_sequence_behind_the_frame_is_no_payload() -> None:
    table, _ = table_of([bytes(ether() / inner()) + b"\1\2\3\4"])
    assert table.length.tolist() == [len(PAYLOAD)]


# Fragments.


def fragments_of(v6: bool, size: int = 64) -> list[bytes]:
    if not v6:
        return [bytes(part) for part in fragment(inner(), size)]
    packet = inner(v6=True)
    whole = IPv6(src=packet.src, dst=packet.dst) / IPv6ExtHdrFragment(id=7) / packet[TCP]
    return [bytes(part) for part in fragment6(whole, size + 100)]


@pytest.mark.parametrize("order", ["forward", "backward", "shuffled", "twice"])
@pytest.mark.parametrize("v6", [False, True], ids=["IPv4", "IPv6"])
def test_fragments_give_what_the_whole_packet_gives(v6: bool, order: str) -> None:
    parts = fragments_of(v6)
    assert len(parts) > 5
    if order == "backward":
        parts.reverse()
    elif order == "shuffled":
        random.Random(1).shuffle(parts)
    elif order == "twice":
        parts = [p for p in parts[:-1] for _ in range(2)] + parts[-1:]
    whole = table_of([bytes(inner(v6))], RAW)[0]
    table, defects = table_of(parts, RAW)
    assert not len(defects)
    assert table.packet.tolist() == [len(parts) - 1], "the packet that completed it"
    for name in ("sequence", "acknowledgement", "flags", "window", "length", "wire_length"):
        assert getattr(table, name).tolist() == getattr(whole, name).tolist()
    (connection,) = capture_of(parts, RAW).connections
    assert connection.streams[0].read(0, 10_000) == PAYLOAD
    assert (connection.streams[0].offset < 0).all()


@pytest.mark.parametrize("name", ["IP in IP", "GRE", "VXLAN", "Geneve", "VLAN"])
def test_fragments_of_and_in_tunnels(name: str) -> None:
    wrapped = [bytes(WRAPPINGS[name](IP(part))) for part in fragments_of(False, 200)]
    assert capture_of(wrapped).connections[0].streams[0].read(0, 10_000) == PAYLOAD
    if name != "VLAN":
        outer = WRAPPINGS[name](IP(fragments_of(False, 400)[0]))
        outer_parts = [bytes(p) for p in fragment(outer, 96)]
        second = [bytes(WRAPPINGS[name](IP(p))) for p in fragments_of(False, 400)[1:]]
        assert capture_of(outer_parts + second).connections[0].streams[0].read(0, 10_000) == PAYLOAD


def test_fragments_keep_their_place_among_whole_packets() -> None:
    parts = [ethernet(part) for part in fragments_of(False)]
    before = ethernet(tcp_packet(b"a" * 77, sequence=0))
    behind = ethernet(tcp_packet(b"z" * 10, sequence=77 + len(PAYLOAD)))
    (connection,) = capture_of([before, *parts, behind]).connections
    assert connection.streams[0].read(0, 10_000) == b"a" * 77 + PAYLOAD + b"z" * 10
    assert connection.streams[0].packet.tolist() == [0, len(parts), len(parts) + 1]
    assert connection.facts[0].out_of_order == 0


@pytest.mark.parametrize("v6", [False, True], ids=["IPv4", "IPv6"])
def test_a_missing_fragment_costs_its_packet(v6: bool) -> None:
    parts = fragments_of(v6)
    for i in range(len(parts)):
        table, defects = table_of(parts[:i] + parts[i + 1 :], RAW)
        assert len(table.flow) == 0
        assert [defect.kind for defect in defects] == [DefectKind.PACKET_CUT]


def test_fragments_wait_within_a_limit() -> None:
    parts = [ip_packet(bytes(64), identification=i, fragment=0x2000 | 100) for i in range(200)]
    capture = capture_of(parts, RAW, fragment_bytes=10_000)
    assert [defect.kind for defect in capture.defects] == [DefectKind.PACKET_CUT, DefectKind.OVER_LIMIT]


def test_fragments_do_not_wait_for_ever() -> None:
    parts = fragments_of(False)
    late = [Frame(parts[0], 10**9)] + [Frame(p, 100 * 10**9) for p in parts[1:]]
    capture = read_connections(map_bytes(pcap_bytes(late, link=RAW)))
    assert capture.connections == []


def test_of_overlapping_fragments_the_first_counts() -> None:
    whole = tcp_segment(b"A" * 44, sequence=1)
    first = ip_packet(whole[:40], fragment=0x2000)
    again = ip_packet(b"B" * 48, fragment=2)
    (connection,) = capture_of([first, again], RAW).connections
    assert connection.streams[0].read(0, 100) == b"A" * 20 + b"B" * 24


# What is not TCP, or not whole.


def test_other_traffic_is_counted_by_kind() -> None:
    packets = [
        ether() / ARP(),
        ether() / ARP(),
        ether() / IP() / UDP(sport=33_333, dport=53),
        ether() / IP() / UDP(sport=53, dport=33_333),
        ether() / IP() / UDP(sport=53, dport=4_444),
        ether() / IP() / ICMP(),
        ether() / IP(proto=132) / Raw(bytes(20)),
        ether(type=0x88CC) / Raw(bytes(50)),
        ether(type=0x1234) / Raw(bytes(50)),
        ether(type=40) / Raw(bytes(50)),
    ]
    table, defects = table_of([bytes(p) for p in packets])
    assert table.other == {
        "UDP port 53": 3,
        "ARP": 2,
        "no EtherType known": 1,
        "EtherType 0x1234": 1,
        "LLDP": 1,
        "ICMP": 1,
        "SCTP": 1,
    }
    assert not len(defects)
    assert table.packets == 10


def test_a_snap_length_leaves_holes() -> None:
    whole = [tcp_frame(bytes([i]) * 100, sequence=100 * i).data for i in range(5)]
    frames = [Frame(data[:94], time_ns=i, wire=len(data)) for i, data in enumerate(whole)]
    capture = read_connections(map_bytes(pcap_bytes(frames, nanoseconds=True)))
    stream = capture.connections[0].streams[0]
    assert [gap[:2] for gap in stream.gaps()] == [(100 * i + 40, 60) for i in range(5)]
    assert stream.end == 500
    (defect,) = capture.defects
    assert defect.kind == DefectKind.PACKET_CUT
    assert "5 of 5 TCP segments" in defect.detail
    assert "300 bytes are missing" in defect.detail


def test_packets_cut_within_their_headers() -> None:
    data = tcp_frame(b"x" * 100).data
    for size in range(1, 54):
        capture = read_connections(map_bytes(pcap_bytes([Frame(data[:size], wire=len(data))])))
        assert capture.connections == []
        assert [defect.kind for defect in capture.defects] == [DefectKind.PACKET_CUT], size


@pytest.mark.parametrize("link", [0, 1, 9, 12, 50, 51, 101, 105, 108, 113, 127, 228, 229, 276])
def test_packets_that_end_anywhere_are_defects_at_most(link: int) -> None:
    wrappings = [bytes(wrap(inner(v6))) for wrap in WRAPPINGS.values() for v6 in (False, True)]
    packets = [data[:size] for data in wrappings for size in range(0, min(len(data), 170), 3)]
    capture_of(packets, link)


@pytest.mark.parametrize(
    "packet",
    [
        ip_packet(tcp_segment())[:1].replace(b"E", b"D") + ip_packet(tcp_segment())[1:],
        ip_packet(tcp_segment(), total=19),
        ip_packet(tcp_segment(), total=39),
        ip_packet(b"short"),
        ip_packet(tcp_segment()[:12] + b"\x40" + tcp_segment()[13:]),
        ip_packet(tcp_segment()[:12] + b"\xf0" + tcp_segment()[13:]),
        b"\x75" + ip_packet(tcp_segment())[1:],
    ],
    ids=[
        "header of 16",
        "total of 19",
        "total of 39",
        "5 bytes",
        "offset of 16",
        "offset of 60",
        "version 7",
    ],
)
def test_headers_that_contradict_themselves(packet: bytes) -> None:
    table, defects = table_of([packet], RAW)
    assert len(table.flow) == 0
    assert [defect.kind for defect in defects] == [DefectKind.PACKET_MALFORMED]


def test_a_flood_of_malformed_packets_is_counted_not_kept() -> None:
    _, defects = table_of([b"\x45"] * 5000, RAW)
    assert len(defects) == 5000
    assert len(defects.kept) == DEFAULT_LIMITS.defects_per_kind


def test_endless_nesting_ends() -> None:
    packet = b""
    for _ in range(60):
        packet = ip_packet(packet, protocol=4)
    table, defects = table_of([packet], RAW)
    assert len(table.flow) == 0
    assert [defect.kind for defect in defects] == [DefectKind.PACKET_MALFORMED]


def test_empty_records_are_remembered_with_their_place() -> None:
    frames = [tcp_frame(b"a"), Frame(b"", 5), tcp_frame(b"b", sequence=1), Frame(b"", 6), Frame(b"", 7)]
    table = read_packets(
        map_bytes(pcap_bytes(frames, nanoseconds=True)), limits=DEFAULT_LIMITS, defects=DefectLog()
    )
    assert table.empty_records.time_ns.tolist() == [5, 6, 7]
    assert table.empty_records.rows_before.tolist() == [1, 2, 2]
    assert (table.packets, len(table.flow)) == (5, 2)


# Flows.


def test_sides_and_flows() -> None:
    other = ("192.0.2.9", 40_000)
    table, _ = table_of(
        [
            tcp_frame(flags=SYN).data,
            tcp_frame(flags=SYN | ACK, from_server=True).data,
            tcp_frame(from_server=True, client=other).data,
            tcp_frame(client=other).data,
            tcp_frame().data,
        ]
    )
    assert table.flow.tolist() == [0, 0, 1, 1, 0]
    assert table.side.tolist() == [0, 1, 0, 1, 0]
    assert table.flows == [(Endpoint(*CLIENT), Endpoint(*SERVER)), (Endpoint(*SERVER), Endpoint(*other))]


def test_many_flows() -> None:
    rng = random.Random(3)
    clients = [
        (f"10.{rng.randrange(4)}.{rng.randrange(4)}.{rng.randrange(256)}", port) for port in range(30_000)
    ]
    frames = [tcp_frame(client=client, from_server=rng.random() < 0.5) for client in clients]
    table, _ = table_of([frame.data for frame in frames + frames[::-1]])
    assert table.flow.tolist() == [*range(30_000), *range(29_999, -1, -1)]
    assert {max(pair, key=lambda e: e.address.startswith("10.")) for pair in table.flows} == {
        Endpoint(*client) for client in clients
    }


def test_flows_over_the_limit_are_left_out() -> None:
    frames = [tcp_frame(b"x", client=("192.0.2.1", port)).data for port in range(1, 31)]
    capture = capture_of(frames + frames, flows=10)
    assert len(capture.connections) == 10
    (defect,) = capture.defects
    assert (defect.kind, "40 segments are left out" in defect.detail) == (DefectKind.OVER_LIMIT, True)
