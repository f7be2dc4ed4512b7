"""Whole replays over loopback, seen by a client that keeps every byte."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from serve.fake_client import FakeChannel, FakeClient, Refused, open_channel
from support.pcapfile import Frame, tcp_frame, write_pcap

from spicereplay.errors import UsageError
from spicereplay.protocol.enums import (
    ChannelType,
    ClientInputs,
    ClientMain,
    LinkError,
    ServerCommon,
    ServerDisplay,
    ServerInputs,
    ServerMain,
)
from spicereplay.replay import Replay, replay
from spicereplay.serve import Script, script_of
from spicereplay.serve.server import Event, Manner, Server

MAIN, DISPLAY, INPUTS = ChannelType.MAIN, ChannelType.DISPLAY, ChannelType.INPUTS
FAST = Manner(speed=None, patience_s=0.2)
OURS = (ServerCommon.SET_ACK, ServerCommon.PING)
"""Messages with fields of our own."""


@dataclass
class Hall:
    """A server in this process, and what it told."""

    port: int
    server: Server
    events: list[Event] = field(default_factory=list)

    async def event(self, kind: str, patience_s: float = 20.0) -> Event:
        async with asyncio.timeout(patience_s):
            while True:
                for event in self.events:
                    if event.kind == kind:
                        return event
                await asyncio.sleep(0.01)

    @asynccontextmanager
    async def client(self, **options: object) -> AsyncIterator[FakeClient]:
        client = FakeClient(self.port, **options)  # type: ignore[arg-type]
        try:
            await client.start()
            yield client
        finally:
            client.close()


def run(script: Script, manner: Manner, story: Callable[[Hall], Awaitable[None]]) -> list[Event]:
    """Serve a script while a story happens."""
    events: list[Event] = []

    async def all_of_it() -> None:
        server = Server(script, manner, events.append)
        async with server.listening("127.0.0.1", 0) as port:
            hall = Hall(port, server, events)
            over = asyncio.ensure_future(server.over())
            await story(hall)
            assert not over.done() or over.exception() is None
            over.cancel()

    asyncio.run(all_of_it())
    return events


@pytest.fixture
def recording(fixtures: Path, request: pytest.FixtureRequest) -> Iterator[Replay]:
    with replay(fixtures / "captures" / request.param / "capture.pcap") as opened:
        yield opened


def recorded(opened: Replay, channel: ChannelType, channel_id: int = 0) -> list[tuple[int, bytes]]:
    log = next(c for c in opened.sessions[-1].of(channel) if c.channel_id == channel_id)
    index = log.server
    return [(int(index.type[row]), index.body(row)) for row in range(len(index)) if not index.sub[row]]


def received(channel: FakeChannel) -> list[tuple[int, bytes]]:
    return [(m.type, m.body) for m in channel.received]


@pytest.mark.parametrize("mini", [True, False], ids=["mini", "full"])
@pytest.mark.parametrize("selection", [True, False], ids=["selection", "ticket-at-once"])
@pytest.mark.parametrize("recording", ["qemu-boot-lz4"], indirect=True)
def test_the_bodies_are_the_recorded_ones(recording: Replay, mini: bool, selection: bool) -> None:
    async def story(hall: Hall) -> None:
        async with hall.client(mini=mini, selection=selection) as client:
            assert client.main.mini is mini
            await client.open_offered()
            await client.listen()
            for kind in (DISPLAY, ChannelType.CURSOR, ChannelType.INPUTS):
                there, here = recorded(recording, kind), received(client.channels[kind, 0])
                assert [k for k, _ in here] == [k for k, _ in there]
                assert [m for m in here if m[0] not in OURS] == [m for m in there if m[0] not in OURS]
            for channel in client.channels.values():
                assert [m.serial for m in channel.received] == list(range(1, len(channel.received) + 1))
            said, told = recorded(recording, MAIN), received(client.main)
            clock = told.pop([k for k, _ in told].index(ServerMain.MULTI_MEDIA_TIME))
            assert clock[1] == struct.pack("<I", hall.server.script.clock_ms)
            assert [k for k, _ in told] == [k for k, _ in said if k != ServerMain.AGENT_TOKEN]
            assert told[0][1][4:] == said[0][1][4:]
            assert told[0][1][:4] == struct.pack("<I", client.session_id)

    run(script_of(recording), FAST, story)


@pytest.mark.parametrize("recording", ["flap-mjpeg"], indirect=True)
def test_our_own_reader_finds_the_recorded_session_in_a_replay(recording: Replay, tmp_path: Path) -> None:
    """The replay, put into a capture file again, holds the messages of the recording."""
    frames: list[Frame] = []

    async def story(hall: Hall) -> None:
        async with hall.client() as client:
            await client.open_offered()
            await client.listen(0.8)  # the last frame of each stream is waited for
            for n, channel in enumerate(client.channels.values()):
                frames.extend(conversation(40_000 + n, bytes(channel.sent), bytes(channel.raw)))

    # At the recorded speed bodies stay as they are; no test has the time, so stamps are left out of the comparison.
    run(script_of(recording), FAST, story)
    with replay(write_pcap(tmp_path / "again.pcap", frames)) as again:
        assert len(again.sessions) == 1
        assert again.sessions[0].handshake
        assert not len(again.defects)
        for kind in (DISPLAY, ChannelType.CURSOR, INPUTS):
            there, here = recorded(recording, kind), recorded(again, kind)
            assert [(k, len(b)) for k, b in here] == [(k, len(b)) for k, b in there]
            stamped = (*OURS, ServerDisplay.STREAM_DATA) if kind is DISPLAY else OURS
            assert [m for m in here if m[0] not in stamped] == [m for m in there if m[0] not in stamped]


def conversation(port: int, client: bytes, server: bytes, piece: int = 60_000) -> list[Frame]:
    """One TCP connection as packets, one side after the other: times do not matter here."""
    return [
        tcp_frame(
            data[at : at + piece],
            client=("10.0.0.1", port),
            from_server=from_server,
            sequence=1 + at,
            time_ns=port * 1_000_000,
        )
        for from_server, data in ((False, client), (True, server))
        for at in range(0, len(data), piece)
    ]


# --- flow control -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("recording", ["ticket"], indirect=True)
def test_a_client_that_acknowledges_nothing_gets_two_windows_and_no_more(recording: Replay) -> None:
    async def story(hall: Hall) -> None:
        async with hall.client() as client:
            display = await client.open(DISPLAY)
            display.acknowledges = False
            await client.open(INPUTS)
            await client.open(ChannelType.CURSOR)
            await client.listen()
            set_ack = display.received[0]
            assert set_ack.type == ServerCommon.SET_ACK
            window = struct.unpack("<II", set_ack.body)[1]
            assert len(display.received) == 1 + 2 * window
            # An ACK before its ACK_SYNC counts for nothing; afterwards each lets one window through.
            display.send(2)
            await display.silence()
            assert len(display.received) == 1 + 2 * window
            display.send(1, set_ack.body[:4])
            display.send(2)
            await display.silence()
            assert len(display.received) == 1 + 3 * window

    run(script_of(recording), FAST, story)


@pytest.mark.parametrize("recording", ["xspice-agent"], indirect=True)
def test_agent_data_waits_for_tokens_and_the_client_gets_its_own_back(recording: Replay) -> None:
    async def story(hall: Hall) -> None:
        async with hall.client() as client:
            main = client.main
            await client.listen()
            data = [body for kind, body in recorded(recording, MAIN) if kind == ServerMain.AGENT_DATA]
            assert data
            assert ServerMain.AGENT_DATA not in [m.type for m in main.received]
            main.send(ClientMain.AGENT_START, struct.pack("<I", 1))
            await main.silence()
            assert [m.body for m in main.received if m.type == ServerMain.AGENT_DATA] == data[:1]
            main.send(ClientMain.AGENT_TOKEN, struct.pack("<I", 100))
            await main.silence()
            assert [m.body for m in main.received if m.type == ServerMain.AGENT_DATA] == data
            for _ in range(11):
                main.send(ClientMain.AGENT_DATA, bytes(24))
            await main.silence()
            tokens = [m.body for m in main.received if m.type == ServerMain.AGENT_TOKEN]
            assert tokens == [struct.pack("<I", 5)] * 2

    run(script_of(recording), FAST, story)


@pytest.mark.parametrize("recording", ["ticket"], indirect=True)
def test_inputs_are_taken_and_dropped(recording: Replay) -> None:
    async def story(hall: Hall) -> None:
        async with hall.client() as client:
            inputs = await client.open(INPUTS)
            await client.listen(0.4)
            before = len(inputs.received)
            for _ in range(9):
                inputs.send(ClientInputs.MOUSE_MOTION, struct.pack("<iiH", 1, 1, 0))
            inputs.send(ClientInputs.KEY_DOWN, struct.pack("<I", 0x1E))
            inputs.send(ClientInputs.KEY_MODIFIERS, struct.pack("<H", 5))
            inputs.send(ClientInputs.KEY_MODIFIERS, struct.pack("<H", 5))
            await inputs.silence()
            assert received(inputs)[before:] == [
                (ServerInputs.MOUSE_MOTION_ACK, b""),
                (ServerInputs.MOUSE_MOTION_ACK, b""),
                (ServerInputs.KEY_MODIFIERS, struct.pack("<H", 5)),
            ]

    run(script_of(recording), FAST, story)


# --- coming and going -------------------------------------------------------------------------------------


@pytest.mark.parametrize("recording", ["qemu-boot-lz4"], indirect=True)
def test_a_channel_that_comes_late_gets_what_it_missed(recording: Replay) -> None:
    async def story(hall: Hall) -> None:
        async with hall.client() as client:
            await client.open(DISPLAY)
            await client.listen()
            await hall.event("ended")
            cursor = await client.open(ChannelType.CURSOR)
            await cursor.silence()
            assert [m.type for m in cursor.received] == [
                k for k, _ in recorded(recording, ChannelType.CURSOR)
            ]

    events = run(script_of(recording), FAST, story)
    assert any("starts without inputs/0, cursor/0, playback/0: not opened" in event.text for event in events)


@pytest.mark.parametrize("recording", ["reconnect"], indirect=True)
def test_every_client_gets_a_replay_of_its_own(recording: Replay) -> None:
    async def story(hall: Hall) -> None:
        async with hall.client() as one, hall.client(mini=False) as two:
            assert one.session_id != two.session_id
            await asyncio.gather(one.open_offered(), two.open_offered())
            await asyncio.gather(one.listen(), two.listen())
            assert [m.type for m in one.display.received] == [m.type for m in two.display.received]
            assert len(one.display.received) == len(recorded(recording, DISPLAY))
        async with hall.client() as again:
            await again.open_offered()
            await again.listen()
            assert len(again.display.received) == len(recorded(recording, DISPLAY))

    events = run(script_of(recording), FAST, story)
    left = [event for event in events if event.kind == "left"]
    assert len(left) == 3
    assert all(event.facts["whole"] for event in left)
    rows = {row["channel"]: row for row in left[-1].facts["channels"]}
    assert rows["display/0"]["messages"] == len(recorded(recording, DISPLAY))
    assert rows["display/0"]["unsent"] == 0
    assert rows["main/0"]["pongs"]
    assert rows["main/0"]["round_trip_ms"] > 0


@pytest.mark.parametrize("recording", ["reconnect"], indirect=True)
def test_a_display_that_comes_back_begins_anew(recording: Replay) -> None:
    async def story(hall: Hall) -> None:
        async with hall.client() as client:
            await client.open_offered()
            await client.listen()
            first = received(client.display)
            client.display.close()
            await asyncio.sleep(0.1)
            await client.open(DISPLAY)
            await client.display.silence()
            assert [kind for kind, _ in received(client.display)] == [kind for kind, _ in first]

    run(script_of(recording), FAST, story)


@pytest.mark.parametrize("recording", ["reconnect"], indirect=True)
def test_the_client_is_let_go_after_the_time_it_may_linger(recording: Replay) -> None:
    async def story(hall: Hall) -> None:
        async with hall.client() as client:
            await client.open_offered()
            async with asyncio.timeout(10):
                with pytest.raises(asyncio.IncompleteReadError):
                    await client.main.until(-1)
            await hall.event("left")

    events = run(script_of(recording), Manner(speed=None, patience_s=0.2, linger_s=0.1), story)
    assert [event.kind for event in events if event.kind in ("ended", "left")] == ["ended", "left"]


@pytest.mark.parametrize("recording", ["reconnect"], indirect=True)
def test_once_means_one_client(recording: Replay) -> None:
    async def story(hall: Hall) -> None:
        async with hall.client() as client:
            await client.open_offered()
        async with asyncio.timeout(10):
            await hall.server.over()

    run(script_of(recording), Manner(speed=None, once=True), story)


@pytest.mark.parametrize("recording", ["reconnect"], indirect=True)
def test_a_replay_at_a_speed_takes_its_time(recording: Replay) -> None:
    async def story(hall: Hall) -> None:
        async with hall.client() as client:
            await client.open_offered()
            listening = asyncio.ensure_future(client.listen(1.0))
            await hall.event("ended")
            await listening

    script = script_of(recording)
    events = run(script, Manner(speed=10.0, patience_s=0.2), story)
    ended = next(event for event in events if event.kind == "ended")
    assert ended.facts["took_s"] >= script.duration_s / 10


# --- who is let in ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("recording", ["reconnect"], indirect=True)
def test_only_the_right_password_is_let_in_where_there_is_one(recording: Replay) -> None:
    async def story(hall: Hall) -> None:
        with pytest.raises(Refused) as refused:
            await open_channel(hall.port, MAIN, password="wrong")
        assert refused.value.link.result == LinkError.PERMISSION_DENIED
        async with hall.client(password="right") as client:
            assert client.offered

    events = run(script_of(recording), Manner(speed=None, password="right"), story)
    assert any(event.kind == "refused" and "password is wrong" in event.text for event in events)


@pytest.mark.parametrize("recording", ["reconnect"], indirect=True)
def test_any_password_is_let_in_where_there_is_none(recording: Replay) -> None:
    async def story(hall: Hall) -> None:
        async with hall.client(password="whatever") as client:
            assert client.offered

    run(script_of(recording), FAST, story)


@pytest.mark.parametrize("recording", ["reconnect"], indirect=True)
def test_channels_are_refused_for_what_is_wrong_with_them(recording: Replay) -> None:
    async def story(hall: Hall) -> None:
        with pytest.raises(Refused) as refused:
            await open_channel(hall.port, DISPLAY, session_id=12345)
        assert refused.value.link.result == LinkError.BAD_CONNECTION_ID
        async with hall.client() as client:
            with pytest.raises(Refused) as refused:
                await client.open(ChannelType.SMARTCARD)
            assert refused.value.link.result == LinkError.CHANNEL_NOT_AVAILABLE
            await client.open(DISPLAY)
            with pytest.raises(Refused) as refused:
                await client.open(DISPLAY)
            assert refused.value.link.result == LinkError.ERROR

    run(script_of(recording), FAST, story)


@pytest.mark.parametrize("recording", ["reconnect"], indirect=True)
def test_a_port_in_use_is_the_callers_mistake(recording: Replay) -> None:
    script = script_of(recording)

    async def story(hall: Hall) -> None:
        with pytest.raises(UsageError, match=rf"cannot listen on 127\.0\.0\.1:{hall.port}"):
            async with Server(script, FAST, hall.events.append).listening("127.0.0.1", hall.port):
                pass

    run(script, FAST, story)


@pytest.mark.parametrize("recording", ["video-vp8"], indirect=True)
def test_a_client_without_a_codec_is_played_the_rest(recording: Replay) -> None:
    async def story(hall: Hall) -> None:
        async with hall.client(without=("CODEC_VP8",)) as client:
            await client.open_offered()
            await client.listen()
            kinds = [m.type for m in client.display.received]
            assert ServerDisplay.STREAM_DATA not in kinds
            assert ServerDisplay.STREAM_CREATE not in kinds
            assert ServerDisplay.DRAW_COPY in kinds

    events = run(script_of(recording), FAST, story)
    assert any("of VP8 video for want of CODEC_VP8" in event.text for event in events)
