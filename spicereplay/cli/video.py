"""`video`: the guest's screen over time."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spicereplay.cli.common import Force, Input, KeyLog, complain, opened, progress, verb
from spicereplay.cli.frame import Cursor, named_after
from spicereplay.errors import OutputExistsError


@verb
def video(
    source: Input,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", metavar="MP4", help="Where to write the movie.", show_default="INPUT's name"
        ),
    ] = None,
    monitor: Annotated[
        int | None,
        typer.Option("--monitor", metavar="N", help="What this monitor shows.", show_default="all of them"),
    ] = None,
    channel_id: Annotated[
        int | None,
        typer.Option(
            "--channel-id", metavar="N", help="Display channel.", show_default="the one most is drawn on"
        ),
    ] = None,
    session: Annotated[
        int | None,
        typer.Option(
            "--session", metavar="N", help="Session, from 0.", show_default="the last with a display"
        ),
    ] = None,
    cursor: Cursor = False,
    force: Force = False,
    keylog: KeyLog = None,
) -> None:
    """Write the guest's screen over time as an MP4; its time is that of the capture.

    Every picture stands at its true time (at most 60 a second); what cannot be known is a checkerboard.
    """
    path = output or named_after(source, ".mp4")
    if path.exists() and not force:
        raise OutputExistsError(f"{path} exists already; give another name with -o, or --force")
    from spicereplay.replay.movie import write_movie

    with opened(source, keylog) as found, progress() as tell:
        movie = write_movie(
            found,
            path,
            session=session,
            channel_id=channel_id,
            monitor=monitor,
            cursor=cursor,
            progress=tell,
        )
    complain(
        f"{movie.frames} frames of {movie.width}×{movie.height} px in {movie.duration_s:.2f} s, {movie.encoder}; "
        f"session {movie.session}, display/{movie.channel_id}"
    )
    if movie.unknown_frames:
        complain(f"{movie.unknown_frames} frames have unknown parts, shown as a checkerboard")
    typer.echo(str(path))
