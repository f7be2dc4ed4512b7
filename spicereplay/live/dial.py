"""From a target to a stream of bytes: sockets, proxies, TLS and WebSocket, each step within a time limit.

Every failure is one of the `ConnectionFailed` errors, with one line that says what failed, where, and what to do.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import socket
import ssl
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from spicereplay.capture.connection import Endpoint
from spicereplay.errors import ConnectionFailed, ProxyFailed, TlsFailed, Unreachable, UsageError
from spicereplay.live.target import Proxy, Target, Transport, bracketed
from spicereplay.live.websocket import WebSocket, upgrade
from spicereplay.transport.tls.subject import Subject, parse_subject, wrong_subject
from spicereplay.units import KIB

READ_BYTES: Final = 256 * KIB
"""Most bytes of one read; a frame of a 1920x1080 MJPEG stream has about as many."""
KEEPALIVE: Final = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 15, "TCP_KEEPCNT": 3}
"""Seconds until a quiet connection is probed, from probe to probe, and how many may go unanswered; where the system has
these options. Source: ryll-behaviour.md 9."""
HAPPY_EYEBALLS_SECONDS: Final = 0.25
"""Source: RFC 8305 section 5."""
PROXY_HEAD_BYTES: Final = 16 * KIB


@dataclass(frozen=True, slots=True)
class Manner:
    """How to dial."""

    step_s: float = 10.0
    """How long each step may take: the connection, the proxy, TLS, WebSocket, the link stage."""
    insecure: bool = False
    """Certificates are not looked at."""
    keylog: Path | None = None
    """Where TLS secrets are appended, in SSLKEYLOGFILE format."""


class Bytes(Protocol):
    """A connection that carries bytes both ways."""

    async def read(self) -> bytes:
        """Return what came; nothing: the other side has closed."""

    def write(self, data: bytes) -> None:
        """Send bytes."""

    async def drain(self) -> None:
        """Wait while too much is on its way out."""

    async def close(self) -> None:
        """Close, at once."""


@dataclass(frozen=True, slots=True)
class Wire:
    """A connection to a server, ready for the link stage."""

    bytes: Bytes
    client: Endpoint
    server: Endpoint
    secure: bool
    place: str
    """The server in words."""


class _Stream:
    """A socket, perhaps within TLS."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def read(self) -> bytes:
        return await self.reader.read(READ_BYTES)

    def write(self, data: bytes) -> None:
        self.writer.write(data)

    async def drain(self) -> None:
        await self.writer.drain()

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(1.0):
                await self.writer.wait_closed()


async def dial(target: Target, *, secure: bool, manner: Manner) -> Wire:
    """Connect; `secure` says whether to use the TLS port. Raises a `ConnectionFailed`, or `UsageError`."""
    port = target.tls_port if secure else target.port
    if port is None:
        raise UsageError(
            f"{target.place}: there is no {'TLS' if secure else 'unencrypted'} port to connect to"
        )
    verified = secure and target.host_subject is not None and not manner.insecure
    subject = parse_subject(target.host_subject or "") if verified else None
    place = target.path if target.transport is Transport.UNIX else f"{bracketed(target.host)}:{port}"
    stream = await _connect(target, port, place, manner)
    try:
        if secure:
            context = tls_context(target, manner)
            await _start_tls(stream, context, target.host, place, manner)
            if subject is not None:
                _check_subject(stream, subject, place)
        carried: Bytes = stream
        if target.transport is Transport.WEBSOCKET:
            hint = "" if secure else "; if that is its TLS port, say wss://"
            async with step(f"{place}: no WebSocket", manner, hint=hint):
                await upgrade(stream.reader, stream.writer, target, port, place)
            carried = WebSocket(stream.reader, stream.writer)
    except BaseException:
        await stream.close()
        raise
    client, server = _ends(stream, target, port)
    return Wire(carried, client, server, secure, place)


@contextlib.asynccontextmanager
async def step(
    what: str, manner: Manner, error: type[ConnectionFailed] = Unreachable, *, hint: str = ""
) -> AsyncIterator[None]:
    """Limit the time of one step, and turn what the system says into an error between `what` and `hint`."""
    try:
        async with asyncio.timeout(manner.step_s):
            yield
    except TimeoutError:
        raise error(f"{what}: no answer within {manner.step_s:g} s (--timeout gives it more)") from None
    except OSError as problem:
        raise error(f"{what}: {_words(problem)}{hint}") from None
    except UnicodeError:
        raise error(f"{what}: no host can have that name: a part of it is empty or too long") from None


# --- sockets ----------------------------------------------------------------------------------------------


