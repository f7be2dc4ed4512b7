"""Which channels make a session, and where one recording holds several of them."""

import struct

import pytest
from support.spicewire import link_stage, mini, ping

from spicereplay.bytestream import stream_of
from spicereplay.protocol.channel import Assumption, ChannelEngine
from spicereplay.protocol.enums import ChannelType, ServerMain, Side
from spicereplay.protocol.framing import nothing
from spicereplay.session.grouping import (
    group,
    group_as_one,
    host,
    repeated_beginnings,
    session_id,
    split_reconnects,
)
from spicereplay.session.log import ChannelLog, Gap, GapCause

MAIN, DISPLAY, INPUTS, CURSOR = ChannelType.MAIN, ChannelType.DISPLAY, ChannelType.INPUTS, ChannelType.CURSOR


def main_init(session: int) -> bytes:
    return mini(ServerMain.INIT, struct.pack("<8I", session, 1, 3, 2, 0, 10, 0, 0))


def channel(
    kind: ChannelType,
    said: bytes = b"",
    *,
    connection_id: int = 0,
    channel_id: int = 0,
    linked: bool = True,
    client_seen: bool = True,
    result: int = 0,
    times: tuple[int, int] = (0, 100),
    server: str = "192.0.2.2:5900",
    client: str = "192.0.2.1:40000",
) -> ChannelLog:
    """A channel whose server said `said`."""
    stage = (
        link_stage(kind, connection_id=connection_id, channel_id=channel_id, result=result)
        if linked
        else (b"", b"")
    )
    assumed = None if linked else Assumption(kind, 0, mini_header=True, reason="", confidence=1.0)
    engine = ChannelEngine(assumed=assumed, fallback=kind)
    engine.feed(Side.CLIENT, stream_of(stage[0]) if client_seen else None)
    engine.feed(Side.SERVER, stream_of(stage[1] + said))
    return ChannelLog(
        channel=kind,
        channel_id=engine.link.channel_id or 0 if engine.link else 0,
        link=engine.link,
        mini_header=True,
        server=engine.index(Side.SERVER) or nothing(kind, Side.SERVER),
        client=engine.index(Side.CLIENT) or nothing(kind, Side.CLIENT),
        start_time_ns=times[0],
        end_time_ns=times[1],
        server_address=server,
        client_address=client,
    )


def shape(logs: list[ChannelLog]) -> list[tuple[int | None, list[str]]]:
    return [(s.session_id, [c.name for c in s.channels]) for s in group(logs)]


def test_the_id_of_main_init_is_that_of_the_other_links() -> None:
    logs = [
        channel(INPUTS, connection_id=7, times=(20, 90)),
        channel(MAIN, main_init(7), times=(0, 100)),
        channel(DISPLAY, connection_id=7, times=(10, 90)),
        channel(DISPLAY, connection_id=7, channel_id=1, times=(11, 90)),
    ]
    assert shape(logs) == [(7, ["main/0", "display/0", "display/1", "inputs/0"])]


def test_sessions_at_the_same_time_are_told_apart_by_id_and_numbered_by_start() -> None:
    logs = [
        channel(MAIN, main_init(2), times=(50, 100)),
        channel(MAIN, main_init(1), times=(0, 100)),
        channel(CURSOR, connection_id=2, times=(60, 100)),
        channel(CURSOR, connection_id=1, times=(60, 100)),
    ]
    assert shape(logs) == [(1, ["main/0", "cursor/0"]), (2, ["main/0", "cursor/0"])]
    assert [s.number for s in group(logs)] == [0, 1]


def test_one_session_may_use_two_ports_of_a_server() -> None:
    logs = [
        channel(MAIN, main_init(9), server="192.0.2.2:5901"),
        channel(DISPLAY, connection_id=9, server="192.0.2.2:5900"),
    ]
    assert shape(logs) == [(9, ["main/0", "display/0"])]


def test_the_same_id_on_two_servers_is_two_sessions() -> None:
    logs = [channel(MAIN, main_init(9)), channel(MAIN, main_init(9), server="192.0.2.3:5900")]
    assert [sid for sid, _ in shape(logs)] == [9, 9]


def test_the_main_channel_to_a_migration_target_carries_the_id_itself() -> None:
    target = "192.0.2.3:5900"
    logs = [
        channel(MAIN, main_init(5), times=(0, 60)),
        channel(DISPLAY, connection_id=5, times=(10, 60)),
        channel(MAIN, mini(4, ping()), connection_id=6, times=(50, 100), server=target),
        channel(DISPLAY, connection_id=6, times=(55, 100), server=target),
    ]
    assert session_id(logs[2]) == 6
    assert shape(logs) == [(5, ["main/0", "display/0"]), (6, ["main/0", "display/0"])]


def test_a_main_channel_that_was_turned_away_is_alone() -> None:
    logs = [
        channel(MAIN, result=7, times=(0, 5)),
        channel(MAIN, main_init(1), times=(3, 100)),
        channel(DISPLAY, connection_id=1, times=(4, 100)),
    ]
    assert shape(logs) == [(None, ["main/0"]), (1, ["main/0", "display/0"])]


def test_channels_without_an_id_join_what_overlaps_between_the_same_hosts() -> None:
    logs = [
        channel(MAIN, main_init(1), times=(0, 100)),
        channel(DISPLAY, linked=False, times=(50, 200)),
        channel(CURSOR, linked=False, times=(150, 300)),
        channel(INPUTS, linked=False, times=(50, 60), client="192.0.2.9:1"),
        channel(INPUTS, linked=False, times=(400, 500)),
    ]
    assert shape(logs) == [
        (1, ["main/0", "display/0", "cursor/0"]),
        (None, ["inputs/0"]),
        (None, ["inputs/0"]),
    ]


