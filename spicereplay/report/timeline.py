"""The numbers behind the timeline: what the page's script draws, small enough to travel inside the page.

A session of an hour has a hundred thousand frames and a screen two thousand pixels, so series are thinned
to buckets of equal time of which the smallest and the largest value stay (`extremes`): a peak never
disappears. Marks that fall into one bucket become one, with their number. Whatever was thinned is told in
`Timeline.remarks`.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from spicereplay.analysis.find_sound import LONG_GAP_MS
from spicereplay.report.looks import (
    CHANNEL_DASH,
    CODEC_FILL,
    CODEC_SHAPE,
    MARK_SHAPE,
    channel_look,
    codec_look,
)
from spicereplay.report.text import number
from spicereplay.text import visible

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from spicereplay.report.content import ReportContent

TIMEOUT_S: Final = 0.2
"""Least time that TCP waits before it sends again what was lost without a trace. Source: Linux, TCP_RTO_MIN."""
BUCKETS: Final = 2000
"""Buckets of time a thinned series is cut into; each keeps two points."""

SERIES: Final = 10
"""Lines of the bandwidth chart; the channels with the fewest bytes beyond them are added up as `other`."""

BARS: Final = 5000
"""Bars of the stream lane; beyond them, the shortest lived streams are left out."""

ROWS: Final = 16
"""Rows of the stream lane; streams beyond so many at once share the last."""

MARKS: Final = 1500
"""Marks of one lane."""

FINEST: Final = 400_000
"""Bins of the bandwidth grid before thinning; narrower bins are added up."""

_MARK_TEXT: Final = 160


@dataclass(frozen=True, slots=True)
class Timeline:
    """`data` is the JSON the script reads; the rest is what the template says around the charts."""

    data: dict[str, Any]
    codecs: list[str]
    channels: list[tuple[str, str]]
    remarks: list[str]
    has_streams: bool
    has_bandwidth: bool
    has_latency: bool
    has_lag: bool
    has_sound: bool

    @property
    def empty(self) -> bool:
        """Whether there is nothing to draw at all."""
        lanes = any(lane["from"] for lane in self.data["lanes"])
        return not (self.has_streams or self.has_bandwidth or self.has_latency or self.has_lag or lanes)


def timeline(content: ReportContent) -> Timeline:
    """Return what the timeline of `content` shows."""
    tables = content.tables
    remarks: list[str] = []
    end = _end(content)
    streams = _streams(tables["streams"], end, remarks)
    bandwidth = _bandwidth(tables["bandwidth"], end, remarks)
    latency = _latency(tables["frames"], end, remarks)
    lag = _lag(tables["agent"], end, remarks)
    start_ms = content.start_time_ns / 1e6
    data = {
        "startMs": start_ms if abs(start_ms) < 8.64e15 else None,  # what a JavaScript Date can hold
        "end": end,
        "streams": streams,
        "lanes": _lanes(tables, end, remarks),
        "bandwidth": bandwidth,
        "latency": latency,
        "lag": lag,
        "looks": {"shapes": CODEC_SHAPE, "fills": CODEC_FILL, "marks": MARK_SHAPE},
    }
    codecs = sorted({*streams["codecs"], *(s["codec"] for s in latency)})
    return Timeline(
        data=data,
        codecs=codecs,
        channels=[(c["name"], c["look"]) for c in bandwidth["channels"]],
        remarks=remarks,
        has_streams=bool(streams["from"]),
        has_bandwidth=bool(bandwidth["channels"]),
        has_latency=bool(latency),
        has_lag=bool(lag["time"]),
        has_sound=bool(len(tables["sound_runs"])),
    )


def extremes(
    time: NDArray[np.float64], value: NDArray[np.float64], buckets: int = BUCKETS
) -> NDArray[np.intp]:
    """Return the rows that stay when a series is thinned to the smallest and largest value of each bucket.

    `time` and `value` are finite and of one length, in any order. Series of at most `2 * buckets` points
    stay as they are. The rows come back in order of time.
    """
    order = np.argsort(time, kind="stable")
    if len(time) <= 2 * buckets:
        return order
    bucket = _bucket(time, buckets)
    by_value = np.lexsort((value, bucket))
    edge = np.flatnonzero(np.diff(bucket[by_value])) + 1
    first = np.concatenate(([0], edge))
    last = np.concatenate((edge, [len(time)])) - 1
    kept = np.zeros(len(time), bool)
    kept[by_value[first]] = True
    kept[by_value[last]] = True
    return order[kept[order]]


def _bucket(time: NDArray[np.float64], buckets: int) -> NDArray[np.int64]:
    low, high = float(time.min()), float(time.max())
    width = (high - low) / buckets or 1.0
    return np.minimum((time - low) / width, buckets - 1).astype(np.int64)


def _end(content: ReportContent) -> float:
    """Return the right end of the axis: the capture's, or that of what the tables hold beyond it."""
    ends = [content.duration_s]
    for table, column in (("frames", "time_s"), ("agent", "reply_time_s"), ("streams", "destroyed_s")):
        ends.append(float(content.tables[table][column].max()))
    return max((e for e in ends if math.isfinite(e) and e > 0), default=1.0)


