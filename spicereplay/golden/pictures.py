"""Pictures of a difference: what was expected, what came, and where they differ.

A manifest holds no pixels, so there are three kinds of expected picture: the true one, from another build or because
our own decoder made the recorded one while another program's is judged; for lossy codecs the block means of the
manifest, which are coarse; for lossless codecs none, and only the blocks that differ can be shown.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from spicereplay.codecs.base import Mask
from spicereplay.display.region import Box
from spicereplay.golden.digest import Pixels, block_box, block_digests, block_means, differing_blocks, grid_of
from spicereplay.golden.manifest import Entry, Key
from spicereplay.replay.picture import checkerboard

Rgb = npt.NDArray[np.uint8]
"""(height, width, 3) uint8 R, G, B."""

PANEL_PX: Final = 400
"""Small pictures are enlarged on the sheet, each pixel to a square, up to this side."""
PANEL_MOST_PX: Final = 1600
"""Larger ones are shrunk to it."""
NAME_MOST_BYTES: Final = 200
"""Longer names of files end in a hash of themselves: file systems take 255 bytes, endings included."""
NO_EXPECTED: Final = "A manifest holds no pixels; --against BUILD draws what was expected."
_MARGIN: Final = 16
_CAPTION: Final = 26
_BACKGROUND: Final = (246, 246, 244)
_INK: Final = (40, 40, 40)
_FAINT: Final = (120, 120, 120)
_MARK: Final = np.array((222, 36, 42), np.uint8)
_VISIBLE_LEVELS: Final = 96
"""The least that a differing pixel is marked with, of 255: one bit must be seen."""


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """What is known of one difference."""

    key: Key
    expected: Entry | None
    """Its line; None: there is none."""
    got: Pixels | None
    """None: no picture came."""
    reference: Pixels | None = None
    """The true expected picture."""


def write_pictures(folder: Path, capture: Path, pair: Pair) -> tuple[Path, ...]:
    """Write what there is into `folder`, and return the files: the sheet for people first.

    `NAME.png` shows all side by side; `NAME.got.png` and `NAME.expected.png` are the pixels themselves.
    """
    name = _name(capture, pair.key)
    folder.mkdir(parents=True, exist_ok=True)
    files: dict[str, Rgb] = {}
    panels: list[tuple[str, str, Rgb]] = []
    expected = _expected(pair)
    if expected is not None:
        panels.append(expected)
        if pair.reference is not None:
            files["expected"] = _rgba(pair.reference)
    if pair.got is not None:
        panels.append(("got", _size(pair.got.size), shown(pair.got)))
        files["got"] = _rgba(pair.got)
    difference = _difference(pair)
    if difference is not None:
        panels.append(difference)
    if not panels:
        return ()
    written = [folder / f"{name}.png"]
    note = "" if expected is not None else NO_EXPECTED
    _save(written[0], sheet(f"{capture.name}: {pair.key}", panels, note))
    for kind, pixels in files.items():
        written.append(folder / f"{name}.{kind}.png")
        _save(written[-1], pixels)
    return tuple(written)


def _name(capture: Path, key: Key) -> str:
    """Return a file's name for a picture; captures of one name are told apart by their folder."""
    place = f"{capture.absolute().parent.name}-{capture.name}"
    text = f"{place}-{key.session}-{key.channel}-{key.row}-{key.kind}-{key.what}"
    if key.ordinal:
        text += f"-{key.ordinal}"
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", text).lower()
    if len(name) <= NAME_MOST_BYTES:
        return name
    told_apart = hashlib.blake2b(name.encode(), digest_size=8).hexdigest()
    return f"{name[: NAME_MOST_BYTES - len(told_apart) - 1]}-{told_apart}"


