"""Auto-snapshot directories: which zips are of one connection, and in which order they belong."""

import dataclasses
from datetime import timedelta
from pathlib import Path

import pytest
from support.ryllzip import START, as_json, pack, report_files, write_snapshots

from spicereplay.bugreport.report import read_report
from spicereplay.bugreport.snapshots import group_runs, merge_order, read_snapshots
from spicereplay.defects import DefectKind, DefectLog
from spicereplay.errors import InputError, NotACaptureError
from spicereplay.limits import DEFAULT_LIMITS
from spicereplay.units import NS_PER_S

UPTIMES = (12.3, 24.9, 37.0)


def read(path: Path):
    defects = DefectLog()
    return read_snapshots(path, defects=defects), defects


def start_ns() -> int:
    return round(START.timestamp() * NS_PER_S)


def test_the_snapshots_of_one_connection_are_one_run(tmp_path: Path):
    write_snapshots(tmp_path, UPTIMES)
    directory, defects = read(tmp_path)
    (run,) = directory.runs
    assert [report.uptime_s for report in run.reports] == list(UPTIMES)
    assert run.newest.uptime_s == 37.0
    assert (run.host, run.port) == ("desk.example.org", 5901)
    assert abs(run.clock.zero_ns - start_ns()) < NS_PER_S
    assert run.clock.earliest_ns <= start_ns() <= run.clock.latest_ns
    assert not len(defects)


def test_a_reconnect_begins_a_new_run(tmp_path: Path):
    write_snapshots(tmp_path, UPTIMES)
    write_snapshots(tmp_path, UPTIMES, start=START + timedelta(seconds=45))
    runs = read(tmp_path)[0].runs
    assert [[report.uptime_s for report in run.reports] for run in runs] == [list(UPTIMES)] * 2
    assert runs[0].clock.zero_ns < runs[1].clock.zero_ns


def test_two_clients_of_one_directory_are_kept_apart(tmp_path: Path):
    write_snapshots(tmp_path, UPTIMES)
    write_snapshots(tmp_path, (13.4, 26.0), host="other.example.org")
    assert sorted(run.host for run in read(tmp_path)[0].runs) == ["desk.example.org", "other.example.org"]


def snapshot(tmp_path: Path, name: str, uptime_s: float, session_id: int | None, later_s: float = 0):
    files = report_files("auto_snapshot", uptime_s=uptime_s, start=START + timedelta(seconds=later_s))
    files["channel-state.json"]["main"]["session_id"] = session_id
    path = tmp_path / f"ryll-auto-snapshot-{name}.zip"
    path.write_bytes(pack(files))
    return read_report(path, defects=DefectLog())


def test_the_session_id_decides_where_the_clock_was_set(tmp_path: Path):
    same = [snapshot(tmp_path, "a", 10, 5), snapshot(tmp_path, "b", 20, 5, later_s=600)]
    assert len(group_runs(same)) == 1
    other = [snapshot(tmp_path, "a", 10, 5), snapshot(tmp_path, "b", 20, 6)]
    assert len(group_runs(other)) == 2


def test_without_session_ids_the_starts_decide(tmp_path: Path):
    assert len(group_runs([snapshot(tmp_path, "a", 10, None), snapshot(tmp_path, "b", 20, None, 1)])) == 1
    assert len(group_runs([snapshot(tmp_path, "a", 10, None), snapshot(tmp_path, "b", 20, None, 5)])) == 2


def test_reports_without_their_times_stand_alone(tmp_path: Path):
    reports = []
    for name in "ab":
        files = report_files("auto_snapshot")
        del files["metadata.json"]["timestamp"]
        for state in files["channel-state.json"].values():
            state.pop("session_id", None)
        path = tmp_path / f"{name}.zip"
        path.write_bytes(pack(files))
        reports.append(read_report(path, defects=DefectLog()))
    runs = group_runs(reports)
    assert [run.clock for run in runs] == [None, None]


def test_recordings_are_fed_oldest_first(tmp_path: Path):
    write_snapshots(tmp_path, UPTIMES)
    reports = read(tmp_path)[0].runs[0].reports
    assert merge_order(reversed(reports)) == reports


def test_a_damaged_snapshot_costs_itself(tmp_path: Path):
    first, second, _ = write_snapshots(tmp_path, UPTIMES)
    second.write_bytes(b"garbage")
    directory, defects = read(tmp_path)
    assert len(directory.runs[0].reports) == 2
    assert [path for path, _ in directory.unreadable] == [second]
    assert [d.kind for d in defects] == [DefectKind.FILE_DAMAGED]
    first.write_bytes(b"")


def test_only_damaged_snapshots_are_an_input_error(tmp_path: Path):
    for path in write_snapshots(tmp_path, UPTIMES):
        path.write_bytes(as_json({}))
    with pytest.raises(InputError, match="none of 3 auto-snapshots"):
        read(tmp_path)


def test_a_directory_without_snapshots(tmp_path: Path):
    with pytest.raises(NotACaptureError, match="no auto-snapshots"):
        read(tmp_path)


def test_of_too_many_snapshots_the_newest_are_read(tmp_path: Path):
    write_snapshots(tmp_path, UPTIMES)
    defects = DefectLog()
    limits = dataclasses.replace(DEFAULT_LIMITS, snapshots=2)
    (run,) = read_snapshots(tmp_path, limits=limits, defects=defects).runs
    assert [report.uptime_s for report in run.reports] == list(UPTIMES[1:])
    assert [d.kind for d in defects] == [DefectKind.OVER_LIMIT]
