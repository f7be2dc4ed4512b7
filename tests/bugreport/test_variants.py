"""Rust's enums as JSON: names, and objects of one key."""

import pytest

from spicereplay.bugreport.variants import ReportKind, report_type, variant

TYPES = [
    ("Display", ReportKind.DISPLAY, {}),
    ("AutoSnapshot", ReportKind.AUTO_SNAPSHOT, {}),
    ({"Pedantic": {"gap_key": "a:b"}}, ReportKind.PEDANTIC, {"gap_key": "a:b"}),
    ({"Disconnect": {"channel": "webdav"}}, ReportKind.DISCONNECT, {"channel": "webdav"}),
    (
        {"Notification": {"notification_id": 3, "snapshot_state": "AtFire"}},
        ReportKind.NOTIFICATION,
        {"notification_id": 3, "snapshot_state": "AtFire"},
    ),
    ("Hologram", ReportKind.UNKNOWN, {"written": "Hologram"}),
    ({"Hologram": 4}, ReportKind.UNKNOWN, {"written": "Hologram"}),
    ({"Pedantic": {"gap_key": 4}}, ReportKind.PEDANTIC, {"gap_key": None}),
    ({}, ReportKind.UNKNOWN, {"written": ""}),
    (None, ReportKind.UNKNOWN, {"written": ""}),
]


@pytest.mark.parametrize(("value", "kind", "fields"), TYPES)
def test_report_types(value, kind, fields):
    result = report_type(value)
    assert result.kind is kind
    for name, expected in fields.items():
        assert getattr(result, name) == expected


@pytest.mark.parametrize(
    ("value", "name", "fields"),
    [
        ("Gap", "Gap", {}),
        ({"Spice": {"what": 1}}, "Spice", {"what": 1}),
        ({"Spice": 3}, "Spice", {}),
        ({}, "", {}),
    ],
)
def test_variants(value, name, fields):
    assert variant(value) == (name, fields)
