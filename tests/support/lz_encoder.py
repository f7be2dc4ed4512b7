"""Encodes pictures as LZ or GLZ RGB32 with greedy matches, to have streams of any size and content.

Source: spice-wire.md 9.1, 9.2. The reference encoders look for matches in another way; the streams are as valid.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt
from support.lz_tokens import glz_header, glz_match, literals, lz_header, lz_match

from spicereplay.codecs.lz import LzType

Pixels = npt.NDArray[np.uint8]
Words = npt.NDArray[np.uint32]
SHORTEST: Final = 3
"""Pixels of the shortest match."""
LZ_REACH: Final = 8191 + 65535
"""The farthest an LZ match can go back."""


def encode_lz(pixels: Pixels) -> bytes:
    """Return (height, width, 4) pixels, B, G, R and a byte that is left out, as an LZ stream."""
    words, units = _split(pixels)
    out = bytearray(lz_header(LzType.RGB32, pixels.shape[1], pixels.shape[0], 4 * pixels.shape[1]))
    done = 0
    for at, source, length in _matches(words, 0, LZ_REACH):
        out += _literals(units, done, at)
        out += lz_match(length, at - source, 1)
        done = at + length
    return bytes(out + _literals(units, done, len(words)))


def encode_glz(pixels: Pixels, image_id: int, before: Pixels | None = None, moved: int = 0) -> bytes:
    """Return pixels as GLZ image `image_id`, which copies from `before`, image `image_id - 1`, too.

    `moved`: by how many pixels, in the order encoded, the picture lies later than in `before`.
    """
    words, units = _split(pixels)
    own, distance = 0, None
    if before is not None:
        earlier = _split(before)[0]
        own = len(earlier)
        distance = own + moved
        words = np.concatenate((earlier, words))
    height, width = pixels.shape[:2]
    out = bytearray(glz_header(LzType.RGB32, width, height, image_id, min(image_id, 1)))
    done = 0
    for at, source, length in _matches(words, own, len(words), distance):
        out += _literals(units, done, at - own)
        if source < own:
            out += glz_match(length, source, 1, 0)
        else:
            out += glz_match(length, at - source - 1, 0, 0)
        done = at - own + length
    return bytes(out + _literals(units, done, len(words) - own))


def _split(pixels: Pixels) -> tuple[Words, list[bytes]]:
    """Return the pixels as words without the fourth byte, and as units of three bytes."""
    words = np.ascontiguousarray(pixels).view("<u4").reshape(-1) & 0xFFFFFF
    raw = np.ascontiguousarray(pixels[:, :, :3]).tobytes()
    return words, [raw[at : at + 3] for at in range(0, len(raw), 3)]


def _literals(units: list[bytes], begin: int, end: int) -> bytes:
    return b"".join(literals(*units[at : min(at + 32, end)]) for at in range(begin, end, 32))


def _matches(
    words: Words, start: int, reach: int, distance: int | None = None
) -> Iterator[tuple[int, int, int]]:
    """Yield (place, place copied from, length) for `words[start:]`, in order and without overlap.

    The source is where the same pixels were last, or `distance` back if more is the same there.
    """
    size = len(words)
    keys = words[:-2].astype(np.uint64) | words[1:-1].astype(np.uint64) << 24
    keys = keys * np.uint64(0x9E3779B97F4A7C15) ^ words[2:] * np.uint64(0xC2B2AE3D27D4EB4F)
    order = np.argsort(keys, kind="stable")
    same = keys[order[1:]] == keys[order[:-1]]
    last = np.full(size, -1)
    last[order[1:][same]] = order[:-1][same]
    found = last >= np.maximum(0, np.arange(size) - reach)
    # From each place the next that has a source.
    ahead = np.minimum.accumulate(np.where(found, np.arange(size), size)[::-1])[::-1]
    at = start
    while at < size and (at := int(ahead[at])) < size:
        source, length = int(last[at]), 0
        for tried in {source, source if distance is None else at - distance}:
            # What is copied from the image before lies in it as a whole.
            most = size - at if tried >= start else min(size - at, start - tried)
            same = _same(words, at, tried, most) if tried >= 0 else 0
            if same > length:
                source, length = tried, same
        if length >= SHORTEST:
            yield at, source, length
        at += max(length, 1)


def _same(words: Words, at: int, source: int, most: int) -> int:
    done, step = 0, 32
    while done < most:
        count = min(step, most - done)
        differ = words[at + done : at + done + count] != words[source + done : source + done + count]
        first = int(differ.argmax())
        if differ[first]:
            return done + first
        done += count
        step *= 8
    return done
