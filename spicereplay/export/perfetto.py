"""The tables as a Perfetto trace: sessions as processes, channels as tracks, what happened on them as slices.

`SHOWN` says which rows of which table stand where. The slices of the trace are the rows of the tables: they begin and
last to the nanosecond what the table says, and carry the row as arguments. Time is that of day, in nanoseconds since
1970, so `ts - trace_start()` of a query is the tables' `time_s`; where a recording does not know the time of day, it
begins in 1970.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from spicereplay._version import __version__
from spicereplay.analysis.json import to_records
from spicereplay.analysis.schema import TABLES
from spicereplay.export.folder import new_file
from spicereplay.export.track_event import Lanes, TraceWriter, Value
from spicereplay.text import visible
from spicereplay.units import NS_PER_MS, NS_PER_S

if TYPE_CHECKING:
    import pandas as pd

    from spicereplay.analysis.timeline import Tables
    from spicereplay.replay import Progress

Int64Array = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
Row = Mapping[str, Any]

ROWS_AT_ONCE: Final = 16_384
"""Rows of a table that are Python objects at a time."""


@dataclass(frozen=True, slots=True)
class Shown:
    """How the rows of one table are shown.

    A row with an end is a slice and one without an instant; where `lasting` is set, what has no end went on for the
    rest of the recording. What has no beginning began before the channel's recording, or the whole recording, did.
    """

    table: str
    track: str
    title: Callable[[Row], str]
    start: str = "time_s"
    end: str = ""
    """Column with the end, in seconds."""
    took: str = ""
    """Column with a duration in milliseconds, instead of an end."""
    lasting: bool = False
    channel: str = ""
    """The channel's name, where the table has no column for it; empty: the row belongs to its session."""
    args: tuple[str, ...] = ()
    """The columns to carry along; none named: all."""


def _codec(row: Row) -> str:
    return row["codec"] or "video"


def _size(row: Row) -> str:
    return f" {row['width']}×{row['height']}" if row["width"] else ""


def _missing(row: Row) -> str:
    return f"{row['bytes']} bytes missing" if row["bytes"] is not None else "bytes missing"


def _answered(row: Row) -> str:
    return f"{row['kind']}, screen busy" if row["busy"] else str(row["kind"])


def _sound(row: Row) -> str:
    return f"{row['codec']}, {row['channels']} × {row['rate']} Hz"


_PICTURE: Final = ("width", "height", "bytes", "decode_ms", "backend")

SHOWN: Final = (
    Shown("notifications", "notifications", lambda r: r["message"]),
    Shown(
        "streams",
        "video streams",
        lambda r: f"{_codec(r)}{_size(r)}",
        start="created_s",
        end="destroyed_s",
        lasting=True,
        channel="display",
    ),
    Shown("flaps", "flaps", lambda r: f"{r['count']} streams within {r['window_s']:g} s", channel="display"),
    Shown(
        "frames",
        "decoding video",
        lambda r: _codec(r) if r["decode_ms"] is not None else f"{_codec(r)}, {r['outcome']}",
        took="decode_ms",
        channel="display",
        args=("stream", "stream_id", "mm_time", "margin_ms", "codec", *_PICTURE, "outcome"),
    ),
    Shown("reports", "stream reports", lambda r: "STREAM_REPORT", channel="display"),
    Shown(
        "regions",
        "regions drawn again and again",
        lambda r: r["reason"],
        start="start_s",
        end="end_s",
        channel="display",
    ),
    Shown(
        "images",
        "decoding images",
        lambda r: r["codec"],
        took="decode_ms",
        channel="display",
        args=("image_id", "codec", *_PICTURE, "cache", "decoded", "surface_id"),
    ),
    Shown("agent", "agent requests", lambda r: r["type"], end="reply_time_s", channel="main"),
    Shown(
        "agent_starvation",
        "without agent tokens",
        lambda r: f"{r['from']} without tokens",
        start="start_s",
        end="end_s",
        lasting=True,
        channel="main",
    ),
    Shown("sound_runs", "sound", _sound, start="start_s", end="stop_s", lasting=True),
    Shown("pings", "pings", lambda r: "PING", end="pong_s"),
    Shown(
        "ack_stalls",
        "waiting for ACKs",
        lambda r: f"{r['unacknowledged']} unacknowledged",
        start="start_s",
        end="end_s",
        lasting=True,
    ),
    Shown("gaps", "gaps", _missing),
    Shown("display_silence", "screen unchanged", lambda r: "unchanged", start="start_s", end="end_s"),
    Shown("input_latency", "input until the screen changed", _answered, end="next_display_s"),
)
"""In the order in which their tracks stand below the session and the channel."""