def shown(pixels: Pixels) -> Rgb:
    """Return a picture as a person should see it: a checkerboard where it is transparent or unknown."""
    height, width = pixels.bgra.shape[:2]
    bgra = pixels.bgra.astype(np.uint16)
    rgb, alpha = bgra[..., [2, 1, 0]], bgra[..., 3:]
    board = checkerboard(height, width).astype(np.uint16)[..., None]
    if not pixels.alpha:
        out = rgb
    elif not rgb.any():
        out = np.broadcast_to(alpha, rgb.shape)  # a mask: grey levels
    else:
        out = np.minimum(rgb + board * (255 - alpha) // 255, 255)
    out = out.astype(np.uint8)
    if pixels.unknown is not None:
        out[pixels.unknown] = board[pixels.unknown].astype(np.uint8)
    return np.ascontiguousarray(out, np.uint8)


def _rgba(pixels: Pixels) -> npt.NDArray[np.uint8]:
    return np.ascontiguousarray(pixels.bgra[..., [2, 1, 0, 3]])


def _size(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]} px"


def _expected(pair: Pair) -> tuple[str, str, Rgb] | None:
    if pair.reference is not None:
        return "expected", _size(pair.reference.size), shown(pair.reference)
    entry = pair.expected
    if entry is None or not entry.lossy or not entry.grid:
        return None
    columns, rows = grid_of((entry.width, entry.height))
    means = np.frombuffer(entry.grid, np.uint8).reshape(rows, columns, -1)
    # No larger than the sheet has room for: a size that only a manifest names must not cost memory.
    shrunk = min(1.0, PANEL_MOST_PX / max(entry.width, entry.height))
    width, height = (max(1, round(side * shrunk)) for side in (entry.width, entry.height))
    across, down = np.arange(width) * columns // width, np.arange(height) * rows // height
    out = means[down[:, None], across[None, :]][..., [2, 1, 0]]
    return "expected, roughly", f"mean colours of {columns} x {rows} blocks", out


def _difference(pair: Pair) -> tuple[str, str, Rgb] | None:
    """Return a faint picture of what came with what differs in red."""
    got, entry = pair.got, pair.expected
    if got is None or entry is None:
        return None
    faint = _faint(shown(got))
    if pair.reference is not None:
        if pair.reference.size != got.size:
            return None
        apart = np.abs(got.bgra.astype(np.int16) - pair.reference.bgra).max(axis=2)
        differing = apart > 0
        strength = np.maximum(apart, _VISIBLE_LEVELS)[differing, None].astype(np.float64) / 255
        faint[differing] = (faint[differing] * (1 - strength) + _MARK * strength).astype(np.uint8)
        for box in _blocks_with(differing, got.size):
            _frame(faint, box.slices)
        count = int(differing.sum())
        return "difference", f"{count} px, by up to {_levels(int(apart.max()))}", faint
    if (entry.width, entry.height) != got.size or entry.lossy:
        return _coarse(pair, faint) if entry.lossy else None
    boxes = differing_blocks(got.size, entry.grid, block_digests(got))
    if not boxes:
        return None
    for box in boxes:
        _outline(faint, box.slices)
    columns, rows = grid_of(got.size)
    return "where", f"{len(boxes)} of {columns * rows} blocks differ", faint


def _coarse(pair: Pair, faint: Rgb) -> tuple[str, str, Rgb] | None:
    """Mark the blocks of a lossy picture whose mean colours differ."""
    got, entry = pair.got, pair.expected
    if got is None or entry is None or (entry.width, entry.height) != got.size:
        return None
    now = block_means(got)
    if len(now) != len(entry.grid):
        return None
    columns, rows = grid_of(got.size)
    apart = np.abs(np.frombuffer(now, np.uint8).astype(np.int16) - np.frombuffer(entry.grid, np.uint8))
    worst = apart.reshape(rows, columns, -1).max(axis=2)
    for row, column in np.argwhere(worst > 0).tolist():
        _outline(faint, block_box(got.size, column, row).slices)
    if not worst.any():
        return "difference", "too small for the mean of any block", faint
    changed = int((worst > 0).sum())
    return "where", f"means of {changed} blocks differ, by up to {_levels(int(worst.max()))}", faint


