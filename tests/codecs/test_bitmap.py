"""Raw bitmaps in every format, and palettes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spicereplay.codecs.base import PixelFormat
from spicereplay.codecs.bitmap import BitmapFormat, bitmap_mask, decode_bitmap
from spicereplay.codecs.palette import expand_rgb16, palette_of
from spicereplay.errors import DecodeError

GREYS = palette_of(v * 0x010101 for v in range(256))


def pixels_of(data: bytes, format: int, width: int, height: int = 1, **options: object) -> list:
    stride = options.pop("stride", len(data) // height)
    picture = decode_bitmap(
        data, format=format, width=width, height=height, stride=stride, top_down=True, **options
    )
    assert picture.pixels.flags.c_contiguous
    assert picture.backend == "raw"
    return picture.pixels.tolist()


def greys(*values: int) -> list:
    return [[[v, v, v, 255] for v in values]]


@pytest.mark.parametrize(
    ("format", "data", "width", "wanted"),
    [
        (BitmapFormat.BIT1_LE, b"\x05", 4, greys(1, 0, 1, 0)),
        (BitmapFormat.BIT1_BE, b"\xa0", 4, greys(1, 0, 1, 0)),
        (BitmapFormat.BIT4_LE, b"\x21\x03", 3, greys(1, 2, 3)),
        (BitmapFormat.BIT4_BE, b"\x12\x30", 3, greys(1, 2, 3)),
        (BitmapFormat.BIT8, b"\x00\x7f\xff", 3, greys(0, 0x7F, 0xFF)),
        (BitmapFormat.RGB16, b"\xff\xff\x1f\x00", 2, [[[255] * 4, [255, 0, 0, 255]]]),
        (BitmapFormat.RGB24, b"\1\2\3\4\5\6", 2, [[[1, 2, 3, 255], [4, 5, 6, 255]]]),
        (BitmapFormat.RGB32, b"\1\2\3\0\4\5\6\7", 2, [[[1, 2, 3, 255], [4, 5, 6, 255]]]),
        (BitmapFormat.RGBA, b"\1\2\3\0\4\5\6\7", 2, [[[1, 2, 3, 0], [4, 5, 6, 7]]]),
        (BitmapFormat.A8, b"\1\2", 2, [[[0, 0, 0, 1], [0, 0, 0, 2]]]),
    ],
)
def test_each_format(format: int, data: bytes, width: int, wanted: list) -> None:
    assert pixels_of(data, format, width, palette=GREYS) == wanted


@pytest.mark.parametrize("format", list(BitmapFormat))
def test_only_rgba_and_a8_have_alpha(format: BitmapFormat) -> None:
    picture = decode_bitmap(
        bytes(8), format=format, width=1, height=2, stride=4, top_down=True, palette=GREYS
    )
    assert picture.alpha == (format in (BitmapFormat.RGBA, BitmapFormat.A8))
    assert (picture.pixels[:, :, 3] == (0 if picture.alpha else 255)).all()


@pytest.mark.parametrize("format", [BitmapFormat.RGB16, BitmapFormat.RGB24, BitmapFormat.RGB32])
def test_padding_is_cut_off_and_a_bottom_up_bitmap_turned_round(format: BitmapFormat) -> None:
    rows = bytes(5) + b"\xff" * 5
    picture = decode_bitmap(rows, format=format, width=1, height=2, stride=5, top_down=False)
    assert picture.pixels.tolist() == [[[255] * 4], [[0, 0, 0, 255]]]
    assert picture.format == PixelFormat(format.name.lower())


def test_the_input_is_copied() -> None:
    data = bytearray(8)
    picture = decode_bitmap(data, format=9, width=2, height=1, stride=8, top_down=True)
    data[0] = 9
    assert picture.pixels[0, 0, 0] == 0
    picture.pixels[0, 0, 1] = 1
    assert data[1] == 0


def test_a_mask_is_bits() -> None:
    mask = bitmap_mask(b"\x80\x40", format=2, width=2, height=2, stride=1, top_down=False)
    assert mask.tolist() == [[False, True], [True, False]]
    with pytest.raises(DecodeError, match="RGB32"):
        bitmap_mask(bytes(4), format=8, width=1, height=1, stride=4, top_down=True)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"format": 0}, "codec_unsupported"),
        ({"format": 11}, "codec_unsupported"),
        ({"width": 0}, "codec_data"),
        ({"height": 100_000}, "image_over_limit"),
        ({"stride": 7}, "codec_data"),
        ({"stride": 9}, "codec_data_short"),
        ({"stride": 1 << 32}, "codec_data_short"),
        ({"format": 5}, "palette_missing"),
    ],
)
def test_what_is_refused(options: dict[str, int], reason: str) -> None:
    facts = {"format": 8, "width": 2, "height": 2, "stride": 8} | options
    with pytest.raises(DecodeError) as caught:
        decode_bitmap(bytes(16), top_down=True, **facts)
    assert caught.value.reason == reason


def test_the_palette_of_a_16_bit_surface_holds_16_bit_colours() -> None:
    assert palette_of([0x7FFF, 0x001F, 0x7C00], rgb16=True).tolist() == [0xFFFFFF, 0x0000FF, 0xFF0000]


@given(st.integers(0, 0xFFFF))
def test_five_bits_become_eight(value: int) -> None:
    red, green, blue = ((value >> shift & 31) for shift in (10, 5, 0))
    wide = [v << 3 | v >> 2 for v in (red, green, blue)]
    assert expand_rgb16(palette_of([value])).tolist() == [wide[0] << 16 | wide[1] << 8 | wide[2]]
