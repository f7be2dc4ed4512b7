"""Video streams to pictures: one decoder object for each stream.

MJPEG goes through the JPEG selector; H.264, VP8, VP9 and H.265 through PyAV's FFmpeg, with one thread: with
more FFmpeg withholds pictures for as many frames as it has threads.

Source: spice-wire.md 10.2.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Final, Protocol, cast

import numpy as np

from spicereplay.codecs.base import BackendInfo, BackendMissing, Data, Decoded, PixelFormat, check_size
from spicereplay.codecs.jpeg import MjpegStream, select
from spicereplay.defects import DefectKind
from spicereplay.errors import DecodeError
from spicereplay.limits import DEFAULT_LIMITS, Limits

if TYPE_CHECKING:
    import av


class VideoCodec(IntEnum):
    """Codecs of a stream. Source: spice-protocol spice/enums.h, SpiceVideoCodecType."""

    MJPEG = 1
    VP8 = 2
    H264 = 3
    VP9 = 4
    H265 = 5


FFMPEG_NAMES: Final = {
    VideoCodec.VP8: "vp8",
    VideoCodec.H264: "h264",
    VideoCodec.VP9: "vp9",
    VideoCodec.H265: "hevc",
}


class VideoDecoder(Protocol):
    """The decoder of one stream. Frames are given in the order they were sent."""

    @property
    def backend(self) -> str:
        """Name and version of what decodes: `pyav h264 (FFmpeg 8.0)`."""

    @property
    def waiting(self) -> bool:
        """Whether frames cannot be shown until a key frame comes."""

    def decode(self, data: Data) -> Decoded | None:
        """Decode one frame; raises `DecodeError` where it cannot be decoded.

        None: the decoder took the frame and gave no picture yet, because frames are reordered or because it
        waits for a key frame. Rows come in the order of the stream: without its top-down flag the first is
        the bottom one.
        """

    def lost(self) -> None:
        """Say that frames of the stream are missing here: begin again at the next key frame."""


class FfmpegStream:
    """One H.264, VP8, VP9 or H.265 stream, decoded by FFmpeg through PyAV.

    After a frame that did not decode, or `lost()`, nothing is shown until a key frame (in H.264 also a
    recovery point, all that spice-server's intra-refresh encoder sends): what FFmpeg would make of the frames
    between is not what the guest showed.
    """

    def __init__(self, codec: VideoCodec, limits: Limits = DEFAULT_LIMITS) -> None:
        import av
        from av.video.reformatter import VideoReformatter

        self._av = av
        self._name = FFMPEG_NAMES[codec]
        self._limits = limits
        try:
            context = av.CodecContext.create(self._name, "r")
        except av.codec.codec.UnknownCodecError:
            raise DecodeError(
                f"video: this FFmpeg ({av.ffmpeg_version_info}) has no {self._name} decoder",
                reason=DefectKind.CODEC_UNSUPPORTED,
            ) from None
        self._context = cast("av.VideoCodecContext", context)
        self._context.thread_count = 1
        self._context.flags |= av.codec.context.Flags.low_delay
        # `explode`: an error is an error, not a picture patched up.
        self._context.options = {"err_detect": "explode", "max_pixels": str(limits.image_pixels)}
        self._reformatter = VideoReformatter()
        self._waiting = True
        self.backend: str = f"pyav {self._name} (FFmpeg {av.ffmpeg_version_info})"

    @property
    def waiting(self) -> bool:
        """Whether frames cannot be shown until a key frame comes."""
        return self._waiting

    def lost(self) -> None:
        """Say that frames are missing here: begin again at the next key frame."""
        if self._context.is_open:
            self._context.flush_buffers()
        self._waiting = True

    def decode(self, data: Data) -> Decoded | None:
        """Decode one frame; see `VideoDecoder`.

        Raises `DecodeError`: `codec_data`, `image_over_limit`.
        """
        if not len(data):
            raise DecodeError(f"{self._name}: empty frame", reason=DefectKind.CODEC_DATA_SHORT, offset=0)
        try:
            frames = self._context.decode(self._av.Packet(bytes(data)))
        except self._av.error.FFmpegError as error:
            waited = self._waiting
            self.lost()
            why = " (no key frame yet)" if waited else ""
            raise DecodeError(f"{self._name}: {error.strerror}{why}") from None
        if not frames:
            return None
        frame = frames[-1]
        if self._waiting and not (frame.key_frame or self._name == "h264"):
            return (
                None  # FFmpeg's H.265 lets one picture through; H.264 has a rule of its own, recovery points
            )
        if frame.is_corrupt:
            self.lost()
            raise DecodeError(f"{self._name}: FFmpeg marks the picture as damaged")
        check_size(self._name, frame.width, frame.height, self._limits)
        self._waiting = False
        return Decoded(self._pixels(frame), self.backend, PixelFormat.YUV, alpha=False)

    def _pixels(self, frame: av.VideoFrame) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
        from av.video.reformatter import ColorRange

        full = frame.color_range == ColorRange.JPEG or frame.format.name.startswith("yuvj")
        picture = self._reformatter.reformat(
            frame,
            format="bgra",
            src_colorspace=_matrix(self._name, int(frame.colorspace), frame.height),
            src_color_range=ColorRange.JPEG if full else ColorRange.MPEG,
            dst_color_range=ColorRange.JPEG,
        )
        return np.ascontiguousarray(picture.to_ndarray(), np.uint8)


_BT709: Final = 1
_BT601: Final = 5
_BT2020: Final = 9
_SIGNALLED: Final = {1: _BT709, 4: 4, 5: _BT601, 6: _BT601, 7: 7, 9: _BT2020, 10: _BT2020}
"""FFmpeg's AVColorSpace as a stream signals it, to the matrix its scaler knows for it."""


def _matrix(codec: str, signalled: int, height: int) -> int:
    """Return the matrix from luma and chroma to colours (numbers of FFmpeg's AVColorSpace).

    What the stream signals, or, where it says nothing, what GStreamer takes for the height, since a GStreamer
    pipeline encodes in spice-server and decodes in spice-gtk. VP8 cannot say: FFmpeg's answer is a constant.
    Source: gst-plugins-base gst-libs/gst/video/video-info.c, set_default_colorimetry.
    """
    if codec != "vp8" and signalled in _SIGNALLED:
        return _SIGNALLED[signalled]
    if height >= 2160:
        return _BT2020
    return _BT709 if height > 576 else _BT601


def open_video(codec: int, *, limits: Limits = DEFAULT_LIMITS, jpeg: str | None = None) -> VideoDecoder:
    """Return a decoder for a new stream; `codec` is a number of `VideoCodec`, `jpeg` a JPEG backend's name.

    Raises `DecodeError` (`codec_unsupported`) for a number that is none, or a codec this FFmpeg lacks.
    """
    if codec not in VideoCodec.__members__.values():
        raise DecodeError(f"video: codec {codec}", reason=DefectKind.CODEC_UNSUPPORTED)
    if codec == VideoCodec.MJPEG:
        return MjpegStream(select(jpeg), limits)
    return FfmpegStream(VideoCodec(codec), limits)


def video_backends() -> tuple[list[BackendInfo], list[BackendMissing]]:
    """Return the video decoders of FFmpeg that are here, and those that are not."""
    here: list[BackendInfo] = []
    absent: list[BackendMissing] = []
    try:
        import av
    except ImportError as error:
        return here, [
            BackendMissing(f"pyav {n}", str(error), "pip install av") for n in FFMPEG_NAMES.values()
        ]
    for name in FFMPEG_NAMES.values():
        try:
            codec = av.codec.Codec(name, "r")
        except av.codec.codec.UnknownCodecError:
            absent.append(
                BackendMissing(
                    f"pyav {name}",
                    f"FFmpeg {av.ffmpeg_version_info} was built without it",
                    "install PyAV's own wheel: pip install --only-binary av av",
                )
            )
        else:
            here.append(
                BackendInfo(
                    f"pyav {name}", av.__version__, f"FFmpeg {av.ffmpeg_version_info}, {codec.long_name}"
                )
            )
    return here, absent
