"""What stays of a message that cannot be taken apart, or not be put together again: its numbers.

Contents come last in every message, so what stands before the first fault stays. Of a draw message the analysis reads
further: where it draws and the head of its image, wherever that lies.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from spicereplay.analysis.draws import BASE, BITMAP_DATA_AT, IMAGE_AT, RECT_BYTES, SIZE_AT
from spicereplay.protocol.enums import ClipType, ImageType, ServerDisplay
from spicereplay.protocol.wire import Problem

_U32_BYTES: Final = 4
_TYPE_AT: Final = 8
"""Where an image says its type. Source: spice-wire.md 8.1."""
_DESCRIPTOR_BYTES: Final = 18


def numbers_of(body: bytes, problems: Sequence[Problem], draw: ServerDisplay | None) -> bytes:
    """Return a body in which only numbers are left, the others being zeros.

    `problems` are those of the parser; `draw` is the type of a message that draws, None for all others.
    """
    kept = min((problem.offset for problem in problems), default=0)
    made = bytearray(body[:kept].ljust(len(body), b"\0"))
    if draw is not None:
        made[: BASE.itemsize] = body[: BASE.itemsize]
        keep_image_head(made, body, draw)
    return bytes(made)


def keep_image_head(made: bytearray, body: bytes, draw: ServerDisplay) -> None:
    """Put a draw message's clip, the place of its image, and the image's head from `body` into `made`."""
    if len(body) < BASE.itemsize:
        return
    end = BASE.itemsize
    if body[end - 1] == ClipType.RECTS:
        end += _U32_BYTES + RECT_BYTES * _u32(body, end)
        if end > len(body):
            end = BASE.itemsize + _U32_BYTES
            made[:end] = body[:end]
            return
    made[:end] = body[:end]
    if draw not in IMAGE_AT:
        return
    pointer = end + IMAGE_AT[draw]
    made[pointer : pointer + _U32_BYTES] = body[pointer : pointer + _U32_BYTES]
    image = _u32(body, pointer)
    if not 0 < image < len(body):
        return
    head = body[image : image + BITMAP_DATA_AT]
    codec = head[_TYPE_AT] if len(head) > _TYPE_AT else -1
    behind = next((at + _U32_BYTES for kind, at in SIZE_AT.items() if kind == codec), _DESCRIPTOR_BYTES)
    if codec == ImageType.BITMAP:
        behind = BITMAP_DATA_AT
    made[image : image + min(behind, len(head))] = head[:behind]


def _u32(body: bytes, at: int) -> int:
    return int.from_bytes(body[at : at + _U32_BYTES], "little")
