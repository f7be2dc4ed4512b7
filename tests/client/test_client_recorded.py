"""Recorded servers speak to our client; what it answers is held against what spice-gtk answered them."""

from pathlib import Path

import pytest
from support.conversation import recorded, relive, sessions

from spicereplay.client.options import ClientOptions
from spicereplay.protocol.enums import ChannelType, ClientCommon, ClientDisplay, Side
from spicereplay.protocol.messages.display import Init, StreamReport
from spicereplay.protocol.wire import parse

LIKE_SPICE_GTK = ClientOptions(preferred_compression=None, preferred_codecs=())
ANSWERS = (ClientCommon.ACK_SYNC, ClientCommon.ACK, ClientCommon.PONG)

SPICE_GTK = (
    "desktop-jpeg-zlib-wan",
    "flap-mjpeg",
    "qemu-guest-audio-opus",
    "qemu-guest-desktop-lz4",
    "video-vp8",
)
SHARED = (
    "audio-raw",
    "desktop-glz",
    "desktop-quic",
    "flap-h264",
    "qemu-boot",
    "qemu-guest-agent-frozen",
    "qemu-guest-flap",
    "video-h264",
    "video-mjpeg",
    "xspice-agent",
)


def _same_answers(capture: Path) -> int:
    """Every ACK_SYNC, ACK and PONG, and every report about streams, in their order; return how many reports."""
    reports = 0
    for session in sessions(capture):
        clients = relive(session, LIKE_SPICE_GTK)
        for log in session.channels:
            if log.name not in clients:
                continue
            ours = [(kind, body) for _, kind, body in clients[log.name][1]]
            theirs = [(message.type, message.body) for _, message in recorded(log, Side.CLIENT)]
            assert [a for a in ours if a[0] in ANSWERS] == [a for a in theirs if a[0] in ANSWERS], log.name
            if log.channel is ChannelType.DISPLAY:
                reports += _same_display(ours, theirs)
    return reports


def _same_display(ours: list[tuple[int, bytes]], theirs: list[tuple[int, bytes]]) -> int:
    [mine], [gtks] = ([body for kind, body in sent if kind == ClientDisplay.INIT] for sent in (ours, theirs))
    assert parse(Init, mine).message == parse(Init, gtks).message
    my_reports, gtk_reports = (
        [parse(StreamReport, body).message for kind, body in sent if kind == ClientDisplay.STREAM_REPORT]
        for sent in (ours, theirs)
    )
    delays = []
    for mine_, gtk in zip(my_reports, gtk_reports, strict=True):
        assert mine_ is not None
        assert gtk is not None
        assert _window(mine_) == _window(gtk)
        delays.append(mine_.last_frame_delay - gtk.last_frame_delay)
    # spice-gtk set its clock a little after the packet with INIT came; the difference stays as it was.
    assert max(delays, default=0) - min(delays, default=0) <= 20
    return len(delays)


def _window(report: StreamReport) -> tuple[int, ...]:
    return (
        report.stream_id,
        report.unique_id,
        report.start_frame_mm_time,
        report.end_frame_mm_time,
        report.num_frames,
        report.num_drops,
        report.audio_delay,
    )


@pytest.mark.parametrize("name", SPICE_GTK)
def test_our_answers_are_those_of_spice_gtk(fixtures: Path, name: str) -> None:
    reports = _same_answers(fixtures / "captures" / name / "capture.pcap")
    assert reports == {"flap-mjpeg": 18, "video-vp8": 20, "qemu-guest-desktop-lz4": 1}.get(name, 0)


def test_spice_html5_acknowledges_alike(fixtures: Path) -> None:
    [session] = sessions(fixtures / "captures" / "html5-agent-frozen" / "capture.pcap")
    clients = relive(session, LIKE_SPICE_GTK)
    for log in session.channels:
        ours = [(kind, body) for _, kind, body in clients[log.name][1] if kind in ANSWERS]
        theirs = [(m.type, m.body) for _, m in recorded(log, Side.CLIENT) if m.type in ANSWERS]
        assert ours == theirs


def test_without_the_main_channel_the_caches_are_the_smallest(fixtures: Path) -> None:
    """main is under TLS there, so the guest's video memory is not known."""
    [session] = sessions(fixtures / "captures" / "tls-mixed-channels" / "capture.pcap")
    sent = relive(session, LIKE_SPICE_GTK)["display/0"][1]
    init = parse(Init, sent[0][2]).message
    assert init is not None
    assert init.glz_dictionary_window_size == 3 * 1024 * 1024


@pytest.mark.shared
@pytest.mark.parametrize("name", SHARED)
def test_our_answers_are_those_of_spice_gtk_in_more_sessions(shared: Path, name: str) -> None:
    _same_answers(shared / "captures" / name / "capture.pcap")
