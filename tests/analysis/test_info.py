"""The dict behind `info --json`."""

import json
from pathlib import Path

from support.observed import channel, session

from spicereplay.analysis.info import info
from spicereplay.protocol.caps import words
from spicereplay.protocol.enums import ChannelType, Side
from spicereplay.protocol.link import Link, LinkStatus
from spicereplay.replay import Replay
from spicereplay.session.log import Gap, GapCause

SESSION_KEYS = ["session", "start_time_ns", "duration_s", "handshake", "channels"]
CHANNEL_KEYS = [
    "channel",
    "channel_id",
    "messages_from_server",
    "messages_from_client",
    "bytes_from_server",
    "bytes_from_client",
    "gaps",
    "missing_bytes",
    "unparsed_bytes",
    "client_caps",
    "server_caps",
]


def described(*channels):
    one = session(*channels)
    return info(Replay(Path("x.pcap"), "pcap", [one], one.start_time_ns, one.end_time_ns))


def linked(**more):
    return Link(
        LinkStatus.ESTABLISHED,
        0,
        0,
        channel=ChannelType.DISPLAY,
        client_channel_caps=words(ChannelType.DISPLAY, ["MULTI_CODEC", "CODEC_VP8"]),
        client_common_caps=words(None, ["MINI_HEADER"]),
        **more,
    )


def test_it_is_json_under_the_keys_of_the_contract():
    told = described(channel(ChannelType.DISPLAY, link=linked()))
    assert json.loads(json.dumps(told)) == told
    assert told["schema_version"] == 1
    assert set(SESSION_KEYS) <= set(told["sessions"][0])
    assert set(CHANNEL_KEYS) <= set(told["sessions"][0]["channels"][0])


def test_capabilities_by_name_and_null_where_a_side_was_not_seen():
    (only,) = described(channel(ChannelType.DISPLAY, link=linked()))["sessions"][0]["channels"]
    assert only["client_caps"] == ["MULTI_CODEC", "CODEC_VP8"]
    assert only["client_common_caps"] == ["MINI_HEADER"]
    assert only["server_caps"] is None
    assert only["link_error"] is None


def test_a_refused_channel_names_its_error():
    refused = Link(LinkStatus.REFUSED, 0, 0, channel=ChannelType.MAIN, result=7)
    (only,) = described(channel(ChannelType.MAIN, link=refused))["sessions"][0]["channels"]
    assert (only["link"], only["link_error"]) == ("refused", "PERMISSION_DENIED (7)")


def test_a_capture_from_the_middle():
    hole = Gap(Side.SERVER, 0, 0, 50, GapCause.NOT_CAPTURED)
    told = described(channel(ChannelType.DISPLAY, link=None, gaps=[hole]))["sessions"][0]
    (only,) = told["channels"]
    assert told["handshake"] is False
    assert (only["client_caps"], only["gaps"], only["missing_bytes"]) == (None, 1, 50)
