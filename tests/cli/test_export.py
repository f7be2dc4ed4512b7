"""`export` on the command line: formats, names, exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import pytest
from support.command import Done, run
from typer.testing import CliRunner

from spicereplay.cli.app import app
from spicereplay.export import ExportFormat


@pytest.fixture
def capture(fixtures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A capture to read, from a folder to write to."""
    monkeypatch.chdir(tmp_path)
    return fixtures / "captures" / "flap-mjpeg" / "capture.pcap"


def export(*words: str | Path) -> Done:
    return run("export", *words)


@pytest.mark.parametrize(
    ("form", "name"),
    [
        ("parquet", "capture-parquet"),
        ("csv", "capture-csv"),
        ("json", "capture-json"),
        ("perfetto", "capture.pftrace"),
        ("pcapng", "capture-sessions.pcapng"),
        ("mp4", "capture.mp4"),
    ],
)
def test_each_format_has_a_name_from_its_input(form: str, name: str, capture: Path) -> None:
    status, stdout, _ = export(capture, "--to", form, "--no-decode")
    assert (status, stdout) == (0, f"{name}\n")
    assert Path(name).exists()
    assert [f.name for f in Path().iterdir()] == [name]
    status, _, stderr = export(capture, "--to", form)
    assert (status, stderr) == (2, f"spicereplay: {name} exists already; give another name, or --force\n")
    assert export(capture, "--to", form, "--no-decode", "--force")[0] == 0


def test_every_format_is_offered() -> None:
    help_text = CliRunner(env={"NO_COLOR": "1", "COLUMNS": "200"}).invoke(app, ["export", "--help"]).stdout
    assert all(form in help_text for form in ExportFormat)


def test_one_table_by_default_goes_to_a_file(capture: Path) -> None:
    assert export(capture, "--to", "csv", "--table", "flaps")[:2] == (0, "capture-flaps.csv\n")
    assert Path("capture-flaps.csv").read_text().splitlines()[0].startswith("session,channel_id,time_s,count")


def test_several_tables_go_to_a_folder(capture: Path) -> None:
    status, _, _ = export(capture, "--to", "parquet", "-o", "out", "--table", "streams", "--table", "flaps")
    assert status == 0
    assert sorted(f.name for f in Path("out").iterdir()) == [
        "flaps.parquet",
        "manifest.json",
        "streams.parquet",
    ]
    assert duckdb.sql("select count(*) from 'out/streams.parquet'").fetchall() == [(6,)]
    assert json.loads(Path("out/manifest.json").read_text())["tables"]["flaps"]["rows"] == 1


def test_wrong_usage_is_two(capture: Path) -> None:
    assert export(capture)[0] == 2
    assert export(capture, "--to", "xlsx")[0] == 2
    assert export(capture, "--to", "csv", "--table", "flops")[0] == 2
    assert export(capture, "--to", "mp4", "--table", "flaps")[0] == 2
    assert export(capture, "--to", "csv", "-o", "no/such/folder")[0] == 2
    assert list(Path().iterdir()) == []


def test_an_input_that_is_none_is_three(capture: Path) -> None:
    Path("notes.txt").write_text("no capture")
    assert export("notes.txt", "--to", "csv")[0] == 3
    assert export("missing.pcap", "--to", "csv")[0] == 3
    assert [f.name for f in Path().iterdir()] == ["notes.txt"]


def test_made_up_handshakes_are_named(fixtures: Path, capture: Path) -> None:
    status, _, stderr = export(fixtures / "bugreports" / "display-flap-g2.zip", "--to", "pcapng")
    assert status == 0
    assert "handshakes made up, since the input lacks them: session 0 display/0" in stderr
