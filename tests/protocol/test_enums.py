"""The registries against numbers written down a second time, from the headers."""

import pytest

from spicereplay.protocol import enums
from spicereplay.protocol.enums import ChannelType, Side, VideoCodec


@pytest.mark.parametrize(
    ("registry", "facts"),
    [
        ("ChannelType", {"MAIN": 1, "SMARTCARD": 8, "USBREDIR": 9, "PORT": 10, "WEBDAV": 11}),
        ("LinkError", {"OK": 0, "NEED_SECURED": 5, "PERMISSION_DENIED": 7, "CHANNEL_NOT_AVAILABLE": 9}),
        ("ServerCommon", {"SET_ACK": 3, "PING": 4, "NOTIFY": 7, "LIST": 8}),
        ("ClientCommon", {"ACK_SYNC": 1, "PONG": 3, "DISCONNECTING": 6}),
        ("ServerMain", {"INIT": 103, "AGENT_DATA": 109, "UUID": 114, "MIGRATE_DST_SEAMLESS_NACK": 118}),
        ("ClientMain", {"ATTACH_CHANNELS": 104, "AGENT_DATA": 107, "QUALITY_INDICATOR": 112}),
        (
            "ServerDisplay",
            {
                "INVAL_ALL_PALETTES": 108,
                "STREAM_CREATE": 122,
                "STREAM_DESTROY_ALL": 126,
                "DRAW_FILL": 302,
                "DRAW_ALPHA_BLEND": 313,
                "STREAM_DATA_SIZED": 316,
                "QUALITY_INDICATOR": 322,
            },
        ),
        ("ClientDisplay", {"INIT": 101, "PREFERRED_VIDEO_CODEC_TYPE": 105}),
        ("ClientInputs", {"KEY_SCANCODE": 104, "MOUSE_MOTION": 111, "MOUSE_RELEASE": 114}),
        ("ServerCursor", {"SET": 103, "INVAL_ALL": 108}),
        ("ServerPlayback", {"DATA": 101, "LATENCY": 107}),
        ("ServerPort", {"INIT": 201, "EVENT": 202}),
        ("ClientPort", {"EVENT": 201}),
        ("ImageType", {"QUIC": 1, "LZ_PLT": 100, "FROM_CACHE_LOSSLESS": 106, "LZ4": 109}),
        ("BitmapFormat", {"FMT_1BIT_LE": 1, "FMT_32BIT": 8, "FMT_8BIT_A": 10}),
        ("BitmapFlags", {"PAL_CACHE_ME": 1, "PAL_FROM_CACHE": 2, "TOP_DOWN": 4}),
        ("SurfaceFormat", {"FMT_16_555": 16, "FMT_32_xRGB": 32, "FMT_16_565": 80, "FMT_32_ARGB": 96}),
        ("RopDescriptor", {"OP_PUT": 8, "OP_XOR": 64, "INVERS_RES": 1024}),
        ("LineFlags", {"START_WITH_GAP": 4, "STYLED": 8}),
        ("PathFlags", {"BEGIN": 1, "CLOSE": 8, "BEZIER": 16}),
        ("CompositeFlags", {"HAS_MASK": 0x80000, "DEST_OPAQUE": 0x1000000}),
        ("CursorType", {"ALPHA": 0, "COLOR16": 4, "COLOR24": 5, "COLOR32": 6}),
        ("AudioDataMode", {"RAW": 1, "OPUS": 3}),
        ("VscMessageType", {"Init": 1, "FlushComplete": 9}),
        ("AgentType", {"MOUSE_STATE": 1, "ANNOUNCE_CAPABILITIES": 6, "GRAPHICS_DEVICE_INFO": 16}),
    ],
)
def test_numbers_are_those_of_the_headers(registry: str, facts: dict[str, int]) -> None:
    members = getattr(enums, registry).__members__
    assert {name: int(members[name]) for name in facts} == facts


def test_channels_have_the_names_that_json_shows() -> None:
    assert [channel.label for channel in ChannelType] == [
        *("main", "display", "inputs", "cursor", "playback", "record"),
        *("tunnel", "smartcard", "usbredir", "port", "webdav"),
    ]
    assert all(ChannelType.from_label(channel.label) is channel for channel in ChannelType)
    with pytest.raises(ValueError, match="no SPICE channel is called 'Display'"):
        ChannelType.from_label("Display")


def test_codecs_have_the_names_that_json_shows() -> None:
    assert [codec.label for codec in VideoCodec] == ["mjpeg", "vp8", "h264", "vp9", "h265"]


def test_the_other_side_of_each_side() -> None:
    assert (Side.SERVER.other, Side.CLIENT.other) == (Side.CLIENT, Side.SERVER)
    assert [str(side) for side in Side] == ["server", "client"]
