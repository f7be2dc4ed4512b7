"""Rows as JSON: plain numbers, null where nothing was seen."""

import json

import pytest
from support.tables import full

from spicereplay.analysis import schema
from spicereplay.analysis.json import to_lines, to_records

CONTRACT = {
    "messages": [
        "time_s",
        "session",
        "channel",
        "channel_id",
        "from",
        "type",
        "name",
        "size",
        "sub",
        "partial",
    ],
    "streams": (
        [
            "session",
            "channel_id",
            "stream_id",
            "codec",
            "width",
            "height",
            "created_s",
            "destroyed_s",
            "lifetime_s",
            "frames",
            "bytes",
            "end_cause",
        ]
    ),
    "flaps": ["session", "channel_id", "time_s", "count", "window_s", "mean_lifetime_s"],
    "agent": ["session", "time_s", "type", "reply_time_s", "lag_ms", "outcome"],
    "findings": ["code", "severity", "title", "time_s", "evidence"],
}


def test_the_keys_of_the_contract_come_first():
    for name, keys in CONTRACT.items():
        assert schema.TABLES[name].names[: len(keys)] == keys


def test_what_was_not_seen_is_null():
    frame = full(
        "streams",
        stream_id=[1, 2],
        codec=["unknown", "vp8"],
        width=[0, 64],
        created_s=[float("nan"), 1.5],
        late_frames=[None, 3],
    )
    first, second = to_records("streams", frame)
    assert (first["codec"], first["width"], first["created_s"], first["late_frames"]) == (
        None,
        None,
        None,
        None,
    )
    assert (second["codec"], second["width"], second["created_s"], second["late_frames"]) == (
        "vp8",
        64,
        1.5,
        3,
    )


def test_seconds_keep_their_nanoseconds():
    frame = full("gaps", time_s=[1.123456789, 86_400.000000001])
    assert [r["time_s"] for r in to_records("gaps", frame)] == [1.123456789, 86_400.000000001]


@pytest.mark.parametrize("name", schema.TABLES)
def test_every_table_has_lines_of_json(name):
    first = schema.TABLES[name].columns[0]
    frame = full(name, **{first.name: ["x" if first.dtype in ("category", "str") else 1]})
    if name == "findings":
        frame["evidence"] = [["a sentence"]]
    (line,) = to_lines(name, frame)
    assert list(json.loads(line)) == schema.TABLES[name].names


def test_text_of_the_input_cannot_break_a_line():
    frame = full("notifications", message=["a\nb\x1b[31m\u2028é"])
    (line,) = to_lines("notifications", frame)
    assert line.isascii()
    assert "\n" not in line
    assert json.loads(line)["message"] == "a\nb\x1b[31m\u2028é"
