"""Channels on which the client says nothing of its own: cursor, record, smartcard, usbredir, port, webdav."""

import pytest
from support.conversation import Conversation

from spicereplay.client.capabilities import absence, capabilities
from spicereplay.client.cursor import CursorDiagnostics
from spicereplay.client.options import ClientOptions
from spicereplay.client.record import RecordDiagnostics
from spicereplay.client.smartcard import SmartcardDiagnostics
from spicereplay.client.vmc import VmcDiagnostics
from spicereplay.protocol import caps
from spicereplay.protocol.enums import (
    AudioFormat,
    ChannelType,
    CursorFlags,
    CursorType,
    DataCompressionType,
    PortEvent,
    VideoCodec,
    VscMessageType,
)
from spicereplay.protocol.messages import cursor, playback, port, record, smartcard
from spicereplay.protocol.messages.geometry import Point16


def shape(unique: int, flags: CursorFlags) -> cursor.Cursor:
    header = cursor.CursorHeader(unique, CursorType.ALPHA, 1, 2, 0, 1)
    return cursor.Cursor(flags, header, b"" if flags & CursorFlags.FROM_CACHE else bytes(8))


def test_cursor() -> None:
    talk = Conversation(ChannelType.CURSOR)
    mine = talk.client
    none = cursor.Cursor(CursorFlags.NONE, None)
    talk.says(cursor.Init(Point16(3, 4), 0, 0, 1, none))
    assert mine.diagnostics() == CursorDiagnostics(3, 4, True, (), 0)
    for unique in (1, 2):
        talk.says(cursor.Set(Point16(5, 6), 1, shape(unique, CursorFlags.CACHE_ME)))
    talk.says(cursor.Set(Point16(5, 6), 1, shape(9, CursorFlags(0))))
    talk.says(cursor.Set(Point16(5, 6), 0, shape(2, CursorFlags.FROM_CACHE)))
    talk.says(cursor.Set(Point16(5, 6), 0, shape(3, CursorFlags.FROM_CACHE)))
    told = mine.diagnostics()
    assert isinstance(told, CursorDiagnostics)
    assert ([h.unique for h in told.cache], told.visible, told.cache_misses) == ([1, 2], False, 1)
    talk.says(cursor.Move(Point16(-7, 8)))
    talk.says(cursor.InvalOne(1))
    talk.says(cursor.InvalOne(77))
    told = mine.diagnostics()
    assert isinstance(told, CursorDiagnostics)
    assert ([h.unique for h in told.cache], told.visible, told.x) == ([2], True, -7)
    talk.says(cursor.Hide())
    talk.says(cursor.InvalAll())
    assert mine.diagnostics() == CursorDiagnostics(-7, 8, False, (), 1)
    talk.says(cursor.Set(Point16(0, 0), 1, shape(1, CursorFlags.CACHE_ME)))
    talk.says(cursor.Reset())
    assert mine.diagnostics() == CursorDiagnostics(0, 0, False, (), 1)


def test_the_cursor_cache_is_bounded() -> None:
    talk = Conversation(ChannelType.CURSOR)
    for unique in range(5000):
        talk.says(cursor.Set(Point16(0, 0), 1, shape(unique, CursorFlags.CACHE_ME)))
    told = talk.client.diagnostics()
    assert isinstance(told, CursorDiagnostics)
    assert len(told.cache) == 4096


def test_a_guest_that_listens_is_told_and_not_answered() -> None:
    talk = Conversation(ChannelType.RECORD)
    said = [
        playback.Volume((1, 2)),
        playback.Mute(1),
        record.Start(2, AudioFormat.S16, 48_000),
    ]
    assert [talk.says(message) for message in said] == [[], [], []]
    assert talk.told() == [("INFO", "no_microphone")]
    assert talk.client.diagnostics() == RecordDiagnostics(True, 1, 0, 2, 48_000, (1, 2), True)
    assert talk.says(record.Stop()) == []
    assert talk.client.diagnostics() == RecordDiagnostics(False, 1, 1, 2, 48_000, (1, 2), True)


def test_smartcard() -> None:
    talk = Conversation(ChannelType.SMARTCARD)
    assert talk.began == []
    for kind in (VscMessageType.Init, VscMessageType.Init, 9999, 777):
        assert talk.says(smartcard.Data(kind, 0, b"")) == []
    assert talk.client.diagnostics() == SmartcardDiagnostics({1: 2, 0: 2})


def test_usbredir_counts_what_the_guest_says() -> None:
    talk = Conversation(ChannelType.USBREDIR)
    assert talk.says(port.Data(bytes(80))) == []
    assert talk.says(port.CompressedData(DataCompressionType.NONE, None, b"12345")) == []
    assert talk.says(port.CompressedData(DataCompressionType.LZ4, 4000, b"12345")) == []
    assert talk.client.diagnostics() == VmcDiagnostics("", None, 0, 3, 4085, 1)


@pytest.mark.parametrize("channel", [ChannelType.PORT, ChannelType.WEBDAV])
def test_a_port_is_open_or_not(channel: ChannelType) -> None:
    talk = Conversation(channel)
    said = [
        (port.Init(b"org.spice-space.webdav.0\0", 0), False),
        (port.Event(PortEvent.OPENED), True),
        (port.Event(PortEvent.BREAK), True),
        (port.Event(PortEvent.CLOSED), False),
        (port.Data(b"x"), True),
    ]
    for message, opened in said:
        assert talk.says(message) == []
        told = talk.client.diagnostics()
        assert isinstance(told, VmcDiagnostics)
        assert (told.name, told.opened) == ("org.spice-space.webdav.0", opened)
    assert told.events == 3


@pytest.mark.parametrize("channel", ChannelType)
def test_what_is_absent_can_be_joined_to_be_watched(channel: ChannelType) -> None:
    reason = absence(channel, ClientOptions(also_join=frozenset(ChannelType)))
    assert (reason is None) is (channel is not ChannelType.TUNNEL)


def test_what_a_display_announces_follows_what_can_be_played() -> None:
    some = capabilities(ChannelType.DISPLAY, ClientOptions(playable_codecs=(VideoCodec.VP9,)))
    names = caps.names(ChannelType.DISPLAY, some.channel)
    assert [name for name in names if name.startswith("CODEC")] == ["CODEC_VP9"]
    assert "MULTI_CODEC" in names
    every = caps.names(ChannelType.DISPLAY, capabilities(ChannelType.DISPLAY).channel)
    assert set(every) == {name.name for name in caps.DisplayCap} - {"GL_SCANOUT"}
