"""The tables of sound: runs on playback and record channels, and the packets of playback."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from spicereplay.analysis import schema, sound
from spicereplay.analysis.clock import ClientMediaClock, client_media_clock
from spicereplay.analysis.columns import (
    Float64Array,
    Record,
    category,
    concat,
    nullable,
    records,
    second,
    seconds,
)
from spicereplay.analysis.sound import CODECS, FAILED, NOT_DECODED, OUTCOMES, PARTIAL, Run, silences
from spicereplay.defects import DefectLog
from spicereplay.limits import Limits
from spicereplay.protocol.enums import ChannelType
from spicereplay.session.log import ChannelLog, SessionLog
from spicereplay.units import NS_PER_MS

if TYPE_CHECKING:
    import pandas as pd

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done and how much there is."""

GAP_MS: Final = 20.0
"""A silence that counts: two of spice-server's packets; shorter ones are the unevenness of its timer."""
_FULL_SCALE: Final = 32_768.0
_TELL_EVERY: Final = 500


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """What decoding the packets of one run gave."""

    outcome: npt.NDArray[np.int8]
    """Index into `sound.OUTCOMES`."""
    backend: npt.NDArray[np.int32]
    """Index into `backends`."""
    backends: list[str]
    peak: float
    """Largest sample, 1 is full scale; NaN: nothing was decoded."""


@dataclass(frozen=True, slots=True, eq=False)
class SoundRun:
    """One run, where it was, and all that is known of its packets."""

    session: int
    log: ChannelLog
    run: Run
    measured: Measured
    gap_ms: Float64Array
    arrival_gap_ms: Float64Array
    margin_ms: Float64Array
    silenced: npt.NDArray[np.bool_]
    volumes: npt.NDArray[np.uint16]
    latency_ms: int | None


def observe_sound(
    sessions: Sequence[SessionLog],
    limits: Limits,
    defects: DefectLog,
    *,
    decode: bool = True,
    progress: Progress | None = None,
) -> list[SoundRun]:
    """Return every run of sound of all sessions, in order; with `decode` each packet was decoded once."""
    found: list[SoundRun] = []
    for session in sessions:
        clock = client_media_clock(session)
        for log in (*session.of(ChannelType.PLAYBACK), *session.of(ChannelType.RECORD)):
            levels, (asked_ns, asked) = sound.levels(log), sound.latencies(log)
            for run in sound.runs(log, limits, defects):
                end_ns = run.stop_ns if run.stop_ns is not None else log.end_time_ns
                held = asked[asked_ns <= end_ns]
                found.append(
                    SoundRun(
                        session=session.number,
                        log=log,
                        run=run,
                        measured=_measure(run, log, limits, defects, progress)
                        if decode
                        else _unmeasured(run),
                        gap_ms=silences(run.since_start_ms, run.played_ms, run.after_hole),
                        arrival_gap_ms=silences(_since_ms(run), run.played_ms, run.after_hole),
                        margin_ms=_margins(run, log, clock),
                        silenced=levels.silent(run.time_ns),
                        volumes=levels.volumes(run.start_ns, end_ns),
                        latency_ms=int(held.max()) if len(held) else None,
                    )
                )
    return found


def _since_ms(run: Run) -> Float64Array:
    return np.asarray((run.time_ns - run.start_ns) / NS_PER_MS, np.float64)


def _margins(run: Run, log: ChannelLog, clock: ClientMediaClock) -> Float64Array:
    if log.channel is not ChannelType.PLAYBACK:
        return np.full(len(run.rows), np.nan)
    return clock.margin_ms(run.time_ns, run.mm_time)


def _unmeasured(run: Run) -> Measured:
    outcome = np.where(run.partial, PARTIAL, NOT_DECODED).astype(np.int8)
    return Measured(outcome, np.zeros(len(run.rows), np.int32), [""], np.nan)


