"""What of a picture a manifest keeps: a hash of its pixels in one form, and a coarse grid.

Every picture is brought into one form first (`Pixels`), so that a hash means the same whoever decoded it. The grid
says where two pictures differ (lossless codecs: a digest for each block) or whether they look alike (lossy codecs:
the mean colour of each block), which is what a hash cannot.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from spicereplay.codecs.base import Decoded, Mask, PixelArray
from spicereplay.display.cursor import CursorShape
from spicereplay.display.region import Box
from spicereplay.display.surfaces import Surface, WordFormat, to_argb

HASH_BYTES: Final = 8
"""64 bits: among a million pictures the chance that a wrong one passes is one in 10^13 for each."""
_MASK_BYTES: Final = 4
_BLOCK_HASH_BYTES: Final = 2

BLOCK_PX: Final = 32
"""Side of a block of the grid …"""
GRID_MOST: Final = 8
"""… of which there are at most so many a side: beyond 256 pixels blocks grow instead."""

TOLERANCE_PSNR_DB: Final = 34.0
"""Lossy pictures of another library must be at least so like the recorded one, by their grids. FFmpeg's JPEG decoder,
which repeats chroma samples where libjpeg-turbo interpolates them, keeps 38 dB on the recorded desktops; colours of a
wrong matrix or range do not reach 30."""
TOLERANCE_LEVELS: Final = 20
"""No mean of a block may be off by more than so many of 255 levels; small pictures of one sharp edge reach 15."""

Grid = tuple[int, int]
"""Columns and rows of blocks."""


@dataclass(frozen=True, slots=True, eq=False)
class Pixels:
    """A picture in the one form that is hashed, compared and drawn."""

    bgra: PixelArray
    """(height, width, 4) uint8 B, G, R, A: all 0 where unknown; alpha 255 where the picture has none."""
    format: str
    """What the data held: a `PixelFormat`, or a `WordFormat` in lower case for surfaces."""
    alpha: bool
    """Whether the fourth byte means something."""
    unknown: Mask | None = None
    """(height, width) bool, True where the pixel cannot be known; None: all of it is known."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return int(self.bgra.shape[1]), int(self.bgra.shape[0])

    @property
    def channels(self) -> int:
        """How many of the four bytes count in a grid of means."""
        return 4 if self.alpha else 3


def pixels_of(decoded: Decoded) -> Pixels:
    """Return a decoded image or frame in the one form."""
    return plain(decoded.pixels, decoded.format.value, decoded.alpha, decoded.unknown)


def plain(bgra: PixelArray, format: str, alpha: bool, unknown: Mask | None) -> Pixels:
    """Return pixels with what does not count taken out: nothing is shared with `bgra` where it is changed."""
    if unknown is not None and not unknown.any():
        unknown = None
    if unknown is not None or (not alpha and not (bgra[..., 3] == 255).all()):
        bgra = bgra.copy()
        if not alpha:
            bgra[..., 3] = 255
        if unknown is not None:
            bgra[unknown] = 0
    return Pixels(bgra, format, alpha, unknown)


def surface_pixels(surface: Surface, box: Box | None = None) -> Pixels:
    """Return a surface, or what of it lies in `box`, in the one form; the pad byte of xRGB words does not count."""
    box = surface.box if box is None else box.intersect(surface.box)
    if box.empty:
        return Pixels(np.zeros((0, 0, 4), np.uint8), surface.format.name.lower(), False)
    words = np.ascontiguousarray(to_argb(surface.words[box.slices], surface.format), np.uint32)
    bgra = words.view(np.uint8).reshape(box.height, box.width, 4)
    alpha = surface.format in (WordFormat.A888, WordFormat.A8, WordFormat.A1)
    return plain(bgra, surface.format.name.lower(), alpha, surface.unknown_in(box))


def shape_pixels(shape: CursorShape) -> Pixels:
    """Return a cursor's shape in the one form; pixels that invert are white and fully transparent."""
    bgra = np.ascontiguousarray(shape.pixels[..., [2, 1, 0, 3]])
    if shape.inverts is not None:
        bgra[shape.inverts] = (255, 255, 255, 0)
    return Pixels(bgra, "argb", True)


def digest(pixels: Pixels) -> str:
    """Return the hash of a picture in hexadecimal: of its size, format, known pixels, and which those are."""
    width, height = pixels.size
    state = hashlib.blake2b(f"{width}x{height} {pixels.format}\n".encode(), digest_size=HASH_BYTES)
    state.update(np.ascontiguousarray(pixels.bgra).data)
    if pixels.unknown is not None:
        state.update(np.packbits(pixels.unknown).data)
    return state.hexdigest()


def mask_digest(pixels: Pixels) -> str:
    """Return the hash of which pixels are unknown; empty where all are known."""
    if pixels.unknown is None:
        return ""
    return hashlib.blake2b(np.packbits(pixels.unknown).data, digest_size=_MASK_BYTES).hexdigest()


