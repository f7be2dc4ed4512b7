"""Rules about video streams: flapping, late and interrupted ones, and pictures that could have been streams."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

import numpy as np

from spicereplay.analysis import schema
from spicereplay.analysis.columns import Record, records
from spicereplay.analysis.facts import Facts
from spicereplay.analysis.finding import Culprit, Finding, at, cite, examples, plural, rows_of
from spicereplay.analysis.flaps import flaps
from spicereplay.analysis.lives import codec_name
from spicereplay.analysis.regions import MIN_PIXELS, START_SUCCESSORS
from spicereplay.protocol.enums import Side

if TYPE_CHECKING:
    import pandas as pd

    from spicereplay.bugreport.client_reported import StreamLife

Tables = Mapping[str, "pd.DataFrame"]

LATE_SHARE: Final = 0.1
"""Share of late frames that is worth a word; below it a viewer sees single hitches."""
LATE_FRAMES: Final = 5
"""As many late frames in a row make spice-gtk raise its latency (spice-wire.md 10.3)."""
DETACHES: Final = 3
"""Interruptions of one stream; each costs a lossless picture (server-heuristics.md B6)."""
LONG_FREEZE_S: Final = 0.9
"""A gap between two frames of a living stream; at 1 s the server stops it (A1, RED_STREAM_TIMEOUT)."""
DRAWN_OVER_S: Final = 2.0
"""Pictures that look like video for less are over before anybody minds."""
STALL_S: Final = 0.5
"""A wait for acknowledgements long enough to help a stream over its one second without frames."""

_REASONS: Final = {
    "off_screen": "drawn to a surface that is not the screen; the server looks at the screen only",
    "not_plain_copy": "not a plain copy (another raster operation, or a mask)",
    "from_surface": "copied from an off-screen surface, not from a bitmap",
    "device_picture": "rendered by the virtual machine monitor in columns, not by the guest's driver",
    "too_small": f"smaller than {MIN_PIXELS} pixels, which filter mode asks for",
    "source_size_varies": "the source is scaled or cropped differently from picture to picture",
    "too_slow_or_short": f"fewer than {START_SUCCESSORS} successors in a row within 200 ms of one another",
    "eligible": "every condition that a capture shows is met",
}
"""Source: server-heuristics.md B5."""


def stream_flapping(tables: Tables, facts: Facts) -> Iterator[Finding]:
    """Find the flap rule's notifications (ryll-behaviour.md 5), split by whether the streams ended one by one."""
    streams = tables["streams"]
    for row in rows_of(tables["flaps"]):
        ended = streams[
            (streams["session"] == row.session)
            & (streams["channel_id"] == row.channel_id)
            & (streams["destroyed_s"] > row.time_s - row.window_s)
            & (streams["destroyed_s"] <= row.time_s)
        ]
        causes = ended["end_cause"].astype(str).value_counts()
        figure = (
            f"{row.count} streams were destroyed within {row.window_s:g} s, mean lifetime {row.mean_lifetime_s:.2f} s; "
            f"ends: {', '.join(f'{name} {count}' for name, count in causes.items())}"
        )
        lives = examples(
            [
                f"stream {s.stream_id} ({s.codec}, {s.width}×{s.height}) lived {s.created_s:.2f} s to "
                f"{s.destroyed_s:.2f} s with {plural(s.frames, 'frame')}, ended by {s.end_cause}"
                for s in rows_of(ended)
            ]
        )
        if row.kind == "torn_down_together":
            yield Finding(
                "streams_torn_down_together",
                "info",
                f"{row.count} short video streams ended at the same moment: parts of one picture, not a flapping video",
                (cite(figure, "capture"), *(cite(life, "capture") for life in lives)),
                at(row.time_s),
                "server",
            )
            continue
        client_seen = (
            f"session {row.session} display/{row.channel_id}",
            str(Side.CLIENT),
        ) not in facts.unseen
        who, why = _why_timeouts(tables, ended, client_seen)
        yield Finding(
            "stream_flapping",
            "critical",
            "The video stream flaps: the server starts it and stops it again within seconds" + why,
            (
                cite(figure, "capture"),
                *(cite(life, "capture") for life in lives),
                *_flap_evidence(tables, ended),
            ),
            at(row.time_s),
            who,
        )


def _why_timeouts(tables: Tables, ended: pd.DataFrame, client_seen: bool) -> tuple[Culprit, str]:
    """Return who is behind the ends of streams, and the title's last words.

    Without the client's side, whether the guest drew nothing or the client acknowledged nothing is not known.
    """
    causes = ended["end_cause"].astype(str).value_counts()
    cause = str(causes.index[0]) if len(causes) else ""
    if cause == "timeout":
        if len(_stalls_during(tables, ended)):
            return "client", ", because the client acknowledged too slowly"
        if not client_seen:
            return "", ", each time a second after its last frame"
        return "guest", ", because the guest drew no new frame for a second"
    if cause == "surface_destroyed":
        return "guest", ", because the guest changed its screen"
    if cause == "client_preference":
        return "client", ", because the client asked for other codecs"
    return "server", ""


