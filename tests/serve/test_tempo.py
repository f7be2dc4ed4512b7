"""The times of a recording and of its replay."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spicereplay.errors import UsageError
from spicereplay.serve.tempo import LAST_FRAME_MS, Tempo
from spicereplay.units import NS_PER_MS, NS_PER_S

WRAP = 1 << 32
CLOCK = st.integers(0, WRAP - 1)
SPEED = st.floats(0.05, 50)


@given(CLOCK, CLOCK, st.integers(0, 10**12))
def test_at_the_recorded_speed_stamps_stay(clock: int, stamp: int, elapsed: int) -> None:
    assert Tempo(0, clock).stamp(stamp, elapsed) == stamp


@given(CLOCK, st.integers(-400, 10**8), st.integers(-400, 10**8), SPEED)
def test_the_order_of_stamps_holds_at_any_speed_and_over_the_wrap(
    clock: int, one: int, two: int, speed: float
) -> None:
    tempo = Tempo(0, clock, speed)
    after = [(tempo.stamp((clock + at) % WRAP, 0) - clock + WRAP // 4) % WRAP for at in sorted((one, two))]
    if speed >= 0.1:
        assert after[0] <= after[1]


@given(CLOCK, st.integers(0, 10**6), SPEED)
def test_a_frame_is_shown_as_long_after_it_was_sent_as_the_speed_makes_of_it(
    clock: int, after_ms: int, speed: float
) -> None:
    """Recorded with 400 ms of latency, it has 400 ms / speed of it in the replay."""
    tempo = Tempo(7 * NS_PER_S, clock, speed)
    sent = tempo.elapsed_at(7 * NS_PER_S + after_ms * NS_PER_MS)
    margin = (tempo.stamp((clock + after_ms + 400) % WRAP, sent) - tempo.clock_at(sent)) % WRAP
    assert abs(margin - 400 / speed) <= 2


def test_messages_come_as_far_apart_as_the_speed_says() -> None:
    assert Tempo(NS_PER_S, 0, 2.0).elapsed_at(3 * NS_PER_S) == NS_PER_S
    assert Tempo(NS_PER_S, 0, 0.5).elapsed_at(3 * NS_PER_S) == 4 * NS_PER_S
    assert Tempo(NS_PER_S, 0).elapsed_at(0) == 0
    assert Tempo(NS_PER_S, 0, None).elapsed_at(3 * NS_PER_S) == 0


def test_without_waiting_only_last_frames_have_time_to_be_shown() -> None:
    tempo = Tempo(0, 1000, None)
    assert tempo.stamp(123_456, 250 * NS_PER_MS) == 1250
    assert tempo.stamp(123_456, 250 * NS_PER_MS, last=True) == 1250 + LAST_FRAME_MS


@pytest.mark.parametrize("speed", [0.0, -1.0, float("nan"), float("inf")])
def test_a_speed_that_is_none_is_refused(speed: float) -> None:
    with pytest.raises(UsageError, match="a speed is above 0"):
        Tempo(0, 0, speed)
