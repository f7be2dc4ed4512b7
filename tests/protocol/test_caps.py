"""Capability words and names, both ways."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spicereplay.protocol import caps
from spicereplay.protocol.enums import ChannelType

WORDS = [
    # what spice-server and spice-gtk announce; spice-wire.md 2.4
    (None, (0x0B,), ["AUTH_SELECTION", "AUTH_SPICE", "MINI_HEADER"]),
    (None, (0x0D,), ["AUTH_SELECTION", "AUTH_SASL", "MINI_HEADER"]),
    (None, (0x09,), ["AUTH_SELECTION", "MINI_HEADER"]),
    (ChannelType.MAIN, (0x0F,), list(caps.MainCap.__members__)),
    (
        ChannelType.DISPLAY,
        (0x1052,),
        ["MONITORS_CONFIG", "STREAM_REPORT", "PREF_COMPRESSION", "PREF_VIDEO_CODEC_TYPE"],
    ),
    (ChannelType.PLAYBACK, (0x0E,), ["VOLUME", "LATENCY", "OPUS"]),
    (ChannelType.RECORD, (0x06,), ["VOLUME", "OPUS"]),
    (ChannelType.WEBDAV, (1,), ["DATA_COMPRESS_LZ4"]),
    (ChannelType.DISPLAY, (), []),
    (ChannelType.CURSOR, (0x5,), ["UNKNOWN_0", "UNKNOWN_2"]),
    (ChannelType.INPUTS, (1, 0, 0x80000000), ["KEY_SCANCODE", "UNKNOWN_95"]),
]


@pytest.mark.parametrize(("channel", "words", "names"), WORDS)
def test_words_and_names(channel: ChannelType | None, words: tuple[int, ...], names: list[str]) -> None:
    assert caps.names(channel, words) == names
    assert caps.words(channel, names) == words


def test_a_channel_of_an_unknown_type_has_only_unknown_capabilities() -> None:
    assert caps.names(200, (1,)) == ["UNKNOWN_0"]


def test_a_name_that_is_none() -> None:
    with pytest.raises(ValueError, match="no capability is called 'FLYING'"):
        caps.words(ChannelType.MAIN, ["FLYING"])


def test_agents_have_names_of_their_own() -> None:
    assert caps.enum_names(caps.AgentCap, (0b1000100,)) == ["REPLY", "CLIPBOARD_SELECTION"]


@given(st.lists(st.integers(0, 0xFFFFFFFF), max_size=4), st.integers(0, 200))
def test_has_agrees_with_bits(words: list[int], bit: int) -> None:
    assert caps.has(words, bit) == (bit in caps.bits(words))


@given(st.sampled_from([None, *ChannelType]), st.lists(st.integers(0, 0xFFFFFFFF), max_size=3))
def test_names_lead_back_to_the_words(channel: ChannelType | None, words: list[int]) -> None:
    while words and words[-1] == 0:
        words.pop()
    assert caps.words(channel, caps.names(channel, words)) == tuple(words)
