"""Video in blocks: streams of the same codec that decode, each frame in the bytes that it had."""

import numpy as np
import pytest

from spicereplay.codecs.video import VideoCodec, open_video
from spicereplay.errors import UsageError
from spicereplay.redact.blocks import Mosaic, mosaic_of
from spicereplay.redact.encode_video import VideoEncoder, black_planes, blurred_run
from spicereplay.redact.video import is_key

WIDTH, HEIGHT = 160, 96
CODECS = [VideoCodec.VP8, VideoCodec.VP9, VideoCodec.H264, VideoCodec.H265]
PLENTY = 100_000


def pictures(count: int) -> list[Mosaic]:
    """Return a bar that moves over a background."""
    made = []
    for n in range(count):
        picture = np.full((HEIGHT, WIDTH, 4), (200, 80, 30, 255), np.uint8)
        picture[:, 32 * (n // 2 % 5) : 32 * (n // 2 % 5) + 32, :3] = (20, 30, 220)
        made.append(mosaic_of(picture))
    return made


def decoded(codec: VideoCodec, packets: list[bytes]) -> list[np.ndarray]:
    stream = open_video(codec)
    found = [stream.decode(packet) for packet in packets]
    assert all(picture is not None for picture in found)
    return [picture.pixels[..., :3].astype(int) for picture in found if picture is not None]


@pytest.mark.parametrize("codec", CODECS)
def test_a_stream_shows_its_blocks_and_has_one_key_frame(codec: VideoCodec) -> None:
    mosaics = pictures(8)
    packets = blurred_run(codec, mosaics, [PLENTY] * 8, WIDTH, HEIGHT)
    assert packets is not None
    assert [is_key(codec, packet) for packet in packets] == [True] + [False] * 7
    padded = [packet + bytes(400) for packet in packets]
    for shown, mosaic in zip(decoded(codec, padded), mosaics, strict=True):
        assert np.abs(shown - mosaic.painted().astype(int)).mean() < 25


@pytest.mark.parametrize("codec", CODECS)
def test_a_change_that_takes_too_many_bytes_is_left_out(codec: VideoCodec) -> None:
    mosaics = pictures(6)
    packets = blurred_run(codec, mosaics, [PLENTY] * 6, WIDTH, HEIGHT)
    assert packets is not None
    room = [PLENTY] * 6
    room[2] = len(packets[2]) - 1
    held = blurred_run(codec, mosaics, room, WIDTH, HEIGHT)
    assert held is not None
    assert len(held[2]) <= room[2]
    shown = decoded(codec, held)
    assert np.abs(shown[2] - shown[1]).mean() < 10


def test_a_picture_that_nobody_knows_leaves_the_one_before() -> None:
    mosaics: list[Mosaic | None] = [*pictures(2), None, *pictures(1)]
    packets = blurred_run(VideoCodec.VP8, mosaics, [PLENTY] * 4, WIDTH, HEIGHT)
    assert packets is not None
    shown = decoded(VideoCodec.VP8, packets)
    assert np.abs(shown[2] - shown[1]).max() < 20
    assert blurred_run(VideoCodec.VP8, [None], [PLENTY], WIDTH, HEIGHT) is None


def test_a_key_frame_without_room_makes_blocks_larger_and_then_gives_up() -> None:
    noise = np.random.default_rng(1).integers(0, 255, (HEIGHT, WIDTH, 4), np.uint8)
    mosaics = [mosaic_of(noise // 2 + (pictures(1)[0].painted()[..., :1] // 2))]
    fine = blurred_run(VideoCodec.H264, mosaics, [PLENTY], WIDTH, HEIGHT)
    assert fine is not None
    assert blurred_run(VideoCodec.H264, mosaics, [len(fine[0]) - 1], WIDTH, HEIGHT) is not None
    assert blurred_run(VideoCodec.H264, mosaics, [20], WIDTH, HEIGHT) is None


@pytest.mark.parametrize("codec", CODECS)
def test_black_is_black(codec: VideoCodec) -> None:
    encoder = VideoEncoder(codec, WIDTH, HEIGHT)
    packets = [encoder.packet(black_planes(WIDTH, HEIGHT)) for _ in range(3)]
    assert all(picture.max() <= 2 for picture in decoded(codec, packets))


@pytest.mark.parametrize("codec", CODECS)
def test_an_encoder_that_is_not_there_is_named(codec: VideoCodec, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("av.codecs_available", frozenset())
    with pytest.raises(UsageError, match=rf"{codec.name} video .* built without lib"):
        VideoEncoder(codec, WIDTH, HEIGHT)
