"""`messages`: one row per SPICE message."""

from __future__ import annotations

from typing import Annotated

import typer

from spicereplay.cli.common import Input, Json, tables_of, verb, write_lines


@verb
def messages(
    source: Input,
    channel: Annotated[
        str | None,
        typer.Option("--channel", help="Only this channel: `display`, or `display/0`.", show_default=False),
    ] = None,
    json: Json = False,
) -> None:
    """List every SPICE message, both directions, in order of time."""
    from spicereplay.analysis.messages import message_lines, message_texts, on_channel

    with tables_of(source) as tables:
        frame = tables["messages"]
        if channel is not None:
            frame = on_channel(frame, channel)
        write_lines(message_lines(frame) if json else message_texts(frame))
