"""A live session against servers of our own: what it records, replayed, is what it saw."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import defaultdict
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest
from live.fake_server import Behaviour, listening, saying

from spicereplay.analysis.timeline import Tables
from spicereplay.client.options import ClientOptions
from spicereplay.display.model import Screen
from spicereplay.errors import AccessDenied, ConnectionFailed, LinkRefused, NotSpice, Unreachable
from spicereplay.live.connection import Connection
from spicereplay.live.dial import Manner, Wire
from spicereplay.live.errand import Errand, Outcome, Run
from spicereplay.live.events import (
    ChannelAbsent,
    Disconnected,
    Event,
    EventsSkipped,
    Flap,
    FrameDecoded,
    ImageDecoded,
    Linked,
    Noticed,
    Screenshot,
    SessionBegan,
    Subscription,
)
from spicereplay.live.script import parse_script
from spicereplay.live.secret import Secret
from spicereplay.live.session import LiveSession
from spicereplay.live.streams import Streams
from spicereplay.live.target import Target
from spicereplay.protocol.enums import ChannelType, ClientDisplay, LinkError, ServerDisplay, Side, VideoCodec
from spicereplay.protocol.events import MessageSeen
from spicereplay.protocol.link import link_refusal, link_reply, link_result
from spicereplay.protocol.ticket import TicketKey
from spicereplay.recording.recorder import Recorder
from spicereplay.replay import replay
from spicereplay.replay.screens import Screens
from spicereplay.serve import Script, script_of
from spicereplay.serve import server as serving

PATIENT = Manner(step_s=10.0)
PASSWORD = "open sesame"
PREFERENCES = {ClientDisplay.PREFERRED_COMPRESSION, ClientDisplay.PREFERRED_VIDEO_CODEC_TYPE}


@contextlib.asynccontextmanager
async def served(script: Script, *, linger_s: float = 0.2, once: bool = True) -> AsyncIterator[int]:
    manner = serving.Manner(speed=None, password=PASSWORD, once=once, linger_s=linger_s, patience_s=0.5)
    server = serving.Server(script, manner, lambda event: None)
    async with server.listening("127.0.0.1", 0) as port:
        yield port


def target(port: int, password: str = PASSWORD) -> Target:
    return Target("127.0.0.1", port, password=Secret(password))


def all_of(subscription: Subscription) -> list[Event]:
    found: list[Event] = []
    while events := subscription.take(0):
        found += events
    return found


Said = dict[tuple[str, Side], list[tuple[int, int, int, int, bool]]]


class Seen:
    """What one session saw."""

    def __init__(self, session: LiveSession) -> None:
        self.session = session
        self.events = session.subscribe()
        self.said: Said = defaultdict(list)
        session.watch_messages.append(self._message)

    def _message(self, connection: Connection, message: MessageSeen) -> None:
        row = (message.type, message.size, message.serial, message.time_ns, message.sub)
        self.said[connection.name, message.side].append(row)

    def screen(self) -> Screen:
        screen = self.session.picture().result()
        assert screen is not None
        return screen


async def watch(port: int, recorder: Recorder | None = None) -> Seen:
    """Watch until the server ends it."""
    seen = Seen(LiveSession(target(port), recorder=recorder, retries_s=(), manner=PATIENT))
    with pytest.raises(ConnectionFailed, match="the server closed the connection"):
        await seen.session.run()
    return seen


@pytest.mark.parametrize("name", ["desktop-jpeg-zlib-wan", "flap-mjpeg", "video-vp8"])
def test_its_recording_replays_as_what_it_saw(fixtures: Path, tmp_path: Path, name: str) -> None:
    path = tmp_path / "x.pcapng"

    async def go() -> Seen:
        with replay(fixtures / "captures" / name / "capture.pcap") as opened:
            async with served(script_of(opened)) as port:
                with Recorder.open(path, started_ns=0) as recorder:
                    return await watch(port, recorder)

    seen = asyncio.run(go())
    assert PASSWORD.encode() not in path.read_bytes()
    with replay(path) as found, Screens(found.sessions[0], workers=1) as screens:
        again: Said = defaultdict(list)
        for log in found.sessions[0].channels:
            for index in (log.server, log.client):
                columns = (index.type, index.size, index.serial, index.time_ns, index.sub)
                rows = zip(*(column.tolist() for column in columns), strict=True)
                again[log.name, index.side] += list(rows)
        assert {key: rows for key, rows in again.items() if rows} == dict(seen.said)
        screens.play()
        shown, replayed = seen.screen(), screens.model.screen(0)
        assert replayed is not None
        assert np.array_equal(replayed.pixels, shown.pixels)
        assert np.array_equal(replayed.unknown, shown.unknown)
        # The table of flaps holds as many rows as the session told flaps.
        told = [event for event in all_of(seen.events) if isinstance(event, Flap)]
        flaps = Tables(found)["flaps"]
        assert len(flaps) == len(told)


def test_what_is_told(fixtures_script: Script) -> None:
    async def go() -> Seen:
        async with served(fixtures_script) as port:
            return await watch(port)

    events = all_of(asyncio.run(go()).events)
    linked = [(event.channel, event.channel_id) for event in events if isinstance(event, Linked)]
    assert linked[0] == ("main", 0)
    assert {("display", 0), ("cursor", 0), ("inputs", 0)} <= set(linked)
    assert sum(isinstance(event, SessionBegan) for event in events) == 1
    absent = {event.channel: event.reason for event in events if isinstance(event, ChannelAbsent)}
    assert all(absent.values())
    (last,) = (event for event in events if isinstance(event, Disconnected))
    assert last.retry_s is None
    for event in events:
        assert json.loads(json.dumps(event.facts()))["event"] == event.kind
    assert PASSWORD not in "".join(json.dumps(event.facts()) for event in events)
    # What is decoded is told by a thread of its own, later.
    times = [event.time_ns for event in events if not isinstance(event, FrameDecoded | ImageDecoded)]
    assert times == sorted(times)


def test_who_watches_the_bytes_never_sees_the_ticket(fixtures_script: Script) -> None:
    class Bytes:
        def __init__(self) -> None:
            self.client = b""

        def data(self, side: Side, data: bytes, time_ns: int) -> None:
            self.client += data if side is Side.CLIENT else b""

        def close(self, time_ns: int, by: Side) -> None:
            pass

    watchers: list[Bytes] = []

    def new(channel: ChannelType, channel_id: int, wire: Wire, time_ns: int) -> Bytes:
        watchers.append(Bytes())
        return watchers[-1]

    async def go() -> None:
        async with served(fixtures_script) as port:
            session = LiveSession(target(port), retries_s=(), manner=PATIENT)
            session.watch_bytes.append(new)
            with pytest.raises(ConnectionFailed):
                await session.run()

    asyncio.run(go())
    assert len(watchers) >= 4
    assert all(bytes(128) in watcher.client for watcher in watchers)


def test_a_lost_session_is_tried_again_and_both_are_in_one_recording(
    fixtures_script: Script,
    tmp_path: Path,
) -> None:
    path = tmp_path / "x.pcapng"

    async def go() -> list[Event]:
        async with served(fixtures_script, once=False, linger_s=0.1) as port:
            with Recorder.open(path, started_ns=0) as recorder:
                session = LiveSession(target(port), recorder=recorder, retries_s=(0.05,), manner=PATIENT)
                events = session.subscribe()
                with pytest.raises(ConnectionFailed):
                    await session.run()
                return all_of(events)

    events = asyncio.run(go())
    assert sum(isinstance(event, SessionBegan) for event in events) == 2
    assert [event.retry_s for event in events if isinstance(event, Disconnected)] == [0.05, None]
    with replay(path) as found:
        assert len(found.sessions) == 2


def test_a_script_presses_keys_shoots_and_quits(fixtures_script: Script, tmp_path: Path) -> None:
    first, last = tmp_path / "a.png", tmp_path / "b.png"
    actions = ('type "A"', "key f1", "motion 1 1", "move 1 1", "click", "resize 640x480")
    lines = "\n".join((*(f"+0 {action}" for action in actions), f"+0.3 screenshot {first}", "+0 quit"))

    async def go() -> tuple[Outcome | None, Seen]:
        async with served(fixtures_script, linger_s=30.0) as port:
            seen = Seen(LiveSession(target(port), retries_s=(), manner=PATIENT))
            run = Run(seen.session, Errand(script=parse_script(lines), screenshot=last))
            return await run.carry_out(), seen

    outcome, seen = asyncio.run(go())
    assert outcome is Outcome.QUIT
    assert first.read_bytes().startswith(b"\x89PNG")
    assert last.read_bytes().startswith(b"\x89PNG")
    pressed = [row[0] for row in seen.said["inputs/0", Side.CLIENT]]
    assert len(pressed) >= 5
    notes = [
        event.text for event in all_of(seen.events) if isinstance(event, Noticed) and event.source == "script"
    ]
    assert any("mouse mode" in text for text in notes)
    assert any("agent" in text for text in notes)


class BegunSession(LiveSession):
    """A session that has begun at once, and never ends by itself."""

    async def run(self) -> None:
        self.tell(SessionBegan(time_ns=self.clock.now_ns(), session_id=1))
        await self._stopping.wait()


def test_it_ends_when_the_time_is_over() -> None:
    async def go(session: LiveSession) -> Outcome | None:
        return await Run(session, Errand(duration_s=0.05)).carry_out()

    async def begun() -> Outcome | None:
        return await go(BegunSession(target(1)))

    async def never_begun() -> Outcome | None:
        async with listening(saying(hang=True)) as port:
            return await go(LiveSession(target(port), manner=PATIENT))

    assert asyncio.run(begun()) is Outcome.DURATION
    with pytest.raises(Unreachable, match="no session within"):
        asyncio.run(never_begun())


Told = TypeVar("Told", bound=Event)


def shot_until_told(script: Script, folder: Path, kind: type[Told], count: int) -> list[Told]:
    """Take pictures until so many events of a kind were told of them; return these."""

    async def go() -> list[Told]:
        told: list[Told] = []
        async with served(script, linger_s=30.0) as port:
            session = LiveSession(target(port), retries_s=(), manner=PATIENT)
            events = session.subscribe()
            run = Run(session, Errand(every_s=0.1, folder=folder))
            running = asyncio.ensure_future(run.carry_out())
            while len(told) < count and not running.done():
                told += [event for event in all_of(events) if isinstance(event, kind) and of_pictures(event)]
                await asyncio.sleep(0.02)
            run.end(Outcome.QUIT)
            assert await running is Outcome.QUIT
        return told

    return asyncio.run(go())


def of_pictures(event: Event) -> bool:
    return not isinstance(event, Noticed) or event.source == "screenshot"


def test_pictures_are_taken_again_and_again(fixtures_script: Script, tmp_path: Path) -> None:
    told = shot_until_told(fixtures_script, tmp_path, Screenshot, 2)
    paths = [str(tmp_path / f"screen-00000{number}.png") for number in (1, 2)]
    assert [event.path for event in told[:2]] == paths
    assert all(Path(path).read_bytes().startswith(b"\x89PNG") for path in paths)


def test_a_picture_that_cannot_be_written_is_told_and_ends_nothing(
    fixtures_script: Script, tmp_path: Path
) -> None:
    told = shot_until_told(fixtures_script, tmp_path / "gone", Noticed, 2)
    assert told[0].text.startswith(f"no picture: {tmp_path / 'gone'}")


# --- the link stage goes wrong ----------------------------------------------------------------------------

KEY = TicketKey.generate()
REPLY = link_reply(KEY.public_key, common_caps=(0b1011,))


def after_ticket(*words: bytes) -> Behaviour:
    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(65_536)
        writer.write(REPLY)
        await reader.readexactly(132)
        for word in words:
            writer.write(word)
        await writer.drain()

    return behave


@pytest.mark.parametrize(
    ("behaviour", "error", "said"),
    [
        (saying(), NotSpice, "without a word"),
        (saying(REPLY[:50]), NotSpice, "in the middle of its link reply"),
        (saying(REPLY[:50], hang=True), NotSpice, "does not complete"),
        (saying(bytes(range(256))), NotSpice, "no SPICE server"),
        (saying(b"\x15\x03\x01\x00\x02\x02\x16" * 3), NotSpice, "looks like TLS"),
        (saying(b"HTTP/1.1 400 Bad Request\r\n\r\n"), NotSpice, "looks like HTTP"),
        (saying(b"RFB 003.008\n____________"), NotSpice, "that is VNC"),
        (saying(link_reply(bytes(162), common_caps=(0b1011,)), hang=True), NotSpice, "public key"),
        (saying(link_reply(bytes(162), common_caps=(0b1101,)), hang=True), AccessDenied, "SASL"),
        (saying(link_refusal(LinkError.NEED_SECURED)), LinkRefused, "TLS port"),
        (saying(link_refusal(LinkError.VERSION_MISMATCH)), LinkRefused, "another version"),
        (saying(link_refusal(LinkError.ERROR)), LinkRefused, "ERROR (1)"),
        (after_ticket(), NotSpice, "instead of answering the password"),
        (after_ticket(link_result(LinkError.PERMISSION_DENIED)), AccessDenied, "wrong or has expired"),
    ],
)
def test_a_link_stage_that_fails_is_one_line_and_is_recorded(
    tmp_path: Path, behaviour: Behaviour, error: type[ConnectionFailed], said: str
) -> None:
    path = tmp_path / "x.pcapng"

    async def go() -> None:
        async with listening(behaviour) as port:
            with Recorder.open(path, started_ns=0) as recorder:
                session = LiveSession(target(port), recorder=recorder, manner=Manner(step_s=0.5))
                with pytest.raises(error) as found:
                    await session.run()
        assert said in str(found.value)
        assert "\n" not in str(found.value)
        assert PASSWORD not in str(found.value)

    asyncio.run(go())
    with replay(path, require_spice=False):
        pass


def test_a_wrong_password(fixtures_script: Script) -> None:
    async def go() -> None:
        async with served(fixtures_script) as port:
            for wrong in (Target("127.0.0.1", port), target(port, "guess")):
                with pytest.raises(AccessDenied, match="permission denied"):
                    await LiveSession(wrong, manner=PATIENT).run()

    asyncio.run(go())


def test_a_server_that_dies_is_tried_again_until_nobody_is_there(fixtures_script: Script) -> None:
    async def go() -> list[Event]:
        async with served(fixtures_script, linger_s=30.0) as port:
            session = LiveSession(target(port), retries_s=(0.05, 0.05), manner=PATIENT)
            events = session.subscribe()
            running = asyncio.ensure_future(session.run())
            while session.inputs is None:
                await asyncio.sleep(0.02)
        with pytest.raises(ConnectionFailed, match="refused"):
            await running
        return all_of(events)

    ends = [event for event in asyncio.run(go()) if isinstance(event, Disconnected)]
    assert [event.retry_s for event in ends] == [0.05, 0.05, None]


# --- parts ------------------------------------------------------------------------------------------------


def test_a_slow_listener_loses_the_oldest_and_is_told() -> None:
    slow = Subscription(most=3)
    slow.put(SessionBegan(time_ns=number, session_id=number) for number in range(10))
    events = slow.take(0)
    assert events is not None
    assert events[0] == EventsSkipped(time_ns=7, count=7)
    assert [event.time_ns for event in events[1:]] == [7, 8, 9]
    assert slow.take(0) == []
    slow.close()
    assert slow.take(None) is None


def test_streams_that_never_began_end_nothing() -> None:
    streams = Streams()
    body = (5).to_bytes(4, "little")
    message = MessageSeen(1, Side.SERVER, ServerDisplay.STREAM_DESTROY, 4, 1, False, False, body)
    assert streams.message(0, message) == []
    assert streams.flaps() == []


@pytest.mark.parametrize("codec", [VideoCodec.VP8, VideoCodec.MJPEG])
def test_frames_are_told_with_what_decoded_them(fixtures: Path, codec: VideoCodec) -> None:
    names: dict[VideoCodec, str] = {VideoCodec.VP8: "video-vp8", VideoCodec.MJPEG: "flap-mjpeg"}

    async def go() -> Seen:
        with replay(fixtures / "captures" / names[codec] / "capture.pcap") as opened:
            async with served(script_of(opened)) as port:
                return await watch(port)

    frames = [event for event in all_of(asyncio.run(go()).events) if isinstance(event, FrameDecoded)]
    assert {frame.codec for frame in frames} == {codec.label}
    assert all(frame.ok and frame.backend and frame.decode_ns > 0 for frame in frames)


def test_the_options_say_what_is_asked_for(fixtures_script: Script) -> None:
    async def go(options: ClientOptions) -> list[int]:
        async with served(fixtures_script) as port:
            seen = Seen(LiveSession(target(port), options, retries_s=(), manner=PATIENT))
            with pytest.raises(ConnectionFailed):
                await seen.session.run()
            # Sent right behind INIT, preferences crash a server that shows a video.
            shown = min(row[3] for row in seen.said["display/0", Side.SERVER] if row[0] > 100)
            rows = seen.said["display/0", Side.CLIENT]
            assert rows[0][0] == ClientDisplay.INIT
            assert all(row[3] >= shown for row in rows if row[0] in PREFERENCES)
            return [row[0] for row in rows]

    asked = asyncio.run(go(ClientOptions()))
    silent = asyncio.run(go(ClientOptions(preferred_codecs=(), preferred_compression=None)))
    assert set(asked) >= PREFERENCES
    assert not PREFERENCES & set(silent)
