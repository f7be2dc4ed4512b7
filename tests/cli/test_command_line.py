"""What holds for the command line as a whole: how it is started, and what it refuses."""

import subprocess
import sys
from pathlib import Path

import pytest

import spicereplay


def spicereplay_command(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "spicereplay", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_python_runs_it_as_a_module() -> None:
    done = spicereplay_command("--version")
    assert (done.returncode, done.stdout.strip()) == (0, f"spicereplay {spicereplay.__version__}")


@pytest.mark.parametrize("verb", [("info",), ("golden", "check")])
def test_a_second_key_log_is_refused_and_not_passed_over(
    verb: tuple[str, ...], fixtures: Path, tmp_path: Path
) -> None:
    keys = tmp_path / "keys"
    keys.write_text(f"CLIENT_RANDOM {'00' * 32} {'00' * 48}\n")
    capture = fixtures / "captures" / "flap-mjpeg" / "capture.pcap"
    twice = spicereplay_command(*verb, capture, "--keylog", keys, f"--keylog={keys}")
    assert twice.returncode == 2
    assert "--keylog is given twice" in twice.stderr


def test_one_key_log_is_taken(fixtures: Path, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text(f"CLIENT_RANDOM {'00' * 32} {'00' * 48}\n")
    capture = fixtures / "captures" / "flap-mjpeg" / "capture.pcap"
    assert spicereplay_command("info", capture, "--keylog", keys).returncode == 0
