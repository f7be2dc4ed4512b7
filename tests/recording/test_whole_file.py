"""A file is there whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from spicereplay.recording.whole_file import whole_file


def test_it_takes_the_place_of_the_old_one_when_all_went_well(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("old")
    with whole_file(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_nothing_is_left_of_one_that_was_not_finished(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "x"

    def half_of_it() -> None:
        with whole_file(path) as file:
            file.write(b"half")
            raise error

    with pytest.raises(error):
        half_of_it()
    assert list(tmp_path.iterdir()) == []


def test_two_at_once_do_not_mix(tmp_path: Path) -> None:
    path = tmp_path / ("n" * 255)
    with whole_file(path) as one, whole_file(path) as other:
        one.write(b"one" * 9)
        other.write(b"other")
    assert path.read_bytes() == b"one" * 9


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    path = tmp_path / "none" / "x"
    with pytest.raises(FileNotFoundError) as raised, whole_file(path):
        raise AssertionError("not reached")
    assert raised.value.filename == str(path)
