"""`streams`: one row per video stream."""

from __future__ import annotations

from spicereplay.cli.common import Input, Json, KeyLog, tables_of, verb
from spicereplay.cli.output import print_json, print_table

COLUMNS = (
    "session",
    "channel_id",
    "stream_id",
    "codec",
    "width",
    "height",
    "created_s",
    "destroyed_s",
    "lifetime_s",
    "frames",
    "fps",
    "bytes",
    "late_frames",
    "end_cause",
)


@verb
def streams(source: Input, json: Json = False, keylog: KeyLog = None) -> None:
    """List the video streams: when each lived, what it carried, why it ended."""
    from spicereplay.analysis.json import to_records

    with tables_of(source, keylog) as tables:
        frame = tables.streams(decode=False)
        if json:
            print_json(list(to_records("streams", frame)))
        else:
            print_table("streams", frame, COLUMNS, empty="no video stream in this capture")
