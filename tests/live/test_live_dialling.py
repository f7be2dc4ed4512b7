"""Every way to a server, and every way in which it fails: one error, one line."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from live.fake_server import Behaviour, certificate, listening, saying

from spicereplay.errors import (
    ConnectionFailed,
    ProxyFailed,
    TlsFailed,
    Unreachable,
    UsageError,
    WebSocketFailed,
)
from spicereplay.live.dial import Manner, Wire, dial
from spicereplay.live.secret import Secret
from spicereplay.live.target import Proxy, Target, Transport
from spicereplay.live.websocket import masked

QUICK = Manner(step_s=0.4)
PATIENT = Manner(step_s=10.0)
SUBJECT = r"O=test\, inc.,CN=Server"


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()
    writer.close()


async def says_back(wire: Wire, data: bytes = b"hello") -> None:
    wire.bytes.write(data)
    await wire.bytes.drain()
    got = b""
    while len(got) < len(data):
        piece = await wire.bytes.read()
        assert piece
        got += piece
    assert got == data
    await wire.bytes.close()


async def failure(target: Target, *, secure: bool = False, manner: Manner = QUICK) -> ConnectionFailed:
    with pytest.raises(ConnectionFailed) as error:
        await dial(target, secure=secure, manner=manner)
    assert "\n" not in str(error.value)
    return error.value


def test_tcp() -> None:
    async def go() -> None:
        async with listening(echo) as port:
            wire = await dial(Target("localhost", port), secure=False, manner=PATIENT)
            assert wire.server == ("127.0.0.1", port)
            await says_back(wire)
        assert isinstance(await failure(Target("127.0.0.1", port)), Unreachable)

    asyncio.run(go())


def test_a_unix_socket(tmp_path: Path) -> None:
    async def go() -> None:
        path = tmp_path / "s"
        async with await asyncio.start_unix_server(echo, path):
            target = Target(port=0, transport=Transport.UNIX, path=str(path))
            await says_back(await dial(target, secure=False, manner=PATIENT))
        missing = Target(port=0, transport=Transport.UNIX, path=str(tmp_path / "none"))
        assert "No such file" in str(await failure(missing))

    asyncio.run(go())


def test_there_is_no_such_port() -> None:
    with pytest.raises(UsageError):
        asyncio.run(dial(Target("h", 1), secure=True, manner=QUICK))


# --- TLS --------------------------------------------------------------------------------------------------


def test_tls_with_a_certificate_that_is_trusted(tmp_path: Path) -> None:
    made = certificate(tmp_path / "c")
    keys = tmp_path / "keys"

    async def go() -> None:
        async with listening(echo, made.context()) as port:
            target = Target("127.0.0.1", None, port, ca=made.chain.read_bytes())
            await says_back(await dial(target, secure=True, manner=Manner(10.0, keylog=keys)))
            named = Target("localhost", None, port, ca=made.chain.read_bytes(), host_subject=SUBJECT)
            await says_back(await dial(named, secure=True, manner=PATIENT))
            unknown = Target("127.0.0.1", None, port)
            await says_back(await dial(unknown, secure=True, manner=Manner(10.0, insecure=True)))

    asyncio.run(go())
    assert "CLIENT_TRAFFIC_SECRET_0" in keys.read_text()
    assert keys.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("expired", "host", "subject", "trusted", "said"),
    [
        (True, "127.0.0.1", None, True, "expired"),
        (False, "localhost", None, True, "another host"),
        (False, "127.0.0.1", "O=Other,CN=server", True, "subject"),
        (False, "127.0.0.1", None, False, "nobody who is trusted"),
    ],
)
def test_tls_with_a_certificate_that_is_not(
    tmp_path: Path, expired: bool, host: str, subject: str | None, trusted: bool, said: str
) -> None:
    made = certificate(tmp_path / "c", expired=expired)

    async def go() -> None:
        async with listening(echo, made.context()) as port:
            ca = made.chain.read_bytes() if trusted else None
            target = Target(host, None, port, ca=ca, host_subject=subject)
            error = await failure(target, secure=True)
            assert isinstance(error, TlsFailed)
            assert said in str(error)

    asyncio.run(go())


def test_tls_where_there_is_none() -> None:
    async def go() -> None:
        for behaviour in (saying(b"hello, this is no TLS"), saying(), saying(hang=True)):
            async with listening(behaviour) as port:
                error = await failure(Target("127.0.0.1", None, port), secure=True)
                assert isinstance(error, TlsFailed)
                assert "TLS port" in str(error)

    asyncio.run(go())


def test_ciphers_that_are_not_known() -> None:
    async def go() -> None:
        async with listening(echo) as port:
            with pytest.raises(UsageError, match="tls-ciphers"):
                await dial(Target("127.0.0.1", None, port, tls_ciphers="NONSENSE"), secure=True, manner=QUICK)

    asyncio.run(go())


def test_certificates_to_trust_that_are_none() -> None:
    async def go() -> None:
        async with listening(echo) as port:
            with pytest.raises(UsageError):
                await dial(Target("127.0.0.1", None, port, ca=b"nonsense"), secure=True, manner=QUICK)

    asyncio.run(go())


# --- proxies ----------------------------------------------------------------------------------------------


def proxy_to(port: int, credentials: str = "") -> Behaviour:
    """Return a proxy that knows one target and, with `credentials`, wants these."""

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(f"CONNECT server.example:{port} HTTP/1.1\r\n".encode())
        if credentials and base64.b64encode(credentials.encode()) not in head:
            writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
            return
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"HTTP/1.1 200 OK\r\nVia: x\r\n\r\n")
        await asyncio.gather(copy(reader, there_writer), copy(there_reader, writer))

    return behave


async def copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await source.read(65_536):
            sink.write(data)
            await sink.drain()
    sink.close()


def test_through_a_proxy(tmp_path: Path) -> None:
    made = certificate(tmp_path / "c")

    async def go() -> None:
        async with (
            listening(echo, made.context()) as port,
            listening(proxy_to(port, "me:secret")) as door,
        ):
            proxy = Proxy("127.0.0.1", door, user="me", password=Secret("secret"))
            target = Target(
                "server.example", None, port, ca=made.chain.read_bytes(), host_subject=SUBJECT, proxy=proxy
            )
            await says_back(await dial(target, secure=True, manner=Manner(10.0)))
            stranger = Target("server.example", None, port, proxy=Proxy("127.0.0.1", door))
            assert "a user and a password" in str(await failure(stranger, secure=True))

    asyncio.run(go())


def test_a_host_as_proxmox_writes_it_is_no_name_for_tls(tmp_path: Path) -> None:
    made = certificate(tmp_path / "c")
    ticket = "pvespiceproxy:67512abc:100:pve-of-the-third-floor::da39a3ee5e6b4b0d3255bfef95601890afd80709"

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(f"CONNECT {ticket}:61000 HTTP/1.1\r\n".encode())
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        await asyncio.gather(copy(reader, there_writer), copy(there_reader, writer))

    async def go() -> None:
        nonlocal port
        async with listening(echo, made.context()) as port, listening(pass_on) as door:
            proxy, ca = Proxy("127.0.0.1", door), made.chain.read_bytes()
            target = Target(ticket, None, 61000, ca=ca, host_subject=SUBJECT, proxy=proxy)
            await says_back(await dial(target, secure=True, manner=PATIENT))
            unnamed = Target(ticket, None, 61000, ca=ca, proxy=proxy)
            assert "--host-subject" in str(await failure(unnamed, secure=True))

    port = 0
    asyncio.run(go())


@pytest.mark.parametrize("status", [b"401 Unauthorized", b"407 Proxy Authentication Required"])
def test_a_proxy_that_does_not_know_us(status: bytes) -> None:
    async def go() -> None:
        async with listening(saying(b"HTTP/1.0 " + status + b"\r\n\r\n")) as door:
            stranger = Target("server.example", 5900, proxy=Proxy("127.0.0.1", door))
            assert "it wants a user and a password" in str(await failure(stranger))
            known = Proxy("127.0.0.1", door, user="me", password=Secret("guess"))
            words = str(await failure(Target("server.example", 5900, proxy=known)))
            assert words == f"proxy 127.0.0.1:{door}: it does not accept that user and password"

    asyncio.run(go())


@pytest.mark.parametrize(
    ("behaviour", "said"),
    [
        (saying(b"HTTP/1.1 503 No\r\n\r\n"), "503); is the server running, and is that its port?"),
        (saying(b"HTTP/1.0 501 Unsupported method\r\n\r\n"), "501); is that really a proxy?"),
        (saying(b"HTTP/1.1 403 Forbidden\r\n\r\n"), "does not let us connect to server.example:5900"),
        (saying(b"220 mail.example ESMTP\r\n\r\n"), "not HTTP"),
        (saying(b"HTTP/1.1"), "not HTTP"),
        (saying(hang=True), "no answer within"),
    ],
)
def test_a_proxy_that_does_not_let_us_through(behaviour: Behaviour, said: str) -> None:
    async def go() -> None:
        async with listening(behaviour) as door:
            error = await failure(Target("server.example", 5900, proxy=Proxy("127.0.0.1", door)))
            assert isinstance(error, ProxyFailed)
            assert said in str(error)

    asyncio.run(go())


# --- WebSocket --------------------------------------------------------------------------------------------


def web(then: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]) -> Behaviour:
    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        key = next(line for line in head.split(b"\r\n") if line.startswith(b"Sec-WebSocket-Key: "))[19:]
        accept = base64.b64encode(
            hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11", usedforsecurity=False).digest()
        )
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\nSec-WebSocket-Protocol: binary\r\n\r\n"
        )
        await then(reader, writer)

    return behave


async def frame(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = await reader.readexactly(2)
    assert head[1] & 128, "a client's frames are masked"
    length = head[1] & 127
    if length >= 126:
        length = int.from_bytes(await reader.readexactly(2 if length == 126 else 8), "big")
    mask = await reader.readexactly(4)
    return head[0] & 15, masked(await reader.readexactly(length), mask)


@pytest.mark.parametrize("size", [1, 125, 126, 65_535, 65_536, 300_000])
def test_bytes_in_frames(size: int) -> None:
    async def back(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Send the payload back in two frames, with a ping and an empty frame between them."""
        _, payload = await frame(reader)
        half = len(payload) // 2
        for piece in (payload[:half], b"", payload[half:]):
            writer.write(b"\x82\x7f" + len(piece).to_bytes(8, "big") + piece + b"\x89\x02hi")
        opcode, pong = await frame(reader)
        assert (opcode, pong) == (10, b"hi")
        await reader.read(-1)

    async def go() -> None:
        async with listening(web(back)) as port:
            target = Target("127.0.0.1", port, transport=Transport.WEBSOCKET, path="/")
            wire = await dial(target, secure=False, manner=Manner(10.0))
            await says_back(wire, bytes(i % 251 for i in range(size)))

    asyncio.run(go())


