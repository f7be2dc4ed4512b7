"""What the encoders of the tests write is what the decoders read: an account of each format from the other side."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.lz_encoder import encode_glz, encode_lz
from support.pictures import CONTENTS, picture
from support.quic_encoder import encode_quic

from spicereplay.codecs.glz import decode_glz
from spicereplay.codecs.lz import decode_lz
from spicereplay.codecs.quic import decode_quic
from spicereplay.codecs.window import GlzWindow

each_content = pytest.mark.parametrize("content", CONTENTS)


def check(decoded: np.ndarray, pixels: np.ndarray) -> None:
    assert (decoded[:, :, :3] == pixels[:, :, :3]).all()


@each_content
@pytest.mark.parametrize("size", [(1, 1), (2, 3), (64, 17), (211, 40)])
def test_quic(content: str, size: tuple[int, int]) -> None:
    pixels = picture(content, *size)
    check(decode_quic(encode_quic(pixels), size=size).pixels, pixels)


@each_content
def test_lz_and_glz_and_glz_that_copies_from_the_picture_before(content: str) -> None:
    pixels = picture(content, 211, 40)
    check(decode_lz(encode_lz(pixels), size=(211, 40)).pixels, pixels)
    window = GlzWindow()
    check(decode_glz(encode_glz(pixels, 0), window, size=(211, 40)).pixels, pixels)
    moved = np.roll(pixels, 5, axis=0)
    after = encode_glz(moved, 1, pixels, 5 * 211)
    check(decode_glz(after, window, size=(211, 40)).pixels, moved)
    assert len(after) <= len(encode_glz(moved, 0))


@given(st.integers(1, 60), st.integers(1, 20), st.integers(0, 2**32), st.sampled_from((2, 3, 8, 250)))
@settings(max_examples=60, deadline=None)
def test_few_colours_and_many(width: int, height: int, seed: int, colours: int) -> None:
    chance = np.random.default_rng(seed)
    palette = chance.integers(0, 256, (colours, 4), np.uint8)
    pixels = palette[np.sort(chance.integers(0, colours, (height, width)), axis=chance.integers(0, 2))]
    check(decode_quic(encode_quic(pixels)).pixels, pixels)
    check(decode_lz(encode_lz(pixels)).pixels, pixels)
    check(decode_glz(encode_glz(pixels, 0), GlzWindow()).pixels, pixels)
