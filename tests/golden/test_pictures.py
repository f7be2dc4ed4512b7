"""The pictures of a difference: what is in them depends on what is known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from spicereplay.errors import UsageError
from spicereplay.golden.against import pictures_of, run_build
from spicereplay.golden.check import Options, check
from spicereplay.golden.digest import Pixels, grid_of
from spicereplay.golden.manifest import Key
from spicereplay.golden.observe import EVERY, Seen
from spicereplay.golden.pictures import Pair, shown, write_pictures
from spicereplay.golden.record import entry_of

RED = (222, 36, 42)
KEY = Key(0, "display/0", 7, "image", "quic")
ROOT = Path(__file__).parents[2]


def picture(width: int = 96, height: int = 64) -> Pixels:
    rows, columns = np.mgrid[0:height, 0:width]
    bgra = np.dstack((columns * 2, rows * 3, columns + rows, np.full_like(rows, 255))).astype(np.uint8)
    return Pixels(bgra, "rgb32", False)


def wrong(pixels: Pixels, y: int = 40, x: int = 70) -> Pixels:
    bgra = pixels.bgra.copy()
    bgra[y, x, 1] ^= 1
    return replace(pixels, bgra=bgra)


def pair(expected: Pixels, got: Pixels | None, *, lossy: bool = False, true: bool = False) -> Pair:
    libraries = ("some 1.0 x86_64",) if lossy else ()
    entry = entry_of(Seen(KEY, expected.size, expected, libraries))
    return Pair(KEY, entry, got, expected if true else None)


def red_box(sheet: np.ndarray) -> tuple[int, int, int, int]:
    rows, columns = np.nonzero((sheet == RED).all(axis=2))
    return int(columns.min()), int(rows.min()), int(columns.max()), int(rows.max())


def written(folder: Path, what: Pair) -> tuple[list[str], np.ndarray]:
    files = write_pictures(folder, Path("a/capture.pcap"), what)
    with Image.open(files[0]) as image:
        sheet = np.asarray(image)
    return [file.name for file in files], sheet


def test_without_a_true_picture_the_blocks_that_differ_are_marked(tmp_path: Path) -> None:
    files, sheet = written(tmp_path, pair(picture(), wrong(picture())))
    stem = "a-capture.pcap-0-display-0-7-image-quic"
    assert files == [f"{stem}.png", f"{stem}.got.png"]
    left, top, right, bottom = red_box(sheet)
    # The third column and second row of blocks of 32, four times as large.
    assert (right - left + 1, bottom - top + 1) == (128, 128)


def test_with_the_true_picture_the_pixel_is_marked(tmp_path: Path) -> None:
    files, sheet = written(tmp_path, pair(picture(), wrong(picture()), true=True))
    assert [name.split(".", 2)[2] for name in files] == ["png", "expected.png", "got.png"]
    assert sheet.shape[1] > 3 * 96 * 4
    with Image.open(tmp_path / files[1]) as expected:
        assert (np.asarray(expected)[..., [2, 1, 0, 3]] == picture().bgra).all()


def test_a_lossy_one_is_shown_roughly(tmp_path: Path) -> None:
    brighter = replace(picture(), bgra=np.minimum(picture().bgra, 205) + np.uint8(50))
    files, sheet = written(tmp_path, pair(picture(), brighter, lossy=True))
    assert len(files) == 2
    assert (sheet == RED).all(axis=2).any()
    _, same = written(tmp_path, pair(picture(), wrong(picture()), lossy=True))
    assert not (same == RED).all(axis=2).any()  # too small for the mean of any block


@pytest.mark.parametrize("size", [(1, 1), (3, 2), (2000, 5), (40, 1800), (33, 33)])
def test_every_size_can_be_drawn(tmp_path: Path, size: tuple[int, int]) -> None:
    good = picture(*size)
    bad = wrong(good, 0, 0)
    for lossy in (False, True):
        for true in (False, True):
            assert written(tmp_path, pair(good, bad, lossy=lossy, true=true))[1].size
    other = picture(size[0] + 1, size[1])
    assert written(tmp_path, pair(good, other))[1].size
    assert written(tmp_path, pair(good, other, true=True))[1].size
    assert written(tmp_path, Pair(KEY, None, bad))[1].size


def test_a_size_that_only_a_manifest_names_costs_no_memory(tmp_path: Path) -> None:
    known = pair(picture(), wrong(picture()), lossy=True)
    assert known.expected is not None
    for size in ((999_999, 999_999), (1, 999_999), (999_999, 1)):
        columns, rows = grid_of(size)
        vast = replace(known.expected, width=size[0], height=size[1], grid=bytes(columns * rows * 3))
        assert max(written(tmp_path, replace(known, expected=vast))[1].shape) < 4000


def test_long_names_are_shortened_and_stay_apart(tmp_path: Path) -> None:
    name = "n" * 240
    known = pair(picture(), wrong(picture()))
    files = [
        write_pictures(tmp_path, tmp_path / f"{name}{ending}", known)[0] for ending in (".pcap", ".pcapng")
    ]
    assert files[0] != files[1]
    assert all(file.exists() for file in files)


def test_nothing_is_written_where_there_is_nothing_to_show(tmp_path: Path) -> None:
    assert write_pictures(tmp_path, Path("x.pcap"), pair(picture(), None)) == ()
    assert list(tmp_path.iterdir()) == []


def test_what_is_transparent_or_unknown_is_a_checkerboard() -> None:
    clear = np.zeros((8, 16, 4), np.uint8)
    clear[0, 0] = (9, 9, 9, 255)
    assert {tuple(p) for p in shown(Pixels(clear, "rgba", True)).reshape(-1, 3)} == {
        (9,) * 3,
        (204,) * 3,
        (153,) * 3,
    }
    unknown = np.zeros((8, 16), np.bool_)
    unknown[:, 8:] = True
    half = shown(Pixels(picture(16, 8).bgra, "rgb32", False, unknown))
    assert (half[:, 8:] == 153).all()
    mask = clear.copy()
    mask[...] = (0, 0, 0, 77)
    assert (shown(Pixels(mask, "a8", True)) == 77).all()


# --- another build ----------------------------------------------------------------------------------------


def test_another_build_gives_the_true_picture(
    fixtures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from spicereplay.display import images

    decode = images.decode_lz4

    def spoiled(*args: object, **named: object) -> object:
        decoded = decode(*args, **named)  # type: ignore[arg-type]
        decoded.pixels[0, 0, 0] ^= 1
        return decoded

    monkeypatch.setattr(images, "decode_lz4", spoiled)
    capture = fixtures / "captures/qemu-boot-lz4/capture.pcap"
    outcome = check(capture, Options(pictures=tmp_path, against=ROOT))
    first = outcome.differences[0]
    assert [file.suffixes[-2] for file in first.pictures[1:]] == [".expected", ".got"]
    with Image.open(first.pictures[1]) as expected, Image.open(first.pictures[2]) as got:
        apart = np.asarray(expected).astype(int) - np.asarray(got)
    assert np.abs(apart).sum() == 1
    assert abs(apart[0, 0, 2]) == 1


def test_pictures_that_the_other_build_has_not_are_left_out(fixtures: Path) -> None:
    capture = fixtures / "hostile/codecs-cut.pcap"
    refused, there = Key(0, "display/0", 3, "image", "lz_rgb"), Key(0, "display/0", 9, "end", "surface/0")
    found = pictures_of(ROOT, capture, [refused, there], every=EVERY)
    assert set(found) <= {there}


def test_what_is_no_build_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="no spicereplay package"):
        run_build(tmp_path, "spicereplay.golden.against", [])
    with pytest.raises(UsageError, match="neither an interpreter nor a directory"):
        run_build(tmp_path / "file", "spicereplay.golden.against", [])
    with pytest.raises(UsageError, match="IndexError"):
        run_build(ROOT, "spicereplay.golden.against", [])
