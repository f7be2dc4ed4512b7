"""The screen over time as an MP4: true times, sizes that change, what is black and what is a checkerboard."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import av
import numpy as np
import pytest
from display.made import create, fill
from PIL import Image
from support.observed import ORIGIN_NS, Said, channel, session

from spicereplay.errors import InputError, UsageError
from spicereplay.protocol.enums import ChannelType
from spicereplay.protocol.messages import display as m
from spicereplay.replay import Replay, replay
from spicereplay.replay import movie as movies
from spicereplay.replay.movie import Movie, write_movie

RED, GREEN, BLUE, GREY = 0xFF0000, 0x00FF00, 0x0000FF, 0x808080
CLOSE = 24
"""How far a colour may be off: the movie is lossy."""


def said(at: float, message: object) -> Said:
    return Said(at, int(message.TYPES[0]), message)  # type: ignore[attr-defined]


def recording(*messages: Said, end: float = 10.0, channel_id: int = 0) -> Replay:
    log = session(channel(ChannelType.DISPLAY, messages, channel_id=channel_id))
    return Replay(Path("made.pcap"), "pcap", [log], ORIGIN_NS, ORIGIN_NS + round(end * 1e9))


def shown(path: Path) -> list[tuple[float, np.ndarray]]:
    """The movie's pictures with their times."""
    with av.open(str(path)) as container:
        return [(float(f.pts * f.time_base), f.to_ndarray(format="rgb24")) for f in container.decode(video=0)]


def times(pictures: Iterable[tuple[float, np.ndarray]]) -> list[float]:
    return [round(time, 3) for time, _ in pictures]


def looks(picture: np.ndarray, color: int) -> bool:
    want = np.array([color >> 16, color >> 8 & 255, color & 255])
    return bool((np.abs(picture.astype(int) - want) <= CLOSE).all())


def film(tmp_path: Path, found: Replay, **options: object) -> tuple[Movie, list[tuple[float, np.ndarray]]]:
    path = tmp_path / "made.mp4"
    movie = write_movie(found, path, **options)  # type: ignore[arg-type]
    pictures = shown(path)
    assert len(pictures) == movie.frames
    assert [p.name for p in tmp_path.iterdir()] == ["made.mp4"]
    return movie, pictures


def test_every_picture_stands_at_its_time_and_the_movie_is_as_long_as_the_capture(tmp_path: Path) -> None:
    found = recording(
        said(1.25, create(0, 32, 16)),
        said(2.5, fill(RED, 0, 0, 32, 16)),
        said(7.125, fill(BLUE, 0, 0, 32, 16)),
    )
    movie, pictures = film(tmp_path, found)
    assert times(pictures) == [0, 1.25, 2.5, 7.125, 10]
    assert [looks(p, color) for (_, p), color in zip(pictures, (0, 0, RED, BLUE, BLUE), strict=True)] == [
        True
    ] * 5
    assert (movie.width, movie.height, movie.channel_id, movie.session) == (32, 16, 0, 0)
    assert movie.duration_s == pytest.approx(10)
    assert movie.unknown_frames == 0


def test_changes_within_a_sixtieth_of_a_second_are_one_picture(tmp_path: Path) -> None:
    fills = [said(2 + n / 1000, fill(RED if n % 2 else BLUE, 0, 0, 16, 16)) for n in range(100)]
    _, pictures = film(tmp_path, recording(said(1, create(0, 16, 16)), *fills))
    between = [time for time, _ in pictures if 2 <= time < 3]
    assert 6 <= len(between) <= 7
    assert between[-1] == pytest.approx(2.099, abs=0.001)
    assert looks(pictures[-1][1], RED)


def test_drawing_on_other_surfaces_gives_no_pictures(tmp_path: Path) -> None:
    found = recording(
        said(1, create(0, 16, 16)),
        said(2, create(3, 16, 16)),
        said(3, fill(RED, 0, 0, 16, 16, surface=3)),
        said(4, m.InvalAllPixmaps(wait_list=())),
    )
    assert 3.0 not in times(film(tmp_path, found)[1])


def test_smaller_screens_lie_in_the_corner_of_the_largest(tmp_path: Path) -> None:
    found = recording(
        said(1, create(0, 48, 16)),
        said(2, fill(RED, 0, 0, 48, 16)),
        said(3, m.SurfaceDestroy(surface_id=0)),
        said(3, create(0, 16, 33)),
        said(3, fill(BLUE, 0, 0, 16, 33)),
    )
    movie, pictures = film(tmp_path, found)
    assert (movie.width, movie.height) == (48, 34)
    at = dict(zip(times(pictures), (p for _, p in pictures), strict=True))
    assert looks(at[2.0][:14], RED)
    assert looks(at[2.0][18:], 0)
    assert looks(at[3.0][:32, :14], BLUE)
    assert looks(at[3.0][:32, 18:], 0)


