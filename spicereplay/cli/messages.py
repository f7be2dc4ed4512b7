"""`messages`: one row per SPICE message."""

from __future__ import annotations

from typing import Annotated

import typer

from spicereplay.cli.common import Input, Json, KeyLog, opened, verb, write_bytes, write_lines


@verb
def messages(
    source: Input,
    channel: Annotated[
        str | None,
        typer.Option("--channel", help="Only this channel: `display`, or `display/0`.", show_default=False),
    ] = None,
    json: Json = False,
    keylog: KeyLog = None,
) -> None:
    """List every SPICE message, both directions, in order of time."""
    from spicereplay.analysis.messages import message_columns, message_json, message_texts, on_channel

    with opened(source, keylog) as found:
        columns = message_columns(found.sessions, found.start_time_ns)
        if channel is not None:
            columns = on_channel(columns, channel)
        if json:
            write_bytes(message_json(columns))
        else:
            write_lines(message_texts(columns))
