"""Bug reports of our own: what is written is what is read, by our reader as by the tables made of it."""

import io
import json
import zipfile
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import ryllzip

import spicereplay as sr
from spicereplay.bugreport import schema
from spicereplay.bugreport.newest import blank, encode, plain
from spicereplay.bugreport.report import MEMBERS, read_report
from spicereplay.bugreport.ring import RING_BYTES, TrafficRings
from spicereplay.bugreport.ring_pcap import pcap_chunks
from spicereplay.bugreport.variants import ReportKind, report_type, rust_value, type_of_kind
from spicereplay.bugreport.writing import Contents, not_measured, report_bytes, report_name, write_report
from spicereplay.defects import DefectLog
from spicereplay.errors import OutputExistsError, UsageError
from spicereplay.protocol.enums import ChannelType, Side

MAIN, DISPLAY, INPUTS = ChannelType.MAIN, ChannelType.DISPLAY, ChannelType.INPUTS
SERVER, CLIENT = Side.SERVER, Side.CLIENT
S, MS = 1_000_000_000, 1_000_000
WRITTEN = 1_780_000_000 * S + 500 * MS

KINDS = {
    "display": type_of_kind(ReportKind.DISPLAY),
    "input": type_of_kind(ReportKind.INPUT),
    "cursor": type_of_kind(ReportKind.CURSOR),
    "connection": type_of_kind(ReportKind.CONNECTION),
    "usb": type_of_kind(ReportKind.USB),
    "pedantic": type_of_kind(ReportKind.PEDANTIC, gap_key="display:unimpl:draw_text"),
    "disconnect": type_of_kind(ReportKind.DISCONNECT, channel="main"),
    "notification": type_of_kind(ReportKind.NOTIFICATION, notification_id=3, snapshot_state="AtFire"),
    "auto_snapshot": type_of_kind(ReportKind.AUTO_SNAPSHOT),
}


def contents(kind: str = "auto_snapshot", **changes) -> Contents:
    _, channel = ryllzip.KINDS[kind]
    values = {
        "type": KINDS[kind],
        "channel": channel,
        "written_ns": WRITTEN,
        "uptime_s": 10.5,
        "target_host": "desk.example.org",
        "target_port": 5901,
        "session": blank(schema.Session, fps=24.5, cursor_pos=[1, 2]),
        "channels": {},
        "traffic": TrafficRings(0).kept(),
    }
    return Contents(**(values | changes))


def read_back(made: Contents):
    defects = DefectLog()
    report = read_report(io.BytesIO(report_bytes(made)), defects=defects)
    assert not list(defects)
    return report


# --- what is in the zip ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "display"])
def test_every_kind_has_the_files_and_fields_that_ryll_writes(kind: str):
    """Held against the test's own writer, which was made from the description of the format alone."""
    disconnect = blank(schema.DisconnectCause, channel="main") if kind == "disconnect" else None
    made = zipfile.ZipFile(io.BytesIO(report_bytes(contents(kind, disconnect=disconnect))))
    ryll = ryllzip.report_files(kind, "G3")
    assert made.namelist() == list(ryll)
    for name in ("metadata.json", "session.json", "channel-state.json"):
        own = json.loads(made.read(name))
        assert shape(own) == shape(ryll[name]), name
    assert json.loads(made.read("metadata.json"))["report_type"] == ryll["metadata.json"]["report_type"]
    assert all(entry.compress_type == zipfile.ZIP_STORED for entry in made.infolist())


def shape(value):
    """The names of all members of an object, in order, and those of objects inside."""
    if isinstance(value, dict) and not any(name.isdigit() for name in value):
        inner = {n: shape(v) for n, v in value.items() if n in schema.SNAPSHOTS or n == "process"}
        return sorted(value), inner
    return None


def test_it_is_read_back_as_the_newest_revision_with_nothing_missing_or_unknown():
    report = read_back(contents())
    assert report.kind is ReportKind.AUTO_SNAPSHOT
    assert (report.revision.label, report.missing, report.unknown_files) == ("G3", (), ())
    assert not report.unknown_fields
    assert report.session.fps == 24.5
    assert report.uptime_s == report.session.uptime_secs == 10.5
    assert (report.metadata.target_host, report.metadata.target_port) == ("desk.example.org", 5901)
    assert tuple(report.channels) == ryllzip.CHANNELS
    assert report.runtime == not_measured("not sampled")


