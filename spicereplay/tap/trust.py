"""TLS on either side of a tap: what it shows to clients, and what it asks of a server.

Source: spice-common ssl_verify.c: a subject that the user names takes the place of the host name, and equals the
certificate's entry by entry, in order, without regard to case and runs of blanks.
"""

from __future__ import annotations

import errno
import os
import re
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from spicereplay.errors import UsageError

_NAMES: Final = {
    "C": "countryName",
    "CN": "commonName",
    "DC": "domainComponent",
    "emailAddress": "emailAddress",
    "L": "localityName",
    "O": "organizationName",
    "OU": "organizationalUnitName",
    "SERIALNUMBER": "serialNumber",
    "ST": "stateOrProvinceName",
    "STREET": "streetAddress",
    "UID": "userId",
}
"""Short names of subject entries and what OpenSSL calls them at length. Source: RFC 4514 section 3, OpenSSL
crypto/objects/objects.txt."""

Subject = tuple[tuple[str, str], ...]
"""Entries of a subject in order: the long name, and the value in lower case with single blanks."""


def listening_context(certificate: Path, key: Path | None) -> ssl.SSLContext:
    """Return how clients are answered in TLS; `key` is where the private key is, None: beside the certificate.

    Raises `UsageError` for files that cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        # A password would be asked for on the terminal; what runs unwatched must not wait for it.
        context.load_cert_chain(certificate, key, password=_no_password)
    except (OSError, ValueError) as error:
        places = f"{certificate}" + (f" and {key}" if key is not None else "")
        raise UsageError(f"no certificate and key can be read from {places}: {_words(error)}") from None
    return context


def calling_context(*, ca: Path | None, by_subject: bool, insecure: bool) -> ssl.SSLContext:
    """Return how the server is called in TLS.

    Its certificate has to come from an authority in `ca` (None: one that the system trusts) and to name the host,
    or with `by_subject` to have the right subject, which is `check_subject`'s to see. With `insecure` nothing is
    asked. Raises `UsageError` for a file that cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = not (insecure or by_subject)
    if insecure:
        context.verify_mode = ssl.CERT_NONE
        return context
    try:
        if ca is None:
            context.load_default_certs()
        else:
            context.load_verify_locations(ca)
    except (OSError, ValueError) as error:
        raise UsageError(f"no certificates can be read from {ca}: {_words(error)}") from None
    return context


def parse_subject(text: str) -> Subject:
    r"""Return the entries of a subject as spice-gtk's `--spice-host-subject` takes it: `C=IL,O=Red Hat,CN=my server`.

    A comma or backslash within a value has a backslash before it. Raises `UsageError` for what is no subject.
    """
    entries = []
    for part in re.findall(r"(?:[^,\\]|\\.)+", text) or [text]:
        name, sign, value = part.strip().partition("=")
        if not sign or not name.strip():
            raise UsageError(f"{text!r} is no subject: it needs to look like C=IL,O=Red Hat,CN=my server")
        short = name.strip()
        entries.append((_NAMES.get(short, short), _plain(re.sub(r"\\(.)", r"\1", value))))
    return tuple(entries)


def check_subject(connection: ssl.SSLObject, wanted: Subject) -> str | None:
    """Return what is wrong with the subject of the certificate that the other side has shown; None: nothing is."""
    shown = connection.getpeercert()
    found = tuple(_entries(shown.get("subject", ()))) if shown else ()
    if found == wanted:
        return None
    return f"the certificate's subject is {_text(found)}, and not {_text(wanted)}"


def _entries(subject: object) -> Iterator[tuple[str, str]]:
    assert isinstance(subject, tuple), "so says `SSLSocket.getpeercert`"
    for relative in subject:
        for name, value in relative:
            yield str(name), _plain(str(value))


def _plain(value: str) -> str:
    return " ".join(value.split()).lower()


def _text(subject: Subject) -> str:
    short = {long: name for name, long in _NAMES.items()}
    return ",".join(f"{short.get(name, name)}={value}" for name, value in subject) or "empty"


def _no_password() -> str:
    raise ValueError("the private key is encrypted; `openssl pkey` takes the password off")


def _words(error: Exception) -> str:
    """Return an error in a line, without the source lines that OpenSSL adds."""
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason.replace("_", " ").lower()
    return getattr(error, "strerror", None) or str(error)


def trouble_of(error: OSError) -> str:
    """Return why a connection could not be made, in words."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not believed: {error.verify_message.rstrip('.')}"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed: {_words(error)}"
    if error.errno is not None and error.errno in errno.errorcode:
        return os.strerror(error.errno)  # asyncio puts other words there
    return error.strerror or str(error) or "it hung up within the handshake"
