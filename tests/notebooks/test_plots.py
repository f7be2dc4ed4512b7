"""Plots: what is drawn follows the tables, and nothing breaks on what they may hold."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.patches import StepPatch

import spicereplay as sr
from spicereplay import plots
from spicereplay.analysis import schema
from spicereplay.analysis.attributes import TableAttributes
from spicereplay.analysis.latency import Latency
from spicereplay.replay.picture import Picture

ROOT = Path(sr.__file__).parent


class Made(TableAttributes):
    """Tables written out by hand; those that are not given have no row."""

    def __init__(self, **tables: pd.DataFrame) -> None:
        self.given = tables

    def table(self, name: str) -> pd.DataFrame:
        return self.given.get(name, schema.empty(name))


def rows(name: str, *records: dict[str, object]) -> pd.DataFrame:
    """Make a table of which only some columns matter."""
    table = schema.TABLES[name]
    filler = {"category": "", "str": "", "object": (), "bool": False}
    return schema.frame(
        name,
        {
            column.name: [
                record.get(column.name, np.nan if "float" in column.dtype else filler.get(column.dtype, 0))
                for record in records
            ]
            for column in table.columns
        },
    )


CHANNELS = rows("channels", {"channel": "display", "start_s": 0.0, "end_s": 20.0})


@pytest.fixture(autouse=True)
def drawn() -> Iterator[None]:
    """Every figure is really drawn, and settings of the session stay as they are."""
    mpl.use("Agg")
    before = dict(mpl.rcParams)
    yield
    for number in pyplot.get_fignums():
        pyplot.figure(number).canvas.draw()
    pyplot.close("all")
    assert dict(mpl.rcParams) == before


def texts(ax: Axes) -> list[str]:
    return [text.get_text() for text in ax.texts]


def stream(begin: float, end: float, **more: object) -> dict[str, object]:
    lived = {"created_s": begin, "destroyed_s": end, "lifetime_s": end - begin}
    return {**lived, "codec": "mjpeg", "frames": 15, "end_cause": "timeout", **more}


def test_a_bar_per_stream_with_its_life_beside_it() -> None:
    made = Made(
        channels=CHANNELS, streams=rows("streams", stream(2, 4), stream(6, 7.5, codec="vp8", frames=1))
    )
    ax = plots.streams(made)
    assert [(bar.get_x(), bar.get_width()) for bar in ax.patches] == [(2, 2), (6, 1.5)]
    assert texts(ax) == ["2.00 s, 15 frames, timeout", "1.50 s, 1 frame, timeout"]
    assert [mpl.colors.to_hex(bar.get_facecolor()) for bar in ax.patches] == [
        plots.CODEC_COLOURS["mjpeg"],
        plots.CODEC_COLOURS["vp8"],
    ]
    assert ax.get_xlabel() == "seconds since the first packet"


def test_ends_that_were_not_seen_run_over_the_edge() -> None:
    ax = plots.streams(
        Made(channels=CHANNELS, streams=rows("streams", stream(np.nan, np.nan, end_cause="capture_ended")))
    )
    bar = ax.patches[0]
    assert (bar.get_x(), bar.get_x() + bar.get_width()) == pytest.approx(ax.get_xlim())
    assert texts(ax) == ["15 frames, capture ended"]


def test_many_streams_share_rows_and_have_no_words() -> None:
    made = Made(channels=CHANNELS, streams=rows("streams", *(stream(n, n + 1.5) for n in range(18))))
    ax = plots.streams(made)
    assert sorted({round(bar.get_y() + bar.get_height() / 2) for bar in ax.patches}) == [0, 1]
    assert texts(ax) == []


def test_bytes_of_channels_that_hardly_sent_any_are_added_up() -> None:
    def sent(channel: str, count: int, at: float) -> dict[str, object]:
        return {"channel": channel, "from": "server", "time_s": at, "width_s": 0.5, "bytes": count}

    table = rows(
        "bandwidth",
        sent("display", 9000, 1),
        sent("main", 5000, 2),
        sent("inputs", 3, 2),
        sent("cursor", 2, 3),
    )
    ax = plots.bandwidth(Made(channels=CHANNELS, bandwidth=table))
    outlines = [patch for patch in ax.patches if isinstance(patch, StepPatch) and not patch.get_fill()]
    assert [max(patch.get_data().values) for patch in outlines] == pytest.approx([18, 10, 0.006])
    assert sum(sum(patch.get_data().values) for patch in outlines) * 0.5 * 1000 == pytest.approx(14005)


def test_a_single_burst_does_not_hide_the_rest() -> None:
    table = rows(
        "bandwidth",
        *(
            {"channel": "main", "from": "server", "time_s": at, "width_s": 0.1, "bytes": count}
            for at, count in ((0, 256_000), (5, 2000), (6, 3000))
        ),
    )
    ax = plots.bandwidth(Made(channels=CHANNELS, bandwidth=table))
    assert ax.get_ylim() == pytest.approx((0, 36))
    assert texts(ax) == ["↑ 2,560"]


def test_a_request_without_an_answer_is_crossed_and_named() -> None:
    agent = rows(
        "agent",
        {"time_s": 1.0, "type": "MONITORS_CONFIG", "lag_ms": 2287.7, "outcome": "answered"},
        {"time_s": 3.0, "type": "CLIPBOARD_REQUEST", "outcome": "unanswered"},
        {"time_s": 4.0, "type": "REPLY", "lag_ms": 0.0, "outcome": "answered"},
    )
    ax = plots.agent_lag(Made(channels=CHANNELS, agent=agent))
    assert texts(ax)[:2] == ["monitors config, 2.29 s", "clipboard request, unanswered"]
    low, high = ax.get_ylim()
    assert low < 1 < 2287.7 < high


def test_decode_times_by_codec_with_their_median() -> None:
    frames = rows(
        "frames",
        *({"time_s": n, "codec": "vp8", "decode_ms": ms} for n, ms in enumerate((0.2, 0.4, 3.0))),
        {"time_s": 3.0, "codec": "mjpeg", "decode_ms": np.nan},
    )
    ax = plots.decode_latency(Made(channels=CHANNELS, frames=frames))
    points = [each for each in ax.collections if isinstance(each, PathCollection)]
    assert [len(each.get_offsets()) for each in points] == [3]
    assert ax.lines[0].get_ydata() == [0.4, 0.4]


def latency(codec: str, backend: str, median: float, size: str = "up to 64×64") -> Latency:
    return Latency(codec, backend, size, 10, median, median * 2, median * 3, median * 4, 100.0)


def test_the_fastest_decoder_of_a_group_comes_first() -> None:
    given = [latency("mjpeg", "slow", 2.0), latency("mjpeg", "fast", 0.5), latency("lz_rgb", "kernel", 0.0)]
    ax = plots.decoders([*given, latency("mjpeg", "fast", 0.5, "all")])
    assert [label.get_text() for label in ax.get_yticklabels()] == ["fast", "slow", "kernel"]
    assert "mjpeg, up to 64×64 px, 10 pictures" in texts(ax)


def test_regions_are_dots_where_they_streamed_and_rings_where_not() -> None:
    region = rows(
        "regions",
        {"longest_run": 30, "src_pixels": 40_000, "reason": "streamed"},
        {"longest_run": 30, "src_pixels": 78, "reason": "too_small"},
        {"longest_run": 0, "src_pixels": 0, "reason": "off_screen"},
    )
    ax = plots.regions({"a": Made(regions=region)})
    filled, rings = (each for each in ax.collections if isinstance(each, PathCollection))
    assert (len(filled.get_offsets()), len(rings.get_offsets())) == (1, 2)
    assert len(rings.get_facecolor()) == 0


def test_a_screen_names_what_is_unknown() -> None:
    pixels = np.zeros((30, 40, 4), np.uint8)
    unknown = np.zeros((30, 40), bool)
    unknown[:3] = True
    ax = plots.screen(Picture(pixels, unknown, 1.5, 0, 0, 0))
    assert ax.get_title(loc="left") == "40×30 px at 1.500 s, 10.0% unknown"
    assert len(ax.lines) == 1
    assert not plots.screen(Picture(pixels, np.zeros_like(unknown), 1.5, 0, 0, 0)).lines


EVERY = [plots.streams, plots.bandwidth, plots.decode_latency, plots.agent_lag]


@pytest.mark.parametrize("plot", EVERY, ids=lambda plot: plot.__name__)
def test_nothing_is_said_to_be_nothing(plot) -> None:  # type: ignore[no-untyped-def]
    for made in (Made(), Made(channels=CHANNELS)):
        assert texts(plot(made))[0].startswith("no")


def test_no_decoder_and_no_region_is_said_too() -> None:
    assert texts(plots.decoders([])) == ["nothing was decoded"]
    assert texts(plots.regions({})) == ["no such place"]


@pytest.mark.parametrize("plot", EVERY, ids=lambda plot: plot.__name__)
def test_given_axes_are_used_and_titled(plot) -> None:  # type: ignore[no-untyped-def]
    _, given = pyplot.subplots()
    assert plot(Made(channels=CHANNELS), title="mine", ax=given) is given
    assert given.get_title(loc="left") == "mine"


def test_names_from_a_capture_are_only_text() -> None:
    evil = "<b>\u202e$\\broken{$"
    table = rows("streams", stream(1, 2, codec=evil, end_cause=evil))
    ax = plots.streams(Made(channels=CHANNELS, streams=table))
    ax.figure.canvas.draw()
    plots.regions({evil: Made()}, title=evil)
    plots.decoders([latency(evil, evil, 1.0)])
    assert not any("\u202e" in text for text in texts(ax))


def test_every_plot_draws_what_was_recorded(fixtures: Path) -> None:
    with sr.open(fixtures / "bugreports" / "display-flap-g2.zip") as capture:
        for source in (capture, capture.sessions[0]):
            for plot in EVERY:
                plot(source)
        plots.decode_latency(capture, of="images")
        plots.bandwidth(capture, side="client")


def test_the_colours_are_those_of_the_report() -> None:
    css = (ROOT / "report" / "assets" / "page.css").read_text()
    for kind, colours in (("channel", plots.CHANNEL_COLOURS), ("codec", plots.CODEC_COLOURS)):
        assert dict(re.findall(rf"--{kind}-(\w+): light-dark\((#\w+)", css)) == colours
    for name, colour in (
        ("text", plots.TEXT),
        ("muted", plots.MUTED),
        ("grid", plots.GRID),
        ("lag", plots.LAG),
    ):
        assert f"--{name}: light-dark({colour}," in css


def test_without_matplotlib_it_says_what_to_install() -> None:
    script = (
        "import sys\nsys.modules['matplotlib'] = None\nimport spicereplay as sr\n"
        "try:\n    sr.plots.axes()\nexcept sr.UsageError as error:\n    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "pip install 'spicereplay[notebook]'" in done.stdout
