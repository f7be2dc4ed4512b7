"""Sessions written as a pcapng read back as the same sessions, here and in tshark."""

from __future__ import annotations

import shutil
import struct
import subprocess
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from recording.comments import comments_of
from support.observed import ORIGIN_NS, Said, channel, index, session
from support.pcapfile import ACK, SYN, Frame, tcp_frame, write_pcap
from support.spicewire import full, link_message, link_reply, link_stage, mini, ping, stream_data

from spicereplay.capture import read_connections
from spicereplay.capture.frames import ETHERNET_BYTES, IPV4_BYTES, TCP_BYTES
from spicereplay.errors import InputError, UsageError
from spicereplay.protocol.enums import ChannelType, Side, VideoCodec
from spicereplay.protocol.index import MessageIndex
from spicereplay.protocol.link import LinkStatus
from spicereplay.recording.sessions import SYNTHETIC, Remark, write_sessions
from spicereplay.replay import Replay, replay
from spicereplay.session.log import ChannelLog, Gap, GapCause

FIXTURES = Path(__file__).parent.parent.parent / "fixtures"
REPORTS = FIXTURES / "bugreports"
RECORDED = [
    *sorted(FIXTURES.glob("captures/*/capture.pcap")),
    *sorted(REPORTS.glob("*.zip")),
    REPORTS / "auto-snapshots-g2" / "auto-snapshots",
    REPORTS / "capture-dir-dropped" / "capture",
    *sorted(p for p in FIXTURES.glob("hostile/*") if p.suffix in (".pcap", ".pcapng", ".zip")),
]


def written_again(path: Path, out: Path) -> int:
    """Write all sessions of an input, hold the copy against it, and return how many channels there were."""
    try:
        opened = replay(path)
    except InputError:
        return 0
    with opened as found:
        if not found.sessions:
            return 0
        written = write_sessions(out, found.sessions, utc_offset_ns=found.utc_offset_ns)
        with replay(out) as again:
            assert (written.sessions, written.bytes) == (len(again.sessions), out.stat().st_size)
            assert_same(found, again)
        return written.channels


def assert_same(found: Replay, again: Replay) -> None:
    assert [s.session_id for s in again.sessions] == [s.session_id for s in found.sessions]
    for before, after in zip(found.sessions, again.sessions, strict=True):
        spoke = {log.name: log for log in before.channels if log.link or len(log.server) or len(log.client)}
        logs = {log.name: log for log in after.channels}
        assert set(logs) == set(spoke)
        for name, log in spoke.items():
            assert logs[name].mini_header == log.mini_header
            for side in Side:
                assert_same_messages(log.index(side), logs[name].index(side), found.utc_offset_ns)


