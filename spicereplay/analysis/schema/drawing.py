"""What is drawn besides video: draw messages, images, the caches; and when nothing is."""

from __future__ import annotations

from typing import Final

from spicereplay.analysis.schema.declaration import CHANNEL_ID, SESSION, TIME, Table, column

TABLES: Final = (
    Table(
        "draws",
        "one row per draw message (DRAW_COPY and its like, COPY_BITS), in order of time; null where damage hides it",
        (
            SESSION,
            CHANNEL_ID,
            TIME,
            column("name", "category", "the message, `DRAW_COPY` …"),
            column("surface_id", "UInt32", "surface it draws on; 0 is the screen"),
            column("left", "Int32", "box on the surface", "px"),
            column("top", "Int32", "box", "px"),
            column("right", "Int32", "box, exclusive", "px"),
            column("bottom", "Int32", "box, exclusive", "px"),
            column(
                "clip_rects", "Int64", "rectangles it is limited to; 0: nothing is drawn; -1: not limited"
            ),
            column(
                "effect",
                "category",
                "`replace`: what was there before does not matter (a mask aside); `combine`: it is combined or shows "
                "through; `move`: COPY_BITS",
            ),
            column(
                "rop",
                "UInt16",
                "raster operation: rop word of FILL, OPAQUE, COPY and BLEND, fore_mode of TEXT and STROKE, truth table "
                "of ROP3, operator of COMPOSITE; null: the message has none",
            ),
            column("bytes", "uint32", "body of the message", "bytes"),
            column("partial", "bool", "bytes of it are missing from the capture"),
            column("image_id", "UInt64", "source image: id; null: the message has none"),
            column("codec", "category", "source image: SPICE's image type, as in `images`"),
            column("image_width", "UInt32", "source image: width", "px"),
            column("image_height", "UInt32", "source image: height", "px"),
            column(
                "image_bytes",
                "UInt32",
                "source image: its data; 0 from the cache or a surface; null: more than the message holds",
                "bytes",
            ),
        ),
    ),
    Table(
        "display_silence",
        "times of a second or more in which no display channel changed the screen while other messages were seen; "
        "idle or frozen",
        (
            SESSION,
            column(
                "start_s", "float64", "last change of the screen, or the display channel's beginning", "s"
            ),
            column("end_s", "float64", "next change, or the end of the display channels", "s"),
            column("duration_s", "float64", "end_s - start_s", "s"),
            column("messages_elsewhere", "int64", "messages of any channel and side in that time"),
            column("messages_from_server", "int64", "those of them that the server sent"),
            column("inputs_during", "int64", "keys and buttons pressed in that time"),
            column("first_input_s", "float64", "the first of these presses; NaN: none", "s"),
            column("agent_messages", "int64", "AGENT_DATA in that time, both directions"),
            column("holes", "int64", "holes in what display servers sent: pictures may have been in them"),
            column(
                "ended_by",
                "category",
                "message that changed the screen; `channel_closed` or `capture_ended` where none did",
            ),
        ),
    ),
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
