"""How long decoding takes here: every image and frame of a recording, per codec, size and decoder.

One thread, the time of the decoder's call alone, every picture once. JPEG and MJPEG are decoded by each library this
machine has.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from spicereplay.codecs import jpeg
from spicereplay.codecs.base import Data, Decoded
from spicereplay.codecs.jpeg import JpegBackend, MjpegStream
from spicereplay.codecs.palette import Palette
from spicereplay.codecs.video import VideoDecoder, open_video
from spicereplay.display.images import decode_alone
from spicereplay.display.records import Clock, ImageRecord
from spicereplay.errors import DecodeError, InputError
from spicereplay.limits import DEFAULT_LIMITS, Limits
from spicereplay.protocol.enums import ChannelType, ImageType, VideoCodec
from spicereplay.protocol.messages.images import Image
from spicereplay.replay.driver import Progress, Replay
from spicereplay.replay.screens import Screens
from spicereplay.units import NS_PER_MS, NS_PER_S

SIZE_CLASSES: Final = (
    (64 * 64, "up to 64×64"),
    (256 * 256, "up to 256×256"),
    (1024 * 1024, "up to 1024×1024"),
)
"""Pixels of a picture, inclusive, and what the class is called; larger ones are `LARGEST`."""
LARGEST: Final = "over 1024×1024"
ALL_SIZES: Final = "all"
_GLZ: Final = (ImageType.GLZ_RGB.name.lower(), ImageType.ZLIB_GLZ_RGB.name.lower())
_JPEG: Final = (ImageType.JPEG, ImageType.JPEG_ALPHA)


@dataclass(frozen=True, slots=True)
class Latency:
    """How long one decoder took for the pictures of one codec and size."""

    codec: str
    """SPICE's name of the image type or video codec in lower case."""
    backend: str
    """The decoder's name and version."""
    size: str
    """A class of `SIZE_CLASSES`, `LARGEST` or `ALL_SIZES`."""
    count: int
    median_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float
    mpx_per_s: float
    """Million pixels per second, over all of them."""


@dataclass(slots=True)
class _Times:
    """Decode times and pixels, per codec and backend; what could not be decoded is left out."""

    clock: Clock
    taken: dict[tuple[str, str], list[tuple[int, int]]] = field(default_factory=dict)
    """(nanoseconds, pixels)"""

    def add(self, codec: str, backend: str, took_ns: int, pixels: int) -> None:
        self.taken.setdefault((codec, backend), []).append((took_ns, pixels))

    def record(self, record: ImageRecord) -> None:
        """Take the time of an image that refers to others; the rest is measured where it is decoded."""
        if record.codec in _GLZ and record.decoded:
            self.add(record.codec, record.backend, record.decode_ns, record.width * record.height)


def decode_latencies(
    replay: Replay,
    *,
    limits: Limits = DEFAULT_LIMITS,
    clock: Clock = time.perf_counter_ns,
    progress: Progress | None = None,
) -> list[Latency]:
    """Decode everything that the displays of a recording show, and return the latencies by codec, backend and size.

    Raises `InputError` where the recording has no display channel.
    """
    sessions = [session for session in replay.sessions if session.of(ChannelType.DISPLAY)]
    if not sessions:
        raise InputError(f"{replay.path.name}: no display channel in it, and nothing to decode")
    times = _Times(clock)
    backends = [jpeg.select(info.name) for info in jpeg.available()]

    def decode(image: Image, palette: Palette | None) -> Decoded:
        return _every_backend(image, palette, limits, backends, times)

    def opened(codec: int) -> VideoDecoder:
        first = open_video(codec, limits=limits)
        if codec != VideoCodec.MJPEG:
            return _TimedStream(VideoCodec(codec).name.lower(), [first], times)
        return _TimedStream("mjpeg", [MjpegStream(each, limits) for each in backends], times)

    for session in sessions:
        with Screens(
            session,
            limits=limits,
            clock=clock,
            sink=times.record,
            decode=decode,
            video=opened,
            progress=progress,
        ) as screens:
            screens.play()
    return [each for key in sorted(times.taken) for each in _latencies(*key, times.taken[key])]


def _every_backend(
    image: Image, palette: Palette | None, limits: Limits, backends: Iterable[JpegBackend], times: _Times
) -> Decoded:
    """Decode an image with all that can; return what the one decodes that is used elsewhere."""
    kind = image.descriptor.type
    if kind not in _JPEG:
        return _timed(image, palette, limits, None, times)
    first, *others = backends
    decoded = _timed(image, palette, limits, first, times)
    for other in others:
        # One library may refuse what another draws; it then has one picture less.
        _tried(image, palette, limits, other, times)
    return decoded


def _tried(
    image: Image, palette: Palette | None, limits: Limits, backend: JpegBackend, times: _Times
) -> Decoded | None:
    try:
        return _timed(image, palette, limits, backend, times)
    except DecodeError:
        return None


def _timed(
    image: Image, palette: Palette | None, limits: Limits, backend: JpegBackend | None, times: _Times
) -> Decoded:
    start = times.clock()
    decoded = decode_alone(image, palette, limits, backend)
    took = times.clock() - start
    kind = image.descriptor.type
    name = kind.name.lower() if isinstance(kind, ImageType) else f"type_{int(kind)}"
    times.add(name, decoded.backend, took, decoded.width * decoded.height)
    return decoded


@dataclass(slots=True)
class _TimedStream:
    """A video stream decoded by several decoders; the first one's pictures count."""

    codec: str
    decoders: list[VideoDecoder]
    times: _Times

    @property
    def backend(self) -> str:
        return self.decoders[0].backend

    @property
    def waiting(self) -> bool:
        return self.decoders[0].waiting

    def lost(self) -> None:
        for decoder in self.decoders:
            decoder.lost()

    def decode(self, data: Data) -> Decoded | None:
        shown = self._timed(self.decoders[0], data)
        for other in self.decoders[1:]:
            try:
                self._timed(other, data)
            except DecodeError:
                continue
        return shown

    def _timed(self, decoder: VideoDecoder, data: Data) -> Decoded | None:
        start = self.times.clock()
        decoded = decoder.decode(data)
        took = self.times.clock() - start
        if decoded is not None:
            self.times.add(self.codec, decoded.backend, took, decoded.width * decoded.height)
        return decoded


def size_class(pixels: int) -> str:
    """Return the name of the class that a picture of so many pixels is in."""
    return next((name for most, name in SIZE_CLASSES if pixels <= most), LARGEST)


def _latencies(codec: str, backend: str, taken: list[tuple[int, int]]) -> Iterable[Latency]:
    names = [*(name for _, name in SIZE_CLASSES), LARGEST]
    by_size: dict[str, list[tuple[int, int]]] = {name: [] for name in names}
    for each in taken:
        by_size[size_class(each[1])].append(each)
    groups = {name: members for name, members in by_size.items() if members}
    if len(groups) > 1:
        groups[ALL_SIZES] = taken
    for name, members in groups.items():
        yield _latency(codec, backend, name, members)


def _latency(codec: str, backend: str, size: str, taken: list[tuple[int, int]]) -> Latency:
    columns = np.array(taken, np.int64)
    took, pixels = columns[:, 0], columns[:, 1]
    median, p95, p99 = (float(each) / NS_PER_MS for each in np.percentile(took, (50, 95, 99)))
    total = int(took.sum())
    rate = float(pixels.sum()) / 1e6 / (total / NS_PER_S) if total else 0.0
    return Latency(codec, backend, size, len(taken), median, p95, p99, float(took.max()) / NS_PER_MS, rate)
