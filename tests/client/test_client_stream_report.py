"""When a report about a stream is due. Each case is a run of frames: ms after the first, how early, reported or not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spicereplay.client.stream_report import ReportWindow, cannot_play
from spicereplay.protocol.messages.display import StreamReport

MS = 1_000_000

CASES = {
    "every window": (5, 1000, [(40 * i, 300, i % 5 == 4) for i in range(15)]),
    "the first frame after the timeout": (
        5,
        1000,
        [(0, 9, False), (999, 9, False), (1000, 9, True), (1040, 9, False)],
    ),
    "a window that has waited": (5, 1000, [(0, 9, False), (60_000, 9, True)]),
    "three late in a row": (
        9,
        1000,
        [(0, 5, False), (1, -1, False), (2, -1, False), (3, -9, True), (4, -9, False)],
    ),
    "late, but not in a row": (
        9,
        9000,
        [(0, -1, False), (1, -1, False), (2, 0, False), (3, -1, False), (4, -1, False)],
    ),
    "a window of nothing": (0, 1000, [(0, 9, True), (1, 9, True)]),
    "no timeout": (5, 0, [(0, 9, True), (1, 9, True)]),
}


@pytest.mark.parametrize("case", CASES)
def test_a_report_is_due(case: str) -> None:
    window, timeout, frames = CASES[case]
    reports = ReportWindow(7, 99, window, timeout)
    got = [reports.frame(5000 + at, margin, None, at * MS) is not None for at, margin, _ in frames]
    assert got == [due for _, _, due in frames]


def test_what_a_report_says() -> None:
    reports = ReportWindow(7, 99, 3, 1000)
    assert reports.frame(2**32 - 20, 10, 250, 0) is None
    assert reports.frame(20, -4, 250, 40 * MS) is None
    assert reports.frame(60, -30, 250, 80 * MS) == StreamReport(7, 99, 2**32 - 20, 60, 3, 2, -30, 250)
    reports.frame(100, -1, None, 120 * MS)
    reports.frame(140, -1, None, 160 * MS)
    assert reports.frame(180, 5, None, 200 * MS) == StreamReport(7, 99, 100, 180, 3, 2, 5, 0xFFFFFFFF)


def test_cannot_play_is_no_frames_and_all_of_them_late() -> None:
    assert cannot_play(4) == StreamReport(4, 0, 0, 0, 0, 0xFFFFFFFF, 0, 0)


@given(
    st.integers(1, 8),
    st.integers(0, 2000),
    st.lists(st.tuples(st.integers(0, 700), st.integers(-50, 50)), max_size=80),
)
def test_every_frame_is_in_one_report_at_most_and_in_order(
    window: int, timeout: int, frames: list[tuple[int, int]]
) -> None:
    reports = ReportWindow(0, 1, window, timeout)
    now, frames_told, late_told, waiting = 0, 0, 0, 0
    for step, margin in frames:
        now += step
        waiting += 1
        report = reports.frame(now, margin, None, now * MS)
        if report is not None:
            assert 1 <= report.num_frames == waiting <= window
            assert report.num_drops <= report.num_frames
            frames_told += report.num_frames
            late_told += report.num_drops
            waiting = 0
    assert frames_told + waiting == len(frames)
    assert late_told <= sum(margin < 0 for _, margin in frames)
