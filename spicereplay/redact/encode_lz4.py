"""LZ4 blocks of zeros of any compressed size that such a block can have.

A block is literals, one copy of the byte before, and literals again; how many literals there are decides how long it
is. Decoders take every byte of a block, so that nothing can be appended.
Source: lz4 doc/lz4_Block_format.md ("Sequences", "End of block restrictions").
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

_SHORTEST_COPY: Final = 4
_LAST_LITERALS: Final = 5
"""A block ends in at least that many literals."""
_LAST_COPY: Final = 12
"""The last copy begins at least that many bytes before the end."""
_AROUND: Final = 8
"""Numbers of literals tried on either side of the one that should do."""
_ENOUGH_LITERALS: Final = 32
"""Ways to share literals between front and end that are tried: sizes skip one byte where a length takes one more."""


def zeros(count: int, size: int, *, continued: bool = False) -> bytes | None:
    """Return a block of `size` bytes that decodes into `count` zeros; None where there is none of that size.

    `continued`: zeros came before, in another block of the same stream, and may be copied.
    """
    if size == 1 + _more(count) + count:
        return _sequence(count, 0)
    for end in range(_LAST_LITERALS, _LAST_LITERALS + _ENOUGH_LITERALS):
        for front in _fronts(count, size, end, 0 if continued else 1):
            copied = count - front - end
            if copied < max(_SHORTEST_COPY, _LAST_COPY - end):
                continue
            made = _sequence(front, copied) + _sequence(end, 0)
            if len(made) == size:
                return made
    return None


def _fronts(count: int, size: int, end: int, least: int) -> Iterator[int]:
    """Yield how many literals the front could have: the size grows with them, but for bytes of lengths."""
    guess = size - end - count // 255 - 6
    yield from range(max(least, guess - size // 127 - 8), max(least, guess + count // 127 + 8) + 1)


def _more(length: int) -> int:
    """Return the bytes that a length takes besides its four bits in the token."""
    return 0 if length < 15 else 1 + (length - 15) // 255


def _length(length: int) -> bytes:
    if length < 15:
        return b""
    full, last = divmod(length - 15, 255)
    return b"\xff" * full + bytes([last])


def _sequence(literals: int, copied: int) -> bytes:
    return _literals(bytes(literals), copied)


def packed(data: bytes, size: int) -> bytes | None:
    """Return a block of `size` bytes that decodes into `data`; None where none is found.

    Runs of one byte are copied from the byte before. The more literals stand at the front, the larger the block.
    """
    low, high = 0, len(data)
    while low < high:
        middle = (low + high) // 2
        if len(_runs(data, middle)) < size:
            low = middle + 1
        else:
            high = middle
    # Where one literal more takes one more byte for a length, or one less, the size steps over some numbers.
    for literal in range(max(0, low - _AROUND), min(len(data), low + _AROUND) + 1):
        made = _runs(data, literal)
        if len(made) == size:
            return made
    return None


def _runs(data: bytes, literal: int) -> bytes:
    """Return a block in which the first `literal` bytes are literals, and later runs are copies."""
    out = bytearray()
    pending = at = 0
    last = len(data) - _LAST_COPY
    while at < last:
        run = at
        if at >= max(literal, 1):
            while run < len(data) - _LAST_LITERALS and data[run] == data[at - 1]:
                run += 1
        if run - at >= _SHORTEST_COPY:
            out += _literals(data[pending:at], run - at)
            at = pending = run
        else:
            at += 1
    return bytes(out + _literals(data[pending:], 0))


def _literals(literals: bytes, copied: int) -> bytes:
    token = min(len(literals), 15) << 4 | (min(copied - _SHORTEST_COPY, 15) if copied else 0)
    head = bytes([token]) + _length(len(literals)) + literals
    return head + b"\1\0" + _length(copied - _SHORTEST_COPY) if copied else head
