"""LZ4 images: blocks that continue each other."""

import random

import lz4.block
import pytest

from spicereplay.codecs.lz4 import decode_lz4
from spicereplay.errors import DecodeError


def blocks(raw: bytes, step: int) -> bytes:
    """Compress `raw` in pieces of `step` bytes, each with what went before as its dictionary."""
    out = b""
    for at in range(0, len(raw), step):
        before = raw[max(0, at - 65_536) : at]
        block = lz4.block.compress(raw[at : at + step], store_size=False, dict=before)
        out += len(block).to_bytes(4) + block
    return out


def picture_bytes(width: int, height: int, size: int) -> bytes:
    row = random.Random(1).randbytes(width * size)
    return row * height


@pytest.mark.parametrize("step", [1, 7, 1000, 10_000, 1 << 20])
def test_matches_reach_into_earlier_blocks(step: int) -> None:
    raw = picture_bytes(40, 30, 4)
    picture = decode_lz4(b"\1\x09" + blocks(raw, step), size=(40, 30))
    assert picture.pixels.tobytes() == raw
    assert picture.alpha
    assert picture.backend.startswith("lz4 ")


def test_matches_reach_back_64_kib() -> None:
    far = random.Random(2).randbytes(65_000)
    raw = (far + far)[: 4 * 32_000]
    data = blocks(raw, 65_000)
    assert len(data) < 66_000
    assert decode_lz4(b"\1\x09" + data, size=(320, 100)).pixels.tobytes() == raw


@pytest.mark.parametrize(
    ("format", "pixel", "wanted"),
    [
        (6, b"\xff\x7f", [255, 255, 255, 255]),
        (7, b"\1\2\3", [1, 2, 3, 255]),
        (8, b"\1\2\3\0", [1, 2, 3, 255]),
        (9, b"\1\2\3\4", [1, 2, 3, 4]),
        (10, b"\7", [0, 0, 0, 7]),
    ],
)
def test_each_format(format: int, pixel: bytes, wanted: list[int]) -> None:
    picture = decode_lz4(bytes((1, format)) + blocks(pixel * 6, 5), size=(3, 2))
    assert picture.pixels.tolist() == [[wanted] * 3] * 2


def test_a_bottom_up_image_is_turned_round() -> None:
    picture = decode_lz4(b"\0\x09" + blocks(b"aaaabbbb", 8), size=(1, 2))
    assert picture.pixels.tobytes() == b"bbbbaaaa"


RAW = picture_bytes(8, 8, 4)
GOOD = b"\1\x08" + blocks(RAW, 64)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\1", "codec_data_short"),
        (GOOD[:4], "codec_data_short"),
        (GOOD[:-1], "codec_data_short"),
        (GOOD[:2], "codec_data_short"),
        (b"\1\x05" + GOOD[2:], "codec_unsupported"),
        (b"\1\x63" + GOOD[2:], "codec_unsupported"),
        (b"\1\x08\xff\xff\xff\xff" + GOOD[6:], "codec_data_short"),
        (b"\1\x08\0\0\0\0" + GOOD[2:], "codec_data"),
        (b"\1\x08" + blocks(RAW * 2, 512), "codec_data"),
    ],
)
def test_what_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(DecodeError) as caught:
        decode_lz4(data, size=(8, 8))
    assert caught.value.reason == reason


def test_a_size_over_the_limit_is_refused_before_anything_is_inflated() -> None:
    with pytest.raises(DecodeError) as caught:
        decode_lz4(GOOD, size=(1 << 20, 1))
    assert caught.value.reason == "image_over_limit"
