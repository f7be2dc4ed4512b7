"""JPEG through every backend there is, MJPEG without Huffman tables, JPEG with an alpha plane."""

import contextlib
from dataclasses import replace

import numpy as np
import pytest
import simplejpeg
from support.lz_tokens import literals, lz_header, lz_match

from spicereplay.codecs import jpeg_backends
from spicereplay.codecs.base import PixelFormat
from spicereplay.codecs.jpeg import (
    JpegBackend,
    MjpegStream,
    available,
    decode_jpeg,
    jpeg_quality,
    missing,
    parse_jpeg,
    select,
)
from spicereplay.codecs.jpeg_alpha import decode_jpeg_alpha
from spicereplay.codecs.jpeg_markers import SPICE_QUALITIES, STANDARD_HUFFMAN
from spicereplay.codecs.lz import LzType
from spicereplay.errors import DecodeError, UsageError
from spicereplay.limits import DEFAULT_LIMITS

Y, X = np.mgrid[0:48, 0:64]
SCENE = np.stack([X * 3, Y * 4, (X + Y) * 2], axis=-1).astype(np.uint8)


def encoded(quality: int = 80, scene: np.ndarray = SCENE, **options: object) -> bytes:
    return simplejpeg.encode_jpeg(scene, quality=quality, colorspace="BGR", colorsubsampling="420", **options)


JPEG = encoded()
BARE = JPEG.replace(STANDARD_HUFFMAN, b"")


@pytest.fixture(params=[info.name for info in available()])
def backend(request: pytest.FixtureRequest) -> JpegBackend:
    return select(request.param)


def test_each_backend_gives_the_scene(backend: JpegBackend) -> None:
    picture = decode_jpeg(JPEG, backend=backend, size=(64, 48))
    assert picture.pixels.shape == (48, 64, 4)
    assert picture.pixels.flags.c_contiguous
    assert picture.pixels.flags.writeable
    assert np.abs(picture.pixels[:, :, :3].astype(int) - SCENE).mean() < 3
    assert (picture.pixels[:, :, 3] == 255).all()
    assert (picture.alpha, picture.format, picture.backend) == (False, PixelFormat.YUV, backend.label)


def test_each_backend_decodes_a_frame_without_huffman_tables_as_with_them(backend: JpegBackend) -> None:
    assert len(BARE) == len(JPEG) - len(STANDARD_HUFFMAN)
    whole = decode_jpeg(JPEG, backend=backend).pixels
    assert (decode_jpeg(BARE, backend=backend).pixels == whole).all()
    assert (MjpegStream(backend).decode(BARE).pixels == whole).all()


def test_each_backend_decodes_grey(backend: JpegBackend) -> None:
    grey = simplejpeg.encode_jpeg(np.full((8, 8, 1), 77, np.uint8), colorspace="GRAY", quality=90)
    picture = decode_jpeg(grey, backend=backend)
    assert picture.format == PixelFormat.GRAY
    assert np.abs(picture.pixels[:, :, :3].astype(int) - 77).max() <= 1


def test_each_backend_refuses_damage(backend: JpegBackend, capfd: pytest.CaptureFixture[str]) -> None:
    head = parse_jpeg(JPEG).scan_at + 14
    for cut in (0, 1, 2, 3, 10, 100, head, len(JPEG) // 2, len(JPEG) - 2, len(JPEG) - 1):
        with pytest.raises(DecodeError) as caught:
            decode_jpeg(JPEG[:cut], backend=backend)
        assert caught.value.reason == "codec_data_short"
    for at in range(2, head, 3):
        changed = JPEG[:at] + bytes((JPEG[at] ^ 0xFF,)) + JPEG[at + 1 :]
        with contextlib.suppress(DecodeError):
            decode_jpeg(changed, backend=backend)
    assert capfd.readouterr() == ("", "")


def rearranged_tables() -> tuple[bytes, bytes]:
    """A JPEG with Huffman tables of its own, and the same without any."""
    own = simplejpeg.encode_jpeg(SCENE, quality=60, colorspace="BGR", colorsubsampling="420")
    tables = parse_jpeg(own).huffman
    # Two values of equal code length change places, in the table and so in the meaning of the same bits.
    changed = tables.replace(bytes.fromhex("0102030405"), bytes.fromhex("0502030401"), 1)
    return own.replace(tables, changed), own.replace(tables, b"")


def test_a_stream_keeps_the_tables_of_the_last_frame_that_had_some() -> None:
    first, later = rearranged_tables()
    stream = MjpegStream(select())
    with_standard = stream.decode(later).pixels
    expected = stream.decode(first).pixels
    assert (stream.decode(later).pixels == expected).all()
    assert not (expected == with_standard).all()


def test_tables_of_a_frame_that_did_not_decode_are_not_kept() -> None:
    first, later = rearranged_tables()
    stream = MjpegStream(select())
    expected = stream.decode(later).pixels
    with pytest.raises(DecodeError):
        stream.decode(first[:-30])
    assert (stream.decode(later).pixels == expected).all()


def test_a_stream_never_waits() -> None:
    stream = MjpegStream(select())
    with pytest.raises(DecodeError):
        stream.decode(b"\xff\xd8 rubbish")
    stream.lost()
    assert not stream.waiting
    assert stream.backend == select().label
    stream.decode(BARE)


@pytest.mark.parametrize("quality", [*SPICE_QUALITIES, 1, 85, 100])
def test_the_quality_can_be_read_back(quality: int) -> None:
    assert jpeg_quality(encoded(quality)) == quality
    assert jpeg_quality(parse_jpeg(encoded(quality))) == quality


def test_an_odd_table_has_the_quality_of_the_nearest() -> None:
    header = parse_jpeg(encoded(50))
    table = header.quantisation[0]
    assert jpeg_quality(replace(header, quantisation={0: (table[0] + 1, *table[1:])})) == 50
    assert jpeg_quality(replace(header, quantisation={})) is None


def test_the_header_can_be_read_alone() -> None:
    header = parse_jpeg(BARE)
    assert (header.width, header.height, header.components) == (64, 48, 3)
    assert header.lacks_huffman
    assert not parse_jpeg(JPEG).lacks_huffman
    assert sorted(header.quantisation) == [0, 1]


def patched(height: int, width: int, components: int = 3) -> bytes:
    frame = JPEG.index(b"\xff\xc0")
    size = height.to_bytes(2) + width.to_bytes(2) + bytes((components,))
    return JPEG[: frame + 5] + size + JPEG[frame + 10 :]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"GIF89a", "codec_data"),
        (b"\xff\xd8\xff\xd9", "codec_data"),
        (b"\xff\xd8\xff\xda\x00\x02", "codec_data"),
        (b"\xff\xd8\xff\xe0\x00\x01", "codec_data"),
        (b"\xff\xd8\xff\xdb\x00\x05\x00\x01\x02", "codec_data"),
        (b"\xff\xd8\xff\xc0\x00\x04\x08\x00", "codec_data"),
        (patched(65_535, 65_535), "image_over_limit"),
        (patched(0, 64), "codec_data"),
        (patched(48, 64, 4), "codec_unsupported"),
    ],
)
def test_what_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(DecodeError) as caught:
        decode_jpeg(data)
    assert caught.value.reason == reason


