"""Video streams: a picture with its packet, and resynchronisation after loss."""

from collections.abc import Iterable
from fractions import Fraction

import av
import numpy as np
import pytest
import simplejpeg

from spicereplay.codecs.base import PixelFormat
from spicereplay.codecs.select import backends
from spicereplay.codecs.video import VideoCodec, VideoDecoder, open_video
from spicereplay.errors import DecodeError
from spicereplay.limits import Limits

ENCODERS = {
    VideoCodec.H264: ("libx264", {"tune": "zerolatency", "preset": "ultrafast", "x264-params": "aud=1"}),
    VideoCodec.VP8: ("libvpx", {"deadline": "realtime", "lag-in-frames": "0"}),
    VideoCodec.VP9: ("libvpx-vp9", {"deadline": "realtime", "lag-in-frames": "0"}),
    VideoCodec.H265: (
        "libx265",
        {"tune": "zerolatency", "preset": "ultrafast", "x265-params": "log-level=none"},
    ),
}
BACKGROUND, BOX = (200, 40, 30), (20, 220, 60)


def encoded(
    codec: VideoCodec, count: int = 12, size: tuple[int, int] = (128, 96), matrix: int = 5, **options: str
) -> list[bytes]:
    """A box that moves to the right by 4 pixels a frame; one packet a frame."""
    name, settings = ENCODERS[codec]
    try:
        encoder = av.CodecContext.create(name, "w")
    except av.codec.codec.UnknownCodecError:
        pytest.skip(f"this FFmpeg has no encoder {name}")
    encoder.width, encoder.height = size
    encoder.pix_fmt = "yuv420p"
    encoder.time_base = Fraction(1, 25)
    encoder.options = settings | options
    packets: list[bytes] = []
    for i in range(count):
        scene = np.empty((size[1], size[0], 3), np.uint8)
        scene[:] = BACKGROUND
        scene[16:48, 4 * i : 4 * i + 32] = BOX
        frame = av.VideoFrame.from_ndarray(scene, format="rgb24")
        frame = frame.reformat(format="yuv420p", dst_colorspace=matrix)
        frame.pts = i
        packets += [bytes(packet) for packet in encoder.encode(frame)]
    packets += [bytes(packet) for packet in encoder.encode(None)]
    assert len(packets) == count
    return packets


def outcome(decoder: VideoDecoder, packets: Iterable[bytes]) -> str:
    """One letter a packet: P picture, - none, x refused."""
    letters = ""
    for packet in packets:
        try:
            letters += "P" if decoder.decode(packet) else "-"
        except DecodeError:
            letters += "x"
    return letters


def close(pixel: np.ndarray, red_green_blue: tuple[int, int, int]) -> bool:
    return bool(np.abs(pixel[2::-1].astype(int) - red_green_blue).max() <= 12 and pixel[3] == 255)


@pytest.fixture(params=list(ENCODERS), ids=lambda codec: codec.name)
def codec(request: pytest.FixtureRequest) -> VideoCodec:
    return request.param


def test_every_packet_gives_its_own_picture(codec: VideoCodec) -> None:
    decoder = open_video(codec)
    assert decoder.waiting
    for i, packet in enumerate(encoded(codec)):
        picture = decoder.decode(packet)
        assert picture is not None
        assert picture.pixels.shape == (96, 128, 4)
        assert close(picture.pixels[32, 4 * i + 16], BOX)
        assert close(picture.pixels[80, 4 * i + 16], BACKGROUND)
        assert (picture.format, picture.alpha) == (PixelFormat.YUV, False)
        assert picture.backend == decoder.backend
    assert not decoder.waiting
    assert decoder.backend.startswith("pyav ")
    assert "FFmpeg" in decoder.backend


def test_a_stream_that_begins_in_the_middle_waits_for_a_key_frame(codec: VideoCodec) -> None:
    first, second = encoded(codec), encoded(codec)
    decoder = open_video(codec)
    assert "P" not in outcome(decoder, first[1:])
    assert decoder.waiting
    assert outcome(decoder, second) == "P" * 12


