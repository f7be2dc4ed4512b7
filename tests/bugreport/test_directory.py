"""What a path is, and what a `--capture` directory holds."""

from pathlib import Path

import pytest
from support.ryllzip import (
    FILE_HEADER,
    Unit,
    as_json,
    message,
    png,
    report_files,
    report_zip,
    write_capture_directory,
    write_snapshots,
)

from spicereplay.bugreport.directory import InputKind, detect, read_capture_directory
from spicereplay.bugreport.report import read_report
from spicereplay.defects import DefectKind, DefectLog
from spicereplay.errors import InputError, NotACaptureError

UNITS = [Unit(0.1, "main", "server", message(103, bytes(32))), Unit(0.2, "display", "client", message(101))]


# --- detection ---------------------------------------------------------------------------------------

FILES = [
    (FILE_HEADER, InputKind.CAPTURE),
    (bytes.fromhex("d4c3b2a1"), InputKind.CAPTURE),
    (bytes.fromhex("4d3cb2a1"), InputKind.CAPTURE),
    (bytes.fromhex("0a0d0d0a"), InputKind.CAPTURE),
    (bytes.fromhex("1f8b08"), InputKind.CAPTURE),
    (report_zip(), InputKind.BUG_REPORT),
]


@pytest.mark.parametrize(("content", "kind"), FILES)
def test_files_are_known_by_their_content_not_their_name(tmp_path: Path, content, kind):
    path = tmp_path / "download.bin"
    path.write_bytes(content)
    found = detect(path)
    assert (found.kind, found.path) == (kind, path)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "an empty file"),
        (b"hello\n", "a text file"),
        (png(1, 1), "a PNG picture"),
        (bytes(24), "a file that begins with 00 00 00 00"),
        (b"\xfd7zXZ\0", "unpack it first"),
    ],
)
def test_other_files_are_named_for_what_they_are(tmp_path: Path, content, says):
    path = tmp_path / "x.pcap"
    path.write_bytes(content)
    with pytest.raises(NotACaptureError, match=says):
        detect(path)


def test_directories(tmp_path: Path):
    capture = write_capture_directory(tmp_path / "capture")
    snapshots = tmp_path / "auto-snapshots"
    write_snapshots(snapshots, (10.0,))
    unpacked = tmp_path / "unpacked"
    unpacked.mkdir()
    (unpacked / "metadata.json").write_bytes(as_json(report_files()["metadata.json"]))
    assert detect(capture).kind is InputKind.CAPTURE_DIRECTORY
    assert detect(snapshots).kind is InputKind.SNAPSHOT_DIRECTORY
    assert detect(unpacked).kind is InputKind.BUG_REPORT


@pytest.mark.parametrize("name", ["metadata.json", "traffic.pcap", "session.json"])
def test_an_unpacked_report_may_lack_files(tmp_path: Path, name: str):
    for member, content in report_files().items():
        if member != name:
            (tmp_path / member).write_bytes(content if isinstance(content, bytes) else as_json(content))
    if name != "metadata.json":
        assert detect(tmp_path).kind is InputKind.BUG_REPORT
    assert read_report(tmp_path, defects=DefectLog()).missing == (name,)


def test_a_directory_around_exactly_one_input_stands_for_it(tmp_path: Path):
    (tmp_path / "README.txt").write_text("notes")
    (tmp_path / "empty").mkdir()
    capture = write_capture_directory(tmp_path / "capture")
    assert detect(tmp_path).path == capture


def test_a_directory_with_one_report_stands_for_it(tmp_path: Path):
    (tmp_path / "report.zip").write_bytes(report_zip())
    assert detect(tmp_path).path == tmp_path / "report.zip"


def test_several_inputs_are_listed(tmp_path: Path):
    write_capture_directory(tmp_path / "one")
    (tmp_path / "two.zip").write_bytes(report_zip())
    with pytest.raises(NotACaptureError, match=r"one \(capture directory\), two.zip \(bug report\)"):
        detect(tmp_path)


def test_a_directory_of_something_else_says_what_it_holds(tmp_path: Path):
    for i in range(12):
        (tmp_path / f"{i:02}.txt").write_text("x")
    with pytest.raises(NotACaptureError, match=r"it holds 00.txt, .* and 4 more"):
        detect(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(NotACaptureError, match="it holds nothing"):
        detect(tmp_path / "empty")


def test_a_capture_directory_without_recordings_is_named(tmp_path: Path):
    (tmp_path / "metadata.json").write_bytes(as_json({"capture_started": "2026-06-01T12:00:00Z"}))
    with pytest.raises(NotACaptureError, match="without any recording"):
        detect(tmp_path)


def test_a_path_that_is_not_there(tmp_path: Path):
    with pytest.raises(InputError, match="no such file"):
        detect(tmp_path / "gone")


# --- capture directories -----------------------------------------------------------------------------


def read(path: Path):
    defects = DefectLog()
    return read_capture_directory(path, defects=defects), defects


def test_a_capture_directory(tmp_path: Path):
    write_capture_directory(tmp_path, UNITS)
    (tmp_path / "display.mp4").write_bytes(b"")
    (tmp_path / "bug-reports" / "b.zip").write_bytes(report_zip())
    write_snapshots(tmp_path / "bug-reports" / "auto-snapshots", (10.0, 20.0))
    capture, defects = read(tmp_path)
    assert sorted(capture.pcaps) == ["cursor", "display", "inputs", "main", "usbredir"]
    assert capture.pcaps["cursor"].read_bytes() == FILE_HEADER
    assert capture.metadata.target_port == 5901
    assert capture.start_ns == 1_780_315_200_000_000_000
    assert [report.kind for report in capture.reports] == ["display"]
    assert len(capture.snapshots.runs[0].reports) == 2
    assert capture.video == tmp_path / "display.mp4"
    assert not len(defects)


def test_a_capture_directory_of_recordings_alone(tmp_path: Path):
    (tmp_path / "display.pcap").write_bytes(FILE_HEADER)
    assert detect(tmp_path).kind is InputKind.CAPTURE_DIRECTORY
    capture, defects = read(tmp_path)
    assert list(capture.pcaps) == ["display"]
    assert capture.start_ns is capture.video is capture.snapshots is None
    assert [d.kind for d in defects] == [DefectKind.MEMBER_MISSING]


@pytest.mark.parametrize("content", [b"{", b"[]", b"\xff", b'{"target_port": "x"}'])
def test_damaged_metadata_costs_itself(tmp_path: Path, content: bytes):
    write_capture_directory(tmp_path, UNITS)
    (tmp_path / "metadata.json").write_bytes(content)
    capture, defects = read(tmp_path)
    assert capture.metadata.target_port is None
    assert len(defects) == 1
    assert len(capture.pcaps) == 5


def test_a_damaged_bug_report_costs_itself(tmp_path: Path):
    write_capture_directory(tmp_path, UNITS)
    (tmp_path / "bug-reports" / "b.zip").write_bytes(b"garbage")
    capture, defects = read(tmp_path)
    assert capture.reports == ()
    assert [d.kind for d in defects] == [DefectKind.FILE_DAMAGED]


def test_a_directory_without_recordings_cannot_be_read(tmp_path: Path):
    with pytest.raises(NotACaptureError, match="no recording of a channel"):
        read(tmp_path)
