"""`tap`: record what passes between any client and its server."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from spicereplay.cli.common import Force, complain, verb

if TYPE_CHECKING:
    from spicereplay.tap.proxy import Event, Route

SWITCH_SECONDS: Final = 0.000_2
"""How long a thread may keep the interpreter to itself (5 ms by default): what passes waits for the one that writes."""


@verb
def tap(
    listen: Annotated[
        str,
        typer.Argument(
            metavar="LISTEN",
            help="Where clients connect: PORT (on 127.0.0.1; 0: a free one), ADDRESS:PORT, [ADDRESS]:PORT, /PATH.",
            show_default=False,
        ),
    ],
    to: Annotated[
        str,
        typer.Option(
            "--to", metavar="HOST:PORT", help="The server; /PATH of a Unix socket, too.", show_default=False
        ),
    ],
    record: Annotated[
        Path,
        typer.Option(
            "--record",
            metavar="FILE",
            help="The recording, a pcapng; with --rotate a directory.",
            show_default=False,
        ),
    ],
    rotate: Annotated[
        str | None,
        typer.Option(
            "--rotate",
            metavar="SIZE|TIME",
            help="Begin a new file at that size (100M) or age (600s).",
            show_default=False,
        ),
    ] = None,
    to_tls: Annotated[bool, typer.Option("--to-tls", help="Speak TLS to the server.")] = False,
    ca: Annotated[
        Path | None,
        typer.Option(
            "--ca",
            metavar="FILE",
            exists=True,
            dir_okay=False,
            readable=True,
            help="Authorities that the server's certificate may come from, PEM.",
            show_default="the system's",
        ),
    ] = None,
    host_subject: Annotated[
        str | None,
        typer.Option(
            "--host-subject",
            metavar="SUBJECT",
            help="What the subject of its certificate has to be.",
            show_default="its host name is checked",
        ),
    ] = None,
    insecure: Annotated[bool, typer.Option("--insecure", help="Take any certificate of the server.")] = False,
    tls_cert: Annotated[
        Path | None,
        typer.Option(
            "--tls-cert",
            metavar="FILE",
            exists=True,
            dir_okay=False,
            readable=True,
            help="Have clients speak TLS and show them this certificate, PEM.",
            show_default=False,
        ),
    ] = None,
    tls_key: Annotated[
        Path | None,
        typer.Option(
            "--tls-key",
            metavar="FILE",
            exists=True,
            dir_okay=False,
            readable=True,
            help="Its private key, PEM.",
            show_default="beside it",
        ),
    ] = None,
    tls_listen: Annotated[
        str | None,
        typer.Option(
            "--tls-listen",
            metavar="LISTEN",
            help="Have clients speak TLS there, and in the clear at the other place.",
            show_default=False,
        ),
    ] = None,
    tls_to: Annotated[
        str | None,
        typer.Option(
            "--tls-to",
            metavar="HOST:PORT",
            help="The server's TLS port, for those who come by --tls-listen.",
            show_default="as --to",
        ),
    ] = None,
    force: Force = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print what happens as JSON Lines on stdout.")
    ] = False,
) -> None:
    """Carry connections between clients and a server and record them, TLS opened, until Ctrl-C.

    The recording is a pcapng of SPICE in the clear; tickets in it are zeroed. What happens is told on stderr. What
    cannot be recorded is carried all the same.
    """
    import asyncio

    from spicereplay.recording.recorder import Recorder
    from spicereplay.tap.options import parse_rotation, routes_of
    from spicereplay.tap.proxy import carry

    routes = routes_of(
        listen,
        to,
        to_tls=to_tls,
        ca=ca,
        host_subject=host_subject,
        insecure=insecure,
        certificate=tls_cert,
        key=tls_key,
        tls_listen=tls_listen,
        tls_to=tls_to,
    )
    rotation = None if rotate is None else parse_rotation(rotate)
    # Wall-clock time as of now, which goes on evenly whatever is done to the clock.
    offset_ns = time.time_ns() - time.monotonic_ns()

    def clock() -> int:
        return time.monotonic_ns() + offset_ns

    _warn(routes, insecure)
    sys.setswitchinterval(SWITCH_SECONDS)
    comment = "recorded by a tap between clients and server"
    with Recorder.open(
        record, rotation=rotation, force=force, interface="tap", comment=comment, started_ns=clock()
    ) as recorder:
        try:
            asyncio.run(carry(routes, recorder, _print_json if as_json else _say, clock=clock))
        finally:
            recorder.close()
            if recorder.lost_bytes:
                complain(f"{recorder.lost_bytes:,} bytes are not in {record}; they count as missing there")


def _warn(routes: tuple[Route, ...], insecure: bool) -> None:
    """Say what may not be meant."""
    if insecure:
        complain("--insecure: whoever answers is taken for the server")
    for route in routes:
        if route.call is not None and route.accept is None:
            complain(f"what the server has under TLS is in the clear between clients and {route.listen}")


def _say(event: Event) -> None:
    complain(event.text)


def _print_json(event: Event) -> None:
    typer.echo(json.dumps({"event": event.kind, **event.facts}))