def test_two_main_channels_are_two_sessions() -> None:
    logs = [channel(MAIN, linked=False, times=(n, 100)) for n in (0, 1)]
    assert shape(logs) == [(None, ["main/0"]), (None, ["main/0"])]


def test_a_channel_without_id_joins_the_session_that_began_last() -> None:
    logs = [
        channel(MAIN, main_init(1), times=(0, 500)),
        channel(MAIN, main_init(2), times=(100, 500)),
        channel(CURSOR, linked=False, times=(110, 500)),
    ]
    assert shape(logs) == [(1, ["main/0"]), (2, ["main/0", "cursor/0"])]


@pytest.mark.parametrize("how", [{"linked": False}, {"client_seen": False}])
def test_channels_of_unknown_id_get_the_lowest_free_ones(how: dict[str, bool]) -> None:
    logs = [
        channel(MAIN, main_init(1)),
        channel(DISPLAY, connection_id=1, channel_id=0, times=(5, 50)),
        channel(DISPLAY, times=(30, 50), **how),  # type: ignore[arg-type]
        channel(DISPLAY, times=(20, 50), **how),  # type: ignore[arg-type]
    ]
    assert shape(logs) == [(1, ["main/0", "display/0", "display/1", "display/2"])]
    assert [log.channel_id for log in logs[2:]] == [2, 1]


def test_group_as_one() -> None:
    session = group_as_one(3, [channel(DISPLAY, linked=False), channel(MAIN, main_init(8), linked=False)])
    assert (session.number, session.session_id, len(session.channels)) == (3, 8, 2)
    assert not session.handshake
    assert [c.name for c in session.of(DISPLAY)] == ["display/0"]


def test_host() -> None:
    assert host("192.0.2.1:5900") == "192.0.2.1"
    assert host("[2001:db8::1]:5900") == "[2001:db8::1]"


# -- several connections in one flow ----------------------------------------------------------------------


def timed(kind: ChannelType, server: list[tuple[int, bytes]], client: list[tuple[int, bytes]]) -> ChannelLog:
    """A recorded channel without a link stage, each message with its time."""
    engine = ChannelEngine(assumed=Assumption(kind, 0, mini_header=True, reason="assumed", confidence=1.0))
    for side, said in ((Side.SERVER, server), (Side.CLIENT, client)):
        for time_ns, message in said:
            engine.receive(side, message, time_ns)
        engine.close(side, 1000)
    log = channel(kind, linked=False)
    log.server, log.client = engine.index(Side.SERVER), engine.index(Side.CLIENT)  # type: ignore[assignment]
    return log


def test_a_second_main_init_begins_another_connection() -> None:
    p = mini(4, ping())
    main = timed(MAIN, [(t, m) for t in (0, 100, 200) for m in (main_init(t + 1), p, p, p)], [])
    main.gaps = [Gap(Side.SERVER, 150, 10, 5, GapCause.NOT_CAPTURED)]
    main.unparsed_bytes = 11
    cursor = timed(CURSOR, [(t, p) for t in (10, 20, 30, 110, 120)], [(12, mini(3, ping()))] * 3)
    parts = split_reconnects([main, cursor])
    assert [[log.name for log in part] for part in parts] == [
        ["main/0", "cursor/0"],
        ["main/0", "cursor/0"],
        ["main/0"],
    ]
    assert [session_id(part[0]) for part in parts] == [1, 101, 201]
    assert [len(part[0].server) for part in parts] == [4, 4, 4]
    assert [len(part[0].gaps) for part in parts] == [0, 1, 0]
    assert [part[0].unparsed_bytes for part in parts] == [11, 0, 0]
    assert parts[0][1].bytes_from == {Side.SERVER: 3 * 18, Side.CLIENT: 3 * 18}
    assert [part[0].start_time_ns for part in parts] == [0, 100, 200]


def test_where_main_was_not_recorded_the_display_tells() -> None:
    init = mini(101, bytes(14))
    display = timed(
        DISPLAY, [(t, mini(4, ping())) for t in (1, 2, 3, 101)], [(t, init) for t in (0, 100)] * 1
    )
    assert len(split_reconnects([display])) == 2


def test_one_connection_stays_whole() -> None:
    logs = [timed(MAIN, [(0, main_init(1)), *[(1, mini(4, ping()))] * 3], [])]
    assert split_reconnects(logs) == [logs]


def test_beginnings_that_repeat_tell_of_merged_channels() -> None:
    surface = mini(314, struct.pack("<5I", 0, 64, 64, 32, 1))
    destroy = mini(315, struct.pack("<I", 0))
    set_ack = mini(3, struct.pack("<II", 1, 20))
    alone = timed(
        DISPLAY, [(0, set_ack), (0, surface), (1, destroy), (2, surface)], [(0, mini(101, bytes(14)))]
    )
    assert repeated_beginnings(alone) == []
    merged = timed(
        DISPLAY, [(0, set_ack), (0, surface), (1, set_ack), (2, surface)], [(0, mini(101, bytes(14)))] * 3
    )
    assert repeated_beginnings(merged) == [
        "3 INIT messages of the client",
        "2 SET_ACK trains",
        "SURFACE_CREATE of surface 0 while it was live",
    ]
