"""The GLZ dictionary: earlier images that later ones copy from.

Image ids begin at 0 and rise by one over all display channels of a session that share the dictionary, so
images can arrive here out of order. Source: spice-wire.md 9.2; spice-gtk src/decode-glz.c.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from spicereplay.limits import DEFAULT_LIMITS, Limits

Words = npt.NDArray[np.uint32]
"""Pixels of one image, one little-endian word B, G, R, A each, in the order they were encoded."""
Marks = npt.NDArray[np.uint8]
"""One byte for each of an image's `Words`: 0 where it is known, else the kernel's bits of what is not."""

_FIRST_CAPACITY = 64


@dataclass(frozen=True, slots=True)
class _Entry:
    words: Words
    head: int
    """The oldest image that images after this one may refer to."""
    marks: Marks | None
    """None: all of it is known."""

    @property
    def nbytes(self) -> int:
        return self.words.nbytes + (0 if self.marks is None else self.marks.nbytes)


@dataclass(slots=True)
class GlzWindow:
    """The images that can still be referred to.

    Images older than the head of the newest image up to which none is missing are dropped, as spice-gtk does;
    the byte and image limits drop the lowest ids beyond that, and `evicted` counts those. Not to be used by
    two threads at a time: the kernel reads the images with the interpreter lock released.
    """

    limits: Limits = DEFAULT_LIMITS
    evicted: int = 0
    """Images dropped for a limit although the sender may still refer to them …"""
    evicted_bytes: int = 0
    """… and how large they were."""
    held_bytes: int = 0
    """Bytes of the images held."""
    partial_ids: set[int] = field(default_factory=set)
    """Images held of which some pixels are unknown."""
    ids: npt.NDArray[np.uint64] = field(init=False)
    """The ring the kernel reads, indexed by id modulo its length (a power of two): image ids …"""
    addresses: npt.NDArray[np.uint64] = field(init=False)
    """… the address of each one's first pixel …"""
    units: npt.NDArray[np.int64] = field(init=False)
    """… its number of pixels; 0 for a free place …"""
    marks: npt.NDArray[np.uint64] = field(init=False)
    """… and the address of its marks; 0 where all of it is known."""
    _entries: dict[int, _Entry] = field(default_factory=dict)
    _heap: list[int] = field(default_factory=list)
    _newest: int = -1
    _complete_to: int | None = None
    """All ids from the first one seen up to this, which is not among them, came or are given up."""
    _head: int = 0

    def __post_init__(self) -> None:
        self._make_ring(_FIRST_CAPACITY)

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, image_id: int) -> bool:
        return image_id in self._entries

    @property
    def oldest(self) -> int:
        """Ids below this have been dropped for good, or will not be kept."""
        return self._head

    def may_come(self, image_id: int) -> bool:
        """Whether an image that is not here may still arrive, as far as the window can tell.

        False for one that is here, was dropped, or has been given up with `close_gaps`.
        """
        return image_id not in self._entries and image_id >= max(self._head, self._complete_to or 0)

    def add(self, image_id: int, words: Words, win_head_dist: int, marks: Marks | None = None) -> None:
        """Take in a decoded image and drop what can no longer be referred to.

        `words` and `marks` must own their memory and never be written again; `marks` says which pixels could
        not be known, None: all are.
        """
        if image_id < self._head:
            return
        if image_id in self._entries:
            self._forget(image_id)
        else:
            heapq.heappush(self._heap, image_id)
        entry = _Entry(words, max(0, image_id - win_head_dist), marks)
        self._entries[image_id] = entry
        self.held_bytes += entry.nbytes
        if marks is not None:
            self.partial_ids.add(image_id)
        self._newest = max(self._newest, image_id)
        self._bound()
        if image_id not in self._entries:
            return
        span = self._newest - self._heap[0] + 1
        if span > len(self.ids):
            self._make_ring(1 << (span - 1).bit_length())
        self._place(image_id)
        if self._complete_to is None:
            self._complete_to = image_id
        self._advance()

    def close_gaps(self, below: int) -> None:
        """Give up the ids below `below` that have not come.

        They are not waited for any more, and no longer hold back the dropping of old images.
        """
        self._complete_to = max(self._complete_to or 0, below)
        self._advance()

    def clear(self) -> None:
        """Forget everything: a new dictionary begins, its ids start again."""
        self._entries.clear()
        self._heap.clear()
        self.partial_ids.clear()
        self.held_bytes = 0
        self._newest = -1
        self._complete_to = None
        self._head = 0
        self._make_ring(_FIRST_CAPACITY)

    def _advance(self) -> None:
        at = self._complete_to or 0
        while (entry := self._entries.get(at)) is not None:
            self._head = max(self._head, entry.head)
            at += 1
        self._complete_to = at
        self._drop_below(self._head)

    def _bound(self) -> None:
        """Drop the lowest ids until the limits hold; what was waited for below them is given up."""
        first = self._newest - self.limits.glz_window_images + 1
        while self._heap and (self.held_bytes > self.limits.glz_window_bytes or self._heap[0] < first):
            held = self.held_bytes
            self._head = max(self._head, self._heap[0] + 1)
            self._drop_below(self._head)
            self.evicted += 1
            self.evicted_bytes += held - self.held_bytes
        if self._complete_to is not None:
            self._complete_to = max(self._complete_to, self._head)

    def _drop_below(self, head: int) -> None:
        while self._heap and self._heap[0] < head:
            self._forget(heapq.heappop(self._heap))

    def _forget(self, image_id: int) -> None:
        entry = self._entries.pop(image_id)
        self.held_bytes -= entry.nbytes
        self.partial_ids.discard(image_id)
        slot = image_id & (len(self.ids) - 1)
        if int(self.ids[slot]) == image_id:
            self.units[slot] = 0

    def _make_ring(self, capacity: int) -> None:
        self.ids = np.zeros(capacity, np.uint64)
        self.addresses = np.zeros(capacity, np.uint64)
        self.units = np.zeros(capacity, np.int64)
        self.marks = np.zeros(capacity, np.uint64)
        for image_id in self._entries:
            self._place(image_id)

    def _place(self, image_id: int) -> None:
        entry = self._entries[image_id]
        slot = image_id & (len(self.ids) - 1)
        self.ids[slot] = image_id
        self.addresses[slot] = entry.words.ctypes.data
        self.units[slot] = entry.words.size
        self.marks[slot] = 0 if entry.marks is None else entry.marks.ctypes.data
