"""Text of the input is shown as it is, and what would hide or mislead is shown as an escape."""

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spicereplay.report.text import NONE, duration, number, size, utc
from spicereplay.text import visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text", "plain text"),
        ("Grüße, 日本語, 🖥", "Grüße, 日本語, 🖥"),
        ("photo\u202egnp.exe", r"photo\u202egnp.exe"),
        ("a\u2066b\u2069c", r"a\u2066b\u2069c"),
        ("zero\u200bwidth\ufeff", r"zero\u200bwidth\ufeff"),
        ("\x1b[31mred\x00", r"\u001b[31mred\u0000"),
        ("one\ntwo\tthree\r", r"one\ntwo\tthree\r"),
        ("line\u2028break\u2029", r"line\u2028break\u2029"),
        ("lone \ud800 surrogate", r"lone \ud800 surrogate"),
        ("tag \U000e0041", r"tag \U000e0041"),
        ("e\u0301 is two characters", "e\u0301 is two characters"),
        ("z" + "\u0301" * 6, "z" + "\u0301" * 4 + r"\u0301\u0301"),
    ],
)
def test_hidden_and_reordering_characters_become_escapes(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_long_text_is_cut_and_says_how_long_it_was() -> None:
    assert visible("x" * 5000, longest=10) == "xxxxxxxxxx… (5,000 characters)"
    assert visible("x" * 10, longest=10) == "xxxxxxxxxx"


@settings(max_examples=150, deadline=None)
@given(st.text(st.characters(), max_size=80))
def test_whatever_comes_in_what_goes_out_can_be_seen_and_written(text: str) -> None:
    shown = visible(text)
    shown.encode("utf-8")
    assert not {unicodedata.category(c) for c in shown} & {"Cc", "Cf", "Cs", "Zl", "Zp"}


@pytest.mark.parametrize(
    ("value", "decimals", "shown"),
    [
        (1234567, 0, "1,234,567"),
        (0.1264, 2, "0.13"),
        (-3.5, 1, "-3.5"),
        (float("nan"), 1, NONE),
        (float("inf"), 1, NONE),
        (None, 0, NONE),
        (1e300, 3, "1e+300"),
    ],
)
def test_numbers_have_separators_and_a_dash_for_none(value: float | None, decimals: int, shown: str) -> None:
    assert number(value, decimals) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (999, "999 bytes"),
        (1000, "1.0 kB"),
        (187_334_120, "187 MB"),
        (3.2e12, "3,200 GB"),
    ],
)
def test_sizes(value: float, shown: str) -> None:
    assert size(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.42, "0.42 s"), (73.1, "73.1 s"), (119.99, "120.0 s"), (3725, "1 h 02 min 05 s"), (130, "2 min 10 s")],
)
def test_durations(value: float, shown: str) -> None:
    assert duration(value) == shown
    assert duration(float("nan")) == NONE


def test_a_time_is_utc_to_the_millisecond_and_any_number_is_taken() -> None:
    assert utc(1_709_294_400_123_456_789) == "2024-03-01 12:00:00.123 UTC"
    assert utc(2**70) == "1,180,591,620,717,411,303,424 ns"
