"""`table`: any table by name."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from spicereplay.cli.common import Input, Json, KeyLog, tables_of, verb, write_lines
from spicereplay.cli.output import print_table
from spicereplay.errors import UsageError


@verb
def table(
    source: Input,
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="A table; without it the names are listed.", show_default=False),
    ] = None,
    json: Json = False,
    csv: Annotated[bool, typer.Option("--csv", help="Print CSV instead of text.")] = False,
    reveal_keys: Annotated[
        bool,
        typer.Option(
            "--reveal-keys",
            help="Show in `inputs` which keys were pressed: passwords that were typed become readable.",
        ),
    ] = False,
    keylog: KeyLog = None,
) -> None:
    """Print any table of the analysis (JSON Lines with --json)."""
    from spicereplay.analysis.schema import TABLES

    known = ", ".join(TABLES)
    if name is None:
        raise UsageError(f"which table? There are {known}")
    if name not in TABLES:
        raise UsageError(f"no table is called {name!r}; there are {known}")
    if json and csv:
        raise UsageError("--json and --csv exclude each other")
    with tables_of(source, keylog, reveal_keys=reveal_keys) as tables:
        frame = tables[name]
        if json:
            from spicereplay.analysis.json import to_lines

            write_lines(line.rstrip("\n") for line in to_lines(name, frame))
        elif csv:
            from spicereplay.export.text import safe

            safe(name, frame).to_csv(sys.stdout, index=False, lineterminator="\n")
        else:
            print_table(name, frame, TABLES[name].names, empty=f"the table {name} is empty for this input")
