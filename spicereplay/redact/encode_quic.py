"""Pixels to QUIC codes.

Source: spice-wire.md 9.3 and 18.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from spicereplay.codecs.quic import QuicType
from spicereplay.redact._kernels import quic as kernel

_CHANNELS = {
    QuicType.GRAY: 1,
    QuicType.RGB16: 5,
    QuicType.RGB24: 8,
    QuicType.RGB32: 8,
    QuicType.RGBA: 32,
}
"""The kernel's word for what a type holds."""


def quic_codes(words: npt.NDArray[np.uint32], kind: QuicType, room: int) -> bytes | None:
    """Return the codes of a picture, without the header; None where they take more than `room` bytes.

    `words` is (height, width) uint32 0xAARRGGBB, top row first. 16-bit pixels have the upper five bits of each byte,
    grey ones the lowest byte; alpha counts in `RGBA` alone.
    """
    dst = np.empty(max(room, 0), np.uint8)
    symbols = np.zeros((4, words.shape[1]), np.uint8)
    size = kernel.quic_codes(np.ascontiguousarray(words), symbols, dst, _CHANNELS[kind])
    return dst[:size].tobytes() if size <= len(dst) else None


@lru_cache(maxsize=256)
def black(width: int, height: int, kind: QuicType, room: int) -> bytes | None:
    """Return the codes of a black picture, its alpha 0; None where they take more than `room` bytes."""
    return quic_codes(np.zeros((height, width), np.uint32), kind, room)
