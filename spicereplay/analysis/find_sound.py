"""Rules about sound and devices: gaps in what is played, what cannot be decoded or heard, errors of USB and webdav."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

import numpy as np

from spicereplay.analysis.facts import Facts
from spicereplay.analysis.finding import Finding, Severity, Source, at, cite, examples, plural, rows_of
from spicereplay.analysis.playback import GAP_MS

if TYPE_CHECKING:
    import pandas as pd

Tables = Mapping[str, "pd.DataFrame"]

LONG_GAP_MS: Final = 200.0
"""Audio packets come every 10 ms (spice-wire.md 14); nobody holds back more sound than this without need."""
GAP_SHARE: Final = 0.01
"""Of the time sound lasts, silent because the sender had none: that crackles."""
RESTARTS: Final = 5
RESTART_RATE: Final = 0.2
"""Starts per second that no listener asks for."""
USB_ERRORS: Final = 3
"""A transfer that fails now and then is repeated; several are a device or a driver in trouble."""
SERVER_ERROR: Final = 500
"""From here on a status says that the folder's end failed, not the request. Source: RFC 9110 15.6."""


def audio_gaps(tables: Tables, facts: Facts) -> Iterator[Finding]:
    """Find sound that arrived too late to follow what was there before, though the server had sent it in time."""
    packets = tables["playback"]
    late = packets[packets["arrival_gap_ms"] - packets["gap_ms"] >= LONG_GAP_MS]
    if len(late):
        yield Finding(
            "audio_gaps",
            "warn",
            f"Sound broke off {plural(len(late), 'time')} on the way, for up to "
            f"{late['arrival_gap_ms'].max() / 1e3:.2f} s",
            tuple(
                cite(sentence, "capture")
                for sentence in examples(
                    [
                        f"no sound for {row.arrival_gap_ms:.0f} ms before {row.time_s:.2f} s; the server's clock says "
                        f"{row.gap_ms:.0f} ms"
                        for row in rows_of(late)
                    ]
                )
            ),
            at(float(late["time_s"].min())),
            "network",
        )


def audio_underruns(tables: Tables, facts: Facts) -> Iterator[Finding]:
    """Find sound that the server did not have when it was due: the virtual sound card ran dry."""
    runs = tables["sound_runs"]
    runs = runs[runs["channel"] == "playback"]
    dry = runs[
        (runs["longest_gap_ms"] >= LONG_GAP_MS)
        | ((runs["gaps"] > 0) & (runs["gap_ms"] >= GAP_SHARE * 1e3 * runs["sound_s"]))
    ]
    if len(dry):
        packets = tables["playback"]
        gaps = packets[packets["run"].isin(dry.index) & (packets["gap_ms"] >= GAP_MS)]
        yield Finding(
            "audio_underruns",
            "warn",
            f"The server ran out of sound {plural(int(dry['gaps'].sum()), 'time')} while the guest played, for "
            f"{dry['gap_ms'].sum() / 1e3:.2f} s in all",
            tuple(
                cite(sentence, "capture")
                for sentence in examples(
                    [
                        f"from {row.start_s:.2f} s on: {plural(row.gaps, 'silence')} of 20 ms or more in "
                        f"{row.sound_s:.1f} s of sound, the longest {row.longest_gap_ms:.0f} ms by multimedia time"
                        for row in rows_of(dry)
                    ]
                )
            ),
            at(float(gaps["time_s"].min())),
            "server",
        )


def audio_undecodable(tables: Tables, facts: Facts) -> Iterator[Finding]:
    """Find sound that nobody can hear because it does not decode."""
    packets = tables["playback"]
    outcome = packets["outcome"].astype(str)
    for codec, group in packets[outcome == "unsupported"].groupby("codec", observed=True):
        yield Finding(
            "audio_unsupported",
            "info",
            f"Sound is coded as {codec}, which cannot be decoded here",
            (cite(f"{plural(len(group), 'packet')} of sound", "capture"),),
            at(float(group["time_s"].min())),
        )
    failed = packets[outcome == "failed"]
    if len(failed):
        yield Finding(
            "audio_undecodable",
            "warn",
            f"{plural(len(failed), 'packet')} of sound cannot be decoded",
            (
                cite(f"{len(failed)} of {plural(len(packets), 'packet')}; the defects say why", "remeasured"),
                cite(f"the first at {failed['time_s'].min():.2f} s", "capture"),
            ),
            at(float(failed["time_s"].min())),
            "server",
        )