def _streams(table: pd.DataFrame, end: float, remarks: list[str]) -> dict[str, Any]:
    begin = _floats(table, "created_s")
    begin = np.where(np.isfinite(begin), begin, _floats(table, "first_frame_s"))
    begin = np.clip(np.nan_to_num(begin, nan=0.0), 0.0, end)
    stop = np.clip(np.nan_to_num(_floats(table, "destroyed_s"), nan=end), begin, end)
    kept = np.arange(len(table))
    if len(kept) > BARS:
        kept = np.sort(np.argsort(begin - stop, kind="stable")[:BARS])
        remarks.append(
            f"The stream lane draws the {BARS:,} longest lived of {len(table):,} streams; "
            "the rest would be thinner than a pixel."
        )
    kept = kept[np.argsort(begin[kept], kind="stable")]
    rows, crowded = _pack(begin[kept], stop[kept])
    if crowded:
        remarks.append(
            f"More than {ROWS} streams at once share the last row of the stream lane ({crowded:,} bars)."
        )
    part = table.iloc[kept]
    codecs = sorted({str(c) for c in part["codec"].unique()})
    ends = sorted({str(c) for c in part["end_cause"].unique()})
    return {
        "codecs": [visible(c, 24) for c in codecs],
        "codecLooks": [codec_look(c) for c in codecs],
        "ends": [visible(e, 40) for e in ends],
        "from": _round(begin[kept]),
        "to": _round(stop[kept]),
        "row": rows,
        "rows": max(rows, default=-1) + 1,
        "codec": [codecs.index(str(c)) for c in part["codec"]],
        "endCause": [ends.index(str(c)) for c in part["end_cause"]],
        "width": part["width"].tolist(),
        "height": part["height"].tolist(),
        "frames": part["frames"].tolist(),
        "openLeft": [int(not seen) for seen in part["seen_create"]],
        "openRight": [int(not math.isfinite(d)) for d in part["destroyed_s"]],
    }


def _pack(begin: NDArray[np.float64], stop: NDArray[np.float64]) -> tuple[list[int], int]:
    """Give every bar, in order of beginning, the lowest row that is free; say how many found none."""
    free = list(range(ROWS))
    busy: list[tuple[float, int]] = []
    rows: list[int] = []
    crowded = 0
    for start, end in zip(begin.tolist(), stop.tolist(), strict=True):
        while busy and busy[0][0] <= start:
            heapq.heappush(free, heapq.heappop(busy)[1])
        if not free:
            crowded += 1
            rows.append(ROWS - 1)
            continue
        row = heapq.heappop(free)
        heapq.heappush(busy, (end, row))
        rows.append(row)
    return rows, crowded


@dataclass(frozen=True, slots=True)
class _Marks:
    """Events of one lane before thinning; `look`: a name of `MARK_SHAPE`, or a period: `hatch`, `still`, `sound`."""

    begin: NDArray[np.float64]
    end: NDArray[np.float64]
    look: list[str]
    text: list[str]


_RANK: Final = {"critical": 3, "error": 3, "warn": 2, "info": 1}
_SEVERITY_LOOK: Final = {"critical": "critical", "error": "critical", "warn": "warn"}


