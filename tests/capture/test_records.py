import gzip
import struct
from pathlib import Path
from typing import Any

import pytest
from support.pcapfile import (
    ETHERNET,
    RAW,
    Frame,
    Interface,
    block,
    pcap_bytes,
    section_bytes,
    tcp_frame,
    tcp_packet,
    write_pcap,
)

from spicereplay.capture import Capture, read_connections
from spicereplay.capture.container import map_bytes
from spicereplay.defects import DefectKind
from spicereplay.errors import NotACaptureError
from spicereplay.limits import Limits

START_NS = 1_795_358_244_840_252_000
FRAMES = [
    tcp_frame(bytes([i]) * 100, time_ns=START_NS + i * 1_000_000, sequence=1 + 100 * i) for i in range(20)
]
BYTES = b"".join(bytes([i]) * 100 for i in range(20))


def capture_of(data: bytes, **options: Any) -> Capture:
    return read_connections(map_bytes(data, "a.pcap"), **options)


def times(capture: Capture) -> list[int]:
    return capture.connections[0].streams[0].time_ns.tolist()


def content(capture: Capture) -> bytes:
    stream = capture.connections[0].streams[0]
    return stream.read(0, stream.end)


@pytest.mark.parametrize("big", [False, True], ids=["little-endian", "big-endian"])
@pytest.mark.parametrize("kind", ["microseconds", "nanoseconds", "modified"])
def test_classic_pcap(big: bool, kind: str) -> None:
    capture = capture_of(
        pcap_bytes(FRAMES, big=big, nanoseconds=kind == "nanoseconds", modified=kind == "modified")
    )
    assert content(capture) == BYTES
    assert times(capture) == [frame.time_ns for frame in FRAMES]
    assert (capture.packets, capture.start_time_ns) == (20, START_NS)
    assert capture.end_time_ns == FRAMES[-1].time_ns
    assert capture.format.startswith({"modified": "Kuznetsov", "nanoseconds": "pcap with"}.get(kind, "pcap"))
    assert not len(capture.defects)


def test_nanoseconds_are_kept() -> None:
    capture = capture_of(pcap_bytes([tcp_frame(b"x", time_ns=START_NS + 7)], nanoseconds=True))
    assert times(capture) == [START_NS + 7]


def test_the_link_type_may_carry_the_length_of_a_check_sequence() -> None:
    data = bytearray(pcap_bytes(FRAMES))
    data[20:24] = struct.pack("<I", 0x24000001)
    assert content(capture_of(bytes(data))) == BYTES


@pytest.mark.parametrize("big", [False, True], ids=["little-endian", "big-endian"])
@pytest.mark.parametrize(
    ("resolution", "step_ns"),
    [
        (None, 1000),
        (6, 1000),
        (9, 1),
        (3, 1_000_000),
        (12, 1),
        (0x80 | 10, 976_563),
        (0x80 | 32, 1),
        (0, 10**9),
    ],
)
def test_pcapng_clocks(big: bool, resolution: int | None, step_ns: int) -> None:
    frames = [Frame(f.data, f.time_ns - START_NS + 3600 * 10**9) for f in FRAMES]
    capture = capture_of(section_bytes(frames, big=big, interfaces=[Interface(resolution=resolution)]))
    assert content(capture) == BYTES
    for found, frame in zip(times(capture), frames, strict=True):
        assert frame.time_ns - step_ns <= found <= frame.time_ns
    assert capture.format == "pcapng"


def test_pcapng_time_offset() -> None:
    interface = Interface(resolution=9, offset_s=1_000_000_000)
    assert times(capture_of(section_bytes(FRAMES, interfaces=[interface]))) == [f.time_ns for f in FRAMES]


def test_a_clock_beyond_all_time_is_held_within_it() -> None:
    interface = Interface(resolution=0, offset_s=2**62)
    frame = struct.pack("<IIIII", 0, 0xFFFFFFFF, 0xFFFFFFFF, len(FRAMES[0].data), len(FRAMES[0].data))
    data = section_bytes([], interfaces=[interface]) + block(6, frame + FRAMES[0].data)
    assert times(capture_of(data)) == [9 * 10**18]


def test_pcapng_packets_of_several_interfaces() -> None:
    interfaces = [Interface(), Interface(link=RAW, resolution=9)]
    frames = [
        FRAMES[i]
        if i % 2
        else Frame(tcp_packet(bytes([i]) * 100, sequence=1 + 100 * i), FRAMES[i].time_ns, interface=1)
        for i in range(20)
    ]
    capture = capture_of(section_bytes(frames, interfaces=interfaces))
    assert content(capture) == BYTES
    assert times(capture) == [frame.time_ns for frame in FRAMES]


