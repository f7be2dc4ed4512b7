"""The command line, run within the tests' own process."""

from __future__ import annotations

from typing import NamedTuple

from typer.testing import CliRunner

from spicereplay.cli.app import app


class Done(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


def run(*words: object) -> Done:
    """Run the command within this process, where warnings are errors; what it does not catch comes out."""
    result = CliRunner(env={"NO_COLOR": "1"}).invoke(app, list(map(str, words)))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Done(result.exit_code, result.stdout, result.stderr)
