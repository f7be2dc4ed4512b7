"""Opening of single records: authenticated first, so that what comes out is never a guess.

Source: RFC 5246 section 6.2.3, RFC 5288 section 3, RFC 7366 section 3, RFC 7905 section 2, RFC 8446 section 5.2.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from typing import Final, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESCCM, AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC

from spicereplay.transport.tls.records import CONTENT_BYTES, HEADER_BYTES, Record
from spicereplay.transport.tls.schedule import Keys
from spicereplay.transport.tls.suites import Suite

_BLOCK: Final = 16
_EXPLICIT_NONCE: Final = 8

Opener = Callable[[int, Record], tuple[int, bytes] | None]
"""Opens the record with a sequence number: its content type and content, or None if it fails authentication."""


class _Aead(Protocol):
    def decrypt(self, nonce: bytes, data: bytes, associated_data: bytes) -> bytes: ...


def tls13_opener(suite: Suite, keys: Keys) -> Opener:
    """Return what opens the records that a TLS 1.3 traffic secret protects."""
    aead, iv = _aead(suite, keys), int.from_bytes(keys.iv, "big")

    def open_record(sequence: int, record: Record) -> tuple[int, bytes] | None:
        try:
            inner = aead.decrypt((iv ^ sequence).to_bytes(12, "big"), record.fragment, record.header)
        except (InvalidTag, ValueError):
            return None
        content = inner.rstrip(b"\0")  # padding
        return (content[-1], content[:-1]) if content else None

    return open_record


def tls12_opener(suite: Suite, keys: Keys, *, encrypt_then_mac: bool) -> Opener:
    """Return what opens the protected records of one direction of a TLS 1.2 connection."""
    if suite.mode == "CBC":
        return _mac_then_open(suite, keys) if encrypt_then_mac else _open_then_mac(suite, keys)
    aead, iv = _aead(suite, keys), int.from_bytes(keys.iv, "big")
    explicit = 0 if suite.mode == "CHACHA20" else _EXPLICIT_NONCE
    overhead = explicit + suite.tag_bytes

    def open_record(sequence: int, record: Record) -> tuple[int, bytes] | None:
        fragment = record.fragment
        if len(fragment) < overhead:
            return None
        nonce = keys.iv + fragment[:explicit] if explicit else (iv ^ sequence).to_bytes(12, "big")
        data = _associated(sequence, record, len(fragment) - overhead)
        try:
            return record.kind, aead.decrypt(nonce, fragment[explicit:], data)
        except InvalidTag:
            return None

    return open_record


def content_bytes(suite: Suite, record: Record) -> int:
    """Return how long the content of a record is that cannot be opened; where padding hides it, at most."""
    overhead = suite.tag_bytes
    if suite.mode == "CBC":
        overhead += _BLOCK + 1
    elif suite.tls13:
        overhead += 1
    elif suite.mode != "CHACHA20":
        overhead += _EXPLICIT_NONCE
    return min(max(0, len(record.fragment) - overhead), CONTENT_BYTES)


def _aead(suite: Suite, keys: Keys) -> _Aead:
    match suite.mode:
        case "CHACHA20":
            return ChaCha20Poly1305(keys.key)
        case "CCM":
            return AESCCM(keys.key, tag_length=suite.tag_bytes)
        case _:
            return AESGCM(keys.key)


def _associated(sequence: int, record: Record, length: int) -> bytes:
    """Return what is authenticated besides: sequence number, type, version, length of what was protected."""
    return sequence.to_bytes(8, "big") + record.header[: HEADER_BYTES - 2] + length.to_bytes(2, "big")


def _open_then_mac(suite: Suite, keys: Keys) -> Opener:
    """Return the opener of CBC as it was before RFC 7366: the HMAC lies under the encryption."""

    def open_record(sequence: int, record: Record) -> tuple[int, bytes] | None:
        padded = _decrypt_cbc(keys, record.fragment)
        plain = None if padded is None else _unpadded(padded)
        if plain is None or len(plain) < suite.tag_bytes:
            return None
        content, mac = plain[: -suite.tag_bytes], plain[-suite.tag_bytes :]
        expected = hmac.digest(keys.mac_key, _associated(sequence, record, len(content)) + content, suite.mac)
        return (record.kind, content) if hmac.compare_digest(mac, expected) else None

    return open_record


def _mac_then_open(suite: Suite, keys: Keys) -> Opener:
    """Return the opener of CBC with the extension of RFC 7366: the HMAC is over what was encrypted."""

    def open_record(sequence: int, record: Record) -> tuple[int, bytes] | None:
        sealed, mac = record.fragment[: -suite.tag_bytes], record.fragment[-suite.tag_bytes :]
        expected = hmac.digest(keys.mac_key, _associated(sequence, record, len(sealed)) + sealed, suite.mac)
        if not hmac.compare_digest(mac, expected):
            return None
        padded = _decrypt_cbc(keys, sealed)
        content = None if padded is None else _unpadded(padded)
        return None if content is None else (record.kind, content)

    return open_record


def _decrypt_cbc(keys: Keys, sealed: bytes) -> bytes | None:
    """Decrypt an IV and the blocks after it; None if there are none or they are not whole."""
    if len(sealed) < 2 * _BLOCK or len(sealed) % _BLOCK:
        return None
    decryptor = Cipher(AES(keys.key), CBC(sealed[:_BLOCK])).decryptor()
    return decryptor.update(sealed[_BLOCK:]) + decryptor.finalize()


def _unpadded(padded: bytes) -> bytes | None:
    """Take off the padding, each byte of which says how many follow it; None if it is not like that."""
    count = padded[-1] + 1
    if len(padded) < count or padded[-count:] != padded[-1:] * count:
        return None
    return padded[:-count]
