"""Tables of TCP: directions, events, stalls; what is not known is null."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from support.observed import ORIGIN_NS, channel, ns, session

import spicereplay
from spicereplay.analysis.tcp import tcp, tcp_events, tcp_stalls
from spicereplay.bytestream import DirectionFacts, SegmentEvent, SegmentEvents, WindowStalls
from spicereplay.protocol.enums import ChannelType, Side

KINDS = list(SegmentEvent)
MS = 1_000_000


def array(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def observed(server: DirectionFacts, client: DirectionFacts = DirectionFacts()):  # noqa: B008
    log = channel(ChannelType.DISPLAY, end=10.0)
    log.facts = {Side.SERVER: server, Side.CLIENT: client}
    return [session(log)]


def test_a_row_per_direction():
    frame = tcp(observed(DirectionFacts(segments=3, zero_windows=2), DirectionFacts(window_scale=7)))
    assert frame["from"].tolist() == ["server", "client"]
    assert frame["zero_windows"].tolist() == [2, 0]
    assert frame["window_scale"].tolist() == [pd.NA, 7]
    assert frame["window_full"].isna().all()


def test_a_recording_with_made_up_headers_says_nothing():
    frame = tcp([session(channel(ChannelType.MAIN))])
    assert len(frame) == 2
    told = frame.drop(columns=["session", "channel", "channel_id", "from"])
    assert told.isna().all(axis=None)


def test_ryll_recordings_say_nothing(fixtures: Path):
    with spicereplay.open(fixtures / "bugreports" / "display-flap-g2.zip", decode=False) as capture:
        assert capture.tcp["segments"].isna().all()
        assert len(capture.tcp_events) == len(capture.tcp_stalls) == 0


def test_the_handshake_is_the_sum_of_both_ways():
    frame = tcp(
        observed(DirectionFacts(syn_round_trip_ns=10 * MS), DirectionFacts(syn_round_trip_ns=20 * MS))
    )
    assert frame["initial_rtt_ms"].tolist() == [30.0, 30.0]
    assert frame["syn_rtt_ms"].tolist() == [10.0, 20.0]
    half = tcp(observed(DirectionFacts(syn_round_trip_ns=10 * MS)))
    assert half["initial_rtt_ms"].isna().all()


def test_round_trips_in_five_figures():
    trips = np.arange(1, 101, dtype=np.float32) * MS
    row = tcp(observed(DirectionFacts(round_trips_ns=trips))).iloc[0]
    assert row["rtt_samples"] == 100
    figures = [row[f"rtt_ms_{what}"] for what in ("min", "median", "p95", "max")]
    assert figures == pytest.approx([1.0, 50.5, 95.05, 100.0])


def test_events_in_order():
    events = SegmentEvents(
        kind=np.array([KINDS.index(k) for k in (SegmentEvent.RETRANSMISSION, SegmentEvent.RESET)], np.uint8),
        time_ns=array(ns(1), ns(2)),
        position=array(100, 200),
        bytes=array(50, 0),
        idle_ns=array(300 * MS, 0),
        count=array(1, 1),
    )
    frame = tcp_events(observed(DirectionFacts(events=events)), ORIGIN_NS)
    assert frame["kind"].tolist() == ["retransmission", "rst"]
    assert frame["time_s"].tolist() == [1.0, 2.0]
    assert frame["idle_s"].tolist() == [0.3, 0.0]
    assert frame["from"].tolist() == ["server"] * 2


def test_a_stall_without_end_lasts_to_the_end_of_the_channel():
    stalls = WindowStalls(
        start_ns=array(ns(1), ns(4)),
        end_ns=array(ns(3), -1),
        window=array(64, 0),
        zero=np.array([False, True]),
    )
    frame = tcp_stalls(observed(DirectionFacts(stalls=stalls)), ORIGIN_NS)
    assert frame["duration_s"].tolist() == [2.0, 6.0]
    assert frame["cause"].tolist() == ["window_full", "zero_window"]
    assert frame["end_s"].isna().tolist() == [False, True]


@pytest.mark.parametrize(
    ("end", "fast", "slow"), [("server", "client", "server"), ("client", "server", "client")]
)
def test_a_round_trip_is_that_beyond_the_capture_point(fixtures: Path, end: str, fast: str, slow: str):
    """Recorded at the server, what the client sends is acknowledged at once, and the other way round."""
    with spicereplay.open(fixtures / "lossy-wire" / f"near-{end}.pcap.gz", decode=False) as capture:
        table = capture.tcp.set_index(["channel", "from"])
        assert table["initial_rtt_ms"].between(60.0, 70.0).all()
        for name in ("main", "display", "inputs", "cursor"):
            assert table.loc[(name, fast), "syn_rtt_ms"] < 2.0
            assert table.loc[(name, slow), "syn_rtt_ms"] > 58.0
            assert table.loc[(name, slow), "rtt_ms_min"] > 58.0
            assert table.loc[(name, fast), "rtt_ms_min"] < 2.0
        codes = set(capture.findings["code"])
        assert {"receive_window", "loss_stall"} <= codes
        assert "rtt_high" not in codes
        worst = capture.tcp_stalls.sort_values("duration_s").iloc[-1]
        assert (worst["channel"], worst["from"], worst["cause"]) == ("display", "server", "zero_window")
        assert 1.5 < worst["duration_s"] < 2.5, (
            "the client was stopped for 2.5 s; the window held out for a while"
        )
