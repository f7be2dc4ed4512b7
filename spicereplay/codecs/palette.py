"""Palette indices to colours.

Source: spice-wire.md 8.1 (formats, bit order, palettes) and 9.1 (4-bit indices wrap around the palette).
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt

from spicereplay.codecs.base import PixelArray

Palette = npt.NDArray[np.uint32]
"""Colours as 0x00RRGGBB, one word each; see `palette_of`."""

OPAQUE: Final = np.uint32(0xFF000000)


def palette_of(entries: Iterable[int] | Palette, *, rgb16: bool = False) -> Palette:
    """Return the entries of a SPICE palette as a `Palette`.

    `rgb16`: the entries are x1r5g5b5, as palettes are that go with a 16-bit surface.
    """
    words = np.array(entries if isinstance(entries, np.ndarray) else list(entries), np.uint32)
    return expand_rgb16(words) if rgb16 else words & np.uint32(0x00FFFFFF)


def expand_rgb16(values: npt.NDArray[np.integer]) -> npt.NDArray[np.uint32]:
    """Return x1r5g5b5 values as 0x00RRGGBB: v8 = v5 << 3 | v5 >> 2; bit 15 is ignored.

    Source: spice-wire.md 8.1.
    """
    words: npt.NDArray[np.uint32] = _rgb16_colours()[values & 0x7FFF]
    return words


@cache
def _rgb16_colours() -> Palette:
    eight = [five << 3 | five >> 2 for five in range(32)]
    return np.array([r << 16 | g << 8 | b for r in eight for g in eight for b in eight], np.uint32)


def indices(
    rows: npt.NDArray[np.uint8], width: int, bits: int, most_significant_first: bool
) -> npt.NDArray[np.uint8]:
    """Unpack rows of 1-, 4- or 8-bit indices.

    `rows` is (height, stride) uint8 with stride * 8 at least width * bits; the result (height, width) uint8.
    `most_significant_first` is what SPICE calls BE: the leftmost pixel in the highest bits of its byte.
    """
    if bits == 8:
        return rows[:, :width]
    used = rows[:, : (width * bits + 7) // 8]
    if bits == 1:
        return np.unpackbits(
            used, axis=1, count=width, bitorder="big" if most_significant_first else "little"
        )
    pairs = np.stack((used >> 4, used & 15) if most_significant_first else (used & 15, used >> 4), axis=-1)
    return pairs.reshape(len(used), -1)[:, :width]


def paint(numbers: npt.NDArray[np.uint8], palette: Palette, bits: int) -> tuple[PixelArray, int]:
    """Return the colours of palette indices as opaque pixels, and how many indices lie outside the palette.

    4-bit indices are taken modulo the palette's length, as spice-gtk does, so none lies outside. Those
    outside become black; with an empty palette that is all of them.
    Source: spice-common common/lz_decompress_tmpl.c (the modulo).
    """
    table = np.zeros(256, np.uint32)
    known = min(len(palette), 256)
    table[:known] = palette[:known]
    if bits == 4 and 0 < known < 16:
        table[:16] = table[np.arange(16) % known]
        known = 16
    outside = 0 if known >= 1 << bits else int(np.count_nonzero(numbers >= known))
    words = (table | OPAQUE)[numbers]
    return words.view(np.uint8).reshape(*numbers.shape, 4), outside
