"""A pcapng that is written reads back everywhere: here, in dpkt, in scapy."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import dpkt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.utils import RawPcapNgReader
from support.pcapfile import tcp_frame

from spicereplay.capture import read_connections
from spicereplay.capture.writer import APPLICATION, PcapngWriter
from spicereplay.errors import UsageError

TIME_NS = 1_700_000_000_123_456_789


def blocks(data: bytes) -> list[tuple[int, bytes]]:
    """Kind and body of every block; both lengths of each must agree."""
    found, at = [], 0
    while at < len(data):
        kind, total = struct.unpack_from("<II", data, at)
        assert total % 4 == 0
        assert struct.unpack_from("<I", data, at + total - 4)[0] == total
        found.append((kind, data[at + 8 : at + total - 4]))
        at += total
    return found


def options(data: bytes) -> dict[int, bytes]:
    found, at = {}, 0
    while at < len(data):
        code, length = struct.unpack_from("<HH", data, at)
        if code == 0:
            assert at + 4 == len(data)
            break
        found[code] = data[at + 4 : at + 4 + length]
        at += 4 + (length + 3) // 4 * 4
    return found


def test_the_headers_say_who_wrote_it_and_in_which_units() -> None:
    file = io.BytesIO()
    PcapngWriter(
        file, interface="spice0", snaplen=65_535, hardware="x", operating_system="Linux", comment="Zeile 1\nö"
    )
    (section, head), (interface, about) = blocks(file.getvalue())
    assert (section, interface) == (0x0A0D0D0A, 1)
    assert struct.unpack("<IHHq", head[:16]) == (0x1A2B3C4D, 1, 0, -1)
    assert options(head[16:]) == {
        1: "Zeile 1\nö".encode(), 2: b"x", 3: b"Linux", 4: APPLICATION.encode()
    }  # fmt: skip
    assert struct.unpack("<HHI", about[:8]) == (1, 0, 65_535)
    assert options(about[8:]) == {2: b"spice0", 9: b"\x09"}


@settings(max_examples=40)
@given(
    st.lists(st.tuples(st.binary(max_size=40), st.integers(0, 2**63 - 1), st.text(max_size=20)), max_size=8)
)
def test_packets_keep_bytes_times_and_comments(packets: list[tuple[bytes, int, str]]) -> None:
    file = io.BytesIO()
    writer = PcapngWriter(file)
    for data, time_ns, comment in packets:
        writer.write(data, time_ns, comment=comment)
    assert (writer.packets, writer.bytes_written) == (len(packets), len(file.getvalue()))
    for (kind, body), (data, time_ns, comment) in zip(blocks(file.getvalue())[2:], packets, strict=True):
        interface, high, low, captured, wire = struct.unpack_from("<IIIII", body)
        assert (kind, interface, captured, wire) == (6, 0, len(data), len(data))
        assert high << 32 | low == time_ns
        assert body[20 : 20 + captured] == data
        text = comment.encode("utf-8", "replace")
        assert options(body[20 + captured + -captured % 4 :]) == ({1: text} if text else {})


def test_other_readers_agree(tmp_path: Path) -> None:
    frame = tcp_frame(b"hello").data
    file = tmp_path / "x.pcapng"
    with file.open("wb") as out:
        writer = PcapngWriter(out, comment="about")
        writer.write(frame, TIME_NS, comment="a packet")
        writer.write(frame[:50], TIME_NS + 1, wire_length=len(frame))
    with read_connections(file) as found:
        assert (found.packets, found.start_time_ns, found.end_time_ns) == (2, TIME_NS, TIME_NS + 1)
        assert not found.defects or all("cut" in d.kind for d in found.defects)
    with file.open("rb") as opened:
        assert [data for _, data in dpkt.pcapng.Reader(opened)] == [frame, frame[:50]]
    with RawPcapNgReader(str(file)) as reader:
        assert [data for data, _ in reader] == [frame, frame[:50]]


def test_secrets_are_in_the_file_only_when_asked_for(tmp_path: Path) -> None:
    log = b"CLIENT_RANDOM " + b"00" * 32 + b" " + b"11" * 48 + b"\n"
    file = tmp_path / "x.pcapng"
    with file.open("wb") as out:
        writer = PcapngWriter(out)
        writer.write_secrets(log)
        writer.write(tcp_frame(b"x").data, TIME_NS)
    with read_connections(file) as found:
        assert found.secrets == [log]


def test_a_comment_that_is_too_long_is_cut_between_characters() -> None:
    file = io.BytesIO()
    PcapngWriter(file).write(b"", 0, comment="ö" * 40_000)
    (text,) = options(blocks(file.getvalue())[2][1][20:]).values()
    assert text.decode() == "ö" * 32_767


@pytest.mark.parametrize("time_ns", [-1, 2**64])
def test_times_that_cannot_be_written(time_ns: int) -> None:
    with pytest.raises(UsageError, match="cannot be written"):
        PcapngWriter(io.BytesIO()).write(b"", time_ns)


def test_flushed_packets_can_be_read_while_the_file_is_open(tmp_path: Path) -> None:
    file = tmp_path / "x.pcapng"
    with file.open("wb") as out:
        writer = PcapngWriter(out)
        writer.write(tcp_frame(b"x").data, TIME_NS)
        writer.flush()
        with read_connections(file) as found:
            assert found.packets == 1