def test_the_descriptor_and_the_limits_are_held() -> None:
    with pytest.raises(DecodeError, match="the image descriptor 48×64"):
        decode_jpeg(JPEG, size=(48, 64))
    with pytest.raises(DecodeError) as caught:
        MjpegStream(select(), replace(DEFAULT_LIMITS, image_pixels=64 * 48 - 1)).decode(JPEG)
    assert caught.value.reason == "image_over_limit"


def test_fill_bytes_before_a_marker_are_skipped() -> None:
    frame = JPEG.index(b"\xff\xc0")
    assert parse_jpeg(JPEG[:frame] + b"\xff\xff" + JPEG[frame:]).width == 64


def test_every_backend_is_either_here_or_missing_with_a_reason() -> None:
    names = {info.name for info in available()} | {lack.name for lack in missing()}
    assert names == {"simplejpeg", "turbojpeg", "pyav", "pyav-cuda", "pyav-vaapi", "pyav-qsv", "pillow"}
    assert all(lack.why and lack.how for lack in missing())
    assert select().info == available()[0]


def test_a_backend_that_is_not_there_is_an_error() -> None:
    with pytest.raises(
        UsageError, match="there are simplejpeg, turbojpeg, pyav, pyav-cuda, pyav-vaapi, pyav-qsv, pillow"
    ):
        select("libjpeg")


def test_a_device_that_leaves_the_work_to_software_is_not_a_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    # FFmpeg decodes without the device and says nothing: only the decoder's own word counts.
    monkeypatch.setattr("av.codec.hwaccel.hwdevices_available", lambda: ["drm"])
    with pytest.raises(RuntimeError, match="no drm device decoded a picture"):
        jpeg_backends._load_hardware("drm")


def test_the_message_for_a_missing_backend_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent() -> JpegBackend:
        raise ImportError("No module named 'turbojpeg'")

    monkeypatch.setitem(jpeg_backends._LOADERS, "turbojpeg", (absent, "install it"))
    monkeypatch.setattr(jpeg_backends, "_load", jpeg_backends._load.__wrapped__)
    with pytest.raises(UsageError, match=r"turbojpeg is not usable here: No module named .* install it"):
        select("turbojpeg")


# --- JPEG_ALPHA -----------------------------------------------------------------------------------


def alpha_plane(*, top_down: bool) -> bytes:
    """The first row sent is 1, all others 2."""
    tokens = literals(b"\1") + lz_match(63, 1, 3) + literals(b"\2") + lz_match(64 * 47 - 1, 1, 3)
    return lz_header(LzType.XXXA, 64, 48, top_down=top_down) + tokens


@pytest.mark.parametrize("top_down", [True, False])
def test_alpha_beside_a_jpeg(top_down: bool) -> None:
    data = JPEG + alpha_plane(top_down=top_down)
    picture = decode_jpeg_alpha(data, len(JPEG), top_down=top_down, size=(64, 48))
    assert (picture.alpha, picture.format) == (True, PixelFormat.RGBA)
    assert (picture.pixels[:, :, :3] == decode_jpeg(JPEG).pixels[:, :, :3]).all()
    rows = picture.pixels[:, 0, 3].tolist()
    assert (rows if top_down else rows[::-1]) == [1] + [2] * 47


def test_alpha_that_is_short_or_not_there_is_refused() -> None:
    data = JPEG + alpha_plane(top_down=True)
    for cut, size in ((data[:-1], len(JPEG)), (JPEG, len(JPEG)), (JPEG, len(JPEG) + 1)):
        with pytest.raises(DecodeError) as caught:
            decode_jpeg_alpha(cut, size, top_down=True)
        assert caught.value.reason == "codec_data_short"
