"""What the page says about how soon the screen answers, and its axes."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.report_content import bare, usual
from support.tables import empty_tables, full

from spicereplay.report.answers import answers, silences
from spicereplay.report.page import render
from spicereplay.report.spread import BIN_PX, BINS, LogAxis
from spicereplay.report.timeline import timeline

NAN = math.nan


def of(**tables):
    return bare(duration_s=60.0, tables=empty_tables() | tables)


def presses(latency, busy=None, kind=None):
    rows = len(latency)
    return full(
        "input_latency",
        kind=kind or ["key"] * rows,
        latency_ms=latency,
        busy=busy or [False] * rows,
    )


def test_only_answers_of_a_quiet_screen_are_measured():
    found = answers(of(input_latency=presses([10, 20, 30, 999, NAN], [False, False, False, True, False])))
    (row,) = found.rows
    assert (row.kind, row.presses, row.busy, row.unanswered) == ("key", 5, 1, 1)
    assert (row.figures.count, row.figures.median, row.figures.greatest) == (3, 20, 30)
    assert found.summary == (
        "5 keys and buttons were pressed, 1 of them while the screen was changing anyway, which says nothing. "
        "Of the 3 that can be measured, half saw the screen change within 20 ms; the slowest took 30 ms."
    )


def test_kinds_come_in_one_order():
    found = answers(of(input_latency=presses([1, 2, 3], kind=["wheel", "button", "key"])))
    assert [row.kind for row in found.rows] == ["key", "button", "wheel"]


def test_where_nothing_can_be_measured_the_page_says_so():
    found = answers(of(input_latency=presses([5, NAN], [True, False])))
    assert found.axis is None
    assert found.rows[0].figures is None
    assert found.summary.endswith("None of them can be measured.")
    assert "None of them can be measured." in render(of(input_latency=presses([5, NAN], [True, False])))


def test_one_press_is_spoken_of_in_the_singular():
    told = answers(of(input_latency=presses([5]))).summary
    assert told == (
        "1 key or button was pressed. The one that can be measured saw the screen change after 5 ms."
    )


def test_of_many_presses_the_slowest_says_less_than_the_slow_ones():
    told = answers(of(input_latency=presses([*[10.0] * 99, 9000.0]))).summary
    assert told.endswith("half saw the screen change within 10 ms, and 95 of 100 within 10 ms.")


def test_nobody_typed_or_nobody_could_see_it():
    assert "could be read" in answers(of()).why_empty
    assert "Nobody pressed" in answers(of(inputs=full("inputs", name=["INIT"]))).why_empty


def test_silences_are_a_table_and_bands_of_the_timeline():
    content = usual()
    assert len(silences(content).rows) == 3
    (lane,) = (lane for lane in timeline(content).data["lanes"] if lane["name"] == "still")
    assert lane["look"] == ["still", "still", "still", "hatch"]
    assert lane["from"][2:] == pytest.approx([37.2, 37.8])
    assert lane["to"] == pytest.approx([6, 21.6, 37.8, 39.6])
    assert lane["text"][0] == "nothing was drawn for 4.8 s"
    assert lane["text"][3] == "nothing was drawn for 1.8 s after a press; keys and buttons pressed: 6"


def test_a_press_that_the_screen_answered_soon_is_no_wait():
    silent = full("display_silence", start_s=[1.0], end_s=[9.0], first_input_s=[8.5], inputs_during=[2])
    (lane,) = (lane for lane in timeline(of(display_silence=silent)).data["lanes"] if lane["name"] == "still")
    assert (lane["look"], lane["to"]) == (["still"], [9])


@given(st.floats(1e-6, 1e7), st.floats(1, 1e6))
def test_an_axis_holds_what_it_was_made_for(least, ratio):
    axis = LogAxis.around(least, least * ratio)
    assert axis.low <= max(least, 0.001) * (1 + 1e-9)
    assert axis.high >= least * ratio * (1 - 1e-9)
    assert axis.place(axis.low) == 0
    assert axis.place(axis.high) == BINS * BIN_PX
    assert axis.ticks[0][0] == 0
    assert axis.ticks[-1][0] == 1
    assert len(axis.edges) == BINS + 1
