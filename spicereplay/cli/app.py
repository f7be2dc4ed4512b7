"""The `spicereplay` command.

Verbs live in a module each and import what they need when they run, so that `--help` stays quick.
"""

from __future__ import annotations

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
from spicereplay.cli.common import drop_output

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


app.command("report")(report.report)
app.command("info")(info.info)
app.command("messages")(messages.messages)
app.command("streams")(streams.streams)
app.command("table")(table.table)
app.command("findings")(findings.findings)
app.command("frame")(frame.frame)
app.command("video")(video.video)
app.command("export")(export.export)
app.command("cut")(cut.cut)
app.command("shrink")(shrink.shrink)
app.command("redact")(redact.redact)
app.command("serve")(serve.serve)
app.command("tap")(tap.tap)
app.command("sniff")(sniff.sniff)
app.command("connect")(connect.connect)
app.command("compare")(compare.compare)
app.command("bench")(bench.bench)
app.add_typer(golden.golden, name="golden")
app.command("doctor")(doctor.doctor)


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
