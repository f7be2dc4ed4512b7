"""Which decoders this machine has, and which it lacks: what `doctor` shows."""

from __future__ import annotations

import sys
import zlib
from dataclasses import dataclass

from spicereplay.codecs import audio, jpeg_backends, lz4, video
from spicereplay.codecs.base import KERNEL, BackendInfo, BackendMissing


@dataclass(frozen=True, slots=True)
class CodecBackends:
    """The decoders of one codec; the first of `available` is the one that is used unless another is named."""

    codec: str
    available: tuple[BackendInfo, ...]
    missing: tuple[BackendMissing, ...] = ()


def backends() -> list[CodecBackends]:
    """Return every codec of SPICE with its decoders, in the order a reader would look for them."""
    from spicereplay._version import __version__

    own = (BackendInfo(KERNEL, __version__, "compiled into spicereplay"),)
    here, absent = video.video_backends()
    inflate = BackendInfo("zlib", zlib.ZLIB_RUNTIME_VERSION, f"Python {sys.version.split()[0]}'s own")
    rows = [
        CodecBackends("QUIC", own),
        CodecBackends("LZ", own),
        CodecBackends("GLZ", own),
        CodecBackends("ZLIB_GLZ", (inflate,)),
        CodecBackends("LZ4", (BackendInfo("lz4", lz4.VERSION, f"liblz4 {lz4.LIBRARY_VERSION}"),)),
        CodecBackends("JPEG, MJPEG", tuple(jpeg_backends.available()), tuple(jpeg_backends.missing())),
    ]
    for codec, name in video.FFMPEG_NAMES.items():
        label = f"pyav {name}"
        rows.append(
            CodecBackends(
                codec.name,
                tuple(info for info in here if info.name == label),
                tuple(lack for lack in absent if lack.name == label),
            )
        )
    opus, no_opus = audio.audio_backends()
    rows.append(CodecBackends("OPUS", tuple(opus), tuple(no_opus)))
    return rows
