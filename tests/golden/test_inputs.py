"""Which captures a path stands for."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from spicereplay.errors import InputError
from spicereplay.golden.inputs import find_captures


@pytest.fixture
def folder(fixtures: Path, tmp_path: Path) -> Path:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    capture = fixtures / "hostile/websocket.pcap"
    shutil.copy(capture, tmp_path / "b.pcap")
    shutil.copy(capture, tmp_path / "deep/er/a.cap")
    shutil.copy(fixtures / "bugreports/no-pcap-g1.zip", tmp_path / "deep/report.zip")
    shutil.copytree(fixtures / "bugreports/auto-snapshots-g2/auto-snapshots", tmp_path / "deep/snapshots")
    (tmp_path / "notes.txt").write_text("no capture")
    (tmp_path / "broken.pcap").write_text("no capture either")
    (tmp_path / ".git").mkdir()
    shutil.copy(capture, tmp_path / ".git/c.pcap")
    (tmp_path / "loop").symlink_to(tmp_path)
    return tmp_path


def names(root: Path, paths: tuple[Path, ...]) -> list[str]:
    return [str(path.relative_to(root)) for path in paths]


def test_a_folder_is_walked_through_and_inputs_that_are_folders_are_not(folder: Path) -> None:
    found = find_captures([folder])
    assert names(folder, found.captures) == ["b.pcap", "deep/er/a.cap", "deep/report.zip", "deep/snapshots"]
    assert names(folder, found.passed_over) == ["broken.pcap"]


def test_what_has_a_manifest_is_never_passed_over(folder: Path) -> None:
    for name in ("broken.pcap.golden", "gone.pcap.golden", "deep/er.golden"):
        (folder / name).write_text("")
    found = find_captures([folder])
    assert names(folder, found.captures)[:3] == ["b.pcap", "broken.pcap", "deep/er"]
    assert "gone.pcap" in names(folder, found.captures)
    assert found.passed_over == ()


def test_a_file_stands_for_itself_whatever_its_name_and_a_manifest_for_its_capture(folder: Path) -> None:
    odd = folder / "b.pcap"
    odd.rename(folder / "odd.bin")
    (folder / "odd.bin.golden").write_text("")
    both = [folder / "odd.bin", folder / "odd.bin.golden"]
    assert names(folder, find_captures(both).captures) == ["odd.bin"]


@pytest.mark.parametrize("name", ["no", "no.pcap.golden"])
def test_a_path_that_is_not_there_is_said_to_be_missing(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="no such"):
        find_captures([tmp_path / name])
