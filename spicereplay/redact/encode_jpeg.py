"""JPEG pictures of blocks of one colour each, as small as they can be, and of exactly the size that is wanted.

Only the mean of each 8 by 8 block (its DC coefficient) is coded, with Huffman tables that hold just the symbols that
occur. What is missing to the size are zeros behind the end of the image, where no decoder looks: in front of the scan
they would hide it from whoever looks at the first bytes only. Source: ITU-T T.81 Annexes B, C and F.
"""

from __future__ import annotations

import struct
from typing import Final

import numpy as np
import numpy.typing as npt

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
    factors = _factors(frame)
    if factors is None:
        return None
    height, width = struct.unpack_from(">HH", frame, 1)
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


# --- blocks of colour ------------------------------------------------------------------------------------

_FINE_STEP: Final = 8
"""Quantisation step of blocks: a DC coefficient of 1 is one level of 256 (A.3.3)."""
_CATEGORIES: Final = 12


def blocky(frame: bytes, size: int, planes: list[npt.NDArray[np.int64]]) -> bytes | None:
    """Return a JPEG of `size` bytes whose 8 by 8 blocks have these levels, -128 to 127, one plane for each component.

    A plane has the blocks of whole units: of an interleaved picture as many as its sampling factors make of them.
    None as in `black`.
    """
    factors = _factors(frame)
    if factors is None or len(planes) != len(factors):
        return None
    components = b"".join(frame[6 + 3 * i : 8 + 3 * i] + b"\0" for i in range(frame[5]))
    scan = b"".join(frame[6 + 3 * i : 7 + 3 * i] + b"\0" for i in range(frame[5]))
    # No difference takes one bit, all others five.
    lengths = bytes([1, 0, 0, 0, _CATEGORIES - 1, *([0] * 11)])
    whole = b"".join(
        (
            b"\xff\xd8",
            _segment(DQT, b"\0" + bytes([_FINE_STEP]) * 64),
            _segment(_SOF0, frame[:6] + components),
            _segment(DHT, b"\x00" + lengths + bytes(range(_CATEGORIES))),
            _segment(DHT, b"\x10" + bytes([1, *([0] * 15)]) + b"\x00"),
            _segment(SOS, bytes([frame[5]]) + scan + b"\x00\x3f\x00"),
            _differences(planes, factors),
            b"\xff\xd9",
        )
    )
    return whole.ljust(size, b"\0") if len(whole) <= size else None


def plane_shapes(frame: bytes) -> list[tuple[int, int, int, int]] | None:
    """Return for each component how many blocks high and wide it is, and how many pixels high and wide a block is."""
    factors = _factors(frame)
    if factors is None:
        return None
    height, width = struct.unpack_from(">HH", frame, 1)
    if len(factors) == 1:
        return [(-(-height // 8), -(-width // 8), 8, 8)]
    wide, high = max(h for h, _ in factors), max(v for _, v in factors)
    down, across = -(-height // (8 * high)), -(-width // (8 * wide))
    return [(down * v, across * h, 8 * high // v, 8 * wide // h) for h, v in factors]


def _factors(frame: bytes) -> list[tuple[int, int]] | None:
    if len(frame) < 6 or frame[0] != 8 or len(frame) != 6 + 3 * frame[5] or frame[5] not in (1, 3, 4):
        return None
    height, width = struct.unpack_from(">HH", frame, 1)
    factors = [(frame[7 + 3 * i] >> 4, frame[7 + 3 * i] & 15) for i in range(frame[5])]
    if not width or not height or any(not 1 <= f <= 4 for pair in factors for f in pair):
        return None
    return factors


def _differences(planes: list[npt.NDArray[np.int64]], factors: list[tuple[int, int]]) -> bytes:
    """Return the entropy-coded bits of planes, unit by unit (A.2.3, F.1.2.1)."""
    if len(factors) == 1:
        factors = [(1, 1)]
    down, across = planes[0].shape[0] // factors[0][1], planes[0].shape[1] // factors[0][0]
    codes = [(0, 2)] + [((16 + n - 1) << 1, 6) for n in range(1, _CATEGORIES)]
    bits: list[str] = []
    before = [0] * len(planes)
    rows = [plane.tolist() for plane in planes]
    for unit_y in range(down):
        for unit_x in range(across):
            for component, (h, v) in enumerate(factors):
                for y in range(unit_y * v, unit_y * v + v):
                    for x in range(unit_x * h, unit_x * h + h):
                        level = rows[component][y][x]
                        difference = level - before[component]
                        before[component] = level
                        bits.append(_symbol(difference, codes))
    text = "".join(bits)
    text += "1" * (-len(text) % 8)
    return int(text, 2).to_bytes(len(text) // 8, "big").replace(b"\xff", b"\xff\0")


def _symbol(difference: int, codes: list[tuple[int, int]]) -> str:
    """Return the bits of one block: category, difference, end of block."""
    category = abs(difference).bit_length()
    code, length = codes[category]
    if not category:
        return "00"
    value = difference if difference > 0 else difference + (1 << category) - 1
    return f"{code >> 1:0{length - 1}b}{value:0{category}b}0"