def _lanes(tables: Mapping[str, pd.DataFrame], end: float, remarks: list[str]) -> list[dict[str, Any]]:
    """Return the event lanes in the order in which they lie below the streams."""
    findings, notices, flaps = tables["findings"], tables["notifications"], tables["flaps"]
    gaps = tables["gaps"]
    found = [str(s) for s in findings["severity"]]
    told = [str(s) for s in notices["severity"]]
    lanes = {
        "findings": _Marks(
            _floats(findings, "time_s"),
            _floats(findings, "time_s"),
            [_SEVERITY_LOOK.get(s, "info") for s in found],
            [f"{s}: {t}" for s, t in zip(found, findings["title"], strict=True)],
        ),
        "flaps": _Marks(
            _floats(flaps, "time_s"),
            _floats(flaps, "time_s"),
            # Parts of one picture that end together are worth a mark, but they are no flapping.
            ["flap" if kind == "flapping" else "info" for kind in flaps["kind"].astype(str)],
            [
                f"{k.replace('_', ' ')}: {n} streams destroyed within {number(w, 1)} s"
                for k, n, w in zip(flaps["kind"].astype(str), flaps["count"], flaps["window_s"], strict=True)
            ],
        ),
        "notices": _Marks(
            _floats(notices, "time_s"),
            _floats(notices, "time_s"),
            [_SEVERITY_LOOK.get(s, "info") for s in told],
            [
                f"{s} from {o.replace('_', ' ')}: {m}"
                for s, o, m in zip(told, notices["origin"].astype(str), notices["message"], strict=True)
            ],
        ),
        "still": _still(tables["display_silence"]),
        "stalls": _stalls(tables, end),
        "gaps": _Marks(
            _floats(gaps, "time_s"),
            _floats(gaps, "time_s"),
            ["hatch"] * len(gaps),
            [
                f"{c} from {f}: {'?' if math.isnan(n) else number(n)} bytes missing ({why.replace('_', ' ')})"
                for c, f, n, why in zip(
                    gaps["channel"].astype(str),
                    gaps["from"].astype(str),
                    _floats(gaps, "bytes"),
                    gaps["cause"].astype(str),
                    strict=True,
                )
            ],
        ),
    }
    if len(tables["sound_runs"]):
        lanes["sound"] = _sound(tables["sound_runs"], tables["playback"], end)
    again = tables["tcp_events"]
    again = again[again["kind"].astype(str).str.endswith("retransmission")]
    if len(again):
        lanes["resent"] = _resent(again)
    return [{"name": name, **_merged(name, marks, end, remarks)} for name, marks in lanes.items()]


def _stalls(tables: Mapping[str, pd.DataFrame], end: float) -> _Marks:
    """Return when a side had to wait: for an acknowledgement, for room in the receiver's window, for agent tokens."""
    acks, windows, starved = tables["ack_stalls"], tables["tcp_stalls"], tables["agent_starvation"]
    every = (acks, windows, starved)
    return _Marks(
        np.concatenate([_floats(table, "start_s") for table in every]),
        np.concatenate([_ends(table, end) for table in every]),
        ["hatch"] * sum(map(len, every)),
        [
            f"{c} waited for ACK, {n:,} messages outstanding"
            for c, n in zip(acks["channel"].astype(str), acks["unacknowledged"], strict=True)
        ]
        + [
            f"{channel} from {side}: the receiver had no room ({why.replace('_', ' ')})"
            for channel, side, why in zip(
                windows["channel"].astype(str),
                windows["from"].astype(str),
                windows["cause"].astype(str),
                strict=True,
            )
        ]
        + [f"{side} had no agent token left" for side in starved["from"].astype(str)],
    )


def _resent(events: pd.DataFrame) -> _Marks:
    """Return where TCP sent something again; after a timeout it is drawn as a warning."""
    at, idle = _floats(events, "time_s"), _floats(events, "idle_s")
    return _Marks(
        at,
        at,
        ["warn" if seconds >= TIMEOUT_S else "info" for seconds in idle],
        [
            f"{channel} from {side}: {number(size)} bytes sent again"
            + (f" after {seconds:.2f} s without anything new" if seconds >= TIMEOUT_S else "")
            for channel, side, size, seconds in zip(
                events["channel"].astype(str),
                events["from"].astype(str),
                _floats(events, "bytes"),
                idle,
                strict=True,
            )
        ],
    )


