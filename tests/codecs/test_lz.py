"""LZ images: the reference's own examples, every token, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.lz_tokens import literals, lz_header, lz_match

from spicereplay.codecs.base import PixelFormat
from spicereplay.codecs.lz import LzType, decode_lz, decode_lz_alpha, parse_lz_header
from spicereplay.codecs.palette import palette_of
from spicereplay.errors import DecodeError
from spicereplay.limits import DEFAULT_LIMITS

RGB32 = bytes.fromhex(
    "20205a4c00010001000000080000000800000002000000200000000101102030102030c00000010203600003102030102030"
    "102030102030"
)
RGBA = bytes.fromhex(
    "20205a4c00010001000000090000000800000002000000200000000101102030102030c0000001020360000310203010203"
    "01020301020300180ffe0020002ffffff"
)
PLT8 = bytes.fromhex("20205a4c0001000100000005000000100000000200000010000000000300010203e0100302010203")
RGB16 = bytes.fromhex(
    "20205a4c0001000100000006000000080000000200000010000000010112341234a000007fff6000027fff7fff7fff"
)
A, B = [0x10, 0x20, 0x30], [1, 2, 3]


def test_rgb32_is_opaque() -> None:
    picture = decode_lz(RGB32, size=(8, 2))
    assert picture.pixels[0].tolist() == [[*A, 255]] * 8
    assert picture.pixels[1].tolist() == [[*B, 255]] * 4 + [[*A, 255]] * 4
    assert (picture.width, picture.height) == (8, 2)
    assert (picture.alpha, picture.format, picture.backend) == (False, PixelFormat.RGB32, "kernel")
    assert picture.pixels.flags.c_contiguous


def test_rgba_takes_its_alpha_from_a_second_pass() -> None:
    picture = decode_lz(RGBA)
    assert picture.alpha
    assert picture.pixels[:, :, :3].tolist() == decode_lz(RGB32).pixels[:, :, :3].tolist()
    assert picture.pixels[0, 0, 3] == 0x80
    assert set(picture.pixels[:, :, 3].reshape(-1)[1:].tolist()) == {255}


def test_plt8_looks_its_colours_up() -> None:
    picture = decode_lz(PLT8, palette=palette_of([0x0000FF, 0x00FF00, 0xFF0000, 0xFFFFFF]))
    four = [[255, 0, 0, 255], [0, 255, 0, 255], [0, 0, 255, 255], [255, 255, 255, 255]]
    assert picture.pixels.tolist() == [four * 4] * 2
    assert picture.outside_palette == 0


def test_rgb16_widens_five_bits_to_eight() -> None:
    picture = decode_lz(RGB16)
    # 0x1234 is r 4, g 17, b 20
    assert picture.pixels[0].tolist() == [[20 << 3 | 20 >> 2, 17 << 3 | 17 >> 2, 4 << 3 | 4 >> 2, 255]] * 8
    assert picture.pixels[1].tolist() == [[255] * 4] * 8


@pytest.mark.parametrize("kind", [LzType.RGB24, LzType.RGB32])
def test_a_bottom_up_image_is_turned_round(kind: LzType) -> None:
    data = lz_header(kind, 1, 2, top_down=False) + literals(b"\1\2\3", b"\4\5\6")
    assert decode_lz(data).pixels.tolist() == [[[4, 5, 6, 255]], [[1, 2, 3, 255]]]


def test_an_alpha_image_has_no_colours() -> None:
    for kind in (LzType.A8, LzType.XXXA):
        data = lz_header(kind, 4, 1) + literals(b"\7") + lz_match(3, 1, 3)
        picture = decode_lz(data)
        assert picture.pixels.tolist() == [[[0, 0, 0, 7]] * 4]
        assert (picture.alpha, picture.format) == (True, PixelFormat.A8)


@pytest.mark.parametrize(
    ("kind", "row", "wanted"),
    [
        (LzType.PLT1_BE, b"\xc1\x80", [1, 1, 0, 0, 0, 0, 0, 1, 1]),
        (LzType.PLT1_LE, b"\xc1\x01", [1, 0, 0, 0, 0, 0, 1, 1, 1]),
        (LzType.PLT4_BE, b"\x12\x34", [1, 2, 3]),
        (LzType.PLT4_LE, b"\x12\x34", [2, 1, 4]),
    ],
)
def test_indices_of_less_than_a_byte(kind: LzType, row: bytes, wanted: list[int]) -> None:
    data = lz_header(kind, len(wanted), 1, stride=2) + literals(*(bytes((b,)) for b in row))
    assert decode_lz(data, palette=palette_of(range(16))).pixels[0, :, 0].tolist() == wanted


def test_four_bit_indices_wrap_around_a_short_palette() -> None:
    data = lz_header(LzType.PLT4_BE, 4, 1, stride=2) + literals(b"\x01", b"\x23")
    picture = decode_lz(data, palette=palette_of([10, 20, 30]))
    assert picture.pixels[0, :, 0].tolist() == [10, 20, 30, 10]
    assert picture.outside_palette == 0


def test_eight_bit_indices_outside_the_palette_are_black_and_counted() -> None:
    picture = decode_lz(PLT8, palette=palette_of([0x101010, 0x202020]))
    assert picture.pixels[0, :4, 0].tolist() == [0x10, 0x20, 0, 0]
    assert picture.outside_palette == 16


def test_surplus_bytes_of_a_palette_row_are_not_shown() -> None:
    data = lz_header(LzType.PLT8, 2, 2, stride=4) + literals(*(bytes((b,)) for b in range(8)))
    assert decode_lz(data, palette=palette_of(range(8))).pixels[:, :, 0].tolist() == [[0, 1], [4, 5]]


units = st.binary(min_size=3, max_size=3)
tokens = st.lists(
    st.one_of(
        st.tuples(st.just("literal"), st.lists(units, min_size=1, max_size=32)),
        st.tuples(st.just("match"), st.integers(1, 700), st.integers(1, 9000)),
    ),
    max_size=40,
)


@given(tokens)
@settings(max_examples=60, deadline=None)
def test_any_tokens_give_what_a_plain_list_gives(wanted: list[tuple]) -> None:
    pixels: list[bytes] = [b"abc"]
    stream = literals(b"abc")
    for token in wanted:
        if token[0] == "literal":
            pixels += token[1]
            stream += literals(*token[1])
        else:
            _, length, distance = token
            distance = min(distance, len(pixels))
            stream += lz_match(length, distance, 1)
            for _ in range(length):
                pixels.append(pixels[-distance])
    picture = decode_lz(lz_header(LzType.RGB32, len(pixels), 1) + stream)
    assert picture.pixels[0, :, :3].tobytes() == b"".join(pixels)


def test_a_distance_over_8191_takes_two_more_bytes() -> None:
    width = 9000
    body = literals(b"\1\1\1") + lz_match(8999 - 32, 1, 1)
    body += literals(*(bytes((i, i, i)) for i in range(31))) + lz_match(1, 8998, 1)
    picture = decode_lz(lz_header(LzType.RGB32, width, 1) + body)
    assert picture.pixels[0, -1].tolist() == [1, 1, 1, 255]


def test_the_alpha_plane_of_a_jpeg_goes_into_its_pixels() -> None:
    pixels = np.full((2, 1, 4), 9, np.uint8)
    plane = lz_header(LzType.XXXA, 1, 2) + literals(b"\1", b"\2")
    decode_lz_alpha(plane, pixels, top_down=True)
    assert pixels.tolist() == [[[9, 9, 9, 1]], [[9, 9, 9, 2]]]
    decode_lz_alpha(plane, pixels, top_down=False)
    assert pixels[:, 0, 3].tolist() == [2, 1]


@pytest.mark.parametrize("plane", [RGB32, lz_header(LzType.XXXA, 3, 3) + literals(*[b"\0"] * 9)])
def test_an_alpha_plane_of_another_type_or_size_is_refused(plane: bytes) -> None:
    with pytest.raises(DecodeError):
        decode_lz_alpha(plane, np.zeros((2, 8, 4), np.uint8), top_down=True)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "codec_data_short"),
        (RGB32[:27], "codec_data_short"),
        (RGB32[:-1], "codec_data_short"),
        (b"JPEG" + RGB32[4:], "codec_data"),
        (RGB32[:7] + b"\2" + RGB32[8:], "codec_unsupported"),
        (lz_header(LzType.A8, 1, 1)[:11] + b"\x0c" + bytes(20), "codec_unsupported"),
        (lz_header(LzType.RGB32, 0, 5), "codec_data"),
        (lz_header(LzType.RGB32, 70_000, 1), "image_over_limit"),
        (lz_header(LzType.RGB32, 16_000, 16_000), "image_over_limit"),
        (lz_header(LzType.RGB32, 1, 1) + literals(b"abc", b"def"), "codec_data"),
        (lz_header(LzType.RGB32, 4, 1) + literals(b"abc") + lz_match(9, 1, 1), "codec_data"),
        (lz_header(LzType.RGB32, 4, 1) + literals(b"abc") + lz_match(3, 2, 1), "codec_data"),
        (lz_header(LzType.RGB32, 4, 1) + lz_match(4, 1, 1), "codec_data"),
        (PLT8, "palette_missing"),
    ],
)
def test_what_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(DecodeError) as caught:
        decode_lz(data)
    assert caught.value.reason == reason


def test_a_stride_too_small_or_too_large_is_refused() -> None:
    for stride, reason in ((1, "codec_data"), (1 << 31, "image_over_limit")):
        with pytest.raises(DecodeError) as caught:
            decode_lz(lz_header(LzType.PLT8, 2, 1, stride) + literals(b"\0"), palette=palette_of([0]))
        assert caught.value.reason == reason


def test_the_descriptor_must_agree() -> None:
    with pytest.raises(DecodeError, match=r"the data says 8×2 pixels, the image descriptor 8×3"):
        decode_lz(RGB32, size=(8, 3))


def test_limits_are_inclusive() -> None:
    decode_lz(RGB32, limits=replace(DEFAULT_LIMITS, image_side_px=8, image_pixels=16))
    for limits in (replace(DEFAULT_LIMITS, image_side_px=7), replace(DEFAULT_LIMITS, image_pixels=15)):
        with pytest.raises(DecodeError) as caught:
            decode_lz(RGB32, limits=limits)
        assert caught.value.reason == "image_over_limit"


def test_the_offset_says_where_it_stopped() -> None:
    with pytest.raises(DecodeError) as caught:
        decode_lz(RGB32[:-1])
    assert caught.value.offset == 28 + 7 + 2 + 4 + 2


def test_the_header_can_be_read_alone() -> None:
    header = parse_lz_header(PLT8)
    assert (header.type, header.width, header.height, header.stride, header.top_down) == (
        LzType.PLT8,
        16,
        2,
        16,
        False,
    )
