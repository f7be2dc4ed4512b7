"""The `spicereplay` command.

Verbs live in a module each and import what they need when they run, so that `--help` stays quick.
"""

from __future__ import annotations

import functools
import sys
from typing import Annotated

import typer

from spicereplay._version import __version__
from spicereplay.cli import (
    bench,
    compare,
    connect,
    cut,
    doctor,
    export,
    findings,
    frame,
    golden,
    info,
    messages,
    redact,
    report,
    serve,
    shrink,
    sniff,
    streams,
    table,
    tap,
    video,
)
from spicereplay.cli.common import Verb, drop_output

app = typer.Typer(
    name="spicereplay",
    help="Replay SPICE remote desktop captures and bug reports, and say what went wrong.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"spicereplay {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Replay SPICE remote desktop captures and bug reports, and say what went wrong."""


command = functools.partial(app.command, cls=Verb)
command("report")(report.report)
command("info")(info.info)
command("messages")(messages.messages)
command("streams")(streams.streams)
command("table")(table.table)
command("findings")(findings.findings)
command("frame")(frame.frame)
command("video")(video.video)
command("export")(export.export)
command("cut")(cut.cut)
command("shrink")(shrink.shrink)
command("redact")(redact.redact)
command("serve")(serve.serve)
command("tap")(tap.tap)
command("sniff")(sniff.sniff)
command("connect")(connect.connect)
command("compare")(compare.compare)
command("bench")(bench.bench)
app.add_typer(golden.golden, name="golden")
command("doctor")(doctor.doctor)


def main() -> None:
    """Run the command line; the entry point of the installed command."""
    try:
        app()
    except BrokenPipeError:
        # The reader of our output went away (`| head`): that is its business, not an error.
        drop_output()
        sys.exit(0)


if __name__ == "__main__":
    main()
