"""Every command and every piece of Python in the README is run, in a copy of the checkout's inputs."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


COMMANDS = [line.removeprefix("$ ") for block in blocks("console") for line in block.splitlines() if line]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder in which the README's relative paths lead to the real files, and outputs land elsewhere."""
    for name in ("fixtures", "Makefile", "pyproject.toml", "setup.py", "spicereplay", "tests"):
        (tmp_path / name).symlink_to(ROOT / name)
    bin_folder = tmp_path / ".venv" / "bin"
    bin_folder.mkdir(parents=True)
    (bin_folder / "python").symlink_to(sys.executable)
    (bin_folder / "spicereplay").write_text(f'#!/bin/sh\nexec {sys.executable} -m spicereplay.cli.app "$@"\n')
    (bin_folder / "spicereplay").chmod(0o755)
    # What `make` would otherwise build anew: this test is about the commands, not about pip.
    for stamp in (".installed", ".installed-test"):
        (tmp_path / ".venv" / stamp).touch()
    return tmp_path


@pytest.mark.parametrize("command", COMMANDS)
def test_command_runs(command: str, checkout: Path) -> None:
    # `make test` cannot run inside itself: make says what it would do.
    command = command.replace("make test", "make --dry-run test")
    done = subprocess.run(command, shell=True, cwd=checkout, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_the_report_is_where_the_readme_says(checkout: Path) -> None:
    subprocess.run(COMMANDS[0], shell=True, cwd=checkout, check=True, capture_output=True)
    assert (checkout / "display-flap-g2.html").read_text().lower().startswith("<!doctype html>")


@pytest.mark.parametrize("code", blocks("python"))
def test_python_runs(code: str, checkout: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=checkout, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert "flap" in done.stdout


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\((?!https:)([^)]+)\)", README):
        assert (ROOT / target).exists(), target
