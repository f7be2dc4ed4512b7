"""What the plaintext of a TLS handshake tells: version, cipher suite and the two random values.

Source: RFC 5246 section 7.4, RFC 8446 section 4.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from spicereplay.bytestream import ByteStream
from spicereplay.limits import Limits
from spicereplay.transport.tls.records import ALERT, CHANGE_CIPHER_SPEC, HANDSHAKE, Broken, records
from spicereplay.units import KIB

CLIENT_HELLO, SERVER_HELLO, END_OF_EARLY_DATA, ENCRYPTED_EXTENSIONS, FINISHED, KEY_UPDATE = 1, 2, 5, 8, 20, 24
TLS12, TLS13 = 0x0303, 0x0304

_RANDOM_BYTES: Final = 32
_WINDOW: Final = 64 * KIB
"""Hellos are short, and what follows them is not looked at."""
_ENCRYPT_THEN_MAC: Final = 22
_EARLY_DATA: Final = 42
_SUPPORTED_VERSIONS: Final = 43
_RETRY: Final = bytes.fromhex("CF21AD74E59A6111BE1D8C021E65B891C2A211167ABB8C5E079E09E2C8A8339C")
"""The random value of a ServerHello that is a HelloRetryRequest. Source: RFC 8446 section 4.1.3."""

_ALERTS: Final = {
    0: "close_notify",
    10: "unexpected_message",
    20: "bad_record_mac",
    40: "handshake_failure",
    42: "bad_certificate",
    43: "unsupported_certificate",
    44: "certificate_revoked",
    45: "certificate_expired",
    46: "certificate_unknown",
    47: "illegal_parameter",
    48: "unknown_ca",
    50: "decode_error",
    51: "decrypt_error",
    70: "protocol_version",
    71: "insufficient_security",
    80: "internal_error",
    90: "user_canceled",
    100: "no_renegotiation",
    109: "missing_extension",
    112: "unrecognized_name",
    116: "certificate_required",
    120: "no_application_protocol",
}
"""Source: the TLS Alerts registry of IANA."""


@dataclass(frozen=True, slots=True)
class ServerHello:
    """What the server chose."""

    version: int
    random: bytes
    suite: int
    compression: int
    encrypt_then_mac: bool


@dataclass(slots=True)
class Messages:
    """Joins handshake messages, which may be cut over records and share them."""

    limit: int
    """Longest message."""
    waiting: bytearray = field(default_factory=bytearray)
    over_limit: bool = False
    """A message announced more than `limit` bytes; nothing after it can be told."""

    def feed(self, fragment: bytes) -> Iterator[tuple[int, bytes]]:
        """Yield type and body of each message that `fragment` completes."""
        self.waiting += fragment
        while len(self.waiting) >= 4 and not self.over_limit:
            end = 4 + int.from_bytes(self.waiting[1:4], "big")
            if end - 4 > self.limit:
                self.over_limit = True
                self.waiting.clear()
            elif len(self.waiting) < end:
                return
            else:
                message = bytes(self.waiting[:end])
                del self.waiting[:end]
                yield message[0], message[4:]


def alert_name(code: int) -> str:
    """Return the name of an alert."""
    return _ALERTS.get(code, f"alert {code}")


def client_random(client: ByteStream, limits: Limits) -> bytes | str:
    """Return the random value of the ClientHello, or why there is none."""
    body = _first(client, CLIENT_HELLO, limits)
    if isinstance(body, str):
        return f"its ClientHello is not in the capture ({body}), and only that tells which keys are its own"
    if len(body) < 2 + _RANDOM_BYTES:
        return "its ClientHello is malformed"
    return body[2 : 2 + _RANDOM_BYTES]


def server_hello(server: ByteStream, limits: Limits) -> ServerHello | str:
    """Return what the server chose, or why that is not known."""
    body = _first(server, SERVER_HELLO, limits)
    if isinstance(body, str):
        return f"its ServerHello is not in the capture ({body})"
    return parse_server_hello(body) or "its ServerHello is malformed"


def parse_server_hello(body: bytes) -> ServerHello | None:
    """Parse a ServerHello; None where it is malformed."""
    session_at = 2 + _RANDOM_BYTES
    if len(body) <= session_at:
        return None
    at = session_at + 1 + body[session_at]
    if len(body) < at + 3:
        return None
    version, suite, compression = *struct.unpack_from(">HH", body[:2] + body[at : at + 2]), body[at + 2]
    extensions = _extensions(body[at + 3 :])
    if extensions is None:
        return None
    chosen = extensions.get(_SUPPORTED_VERSIONS, b"")
    return ServerHello(
        version=int.from_bytes(chosen, "big") if len(chosen) == 2 else version,
        random=body[2:session_at],
        suite=suite,
        compression=compression,
        encrypt_then_mac=_ENCRYPT_THEN_MAC in extensions,
    )


def takes_early_data(encrypted_extensions: bytes) -> bool:
    """Whether the body of a server's EncryptedExtensions says that it uses what came early."""
    return _EARLY_DATA in (_extensions(encrypted_extensions) or {})


def version_name(version: int) -> str:
    """Return how people call a version of TLS."""
    names = {0x0300: "SSL 3.0", 0x0301: "TLS 1.0", 0x0302: "TLS 1.1", TLS12: "TLS 1.2", TLS13: "TLS 1.3"}
    return names.get(version, f"TLS version {version:#06x}")


def _extensions(data: bytes) -> dict[int, bytes] | None:
    if not data:
        return {}  # a server of before extensions
    if len(data) < 2 or int.from_bytes(data[:2], "big") != len(data) - 2:
        return None
    found, at = {}, 2
    while at < len(data):
        if len(data) < at + 4:
            return None
        kind, length = struct.unpack_from(">HH", data, at)
        if len(data) < at + 4 + length:
            return None
        found[kind] = data[at + 4 : at + 4 + length]
        at += 4 + length
    return found


def _first(stream: ByteStream, wanted: int, limits: Limits) -> bytes | str:
    """Return the body of the first hello, which begins the stream, or why there is none."""
    messages = Messages(limits.tls_handshake_bytes)
    for record in records(stream, window_bytes=_WINDOW):
        if isinstance(record, Broken):
            began = record.position == 0 and record.no_header
            return "the connection began before the capture" if began else record.reason
        if record.kind == ALERT and len(record.fragment) == 2:
            return f"the handshake ended with {alert_name(record.fragment[1])}"
        if record.kind == CHANGE_CIPHER_SPEC:
            continue  # TLS 1.3 sends one after a HelloRetryRequest, for old middle boxes
        if record.kind != HANDSHAKE:
            break
        for kind, body in messages.feed(record.fragment):
            if kind == wanted and body[2 : 2 + _RANDOM_BYTES] != _RETRY:
                return body
            if kind != wanted:
                return "the connection began before the capture"
        if messages.over_limit:
            break
    if not len(stream.position):
        return "nothing of that direction is"
    return "the capture ends before" if messages.waiting else "the connection began before the capture"
