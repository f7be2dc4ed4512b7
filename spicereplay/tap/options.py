"""What the words on the command line mean: places, routes, and when a new file begins."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from spicereplay.capture.connection import Endpoint
from spicereplay.errors import UsageError
from spicereplay.recording.rolling import Rotation
from spicereplay.tap.proxy import Route
from spicereplay.tap.trust import calling_context, listening_context
from spicereplay.transport.tls.subject import parse_subject
from spicereplay.units import KIB, MIB

LOOPBACK: Final = "127.0.0.1"
LEAST_FILE_BYTES: Final = 64 * KIB
"""A file that is rotated has to have room for the link stages of its connections, and for something behind them."""

_PLACE: Final = re.compile(r"(?:(?:\[([^\]]+)\]|([^:\[\]]+)):)?(\d{1,5})")
_SIZES: Final = {"K": KIB, "M": MIB, "G": KIB * MIB}
_TIMES: Final = {"s": 1, "min": 60, "h": 3600}
_ROTATION: Final = re.compile(r"(\d{1,9}(?:\.\d{1,3})?)\s*([KMG]i?B?|s|min|h)")


def parse_place(text: str, *, host: str | None = None) -> Endpoint:
    """Return the place that `HOST:PORT`, `[ADDRESS]:PORT`, a path or, where there is a `host`, `PORT` means.

    What has a slash in it is the path of a Unix socket. Raises `UsageError`.
    """
    if "/" in text:
        return Endpoint(str(Path(text).expanduser().absolute()), 0)
    found = _PLACE.fullmatch(text.strip())
    name = (found[1] or found[2] or host) if found else None
    if found is None or name is None or int(found[3]) > 0xFFFF:
        forms = "HOST:PORT, [ADDRESS]:PORT" + (", PORT" if host else "")
        raise UsageError(f"{text!r} is no place; it needs to be {forms} or the /PATH of a Unix socket")
    return Endpoint(name, int(found[3]))


def parse_size(text: str) -> int:
    """Return the bytes that `100M`, `2G` or `512KiB` means; units are powers of 1024. Raises `UsageError`."""
    found = _ROTATION.fullmatch(text.strip())
    if found is None or found[2][0] not in _SIZES:
        raise UsageError(f"{text!r} is no size; it needs to be like 100M or 2G")
    return int(float(found[1]) * _SIZES[found[2][0]])


def parse_rotation(text: str) -> Rotation:
    """Return when a new file begins: at a size (`100M`) or an age (`600s`, `10min`, `1h`). Raises `UsageError`."""
    found = _ROTATION.fullmatch(text.strip())
    if found is None:
        raise UsageError(
            f"{text!r} says not when a new file begins; it needs to be like 100M, 600s, 10min or 1h"
        )
    if found[2] in _TIMES:
        rotation = Rotation(seconds=float(found[1]) * _TIMES[found[2]])
        if rotation.seconds == 0:
            raise UsageError("a file needs some time; --rotate 1s is the least that makes sense")
        return rotation
    size = parse_size(text)
    if size < LEAST_FILE_BYTES:
        raise UsageError(f"files of {size:,} bytes are too small; {LEAST_FILE_BYTES:,} is the least")
    return Rotation(bytes=size)


def routes_of(
    listen: str,
    to: str,
    *,
    to_tls: bool = False,
    ca: Path | None = None,
    host_subject: str | None = None,
    insecure: bool = False,
    certificate: Path | None = None,
    key: Path | None = None,
    tls_listen: str | None = None,
    tls_to: str | None = None,
) -> tuple[Route, ...]:
    """Return where clients come in and where they are led.

    With a `certificate` clients speak TLS: at `tls_listen` if that is given, else at `listen`. The server is spoken to
    in TLS at `tls_to`, and at `to` with `to_tls`. Raises `UsageError` for what makes no sense together.
    """
    calls_tls = to_tls or tls_to is not None
    if certificate is None and (tls_listen is not None or key is not None):
        raise UsageError(
            f"{'--tls-listen' if tls_listen else '--tls-key'} needs --tls-cert, a certificate to show"
        )
    if tls_to is not None and tls_listen is None:
        raise UsageError("--tls-to is where those go who come by --tls-listen, which is not given")
    if insecure and (ca is not None or host_subject is not None):
        raise UsageError("--insecure asks for no certificate: it excludes --ca and --host-subject")
    if not calls_tls and (insecure or ca is not None or host_subject is not None):
        raise UsageError(
            "--ca, --host-subject and --insecure are for TLS to the server: --to-tls or --tls-to"
        )
    accept = None if certificate is None else listening_context(certificate, key)
    subject = None if host_subject is None else parse_subject(host_subject)
    by_subject = subject is not None
    call = calling_context(ca=ca, by_subject=by_subject, insecure=insecure) if calls_tls else None
    server = parse_place(to)
    plain = Route(
        parse_place(listen, host=LOOPBACK),
        server,
        accept if tls_listen is None else None,
        call if to_tls else None,
        subject,
    )
    routes: tuple[Route, ...] = (plain,)
    if tls_listen is not None:
        behind = server if tls_to is None else parse_place(tls_to)
        routes += (Route(parse_place(tls_listen, host=LOOPBACK), behind, accept, call, subject),)
    for route in routes:
        if (route.accept and route.listen.is_path) or (route.call and route.to.is_path):
            raise UsageError("SPICE on a Unix socket has no TLS")
    return routes
