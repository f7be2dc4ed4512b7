"""The link stage of a live connection: who we are, what we can, the password, and the server's answer.

Source: spice-wire.md 2.
"""

from __future__ import annotations

import asyncio
from typing import Final

from spicereplay.client.capabilities import capabilities
from spicereplay.client.options import ClientOptions
from spicereplay.errors import AccessDenied, LinkRefused, NotSpice, UsageError
from spicereplay.live.connection import Connection
from spicereplay.live.dial import Manner
from spicereplay.live.secret import Secret
from spicereplay.protocol import caps
from spicereplay.protocol.caps import CommonCap
from spicereplay.protocol.enums import LinkError, Side
from spicereplay.protocol.link import (
    HEADER_BYTES,
    LINK_REPLY_BYTES,
    MAGIC,
    PUBLIC_KEY_BYTES,
    Link,
    LinkStatus,
    authentication,
    error_name,
    link_message,
    parse_link,
)
from spicereplay.protocol.ticket import encrypt_ticket

_KEY_AT: Final = HEADER_BYTES + 4
_OTHERS: Final = {
    b"\x15\x03": "looks like TLS (spice+tls://, or tls-port)",
    b"HTTP/": "looks like HTTP (ws://, or --proxy)",
    b"RFB ": "is VNC",
    b"SSH-": "is SSH",
}
"""How servers begin that are none of SPICE. Source: RFC 8446 5.1, RFC 9112 4, RFC 6143 7.1.1, RFC 4253 4.2."""


async def link(
    connection: Connection,
    session_id: int,
    password: Secret | None,
    options: ClientOptions,
    manner: Manner,
) -> Link:
    """Carry out the link stage. Raises `NotSpice`, `LinkRefused` or `AccessDenied`, each of one line."""
    where = f"{connection.wire.place}, channel {connection.name}"
    heard = bytearray()
    try:
        async with asyncio.timeout(manner.step_s):
            return await _stages(connection, session_id, password, options, where, heard)
    except TimeoutError:
        wait = f"within {manner.step_s:g} s (--timeout gives it more)"
        hint = "" if heard else "; is that SPICE?"
        raise NotSpice(f"{where}: the server does not complete the link stage {wait}{hint}") from None
    except OSError as error:
        why = f"the connection broke in the link stage: {error.strerror or error}"
        raise NotSpice(f"{where}: {why}{_maybe_tls(connection, heard)}") from None


async def _stages(
    connection: Connection,
    session_id: int,
    password: Secret | None,
    options: ClientOptions,
    where: str,
    heard: bytearray,
) -> Link:
    """Carry out the link stage; `heard` becomes what the server said in it."""
    ours = capabilities(connection.channel, options)
    said = link_message(
        connection.channel,
        connection.channel_id,
        connection_id=session_id,
        common_caps=ours.common,
        channel_caps=ours.channel,
    )
    connection.say(said)
    asked = False
    while True:
        if not MAGIC.startswith(heard[: len(MAGIC)]):
            shown = heard[: len(MAGIC)].hex(" ")
            raise NotSpice(f"{where}: that is no SPICE server: it begins with {shown}{_hint(heard)}")
        # The server's words alone are looked at here; the ticket in `said` is zero bytes.
        now = parse_link(said, bytes(heard), limits=connection.engine.limits)
        match now.status:
            case LinkStatus.ESTABLISHED:
                return now
            case LinkStatus.REFUSED:
                raise _refusal(now, password, where)
            case LinkStatus.MALFORMED:
                raise NotSpice(f"{where}: that is no SPICE server: {now.detail}")
        if now.waits_for is Side.CLIENT and not asked:
            asked = True
            words, ticket = _authentication(now, ours.common, bytes(heard), password, where)
            connection.say(words, secret=ticket)
            said += words + bytes(len(ticket))
            continue
        data = await connection.receive()
        if not data:
            raise NotSpice(f"{where}: {_closed(heard, asked)}{_maybe_tls(connection, heard)}")
        heard += data


def _authentication(
    now: Link, ours: tuple[int, ...], heard: bytes, password: Secret | None, where: str
) -> tuple[bytes, bytes]:
    """Return the mechanism's word, if any, and the ticket."""
    theirs = now.server_common_caps or ()
    if caps.has(theirs, CommonCap.AUTH_SASL) and not caps.has(theirs, CommonCap.AUTH_SPICE):
        text = "the server wants SASL (a user's account); only a SPICE password can be given here"
        raise AccessDenied(f"{where}: {text}", LinkError.PERMISSION_DENIED)
    selection = caps.has(ours, CommonCap.AUTH_SELECTION) and caps.has(theirs, CommonCap.AUTH_SELECTION)
    key = heard[_KEY_AT : _KEY_AT + PUBLIC_KEY_BYTES]
    text = "" if password is None else password.reveal()
    try:
        ticket = encrypt_ticket(key, text)
    except UsageError as error:
        if "password has at most" in str(error):
            raise
        raise NotSpice(f"{where}: {error}") from None
    return authentication(b"", selection=selection), ticket


def _refusal(now: Link, password: Secret | None, where: str) -> LinkRefused:
    code = now.reply_error or now.result or LinkError.ERROR
    match code:
        case LinkError.PERMISSION_DENIED if not password:
            text = "permission denied: it wants a password (--password-file FILE, or SPICEREPLAY_PASSWORD)"
            return AccessDenied(f"{where}: {text}", code)
        case LinkError.PERMISSION_DENIED:
            return AccessDenied(f"{where}: permission denied: the password is wrong or has expired", code)
        case LinkError.NEED_SECURED:
            text = "the server wants this channel encrypted; give its TLS port (tls-port)"
        case LinkError.NEED_UNSECURED:
            text = "the server wants this channel without TLS; give its other port"
        case LinkError.VERSION_MISMATCH:
            text = "the server speaks another version of SPICE"
        case LinkError.CHANNEL_NOT_AVAILABLE:
            text = "the server does not have this channel, or another client has it"
        case LinkError.BAD_CONNECTION_ID:
            text = "the server does not know the session any more"
        case _:
            text = f"the server refuses: {error_name(code)}"
    return LinkRefused(f"{where}: {text}", code)


def _closed(heard: bytearray, asked: bool) -> str:
    if asked:
        return "the server closed the connection instead of answering the password"
    if not heard:
        return "the server closed the connection without a word"
    whole = HEADER_BYTES + LINK_REPLY_BYTES
    return f"the server closed the connection in the middle of its link reply ({len(heard)} of {whole} bytes)"


def _maybe_tls(connection: Connection, heard: bytearray) -> str:
    """Return what else a server may be that ends a connection at SPICE's first word."""
    return "" if heard or connection.wire.secure else "; if that is its TLS port, say spice+tls://"


def _hint(heard: bytearray) -> str:
    """Return what a server is that does not begin as one of SPICE."""
    for begin, what in _OTHERS.items():
        if heard.startswith(begin):
            return f"; that {what}"
    return ""
