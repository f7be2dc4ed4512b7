"""Looks whether anything that was taken out is still somewhere.

Every eight bytes in a row of what was replaced are searched in the whole output. They are searched by a bit map of
their hashes first, and what that lets through exactly. Passed over is what tells nothing: eight bytes that are all the
same or more than half zeros (numbers and padding, which are everywhere), in pictures and sound also those made of two
or three values over and over; eight bytes of which most were not replaced; and what the replacements themselves hold,
which are made from sizes, or are the blocks of a blur. What is no text (pictures, sound, stretches that belong to no
message) may hold numbers that are elsewhere, too: where bytes of a message went missing, the headers and draws behind
it seem to be its contents, and where a file was damaged, the headers of packets. It counts where a packet carries it,
unless it is numbers of another message that stay. Texts of reports, whose words are everywhere, are searched as a
whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from spicereplay.units import MIB

Words = npt.NDArray[np.uint64]

WINDOW: Final = 8
"""Bytes that must be the same to count as found again."""
_LEAST_MAP_BITS, _MAP_BITS = 16, 27
_MARKS_PER_BYTE: Final = 32
_MULTIPLIER: Final = np.uint64(0x9E37_79B9_7F4A_7C15)
_BLOCK: Final = MIB
_FEW_VALUES: Final = 3
_MOST_ZEROS: Final = WINDOW // 2


def windows(data: bytes | memoryview) -> Words:
    """Return every eight bytes in a row of `data` as a number."""
    if len(data) < WINDOW:
        return np.empty(0, np.uint64)
    flat = np.frombuffer(data, np.uint8)
    view = np.lib.stride_tricks.sliding_window_view(flat, WINDOW)
    words: Words = np.ascontiguousarray(view).view("<u8").reshape(-1)
    return words


def telling(words: Words, *, textual: bool) -> Words:
    """Return the windows that tell something; see the head of this module."""
    words = words[(words.view(np.uint8).reshape(-1, WINDOW) == 0).sum(axis=1) <= _MOST_ZEROS]
    cells = words.view(np.uint8).reshape(-1, WINDOW)
    if textual:
        mixed: Words = words[(cells != cells[:, :1]).any(axis=1)]
        return mixed
    ordered = np.sort(cells, axis=1)
    values = 1 + (ordered[:, 1:] != ordered[:, :-1]).sum(axis=1)
    varied: Words = words[values > _FEW_VALUES]
    return varied


Pieces = Callable[[], Iterable[tuple[bytes, bytes, bool]]]
"""Gives what was replaced, by what, and whether it may be text; it is asked more than once."""


@dataclass(frozen=True, slots=True)
class Travelling:
    """What the connections carry; each is asked for only if something was found."""

    messages: Callable[[], Iterable[tuple[bytes, bytes]]]
    """All bytes of the channels as they were, and as they are now."""
    payloads: Callable[[], Iterable[bytes | memoryview]]
    """The payload of every packet that was written."""


def left_over(
    pieces: Pieces, outputs: Callable[[], Iterable[bytes | memoryview]], travelling: Travelling | None = None
) -> set[bytes]:
    """Return every eight bytes of what was replaced that are somewhere in `outputs`.

    What is no text counts only where it can have been left, which `travelling` tells; see the head of this module.
    """
    total = sum(len(old) for old, _, _ in pieces())
    shift = np.uint64(64 - min(max((_MARKS_PER_BYTE * total).bit_length(), _LEAST_MAP_BITS), _MAP_BITS))
    marks = np.zeros(1 << (64 - int(shift)), np.bool_)
    for batch in _batches(pieces()):
        marks[_hashes(batch.telling(), shift)] = True
    suspects: list[Words] = []
    for data in outputs():
        for block in _blocks(data):
            words = windows(block)
            suspects.append(np.unique(words[marks[_hashes(words, shift)]]))
    seen = np.unique(np.concatenate(suspects)) if suspects else np.empty(0, np.uint64)
    if not len(seen):
        return set()
    found: dict[bool, list[Words]] = {True: [], False: []}
    made: list[Words] = []
    for batch in _batches(pieces()):
        told, new = batch.telling(), batch.made()
        found[batch.textual].append(np.unique(told[_among(told, seen)]))
        made.append(np.unique(new[_among(new, seen)]))
    texts, others = (np.setdiff1d(_joined(found[textual]), _joined(made)) for textual in (True, False))
    if len(others) and travelling is not None:
        carried = _joined([_among_these(payload, others) for payload in travelling.payloads()])
        stay = _joined([_among_unchanged(old, new, others) for old, new in travelling.messages()])
        others = np.setdiff1d(carried, stay)
    return {int(word).to_bytes(WINDOW, "little") for word in np.union1d(texts, others)}


def _joined(parts: list[Words]) -> Words:
    return np.concatenate(parts) if parts else np.empty(0, np.uint64)


def _among_these(data: bytes | memoryview, known: Words) -> Words:
    """Return which of the windows `known` are somewhere in `data`."""
    words = windows(data)
    found: Words = np.unique(words[_among(words, known)])
    return found


def _among_unchanged(old: bytes, new: bytes, known: Words) -> Words:
    """Return which of the windows `known` are somewhere in `old`, and there in `new` as well."""
    words: Words = windows(old)
    stays = words == windows(new)
    found: Words = np.unique(words[stays & _among(words, known)])
    return found


@dataclass(frozen=True, slots=True)
class _Batch:
    """Pieces one after the other, all of them text or none, and all as long as what replaces them or none."""

    olds: list[bytes]
    news: list[bytes]
    textual: bool
    alike: bool

    def telling(self) -> Words:
        """Return the windows of what was replaced that tell something, none of them over the end of a piece."""
        old = b"".join(self.olds)
        words = windows(old)
        kept = _inside(self.olds, len(words))
        if self.alike and len(words):
            kept &= _mostly_changed(old, b"".join(self.news))
        return telling(words[kept], textual=self.textual)

    def made(self) -> Words:
        """Return the windows of what replaces them."""
        words = windows(b"".join(self.news))
        return words[_inside(self.news, len(words))]


def _batches(pieces: Iterable[tuple[bytes, bytes, bool]]) -> Iterator[_Batch]:
    """Put pieces together, as most are small, and cut those that are not so that every window is in one of them."""
    open_batches: dict[tuple[bool, bool], tuple[_Batch, int]] = {}
    for old, new, textual in pieces:
        alike = len(old) == len(new)
        for start in range(0, max(len(old), len(new), 1), _BLOCK):
            part = slice(start, start + _BLOCK + WINDOW - 1)
            batch, size = open_batches.get((textual, alike)) or (_Batch([], [], textual, alike), 0)
            batch.olds.append(old[part])
            batch.news.append(new[part])
            size += len(old[part])
            if size >= _BLOCK:
                yield batch
                open_batches.pop((textual, alike), None)
            else:
                open_batches[textual, alike] = batch, size
    yield from (batch for batch, _ in open_batches.values())


def _inside(pieces: list[bytes], count: int) -> npt.NDArray[np.bool_]:
    """Say of each window over pieces put together whether it lies in one of them."""
    kept = np.ones(count, np.bool_)
    ends = np.cumsum([len(piece) for piece in pieces])[:-1]
    across = ends[:, None] - np.arange(1, WINDOW)
    kept[across[(across >= 0) & (across < count)]] = False
    return kept


def _mostly_changed(old: bytes, new: bytes) -> npt.NDArray[np.bool_]:
    """Say of each window whether most of it was replaced: where contents begin, it is mostly what stands before."""
    changed = np.frombuffer(old, np.uint8) != np.frombuffer(new, np.uint8)
    counts = np.concatenate(([0], np.cumsum(changed)))
    mostly: npt.NDArray[np.bool_] = counts[WINDOW:] - counts[:-WINDOW] > WINDOW // 2
    return mostly


def _blocks(data: bytes | memoryview) -> Iterator[bytes | memoryview]:
    """Yield parts of `data` that overlap so that every window is in one of them."""
    for start in range(0, len(data), _BLOCK):
        yield data[start : start + _BLOCK + WINDOW - 1]


def _hashes(words: Words, shift: np.uint64) -> Words:
    return (words * _MULTIPLIER) >> shift


def _among(words: Words, known: Words) -> npt.NDArray[np.bool_]:
    if not len(known) or not len(words):
        return np.zeros(len(words), np.bool_)
    at = np.minimum(np.searchsorted(known, words), len(known) - 1)
    return np.equal(known[at], words)
