"""What images leave behind for later messages: the image cache of a session, the palettes of a channel.

Who evicts is the server's business: it counts what a client holds and orders removals. The byte cap here
only guards our memory; what it throws out is counted apart, so that a later miss can be told from a server's
mistake.
Source: spice-wire.md 7.6; spice-gtk src/spice-channel-cache.h.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from spicereplay.display.surfaces import Picture
from spicereplay.limits import DEFAULT_LIMITS, Limits


@dataclass(slots=True)
class CachedImage:
    """One image of the cache."""

    picture: Picture
    lossy: bool
    references: int = 1
    """How many times it was put and not yet invalidated."""

    @property
    def size_bytes(self) -> int:
        """What it costs to keep."""
        unknown = self.picture.unknown
        return int(self.picture.words.nbytes + (0 if unknown is None else unknown.nbytes))


@dataclass(slots=True)
class CacheCounts:
    """How the image cache was used."""

    puts: int = 0
    replaced: int = 0
    """Lossy images that a lossless one took the place of."""
    hits: int = 0
    misses: int = 0
    invalidated: int = 0
    """Removals that the server ordered and that removed something."""
    evicted: int = 0
    """Images thrown out to stay within the byte cap …"""
    evicted_bytes: int = 0
    """… and how large they were."""


@dataclass(slots=True)
class ImageCache:
    """Decoded images by id, shared by the display channels of a session; least recently used first."""

    limits: Limits = DEFAULT_LIMITS
    counts: CacheCounts = field(default_factory=CacheCounts)
    held_bytes: int = 0
    _images: OrderedDict[int, CachedImage] = field(default_factory=OrderedDict)
    _evicted: set[int] = field(default_factory=set)

    def __len__(self) -> int:
        return len(self._images)

    def __contains__(self, image_id: int) -> bool:
        return image_id in self._images

    def recent_ids(self, most: int) -> tuple[int, ...]:
        """Return the ids of the last `most` images put or used, the last one first."""
        return tuple(islice(reversed(self._images), most))

    def find(self, image_id: int) -> CachedImage | None:
        """Return an image without counting it as used."""
        return self._images.get(image_id)

    def was_evicted(self, image_id: int) -> bool:
        """Whether an image is missing only because of our own byte cap."""
        return image_id in self._evicted

    def get(self, image_id: int) -> CachedImage | None:
        """Return an image, which becomes the most recently used one."""
        image = self._images.get(image_id)
        if image is None:
            self.counts.misses += 1
            return None
        self.counts.hits += 1
        self._images.move_to_end(image_id)
        return image

    def put(self, image_id: int, picture: Picture, *, lossy: bool = False) -> None:
        """Keep an image; one that is there already is replaced, and held by one reference more."""
        self.counts.puts += 1
        old = self._images.get(image_id)
        self._keep(image_id, CachedImage(picture, lossy, 1 if old is None else old.references + 1))

    def replace_lossy(self, image_id: int, picture: Picture) -> None:
        """Keep the lossless form of an image; the number of references stays."""
        self.counts.replaced += 1
        old = self._images.get(image_id)
        self._keep(image_id, CachedImage(picture, False, 1 if old is None else old.references))

    def invalidate(self, image_id: int) -> bool:
        """Drop one reference, and the image with the last; False where there was no such image."""
        self._evicted.discard(image_id)
        image = self._images.get(image_id)
        if image is None:
            return False
        self.counts.invalidated += 1
        image.references -= 1
        if image.references == 0:
            self.held_bytes -= image.size_bytes
            del self._images[image_id]
        return True

    def clear(self) -> None:
        """Forget everything, by order of the server."""
        self.counts.invalidated += len(self._images)
        self._images.clear()
        self._evicted.clear()
        self.held_bytes = 0

    def _keep(self, image_id: int, image: CachedImage) -> None:
        if (old := self._images.pop(image_id, None)) is not None:
            self.held_bytes -= old.size_bytes
        self._evicted.discard(image_id)
        self._images[image_id] = image
        self.held_bytes += image.size_bytes
        while self.held_bytes > self.limits.image_cache_bytes:
            evicted_id, evicted = self._images.popitem(last=False)
            self.held_bytes -= evicted.size_bytes
            self.counts.evicted += 1
            self.counts.evicted_bytes += evicted.size_bytes
            if len(self._evicted) < _MOST_REMEMBERED:
                self._evicted.add(evicted_id)


_MOST_REMEMBERED: Final = 1 << 20
"""Ids of evicted images that are remembered, to explain later misses."""


@dataclass(slots=True)
class PaletteCache:
    """Palettes of one display channel by their `unique`, least recently used first."""

    limits: Limits = DEFAULT_LIMITS
    evicted: int = 0
    _palettes: OrderedDict[int, tuple[int, ...]] = field(default_factory=OrderedDict)

    def __len__(self) -> int:
        return len(self._palettes)

    def put(self, unique: int, entries: tuple[int, ...]) -> None:
        """Keep a palette's colours."""
        self._palettes[unique] = entries
        self._palettes.move_to_end(unique)
        while len(self._palettes) > self.limits.palette_cache_entries:
            self._palettes.popitem(last=False)
            self.evicted += 1

    def get(self, unique: int) -> tuple[int, ...] | None:
        """Return a palette's colours."""
        if unique in self._palettes:
            self._palettes.move_to_end(unique)
        return self._palettes.get(unique)

    def invalidate(self, unique: int) -> None:
        """Forget one palette."""
        self._palettes.pop(unique, None)

    def clear(self) -> None:
        """Forget all palettes."""
        self._palettes.clear()
