"""What the server says about the mouse pointer, as rows."""

import json
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.observed import ORIGIN_NS, Said, channel, session

from spicereplay.analysis.cursor import cursor
from spicereplay.analysis.timeline import Tables
from spicereplay.protocol.enums import ChannelType, CursorFlags, CursorType, ServerCommon, ServerCursor
from spicereplay.protocol.messages import cursor as messages
from spicereplay.protocol.messages.cursor import Cursor, CursorHeader
from spicereplay.protocol.messages.geometry import Point16
from spicereplay.protocol.wire import build
from spicereplay.replay import replay

FIXTURES = Path(__file__).parents[2] / "fixtures"
CAPTURES = sorted(p.parent.name for p in FIXTURES.glob("captures/*/oracle.json"))

HEADER = CursorHeader(5 << 40 | 1, CursorType.MONO, 32, 24, 3, 4)
SHAPE = Cursor(CursorFlags.CACHE_ME, HEADER, bytes(192))
KEPT = Cursor(CursorFlags.FROM_CACHE, HEADER)
NO_SHAPE = Cursor(CursorFlags.NONE, None)


def table(*said):
    log = channel(ChannelType.CURSOR, [Said(1 + i, kind, body) for i, (kind, body) in enumerate(said)])
    return cursor([session(log)], ORIGIN_NS)


def told(row):
    """The cells that are not null, without those that every row has."""
    common = ("session", "channel_id", "time_s", "name", "bytes", "partial")
    return {name: value for name, value in row.items() if name not in common and not pd.isna(value)}


SHAPED = {"shape": "mono", "width": 32, "height": 24, "hot_x": 3, "hot_y": 4, "unique_id": 5 << 40 | 1}
SENT = {**SHAPED, "from_cache": False, "cached": True}
SAID = [
    (
        ServerCursor.INIT,
        messages.Init(Point16(-3, 700), 1, 2, 1, SHAPE),
        {"x": -3, "y": 700, "visible": True, **SENT},
    ),
    (ServerCursor.SET, messages.Set(Point16(9, 8), 0, SHAPE), {"x": 9, "y": 8, "visible": False, **SENT}),
    (
        ServerCursor.SET,
        messages.Set(Point16(9, 8), 1, KEPT),
        {"x": 9, "y": 8, "visible": True, **SHAPED, "from_cache": True, "cached": False},
    ),
    (
        ServerCursor.SET,
        messages.Set(Point16(9, 8), 1, NO_SHAPE),
        {"x": 9, "y": 8, "visible": True, "from_cache": False, "cached": False},
    ),
    (ServerCursor.MOVE, messages.Move(Point16(4, 5)), {"x": 4, "y": 5}),
    (ServerCursor.HIDE, messages.Hide(), {"visible": False}),
    (ServerCursor.RESET, messages.Reset(), {"visible": False}),
    (ServerCursor.TRAIL, messages.Trail(1, 2), {}),
    (ServerCursor.INVAL_ONE, messages.InvalOne(1 << 63), {"unique_id": 1 << 63}),
    (ServerCursor.INVAL_ALL, messages.InvalAll(), {}),
]


@pytest.mark.parametrize(("kind", "body", "want"), SAID)
def test_every_message_of_the_channel(kind, body, want):
    (row,) = table((kind, body)).to_dict("records")
    assert (row["name"], row["bytes"], row["partial"]) == (kind.name, len(build(body)), False)
    assert told(row) == want


def test_all_of_them_together():
    rows = table(*((kind, body) for kind, body, _ in SAID)).to_dict("records")
    assert [told(row) for row in rows] == [want for *_, want in SAID]


def test_what_any_channel_says_is_no_row():
    assert not len(table((ServerCommon.PING, bytes(12)), (ServerCommon.SET_ACK, bytes(8))))


def test_a_shape_of_a_kind_that_nobody_knows():
    odd = Cursor(CursorFlags(0), CursorHeader(1, 77, 1, 1, 0, 0))
    assert table((ServerCursor.SET, messages.Set(Point16(0, 0), 1, odd)))["shape"][0] == "type_77"


@pytest.mark.parametrize(
    ("size", "known"),
    [
        (3, {"x"}),
        (4, {"x", "y"}),
        (6, {"x", "y", "visible"}),
        (14, {"x", "y", "visible", "from_cache", "cached"}),
        (15, {"x", "y", "visible", "from_cache", "cached", "unique_id"}),
        (24, {"x", "y", "visible", *SENT}),
    ],
)
def test_a_message_that_ends_early_has_what_it_has(size, known):
    (row,) = table((ServerCursor.SET, build(messages.Set(Point16(9, 8), 1, SHAPE))[:size])).to_dict("records")
    assert set(told(row)) == known


@settings(max_examples=50)
@given(st.lists(st.tuples(st.sampled_from(ServerCursor), st.binary(max_size=40)), max_size=6))
def test_any_bytes_give_one_row_per_message(said):
    assert table(*said)["name"].tolist() == [kind.name for kind, _ in said]


def check(path):
    oracle = json.loads((path.parent / "oracle.json").read_text())["sessions"]
    want = {
        (s["session"], seen["name"]): seen["count"]
        for s in oracle
        for c in s["channels"]
        if c["channel"] == "cursor"
        for opcode, seen in c["from_server"]["by_opcode"].items()
        if int(opcode) > ServerCommon.BASE_LAST
    }
    keys = path.parent / "keys.log"
    with replay(path, keylog=keys if keys.exists() else None, require_spice=False) as found:
        rows = Tables(found)["cursor"]
        assert rows.groupby(["session", "name"], observed=True).size().to_dict() == want
        placed = rows[rows["name"].isin(["INIT", "SET"])]
        assert placed["visible"].notna().all()


@pytest.mark.parametrize("name", CAPTURES)
def test_recorded_pointers(name):
    check(FIXTURES / "captures" / name / "capture.pcap")


@pytest.mark.shared
def test_pointers_of_shared_captures(shared):
    for path in sorted(shared.glob("captures/*/capture.pcap")):
        check(path)
