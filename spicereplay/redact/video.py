"""Frames of video, replaced by black ones of the same codec and size in bytes.

Where a frame could be decoded by itself its black twin can, and else it is one that changes nothing: a decoder that
waits for a key frame waits as long as before. What a frame is longer than its twin is filled up with zeros, which
decoders skip: H.264 and H.265 as `trailing_zero_8bits` behind a unit (Annex B), VP8 behind the last partition, VP9
behind the frame, MJPEG behind the end of the image.
Source: ITU-T H.264 Annex B; RFC 6386 9; libvpx vp9/vp9_dx_iface.c, decoder_decode; spice-wire.md 10.2.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Final, cast

import numpy as np

from spicereplay.analysis.lives import Video
from spicereplay.limits import Limits
from spicereplay.protocol.enums import VideoCodec
from spicereplay.redact.blur import blurred_jpeg
from spicereplay.redact.pictures import blank_jpeg

if TYPE_CHECKING:
    import av

_VPX: Final = {"deadline": "realtime", "cpu-used": "8", "auto-alt-ref": "0", "lag-in-frames": "0"}
_X26X: Final = "bframes=0:repeat-headers=1:aud=1"
_ENCODERS: Final = {
    VideoCodec.VP8: ("libvpx", _VPX),
    VideoCodec.VP9: ("libvpx-vp9", _VPX),
    VideoCodec.H264: (
        "libx264",
        {
            "preset": "veryfast",
            "tune": "zerolatency",
            "crf": "40",
            "x264-params": f"keyint=infinite:{_X26X}",
        },
    ),
    VideoCodec.H265: (
        "libx265",
        {
            "preset": "ultrafast",
            "tune": "zerolatency",
            "x265-params": f"keyint=-1:{_X26X}:info=0:log-level=none:pools=none:frame-threads=1",
        },
    ),
}
"""FFmpeg's encoders: no look-ahead, no reordering, one key frame, parameter sets and delimiters in the stream."""
_CODECS: Final = {codec.name.lower(): codec for codec in VideoCodec}
_START: Final = re.compile(b"\0\0\1")
_BLACK: Final = (16, 128, 128)
"""Y, Cb, Cr of black in the narrow range. Source: ITU-R BT.601."""


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
            return any(kind == 5 or (kind == 6 and first == 6) for kind, first in _h264_units(data))
        case VideoCodec.H265:
            return any(
                16 <= data[m.end()] >> 1 & 63 <= 21 for m in _START.finditer(data) if m.end() < len(data)
            )
    return True


def _h264_units(data: bytes) -> list[tuple[int, int]]:
    """Return type and first payload byte of each unit: of SEI units that is what they say."""
    ends = [m.end() for m in _START.finditer(data)]
    return [(data[at] & 31, data[at + 1]) for at in ends if at + 1 < len(data)]


@dataclass(slots=True)
class _Black:
    """One encoder that is given black pictures: the first packet is a key frame, the others change nothing."""

    codec: VideoCodec
    width: int
    height: int
    packets: list[bytes] = field(default_factory=list)
    _context: av.VideoCodecContext | None = None

    def packet(self, number: int) -> bytes:
        """Return the packet of that number since the key frame."""
        if self.codec in (VideoCodec.VP8, VideoCodec.VP9):
            number = min(
                number, 2
            )  # they do not number their frames: one that changes nothing can be repeated
        while len(self.packets) <= number:
            self.packets.append(self._next())
        return self.packets[number]

    def _next(self) -> bytes:
        import av

        if self._context is None:
            name, options = _ENCODERS[self.codec]
            self._context = cast("av.VideoCodecContext", av.CodecContext.create(name, "w"))
            self._context.width, self._context.height = self.width, self.height
            self._context.pix_fmt = "yuv420p"
            self._context.time_base = Fraction(1, 25)
            self._context.thread_count = 1
            self._context.gop_size = 1 << 30
            self._context.options = options
        frame = av.VideoFrame(self.width, self.height, "yuv420p")
        for plane, value in zip(frame.planes, _BLACK, strict=True):
            plane.update(np.full(plane.buffer_size, value, np.uint8).tobytes())
        frame.pts = len(self.packets)
        made = b"".join(bytes(packet) for packet in self._context.encode(frame))
        return _without_remarks(made) if self.codec is VideoCodec.H264 else made


def _without_remarks(data: bytes) -> bytes:
    """Return an H.264 frame without its SEI units, in which the encoder introduces itself."""
    starts = [m.start() - (m.start() > 0 and data[m.start() - 1] == 0) for m in _START.finditer(data)]
    units = [data[a:b] for a, b in zip(starts, [*starts[1:], len(data)], strict=True)]
    return b"".join(unit for unit in units if unit[unit.index(1) + 1] & 31 != 6)


@dataclass(slots=True)
class BlackVideo:
    """Black streams by codec and size, shared by all streams of an input."""

    _made: dict[tuple[VideoCodec, int, int], _Black] = field(default_factory=dict)

    def frames(self, video: Video, limits: Limits, *, blurred: bool) -> dict[int, bytes]:
        """Return what the frames of a display channel become: row of the server's index to compressed data.

        With `blurred`, frames of MJPEG are blocks where these fit. A frame of a codec nobody knows becomes zeros; so
        does one that is smaller than anything of its codec.
        """
        columns = video.frames
        made: dict[int, bytes] = {}
        for number, life in enumerate(video.lives):
            codec = _CODECS.get(life.codec)
            since = 0
            for frame in video.frames_of[number].tolist():
                data = video.frame_bytes(frame)
                size = int(columns.size[frame])
                row = int(columns.row[frame])
                if codec is None:
                    made[row] = (
                        blank_jpeg(data).ljust(size, b"\0") if data[:2] == b"\xff\xd8" else bytes(size)
                    )
                elif codec is VideoCodec.MJPEG:
                    whole = data.ljust(size, b"\0")
                    made[row] = (blurred_jpeg(whole, limits) if blurred else None) or blank_jpeg(whole)
                else:
                    since = 0 if is_key(codec, data) else since + 1
                    wide = int(columns.width[frame]) or life.width
                    high = int(columns.height[frame]) or life.height
                    packet = self._of(codec, wide, high).packet(since)
                    made[row] = packet.ljust(size, b"\0") if len(packet) <= size else bytes(size)
        return made

    def _of(self, codec: VideoCodec, width: int, height: int) -> _Black:
        even = width + width % 2 or 16, height + height % 2 or 16
        return self._made.setdefault((codec, *even), _Black(codec, *even))
