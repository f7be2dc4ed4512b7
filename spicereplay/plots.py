"""Plots for a notebook: `sr.plots.streams(capture)`, in the colours of the report.

Each function draws one thing on a matplotlib `Axes`, a new one unless it is given, and returns it, so that whoever
wants another scale or size sets it there; `title` stands in place of the usual one. `source` is a `Capture` or a
`Session`. Times are seconds since the
capture's first packet, as in all tables. Nothing is drawn that the tables do not hold; where they hold nothing, the
axes say so.

All raise `UsageError` where matplotlib is missing, which comes with `pip install 'spicereplay[notebook]'`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from spicereplay.errors import UsageError
from spicereplay.markup import size
from spicereplay.text import visible

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from spicereplay.analysis.attributes import TableAttributes
    from spicereplay.analysis.latency import Latency
    from spicereplay.replay.picture import Picture

__all__ = [
    "CHANNEL_COLOURS",
    "CODEC_COLOURS",
    "agent_lag",
    "axes",
    "bandwidth",
    "decode_latency",
    "decoders",
    "regions",
    "screen",
    "streams",
]

TEXT: Final = "#1a1e24"
MUTED: Final = "#555d68"
RULE: Final = "#d5d9df"
GRID: Final = "#e6e9ed"
CRITICAL: Final = "#bb1f2a"
LAG: Final = "#00695f"

CHANNEL_COLOURS: Final[Mapping[str, str]] = {
    "main": "#5d6673",
    "display": "#0a5cad",
    "inputs": "#8a5600",
    "cursor": "#7d2fae",
    "playback": "#00695f",
    "record": "#bb1f2a",
    "usbredir": "#a0226f",
    "port": "#4a6600",
    "webdav": "#4d49c9",
    "smartcard": "#7a4526",
    "other": "#5a5a5a",
}
"""Colour of each channel, as in the report's style sheet."""

CODEC_COLOURS: Final[Mapping[str, str]] = {
    "mjpeg": "#0a5cad",
    "vp8": "#8a5600",
    "h264": "#00695f",
    "vp9": "#7d2fae",
    "h265": "#bb1f2a",
    "unknown": "#5a626d",
}
"""Colour of each video codec, as in the report's style sheet."""

WIDTH_IN: Final = 9.0
DOTS_PER_INCH: Final = 110
LABELLED_STREAMS: Final = 16
"""So many streams get a row and a label each; more of them share rows."""
MOST_CHANNELS: Final = 5
"""Channels, or codecs, that are told apart."""
LEAST_SHARE: Final = 0.01
"""Channels with fewer of all bytes are added up as `other`."""
LEAST_MS: Final = 1e-4
"""Where a logarithmic axis begins at the latest."""
REGION_PIXELS: Final = 96 * 96
"""Source: server-heuristics.md A1, RED_STREAM_MIN_SIZE; in filter mode smaller pictures make no stream."""
REGION_PICTURES: Final = 21
"""Source: server-heuristics.md A1, RED_STREAM_FRAMES_START_CONDITION successors of a first picture."""

_SERIES: Final = [CODEC_COLOURS[name] for name in ("mjpeg", "vp8", "h264", "vp9", "h265")]
"""Colours of what has none of its own, in this order."""
TIME: Final = "seconds since the first packet"
"""What an axis of time is called."""


def axes(
    title: str = "", *, x: str = TIME, y: str = "", height_in: float = 2.7, grid: Literal["x", "y", ""] = "y"
) -> Axes:
    """Return new axes that look like those of this module, for a plot of one's own; `grid` runs across that axis."""
    try:
        from matplotlib import pyplot
    except ImportError:
        raise UsageError(
            "plots need matplotlib, which is not installed: pip install 'spicereplay[notebook]'"
        ) from None
    figure = pyplot.figure(figsize=(WIDTH_IN, height_in), dpi=DOTS_PER_INCH, layout="constrained")
    return _dressed(figure.add_subplot(), title, x, y, grid)


