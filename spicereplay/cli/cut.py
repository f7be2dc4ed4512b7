"""`cut`: a span of time as a capture of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spicereplay.cli.common import Force, Input, KeyLog, complain, opened, progress, verb
from spicereplay.cli.frame import named_after
from spicereplay.errors import OutputExistsError


@verb
def cut(
    source: Input,
    from_s: Annotated[
        float, typer.Option("--from", metavar="SECONDS", help="Begin, seconds since the first packet.")
    ],
    to_s: Annotated[
        float, typer.Option("--to", metavar="SECONDS", help="End, seconds since the first packet; inclusive.")
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="PCAPNG",
            help="Where to write the excerpt.",
            show_default="INPUT's name and the span",
        ),
    ] = None,
    raw: Annotated[
        bool,
        typer.Option("--raw", help="Only what lies in the span, although what it refers to is then missing."),
    ] = False,
    force: Force = False,
    keylog: KeyLog = None,
) -> None:
    """Write a span of time as a pcapng that shows the same pictures as the whole capture does.

    Of the time before, what the span needs is kept or drawn anew; what nobody sent is marked by comments. Times stay
    those of the whole capture. Prints the file's name, and on stderr what is in it.
    """
    path = output or named_after(source, f"-{from_s:g}-{to_s:g}s.pcapng")
    if path.exists() and not force:
        raise OutputExistsError(f"{path} exists already; give another name with -o, or --force")
    from spicereplay.excerpt.cut import cut as write_cut

    with opened(source, keylog) as found, progress() as tell:
        done = write_cut(found, from_s, to_s, path, raw=raw, progress=tell)
    complain(
        f"{done.within} messages of the span, {done.before} of before it, {done.written.inserted} made for it, of "
        f"{done.of_messages} in all; {done.written.bytes:,} bytes"
    )
    for remark in done.remarks:
        complain(remark)
    typer.echo(str(path))
