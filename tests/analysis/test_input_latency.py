"""How soon the screen answers keys and buttons."""

import math

import pandas as pd
import pytest
from support.observed import ORIGIN_NS, Said, channel, session

from spicereplay.analysis.input_latency import input_latency
from spicereplay.protocol.enums import (
    ChannelType,
    ClientInputs,
    MouseButton,
    MouseButtonMask,
    ServerDisplay,
)
from spicereplay.protocol.messages.inputs import KeyDown, KeyUp, MousePosition, MousePress
from spicereplay.units import NS_PER_MS

DRAW, FRAME = ServerDisplay.DRAW_COPY, ServerDisplay.STREAM_DATA
NOBODY = MouseButtonMask(0)


def key(at):
    return Said(at, ClientInputs.KEY_DOWN, KeyDown(0x1E))


def press(at, button=MouseButton.LEFT):
    return Said(at, ClientInputs.MOUSE_PRESS, MousePress(button, NOBODY))


def shows(at, kind=DRAW, surface=0):
    return Said(at, kind, surface.to_bytes(4, "little") + bytes(60))


def table(said, *screens, **options):
    displays = [channel(ChannelType.DISPLAY, screen, channel_id=i) for i, screen in enumerate(screens)]
    return input_latency([session(channel(ChannelType.INPUTS, (), said), *displays)], ORIGIN_NS, **options)


def test_a_session_of_keys_and_buttons():
    """Somebody types into a quiet screen, clicks, a video starts, and then the screen stays as it is."""
    rows = table(
        [key(1), press(3), key(5.02), press(9, MouseButton.DOWN)],
        [shows(0.5), shows(1.08), shows(3.2), *(shows(5 + 0.04 * i, FRAME) for i in range(10))],
    )
    assert rows["kind"].tolist() == ["key", "button", "key", "wheel"]
    assert rows["latency_ms"].tolist() == pytest.approx([80, 200, 20, math.nan], nan_ok=True)
    assert rows["busy"].tolist() == [False, False, True, False]
    assert rows["next_draw_s"].tolist() == pytest.approx([1.08, 3.2, math.nan, math.nan], nan_ok=True)
    assert rows["next_frame_s"].tolist() == pytest.approx([5, 5, 5.04, math.nan], nan_ok=True)
    assert rows["next_display_s"].tolist() == pytest.approx([1.08, 3.2, 5.04, math.nan], nan_ok=True)
    assert rows["channel_id"].tolist() == [0, 0, 0, pd.NA]


def test_letting_go_and_moving_are_no_presses():
    moved = Said(2, ClientInputs.MOUSE_POSITION, MousePosition(1, 1, NOBODY, 0))
    assert not len(table([Said(1, ClientInputs.KEY_UP, KeyUp(0x9E)), moved], [shows(3)]))


@pytest.mark.parametrize(("before", "busy"), [(0.2, True), (0.25, True), (0.26, False)])
def test_a_screen_that_changed_just_before_would_have_changed_anyway(before, busy):
    assert table([key(2)], [shows(2 - before), shows(2.1)])["busy"].tolist() == [busy]


def test_what_counts_as_just_before_can_be_chosen():
    rows = table([key(2)], [shows(1.5), shows(2.1)], busy_ns=600 * NS_PER_MS)
    assert rows["busy"].tolist() == [True]


def test_of_several_displays_the_first_to_change_counts():
    rows = table([key(2), key(4)], [shows(2.3), shows(4.1)], [shows(2.2), shows(4.2)])
    assert rows["channel_id"].tolist() == [1, 0]
    assert rows["latency_ms"].tolist() == pytest.approx([200, 100])


def test_what_nobody_can_see_is_no_answer():
    rows = table(
        [key(2)],
        [
            shows(2.1, surface=7),
            Said(2.2, ServerDisplay.STREAM_CREATE, bytes(51)),
            Said(2.3, ServerDisplay.INVAL_ALL_PALETTES),
            shows(2.4),
        ],
    )
    assert rows["latency_ms"].tolist() == pytest.approx([400])


@pytest.mark.parametrize(
    "kind",
    [ServerDisplay.COPY_BITS, ServerDisplay.STREAM_DATA_SIZED, ServerDisplay.GL_DRAW, ServerDisplay.MARK],
)
def test_whatever_changes_the_screen_is_an_answer(kind):
    assert table([key(2)], [shows(2.5, kind)])["latency_ms"].tolist() == pytest.approx([500])


def test_without_a_display_there_are_rows_and_no_answers():
    rows = table([key(1)])
    assert rows["latency_ms"].isna().all()
    assert rows["channel_id"].isna().all()
    assert not rows["busy"].any()


def test_answers_do_not_come_from_another_session():
    keys = session(channel(ChannelType.INPUTS, (), [key(1)]), number=0)
    screen = session(channel(ChannelType.DISPLAY, [shows(1.1)]), number=1)
    assert input_latency([keys, screen], ORIGIN_NS)["latency_ms"].isna().tolist() == [True]