def _stalls_during(tables: Tables, ended: pd.DataFrame) -> pd.DataFrame:
    """Return the display's long stalls that lie within the last second of one of the streams."""
    stalls = tables["ack_stalls"]
    stalls = stalls[(stalls["channel"] == "display") & (stalls["duration_s"] >= STALL_S)]
    ends = ended["destroyed_s"].to_numpy(np.float64)
    near = [
        bool(((ends >= s.start_s) & (ends - 1.5 <= s.start_s + s.duration_s)).any()) for s in rows_of(stalls)
    ]
    return stalls[np.array(near, bool)]


def _flap_evidence(tables: Tables, ended: pd.DataFrame) -> Iterator[str]:
    stalls = _stalls_during(tables, ended)
    if len(stalls):
        yield cite(
            f"before these ends the server waited {stalls['duration_s'].sum():.2f} s for acknowledgements",
            "capture",
        )
    timeouts = ended[ended["end_cause"] == "timeout"]
    silence = (timeouts["destroyed_s"] - timeouts["last_frame_s"]).dropna()
    if len(silence):
        yield cite(
            f"the last frame came {silence.min():.2f} s to {silence.max():.2f} s before the end; the server stops a "
            "stream after 1 s without a frame",
            "capture",
        )


def reported_flapping(tables: Tables, facts: Facts) -> Iterator[Finding]:
    """Find flapping that the client noticed and the recording does not reach back to."""
    if len(tables["flaps"]):
        return
    said = facts.client.streams if facts.client is not None else None
    ended = records("streams", [_reported_stream(life) for life in (said.ended if said is not None else ())])
    for row in rows_of(flaps(ended)):
        flapping = row.kind == "flapping"
        yield Finding(
            "stream_flapping" if flapping else "streams_torn_down_together",
            "critical" if flapping else "info",
            "The video stream flaps: the server starts it and stops it again within seconds, says the client"
            if flapping
            else f"{row.count} short video streams ended at the same moment: parts of one picture, no flapping",
            (
                cite(
                    f"{row.count} streams were destroyed within {row.window_s:g} s, mean lifetime "
                    f"{row.mean_lifetime_s:.2f} s",
                    "client_reported",
                ),
                cite("the recording does not reach back that far", "capture"),
            ),
            at(row.time_s),
            "server",
        )
        return


def noticed_flapping(tables: Tables, facts: Facts) -> Iterator[Finding]:
    """Find flapping of which only the client's notice is left: second-hand, so less than what the recording shows."""
    if len(tables["flaps"]) or any(True for _ in reported_flapping(tables, facts)):
        return
    notices = tables["notifications"]
    notices = notices[
        (notices["origin"] == "client_reported")
        & notices["message"].str.lower().str.contains("stream flapping")
    ]
    if len(notices):
        yield Finding(
            "stream_flapping",
            "warn",
            "The client noticed that the video stream flaps; the streams themselves are not in this recording",
            tuple(cite(s, "client_reported") for s in examples([str(m) for m in notices["message"]])),
            at(float(notices["time_s"].min())),
            "server",
        )


def _reported_stream(life: StreamLife) -> Record:
    """Return a row of the table `streams` with the times the client gives and nothing else."""
    nan = float("nan")
    known = {
        "session": 0,
        "channel_id": 0,
        "stream_id": life.stream_id or 0,
        "created_s": nan if life.created_s is None else life.created_s,
        "destroyed_s": nan if life.destroyed_s is None else life.destroyed_s,
        "codec": codec_name(life.codec_type or 0),
        "end_cause": "destroyed",
        "codec_source": "client_reported",
    }
    rest = {c.name: nan if c.dtype == "float64" else 0 for c in schema.TABLES["streams"].columns}
    return {**rest, **known}


def stream_detach_cycles(tables: Tables, facts: Facts) -> Iterator[Finding]:
    """Find living streams that are covered or read from over and over (server-heuristics.md A6, detach)."""
    streams = tables["streams"]
    often = streams[streams["interruptions"] >= DETACHES]
    large = often["width"].astype("int64") * often["height"] >= MIN_PIXELS
    if len(often):
        total = int(often["interruptions"].sum())
        yield Finding(
            "stream_detach_cycles",
            "warn" if large.any() else "info",
            f"{'Video was' if large.any() else 'Small streams were'} interrupted {plural(total, 'time')} without "
            "ending: each time the server sent a lossless picture instead",
            tuple(
                cite(sentence, "capture")
                for sentence in examples(
                    [
                        f"stream {s.stream_id} ({s.width}×{s.height}): {s.interruptions} interruptions in "
                        f"{s.frames} frames, {s.clips} changes of its clip"
                        for s in rows_of(often)
                    ]
                )
            ),
            at(float(often["first_frame_s"].min())),
            "guest",
        )


