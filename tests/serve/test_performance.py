"""A whole replay without sockets: when it starts, how its channels keep in step, when it is over."""

from __future__ import annotations

import struct

import pytest
from serve.fake_client import DISPLAY_INIT, channel_caps, framed
from support import observed
from support.observed import Said

from spicereplay.errors import UsageError
from spicereplay.protocol.enums import ChannelType, LinkError, ServerCommon, ServerDisplay, ServerMain
from spicereplay.protocol.link import Link, LinkStatus
from spicereplay.protocol.messages import main
from spicereplay.protocol.messages.display import SurfaceCreate
from spicereplay.serve.part import empty_part, part_of
from spicereplay.serve.performance import Performance, server_caps
from spicereplay.serve.player import Player
from spicereplay.serve.script import Script
from spicereplay.serve.tempo import Tempo

MAIN, DISPLAY, CURSOR = ChannelType.MAIN, ChannelType.DISPLAY, ChannelType.CURSOR
S = 10**9
SET_ACK = Said(0, ServerCommon.SET_ACK, struct.pack("<II", 1, 100))
INIT = main.Init(
    session_id=1,
    display_channels_hint=1,
    supported_mouse_modes=3,
    current_mouse_mode=2,
    agent_connected=0,
    agent_tokens=0,
    multi_media_time=4000,
    ram_hint=0,
)
LIST = main.ChannelsList(channels=(main.ChannelId(type=2, id=0), main.ChannelId(type=4, id=0)))
SURFACE = SurfaceCreate(surface_id=0, width=8, height=8, format=32, flags=1)


def script(*displays: list[Said], cursor: list[Said] | None = None) -> Script:
    logs = [observed.channel(MAIN, [Said(0, ServerMain.INIT, INIT), Said(0, ServerMain.CHANNELS_LIST, LIST)])]
    logs += [observed.channel(DISPLAY, [SET_ACK, *said], channel_id=n) for n, said in enumerate(displays)]
    if cursor is not None:
        logs.append(observed.channel(CURSOR, cursor))
    parts = {(log.channel, log.channel_id): part_of(log).opened() for log in logs}
    awaited = frozenset(parts)
    parts[ChannelType.SMARTCARD, 0] = empty_part(ChannelType.SMARTCARD, 0)
    session = observed.session(*logs)
    return Script(session, parts, awaited, observed.ns(1), observed.ns(9), 5000)


def attach(stage: Performance, channel: ChannelType, now_ns: int = 0, channel_id: int = 0) -> Player:
    link = Link(
        LinkStatus.ESTABLISHED,
        0,
        0,
        channel=channel,
        channel_id=channel_id,
        client_common_caps=(0,),
        client_channel_caps=channel_caps(channel),
    )
    playing, _ = stage.attach(link, now_ns)
    return playing


def greet(playing: Player) -> None:
    if playing.part.channel is MAIN:
        playing.receive(framed(False, 1, 104), 0)
    else:
        playing.receive(framed(False, 1, 101, DISPLAY_INIT), 0)


def kinds(data: bytes) -> list[int]:
    out, at = [], 0
    while at < len(data):
        _, kind, size, _ = struct.unpack_from("<QHII", data, at)
        out.append(kind)
        at += 18 + size
    return out


def performance(of: Script, speed: float | None = 1.0) -> Performance:
    return Performance(of, 99, Tempo(of.start_ns, of.clock_ms, speed), begun_ns=0, patience_ns=2 * S)


def test_it_starts_when_all_that_were_recorded_are_there() -> None:
    stage = performance(script([Said(1, ServerDisplay.SURFACE_CREATE, SURFACE)], cursor=[SET_ACK]))
    first = attach(stage, MAIN)
    first.take(0)
    greet(first)
    stage.look(0)
    display = attach(stage, DISPLAY)
    attach(stage, CURSOR)
    assert stage.look(S) == []
    assert stage.curtain_ns is None, "the display has not sent its INIT"
    greet(display)
    stage.look(S)
    assert stage.curtain_ns == S
    first_sent = first.take(S)
    assert kinds(first_sent) == [ServerMain.MULTI_MEDIA_TIME, ServerMain.CHANNELS_LIST]
    assert struct.unpack_from("<I", first_sent, 18) == (5000,)
    assert kinds(display.take(S)) == [ServerCommon.SET_ACK, ServerDisplay.SURFACE_CREATE]


