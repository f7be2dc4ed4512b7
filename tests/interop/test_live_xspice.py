"""A live session with a real SPICE server: its picture, its recording, its log, and how it says no."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from interop.live_client import Client
from interop.moving_picture import moving_picture
from interop.xspice import Xspice, free_port, missing, xspice
from live.fake_server import certificate
from PIL import Image
from support.absent import absent

from spicereplay.protocol.enums import ChannelType, Side
from spicereplay.replay import replay
from spicereplay.replay.still import picture_at

pytestmark = pytest.mark.interop

PASSWORD = "open sesame"


@pytest.fixture(scope="module", autouse=True)
def _server_there() -> None:
    if (why := missing()) is not None:
        absent(f"Xspice: {why}")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Xspice]:
    with xspice(
        tmp_path_factory.mktemp("xspice"), image_compression="auto_glz", streaming_video="all"
    ) as started:
        yield started


def refused(folder: Path, *words: str, password: str | None = None) -> str:
    """Return the one line with which a connection ends that cannot be made."""
    code, said = Client(folder, *words, password=password).end(None)
    assert code == 3, said
    assert said.count("\n") == 1
    return said


def test_it_shows_and_records_what_the_server_shows(server: Xspice, tmp_path: Path) -> None:
    recorded, shot = tmp_path / "x.pcapng", tmp_path / "x.png"
    client = Client(
        tmp_path, f"spice://127.0.0.1:{server.port}", "--record", str(recorded), "--screenshot", str(shot)
    )
    client.joined("main", "display", "cursor", "inputs")
    server.run("xsetroot", "-mod", "16", "9", "-fg", "orange", "-bg", "navy")
    server.run("x11perf", "-repeat", "1", "-reps", "30", "-putimage500")
    server.run("xsetroot", "-solid", "#204060")
    time.sleep(1.0)
    shown = server.screen()
    code, said = client.end()
    assert code == 130, said
    ours = np.asarray(Image.open(shot).convert("RGB"))
    assert ours.shape == shown.shape
    different = np.argwhere((ours != shown).any(axis=2))
    # The driver paints the pointer into the picture that it sends; the X server's own has none.
    assert len(different) == 0 or np.ptp(different, axis=0).max() <= 32
    with replay(recorded) as found:
        assert np.array_equal(picture_at(found, "end").pixels[:, :, :3], ours)
        (session,) = found.sessions
        assert {log.channel for log in session.channels} >= {ChannelType.MAIN, ChannelType.DISPLAY}
        assert not any(log.gaps for log in session.channels)
    log = server.said()
    assert "Setting preferred compression to auto-glz" in log
    assert "Preferred video-codecs: " in log


def test_killed_it_leaves_a_recording_that_reads(server: Xspice, tmp_path: Path) -> None:
    recorded = tmp_path / "x.pcapng"
    client = Client(tmp_path, f"spice://127.0.0.1:{server.port}", "--record", str(recorded))
    client.joined("display")
    server.run("xsetroot", "-solid", "red")
    time.sleep(0.6)
    client.end(signal.SIGKILL)
    with replay(recorded) as found:
        assert np.array_equal(picture_at(found, "end").pixels[5, 5, :3], (255, 0, 0))


def test_a_script_moves_the_pointer_and_types(server: Xspice, tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text('0 motion 20 20\n+0 move 300 200\n+0.1 type "ls"\n+0.1 key ctrl+l\n+0.5 quit\n')
    recorded = tmp_path / "x.pcapng"
    client = Client(
        tmp_path, f"spice://127.0.0.1:{server.port}", "--record", str(recorded), "--script", str(script)
    )
    code, said = client.end(None)
    assert code == 0, said
    with replay(recorded) as found:
        (inputs,) = found.sessions[0].of(ChannelType.INPUTS)
        assert len(inputs.index(Side.CLIENT)) >= 5


def test_tls_and_a_password_and_every_way_to_be_refused(tmp_path: Path) -> None:
    made = certificate(tmp_path / "c")
    tls_port = free_port()
    with xspice(
        tmp_path,
        password=PASSWORD,
        tls_port=str(tls_port),
        cacert_file=str(made.chain),
        x509_cert_file=str(made.chain),
        x509_key_file=str(made.key),
    ) as started:
        where, plain = f"spice+tls://127.0.0.1:{tls_port}", f"spice://127.0.0.1:{started.port}"
        ca = ("--ca", str(made.chain))
        recorded, keys = tmp_path / "x.pcapng", tmp_path / "keys"
        words = (where, *ca, "--record", str(recorded), "--keylog-out", str(keys))
        client = Client(tmp_path, *words, password=PASSWORD)
        client.joined("main", "display", "inputs")
        code, said = client.end()
        assert code == 130, said
        assert all(event["secure"] for event in client.events() if event["event"] == "linked")
        assert PASSWORD.encode() not in recorded.read_bytes()
        assert "CLIENT" in keys.read_text()
        assert "wrong or has expired" in refused(tmp_path, plain, password="guess")
        assert "wants a password" in refused(tmp_path, plain)
        assert "nobody who is trusted" in refused(tmp_path, where, password=PASSWORD)
        subject = ("--host-subject", "CN=somebody else")
        assert "certificate's subject is" in refused(tmp_path, where, *ca, *subject, password=PASSWORD)
        assert "TLS" in refused(tmp_path, f"spice://127.0.0.1:{tls_port}", password=PASSWORD)
        assert "is that the TLS port" in refused(tmp_path, f"spice+tls://127.0.0.1:{started.port}")


def test_a_server_that_dies(tmp_path: Path) -> None:
    recorded = tmp_path / "x.pcapng"
    with xspice(tmp_path) as started:
        where = f"spice://127.0.0.1:{started.port}"
        client = Client(tmp_path, where, "--no-reconnect", "--record", str(recorded))
        client.joined("main", "display")
        started.process.kill()
        code, said = client.end(None)
    assert code == 3
    assert said.count("\n") == 1
    with replay(recorded) as found:
        assert len(found.sessions) == 1


@contextlib.contextmanager
def noise(fifo: Path) -> Iterator[None]:
    """Have a server play something."""
    os.mkfifo(fifo)
    # Both ways, so that neither opening nor writing waits for the server.
    out, ended = os.open(fifo, os.O_RDWR | os.O_NONBLOCK), threading.Event()

    def play() -> None:
        while not ended.wait(0.05):
            with contextlib.suppress(BlockingIOError):
                os.write(out, os.urandom(8820))

    playing = threading.Thread(target=play)
    playing.start()
    try:
        yield
    finally:
        ended.set()
        playing.join()
        os.close(out)


def test_leaving_while_sound_and_video_flow_troubles_no_server(tmp_path: Path) -> None:
    """A client that closes the sound channel first makes the server warn of a reset, and Xspice crash."""
    sound = tmp_path / "sound"
    sound.mkdir()
    with (
        xspice(tmp_path, sound=sound, streaming_video="all", video_codecs="spice:mjpeg") as started,
        noise(sound / "music"),
        moving_picture(started),
    ):
        for _ in range(3):
            client = Client(tmp_path, f"spice://127.0.0.1:{started.port}")
            client.joined("display", "playback")
            time.sleep(2.0)
            code, said = client.end()
            assert code == 130, said
        time.sleep(0.5)
        assert started.process.poll() is None
        assert "WARNING" not in started.said()
