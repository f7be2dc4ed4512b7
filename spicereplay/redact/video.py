"""Frames of video, replaced by black or blurred ones of the same codec and size in bytes.

Where a frame could be decoded by itself its twin can, and else it is one that builds on those before: a decoder that
waits for a key frame waits as long as before. One that no decoder takes becomes zeros, which none takes either: that it
fails is what somebody may be looking for. What a frame is longer than its twin is filled up with zeros, which
decoders skip: H.264 and H.265 as `trailing_zero_8bits` behind a unit (Annex B), VP8 behind the last partition, VP9
behind the frame, MJPEG behind the end of the image.
Source: ITU-T H.264 Annex B; RFC 6386 9; libvpx vp9/vp9_dx_iface.c, decoder_decode; spice-wire.md 10.2.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from time import perf_counter_ns
from typing import Final

from spicereplay.analysis.frames import OUTCOMES, Decoding, measure
from spicereplay.analysis.lives import Life, Video
from spicereplay.codecs.video import VideoCodec, open_video
from spicereplay.errors import DecodeError
from spicereplay.limits import Limits
from spicereplay.redact.blocks import NARROWEST, Mosaic, mosaic_of
from spicereplay.redact.blur import blurred_jpeg
from spicereplay.redact.encode_video import VideoEncoder, black_planes, blurred_run, even
from spicereplay.redact.h26x import h264_key, h265_key
from spicereplay.redact.pictures import blank_jpeg

_JPEG_BEGINS: Final = b"\xff\xd8"
_CODECS: Final = {codec.name.lower(): codec for codec in VideoCodec}


def is_key(codec: VideoCodec, data: bytes) -> bool:
    """Say whether a decoder can begin with a frame."""
    if not data:
        return False
    match codec:
        case VideoCodec.VP8:
            return not data[0] & 1
        case VideoCodec.VP9:
            return data[0] >> 6 == 2 and not data[0] & 0b1100
        case VideoCodec.H264:
            return h264_key(data)
        case VideoCodec.H265:
            return h265_key(data)
    return True


@dataclass(slots=True)
class _Black:
    """One encoder that is given black pictures: the first packet is a key frame, the others change nothing."""

    codec: VideoCodec
    width: int
    height: int
    packets: list[bytes] = field(default_factory=list)
    _encoder: VideoEncoder | None = None

    def packet(self, number: int) -> bytes:
        """Return the packet of that number since the key frame."""
        if self.codec in (VideoCodec.VP8, VideoCodec.VP9):
            # They do not number their frames: one that changes nothing can be repeated.
            number = min(number, 2)
        if self._encoder is None:
            self._encoder = VideoEncoder(self.codec, self.width, self.height)
        while len(self.packets) <= number:
            self.packets.append(self._encoder.packet(black_planes(self.width, self.height)))
        return self.packets[number]


@dataclass(slots=True)
class NeutralVideo:
    """What frames become, with black streams by codec and size that all streams of an input share."""

    _made: dict[tuple[VideoCodec, int, int], _Black] = field(default_factory=dict)

    def frames(self, video: Video, limits: Limits, *, blurred: bool) -> dict[int, bytes]:
        """Return what the frames of a display channel become: row of the server's index to compressed data.

        With `blurred`, frames are blocks where these fit. A frame of a codec nobody knows becomes zeros; so does one
        that is smaller than anything of its codec.
        """
        columns = video.frames
        broken = measure(video, Decoding(perf_counter_ns, limits)).outcome == OUTCOMES.index("failed")
        made: dict[int, bytes] = {}
        for number, life in enumerate(video.lives):
            frames = video.frames_of[number].tolist()
            codec = _CODECS.get(life.codec)
            if codec is None or codec is VideoCodec.MJPEG:
                for frame in frames:
                    size = int(columns.size[frame])
                    data = video.frame_bytes(frame)
                    whole = _alone(data, size, limits, codec, blurred=blurred)
                    made[int(columns.row[frame])] = _broken(data, size) if broken[frame] else whole
                continue
            keys = [n for n, frame in enumerate(frames) if is_key(codec, video.frame_bytes(frame))]
            mosaics = _mosaics(codec, video, frames, limits) if blurred else None
            for start, stop in pairwise(sorted({0, *keys, len(frames)})):
                run = frames[start:stop]
                packets = None
                if mosaics is not None and start in keys:
                    packets = self._blurred(codec, video, life, run, mosaics[start:stop])
                since = 0 if start in keys else 1
                if packets is None:
                    packets = [
                        self._black(codec, video, life, frame, since + n) for n, frame in enumerate(run)
                    ]
                for frame, packet in zip(run, packets, strict=True):
                    size = int(columns.size[frame])
                    # Without a key frame nothing can be decoded, whatever it is.
                    fits = len(packet) <= size and not (broken[frame] and start in keys)
                    made[int(columns.row[frame])] = packet.ljust(size, b"\0") if fits else bytes(size)
        return made

    def _black(self, codec: VideoCodec, video: Video, life: Life, frame: int, since: int) -> bytes:
        size = even(*_size(video, life, frame))
        return self._made.setdefault((codec, *size), _Black(codec, *size)).packet(since)

    def _blurred(
        self, codec: VideoCodec, video: Video, life: Life, run: list[int], mosaics: list[Mosaic | None]
    ) -> list[bytes] | None:
        """Return a key frame and those that build on it in blocks, or None."""
        sizes = {_size(video, life, frame) for frame in run}
        if len(sizes) != 1 or min(next(iter(sizes))) < NARROWEST:
            return None
        room = [int(video.frames.size[frame]) for frame in run]
        return blurred_run(codec, mosaics, room, *even(*sizes.pop()))


def _broken(data: bytes, size: int) -> bytes:
    """Return what a frame becomes that cannot be decoded: zeros, known as JPEG if it was."""
    return (_JPEG_BEGINS if data.startswith(_JPEG_BEGINS) else b"").ljust(size, b"\0")


def _alone(data: bytes, size: int, limits: Limits, codec: VideoCodec | None, *, blurred: bool) -> bytes:
    """Return what a frame of MJPEG, or of a codec nobody knows, becomes."""
    if codec is None:
        return blank_jpeg(data).ljust(size, b"\0") if data.startswith(_JPEG_BEGINS) else bytes(size)
    whole = data.ljust(size, b"\0")
    return (blurred_jpeg(whole, limits) if blurred else None) or blank_jpeg(whole)


def _size(video: Video, life: Life, frame: int) -> tuple[int, int]:
    columns = video.frames
    return int(columns.width[frame]) or life.width, int(columns.height[frame]) or life.height


def _mosaics(codec: VideoCodec, video: Video, frames: list[int], limits: Limits) -> list[Mosaic | None]:
    """Return what frames show, in blocks; None for those that show nothing."""
    mosaics: list[Mosaic | None] = []
    try:
        decoder = open_video(codec, limits=limits)
    except DecodeError:
        return [None] * len(frames)
    for frame in frames:
        data = video.frame_bytes(frame)
        try:
            decoded = decoder.decode(data) if len(data) == video.frames.size[frame] else None
        except DecodeError:
            decoded = None
        mosaics.append(None if decoded is None else mosaic_of(decoded.pixels))
    return mosaics