def test_it_starts_without_one_that_does_not_come() -> None:
    stage = performance(script([Said(1, ServerDisplay.MARK)], cursor=[SET_ACK]))
    greet(attach(stage, MAIN, 0))
    greet(attach(stage, DISPLAY, S))
    assert stage.deadline_ns() == 3 * S
    assert stage.look(3 * S - 1) == []
    assert stage.look(3 * S) == ["starts without cursor/0: not opened by the client"]
    assert stage.curtain_ns == 3 * S


def test_nobody_waits_for_a_time_that_means_nothing() -> None:
    """Before main has asked for the channels nothing can start, however late it is."""
    stage = performance(script([Said(1, ServerDisplay.MARK)]))
    first, display = attach(stage, MAIN), attach(stage, DISPLAY)
    greet(display)
    assert stage.look(100 * S) == []
    assert stage.due_ns(display) is None
    greet(first)
    assert stage.due_ns(display) == 2 * S
    stage.look(100 * S)
    assert stage.curtain_ns == stage.due_ns(display) == 100 * S


def test_it_is_over_when_every_channel_has_had_everything() -> None:
    stage = performance(script([Said(1, ServerDisplay.MARK), Said(5, ServerDisplay.MARK)]))
    players = [attach(stage, MAIN), attach(stage, DISPLAY)]
    for playing in players:
        greet(playing)
    for now in (0, 4 * S - 1):
        stage.look(now)
        for playing in players:
            playing.take(now)
        stage.look(now)
        assert stage.finished_ns is None
    players[1].take(4 * S)
    stage.look(4 * S)
    assert stage.finished_ns == 4 * S


def test_without_waiting_two_displays_keep_the_recorded_order() -> None:
    """What the second draws may refer to images of the first."""
    of = script(
        [Said(at, ServerDisplay.MARK) for at in (1, 3, 5)],
        [Said(at, ServerDisplay.RESET) for at in (2, 4, 6)],
    )
    stage = performance(of, speed=None)
    greet(attach(stage, MAIN))
    one, two = attach(stage, DISPLAY), attach(stage, DISPLAY, channel_id=1)
    greet(one)
    greet(two)
    stage.look(0)
    order = []
    assert kinds(two.take(0)) == [ServerCommon.SET_ACK]
    for _ in range(6):
        order += kinds(one.take(0)) + kinds(two.take(0))
    marks = [kind for kind in order if kind != ServerCommon.SET_ACK]
    assert marks == [ServerDisplay.MARK, ServerDisplay.RESET] * 3
    assert one.due_ns() is None


def test_serials_of_another_channel_are_those_it_has_in_this_replay() -> None:
    stage = performance(script([Said(1, ServerDisplay.MARK)], [Said(1, ServerDisplay.MARK)]))
    attach(stage, DISPLAY)
    assert stage.sent_as(2, 0, 2) == 2
    assert stage.sent_as(2, 1, 2) == 0, "it is not there"


def test_channels_are_refused() -> None:
    stage = performance(script([]))
    attach(stage, DISPLAY)
    assert stage.refusal((DISPLAY, 0))[0] == LinkError.ERROR
    assert stage.refusal((DISPLAY, 7))[0] == LinkError.CHANNEL_NOT_AVAILABLE
    assert stage.refusal((MAIN, 0))[0] == LinkError.OK
    assert stage.refusal((ChannelType.SMARTCARD, 0))[0] == LinkError.OK


def test_the_server_announces_what_was_recorded_but_no_migration() -> None:
    of = script([])
    log = of.parts[MAIN, 0].log
    assert log is not None
    log.link = Link(LinkStatus.ESTABLISHED, 0, 0, server_channel_caps=(0b1111,))
    assert server_caps(of, MAIN, 0) == (0b110,)
    assert server_caps(of, CURSOR, 0) == ()
    assert server_caps(of, ChannelType.SMARTCARD, 0) == ()


def test_a_client_that_wants_no_glz_is_remarked_upon_where_there_is_some(fixtures_script: Script) -> None:
    stage = performance(fixtures_script)
    display = attach(stage, DISPLAY)
    display.receive(framed(False, 1, 101, struct.pack("<BqBi", 1, 1, 1, 0)), 0)
    assert len(stage.glz_remarks(display)) == 1
    stage.detach(display)
    other = attach(stage, DISPLAY)
    greet(other)
    assert stage.glz_remarks(other) == []


@pytest.mark.parametrize("number", [0, -1, 1 << 32])
def test_a_session_has_a_number(number: int) -> None:
    with pytest.raises(UsageError, match="session id"):
        Performance(script([]), number, Tempo(0, 0), 0)
