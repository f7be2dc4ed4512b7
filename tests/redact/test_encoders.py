"""The small encoders: what they make decodes to black, and is as long as it has to be."""

import struct

import lz4.block
import numpy as np
import pytest
import simplejpeg
from hypothesis import given, settings
from hypothesis import strategies as st

from spicereplay.codecs._kernels import lz as kernel
from spicereplay.codecs.glz import decode_glz
from spicereplay.codecs.jpeg import decode_jpeg
from spicereplay.codecs.lz import INDEX_BITS, LzType, decode_lz
from spicereplay.codecs.quic import QuicType, decode_quic
from spicereplay.codecs.window import GlzWindow
from spicereplay.limits import DEFAULT_LIMITS
from spicereplay.redact import encode_jpeg, encode_lz, encode_lz4, encode_quic
from spicereplay.redact.pictures import blank_lz
from spicereplay.redact.stretch_lz import exactly, few

SIDES = st.integers(1, 70)


@given(SIDES, SIDES, st.integers(0, 9), st.sampled_from([LzType.RGB32, LzType.RGB16, LzType.A8]))
@settings(max_examples=60)
def test_lz_of_any_size_is_black(width: int, height: int, padding: int, kind: LzType) -> None:
    unit, bias = {LzType.RGB32: (3, 1), LzType.RGB16: (2, 2), LzType.A8: (1, 3)}[kind]
    head = struct.pack(">7I", 0x20205A4C, 0x10001, kind, width, height, 4 * width, 1)
    data = head + encode_lz.lz_tokens(width * height, bytes(unit), bias) + bytes(padding)
    assert not decode_lz(data, size=(width, height)).pixels[..., :3].any()


