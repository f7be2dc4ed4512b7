from __future__ import annotations

import numpy as np
from display.made import X888

from spicereplay.display.cache import ImageCache, PaletteCache
from spicereplay.display.surfaces import Picture
from spicereplay.limits import Limits


def picture(pixels: int = 1) -> Picture:
    return Picture(np.zeros((1, pixels), np.uint32), X888)


def test_an_image_put_twice_needs_two_invalidations() -> None:
    cache = ImageCache()
    cache.put(5, picture())
    cache.put(5, picture())
    assert cache.invalidate(5)
    assert 5 in cache
    assert cache.invalidate(5)
    assert 5 not in cache
    assert not cache.invalidate(5)
    assert cache.counts.invalidated == 2
    assert cache.held_bytes == 0


def test_a_lossless_image_takes_a_lossy_ones_place_and_references() -> None:
    cache = ImageCache()
    cache.put(5, picture(), lossy=True)
    cache.put(5, picture(), lossy=True)
    cache.replace_lossy(5, picture(3))
    held = cache.get(5)
    assert held is not None
    assert (held.lossy, held.references, cache.held_bytes) == (False, 2, 12)


def test_hits_and_misses_are_counted() -> None:
    cache = ImageCache()
    cache.put(1, picture())
    cache.get(1)
    cache.get(2)
    assert (cache.counts.hits, cache.counts.misses) == (1, 1)
    assert cache.find(2) is None
    assert cache.counts.misses == 1


def test_over_the_cap_the_least_recently_used_goes_and_is_remembered() -> None:
    cache = ImageCache(Limits(image_cache_bytes=40))
    for image_id in (1, 2, 3):
        cache.put(image_id, picture(3))
    cache.get(1)
    cache.put(4, picture(3))
    assert [image_id in cache for image_id in (1, 2, 3, 4)] == [True, False, True, True]
    assert cache.was_evicted(2)
    assert (cache.counts.evicted, cache.counts.invalidated, cache.held_bytes) == (1, 0, 36)
    assert cache.counts.evicted_bytes == 12
    assert cache.recent_ids(2) == (4, 1)
    cache.invalidate(2)
    assert not cache.was_evicted(2)


def test_an_image_larger_than_the_cap_is_not_kept() -> None:
    cache = ImageCache(Limits(image_cache_bytes=40))
    cache.put(1, picture(11))
    assert len(cache) == 0
    assert cache.was_evicted(1)
    assert cache.held_bytes == 0


def test_clearing_is_the_servers_removal() -> None:
    cache = ImageCache()
    cache.put(1, picture())
    cache.put(2, picture())
    cache.clear()
    assert (len(cache), cache.held_bytes, cache.counts.invalidated, cache.counts.evicted) == (0, 0, 2, 0)


def test_palettes_come_and_go() -> None:
    palettes = PaletteCache(Limits(palette_cache_entries=2))
    palettes.put(1, (1, 2))
    palettes.put(2, (3,))
    assert palettes.get(1) == (1, 2)
    palettes.put(3, (4,))
    assert (palettes.get(1), palettes.get(2), palettes.evicted) == ((1, 2), None, 1)
    palettes.invalidate(1)
    palettes.invalidate(99)
    assert palettes.get(1) is None
    palettes.clear()
    assert len(palettes) == 0
