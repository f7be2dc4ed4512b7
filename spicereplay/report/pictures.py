"""Screenshots made small enough for the page.

A picture goes in as it is where it fits; otherwise it loses size, then colours, and its caption says so.
The bytes may come from a bug report, so the header is held against the limits before anything is decoded.
"""

from __future__ import annotations

import base64
import io
import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from markupsafe import Markup
from PIL import Image

from spicereplay.limits import DEFAULT_LIMITS
from spicereplay.units import KIB

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spicereplay.limits import Limits

PICTURES: Final = 12
"""Screenshots on one page."""

BUDGET_BYTES: Final = 1536 * KIB
"""PNG bytes of all screenshots of a page together, before base64 adds a third."""

_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_WIDTHS: Final = (1280, 960, 640, 400)
_COLOURS: Final = 256


@dataclass(frozen=True, slots=True)
class Picture:
    """One figure: `uri` is empty where nothing can be shown; `note` says why, or what was done to it."""

    caption: str
    uri: Markup
    width: int
    height: int
    note: str


def pictures(
    screenshots: Sequence[tuple[str, bytes, int, int]], limits: Limits = DEFAULT_LIMITS
) -> tuple[list[Picture], int]:
    """Return the screenshots as data URIs and how many were left out.

    `screenshots` holds `(caption, PNG bytes, width, height)`, sizes in pixels of what the picture shows.
    """
    kept = screenshots[:PICTURES]
    each = BUDGET_BYTES // max(len(kept), 1)
    return [_picture(*shot, each, limits) for shot in kept], len(screenshots) - len(kept)


def _picture(caption: str, png: bytes, width: int, height: int, budget: int, limits: Limits) -> Picture:
    def without(reason: str) -> Picture:
        return Picture(caption, Markup(), width, height, reason)

    if png[:8] != _SIGNATURE or png[12:16] != b"IHDR" or len(png) < 24:
        return without("The picture is not a PNG file and is left out.")
    real_width, real_height = struct.unpack(">II", png[16:24])
    if (
        not 0 < real_width * real_height <= limits.image_pixels
        or max(real_width, real_height) > limits.image_side_px
    ):
        return without(f"The picture says it is {real_width:,}×{real_height:,} px, which is over the limit.")
    try:
        with Image.open(io.BytesIO(png), formats=["PNG"]) as opened:
            image = opened.convert("RGBA" if opened.mode in ("RGBA", "LA", "PA") else "RGB")
    # Pillow's ways of saying that a PNG is damaged, zlib's included.
    except (OSError, SyntaxError, ValueError, struct.error, zlib.error) as damage:
        return without(f"The picture could not be read: {damage}.")
    if len(png) <= budget and image.width <= _WIDTHS[0]:
        return Picture(caption, _uri(png), image.width, image.height, "")
    small, note = _fitted(image, budget)
    return Picture(caption, _uri(small), image.width, image.height, note)


def _fitted(image: Image.Image, budget: int) -> tuple[bytes, str]:
    """Return `image` as a PNG of at most `budget` bytes, or the smallest tried, and what was done."""
    full = f"{image.width:,}×{image.height:,} px"
    encoded, note = b"", ""
    for width in _WIDTHS:
        scaled = image
        if image.width > width:
            scaled = image.resize(
                (width, max(round(image.height * width / image.width), 1)), Image.Resampling.BOX
            )
        shrunk = "" if scaled is image else f"scaled to {scaled.width:,}×{scaled.height:,} px"
        for colours in ("", f"reduced to {_COLOURS} colours"):
            picture = (
                scaled.convert("RGB").quantize(_COLOURS, Image.Quantize.FASTOCTREE) if colours else scaled
            )
            out = io.BytesIO()
            picture.save(out, "PNG")
            encoded = out.getvalue()
            done = " and ".join(step for step in (shrunk, colours) if step)
            note = f"{full}, {done} for this page" if done else ""
            if len(encoded) <= budget:
                return encoded, note
    return encoded, note


def _uri(png: bytes) -> Markup:
    return Markup("data:image/png;base64,") + base64.b64encode(png).decode("ascii")