def test_after_a_loss_nothing_is_shown_until_a_key_frame(codec: VideoCodec) -> None:
    packets = encoded(codec)
    decoder = open_video(codec)
    assert outcome(decoder, packets[:4]) == "PPPP"
    decoder.lost()
    assert "P" not in outcome(decoder, packets[5:])
    assert outcome(decoder, packets) == "P" * 12


def test_a_damaged_frame_is_refused_and_the_stream_goes_on(
    codec: VideoCodec, capfd: pytest.CaptureFixture[str]
) -> None:
    packets = encoded(codec)
    decoder = open_video(codec)
    seen = outcome(decoder, [*packets[:4], b"rubbish", packets[4][:7], *packets])
    assert seen.startswith("PPPPx")
    assert seen.endswith("P" * 12)
    assert capfd.readouterr().err == ""


def test_an_empty_frame_is_short(codec: VideoCodec) -> None:
    with pytest.raises(DecodeError) as caught:
        open_video(codec).decode(b"")
    assert caught.value.reason == "codec_data_short"


def test_h264_without_key_frames_begins_at_a_recovery_point() -> None:
    packets = encoded(
        VideoCodec.H264,
        30,
        **{"x264-params": "aud=1:repeat-headers=1:intra-refresh=1:keyint=8:bframes=0"},
    )
    decoder = open_video(VideoCodec.H264)
    seen = outcome(decoder, packets[1:])
    assert not seen.startswith("P")
    assert seen.endswith("P" * 8)
    picture = decoder.decode(packets[-1])
    assert picture is not None
    assert close(picture.pixels[80, 16], BACKGROUND)


@pytest.mark.parametrize(("height", "matrix"), [(576, 5), (578, 1)])
def test_a_stream_that_names_no_colours_has_those_of_its_height(height: int, matrix: int) -> None:
    for codec in (VideoCodec.H264, VideoCodec.VP8):
        (packet,) = encoded(codec, 1, (64, height), matrix)
        picture = open_video(codec).decode(packet)
        assert picture is not None
        off = np.abs(picture.pixels[height - 8, 8, 2::-1].astype(int) - BACKGROUND).max()
        assert off <= 5


def test_a_stream_that_names_its_colours_has_those() -> None:
    (packet,) = encoded(VideoCodec.H264, 1, (64, 64), 1, **{"x264-params": "colormatrix=bt709"})
    picture = open_video(VideoCodec.H264).decode(packet)
    assert picture is not None
    assert np.abs(picture.pixels[56, 8, 2::-1].astype(int) - BACKGROUND).max() <= 5


def test_a_picture_over_the_limit_is_refused(codec: VideoCodec) -> None:
    (packet,) = encoded(codec, 1)
    for limits in (Limits(image_pixels=128 * 96 - 1), Limits(image_side_px=127)):
        with pytest.raises(DecodeError) as caught:
            open_video(codec, limits=limits).decode(packet)
        assert caught.value.reason in ("codec_data", "image_over_limit")


def test_mjpeg_goes_through_the_jpeg_selector() -> None:
    frame = simplejpeg.encode_jpeg(np.zeros((8, 8, 3), np.uint8), quality=80)
    decoder = open_video(VideoCodec.MJPEG, jpeg="pillow")
    picture = decoder.decode(frame)
    assert picture is not None
    assert picture.backend == decoder.backend
    assert decoder.backend.startswith("pillow ")


@pytest.mark.parametrize("number", [0, 6, 255])
def test_an_unknown_codec_is_unsupported(number: int) -> None:
    with pytest.raises(DecodeError) as caught:
        open_video(number)
    assert caught.value.reason == "codec_unsupported"


def test_every_codec_of_spice_is_listed_with_its_backends() -> None:
    rows = {row.codec: row for row in backends()}
    assert list(rows) == [
        "QUIC",
        "LZ",
        "GLZ",
        "ZLIB_GLZ",
        "LZ4",
        "JPEG, MJPEG",
        "VP8",
        "H264",
        "VP9",
        "H265",
        "OPUS",
    ]
    for row in rows.values():
        assert all(info.version and info.detail for info in row.available)
        assert all(lack.why and lack.how for lack in row.missing)
    assert rows["QUIC"].available[0].name == "kernel"