def test_pcapng_sections_follow_one_another() -> None:
    data = section_bytes(FRAMES[:7], interfaces=[Interface(), Interface(link=RAW)])
    data += section_bytes(FRAMES[7:9], big=True) + section_bytes(
        FRAMES[9:], interfaces=[Interface(resolution=9)]
    )
    capture = capture_of(data)
    assert content(capture) == BYTES
    assert times(capture) == [frame.time_ns for frame in FRAMES]


def test_obsolete_packet_blocks() -> None:
    for big in (False, True):
        capture = capture_of(section_bytes(FRAMES, packet_block=2, big=big))
        assert content(capture) == BYTES
        assert times(capture) == [frame.time_ns for frame in FRAMES]


def test_simple_packet_blocks_have_no_time_and_obey_the_snap_length() -> None:
    capture = capture_of(section_bytes(FRAMES, packet_block=3))
    assert content(capture) == BYTES
    assert set(times(capture)) == {0}
    cut = [Frame(frame.data[:84], wire=len(frame.data)) for frame in FRAMES]
    capture = capture_of(section_bytes(cut, packet_block=3, interfaces=[Interface(snaplen=84)]))
    stream = capture.connections[0].streams[0]
    assert stream.captured_bytes == 20 * 30
    assert stream.end == 20 * 100
    assert [defect.kind for defect in capture.defects] == [DefectKind.PACKET_CUT]


def test_blocks_nobody_knows_are_stepped_over_and_secrets_kept() -> None:
    data = section_bytes(FRAMES[:10], key_log=b"CLIENT_RANDOM 00 11\n")
    data += block(0x0BAD, b"custom") + block(5, bytes(12)) + block(10, struct.pack("<II", 1, 4) + b"none")
    data += section_bytes(FRAMES[10:])[28:]  # the same section: without another header
    capture = capture_of(data)
    assert content(capture) == BYTES
    assert capture.secrets == [b"CLIENT_RANDOM 00 11\n"]
    assert not len(capture.defects)


def test_gzip(tmp_path: Path) -> None:
    path = tmp_path / "a.pcap.gz"
    path.write_bytes(gzip.compress(pcap_bytes(FRAMES)))
    with read_connections(path) as capture:
        assert content(capture) == BYTES


def test_progress_reaches_the_end(tmp_path: Path) -> None:
    path = write_pcap(tmp_path / "a.pcap", FRAMES * 2000)
    steps: list[tuple[int, int]] = []
    with read_connections(path, progress=lambda done, total: steps.append((done, total))):
        size = path.stat().st_size
    assert steps[-1] == (size, size)
    assert len(steps) > 2
    assert steps == sorted(steps)


# What can be wrong with a file.


@pytest.mark.parametrize("missing", [1, 99, 150, 154, 165, 169])
def test_a_file_cut_off_in_its_last_record(missing: int) -> None:
    capture = capture_of(pcap_bytes(FRAMES)[:-missing])
    assert content(capture) == BYTES[:-100]
    (defect,) = capture.defects
    assert (defect.kind, defect.where) == (DefectKind.FILE_TRUNCATED, "record 20")
    assert "the 19 before it are used" in defect.detail


@pytest.mark.parametrize("missing", [1, 3, 100, 180])
def test_a_pcapng_cut_off_in_its_last_block(missing: int) -> None:
    capture = capture_of(section_bytes(FRAMES)[:-missing])
    assert content(capture) == BYTES[:-100]
    assert [defect.kind for defect in capture.defects] == [DefectKind.FILE_TRUNCATED]


def test_a_record_of_impossible_length_ends_the_file() -> None:
    data = bytearray(pcap_bytes(FRAMES))
    at = 24 + 10 * (16 + 154)
    struct.pack_into("<I", data, at + 8, 0x7FFFFFFF)
    capture = capture_of(bytes(data))
    assert content(capture) == BYTES[:1000]
    (defect,) = capture.defects
    assert (defect.kind, defect.position) == (DefectKind.FILE_DAMAGED, at)
    assert defect.detail.startswith("capture file damaged at record 11; the 10 before it are used")


