"""`serve`: replay a capture to a real SPICE client."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from spicereplay.cli.common import Input, KeyLog, complain, opened, progress, verb
from spicereplay.errors import UsageError

if TYPE_CHECKING:
    from spicereplay.serve.server import Event

LOOPBACK = ("localhost", "127.", "::1")


@verb
def serve(
    source: Input,
    port: Annotated[
        int,
        typer.Option("--port", "-p", metavar="P", help="Port to listen on; 0: a free one.", min=0, max=65535),
    ],
    host: Annotated[
        str, typer.Option("--host", metavar="ADDRESS", help="Address to listen on.")
    ] = "127.0.0.1",
    speed: Annotated[
        float, typer.Option("--speed", metavar="X", help="Seconds of the recording per second.")
    ] = 1.0,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="As fast as the client takes it.")] = False,
    session: Annotated[
        int | None,
        typer.Option(
            "--session", metavar="N", help="Session, from 0.", show_default="the last begun with a display"
        ),
    ] = None,
    password: Annotated[
        str | None,
        typer.Option("--password", metavar="WORD", help="Let in who knows it.", show_default="any will do"),
    ] = None,
    linger: Annotated[
        float | None,
        typer.Option(
            "--linger",
            metavar="S",
            min=0,
            help="Seconds a client is kept at the end.",
            show_default="until it leaves",
        ),
    ] = None,
    patience: Annotated[
        float,
        typer.Option(
            "--patience", metavar="S", min=0, help="Seconds the start waits for channels that do not come."
        ),
    ] = 5.0,
    once: Annotated[bool, typer.Option("--once", help="Stop when the first client has left.")] = False,
    synthetic_beginning: Annotated[
        bool,
        typer.Option(
            "--synthetic-beginning",
            help="Make up what the capture lacks of the beginning that a client needs.",
        ),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print what happens as JSON Lines on stdout.")
    ] = False,
    keylog: KeyLog = None,
) -> None:
    """Replay what the server said to a SPICE client that connects, at the recorded intervals.

    Every client gets a replay of its own from the beginning. What happens is told on stderr; Ctrl-C ends it.
    """
    if no_wait and speed != 1.0:
        raise UsageError("--no-wait and --speed exclude each other")
    import asyncio

    from spicereplay.serve import script_of
    from spicereplay.serve.server import Manner, serve

    manner = Manner(None if no_wait else speed, password, linger, once, patience)
    tell = _print_json if as_json else _say
    with opened(source, keylog) as found:
        with progress() as bar:
            script = script_of(found, session, synthetic_beginning=synthetic_beginning, progress=bar)
        complain(
            f"session {script.session.number} of {found.path.name}: {script.duration_s:.1f} s, "
            f"{', '.join(part.name for part in script.parts.values())}"
        )
        for remark in script.remarks:
            complain(remark)
        if not host.startswith(LOOPBACK) and password is None:
            complain(f"whoever reaches {host} can watch the recording; --password lets in those who know it")
        asyncio.run(serve(script, manner, tell, host=host, port=port))


def _say(event: Event) -> None:
    for line in event.text.split("\n"):
        complain(line)


def _print_json(event: Event) -> None:
    typer.echo(json.dumps({"event": event.kind, **event.facts}))
