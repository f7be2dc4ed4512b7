"""Streams of LZ and GLZ tokens for pictures of one colour: one pixel, and copies of it.

Source: spice-wire.md 9.1 and 9.2; the decoders beside which these stand are `codecs.lz` and `codecs.glz`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

_COPY: Final = 32
"""A first byte below is a run of literals. Source: spice-wire.md 9.1."""
_EXTENDED: Final = 7
_NEAR: Final = 8191
"""Distances from here on take two bytes more. Source: spice-wire.md 9.1."""


def lz_tokens(count: int, unit: bytes, bias: int) -> bytes:
    """Return LZ tokens that decode into `count` times `unit`, with no token that could be left out.

    `unit` is a literal (three bytes of a pixel, two of a 16-bit one, one of a plane); `bias` is what a copy is longer
    than its token says: 1, 2 or 3.
    """
    return _tokens(count, unit, bias, 1, b"\0")


def glz_tokens(count: int, unit: bytes, bias: int) -> bytes:
    """Return GLZ tokens that decode into `count` times `unit` and refer to no other image; `bias` is 0, 1 or 2."""
    return _tokens(count, unit, bias, 0, b"\0\0")


def _tokens(count: int, unit: bytes, bias: int, first_length: int, distance: bytes) -> bytes:
    """Put tokens together: LZ counts its lengths from 1 in the token, GLZ from 0.

    A copy of one unit back has a distance of zero bytes in both.
    """
    if not count:
        return b""
    rest = count - 1
    shortest = bias + 1 - first_length
    if rest < shortest:
        return bytes([rest]) + unit * count
    return b"\0" + unit + _length(rest - bias + first_length, 0, distance)


def lz_back(count: int, distance: int, bias: int) -> bytes:
    """Return the LZ token that copies `count` units from `distance` units back: more than `bias` of them."""
    far = distance - 1
    if far < _NEAR:
        return _length(count - bias + 1, far >> 8, bytes([far & 255]))
    return _length(count - bias + 1, 31, b"\xff" + (far - _NEAR).to_bytes(2, "big"))


def glz_back(count: int, distance: int, bias: int) -> bytes:
    """Return the GLZ token that copies `count` pixels from `distance` pixels back: more than `bias` of them."""
    far = distance - 1
    if far < 1 << 12:
        return _length(count - bias, far & 15, bytes([far >> 4, 0]))
    return _length(count - bias, 16 | far & 15, bytes([far >> 4 & 255, far >> 12 & 31]))


def _length(length: int, low: int, distance: bytes) -> bytes:
    """Return a token of a length of at least 1, with the lowest bits of its first byte and what follows the length."""
    if length < _EXTENDED:
        return bytes([length * _COPY | low]) + distance
    full, last = divmod(length - _EXTENDED, 255)
    return bytes([_EXTENDED * _COPY | low]) + b"\xff" * full + bytes([last]) + distance


def glz_copy(count: int, images: int, offset: int, bias: int) -> bytes:
    """Return the GLZ token that copies `count` pixels of an image `images` ids back, `offset` pixels into it.

    `count` is at least `bias` + 1 and less than `bias` + 7, `images` at least 1.
    """
    token = count - bias << 5
    if offset < 1 << 12:
        more = images >> 6
        far = more.to_bytes((more.bit_length() + 7) // 8, "little")
        return bytes([token | offset & 15, offset >> 4, len(far) << 6 | images & 63]) + far
    far = images.to_bytes((images.bit_length() + 7) // 8, "little")
    last = offset >> 12
    middle = bytes(
        [token | 16 | offset & 15, offset >> 4 & 255, len(far) << 6 | (last > 31) << 5 | last & 31]
    )
    return middle + far + (bytes([last >> 5]) if last > 31 else b"")


def copies_only(tokens: bytes) -> bool:
    """Say whether GLZ tokens hold no literal: everything they show comes from other images."""
    return all(first >= _COPY for first, _ in _walk(tokens, 0))


def references(tokens: bytes, literal_bytes: int = 3) -> set[int]:
    """Return how many ids back the images are that GLZ tokens of colours copy from; `literal_bytes` is a literal's."""
    return {images for _, images in _walk(tokens, literal_bytes) if images}


def _walk(tokens: bytes, literal_bytes: int) -> Iterator[tuple[int, int]]:
    """Yield the first byte of each token, and how many images back it refers; ends where they do not go on."""
    at = 0
    while at < len(tokens):
        first = tokens[at]
        at += 1
        if first < _COPY:
            yield first, 0
            at += (first + 1) * literal_bytes
            continue
        if first >> 5 == _EXTENDED:
            while at < len(tokens) and tokens[at] == 255:
                at += 1
            at += 1
        if at + 2 > len(tokens):
            return
        last = tokens[at + 1]
        at += 2
        more = last >> 6
        far = int.from_bytes(tokens[at : at + more], "little")
        yield first, far if first & 16 else far << 6 | last & 63
        at += more + (first >> 4 & last >> 5 & 1)
