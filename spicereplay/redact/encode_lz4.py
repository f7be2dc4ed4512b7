"""LZ4 blocks of any compressed size that such a block can have.

A block of zeros is literals, one copy of the byte before, and literals again; how many literals there are decides how
long it is, and so it does for other data. Decoders take every byte of a block, so that nothing can be appended.
Source: lz4 doc/lz4_Block_format.md ("Sequences", "End of block restrictions").
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import lz4.block

_SHORTEST_COPY: Final = 4
_LAST_LITERALS: Final = 5
"""A block ends in at least that many literals."""
_LAST_COPY: Final = 12
"""The last copy begins at least that many bytes before the end."""
_REACH: Final = 64 * 1024 - 1
"""How far back a copy can lie."""
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


def exactly(data: bytes, size: int, before: bytes = b"") -> bytes | None:
    """Return a block of `size` bytes that decodes into `data`; None where none is found.

    `before` is what earlier blocks of the same stream gave. The shortest block is made longer by saying more of its
    beginning in literals; where that steps over the size, its last copy begins later.
    """
    # The library takes an empty dictionary for none.
    least = lz4.block.compress(
        data, mode="high_compression", compression=12, store_size=False, dict=before[-_REACH:] or None
    )
    if len(least) >= size:
        return least if len(least) == size else None
    sequences = list(_sequences(least))
    low, high = 0, len(data)
    while low < high:
        middle = (low + high) // 2
        if len(_said(data, sequences, middle, 0)) < size:
            low = middle + 1
        else:
            high = middle
    for literal in range(max(0, low - _AROUND), min(len(data), low + _AROUND) + 1):
        for later in range(_ENOUGH_LITERALS):
            made = _said(data, sequences, literal, later)
            if len(made) == size:
                return made
    return None


def _sequences(block: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield literals, copied bytes and distance of each sequence of a block that is whole."""
    at = 0
    while at < len(block):
        token = block[at]
        literals, at = _long(block, at + 1, token >> 4)
        at += literals
        if at == len(block):
            yield literals, 0, 0
            return
        distance = int.from_bytes(block[at : at + 2], "little")
        copied, at = _long(block, at + 2, token & 15)
        yield literals, copied + _SHORTEST_COPY, distance


def _long(block: bytes, at: int, length: int) -> tuple[int, int]:
    """Return a length that begins with four bits of a token, and where the bytes after it begin."""
    if length < 15:
        return length, at
    while block[at] == 255:
        length += 255
        at += 1
    return length + block[at], at + 1


def _said(data: bytes, sequences: list[tuple[int, int, int]], literal: int, later: int) -> bytes:
    """Return a block in which the first `literal` bytes are literals, and the last copy begins `later` bytes later."""
    out = bytearray()
    pending = place = 0
    last = max((n for n, (_, copied, _) in enumerate(sequences) if copied), default=-1)
    for n, (literals, copied, distance) in enumerate(sequences):
        start, stop = place + literals, place + literals + copied
        place = stop
        start = max(start, literal) + (later if n == last else 0)
        if copied and stop - start >= _SHORTEST_COPY and start <= len(data) - _LAST_COPY:
            out += _literals(data[pending:start], stop - start, distance)
            pending = stop
    return bytes(out + _literals(data[pending:], 0))


def _literals(literals: bytes, copied: int, distance: int = 1) -> bytes:
    token = min(len(literals), 15) << 4 | (min(copied - _SHORTEST_COPY, 15) if copied else 0)
    head = bytes([token]) + _length(len(literals)) + literals
    return head + distance.to_bytes(2, "little") + _length(copied - _SHORTEST_COPY) if copied else head
