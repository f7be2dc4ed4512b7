"""The flap rule on tables of streams that lived from here to there."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.tables import full

from spicereplay.analysis.flaps import FlapRule, flaps

NAN = math.nan


def lived(*lives: tuple[float, float], **columns):
    return full("streams", created_s=[a for a, _ in lives], destroyed_s=[b for _, b in lives], **columns)


def test_three_short_lives_in_thirty_seconds_are_a_flap():
    found = flaps(lived((1, 2), (6, 7.5), (12, 13)))
    assert len(found) == 1
    row = found.iloc[0]
    assert (row.time_s, row["count"], row.instants, row.kind) == (13.0, 3, 3, "flapping")
    assert row.mean_lifetime_s == pytest.approx(3.5 / 3)


@pytest.mark.parametrize(
    ("lives", "why"),
    [
        ([(1, 2), (6, 7)], "two are not enough"),
        ([(0, 3), (5, 8), (10, 13)], "a mean of exactly three seconds is not less than three"),
        ([(0, 1), (10, 11), (30, 31)], "exactly thirty seconds ago is outside the window"),
        ([(NAN, 1), (2, 3), (4, 5)], "a life whose creation was not seen takes no part"),
        ([(0, 1), (2, 3), (4, NAN)], "nor does one that still goes on"),
    ],
)
def test_not_a_flap(lives, why):
    assert not len(flaps(lived(*lives))), why


def test_streams_that_end_at_one_moment_are_told_apart():
    """html5-agent: seven parts of one picture, destroyed within 53 ms."""
    found = flaps(lived((11.9, 13.3624), (12.0, 13.3620), (12.0, 13.3099), (12.0, 13.3624)))
    assert found["time_s"].tolist() == [13.3624]
    assert found["count"].tolist() == [4]
    assert found["kind"].tolist() == ["torn_down_together"]


def test_the_second_notice_waits_for_the_cooldown():
    lives = [(float(t), t + 1.0) for t in range(0, 140, 5)]
    times = flaps(lived(*lives))["time_s"].tolist()
    assert times == [11.0, 71.0, 131.0]


def test_a_shorter_cooldown_and_window_can_be_asked_for():
    lives = [(0.0, 1.0), (1.0, 2.0), (2.0, 3.0), (3.0, 4.0)]
    rule = FlapRule(min_destroys=2, window_s=1.5, mean_lifetime_s=2, cooldown_s=1)
    assert flaps(lived(*lives), rule)["time_s"].tolist() == [2.0, 3.0, 4.0]


def test_display_channels_are_judged_by_themselves():
    lives = lived((1, 2), (3, 4), (5, 6), channel_id=[0, 1, 0])
    assert not len(flaps(lives))


def test_no_streams_no_flaps():
    assert not len(flaps(lived()))


@given(
    st.lists(
        st.tuples(st.integers(0, 200), st.integers(0, 8)).map(lambda p: (p[0] / 2, p[0] / 2 + p[1] / 2)),
        max_size=30,
    )
)
def test_against_the_rule_spelt_out(lives):
    expected, last = [], -math.inf
    for now in sorted({end for _, end in lives}):
        inside = [end - start for start, end in lives if now - 30 < end <= now]
        if len(inside) >= 3 and np.mean(inside) < 3 and now - last >= 60:
            expected.append((now, len(inside)))
            last = now
    found = flaps(lived(*lives))
    assert list(zip(found["time_s"], found["count"], strict=True)) == expected
