"""What is drawn besides video: images, the image cache and the GLZ window."""

from __future__ import annotations

from typing import Final

from spicereplay.analysis.schema.declaration import CHANNEL_ID, SESSION, TIME, Table, column

TABLES: Final = (
    Table(
        "images",
        "one row per image that a display message brought or referred to, in the order drawn; video is in `frames`",
        (
            SESSION,
            CHANNEL_ID,
            TIME,
            column("image_id", "uint64", "id of the image descriptor"),
            column(
                "codec", "category", "SPICE's image type in lower case: `quic`, `glz_rgb`, `from_cache` …"
            ),
            column("width", "uint32", "image width", "px"),
            column("height", "uint32", "image height", "px"),
            column("bytes", "uint32", "compressed size; 0 from the cache", "bytes"),
            column(
                "decode_ms",
                "float64",
                "re-measured processor time of the thread that decoded it; NaN: not decoded",
                "ms",
            ),
            column("backend", "category", "what decoded it; `cache`; empty: nothing could"),
            column(
                "cache",
                "category",
                "image cache: `hit`, `miss`, `stored` (put in or replaced), `none` (not meant for it)",
            ),
            column(
                "decoded",
                "bool",
                "false: it could not be decoded or is not in the cache; `defects` says why",
            ),
            column("surface_id", "uint32", "surface it is drawn on"),
            column("left", "int32", "box of the message on the surface", "px"),
            column("top", "int32", "box", "px"),
            column("right", "int32", "box, exclusive", "px"),
            column("bottom", "int32", "box, exclusive", "px"),
        ),
    ),
    Table(
        "cache",
        "image cache and GLZ window of a session whenever they changed, a row per 100 ms at most",
        (
            SESSION,
            column("time_s", "float64", "capture time", "s"),
            column("images", "int64", "images in the image cache"),
            column("bytes", "int64", "their decoded size", "bytes"),
            column("hits", "int64", "references that were found, since the beginning"),
            column("misses", "int64", "references that were not, since the beginning"),
            column("puts", "int64", "images put in or replaced, since the beginning"),
            column("invalidated", "int64", "removals that the server ordered, since the beginning"),
            column(
                "evicted",
                "int64",
                "images thrown out here to stay within the byte cap, since the beginning",
            ),
            column("glz_images", "int64", "images in the GLZ window"),
            column("glz_bytes", "int64", "their decoded size", "bytes"),
            column("glz_evicted", "int64", "images dropped from the window for the cap, since the beginning"),
        ),
    ),
)
