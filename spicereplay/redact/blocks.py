"""Pictures as blocks of one colour, and how the codecs carry these.

What a block shows is its mean; how the picture looked inside it is gone. A picture of blocks is rows that repeat, which
LZ and GLZ say in a few tokens, and JPEG in its DC coefficients.
Source: spice-wire.md 9.1, 9.2; ITU-T T.81 Annex F.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from spicereplay.redact.encode_lz import glz_back, glz_tokens, lz_back, lz_tokens

SIDE: Final = 32
"""Width and height of a block, px."""
Blocks = npt.NDArray[np.uint8]
"""(blocks high, blocks wide, 3) uint8 B, G, R, top row first."""


def blocks_of(pixels: npt.NDArray[np.uint8]) -> Blocks:
    """Return the means of the blocks of a picture: (height, width, 4) uint8 B, G, R, A, top row first."""
    height, width = pixels.shape[:2]
    down, across = np.arange(0, height, SIDE), np.arange(0, width, SIDE)
    sums = np.add.reduceat(pixels[..., :3].astype(np.uint32), down, axis=0)
    sums = np.add.reduceat(sums, across, axis=1)
    high, wide = np.diff(np.append(down, height)), np.diff(np.append(across, width))
    means: Blocks = (sums // (high[:, None] * wide[None, :])[..., None]).astype(np.uint8)
    return means


def painted(blocks: Blocks, width: int, height: int) -> npt.NDArray[np.uint8]:
    """Return the picture of blocks as (height, width, 3) uint8 B, G, R."""
    picture: npt.NDArray[np.uint8] = blocks.repeat(SIDE, axis=0)[:height].repeat(SIDE, axis=1)[:, :width]
    return picture


def tokens(blocks: Blocks, width: int, height: int, *, top_down: bool, rgb16: bool, glz: bool) -> bytes:
    """Return the LZ or GLZ tokens of a picture of blocks, its rows in the order in which the stream has them."""
    size = 2 if rgb16 else 3
    bias = (1 if rgb16 else 0) + (0 if glz else 1)
    rows = [min(SIDE, height - y) for y in range(0, height, SIDE)]
    order = range(len(rows)) if top_down else range(len(rows) - 1, -1, -1)
    run, back = (glz_tokens, glz_back) if glz else (lz_tokens, lz_back)
    out = bytearray()
    for y in order:
        row = b"".join(
            run(min(SIDE, width - SIDE * x), _unit(blocks[y, x], size), bias) for x in range(blocks.shape[1])
        )
        out += row
        rest = (rows[y] - 1) * width
        if rest > bias:
            out += back(rest, width, bias)
        else:
            out += row * (rows[y] - 1)
    return bytes(out)


def _unit(colour: Blocks, size: int) -> bytes:
    if size == 3:
        return colour.tobytes()
    blue, green, red = (int(value) >> 3 for value in colour)
    return (red << 10 | green << 5 | blue).to_bytes(2, "big")


def units_of(blocks: Blocks, width: int, height: int, *, top_down: bool, rgb16: bool) -> bytes:
    """Return all literals of a picture of blocks one after the other, rows in the order of the stream."""
    picture = painted(blocks, width, height)
    picture = picture if top_down else picture[::-1]
    if not rgb16:
        return picture.tobytes()
    blue, green, red = (picture[..., i].astype(np.uint16) >> 3 for i in range(3))
    return (red << 10 | green << 5 | blue).astype(">u2").tobytes()


def raw_rows(blocks: Blocks, width: int, height: int, bits: int) -> npt.NDArray[np.uint8] | None:
    """Return rows of raw pixels of 16, 24 or 32 bits, not padded, top row first; None for other depths."""
    picture = painted(blocks, width, height)
    if bits == 24:
        return picture.reshape(height, -1)
    if bits == 32:
        alpha = np.full((height, width, 1), 255, np.uint8)
        return np.concatenate((picture, alpha), axis=2).reshape(height, -1)
    if bits == 16:
        blue, green, red = (picture[..., i].astype(np.uint16) >> 3 for i in range(3))
        words = (red << 10 | green << 5 | blue).astype("<u2")
        return np.ascontiguousarray(words).view(np.uint8).reshape(height, -1)
    return None
