"""Servers that misbehave at every stage: what the user is told, in one line, and what is left of the recording."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from live.fake_server import Behaviour, certificate, listening, saying

from spicereplay.errors import ConnectionFailed
from spicereplay.live.dial import Manner
from spicereplay.live.session import LiveSession
from spicereplay.live.target import Target, Transport
from spicereplay.protocol.enums import LinkError, MouseMode, ServerMain
from spicereplay.protocol.messages import main
from spicereplay.protocol.ticket import TicketKey
from spicereplay.protocol.wire import build
from spicereplay.recording.recorder import Recorder
from spicereplay.replay import replay
from spicereplay.serve.door import Door

KEY = TicketKey.generate()
QUICK = Manner(step_s=0.5)
End = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def closes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await writer.drain()


async def hangs(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await writer.drain()
    await reader.read(-1)


async def resets(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await writer.drain()
    await asyncio.sleep(0.1)
    made = writer.get_extra_info("socket")
    made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def talks_nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"\xff" * 4000)
    await hangs(reader, writer)


async def stops_in_a_message(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(struct.pack("<HI", ServerMain.CHANNELS_LIST, 500) + bytes(20))
    await writer.drain()


def after(stage: str, then: End) -> Behaviour:
    """Return a server that is one of SPICE up to a stage, and then does something else."""

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        door = Door(KEY, lambda channel, channel_id: (), lambda link, password: (LinkError.OK, ""))
        if stage != "nothing":
            reply = door.receive(await reader.read(65_536))
            writer.write(reply[:30] if stage == "half a reply" else reply)
        if stage in ("the ticket", "the link", "INIT"):
            result = door.receive(await reader.read(65_536))
            if stage != "the ticket":
                writer.write(result)
        if stage == "INIT":
            mode = MouseMode.CLIENT
            body = build(main.Init(7, 1, mode, mode, 0, 0, 1000, 0))
            writer.write(struct.pack("<HI", ServerMain.INIT, len(body)) + body)
        await then(reader, writer)

    return behave


def greets(words: bytes) -> Behaviour:
    """Return a server that speaks first, as those of other protocols do, and then waits."""

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(words)
        await hangs(reader, writer)

    return behave


TLS_HELLO = b"\x16\x03\x03\x00\x7a\x02\x00\x00\x76\x03\x03" + bytes(40)


async def failure(session: LiveSession) -> str:
    with pytest.raises(ConnectionFailed) as error:
        async with asyncio.timeout(20):
            await session.run()
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    ("server", "said"),
    [
        (after("nothing", closes), "without a word; if that is its TLS port, say spice+tls://"),
        (after("nothing", resets), "reset by peer; if that is its TLS port, say spice+tls://"),
        (
            after("nothing", hangs),
            "does not complete the link stage within 0.5 s (--timeout gives it more); is that",
        ),
        (after("half a reply", closes), "in the middle of its link reply (30 of 194 bytes)"),
        (after("half a reply", resets), "broke in the link stage: Connection reset by peer"),
        (
            after("half a reply", hangs),
            "does not complete the link stage within 0.5 s (--timeout gives it more)",
        ),
        (after("the reply", closes), "instead of answering the password"),
        (after("the reply", resets), "broke in the link stage: Connection reset by peer"),
        (after("the ticket", closes), "instead of answering the password"),
        (after("the ticket", hangs), "does not complete the link stage"),
        (after("the link", closes), "the server closed the connection"),
        (after("the link", resets), "the connection broke: Connection reset by peer"),
        (after("the link", hangs), "does not begin the session within 0.5 s (--timeout gives it more)"),
        (after("the link", talks_nonsense), "the server sent bytes that are no SPICE message"),
        (after("INIT", closes), "the server closed the connection"),
        (after("INIT", resets), "the connection broke: Connection reset by peer"),
        (after("INIT", talks_nonsense), "the server sent bytes that are no SPICE message"),
        (after("INIT", stops_in_a_message), "the server closed the connection"),
        (saying(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "that looks like HTTP (ws://, or --proxy)"),
        (saying(b"\x15\x03\x01\x00\x02\x02\x46"), "that looks like TLS (spice+tls://, or tls-port)"),
        (saying(bytes(4000)), "that is no SPICE server: it begins with 00 00 00 00"),
        (greets(b"RFB 003.008\n"), "that is VNC"),
        (greets(b"SSH-2.0-OpenSSH_9.2\r\n"), "that is SSH"),
        (greets(b"220 mail.example ESMTP\r\n"), "that is no SPICE server: it begins with 32 32 30 20"),
    ],
)
def test_what_a_server_does_wrong_is_one_line_and_what_came_before_is_recorded(
    server: Behaviour, said: str, tmp_path: Path
) -> None:
    async def go() -> str:
        async with listening(server) as port:
            with Recorder.open(tmp_path / "x.pcapng", started_ns=0) as recorder:
                target = Target("127.0.0.1", port)
                words = await failure(LiveSession(target, recorder=recorder, retries_s=(), manner=QUICK))
            assert words.startswith(f"127.0.0.1:{port}")
            return words

    words = asyncio.run(go())
    assert said in words
    assert words.count("TLS") == said.count("TLS")
    with replay(tmp_path / "x.pcapng") as found:
        assert len(found.sessions) == 1


@pytest.mark.parametrize(
    ("server", "said"),
    [
        (greets(b"SSH-2.0-OpenSSH_9.2\r\n"), "TLS failed (wrong version number); is that the TLS port?"),
        (saying(), "the server ended TLS (it closed the connection); is that the TLS port?"),
        (saying(TLS_HELLO), "the server ended TLS (it closed the connection); is that the TLS port?"),
        (after("nothing", resets), "the server ended TLS (Connection reset by peer); is that the TLS port?"),
        (saying(TLS_HELLO, hang=True), "TLS is not answered within 0.5 s; is that the TLS port?"),
    ],
)
def test_tls_that_ends_in_the_middle(server: Behaviour, said: str) -> None:
    async def go() -> str:
        async with listening(server) as port:
            target = Target("127.0.0.1", None, port)
            return await failure(LiveSession(target, retries_s=(), manner=QUICK))

    assert said in asyncio.run(go())


def test_within_tls_nobody_is_told_to_try_tls(tmp_path: Path) -> None:
    made = certificate(tmp_path / "c")

    async def go() -> str:
        async with listening(after("nothing", closes), made.context()) as port:
            target = Target("127.0.0.1", None, port, ca=made.chain.read_bytes())
            return await failure(LiveSession(target, retries_s=(), manner=QUICK))

    assert asyncio.run(go()).endswith("closed the connection without a word")


@pytest.mark.parametrize(
    ("target", "said"),
    [
        (Target("a" * 64, 5900), "no host can have that name"),
        (Target("a..b", 5900), "no host can have that name"),
        (Target("nosuch.invalid", 5900), "nosuch.invalid:5900: "),
        (Target(port=0, transport=Transport.UNIX, path="/" + "x" * 200), "path too long"),
        (Target("127.0.0.1", 1), "connection refused; is the server running, and is that its port?"),
    ],
)
def test_nobody_is_there(target: Target, said: str) -> None:
    assert said in asyncio.run(failure(LiveSession(target, retries_s=(), manner=QUICK)))
