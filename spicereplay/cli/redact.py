"""`redact`: a capture or bug report that may be shown to strangers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spicereplay.cli.common import EXIT_NOT_HELD, Force, Input, KeyLog, complain, progress, verb
from spicereplay.redact.what import Choices, Screen, Sound


@verb
def redact(
    source: Input,
    output: Annotated[
        Path,
        typer.Option("-o", "--output", metavar="OUTPUT", help="Where to write it.", show_default=False),
    ],
    screen: Annotated[
        Screen, typer.Option("--screen", help="Pictures: kept, blurred to blocks, or blanked.")
    ] = Screen.BLANK,
    sound: Annotated[Sound, typer.Option("--sound", help="Sound: kept or silenced.")] = Sound.SILENCE,
    force: Force = False,
    keylog: KeyLog = None,
) -> None:
    """Replace what was typed, copied, shown, heard and named; keep every message, size, time and finding.

    A capture becomes a pcapng, a bug report a zip, a directory a directory. The result is checked before it is put in
    its place: the same tables and findings, and nothing of what was replaced. Prints what that was.
    """
    from spicereplay.redact.redact import RedactionFailed
    from spicereplay.redact.redact import redact as write_redacted

    try:
        with progress() as tell:
            done = write_redacted(
                source, output, choices=Choices(screen, sound), force=force, keylog=keylog, progress=tell
            )
    except RedactionFailed as error:
        complain(str(error))
        raise typer.Exit(EXIT_NOT_HELD) from None
    for kind, count in done.counts.items():
        if count:
            complain(f"replaced: {count:,} {kind}")
    for name in done.left_out:
        complain(f"left out: {name}")
    for remark in done.remarks:
        complain(remark)
    typer.echo(str(done.path))