@pytest.mark.parametrize(
    "frame_bytes",
    [b"\x82\x85....", b"\xf2\x01a", b"\x83\x01a", b"\x89\x7e\x00\x80", b"\x82\x7f\xff" + b"\xff" * 7],
)
def test_what_is_no_frame(frame_bytes: bytes) -> None:
    async def wrong(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(frame_bytes)
        await reader.read(-1)

    async def go() -> None:
        async with listening(web(wrong)) as port:
            target = Target("127.0.0.1", port, transport=Transport.WEBSOCKET, path="/")
            wire = await dial(target, secure=False, manner=PATIENT)
            with pytest.raises(WebSocketFailed):
                await wire.bytes.read()
            await wire.bytes.close()

    asyncio.run(go())


@pytest.mark.parametrize(
    ("behaviour", "said"),
    [
        (saying(b"HTTP/1.1 404 Not Found\r\n\r\n"), "404"),
        (saying(b"REDQ"), "no HTTP"),
        (saying(b"HTTP/1.1 101 Yes\r\nSec-WebSocket-Accept: x\r\n\r\n"), "another request"),
        (saying(hang=True), "no answer"),
    ],
)
def test_a_server_without_websocket(behaviour: Behaviour, said: str) -> None:
    async def go() -> None:
        async with listening(behaviour) as port:
            target = Target("127.0.0.1", port, transport=Transport.WEBSOCKET, path="/ws")
            assert said in str(await failure(target))

    asyncio.run(go())


def test_a_mask_is_its_own_opposite() -> None:
    assert masked(b"", b"abcd") == b""
    assert masked(masked(b"payload", b"abcd"), b"abcd") == b"payload"
    assert masked(b"\x00\xff\x00", b"\x01\x02\x03\x04") == b"\x01\xfd\x03"


def test_a_loop_that_starts_tasks_at_once_can_dial() -> None:
    """The terminal view's library makes it one, where Python (from 3.12 on) can."""

    async def go() -> None:
        asyncio.get_running_loop().set_task_factory(getattr(asyncio, "eager_task_factory", None))
        async with listening(saying(b"REDQ")) as port:
            wire = await dial(Target("localhost", port), secure=False, manner=PATIENT)
            wire.bytes.write(b"REDQ")
            assert await wire.bytes.read() == b"REDQ"
            await wire.bytes.close()

    asyncio.run(go())
