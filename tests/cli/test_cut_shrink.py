"""The verbs that make smaller captures, as people call them."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.command import run

from spicereplay.replay import replay


@pytest.fixture
def boot(fixtures: Path) -> Path:
    return fixtures / "captures" / "qemu-boot-lz4" / "capture.pcap"


@pytest.fixture
def hostile(fixtures: Path) -> Path:
    return fixtures / "hostile" / "glz-missing.pcap"


def test_a_cut_is_named_after_the_input_and_the_span(
    tmp_path: Path, boot: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = run("cut", boot, "--from", "1", "--to", "2.5")
    assert (done.returncode, done.stdout) == (0, "capture-1-2.5s.pcapng\n")
    assert "messages of the span" in done.stderr
    with replay(boot) as whole, replay(tmp_path / "capture-1-2.5s.pcapng") as part:
        assert part.end_time_ns <= whole.start_time_ns + 2_500_000_000
        assert part.start_time_ns == whole.start_time_ns


def test_an_existing_file_is_kept_without_force(tmp_path: Path, boot: Path, hostile: Path) -> None:
    out = tmp_path / "x.pcapng"
    out.write_bytes(b"mine")
    for words in (
        ("cut", boot, "--from", "1", "--to", "2"),
        ("shrink", hostile, "--defect", "glz_reference_missing"),
    ):
        done = run(*words, "-o", out)
        assert (done.returncode, out.read_bytes()) == (2, b"mine")
        assert "--force" in done.stderr
    assert run("cut", boot, "--from", "1", "--to", "2", "--raw", "-o", out, "--force").returncode == 0


def test_spans_that_are_none_are_refused(tmp_path: Path, boot: Path) -> None:
    assert run("cut", boot, "--from", "3", "--to", "2", "-o", tmp_path / "x").returncode == 2
    assert run("cut", boot, "--from", "3000", "--to", "4000", "-o", tmp_path / "x").returncode == 3
    assert run("cut", boot, "-o", tmp_path / "x").returncode == 2
    assert list(tmp_path.iterdir()) == []


def test_a_defect_is_shrunk_to_what_shows_it(tmp_path: Path, hostile: Path) -> None:
    out = tmp_path / "x.pcapng"
    done = run("shrink", hostile, "--defect", "glz_reference_missing", "-o", out)
    assert (done.returncode, done.stdout) == (0, f"{out}\n")
    assert "→ 1 in" in done.stderr
    assert "glz_reference_missing" in run("table", out, "defects", "--json").stdout


def test_what_to_keep_must_be_said_once_and_rightly(tmp_path: Path, hostile: Path) -> None:
    out = tmp_path / "x.pcapng"
    assert "either" in run("shrink", hostile, "-o", out).stderr
    both = run("shrink", hostile, "--defect", "cache_miss", "--finding", "x", "-o", out)
    assert (both.returncode, "either" in both.stderr) == (2, True)
    assert "table INPUT defects" in run("shrink", hostile, "--defect", "nonsense", "-o", out).stderr
    absent = run("shrink", hostile, "--finding", "nonsense", "-o", out)
    assert (absent.returncode, "do not show" in absent.stderr) == (2, True)
    assert not out.exists()


def test_time_is_bounded(tmp_path: Path, hostile: Path) -> None:
    out = tmp_path / "x.pcapng"
    done = run("shrink", hostile, "--defect", "glz_reference_missing", "--max-seconds", "0", "-o", out)
    assert done.returncode == 0
    assert "--max-seconds gives more" in done.stderr
