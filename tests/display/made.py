"""Surfaces, images and messages made by hand, short to write."""

from __future__ import annotations

import struct

import numpy as np
import numpy.typing as npt

from spicereplay.display.region import Box
from spicereplay.display.surfaces import Picture, Surface, WordFormat, new_surface
from spicereplay.protocol.enums import BitmapFlags, BitmapFormat, ImageType, SurfaceFormat
from spicereplay.protocol.messages import display as m
from spicereplay.protocol.messages import drawing as d
from spicereplay.protocol.messages import geometry as g
from spicereplay.protocol.messages import images as i

X888 = WordFormat.X888


def surface_of(rows: list[list[int]], format: WordFormat = X888) -> Surface:
    """Return surface 0 with these words."""
    surface = new_surface(0, len(rows[0]), len(rows), format, primary=True)
    surface.words[...] = rows
    return surface


def picture_of(
    rows: list[list[int]], format: WordFormat = X888, unknown: list[list[int]] | None = None
) -> Picture:
    mask = None if unknown is None else np.array(unknown, np.bool_)
    return Picture(np.array(rows, format.dtype), format, mask)


def random_surface(seed: int, width: int, height: int, format: WordFormat = X888) -> Surface:
    surface = new_surface(0, width, height, format, primary=True)
    top = 2 if format is WordFormat.A1 else format.bits + 1
    surface.words[...] = np.random.default_rng(seed).integers(0, top, (height, width))
    return surface


def hex_rows(words: npt.NDArray[np.generic]) -> list[list[str]]:
    return [[f"{int(word):x}" for word in row] for row in words]


def rect(left: int, top: int, right: int, bottom: int) -> g.Rect:
    return g.Rect(top=top, left=left, bottom=bottom, right=right)


def clip(*boxes: Box) -> g.Clip:
    """Return a clip of these boxes; without any, one that hides everything."""
    return g.Clip(type=1, rects=tuple(rect(*box) for box in boxes))


NO_CLIP = g.Clip(type=0, rects=None)
NO_MASK = d.QMask(flags=0, pos=g.Point(x=0, y=0), bitmap=None)


def base(
    left: int, top: int, right: int, bottom: int, *, surface: int = 0, clip: g.Clip = NO_CLIP
) -> d.DisplayBase:
    return d.DisplayBase(surface_id=surface, box=rect(left, top, right, bottom), clip=clip)


def solid(color: int) -> d.Brush:
    return d.Brush(type=1, color=color, pattern=None)


def fill(color: int, *box: int, rop: int = 8, surface: int = 0, clip: g.Clip = NO_CLIP) -> m.DrawFill:
    where = base(*box, surface=surface, clip=clip)
    return m.DrawFill(base=where, brush=solid(color), rop_descriptor=rop, mask=NO_MASK)


def image(
    kind: ImageType, data: object, width: int = 1, height: int = 1, *, image_id: int = 7, flags: int = 0
) -> i.Image:
    return i.Image(
        descriptor=i.ImageDescriptor(id=image_id, type=kind, flags=flags, width=width, height=height),
        data=data,
    )


def bitmap(rows: list[list[int]], *, image_id: int = 7, flags: int = 0, alpha: bool = False) -> i.Image:
    """Return a raw 32-bit image of these words, top row first."""
    words = np.array(rows, "<u4")
    height, width = words.shape
    raw = i.Bitmap(
        format=BitmapFormat.FMT_RGBA if alpha else BitmapFormat.FMT_32BIT,
        flags=BitmapFlags.TOP_DOWN,
        x=width,
        y=height,
        stride=width * 4,
        palette_id=None,
        palette=None,
        data=words.tobytes(),
    )
    return image(ImageType.BITMAP, raw, width, height, image_id=image_id, flags=flags)


def from_cache(image_id: int, width: int, height: int, *, lossless: bool = False) -> i.Image:
    kind = ImageType.FROM_CACHE_LOSSLESS if lossless else ImageType.FROM_CACHE
    return image(kind, None, width, height, image_id=image_id)


def of_surface(surface_id: int) -> i.Image:
    return image(ImageType.SURFACE, i.SurfaceImage(surface_id=surface_id))


def copy(
    source: i.Image | None,
    *box: int,
    area: Box | None = None,
    rop: int = 8,
    scale_mode: int = 0,
    surface: int = 0,
    clip: g.Clip = NO_CLIP,
    mask: d.QMask = NO_MASK,
) -> m.DrawCopy:
    """Return a DRAW_COPY of the source's top left part, unless `area` says otherwise."""
    left, top, right, bottom = box
    return m.DrawCopy(
        base=base(*box, surface=surface, clip=clip),
        src_bitmap=source,
        src_area=rect(*(area or Box(0, 0, right - left, bottom - top))),
        rop_descriptor=rop,
        scale_mode=scale_mode,
        mask=mask,
    )


def create(
    surface_id: int,
    width: int,
    height: int,
    format: int = SurfaceFormat.FMT_32_xRGB,
    flags: int | None = None,
) -> m.SurfaceCreate:
    flags = int(surface_id == 0) if flags is None else flags
    return m.SurfaceCreate(surface_id=surface_id, width=width, height=height, format=format, flags=flags)


def glz_literals(image_id: int, words: list[int], width: int, height: int, *, head: int = 0) -> bytes:
    """Return a GLZ image of at most 32 pixels, all of them literals."""
    data = struct.pack(
        ">2IB3IQI", 0x20205A4C, 0x00010001, 8 | 1 << 4, width, height, width * 4, image_id, head
    )
    data += bytes([len(words) - 1])
    return data + b"".join(struct.pack("<I", word)[:3] for word in words)


def glz_copy(image_id: int, distance: int, count: int, width: int, height: int) -> bytes:
    """Return a GLZ image whose `count` pixels (at most 6) come from the start of image `image_id - distance`."""
    data = struct.pack(
        ">2IB3IQI", 0x20205A4C, 0x00010001, 8 | 1 << 4, width, height, width * 4, image_id, distance
    )
    # length - 1 in the top three bits, short form, pixel offset 0; then the image distance in the low six bits
    return data + bytes([count << 5, 0, distance])
