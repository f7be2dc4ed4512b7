"""JPEG pictures of blocks of one colour each, as small as they can be, and of exactly the size that is wanted.

Only the mean of each 8 by 8 block (its DC coefficient) is coded, with Huffman tables that hold just the symbols that
occur. What is missing to the size are zeros behind the end of the image, where no decoder looks: in front of the scan
they would hide it from whoever looks at the first bytes only. Source: ITU-T T.81 Annexes B, C and F.
"""

from __future__ import annotations

import struct
from typing import Final

from spicereplay.codecs.base import Data
from spicereplay.codecs.jpeg_markers import BARE_MARKERS, DHT, DQT, EOI, SOS, STARTS_OF_FRAME

_SOF0: Final = 0xC0
_STEP: Final = 128
"""Quantisation step of every coefficient: -8 of it is black in the luminance."""
_BLACK: Final = -8


def frame_header(data: Data) -> bytes | None:
    """Return the payload of the start-of-frame segment (size and components) of a JPEG; None where it has none."""
    data = bytes(data)
    at = 2
    while at + 4 <= len(data):
        if data[at] != 0xFF:
            return None
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
        elif marker in BARE_MARKERS:
            at += 2
        elif marker in STARTS_OF_FRAME:
            stop = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
            return data[at + 4 : stop] if stop <= len(data) else None
        elif marker in (SOS, EOI):
            return None
        else:
            at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return None


def black(frame: bytes, size: int) -> bytes | None:
    """Return a black baseline JPEG of `size` bytes with the size and components of a frame header.

    None where the header is none for 8-bit baseline, or the smallest such picture is larger than `size`.
    """
    if len(frame) < 6 or frame[0] != 8 or len(frame) != 6 + 3 * frame[5] or frame[5] not in (1, 3, 4):
        return None
    height, width = struct.unpack_from(">HH", frame, 1)
    factors = [(frame[7 + 3 * i] >> 4, frame[7 + 3 * i] & 15) for i in range(frame[5])]
    if not width or not height or any(not 1 <= f <= 4 for pair in factors for f in pair):
        return None
    bits = _black_bits(width, height, factors)
    components = b"".join(frame[6 + 3 * i : 8 + 3 * i] + b"\0" for i in range(frame[5]))
    scan = b"".join(frame[6 + 3 * i : 7 + 3 * i] + b"\0" for i in range(frame[5]))
    parts = [
        b"\xff\xd8",
        _segment(DQT, b"\0" + bytes([_STEP]) * 64),
        _segment(_SOF0, frame[:6] + components),
        # A picture without differences has one symbol, the first luminance block one more: four bits follow it.
        _segment(DHT, b"\x00" + bytes([1, 1, *([0] * 14)]) + b"\x00\x04"),
        _segment(DHT, b"\x10" + bytes([1, *([0] * 15)]) + b"\x00"),
        _segment(SOS, bytes([frame[5]]) + scan + b"\x00\x3f\x00"),
        bits,
        b"\xff\xd9",
    ]
    whole = b"".join(parts)
    return whole.ljust(size, b"\0") if len(whole) <= size else None


def _black_bits(width: int, height: int, factors: list[tuple[int, int]]) -> bytes:
    """Return the entropy-coded bits: two for each block, but for the first."""
    if len(factors) == 1:  # not interleaved: its factors do not count (A.2.2)
        blocks = -(-width // 8) * -(-height // 8)
    else:
        wide, high = max(h for h, _ in factors), max(v for _, v in factors)
        units = -(-width // (8 * wide)) * -(-height // (8 * high))
        blocks = units * sum(h * v for h, v in factors)
    # Symbol 4 is `10`; -8 in four bits is 0111 (F.1.2.1); the end of the block is `0`.
    count = 7 + 2 * (blocks - 1)
    pad = -count % 8
    value = (0b1001110 << (count - 7 + pad)) | ((1 << pad) - 1)
    return value.to_bytes((count + pad) // 8, "big")


def _segment(marker: int, payload: bytes) -> bytes:
    return bytes((0xFF, marker)) + (len(payload) + 2).to_bytes(2, "big") + payload
