"""What a surface shows, as messages that draw just that.

Tile by tile, each as the smallest raw form that keeps every bit of its words: one colour, palette indices, or words.
What is unknown is not drawn.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt

from spicereplay.display.region import Box, Mask
from spicereplay.display.surfaces import Surface, WordFormat, Words, to_argb
from spicereplay.protocol.enums import (
    BitmapFlags,
    BitmapFormat,
    BrushType,
    ClipType,
    ImageFlags,
    ImageType,
    RopDescriptor,
)
from spicereplay.protocol.messages import display as messages
from spicereplay.protocol.messages.drawing import Brush, DisplayBase, QMask
from spicereplay.protocol.messages.geometry import Clip, Point, Rect
from spicereplay.protocol.messages.images import Bitmap, Image, ImageDescriptor, Palette

TILE_PX: Final = 256
"""Side of a tile: few enough messages, and many a tile of a desktop has no more colours than a palette."""
_PALETTE: Final = 256
_PAD: Final = np.uint32(0xFF000000)
_NO_MASK: Final = QMask(flags=0, pos=Point(x=0, y=0), bitmap=None)

Draw = messages.DrawCopy | messages.DrawFill


def redraw(surface: Surface) -> Iterator[Draw]:
    """Yield messages that draw the known part of a surface.

    The first one for a surface whose creation is not in the recording draws nothing; from its box readers conclude
    how large the surface is.
    """
    if surface.inferred:
        yield _fill(surface, surface.box, 0, [])
    for top in range(0, surface.box.bottom, TILE_PX):
        for left in range(0, surface.box.right, TILE_PX):
            box = Box(left, top, left + TILE_PX, top + TILE_PX).intersect(surface.box)
            unknown = surface.unknown_in(box)
            if unknown is None or not unknown.all():
                yield _tile(surface, box, unknown)


def _tile(surface: Surface, box: Box, unknown: Mask | None) -> Draw:
    words = surface.read(box)
    clip = None if unknown is None or not unknown.any() else rectangles(~unknown, box)
    # The words below what is unknown are drawn nowhere: let them not cost colours.
    shown = words if clip is None or unknown is None else np.where(unknown, words[~unknown][0], words)
    colours = np.unique(shown)
    if len(colours) == 1:
        return _fill(surface, box, int(colours[0]), clip)
    return messages.DrawCopy(
        base=_base(surface, box, clip),
        src_bitmap=_image(shown, surface.format, colours),
        src_area=Rect(top=0, left=0, bottom=box.height, right=box.width),
        rop_descriptor=RopDescriptor.OP_PUT,
        scale_mode=0,
        mask=_NO_MASK,
    )


def _fill(surface: Surface, box: Box, color: int, clip: list[Box] | None) -> messages.DrawFill:
    return messages.DrawFill(
        base=_base(surface, box, clip),
        brush=Brush(type=BrushType.SOLID, color=color, pattern=None),
        rop_descriptor=RopDescriptor.OP_PUT,
        mask=_NO_MASK,
    )


def _base(surface: Surface, box: Box, clip: list[Box] | None) -> DisplayBase:
    rects = None if clip is None else tuple(_rect(part) for part in clip)
    kind = ClipType.NONE if clip is None else ClipType.RECTS
    return DisplayBase(surface_id=surface.surface_id, box=_rect(box), clip=Clip(type=kind, rects=rects))


def _rect(box: Box) -> Rect:
    return Rect(top=box.top, left=box.left, bottom=box.bottom, right=box.right)


def _image(words: Words, format: WordFormat, colours: Words) -> Image:
    """Return words of a surface as a raw image from which a canvas gets the same words again.

    32-bit words go through as they are, whatever their pad byte; with palettes that byte is 0 or, by a flag, 255.
    Other formats go through the conversion that made them. Source: `spicereplay.display.images.picture_of`.
    """
    if format in (WordFormat.A8, WordFormat.A1):
        alpha = (to_argb(words, format) >> 24).astype(np.uint8)
        return _bitmap(alpha, BitmapFormat.FMT_8BIT_A)
    if format is not WordFormat.X888 or len(colours) > _PALETTE:
        return _bitmap(np.ascontiguousarray(to_argb32(words, format)), BitmapFormat.FMT_RGBA)
    pads = np.unique(colours & _PAD)
    if len(pads) > 1 or int(pads[0]) not in (0, int(_PAD)):
        return _bitmap(np.ascontiguousarray(words), BitmapFormat.FMT_RGBA)
    indices = np.searchsorted(colours, words).astype(np.uint8)
    palette = Palette(unique=0, ents=tuple(int(c) for c in colours & ~_PAD))
    flags = int(ImageFlags.HIGH_BITS_SET) if pads[0] else 0
    if len(colours) > 16:
        return _bitmap(indices, BitmapFormat.FMT_8BIT, palette, flags)
    padded = np.pad(indices, ((0, 0), (0, indices.shape[1] % 2)))
    packed = (padded[:, ::2] << 4 | padded[:, 1::2]).astype(np.uint8)
    return _bitmap(packed, BitmapFormat.FMT_4BIT_BE, palette, flags, width=words.shape[1])


def to_argb32(words: Words, format: WordFormat) -> npt.NDArray[np.uint32]:
    """Return words as 32-bit ones: those of 32-bit formats unchanged, others as opaque ARGB."""
    return words if words.dtype.itemsize == 4 else to_argb(words, format)


def _bitmap(
    rows: npt.NDArray[np.uint8] | npt.NDArray[np.uint32],
    format: BitmapFormat,
    palette: Palette | None = None,
    flags: int = 0,
    width: int | None = None,
) -> Image:
    width = rows.shape[1] if width is None else width
    raw = Bitmap(
        format=format,
        flags=BitmapFlags.TOP_DOWN,
        x=width,
        y=rows.shape[0],
        stride=rows.shape[1] * rows.itemsize,
        palette_id=None,
        palette=palette,
        data=rows.tobytes(),
    )
    descriptor = ImageDescriptor(id=0, type=ImageType.BITMAP, flags=flags, width=width, height=rows.shape[0])
    return Image(descriptor=descriptor, data=raw)


def rectangles(shown: Mask, box: Box) -> list[Box]:
    """Return boxes that cover just where `shown`, of the size of `box`, is true; none of them over another."""
    found: list[Box] = []
    open_runs: dict[tuple[int, int], int] = {}
    for row in range(len(shown) + 1):
        runs: set[tuple[int, int]] = set()
        if row < len(shown):
            edges = np.flatnonzero(np.diff(np.concatenate(([0], shown[row].astype(np.int8), [0]))))
            runs = {(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)}
        for run in [run for run in open_runs if run not in runs]:
            left, right = run
            found.append(Box(box.left + left, box.top + open_runs.pop(run), box.left + right, box.top + row))
        for run in runs:
            open_runs.setdefault(run, row)
    return found