def _sound(runs: pd.DataFrame, packets: pd.DataFrame, end: float) -> _Marks:
    """Return when sound was played or recorded, and what a listener may have heard break off."""
    begin, stop = _floats(runs, "start_s"), np.nan_to_num(_floats(runs, "stop_s"), nan=end)
    late = packets[packets["arrival_gap_ms"] >= LONG_GAP_MS]
    at = _floats(late, "time_s")
    return _Marks(
        np.concatenate((begin, at)),
        np.concatenate((stop, at)),
        ["sound"] * len(runs) + ["warn"] * len(late),
        [
            f"{channel}: {codec}, {number(seconds, 1)} s of sound"
            for channel, codec, seconds in zip(
                runs["channel"].astype(str), runs["codec"].astype(str), _floats(runs, "sound_s"), strict=True
            )
        ]
        + [f"no sound for {number(gap, 0)} ms" for gap in _floats(late, "arrival_gap_ms")],
    )


UNANSWERED_S: Final = 1.0
"""Keys and buttons that the screen did not answer for as long are drawn apart from an idle screen."""


def _still(table: pd.DataFrame) -> _Marks:
    """Return the silences of the screen, and apart from them the time behind a press that was not answered soon."""
    begin, end, pressed = (_floats(table, name) for name in ("start_s", "end_s", "first_input_s"))
    asked = np.flatnonzero(end - pressed >= UNANSWERED_S)
    until = end.copy()
    until[asked] = pressed[asked]
    return _Marks(
        np.concatenate((begin, pressed[asked])),
        np.concatenate((until, end[asked])),
        ["still"] * len(table) + ["hatch"] * len(asked),
        [f"nothing was drawn for {number(lasted, 1)} s" for lasted in until - begin]
        + [
            f"nothing was drawn for {number(end[row] - pressed[row], 1)} s after a press; keys and buttons pressed: "
            f"{number(int(table['inputs_during'].iloc[row]))}"
            for row in asked.tolist()
        ],
    )


def _merged(name: str, marks: _Marks, end: float, remarks: list[str]) -> dict[str, Any]:
    rows = [int(i) for i in np.flatnonzero(np.isfinite(marks.begin))]
    rows.sort(key=lambda i: (marks.begin[i], -_RANK.get(marks.look[i], 0)))
    begin = np.clip(marks.begin, 0.0, end)
    groups: dict[int, list[int]] = {}
    for place, row in enumerate(rows):
        key = int(begin[row] / end * MARKS) if len(rows) > MARKS else place
        groups.setdefault(key, []).append(row)
    if len(rows) > MARKS:
        remarks.append(
            f"The lane “{name}” draws {len(rows):,} marks as {len(groups):,}, the worst of each instant."
        )
    # Of the marks of one instant, the worst gives look and words.
    worst = [max(group, key=lambda i: _RANK.get(marks.look[i], 0)) for group in groups.values()]
    return {
        "from": _round(np.array([min(begin[i] for i in g) for g in groups.values()])),
        "to": _round(np.array([min(max(marks.end[i] for i in g), end) for g in groups.values()])),
        "look": [marks.look[i] for i in worst],
        "text": [visible(marks.text[i], _MARK_TEXT) for i in worst],
        "count": [len(g) for g in groups.values()],
    }


def _bandwidth(table: pd.DataFrame, end: float, remarks: list[str]) -> dict[str, Any]:
    """Return bytes per second per channel and direction on one grid of time; bins without a row are zero."""
    empty: dict[str, Any] = {"time": [], "width": 0, "channels": []}
    begin, width = _floats(table, "time_s"), _floats(table, "width_s")
    usable = np.isfinite(begin) & (begin >= 0) & (begin <= end) & np.isfinite(width) & (width > 0)
    if not usable.any():
        return empty
    table, begin = table[usable], begin[usable]
    step = max(float(width[usable].max()), end / FINEST)
    bins = math.ceil(end / step) + 1
    names = [
        f"{channel} {index}" if index else channel
        for channel, index in zip(table["channel"].astype(str), table["channel_id"].tolist(), strict=True)
    ]
    totals: dict[str, int] = {}
    for name, count in zip(names, table["bytes"].tolist(), strict=True):
        totals[name] = totals.get(name, 0) + count
    ranked = sorted(totals, key=lambda n: (-totals[n], n))
    shown = ranked if len(ranked) <= SERIES else [*ranked[: SERIES - 1], "other"]
    column = {name: min(place, len(shown) - 1) for place, name in enumerate(ranked)}
    rate = np.zeros((2, len(shown), bins), dtype=np.float64)
    side = (table["from"].astype(str) == "client").to_numpy().astype(np.intp)
    where = np.minimum(np.round(begin / step), bins - 1).astype(np.intp)
    np.add.at(
        rate, (side, np.array([column[n] for n in names]), where), table["bytes"].to_numpy(float) / step
    )
    time = np.arange(bins, dtype=np.float64) * step
    if bins > 2 * BUCKETS:
        time, rate = _peaks(time, rate)
        remarks.append(
            f"Bandwidth is drawn from {bins:,} bins of {number(step, 3)} s: "
            f"the smallest and the largest of each of {BUCKETS:,} buckets."
        )
    channels = [
        {
            "name": visible(name, 24),
            "look": channel_look(name.split(" ")[0]),
            "dash": CHANNEL_DASH[channel_look(name.split(" ")[0])],
            "server": _round(rate[0, place], 1),
            "client": _round(rate[1, place], 1),
        }
        for place, name in enumerate(shown)
    ]
    return {"time": _round(time), "width": step, "channels": channels}


