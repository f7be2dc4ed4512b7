"""Pictures as blocks of one colour, and how the codecs carry these.

What a block shows is its mean, or of numbers of colours the one that is there most often; how the picture looked inside
it is gone. A picture of blocks is rows that repeat, which LZ, GLZ and QUIC say in a few tokens, and JPEG in its DC
coefficients. Where even these are too many bytes the blocks are made larger.
Source: spice-wire.md 9.1, 9.2; ITU-T T.81 Annex F.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from spicereplay.redact.encode_lz import glz_back, glz_tokens, lz_back, lz_tokens

SIDE: Final = 32
"""Width and height of the smallest block, px."""
NARROW: Final = SIDE // 2
"""Of pictures that are narrower or lower the commonest colours are shown: means would tell letters apart."""
NARROWEST: Final = 8
"""Pictures that are narrower or lower still show nothing: side by side, they would show what blocks hide."""
OPAQUE: Final = 0xFF000000
Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Mosaic:
    """A picture of blocks."""

    blocks: Bytes
    """(blocks high, blocks wide, 3) uint8 B, G, R, top row first; of a plane of numbers (…, 1)."""
    width: int
    height: int
    side: int = SIDE
    """Width and height of a block, px; those at the right and at the bottom may be smaller."""

    def painted(self) -> Bytes:
        """Return the picture as (height, width, channels) uint8."""
        picture: Bytes = self.blocks.repeat(self.side, axis=0)[: self.height]
        return picture.repeat(self.side, axis=1)[:, : self.width]

    def words(self) -> npt.NDArray[np.uint32]:
        """Return the picture as (height, width) uint32 0xFFRRGGBB."""
        small = self.blocks.astype(np.uint32)
        colours = small[..., 2] << 16 | small[..., 1] << 8 | small[..., 0] | np.uint32(OPAQUE)
        rows = colours.astype(np.uint32).repeat(self.side, axis=0)[: self.height]
        return rows.repeat(self.side, axis=1)[:, : self.width]

    def coarser(self) -> Mosaic:
        """Return the same picture in blocks twice as wide and high."""
        high, wide = self.blocks.shape[:2]
        whole = np.pad(self.blocks, ((0, high % 2), (0, wide % 2), (0, 0)), "edge").astype(np.uint16)
        if self.blocks.shape[2] == 1:  # numbers of colours have no mean
            merged = whole[::2, ::2]
        else:
            merged = (whole[::2, ::2] + whole[1::2, ::2] + whole[::2, 1::2] + whole[1::2, 1::2]) // 4
        return Mosaic(merged.astype(np.uint8), self.width, self.height, 2 * self.side)

    def sizes(self) -> Iterator[Mosaic]:
        """Yield the picture in blocks of all sizes, the smallest first, the last one of one colour."""
        mosaic = self
        yield mosaic
        while mosaic.blocks.size > mosaic.blocks.shape[2]:
            mosaic = mosaic.coarser()
            yield mosaic


def mosaic_of(pixels: Bytes) -> Mosaic:
    """Return a picture, (height, width, 4) uint8 B, G, R, A, top row first, in blocks of their means.

    A narrow picture is in blocks of the colours that are there most often: those of what letters stand on.
    """
    height, width = pixels.shape[:2]
    if min(height, width) < NARROW:
        return _of_commonest(pixels)
    down, across = np.arange(0, height, SIDE), np.arange(0, width, SIDE)
    sums = np.add.reduceat(pixels[..., :3], down, axis=0, dtype=np.uint32)
    sums = np.add.reduceat(sums, across, axis=1)
    high, wide = np.diff(np.append(down, height)), np.diff(np.append(across, width))
    means = (sums // (high[:, None] * wide[None, :])[..., None]).astype(np.uint8)
    return Mosaic(means, width, height)


def commonest(numbers: Bytes) -> Mosaic:
    """Return a plane of numbers, (height, width) uint8, in blocks of those that are there most often."""
    height, width = numbers.shape
    blocks = [
        [np.bincount(numbers[y : y + SIDE, x : x + SIDE].ravel()).argmax() for x in range(0, width, SIDE)]
        for y in range(0, height, SIDE)
    ]
    return Mosaic(np.array(blocks, np.uint8)[..., None], width, height)


def _of_commonest(pixels: Bytes) -> Mosaic:
    height, width = pixels.shape[:2]
    words = np.ascontiguousarray(pixels).view(np.uint32)[..., 0] & 0xFFFFFF
    blocks = np.empty((-(-height // SIDE), -(-width // SIDE)), np.uint32)
    for y, x in np.ndindex(blocks.shape):
        part = words[y * SIDE : (y + 1) * SIDE, x * SIDE : (x + 1) * SIDE]
        colours, counts = np.unique(part, return_counts=True)
        blocks[y, x] = colours[counts.argmax()]
    return Mosaic(blocks.view(np.uint8).reshape(*blocks.shape, 4)[..., :3].copy(), width, height)


def tokens(mosaic: Mosaic, *, top_down: bool, rgb16: bool, glz: bool) -> bytes:
    """Return the LZ or GLZ tokens of a picture of blocks, its rows in the order in which the stream has them."""
    size = 2 if rgb16 else 3
    bias = (1 if rgb16 else 0) + (0 if glz else 1)
    blocks, width, side = mosaic.blocks, mosaic.width, mosaic.side
    rows = [min(side, mosaic.height - y) for y in range(0, mosaic.height, side)]
    order = range(len(rows)) if top_down else range(len(rows) - 1, -1, -1)
    run, back = (glz_tokens, glz_back) if glz else (lz_tokens, lz_back)
    out = bytearray()
    for y in order:
        row = b"".join(
            run(min(side, width - side * x), _unit(blocks[y, x], size), bias) for x in range(blocks.shape[1])
        )
        out += row
        rest = (rows[y] - 1) * width
        if rest > bias:
            out += back(rest, width, bias)
        else:
            out += row * (rows[y] - 1)
    return bytes(out)


def _unit(colour: Bytes, size: int) -> bytes:
    if size == 3:
        return colour.tobytes()
    blue, green, red = (int(value) >> 3 for value in colour)
    return (red << 10 | green << 5 | blue).to_bytes(2, "big")


def units_of(mosaic: Mosaic, *, top_down: bool, rgb16: bool) -> bytes:
    """Return all literals of a picture of blocks one after the other, rows in the order of the stream."""
    picture = mosaic.painted()
    picture = picture if top_down else picture[::-1]
    return _rgb16(picture).astype(">u2").tobytes() if rgb16 else picture.tobytes()


def plane_tokens(rows: Bytes) -> bytes:
    """Return the LZ tokens of rows of bytes, (height, stride) uint8, rows and bytes that repeat said once."""
    bias, stride = 3, rows.shape[1]
    changed = np.flatnonzero((rows[1:] != rows[:-1]).any(axis=1)) + 1
    out = bytearray()
    for start, stop in zip([0, *changed.tolist()], [*changed.tolist(), len(rows)], strict=True):
        out += _row_tokens(rows[start], bias)
        rest = (stop - start - 1) * stride
        if rest > bias and stride <= _FARTHEST:
            out += lz_back(rest, stride, bias)
        else:
            out += _row_tokens(rows[start], bias) * (stop - start - 1)
    return bytes(out)


_FARTHEST: Final = 1 << 16
"""Units that an LZ copy can lie back, at least. Source: spice-wire.md 9.1."""


def _row_tokens(row: Bytes, bias: int) -> bytes:
    edges = np.flatnonzero(row[1:] != row[:-1]) + 1
    starts = np.concatenate(([0], edges, [len(row)]))
    return b"".join(
        lz_tokens(int(count), bytes([row[at]]), bias)
        for at, count in zip(starts.tolist(), np.diff(starts).tolist(), strict=False)
    )


def raw_rows(mosaic: Mosaic, bits: int) -> Bytes | None:
    """Return rows of raw pixels of 16, 24 or 32 bits, not padded, top row first; None for other depths."""
    picture = mosaic.painted()
    if bits == 24:
        return picture.reshape(mosaic.height, -1)
    if bits == 32:
        return np.ascontiguousarray(mosaic.words()).astype("<u4").view(np.uint8).reshape(mosaic.height, -1)
    if bits == 16:
        return np.ascontiguousarray(_rgb16(picture)).astype("<u2").view(np.uint8).reshape(mosaic.height, -1)
    return None


def _rgb16(picture: Bytes) -> npt.NDArray[np.uint16]:
    blue, green, red = (picture[..., i].astype(np.uint16) >> 3 for i in range(3))
    return (red << 10 | green << 5 | blue).astype(np.uint16)


def index_rows(mosaic: Mosaic, bits: int, most_significant_first: bool) -> Bytes:
    """Return rows of 1-, 4- or 8-bit numbers of colours, not padded, top row first.

    `most_significant_first`: the leftmost pixel in the highest bits of its byte.
    """
    numbers = mosaic.painted()[..., 0]
    if bits == 8:
        return numbers
    if bits == 1:
        return np.packbits(numbers, axis=1, bitorder="big" if most_significant_first else "little")
    even = np.pad(numbers, ((0, 0), (0, mosaic.width % 2)))
    first, second = (even[:, ::2], even[:, 1::2]) if most_significant_first else (even[:, 1::2], even[:, ::2])
    return (first << 4 | second & 15).astype(np.uint8)
