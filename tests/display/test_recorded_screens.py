"""What recorded servers showed, beside their own screenshots."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from spicereplay.display.model import DisplayModel, Screen
from spicereplay.protocol.enums import ChannelType, Side
from spicereplay.protocol.registry import parse_message
from spicereplay.replay import replay
from spicereplay.session.log import SessionLog

pytestmark = pytest.mark.shared

CAPTURES = (
    "desktop-auto-glz", "desktop-auto-lz", "desktop-deferred-quic", "desktop-glz", "desktop-jpeg-zlib-wan",
    "desktop-lz", "desktop-lz4", "desktop-off", "desktop-quic", "flap-h264", "flap-mjpeg", "flap-mjpeg-sigstop",
    "html5-agent", "html5-agent-frozen", "qemu-boot", "qemu-boot-lz4", "qemu-guest-agent",
    "qemu-guest-agent-frozen", "qemu-guest-audio-opus", "qemu-guest-desktop", "qemu-guest-desktop-lz4",
    "qemu-guest-flap", "reconnect", "stats-screenshot", "ticket", "tls-mixed-channels", "video-h264",
    "video-mjpeg", "video-mjpeg-filter", "video-vp8", "xspice-agent",
)  # fmt: skip
LOSSY_PSNR_DB = 40


def last_screen(session: SessionLog, skip: float = 0) -> Screen | None:
    """Return the screen at the end, without the first part of the messages."""
    channels = session.of(ChannelType.DISPLAY)
    rows = sorted(
        (int(time_ns), channel.channel_id, row)
        for channel in channels
        for row, time_ns in enumerate(channel.server.time_ns)
        if not channel.server.partial[row]
    )
    logs = {channel.channel_id: channel.server for channel in channels}
    model = DisplayModel(channel_ids=logs)
    for time_ns, channel_id, row in rows[int(len(rows) * skip) :]:
        index = logs[channel_id]
        parsed = parse_message(ChannelType.DISPLAY, Side.SERVER, int(index.type[row]), index.body(row))
        model.handle(channel_id, parsed.message, time_ns)
    model.finish()
    return model.screen(0)


def rgb(path: Path) -> np.ndarray:
    return np.asarray(Pillow.open(path).convert("RGB")).astype(int)


@pytest.mark.parametrize("name", CAPTURES)
def test_the_screen_at_the_end_is_the_servers_own(shared: Path, name: str) -> None:
    folder = shared / "captures" / name
    with replay(folder / "capture.pcap") as recording:
        screen = last_screen(recording.sessions[-1])
    assert screen is not None
    assert screen.all_known
    ours, theirs = screen.pixels[..., :3].astype(int), rgb(folder / "final.png")
    assert ours.shape == theirs.shape
    differ = (ours != theirs).any(axis=2)
    box = (json.loads((folder / "truth.json").read_text()).get("pictures") or {}).get("differing_box")
    if box:
        width, height, x, y = map(int, box.replace("+", "x").split("x"))
        if width * height > 64 * 64:  # lossy images: as near as spice-gtk comes
            error = ((ours - rgb(folder / "client.png")) ** 2).mean()
            assert 10 * np.log10(255**2 / max(error, 1e-9)) >= LOSSY_PSNR_DB
            return
        differ[y : y + height, x : x + width] = False  # the server's own cursor
    assert not differ.any()


@pytest.mark.parametrize("skip", [0.1, 0.35, 0.6, 0.85])
@pytest.mark.parametrize(
    "name",
    [
        "desktop-off",
        "desktop-lz",
        "desktop-quic",
        "desktop-auto-glz",
        "desktop-jpeg-zlib-wan",
        "flap-mjpeg",
        "video-h264",
    ],
)
def test_a_capture_that_begins_in_the_middle_is_right_wherever_it_claims_to_know(
    shared: Path, name: str, skip: float
) -> None:
    with replay(shared / "captures" / name / "capture.pcap") as recording:
        whole = last_screen(recording.sessions[-1])
        part = last_screen(recording.sessions[-1], skip)
    assert whole is not None
    assert part is not None
    assert part.inferred
    assert not part.unknown.all()
    height, width = part.pixels.shape[:2]
    differ = (part.pixels != whole.pixels[:height, :width]).any(axis=2)
    assert not (differ & ~part.unknown).any()
