"""Video streams: their lives, frames, flaps, reports, and regions that could have been streams."""

from __future__ import annotations

from typing import Final

from spicereplay.analysis.schema.declaration import CHANNEL_ID, SESSION, TIME, Table, column

TABLES: Final = (
    Table(
        "streams",
        "one row per video stream, in order of creation",
        (
            SESSION,
            CHANNEL_ID,
            column("stream_id", "uint32", "the server's id; reused over time"),
            column(
                "codec",
                "category",
                "`mjpeg`, `vp8`, `h264`, `vp9`, `h265`, `unknown_<n>`, or `unknown` (not seen)",
            ),
            column("width", "uint32", "stream_width of STREAM_CREATE; 0: not seen", "px"),
            column("height", "uint32", "stream_height of STREAM_CREATE; 0: not seen", "px"),
            column("created_s", "float64", "time of STREAM_CREATE", "s"),
            column("destroyed_s", "float64", "time of its end", "s"),
            column("lifetime_s", "float64", "destroyed_s - created_s", "s"),
            column("frames", "int64", "STREAM_DATA and STREAM_DATA_SIZED of this stream"),
            column("bytes", "int64", "compressed frame data, message fields not counted", "bytes"),
            column(
                "end_cause",
                "category",
                "`timeout`, `client_preference`, `surface_destroyed`, `destroy_all`, `replaced`, "
                "`destroyed` (none of these can be told), `capture_ended`",
            ),
            column("surface_id", "uint32", "surface it is painted on"),
            column("dest_left", "int32", "destination on the surface", "px"),
            column("dest_top", "int32", "destination on the surface", "px"),
            column("dest_right", "int32", "destination on the surface, exclusive", "px"),
            column("dest_bottom", "int32", "destination on the surface, exclusive", "px"),
            column("top_down", "bool", "whether the first row of a frame is the top one"),
            column("seen_create", "bool", "false: the capture begins after its STREAM_CREATE"),
            column(
                "codec_source",
                "category",
                "where codec and size are from: `capture`, `inferred` from the frames, `client_reported`",
            ),
            column("sized_frames", "int64", "how many of the frames were STREAM_DATA_SIZED"),
            column("clips", "int64", "STREAM_CLIP messages"),
            column("interruptions", "int64", "STREAM_CLIP without rectangles followed by more frames"),
            column("first_frame_s", "float64", "time of the first frame", "s"),
            column("last_frame_s", "float64", "time of the last frame", "s"),
            column("fps", "float64", "frames per second between first and last frame", "1/s"),
            column("longest_gap_s", "float64", "longest time between two frames", "s"),
            column(
                "late_frames",
                "Int64",
                "frames whose multimedia time had passed on arrival; null without a clock",
            ),
            column(
                "worst_margin_ms",
                "float64",
                "smallest margin of a frame on arrival; negative is late",
                "ms",
            ),
            column("reports", "int64", "STREAM_REPORTs the client sent for it"),
            column("reported_drops", "int64", "sum of num_drops of these reports (late arrivals)"),
            column("cannot_play", "bool", "the client said it cannot play the stream"),
            column("decode_ms_median", "float64", "re-measured decode time, median", "ms"),
            column("decode_ms_p95", "float64", "re-measured decode time, 95th percentile", "ms"),
            column("decode_failures", "int64", "frames that could not be decoded here"),
        ),
    ),
    Table(
        "frames",
        "one row per video frame (STREAM_DATA, STREAM_DATA_SIZED), with its re-measured decode time",
        (
            SESSION,
            CHANNEL_ID,
            column("stream", "int32", "row of the streams table, -1 where it has none"),
            column("stream_id", "uint32", "the server's id"),
            TIME,
            column("mm_time", "uint32", "server multimedia time; wraps", "ms"),
            column("margin_ms", "float64", "mm_time minus the client's multimedia clock on arrival", "ms"),
            column("codec", "category", "as in `streams`"),
            column("width", "uint32", "picture width", "px"),
            column("height", "uint32", "picture height", "px"),
            column("bytes", "uint32", "compressed size", "bytes"),
            column("sized", "bool", "STREAM_DATA_SIZED"),
            column("decode_ms", "float64", "re-measured, one thread; NaN: not decoded", "ms"),
            column("backend", "category", "what decoded it; empty: nothing did"),
            column("outcome", "category", "`decoded`, `failed`, `partial`, `no_output`, `not_decoded`"),
        ),
    ),
    Table(
        "flaps",
        "one row per notification that the flap rule would raise (ryll-behaviour.md 5)",
        (
            SESSION,
            CHANNEL_ID,
            column("time_s", "float64", "when the stream was destroyed that was one too many", "s"),
            column("count", "int64", "streams destroyed within the window"),
            column("window_s", "float64", "length of the window", "s"),
            column("mean_lifetime_s", "float64", "of the streams in the window", "s"),
            column(
                "instants",
                "int64",
                "distinct times among these destroys (within 200 ms of the next counts as one)",
            ),
            column("kind", "category", "`flapping`, or `torn_down_together` where there is one instant only"),
        ),
    ),
    Table(
        "regions",
        "places that were drawn with DRAW_COPY over and over, and why they are no video stream "
        "(server-heuristics.md B5); ten pictures or more each",
        (
            SESSION,
            CHANNEL_ID,
            column("surface_id", "uint32", "surface drawn on; the server looks at 0 only"),
            column("left", "int32", "box, the same in all pictures", "px"),
            column("top", "int32", "box", "px"),
            column("right", "int32", "box, exclusive", "px"),
            column("bottom", "int32", "box, exclusive", "px"),
            column("pictures", "int64", "DRAW_COPY messages with this box"),
            column("bytes", "int64", "their bodies", "bytes"),
            column("start_s", "float64", "first picture", "s"),
            column("end_s", "float64", "last picture", "s"),
            column("longest_run", "int64", "most pictures in a row at most 200 ms apart"),
            column("run_start_s", "float64", "first picture of that run", "s"),
            column("run_end_s", "float64", "last picture of that run", "s"),
            column("src_pixels", "int64", "smallest source area of the pictures", "px"),
            column(
                "reason",
                "category",
                "`streamed`; or the first condition that fails: `off_screen`, `not_plain_copy`, `from_surface`, "
                "`device_picture`, `too_small`, `source_size_varies`, `too_slow_or_short`; "
                "`eligible` where all hold",
            ),
        ),
    ),
    Table(
        "reports",
        "one row per STREAM_REPORT",
        (
            SESSION,
            CHANNEL_ID,
            TIME,
            column("stream_id", "uint32", "stream reported on"),
            column("unique_id", "uint32", "id from STREAM_ACTIVATE_REPORT"),
            column("start_mm_time", "uint32", "first frame of the window", "ms"),
            column("end_mm_time", "uint32", "last frame of the window", "ms"),
            column("frames", "uint32", "frames that arrived in the window"),
            column("drops", "uint32", "frames that arrived late"),
            column("last_frame_delay_ms", "int32", "margin of the last frame; negative is late", "ms"),
            column("audio_delay_ms", "Int64", "playback latency; null: nothing plays", "ms"),
            column("cannot_play", "bool", "the client cannot play this stream (0 frames, 0xffffffff drops)"),
        ),
    ),
)