async def _connect(target: Target, port: int, place: str, manner: Manner) -> _Stream:
    if target.transport is Transport.UNIX:
        async with step(place, manner):
            return _Stream(*await asyncio.open_unix_connection(target.path, limit=READ_BYTES))
    if target.proxy is not None:
        return await _through(target.proxy, target.host, port, manner)
    async with step(place, manner):
        return await _tcp(target.host, port)


def _eyeballs_delay_s() -> float | None:
    """Return after how long the next of several addresses is tried; None: when the one before has failed.

    Python before 3.13.1 cannot race attempts in a loop whose tasks start at once, as Textual makes them.
    Source: CPython, asyncio/staggered.py, staggered_race; gh-124309.
    """
    eager = getattr(asyncio, "eager_task_factory", None)
    if eager is None or asyncio.get_running_loop().get_task_factory() is not eager:
        return HAPPY_EYEBALLS_SECONDS
    return None if sys.version_info < (3, 13, 1) else HAPPY_EYEBALLS_SECONDS


async def _tcp(host: str, port: int) -> _Stream:
    delay_s = _eyeballs_delay_s()
    reader, writer = await asyncio.open_connection(host, port, limit=READ_BYTES, happy_eyeballs_delay=delay_s)
    made = writer.get_extra_info("socket")
    if made is not None:
        # Keys and acknowledgements are small, and each of them is waited for.
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in KEEPALIVE.items():
            if (option := getattr(socket, name, None)) is not None:
                made.setsockopt(socket.IPPROTO_TCP, option, value)
    return _Stream(reader, writer)


async def _through(proxy: Proxy, host: str, port: int, manner: Manner) -> _Stream:
    """Ask a proxy for a connection. Source: RFC 9110 9.3.6, RFC 7617."""
    async with step(f"proxy {proxy}", manner, ProxyFailed):
        stream = await _tcp(proxy.host, proxy.port)
    try:
        if proxy.secure:
            context = ssl.create_default_context()
            if manner.insecure:
                context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            await _start_tls(stream, context, proxy.host, f"proxy {proxy}", manner)
        async with step(f"proxy {proxy}", manner, ProxyFailed):
            await _ask(stream, proxy, f"{bracketed(host)}:{port}")
    except BaseException:
        await stream.close()
        raise
    return stream


async def _ask(stream: _Stream, proxy: Proxy, target: str) -> None:
    if any(ord(sign) <= 0x20 or ord(sign) > 0x7E for sign in target):
        raise UsageError(
            "the host's name cannot be asked of a proxy: it has spaces or signs that are not ASCII"
        )
    lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
    if proxy.user or proxy.password:
        secret = proxy.password.reveal() if proxy.password else ""
        credentials = base64.b64encode(f"{proxy.user}:{secret}".encode()).decode()
        lines.append(f"Proxy-Authorization: Basic {credentials}")
    stream.write("".join(f"{line}\r\n" for line in (*lines, "")).encode())
    try:
        head = await stream.reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        raise ProxyFailed(f"proxy {proxy}: its answer is not HTTP; is that really a proxy?") from None
    status = head.split(b" ", 2)[1:2]
    match status:
        case [code] if head.startswith(b"HTTP/1.") and len(head) <= PROXY_HEAD_BYTES:
            pass
        case _:
            raise ProxyFailed(f"proxy {proxy}: its answer is not HTTP; is that really a proxy?")
    if code.startswith(b"2"):
        return
    raise ProxyFailed(f"proxy {proxy}: {_proxy_words(code[:3], proxy, target)}")


def _proxy_words(code: bytes, proxy: Proxy, target: str) -> str:
    """Return why a proxy does not let us through. Source: RFC 9110 15; tinyproxy answers 401 for 407."""
    if code in (b"401", b"407"):
        if proxy.user or proxy.password:
            return "it does not accept that user and password"
        return f"it wants a user and a password: http://USER:PASSWORD@{proxy}"
    status = f"(HTTP status {code.decode('ascii', 'replace')})"
    if code in (b"405", b"501"):
        return f"it does not know CONNECT {status}; is that really a proxy?"
    if code.startswith(b"5"):
        return f"it does not reach {target} {status}; is the server running, and is that its port?"
    return f"it does not let us connect to {target} {status}"


# --- TLS --------------------------------------------------------------------------------------------------


