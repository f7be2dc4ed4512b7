"""A live session and a real guest agent: one that is frozen is told, one that is well never is."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from interop.test_live_xspice import Client
from interop.xspice import missing, xspice
from support.absent import absent

from spicereplay.bugreport.report import read_report
from spicereplay.defects import DefectLog

pytestmark = pytest.mark.interop

PROBE_S = 1.0
THRESHOLD_S = 5.0
"""When an agent is called silent; `ClientOptions.agent_warning_s`."""
NS_PER_S = 1e9


@dataclass
class Guest:
    """Xspice with the two halves of spice-vdagent."""

    port: int
    daemon: subprocess.Popen[bytes]

    def freeze(self) -> None:
        self.daemon.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.daemon.send_signal(signal.SIGCONT)


@pytest.fixture(scope="module")
def guest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guest]:
    lacking = [
        missing(),
        *(name for name in ("spice-vdagentd", "spice-vdagent") if shutil.which(name) is None),
    ]
    if why := ", ".join(name for name in lacking if name):
        absent(f"Xspice and spice-vdagent: {why}")
    folder = tmp_path_factory.mktemp("guest")
    virtio, session, uinput = (str(folder / name) for name in ("virtio", "session", "uinput"))
    options = {
        "vdagent_enabled": "1",
        "vdagent_virtio_path": virtio,
        "vdagent_uinput_path": uinput,
        "vdagent_udcs_path": session,
        "vdagent_uid": str(os.getuid()),
        "vdagent_gid": str(os.getgid()),
    }
    with contextlib.ExitStack() as running:
        server = running.enter_context(xspice(folder, **options))

        def start(*command: str) -> subprocess.Popen[bytes]:
            environment = {**os.environ, "DISPLAY": server.display}
            process = subprocess.Popen(
                command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            running.callback(process.wait)
            running.callback(process.kill)
            return process

        daemon = start("spice-vdagentd", "-f", "-x", "-X", "-o", "-S", session, "-s", virtio, "-u", uinput)
        until(lambda: Path(session).exists())
        start("spice-vdagent", "-x", "-s", virtio, "-S", session)
        yield Guest(server.port, daemon)


def until(happened: Callable[[], Any], patience_s: float = 20.0) -> None:
    end = time.monotonic() + patience_s
    while not happened():
        assert time.monotonic() < end, "it does not happen"
        time.sleep(0.05)


def notices(client: Client, code: str) -> list[dict[str, Any]]:
    return [event for event in client.events() if event.get("code") == code]


def replies(client: Client) -> list[dict[str, Any]]:
    return [event for event in client.events() if event["event"] == "agent_reply"]


def test_a_frozen_agent_is_told_within_the_threshold_and_reported_and_may_come_back(
    guest: Guest, tmp_path: Path
) -> None:
    """The server's own warning at the start does not keep the agent's from its report."""
    reports = tmp_path / "reports"
    client = Client(
        tmp_path,
        f"spice://127.0.0.1:{guest.port}",
        *("--agent-probe", str(PROBE_S), "--auto-snapshot-dir", str(reports)),
    )
    try:
        until(lambda: len(replies(client)) >= 3)
        assert not notices(client, "agent_silent")
        frozen_ns = time.time_ns()
        guest.freeze()
        try:
            until(lambda: notices(client, "agent_silent"))
            until(lambda: len(notices(client, "report_written")) >= 2)
        finally:
            guest.thaw()
        until(lambda: notices(client, "agent_answers"))
    finally:
        code, said = client.end()
    assert code == 130, said
    (silent,) = notices(client, "agent_silent")
    after_s = (silent["time_ns"] - frozen_ns) / NS_PER_S
    assert THRESHOLD_S - PROBE_S < after_s < THRESHOLD_S + 3 * PROBE_S, "the threshold and a probe's interval"
    assert replies(client)[-1]["time_ns"] > silent["time_ns"]

    described = {}
    for path in reports.iterdir():
        report = read_report(path, defects=DefectLog())
        described[report.metadata.description] = report
    (text,) = (text for text in described if "has not answered" in text)
    assert described[text].screenshots
    assert any("keyboard channel is insecure" in text for text in described)


def test_an_agent_that_answers_is_never_told_to_be_silent(guest: Guest, tmp_path: Path) -> None:
    client = Client(tmp_path, f"spice://127.0.0.1:{guest.port}", "--agent-probe", "0.2", "--duration", "9")
    code, said = client.end(None)
    assert code == 0, said
    assert len(replies(client)) > 20
    assert not notices(client, "agent_silent") + notices(client, "agent_never_answers")


def test_probing_can_be_switched_off(guest: Guest, tmp_path: Path) -> None:
    """Then nothing is asked, so nothing can be missing."""
    client = Client(tmp_path, f"spice://127.0.0.1:{guest.port}", "--agent-probe", "0", "--duration", "8")
    try:
        until(lambda: notices(client, "agent_connected"))
        guest.freeze()
        code, said = client.end(None)
    finally:
        guest.thaw()
    assert code == 0, said
    assert not replies(client)
    assert not notices(client, "agent_silent") + notices(client, "agent_never_answers")
