"""`findings`: what went wrong, worst first."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from spicereplay.cli.common import EXIT_NOT_HELD, Input, Json, KeyLog, tables_of, verb
from spicereplay.cli.output import print_findings, print_json


class Severity(StrEnum):
    """How bad a finding is."""

    INFO = "info"
    WARN = "warn"
    CRITICAL = "critical"


@verb
def findings(
    source: Input,
    json: Json = False,
    fail_on: Annotated[
        Severity | None,
        typer.Option(
            "--fail-on", help="Exit with 1 when a finding is this bad or worse.", show_default=False
        ),
    ] = None,
    keylog: KeyLog = None,
) -> None:
    """List what went wrong, worst first, with evidence."""
    from spicereplay.analysis.json import to_records

    with tables_of(source, keylog) as tables:
        records = list(to_records("findings", tables["findings"]))
        if json:
            print_json(records)
        else:
            print_findings(tables.verdict, records)
    order = list(Severity)
    worst = max((order.index(Severity(r["severity"])) for r in records), default=-1)
    if fail_on is not None and worst >= order.index(fail_on):
        raise typer.Exit(EXIT_NOT_HELD)
