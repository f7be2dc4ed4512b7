"""Whom a tap believes: subjects as people write them, certificates and keys as they lie about."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
)
from support.tls_peers import Peers

from spicereplay.errors import UsageError
from spicereplay.tap.trust import calling_context, listening_context


def test_certificate_and_key_may_lie_in_one_file_or_two(tmp_path: Path) -> None:
    Peers(tmp_path, rsa_bits=2048)
    pem = (tmp_path / "rsa.pem").read_text()
    at = pem.index("-----BEGIN CERT")
    (tmp_path / "key.pem").write_text(pem[:at])
    (tmp_path / "cert.pem").write_text(pem[at:])
    listening_context(tmp_path / "rsa.pem", None)
    listening_context(tmp_path / "cert.pem", tmp_path / "key.pem")
    with pytest.raises(UsageError, match="no certificate and key can be read"):
        listening_context(tmp_path / "cert.pem", None)
    with pytest.raises(UsageError, match="no certificate and key can be read"):
        listening_context(tmp_path / "ec.pem", tmp_path / "key.pem")


def test_a_key_under_a_password_is_not_waited_for(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    sealed = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x"))
    Peers(tmp_path)
    (tmp_path / "key.pem").write_bytes(sealed)
    with pytest.raises(UsageError, match="private key is encrypted"):
        listening_context(tmp_path / "ec.pem", tmp_path / "key.pem")


def test_what_is_asked_of_a_server(tmp_path: Path) -> None:
    Peers(tmp_path)
    ours = calling_context(ca=tmp_path / "rsa.pem", by_subject=False, insecure=False)
    assert (ours.verify_mode, ours.check_hostname) == (ssl.CERT_REQUIRED, True)
    by_subject = calling_context(ca=None, by_subject=True, insecure=False)
    assert (by_subject.verify_mode, by_subject.check_hostname) == (ssl.CERT_REQUIRED, False)
    anybody = calling_context(ca=None, by_subject=False, insecure=True)
    assert anybody.verify_mode == ssl.CERT_NONE
    (tmp_path / "no.pem").write_text("no certificate")
    with pytest.raises(UsageError, match="no certificates can be read"):
        calling_context(ca=tmp_path / "no.pem", by_subject=False, insecure=False)
