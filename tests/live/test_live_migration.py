"""A guest that moves: two servers of our own, and a session that goes on at the second."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from live.test_live_session import PATIENT, all_of

from spicereplay.errors import ConnectionFailed
from spicereplay.live.events import Event, Migrated, Noticed, SessionBegan
from spicereplay.live.session import LiveSession
from spicereplay.live.target import Target, Transport
from spicereplay.protocol import caps
from spicereplay.protocol.enums import (
    ChannelType,
    ClientCommon,
    ClientMain,
    LinkError,
    MigrateFlags,
    MouseMode,
    ServerCommon,
    ServerMain,
)
from spicereplay.protocol.messages import common, main
from spicereplay.protocol.ticket import TicketKey
from spicereplay.protocol.wire import Message, build
from spicereplay.recording.recorder import Recorder
from spicereplay.replay import replay
from spicereplay.serve.door import Door

MAIN, CURSOR = ChannelType.MAIN, ChannelType.CURSOR
SESSION = 77
KEY = TicketKey.generate()
STATE = MigrateFlags.NEED_FLUSH | MigrateFlags.NEED_DATA_TRANSFER
Answers = dict[tuple[ChannelType, int], Callable[["Host"], None]]


@dataclass
class Host:
    """A server with a main channel and a cursor; `answers` says what it does when a client says something."""

    answers: Answers
    source: bool = False
    """Has a guest from the beginning."""
    port: int = 0
    heard: list[tuple[ChannelType, int, bytes]] = field(default_factory=list)
    sessions: list[tuple[ChannelType, int]] = field(default_factory=list)
    """What each link message named."""
    gone: list[ChannelType] = field(default_factory=list)
    writers: dict[ChannelType, asyncio.StreamWriter] = field(default_factory=dict)

    def say(self, channel: ChannelType, type: int, message: Message | None = None) -> None:
        body = b"" if message is None else build(message)
        self.writers[channel].write(struct.pack("<HI", type, len(body)) + body)

    def begin(self) -> None:
        mode = MouseMode.CLIENT
        self.say(MAIN, ServerMain.INIT, main.Init(SESSION, 1, mode, mode, 0, 0, 1000, 0))
        self.say(MAIN, ServerMain.CHANNELS_LIST, main.ChannelsList((main.ChannelId(CURSOR, 0),)))

    def hang_up(self) -> None:
        for writer in self.writers.values():
            writer.close()

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield
        finally:
            server.close()
            self.hang_up()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        door = Door(KEY, self._caps, lambda link, password: (LinkError.OK, ""))
        while door.link is None:
            writer.write(door.receive(await reader.read(65_536)))
        channel = door.link.channel
        assert isinstance(channel, ChannelType)
        self.writers[channel] = writer
        self.sessions.append((channel, door.link.connection_id or 0))
        if channel is MAIN and self.source:
            self.begin()
        elif channel is CURSOR and self.source:
            self.answers[CURSOR, 0](self)
        with contextlib.suppress(asyncio.IncompleteReadError, OSError):
            while True:
                kind, size = struct.unpack("<HI", await reader.readexactly(6))
                self.heard.append((channel, kind, await reader.readexactly(size)))
                if (answer := self.answers.get((channel, kind))) is not None:
                    answer(self)
        self.gone.append(channel)
        writer.close()

    def _caps(self, channel: ChannelType, channel_id: int) -> tuple[int, ...]:
        return caps.words(MAIN, ("SEMI_SEAMLESS_MIGRATE", "SEAMLESS_MIGRATE")) if channel is MAIN else ()

    def said(self, channel: ChannelType, kind: int) -> list[bytes]:
        return [body for heard, type, body in self.heard if (heard, type) == (channel, kind)]


def moves_to(target: Host) -> Callable[[Host], None]:
    def tell(host: Host) -> None:
        where = main.DstInfo(target.port, 0xFFFF, b"127.0.0.1\0", None)
        host.say(MAIN, ServerMain.MIGRATE_BEGIN_SEAMLESS, main.MigrateBeginSeamless(where, 1))

    return tell


def told(host: Host) -> None:
    for channel in (MAIN, CURSOR):
        host.say(channel, ServerCommon.MIGRATE, common.Migrate(STATE))


def hands_over(channel: ChannelType) -> Callable[[Host], None]:
    state = common.MigrateData(f"state of {channel.label}".encode())
    return lambda host: host.say(channel, ServerCommon.MIGRATE_DATA, state)


def source_of(target: Host) -> Host:
    return Host(
        {
            (CURSOR, 0): moves_to(target),
            (MAIN, ClientMain.MIGRATE_CONNECTED_SEAMLESS): told,
            (MAIN, ClientMain.MIGRATE_CONNECTED): lambda host: host.say(MAIN, ServerMain.MIGRATE_END),
            **{(channel, ClientCommon.MIGRATE_FLUSH_MARK): hands_over(channel) for channel in (MAIN, CURSOR)},
        },
        source=True,
    )


def session_at(host: Host, recorder: Recorder | None = None) -> LiveSession:
    target = Target("127.0.0.1", host.port)
    return LiveSession(target, recorder=recorder, retries_s=(), manner=PATIENT)


async def followed(
    source: Host, target: Host, recorder: Recorder | None = None
) -> tuple[LiveSession, list[Event]]:
    async with target.serving(), source.serving():
        session = session_at(source, recorder)
        events = session.subscribe()
        with pytest.raises(ConnectionFailed, match="the server closed the connection"):
            await session.run()
    return session, all_of(events)


def test_seamless_every_channel_takes_its_state_along_and_the_session_goes_on(tmp_path: Path) -> None:
    def cursor_lives(host: Host) -> None:
        host.say(CURSOR, ServerCommon.PING, common.Ping(5, 6))

    target = Host(
        {
            (MAIN, ClientMain.MIGRATE_DST_DO_SEAMLESS): lambda host: host.say(
                MAIN, ServerMain.MIGRATE_DST_SEAMLESS_ACK
            ),
            (CURSOR, ClientCommon.MIGRATE_DATA): cursor_lives,
            (CURSOR, ClientCommon.PONG): Host.hang_up,
        }
    )
    source, path = source_of(target), tmp_path / "x.pcapng"
    with Recorder.open(path, started_ns=0) as recorder:
        session, events = asyncio.run(followed(source, target, recorder))
    assert target.sessions == [(MAIN, SESSION), (CURSOR, SESSION)]
    assert target.said(MAIN, ClientMain.MIGRATE_DST_DO_SEAMLESS) == [struct.pack("<I", 1)]
    assert target.said(MAIN, ClientCommon.MIGRATE_DATA) == [b"state of main"]
    assert target.said(CURSOR, ClientCommon.MIGRATE_DATA) == [b"state of cursor"]
    assert [type for channel, type, _ in target.heard if channel is CURSOR] == [
        ClientCommon.MIGRATE_DATA,
        ClientCommon.PONG,
    ]
    assert not target.said(MAIN, ClientMain.ATTACH_CHANNELS)
    assert [event.place for event in events if isinstance(event, Migrated)] == [f"127.0.0.1:{target.port}"]
    assert sum(isinstance(event, SessionBegan) for event in events) == 1
    assert session.visits == 1
    with replay(path) as found:
        assert len(found.sessions) == 1


def test_a_target_that_cannot_take_over_is_begun_anew() -> None:
    def arrives(host: Host) -> None:
        host.begin()
        host.say(CURSOR, ServerCommon.PING, common.Ping(5, 6))

    target = Host(
        {
            (MAIN, ClientMain.MIGRATE_DST_DO_SEAMLESS): lambda host: host.say(
                MAIN, ServerMain.MIGRATE_DST_SEAMLESS_NACK
            ),
            (MAIN, ClientMain.MIGRATE_END): arrives,
            (CURSOR, ClientCommon.PONG): Host.hang_up,
        }
    )
    session, events = asyncio.run(followed(source_of(target), target))
    assert len(target.said(MAIN, ClientMain.MIGRATE_END)) == 1
    assert sum(isinstance(event, Migrated) for event in events) == 1
    assert session.visits == 2


def test_from_a_unix_socket_the_guest_is_followed_to_a_host(tmp_path: Path) -> None:
    """SWITCH_HOST, too: there the client leaves, and comes to the target as a stranger."""
    target = Host({(CURSOR, 0): Host.hang_up}, source=True)

    def tell(host: Host) -> None:
        where = main.MigrateSwitchHost(target.port, 0, b"127.0.0.1\0", None)
        host.say(MAIN, ServerMain.MIGRATE_SWITCH_HOST, where)

    source, path = Host({(CURSOR, 0): tell}, source=True), tmp_path / "s"

    async def go() -> list[Event]:
        async with target.serving(), await asyncio.start_unix_server(source._accept, path):
            there = Target(port=0, transport=Transport.UNIX, path=str(path))
            session = LiveSession(there, retries_s=(), manner=PATIENT)
            events = session.subscribe()
            with pytest.raises(ConnectionFailed, match="the server closed the connection"):
                await session.run()
            source.hang_up()
        return all_of(events)

    events = asyncio.run(go())
    assert [event.place for event in events if isinstance(event, Migrated)] == [f"127.0.0.1:{target.port}"]
    assert target.sessions[0] == (MAIN, 0)


@pytest.mark.parametrize(
    ("port", "subject", "said"),
    [(0, None, "there is no TLS port"), (5900, b"nonsense\0", "is no subject")],
)
def test_a_target_that_cannot_be_gone_to_is_the_servers_fault(
    port: int, subject: bytes | None, said: str
) -> None:
    def tell(host: Host) -> None:
        secure = port if subject else 0
        where = main.MigrateSwitchHost(0, secure, b"127.0.0.1\0", subject)
        host.say(MAIN, ServerMain.MIGRATE_SWITCH_HOST, where)

    source = Host({(CURSOR, 0): tell}, source=True)

    async def go() -> None:
        async with source.serving():
            with pytest.raises(ConnectionFailed, match=f"cannot be followed.*{said}"):
                await session_at(source).run()

    asyncio.run(go())


def test_a_target_that_hangs_up_is_not_followed_and_the_session_stays() -> None:
    target = Host({(MAIN, ClientMain.MIGRATE_DST_DO_SEAMLESS): Host.hang_up})
    source = source_of(target)
    source.answers[MAIN, ClientMain.MIGRATE_CONNECT_ERROR] = Host.hang_up
    session, events = asyncio.run(followed(source, target))
    assert len(source.said(MAIN, ClientMain.MIGRATE_CONNECT_ERROR)) == 1
    notes = [event.text for event in events if isinstance(event, Noticed) and event.code == "migration"]
    assert any("cannot be followed" in text for text in notes)
    assert session.visits == 1


def test_a_migration_that_is_cancelled_lets_go_of_the_target() -> None:
    target = Host(
        {
            (MAIN, ClientMain.MIGRATE_DST_DO_SEAMLESS): lambda host: host.say(
                MAIN, ServerMain.MIGRATE_DST_SEAMLESS_ACK
            )
        }
    )
    source = source_of(target)
    source.answers[MAIN, ClientMain.MIGRATE_CONNECTED_SEAMLESS] = lambda host: host.say(
        MAIN, ServerMain.MIGRATE_CANCEL
    )

    async def go() -> None:
        async with target.serving(), source.serving():
            session = session_at(source)
            running = asyncio.ensure_future(session.run())
            async with asyncio.timeout(10):
                while len(target.gone) < 2:
                    await asyncio.sleep(0.01)
            assert not running.done()
            assert not source.gone
            session.stop()
            await running

    asyncio.run(go())


def test_a_target_that_tells_a_channel_to_move_again_ends_that_channel_alone() -> None:
    def again(host: Host) -> None:
        host.say(CURSOR, ServerCommon.MIGRATE, common.Migrate(MigrateFlags(0)))

    def only_the_cursor(host: Host) -> None:
        host.say(CURSOR, ServerCommon.MIGRATE, common.Migrate(STATE))

    target = Host(
        {
            (MAIN, ClientMain.MIGRATE_DST_DO_SEAMLESS): lambda host: host.say(
                MAIN, ServerMain.MIGRATE_DST_SEAMLESS_ACK
            ),
            (CURSOR, ClientCommon.MIGRATE_DATA): again,
        }
    )
    source = source_of(target)
    source.answers[MAIN, ClientMain.MIGRATE_CONNECTED_SEAMLESS] = only_the_cursor

    async def go() -> None:
        async with target.serving(), source.serving():
            session = session_at(source)
            running = asyncio.ensure_future(session.run())
            async with asyncio.timeout(10):
                while CURSOR not in target.gone:
                    await asyncio.sleep(0.01)
            assert not running.done()
            session.stop()
            await running

    asyncio.run(go())
