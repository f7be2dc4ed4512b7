"""QUIC images: the reference's own examples, and what is refused."""

import struct

import pytest

from spicereplay.codecs.base import PixelFormat
from spicereplay.codecs.quic import QuicType, decode_quic, parse_quic_header
from spicereplay.errors import DecodeError

GRAY = bytes.fromhex("515549430000000001000000040000000300000008d294948c512aaa0000003400000000")
RGB16 = bytes.fromhex(
    "515549430000000002000000040000000300000043084fc3844f312e1aff00206c0a000004840821403b1a7b00000000"
)
RGB32 = bytes.fromhex(
    "5155494300000000040000000600000004000000c0808080532e000000d2d3d300400b004a4b4519a4694e454dab6a9a0000"
    "4054d3bca109add63449454dcb35430b0010b45ad324e3352dd70000004d00000000"
)
RGBA = bytes.fromhex(
    "515549430000000005000000080000000400000080e0405f80808080818080803f1c0402ffbf8081e7fffbf7807effe700000000"
)


def header(kind: int, width: int, height: int) -> bytes:
    return struct.pack("<5I", 0x43495551, 0, kind, width, height)


def test_gray() -> None:
    picture = decode_quic(GRAY, size=(4, 3))
    assert picture.pixels[:, :, 1].tolist() == [[10, 20, 30, 30], [10, 20, 30, 31], [9, 20, 30, 30]]
    assert (picture.pixels[:, :, :3] == picture.pixels[:, :, :1]).all()
    assert (picture.format, picture.alpha) == (PixelFormat.GRAY, False)


def test_rgb16_widens_five_bits_to_eight() -> None:
    picture = decode_quic(RGB16)
    wide = [
        [
            (v & 31) << 3 | (v & 31) >> 2,
            (v >> 5 & 31) << 3 | (v >> 5 & 31) >> 2,
            (v >> 10) << 3 | v >> 12,
            255,
        ]
        for v in (0x1234, 0x1234, 0x7C1F, 0x03E0)
    ]
    assert picture.pixels.tolist() == [wide] * 3


def test_rgb32_is_opaque() -> None:
    picture = decode_quic(RGB32)
    wanted = [[[10 * x, 20 * y, 7 * x * y % 256, 255] for x in range(6)] for y in range(4)]
    assert picture.pixels.tolist() == wanted
    assert (picture.backend, picture.alpha) == ("kernel", False)


def test_rgba_has_runs_in_colours_and_alpha() -> None:
    picture = decode_quic(RGBA)
    assert picture.pixels.tolist() == [[[0x30, 0x60, 0x90, 0xFF]] * 8] * 4
    assert picture.alpha


def test_the_header_can_be_read_alone() -> None:
    assert parse_quic_header(RGBA).type == QuicType.RGBA


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "codec_data_short"),
        (RGB32[:19], "codec_data_short"),
        (RGB32[:20], "codec_data_short"),
        (RGB32[:40], "codec_data_short"),
        (b"QUIK" + RGB32[4:], "codec_data"),
        (RGB32[:4] + b"\1" + RGB32[5:], "codec_unsupported"),
        (header(6, 4, 4) + bytes(64), "codec_unsupported"),
        (header(0, 4, 4) + bytes(64), "codec_unsupported"),
        (header(4, 0, 4) + bytes(64), "codec_data"),
        (header(4, 1 << 31, 1 << 31) + bytes(64), "image_over_limit"),
        # a first row of zeros, then a run of more pixels than are left in the second
        (header(1, 8, 2) + b"\xff\xff\xff\x80" + b"\xff" * 60, "codec_data"),
    ],
)
def test_what_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(DecodeError) as caught:
        decode_quic(data)
    assert caught.value.reason == reason


def test_the_descriptor_must_agree() -> None:
    with pytest.raises(DecodeError, match="the image descriptor 6×5"):
        decode_quic(RGB32, size=(6, 5))


def test_bytes_after_the_last_code_are_ignored() -> None:
    assert (decode_quic(RGB32 + b"odd").pixels == decode_quic(RGB32).pixels).all()
