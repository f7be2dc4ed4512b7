"""The verb itself: its options, its errors in one line, and how it ends."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from support.command import run

CAPTURE = Path("captures") / "reconnect" / "capture.pcap"


def refused(*words: str | Path) -> tuple[int, str]:
    """Run the verb where it does not come to listening; return exit code and stderr."""
    done = run("serve", *words)
    return done.returncode, done.stderr


def test_ctrl_c_ends_it_in_one_line(fixtures: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "spicereplay.cli.app",
        "serve",
        str(fixtures / CAPTURE),
        "--port",
        "0",
        "--json",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        listening = json.loads(process.stdout.readline())
        assert listening["event"] == "listening"
        with socket.create_connection(("127.0.0.1", listening["port"])):
            process.send_signal(signal.SIGINT)
            _, stderr = process.communicate(timeout=20)
    assert process.returncode == 130
    assert stderr.splitlines()[-1] == "spicereplay: interrupted"
    assert "Traceback" not in stderr


def test_a_port_in_use_is_one_line(fixtures: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, stderr = refused(fixtures / CAPTURE, "--port", str(port))
    assert code == 2
    assert (
        stderr.splitlines()[-1] == f"spicereplay: cannot listen on 127.0.0.1:{port}: Address already in use"
    )


def test_an_address_that_is_none_is_one_line(fixtures: Path) -> None:
    code, stderr = refused(fixtures / CAPTURE, "--port", "0", "--host", "no.such.host.invalid")
    assert code == 2
    assert "cannot listen on no.such.host.invalid:0: " in stderr


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("--speed", "0"), 2, "a speed is above 0"),
        (("--speed", "2", "--no-wait"), 2, "exclude each other"),
        (("--session", "7"), 2, "no session 7"),
    ],
)
def test_what_cannot_be_is_said(fixtures: Path, words: tuple[str, ...], code: int, says: str) -> None:
    got, stderr = refused(fixtures / CAPTURE, "--port", "0", *words)
    assert got == code
    assert says in stderr


def test_a_recording_without_its_beginning_is_refused(fixtures: Path) -> None:
    code, stderr = refused(fixtures / "captures" / "tls-mixed-channels" / "capture.pcap", "--port", "0")
    assert code == 3
    assert "--synthetic-beginning" in stderr
