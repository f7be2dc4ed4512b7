"""What is built for the link stage is what `parse_link` reads, and what real peers send."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import spicewire

from spicereplay.protocol import link
from spicereplay.protocol.enums import ChannelType, LinkError
from spicereplay.protocol.link import LinkStatus

WORDS = st.lists(st.integers(0, 2**32 - 1), max_size=4).map(tuple)
KEY = b"\x30" * 162


def test_messages_are_byte_for_byte_those_written_by_hand() -> None:
    built = link.link_message(ChannelType.DISPLAY, 3, connection_id=77, common_caps=(9,), channel_caps=(1, 2))
    assert built == spicewire.link_message(
        ChannelType.DISPLAY, channel_id=3, connection_id=77, common=(9,), caps=(1, 2)
    )
    assert link.link_reply(KEY, common_caps=(11,), channel_caps=(3,)) == spicewire.link_reply(
        common=(11,), caps=(3,)
    )
    assert link.link_refusal(LinkError.NEED_SECURED) == spicewire.link_reply(error=5)
    assert link.link_result(LinkError.PERMISSION_DENIED) == struct.pack("<I", 7)


@given(
    channel=st.sampled_from(ChannelType),
    channel_id=st.integers(0, 255),
    connection_id=st.integers(0, 2**32 - 1),
    words=st.tuples(WORDS, WORDS, WORDS, WORDS),
)
def test_both_sides_of_a_link_stage_come_back(
    channel: ChannelType, channel_id: int, connection_id: int, words: tuple[tuple[int, ...], ...]
) -> None:
    common, own, server_common, server_own = words
    client = link.link_message(
        channel, channel_id, connection_id=connection_id, common_caps=common, channel_caps=own
    )
    server = link.link_reply(KEY, common_caps=server_common, channel_caps=server_own)
    selection = bool(common and common[0] & 1 and server_common and server_common[0] & 1)
    client += link.authentication(bytes(128), selection=selection)
    server += link.link_result(LinkError.OK)
    seen = link.parse_link(client, server)
    assert seen.status is LinkStatus.ESTABLISHED
    assert (seen.channel, seen.channel_id, seen.connection_id) == (channel, channel_id, connection_id)
    assert (seen.client_common_caps, seen.client_channel_caps) == (common, own)
    assert (seen.server_common_caps, seen.server_channel_caps) == (server_common, server_own)
    assert (seen.client_bytes, seen.server_bytes) == (len(client), len(server))


@pytest.mark.parametrize("error", [e for e in LinkError if e])
def test_a_refusal_is_read_as_one(error: LinkError) -> None:
    seen = link.parse_link(link.link_message(ChannelType.MAIN, 0), link.link_refusal(error))
    assert (seen.status, seen.reply_error) == (LinkStatus.REFUSED, error)
