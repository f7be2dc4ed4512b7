"""Decode times taken in turn."""

from itertools import count
from pathlib import Path

import numpy as np
import pytest

from spicereplay.comparison import decoding
from spicereplay.comparison.decoding import decode_in_turn
from spicereplay.replay import replay
from spicereplay.units import NS_PER_MS


def test_every_picture_is_timed_by_the_clock_handed_in(fixtures: Path) -> None:
    """A clock that moves by a millisecond whenever it is looked at gives each decode one millisecond."""
    with replay(fixtures / "captures" / "flap-mjpeg" / "capture.pcap") as found:
        steps = count(step=NS_PER_MS)
        first, second = decode_in_turn([found.sessions, found.sessions], clock=lambda: next(steps))
    assert {codec: len(times) for codec, times in first.items()} == {"glz_rgb": 129, "lz_rgb": 1, "mjpeg": 91}
    for codec, times in first.items():
        assert np.all(times == 1.0)
        assert np.array_equal(times, second[codec])


def test_turns_are_taken(fixtures: Path) -> None:
    """With a clock that only ever runs, two recordings that take turns see it at the same times."""
    with replay(fixtures / "captures" / "flap-mjpeg" / "capture.pcap") as found:
        told: list[tuple[str, int, int]] = []
        decode_in_turn([found.sessions, found.sessions], progress=lambda *step: told.append(step))
    done = [step[1] for step in told]
    assert done == sorted(done)
    assert {step[0] for step in told} == {"decoding in turn"}


def test_no_more_than_so_many_pictures(fixtures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "MOST_PICTURES", 10)
    with replay(fixtures / "captures" / "flap-mjpeg" / "capture.pcap") as found:
        (times,) = decode_in_turn([found.sessions])
    assert 10 <= sum(map(len, times.values())) < 10 + 4 * decoding.TURN


def test_no_more_than_so_many_messages(fixtures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "MOST_MESSAGES", 40)
    with replay(fixtures / "captures" / "flap-mjpeg" / "capture.pcap") as found:
        (times,) = decode_in_turn([found.sessions])
    assert 0 < sum(map(len, times.values())) <= 40


def test_nothing_to_draw_takes_no_time(fixtures: Path) -> None:
    with replay(fixtures / "bugreports" / "no-pcap-g1.zip") as found:
        assert decode_in_turn([found.sessions, []]) == [{}, {}]
