"""Which libraries can decode a JPEG here, under fixed names, and which of them is used.

A library that is not there is said to be missing, and why; nothing is tried behind the caller's back.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Final

import numpy as np

from spicereplay.codecs.base import BackendInfo, BackendMissing, PixelArray
from spicereplay.defects import DefectKind
from spicereplay.errors import DecodeError, UsageError


@dataclass(frozen=True, slots=True)
class JpegBackend:
    """One JPEG decoder.

    `decode(data, width, height)` takes a whole JPEG with Huffman tables and the size its header says, and
    gives pixels as `base.PixelArray`; it raises `DecodeError` for data that the library refuses or warns of.
    """

    info: BackendInfo
    decode: Callable[[bytes, int, int], PixelArray]

    @property
    def label(self) -> str:
        """Name and version, as `Decoded.backend` shows them."""
        return f"{self.info.name} {self.info.version}"


def _refused(backend: str, error: object) -> DecodeError:
    text = str(error)
    ended = "premature end" in text.lower() or "truncated" in text.lower()
    return DecodeError(
        f"jpeg: {backend}: {text}", reason=DefectKind.CODEC_DATA_SHORT if ended else DefectKind.CODEC_DATA
    )


def _load_simplejpeg() -> JpegBackend:
    import simplejpeg

    def decode(data: bytes, width: int, height: int) -> PixelArray:
        pixels = np.empty((height, width, 4), np.uint8)
        try:
            simplejpeg.decode_jpeg(data, colorspace="BGRA", buffer=pixels, strict=True)
        except ValueError as error:
            raise _refused("simplejpeg", error) from None
        return pixels

    return JpegBackend(
        BackendInfo("simplejpeg", simplejpeg.__version__, "libjpeg-turbo built into the package"), decode
    )


def _load_turbojpeg() -> JpegBackend:
    import turbojpeg

    codec = turbojpeg.TurboJPEG()

    def decode(data: bytes, width: int, height: int) -> PixelArray:
        pixels: PixelArray
        try:
            # The library's own warnings (damaged data, drawn all the same) come as Python warnings.
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                pixels = codec.decode(data, pixel_format=turbojpeg.TJPF_BGRA)
        except (OSError, ValueError, RuntimeError, Warning) as error:
            raise _refused("turbojpeg", error) from None
        return pixels

    return JpegBackend(
        BackendInfo("turbojpeg", turbojpeg.__version__, "PyTurboJPEG over the system's libturbojpeg"), decode
    )


def _load_pyav() -> JpegBackend:
    import av

    def decode(data: bytes, width: int, height: int) -> PixelArray:
        context = av.CodecContext.create("mjpeg", "r")
        context.thread_count = 1
        context.options = {"err_detect": "explode"}
        try:
            frames = context.decode(av.Packet(data)) or context.decode(None)
            if not frames:
                raise DecodeError("jpeg: pyav: no picture")
            picture = frames[0].reformat(format="bgra").to_ndarray()
        except av.error.FFmpegError as error:
            raise _refused("pyav", error.strerror) from None
        return np.ascontiguousarray(picture, np.uint8)

    return JpegBackend(BackendInfo("pyav", av.__version__, f"FFmpeg {av.ffmpeg_version_info}, mjpeg"), decode)


HARDWARE: Final = ("cuda", "vaapi", "qsv")
"""Devices that FFmpeg can decode JPEG with: NVIDIA's, VA-API (Intel, AMD), Intel's Quick Sync."""
_PROBE_SIDE: Final = 64


def _load_hardware(device: str) -> JpegBackend:
    """Return the decoder of a device after it has decoded a picture; raises where it cannot.

    FFmpeg falls back to software without a word when a device will not do: what counts is what the decoder says
    of itself afterwards.
    """
    import av
    from av.codec.hwaccel import HWAccel, hwdevices_available

    if device not in hwdevices_available():
        raise RuntimeError(f"PyAV's FFmpeg is built without {device}")
    accelerator = HWAccel(device_type=device, allow_software_fallback=False)

    def decode(data: bytes, width: int, height: int) -> PixelArray:
        context = av.CodecContext.create("mjpeg", "r", hwaccel=accelerator)
        try:
            frames = context.decode(av.Packet(data)) or context.decode(None)
            if not frames:
                raise DecodeError(f"jpeg: pyav {device}: no picture")
            if not context.is_hwaccel:
                raise DecodeError(
                    f"jpeg: pyav {device}: the device does not take this picture",
                    reason=DefectKind.CODEC_UNSUPPORTED,
                )
            picture = frames[0].reformat(format="bgra").to_ndarray()
        except av.error.FFmpegError as error:
            raise _refused(f"pyav {device}", error.strerror) from None
        return np.ascontiguousarray(picture, np.uint8)

    try:
        decode(_probe(), _PROBE_SIDE, _PROBE_SIDE)
    except DecodeError as error:
        raise RuntimeError(f"no {device} device decoded a picture: {error}") from None
    info = BackendInfo(
        f"pyav-{device}", av.__version__, f"FFmpeg {av.ffmpeg_version_info}, mjpeg on {device}"
    )
    return JpegBackend(info, decode)


def _load_pillow() -> JpegBackend:
    import PIL
    from PIL import Image

    def decode(data: bytes, width: int, height: int) -> PixelArray:
        try:
            with Image.open(io.BytesIO(data), formats=("JPEG",)) as image:
                raw = image.convert("RGB").convert("RGBA").tobytes("raw", "BGRA")
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise _refused("pillow", error) from None
        return np.frombuffer(bytearray(raw), np.uint8).reshape(image.height, image.width, 4)

    return JpegBackend(BackendInfo("pillow", PIL.__version__, "Pillow's JPEG plugin"), decode)


def _probe() -> bytes:
    """Return a grey JPEG of `_PROBE_SIDE` squared, to see whether a device decodes at all."""
    import simplejpeg

    grey = np.full((_PROBE_SIDE, _PROBE_SIDE, 3), 128, np.uint8)
    return bytes(simplejpeg.encode_jpeg(grey, colorspace="RGB", colorsubsampling="420"))


_LOADERS: Final[dict[str, tuple[Callable[[], JpegBackend], str]]] = {
    "simplejpeg": (_load_simplejpeg, "pip install simplejpeg"),
    "turbojpeg": (
        _load_turbojpeg,
        "install the distribution's libturbojpeg (Debian: libturbojpeg0) and PyTurboJPEG: below 2 for "
        "libjpeg-turbo 2, 2 or later for libjpeg-turbo 3",
    ),
    "pyav": (_load_pyav, "pip install av"),
    **{
        f"pyav-{device}": (
            partial(_load_hardware, device),
            "needs such a device and its driver on this machine",
        )
        for device in HARDWARE
    },
    "pillow": (_load_pillow, "pip install pillow"),
}
NAMES: Final = tuple(_LOADERS)
"""The backends there can be, in order of preference. Hardware comes after the software decoders: for pictures of this
size the way to a device and back costs more than decoding them."""


@cache
def _load(name: str) -> JpegBackend | BackendMissing:
    loader, how = _LOADERS[name]
    try:
        return loader()
    # What a binding raises when its library is absent, too old, or lacks a function.
    except (ImportError, OSError, RuntimeError, AttributeError) as error:
        return BackendMissing(
            name, str(error).strip().splitlines()[0] if str(error).strip() else repr(error), how
        )


def available() -> list[BackendInfo]:
    """Return the JPEG decoders of this machine, fastest first."""
    return [found.info for name in NAMES if isinstance(found := _load(name), JpegBackend)]


def missing() -> list[BackendMissing]:
    """Return the JPEG decoders that this machine lacks, why, and how to get them."""
    return [found for name in NAMES if isinstance(found := _load(name), BackendMissing)]


def select(name: str | None = None) -> JpegBackend:
    """Return the backend called `name`, or the first of `NAMES` that is here.

    Raises `UsageError` where there is no such backend; the message says how to get it.
    """
    if name is None:
        for candidate in NAMES:
            if isinstance(found := _load(candidate), JpegBackend):
                return found
        raise UsageError(f"no JPEG decoder is installed; {_LOADERS['simplejpeg'][1]}")
    if name not in _LOADERS:
        raise UsageError(f"no JPEG backend is called {name!r}; there are {', '.join(NAMES)}")
    found = _load(name)
    if isinstance(found, BackendMissing):
        raise UsageError(f"JPEG backend {name} is not usable here: {found.why}; {found.how}")
    return found
