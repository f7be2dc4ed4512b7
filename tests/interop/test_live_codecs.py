"""Which codec a real server chooses when asked for one, whether it can be played, and what the server hears of it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import pytest
from interop.live_client import Client
from interop.moving_picture import HEIGHT, LEFT, TOP, WIDTH, moving_picture
from interop.xspice import Xspice, missing, xspice
from support.absent import absent

from spicereplay.protocol.enums import ChannelType, ClientDisplay, ServerDisplay, VideoCodec
from spicereplay.protocol.index import MessageIndex
from spicereplay.protocol.messages.display import PreferredVideoCodecType, StreamCreate, StreamReport
from spicereplay.protocol.wire import Message, parse
from spicereplay.replay import replay

pytestmark = pytest.mark.interop

M = TypeVar("M", bound=Message)

ORDER: Final = "gstreamer:vp8;gstreamer:h264;gstreamer:vp9;spice:mjpeg"
"""The server's own; VP8 where nobody asks."""
OWN_PLUGIN: Final = "libgstvpx.so"
ENCODERS: Final = {
    "h264": ("x264enc", "libgstx264.so"),
    "vp8": ("vp8enc", OWN_PLUGIN),
    "vp9": ("vp9enc", "libgstvpx.so"),
    "mjpeg": ("", OWN_PLUGIN),
}
"""By codec: GStreamer's encoder and the plug-in that has it; spice-server makes MJPEG itself."""
WATCHED_S: Final = 4.0
PLUGINS: Final = ("/usr/lib", "/usr/lib64")


def _require(plugin: str) -> None:
    """Skip where a GStreamer plug-in is missing; in CI fail."""
    if not any(found for place in PLUGINS for found in Path(place).glob(f"**/gstreamer-1.0/{plugin}")):
        absent(f"GStreamer has no {plugin}")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Xspice]:
    """One on which a video runs."""
    if (why := missing()) is not None:
        absent(why)
    _require(OWN_PLUGIN)
    folder = tmp_path_factory.mktemp("xspice")
    with xspice(folder, streaming_video="all", video_codecs=ORDER) as started, moving_picture(started):
        yield started


@dataclass(frozen=True)
class Watched:
    """Some seconds of a video."""

    log: str
    """The server's."""
    asked: list[PreferredVideoCodecType]
    streams: list[StreamCreate]
    reports: list[StreamReport]
    frames: list[dict[str, Any]]
    """What was told of each that was decoded."""

    def complaints(self) -> list[str]:
        """Return the server's warnings, but for the one about its own machine."""
        lines = [line for line in self.log.splitlines() if "WARNING" in line or "CRITICAL" in line]
        return [line for line in lines if "your system seems to be too slow" not in line]


def _watch(server: Xspice, folder: Path, codecs: str) -> Watched:
    recorded, before = folder / "x.pcapng", len(server.said())
    where = f"spice://127.0.0.1:{server.port}"
    client = Client(folder, where, "--codecs", codecs, "--record", str(recorded))
    client.joined("display")
    time.sleep(WATCHED_S)
    code, said = client.end()
    assert code == 130, said
    with replay(recorded) as found:
        [display] = found.sessions[0].of(ChannelType.DISPLAY)
        return Watched(
            server.said()[before:],
            _messages(display.client, ClientDisplay.PREFERRED_VIDEO_CODEC_TYPE, PreferredVideoCodecType),
            _messages(display.server, ServerDisplay.STREAM_CREATE, StreamCreate),
            _messages(display.client, ClientDisplay.STREAM_REPORT, StreamReport),
            [event for event in client.events() if event["event"] == "frame"],
        )


def _messages(index: MessageIndex, kind: int, form: type[M]) -> list[M]:
    found = [parse(form, index.body(row)).message for row in index.rows(kind)]
    return [message for message in found if message is not None]


@pytest.mark.parametrize("codec", list(ENCODERS))
def test_the_server_chooses_what_was_asked_for(server: Xspice, tmp_path: Path, codec: str) -> None:
    encoder, plugin = ENCODERS[codec]
    _require(plugin)
    watched = _watch(server, tmp_path, codec)
    log, frames = watched.log, watched.frames

    # Asked once; the server says so, ends the stream that ran, and begins one in that codec.
    assert watched.asked == [PreferredVideoCodecType((VideoCodec[codec.upper()],))]
    maker = "spice" if codec == "mjpeg" else "gstreamer"
    assert f"Preferred video-codecs: {maker}:{codec} " in log
    assert f"! {encoder}" in log
    stream = watched.streams[-1]
    assert stream.codec_type == VideoCodec[codec.upper()]
    assert (stream.stream_width, stream.stream_height) == (WIDTH, HEIGHT)
    assert (stream.dest.left, stream.dest.top) == (LEFT, TOP)

    # Every frame is a picture.
    assert len(frames) >= 25
    assert all(frame["ok"] for frame in frames)
    assert {frame["codec"] for frame in frames} <= {codec, "vp8"}
    assert frames[-1]["codec"] == codec

    # The reports reach the encoder; only the last of them may come too late, and those about a stream that has ended.
    assert len(watched.reports) >= 4
    assert all(report.num_frames for report in watched.reports)
    heard = log.count(": client report: ")
    assert len(watched.reports) - 2 <= heard <= len(watched.reports)
    assert watched.complaints() == []


def test_a_codec_that_the_server_cannot_make_changes_nothing(server: Xspice, tmp_path: Path) -> None:
    """spice-server 0.15.1 knows H.265 by its number and has no encoder for it: its own order stays."""
    watched = _watch(server, tmp_path, "h265")
    log, frames = watched.log, watched.frames
    assert watched.asked == [PreferredVideoCodecType((VideoCodec.H265,))]
    assert "Preferred video-codecs: gstreamer:vp8 " in log
    assert {stream.codec_type for stream in watched.streams} == {VideoCodec.VP8}
    assert len(frames) >= 25
    assert all(frame["ok"] for frame in frames)
    assert watched.complaints() == []
