"""What all verbs share: the input argument, error lines and exit codes, progress, opening an input."""

from __future__ import annotations

import contextlib
import functools
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, ParamSpec, TypeVar

import typer
from typer.core import TyperCommand

from spicereplay.errors import InputError, SpiceReplayError
from spicereplay.text import visible

if TYPE_CHECKING:
    from spicereplay.analysis.timeline import Tables
    from spicereplay.replay import Progress, Replay

EXIT_NOT_HELD: Final = 1
EXIT_USAGE: Final = 2
EXIT_INPUT: Final = 3
EXIT_INTERRUPTED: Final = 130

Input = Annotated[
    Path,
    typer.Argument(
        metavar="INPUT",
        help="A pcap or pcapng file (also .gz), a bug-report zip, a --capture or auto-snapshot directory.",
        show_default=False,
    ),
]
KeyLog = Annotated[
    Path | None,
    typer.Option(
        "--keylog",
        metavar="FILE",
        exists=True,
        dir_okay=False,
        readable=True,
        help="Secrets that open TLS, in SSLKEYLOGFILE format; those inside a pcapng are used unasked.",
        show_default=False,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
Force = Annotated[bool, typer.Option("--force", help="Overwrite an existing output.")]

P = ParamSpec("P")
R = TypeVar("R")


class Verb(TyperCommand):
    """A verb as the command line takes it apart."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Refuse a second `--keylog`, of which the last would count and nobody would know."""
        _, _, given = self.make_parser(ctx).parse_args(list(args))
        if [one.name for one in given].count("keylog") > 1:
            raise typer.BadParameter("--keylog is given twice; put the lines of all key logs into one file")
        return super().parse_args(ctx, args)


def verb(function: Callable[P, R]) -> Callable[P, R]:
    """Turn the package's errors into one line on stderr and the exit code of the contract."""

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except SpiceReplayError as error:
            complain(str(error))
            raise typer.Exit(EXIT_INPUT if isinstance(error, InputError) else EXIT_USAGE) from None
        except OSError as error:
            if isinstance(error, BrokenPipeError):
                raise
            name = f"{error.filename}: " if error.filename else ""
            complain(f"{name}{error.strerror or error}")
            raise typer.Exit(EXIT_INPUT) from None
        except KeyboardInterrupt:
            drop_output()
            complain("interrupted")
            raise typer.Exit(EXIT_INTERRUPTED) from None

    return run


def drop_output() -> None:
    """Give up on what stdout still holds: nobody reads it any more, and writing it out could wait for ever."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def complain(text: str) -> None:
    """Print one line to stderr, safe for a terminal."""
    print(f"spicereplay: {visible(text)}", file=sys.stderr)


@contextlib.contextmanager
def progress() -> Iterator[Progress | None]:
    """Give a progress callback that draws a bar on stderr; None where stderr is no terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    ) as bar:
        tasks: dict[str, Any] = {}

        def tell(what: str, done: int, total: int) -> None:
            if what not in tasks:
                for task in tasks.values():
                    bar.update(task, visible=False)
                tasks[what] = bar.add_task(what, total=total)
            bar.update(tasks[what], completed=done, total=total)

        yield tell


@contextlib.contextmanager
def opened(path: Path, keylog: Path | None = None, *, require_spice: bool = True) -> Iterator[Replay]:
    """Open an input with a progress bar; `keylog` is a file with the secrets of its TLS connections."""
    from spicereplay.replay import replay

    with progress() as tell:
        found = replay(path, progress=tell, keylog=keylog, require_spice=require_spice)
    with found:
        yield found


@contextlib.contextmanager
def tables_of(path: Path, keylog: Path | None = None, *, reveal_keys: bool = False) -> Iterator[Tables]:
    """Open an input and give its tables, which are made when they are asked for."""
    from spicereplay.analysis.timeline import Tables

    with opened(path, keylog) as found:
        yield Tables(found, reveal_keys=reveal_keys)


def write_bytes(blocks: Iterable[memoryview]) -> None:
    """Write blocks of text that is encoded already to stdout."""
    sys.stdout.flush()
    for block in blocks:
        sys.stdout.buffer.write(block)
    sys.stdout.buffer.flush()


def write_lines(lines: Iterator[str], per_write: int = 4096) -> None:
    """Write many lines to stdout in few system calls."""
    block: list[str] = []
    for line in lines:
        block.append(line)
        if len(block) == per_write:
            sys.stdout.write("\n".join(block) + "\n")
            block.clear()
    if block:
        sys.stdout.write("\n".join(block) + "\n")
    sys.stdout.flush()