def test_everything_that_a_report_can_have_comes_back_in_ryll_s_order():
    state = blank(schema.MainSnapshot, session_id=7, messages_recv_by_opcode={"4": 2**63 + 1}, agent_tokens=9)
    notice = blank(
        schema.Notification,
        id=1,
        when=schema.WallTime(secs_since_epoch=5, nanos_since_epoch=6),
        severity="Warn",
        source={"Spice": {"channel": "Main", "what": 5}},
        message="a \u202e <b>notice</b>",
        count=2,
    )
    cause = blank(
        schema.DisconnectCause, channel="main", error_message="early eof", error_kind="UnexpectedEof"
    )
    picture = ryllzip.png(8, 4)
    made = contents(
        "disconnect",
        channels={"main": state},
        notifications=[notice],
        disconnect=cause,
        screenshot=picture,
        region_screenshot=picture,
        region=schema.Region(left=1, top=2, right=9, bottom=6),
        runtime=schema.RuntimeMetrics(
            sample_window_ms=2000,
            platform="linux",
            process=schema.Process(cpu_percent=3.0, rss_kb=1, vm_size_kb=2, uptime_secs=4.5),
            threads=[schema.Thread(tid=1, name="x", cpu_percent=3.0)],
        ),
    )
    report = read_back(made)
    assert report.members == MEMBERS
    assert report.channels["main"] == msgspec.structs.replace(state, client_keepalive_send_count=None)
    assert report.notifications == (notice,)
    assert report.disconnect == cause
    assert report.runtime == made.runtime
    assert [(shot.width, shot.height) for shot in report.screenshots] == [(8, 4), (8, 4)]
    assert report.metadata.region == made.region


def test_what_was_typed_is_not_written():
    event = schema.InputEvent(event_type="KeyDown", scancode=30, timestamp_secs=1.0)
    inputs = blank(schema.InputsSnapshot, recent_events=[event])
    for kind in ("input", "auto_snapshot"):
        data = zipfile.ZipFile(io.BytesIO(report_bytes(contents(kind, channels={"inputs": inputs}))))
        state = json.loads(data.read("channel-state.json"))
        assert state.get("inputs", state)["recent_events"] == []


def test_a_number_that_json_cannot_say_is_null():
    assert plain(blank(schema.Session, fps=float("nan")))["fps"] is None
    assert b'"bandwidth_history": [\n    1.5,\n    null\n  ]' in encode(
        blank(schema.Session, bandwidth_history=[1.5, float("inf")])
    )


def test_the_newest_revision_lacks_what_older_ones_wrote():
    assert "client_keepalive_send_count" not in plain(blank(schema.MainSnapshot))
    assert list(plain(not_measured("why"))) == ["platform", "available", "reason"]


def test_of_a_channel_that_ryll_keeps_no_traffic_of_there_is_no_pcap():
    made = contents(
        "disconnect", channel="webdav", type=type_of_kind(ReportKind.DISCONNECT, channel="webdav")
    )
    assert "traffic.pcap" not in zipfile.ZipFile(io.BytesIO(report_bytes(made))).namelist()


@pytest.mark.parametrize("written", KINDS.values())
def test_the_type_of_a_report_goes_both_ways(written):
    assert report_type(rust_value(written)) == written


# --- files -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("made", "name"),
    [
        (contents("display"), "ryll-bugreport-2026-05-28T20-26-40Z.zip"),
        (contents(triggered_ns=WRITTEN - 2 * S), "ryll-auto-snapshot-2026-05-28T20-26-38Z-T+8.5s.zip"),
        (contents("pedantic"), "ryll-pedantic-display-unimpl-draw_text-2026-05-28T20-26-40Z.zip"),
        (contents("notification"), "ryll-notification-3-atfire-2026-05-28T20-26-40Z.zip"),
        (
            contents("disconnect", type=type_of_kind(ReportKind.DISCONNECT, channel="a:b/c\\d eé!")),
            "ryll-disconnect-a-b-c-d-e__-2026-05-28T20-26-40Z.zip",
        ),
    ],
)
def test_files_are_called_as_ryll_calls_them(made: Contents, name: str):
    assert report_name(made) == name


def test_a_file_is_there_whole_or_not_at_all_and_never_overwritten_unasked(tmp_path: Path):
    path = tmp_path / "report.zip"
    write_report(path, contents())
    before = path.read_bytes()
    with pytest.raises(OutputExistsError):
        write_report(path, contents(uptime_s=99.0))
    assert path.read_bytes() == before
    write_report(path, contents(uptime_s=99.0), force=True)
    assert path.read_bytes() != before
    with pytest.raises(UsageError, match="no report can be about channel 'tunnel'"):
        write_report(tmp_path / "other.zip", contents(channel="tunnel"))
    assert list(tmp_path.iterdir()) == [path]


