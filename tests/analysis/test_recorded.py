"""The tables of recorded sessions against what other programs counted in them."""

import json
import warnings
from pathlib import Path

import pandas as pd
import pytest

from spicereplay.analysis import schema
from spicereplay.analysis.timeline import Tables
from spicereplay.replay import replay

FIXTURES = Path(__file__).parents[2] / "fixtures"
CAPTURES = sorted(p.parent.name for p in FIXTURES.glob("captures/*/oracle.json"))
REPORTS = sorted(p.name for p in FIXTURES.glob("bugreports/*.zip"))
SLACK_S = 1e-5


def matches_schema(tables):
    for name, table in schema.TABLES.items():
        frame = tables[name]
        assert list(frame.columns) == table.names
        for column in table.columns:
            assert str(frame[column.name].dtype) == column.dtype, (name, column.name)


@pytest.mark.parametrize("name", CAPTURES)
def test_recorded_captures(name):
    check(FIXTURES / "captures" / name)


def check(folder):
    with replay(folder / "capture.pcap") as found:
        tables = Tables(found)
        matches_schema(tables)
        oracle = json.loads((folder / "oracle.json").read_text())["sessions"]
        same_streams(tables["streams"], [s for session in oracle for s in session["streams"]])
        same_flaps(tables["flaps"], [f for session in oracle for f in session["flap_events_at_destroys"]])
        same_agent(tables["agent"], [a for session in oracle for a in session["agent"]])
        answered = sum(c["ping"]["pings_answered"] for s in oracle for c in s["channels"] if c.get("ping"))
        assert int(tables["pings"]["pong_s"].notna().sum()) == answered
        assert tables["frames"]["outcome"].isin(["decoded", "no_output"]).all()


def same_streams(frame, want):
    def key(row):
        return row["session"], row["channel_id"], row["stream_id"], row["created_s"]

    got = sorted(frame.to_dict("records"), key=key)
    assert len(got) == len(want)
    for g, w in zip(got, sorted(want, key=key), strict=True):
        for column in ("codec", "width", "height", "frames", "bytes", "clips", "sized_frames"):
            assert g[column] == w[column], column
        assert g["reports"] == len(w["reports"])
        for column in ("created_s", "destroyed_s", "first_frame_s", "last_frame_s"):
            if w[column] is None:
                assert pd.isna(g[column])
            else:
                assert abs(g[column] - w[column]) < SLACK_S, column


def same_flaps(frame, want):
    got = frame[["time_s", "count", "mean_lifetime_s"]].to_numpy().tolist()
    assert len(got) == len(want)
    for (time_s, count, mean), w in zip(got, want, strict=True):
        assert abs(time_s - w["time_s"]) < SLACK_S
        assert count == w["destroys"]
        assert abs(mean - w["mean_lifetime_s"]) < SLACK_S


def same_agent(frame, want):
    asked = frame[frame["type"] == "MONITORS_CONFIG"]
    assert len(asked) == sum(a["requests"] for a in want)
    lags = asked["lag_ms"].dropna().tolist()
    assert lags == pytest.approx([p["lag_s"] * 1e3 for a in want for p in a["pairs"]], abs=0.01)


@pytest.mark.parametrize("name", REPORTS)
def test_bug_reports_have_every_table(name):
    with replay(FIXTURES / "bugreports" / name) as found:
        tables = Tables(found)
        matches_schema(tables)
        assert tables.verdict.sentence
        assert tables.quality, "a bug report never holds the whole session"


def codes(name):
    with replay(FIXTURES / "bugreports" / name) as found:
        tables = Tables(found, decode=False)
        return {row.code: row for row in tables["findings"].itertuples()}


def test_a_slow_agent_is_found_in_a_connection_report():
    assert "2.29 s" in codes("connection-agent-lag-g1.zip")["agent_slow"].title


def test_flapping_is_found_in_the_recording_or_in_the_clients_memory():
    assert abs(codes("display-flap-g2.zip")["stream_flapping"].time_s - 18.25) < 0.02
    assert abs(codes("display-flap-evicted-g1.zip")["stream_flapping"].time_s - 16.94) < 0.02


def test_a_lost_connection_and_lost_messages_are_found():
    assert codes("disconnect-main-g2.zip")["disconnected"].severity == "critical"
    assert "6 large messages" in codes("large-segment-loss-g1.zip")["large_messages_lost"].title


def test_making_every_table_warns_of_nothing():
    with warnings.catch_warnings(), replay(FIXTURES / "bugreports" / "no-pcap-g1.zip") as found:
        warnings.simplefilter("error")
        assert len(Tables(found).all()) == len(schema.TABLES)


@pytest.mark.shared
def test_all_shared_captures(shared):
    folders = [
        p.parent
        for p in sorted(shared.glob("captures/*/oracle.json"))
        if not (p.parent / "keys.log").exists()
    ]
    readable = [f for f in folders if json.loads((f / "oracle.json").read_text())["sessions"]]
    assert len(readable) > 25
    for folder in readable:
        check(folder)
