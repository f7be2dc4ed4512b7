"""The shared bug reports and hostile zips, each against what is expected of it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from spicereplay.bugreport.client_reported import rows, summary
from spicereplay.bugreport.directory import InputKind, detect, read_capture_directory
from spicereplay.bugreport.report import MEMBERS, BugReport, read_report
from spicereplay.bugreport.snapshots import read_snapshots
from spicereplay.defects import DefectKind, DefectLog
from spicereplay.errors import InputError
from spicereplay.units import NS_PER_S

pytestmark = pytest.mark.shared


def expectations(shared: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    for path in sorted((shared / "bugreports").glob("*/expected.json")):
        yield path.parent, json.loads(path.read_text())


def zips(shared: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    for folder, expected in expectations(shared):
        for one in expected.get("zips") or [expected.get("bug_report") or expected]:
            (path,) = folder.rglob(one["file"])
            yield path, one


def test_every_report_is_what_it_is_expected_to_be(shared: Path):
    for path, expected in zips(shared):
        defects = DefectLog()
        report = read_report(path, defects=defects)
        assert [m for m in expected["members"] if m in MEMBERS] == list(report.members), path
        if path.parent.name != "missing-members-g1":  # which lacks just that
            assert report.uptime_s == expected["session_uptime_secs"], path
        assert report.metadata.channel == expected["channel"], path
        assert report.metadata.report_type == expected["report_type"], path
        assert report.revision.label <= expected["revision"] <= report.revision.newest, path
        assert {d.kind for d in defects} <= {DefectKind.MEMBER_MISSING}, path
        _holds_together(report, expected)


def _holds_together(report: BugReport, expected: dict[str, Any]) -> None:
    clock, zero = report.clock, expected.get("connection_start_time_ns")
    if clock is not None and zero is not None:
        assert clock.earliest_ns <= zero <= clock.latest_ns
        assert abs(clock.zero_ns - zero) <= NS_PER_S
    pcap = report.open_pcap(DefectLog())
    assert (pcap is not None) == ("traffic.pcap" in expected["members"])
    if pcap is not None:
        with pcap:
            assert len(pcap.read(24)) == 24
    assert "recent_events" not in repr(list(rows(report)))
    summary(report)


def test_unknown_members_change_nothing(shared: Path):
    (path,) = (shared / "bugreports/unknown-members-g2").glob("*.zip")
    report = read_report(path, defects=DefectLog())
    assert report.unknown_files == ("future-file.json",)
    assert set(report.unknown_fields) == {"metadata.json", "session.json", "channel-state.json"}


@pytest.mark.parametrize(
    ("folder", "missing"),
    [
        ("missing-members-g1", ("notifications.json", "runtime-metrics.json")),
        ("no-pcap-g1", ("traffic.pcap",)),
        ("disconnect-webdav-g1", ()),
    ],
)
def test_what_is_missing_is_named(shared: Path, folder: str, missing: tuple[str, ...]):
    (path,) = (shared / "bugreports" / folder).glob("*.zip")
    assert read_report(path, defects=DefectLog()).missing == missing


def test_the_streams_the_client_saw_are_those_expected(shared: Path):
    for folder, created, ended in (
        ("display-flap-g1", 3, 3),
        ("display-flap-g2", 4, 3),
        ("display-flap-evicted-g1", 4, 4),
    ):
        (path,) = (shared / "bugreports" / folder).glob("*.zip")
        streams = summary(read_report(path, defects=DefectLog())).streams
        assert (streams.created, streams.destroyed, len(streams.ended)) == (created, ended, ended)


def test_agent_lag_and_orphans(shared: Path):
    (path,) = (shared / "bugreports/connection-agent-lag-g1").glob("*.zip")
    agent = summary(read_report(path, defects=DefectLog())).agent
    assert (agent.requests, agent.replies, agent.errors, agent.errors_written) == (3, 3, None, 3)
    assert round(max(agent.recent_lags_us) / 1e6, 2) == 2.29
    (path,) = (shared / "bugreports/vp8-orphans-g1").glob("*.zip")
    assert summary(read_report(path, defects=DefectLog())).streams.orphan_frames == 104


def test_every_folder_is_detected(shared: Path):
    for folder, expected in expectations(shared):
        kind = (
            InputKind.SNAPSHOT_DIRECTORY
            if "zips" in expected
            else InputKind.CAPTURE_DIRECTORY
            if "zero_time_ns" in expected
            else InputKind.BUG_REPORT
        )
        assert detect(folder).kind is kind


def test_snapshot_directories_are_one_connection(shared: Path):
    for folder, expected in expectations(shared):
        if "zips" not in expected:
            continue
        defects = DefectLog()
        (run,) = read_snapshots(detect(folder).path, defects=defects).runs
        assert [Path(r.label).name for r in run.reports] == [one["file"] for one in expected["zips"]]
        assert not len(defects)


def test_capture_directories(shared: Path):
    for folder, expected in expectations(shared):
        if "zero_time_ns" not in expected:
            continue
        defects = DefectLog()
        capture = read_capture_directory(detect(folder).path, defects=defects)
        assert sorted(f"{label}.pcap" for label in capture.pcaps) == sorted(
            set(expected["files"]) - {"metadata.json"}
        )
        assert 0 <= expected["zero_time_ns"] - capture.start_ns < NS_PER_S
        assert len(capture.reports) == 1
        assert not len(defects)


def test_hostile_zips(shared: Path):
    for case in json.loads((shared / "hostile/index.json").read_text()):
        if not case["file"].endswith(".zip"):
            continue
        defects = DefectLog()
        try:
            read_report(shared / "hostile" / case["file"], defects=defects)
        except InputError:
            assert case["expect"]["outcome"] in ("exit3", "either"), case["file"]
        else:
            assert case["expect"]["outcome"] in ("report", "either"), case["file"]
            assert (len(defects) > 0) == (case["expect"]["defect"] is not None), case["file"]
