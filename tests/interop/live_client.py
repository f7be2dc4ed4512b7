"""`spicereplay connect` as a process, and what it prints."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

STARTS_S: Final = 15.0


class Client:
    """`spicereplay connect` as a process."""

    def __init__(self, folder: Path, *words: str, password: str | None = None) -> None:
        environment = {**os.environ}
        environment.pop("SPICEREPLAY_PASSWORD", None)
        if password is not None:
            environment["SPICEREPLAY_PASSWORD"] = password
        self.out = folder / "events.jsonl"
        command = [sys.executable, "-m", "spicereplay.cli.app", "connect", *words, "--headless"]
        with self.out.open("wb") as out:
            self.process = subprocess.Popen(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.PIPE
            )

    def events(self) -> list[dict[str, Any]]:
        lines = self.out.read_text().splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def joined(self, *channels: str) -> None:
        """Wait until channels are joined."""
        end = time.monotonic() + STARTS_S
        while time.monotonic() < end:
            linked = {event["channel"] for event in self.events() if event["event"] == "linked"}
            if linked >= set(channels):
                return
            time.sleep(0.05)
        raise AssertionError(f"not joined: {self.events()}")

    def end(self, number: signal.Signals | None = signal.SIGINT) -> tuple[int, str]:
        """End it; return its exit code and what it said on stderr."""
        if number is not None:
            self.process.send_signal(number)
        _, said = self.process.communicate(timeout=20)
        return self.process.returncode, said.decode()
