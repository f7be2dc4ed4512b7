"""`report`: one HTML page."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from spicereplay.cli.common import Force, Input, KeyLog, opened, progress, verb
from spicereplay.errors import OutputExistsError


@verb
def report(
    source: Input,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", metavar="PAGE", help="Where to write the page.", show_default="INPUT's name"
        ),
    ] = None,
    force: Force = False,
    decode: Annotated[
        bool, typer.Option("--decode/--no-decode", help="Decode video frames to measure how long that takes.")
    ] = True,
    keylog: KeyLog = None,
) -> None:
    """Write one self-contained HTML page: verdict, evidence, timelines."""
    page = output or Path(default_name(source))
    if page.exists() and not force:
        raise OutputExistsError(f"{page} exists already; give another name with -o, or --force")
    from spicereplay.analysis.timeline import Tables
    from spicereplay.report.assemble import content_of
    from spicereplay.report.page import write_report

    with opened(source, keylog) as found, progress() as tell:
        tables = Tables(found, decode=decode, progress=tell)
        content = content_of(tables, command_line=shlex.join(["spicereplay", *sys.argv[1:]]))
        write_report(content, page, force=force)
    typer.echo(str(page))


def default_name(source: Path) -> str:
    """Return the page's name in the current directory: that of the input, with `.html` for its endings."""
    name = source.resolve().name
    for ending in (".gz", ".zip", ".pcapng", ".pcap", ".cap"):
        name = name.removesuffix(ending)
    return f"{name or 'report'}.html"
