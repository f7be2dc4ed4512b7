"""The picture of a screen at one moment, with what of it cannot be known."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from spicereplay.display.cursor import CursorState
from spicereplay.display.model import Screen
from spicereplay.display.region import Box
from spicereplay.markup import cell
from spicereplay.text import LONGEST_TEXT

RgbaPixels = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]

SHOWN_WIDTH_PX: Final = 1280
"""A notebook shows a wider picture smaller."""
SQUARE_PX: Final = 8
"""Side of a square of the checkerboard that stands for what is unknown."""
_LIGHT: Final = 204
_DARK: Final = 153


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """What one screen, monitor or surface shows at one moment. Shows itself in a notebook."""

    pixels: RgbaPixels
    """(height, width, 4) uint8 R, G, B, A. Alpha is 255 where the pixel is known and 0 where it is not; there the
    colours are a checkerboard, so that programs without transparency do not show it as black."""
    unknown: Mask
    """(height, width) bool, True where the pixel cannot be known from what was recorded."""
    time_s: float
    """Seconds since the capture's first packet."""
    session: int
    channel_id: int
    surface_id: int
    why: tuple[str, ...] = ()
    """What went wrong up to then, in words; empty where nothing is unknown."""

    @property
    def unknown_pixels(self) -> int:
        """How many pixels are unknown."""
        return int(np.count_nonzero(self.unknown))

    @property
    def unknown_box(self) -> Box | None:
        """The smallest box around all unknown pixels; None where there are none."""
        rows, columns = np.flatnonzero(self.unknown.any(axis=1)), np.flatnonzero(self.unknown.any(axis=0))
        if not len(rows):
            return None
        return Box(int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)

    def png(self) -> bytes:
        """Return it as a PNG file, RGBA."""
        from PIL import Image

        out = io.BytesIO()
        Image.fromarray(self.pixels, "RGBA").save(out, "PNG", compress_level=3)
        return out.getvalue()

    def _repr_png_(self) -> bytes:
        return self.png()

    def _repr_html_(self) -> str:
        """Show it without transparency, so that the unknown part is seen, and say what that part is."""
        from PIL import Image

        height, width = self.unknown.shape
        image = Image.fromarray(self.pixels[..., :3])
        scaled = ""
        if width > SHOWN_WIDTH_PX:
            image = image.resize((SHOWN_WIDTH_PX, max(height * SHOWN_WIDTH_PX // width, 1)))
            scaled = f", shown {SHOWN_WIDTH_PX:,} px wide"
        out = io.BytesIO()
        image.save(out, "PNG", optimize=True)
        data = base64.b64encode(out.getvalue()).decode("ascii")
        words = f"{width:,}×{height:,} px at {self.time_s:.3f} s{scaled}"
        if self.unknown_pixels:
            share = self.unknown_pixels / self.unknown.size
            reasons = f": {'; '.join(self.why)}" if self.why else ""
            words += f". Unknown, the checkerboard: {self.unknown_pixels:,} px, {share:.1%}{reasons}"
        return (
            f'<figure style="margin:0"><img style="max-width:100%" alt="{cell(repr(self))}" '
            f'src="data:image/png;base64,{data}"><figcaption>{cell(words, LONGEST_TEXT)}</figcaption></figure>'
        )

    def _ipython_display_(self) -> None:
        # A notebook asked for all forms would keep the PNG a second time beside the page with its caption.
        from IPython.display import display

        display({"text/html": self._repr_html_(), "text/plain": repr(self)}, raw=True)

    def __repr__(self) -> str:
        height, width = self.unknown.shape
        known = "" if not self.unknown_pixels else f", {self.unknown_pixels} px unknown"
        return f"<Picture {width}×{height} px at {self.time_s:.3f} s{known}>"


def checkerboard(height: int, width: int) -> npt.NDArray[np.uint8]:
    """Return the grey levels of a checkerboard, (height, width) uint8."""
    rows, columns = np.arange(height) // SQUARE_PX, np.arange(width) // SQUARE_PX
    odd = (rows[:, None] + columns[None, :]) & 1
    return np.where(odd != 0, np.uint8(_DARK), np.uint8(_LIGHT))


def opaque(screen: Screen, cursor: CursorState | None = None) -> RgbaPixels:
    """Return a screen as R, G, B, A with the checkerboard where it is unknown, and the cursor if one is given.

    Alpha is 255 everywhere. A surface that has alpha alone is shown as grey levels.
    """
    pixels = screen.pixels.copy()
    if not screen.primary and not pixels[..., :3].any():
        pixels[..., :3] = pixels[..., 3:]
    pixels[..., 3] = 255
    if screen.unknown.any():
        board = checkerboard(*screen.unknown.shape)
        pixels[screen.unknown, :3] = board[screen.unknown][:, None]
    if cursor is not None:
        draw_cursor(pixels, cursor, screen.origin)
    return pixels


def draw_cursor(pixels: RgbaPixels, cursor: CursorState, origin: tuple[int, int] = (0, 0)) -> None:
    """Draw a visible cursor into a picture whose first pixel is the surface's pixel `origin`.

    Colours of the shape are premultiplied; where it inverts, so do the picture's colours.
    """
    shape = cursor.shape
    if shape is None or not cursor.visible:
        return
    height, width = shape.pixels.shape[:2]
    left, top = cursor.x - shape.hot_x - origin[0], cursor.y - shape.hot_y - origin[1]
    box = Box(left, top, left + width, top + height).intersect(Box(0, 0, pixels.shape[1], pixels.shape[0]))
    if box.empty:
        return
    inside = box.shift(-left, -top).slices
    under, over = pixels[box.slices], shape.pixels[inside].astype(np.uint16)
    kept = under[..., :3] * (255 - over[..., 3:]) + 127
    under[..., :3] = np.minimum(over[..., :3] + kept // 255, 255)
    if shape.inverts is not None:
        inverts = shape.inverts[inside]
        under[inverts, :3] = 255 - under[inverts, :3]
