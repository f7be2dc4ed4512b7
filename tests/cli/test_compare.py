"""`spicereplay compare` as other tools rely on it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.command import Done, run


def compare(*words: str | Path) -> Done:
    return run("compare", *words)


@pytest.fixture
def flapping(fixtures: Path) -> Path:
    return fixtures / "captures" / "flap-mjpeg" / "capture.pcap"


@pytest.fixture
def steady(fixtures: Path) -> Path:
    return fixtures / "captures" / "video-vp8" / "capture.pcap"


def test_it_says_what_differs(steady: Path, flapping: Path) -> None:
    done = compare(f"A={steady}", f"B={flapping}", "--no-decode")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("B flaps: 3 streams destroyed within 30 s")


def test_json_and_a_page_at_once(steady: Path, flapping: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    done = compare(
        steady, flapping, "--no-decode", "--json", "-o", page, "--baseline", "flap-mjpeg", "--align", "draw"
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["baseline"] == "flap-mjpeg"
    assert found["alignment"]["event"] == "draw"
    assert [session["label"] for session in found["sessions"]] == ["video-vp8", "flap-mjpeg"]
    assert page.read_text().startswith("<!DOCTYPE html>")
    assert str(page) in done.stderr


def test_a_page_is_not_overwritten_unasked(steady: Path, flapping: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.touch()
    done = compare(steady, flapping, "-o", page)
    assert done.returncode == 2
    assert "exists already" in done.stderr
    assert compare(steady, flapping, "-o", page, "--force", "--no-decode").returncode == 0
    assert page.stat().st_size > 0


def test_usage_and_inputs_have_their_exit_codes(steady: Path, tmp_path: Path) -> None:
    assert compare(steady).returncode == 2
    assert compare(steady, steady, "--no-decode", "--baseline", "nobody").returncode == 2
    text = tmp_path / "text.txt"
    text.write_text("no capture")
    assert compare(steady, text).returncode == 3
    assert compare(steady, tmp_path / "nothing.pcap").returncode == 3
