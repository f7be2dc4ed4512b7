"""`export`: tables, sessions, screen and sound in the formats of other tools."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spicereplay.cli.common import Force, Input, KeyLog, complain, opened, progress, verb
from spicereplay.cli.frame import named_after
from spicereplay.export import ExportFormat


@verb
def export(
    source: Input,
    to: Annotated[
        ExportFormat,
        typer.Option(
            "--to",
            help="What to write.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="PATH",
            help="Where to write it; one table can go to a file ending in .parquet, .csv or .jsonl.",
            show_default="INPUT's name",
        ),
    ] = None,
    table: Annotated[
        list[str] | None,
        typer.Option("--table", metavar="NAME", help="Only this table; may be repeated.", show_default=False),
    ] = None,
    session: Annotated[
        int | None,
        typer.Option("--session", metavar="N", help="Session of wav and mp4, from 0.", show_default=False),
    ] = None,
    channel_id: Annotated[
        int | None,
        typer.Option("--channel-id", metavar="N", help="Channel of wav and mp4.", show_default=False),
    ] = None,
    decode: Annotated[
        bool, typer.Option("--decode/--no-decode", help="Decode pictures to measure how long that takes.")
    ] = True,
    force: Force = False,
    keylog: KeyLog = None,
) -> None:
    """Write an input in the format of another tool, and print the name of what was written.

    parquet, csv and json give a folder of tables with a manifest.json; perfetto a timeline for ui.perfetto.dev;
    pcapng the sessions in the clear; wav the sound and mp4 the screen of one session.
    """
    path = output or default_output(source, to, table or [])
    from spicereplay.analysis.timeline import Tables
    from spicereplay.export.folder import refuse_existing
    from spicereplay.export.formats import write

    refuse_existing(path, force=force)
    with opened(source, keylog) as found, progress() as tell:
        done = write(
            Tables(found, decode=decode, progress=tell),
            to,
            path,
            names=table or [],
            session=session,
            channel_id=channel_id,
            force=force,
            progress=tell,
        )
    for sentence in done.remarks:
        complain(sentence)
    typer.echo(str(done.path))


def default_output(source: Path, to: ExportFormat, tables: list[str]) -> Path:
    """Return the output's name in the current directory: that of the input, and what it holds."""
    if not to.of_tables:
        # A capture exported as a capture must not take its input's name.
        return named_after(source, "-sessions.pcapng" if to is ExportFormat.PCAPNG else to.ending)
    return named_after(source, f"-{tables[0]}{to.ending}" if len(tables) == 1 else f"-{to}")
