"""`spicereplay connect` as a command: what it prints, writes and deletes, and its exit codes."""

from __future__ import annotations

import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from spicereplay.cli.connect import rotation
from spicereplay.errors import UsageError
from spicereplay.recording.rolling import Rotation
from spicereplay.replay import replay

PASSWORD = "open sesame"


def run(*words: str | Path, password: str | None = None) -> subprocess.CompletedProcess[str]:
    done = start(*words, password=password)
    out, said = done.communicate(timeout=60)
    return subprocess.CompletedProcess(done.args, done.returncode, out, said)


def start(*words: str | Path, password: str | None = None) -> subprocess.Popen[str]:
    environment = {**os.environ, "SPICEREPLAY_PASSWORD": password or ""}
    return subprocess.Popen(
        [sys.executable, "-m", "spicereplay.cli.app", "connect", *map(str, words)],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture(scope="module")
def port(fixtures: Path) -> Iterator[int]:
    """A server with a password that plays a recording to whoever comes."""
    capture = fixtures / "captures" / "desktop-jpeg-zlib-wan" / "capture.pcap"
    command = [sys.executable, "-m", "spicereplay.cli.app", "serve", str(capture), "--port", "0", "--json"]
    server = subprocess.Popen(
        [*command, "--password", PASSWORD, "--no-wait", "--patience", "1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    lines: queue.Queue[str] = queue.Queue()

    def read() -> None:
        assert server.stdout is not None
        for line in server.stdout:
            lines.put(line)

    reader = threading.Thread(target=read)
    reader.start()
    yield int(json.loads(lines.get(timeout=30))["port"])
    server.terminate()
    server.wait(10)
    reader.join()
    assert server.stdout is not None
    server.stdout.close()


def test_it_tells_records_and_shoots(port: int, tmp_path: Path) -> None:
    recorded, shot = tmp_path / "x.pcapng", tmp_path / "x.png"
    words = ("--headless", "--duration", "1.5", "--record", recorded, "--screenshot", shot)
    done = run(f"spice://127.0.0.1:{port}", *words, password=PASSWORD)
    assert done.returncode == 0, done.stderr
    kinds = {json.loads(line)["event"] for line in done.stdout.splitlines()}
    assert {"linked", "session_began", "image", "disconnected"} <= kinds
    assert shot.read_bytes().startswith(b"\x89PNG")
    with replay(recorded) as found:
        assert len(found.sessions) == 1
    everything = done.stdout + done.stderr
    assert PASSWORD not in everything
    assert PASSWORD.encode() not in recorded.read_bytes()
    again = run(f"spice://127.0.0.1:{port}", *words, password=PASSWORD)
    assert again.returncode == 2
    assert "exists already" in again.stderr


def test_ctrl_c_ends_it_in_order(port: int, tmp_path: Path) -> None:
    recorded = tmp_path / "x.pcapng"
    client = start(f"spice://127.0.0.1:{port}", "--headless", "--record", recorded, password=PASSWORD)
    assert client.stdout is not None
    assert json.loads(client.stdout.readline())["event"] == "linked"
    client.send_signal(signal.SIGINT)
    _, said = client.communicate(timeout=20)
    assert (client.returncode, said) == (130, "spicereplay: interrupted\n")
    with replay(recorded) as found:
        assert found.sessions[0].channels[0].closed_by is not None


def test_a_reader_that_goes_away_ends_it(port: int) -> None:
    client = start(f"spice://127.0.0.1:{port}", "--headless", password=PASSWORD)
    assert client.stdout is not None
    client.stdout.readline()
    client.stdout.close()
    assert client.stderr is not None
    client.stderr.close()
    assert client.wait(20) == 0


def test_without_a_terminal_it_tells_in_words(port: int) -> None:
    done = run(f"spice://127.0.0.1:{port}", "--duration", "0.5", password=PASSWORD)
    assert done.returncode == 0
    assert done.stdout == ""
    assert f"spicereplay: main/0 joined: 127.0.0.1:{port}\n" in done.stderr
    assert "spicereplay: disconnected: ended here\n" in done.stderr


def test_a_viewer_file_is_deleted_where_it_asks_for_that(port: int, tmp_path: Path) -> None:
    path = tmp_path / "vm.vv"
    text = (
        f"[virt-viewer]\ntype=spice\nhost=127.0.0.1\nport={port}\npassword={PASSWORD}\ndelete-this-file=1\n"
    )
    path.write_text(text)
    kept = run(path, "--headless", "--duration", "0.3", "--keep-file")
    assert kept.returncode == 0, kept.stderr
    assert path.exists()
    for wrong in (("--record", path), ("--capture-format", "avi")):
        assert run(path, "--headless", *wrong).returncode == 2
        assert path.exists(), "its password is for one use, and was not used"
    done = run(path, "--headless", "--duration", "0.3")
    assert done.returncode == 0, done.stderr
    assert not path.exists()
    assert "asked to be deleted" in done.stderr


def test_the_proxy_of_the_command_line_comes_first(tmp_path: Path) -> None:
    path = tmp_path / "vm.vv"
    path.write_text("[virt-viewer]\ntype=spice\nhost=h\nport=1\nproxy=http://127.0.0.1:1\n")
    assert "proxy 127.0.0.1:1: connection refused" in run(path, "--headless").stderr
    done = run(path, "--headless", "--proxy", "http://127.0.0.1:2")
    assert "proxy 127.0.0.1:2: connection refused" in done.stderr


def test_a_password_file(port: int, tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.write_text(f"{PASSWORD}\nmore\n")
    words = ("--headless", "--duration", "0.3", "--password-file", path)
    assert run(f"spice://127.0.0.1:{port}", *words).returncode == 0


def test_no_flap_is_exit_code_1(port: int) -> None:
    words = ("--headless", "--duration", "0.5", "--until-flap")
    assert run(f"spice://127.0.0.1:{port}", *words, password=PASSWORD).returncode == 1


def test_no_session_within_the_duration_is_a_failure() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        done = run(f"spice://127.0.0.1:{silent.getsockname()[1]}", "--headless", "--duration", "0.3")
    assert done.returncode == 3
    assert done.stderr.count("\n") == 1
    assert "no session within 0.3 s (--duration)" in done.stderr


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("spice://127.0.0.1:1",), 3, "connection refused"),
        (("http://h",), 2, "address begins with"),
        (("spice://h:1", "--rotate", "5s"), 2, "needs --record"),
        (("spice://h:1", "--record", "x", "--capture-format", "avi"), 2, "capture-format"),
        (("spice://h:1", "--codecs", "mpeg1"), 2, "is no codec"),
        (("spice://h:1", "--compression", "best"), 2, "--compression"),
        (("spice://h:1", "--script", "/none"), 3, "/none"),
        (("/none.vv",), 3, "/none.vv"),
    ],
)
def test_what_cannot_be_done_is_one_line(words: tuple[str, ...], code: int, said: str) -> None:
    done = run(*words)
    assert done.returncode == code
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_when_files_follow_each_other() -> None:
    assert rotation("100M") == Rotation(bytes=100 * 2**20)
    assert rotation("2GiB") == Rotation(bytes=2 * 2**30)
    assert rotation("90s") == Rotation(seconds=90)
    assert rotation("10min") == Rotation(seconds=600)
    for wrong in ("", "0M", "5", "M", "1d", "-1s"):
        with pytest.raises(UsageError):
            rotation(wrong)


def test_time_is_kept() -> None:
    """The clock of a session follows the wall clock and never falls."""
    from spicereplay.live.clock import Clock

    clock = Clock()
    times = [clock.now_ns() for _ in range(100)]
    assert times == sorted(times)
    assert abs(times[-1] - time.time_ns()) < 10**9