def _levels(count: int) -> str:
    return f"{count} level" if count == 1 else f"{count} levels"


def _blocks_with(differing: Mask, size: tuple[int, int]) -> Iterator[Box]:
    """Yield the blocks with a differing pixel, of a picture that has several: one pixel alone is easily overlooked."""
    columns, rows = grid_of(size)
    if columns * rows > 1:
        for row in range(rows):
            for column in range(columns):
                box = block_box(size, column, row)
                if differing[box.slices].any():
                    yield box


def _faint(rgb: Rgb) -> Rgb:
    grey = rgb.astype(np.uint16).mean(axis=2, keepdims=True)
    return np.ascontiguousarray(np.broadcast_to((grey // 3 + 165).astype(np.uint8), rgb.shape))


def _frame(rgb: Rgb, place: tuple[slice, slice]) -> None:
    """Draw a red line around a place."""
    view = rgb[place]
    wide = max(1, min(view.shape[:2]) // 24)
    inner = view[wide:-wide, wide:-wide].copy()
    view[...] = _MARK
    view[wide:-wide, wide:-wide] = inner


def _outline(rgb: Rgb, place: tuple[slice, slice]) -> None:
    """Draw a red line around a place and tint it."""
    view = rgb[place]
    view[...] = (view.astype(np.uint16) * 3 + _MARK) // 4
    _frame(rgb, place)


def sheet(title: str, panels: list[tuple[str, str, Rgb]], note: str = "") -> Rgb:
    """Return pictures side by side under a title, each with a caption and a remark; a note below."""
    from PIL import Image, ImageDraw, ImageFont

    fitted = [(caption, remark, _fitted(pixels)) for caption, remark, pixels in panels]
    bold, plain = ImageFont.load_default(size=15), ImageFont.load_default(size=13)
    widths = [max(p.shape[1], int(plain.getlength(f"{c}   {r}")) + 24) for c, r, p in fitted]
    width = max(sum(widths) + _MARGIN * (len(fitted) + 1), int(bold.getlength(title)) + 2 * _MARGIN)
    width = max(width, int(plain.getlength(note)) + 2 * _MARGIN)
    tallest = max(p.shape[0] for _, _, p in fitted)
    height = tallest + 2 * _MARGIN + 2 * _CAPTION + (_CAPTION if note else 0)
    image = Image.new("RGB", (width, height), _BACKGROUND)
    draw = ImageDraw.Draw(image)
    draw.text((_MARGIN, _MARGIN), title, _INK, bold)
    left, top = _MARGIN, _MARGIN + _CAPTION
    for (caption, remark, pixels), wide in zip(fitted, widths, strict=True):
        draw.text((left, top), caption, _INK, plain)
        draw.text((left + plain.getlength(caption + "   "), top), remark, _FAINT, plain)
        image.paste(Image.fromarray(pixels), (left, top + _CAPTION))
        left += wide + _MARGIN
    draw.text((_MARGIN, top + _CAPTION + tallest + _MARGIN // 2), note, _FAINT, plain)
    return np.asarray(image)


def _fitted(rgb: Rgb) -> Rgb:
    """Enlarge a small picture by a whole number; shrink one that is too large."""
    from PIL import Image

    longest = max(rgb.shape[:2])
    times = PANEL_PX // longest
    if times > 1:
        return np.repeat(np.repeat(rgb, times, axis=0), times, axis=1)
    if longest <= PANEL_MOST_PX:
        return rgb
    image = Image.fromarray(rgb)
    image.thumbnail((PANEL_MOST_PX, PANEL_MOST_PX))
    return np.asarray(image)


def _save(path: Path, pixels: Any) -> None:
    from PIL import Image

    Image.fromarray(pixels).save(path, "PNG", compress_level=3)
