"""What editors and type checkers know of the tables, and what they refuse."""

import subprocess
import sys
from pathlib import Path

import pytest

import spicereplay as sr
from spicereplay.analysis.attributes import TableAttribute, TableAttributes
from spicereplay.analysis.schema import TABLES
from spicereplay.api import Capture, Session

ROOT = Path(sr.__file__).parent

GOOD = """
import pandas as pd

import spicereplay as sr


def lifetimes(path: str) -> "pd.Series[float]":
    with sr.open(path) as capture:
        session = capture.sessions[0]
        streams: pd.DataFrame = session.streams
        if session.clocks.server is not None:
            up: float = session.clocks.server.at(0.0)
            print(up, str(capture.verdict), session.clocks)
        sr.plots.streams(session, title="mine").set_xlim(0, 10)
        picture = capture.frame_at("end")
        print(picture.pixels.shape, picture.unknown_pixels)
        return streams["lifetime_s"]
"""

BAD = """
import spicereplay as sr

capture = sr.open("a.pcap")
capture.sessions[0].stream
capture.framez
capture.streams = capture.frames
capture.sessions[0].clocks.server.at(1.0)
sr.plots.stream(capture)
reveal_type(capture.streams)
"""


def test_every_table_is_an_attribute_and_nothing_else_is() -> None:
    declared = [name for name, value in vars(TableAttributes).items() if isinstance(value, TableAttribute)]
    assert sorted(declared) == sorted(TABLES)


@pytest.mark.parametrize("thing", [Capture, Session])
def test_no_other_attribute_hides_a_table(thing: type) -> None:
    for name in TABLES:
        assert isinstance(getattr(thing, name), TableAttribute), name


def test_completion_and_help_know_the_tables(fixtures: Path) -> None:
    with sr.open(fixtures / "captures" / "xspice-agent" / "capture.pcap", decode=False) as capture:
        assert set(TABLES) <= set(dir(capture))
        assert set(TABLES) <= set(dir(capture.sessions[0]))
        assert Capture.streams.__doc__ == TABLES["streams"].meaning
        for name in TABLES:
            assert list(getattr(capture, name).columns) == list(TABLES[name].names)
            assert list(getattr(capture.sessions[0], name).columns) == list(TABLES[name].names)
        with pytest.raises(AttributeError, match="stream"):
            capture.stream  # type: ignore[attr-defined]  # noqa: B018
        with pytest.raises(AttributeError, match="cannot be assigned"):
            capture.streams = capture.frames  # type: ignore[assignment]
        with pytest.raises(KeyError):
            capture.table("stream")


def test_a_session_has_its_own_rows_under_the_numbers_they_have_in_the_capture(fixtures: Path) -> None:
    with sr.open(fixtures / "captures" / "reconnect" / "capture.pcap") as capture:
        parts = [session.messages for session in capture.sessions]
        assert [set(part["session"]) for part in parts] == [{0}, {1}, {2}, {3}]
        assert sum(map(len, parts)) == len(capture.messages)
        third = parts[2].iloc[0]
        assert capture.messages.loc[third.name].equals(third)
        starts = [session.start_s for session in capture.sessions]
        assert starts == sorted(starts)
        assert starts[0] == 0
        assert capture.sessions[3].start_s + capture.sessions[3].duration_s == pytest.approx(
            capture.duration_s
        )


def test_a_sessions_screen_is_its_own(fixtures: Path) -> None:
    with sr.open(fixtures / "captures" / "reconnect" / "capture.pcap") as capture:
        assert [session.frame_at("end").session for session in capture.sessions] == [0, 1, 2, 3]


def strict(tmp_path: Path, code: str) -> subprocess.CompletedProcess[str]:
    """Check a user's script, with the package in a folder like one that pip installs into."""
    (tmp_path / "script.py").write_text(code)
    (tmp_path / "site").mkdir(exist_ok=True)
    (tmp_path / "site" / "spicereplay").symlink_to(ROOT)
    return subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir", tmp_path / "cache", "script.py"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path / "site")},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_a_users_script_passes_mypy_strict(tmp_path: Path) -> None:
    done = strict(tmp_path, GOOD)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_users_mistakes_do_not(tmp_path: Path) -> None:
    done = strict(tmp_path, BAD)
    lines = [line.split(": ", 1)[1] for line in done.stdout.splitlines()[:-1]]
    assert [line.split("  [")[-1].rstrip("]") for line in lines if line.startswith("error")] == [
        "attr-defined",
        "attr-defined",
        "assignment",
        "union-attr",
        "attr-defined",
    ]
    assert "pandas.core.frame.DataFrame" in lines[-1]
