"""Rules about decoding: a codec that is missing, a decoder that is slow, frames that cannot be decoded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

import numpy as np

from spicereplay.analysis.facts import Facts
from spicereplay.analysis.finding import Finding, at, cite, examples, plural, rows_of

if TYPE_CHECKING:
    import pandas as pd

Tables = Mapping[str, "pd.DataFrame"]

SLOW_DECODER_FACTOR: Final = 8.0
"""Machines differ by two or three, a pure decoder from libjpeg-turbo by three or four (ryll-behaviour.md 13.1)."""
CLIENT_WINDOW: Final = 20
"""Frames that the client's mean is over (ryll-formats.md 5.3)."""
SLOW_DECODE_MS: Final = 1.0
"""Below that the time is not in the decoder."""
LEAST_FRAMES: Final = 5
"""A stream with no more frames has no rate to speak of."""


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
    fps = streams.loc[(streams["codec"] == codec) & (streams["frames"] > LEAST_FRAMES), "fps"].dropna()
    return 1e3 / float(fps.max()) if len(fps) and fps.max() > 0 else None


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


def decode_slow_remeasured(tables: Tables, facts: Facts) -> Iterator[Finding]:
    """Find streams that not even this machine decodes in time."""
    streams = tables["streams"]
    slow = streams[(streams["decode_ms_p95"] > 1e3 / streams["fps"]) & (streams["frames"] > LEAST_FRAMES)]
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


RULES: Final = (
    cannot_play,
    client_decoder_slow,
    stream_orphans,
    no_common_codec,
    decode_slow_remeasured,
    decode_failures,
)
