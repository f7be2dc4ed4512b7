"""One channel, message by message: what a client gets, and when."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from serve.fake_client import DISPLAY_INIT, channel_caps, framed
from support import observed
from support.observed import Said
from support.spicewire import sub_list

from spicereplay.bytestream import stream_of
from spicereplay.protocol.enums import (
    ChannelType,
    ServerCommon,
    ServerDisplay,
    ServerMain,
    Side,
)
from spicereplay.protocol.link import Link, LinkStatus
from spicereplay.serve.part import Part, part_of
from spicereplay.serve.player import WINDOWS_AHEAD, Player
from spicereplay.serve.tempo import LAST_FRAME_MS, PAUSE_NS, Tempo
from spicereplay.session.log import ChannelLog

MAIN, DISPLAY, CURSOR = ChannelType.MAIN, ChannelType.DISPLAY, ChannelType.CURSOR
SET_ACK = Said(0, ServerCommon.SET_ACK, struct.pack("<II", 77, 4))
FILL = bytes(40)


@dataclass
class FixedStage:
    """A replay whose clock has started at 0."""

    tempo: Tempo = field(default_factory=lambda: Tempo(observed.ns(0), 5000))
    session_id: int = 0x5E55
    curtain_ns: int | None = 0
    serials: dict[tuple[int, int, int], int] = field(default_factory=dict)

    def horizon_ns(self) -> int:
        return 1 << 62

    def sent_as(self, channel_type: int, channel_id: int, recorded_serial: int) -> int:
        return self.serials.get((channel_type, channel_id, recorded_serial), 0)


def player(
    part: Part, stage: FixedStage | None = None, *, mini: bool = True, without: tuple[str, ...] = ()
) -> Player:
    words = (0b1000,) if mini else (0,)
    link = Link(
        LinkStatus.ESTABLISHED,
        0,
        0,
        channel=part.channel,
        client_common_caps=words,
        server_common_caps=(0b1000,),
        client_channel_caps=channel_caps(part.channel, without),
    )
    playing = Player(part, link, stage or FixedStage(), attached_ns=0)
    if part.channel is DISPLAY:
        playing.receive(framed(mini, 1, 101, DISPLAY_INIT), 0)
    return playing


def opened(channel: ChannelType, *said: Said) -> Part:
    return part_of(observed.channel(channel, said)).opened()


def messages(data: bytes) -> list[tuple[int, bytes]]:
    """Take mini-header messages apart."""
    out, at = [], 0
    while at < len(data):
        kind, size = struct.unpack_from("<HI", data, at)
        out.append((kind, data[at + 6 : at + 6 + size]))
        at += 6 + size
    return out


def kinds(data: bytes) -> list[int]:
    return [kind for kind, _ in messages(data)]


# --- times ------------------------------------------------------------------------------------------------


def test_messages_are_sent_when_they_are_due() -> None:
    playing = player(opened(CURSOR, SET_ACK, Said(1, 101, FILL), Said(2.5, 105), Said(2.5, 102)))
    assert kinds(playing.take(0)) == [ServerCommon.SET_ACK]
    assert playing.due_ns() == 1_000_000_000
    assert playing.take(999_999_999) == b""
    assert kinds(playing.take(1_000_000_000)) == [101]
    assert playing.due_ns() == 2_500_000_000
    assert kinds(playing.take(9_000_000_000)) == [105, 102]
    assert playing.finished
    assert playing.due_ns() is None


def test_before_the_clock_starts_only_the_opening_is_sent() -> None:
    stage = FixedStage(curtain_ns=None)
    playing = player(opened(CURSOR, SET_ACK, Said(0, 101, FILL)), stage)
    assert kinds(playing.take(10**12)) == [ServerCommon.SET_ACK]
    assert playing.due_ns() is None
    stage.curtain_ns = 10**12
    assert kinds(playing.take(10**12)) == [101]


def test_main_waits_for_the_client_before_it_lists_the_channels() -> None:
    init = bytes(24) + struct.pack("<II", 4600, 0)
    said = (
        Said(0, ServerMain.INIT, init),
        Said(0, ServerCommon.PING, bytes(12)),
        Said(1, ServerMain.CHANNELS_LIST),
    )
    playing = player(opened(MAIN, *said, Said(1, ServerMain.UUID, bytes(16))))
    first = messages(playing.take(0))
    assert [kind for kind, _ in first] == [ServerMain.INIT, ServerCommon.PING]
    assert first[0][1] == struct.pack("<I", 0x5E55) + init[4:]
    playing.receive(framed(True, 1, 104), 0)
    assert kinds(playing.take(0)) == [ServerMain.CHANNELS_LIST]
    assert kinds(playing.take(10**9)) == [ServerMain.UUID]


def test_a_display_waits_for_the_clients_init() -> None:
    part = opened(DISPLAY, SET_ACK, Said(0, ServerDisplay.MARK))
    playing = Player(part, Link(LinkStatus.ESTABLISHED, 0, 0), FixedStage(), attached_ns=0)
    assert kinds(playing.take(10**12)) == [ServerCommon.SET_ACK]
    playing.receive(framed(True, 1, 101, DISPLAY_INIT), 0)
    assert kinds(playing.take(10**12)) == [ServerDisplay.MARK]


def test_at_double_speed_stamps_are_half_as_far_apart() -> None:
    frames = [
        Said(at, ServerDisplay.STREAM_DATA, struct.pack("<III", 0, 5400 + at * 1000, 0)) for at in (1, 2)
    ]
    playing = player(opened(DISPLAY, SET_ACK, *frames), FixedStage(Tempo(observed.ns(0), 5000, 2.0)))
    sent = messages(playing.take(10**9))
    assert [struct.unpack_from("<I", body, 4)[0] for _, body in sent[1:]] == [5700, 6200]


def test_without_waiting_a_display_pauses_for_the_last_frame_of_a_stream() -> None:
    frame = Said(0, ServerDisplay.STREAM_DATA, struct.pack("<III", 5, 0, 0))
    destroy = Said(0, ServerDisplay.STREAM_DESTROY, struct.pack("<I", 5))
    part = opened(DISPLAY, SET_ACK, frame, frame, destroy, Said(0, ServerDisplay.MARK))
    playing = player(part, FixedStage(Tempo(observed.ns(0), 5000, None)))
    sent = messages(playing.take(0))
    assert [struct.unpack_from("<I", body, 4)[0] for _, body in sent[1:]] == [5000, 5000 + LAST_FRAME_MS]
    assert playing.due_ns() == PAUSE_NS
    assert playing.take(PAUSE_NS - 1) == b""
    assert kinds(playing.take(PAUSE_NS)) == [ServerDisplay.STREAM_DESTROY, ServerDisplay.MARK]


# --- headers and serials ----------------------------------------------------------------------------------


def test_full_headers_count_every_message() -> None:
    playing = player(opened(CURSOR, SET_ACK, Said(0, 101, FILL)), mini=False)
    data = playing.take(0)
    assert struct.unpack_from("<QHII", data) == (1, 3, 8, 0)
    assert struct.unpack_from("<QHII", data, 26) == (2, 101, len(FILL), 0)


@pytest.mark.parametrize("in_list", [False, True], ids=["by-itself", "in-a-list"])
@pytest.mark.parametrize("kind", [ServerCommon.WAIT_FOR_CHANNELS, ServerDisplay.INVAL_ALL_PIXMAPS])
def test_what_waits_for_another_channel_waits_for_the_replays_numbers(kind: int, in_list: bool) -> None:
    waits = struct.pack("<BBBQBBQ", 2, 2, 1, 500, 2, 9, 3)
    said = Said(0, ServerCommon.LIST, sub_list((kind, waits))) if in_list else Said(0, kind, waits)
    stage = FixedStage(serials={(2, 1, 500): 41})
    sent = messages(player(opened(DISPLAY, SET_ACK, said), stage).take(0))[1][1]
    assert sent.endswith(struct.pack("<BBBQBBQ", 2, 2, 1, 41, 2, 9, 0))


def test_a_count_of_waits_that_runs_over_the_message_hurts_nobody() -> None:
    said = Said(0, ServerCommon.WAIT_FOR_CHANNELS, b"\xff" + bytes(15))
    assert len(messages(player(opened(DISPLAY, SET_ACK, said)).take(0))) == 2


def test_a_part_knows_its_recorded_serials() -> None:
    part = opened(
        DISPLAY, SET_ACK, Said(0, 1, bytes(4)), Said(0, ServerDisplay.MARK), Said(0, ServerDisplay.MARK)
    )
    # MIGRATE, with the serial 2, is not played: what waits for it waits for what came before.
    assert [part.sent_as(serial) for serial in (0, 1, 2, 3, 4, 99)] == [0, 1, 1, 2, 3, 3]


def test_sub_messages_of_full_headers_become_a_list() -> None:
    body = bytes(24)
    listed = sub_list((ServerDisplay.INVAL_LIST, struct.pack("<HBQ", 1, 1, 7)), at=len(body))
    log = full_header_log(ServerDisplay.DRAW_COPY, body + listed, at=len(body))
    sent = messages(player(part_of(log).opened()).take(0))
    assert [kind for kind, _ in sent] == [ServerCommon.SET_ACK, ServerCommon.LIST, ServerDisplay.DRAW_COPY]
    assert sent[1][1] == sub_list((ServerDisplay.INVAL_LIST, struct.pack("<HBQ", 1, 1, 7)))
    assert sent[2][1] == body + listed


def full_header_log(kind: int, body: bytes, *, at: int) -> ChannelLog:
    """A display whose only message has a full header and one sub-message."""
    log = observed.channel(DISPLAY, [Said(0, ServerDisplay.INVAL_LIST, sub=True), Said(0, kind)])
    data = struct.pack("<QHII", 1, kind, len(body), at) + body
    log.mini_header = False
    log.server = type(log.server)(
        channel=DISPLAY,
        side=Side.SERVER,
        stream=stream_of(data),
        time_ns=log.server.time_ns,
        type=log.server.type,
        size=log.server.size * 0 + (11, len(body)),
        position=log.server.position * 0 + (18 + at + 12, 18),
        serial=log.server.serial * 0 + 1,
        sub=log.server.sub,
        partial=log.server.partial,
    )
    return log


# --- what the client answers -------------------------------------------------------------------------------


@given(st.lists(st.sampled_from(["ack", "sync", "stale", "take"]), max_size=60), st.integers(1, 6))
@settings(max_examples=60)
def test_the_window_is_never_exceeded(story: list[str], window: int) -> None:
    """Counted as the client counts: after SET_ACK every message, until it acknowledges."""
    said = [Said(0, ServerDisplay.MARK) for _ in range(200)]
    playing = player(opened(DISPLAY, Said(0, ServerCommon.SET_ACK, struct.pack("<II", 1, window)), *said))
    sent, granted, in_step = -1, WINDOWS_AHEAD * window, False
    for step in story:
        if step == "ack":
            playing.receive(framed(True, 1, 2), 0)
            # An acknowledgement of what was never sent grants nothing.
            granted = min(granted + window * in_step, max(sent, 0) + WINDOWS_AHEAD * window)
        elif step == "sync":
            playing.receive(framed(True, 1, 1, struct.pack("<I", 1)), 0)
            in_step = sent >= 0
        elif step == "stale":
            playing.receive(framed(True, 1, 1, struct.pack("<I", 9)), 0)
            in_step = False
        else:
            sent += len(messages(playing.take(0)))
            assert sent <= granted
    assert playing.window.most_unacknowledged <= WINDOWS_AHEAD * window


def test_a_new_set_ack_begins_the_window_anew_with_a_generation_of_its_own() -> None:
    playing = player(
        opened(DISPLAY, SET_ACK, Said(0, ServerDisplay.MARK), SET_ACK, Said(0, ServerDisplay.MARK))
    )
    sent = messages(playing.take(0))
    assert [body for kind, body in sent if kind == ServerCommon.SET_ACK] == [
        struct.pack("<II", 1, 4),
        struct.pack("<II", 2, 4),
    ]
    assert playing.window.unacknowledged == 1


def test_a_ping_is_ours_and_its_answer_gives_a_round_trip() -> None:
    ping = struct.pack("<IQ", 7, 123) + b"padding"
    playing = player(opened(CURSOR, SET_ACK, Said(0, ServerCommon.PING, ping)))
    kind, body = messages(playing.take(5))[1]
    number, stamp = struct.unpack_from("<IQ", body)
    assert (kind, number, body[12:]) == (ServerCommon.PING, 7, b"padding")
    assert stamp == (5000 + 400) * 1_000_000 + 5
    playing.receive(framed(True, 1, 3, struct.pack("<IQ", 7, 123)), 1000)
    assert playing.round_trips_ns == []
    playing.receive(framed(True, 1, 3, body[:12]), 1005)
    playing.receive(framed(True, 1, 3, body[:12]), 2005)
    assert playing.round_trips_ns == [1000]


def test_an_agent_that_leaves_takes_along_what_waited_for_tokens() -> None:
    said = (
        Said(0, ServerMain.AGENT_DATA, b"one"),
        Said(0, ServerMain.AGENT_DATA, b"two"),
        Said(1, ServerMain.AGENT_DISCONNECTED, bytes(4)),
        Said(2, ServerMain.AGENT_DATA, b"three"),
    )
    playing = player(opened(MAIN, *said))
    playing.receive(framed(True, 1, 104), 0)
    assert kinds(playing.take(0)) == []
    assert kinds(playing.take(10**9)) == [ServerMain.AGENT_DISCONNECTED]
    playing.receive(framed(True, 1, 106, struct.pack("<I", 10)), 10**9)
    assert messages(playing.take(2 * 10**9)) == [(ServerMain.AGENT_DATA, b"three")]


def test_a_client_without_agent_tokens_is_told_the_old_way() -> None:
    said = Said(0, ServerMain.AGENT_CONNECTED_TOKENS, struct.pack("<I", 10))
    new, old = player(opened(MAIN, said)), player(opened(MAIN, said), without=("AGENT_CONNECTED_TOKENS",))
    for playing in (new, old):
        playing.receive(framed(True, 1, 104), 0)
    assert messages(new.take(0)) == [(ServerMain.AGENT_CONNECTED_TOKENS, struct.pack("<I", 10))]
    assert messages(old.take(0)) == [(ServerMain.AGENT_CONNECTED, b"")]


@given(st.lists(st.binary(max_size=80), max_size=5), st.sampled_from(list(ChannelType)), st.booleans())
@settings(max_examples=60)
def test_nothing_a_client_sends_does_harm(pieces: list[bytes], channel: ChannelType, mini: bool) -> None:
    playing = player(opened(channel, Said(0, ServerCommon.PING, bytes(12))), mini=mini)
    for piece in pieces:
        playing.receive(piece, 0)
        playing.take(0)


# --- what is not played -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("channel", "kind"),
    [
        (MAIN, ServerMain.MIGRATE_BEGIN),
        (MAIN, ServerMain.MIGRATE_SWITCH_HOST),
        (MAIN, ServerMain.AGENT_TOKEN),
        (DISPLAY, ServerDisplay.GL_SCANOUT_UNIX),
        (DISPLAY, ServerCommon.MIGRATE),
        (CURSOR, ServerCommon.DISCONNECTING),
        (ChannelType.INPUTS, 111),
        (ChannelType.RECORD, 101),
        (ChannelType.USBREDIR, 101),
        (ChannelType.WEBDAV, 101),
    ],
    ids=lambda value: getattr(value, "name", str(value)),
)
def test_what_would_do_harm_or_no_good_is_left_out(channel: ChannelType, kind: int) -> None:
    part = opened(channel, Said(0, kind, bytes(16)), Said(0, ServerCommon.NOTIFY, bytes(24)))
    assert [t for t in part.type.tolist() if t != ServerCommon.SET_ACK] == [ServerCommon.NOTIFY]


def test_a_message_with_bytes_missing_is_left_out_and_counted() -> None:
    part = opened(CURSOR, SET_ACK, Said(0, 101, FILL, partial=True), Said(1, 102))
    assert part.type.tolist() == [ServerCommon.SET_ACK, 102]
    assert part.left_out == {"with bytes missing": 1}