FIRST_SHOWN_RANK: Final = 2
"""Where the first of them stands: below the bytes from server and client."""
FIRST_CHANNEL_RANK: Final = 100
"""Where the first channel stands: below what belongs to its session as a whole."""


def write(tables: Tables, path: Path, *, force: bool = False, progress: Progress | None = None) -> None:
    """Write the trace of an input to the file `path`, for ui.perfetto.dev and trace_processor.

    Makes the tables that it shows, which may decode all pictures. Raises as `folder.new_file` does.
    """
    with new_file(path, force=force) as unfinished, unfinished.open("wb") as file:
        shown = [entry for entry in SHOWN if entry.table in TABLES]
        for n, entry in enumerate(shown):
            if progress is not None:
                progress("making tables", n, len(shown))
            _ = tables[entry.table]
        replay = tables.replay
        # A time before 1970 cannot be written: a recording without time of day then begins a little later.
        zero_ns = max(replay.start_time_ns + replay.utc_offset_ns, -_earliest_ns(tables, shown))
        trace = _Trace(TraceWriter(file, zero_ns), zero_ns, tables)
        trace.capture()
        trace.channels()
        for n, entry in enumerate(shown):
            if progress is not None:
                progress("writing the trace", n, len(shown))
            trace.show(entry, FIRST_SHOWN_RANK + SHOWN.index(entry))
        if progress is not None:
            progress("writing the trace", len(shown), len(shown))


class _Trace:
    """A trace that is being written: which track stands for what."""

    def __init__(self, writer: TraceWriter, zero_ns: int, tables: Tables) -> None:
        self.writer = writer
        self.zero_ns = zero_ns
        self.tables = tables
        self.sessions: dict[int, int] = {}
        self.channel_tracks: dict[tuple[int, str, int], int] = {}
        self.starts: dict[tuple[int, str, int], int] = {}

    def capture(self) -> None:
        """Show the input as a whole, its verdict and findings. The trace begins with it, at second 0."""
        replay = self.tables.replay
        facts: dict[str, Value] = {
            "verdict": self.tables.verdict.sentence,
            "kind": replay.kind,
            "packets": replay.packets,
            "spicereplay": __version__,
        }
        end_ns = max(replay.end_time_ns - replay.start_time_ns, 0)
        track = self.writer.track(0, "capture", 0)
        name = visible(replay.path.resolve().name)
        self.writer.slice(track, "capture", name, self.zero_ns, self.zero_ns + end_ns, facts)
        findings = list(to_records("findings", self.tables["findings"]))
        if findings:
            track = self.writer.track(
                0, "findings", 1, "those about the whole capture stand at its beginning"
            )
        for row in findings:
            at_ns = self.zero_ns + round((row["time_s"] or 0) * NS_PER_S)
            self.writer.instant(track, "findings", visible(row["title"]), at_ns, row)

    def channels(self) -> None:
        """Show when each channel was recorded, and the bytes on it per second."""
        for rank, row in enumerate(to_records("channels", self.tables["channels"]), FIRST_CHANNEL_RANK):
            key = (row["session"], row["channel"], row["channel_id"])
            name = f"{row['channel']}/{row['channel_id']}"
            start, end = (round(row[column] * NS_PER_S) for column in ("start_s", "end_s"))
            self.starts[key] = start
            self.channel_tracks[key] = self.writer.track(self.session(key[0]), name, rank)
            self.writer.slice(
                self.channel_tracks[key], "channels", name, self.zero_ns + start, self.zero_ns + end, row
            )
        bins: dict[tuple[int, str, int, str], list[Row]] = {}
        for row in to_records("bandwidth", self.tables["bandwidth"]):
            bins.setdefault((row["session"], row["channel"], row["channel_id"], row["from"]), []).append(row)
        for (session, channel, channel_id, side), rows in bins.items():
            parent = self.channel((session, channel, channel_id))
            track = self.writer.counter(parent, f"bytes from {side}", int(side == "client"), unit="B/s")
            for time_ns, value in _rates(rows):
                self.writer.count(track, self.zero_ns + time_ns, value)

    def session(self, number: int) -> int:
        """Return the track of a session."""
        if number not in self.sessions:
            self.sessions[number] = self.writer.process(number + 1, f"session {number}")
        return self.sessions[number]

    def channel(self, key: tuple[int, str, int]) -> int:
        """Return the track of a channel, by session, name and id."""
        if key not in self.channel_tracks:
            rank = FIRST_CHANNEL_RANK + len(self.channel_tracks)
            self.channel_tracks[key] = self.writer.track(self.session(key[0]), f"{key[1]}/{key[2]}", rank)
        return self.channel_tracks[key]

    def show(self, entry: Shown, rank: int) -> None:
        """Write every row of one table; rows that overlap go to tracks of the same name."""
        frame = self.tables[entry.table]
        start, seen, end, ended = _span(frame, entry)
        begun = np.where(seen, start, self._channel_starts(frame, entry, ~seen))
        order = np.argsort(begun, kind="stable")
        sliced = bool(entry.end or entry.took)
        lanes: dict[int, Lanes] = {}
        tracks: dict[tuple[int, int], int] = {}
        columns = entry.args or TABLES[entry.table].names
        for first in range(0, len(frame), ROWS_AT_ONCE):
            some = order[first : first + ROWS_AT_ONCE]
            for at, row in zip(some.tolist(), to_records(entry.table, frame.iloc[some]), strict=True):
                lasts = sliced and (entry.lasting or bool(ended[at]))
                # What ends before it began was told wrongly; it is shown where it was told.
                begin = self.zero_ns + int(begun[at])
                until = max(self.zero_ns + int(end[at]), begin) if ended[at] else None
                parent = self.parent(entry, row)
                lane = lanes.setdefault(parent, Lanes()).place(begin, until if lasts else begin)
                if (parent, lane) not in tracks:
                    tracks[parent, lane] = self.writer.track(
                        parent, entry.track, rank, TABLES[entry.table].meaning
                    )
                args = {column: row[column] for column in columns}
                title = visible(entry.title(row) or entry.table)
                if lasts:
                    self.writer.slice(tracks[parent, lane], entry.table, title, begin, until, args)
                else:
                    self.writer.instant(tracks[parent, lane], entry.table, title, begin, args)

    def parent(self, entry: Shown, row: Row) -> int:
        """Return the track below which a row is shown: its channel's, else its session's."""
        channel = row.get("channel") or entry.channel
        if not channel:
            return self.session(row["session"])
        return self.channel((row["session"], channel, row.get("channel_id", 0)))

    def _channel_starts(self, frame: pd.DataFrame, entry: Shown, which: BoolArray) -> Int64Array:
        """Return where the channel of each of these rows begins, 0 for the others."""
        starts = np.zeros(len(frame), np.int64)
        rows = np.flatnonzero(which)
        for at, row in zip(rows.tolist(), to_records(entry.table, frame.iloc[rows]), strict=True):
            key = (row["session"], row.get("channel") or entry.channel, row.get("channel_id", 0))
            starts[at] = self.starts.get(key, 0)
        return starts


