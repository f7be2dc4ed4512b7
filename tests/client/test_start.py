"""How channels begin: the session is attached to, and a display says what it brings and prefers."""

import struct

import pytest
from support.spicewire import link_message, link_reply

from spicereplay.client.capabilities import absence, capabilities
from spicereplay.client.display import glz_window_pixels
from spicereplay.client.factory import channel_client
from spicereplay.client.main import MainClient, Offered
from spicereplay.client.options import ClientOptions
from spicereplay.client.shared import Shared
from spicereplay.protocol import caps
from spicereplay.protocol.enums import ChannelType, ClientDisplay, ClientMain, ServerMain, Side, VideoCodec
from spicereplay.protocol.events import MessageSeen
from spicereplay.protocol.link import Link, parse_link
from spicereplay.units import MIB

S = 1_000_000_000


def linked(channel: ChannelType, server_caps: tuple[str, ...] = ()) -> Link:
    client = link_message(channel, common=(9,)) + struct.pack("<I", 1) + bytes(128)
    server = link_reply(caps=caps.words(channel, server_caps)) + bytes(4)
    return parse_link(client, server)


def said(kind: int, body: bytes) -> MessageSeen:
    return MessageSeen(0, Side.SERVER, kind, len(body), 1, False, False, body)


def init(supported: int = 3, current: int = 1, mm_time: int = 5000, ram_hint: int = 0) -> MessageSeen:
    return said(ServerMain.INIT, struct.pack("<8I", 77, 1, supported, current, 0, 10, mm_time, ram_hint))


def test_main_attaches_and_asks_for_the_clients_pointer() -> None:
    shared = Shared()
    mine = channel_client(ChannelType.MAIN, 0, ClientOptions(), shared)
    assert isinstance(mine, MainClient)
    mine.linked(linked(ChannelType.MAIN), 0)
    assert mine.take() == []
    mine.received(init(), 2 * S)
    assert [out.type for out in mine.take()] == [ClientMain.MOUSE_MODE_REQUEST, ClientMain.ATTACH_CHANNELS]
    assert (shared.session_id, shared.mm_time(2 * S), shared.mm_time(3 * S)) == (77, 5000, 6000)
    offered = struct.pack("<I4B", 2, ChannelType.DISPLAY, 0, 42, 3)
    for _ in range(2):
        mine.received(said(ServerMain.CHANNELS_LIST, offered), 3 * S)
    assert mine.offered == [Offered(ChannelType.DISPLAY, 0), Offered(42, 3)]


@pytest.mark.parametrize(("supported", "current"), [(1, 1), (3, 2)])
def test_a_pointer_that_cannot_be_had_or_is_had_is_not_asked_for(supported: int, current: int) -> None:
    mine = channel_client(ChannelType.MAIN, 0, ClientOptions(), Shared())
    mine.received(init(supported, current), 0)
    assert [out.type for out in mine.take()] == [ClientMain.ATTACH_CHANNELS]


def test_the_multimedia_clock_wraps() -> None:
    shared = Shared()
    assert shared.mm_time(9 * S) == 0
    shared.set_mm_time(2**32 - 500, 10 * S)
    assert shared.mm_time(11 * S) == 500


def test_a_display_says_what_it_brings_and_prefers_where_the_server_knows_preferences() -> None:
    knows = ("PREF_COMPRESSION", "PREF_VIDEO_CODEC_TYPE")
    options = ClientOptions(preferred_codecs=(VideoCodec.VP8, VideoCodec.MJPEG))
    mine = channel_client(ChannelType.DISPLAY, 0, options, Shared(ram_hint=64 * MIB))
    mine.linked(linked(ChannelType.DISPLAY, knows), 0)
    assert [(out.type, out.body) for out in mine.take()] == [
        (ClientDisplay.INIT, struct.pack("<BqBi", 1, 20 * MIB, 1, 8 * MIB)),
        (ClientDisplay.PREFERRED_COMPRESSION, b"\x02"),
        (ClientDisplay.PREFERRED_VIDEO_CODEC_TYPE, b"\x02\x02\x01"),
    ]


@pytest.mark.parametrize(
    ("knows", "options"),
    [
        ((), ClientOptions()),
        (
            ("PREF_COMPRESSION", "PREF_VIDEO_CODEC_TYPE"),
            ClientOptions(preferred_compression=None, preferred_codecs=()),
        ),
    ],
)
def test_preferences_are_not_sent_in_vain(knows: tuple[str, ...], options: ClientOptions) -> None:
    mine = channel_client(ChannelType.DISPLAY, 0, options, Shared())
    mine.linked(linked(ChannelType.DISPLAY, knows), 0)
    assert [out.type for out in mine.take()] == [ClientDisplay.INIT]


@pytest.mark.parametrize(("ram", "pixels"), [(0, 3 * MIB), (32 * MIB, 4 * MIB), (1024 * MIB, 16 * MIB)])
def test_the_glz_window_follows_the_guests_memory(ram: int, pixels: int) -> None:
    assert glz_window_pixels(ram) == pixels


def test_every_channel_is_joined_or_its_absence_explained() -> None:
    joined = {c for c in ChannelType if absence(c, ClientOptions()) is None}
    wanted = ("MAIN", "DISPLAY", "INPUTS", "CURSOR", "PLAYBACK")
    assert joined == {ChannelType[name] for name in wanted}
    assert absence(ChannelType.PLAYBACK, ClientOptions(playback=False)) == "sound is switched off"
    assert absence(99, ClientOptions()) == "channel type 99 is not known"
    for channel in ChannelType:
        assert capabilities(channel).common == (0b1011,)