def _measure(
    run: Run, log: ChannelLog, limits: Limits, defects: DefectLog, progress: Progress | None
) -> Measured:
    count = len(run.rows)
    outcome, backend = np.zeros(count, np.int8), np.zeros(count, np.int32)
    backends = {"": 0}
    peak = -1
    for heard in sound.decode(run, sound.place(log), limits, defects):
        outcome[heard.packet] = heard.outcome
        backend[heard.packet] = backends.setdefault(heard.backend, len(backends))
        if heard.samples is not None and heard.samples.size:
            peak = max(peak, int(heard.samples.max()), -int(heard.samples.min()))
        if progress is not None and heard.packet % _TELL_EVERY == 0:
            progress("decoding sound", heard.packet, count)
    return Measured(outcome, backend, list(backends), np.nan if peak < 0 else peak / _FULL_SCALE)


def sound_runs(found: Sequence[SoundRun], origin_ns: int) -> pd.DataFrame:
    """Return the table `sound_runs`."""
    return records("sound_runs", [_row(each, origin_ns) for each in found])


def _row(each: SoundRun, origin_ns: int) -> Record:
    run = each.run
    gap, arrival = _counted(each.gap_ms), _counted(each.arrival_gap_ms)
    played = run.played_ms
    at = run.since_start_ms
    known = bool(len(run.rows)) and not np.isnan(played).any()
    return {
        "session": each.session,
        "channel": each.log.channel.label,
        "channel_id": each.log.channel_id,
        "start_s": second(run.start_ns, origin_ns),
        "stop_s": second(run.stop_ns, origin_ns),
        "seen_start": run.seen_start,
        "codec": CODECS.get(int(run.mode[-1]), "unknown") if len(run.mode) else "unknown",
        "codec_source": "inferred" if run.inferred else "capture",
        "channels": run.channels,
        "rate": run.rate,
        "packets": len(run.rows),
        "bytes": int(run.size.sum()),
        "sound_s": float(played.sum()) / 1e3 if known else np.nan,
        "span_s": float(at[-1] + played[-1] - at[0]) / 1e3 if known else np.nan,
        "gaps": len(gap),
        "gap_ms": float(gap.sum()),
        "longest_gap_ms": _longest(each.gap_ms),
        "arrival_gaps": len(arrival),
        "arrival_gap_ms": float(arrival.sum()),
        "longest_arrival_gap_ms": _longest(each.arrival_gap_ms),
        "decode_failures": int((each.measured.outcome == FAILED).sum()),
        "peak": each.measured.peak,
        "volume_min": int(each.volumes.min()) if len(each.volumes) else None,
        "volume_max": int(each.volumes.max()) if len(each.volumes) else None,
        "silenced_packets": int(each.silenced.sum()),
        "latency_ms": each.latency_ms,
    }


def _counted(gap_ms: Float64Array) -> Float64Array:
    return gap_ms[gap_ms >= GAP_MS]


def _longest(gap_ms: Float64Array) -> float:
    return float(gap_ms[np.isfinite(gap_ms)].max(initial=0.0))


def playback(found: Sequence[SoundRun], origin_ns: int) -> pd.DataFrame:
    """Return the table `playback`; `found` are the rows of `sound_runs`."""
    return concat(
        "playback",
        (
            _packets(number, each, origin_ns)
            for number, each in enumerate(found)
            if each.log.channel is ChannelType.PLAYBACK
        ),
    )


def _packets(number: int, each: SoundRun, origin_ns: int) -> pd.DataFrame:
    run, measured = each.run, each.measured
    count = len(run.rows)
    time_ns = run.time_ns
    codecs, which = np.unique(run.mode, return_inverse=True)
    return schema.frame(
        "playback",
        {
            "session": np.full(count, each.session),
            "channel_id": np.full(count, each.log.channel_id),
            "run": np.full(count, number),
            "time_s": seconds(time_ns, origin_ns),
            "mm_time": run.mm_time,
            "codec": category(which.ravel(), [CODECS.get(int(mode), "unknown") for mode in codecs]),
            "bytes": run.size,
            "samples": nullable(run.samples, run.samples >= 0),
            "interarrival_ms": np.diff(_since_ms(run), prepend=np.nan),
            "gap_ms": each.gap_ms,
            "arrival_gap_ms": each.arrival_gap_ms,
            "margin_ms": each.margin_ms,
            "silenced": each.silenced,
            "backend": category(measured.backend, measured.backends),
            "outcome": category(measured.outcome, OUTCOMES),
        },
    )
