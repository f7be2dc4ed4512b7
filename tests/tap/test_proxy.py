"""A tap between sockets on loopback: everything passes, whatever becomes of the recording."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import ssl
import struct
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from support.tls_peers import TLS12, TLS13, Peers

import spicereplay as sr
from spicereplay.bytestream import ByteStream
from spicereplay.capture import read_connections
from spicereplay.capture.connection import Endpoint
from spicereplay.errors import UsageError
from spicereplay.protocol import link
from spicereplay.protocol.enums import ChannelType, LinkError
from spicereplay.recording.recorder import Recorder
from spicereplay.recording.rolling import Rotation
from spicereplay.recording.storage import BlockFile
from spicereplay.tap.proxy import Event, Route, Tap
from spicereplay.tap.trust import calling_context, listening_context
from spicereplay.transport.tls.subject import parse_subject

HOST = "127.0.0.1"
PATIENCE_S = 20
RESET = (socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
"""Linger for no time: what is closed is reset."""
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]


def clock() -> int:
    return 1_700_000_000_000_000_000 + time.monotonic_ns()


@contextlib.asynccontextmanager
async def serving(serve: Serve, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A server on a port of its own."""
    failures: list[BaseException] = []

    async def guarded(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        except OSError as error:
            failures.append(error)
        finally:
            writer.close()

    server = await asyncio.start_server(guarded, HOST, 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


class Told(list[Event]):
    """Events, and waiting for them."""

    async def wait_for(self, kind: str) -> Event:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                for event in self:
                    if event.kind == kind:
                        self.remove(event)
                        return event
                await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def tapped(
    path: Path,
    port: int,
    *,
    accept: ssl.SSLContext | None = None,
    call: ssl.SSLContext | None = None,
    subject: str | None = None,
    most: int = 1000,
    rotation: Rotation | None = None,
) -> AsyncIterator[tuple[int, Told]]:
    """A tap before a server, recording to `path`."""
    told = Told()
    wanted = None if subject is None else parse_subject(subject)
    route = Route(Endpoint(HOST, 0), Endpoint(HOST, port), accept, call, wanted)
    with Recorder.open(path, started_ns=clock(), rotation=rotation) as recorder:
        tap = Tap((route,), recorder, told.append, clock=clock, most_connections=most)
        async with tap.listening() as places:
            yield places[0].port, told


def run(story: Coroutine[Any, Any, None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(2 * PATIENCE_S):
            await story

    asyncio.run(bounded())


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()


def whole(stream: ByteStream) -> bytes:
    assert not list(stream.gaps())
    return stream.read(0, stream.end)


def both(path: Path) -> list[tuple[bytes, bytes]]:
    """What client and server said, per connection."""
    with read_connections(path) as capture:
        return [(whole(c.streams[0]), whole(c.streams[1])) for c in capture.connections]


CAPS = (0b1011,)
MESS = link.link_message(ChannelType.MAIN, 0, common_caps=CAPS)
REPLY = link.link_reply(b"\x30" * link.PUBLIC_KEY_BYTES, common_caps=CAPS)
TICKET = os.urandom(link.TICKET_BYTES)
MECHANISM = struct.pack("<I", link.MECHANISM_SPICE)
RESULT = link.link_result(LinkError.OK)
PING = b"\x04\x00\x0c\x00\x00\x00" + bytes(12)


async def spice_server(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readexactly(len(MESS))
    writer.write(REPLY)
    await reader.readexactly(len(MECHANISM + TICKET))
    writer.write(RESULT + PING)
    await reader.read()


async def spice_client(port: int, tls: ssl.SSLContext | None = None) -> bytes:
    reader, writer = await asyncio.open_connection(HOST, port, ssl=tls)
    writer.write(MESS)
    said = await reader.readexactly(len(REPLY))
    writer.write(MECHANISM)
    writer.write(TICKET)
    said += await reader.readexactly(len(RESULT + PING))
    writer.close()
    await writer.wait_closed()
    return said


def test_a_link_stage_passes_whole_and_is_recorded_without_its_ticket(tmp_path: Path) -> None:
    path = tmp_path / "x.pcapng"

    async def story() -> None:
        async with serving(spice_server) as server, tapped(path, server) as (port, told):
            assert await spice_client(port) == REPLY + RESULT + PING
            assert (await told.wait_for("linked")).facts["channel"] == "main/0"
            closed = (await told.wait_for("closed")).facts
            assert (closed["by"], closed["reset"]) == ("client", False)
            assert closed["bytes_from_server"] == len(REPLY + RESULT + PING)

    run(story())
    assert both(path) == [(MESS + MECHANISM + bytes(128), REPLY + RESULT + PING)]
    assert TICKET[:16] not in path.read_bytes()
    with sr.open(path) as capture:
        (log,) = capture.replay.sessions[0].channels
        assert log.link is not None
        assert (log.link.channel, log.closed_by) == (ChannelType.MAIN, "both")


def test_bytes_of_any_protocol_pass_and_are_recorded_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "x.pcapng"
    noise = os.urandom(3_000_000)

    async def story() -> None:
        async with serving(echo) as server, tapped(path, server) as (port, told):
            reader, writer = await asyncio.open_connection(HOST, port)
            writer.write(b"\x16" + noise)
            writer.write_eof()
            assert await reader.read() == b"\x16" + noise, "what comes behind a half close arrives"
            writer.close()
            assert (await told.wait_for("closed")).facts["channel"] == "no SPICE"

    run(story())
    assert both(path) == [(b"\x16" + noise, b"\x16" + noise)]


def test_unix_sockets_on_both_sides(tmp_path: Path) -> None:
    path, listen, to = tmp_path / "x.pcapng", tmp_path / "tap.sock", tmp_path / "vm.sock"
    told = Told()

    async def ask() -> None:
        reader, writer = await asyncio.open_unix_connection(listen)
        writer.write(MESS)
        assert await reader.readexactly(len(REPLY)) == REPLY
        writer.write(MECHANISM + TICKET)
        assert await reader.readexactly(len(RESULT + PING)) == RESULT + PING
        writer.close()

    async def story() -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await spice_server(reader, writer)
            writer.close()

        server = await asyncio.start_unix_server(serve, to)
        route = Route(Endpoint(str(listen), 0), Endpoint(str(to), 0))
        async with server:
            with Recorder.open(path, started_ns=clock()) as recorder:
                tap = Tap((route,), recorder, told.append, clock=clock)
                async with tap.listening() as places:
                    assert places == [route.listen]
                    assert listen.stat().st_mode & 0o777 == 0o600
                    await asyncio.gather(ask(), ask())
                    while sum(event.kind == "closed" for event in told) < 2:
                        await asyncio.sleep(0.01)
        assert not listen.exists()

    run(story())
    texts = {event.text for event in told if event.kind == "connected"}
    assert texts == {f"unix:{number} connected to {to}" for number in (1, 2)}
    assert both(path) == [(MESS + MECHANISM + bytes(128), REPLY + RESULT + PING)] * 2


def test_a_unix_socket_that_is_in_use_stays(tmp_path: Path) -> None:
    taken = tmp_path / "tap.sock"
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(taken))

        async def story() -> None:
            route = Route(Endpoint(str(taken), 0), Endpoint(HOST, 1))
            with Recorder.open(tmp_path / "x.pcapng", started_ns=clock()) as recorder:
                async with Tap((route,), recorder, lambda _: None, clock=clock).listening():
                    raise AssertionError("it is taken")

        with pytest.raises(UsageError, match=f"cannot listen on {taken}: Address already in use"):
            run(story())
    assert taken.exists()


def test_who_does_not_read_slows_the_sender_down_and_nobody_else(tmp_path: Path) -> None:
    sent = 0

    async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        if await reader.read(1) == b"e":
            await echo(reader, writer)
            return
        while sent < 200_000_000:
            writer.write(bytes(100_000))
            await writer.drain()
            sent += 100_000

    async def story() -> None:
        async with serving(pour) as server, tapped(tmp_path / "x.pcapng", server) as (port, told):
            _, lazy = await asyncio.open_connection(HOST, port, limit=1)
            lazy.write(b"p")
            await told.wait_for("connected")
            before = -1
            while before != sent:
                before = sent
                await asyncio.sleep(0.3)
            assert 0 < sent < 50_000_000, "what the buffers of the kernel and ours hold, and no more"
            reader, writer = await asyncio.open_connection(HOST, port)
            writer.write(b"e" + b"other")
            assert await reader.readexactly(5) == b"other"
            writer.close()
            lazy.transport.abort()
            assert await told.wait_for("closed")

    run(story())


@pytest.mark.parametrize("by", ["client", "server"])
def test_a_reset_is_handed_on_as_one(tmp_path: Path, by: str) -> None:
    path = tmp_path / "x.pcapng"

    async def break_off(writer: asyncio.StreamWriter) -> None:
        writer.get_extra_info("socket").setsockopt(*RESET)
        writer.transport.abort()

    async def suffer(reader: asyncio.StreamReader) -> None:
        with pytest.raises(ConnectionResetError):
            await reader.read()

    async def story() -> None:
        served: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"hello")
            await writer.drain()
            await reader.readexactly(2)
            try:
                await (suffer(reader) if by == "client" else break_off(writer))
            except BaseException as error:
                served.set_exception(error)
            else:
                served.set_result(None)

        async with serving(serve) as server, tapped(path, server) as (port, told):
            reader, writer = await asyncio.open_connection(HOST, port)
            assert await reader.readexactly(5) == b"hello"
            writer.write(b"hi")
            await writer.drain()
            await (break_off(writer) if by == "client" else suffer(reader))
            closed = (await told.wait_for("closed")).facts
            assert (closed["by"], closed["reset"]) == (by, True)
            await served

    run(story())
    with read_connections(path) as capture:
        assert capture.connections[0].closed == (("rst", None) if by == "client" else (None, "rst"))


def test_a_server_that_is_not_there_is_named(tmp_path: Path) -> None:
    async def story() -> None:
        with socket.create_server((HOST, 0)) as taken:
            nobody = taken.getsockname()[1]
        async with tapped(tmp_path / "x.pcapng", nobody) as (port, told):
            reader, writer = await asyncio.open_connection(HOST, port)
            with contextlib.suppress(ConnectionResetError):
                assert await reader.read() == b""
            writer.close()
            refused = await told.wait_for("refused")
            assert f"{HOST}:{nobody} cannot be reached: " in refused.text
            assert "refused" in refused.text.lower()

    run(story())


def test_more_connections_than_it_may_have_are_not_taken(tmp_path: Path) -> None:
    async def story() -> None:
        async with serving(echo) as server, tapped(tmp_path / "x.pcapng", server, most=2) as (port, told):
            ends = [await asyncio.open_connection(HOST, port) for _ in range(2)]
            for _ in ends:
                await told.wait_for("connected")
            for _ in range(3):
                reader, writer = await asyncio.open_connection(HOST, port)
                with contextlib.suppress(ConnectionResetError):
                    assert await reader.read() == b""
                writer.close()
            assert len([event for event in told if event.kind == "refused"]) == 1, "it is told once"
            ends[0][1].close()
            await told.wait_for("closed")
            reader, writer = await asyncio.open_connection(HOST, port)
            writer.write(b"in")
            assert await reader.readexactly(2) == b"in"
            writer.close()
            for _, writer in ends:
                writer.close()

    run(story())


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    async def story() -> None:
        async with serving(echo) as taken:
            route = Route(Endpoint(HOST, taken), Endpoint(HOST, 1))
            with (
                Recorder.open(tmp_path / "x.pcapng", started_ns=clock()) as recorder,
                pytest.raises(UsageError, match="cannot listen on"),
            ):
                async with Tap((route,), recorder, print, clock=clock).listening():
                    pass

    run(story())


def test_a_full_disk_is_told_and_everything_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.pcapng"
    commit = BlockFile.commit

    def full(self: BlockFile) -> object:
        if self.size < 4000:
            return commit(self)
        waiting, self._waiting = self._waiting, []
        return self._cut(waiting, 0, os.strerror(errno.ENOSPC)) if waiting else None

    async def story() -> None:
        async with serving(echo) as server, tapped(path, server) as (port, told):
            reader, writer = await asyncio.open_connection(HOST, port)
            for _ in range(50):
                writer.write(b"\x16" + bytes(999))
                assert await reader.readexactly(1000) == b"\x16" + bytes(999)
                await asyncio.sleep(0.01)
            trouble = await told.wait_for("trouble")
            assert os.strerror(errno.ENOSPC) in trouble.text
            assert trouble.facts["lost_bytes"] > 0
            writer.close()

    monkeypatch.setattr(BlockFile, "commit", full)
    run(story())
    with read_connections(path) as capture:
        assert 0 < capture.connections[0].streams[0].captured_bytes < 50_000


def test_files_follow_each_other(tmp_path: Path) -> None:
    async def story() -> None:
        async with (
            serving(spice_server) as server,
            tapped(tmp_path / "d", server, rotation=Rotation(seconds=0.05)) as (port, _),
        ):
            for _ in range(3):
                await spice_client(port)
                await asyncio.sleep(0.1)

    run(story())
    files = sorted((tmp_path / "d").iterdir())
    assert len(files) >= 3
    for file in files:
        with sr.open(file) as capture:
            assert capture.replay.sessions[0].channels[0].link is not None


def test_the_end_of_the_tap_ends_every_connection_and_completes_the_recording(tmp_path: Path) -> None:
    path = tmp_path / "x.pcapng"

    async def story() -> None:
        async with serving(echo) as server:
            async with tapped(path, server) as (port, told):
                reader, writer = await asyncio.open_connection(HOST, port)
                writer.write(b"\x16at last")
                assert await reader.readexactly(8) == b"\x16at last"
            assert (await told.wait_for("closed")).facts["by"] == "tap"
            assert await reader.read() == b""
            writer.close()

    run(story())
    assert both(path) == [(b"\x16at last", b"\x16at last")]


# TLS on either side


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificates")
    Peers(folder, rsa_bits=2048)
    return folder


def server_context(folder: Path, version: ssl.TLSVersion = TLS13) -> ssl.SSLContext:
    context = listening_context(folder / "rsa.pem", None)
    context.maximum_version = version
    return context


def client_context(folder: Path) -> ssl.SSLContext:
    return calling_context(ca=folder / "rsa.pem", by_subject=True, insecure=False)


@pytest.mark.parametrize("version", [TLS12, TLS13])
@pytest.mark.parametrize("inside", [True, False], ids=["TLS client", "plain client"])
@pytest.mark.parametrize("outside", [True, False], ids=["TLS server", "plain server"])
def test_tls_is_opened_on_either_side(
    tmp_path: Path, certificates: Path, version: ssl.TLSVersion, inside: bool, outside: bool
) -> None:
    path = tmp_path / "x.pcapng"

    async def story() -> None:
        tls = server_context(certificates, version)
        async with (
            serving(spice_server, tls if outside else None) as server,
            tapped(
                path,
                server,
                accept=tls if inside else None,
                call=client_context(certificates) if outside else None,
                subject="CN=spice.test",
            ) as (port, told),
        ):
            said = await spice_client(port, client_context(certificates) if inside else None)
            assert said == REPLY + RESULT + PING
            assert not (await told.wait_for("closed")).facts["reset"]

    run(story())
    assert both(path) == [(MESS + MECHANISM + bytes(128), REPLY + RESULT + PING)]


def test_a_certificate_that_is_not_believed(tmp_path: Path, certificates: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    Peers(other, rsa_bits=2048)

    async def refused(call: ssl.SSLContext, subject: str | None) -> str:
        async with (
            serving(echo, server_context(certificates)) as server,
            tapped(tmp_path / f"{clock()}.pcapng", server, call=call, subject=subject) as (port, told),
        ):
            reader, writer = await asyncio.open_connection(HOST, port)
            with contextlib.suppress(ConnectionResetError):
                assert await reader.read() == b""
            writer.close()
            return (await told.wait_for("refused")).text

    async def story() -> None:
        stranger = calling_context(ca=other / "rsa.pem", by_subject=True, insecure=False)
        assert "certificate is not believed: self" in await refused(stranger, "CN=spice.test")
        assert "subject is CN=spice.test, and not CN=Joe" in await refused(
            client_context(certificates), "CN=Joe"
        )
        by_name = calling_context(ca=certificates / "rsa.pem", by_subject=False, insecure=False)
        assert "IP address mismatch" in await refused(by_name, None)

    run(story())


def shake_hands(port: int, context: ssl.SSLContext) -> None:
    """As a program without asyncio does it, which says why it ends."""
    with socket.create_connection((HOST, port)) as plain, context.wrap_socket(plain, server_hostname="a"):
        pass


def test_a_client_that_does_not_believe_the_tap_or_speaks_no_tls_is_told_of(
    tmp_path: Path, certificates: Path
) -> None:
    async def story() -> None:
        async with (
            serving(echo) as server,
            tapped(tmp_path / "x.pcapng", server, accept=server_context(certificates)) as (port, told),
        ):
            with pytest.raises(ssl.SSLCertVerificationError):
                await asyncio.to_thread(shake_hands, port, ssl.create_default_context())
            assert "unknown ca" in (await told.wait_for("refused")).text
            _, writer = await asyncio.open_connection(HOST, port)
            writer.write(MESS)
            assert "TLS failed" in (await told.wait_for("refused")).text
            writer.close()

    run(story())
