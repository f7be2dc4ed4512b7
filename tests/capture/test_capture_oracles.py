"""Whole files: dpkt as the oracle for segments, recorded figures for streams."""

import json
import socket
from pathlib import Path

import dpkt
import pytest
from support.pcapfile import ACK, FIN, SYN, Frame, tcp_frame, write_pcap, write_pcapng

from spicereplay.capture import read_connections
from spicereplay.capture.connection import Connection
from spicereplay.capture.container import open_file
from spicereplay.capture.packets import read_packets
from spicereplay.defects import DefectKind, DefectLog
from spicereplay.errors import NotACaptureError
from spicereplay.limits import DEFAULT_LIMITS

Row = tuple[int, str, int, str, int, int, int, int, int, bytes]


def rows_of_dpkt(path: Path) -> list[Row]:
    """Every TCP segment of an Ethernet capture as dpkt sees it; times in microseconds."""
    rows: list[Row] = []
    with path.open("rb") as file:
        for number, (_, data) in enumerate(dpkt.pcap.UniversalReader(file)):
            ip = dpkt.ethernet.Ethernet(data).data
            tcp = ip.data
            family = socket.AF_INET if isinstance(ip, dpkt.ip.IP) else socket.AF_INET6
            source, destination = (socket.inet_ntop(family, address) for address in (ip.src, ip.dst))
            head = (number, source, tcp.sport, destination, tcp.dport)
            rows.append((*head, tcp.seq, tcp.ack, tcp.flags, tcp.win, bytes(tcp.data)))
    return rows


def rows_of_ours(path: Path) -> list[Row]:
    rows: list[Row] = []
    with open_file(path) as file:
        table = read_packets(file, limits=DEFAULT_LIMITS, defects=DefectLog())
        for i in range(len(table.flow)):
            pair, side = table.flows[table.flow[i]], int(table.side[i])
            offset = int(table.offset[i])
            rows.append(
                (
                    int(table.packet[i]),
                    *pair[side],
                    *pair[1 - side],
                    int(table.sequence[i]),
                    int(table.acknowledgement[i]),
                    int(table.flags[i]),
                    int(table.window[i]),
                    bytes(file.memory[offset : offset + int(table.length[i])]),
                )
            )
    return rows


def conversation() -> list[Frame]:
    frames = []
    for port in (1001, 1002, 1003):
        v6 = port == 1003
        client = ("2001:db8::1" if v6 else "192.0.2.1", port)
        server = ("2001:db8::2" if v6 else "192.0.2.2", 5900)
        for i in range(40):
            frames.append(
                tcp_frame(
                    bytes([i]) * (i * 37 % 1400 or 1),
                    sequence=2**32 - 5000 + i * 400,
                    acknowledgement=i * 7,
                    flags=SYN if i == 0 else ACK | FIN if i == 39 else ACK,
                    window=i * 100,
                    from_server=i % 3 == 0,
                    client=client,
                    server=server,
                    time_ns=10**9 + len(frames) * 1000,
                )
            )
    return frames


def test_segments_are_those_of_dpkt(tmp_path: Path) -> None:
    for path in (
        write_pcap(tmp_path / "a.pcap", conversation()),
        write_pcapng(tmp_path / "a.pcapng", conversation()),
    ):
        assert rows_of_ours(path) == rows_of_dpkt(path)


CAPTURES = ("reconnect", "flap-mjpeg", "qemu-guest-audio-opus", "html5-agent-frozen")


@pytest.mark.shared
@pytest.mark.parametrize("name", CAPTURES)
def test_segments_of_real_captures_are_those_of_dpkt(shared: Path, name: str) -> None:
    path = shared / "captures" / name / "capture.pcap"
    assert rows_of_ours(path) == rows_of_dpkt(path)


@pytest.mark.shared
def test_streams_of_real_captures_are_as_recorded(shared: Path) -> None:
    folders = sorted((shared / "captures").glob("*/capture.pcap"))
    assert len(folders) > 30
    for path in folders:
        oracle = json.loads(path.with_name("oracle.json").read_text())
        with read_connections(path) as capture:
            assert capture.packets == oracle["capture"]["packets"]
            assert capture.start_time_ns == oracle["capture"]["start_time_ns"]
            assert not len(capture.defects)
            connections = {tuple(map(str, c.endpoints)): c for c in capture.connections}
            for session in oracle["sessions"]:
                for channel in session["channels"]:
                    check_channel(connections[channel["client"], channel["server"]], channel)


def check_channel(connection: Connection, channel: dict) -> None:  # type: ignore[type-arg]
    assert connection.opener_seen
    for side, name in enumerate(("from_client", "from_server")):
        stream, facts = connection.streams[side], connection.facts[side]
        assert channel[name]["tcp"] == {
            "segments": facts.segments,
            "holes": list(stream.gaps()),
            "retransmitted_bytes": facts.retransmitted_bytes,
            "out_of_order": facts.out_of_order,
            "conflicting_retransmissions": facts.conflicts,
            "sequence_wraps": facts.sequence_wraps,
        }
        if not channel["tls"]:
            assert stream.captured_bytes == channel[name]["stream_bytes"]


@pytest.mark.shared
def test_hostile_files(shared: Path) -> None:
    folder = shared / "hostile"
    with pytest.raises(NotACaptureError, match="zero"):
        read_connections(folder / "pcap-magic.pcap")
    with read_connections(folder / "pcap-caplen.pcap") as capture:
        (defect,) = capture.defects
        assert defect.detail.startswith("capture file damaged at record 61; the 60 before it are used")
        assert capture.packets == 60
    with read_connections(folder / "pcapng-length-mismatch.pcapng") as capture:
        assert [defect.kind for defect in capture.defects] == [DefectKind.FILE_DAMAGED]
        assert len(capture.connections) == 2
    with read_connections(folder / "tcp-shuffled.pcap") as capture:
        for connection in capture.connections:
            assert not len(connection.defects)
            assert not any(list(stream.gaps()) for stream in connection.streams)
        assert capture.connections[1].facts[1].sequence_wraps == 1
    with (
        read_connections(folder / "tcp-overlap.pcap") as capture,
        read_connections(folder / "tcp-shuffled.pcap") as clean,
    ):
        for ours, theirs in zip(capture.connections, clean.connections, strict=True):
            for a, b in zip(ours.streams, theirs.streams, strict=True):
                assert a.read(0, a.end) == b.read(0, b.end)
        kinds = {defect.kind for defect in capture.connections[1].defects}
        assert kinds == {DefectKind.RETRANSMISSION_CONFLICT}
