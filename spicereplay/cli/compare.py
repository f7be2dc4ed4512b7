"""`compare`: what differs between two or more sessions."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from spicereplay.cli.common import Force, Json, KeyLog, progress, verb
from spicereplay.cli.output import print_json
from spicereplay.errors import OutputExistsError


@verb
def compare(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT INPUT...",
            help="Two inputs or more: PATH or LABEL=PATH. A label such as driver:qxl,vmem:16 says what was varied.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="PAGE", help="Write an HTML page.", show_default=False),
    ] = None,
    json: Json = False,
    baseline: Annotated[
        str | None,
        typer.Option(
            metavar="LABEL",
            help="What the others are compared with; the first otherwise.",
            show_default=False,
        ),
    ] = None,
    align: Annotated[
        str | None,
        typer.Option(
            metavar="EVENT",
            help="Second 0 for all: start, main_init, surface, draw, agent, stream_1 …",
            show_default=False,
        ),
    ] = None,
    decode: Annotated[
        bool,
        typer.Option("--decode/--no-decode", help="Decode images and video to measure how long that takes."),
    ] = True,
    force: Force = False,
    keylog: KeyLog = None,
) -> None:
    """Say what differs between two or more sessions, how sure that is, and whether it matters."""
    if output is not None and output.exists() and not force:
        raise OutputExistsError(f"{output} exists already; give another name with -o, or --force")
    from spicereplay import api
    from spicereplay.comparison.labels import names, split

    given = [split(source) for source in sources]
    unnamed = iter(names([path for label, path in given if label is None]))
    with progress() as tell:
        found = api.compare(
            *(path for _, path in given),
            labels=[label or next(unnamed) for label, _ in given],
            baseline=baseline,
            align_on=align,
            decode=decode,
            progress=tell,
            keylog=keylog,
        )
    if output is not None:
        from spicereplay.report.comparison_page import write_comparison

        write_comparison(found, output, force=force, command_line=shlex.join(["spicereplay", *sys.argv[1:]]))
    if json:
        print_json(found.to_json())
    else:
        print(found)
    if output is not None:
        typer.echo(str(output), err=json)
