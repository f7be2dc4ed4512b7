"""Units of H.264 and H.265 byte streams.

Source: ITU-T H.264 7.3.1, 7.4.1 and Annex B; H.265 7.3.1 and Annex B.
"""

from __future__ import annotations

import re
from typing import Final

_START: Final = re.compile(b"\0\0\1")
_SEI: Final = 6
_IDR: Final = 5
_RECOVERY_POINT: Final = 6
_IRAP: Final = range(16, 22)
"""Types of H.265 pictures that a decoder can begin with."""


def h264_key(data: bytes) -> bool:
    """Say whether a decoder can begin with an H.264 frame: an IDR picture, or a recovery point."""
    ends = [m.end() for m in _START.finditer(data)]
    units = [(data[at] & 31, data[at + 1]) for at in ends if at + 1 < len(data)]
    return any(kind == _IDR or (kind == _SEI and first == _RECOVERY_POINT) for kind, first in units)


def h265_key(data: bytes) -> bool:
    """Say whether a decoder can begin with an H.265 frame."""
    return any(data[m.end()] >> 1 & 63 in _IRAP for m in _START.finditer(data) if m.end() < len(data))


def without_remarks(data: bytes) -> bytes:
    """Return an H.264 frame without its SEI units, in which the encoder introduces itself."""
    starts = [m.start() - (m.start() > 0 and data[m.start() - 1] == 0) for m in _START.finditer(data)]
    units = [data[a:b] for a, b in zip(starts, [*starts[1:], len(data)], strict=True)]
    return b"".join(unit for unit in units if unit[unit.index(1) + 1] & 31 != _SEI)