def test_without_a_screen_the_movie_is_black(tmp_path: Path) -> None:
    found = recording(
        said(1, create(0, 16, 16)), said(2, fill(RED, 0, 0, 16, 16)), said(3, m.SurfaceDestroy(surface_id=0))
    )
    _, pictures = film(tmp_path, found)
    assert looks(pictures[-1][1], 0)


def test_nothing_is_shown_before_the_server_says_so(tmp_path: Path) -> None:
    found = recording(said(1, create(0, 16, 16)), said(2, fill(RED, 0, 0, 16, 16)), said(4, m.Mark()), end=5)
    _, pictures = film(tmp_path, found)
    assert looks(dict(zip(times(pictures), (p for _, p in pictures), strict=True))[2.0], 0)
    assert looks(pictures[-1][1], RED)


def test_what_is_unknown_is_a_checkerboard(tmp_path: Path) -> None:
    found = recording(said(1, fill(RED, 32, 0, 64, 32)))
    movie, pictures = film(tmp_path, found)
    assert (movie.width, movie.height) == (64, 32)
    assert movie.unknown_frames >= 1
    last = pictures[-1][1].astype(int)
    assert looks(last[:, 34:], RED)
    assert abs(last[4, 4] - last[4, 12]).min() > 30
    assert abs(last[4, 4] - last[12, 12]).max() < CLOSE


def test_one_monitor_of_several(tmp_path: Path) -> None:
    heads = tuple(
        m.Head(monitor_id=n, surface_id=0, width=16, height=16, x=16 * n, y=0, flags=0) for n in range(2)
    )
    found = recording(
        said(1, create(0, 32, 16)),
        said(1, m.MonitorsConfig(max_allowed=2, heads=heads)),
        said(2, fill(GREEN, 16, 0, 32, 16)),
    )
    movie, pictures = film(tmp_path, found, monitor=1)
    assert (movie.width, movie.height) == (16, 16)
    assert looks(pictures[-1][1], GREEN)


def test_a_channel_that_never_shows_anything_makes_no_movie(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="display/0 shows nothing"):
        write_movie(recording(said(1, m.Mark())), tmp_path / "x.mp4")
    with pytest.raises(UsageError, match="no display channel 4"):
        write_movie(recording(said(1, create(0, 2, 2))), tmp_path / "x.mp4", channel_id=4)
    assert list(tmp_path.iterdir()) == []


def test_sizes_over_the_limits_are_left_out(tmp_path: Path) -> None:
    found = recording(said(1, create(0, 16, 16)), said(2, create(0, 60_000, 60_000)))
    movie, _ = film(tmp_path, found)
    assert (movie.width, movie.height) == (16, 16)


def test_a_movie_that_fails_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(movies, "_shoot", broken)
    with pytest.raises(KeyboardInterrupt):
        write_movie(recording(said(1, create(0, 16, 16))), tmp_path / "x.mp4")
    assert list(tmp_path.iterdir()) == []


def test_without_h264_the_movie_is_mpeg_4(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(movies, "ENCODERS", (("no such encoder", {}), movies.ENCODERS[1]))
    movie, pictures = film(tmp_path, recording(said(1, create(0, 16, 16)), said(2, fill(BLUE, 0, 0, 16, 16))))
    assert movie.encoder == "mpeg4"
    assert times(pictures) == [0, 1, 2, 10]
    assert looks(pictures[-1][1], BLUE)
    monkeypatch.setattr(movies, "ENCODERS", ())
    with pytest.raises(InputError, match="neither"):
        write_movie(recording(said(1, create(0, 16, 16))), tmp_path / "y.mp4")


def test_a_recorded_movie_ends_with_the_servers_own_screenshot(tmp_path: Path, fixtures: Path) -> None:
    folder = fixtures / "captures" / "qemu-guest-desktop-lz4"
    with replay(folder / "capture.pcap") as found:
        movie, pictures = film(tmp_path, found)
        assert movie.duration_s == pytest.approx(found.duration_s, abs=0.001)
    final = np.asarray(Image.open(folder / "final.png").convert("RGB")).astype(int)
    error = ((pictures[-1][1].astype(int) - final) ** 2).mean()
    assert error < 60
    assert np.all(np.diff([time for time, _ in pictures]) > 0)
