"""`frame`: the guest's screen at one moment."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spicereplay.cli.common import Force, Input, KeyLog, complain, opened, progress, verb
from spicereplay.cli.report import default_name
from spicereplay.errors import OutputExistsError, UsageError

if TYPE_CHECKING:
    from spicereplay.replay.picture import Picture
    from spicereplay.replay.still import Moment

SessionNumber = Annotated[
    int | None,
    typer.Option("--session", metavar="N", help="Session, from 0.", show_default="the last begun by then"),
]
DisplayChannel = Annotated[
    int | None,
    typer.Option("--channel-id", metavar="N", help="Display channel.", show_default="the first that shows"),
]
Cursor = Annotated[bool, typer.Option("--cursor", help="Draw the mouse pointer, too.")]


@verb
def frame(
    source: Input,
    at: Annotated[
        str,
        typer.Option("--at", metavar="end|SECONDS", help="When: seconds since the first packet, or `end`."),
    ] = "end",
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="PNG",
            help="Where to write the picture.",
            show_default="INPUT's name and the time",
        ),
    ] = None,
    surface: Annotated[
        int | None,
        typer.Option("--surface", metavar="N", help="This surface, not the screen.", show_default=False),
    ] = None,
    monitor: Annotated[
        int | None,
        typer.Option("--monitor", metavar="N", help="What this monitor shows.", show_default="all of them"),
    ] = None,
    channel_id: DisplayChannel = None,
    session: SessionNumber = None,
    cursor: Cursor = False,
    force: Force = False,
    keylog: KeyLog = None,
) -> None:
    """Write the guest's screen at one moment as a PNG; what cannot be known is transparent.

    Prints the file's name, and on stderr what is unknown and why.
    """
    if surface is not None and monitor is not None:
        raise UsageError("--surface and --monitor exclude each other")
    moment = moment_of(at)
    path = output or named_after(source, f"-{at}{'' if moment == 'end' else 's'}.png")
    if path.exists() and not force:
        raise OutputExistsError(f"{path} exists already; give another name with -o, or --force")
    from spicereplay.replay.still import picture_at

    with opened(source, keylog) as found, progress() as tell:
        picture = picture_at(
            found,
            moment,
            session=session,
            channel_id=channel_id,
            surface=surface,
            monitor=monitor,
            cursor=cursor,
            progress=tell,
        )
        if isinstance(moment, float) and moment > found.duration_s:
            complain(f"the capture ends at {found.duration_s:.3f} s; this is how it ends")
    path.write_bytes(picture.png())
    for sentence in unknown_of(picture):
        complain(sentence)
    typer.echo(str(path))


def moment_of(text: str) -> Moment:
    """Return `end` or a number of seconds; raises `UsageError` for anything else."""
    if text == "end":
        return "end"
    try:
        return float(text)
    except ValueError:
        raise UsageError(f"--at takes `end` or seconds since the first packet, not {text!r}") from None


def unknown_of(picture: Picture) -> list[str]:
    """Say how many pixels are unknown, where, and why; nothing where all are known."""
    box = picture.unknown_box
    if box is None:
        return []
    height, width = picture.unknown.shape
    where = f"within ({box.left}, {box.top}) to ({box.right}, {box.bottom})"
    share = 100 * picture.unknown_pixels / (width * height)
    return [
        f"{picture.unknown_pixels} of {width}×{height} pixels ({share:.1f} %) are unknown, {where}",
        *(f"why: {sentence}" for sentence in picture.why),
    ]


def named_after(source: Path, ending: str) -> Path:
    """Return a file's name in the current directory: that of the input, with `ending` for its own endings."""
    return Path(default_name(source).removesuffix(".html") + ending)