def streams(source: TableAttributes, *, title: str | None = None, ax: Axes | None = None) -> Axes:
    """Draw the life of every video stream as a bar, coloured by codec, and say how it ended.

    A bar without an end on one side runs over the edge: its beginning or end was not captured.
    """
    table = source.streams
    span = _span(source, table)
    begin, end = _floats(table, "created_s"), _floats(table, "destroyed_s")
    begin, end = np.where(np.isfinite(begin), begin, span[0]), np.where(np.isfinite(end), end, span[1])
    labelled = len(table) <= LABELLED_STREAMS
    rows = np.arange(len(table)) if labelled else _rows(begin, end)
    height = 1.4 + 0.25 * (int(rows.max()) + 1 if len(rows) else 1)
    ax = _on(ax, title or "Video streams", TIME, "", min(height, 6.0), "x")
    ax.set_yticks([])
    ax.set_xlim(*span)
    if not len(table):
        return _nothing(ax, "no video stream")
    codecs = table["codec"].astype(str).tolist()
    ax.barh(rows, end - begin, left=begin, height=0.62, color=[_codec(name) for name in codecs])
    ax.set_ylim(float(rows.max()) + 0.7, -0.7)
    if labelled:
        for row, stream in enumerate(table.itertuples(index=False)):
            left = span[1] - end[row] < 0.3 * (span[1] - span[0])
            _label(ax, _life(stream), (begin[row] if left else end[row], row), left=left)
    _key(ax, {name: (_codec(name), name) for name in sorted(set(codecs))})
    return ax


def _life(stream: Any) -> str:
    """Say how long a stream lived, what it brought and how it ended."""
    lived = f"{stream.lifetime_s:.2f} s, " if math.isfinite(stream.lifetime_s) else ""
    frames = f"{stream.frames:,} frame{'' if stream.frames == 1 else 's'}"
    return f"{lived}{frames}, {str(stream.end_cause).replace('_', ' ')}"