# --- the rings ---------------------------------------------------------------------------------------


@given(
    st.lists(
        st.tuples(st.sampled_from([MAIN, DISPLAY, INPUTS]), st.sampled_from(Side), st.integers(0, 200_000)),
        max_size=60,
    ),
    st.integers(1, 3_000_000),
)
@settings(max_examples=50)
def test_rings_stay_within_their_bytes_and_keep_the_newest_of_each_channel(messages, most):
    rings = TrafficRings(0, most_bytes=most)
    for at, (channel, side, size) in enumerate(messages):
        rings.add(channel, side, 300, bytes(size), at)
        assert rings.used_bytes <= most
    kept = rings.kept()
    for channel, one in kept.channels.items():
        all_of_it = [(at, side, size) for at, (c, side, size) in enumerate(messages) if c is channel]
        own = [(unit.time_ns, unit.side, len(unit.body)) for unit in one.units]
        assert own == all_of_it[len(all_of_it) - len(own) :]
        gone = all_of_it[: len(all_of_it) - len(own)]
        for side, base in ((CLIENT, 1000), (SERVER, 2000)):
            assert one.first_sequence[side] == base + sum(6 + size for _, s, size in gone if s is side)


def test_a_ring_is_not_emptied_more_than_it_must_and_channels_do_not_push_each_other_out():
    rings = TrafficRings(0)
    rings.add(MAIN, SERVER, 4, bytes(12), 1)
    for at in range(300):
        rings.add(DISPLAY, SERVER, 304, bytes(1_000_000), at)
    kept = rings.kept()
    assert len(kept.channels[MAIN].units) == 1
    # 1,000,006 bytes and sixteen frames of 54 more
    assert len(kept.channels[DISPLAY].units) == RING_BYTES[DISPLAY] // (1_000_006 + 16 * 54)
    rings.add(DISPLAY, SERVER, 304, bytes(RING_BYTES[DISPLAY]), 300)
    assert not rings.kept().channels[DISPLAY].units
    assert len(kept.channels[DISPLAY].units) == 33, "what was kept before does not change"


def test_channels_without_a_ring_are_passed_over():
    rings = TrafficRings(0)
    rings.add(ChannelType.WEBDAV, SERVER, 101, b"x", 0)
    assert rings.used_bytes == 0
    with pytest.raises(UsageError):
        TrafficRings(0, most_bytes=0)


# --- the pcap ----------------------------------------------------------------------------------------


def test_frames_are_those_of_the_golden_vectors():
    """Source: ryll-formats.md 9.5."""
    rings = TrafficRings(1000 * S)
    rings.add(MAIN, CLIENT, 104, b"", 1000 * S + 1250 * MS)
    ping = bytes.fromhex("07000000 15cd5b07 00000000")
    rings.add(MAIN, SERVER, 4, ping, 1000 * S + 1250 * MS)
    assert (
        b"".join(pcap_chunks(rings.kept())).hex()
        == bytes.fromhex(
            """a1b2c3d4 0002 0004 00000000 00000000 0000ffff 00000001
        00000001 0003d090 0000003c 0000003c
        020000000002 020000000001 0800
        4500002e 00004000 400626c8 0a000001 0a000002
        2711170c 000003e8 000007d0 5010ffff e9f60000 680000000000
        00000001 0003d090 00000048 00000048
        020000000002 020000000001 0800
        4500003a 00004000 400626bc 0a000002 0a000001
        170c2711 000007d0 000003ee 5010ffff ca100000 04000c000000 07000000 15cd5b07 00000000"""
        ).hex()
    )


def test_the_pcap_is_the_one_that_the_tests_own_writer_makes():
    rings = TrafficRings(0)
    units = []
    for i in range(200):
        channel, side = (MAIN, DISPLAY, INPUTS)[i % 3], (SERVER, CLIENT)[i % 2]
        body = bytes([i]) * (i * 37 % 3000 + (70_000 if i == 91 else 0))
        rings.add(channel, side, 101 + i % 5, body, i * 7 * MS)
        units.append(ryllzip.Unit(i * 0.007, channel.label, side.value, ryllzip.message(101 + i % 5, body)))
    own = b"".join(pcap_chunks(rings.kept()))
    assert own == ryllzip.ring_pcap(units, segment=ryllzip.WRITTEN)
    only = b"".join(pcap_chunks(rings.kept(), {INPUTS}))
    inputs = [unit for unit in units if unit.channel == "inputs"]
    assert only == ryllzip.ring_pcap(inputs)


