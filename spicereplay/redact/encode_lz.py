"""Streams of LZ and GLZ tokens for pictures of one colour: one pixel, and copies of it.

Source: spice-wire.md 9.1 and 9.2; the decoders beside which these stand are `codecs.lz` and `codecs.glz`.
"""

from __future__ import annotations

from typing import Final

_COPY: Final = 32
"""A first byte below is a run of literals. Source: spice-wire.md 9.1."""
_EXTENDED: Final = 7


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
    length = rest - bias + first_length
    if length < _EXTENDED:
        copied = bytes([length * _COPY])
    else:
        full, last = divmod(length - _EXTENDED, 255)
        copied = bytes([_EXTENDED * _COPY]) + b"\xff" * full + bytes([last])
    return b"\0" + unit + copied + distance


def copies_only(tokens: bytes) -> bool:
    """Say whether GLZ tokens hold no literal: everything they show comes from other images."""
    at = 0
    while at < len(tokens):
        first = tokens[at]
        if first < _COPY:
            return False
        at += 1
        if first >> 5 == _EXTENDED:
            while at < len(tokens) and tokens[at] == 255:
                at += 1
            at += 1
        if at + 2 > len(tokens):
            return False
        last = tokens[at + 1]
        at += 2 + (last >> 6) + (first >> 4 & last >> 5 & 1)
    return True
