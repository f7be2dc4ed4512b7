"""Suites of TLS 1.3 and key updates as OpenSSL's own tools make them, which Python's `ssl` cannot choose or make."""

from __future__ import annotations

import os
import select
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
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
        if os.environ.get("CI") == "true":
            pytest.fail("no openssl command")
        pytest.skip("no openssl command")
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