def sound_silent(tables: Tables, facts: Facts) -> Iterator[Finding]:
    """Find sound that was played and could not be heard: muted, or nothing but zeros."""
    runs = tables["sound_runs"]
    runs = runs[(runs["channel"] == "playback") & (runs["packets"] > 0)]
    muted = runs[runs["silenced_packets"] == runs["packets"]]
    if len(muted):
        yield _unheard(
            "sound_muted",
            f"The guest played {plural(len(muted), 'time')} while it was muted or its volume was 0",
            muted,
            "capture",
        )
    zeros = runs[runs["peak"] == 0]
    if len(zeros):
        yield _unheard(
            "sound_of_zeros",
            f"The guest played nothing but silence {plural(len(zeros), 'time')}",
            zeros,
            "remeasured",
        )


def _unheard(code: str, title: str, runs: pd.DataFrame, source: Source) -> Finding:
    sentences = [f"{row.sound_s:.1f} s of sound from {row.start_s:.2f} s on" for row in rows_of(runs)]
    evidence = tuple(cite(sentence, source) for sentence in examples(sentences))
    return Finding(code, "info", title, evidence, at(float(runs["start_s"].min())), "guest")


def playback_stop_start(tables: Tables, facts: Facts) -> Iterator[Finding]:
    """Find sound that is started over and over."""
    runs = tables["sound_runs"]
    started = runs[(runs["channel"] == "playback") & runs["seen_start"]]
    for session, group in started.groupby("session", observed=True):
        first = float(group["start_s"].min())
        last = float(np.nanmax(group[["start_s", "stop_s"]].to_numpy(np.float64)))
        if len(group) >= RESTARTS and len(group) / max(last - first, 1.0) > RESTART_RATE:
            yield Finding(
                "playback_stop_start",
                "info",
                f"Sound was started {len(group)} times",
                (cite(f"session {session}: {len(group)} START in {last - first:.1f} s", "capture"),),
                first,
                "guest",
            )


def usb_errors(tables: Tables, facts: Facts) -> Iterator[Finding]:
    """Find USB transfers that failed, refusals (stalls) aside."""
    packets = tables["usbredir"]
    failed = packets[packets["errors"] > 0]
    total = int(failed["errors"].sum())
    if total:
        severity: Severity = "warn" if total >= USB_ERRORS else "info"
        yield Finding(
            "usb_errors",
            severity,
            f"{plural(total, 'USB transfer')} failed at the client's device",
            tuple(
                cite(sentence, "capture")
                for sentence in examples(
                    [
                        f"usbredir/{row.channel_id}: {row.errors} of {row.count} {row.packet}"
                        for row in rows_of(failed.sort_values("errors", ascending=False))
                    ]
                )
            ),
            at(float(failed["first_s"].min())),
            "client",
        )


def webdav_errors(tables: Tables, facts: Facts) -> Iterator[Finding]:
    """Find requests to the shared folder that the client's end failed to serve."""
    requests = tables["webdav"]
    failed = requests[(requests["status"].fillna(0) >= SERVER_ERROR) | (requests["outcome"] == "broken")]
    if len(failed):
        yield Finding(
            "webdav_errors",
            "warn",
            f"{plural(len(failed), 'request')} to the shared folder failed",
            tuple(
                cite(sentence, "capture")
                for sentence in examples(
                    [
                        f"{row.method} at {row.time_s:.2f} s: "
                        + ("the connection was closed" if row.outcome == "broken" else f"status {row.status}")
                        for row in rows_of(failed)
                    ]
                )
            ),
            at(float(failed["time_s"].min())),
            "client",
        )


RULES: Final = (
    audio_gaps,
    audio_underruns,
    audio_undecodable,
    sound_silent,
    playback_stop_start,
    usb_errors,
    webdav_errors,
)
