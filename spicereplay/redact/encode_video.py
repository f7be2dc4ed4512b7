"""Pictures of blocks to H.264, H.265, VP8 and VP9, frame by frame.

Source: PyAV; FFmpeg's libx264, libx265 and libvpx encoders.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Final, cast

import numpy as np
import numpy.typing as npt

from spicereplay.codecs.video import VideoCodec
from spicereplay.errors import UsageError
from spicereplay.redact.blocks import Bytes, Mosaic
from spicereplay.redact.h26x import without_remarks

if TYPE_CHECKING:
    import av

_VPX: Final = {
    "deadline": "realtime",
    "cpu-used": "8",
    "auto-alt-ref": "0",
    "lag-in-frames": "0",
}
_X26X: Final = "bframes=0:repeat-headers=1:aud=1"
_ENCODERS: Final = {
    VideoCodec.VP8: ("libvpx", _VPX),
    VideoCodec.VP9: ("libvpx-vp9", _VPX),
    VideoCodec.H264: (
        "libx264",
        {
            "preset": "veryfast",
            "tune": "zerolatency",
            "crf": "36",
            "x264-params": f"keyint=infinite:{_X26X}",
        },
    ),
    VideoCodec.H265: (
        "libx265",
        {
            "preset": "ultrafast",
            "tune": "zerolatency",
            "crf": "36",
            "x265-params": f"keyint=-1:{_X26X}:info=0:log-level=none:pools=none:frame-threads=1",
        },
    ),
}
"""FFmpeg's encoders: no look-ahead, no reordering, one key frame, parameter sets and delimiters in the stream."""
_WEIGHTS: Final = ((576, 0.299, 0.114), (2159, 0.2126, 0.0722))
_WEIGHTS_ABOVE: Final = (0.2627, 0.0593)
"""How red and blue count for luma, up to a height: what decoders take for a stream that does not say.
Source: `codecs.video`; ITU-R BT.601, BT.709, BT.2020."""
_ATTEMPTS: Final = 6


class VideoEncoder:
    """One stream: the first packet is a key frame, the others are not."""

    def __init__(self, codec: VideoCodec, width: int, height: int) -> None:
        """Open an encoder; `UsageError` where PyAV was built without it."""
        import av

        name, options = _ENCODERS[codec]
        self._codec = codec
        if name not in av.codecs_available:
            raise UsageError(
                f"{codec.name} video cannot be replaced: PyAV here was built without {name}; its wheels from PyPI "
                "have it, or keep pictures with --screen keep"
            )
        self._context = cast("av.VideoCodecContext", av.CodecContext.create(name, "w"))
        self._context.width, self._context.height = width, height
        self._context.pix_fmt = "yuv420p"
        self._context.time_base = Fraction(1, 25)
        self._context.thread_count = 1
        self._context.gop_size = 1 << 30
        self._context.options = options
        self._number = 0

    def packet(self, planes: Bytes) -> bytes:
        """Return the packet of the next picture: Y, and below it Cb and Cr, (height * 3 / 2, width) uint8."""
        import av

        frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
        frame.pts = self._number
        self._number += 1
        made = b"".join(bytes(packet) for packet in self._context.encode(frame))
        return without_remarks(made) if self._codec is VideoCodec.H264 else made


def even(width: int, height: int) -> tuple[int, int]:
    """Return the size that an encoder takes for a picture of another."""
    return width + width % 2 or 16, height + height % 2 or 16


def black_planes(width: int, height: int) -> Bytes:
    """Return the planes of a black picture, in the narrow range. Source: ITU-R BT.601."""
    planes = np.full((height * 3 // 2, width), 128, np.uint8)
    planes[:height] = 16
    return planes


def planes_of(mosaic: Mosaic, width: int, height: int) -> Bytes:
    """Return the planes of a picture of blocks in a picture of an even size."""
    red_weight, blue_weight = next(
        ((red, blue) for most, red, blue in _WEIGHTS if height <= most), _WEIGHTS_ABOVE
    )
    blue, green, red = (mosaic.blocks[..., n].astype(np.float64) / 255 for n in range(3))
    luma = red_weight * red + (1 - red_weight - blue_weight) * green + blue_weight * blue
    levels = (
        16 + 219 * luma,
        128 + 112 * (blue - luma) / (1 - blue_weight),
        128 + 112 * (red - luma) / (1 - red_weight),
    )
    planes = [
        _spread(np.rint(level).astype(np.uint8), mosaic.side // part, width // part, height // part)
        for level, part in zip(levels, (1, 2, 2), strict=True)
    ]
    flat = np.concatenate([plane.reshape(-1) for plane in planes])
    return flat.reshape(height * 3 // 2, width)


def _spread(blocks: npt.NDArray[np.uint8], side: int, width: int, height: int) -> Bytes:
    down = np.minimum(np.arange(height) // side, blocks.shape[0] - 1)
    across = np.minimum(np.arange(width) // side, blocks.shape[1] - 1)
    spread: Bytes = blocks[down][:, across]
    return spread


def blurred_run(
    codec: VideoCodec, mosaics: list[Mosaic | None], sizes: list[int], width: int, height: int
) -> list[bytes] | None:
    """Return frames that show pictures of blocks, the first one a key frame, each of at most its size in bytes.

    None in `mosaics` is a picture that nobody knows: the one before stays. A picture whose change takes too many bytes
    is left out, too, and where the first does the blocks become larger. None where not even that helps.
    """
    first = mosaics[0]
    if first is None:
        return None
    for zoom in range(len(list(first.sizes()))):
        coarse = [None if mosaic is None else _zoomed(mosaic, zoom) for mosaic in mosaics]
        held = {n for n, mosaic in enumerate(coarse) if mosaic is None}
        for _ in range(_ATTEMPTS):
            packets = _encoded(codec, coarse, held, width, height)
            over = {n for n, packet in enumerate(packets) if len(packet) > sizes[n]}
            if not over:
                return packets
            if 0 in over or over <= held:
                break
            held |= over
    return None


def _zoomed(mosaic: Mosaic, times: int) -> Mosaic:
    for _ in range(times):
        mosaic = mosaic.coarser()
    return mosaic


def _encoded(
    codec: VideoCodec, mosaics: list[Mosaic | None], held: set[int], width: int, height: int
) -> list[bytes]:
    encoder = VideoEncoder(codec, width, height)
    packets: list[bytes] = []
    shown = black_planes(width, height)
    for n, mosaic in enumerate(mosaics):
        if mosaic is not None and n not in held:
            shown = planes_of(mosaic, width, height)
        packets.append(encoder.packet(shown))
    return packets
