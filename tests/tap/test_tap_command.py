"""The command `tap`: what it refuses, what it tells, and how it ends."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from spicereplay.capture import read_connections
from spicereplay.cli.app import app


def refused(*words: str | Path) -> str:
    done = CliRunner().invoke(app, ["tap", *map(str, words)])
    assert done.exit_code == 2, done.stdout
    return done.stderr


def test_what_it_refuses(tmp_path: Path) -> None:
    there = tmp_path / "x.pcapng"
    there.touch()
    assert "exists already; --force" in refused("0", "--to", "a:1", "--record", there)
    new = tmp_path / "y.pcapng"
    assert "is no place" in refused("0", "--to", "nowhere", "--record", new)
    assert "new file begins" in refused("0", "--to", "a:1", "--record", new, "--rotate", "often")
    assert "--tls-listen needs --tls-cert" in refused(
        "0", "--to", "a:1", "--record", new, "--tls-listen", "1"
    )
    with socket.create_server(("127.0.0.1", 0)) as taken:
        words = [str(taken.getsockname()[1]), "--to", "a:1", "--record", new]
        assert "cannot listen on 127.0.0.1" in refused(*words)
    assert not there.read_bytes()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_its_end_is_clean_in_the_midst_of_a_connection(tmp_path: Path, number: int, code: int) -> None:
    path = tmp_path / "x.pcapng"
    with socket.create_server(("127.0.0.1", 0)) as server:
        words = ["tap", "0", "--to", f"127.0.0.1:{server.getsockname()[1]}", "--record", str(path), "--json"]
        with subprocess.Popen(
            [sys.executable, "-m", "spicereplay.cli.app", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout is not None
            listening = json.loads(process.stdout.readline())
            assert listening["event"] == "listening"
            with socket.create_connection(("127.0.0.1", listening["port"])) as client:
                client.sendall(b"\x16one")
                at_server, _ = server.accept()
                with at_server:
                    assert at_server.recv(10) == b"\x16one"
                    process.send_signal(number)
                    out, err = process.communicate(timeout=20)
                    assert client.recv(10) == at_server.recv(10) == b""
    assert process.returncode == code
    assert "Traceback" not in err
    assert [json.loads(line)["event"] for line in out.splitlines()] == ["connected", "closed"]
    with read_connections(path) as capture:
        (connection,) = capture.connections
        assert connection.streams[0].read(0, 100) == b"\x16one"
        assert connection.closed == ("fin", "fin")
