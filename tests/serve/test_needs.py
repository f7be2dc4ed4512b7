"""What is left out for a client that lacks something, and what is only remarked upon."""

from __future__ import annotations

import struct
from pathlib import Path

from serve.fake_client import channel_caps
from support import observed
from support.observed import Said

from spicereplay.protocol.enums import ChannelType, ServerDisplay, ServerMain, ServerPlayback
from spicereplay.protocol.messages.display import SurfaceCreate
from spicereplay.replay import replay
from spicereplay.serve import Script, script_of
from spicereplay.serve.needs import suited, uses_glz
from spicereplay.serve.part import part_of

MAIN, DISPLAY, PLAYBACK = ChannelType.MAIN, ChannelType.DISPLAY, ChannelType.PLAYBACK
OPUS = Said(0, ServerPlayback.MODE, struct.pack("<IH", 0, 3))
RAW = Said(2, ServerPlayback.MODE, struct.pack("<IH", 0, 1))
SOUND = bytes(20)


def stream_create(number: int, codec: int) -> Said:
    body = struct.pack("<IIBBQ4I4iB", 0, number, 1, codec, 0, 8, 8, 8, 8, 0, 0, 8, 8, 0)
    return Said(0, ServerDisplay.STREAM_CREATE, body)


def frame(number: int) -> Said:
    return Said(1, ServerDisplay.STREAM_DATA, struct.pack("<III", number, 0, 0))


def destroy(number: int) -> Said:
    return Said(1, ServerDisplay.STREAM_DESTROY, struct.pack("<I", number))


def test_a_client_that_has_all_gets_all(fixtures_script: Script) -> None:
    for key, part in fixtures_script.parts.items():
        same, remarks = suited(part, channel_caps(key[0]))
        assert same is part
        assert remarks == []


def test_messages_behind_a_capability_are_left_out_without_it() -> None:
    part = part_of(
        observed.channel(
            DISPLAY,
            [
                Said(0, ServerDisplay.MONITORS_CONFIG),
                Said(0, ServerDisplay.DRAW_COMPOSITE),
                Said(0, ServerDisplay.MARK),
            ],
        )
    )
    left, remarks = suited(part, channel_caps(DISPLAY, ("MONITORS_CONFIG", "COMPOSITE")))
    assert left.type.tolist()[1:] == [ServerDisplay.MARK]
    assert remarks == ["left out 1 message for want of MONITORS_CONFIG, 1 message for want of COMPOSITE"]
    main = part_of(
        observed.channel(MAIN, [Said(0, ServerMain.NAME), Said(0, ServerMain.UUID), Said(0, ServerMain.INIT)])
    )
    assert suited(main, ())[0].type.tolist() == [ServerMain.INIT]


def test_only_streams_of_the_codec_that_the_client_lacks_are_left_out() -> None:
    """Number 1 is used twice: by a VP8 stream, and by an MJPEG stream afterwards."""
    said = [
        stream_create(1, 2), stream_create(2, 1), frame(1), frame(2), destroy(1), stream_create(1, 1), frame(1),
        stream_create(3, 3), frame(3), destroy(3),
    ]  # fmt: skip
    part = part_of(observed.channel(DISPLAY, said))
    left, remarks = suited(part, channel_caps(DISPLAY, ("CODEC_VP8",)))
    at = {ServerDisplay.STREAM_CREATE: 4}
    bodies = [(left.body(line), at.get(int(left.type[line]), 0)) for line in range(1, len(left))]
    numbers = [int.from_bytes(body[start : start + 4], "little") for body, start in bodies]
    assert numbers == [2, 2, 1, 1, 3, 3, 3]
    assert remarks == ["left out 3 messages of VP8 video for want of CODEC_VP8"]
    mjpeg_alone, _ = suited(part, channel_caps(DISPLAY, ("MULTI_CODEC",)))
    assert len(mjpeg_alone) == 1 + 4


def test_sound_in_a_form_the_client_lacks_is_left_out() -> None:
    data = Said(1, ServerPlayback.DATA, SOUND)
    part = part_of(observed.channel(PLAYBACK, [OPUS, data, data, RAW, data]))
    left, remarks = suited(part, channel_caps(PLAYBACK, ("OPUS",)))
    assert left.type.tolist() == [ServerPlayback.MODE, ServerPlayback.DATA]
    assert remarks == ["left out 3 messages of sound for want of OPUS"]


def test_sound_has_one_speed() -> None:
    said = [
        OPUS,
        Said(1, ServerPlayback.START, bytes(14)),
        Said(1, ServerPlayback.DATA, SOUND),
        Said(1, ServerPlayback.MUTE, b"\0"),
    ]
    left, _ = suited(part_of(observed.channel(PLAYBACK, said)), channel_caps(PLAYBACK), sound=False)
    assert left.type.tolist() == [ServerPlayback.MUTE]


def test_surfaces_and_images_are_kept_and_remarked_upon(fixtures: Path) -> None:
    create = SurfaceCreate(surface_id=3, width=8, height=8, format=8, flags=0)
    part = part_of(observed.channel(DISPLAY, [Said(0, ServerDisplay.SURFACE_CREATE, create)]))
    left, remarks = suited(part, channel_caps(DISPLAY, ("A8_SURFACE",)))
    assert len(left) == len(part)
    assert remarks == ["1 surfaces need A8_SURFACE, which the client lacks: its picture will differ"]
    with replay(fixtures / "captures" / "qemu-boot-lz4" / "capture.pcap") as opened:
        display = script_of(opened).parts[DISPLAY, 0]
        left, remarks = suited(display, channel_caps(DISPLAY, ("LZ4_COMPRESSION",)))
        assert len(left) == len(display)
        assert len(remarks) == 1
        assert "images need LZ4_COMPRESSION" in remarks[0]


def test_glz_is_found_where_it_is(fixtures: Path, fixtures_script: Script) -> None:
    assert uses_glz(fixtures_script.parts[DISPLAY, 0])
    with replay(fixtures / "captures" / "html5-agent-frozen" / "capture.pcap") as opened:
        assert not uses_glz(script_of(opened).parts[DISPLAY, 0])
