"""JSON of unknown age: what is wrong costs its own field."""

import dataclasses
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import ryllzip

from spicereplay.bugreport import schema
from spicereplay.bugreport.lenient import decode, read, unknown_members
from spicereplay.defects import DefectKind, DefectLog
from spicereplay.limits import DEFAULT_LIMITS

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def decoded(data: bytes, **limits: int):
    defects = DefectLog()
    return decode(data, "x.json", dataclasses.replace(DEFAULT_LIMITS, **limits), defects), defects


def structures():
    declared = (value for value in vars(schema).values() if isinstance(value, type))
    return [kind for kind in declared if issubclass(kind, msgspec.Struct) and kind is not msgspec.Struct]


# --- the declaration ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", structures(), ids=lambda kind: kind.__name__)
def test_every_field_may_be_missing_or_null_and_says_what_it_means(kind):
    defects = DefectLog()
    assert read(kind, {}, "x", defects) == kind()
    nulls = dict.fromkeys(field.name for field in schema.fields_of(kind))
    assert read(kind, nulls, "x", defects) == kind()
    assert not len(defects)
    for field in schema.fields_of(kind):
        assert field.meaning
        assert field.since.startswith(ryllzip.REVISIONS)


@pytest.mark.parametrize("revision", ryllzip.REVISIONS)
@pytest.mark.parametrize("channel", ryllzip.CHANNELS)
def test_every_field_of_every_revision_is_declared(channel, revision):
    state = ryllzip.channel_state(channel, revision)
    defects = DefectLog()
    kind = schema.SNAPSHOTS[channel]
    assert not list(unknown_members(kind, state))
    assert msgspec.to_builtins(read(kind, state, "x", defects)).items() >= state.items()
    assert not len(defects)


def test_what_is_written_is_what_is_read():
    state = ryllzip.channel_state("display", "G3")
    snapshot = read(schema.DisplaySnapshot, state, "x", DefectLog())
    assert msgspec.to_builtins(snapshot) == state
    assert len(schema.fields_of(schema.DisplaySnapshot)) == 60  # ryll-formats.md 5.3


def test_only_what_tells_of_the_user_is_private():
    kinds = [kind for kind in structures() if kind is not schema.InputEvent]
    private = {f"{kind.__name__}.{f.name}" for kind in kinds for f in schema.fields_of(kind) if f.private}
    assert private == {
        "Metadata.description",
        "Metadata.target_host",
        "CaptureMetadata.target_host",
        "InputsSnapshot.recent_events",
    }
    assert all(field.private for field in schema.fields_of(schema.InputEvent))


# --- wrong values ------------------------------------------------------------------------------------

WRONG = [
    # (field, value, what is read)
    ("bytes_in", "many", None),
    ("bytes_in", -1, None),
    ("bytes_in", 1.5, None),
    ("bytes_in", True, None),
    ("bytes_in", 2**64 - 1, 2**64 - 1),
    ("ping_recv_count", 2**32, None),
    ("last_recv_ts_secs", "later", None),
    ("last_recv_ts_secs", 3, 3.0),
    ("image_cache_ids", [1, "x", None, 2], [1, 2]),
    ("image_cache_ids", {"0": 1}, None),
    ("recent_ack_intervals_secs", [0.5, None, "x", 1], [0.5, None, None, 1.0]),
    ("messages_recv_by_opcode", {"4": 3, "5": "x"}, {"4": 3}),
    ("pref_compression_sent", 1, None),
    ("streams_active", 7, None),
    ("streams_active", [7, {"stream_id": 3}], [schema.StreamSnapshot(stream_id=3)]),
]  # fmt: skip


@pytest.mark.parametrize(("field", "value", "expected"), WRONG)
def test_a_wrong_value_costs_its_field_only(field: str, value: Any, expected: Any):
    defects = DefectLog()
    state = {"bytes_out": 5, field: value}
    snapshot = read(schema.DisplaySnapshot, state, "channel-state.json", defects)
    assert getattr(snapshot, field) == expected
    assert snapshot.bytes_out == 5
    if expected is None:
        (defect,) = defects
        assert defect.kind is DefectKind.MEMBER_FIELD
        assert defect.where == "channel-state.json"
        assert defect.detail.startswith(f"{field}: ")