def test_channels_are_merged_by_time_and_then_in_ryll_s_order():
    rings = TrafficRings(0)
    for channel in (ChannelType.PLAYBACK, DISPLAY, MAIN):
        for at in (1, 2, 2):
            rings.add(channel, SERVER, 101, channel.label.encode(), at * S)
    expected = [
        ryllzip.Unit(at, channel, "server", ryllzip.message(101, channel.encode()))
        for at, channel in [
            (1, "main"), (2, "main"), (2, "main"), (1, "display"), (2, "display"), (2, "display"),
            (1, "playback"), (2, "playback"), (2, "playback"),
        ]
    ]  # fmt: skip
    assert b"".join(pcap_chunks(rings.kept())) == ryllzip.ring_pcap(
        sorted(expected, key=lambda unit: unit.time_s)
    )


# --- the same tables as the recording ----------------------------------------------------------------


def rings_of(log, start_ns: int, most_bytes: int = 1 << 30) -> TrafficRings:
    """Keep what a recorded session said, message by message as a live client sees it."""
    rings = TrafficRings(start_ns, most_bytes=most_bytes)
    rows = []
    for channel in log.channels:
        for side in Side:
            index = channel.index(side)
            for row in np.flatnonzero(~index.sub):
                rows.append((int(index.time_ns[row]), len(rows), channel.channel, side, index, int(row)))
    for time_ns, _, channel, side, index, row in sorted(rows, key=lambda entry: entry[:2]):
        rings.add(channel, side, int(index.type[row]), index.body(row), time_ns)
    return rings


SAME = (
    "streams", "frames", "flaps", "regions", "reports", "draws", "images", "cache", "sound_runs", "playback", "cursor",
    "agent", "agent_messages", "agent_starvation", "notifications", "acks", "defects", "gaps",
)  # fmt: skip
MEASURED = ["decode_ms", "decode_ms_median", "decode_ms_p95"]
"""Columns that come out different each time."""


def rows(table) -> list[list]:
    """The rows of a table in an order of their own: that of the channels is the recording's."""
    table = table.drop(columns=MEASURED, errors="ignore").astype(object)
    return sorted(table.where(table.notna(), None).to_numpy().tolist(), key=repr)


@pytest.mark.parametrize("name", ["flap-mjpeg", "xspice-agent", "qemu-guest-audio-opus"])
def test_a_report_gives_the_tables_that_the_recording_gives(name: str, fixtures: Path, tmp_path: Path):
    path = tmp_path / "report.zip"
    with sr.open(fixtures / "captures" / name / "capture.pcap") as recording:
        rings = rings_of(recording.sessions[0].log, recording.replay.start_time_ns)
        write_report(path, contents(uptime_s=recording.duration_s, traffic=rings.kept()))
        with sr.open(path) as report:
            for table in SAME:
                assert rows(report.table(table)) == rows(recording.table(table)), table
            # Two usbredir channels of that guest share one ring, as they do in ryll; record has none.
            ours, theirs = (
                table[table["channel"].isin(["main", "display", "inputs", "cursor", "playback"])]
                for table in (report.messages, recording.messages)
            )
            assert rows(ours) == rows(theirs)
            assert np.array_equal(report.frame_at("end").pixels, recording.frame_at("end").pixels)


def test_a_report_whose_ring_was_too_small_says_so_and_has_the_end(fixtures: Path, tmp_path: Path):
    path = tmp_path / "report.zip"
    with sr.open(fixtures / "captures" / "flap-mjpeg" / "capture.pcap") as recording:
        rings = rings_of(recording.sessions[0].log, recording.replay.start_time_ns, most_bytes=300_000)
        write_report(path, contents(uptime_s=recording.duration_s, traffic=rings.kept()))
        with sr.open(path) as report:
            display = next(c for c in report.sessions[0].log.channels if c.name == "display/0")
            gap = next(gap for gap in display.gaps if gap.side is SERVER)
            assert gap.cause == "evicted"
            assert gap.length > 100_000
            last = recording.messages.query("channel == 'display' and `from` == 'server'").tail(20)
            ours = report.messages.query("channel == 'display' and `from` == 'server'").tail(20)
            assert rows(ours) == rows(last)
