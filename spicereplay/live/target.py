"""Where to connect to: what a SPICE address says.

The forms are those of remote-viewer. Source: spice-gtk src/spice-session.c, spice_parse_uri; virt-viewer
man/remote-viewer.pod.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from spicereplay.errors import UsageError
from spicereplay.live.secret import Secret
from spicereplay.protocol.enums import ChannelType

PROXY_PORT: Final = 3128
"""Source: spice-gtk src/spice-uri.c."""
EVERY: Final = frozenset(ChannelType)
_WEB_PORTS: Final = {"ws": 80, "wss": 443}
_SCHEMES: Final = "spice://, spice+tls://, spice+unix://, ws:// or wss://"
_MOST_URI: Final = 8192


class Transport(StrEnum):
    """What carries the bytes."""

    TCP = "tcp"
    UNIX = "unix"
    WEBSOCKET = "websocket"


@dataclass(frozen=True, slots=True)
class Proxy:
    """An HTTP proxy that is asked to CONNECT."""

    host: str
    port: int
    secure: bool = False
    """It is spoken to with TLS itself."""
    user: str = ""
    password: Secret | None = None

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Target:
    """A server, and how it wants to be connected to."""

    host: str = ""
    port: int | None = None
    """Without TLS; None: there is none."""
    tls_port: int | None = None
    """With TLS; None: there is none."""
    transport: Transport = Transport.TCP
    path: str = ""
    """Of the socket, or behind the host of a WebSocket."""
    password: Secret | None = None
    """None: not told."""
    ca: bytes | None = None
    """Certificates to trust, PEM; None: those of the system."""
    host_subject: str | None = None
    """What the certificate's subject must be; None: the certificate must name the host."""
    tls_ciphers: str | None = None
    """What TLS up to 1.2 may use, as OpenSSL lists it; None: its default."""
    proxy: Proxy | None = None
    secure_channels: frozenset[ChannelType] = frozenset()
    """Those that must be encrypted where both ports are there."""
    title: str = ""

    @property
    def place(self) -> str:
        """The server in words, for messages; without secrets."""
        if self.transport is Transport.UNIX:
            return self.path
        port = self.tls_port if self.port is None else self.port
        return bracketed(self.host) if port is None else f"{bracketed(self.host)}:{port}"

    def secure(self, channel: ChannelType) -> bool:
        """Say whether a channel is encrypted from the start."""
        return self.port is None or (self.tls_port is not None and channel in self.secure_channels)


def bracketed(host: str) -> str:
    """Return a host as it stands before a port."""
    return f"[{host}]" if ":" in host and not host.startswith("[") and _is_ipv6(host) else host


def parse_target(text: str) -> tuple[Target, list[str]]:
    """Return what a SPICE address says, and remarks on what of it was passed over.

    Raises `UsageError` where it is none; its message never shows a password.
    """
    if len(text) > _MOST_URI or any(ord(sign) < 0x20 for sign in text):
        raise UsageError("that is no address: too long, or with control characters")
    scheme = text.partition(":")[0].lower()
    if scheme == "spice+unix":
        return _unix(text)
    if scheme not in ("spice", "spice+tls", "ws", "wss"):
        raise UsageError(f"a server's address begins with {_SCHEMES}; or give a .vv file")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise UsageError(f"that is no address: {_harmless(error)}") from None
    host = unquote(parts.hostname or "")
    if not host:
        raise UsageError("the address names no host")
    if scheme in _WEB_PORTS:
        return _web(parts, host, port)
    return _plain(parts, host, port)


def parse_proxy(text: str) -> Proxy:
    """Return what the address of a proxy says: `[http[s]://][user[:password]@]host[:port]`. Raises `UsageError`."""
    if "://" not in text:
        text = f"http://{text}"
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise UsageError("the proxy's address cannot be read") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError("a proxy's address is http://host:port or https://host:port")
    secure, user = parts.scheme == "https", unquote(parts.username or "")
    return Proxy(parts.hostname, port or PROXY_PORT, secure, user, _password(parts))


def channels_named(names: str) -> tuple[frozenset[ChannelType], list[str]]:
    """Return the channels of a list as `secure-channels` has it, and its names that are of no channel.

    Names stand with `;` or `,` between them; `all` is every channel. RHEV wrote an `s` before those to be encrypted.
    """
    found: set[ChannelType] = set()
    unknown: list[str] = []
    labels = {channel.label: channel for channel in ChannelType}
    labels |= {f"s{label}": channel for label, channel in labels.items()}
    for name in names.replace(",", ";").split(";"):
        name = name.strip().lower()
        if name == "all":
            found |= EVERY
        elif name in labels:
            found.add(labels[name])
        elif name:
            unknown.append(name)
    return frozenset(found), unknown


def port_number(text: str, what: str) -> int:
    """Return a TCP port. Raises `UsageError`."""
    if not (text.isascii() and text.isdigit() and 0 < int(text[:6]) < 65_536):
        raise UsageError(f"{what}: {text!r} is no TCP port")
    return int(text)


def _plain(parts: SplitResult, host: str, port: int | None) -> tuple[Target, list[str]]:
    target = Target(host=host, password=_password(parts))
    if parts.scheme == "spice+tls":
        target = replace(target, tls_port=port)
    else:
        target = replace(target, port=port)
    target, remarks = _query(target, parts.query)
    if parts.path not in ("", "/"):
        remarks.append(f"the address: {parts.path} means nothing there")
    if target.port is None and target.tls_port is None:
        raise UsageError("the address names no port: spice://HOST:PORT, or spice://HOST?tls-port=PORT")
    return target, remarks


def _web(parts: SplitResult, host: str, port: int | None) -> tuple[Target, list[str]]:
    number = _WEB_PORTS[parts.scheme] if port is None else port
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    target = Target(host=host, transport=Transport.WEBSOCKET, path=path, password=_password(parts))
    return (replace(target, tls_port=number) if parts.scheme == "wss" else replace(target, port=number)), []


def _unix(text: str) -> tuple[Target, list[str]]:
    rest, _, query = text.partition("?")
    path = unquote(rest.partition("://")[2])
    if not path.startswith("/"):
        raise UsageError("a Unix socket is spice+unix:///path/to/socket")
    return _query(Target(transport=Transport.UNIX, path=str(Path(path)), port=0), query)


def _query(target: Target, query: str) -> tuple[Target, list[str]]:
    remarks: list[str] = []
    for key, value in parse_qsl(query, keep_blank_values=True):
        match key:
            case "port":
                target = replace(target, port=port_number(value, "port"))
            case "tls-port":
                target = replace(target, tls_port=port_number(value, "tls-port"))
            case "password":
                target = replace(target, password=Secret(value))
            case _:
                remarks.append(f"the address: {key} is not known and is passed over")
    return target, remarks


def _password(parts: SplitResult) -> Secret | None:
    return None if parts.password is None else Secret(unquote(parts.password))


def _harmless(error: ValueError) -> str:
    """Return what is wrong without what was given: an address may hold a password."""
    return "its port is none" if "port" in str(error).lower() else "its host cannot be read"


def _is_ipv6(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.partition("%")[0]).version == 6
    except ValueError:
        return False
