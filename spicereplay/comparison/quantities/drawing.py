"""Drawing: images by codec, and the caches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from spicereplay.comparison.material import Material
from spicereplay.comparison.observation import Count, Figure, Observation, Occurrences, Sample, Share
from spicereplay.comparison.quantities.declaration import OTHERS, Quantity
from spicereplay.units import MIB


def _images(material: Material) -> Mapping[str, Observation]:
    exposure = material.exposure_s("display")
    if not material.decoded or not exposure:
        return {}
    by_codec = material.table("images").groupby("codec", observed=True)
    found: dict[str, Observation] = {
        str(codec): material.count(group, "display") for codec, group in by_codec
    }
    return {**found, OTHERS: Count(0, exposure)}


def _image_rate(material: Material) -> Mapping[str, Observation]:
    found: dict[str, Observation] = {}
    for name in ("images", "frames"):
        for codec, group in material.table(name).groupby("codec", observed=True):
            if group["bytes"].any():
                found[str(codec)] = _kilobytes(material.rate(group, "bytes", "display"))
    return found


def _kilobytes(rate: Sample) -> Sample:
    return Sample(rate.values / 1e3, rate.total, rate.centre)


def _hits(material: Material) -> Mapping[str, Observation]:
    images = material.table("images")
    meant = images[images["cache"] != "none"]
    if not len(meant):
        return {}
    hits = (meant["cache"] == "hit").to_numpy(np.float64)
    worth = Sample.of(hits)
    return {"": Share(float(hits.sum()), float(len(hits)), len(worth.values) / worth.independent)}


def _misses(material: Material) -> Mapping[str, Observation]:
    if not material.decoded:
        return {}
    missing = int((material.table("images")["cache"] == "miss").sum())
    return {"": Occurrences(missing, f"{missing:,} references to images that were not there")}


def _evictions(material: Material) -> Mapping[str, Observation]:
    last = material.table("cache").groupby("session").last()
    if not len(last):
        return {}
    return {
        "image cache": Figure(float(last["evicted"].sum())),
        "GLZ window": Figure(float(last["glz_evicted"].sum())),
    }


def _window(material: Material) -> Mapping[str, Observation]:
    cache = material.table("cache")
    if not len(cache):
        return {}
    return {
        "image cache": Figure(float(cache["bytes"].max()) / MIB),
        "GLZ window": Figure(float(cache["glz_bytes"].max()) / MIB),
    }


QUANTITIES: Final = (
    Quantity(
        "images",
        "images drawn",
        "drawing",
        "1/min",
        "images that display messages brought or referred to, by SPICE's image type",
        "images, capture",
        "images, over how much more their number varies than that of single events",
        "neither",
        25,
        6,
        1.5,
        _images,
    ),
    Quantity(
        "picture_rate",
        "bandwidth of pictures",
        "drawing",
        "kB/s",
        "compressed bytes of images and video frames, by codec, over the whole time of the display",
        "images and frames, capture",
        "seconds, over their autocorrelation time",
        "neither",
        30,
        5,
        1.5,
        _image_rate,
    ),
    Quantity(
        "cache_hits",
        "image cache hits",
        "drawing",
        "share",
        "share of images meant for the image cache that came from it",
        "images, capture",
        "images, over their autocorrelation time",
        "less",
        45,
        0.1,
        1,
        _hits,
    ),
    Quantity(
        "cache_misses",
        "images missing from the cache",
        "drawing",
        "",
        "references to images that are not in the cache",
        "images, capture",
        "a reference",
        "more",
        50,
        1,
        1,
        _misses,
    ),
    Quantity(
        "evictions",
        "images evicted here",
        "drawing",
        "",
        "images thrown out while replaying, to stay within the byte caps",
        "cache, capture",
        "one figure per session",
        "more",
        44,
        1,
        1,
        _evictions,
    ),
    Quantity(
        "cache_size",
        "most held at once",
        "drawing",
        "MiB",
        "decoded size of what the cache and the GLZ window held at most",
        "cache, capture",
        "one figure per session",
        "neither",
        20,
        8,
        1,
        _window,
    ),
)