def bandwidth(
    source: TableAttributes,
    *,
    side: Literal["server", "client"] = "server",
    title: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw how many bytes a second one side sent on each channel, in the bins of the table `bandwidth`."""
    table = source.bandwidth
    table = table[table["from"] == side]
    span = _span(source, table)
    ax = _on(ax, title or f"Bytes from the {side}", TIME, "kB per second", 2.7, "y")
    ax.set_xlim(*span)
    if not len(table):
        return _nothing(ax, "no message")
    names = table["channel"].astype(str).to_numpy()
    totals = table.groupby(names)["bytes"].sum().sort_values(ascending=False)
    kept = totals[totals >= LEAST_SHARE * totals.sum()].index[:MOST_CHANNELS].tolist()
    shown = np.where(np.isin(names, kept), names, "other")
    width = float(table["width_s"].max())
    bins = math.ceil((span[1] - span[0]) / width) + 1
    edges = np.asarray(span[0] + np.arange(bins + 1) * width, np.float64)
    highest: NDArray[np.float64] = np.zeros(bins)
    key: dict[str, tuple[str, str]] = {}
    for name in [*kept, *(["other"] if len(totals) > len(kept) else [])]:
        mine = table[shown == name]
        place = np.clip(((mine["time_s"] - span[0]) / width).round().astype(int), 0, bins - 1)
        rate = np.bincount(place, mine["bytes"], bins) / width / 1000
        np.maximum(highest, rate, out=highest)
        colour = CHANNEL_COLOURS.get(name, CHANNEL_COLOURS["other"])
        ax.stairs(rate, edges, color=colour, linewidth=1.3)
        ax.stairs(rate, edges, color=colour, fill=True, alpha=0.12, linewidth=0)
        key[name] = (colour, f"{name} {size(int(mine['bytes'].sum()))}")
    ax.set_ylim(0, _room(ax, highest, edges))
    ax.yaxis.set_major_formatter(_plain)
    _key(ax, key)
    return ax


def _room(ax: Axes, highest: NDArray[np.float64], edges: NDArray[np.float64]) -> float:
    """Return where the axis of a rate shall end.

    One burst that towers above everything, as main's network test at the beginning does, is cut and its rate written
    beside it: otherwise nothing else could be seen.
    """
    peak = int(highest.argmax())
    rest = highest.copy()
    rest[max(peak - 1, 0) : peak + 2] = 0
    top = float(rest.max()) * 1.2
    if top <= 0 or highest[peak] < 2 * top:
        return float(highest[peak]) * 1.08
    right = peak > 0.8 * len(highest)
    ax.annotate(
        f"↑ {highest[peak]:,.0f}",
        (edges[peak] if right else edges[peak + 1], top),
        xytext=(-3 if right else 3, -2),
        textcoords="offset points",
        ha="right" if right else "left",
        va="top",
        color=MUTED,
        fontsize=8,
    )
    return top


def decode_latency(
    source: TableAttributes,
    *,
    of: Literal["frames", "images"] = "frames",
    title: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw how long each video frame, or each image, took to decode on this machine, and the median per codec."""
    table = source.frames if of == "frames" else source.images
    if of == "images":
        table = table[table["cache"] != "hit"]
    table = table[(table["decode_ms"] > 0) & np.isfinite(table["decode_ms"])]
    span = _span(source, table)
    what = "a video frame" if of == "frames" else "an image"
    usual = f"Time to decode {what}, measured here"
    ax = _on(ax, title or usual, TIME, "milliseconds", 2.9, "y")
    ax.set_xlim(*span)
    if not len(table):
        return _nothing(ax, "nothing was decoded")
    _logarithmic(ax, "y", _around(_floats(table, "decode_ms")))
    key: dict[str, tuple[str, str]] = {}
    counts = table["codec"].astype(str).value_counts()
    for number, name in enumerate(counts.index[:MOST_CHANNELS]):
        mine = table[table["codec"] == name]
        colour = _codec(name) if of == "frames" else _SERIES[number]
        cost = _floats(mine, "decode_ms")
        ax.scatter(mine["time_s"], cost, s=10, color=colour, alpha=0.55, linewidth=0)
        median = float(np.median(cost))
        ax.axhline(median, color=colour, linewidth=1)
        key[name] = (colour, f"{name}: median {_ms(median)} of {len(mine):,}")
    _key(ax, key)
    return ax


def decoders(rows: Sequence[Latency], *, title: str | None = None, ax: Axes | None = None) -> Axes:
    """Draw what each decoder takes for a picture: the median as a dot, up to the 95th percentile as a line.

    `rows` is what `spicereplay.analysis.latency.decode_latencies` returns; sizes are drawn apart, and a codec's sum
    over all sizes is left out.
    """
    from spicereplay.analysis.latency import ALL_SIZES

    shown = [row for row in rows if row.size != ALL_SIZES]
    groups = list(dict.fromkeys((row.codec, row.size) for row in shown))
    usual = "Time to decode a picture, measured here"
    words = "milliseconds: median, and up to the 95th percentile"
    ax = _on(ax, title or usual, words, "", 1.1 + 0.2 * (len(shown) + 1.5 * len(groups)), "x")
    if not shown:
        return _nothing(ax, "nothing was decoded")
    costs = np.array([[row.median_ms, row.p95_ms] for row in shown])
    _logarithmic(ax, "x", _around(np.maximum(np.append(costs, costs.min() * 0.6), LEAST_MS)))
    ticks: dict[float, str] = {}
    place = 0.0
    for group in groups:
        mine = sorted((row for row in shown if (row.codec, row.size) == group), key=lambda row: row.median_ms)
        count = max(row.count for row in mine)
        title = f"{group[0]}, {group[1]} px, {count:,} picture{'' if count == 1 else 's'}"
        across = ax.get_yaxis_transform()
        ax.text(0, place, visible(title, 80), transform=across, va="center", fontsize=8, parse_math=False)
        for n, row in enumerate(mine):
            place += 1
            ticks[place] = visible(row.backend, 40)
            colour = CHANNEL_COLOURS["display"] if n == 0 else MUTED
            median, slow = max(row.median_ms, LEAST_MS), max(row.p95_ms, LEAST_MS)
            ax.plot([median, slow], [place, place], color=colour, linewidth=2, alpha=0.35)
            ax.plot([median], [place], "o", color=colour, markersize=5)
            _label(ax, _ms(row.median_ms), (median, place), left=True, colour=colour)
        place += 1.5
    ax.set_yticks(list(ticks), list(ticks.values()), parse_math=False)
    ax.set_ylim(place - 0.8, -0.8)
    return ax


def agent_lag(source: TableAttributes, *, title: str | None = None, ax: Axes | None = None) -> Axes:
    """Draw how long the guest agent took to answer each request; what it never answered is crossed at the top."""
    table = source.agent
    span = _span(source, table)
    ax = _on(
        ax, title or "Answers of the guest agent", f"time of the request, {TIME}", "milliseconds", 2.9, "y"
    )
    ax.set_xlim(*span)
    if not len(table):
        return _nothing(ax, "no request to the guest agent")
    time, lag = _floats(table, "time_s"), _floats(table, "lag_ms")
    answered = np.isfinite(lag)
    lag = np.maximum(lag, LEAST_MS)
    low, high = _around(np.append(lag[answered], [1.0, 1000.0]))
    crossed = high / 1.6
    _logarithmic(ax, "y", (low, high))
    ax.vlines(time[answered], low, lag[answered], color=LAG, linewidth=1.2, alpha=0.4)
    ax.plot(time[answered], lag[answered], "o", color=LAG, markersize=5)
    lost = time[~answered]
    ax.vlines(lost, low, crossed, color=CRITICAL, linewidth=1.2, alpha=0.3, linestyle=(0, (2, 3)))
    ax.plot(lost, np.full(len(lost), crossed), "x", color=CRITICAL, markersize=7, markeredgewidth=1.5)
    if len(table) > LABELLED_STREAMS:
        return ax
    length = span[1] - span[0]
    for row, request in enumerate(table.itertuples(index=False)):
        told = _ms(lag[row]) if answered[row] else str(request.outcome)
        before = int((np.abs(time[:row] - time[row]) < 0.02 * length).sum())
        _label(
            ax,
            f"{str(request.type).replace('_', ' ').lower()}, {told}",
            (time[row], lag[row] if answered[row] else crossed),
            left=span[1] - time[row] < 0.25 * length,
            colour=MUTED if answered[row] else CRITICAL,
            up=9.0 * before,
        )
    return ax


def regions(
    sources: Mapping[str, TableAttributes], *, title: str | None = None, ax: Axes | None = None
) -> Axes:
    """Draw why places that were painted over and over became a video stream, or did not.

    A point per row of the table `regions`, by its longest run of pictures and its size; `sources` are by name. In the
    server's filter mode a stream takes what is in the shaded corner. Source: server-heuristics.md A1, B5.
    """
    import pandas as pd

    words = "pictures in a row, 200 ms apart at most"
    ax = _on(ax, title or "Places painted over and over", words, "pixels of a picture", 3.6, "")
    tables = {name: source.regions for name, source in sources.items()}
    if not any(len(table) for table in tables.values()):
        return _nothing(ax, "no such place")
    whole = pd.concat(tables.values())
    run, area = (np.maximum(_floats(whole, name), 1) for name in ("longest_run", "src_pixels"))
    left, right = min(float(run.min()), 10.0) / 1.4, max(float(run.max()), 60.0) * 1.4
    low, high = min(float(area.min()), 1000.0) / 2, max(float(area.max()), 40_000.0) * 2
    _logarithmic(ax, "x", (left, right))
    _logarithmic(ax, "y", (low, high))
    ax.axhline(REGION_PIXELS, color=RULE, linewidth=1)
    ax.axvline(REGION_PICTURES, color=RULE, linewidth=1)
    corner = CHANNEL_COLOURS["display"]
    ax.fill_between([REGION_PICTURES, right], REGION_PIXELS, high, color=corner, alpha=0.07, linewidth=0)
    _label(ax, "in filter mode the server makes a stream here", (right, high), left=True, up=-9)
    _label(ax, f"{REGION_PIXELS:,} px", (left, REGION_PIXELS), left=False, up=6)
    _label(ax, f"{REGION_PICTURES} pictures", (REGION_PICTURES, low), left=True, up=7)
    key: dict[str, tuple[str, str]] = {}
    for number, (name, table) in enumerate(tables.items()):
        colour = _SERIES[number % len(_SERIES)]
        streamed = (table["reason"] == "streamed").to_numpy()
        # Rings are larger than dots, so that one shows around the other.
        for part, face, area_pt in ((table[streamed], colour, 28), (table[~streamed], "none", 90)):
            x, y = (np.maximum(_floats(part, column), 1) for column in ("longest_run", "src_pixels"))
            ax.scatter(x, y, s=area_pt, facecolor=face, edgecolor=colour, linewidth=1.5, zorder=3)
        key[name] = (
            colour,
            f"{name}: {int(streamed.sum())} of {len(table)} streamed (dots)",
        )
    _key(ax, key)
    return ax


def screen(picture: Picture, *, title: str | None = None, ax: Axes | None = None) -> Axes:
    """Draw the guest's screen; what of it is unknown is a checkerboard with a frame around it."""
    height, width = picture.unknown.shape
    ax = _on(ax, "", "", "", min(WIDTH_IN * height / width, 6.0) + 0.4, "")
    ax.imshow(picture.pixels[..., :3], interpolation="antialiased")
    ax.set_axis_off()
    ax.set_anchor("NW")
    box = picture.unknown_box
    words = f"{width:,}×{height:,} px at {picture.time_s:.3f} s"
    if box is not None:
        ax.plot(
            [box.left, box.right, box.right, box.left, box.left],
            [box.top, box.top, box.bottom, box.bottom, box.top],
            color=CRITICAL,
            linewidth=1.2,
        )
        words += f", {picture.unknown_pixels / picture.unknown.size:.1%} unknown"
    _entitle(ax, title or words)
    return ax


# --- what they share -----------------------------------------------------------------------------------------


def _on(ax: Axes | None, title: str, x: str, y: str, height_in: float, grid: Literal["x", "y", ""]) -> Axes:
    """Return the axes to draw on: new ones, or those given made to look like new ones."""
    if ax is None:
        return axes(title, x=x, y=y, height_in=height_in, grid=grid)
    return _dressed(ax, title, x, y, grid)


def _dressed(ax: Axes, title: str, x: str, y: str, grid: Literal["x", "y", ""]) -> Axes:
    # Everything is said outright: settings of whole sessions stay what their owner made them.
    _entitle(ax, title)
    ax.set_xlabel(x, color=MUTED, fontsize=9)
    ax.set_ylabel(y, color=MUTED, fontsize=9)
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.spines["bottom"].set_color(RULE)
    ax.tick_params(which="both", colors=MUTED, labelsize=9, left=False)
    ax.grid(False)
    if grid:
        ax.grid(True, axis=grid, color=GRID, linewidth=1)
    ax.set_axisbelow(True)
    return ax


def _entitle(ax: Axes, title: str, *, pad: float = 8) -> None:
    words = visible(title, 120)
    ax.set_title(words, loc="left", color=TEXT, fontsize=11, fontweight="bold", pad=pad, parse_math=False)


def _label(
    ax: Axes, text: str, at: tuple[float, float], *, left: bool, colour: str = MUTED, up: float = 0
) -> None:
    """Write beside a point, to its left or right; `up` lifts the words, in points."""
    ax.annotate(
        visible(text, 120),
        at,
        xytext=(-6 if left else 6, up),
        textcoords="offset points",
        ha="right" if left else "left",
        va="center",
        color=colour,
        fontsize=8,
        parse_math=False,
    )


def _nothing(ax: Axes, what: str) -> Axes:
    """Say that there is nothing to draw."""
    ax.text(0.5, 0.5, what, transform=ax.transAxes, ha="center", va="center", color=MUTED)
    ax.set_yticks([])
    return ax


def _key(ax: Axes, entries: Mapping[str, tuple[str, str]]) -> None:
    """Write what the colours stand for in one line below the title: `(colour, words)` per entry."""
    from matplotlib.offsetbox import AnchoredOffsetbox, HPacker, TextArea

    words: list[Artist] = [
        TextArea(visible(text, 80), textprops={"color": colour, "fontsize": 9, "parse_math": False})
        for colour, text in entries.values()
    ]
    line = AnchoredOffsetbox(
        "lower left",
        child=HPacker(children=words, pad=0, sep=14),
        frameon=False,
        pad=0,
        borderpad=0,
        bbox_to_anchor=(0.0, 1.03),
        bbox_transform=ax.transAxes,
    )
    ax.add_artist(line)
    _entitle(ax, ax.get_title(loc="left"), pad=25)


def _around(values: NDArray[np.float64]) -> tuple[float, float]:
    """Return limits of a logarithmic axis around positive values: 1, 2 or 5 times a power of ten, a decade at least."""
    low, high = float(values.min()) * 0.9, float(values.max()) * 1.1
    steps = [step * 10.0**power for power in range(-7, 10) for step in (1, 2, 5)]
    first = max((step for step in steps if step <= low), default=steps[0])
    last = min((step for step in steps if step >= max(high, 10 * first)), default=steps[-1])
    return first, last


def _logarithmic(ax: Axes, which: Literal["x", "y"], limits: tuple[float, float]) -> None:
    """Make an axis logarithmic, with its powers of ten written out, and what lies between them if they are few."""
    from matplotlib.ticker import LogLocator, NullFormatter

    if which == "x":
        ax.set_xscale("log")
        ax.set_xlim(*limits)
    else:
        ax.set_yscale("log")
        ax.set_ylim(*limits)
    axis = ax.xaxis if which == "x" else ax.yaxis
    if limits[1] < 100 * limits[0]:
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(_plain)
    axis.set_minor_formatter(NullFormatter())


def _span(source: TableAttributes, table: pd.DataFrame) -> tuple[float, float]:
    """Return the time that a source covers, its channels and the table beyond them, with some room."""
    channels = source.channels
    times = [_floats(channels, "start_s"), _floats(channels, "end_s")]
    times += [_floats(table, name) for name in ("time_s", "first_frame_s", "destroyed_s") if name in table]
    known = np.concatenate(times)
    known = known[np.isfinite(known)]
    if not len(known):
        return 0.0, 1.0
    first, last = float(known.min()), float(known.max())
    margin = 0.012 * (last - first) or 0.5
    return first - margin, last + margin


def _rows(begin: NDArray[np.float64], end: NDArray[np.float64]) -> NDArray[np.intp]:
    """Give every bar the lowest row that is free when it begins."""
    busy: list[float] = []
    rows = np.zeros(len(begin), np.intp)
    for bar in np.argsort(begin, kind="stable"):
        row = next((n for n, until in enumerate(busy) if until <= begin[bar]), len(busy))
        busy[row : row + 1] = [float(end[bar])]
        rows[bar] = row
    return rows


def _codec(name: str) -> str:
    return CODEC_COLOURS.get(name, CODEC_COLOURS["unknown"])


def _ms(value: float) -> str:
    """Return milliseconds as people write them: `0.31 ms`, `17 ms`, `2.29 s`."""
    if value >= 1000:
        return f"{value / 1000:.2f} s"
    return f"{value:.0f} ms" if value >= 10 else f"{value:.2g} ms"


def _plain(value: float, _position: float) -> str:
    """Return a number of a logarithmic axis without an exponent."""
    return f"{value:,.0f}" if value >= 1 else f"{value:g}"


def _floats(table: pd.DataFrame, column: str) -> NDArray[np.float64]:
    return table[column].to_numpy(np.float64, na_value=np.nan)