def everything_streams(tables: Tables, facts: Facts) -> Iterator[Finding]:
    """Find streams too small for filter mode, which prove that all is streamed (server-heuristics.md B3)."""
    streams = tables["streams"]
    area = streams["width"].astype("int64") * streams["height"]
    small = streams[(area > 0) & (area < MIN_PIXELS) & streams["seen_create"]]
    if len(small):
        yield Finding(
            "everything_streams",
            "info",
            f"The server turns everything that repeats into video, {plural(len(small), 'small stream')} too",
            (
                *(
                    cite(s, "capture")
                    for s in examples(
                        [f"stream {s.stream_id} is {s.width}×{s.height}" for s in rows_of(small)]
                    )
                ),
                cite(
                    f"streaming-video=all; with filter nothing below {MIN_PIXELS} pixels becomes a stream",
                    "inferred",
                ),
            ),
            at(float(small["created_s"].min())),
            "server",
        )


def never_streamed(tables: Tables, facts: Facts) -> Iterator[Finding]:
    """Find places that met every visible condition and never became a stream, and near misses (B5)."""
    regions = tables["regions"]
    regions = regions[regions["run_end_s"] - regions["run_start_s"] >= DRAWN_OVER_S]
    long_enough = regions[(regions["longest_run"] > START_SUCCESSORS) & (regions["reason"] == "eligible")]
    any_stream = bool(len(tables["streams"]))
    if len(long_enough):
        yield Finding(
            "never_streamed",
            "warn",
            f"{plural(len(long_enough), 'place')} on the screen changed like video but came as single pictures",
            (
                *_region_evidence(long_enough),
                cite(
                    "the server streams elsewhere in this capture, so streaming is on: its content test may have "
                    "taken this for text"
                    if any_stream
                    else "no stream was created at all: streaming may be off (QEMU's default is off without "
                    "streaming-video=filter), or the content is not picture-like",
                    "inferred",
                ),
            ),
            at(float(long_enough["run_start_s"].min())),
            "server",
        )
    missed = regions[
        (regions["longest_run"] > START_SUCCESSORS)
        & regions["reason"].isin(
            ["off_screen", "not_plain_copy", "from_surface", "device_picture", "source_size_varies"]
        )
    ]
    if len(missed):
        yield Finding(
            "not_streamable",
            "info",
            f"{plural(len(missed), 'place')} changed like video but cannot become a stream",
            tuple(_region_evidence(missed)),
            at(float(missed["run_start_s"].min())),
            "guest",
        )


def _region_evidence(regions: pd.DataFrame) -> list[str]:
    return [
        cite(sentence, "capture")
        for sentence in examples(
            [
                f"{r.right - r.left}×{r.bottom - r.top} at {r.left},{r.top}: {r.longest_run} pictures in a row from "
                f"{r.run_start_s:.2f} s to {r.run_end_s:.2f} s "
                f"({(r.longest_run - 1) / (r.run_end_s - r.run_start_s):.1f} "
                f"per second), {r.bytes:,} bytes in all; {_REASONS.get(str(r.reason), r.reason)}"
                for r in rows_of(regions)
            ]
        )
    ]


def frames_late(tables: Tables, facts: Facts) -> Iterator[Finding]:
    """Find frames that arrived after they should have been shown: by the capture's clock or the client's reports."""
    streams = tables["streams"]
    late = streams["late_frames"].fillna(0).to_numpy(np.int64)
    reported = streams["reported_drops"].to_numpy(np.int64)
    worst = np.maximum(late, reported)
    bad = streams[(worst >= LATE_FRAMES) & (worst >= LATE_SHARE * streams["frames"])]
    if not len(bad):
        return
    evidence = []
    for s in rows_of(bad.assign(late_frames=bad["late_frames"].fillna(0))):
        if s.late_frames:
            evidence.append(
                cite(
                    f"stream {s.stream_id}: {s.late_frames} of {s.frames} frames arrived late, the worst by "
                    f"{-s.worst_margin_ms:.0f} ms",
                    "capture",
                )
            )
        if s.reported_drops:
            evidence.append(
                cite(
                    f"stream {s.stream_id}: the client's {plural(s.reports, 'report')} count "
                    f"{s.reported_drops} late frames",
                    "capture",
                )
            )
    yield Finding(
        "frames_late",
        "warn",
        f"Frames of {plural(len(bad), 'stream')} arrived after the moment they should have been shown",
        tuple(examples(evidence)),
        at(float(bad["first_frame_s"].min())),
        "network",
    )


def stream_freeze(tables: Tables, facts: Facts) -> Iterator[Finding]:
    """Find living streams that stood still for most of the second after which they would have ended."""
    streams = tables["streams"]
    frozen = streams[streams["longest_gap_s"] >= LONG_FREEZE_S]
    if len(frozen):
        yield Finding(
            "stream_freeze",
            "info",
            f"{plural(len(frozen), 'video stream')} stood still for {frozen['longest_gap_s'].max():.1f} s and went on",
            tuple(
                cite(s, "capture")
                for s in examples(
                    [
                        f"stream {s.stream_id}: no frame for {s.longest_gap_s:.2f} s between two frames"
                        for s in rows_of(frozen)
                    ]
                )
            ),
            at(float(frozen["first_frame_s"].min())),
            "guest",
        )


RULES: Final = (
    stream_flapping,
    reported_flapping,
    frames_late,
    never_streamed,
    stream_detach_cycles,
    stream_freeze,
    everything_streams,
)
