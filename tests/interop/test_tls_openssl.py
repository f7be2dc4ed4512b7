"""Suites of TLS 1.3 and key updates as OpenSSL's own tools make them, which Python's `ssl` cannot choose or make."""

from __future__ import annotations

import select
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support.absent import absent
from support.tls_peers import Peers, split_records

from spicereplay.bytestream import stream_of
from spicereplay.defects import DefectLog
from spicereplay.limits import DEFAULT_LIMITS
from spicereplay.transport.tls.keylog import KeyLog
from spicereplay.transport.tls.opening import Opened, open_connection
from spicereplay.transport.tls.suites import SUITES

pytestmark = pytest.mark.interop

PATIENCE_S = 10.0


@pytest.fixture
def openssl() -> str:
    found = shutil.which("openssl")
    if found is None:
        absent("the command openssl")
    return found


def relay(listener: socket.socket, port: int, heard: tuple[bytearray, bytearray]) -> None:
    """Carry one connection on to `port` and keep what each side sent."""
    client, _ = listener.accept()
    with client, socket.create_connection(("127.0.0.1", port)) as server:
        ends = {client: (server, heard[0]), server: (client, heard[1])}
        while True:
            for end in select.select(list(ends), [], [])[0]:
                data = end.recv(65536)
                if not data:
                    return
                other, kept = ends[end]
                kept += data
                other.sendall(data)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def until(holds: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < end, what
        time.sleep(0.02)


@pytest.mark.parametrize("suite", [suite.name for suite in SUITES.values() if suite.tls13])
def test_key_updates_of_openssl_in_every_suite_of_tls_1_3(tmp_path: Path, openssl: str, suite: str) -> None:
    Peers(tmp_path)
    port, keys = free_port(), tmp_path / "keys.log"
    heard = bytearray(), bytearray()
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        subprocess.Popen(
            [
                openssl,
                "s_server",
                "-accept",
                f"127.0.0.1:{port}",
                "-cert",
                str(tmp_path / "ec.pem"),
                "-tls1_3",
                "-ciphersuites",
                suite,
            ],
            **pipes,  # type: ignore[call-overload]
        ) as server,
    ):
        assert server.stdout is not None
        while b"ACCEPT" not in server.stdout.readline():
            assert server.poll() is None
        threading.Thread(target=relay, args=(listener, port, heard), daemon=True).start()
        with subprocess.Popen(
            [
                openssl,
                "s_client",
                "-connect",
                f"127.0.0.1:{listener.getsockname()[1]}",
                "-ciphersuites",
                suite,
                "-keylogfile",
                str(keys),
            ],
            **pipes,  # type: ignore[call-overload]
        ) as client:
            assert client.stdin is not None

            def say(line: bytes, records: int) -> None:
                before = len(split_records(bytes(heard[0])))
                client.stdin.write(line)
                client.stdin.flush()
                until(
                    lambda: len(split_records(bytes(heard[0]))) >= before + records, f"{line!r} was not sent"
                )

            until(lambda: len(heard[1]) > 500 and keys.exists(), "no handshake")
            time.sleep(0.3)
            say(b"before\n", 1)
            say(b"K\n", 1)  # asks the server to update its keys as well
            say(b"between\n", 1)
            say(b"k\n", 1)
            say(b"behind\n", 1)
            client.stdin.write(b"Q\n")
            client.stdin.flush()
            client.wait(PATIENCE_S)
        server.terminate()
    defects = DefectLog()
    log = KeyLog.parse([keys.read_bytes()], limits=DEFAULT_LIMITS, defects=defects)
    streams = [stream_of(bytes(side)) for side in heard]
    opened = open_connection(*streams, log, limits=DEFAULT_LIMITS, defects=defects, where="a → b")
    assert isinstance(opened, Opened), opened
    assert opened.suite == suite
    assert opened.client.read(0, 100) == b"before\nbetween\nbehind\n"
    assert not list(defects)


@pytest.mark.parametrize("wanted", [True, False], ids=["taken", "not taken"])
def test_early_data_of_openssl(tmp_path: Path, openssl: str, wanted: bool) -> None:
    Peers(tmp_path)
    port, session, early = free_port(), tmp_path / "session.pem", tmp_path / "early"
    early.write_bytes(b"said before the server answered\n")
    serving = [
        openssl,
        "s_server",
        "-accept",
        f"127.0.0.1:{port}",
        "-cert",
        str(tmp_path / "ec.pem"),
        "-tls1_3",
    ]
    # Without the switch the server issues tickets for early data and refuses the data itself.
    serving += ["-max_early_data", "16384", *(["-early_data"] if wanted else [])]
    heard: list[tuple[bytearray, bytearray]] = []
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        subprocess.Popen(serving, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server,
    ):
        assert server.stdout is not None
        while b"ACCEPT" not in server.stdout.readline():
            assert server.poll() is None
        for words in (["-sess_out", str(session)], ["-sess_in", str(session), "-early_data", str(early)]):
            heard.append((bytearray(), bytearray()))
            threading.Thread(target=relay, args=(listener, port, heard[-1]), daemon=True).start()
            keys = tmp_path / f"keys{len(heard)}.log"
            calling = [openssl, "s_client", "-connect", f"127.0.0.1:{listener.getsockname()[1]}", *words]
            with subprocess.Popen(
                [*calling, "-keylogfile", str(keys)], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
            ) as client:
                assert client.stdin is not None
                until(
                    lambda keys=keys: keys.exists() and b"SERVER_TRAFFIC" in keys.read_bytes(), "no handshake"
                )
                time.sleep(0.3)
                client.stdin.write(b"in time\n")
                client.stdin.flush()
                time.sleep(0.3)
                client.stdin.write(b"Q\n")
                client.stdin.flush()
                client.wait(PATIENCE_S)
        server.terminate()
    assert (b"CLIENT_EARLY_TRAFFIC_SECRET") in keys.read_bytes()
    defects = DefectLog()
    log = KeyLog.parse([keys.read_bytes()], limits=DEFAULT_LIMITS, defects=defects)
    streams = [stream_of(bytes(side)) for side in heard[-1]]
    opened = open_connection(*streams, log, limits=DEFAULT_LIMITS, defects=defects, where="a → b")
    assert isinstance(opened, Opened), opened
    assert opened.client.read(0, 100) == (early.read_bytes() if wanted else b"") + b"in time\n"
    assert not list(defects)
