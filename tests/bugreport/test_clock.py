"""From connection-relative seconds to UTC."""

import pytest

from spicereplay.bugreport.clock import ConnectionClock, connection_clock, utc_ns
from spicereplay.bugreport.schema import Metadata, Notification, WallTime
from spicereplay.units import NS_PER_MS, NS_PER_S

NOON = 1_780_315_200 * NS_PER_S
"""2026-06-01T12:00:00Z."""


def notice(ns: int, message: str = "hello", source: object = "Connection") -> Notification:
    when = WallTime(secs_since_epoch=ns // NS_PER_S, nanos_since_epoch=ns % NS_PER_S)
    return Notification(when=when, message=message, source=source)


def clock_of(*notices: Notification) -> ConnectionClock | None:
    return connection_clock(Metadata(timestamp="2026-06-01T12:00:10Z", session_uptime_secs=9.5), notices)


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("2026-06-01T12:00:00Z", NOON),
        ("1970-01-01T00:00:00Z", 0),
        ("unknown", None),
        ("", None),
        (None, None),
        ("2026-13-01T12:00:00Z", None),
        ("2026-06-01 12:00:00", None),
    ],
)
def test_timestamps(text, ns):
    assert utc_ns(text) == ns


def test_timestamp_minus_uptime_is_good_to_a_second():
    clock = clock_of()
    assert clock.zero_ns == clock.earliest_ns == NOON + 500 * NS_PER_MS
    assert clock.uncertainty_ns == NS_PER_S
    assert clock.utc_ns(2.25) == NOON + 2750 * NS_PER_MS


def test_without_the_times_there_is_no_clock():
    assert connection_clock(Metadata(timestamp="unknown", session_uptime_secs=1.0)) is None
    assert connection_clock(Metadata(timestamp="2026-06-01T12:00:10Z")) is None


@pytest.mark.parametrize("uptime", [1e308, -1e308, 1e20])
def test_absurd_times_overflow_nothing(uptime):
    clock = connection_clock(Metadata(timestamp="2026-06-01T12:00:10Z", session_uptime_secs=uptime))
    assert isinstance(clock.utc_ns(1e308), int)


def test_the_newest_notification_moves_the_earliest():
    clock = clock_of(notice(NOON + 10_400 * NS_PER_MS, source="Internal"))
    assert clock.earliest_ns == NOON + 900 * NS_PER_MS
    assert clock.latest_ns == NOON + 1500 * NS_PER_MS


def test_the_notice_of_the_connection_is_the_estimate():
    clock = clock_of(notice(NOON + 800 * NS_PER_MS, "Connected to desk:5900"))
    assert clock.zero_ns == clock.latest_ns == NOON + 800 * NS_PER_MS
    assert clock.uncertainty_ns == 300 * NS_PER_MS


@pytest.mark.parametrize(
    "other",
    [
        notice(NOON - 60 * NS_PER_S, "Connected to desk:5900"),
        notice(NOON + 800 * NS_PER_MS, "Connected to desk:5900", "Gap"),
        notice(NOON + 3600 * NS_PER_S),
        Notification(message="Connected to"),
    ],
    ids=["an earlier connection", "another source", "a clock that jumped", "no time"],
)
def test_notifications_that_say_nothing(other):
    assert clock_of(other) == clock_of()
