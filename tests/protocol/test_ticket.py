"""Tickets: what one side encrypts, the other reads; what cannot be a ticket is none."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spicereplay.errors import UsageError
from spicereplay.protocol.link import PUBLIC_KEY_BYTES, TICKET_BYTES
from spicereplay.protocol.ticket import PASSWORD_BYTES, TicketKey, encrypt_ticket

KEY = TicketKey.generate()
OTHER = TicketKey.generate()


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=15))
@settings(max_examples=30)
def test_a_password_comes_back(password: str) -> None:
    ticket = encrypt_ticket(KEY.public_key, password)
    assert len(ticket) == TICKET_BYTES
    assert KEY.decrypt(ticket) == password.encode()


def test_the_longest_password_fits_and_a_longer_one_is_refused() -> None:
    assert KEY.decrypt(encrypt_ticket(KEY.public_key, "x" * PASSWORD_BYTES)) == b"x" * PASSWORD_BYTES
    with pytest.raises(UsageError, match="at most 60 bytes"):
        encrypt_ticket(KEY.public_key, "x" * (PASSWORD_BYTES + 1))


def test_two_tickets_for_one_password_differ() -> None:
    assert encrypt_ticket(KEY.public_key, "a") != encrypt_ticket(KEY.public_key, "a")


def test_the_key_has_the_size_that_the_link_reply_has_room_for() -> None:
    assert len(KEY.public_key) == PUBLIC_KEY_BYTES


@given(st.binary(max_size=200))
@settings(max_examples=50)
def test_what_is_no_ticket_is_none(data: bytes) -> None:
    assert KEY.decrypt(data) is None


def test_a_ticket_for_another_key_is_none() -> None:
    assert OTHER.decrypt(encrypt_ticket(KEY.public_key, "a")) is None


@pytest.mark.parametrize("key", [b"", bytes(162), b"\x30" * 162])
def test_what_is_no_key_is_refused(key: bytes) -> None:
    with pytest.raises(UsageError, match="public key cannot be read"):
        encrypt_ticket(key, "a")


def test_a_key_of_another_size_is_refused() -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    der = (
        rsa.generate_private_key(65537, 2048)
        .public_key()
        .public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    with pytest.raises(UsageError, match="no RSA key of 1024 bits"):
        encrypt_ticket(der, "a")