def tls_context(target: Target, manner: Manner) -> ssl.SSLContext:
    """Return how TLS is spoken to a target: its certificate is verified unless `manner.insecure`.

    Raises `UsageError` for certificates to trust or ciphers that cannot be read, or a key log that cannot be written.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if manner.insecure:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    else:
        context.check_hostname = target.host_subject is None
        if target.ca is None:
            context.load_default_certs()
        else:
            try:
                context.load_verify_locations(cadata=target.ca.decode("ascii"))
            except (ssl.SSLError, UnicodeDecodeError, ValueError):
                raise UsageError("the certificates to trust (ca) cannot be read; they must be PEM") from None
    if target.tls_ciphers:
        try:
            context.set_ciphers(target.tls_ciphers)
        except ssl.SSLError:
            raise UsageError(f"tls-ciphers: {target.tls_ciphers!r} names no cipher that is known") from None
    if manner.keylog is not None:
        try:
            os.close(os.open(manner.keylog, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600))
            context.keylog_filename = str(manner.keylog)
        except OSError as error:
            raise UsageError(f"{manner.keylog} cannot be written: {error.strerror}") from None
    return context


async def _start_tls(stream: _Stream, context: ssl.SSLContext, host: str, place: str, manner: Manner) -> None:
    name = _server_name(host)
    if name is None and context.check_hostname:
        what = f"no certificate can be for {host!r}; --host-subject says what the server's must be"
        raise TlsFailed(f"{place}: {what}")
    try:
        async with asyncio.timeout(manner.step_s):
            await stream.writer.start_tls(context, server_hostname=name, ssl_handshake_timeout=None)
    except ssl.SSLCertVerificationError as error:
        raise TlsFailed(f"{place}: {_certificate_words(error, host)}") from None
    except TimeoutError:
        raise TlsFailed(
            f"{place}: TLS is not answered within {manner.step_s:g} s; is that the TLS port?"
        ) from None
    except ssl.SSLError as error:
        why = (error.reason or str(error)).replace("_", " ").lower()
        raise TlsFailed(f"{place}: TLS failed ({why}); is that the TLS port?") from None
    except OSError as error:
        raise TlsFailed(f"{place}: the server ended TLS ({_words(error)}); is that the TLS port?") from None


def _server_name(host: str) -> str | None:
    """Return the name that TLS asks for; None where it is none, as the ticket that Proxmox puts in a host's place."""
    try:
        name = host.encode("idna").decode("ascii")
    except UnicodeError:
        return None
    is_name = all(sign.isalnum() or sign in "-_." for sign in name)
    return name if is_name or bracketed(host) != host else None


def _certificate_words(error: ssl.SSLCertVerificationError, host: str) -> str:
    """Return what is wrong with a certificate and what to do.

    Source: OpenSSL include/openssl/x509_vfy.h, X509_V_ERR_*.
    """
    match error.verify_code:
        case 10:
            return "the server's certificate has expired (--insecure goes on regardless)"
        case 9:
            return "the server's certificate is not valid yet; is this machine's clock right?"
        case 62 | 64:
            return f"the server's certificate is for another host than {host} (--host-subject says what it must be)"
        case 18 | 19 | 20 | 21:
            return (
                "the server's certificate is signed by nobody who is trusted (--ca FILE says whom to trust)"
            )
    return f"the server's certificate is refused: {error.verify_message}"


def _check_subject(stream: _Stream, wanted: Subject, place: str) -> None:
    made = stream.writer.get_extra_info("ssl_object")
    shown = made.getpeercert(binary_form=True) if made is not None else None
    wrong = wrong_subject(shown, wanted)
    if wrong is not None:
        raise TlsFailed(f"{place}: {wrong} (--host-subject)")


# --- words and ends ---------------------------------------------------------------------------------------


def _words(error: OSError) -> str:
    if isinstance(error, socket.gaierror):
        return (
            "no such host" if error.errno == socket.EAI_NONAME else f"the name is not known: {error.strerror}"
        )
    if isinstance(error, ConnectionRefusedError):
        return "connection refused; is the server running, and is that its port?"
    if error.errno:
        return os.strerror(error.errno)
    inner = getattr(error, "exceptions", ())
    if inner and all(isinstance(one, ConnectionRefusedError) for one in inner):
        return "connection refused; is the server running, and is that its port?"
    text = str(error) or "it closed the connection"
    return text if text.isprintable() else type(error).__name__


def _ends(stream: _Stream, target: Target, port: int) -> tuple[Endpoint, Endpoint]:
    """Return both ends as a recording names them; behind a proxy the server's address is that of the proxy."""
    local = stream.writer.get_extra_info("sockname")
    remote = stream.writer.get_extra_info("peername")
    if isinstance(local, tuple) and isinstance(remote, tuple):
        return Endpoint(local[0], local[1]), Endpoint(remote[0], port)
    return Endpoint("", 0), Endpoint(target.path, 0)