def grid_of(size: tuple[int, int]) -> Grid:
    """Return how many columns and rows of blocks a picture of this width and height has."""
    columns, rows = (min(GRID_MOST, max(1, -(-side // BLOCK_PX))) for side in size)
    return columns, rows


def block_box(size: tuple[int, int], column: int, row: int) -> Box:
    """Return which pixels of a picture one block of its grid has."""
    columns, rows = grid_of(size)
    width, height = size
    return Box(
        column * width // columns, row * height // rows, (column + 1) * width // columns, (row + 1) * height // rows
    )  # fmt: skip


def _blocks(size: tuple[int, int]) -> list[Box]:
    columns, rows = grid_of(size)
    return [block_box(size, column, row) for row in range(rows) for column in range(columns)]


def grid_bytes(size: tuple[int, int], *, means: bool) -> tuple[int, ...]:
    """Return how long a picture's `block_means` (with alpha or without) or `block_digests` can be, if not empty."""
    columns, rows = grid_of(size)
    return tuple(columns * rows * each for each in ((3, 4) if means else (_BLOCK_HASH_BYTES,)))


def block_digests(pixels: Pixels) -> bytes:
    """Return two bytes of hash for each block, row by row; nothing for a picture of a single block."""
    boxes = _blocks(pixels.size)
    if len(boxes) < 2:
        return b""
    return b"".join(
        hashlib.blake2b(
            np.ascontiguousarray(pixels.bgra[box.slices]).data, digest_size=_BLOCK_HASH_BYTES
        ).digest()
        for box in boxes
    )


def differing_blocks(size: tuple[int, int], one: bytes, other: bytes) -> list[Box]:
    """Return the blocks in which two pictures of one size differ, by their `block_digests`."""
    if len(one) != len(other):
        return []
    step = _BLOCK_HASH_BYTES
    return [
        box
        for n, box in enumerate(_blocks(size))
        if one[n * step : (n + 1) * step] != other[n * step : (n + 1) * step]
    ]


def block_means(pixels: Pixels) -> bytes:
    """Return the mean B, G, R (and A where it counts) of each block, row by row, rounded to whole levels."""
    columns, rows = grid_of(pixels.size)
    width, height = pixels.size
    if not width or not height:
        return b""
    count = pixels.channels
    top = [n * height // rows for n in range(rows + 1)]
    left = [n * width // columns for n in range(columns + 1)]
    sums = np.add.reduceat(pixels.bgra[..., :count], top[:-1], axis=0, dtype=np.int64)
    sums = np.add.reduceat(sums, left[:-1], axis=1)
    areas = np.diff(top)[:, None] * np.diff(left)[None, :]
    means = (sums + areas[..., None] // 2) // areas[..., None]
    return bytes(means.astype(np.uint8).tobytes())


@dataclass(frozen=True, slots=True)
class Likeness:
    """How alike two grids of means are."""

    psnr_db: float
    """Peak signal-to-noise ratio of the means; infinite where they are equal."""
    worst_levels: int
    """The largest difference of one mean, of 255."""

    @property
    def within_tolerance(self) -> bool:
        """Whether two libraries that decode the same data may be so far apart."""
        return self.psnr_db >= TOLERANCE_PSNR_DB and self.worst_levels <= TOLERANCE_LEVELS

    def __str__(self) -> str:
        if math.isinf(self.psnr_db):
            return "the same block means"
        return f"block means {self.psnr_db:.1f} dB apart, at most {self.worst_levels} levels"


UNLIKE: Final = Likeness(0.0, 255)


def likeness(one: bytes, other: bytes) -> Likeness:
    """Compare two grids of means; those of different size are as unlike as can be."""
    if len(one) != len(other) or not one:
        return UNLIKE
    apart: npt.NDArray[np.int64] = np.frombuffer(one, np.uint8).astype(np.int64) - np.frombuffer(
        other, np.uint8
    )
    return Likeness(_psnr(float((apart**2).mean())), int(np.abs(apart).max()))


def psnr(one: Pixels, other: Pixels) -> float:
    """Return the peak signal-to-noise ratio of two whole pictures in dB, unknown pixels aside.

    Infinite where they are equal, 0 where their sizes differ.
    """
    if one.size != other.size:
        return 0.0
    count = max(one.channels, other.channels)
    apart = one.bgra[..., :count].astype(np.int32) - other.bgra[..., :count]
    for unknown in (one.unknown, other.unknown):
        if unknown is not None:
            apart[unknown] = 0
    return _psnr(float((apart.astype(np.float64) ** 2).mean()) if apart.size else 0.0)


def _psnr(mean_square: float) -> float:
    return math.inf if mean_square == 0 else max(0.0, 10 * math.log10(255**2 / mean_square))