def assert_same_messages(before: MessageIndex, after: MessageIndex, offset_ns: int) -> None:
    assert after.type.tolist() == before.type.tolist()
    assert after.size.tolist() == before.size.tolist()
    assert after.sub.tolist() == before.sub.tolist()
    assert after.partial.tolist() == before.partial.tolist()
    assert np.array_equal(after.time_ns, before.time_ns + offset_ns)
    for row in range(0, len(before), max(1, len(before) // 20)):
        if not before.partial[row]:
            assert after.body(row) == before.body(row)


@pytest.mark.parametrize("path", RECORDED, ids=lambda p: "/".join(p.parts[-2:]))
def test_every_message_is_there_again(path: Path, tmp_path: Path) -> None:
    written_again(path, tmp_path / "again.pcapng")


@pytest.mark.shared
def test_every_message_of_the_shared_recordings_is_there_again(shared: Path, tmp_path: Path) -> None:
    inputs = [
        *(p for p in sorted(shared.glob("captures/*/capture.pcap")) if p.stat().st_size < 5_000_000),
        *sorted(shared.glob("bugreports/*/*.zip")),
        *sorted(shared.glob("bugreports/*/auto-snapshots")),
        *sorted(shared.glob("bugreports/*/capture")),
    ]
    assert sum(written_again(path, tmp_path / "again.pcapng") for path in inputs) > 150


def test_writing_twice_changes_nothing(tmp_path: Path) -> None:
    first, second = tmp_path / "1.pcapng", tmp_path / "2.pcapng"
    with replay(FIXTURES / "captures" / "reconnect" / "capture.pcap") as found:
        write_sessions(first, found.sessions)
    with replay(first) as found:
        write_sessions(second, found.sessions)
    assert first.read_bytes() == second.read_bytes()


# --- what other tools see --------------------------------------------------------------------------------


def tshark(path: Path, *arguments: str) -> list[str]:
    command = ["tshark", "-r", str(path), "-d", "tcp.port==5900,spice", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()


def named_by_tshark(path: Path) -> Counter[tuple[str, int]]:
    """How often tshark sees each message type, by the sender's port."""
    found: Counter[tuple[str, int]] = Counter()
    for line in tshark(
        path, "-Y", "spice.message_type", "-T", "fields", "-e", "tcp.srcport", "-e", "spice.message_type"
    ):
        port, types = line.split("\t")
        found.update((port, int(kind, 0)) for kind in types.split(","))
    return found


@pytest.mark.interop
@pytest.mark.parametrize(
    "name",
    [
        "captures/desktop-jpeg-zlib-wan/capture.pcap",
        "captures/qemu-guest-desktop-lz4/capture.pcap",
        "captures/reconnect/capture.pcap",
        "captures/ticket/capture.pcap",
        "captures/tls-mixed-channels/capture.pcap",
        "captures/video-vp8/capture.pcap",
        "bugreports/connection-agent-lag-g1.zip",
        "bugreports/display-flap-evicted-g1.zip",
        "bugreports/large-segment-loss-g1.zip",
        "bugreports/nulls-g1.zip",
    ],
)
def test_tshark_names_every_message_and_finds_no_fault_but_the_holes(name: str, tmp_path: Path) -> None:
    if shutil.which("tshark") is None:
        pytest.skip("tshark is not installed")
    out = tmp_path / "x.pcapng"
    ours: Counter[tuple[str, int]] = Counter()
    holes = 0
    with replay(FIXTURES / name) as found:
        written = write_sessions(out, found.sessions, utc_offset_ns=found.utc_offset_ns)
        for log in (log for s in found.sessions for log in s.channels):
            for side, address in ((Side.SERVER, log.server_address), (Side.CLIENT, log.client_address)):
                own = log.index(side)
                port = address.rpartition(":")[2]
                ours.update((port, kind) for kind in own.type[~own.sub].tolist())
        servers = {log.server_address.rpartition(":")[2] for s in found.sessions for log in s.channels}
        theirs = named_by_tshark(out)
        assert {k: n for k, n in theirs.items() if k[0] in servers} == {
            k: n for k, n in ours.items() if k[0] in servers
        }
        if name.startswith("captures"):
            # Of some clients' messages tshark 4.0 knows no length; it loses its way in the recording itself, too.
            assert theirs == named_by_tshark(FIXTURES / name) or theirs == ours
        else:
            assert theirs == ours
        holes = written.holes
    faults = tshark(out, "-Y", "tcp.analysis.flags", "-T", "fields", "-e", "_ws.expert.message")
    assert len([f for f in faults if "Previous segment" in f]) == holes
    assert all("Previous segment" in f or "ACKed segment" in f for f in faults)
    bad = "ip.checksum.status == 0 || tcp.checksum.status == 0"
    assert tshark(out, "-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE", "-Y", bad) == []


# --- handshakes --------------------------------------------------------------------------------------------


def connection(
    client: bytes, server: bytes, *, begin: bool = True, holes: tuple[tuple[int, int], ...] = ()
) -> list[Frame]:
    """A TCP connection; `holes` are positions and lengths of what of the server's bytes is not there."""
    frames = []
    if begin:
        frames = [
            tcp_frame(flags=SYN, sequence=99, time_ns=0),
            tcp_frame(flags=SYN | ACK, sequence=199, acknowledgement=100, from_server=True, time_ns=1),
        ]
    frames.append(tcp_frame(client, sequence=100, flags=ACK, time_ns=10))
    at, step = 0, 20
    for position, length in (*holes, (len(server), 0)):
        if position > at:
            frames.append(
                tcp_frame(server[at:position], sequence=200 + at, from_server=True, flags=ACK, time_ns=step)
            )
        at, step = position + length, step + 1
    return frames


def write_again(tmp_path: Path, frames: list[Frame]) -> tuple[Replay, Path]:
    """Replay frames and write what was found."""
    out = tmp_path / "again.pcapng"
    found = replay(write_pcap(tmp_path / "made.pcap", frames))
    write_sessions(out, found.sessions)
    return found, out


def only(found: Replay) -> ChannelLog:
    (only_session,) = found.sessions
    (log,) = only_session.channels
    return log


def test_a_ticket_is_blanked_and_the_rest_of_the_handshake_is_kept(tmp_path: Path) -> None:
    client, server = link_stage(ChannelType.DISPLAY, connection_id=7, channel_id=2)
    assert b"\x7e" * 128 in client
    frames = connection(client + mini(3, ping()), server + mini(4, ping()))
    found, out = write_again(tmp_path, frames)
    with found, replay(out) as again:
        assert b"\x7e" * 8 not in out.read_bytes()
        assert SYNTHETIC.encode() not in out.read_bytes()
        before, after = only(found), only(again)
        assert before.link == after.link
        assert after.server.stream.read(0, after.link.server_bytes) == server
        assert after.client.stream.read(0, len(client) - 128) == client[:-128]


def test_a_link_message_as_long_as_a_reply_is_still_one(tmp_path: Path) -> None:
    client = link_message(ChannelType.DISPLAY, connection_id=7, caps=(0,) * 60)
    client += struct.pack("<I", 1) + bytes(128)
    server = link_stage(ChannelType.DISPLAY)[1] + mini(4, ping()) * 4
    found, out = write_again(tmp_path, connection(client, server))
    with found, replay(out) as again:
        assert only(found).link == only(again).link
        assert_same(found, again)


def test_a_password_in_a_sasl_exchange_is_not_written(tmp_path: Path) -> None:
    secret = b"\0user\0hunter2"

    def item(data: bytes) -> bytes:
        return struct.pack("<I", len(data)) + data

    sasl = 0b1101
    client = link_message(ChannelType.INPUTS, connection_id=7, common=(sasl,)) + struct.pack("<I", 2)
    client += item(b"PLAIN") + item(secret)
    server = link_reply(common=(sasl,)) + item(b"PLAIN") + item(b"") + b"\x01" + struct.pack("<I", 0)
    server += mini(101, bytes(2)) * 4
    found, out = write_again(tmp_path, connection(client, server))
    with found, replay(out) as again:
        assert found.sessions[0].channels[0].link.mechanism == 2
        assert b"hunter2" not in out.read_bytes()
        assert_same(found, again)


def test_a_refused_channel_stays_refused(tmp_path: Path) -> None:
    client, server = link_stage(ChannelType.MAIN, result=7)
    found, out = write_again(tmp_path, connection(client, server))
    with found, replay(out) as again:
        assert only(again).link.status is LinkStatus.REFUSED
        assert only(again).link.result == 7
    client = link_message(ChannelType.MAIN)
    found, out = write_again(tmp_path, connection(client, link_reply(error=5)))
    with found, replay(out) as again:
        assert (only(again).link.status, only(again).link.reply_error) == (LinkStatus.REFUSED, 5)


def test_full_headers_and_their_serials_are_kept(tmp_path: Path) -> None:
    client, server = link_stage(ChannelType.DISPLAY, mini_header=False)
    server += b"".join(full(7 * n, 123, stream_data(100 + n)) for n in range(1, 9))
    found, out = write_again(tmp_path, connection(client + full(1, 3, ping()), server))
    with found, replay(out) as again:
        assert not only(again).mini_header
        assert only(again).server.serial.tolist() == [7 * n for n in range(1, 9)]
        assert_same(found, again)


def test_one_direction_alone_gets_the_other_ones_handshake(tmp_path: Path) -> None:
    client, server = link_stage(ChannelType.DISPLAY)
    server += b"".join(mini(123, stream_data(300 + n)) for n in range(20))
    frames = [f for f in connection(client, server) if f.data[34:36] == struct.pack(">H", 5900)]
    found, out = write_again(tmp_path, frames)
    with found, replay(out) as again:
        log = only(again)
        assert log.channel is ChannelType.DISPLAY
        assert len(log.server) == 20
        assert any(SYNTHETIC in text for text in comments_of(out))


def test_capabilities_that_messages_prove_are_in_a_made_up_handshake(tmp_path: Path) -> None:
    created = struct.pack("<IIBBQIIIIiiiiB", 0, 1, 0, VideoCodec.VP8, 0, 8, 8, 8, 8, 0, 0, 8, 8, 0)
    display = channel(
        ChannelType.DISPLAY,
        [
            Said(1, 314, struct.pack("<IIIII", 1, 8, 8, 8, 0)),
            Said(2, 317, struct.pack("<HH", 0, 1)),
            Said(3, 122, created),
            Said(4, 319, struct.pack("<IIII", 1, 1, 5, 1000)),
        ],
        [Said(5, 103, b"\x01")],
        link=None,
        channel_id=1,
    )
    playback = channel(ChannelType.PLAYBACK, [Said(1, 102, struct.pack("<IH", 0, 3))], link=None)
    made = session(display, playback)
    made.session_id = 0xC0FFEE
    out = tmp_path / "x.pcapng"
    written = write_sessions(out, [made])
    assert written.synthetic == ("session 0 display/1", "session 0 playback/0")
    with replay(out) as again:
        assert again.sessions[0].session_id == 0xC0FFEE
        logs = {log.name: log for log in again.sessions[0].channels}
        shown = logs["display/1"].link
        assert set(shown.cap_names(Side.CLIENT)) == {
            "MONITORS_CONFIG", "A8_SURFACE", "STREAM_REPORT", "MULTI_CODEC", "CODEC_VP8"
        }  # fmt: skip
        assert set(shown.cap_names(Side.SERVER)) == {"MONITORS_CONFIG", "STREAM_REPORT", "PREF_COMPRESSION"}
        assert logs["playback/0"].link.cap_names(Side.CLIENT) == ["OPUS"]
        assert logs["playback/0"].link.connection_id == 0xC0FFEE


# --- what is missing -----------------------------------------------------------------------------------------


def test_holes_within_and_between_messages_stay(tmp_path: Path) -> None:
    client, server = link_stage(ChannelType.DISPLAY)
    start = len(server)
    server += b"".join(mini(123, stream_data(1000)) for _ in range(12))
    size = 6 + 12 + 1000
    # In the body of the second message; then from the end of the fifth over the head of the sixth.
    holes = ((start + size + 300, 100), (start + 5 * size - 40, 60))
    found, out = write_again(tmp_path, connection(client, server, holes=holes))
    with found, replay(out) as again:
        before, after = only(found), only(again)
        assert_same(found, again)
        assert before.server.partial.sum() == 2
        assert sum(gap.length or 0 for gap in after.gaps) >= 160
        texts = comments_of(out)
        assert "100 of the 1012 bytes of this message are missing" in texts
        assert any(text.endswith("bytes are missing before this") for text in texts)


def test_a_message_at_which_the_recording_ends_stays_cut_off(tmp_path: Path) -> None:
    client, server = link_stage(ChannelType.DISPLAY)
    server += mini(123, stream_data(1000)) + mini(123, stream_data(1000))[:200]
    found, out = write_again(tmp_path, connection(client, server))
    with found, replay(out) as again:
        assert_same(found, again)
        assert only(again).gaps == []
        assert only(again).server.partial.tolist() == [False, True]


def test_what_a_ring_had_dropped_before_is_a_hole_at_the_beginning(tmp_path: Path) -> None:
    said = [Said(n, 123, stream_data(100)) for n in range(1, 8)]
    gap = Gap(Side.SERVER, ORIGIN_NS, -5000, 5000, GapCause.EVICTED)
    log = channel(ChannelType.DISPLAY, said, link=None, gaps=[gap])
    out = tmp_path / "x.pcapng"
    assert write_sessions(out, [session(log)]).holes == 1
    with replay(out) as again:
        assert [g.length for g in only(again).gaps] == [5000]
        assert len(only(again).server) == 7


# --- addresses, times, words ---------------------------------------------------------------------------------


def spoken(**changes: object) -> ChannelLog:
    log = channel(ChannelType.INPUTS, [Said(1, 101, bytes(2))], [Said(2, 103, bytes(2))], link=None, end=3)
    return replace(log, **changes)


@pytest.mark.parametrize(
    ("client", "server", "expected"),
    [
        ("10.1.2.3:40000", "10.1.2.4:5930", ["10.1.2.3:40000", "10.1.2.4:5930"]),
        ("[2001:db8::5]:40000", "[2001:db8::6]:1", ["[2001:db8::5]:40000", "[2001:db8::6]:1"]),
        ("", "", ["192.0.2.1:49152", "192.0.2.2:5930"]),
        ("pipe", "10.1.2.4:5930", ["192.0.2.1:49152", "192.0.2.2:5930"]),
        ("10.1.2.3:40000", "[::1]:5930", ["192.0.2.1:49152", "192.0.2.2:5930"]),
    ],
)
def test_addresses_are_the_captures_or_those_for_documentation(
    client: str, server: str, expected: list[str], tmp_path: Path
) -> None:
    out = tmp_path / "x.pcapng"
    write_sessions(out, [session(spoken(client_address=client, server_address=server))])
    with read_connections(out) as capture:
        assert list(map(str, capture.connections[0].endpoints)) == expected


def test_connections_at_the_same_time_never_share_addresses_and_ports(tmp_path: Path) -> None:
    out = tmp_path / "x.pcapng"
    same = {"client_address": "10.0.0.1:7", "server_address": "10.0.0.2:5930"}
    later = {"start_time_ns": ORIGIN_NS + 10**10, "end_time_ns": ORIGIN_NS + 2 * 10**10}
    logs = [spoken(**same), spoken(**same, channel_id=1), spoken(**same, channel_id=2, **later)]
    write_sessions(out, [session(*logs)])
    with read_connections(out) as capture:
        assert [c.endpoints[0].port for c in capture.connections] == [7, 8, 7]


def test_times_are_moved_and_remarks_are_told_when_it_is_time(tmp_path: Path) -> None:
    out = tmp_path / "x.pcapng"
    log = spoken()
    remarks = [Remark(log.end_time_ns, "late"), Remark(ORIGIN_NS + 15 * 10**8, "in between")]
    write_sessions(out, [session(log)], utc_offset_ns=5, remarks=remarks)
    with replay(out) as again:
        assert only(again).server.time_ns.tolist() == [ORIGIN_NS + 10**9 + 5]
    texts = comments_of(out)
    assert "in between" in texts
    assert texts[-1] == "late"
    with pytest.raises(UsageError, match="cannot be written"):
        write_sessions(out, [session(log)], utc_offset_ns=-(2**62))


@pytest.mark.parametrize(("origin_s", "packets"), [(-5, 1), (0, 0), (2, 0)])
def test_seconds_count_from_where_they_did(origin_s: int, packets: int, tmp_path: Path) -> None:
    out = tmp_path / "x.pcapng"
    log = spoken()
    without = write_sessions(out, [session(log)]).packets
    origin_ns = ORIGIN_NS + origin_s * 10**9
    assert write_sessions(out, [session(log)], origin_ns=origin_ns).packets == without + packets
    with replay(out) as again:
        assert again.start_time_ns == min(origin_ns, ORIGIN_NS)
        assert not len(again.defects)


def test_comments_can_be_left_out_but_the_file_says_what_is_made_up(tmp_path: Path) -> None:
    out = tmp_path / "x.pcapng"
    write_sessions(out, [session(spoken())], comments=False)
    (about,) = comments_of(out)
    assert "session 0 inputs/0" in about.splitlines()[-1]


def test_each_message_begins_a_segment(tmp_path: Path) -> None:
    out = tmp_path / "x.pcapng"
    sizes = [0, 3, 70_000, 12]
    log = channel(ChannelType.DISPLAY, [Said(n, 123, stream_data(s)) for n, s in enumerate(sizes)], link=None)
    written = write_sessions(out, [session(log)])
    assert written.messages == 4
    with read_connections(out) as capture:
        stream = capture.connections[0].streams[1]
        heads = [18 + s for s in sizes]
        whole = ETHERNET_BYTES + IPV4_BYTES + TCP_BYTES
        assert stream.length.tolist()[2:] == [
            heads[0],
            heads[1],
            65_535 - whole,
            heads[2] - 65_535 + whole,
            heads[3],
        ]


def test_a_channel_of_which_nothing_is_known_is_left_out(tmp_path: Path) -> None:
    out = tmp_path / "x.pcapng"
    written = write_sessions(out, [session(spoken(), channel(ChannelType.RECORD, link=None))])
    assert (written.channels, written.left_out) == (1, ("session 0 record/0",))


def test_nothing_is_left_behind_when_writing_fails(tmp_path: Path) -> None:
    out = tmp_path / "x.pcapng"
    log = spoken()
    bad = replace(
        log, server=replace(index(log.channel, Side.SERVER, [Said(1, 101, b"")]), time_ns=np.array([-1]))
    )
    bad.start_time_ns = -1
    with pytest.raises(UsageError):
        write_sessions(out, [session(bad)])
    assert list(tmp_path.iterdir()) == []
