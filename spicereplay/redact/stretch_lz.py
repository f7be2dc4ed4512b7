"""LZ tokens made as long as they have to be, without changing what they show.

spice-gtk's LZ decoder takes a byte behind the last token for an error and ends the client, so that nothing can be
appended. Instead copies are said in more words: pixels as literals of their own, copies in several parts.
Source: spice-common common/lz.c, lz_decode (it asserts that the input is at its end); spice-wire.md 9.1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Final

from spicereplay.redact.encode_lz import lz_back

_LITERAL_RUN: Final = 32
_FEW: Final = 40
"""Units up to which every way to say them is tried."""
_RESERVE: Final = 16
"""Bytes that are left to the last copy that is stretched: any smaller number may be impossible to add."""


def exactly(tokens: bytes, unit_at: Callable[[int], bytes], bias: int, size: int) -> bytes | None:
    """Return LZ tokens of `size` bytes that show what `tokens` do; None where there are none.

    `unit_at` gives the literal at a place; `bias` is that of `encode_lz.lz_tokens`.
    """
    surplus = size - len(tokens)
    if surplus < 0:
        return None
    literal_bytes = 1 + len(unit_at(0))
    out = bytearray()
    for at, count, distance, token in _walk(tokens, literal_bytes - 1, bias):
        if distance and surplus:
            made = _stretched(at, count, distance, len(token) + surplus, unit_at, bias)
            if made is not None:
                token, surplus = made, 0
            elif surplus - (count * literal_bytes - len(token)) >= _RESERVE:
                surplus -= count * literal_bytes - len(token)
                token = b"".join(b"\0" + unit_at(n) for n in range(at, at + count))
        out += token
    return bytes(out) if not surplus else None


def few(count: int, unit: bytes, bias: int, size: int) -> bytes | None:
    """Return LZ tokens of `size` bytes for `count` times `unit`, for small counts; None where there are none."""
    if count > _FEW:
        return None
    steps = _ways(count, size, len(unit), bias, True)
    if steps is None:
        return None
    return b"".join(bytes([n - 1]) + unit * n if literal else lz_back(n, 1, bias) for literal, n in steps)


@lru_cache(maxsize=65_536)
def _ways(count: int, size: int, unit: int, bias: int, first: bool) -> tuple[tuple[bool, int], ...] | None:
    """Return how to say `count` units in `size` bytes: (whether literals, how many); the first must be literals."""
    if not count or size <= 0:
        return () if not count and not size else None
    for n in range(1, min(count, _LITERAL_RUN) + 1):
        rest = _ways(count - n, size - 1 - n * unit, unit, bias, False)
        if rest is not None:
            return ((True, n), *rest)
    if not first:
        for n in range(bias, count + 1):
            rest = _ways(count - n, size - len(lz_back(n, 1, bias)), unit, bias, False)
            if rest is not None:
                return ((False, n), *rest)
    return None


def same_mix(tokens: bytes, count: int, unit: bytes, bias: int) -> bytes:
    """Return the tokens that `tokens` begins with, for `count` units, with `unit` for each literal.

    For pictures so small that there is no other way to their size: how the tokens are made up stays. Raises
    `IndexError` where the tokens end too soon.
    """
    out = bytearray()
    place = 0
    for start, more, distance, token in _walk(tokens, len(unit), bias):
        out += token if distance else token[:1] + unit * more
        place = start + more
        if place >= count:
            break
    if place < count or len(out) > len(tokens):
        raise IndexError("the tokens end too soon")
    return bytes(out)


def _stretched(
    at: int, count: int, distance: int, size: int, unit_at: Callable[[int], bytes], bias: int
) -> bytes | None:
    """Return a copy said in `size` bytes: literals first, then short copies, then the rest as one."""
    literal_bytes = 1 + len(unit_at(0))
    # Short copies of few units, and of as many as they can have: that may save the rest a byte of its length.
    ways = [(middle, short, n) for middle in range(2) for short in range(8) for n in (bias, bias + 5)]
    for middle, short, units in ways:
        parts = [bias + 6] * middle + [units] * short
        tail = b"".join(lz_back(n, distance, bias) for n in parts)
        left, room = count - sum(parts), size - len(tail)
        if left < 0 or room < 0:
            continue
        for literals in _near(left, room, literal_bytes):
            rest = left - literals
            if rest and rest < bias:
                continue
            last = lz_back(rest, distance, bias) if rest else b""
            if literals * literal_bytes + len(last) == room:
                said = b"".join(b"\0" + unit_at(n) for n in range(at, at + literals))
                return said + tail + last
    return None


def _near(count: int, room: int, literal_bytes: int) -> range:
    """Return numbers of literals around the one that takes `room`, with a copy of the rest of `count` units."""
    # The rest takes 2 bytes and up to 2 for its distance, and one for every 255 units.
    least = (room - 6 - count // 255) // literal_bytes
    return range(max(0, least), max(0, min(count, room // literal_bytes)) + 1)


def _walk(tokens: bytes, unit: int, bias: int) -> Iterator[tuple[int, int, int, bytes]]:
    """Yield place, number of units, distance (0 for literals) and bytes of each token."""
    at = place = 0
    while at < len(tokens):
        start = at
        first = tokens[at]
        at += 1
        if first < 32:
            count, distance = first + 1, 0
            at += count * unit
        else:
            length = (first >> 5) - 1
            if length == 6:
                while tokens[at] == 255:
                    length += 255
                    at += 1
                length += tokens[at]
                at += 1
            far = (first & 31) << 8 | tokens[at]
            at += 1
            if far == 8191:
                far += int.from_bytes(tokens[at : at + 2], "big")
                at += 2
            count, distance = length + bias, far + 1
        yield place, count, distance, tokens[start:at]
        place += count