def _earliest_ns(tables: Tables, shown: Iterable[Shown]) -> int:
    """Return the earliest time that is shown, in ns since second 0; at most 0."""
    columns = [(entry.table, entry.start) for entry in shown]
    columns += [("findings", "time_s"), ("channels", "start_s"), ("bandwidth", "time_s")]
    times = (_nanoseconds(tables[table][column], NS_PER_S)[0] for table, column in columns)
    return min(int(time_ns.min(initial=0)) for time_ns in times)


def _span(frame: pd.DataFrame, entry: Shown) -> tuple[Int64Array, BoolArray, Int64Array, BoolArray]:
    """Return when each row begins and ends, in ns since second 0, and whether that is known."""
    start, seen = _nanoseconds(frame[entry.start], NS_PER_S)
    if entry.took:
        took, known = _nanoseconds(frame[entry.took], NS_PER_MS)
        return start, seen, start + took, known
    if entry.end:
        return start, seen, *_nanoseconds(frame[entry.end], NS_PER_S)
    return start, seen, start, np.zeros(len(frame), bool)


def _nanoseconds(values: pd.Series[Any], unit_ns: int) -> tuple[Int64Array, BoolArray]:
    known = values.notna().to_numpy()
    return np.rint(values.fillna(0).to_numpy() * unit_ns).astype(np.int64), known


def _rates(bins: Iterable[Row]) -> Iterator[tuple[int, float]]:
    """Yield the times in ns at which bytes per second change; bins without a row had none."""
    until = None
    for row in bins:
        start = round(row["time_s"] * NS_PER_S)
        if until is not None and until < start:
            yield until, 0.0
        yield start, row["bytes"] / row["width_s"]
        until = start + round(row["width_s"] * NS_PER_S)
    if until is not None:
        yield until, 0.0
