r"""The subject of a certificate, as `host-subject` writes it.

Source: spice-common common/ssl_verify.c, verify_subject: names and values in the certificate's order, `,` between
them, `\\` before a comma that belongs to a value; compared without regard to case and runs of spaces.
"""

from __future__ import annotations

from typing import Final

from cryptography import x509
from cryptography.x509.oid import NameOID

from spicereplay.errors import UsageError

Subject = tuple[tuple[str, str], ...]
"""Names and values, in the certificate's order."""

_NAMES: Final = {
    NameOID.COMMON_NAME: "CN",
    NameOID.COUNTRY_NAME: "C",
    NameOID.LOCALITY_NAME: "L",
    NameOID.STATE_OR_PROVINCE_NAME: "ST",
    NameOID.ORGANIZATION_NAME: "O",
    NameOID.ORGANIZATIONAL_UNIT_NAME: "OU",
    NameOID.STREET_ADDRESS: "STREET",
    NameOID.DOMAIN_COMPONENT: "DC",
    NameOID.USER_ID: "UID",
    NameOID.SERIAL_NUMBER: "SERIALNUMBER",
    NameOID.EMAIL_ADDRESS: "EMAILADDRESS",
    NameOID.SURNAME: "SN",
    NameOID.GIVEN_NAME: "GN",
    NameOID.TITLE: "TITLE",
}
"""Source: RFC 4519 2 and OpenSSL's short names; others go by their number."""


def subject_of(der: bytes) -> Subject:
    """Return the subject of a certificate in DER."""
    name = x509.load_der_x509_certificate(der).subject
    return tuple((_NAMES.get(one.oid, one.oid.dotted_string), str(one.value)) for one in name)


def parse_subject(text: str) -> Subject:
    """Return what a `host-subject` says. Raises `UsageError` for a part without a name and `=`."""
    parts: list[str] = [""]
    signs = iter(text)
    for sign in signs:
        if sign == "\\":
            parts[-1] += next(signs, "")
        elif sign == ",":
            parts.append("")
        else:
            parts[-1] += sign
    found: list[tuple[str, str]] = []
    for part in parts:
        name, equals, value = part.partition("=")
        if not equals or not name.strip():
            raise UsageError(f"{text!r} is no subject: it needs to look like C=IL,O=Red Hat,CN=my server")
        found.append((name.strip(), value.strip()))
    return tuple(found)


def wrong_subject(der: bytes | None, wanted: Subject) -> str | None:
    """Return what is wrong with a certificate's subject, in words; None: nothing. `der`: None if there is none."""
    found = subject_of(der) if der else ()
    if same_subject(found, wanted):
        return None
    return f"the certificate's subject is {_text(found)}, and not {_text(wanted)}"


def same_subject(one: Subject, other: Subject) -> bool:
    """Say whether two subjects are the same, without regard to case and runs of spaces."""
    return _plain(one) == _plain(other)


def _plain(subject: Subject) -> list[tuple[str, str]]:
    return [(name.upper(), " ".join(value.split()).casefold()) for name, value in subject]


def _text(subject: Subject) -> str:
    return ",".join(f"{name}={value}" for name, value in subject) or "empty"