def test_the_path_of_a_wrong_value_is_named_however_deep():
    defects = DefectLog()
    stream = ryllzip.stream(codec_type="mjpeg")
    snapshot = read(schema.DisplaySnapshot, {"streams_active": [stream]}, "x", defects)
    assert snapshot.streams_active[0].stream_id == 49
    assert [d.detail.partition(":")[0] for d in defects] == ["streams_active[0].codec_type"]


def test_not_even_an_object():
    defects = DefectLog()
    assert read(schema.Session, [1, 2], "session.json", defects) is None
    assert "the whole file" in next(iter(defects)).detail


@settings(max_examples=60)
@given(st.sampled_from(structures()), JSON)
def test_anything_at_all_reads_as_something(kind, value):
    read(kind, value, "x", DefectLog())
    list(unknown_members(kind, value))


@settings(max_examples=60)
@given(
    st.sampled_from(schema.fields_of(schema.DisplaySnapshot) + schema.fields_of(schema.MainSnapshot)), JSON
)
def test_any_field_may_hold_anything(field, value):
    for kind in (schema.DisplaySnapshot, schema.MainSnapshot):
        assert read(kind, {"bytes_out": 1} | {field.name: value}, "x", DefectLog()) is not None


# --- wrong JSON --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data", [b"", b"{", b"\xff\xfe", b'"\xff"', b"[" * 100_000, b"nul", b"{} {}", b"1e999"]
)
def test_what_is_no_json_is_a_defect(data: bytes):
    value, defects = decoded(data)
    assert value is None
    assert [d.kind for d in defects] == [DefectKind.MEMBER_NOT_JSON]


@settings(max_examples=60)
@given(st.integers(0, 3000))
def test_json_cut_anywhere(length: int):
    decoded(ryllzip.as_json(ryllzip.channel_state("main", "G3"))[:length])


def test_numbers_beyond_64_bits_are_unknown():
    value, defects = decoded(b'{"a": {"b": [1, 18446744073709551616]}, "c": -9223372036854775809}')
    assert value == {"a": {"b": [1, None]}, "c": None}
    assert sorted(d.detail.partition(":")[0] for d in defects) == ["a.b.1", "c"]


def test_long_text_and_long_lists_are_cut():
    long = {"t": "x" * 50, "l": list(range(9)), "d": {str(i): i for i in range(9)}}
    value, defects = decoded(json.dumps(long).encode(), text_chars=10, json_items=4)
    assert value == {"t": "x" * 10, "l": [0, 1, 2, 3], "d": {"0": 0, "1": 1, "2": 2, "3": 3}}
    assert [d.kind for d in defects] == [DefectKind.OVER_LIMIT] * 3


def test_unknown_members_are_named_by_their_path():
    state = ryllzip.channel_state("display") | {
        "tomorrow": 1,
        "streams_active": [{"hdr": True, "stream_id": 1}],
    }
    assert sorted(unknown_members(schema.DisplaySnapshot, state)) == ["streams_active[0].hdr", "tomorrow"]


# --- what the structures say of themselves ----------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("Some(ZlibGlzRgb)", "ZlibGlzRgb"),
        ("GlzRgb", "GlzRgb"),
        ("None", None),
        (None, None),
        ("Some(", "Some("),
    ],
)
def test_image_types_with_and_without_their_wrapping(written, name):
    assert schema.DecodeResult(image_type=written).image_name == name


@pytest.mark.parametrize(
    ("source", "name", "channel", "what"),
    [
        ("Gap", "Gap", None, None),
        ({"Spice": {"channel": "Main", "what": 5}}, "Spice", "main", 5),
        ({"Spice": "?"}, "Spice", None, None),
        (None, "", None, None),
    ],
)
def test_notification_sources(source, name, channel, what):
    notification = schema.Notification(source=source)
    assert (notification.source_name, notification.channel, notification.what) == (name, channel, what)


@pytest.mark.parametrize(
    ("edges", "empty"),
    [((0, 0, 1, 1), False), ((5, 5, 5, 9), True), ((0, 9, 9, 0), True), ((None, 0, 1, 1), True)],
)
def test_regions(edges, empty):
    left, top, right, bottom = edges
    assert schema.Region(left=left, top=top, right=right, bottom=bottom).is_empty is empty
