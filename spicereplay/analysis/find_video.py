"""Rules about video streams: why video does not play, stutters or is sent as pictures."""

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

if TYPE_CHECKING:
    import pandas as pd

    from spicereplay.bugreport.client_reported import StreamLife

Tables = Mapping[str, "pd.DataFrame"]

LATE_SHARE: Final = 0.1
"""Share of late frames that is worth a word; below it a viewer sees single hitches."""
LATE_FRAMES: Final = 5
"""As many late frames in a row make spice-gtk raise its latency (spice-wire.md 10.3)."""
SLOW_DECODER_FACTOR: Final = 8.0
"""Machines differ by two or three, a pure decoder from libjpeg-turbo by three or four (ryll-behaviour.md 13.1)."""
CLIENT_WINDOW: Final = 20
"""Frames that the client's mean is over (ryll-formats.md 5.3)."""
SLOW_DECODE_MS: Final = 1.0
"""Below that the time is not in the decoder."""
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
        who, why = _why_timeouts(tables, ended)
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


def _why_timeouts(tables: Tables, ended: pd.DataFrame) -> tuple[Culprit, str]:
    """Return who is behind the ends of streams, and the title's last words."""
    causes = ended["end_cause"].astype(str).value_counts()
    cause = str(causes.index[0]) if len(causes) else ""
    if cause == "timeout":
        if len(_stalls_during(tables, ended)):
            return "client", ", because the client acknowledged too slowly"
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
    notices = tables["notifications"]
    notices = notices[
        (notices["origin"] == "client_reported")
        & notices["message"].str.lower().str.contains("stream flapping")
    ]
    if len(notices):
        yield Finding(
            "stream_flapping",
            "critical",
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


def no_common_codec(tables: Tables, facts: Facts) -> Iterator[Finding]:
    """Find that the server has a stream and no codec that the client knows (server-heuristics.md A6, B5 row 13)."""
    messages = tables["messages"]
    display = messages[(messages["channel"] == "display") & (messages["from"] == "server")]
    for (session, channel_id), group in display.groupby(["session", "channel_id"], observed=True):
        names = group["name"].astype(str)
        activated, created = (
            int((names == "STREAM_ACTIVATE_REPORT").sum()),
            int((names == "STREAM_CREATE").sum()),
        )
        caps = facts.display_caps.get((int(str(session)), int(str(channel_id))))
        if activated <= created or caps is None or group["partial"].any():
            continue
        codecs = sorted(cap for cap in caps if cap.startswith("CODEC_")) or [
            "MJPEG, by having no MULTI_CODEC"
        ]
        yield Finding(
            "no_common_codec",
            "critical",
            "The server found video but has no codec that the client can play: it goes on with single pictures",
            (
                cite(f"{activated} STREAM_ACTIVATE_REPORT and only {created} STREAM_CREATE", "capture"),
                cite(f"the client announced {', '.join(codecs)}", "capture"),
            ),
            at(float(group.loc[names == "STREAM_ACTIVATE_REPORT", "time_s"].min())),
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


def client_decoder_slow(tables: Tables, facts: Facts) -> Iterator[Finding]:
    """Hold the client's own decode times against the time it has between two frames."""
    if facts.client is None:
        return
    for decodes in facts.client.decodes:
        if decodes.mean_us is None:
            continue
        mean = decodes.mean_us / 1e3
        frames = tables["frames"]
        mine = (frames["codec"] == decodes.what) & (frames["outcome"] == "decoded")
        here = frames.loc[mine, "decode_ms"].tail(CLIENT_WINDOW).to_numpy(np.float64)
        fast = float(here.mean()) if len(here) else float("nan")
        interval = frame_interval_ms(tables["streams"], decodes.what)
        behind = interval is not None and mean > interval
        far_slower = mean >= SLOW_DECODE_MS and mean >= SLOW_DECODER_FACTOR * fast
        if not behind and not far_slower:
            continue
        evidence = [
            cite(
                f"{decodes.what}: the last {CLIENT_WINDOW} frames took {mean:.1f} ms each on average"
                + (f", {decodes.max_us / 1e3:.1f} ms at most" if decodes.max_us is not None else "")
                + (f" ({', '.join(facts.client.backends)})" if facts.client.backends else ""),
                "client_reported",
            ),
        ]
        if interval is not None:
            evidence.append(cite(f"the server sent a frame every {interval:.1f} ms", "capture"))
        if len(here):
            evidence.append(
                cite(
                    f"the last {len(here)} in the capture take {fast:.2f} ms each here, on one thread",
                    "remeasured",
                )
            )
        yield Finding(
            "client_decoder_slow",
            "critical" if behind else "warn",
            f"The client decodes {decodes.what} more slowly than frames arrive: its decoder is the bottleneck"
            if behind
            else f"The client's {decodes.what} decoder is the bottleneck: it takes {mean / fast:.0f} times as long as "
            "a fast one",
            tuple(evidence),
            who="decoder",
        )


def frame_interval_ms(streams: pd.DataFrame, codec: str) -> float | None:
    """Return the time between frames of the fastest stream of a codec, in ms; None where there is no stream."""
    fps = streams.loc[(streams["codec"] == codec) & (streams["frames"] > LATE_FRAMES), "fps"].dropna()
    return 1e3 / float(fps.max()) if len(fps) and fps.max() > 0 else None


def decode_slow_remeasured(tables: Tables, facts: Facts) -> Iterator[Finding]:
    """Find streams that not even this machine decodes in time."""
    streams = tables["streams"]
    slow = streams[(streams["decode_ms_p95"] > 1e3 / streams["fps"]) & (streams["frames"] > LATE_FRAMES)]
    if len(slow):
        yield Finding(
            "decode_slow_remeasured",
            "warn",
            f"{plural(len(slow), 'stream')} cannot be decoded in time on one core of this machine either",
            tuple(
                cite(sentence, "remeasured")
                for sentence in examples(
                    [
                        f"stream {s.stream_id} ({s.codec}, {s.width}×{s.height}): 95 % of frames within "
                        f"{s.decode_ms_p95:.1f} ms, a frame every {1e3 / s.fps:.1f} ms"
                        for s in rows_of(slow)
                    ]
                )
            ),
            at(float(slow["created_s"].min())),
            "decoder",
        )


def decode_failures(tables: Tables, facts: Facts) -> Iterator[Finding]:
    """Find frames that are whole in the capture and still cannot be decoded."""
    streams = tables["streams"]
    broken = streams[streams["decode_failures"] > 0]
    if len(broken):
        unseen = bool((~broken["seen_create"]).any())
        yield Finding(
            "decode_failures",
            "info" if unseen else "warn",
            f"{plural(int(broken['decode_failures'].sum()), 'video frame')} could not be decoded here",
            tuple(
                cite(sentence, "remeasured")
                for sentence in examples(
                    [
                        f"stream {s.stream_id} ({s.codec}): {s.decode_failures} of {s.frames} frames"
                        + ("" if s.seen_create else "; its beginning is not in the capture")
                        for s in rows_of(broken)
                    ]
                )
            ),
            at(float(broken["first_frame_s"].min())),
            "capture" if unseen else "server",
        )


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


def cannot_play(tables: Tables, facts: Facts) -> Iterator[Finding]:
    """Find that the client said that it has no decoder for a stream (spice-wire.md 10.4)."""
    streams, said = tables["streams"], tables["reports"]
    refused = streams[streams["cannot_play"]]
    if len(refused) or said["cannot_play"].any():
        codecs = ", ".join(sorted({str(c) for c in refused["codec"]})) or "an unknown codec"
        yield Finding(
            "cannot_play",
            "critical",
            f"The client cannot play a video stream ({codecs}): the server goes on with single pictures",
            (
                cite(
                    f"{plural(int(said['cannot_play'].sum()), 'STREAM_REPORT')} with 0 frames and 0xffffffff drops",
                    "capture",
                ),
            ),
            at(float(said.loc[said["cannot_play"], "time_s"].min())),
            "client",
        )


def stream_orphans(tables: Tables, facts: Facts) -> Iterator[Finding]:
    """Find frames that the client counted for streams it never opened: an unknown codec (ryll-behaviour.md 4)."""
    said = facts.client.streams if facts.client is not None else None
    if said is None or not said.orphan_frames:
        return
    streams = tables["streams"]
    codecs = sorted({str(c) for c in streams["codec"]} - {"mjpeg", "h264"})
    evidence = [
        cite(f"{said.orphan_frames} frames came for streams that it had not opened", "client_reported")
    ]
    if codecs:
        evidence.append(cite(f"the capture holds streams in {', '.join(codecs)}", "capture"))
    yield Finding(
        "stream_orphans",
        "critical" if codecs else "warn",
        f"The client threw away video it has no decoder for ({', '.join(codecs)})"
        if codecs
        else "The client threw away video frames of streams that it had not opened",
        tuple(evidence),
        at(float(streams["created_s"].min())) if len(streams) else None,
        "decoder",
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
    cannot_play,
    client_decoder_slow,
    stream_orphans,
    stream_flapping,
    reported_flapping,
    no_common_codec,
    frames_late,
    never_streamed,
    stream_detach_cycles,
    decode_slow_remeasured,
    decode_failures,
    stream_freeze,
    everything_streams,
)
