"""Every table the package makes: its columns, their dtypes, units and meaning.

This is the one declaration; frames are built from it (`empty`, `frame`), a test holds them to it, and the
documentation page and Parquet schemas are made from it.

Times named `*_s` are seconds since the first packet of the capture (float64, exact to the nanosecond for any
session shorter than a hundred days); NaN means "not seen". A `category` column holds text from a small set.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class Column:
    """One column: `dtype` is a pandas dtype name, `unit` is empty where the value has none."""

    name: str
    dtype: str
    meaning: str
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """One table."""

    name: str
    meaning: str
    columns: tuple[Column, ...]

    @property
    def names(self) -> list[str]:
        """The column names in order."""
        return [c.name for c in self.columns]


def _c(name: str, dtype: str, meaning: str, unit: str = "") -> Column:
    return Column(name, dtype, meaning, unit)


_SESSION: Final = _c("session", "int32", "index of the session within the capture, from 0")
_CHANNEL: Final = _c("channel", "category", "lower-case SPICE channel name")
_CHANNEL_ID: Final = _c("channel_id", "uint8", "index within the channel type")
_FROM: Final = _c("from", "category", "`server` or `client`: who sent it")
_TIME: Final = _c("time_s", "float64", "when it was complete on the wire", "s")

TABLES: Final[Mapping[str, Table]] = {
    t.name: t
    for t in (
        Table(
            "messages",
            "one row per SPICE message, both directions, in order of time",
            (
                _c("time_s", "float64", "capture time of the packet that completed the message", "s"),
                _SESSION,
                _CHANNEL,
                _CHANNEL_ID,
                _FROM,
                _c("type", "uint16", "message type as on the wire"),
                _c(
                    "name",
                    "category",
                    "the SPICE definition's name in upper case, `UNKNOWN_<type>` otherwise",
                ),
                _c("size", "uint32", "body without the data header", "bytes"),
                _c("sub", "bool", "carried inside another message (LIST or a sub-message list)"),
                _c("partial", "bool", "bytes of it are missing from the capture"),
            ),
        ),
        Table(
            "streams",
            "one row per video stream, in order of creation",
            (
                _SESSION,
                _CHANNEL_ID,
                _c("stream_id", "uint32", "the server's id; reused over time"),
                _c(
                    "codec",
                    "category",
                    "`mjpeg`, `vp8`, `h264`, `vp9`, `h265`, `unknown_<n>`, or `unknown` (not seen)",
                ),
                _c("width", "uint32", "stream_width of STREAM_CREATE; 0: not seen", "px"),
                _c("height", "uint32", "stream_height of STREAM_CREATE; 0: not seen", "px"),
                _c("created_s", "float64", "time of STREAM_CREATE", "s"),
                _c("destroyed_s", "float64", "time of its end", "s"),
                _c("lifetime_s", "float64", "destroyed_s - created_s", "s"),
                _c("frames", "int64", "STREAM_DATA and STREAM_DATA_SIZED of this stream"),
                _c("bytes", "int64", "compressed frame data, message fields not counted", "bytes"),
                _c(
                    "end_cause",
                    "category",
                    "`timeout`, `client_preference`, `surface_destroyed`, `destroy_all`, `replaced`, "
                    "`destroyed` (none of these can be told), `capture_ended`",
                ),
                _c("surface_id", "uint32", "surface it is painted on"),
                _c("dest_left", "int32", "destination on the surface", "px"),
                _c("dest_top", "int32", "destination on the surface", "px"),
                _c("dest_right", "int32", "destination on the surface, exclusive", "px"),
                _c("dest_bottom", "int32", "destination on the surface, exclusive", "px"),
                _c("top_down", "bool", "whether the first row of a frame is the top one"),
                _c("seen_create", "bool", "false: the capture begins after its STREAM_CREATE"),
                _c(
                    "codec_source",
                    "category",
                    "where codec and size are from: `capture`, `inferred` from the frames, `client_reported`",
                ),
                _c("sized_frames", "int64", "how many of the frames were STREAM_DATA_SIZED"),
                _c("clips", "int64", "STREAM_CLIP messages"),
                _c("interruptions", "int64", "STREAM_CLIP without rectangles followed by more frames"),
                _c("first_frame_s", "float64", "time of the first frame", "s"),
                _c("last_frame_s", "float64", "time of the last frame", "s"),
                _c("fps", "float64", "frames per second between first and last frame", "1/s"),
                _c("longest_gap_s", "float64", "longest time between two frames", "s"),
                _c(
                    "late_frames",
                    "Int64",
                    "frames whose multimedia time had passed on arrival; null without a clock",
                ),
                _c(
                    "worst_margin_ms",
                    "float64",
                    "smallest margin of a frame on arrival; negative is late",
                    "ms",
                ),
                _c("reports", "int64", "STREAM_REPORTs the client sent for it"),
                _c("reported_drops", "int64", "sum of num_drops of these reports (late arrivals)"),
                _c("cannot_play", "bool", "the client said it cannot play the stream"),
                _c("decode_ms_median", "float64", "re-measured decode time, median", "ms"),
                _c("decode_ms_p95", "float64", "re-measured decode time, 95th percentile", "ms"),
                _c("decode_failures", "int64", "frames that could not be decoded here"),
            ),
        ),
        Table(
            "frames",
            "one row per video frame (STREAM_DATA, STREAM_DATA_SIZED), with its re-measured decode time",
            (
                _SESSION,
                _CHANNEL_ID,
                _c("stream", "int32", "row of the streams table, -1 where it has none"),
                _c("stream_id", "uint32", "the server's id"),
                _TIME,
                _c("mm_time", "uint32", "server multimedia time; wraps", "ms"),
                _c("margin_ms", "float64", "mm_time minus the client's multimedia clock on arrival", "ms"),
                _c("codec", "category", "as in `streams`"),
                _c("width", "uint32", "picture width", "px"),
                _c("height", "uint32", "picture height", "px"),
                _c("bytes", "uint32", "compressed size", "bytes"),
                _c("sized", "bool", "STREAM_DATA_SIZED"),
                _c("decode_ms", "float64", "re-measured, one thread; NaN: not decoded", "ms"),
                _c("backend", "category", "what decoded it; empty: nothing did"),
                _c("outcome", "category", "`decoded`, `failed`, `partial`, `no_output`, `not_decoded`"),
            ),
        ),
        Table(
            "images",
            "one row per image that a display message brought or referred to, in the order drawn; video is in `frames`",
            (
                _SESSION,
                _CHANNEL_ID,
                _TIME,
                _c("image_id", "uint64", "id of the image descriptor"),
                _c(
                    "codec", "category", "SPICE's image type in lower case: `quic`, `glz_rgb`, `from_cache` …"
                ),
                _c("width", "uint32", "image width", "px"),
                _c("height", "uint32", "image height", "px"),
                _c("bytes", "uint32", "compressed size; 0 from the cache", "bytes"),
                _c(
                    "decode_ms",
                    "float64",
                    "re-measured processor time of the thread that decoded it; NaN: not decoded",
                    "ms",
                ),
                _c("backend", "category", "what decoded it; `cache`; empty: nothing could"),
                _c(
                    "cache",
                    "category",
                    "image cache: `hit`, `miss`, `stored` (put in or replaced), `none` (not meant for it)",
                ),
                _c(
                    "decoded",
                    "bool",
                    "false: it could not be decoded or is not in the cache; `defects` says why",
                ),
                _c("surface_id", "uint32", "surface it is drawn on"),
                _c("left", "int32", "box of the message on the surface", "px"),
                _c("top", "int32", "box", "px"),
                _c("right", "int32", "box, exclusive", "px"),
                _c("bottom", "int32", "box, exclusive", "px"),
            ),
        ),
        Table(
            "cache",
            "image cache and GLZ window of a session whenever they changed, a row per 100 ms at most",
            (
                _SESSION,
                _c("time_s", "float64", "capture time", "s"),
                _c("images", "int64", "images in the image cache"),
                _c("bytes", "int64", "their decoded size", "bytes"),
                _c("hits", "int64", "references that were found, since the beginning"),
                _c("misses", "int64", "references that were not, since the beginning"),
                _c("puts", "int64", "images put in or replaced, since the beginning"),
                _c("invalidated", "int64", "removals that the server ordered, since the beginning"),
                _c(
                    "evicted",
                    "int64",
                    "images thrown out here to stay within the byte cap, since the beginning",
                ),
                _c("glz_images", "int64", "images in the GLZ window"),
                _c("glz_bytes", "int64", "their decoded size", "bytes"),
                _c("glz_evicted", "int64", "images dropped from the window for the cap, since the beginning"),
            ),
        ),
        Table(
            "flaps",
            "one row per notification that the flap rule would raise (ryll-behaviour.md 5)",
            (
                _SESSION,
                _CHANNEL_ID,
                _TIME,
                _c("count", "int64", "streams destroyed within the window"),
                _c("window_s", "float64", "length of the window", "s"),
                _c("mean_lifetime_s", "float64", "of the streams in the window", "s"),
                _c(
                    "instants",
                    "int64",
                    "distinct times among these destroys (within 200 ms of the next counts as one)",
                ),
                _c("kind", "category", "`flapping`, or `torn_down_together` where there is one instant only"),
            ),
        ),
        Table(
            "regions",
            "places that were drawn with DRAW_COPY over and over, and why they are no video stream "
            "(server-heuristics.md B5); ten pictures or more each",
            (
                _SESSION,
                _CHANNEL_ID,
                _c("surface_id", "uint32", "surface drawn on; the server looks at 0 only"),
                _c("left", "int32", "box, the same in all pictures", "px"),
                _c("top", "int32", "box", "px"),
                _c("right", "int32", "box, exclusive", "px"),
                _c("bottom", "int32", "box, exclusive", "px"),
                _c("pictures", "int64", "DRAW_COPY messages with this box"),
                _c("bytes", "int64", "their bodies", "bytes"),
                _c("start_s", "float64", "first picture", "s"),
                _c("end_s", "float64", "last picture", "s"),
                _c("longest_run", "int64", "most pictures in a row at most 200 ms apart"),
                _c("run_start_s", "float64", "first picture of that run", "s"),
                _c("run_end_s", "float64", "last picture of that run", "s"),
                _c("src_pixels", "int64", "smallest source area of the pictures", "px"),
                _c(
                    "reason",
                    "category",
                    "`streamed`; or the first condition that fails: `off_screen`, `not_plain_copy`, `from_surface`, "
                    "`device_picture`, `too_small`, `source_size_varies`, `too_slow_or_short`; "
                    "`eligible` where all hold",
                ),
            ),
        ),
        Table(
            "agent",
            "one row per request to the guest agent that a reply can answer",
            (
                _SESSION,
                _TIME,
                _c("type", "category", "agent message type, `MONITORS_CONFIG` …"),
                _c("reply_time_s", "float64", "time of the reply", "s"),
                _c("lag_ms", "float64", "reply_time_s - time_s", "ms"),
                _c("outcome", "category", "`answered`, `error`, `unanswered` or `ambiguous`"),
                _c("result", "Int64", "result word of the reply"),
            ),
        ),
        Table(
            "agent_messages",
            "one row per whole agent message, put together from its chunks; contents are not kept",
            (
                _SESSION,
                _TIME,
                _FROM,
                _c("type", "category", "agent message type"),
                _c("size", "uint32", "data after the 20-byte header", "bytes"),
                _c("chunks", "int32", "AGENT_DATA messages it took"),
            ),
        ),
        Table(
            "agent_starvation",
            "periods in which a side had no agent token left (spice-wire.md 6.1)",
            (
                _SESSION,
                _FROM,
                _c("start_s", "float64", "when the last token was spent", "s"),
                _c("end_s", "float64", "when credit came back; NaN: it did not", "s"),
                _c("duration_s", "float64", "end (of the capture at the latest) minus start", "s"),
            ),
        ),
        Table(
            "reports",
            "one row per STREAM_REPORT",
            (
                _SESSION,
                _CHANNEL_ID,
                _TIME,
                _c("stream_id", "uint32", "stream reported on"),
                _c("unique_id", "uint32", "id from STREAM_ACTIVATE_REPORT"),
                _c("start_mm_time", "uint32", "first frame of the window", "ms"),
                _c("end_mm_time", "uint32", "last frame of the window", "ms"),
                _c("frames", "uint32", "frames that arrived in the window"),
                _c("drops", "uint32", "frames that arrived late"),
                _c("last_frame_delay_ms", "int32", "margin of the last frame; negative is late", "ms"),
                _c("audio_delay_ms", "Int64", "playback latency; null: nothing plays", "ms"),
                _c("cannot_play", "bool", "the client cannot play this stream (0 frames, 0xffffffff drops)"),
            ),
        ),
        Table(
            "pings",
            "one row per server PING",
            (
                _SESSION,
                _CHANNEL,
                _CHANNEL_ID,
                _TIME,
                _c("ping_id", "uint32", "id of the PING"),
                _c("timestamp", "uint64", "server monotonic clock, as sent"),
                _c("unit", "category", "`us` for the three PINGs of main's network test, else `ns`"),
                _c("padding", "uint32", "bytes after the timestamp", "bytes"),
                _c("pong_s", "float64", "time of the PONG", "s"),
                _c("rtt_ms", "float64", "from PING to PONG at the capture point", "ms"),
            ),
        ),
        Table(
            "ack_stalls",
            "periods in which the server had more than two windows of messages unacknowledged (spice-wire.md 4.3)",
            (
                _SESSION,
                _CHANNEL,
                _CHANNEL_ID,
                _c("start_s", "float64", "when the limit was passed", "s"),
                _c("end_s", "float64", "when an ACK lifted it", "s"),
                _c("duration_s", "float64", "end minus start", "s"),
                _c("window", "uint32", "window of SET_ACK", "messages"),
                _c("unacknowledged", "int64", "most messages outstanding during the stall"),
            ),
        ),
        Table(
            "gaps",
            "bytes that were sent and that the capture does not hold",
            (
                _SESSION,
                _CHANNEL,
                _CHANNEL_ID,
                _FROM,
                _TIME,
                _c("position", "int64", "stream position of the first missing byte", "bytes"),
                _c("bytes", "Int64", "how many; null: unknown", "bytes"),
                _c(
                    "cause",
                    "category",
                    "`not_captured`, `segment_over_snaplen`, `oversize_placeholder`, `silent`, `evicted`",
                ),
                _c("messages", "Int64", "messages lost in it or that lost their head; null: unknown"),
            ),
        ),
        Table(
            "notifications",
            "what the server told the user (NOTIFY) and what the client told its user (bug reports)",
            (
                _SESSION,
                _TIME,
                _c("origin", "category", "`server` or `client_reported`"),
                _c("source", "category", "channel or subsystem that raised it"),
                _c("severity", "category", "`info`, `warn` or `error`"),
                _c("message", "str", "the text"),
                _c("count", "int64", "repeats folded into one"),
            ),
        ),
        Table(
            "tcp",
            "one row per direction of a connection: what the TCP headers say",
            (
                _SESSION,
                _CHANNEL,
                _CHANNEL_ID,
                _FROM,
                _c("segments", "int64", "segments with or without payload"),
                _c("bytes", "int64", "payload", "bytes"),
                _c("retransmitted_bytes", "int64", "payload that arrived again", "bytes"),
                _c("out_of_order", "int64", "segments that arrived after a later one"),
                _c("conflicts", "int64", "retransmissions with other bytes"),
                _c("keep_alives", "int64", "keep-alive probes"),
                _c("zero_windows", "int64", "announcements of a zero receive window"),
                _c("sequence_wraps", "int64", "how often the sequence number wrapped"),
            ),
        ),
        Table(
            "channels",
            "one row per channel of a session",
            (
                _SESSION,
                _CHANNEL,
                _CHANNEL_ID,
                _c("handshake", "bool", "the link stage is in the capture"),
                _c("mini_header", "bool", "6-byte data headers"),
                _c("start_s", "float64", "first packet", "s"),
                _c("end_s", "float64", "last packet", "s"),
                _c("messages_from_server", "int64", "whole and partial, sub-messages not counted"),
                _c("messages_from_client", "int64", "whole and partial, sub-messages not counted"),
                _c("bytes_from_server", "int64", "stream bytes, handshake included", "bytes"),
                _c("bytes_from_client", "int64", "stream bytes, handshake included", "bytes"),
                _c("gaps", "int64", "holes"),
                _c("missing_bytes", "int64", "known size of the holes", "bytes"),
                _c("unparsed_bytes", "int64", "captured bytes that belong to no message", "bytes"),
                _c("closed_by", "category", "`client`, `server` or empty"),
            ),
        ),
        Table(
            "bandwidth",
            "bytes on the wire per channel and direction in equal bins of time",
            (
                _SESSION,
                _CHANNEL,
                _CHANNEL_ID,
                _FROM,
                _c("time_s", "float64", "start of the bin", "s"),
                _c("width_s", "float64", "width of the bin", "s"),
                _c(
                    "bytes",
                    "int64",
                    "message bytes, headers included, that were completed in the bin",
                    "bytes",
                ),
                _c("messages", "int64", "messages completed in the bin"),
            ),
        ),
        Table(
            "defects",
            "what was wrong with the input",
            (
                _c("kind", "category", "the rule that was broken (`spicereplay.defects.DefectKind`)"),
                _c("where", "str", "the place"),
                _c("time_s", "float64", "capture time; NaN: none", "s"),
                _c("position", "Int64", "byte offset within the place; null: none", "bytes"),
                _c("detail", "str", "what was expected and what was found"),
            ),
        ),
        Table(
            "client_reported",
            "what the client's bug report says, one row per value, beside what the capture shows",
            (
                _SESSION,
                _c("member", "category", "file of the bug report"),
                _c("path", "str", "path of the value within it, `streams_active[0].codec_type`"),
                _c("value", "str", "the value as text; `null` where the client had none"),
            ),
        ),
        Table(
            "disagreements",
            "where the client's own figures and the capture differ",
            (
                _SESSION,
                _c("what", "str", "the quantity"),
                _c("client_reported", "str", "what the client says"),
                _c("capture", "str", "what the capture shows"),
                _c("explanation", "str", "a known reason, or empty"),
            ),
        ),
        Table(
            "findings",
            "what went wrong, worst first",
            (
                _c("code", "str", "stable name of the rule"),
                _c("severity", "category", "`critical`, `warn` or `info`"),
                _c("title", "str", "one sentence"),
                _c("time_s", "float64", "when it began or was noticed; NaN: not at a time", "s"),
                _c("evidence", "object", "list of sentences with figures and their source"),
            ),
        ),
    )
}


def empty(name: str) -> pd.DataFrame:
    """Return the table `name` without rows."""
    return frame(name, {})


def frame(name: str, columns: Mapping[str, Any]) -> pd.DataFrame:
    """Return the table `name` from a mapping of column name to values, cast to the declared dtypes.

    Raises `KeyError` for a name the schema does not know, `ValueError` when some but not all columns are given.
    """
    import pandas as pd

    table = TABLES[name]
    if columns and set(columns) != set(table.names):
        odd = sorted(set(columns) ^ set(table.names))
        raise ValueError(f"table {name}: columns {odd} are missing or unknown")
    data = {
        c.name: pd.Series(columns[c.name] if columns else [], dtype=c.dtype, copy=False)
        for c in table.columns
    }
    return pd.DataFrame(data, copy=False)
