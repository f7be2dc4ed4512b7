"""spice-gtk through a tap to Xspice: it works, and the recording tells what tcpdump on the wire behind it tells."""

from __future__ import annotations

import json
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from interop.gtk_client import PATIENCE_S, paint, require, spice_gtk, stop, tcpdump
from interop.xspice import Xspice, free_port, xspice
from support.tls_peers import Peers

import spicereplay as sr
from spicereplay.protocol.enums import Side
from spicereplay.protocol.link import TICKET_BYTES

pytestmark = pytest.mark.interop

TIME_APART_S = 0.050
"""Between the tap's clock and tcpdump's; mostly it is well below a millisecond, and the machine may be busy."""
SAME = ["channel", "channel_id", "from", "type", "name", "size", "sub", "partial"]


@pytest.fixture(autouse=True)
def _all_there() -> None:
    require()


class Tap:
    """`spicereplay tap` as a process, and what it tells."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self._lines: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        self.ports: list[int] = []

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(json.loads(line))
        self._lines.put(None)

    def wait_for(self, kind: str) -> dict[str, Any]:
        while (event := self._lines.get(timeout=PATIENCE_S)) is not None:
            if event["event"] == kind:
                return event
        raise AssertionError(f"no {kind!r}")

    def close(self) -> None:
        stop(self.process)
        self._reader.join()
        assert self.process.stdout is not None
        self.process.stdout.close()

    def interrupt(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(PATIENCE_S)


@contextmanager
def tap(*words: str | Path, listeners: int = 1) -> Iterator[Tap]:
    process = subprocess.Popen(
        [sys.executable, "-m", "spicereplay.cli.app", "tap", *map(str, words), "--json"],
        stdout=subprocess.PIPE,
        text=True,
    )
    running = Tap(process)
    try:
        running.ports = [running.wait_for("listening")["port"] for _ in range(listeners)]
        yield running
    finally:
        running.close()


def assert_same(ours: Path, theirs: Path) -> None:
    with sr.open(ours) as a, sr.open(theirs) as b:
        zero = (a.start_time_ns - b.start_time_ns) / 1e9
        assert len(a.sessions) == len(b.sessions) == 1
        for capture in (a, b):
            assert not capture.replay.other
            assert not len(capture.defects)
        mine, wire = a.sessions[0].messages, b.sessions[0].messages
        assert set(wire["channel"]) >= {"main", "display", "inputs", "cursor"}
        for key, expected in wire.groupby(["channel", "channel_id", "from"], observed=True):
            found = mine[
                (mine["channel"] == key[0]) & (mine["channel_id"] == key[1]) & (mine["from"] == key[2])
            ]
            assert found[SAME].to_numpy().tolist() == expected[SAME].to_numpy().tolist(), key
            apart = found["time_s"].to_numpy() + zero - expected["time_s"].to_numpy()
            assert abs(apart).max() < TIME_APART_S, key
        assert len(mine) == len(wire)


def draw(server: Xspice, **properties: str | int) -> None:
    """A client that looks on while the picture changes, types, and leaves."""
    with spice_gtk(**properties) as client:
        client.wait_for("marked")
        paint(server, 1.5)
        client.keys(30, 48, 46)
        paint(server, 0.5)
        client.leave()
        assert "event 1 error-auth" not in client.said


def test_what_is_recorded_is_what_tcpdump_saw(tmp_path: Path) -> None:
    recording, wire = tmp_path / "tap.pcapng", tmp_path / "wire.pcap"
    with (
        xspice(tmp_path, password="opensesame") as server,
        tcpdump(wire, server.port),
        tap("0", "--to", f"127.0.0.1:{server.port}", "--record", recording) as running,
    ):
        draw(server, port=running.ports[0], password="opensesame")
        for _ in range(4):
            assert not running.wait_for("closed")["reset"]
        assert running.interrupt() == 130
    assert_same(recording, wire)
    with sr.open(recording) as ours, sr.open(wire) as theirs:
        tickets = [tickets_of(capture) for capture in (ours, theirs)]
        assert set(tickets[0]) == {bytes(TICKET_BYTES)}
        assert bytes(TICKET_BYTES) not in tickets[1]
        data = recording.read_bytes()
        assert not [ticket for ticket in tickets[1] if ticket[:16] in data]


def tickets_of(capture: sr.Capture) -> list[bytes]:
    logs = capture.replay.sessions[0].channels
    ends = [(log.client.stream, log.link.client_bytes) for log in logs if log.link is not None]
    assert len(ends) == len(logs)
    return [stream.read(end - TICKET_BYTES, end) for stream, end in ends]


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificates")
    Peers(folder, rsa_bits=2048)
    pem = (folder / "rsa.pem").read_text()
    end = pem.index("-----BEGIN CERTIFICATE")
    (folder / "server-key.pem").write_text(pem[:end])
    for name in ("server-cert.pem", "ca-cert.pem"):
        (folder / name).write_text(pem[end:])
    return folder


def test_tls_on_both_sides_is_recorded_in_the_clear(tmp_path: Path, certificates: Path) -> None:
    recording = tmp_path / "tap.pcapng"
    tls_port = free_port()
    with xspice(tmp_path, tls_port=str(tls_port), x509_dir=str(certificates)) as server:
        words = ["0", "--to", f"127.0.0.1:{server.port}", "--record", recording]
        words += ["--tls-listen", "0", "--tls-to", f"127.0.0.1:{tls_port}"]
        words += ["--tls-cert", certificates / "rsa.pem"]
        words += ["--ca", certificates / "ca-cert.pem", "--host-subject", "CN=Spice.Test"]
        with tap(*words, listeners=2) as running:
            ca = {"ca_file": str(certificates / "ca-cert.pem"), "cert_subject": "CN=spice.test"}
            draw(server, tls_port=running.ports[1], **ca)
            running.wait_for("closed")
            assert running.interrupt() == 130
    with sr.open(recording) as capture:
        (session,) = capture.sessions
        assert not capture.replay.other
        assert {log.channel.label for log in session.log.channels} >= {"main", "display", "inputs", "cursor"}
        assert (session.messages["name"] == "INPUTS_KEY_DOWN").sum() + (
            session.messages["name"] == "KEY_DOWN"
        ).sum() == 3
        assert all(log.closed_by in (Side.CLIENT, Side.SERVER, "both") for log in session.log.channels)


def test_a_server_with_another_subject_is_not_talked_to(tmp_path: Path, certificates: Path) -> None:
    recording = tmp_path / "tap.pcapng"
    tls_port = free_port()
    with xspice(tmp_path, tls_port=str(tls_port), x509_dir=str(certificates)):
        words = ["0", "--to", f"127.0.0.1:{tls_port}", "--to-tls", "--record", recording]
        words += ["--ca", certificates / "ca-cert.pem", "--host-subject", "CN=somebody else"]
        with tap(*words) as running:
            with spice_gtk(port=running.ports[0]):
                assert "subject is CN=spice.test" in running.wait_for("refused")["why"]
            assert running.interrupt() == 130
