"""One connection: what comes with the last bytes of the link stage, what nobody knows, and how a client leaves."""

from __future__ import annotations

import asyncio
import struct

import pytest
from live.fake_server import listening
from live.test_live_faults import after
from live.test_live_migration import CURSOR, MAIN, Host, session_at
from live.test_live_session import all_of

from spicereplay.capture.connection import Endpoint
from spicereplay.client.channel import ChannelClient
from spicereplay.client.options import ClientOptions
from spicereplay.client.shared import Shared
from spicereplay.errors import ConnectionFailed
from spicereplay.limits import DEFAULT_LIMITS
from spicereplay.live import visit
from spicereplay.live.clock import Clock
from spicereplay.live.connection import Connection
from spicereplay.live.dial import Manner, Wire
from spicereplay.live.events import Disconnected, Linked, Noticed
from spicereplay.live.linking import link
from spicereplay.live.session import LiveSession
from spicereplay.live.target import Target
from spicereplay.protocol.enums import LinkError, ServerCommon, Side
from spicereplay.protocol.events import MessageSeen
from spicereplay.protocol.messages import common
from spicereplay.protocol.ticket import TicketKey
from spicereplay.protocol.wire import build
from spicereplay.serve.door import Door

KEY = TicketKey.generate()


class EagerServer:
    """Says its first message in one breath with the end of the link stage."""

    def __init__(self, first: bytes) -> None:
        self.first = first
        self.door = Door(KEY, lambda channel, channel_id: (), lambda link, password: (LinkError.OK, ""))
        self.said: list[bytes] = []

    def write(self, data: bytes) -> None:
        before, answer = self.door.link, self.door.receive(data)
        self.said.append(answer + (self.first if before is None and self.door.link is not None else b""))

    async def read(self) -> bytes:
        return self.said.pop(0)

    async def drain(self) -> None:
        pass

    async def close(self) -> None:
        pass


def test_what_comes_with_the_link_stage_is_seen_whoever_sends_first_and_not_before_the_client_began() -> None:
    body = build(common.Notify(0, 1, 1, 5, b"hello"))
    server = EagerServer(struct.pack("<HI", ServerCommon.NOTIFY, len(body)) + body)
    place = Endpoint("127.0.0.1", 1)
    seen: list[MessageSeen] = []
    clock = Clock()

    async def go() -> tuple[ChannelClient, int]:
        wire = Wire(server, place, place, False, "here")
        connection = Connection(
            CURSOR, 0, wire, clock, DEFAULT_LIMITS, [], lambda _, message: seen.append(message)
        )
        await link(connection, 0, None, ClientOptions(), Manner())
        client = ChannelClient(CURSOR, 0, ClientOptions(), Shared())
        began_ns = clock.now_ns()
        connection.begin(client, began_ns)
        connection.send()  # as whoever wants something sent does, while nothing is read yet
        return client, began_ns

    client, began_ns = asyncio.run(go())
    assert [(message.side, message.type) for message in seen] == [(Side.SERVER, ServerCommon.NOTIFY)]
    assert seen[0].time_ns < began_ns
    assert [(notice.text, notice.time_ns) for notice in client.notices()] == [("hello", began_ns)]


# --- what nobody knows ------------------------------------------------------------------------------------

NOTHING = bytes(6)
"""A message of type 0 without a body."""
LONG = struct.pack("<HI", 0x4747, 100_000_000)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (NOTHING * 3, "the server has sent 3 messages of type 0; "),
        (NOTHING + LONG, "a message of type 0; "),
        (LONG + NOTHING * 9, "the server begins a message of type 18247 and 100000000 bytes; "),
    ],
)
def test_messages_that_spice_does_not_have_are_told_once(words: bytes, said: str) -> None:
    async def go() -> list[Noticed]:
        once_more = asyncio.Event()
        told: list[Noticed] = []

        async def talks(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(words)
            await once_more.wait()
            writer.write(words)
            await writer.drain()

        async with listening(after("INIT", talks)) as port:
            session = LiveSession(Target("127.0.0.1", port), retries_s=())
            events = session.subscribe()
            running = asyncio.ensure_future(session.run())
            while not told:
                told += [event for event in all_of(events) if isinstance(event, Noticed)]
                await asyncio.sleep(0.02)
            once_more.set()
            with pytest.raises(ConnectionFailed, match="the server closed the connection"):
                await running
        return told + [event for event in all_of(events) if isinstance(event, Noticed)]

    (notice,) = asyncio.run(go())
    assert (notice.code, notice.source, notice.severity) == ("unknown_message", "main/0", "warn")
    assert said in notice.text
    assert "newer than this client or sends nonsense" in notice.text


# --- leaving ----------------------------------------------------------------------------------------------


async def joined(session: LiveSession, count: int) -> asyncio.Task[None]:
    events = session.subscribe()
    running = asyncio.ensure_future(session.run())
    linked = 0
    while linked < count:
        linked += sum(isinstance(event, Linked) for event in all_of(events))
        await asyncio.sleep(0.01)
    return running


def test_leaving_closes_main_and_the_server_ends_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Source: spice-server 0.15.1, which is disturbed by channels that go while main is there."""
    monkeypatch.setattr(visit, "LEAVING_S", 3600.0)

    async def go() -> None:
        host = Host({(CURSOR, 0): lambda host: None}, source=True)
        async with host.serving():
            session = session_at(host)
            running = await joined(session, 2)
            session.stop()
            while not host.gone:
                await asyncio.sleep(0.01)
            assert host.gone == [MAIN]
            await asyncio.sleep(0.1)
            assert host.gone == [MAIN]
            assert not running.done()
            host.writers[CURSOR].close()
            await running

    asyncio.run(go())


def test_a_server_that_ends_nothing_is_left_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visit, "LEAVING_S", 0.05)

    async def go() -> None:
        host = Host({(CURSOR, 0): lambda host: None}, source=True)
        async with host.serving():
            session = session_at(host)
            events = session.subscribe()
            running = await joined(session, 2)
            session.stop()
            await running
            while len(host.gone) < 2:
                await asyncio.sleep(0.01)
            (end,) = (event for event in all_of(events) if isinstance(event, Disconnected))
            assert end.wanted

    asyncio.run(go())