@given(st.integers(2, 5000), st.sampled_from([(3, 1), (2, 2), (1, 3)]), st.integers(2, 3000))
@settings(max_examples=80)
def test_lz_is_stretched_to_any_size_but_one_byte_more(count: int, kind: tuple[int, int], more: int) -> None:
    size, bias = kind
    least = encode_lz.lz_tokens(count, bytes(size), bias)
    room = min(len(least) + more, count * size + -(-count // 32))
    made = exactly(least, lambda _: bytes(size), bias, room) or few(count, bytes(size), bias, room)
    if made is None:
        assert count < 60 or room <= len(least) + 1
        return
    assert len(made) == room
    if size == 1:
        plane = np.ones(count, np.uint8)
        assert kernel.lz_bytes(made, 0, plane, 1) == (0, room)
        assert not plane.any()
    else:
        pixels = np.zeros(count, np.uint32)
        assert kernel.lz_pixels(made, 0, pixels, size == 2) == (0, room)
        assert not (pixels & 0xFFFFFF).any()


@given(
    st.integers(1, 60), st.lists(st.integers(0, 255), min_size=1, max_size=60), st.sampled_from(list(LzType))
)
@settings(max_examples=150)
def test_every_lz_picture_has_a_black_twin_of_its_size(width: int, texture: list[int], kind: LzType) -> None:
    """Pictures of a reference encoder's kind: the first units as literals, then copies where there are any."""
    bits = INDEX_BITS.get(kind)
    stride = 4 * width if bits is None else -(-width * bits // 8)
    count = width if bits is None else stride
    head = struct.pack(">7I", 0x20205A4C, 0x10001, kind, width, 1, stride, 1)
    plane = kind in (LzType.XXXA, LzType.A8) or bits is not None
    size, bias = (1, 3) if plane else (2, 2) if kind is LzType.RGB16 else (3, 1)
    data = head + greedy(texture, count, size, bias)
    if kind is LzType.RGBA:
        data += greedy(texture[::-1], count, 1, 3)
    black = blank_lz(data, DEFAULT_LIMITS)
    assert len(black) == len(data)
    tokens = black[28:]
    if not plane:
        colours = np.ones(count, np.uint32)
        status, at = kernel.lz_pixels(tokens, 0, colours, kind is LzType.RGB16)
        assert status == 0
        assert not (colours & 0xFFFFFF).any()
        tokens = tokens[at:]
    if plane or kind is LzType.RGBA:
        alpha = np.ones(count, np.uint8)
        assert kernel.lz_bytes(tokens, 0, alpha, 1) == (0, len(tokens))
        assert not alpha.any()
    else:
        assert not tokens, "spice-gtk's decoder takes a byte behind the last token for an error"


def greedy(texture: list[int], count: int, size: int, bias: int) -> bytes:
    """Return LZ tokens of `count` units: a texture's units as literals, equal neighbours as copies."""
    units = [bytes([texture[n % len(texture)] // 40]) * size for n in range(count)]
    out, at = b"", 0
    while at < count:
        run = at
        while at and run < count and units[run] == units[at - 1]:
            run += 1
        if run - at > bias:
            out += encode_lz.lz_back(run - at, 1, bias)
            at = run
        else:
            out += b"\0" + units[at]
            at += 1
    return out


def glz(width: int, height: int, number: int, codes: bytes, kind: LzType = LzType.RGB32) -> bytes:
    return (
        struct.pack(">2IB3IQI", 0x20205A4C, 0x10001, kind | 16, width, height, 4 * width, number, number)
        + codes
    )


@given(SIDES, SIDES, st.sampled_from([(LzType.RGB32, 3, 0), (LzType.RGB16, 2, 1)]))
@settings(max_examples=60)
def test_glz_of_any_size_is_black(width: int, height: int, kind: tuple[LzType, int, int]) -> None:
    codes = encode_lz.glz_tokens(width * height, bytes(kind[1]), kind[2])
    decoded = decode_glz(glz(width, height, 3, codes, kind[0]), GlzWindow(), size=(width, height))
    assert not decoded.pixels[..., :3].any()


@given(st.integers(1, 6), st.integers(1, 1 << 20), st.integers(0, 1 << 22))
def test_a_copy_out_of_another_image_is_read_as_it_was_written(count: int, images: int, offset: int) -> None:
    token = encode_lz.glz_copy(count, images, offset, 0)
    assert encode_lz.references(token) == {images}
    assert encode_lz.copies_only(token)


def test_a_glz_image_with_a_copy_from_a_missing_one_lacks_just_that_pixel() -> None:
    codes = encode_lz.glz_tokens(63, bytes(3), 0) + encode_lz.glz_copy(1, 5, 0, 0)
    decoded = decode_glz(glz(8, 8, 9, codes), GlzWindow(), size=(8, 8), partial=True)
    assert decoded.unknown is not None
    assert decoded.unknown.sum() == 1


@pytest.mark.parametrize("kind", list(QuicType))
@pytest.mark.parametrize("size", [(1, 1), (2, 3), (3, 5), (40, 40), (2500, 3), (640, 90)])
def test_quic_is_black_and_what_follows_is_not_looked_at(kind: QuicType, size: tuple[int, int]) -> None:
    width, height = size
    codes = encode_quic.black(width, height, kind, 100_000)
    assert codes is not None
    for padding in (0, 1, 50):
        data = struct.pack("<5I", 0x43495551, 0, kind, width, height) + codes + bytes(padding)
        pixels = decode_quic(data, size=size).pixels
        assert not pixels[..., :3].any()


@given(st.integers(1, 3000), st.data())
@settings(max_examples=100)
def test_lz4_blocks_of_zeros_come_in_every_size_there_is(count: int, data: st.DataObject) -> None:
    least = len(lz4.block.compress(bytes(count), store_size=False))
    most = count + 1 + (0 if count < 15 else 1 + (count - 15) // 255)
    size = data.draw(st.integers(least, most))
    block = encode_lz4.zeros(count, size)
    if block is None:
        assert count < 32, "so short that there is one way, or two, to say it"
        return
    assert len(block) == size
    assert lz4.block.decompress(block, uncompressed_size=count) == bytes(count)


def test_an_lz4_block_can_copy_what_the_block_before_left() -> None:
    block = encode_lz4.zeros(400, 11, continued=True)
    assert block is not None
    assert encode_lz4.zeros(400, 11) is None
    assert lz4.block.decompress(block, uncompressed_size=400, dict=bytes(9)) == bytes(400)


@pytest.mark.parametrize("size", [5, 400])
def test_no_lz4_block_of_an_impossible_size(size: int) -> None:
    assert encode_lz4.zeros(100, size) is None


@given(
    st.lists(st.tuples(st.integers(0, 255), st.integers(1, 60)), min_size=1, max_size=20), st.integers(0, 60)
)
@settings(max_examples=60)
def test_lz4_of_data_with_runs_decodes_into_them(runs: list[tuple[int, int]], longer: int) -> None:
    plain = b"".join(bytes([value]) * count for value, count in runs)
    size = len(lz4.block.compress(plain, store_size=False)) + longer
    block = encode_lz4.exactly(plain, size)
    if block is not None:
        assert len(block) == size
        assert lz4.block.decompress(block, uncompressed_size=len(plain)) == plain


@pytest.mark.parametrize("sampling", ["444", "422", "420", "Gray"])
@pytest.mark.parametrize("size", [(1, 1), (17, 9), (64, 48)])
def test_jpeg_is_black_and_exactly_as_long(sampling: str, size: tuple[int, int]) -> None:
    width, height = size
    channels = 1 if sampling == "Gray" else 3
    noise = np.random.default_rng(1).integers(0, 255, (height, width, channels), np.uint8)
    space = "GRAY" if channels == 1 else "RGB"
    given_ = simplejpeg.encode_jpeg(noise, quality=50, colorspace=space, colorsubsampling=sampling)
    frame = encode_jpeg.frame_header(given_)
    assert frame is not None
    made = encode_jpeg.black(frame, len(given_))
    assert made is not None
    assert len(made) == len(given_)
    assert decode_jpeg(made, size=size).pixels[..., :3].max() <= 1


def test_a_jpeg_too_small_for_anything_is_refused() -> None:
    frame = bytes([8, 0, 48, 0, 64, 3, 1, 0x22, 0, 2, 0x11, 1, 3, 0x11, 1])
    assert encode_jpeg.black(frame, 100) is None
    assert encode_jpeg.frame_header(b"\xff\xd8\xff\xda\0\2") is None
