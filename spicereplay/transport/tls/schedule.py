"""From logged secrets to the keys of records. Source: RFC 5246 sections 5 and 6.3, RFC 8446 section 7."""

from __future__ import annotations

import hashlib
import hmac
from typing import NamedTuple

from spicereplay.transport.tls.suites import Suite


class Keys:
    """What opens the records of one direction; without a telling `repr`."""

    __slots__ = ("iv", "key", "mac_key")

    def __init__(self, key: bytes, iv: bytes, mac_key: bytes = b"") -> None:
        self.key = key
        self.iv = iv
        self.mac_key = mac_key


class KeyPair(NamedTuple):
    """The keys of both directions."""

    client: Keys
    server: Keys


def tls12_keys(suite: Suite, master: bytes, client_random: bytes, server_random: bytes) -> KeyPair:
    """Return the keys that the master secret of a TLS 1.2 connection expands to. Source: RFC 5246 section 6.3."""
    mac_bytes = suite.tag_bytes if suite.mode == "CBC" else 0
    # GCM and CCM keep four bytes of the nonce secret and send the rest; CBC sends all of its IV.
    iv_bytes = {"CBC": 0, "CHACHA20": 12}.get(suite.mode, 4)
    lengths = (mac_bytes, mac_bytes, suite.key_bytes, suite.key_bytes, iv_bytes, iv_bytes)
    block = _prf(suite.digest, master, b"key expansion" + server_random + client_random, sum(lengths))
    parts, at = [], 0
    for length in lengths:
        parts.append(block[at : at + length])
        at += length
    return KeyPair(Keys(parts[2], parts[4], parts[0]), Keys(parts[3], parts[5], parts[1]))


def tls13_keys(suite: Suite, secret: bytes) -> Keys:
    """Return the keys of a traffic secret. Source: RFC 8446 section 7.3."""
    return Keys(
        _expand_label(suite.digest, secret, b"key", suite.key_bytes),
        _expand_label(suite.digest, secret, b"iv", 12),
    )


def next_secret(suite: Suite, secret: bytes) -> bytes:
    """Return the traffic secret that a KeyUpdate goes on to. Source: RFC 8446 section 7.2."""
    return _expand_label(suite.digest, secret, b"traffic upd", hashlib.new(suite.digest).digest_size)


def _prf(digest: str, secret: bytes, seed: bytes, length: int) -> bytes:
    """Return P_hash(secret, seed), with the label already in the seed. Source: RFC 5246 section 5."""
    out, a = b"", seed
    while len(out) < length:
        a = hmac.digest(secret, a, digest)
        out += hmac.digest(secret, a + seed, digest)
    return out[:length]


def _expand_label(digest: str, secret: bytes, label: bytes, length: int) -> bytes:
    """Return HKDF-Expand-Label with an empty context. Source: RFC 8446 section 7.1, RFC 5869 section 2.3."""
    name = b"tls13 " + label
    info = length.to_bytes(2, "big") + bytes([len(name)]) + name + b"\0"
    out = part = b""
    for n in range(1, 255):
        if len(out) >= length:
            break
        part = hmac.digest(secret, part + info + bytes([n]), digest)
        out += part
    return out[:length]
