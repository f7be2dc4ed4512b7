"""TLS on either side of a tap: what it shows to clients, and what it asks of a server.

A subject that the user names takes the place of the host name. Source: spice-common common/ssl_verify.c.
"""

from __future__ import annotations

import errno
import os
import ssl
from pathlib import Path

from spicereplay.errors import UsageError


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
    or with `by_subject` to have the right subject, which is for `transport.tls.subject` to see. With `insecure`
    nothing is asked. Raises `UsageError` for a file that cannot be used.
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
