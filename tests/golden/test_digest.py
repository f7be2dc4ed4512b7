"""What of a picture counts for its hash, and what the coarse grid can tell."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spicereplay.codecs.base import Decoded, PixelFormat
from spicereplay.display.cursor import CursorShape
from spicereplay.display.region import Box
from spicereplay.display.surfaces import WordFormat, new_surface
from spicereplay.golden.digest import (
    TOLERANCE_LEVELS,
    Pixels,
    block_box,
    block_digests,
    block_means,
    differing_blocks,
    digest,
    grid_of,
    likeness,
    mask_digest,
    pixels_of,
    psnr,
    shape_pixels,
    surface_pixels,
)


def noise(height: int, width: int, seed: int = 1) -> np.ndarray:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 4), np.uint8)
    pixels[..., 3] = 255
    return pixels


def decoded(bgra: np.ndarray, *, alpha: bool = False, unknown: np.ndarray | None = None) -> Decoded:
    return Decoded(bgra, "kernel", PixelFormat.RGBA if alpha else PixelFormat.RGB32, alpha, unknown)


def test_one_bit_is_another_picture() -> None:
    bgra = noise(30, 40)
    other = bgra.copy()
    other[29, 39, 2] ^= 1
    assert digest(pixels_of(decoded(bgra))) != digest(pixels_of(decoded(other)))


def test_size_and_format_count() -> None:
    flat = np.full((6, 4, 4), 255, np.uint8)
    hashes = {
        digest(pixels_of(decoded(flat))),
        digest(pixels_of(decoded(flat.reshape(4, 6, 4)))),
        digest(pixels_of(decoded(flat, alpha=True))),
    }
    assert len(hashes) == 3


def test_the_fourth_byte_counts_only_where_it_means_something() -> None:
    bgra = noise(5, 5)
    other = bgra.copy()
    other[2, 2, 3] = 7
    assert digest(pixels_of(decoded(bgra))) == digest(pixels_of(decoded(other)))
    assert digest(pixels_of(decoded(bgra, alpha=True))) != digest(pixels_of(decoded(other, alpha=True)))
    assert other[2, 2, 3] == 7  # what was handed in is as it was


def test_unknown_pixels_do_not_count_but_which_they_are_does() -> None:
    bgra = noise(9, 9)
    other = bgra.copy()
    unknown = np.zeros((9, 9), np.bool_)
    unknown[3, 4] = True
    other[3, 4] = 0
    assert digest(pixels_of(decoded(bgra, unknown=unknown))) == digest(
        pixels_of(decoded(other, unknown=unknown))
    )
    assert digest(pixels_of(decoded(bgra, unknown=unknown))) != digest(pixels_of(decoded(other)))
    assert mask_digest(pixels_of(decoded(bgra, unknown=unknown)))
    nothing = np.zeros((9, 9), np.bool_)
    assert digest(pixels_of(decoded(bgra, unknown=nothing))) == digest(pixels_of(decoded(bgra)))
    assert mask_digest(pixels_of(decoded(bgra, unknown=nothing))) == ""


@pytest.mark.parametrize("format", list(WordFormat), ids=lambda format: format.name)
def test_surfaces_of_every_format_have_a_hash_and_pad_bits_are_not_in_it(format: WordFormat) -> None:
    surface = new_surface(0, 8, 6, format, primary=True)
    before = digest(surface_pixels(surface))
    surface.words[2, 3] = 1 if format is WordFormat.A1 else 1 << 4
    after = digest(surface_pixels(surface))
    assert before != after
    if format is WordFormat.X888:
        surface.words[2, 3] |= np.uint32(0xAB000000)
    if format is WordFormat.X555:
        surface.words[2, 3] |= np.uint16(0x8000)
    assert digest(surface_pixels(surface)) == after
    assert surface_pixels(surface, Box(2, 1, 5, 99)).size == (3, 5)
    assert surface_pixels(surface, Box(20, 20, 30, 30)).size == (0, 0)


def test_a_cursor_that_inverts_is_another_than_one_that_is_transparent() -> None:
    clear = np.zeros((4, 4, 4), np.uint8)
    inverts = np.ones((4, 4), np.bool_)
    shape = CursorShape(1, 1, 0, 0, clear)
    assert digest(shape_pixels(shape)) != digest(shape_pixels(CursorShape(1, 1, 0, 0, clear, inverts)))


# --- the grid ---------------------------------------------------------------------------------------------

sides = st.integers(1, 700)


@given(sides, sides)
def test_blocks_cover_a_picture_without_overlap(width: int, height: int) -> None:
    covered = np.zeros((height, width), np.int64)
    columns, rows = grid_of((width, height))
    assert 1 <= columns <= 8
    assert 1 <= rows <= 8
    for row in range(rows):
        for column in range(columns):
            box = block_box((width, height), column, row)
            assert not box.empty
            covered[box.slices] += 1
    assert (covered == 1).all()


@settings(max_examples=40)
@given(st.integers(33, 200), st.integers(1, 200), st.data())
def test_the_block_of_a_wrong_pixel_is_found(width: int, height: int, data: st.DataObject) -> None:
    bgra = noise(height, width)
    x, y = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    other = bgra.copy()
    other[y, x, 0] ^= 0x80
    one, two = (block_digests(Pixels(each, "rgb32", False)) for each in (bgra, other))
    (box,) = differing_blocks((width, height), one, two)
    assert box.left <= x < box.right
    assert box.top <= y < box.bottom


def test_a_picture_of_one_block_needs_no_digests() -> None:
    assert block_digests(Pixels(noise(32, 32), "rgb32", False)) == b""


@settings(max_examples=40)
@given(st.integers(1, 90), st.integers(1, 90), st.booleans())
def test_means_are_means(width: int, height: int, alpha: bool) -> None:
    pixels = Pixels(noise(height, width), "yuv", alpha)
    means = np.frombuffer(block_means(pixels), np.uint8)
    columns, rows = grid_of((width, height))
    means = means.reshape(rows, columns, 4 if alpha else 3)
    for row in range(rows):
        for column in range(columns):
            block = pixels.bgra[block_box((width, height), column, row).slices]
            apart = block.reshape(-1, 4).mean(axis=0)[: means.shape[2]] - means[row, column]
            assert np.abs(apart).max() <= 0.5


def test_likeness_has_a_limit_in_level_and_in_noise() -> None:
    grey = bytes([100] * 192)
    assert likeness(grey, grey).psnr_db == math.inf
    assert str(likeness(grey, grey)) == "the same block means"
    assert likeness(grey, bytes([102] * 192)).within_tolerance
    assert not likeness(grey, bytes([110] * 192)).within_tolerance  # 28 dB
    one_off = bytes([100 + TOLERANCE_LEVELS + 1, *[100] * 191])
    assert not likeness(grey, one_off).within_tolerance
    assert not likeness(grey, grey[:-3]).within_tolerance
    assert not likeness(b"", b"").within_tolerance


def test_psnr_of_whole_pictures() -> None:
    one, two = Pixels(noise(8, 8), "yuv", False), Pixels(noise(8, 8), "yuv", False)
    assert psnr(one, two) == math.inf
    other = two.bgra.copy()
    other[..., :3] = 255 - other[..., :3]
    assert psnr(one, Pixels(other, "yuv", False)) < 10
    assert psnr(one, Pixels(noise(8, 9), "yuv", False)) == 0
