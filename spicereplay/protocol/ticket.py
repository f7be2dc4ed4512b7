"""The ticket: the password that a client sends under the server's RSA key.

It is sent even where the server wants no password, and must then still decrypt.
Source: spice-wire.md 2.3 and 2.5; spice server/reds.cpp, reds_get_spice_ticket and reds_handle_ticket.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from spicereplay.errors import UsageError
from spicereplay.protocol.link import PUBLIC_KEY_BYTES, TICKET_BYTES

KEY_BITS: Final = 1024
"""The only size whose DER form fills `PUBLIC_KEY_BYTES` and whose ciphertext fills `TICKET_BYTES`."""
PUBLIC_EXPONENT: Final = 65_537
PASSWORD_BYTES: Final = 60
"""Longest password. Source: spice-protocol spice/protocol.h, SPICE_MAX_PASSWORD_LENGTH."""


def _oaep() -> padding.OAEP:
    return padding.OAEP(mgf=padding.MGF1(hashes.SHA1()), algorithm=hashes.SHA1(), label=None)


def encrypt_ticket(public_key: bytes, password: str) -> bytes:
    """Return the ticket for `password` under the key of a link reply; another one at each call.

    Raises `UsageError` for a password over 60 bytes and for a key that is no RSA key of 1024 bits: with one of
    these no link can be made.
    """
    secret = password.encode()
    if len(secret) > PASSWORD_BYTES:
        raise UsageError(f"a SPICE password has at most {PASSWORD_BYTES} bytes, this one has {len(secret)}")
    try:
        key = serialization.load_der_public_key(public_key)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise UsageError(f"the server's public key cannot be read: {error}") from None
    if not isinstance(key, rsa.RSAPublicKey) or key.key_size != KEY_BITS:
        raise UsageError(f"the server's public key is no RSA key of {KEY_BITS} bits")
    return key.encrypt(secret + b"\0", _oaep())


@dataclass(frozen=True, slots=True)
class TicketKey:
    """A server's key pair; `public_key` is what a link reply carries."""

    private: rsa.RSAPrivateKey
    public_key: bytes
    """SubjectPublicKeyInfo in DER, 162 bytes."""

    @classmethod
    def generate(cls) -> TicketKey:
        """Make a new pair."""
        private = rsa.generate_private_key(PUBLIC_EXPONENT, KEY_BITS)
        public = private.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        assert len(public) == PUBLIC_KEY_BYTES, "a key of that size and exponent has that many bytes"
        return cls(private, public)

    def decrypt(self, ticket: bytes) -> bytes | None:
        """Return the password's bytes without the NUL; None where `ticket` was not made with this key."""
        if len(ticket) != TICKET_BYTES:
            return None
        try:
            secret = self.private.decrypt(ticket, _oaep())
        except ValueError:
            return None
        return secret.partition(b"\0")[0]
