"""What the page about exports shows is run as it stands."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from spicereplay.cli.app import app
from spicereplay.export import ExportFormat
from spicereplay.export.perfetto import SHOWN

PAGE = (Path(__file__).parents[2] / "docs" / "topics" / "exports.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def checkout(fixtures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "fixtures").symlink_to(fixtures)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_commands_and_python_run(checkout: Path) -> None:
    for command in "".join(blocks("console")).splitlines():
        _, *words = shlex.split(command.removeprefix("$ "))
        assert CliRunner().invoke(app, words).exit_code == 0, command
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        for code in blocks("python"):
            exec(code, {})
    assert "timeout" in printed.getvalue()  # the streams' end cause
    assert "mjpeg" in printed.getvalue()


def test_every_format_and_track_is_told() -> None:
    assert {form.value for form in ExportFormat} == set(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE))
    for entry in SHOWN:
        assert entry.track in PAGE
