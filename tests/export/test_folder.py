"""Outputs appear whole or not at all, and nothing that is no export is ever replaced."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from spicereplay.analysis.schema import TABLES
from spicereplay.analysis.timeline import Tables
from spicereplay.errors import OutputExistsError, UsageError
from spicereplay.export import folder
from spicereplay.export.text import json_frame
from spicereplay.replay import replay


def test_a_folder_is_there_only_when_it_is_complete(tmp_path: Path) -> None:
    target = tmp_path / "out"
    with folder.new_folder(target) as unfinished:
        (unfinished / "manifest.json").write_text("{}")
        assert not target.exists()
        assert unfinished.parent == tmp_path  # the same file system: it is renamed, not copied
    assert [f.name for f in target.iterdir()] == ["manifest.json"]
    assert list(tmp_path.iterdir()) == [target]


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    def fail(give: object) -> None:
        with give as unfinished:  # type: ignore[attr-defined]
            if unfinished.is_dir():
                (unfinished / "half.csv").write_text("a,b")
            else:
                unfinished.write_text("a,b")
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        fail(folder.new_folder(tmp_path / "out"))
    with pytest.raises(OSError, match="No space"):
        fail(folder.new_file(tmp_path / "out.csv"))
    assert list(tmp_path.iterdir()) == []


def test_a_failure_leaves_the_earlier_output(tmp_path: Path) -> None:
    earlier = tmp_path / "out"
    with folder.new_folder(earlier) as unfinished:
        (unfinished / "manifest.json").write_text("first")
    with pytest.raises(KeyboardInterrupt), folder.new_folder(earlier, force=True):
        raise KeyboardInterrupt
    assert (earlier / "manifest.json").read_text() == "first"
    with folder.new_folder(earlier, force=True) as unfinished:
        (unfinished / "manifest.json").write_text("second")
    assert (earlier / "manifest.json").read_text() == "second"
    assert list(tmp_path.iterdir()) == [earlier]


def test_an_existing_output_needs_force(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out.csv").touch()
    with pytest.raises(OutputExistsError), folder.new_folder(tmp_path / "out"):
        pass
    with pytest.raises(OutputExistsError), folder.new_file(tmp_path / "out.csv"):
        pass


def test_force_never_deletes_what_is_no_export(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / "photos").mkdir(parents=True)
    (home / "manifest.json").touch()
    letters = tmp_path / "letters"
    letters.mkdir()
    (letters / "streams.csv").touch()  # a table, but no manifest: somebody's own
    report = tmp_path / "report.html"
    report.touch()
    for path in (home, letters, report):
        with pytest.raises(UsageError, match="left alone"), folder.new_folder(path, force=True):
            pass
        assert path.exists()
    assert (home / "photos").is_dir()
    with pytest.raises(UsageError, match="no ordinary file"), folder.new_file(home, force=True):
        pass


def test_devices_are_no_files_to_replace(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(UsageError, match="no ordinary file"), folder.new_file(pipe, force=True):
        pass
    assert pipe.is_fifo()


def test_an_empty_folder_and_a_link_to_an_export_are_replaced(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "empty")
    for name in ("empty", "link"):
        with folder.new_folder(tmp_path / name, force=True) as unfinished:
            (unfinished / "manifest.json").write_text(name)
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "empty" / "manifest.json").read_text() == "link"


def test_the_folder_around_it_must_be_there(tmp_path: Path) -> None:
    for give in (folder.new_folder, folder.new_file):
        with pytest.raises(UsageError, match="there is no folder"), give(tmp_path / "no" / "out"):
            pass


def test_the_manifest_says_what_is_there(fixtures: Path, tmp_path: Path) -> None:
    with replay(fixtures / "captures" / "flap-mjpeg" / "capture.pcap") as found:
        tables = Tables(found, decode=False)
        told: list[tuple[str, int, int]] = []
        folder.write_tables(
            tables, tmp_path / "out", json_frame, ".jsonl", progress=lambda *step: told.append(step)
        )
        manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
        assert manifest["schema_version"] == 1
        assert manifest["input"] == "capture.pcap"
        assert manifest["start_time_ns"] == 1795358244840252000
        assert [s["session"] for s in manifest["sessions"]] == [0]
        assert list(manifest["tables"]) == list(TABLES)
        for name, table in manifest["tables"].items():
            assert table["rows"] == len(tables[name])
            assert (tmp_path / "out" / table["file"]).is_file()
            assert [(c["name"], c["dtype"], c["unit"], c["meaning"]) for c in table["columns"]] == [
                (c.name, c.dtype, c.unit, c.meaning) for c in TABLES[name].columns
            ]
        assert len(list((tmp_path / "out").iterdir())) == len(TABLES) + 1
    assert [done for _, done, _ in told] == list(range(len(TABLES) + 1))
    assert {total for *_, total in told} == {len(TABLES)}


def test_tables_are_chosen_once_each_and_by_name() -> None:
    assert folder.chosen_tables(["flaps", "streams", "flaps"]) == ["flaps", "streams"]
    assert folder.chosen_tables(None) == folder.chosen_tables(()) == list(TABLES)
    with pytest.raises(UsageError, match="no table is called 'flops'"):
        folder.chosen_tables(["flops"])
