"""A replay, served to spice-gtk: at its end that client shows the picture that we draw from the capture."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from interop.canvas_server import CLIENT, SYSTEM_PYTHON, client_missing
from support.absent import absent

from spicereplay.display.model import DisplayModel
from spicereplay.protocol.enums import ChannelType, ServerDisplay, Side
from spicereplay.protocol.registry import parse_message
from spicereplay.replay import replay
from spicereplay.replay.still import picture_at
from spicereplay.serve import script_of
from spicereplay.serve.tempo import LAST_FRAME_MS

pytestmark = pytest.mark.interop

PATIENCE_S = 60.0
SETTLES_S = 15.0


@pytest.fixture(autouse=True)
def _client_there() -> None:
    if (why := client_missing()) is not None:
        absent(f"spice-gtk's binding: {why}")


class Served:
    """`spicereplay serve` as a process, and what it tells."""

    def __init__(self, *words: str | Path) -> None:
        command = [
            sys.executable,
            "-m",
            "spicereplay.cli.app",
            "serve",
            *map(str, words),
            "--port",
            "0",
            "--json",
            "--patience",
            "1",
        ]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self._events: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._events.put(json.loads(line))
        self._events.put(None)

    def wait_for(self, kind: str) -> dict[str, Any]:
        while True:
            event = self._events.get(timeout=PATIENCE_S)
            if event is None:
                assert self.process.stderr is not None
                raise AssertionError(f"no {kind!r}: {self.process.stderr.read()[-2000:]}")
            if event["event"] == kind:
                return event

    def close(self) -> int:
        self.process.terminate()
        code = self.process.wait(10)
        self._reader.join()
        for pipe in (self.process.stdout, self.process.stderr):
            assert pipe is not None
            pipe.close()
        return code


@contextmanager
def served(*words: str | Path) -> Iterator[Served]:
    server = Served(*words)
    try:
        yield server
    finally:
        server.close()


class Client:
    """spice-gtk without a window, which hands over its picture."""

    def __init__(self, port: int) -> None:
        self.process = subprocess.Popen(
            [SYSTEM_PYTHON, str(CLIENT), str(port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    def picture(self) -> np.ndarray | None:
        """Return the primary surface, (height, width, 3) uint8 R, G, B; None where there is none."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(b"dump\n")
        self.process.stdin.flush()
        head = self.process.stdout.readline().split()
        if len(head) != 5:
            return None
        width, height, stride, format, size = map(int, head)
        raw = np.frombuffer(self.process.stdout.read(size), np.uint8)
        assert format in (32, 96), "the surfaces of these captures have 32 bits"
        return raw.reshape(height, stride // 4, 4)[:, :width, 2::-1]

    def close(self) -> None:
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@contextmanager
def connected(port: int) -> Iterator[Client]:
    client = Client(port)
    try:
        yield client
    finally:
        client.close()


def settled(client: Client, ours: np.ndarray, known: np.ndarray) -> int:
    """Return how many known pixels differ, once none does or the client has had time enough."""
    until = time.monotonic() + SETTLES_S
    while True:
        theirs = client.picture()
        if theirs is not None and theirs.shape == ours.shape:
            differing = int(((theirs != ours).any(axis=2) & known).sum())
            if not differing:
                return 0
        else:
            differing = ours.shape[0] * ours.shape[1]
        if time.monotonic() > until:
            return differing
        time.sleep(0.1)


def differing_pixels(
    capture: Path, *words: str, keylog: Path | None = None, session: int | None = None
) -> int:
    """Serve a capture to spice-gtk; return how many pixels of its last picture are not ours."""
    with replay(capture, keylog=keylog) as opened:
        picture = picture_at(opened, "end", session=session)
    keys = () if keylog is None else ("--keylog", str(keylog))
    which = () if session is None else ("--session", str(session))
    return differing(picture.pixels[..., :3], ~picture.unknown, capture, *words, *keys, *which)


def differing(ours: np.ndarray, known: np.ndarray, capture: Path, *words: str) -> int:
    """Serve a capture to spice-gtk; return how many known pixels of its last picture differ from `ours`."""
    with served(capture, *words) as server:
        port = server.wait_for("listening")["port"]
        with connected(port) as client:
            server.wait_for("ended")
            count = settled(client, ours, known)
        left = server.wait_for("left")
        assert left["whole"]
        assert not any(c["unsent"] for c in left["channels"])
    return count


LOSSLESS = (
    "flap-mjpeg",
    "qemu-boot-lz4",
    "qemu-guest-desktop-lz4",
    "ticket",
    "video-vp8",
    "xspice-agent",
)


@pytest.mark.parametrize("name", LOSSLESS)
def test_the_client_shows_what_we_draw(fixtures: Path, name: str) -> None:
    assert differing_pixels(fixtures / "captures" / name / "capture.pcap", "--no-wait") == 0


@pytest.mark.parametrize("session", [0, 1, 2, 3])
def test_each_session_of_a_capture_can_be_served(fixtures: Path, session: int) -> None:
    capture = fixtures / "captures" / "reconnect" / "capture.pcap"
    assert differing_pixels(capture, "--no-wait", session=session) == 0


def test_a_lossy_picture_is_the_same_but_for_the_rounding_of_jpeg(fixtures: Path) -> None:
    capture = fixtures / "captures" / "desktop-jpeg-zlib-wan" / "capture.pcap"
    assert differing_pixels(capture, "--no-wait") == 0


def test_at_a_multiple_of_the_recorded_speed(fixtures: Path) -> None:
    capture = fixtures / "captures" / "flap-mjpeg" / "capture.pcap"
    assert differing_pixels(capture, "--speed", "8") == 0


def test_a_beginning_that_is_made_up_gives_what_can_be_known(fixtures: Path) -> None:
    capture = fixtures / "captures" / "tls-mixed-channels" / "capture.pcap"
    assert differing_pixels(capture, "--no-wait", "--synthetic-beginning") == 0


def drawn(capture: Path) -> list[np.ndarray]:
    """Return what our own model shows at the end, fed with the script that is served; before it, after each frame."""
    pictures = []
    with replay(capture) as opened:
        part = script_of(opened, synthetic_beginning=True).parts[ChannelType.DISPLAY, 0]
        model = DisplayModel()
        for line in range(len(part)):
            kind = int(part.type[line])
            message = parse_message(ChannelType.DISPLAY, Side.SERVER, kind, part.body(line)).message
            model.handle(0, message, int(part.time_ns[line]))
            if kind == ServerDisplay.STREAM_DATA or line == len(part) - 1:
                screen = model.screen(0)
                assert screen is not None
                pictures.append(screen.pixels[..., :3])
    return pictures


@pytest.mark.parametrize("name", ["large-segment-loss-g1", "nulls-g1"])
def test_what_is_left_of_a_damaged_recording_draws_as_it_does_here(fixtures: Path, name: str) -> None:
    report = fixtures / "bugreports" / f"{name}.zip"
    ours = drawn(report)[-1]
    everywhere = np.ones(ours.shape[:2], np.bool_)
    assert differing(ours, everywhere, report, "--no-wait", "--synthetic-beginning") == 0


@pytest.mark.parametrize("name", ["display-flap-evicted-g1", "display-flap-g2"])
def test_without_waiting_the_last_frame_of_a_video_is_shown(fixtures: Path, name: str) -> None:
    """The recording ends with it. Clients decode JPEG less exactly than we do: it must resemble no other frame more."""
    report = fixtures / "bugreports" / f"{name}.zip"
    *_, ours = frames = drawn(report)
    with served(report, "--no-wait", "--synthetic-beginning") as server:
        with connected(server.wait_for("listening")["port"]) as client:
            server.wait_for("ended")
            time.sleep(2 * LAST_FRAME_MS / 1000)
            theirs = client.picture()
        assert theirs is not None
        others = [frame for frame in frames if (frame != ours).any()]
        distance = [int(np.abs(theirs.astype(np.int32) - frame).sum()) for frame in (ours, *others)]
    assert min(distance) == distance[0]
    assert distance[0] < min(distance[1:]) / 2


SHARED = (
    "audio-opus",
    "audio-raw",
    "desktop-auto-glz",
    "desktop-auto-lz",
    "desktop-deferred-quic",
    "desktop-glz",
    "desktop-jpeg-zlib-wan",
    "desktop-lz",
    "desktop-lz4",
    "desktop-off",
    "desktop-quic",
    "flap-h264",
    "flap-mjpeg-sigstop",
    "html5-agent",
    "html5-agent-frozen",
    "qemu-boot",
    "qemu-guest-agent",
    "qemu-guest-agent-frozen",
    "qemu-guest-audio-opus",
    "qemu-guest-desktop",
    "qemu-guest-flap",
    "stats-screenshot",
    "video-h264",
    "video-mjpeg",
    "video-mjpeg-filter",
)


@pytest.mark.shared
@pytest.mark.parametrize("name", SHARED)
def test_more_captures(shared: Path, name: str) -> None:
    assert differing_pixels(shared / "captures" / name / "capture.pcap", "--no-wait") == 0


@pytest.mark.shared
def test_a_capture_of_tls_with_its_keys(shared: Path) -> None:
    folder = shared / "captures" / "tls13-keylog"
    assert differing_pixels(folder / "capture.pcap", "--no-wait", keylog=folder / "keys.log") == 0
