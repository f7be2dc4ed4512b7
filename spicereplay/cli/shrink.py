"""`shrink`: the smallest capture found that still shows a fault."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spicereplay.cli.common import Force, Input, KeyLog, complain, opened, progress, verb
from spicereplay.cli.frame import named_after
from spicereplay.errors import OutputExistsError, UsageError

if TYPE_CHECKING:
    from spicereplay.excerpt.shrink import Shows


@verb
def shrink(
    source: Input,
    finding: Annotated[
        str | None,
        typer.Option(
            "--finding", metavar="CODE", help="A finding's code (`findings --json`).", show_default=False
        ),
    ] = None,
    defect: Annotated[
        str | None,
        typer.Option(
            "--defect", metavar="KIND", help="A defect's kind (`table INPUT defects`).", show_default=False
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="PCAPNG",
            help="Where to write the capture.",
            show_default="INPUT's name and the code",
        ),
    ] = None,
    max_seconds: Annotated[
        float,
        typer.Option("--max-seconds", metavar="S", min=0, help="After this time the best so far is written."),
    ] = 60.0,
    force: Force = False,
    keylog: KeyLog = None,
) -> None:
    """Write the smallest capture found that still shows a finding or a defect of INPUT.

    Tries what can be left out: sessions, channels, time, streams, surfaces, messages. Prints the file's name, and on
    stderr how large it was and is.
    """
    shows, what = _judge(finding, defect)
    path = output or named_after(source, f"-{finding or defect}.pcapng")
    if path.exists() and not force:
        raise OutputExistsError(f"{path} exists already; give another name with -o, or --force")
    from spicereplay.excerpt.shrink import shrink as write_smallest

    with opened(source, keylog) as found, progress() as tell:
        done = write_smallest(found, shows, path, what=what, max_seconds=max_seconds, progress=tell)
    complain(
        f"{done.of_messages:,} messages in {done.of_bytes:,} bytes → {done.written.messages:,} in "
        f"{done.written.bytes:,}; {done.trials} trials in {done.seconds:.1f} s"
    )
    if not done.complete:
        complain("the time was over before nothing more could be left out: --max-seconds gives more")
    typer.echo(str(path))


def _judge(finding: str | None, defect: str | None) -> tuple[Shows, str]:
    """Return what tells whether a capture shows the fault, and the fault's name."""
    from spicereplay.defects import DefectKind
    from spicereplay.excerpt.shrink import shows_defect, shows_finding

    if (finding is None) == (defect is None):
        raise UsageError("give either --finding CODE or --defect KIND")
    if finding is not None:
        return shows_finding(finding), f"the finding {finding}"
    if defect is None or defect not in DefectKind.__members__.values():
        raise UsageError(f"no defect is called {defect!r}; `table INPUT defects` lists those of an input")
    return shows_defect(DefectKind(defect)), f"the defect {defect}"
