"""Decoding of images ahead of the order in which they are drawn, on several threads.

An image whose pixels follow from its own bytes can be decoded at any time, and the codecs let go of the interpreter
lock while they work. What refers to other images (GLZ, the caches, palettes) stays in message order.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final

from spicereplay.codecs.base import Decoded
from spicereplay.codecs.palette import Palette
from spicereplay.display.images import decode_alone, independent
from spicereplay.display.records import Clock
from spicereplay.limits import Limits
from spicereplay.protocol.messages.images import BinaryData, Image, JpegAlpha

LEAST_PIXELS: Final = 32 * 32
"""Smaller images are decoded sooner than handed over."""


def sources(message: object) -> Iterator[Image]:
    """Yield the images that a draw message draws from; masks and patterns, which are small, aside."""
    data = getattr(message, "data", message)
    image = getattr(data, "src_bitmap", None)
    if isinstance(image, Image):
        yield image


def worth_it(image: Image) -> bool:
    """Whether an image can be decoded from its bytes alone, without a palette, and takes long enough."""
    descriptor = image.descriptor
    return (
        isinstance(image.data, BinaryData | JpegAlpha)
        and descriptor.width * descriptor.height >= LEAST_PIXELS
        and independent(image)
    )


@dataclass(slots=True)
class DecodeAhead:
    """Decodes what `begin` was told of on the threads of `pool`; an `AloneDecoder` that has its results ready."""

    pool: ThreadPoolExecutor
    limits: Limits
    stopwatch: Clock
    """Measures decoding on the thread that decodes; one that counts the thread's own time is not misled by other
    threads at work."""
    _begun: dict[int, Future[tuple[Decoded, int]]] = field(default_factory=dict)
    _credit: int = 0

    def begin(self, image: Image) -> None:
        """Start to decode an image. It must be kept alive until it is decoded or forgotten."""
        self._begun[id(image)] = self.pool.submit(self._timed, image)

    def forget(self, image: Image) -> None:
        """Drop the result of an image that nobody asked for."""
        future = self._begun.pop(id(image), None)
        if future is not None:
            future.cancel()

    def decode(self, image: Image, palette: Palette | None) -> Decoded:
        """Return an image's pixels, waiting for them if need be; what was not begun is decoded now.

        Raises `DecodeError` as the codecs do.
        """
        future = self._begun.pop(id(image), None)
        if future is None:
            return decode_alone(image, palette, self.limits)
        decoded, took = future.result()
        self._credit += took
        return decoded

    def clock(self) -> int:
        """Return nanoseconds in which the time that other threads spent decoding is counted where it is used."""
        return self.stopwatch() + self._credit

    def _timed(self, image: Image) -> tuple[Decoded, int]:
        start = self.stopwatch()
        decoded = decode_alone(image, None, self.limits)
        return decoded, self.stopwatch() - start
