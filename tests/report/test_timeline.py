"""The timeline's numbers: thinned, but never without their peaks, and never without saying so."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.report_content import bare, usual
from support.tables import empty_tables, full

from spicereplay.report.timeline import BARS, BUCKETS, MARKS, ROWS, SERIES, extremes, timeline

NAN = float("nan")


def of(**tables):
    """Return the timeline of ten seconds with these tables."""
    return timeline(bare(duration_s=10.0, tables=empty_tables() | tables))


def lane(line, name):
    return next(lane for lane in line.data["lanes"] if lane["name"] == name)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 400), st.integers(1, 30), st.integers(0, 2**32 - 1))
def test_thinning_keeps_the_extremes_and_the_order(points: int, buckets: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    time, value = rng.uniform(0, 100, points), rng.normal(size=points)
    rows = extremes(time, value, buckets)
    assert len(rows) <= max(2 * buckets, 1) or points <= 2 * buckets
    assert (np.diff(time[rows]) >= 0).all()
    assert value[rows].max() == value.max()
    assert value[rows].min() == value.min()


def test_each_bucket_keeps_its_own_extremes() -> None:
    time = np.arange(100.0)
    value = np.zeros(100)
    value[[3, 47, 91]] = 9, -9, 5
    assert {3, 47, 91} <= set(extremes(time, value, 10).tolist())


def test_a_series_without_extent_in_time_is_thinned_too() -> None:
    assert len(extremes(np.zeros(100), np.arange(100.0), 4)) == 2


def test_nothing_in_nothing_out() -> None:
    line = timeline(bare())
    assert line.empty
    assert not line.remarks


def test_everything_is_json_even_of_odd_numbers() -> None:
    odd = [NAN, math.inf, -math.inf, 1e300, -5.0, 3.0]
    line = of(
        streams=full("streams", created_s=odd, destroyed_s=odd[::-1], codec=["mjpeg"] * 6),
        frames=full("frames", time_s=odd, decode_ms=odd, codec=["vp8"] * 6),
        agent=full("agent", time_s=odd, lag_ms=odd),
        bandwidth=full("bandwidth", time_s=odd, width_s=odd, bytes=[1] * 6, channel=["main"] * 6),
        gaps=full("gaps", time_s=odd),
        ack_stalls=full("ack_stalls", start_s=odd, end_s=odd),
    )
    text = json.dumps(line.data, allow_nan=False)
    streams = json.loads(text)["streams"]
    for begin, end in zip(streams["from"], streams["to"], strict=True):
        assert 0 <= begin <= end <= line.data["end"]


def test_a_stream_whose_ends_were_not_seen_reaches_over_the_edge() -> None:
    line = of(
        streams=full(
            "streams",
            created_s=[NAN, 2.0],
            first_frame_s=[1.5, 2.1],
            destroyed_s=[4.0, NAN],
            seen_create=[False, True],
            codec=["mjpeg", "h264"],
        )
    )
    streams = line.data["streams"]
    assert streams["from"] == [1.5, 2]
    assert streams["to"] == [4, 10]
    assert streams["openLeft"] == [1, 0]
    assert streams["openRight"] == [0, 1]


def test_streams_at_once_lie_in_rows_and_streams_in_turn_share_one() -> None:
    line = of(streams=full("streams", created_s=[0, 1, 2, 5], destroyed_s=[3, 2, 4, 6], codec=["vp8"] * 4))
    assert line.data["streams"]["row"] == [0, 1, 1, 0]


def test_a_crowd_of_streams_shares_the_last_row_and_the_page_says_so() -> None:
    count = ROWS + 4
    line = of(streams=full("streams", created_s=[1.0] * count, destroyed_s=[9.0] * count))
    assert line.data["streams"]["rows"] == ROWS
    assert "share the last row" in line.remarks[0]


def test_too_many_streams_lose_the_shortest() -> None:
    count = BARS + 10
    life = np.full(count, 0.5)
    life[:10] = 0.001
    created = np.linspace(0, 9, count)
    line = of(streams=full("streams", created_s=created, destroyed_s=created + life))
    assert len(line.data["streams"]["from"]) == BARS
    assert line.data["streams"]["from"][0] > 0
    assert f"{count:,} streams" in line.remarks[0]


def test_too_many_marks_become_fewer_with_their_number() -> None:
    count = 5 * MARKS
    line = of(gaps=full("gaps", time_s=np.linspace(0, 10, count), bytes=[1] * count))
    gaps = lane(line, "gaps")
    assert len(gaps["from"]) <= MARKS + 1
    assert sum(gaps["count"]) == count
    assert "7,500 marks" in line.remarks[0]


def test_of_marks_merged_the_worst_shows() -> None:
    count = 3 * MARKS
    severity = ["info"] * count
    severity[7] = "critical"
    line = of(findings=full("findings", time_s=[5.0] * count, severity=severity, title=["t"] * count))
    assert lane(line, "findings")["look"] == ["critical"]


def test_streams_torn_down_together_are_not_marked_as_flapping() -> None:
    line = of(flaps=full("flaps", time_s=[1, 5], kind=["flapping", "torn_down_together"]))
    assert lane(line, "flaps")["look"] == ["flap", "info"]


def test_a_mark_without_a_time_has_no_place_on_the_axis() -> None:
    line = of(notifications=full("notifications", time_s=[NAN, 3.0], message=["nowhere", "here"]))
    assert lane(line, "notices")["from"] == [3]


def test_bandwidth_is_per_second_and_silent_bins_are_zero() -> None:
    line = of(
        bandwidth=full(
            "bandwidth",
            channel=["display", "display", "display"],
            **{"from": ["server", "client", "server"]},
            time_s=[0.0, 0.5, 2.0],
            width_s=[0.5] * 3,
            bytes=[100, 7, 50],
        )
    )
    (display,) = line.data["bandwidth"]["channels"]
    assert display["server"][:6] == [200, 0, 0, 0, 100, 0]
    assert display["client"][:3] == [0, 14, 0]


def test_the_quietest_channels_are_added_up() -> None:
    names = [f"channel{k}" for k in range(SERIES + 5)]
    line = of(
        bandwidth=full(
            "bandwidth",
            channel=names,
            time_s=[0.0] * len(names),
            width_s=[1.0] * len(names),
            bytes=range(1, 16),
        )
    )
    channels = line.data["bandwidth"]["channels"]
    assert len(channels) == SERIES
    assert channels[-1]["name"] == "other"
    assert sum(c["server"][0] for c in channels) == sum(range(1, 16))


def test_fine_bins_are_thinned_to_peaks_and_the_page_says_so() -> None:
    count = 6 * BUCKETS
    amount = np.ones(count, int)
    amount[1234] = 99_999
    line = of(
        bandwidth=full(
            "bandwidth",
            channel=["display"] * count,
            **{"from": ["server"] * count},
            time_s=np.arange(count) * 10 / count,
            width_s=[10 / count] * count,
            bytes=amount,
        )
    )
    server = line.data["bandwidth"]["channels"][0]["server"]
    assert len(server) <= 2 * BUCKETS
    assert max(server) == pytest.approx(99_999 / (10 / count), rel=1e-3)
    assert "buckets" in line.remarks[0]


def test_an_unanswered_request_is_not_a_lag_of_zero() -> None:
    line = of(agent=full("agent", time_s=[1, 2], lag_ms=[NAN, 0.0], outcome=["unanswered", "answered"]))
    assert line.data["lag"]["ms"] == [-1, 0]


def test_an_hour_is_told_in_few_points() -> None:
    line = timeline(usual(3600.0, 300, 25.0))
    points = sum(len(series["time"]) for series in line.data["latency"])
    assert points <= 2 * BUCKETS * len(line.data["latency"])
    assert any("Decode times are drawn as" in remark for remark in line.remarks)
