"""Pictures of the kinds that desktops show, made from numbers."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
CONTENTS: Final = ("photo", "text", "synthetic", "noise")


def picture(content: str, width: int, height: int) -> Pixels:
    """Return (height, width, 4) pixels: B, G, R, 255."""
    colours = {"photo": photo, "text": text, "synthetic": synthetic, "noise": noise}[content](width, height)
    pixels = np.full((height, width, 4), 255, np.uint8)
    pixels[:, :, :3] = colours
    return pixels


def photo(width: int, height: int) -> Pixels:
    """Soft shapes of every size, and a camera's grain."""
    chance = np.random.default_rng(1)
    total = np.full((height, width, 3), 128.0)
    for size in (256, 64, 16, 4):
        corners = chance.normal(0, size**0.65, (height // size + 2, width // size + 2, 3))
        rows, row = np.divmod(np.arange(height) / size, 1)
        columns, column = np.divmod(np.arange(width) / size, 1)
        y, x = rows.astype(int)[:, None], columns.astype(int)
        down, right = row[:, None, None], column[:, None]
        upper = corners[y, x] * (1 - right) + corners[y, x + 1] * right
        lower = corners[y + 1, x] * (1 - right) + corners[y + 1, x + 1] * right
        total += upper * (1 - down) + lower * down
    return np.clip(total + chance.normal(0, 2, total.shape), 0, 255).astype(np.uint8)


def text(width: int, height: int) -> Pixels:
    """Lines of glyphs with softened edges, black on white."""
    chance = np.random.default_rng(2)
    across, down = 8, 16
    glyphs = np.full((64, down, across), 255)
    glyphs[:, 3:13, 1:7] = chance.choice((0, 0, 96, 255, 255, 255), (64, 10, 6))
    glyphs[0] = 255
    lines, columns = -(-height // down), -(-width // across)
    chosen = chance.integers(0, 64, (lines, columns)) * (chance.random((lines, columns)) > 0.15)
    chosen[np.arange(columns) > chance.integers(columns // 3, columns + 1, (lines, 1))] = 0
    page = glyphs[chosen].transpose(0, 2, 1, 3).reshape(lines * down, columns * across)
    return np.repeat(page[:height, :width, None], 3, axis=2).astype(np.uint8)


def synthetic(width: int, height: int) -> Pixels:
    """Windows with frames and titles on a background that fades; every third fades as well, from left to right."""
    chance = np.random.default_rng(3)
    page = np.zeros((height, width, 3), np.uint8)
    page[:] = np.linspace(40, 120, height).astype(np.uint8)[:, None, None]
    for number in range(40):
        x, y = int(chance.integers(0, width)), int(chance.integers(0, height))
        window = page[y : y + int(chance.integers(40, 500)), x : x + int(chance.integers(60, 800))]
        window[:] = 90
        window[2:-2, 2:-2] = chance.integers(0, 256, 3)
        if number % 3 == 0:
            window[2:-2] = np.linspace(60, 230, window.shape[1]).astype(np.uint8)[:, None]
        window[2:20, 2:-2] = (180, 120, 60)
    return page


def noise(width: int, height: int) -> Pixels:
    """Nothing that can be compressed."""
    return np.random.default_rng(4).integers(0, 256, (height, width, 3), np.uint8)
