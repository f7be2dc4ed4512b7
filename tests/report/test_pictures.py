"""Screenshots go into the page small, whole, or not at all, and the caption says which."""

import base64
import struct
import zlib

import numpy as np
import pytest
from support.tables import png

from spicereplay.limits import DEFAULT_LIMITS
from spicereplay.report.pictures import BUDGET_BYTES, PICTURES, pictures


def only(data: bytes):
    (picture,), left_out = pictures([("caption", data, 1, 1)])
    assert left_out == 0
    return picture


def decoded(uri: str) -> bytes:
    return base64.b64decode(uri.removeprefix("data:image/png;base64,"))


def test_a_small_picture_goes_in_byte_for_byte() -> None:
    data = png(64, 48)
    assert decoded(only(data).uri) == data
    assert only(data).note == ""


def test_a_wide_picture_is_scaled_and_says_so() -> None:
    picture = only(png(2600, 40))
    assert struct.unpack(">II", decoded(picture.uri)[16:24]) == (1280, 20)
    assert (picture.width, picture.height) == (2600, 40)
    assert picture.note == "2,600×40 px, scaled to 1,280×20 px for this page"


def test_pictures_that_do_not_compress_stay_within_the_budget() -> None:
    noise = png(900, 700, np.random.default_rng(1))
    shown, _ = pictures([("a", noise, 900, 700)] * 3)
    assert sum(len(decoded(p.uri)) for p in shown) <= BUDGET_BYTES
    assert "reduced to 256 colours" in shown[0].note


def test_more_pictures_than_fit_are_counted() -> None:
    shown, left_out = pictures([("a", png(8, 8), 8, 8)] * (PICTURES + 3))
    assert (len(shown), left_out) == (PICTURES, 3)


def header(width: int, height: int) -> bytes:
    body = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + struct.pack(">I", 13)
        + b"IHDR"
        + body
        + struct.pack(">I", zlib.crc32(b"IHDR" + body))
    )


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "not a PNG"),
        (b"<svg onload=alert(1)>", "not a PNG"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "not a PNG"),
        (header(0, 5), "over the limit"),
        (header(DEFAULT_LIMITS.image_side_px + 1, 1), "over the limit"),
        (header(16_000, 16_000), "over the limit"),
        (header(40, 40), "could not be read"),
        (png(40, 40)[:80], "could not be read"),
        (png(40, 40)[:50] + b"\xff" * 40, "could not be read"),
    ],
)
def test_what_is_not_a_picture_is_named_and_left_out(data: bytes, words: str) -> None:
    picture = only(data)
    assert picture.uri == ""
    assert words in picture.note