def _peaks(
    time: NDArray[np.float64], rate: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Thin series that share one grid to two points a bucket: its smallest and largest, as they came."""
    bins = math.ceil(len(time) / BUCKETS)
    padded = np.full((*rate.shape[:2], bins * BUCKETS), np.nan)
    padded[:, :, : len(time)] = rate
    cut = padded.reshape(*rate.shape[:2], BUCKETS, bins)
    filled = math.ceil(len(time) / bins)  # trailing buckets may hold nothing
    cut = cut[:, :, :filled]
    low, high = np.nanmin(cut, axis=3), np.nanmax(cut, axis=3)
    rising = np.nanargmin(cut, axis=3) <= np.nanargmax(cut, axis=3)
    pairs = np.stack((np.where(rising, low, high), np.where(rising, high, low)), axis=3)
    starts = time[::bins]
    halves = np.stack((starts, starts + (time[1] - time[0]) * bins / 2), axis=1)
    return halves.reshape(-1), pairs.reshape(*rate.shape[:2], -1)


def _latency(table: pd.DataFrame, end: float, remarks: list[str]) -> list[dict[str, Any]]:
    """Return one series of decode times per codec."""
    time, cost = _floats(table, "time_s"), _floats(table, "decode_ms")
    usable = np.isfinite(time) & np.isfinite(cost) & (time >= 0) & (time <= end)
    codec = table["codec"].astype(str).to_numpy()
    series = []
    drawn = 0
    for name in sorted(set(codec[usable].tolist())):
        mine = usable & (codec == name)
        rows = extremes(time[mine], cost[mine])
        drawn += len(rows)
        series.append(
            {
                "codec": visible(name, 24),
                "look": codec_look(name),
                "time": _round(time[mine][rows]),
                "ms": _round(cost[mine][rows], 3),
            }
        )
    if drawn < (total := int(usable.sum())):
        remarks.append(
            f"Decode times are drawn as {drawn:,} of {total:,} frames: "
            f"the fastest and the slowest of each of {BUCKETS:,} buckets per codec."
        )
    return series


def _lag(table: pd.DataFrame, end: float, remarks: list[str]) -> dict[str, Any]:
    """Return agent requests at their time: lag in ms, and -1 where no reply came."""
    time, lag = _floats(table, "time_s"), _floats(table, "lag_ms")
    rows = np.flatnonzero(np.isfinite(time) & (time >= 0) & (time <= end))
    value = np.where(np.isfinite(lag), lag, -1.0)
    kept = rows[extremes(time[rows], value[rows])]
    if len(kept) < len(rows):
        remarks.append(
            f"Agent lag is drawn as {len(kept):,} of {len(rows):,} requests: "
            "the fastest and the slowest of each bucket."
        )
    part = table.iloc[kept]
    return {
        "time": _round(time[kept]),
        "ms": _round(value[kept], 3),
        "type": [visible(str(t), 40) for t in part["type"]],
        "outcome": [visible(str(o), 24) for o in part["outcome"]],
    }


def _ends(table: pd.DataFrame, end: float) -> NDArray[np.float64]:
    return np.nan_to_num(_floats(table, "end_s"), nan=end)


def _floats(table: pd.DataFrame, column: str) -> NDArray[np.float64]:
    return table[column].to_numpy(dtype=np.float64, na_value=np.nan)


def _round(values: NDArray[np.float64], decimals: int = 4) -> list[float]:
    """Return numbers as JSON takes them, short: whole numbers lose their point."""
    return [int(v) if v == int(v) else v for v in np.round(values, decimals).tolist()]