@pytest.mark.parametrize(
    ("change", "value"), [(-4, 44), (4, 45), (4, 8), (4, 0x7FFFFFFC)], ids=["end", "odd", "short", "long"]
)
def test_a_block_of_impossible_length_ends_the_file(change: int, value: int) -> None:
    data = bytearray(section_bytes(FRAMES))
    last = len(data) - 188
    struct.pack_into("<I", data, len(data) + change if change < 0 else last + change, value)
    capture = capture_of(bytes(data))
    assert content(capture) == BYTES[:-100]
    (defect,) = capture.defects
    assert (defect.kind, defect.position) == (DefectKind.FILE_DAMAGED, last)
    assert "record 20; the 19 before it are used" in defect.detail


def test_damage_in_a_block_that_describes() -> None:
    good = section_bytes(FRAMES[:10])
    for bad in (
        block(1, b"\1\0"),
        block(0x0A0D0D0A, b"no byte-order magic....."),
        struct.pack("<II", 1, 0x7FFFFFFC) + bytes(12),
    ):
        capture = capture_of(good + bad)
        assert content(capture) == BYTES[:1000]
        assert [defect.kind for defect in capture.defects] == [DefectKind.FILE_DAMAGED]


@pytest.mark.parametrize(("at", "value"), [(8, 5), (20, 5_000)], ids=["interface", "captured length"])
def test_a_packet_that_contradicts_its_block_costs_itself(at: int, value: int) -> None:
    data = bytearray(section_bytes(FRAMES))
    struct.pack_into("<I", data, len(data) - 2 * 188 + at, value)
    capture = capture_of(bytes(data))
    stream = capture.connections[0].streams[0]
    assert list(stream.gaps()) == [(1800, 100, FRAMES[-1].time_ns)]
    assert [defect.kind for defect in capture.defects] == [DefectKind.PACKET_MALFORMED]
    assert capture.packets == 20


def test_a_packet_without_any_interface() -> None:
    capture = capture_of(section_bytes([])[:28] + block(3, struct.pack("<I", 3) + b"abc"))
    assert capture.connections == []
    assert [defect.kind for defect in capture.defects] == [DefectKind.PACKET_MALFORMED]


def test_records_longer_than_the_snap_length_are_read() -> None:
    payload = bytes(range(256)) * 255
    frame = tcp_frame(payload[:65_481], time_ns=START_NS)
    capture = capture_of(pcap_bytes([frame], snaplen=100))
    assert content(capture) == payload[:65_481]
    assert not len(capture.defects)


def test_packets_over_the_limit_are_damage() -> None:
    capture = capture_of(pcap_bytes(FRAMES), limits=Limits(packet_bytes=150))
    assert capture.connections == []
    assert [defect.kind for defect in capture.defects] == [DefectKind.FILE_DAMAGED]


def test_time_may_step_back() -> None:
    frames = [Frame(f.data, START_NS - i * 10**6) for i, f in enumerate(FRAMES)]
    capture = capture_of(pcap_bytes(frames))
    assert content(capture) == BYTES
    assert times(capture) == [START_NS] * 20, "delivery times never decrease"


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "is empty"),
        (bytes(24), "only zeros"),
        (bytes(4) + b"\2\0\4\0" + bytes(16), "magic number was overwritten"),
        (b"PK\x03\x04" + bytes(20), "a zip archive"),
        (b"<html><body>", "HTML"),
        (b"just some text", "text"),
        (b"\x28\xb5\x2f\xfd1234", "zstd"),
        (b"snoop\0\0\0", "editcap"),
        (pcap_bytes([])[:20], "header of a pcap file is 24 bytes"),
        (section_bytes([])[:8], "is not a capture"),
        (b"\xde\xad\xbe\xef", "de ad be ef"),
    ],
)
def test_what_is_no_capture_is_refused_with_a_reason(data: bytes, says: str) -> None:
    with pytest.raises(NotACaptureError, match=says) as caught:
        capture_of(data)
    assert "a.pcap" in str(caught.value)


def test_a_capture_of_nothing() -> None:
    for data in (pcap_bytes([]), section_bytes([]), section_bytes([])[:28]):
        capture = capture_of(data)
        assert (capture.packets, capture.connections, capture.start_time_ns) == (0, [], 0)
        assert not len(capture.defects)


def test_link_types_nobody_knows_are_counted() -> None:
    capture = capture_of(pcap_bytes(FRAMES, link=195))
    assert capture.other == {"link type 195": 20}
    (defect,) = capture.defects
    assert (defect.kind, "link type 195" in defect.detail) == (DefectKind.PACKET_UNSUPPORTED, True)
    assert capture_of(pcap_bytes(FRAMES, link=ETHERNET)).other == {}
