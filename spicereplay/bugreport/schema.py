"""Every field of every JSON file that ryll writes, declared once with meaning, unit and first revision.

All fields may be missing and all may be null: the client's revisions differ, no version number says which one
wrote a file, and a number that is not finite is written as null. Both read as `None`, which is "unknown",
never zero. Seconds (`*_secs`) count from the creation of the current connection's traffic buffers unless a
field says otherwise. `doc` marks what must not leave the machine unasked: keystrokes, the user's own text,
host names.

Source: ryll-formats.md 3 to 8 and 11.1; revision labels G0 to G3: ryll-formats.md 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct

from spicereplay.bugreport.variants import variant
from spicereplay.units import NS_PER_S

U64_MAX: Final = 2**64 - 1
"""The largest counter. msgspec cannot hold a bound of 64 bits, so `lenient.parse` does."""

U8 = Annotated[int, Meta(ge=0, le=2**8 - 1)]
U16 = Annotated[int, Meta(ge=0, le=2**16 - 1)]
U32 = Annotated[int, Meta(ge=0, le=2**32 - 1)]
U64 = Annotated[int, Meta(ge=0)]
I32 = Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)]
ByOpcode = dict[str, U64]
"""Message type in decimal to how many."""


def doc(meaning: str, unit: str = "", *, since: str = "G0", private: bool = False) -> Meta:
    """Document one field: what it says, in which unit, since which revision, and whether it is private."""
    return Meta(description=meaning, extra={"unit": unit, "since": since, "private": private})


class Region(Struct, frozen=True, kw_only=True):
    """The rectangle the user dragged. Zero-area ones occur in G0."""

    left: Annotated[U32 | None, doc("left edge", "px")] = None
    top: Annotated[U32 | None, doc("top edge", "px")] = None
    right: Annotated[U32 | None, doc("right edge", "px")] = None
    bottom: Annotated[U32 | None, doc("bottom edge", "px")] = None

    @property
    def is_empty(self) -> bool:
        """Whether it holds no pixel, or not all of its edges are known."""
        if self.left is None or self.top is None or self.right is None or self.bottom is None:
            return True
        return self.left >= self.right or self.top >= self.bottom


class Metadata(Struct, frozen=True, kw_only=True):
    """`metadata.json` of a bug report. Source: ryll-formats.md 3."""

    ryll_version: Annotated[str | None, doc("crate version; tells little about the revision")] = None
    ryll_git_sha: Annotated[
        str | None, doc("short commit, `-dirty` behind a modified tree, or `unknown`")
    ] = None
    platform_os: Annotated[str | None, doc("`linux`, `macos`, `windows` …")] = None
    platform_arch: Annotated[str | None, doc("`x86_64`, `aarch64` …")] = None
    report_type: Annotated[str | dict[str, Any] | None, doc("what the report is about, see `ReportType`")] = (
        None
    )
    channel: Annotated[str | None, doc("channel of the report, or `all`")] = None
    description: Annotated[str | None, doc("the user's text, or made by the client", private=True)] = None
    region: Annotated[Region | None, doc("rectangle of the surface the report is about")] = None
    timestamp: Annotated[str | None, doc("when it was put together, UTC, whole seconds")] = None
    target_host: Annotated[str | None, doc("the server's host", private=True)] = None
    target_port: Annotated[U16 | None, doc("the server's port")] = None
    session_uptime_secs: Annotated[float | None, doc("age of the connection at `timestamp`", "s")] = None
    triggered_at: Annotated[str | None, doc("when the dialog was opened, UTC; else `timestamp`")] = None
    triggered_uptime_secs: Annotated[float | None, doc("age of the connection at `triggered_at`", "s")] = None


class CaptureMetadata(Struct, frozen=True, kw_only=True):
    """`metadata.json` of a `--capture` directory. Source: ryll-formats.md 11.1."""

    ryll_version: Annotated[str | None, doc("crate version")] = None
    ryll_git_sha: Annotated[str | None, doc("short commit", since="G1")] = None
    platform_os: Annotated[str | None, doc("`linux`, `macos`, `windows` …")] = None
    platform_arch: Annotated[str | None, doc("`x86_64`, `aarch64` …")] = None
    target_host: Annotated[str | None, doc("the server's host", private=True)] = None
    target_port: Annotated[U16 | None, doc("the server's port")] = None
    target_tls_port: Annotated[U16 | None, doc("the server's TLS port")] = None
    capture_started: Annotated[str | None, doc("UTC, whole seconds, a moment before the pcaps' zero")] = None


class Surface(Struct, frozen=True, kw_only=True):
    """A surface the client knows; with several displays ids repeat."""

    surface_id: Annotated[U32 | None, doc("the server's id")] = None
    width: Annotated[U32 | None, doc("width", "px")] = None
    height: Annotated[U32 | None, doc("height", "px")] = None


class Session(Struct, frozen=True, kw_only=True):
    """`session.json`. Runs without a window leave most of it at its defaults. Source: ryll-formats.md 4."""

    fps: Annotated[float | None, doc("MARK messages over the last 120 of them", "1/s")] = None
    bandwidth_history: Annotated[
        list[float | None] | None,
        doc("received on all channels, per second, oldest first, at most 60", "B/s"),
    ] = None
    bandwidth_current: Annotated[float | None, doc("the newest of `bandwidth_history`", "B/s")] = None
    last_latency_ms: Annotated[
        float | None, doc("time between the last two PINGs on main; no round trip", "ms")
    ] = None
    frames_received: Annotated[U64 | None, doc("drawing operations applied, not video frames")] = None
    surfaces: Annotated[list[Surface] | None, doc("surfaces of all display channels")] = None
    cursor_pos: Annotated[list[U16] | None, doc("x and y of the cursor", "px")] = None
    cursor_visible: Annotated[bool | None, doc("whether the cursor is shown")] = None
    mouse_mode: Annotated[U32 | None, doc("1 server (relative), 2 client (absolute), 0 unknown")] = None
    connected: Annotated[bool | None, doc("whether a connection is up")] = None
    uptime_secs: Annotated[
        float | None, doc("age of the connection when the report was put together", "s")
    ] = None
    auto_reconnect_count: Annotated[U32 | None, doc("attempts to reconnect so far")] = None
    video_drop_count: Annotated[
        U64 | None, doc("frames the recorder of display.mp4 refused; 0 without `--capture`", since="G1")
    ] = None
    image_ready_lag_recent_min_us: Annotated[
        U32 | None, doc("wait of an image for the window's thread, shortest of 32; 0: none", "µs", since="G1")
    ] = None
    image_ready_lag_recent_max_us: Annotated[U32 | None, doc("the same, longest", "µs", since="G1")] = None
    image_ready_lag_recent_mean_us: Annotated[U32 | None, doc("the same, mean", "µs", since="G1")] = None
    display_mark_lag_recent_min_us: Annotated[
        U32 | None, doc("wait of a MARK for the window's thread, shortest of 32; 0: none", "µs", since="G1")
    ] = None
    display_mark_lag_recent_max_us: Annotated[U32 | None, doc("the same, longest", "µs", since="G1")] = None
    display_mark_lag_recent_mean_us: Annotated[U32 | None, doc("the same, mean", "µs", since="G1")] = None
    auto_snapshots_saved: Annotated[U64 | None, doc("auto-snapshots written before this one", since="G1")] = (
        None
    )
    auto_snapshots_pruned: Annotated[U64 | None, doc("auto-snapshots deleted so far", since="G1")] = None


class Transport(Struct, frozen=True, kw_only=True):
    """What every channel counts. Source: ryll-formats.md 5.1."""

    bytes_in: Annotated[U64 | None, doc("read after the link handshake", "B")] = None
    bytes_out: Annotated[U64 | None, doc("written after the link handshake", "B")] = None
    last_recv_ts_secs: Annotated[float | None, doc("last read", "s")] = None
    last_send_ts_secs: Annotated[float | None, doc("last completed write", "s")] = None
    ping_recv_count: Annotated[U32 | None, doc("PINGs of the server")] = None
    pong_send_count: Annotated[U32 | None, doc("PONGs in reply")] = None
    last_ping_recv_ts_secs: Annotated[float | None, doc("last PING", "s")] = None


class Channel(Transport, frozen=True, kw_only=True):
    """What every snapshot of a channel begins with. Source: ryll-formats.md 5.1 and 5.2."""

    writer_dropped_count: Annotated[
        U64 | None, doc("chunks the `--capture` queue refused: holes in its pcap without a trace")
    ] = None
    messages_recv_by_opcode: Annotated[
        ByOpcode | None, doc("messages received by type; from G2 known types only", since="G1, display G2")
    ] = None
    messages_send_by_opcode: Annotated[
        ByOpcode | None, doc("messages sent by type; from G2 known types only", since="G1, display G2")
    ] = None
    last_unknown_opcode: Annotated[U16 | None, doc("last type without a name", since="G1, display G2")] = None
    unknown_opcode_count: Annotated[
        U64 | None, doc("messages of types without a name or not acted on", since="G1, display G2")
    ] = None


class DecodeResult(Struct, frozen=True, kw_only=True):
    """One decoded still image. Source: ryll-formats.md 5.3."""

    image_type: Annotated[str | None, doc("`Some(ZlibGlzRgb)`, `None`, or a bare name, see `image_name`")] = (
        None
    )
    image_id: Annotated[U64 | None, doc("id of the image descriptor")] = None
    width: Annotated[U32 | None, doc("width", "px")] = None
    height: Annotated[U32 | None, doc("height", "px")] = None
    from_cache: Annotated[bool | None, doc("taken from the image cache")] = None
    success: Annotated[bool | None, doc("whether it decoded")] = None
    timestamp_secs: Annotated[float | None, doc("when", "s")] = None
    decode_duration_us: Annotated[U32 | None, doc("decoder call only; 0 for cache hits", "µs")] = None

    @property
    def image_name(self) -> str | None:
        """The image type's name, `ZlibGlzRgb`; None where the client did not know the type."""
        name = self.image_type
        if name is not None and name.startswith("Some(") and name.endswith(")"):
            name = name[len("Some(") : -1]
        return None if name == "None" else name


class StreamSnapshot(Struct, frozen=True, kw_only=True):
    """One video stream, open or recently destroyed. Source: ryll-formats.md 5.4."""

    stream_id: Annotated[U32 | None, doc("the server's id; reused over time", since="G1")] = None
    surface_id: Annotated[U32 | None, doc("surface it is painted on", since="G1")] = None
    codec_type: Annotated[U8 | None, doc("1 MJPEG, 2 VP8, 3 H.264, 4 VP9, 5 H.265", since="G1")] = None
    stream_width: Annotated[U32 | None, doc("coded width", "px", since="G1")] = None
    stream_height: Annotated[U32 | None, doc("coded height", "px", since="G1")] = None
    dest_top: Annotated[U32 | None, doc("edge on the surface, signed bits kept", "px", since="G1")] = None
    dest_left: Annotated[U32 | None, doc("edge on the surface, signed bits kept", "px", since="G1")] = None
    dest_bottom: Annotated[U32 | None, doc("edge on the surface, signed bits kept", "px", since="G1")] = None
    dest_right: Annotated[U32 | None, doc("edge on the surface, signed bits kept", "px", since="G1")] = None
    created_at_secs: Annotated[float | None, doc("STREAM_CREATE", "s", since="G1")] = None
    frames_received: Annotated[U64 | None, doc("stream data messages, decodable or not", since="G1")] = None
    frames_decoded_ok: Annotated[U64 | None, doc("frames painted", since="G1")] = None
    frames_decode_failed: Annotated[U64 | None, doc("frames that did not decode", since="G1")] = None
    last_frame_ts_secs: Annotated[float | None, doc("last frame", "s", since="G1")] = None
    last_decode_ok_ts_secs: Annotated[float | None, doc("last frame painted", "s", since="G1")] = None
    last_decode_duration_us: Annotated[U32 | None, doc("last successful decode", "µs", since="G1")] = None
    destroyed_at_secs: Annotated[float | None, doc("its end; null while open", "s", since="G1")] = None
    report_is_active: Annotated[bool | None, doc("the server asked for STREAM_REPORTs", since="G1")] = None
    report_unique_id: Annotated[U32 | None, doc("id to echo in reports", since="G1")] = None
    report_max_window_size: Annotated[
        U32 | None, doc("frames per report; raw before G2, then 0 becomes 5", since="G1")
    ] = None
    report_timeout_ms: Annotated[
        U32 | None, doc("longest time between reports; raw before G2, then 100 to 60000", "ms", since="G1")
    ] = None
    report_send_count: Annotated[U32 | None, doc("reports sent", since="G1")] = None
    last_report_sent_ts_secs: Annotated[float | None, doc("last report", "s", since="G1")] = None
    last_report_num_frames: Annotated[U32 | None, doc("num_frames of the last report", since="G1")] = None
    last_report_num_drops: Annotated[U32 | None, doc("num_drops of the last report", since="G1")] = None
    last_report_last_frame_delay: Annotated[
        I32 | None, doc("last_frame_delay of the last report; negative: the frame was late", "ms", since="G1")
    ] = None
    mjpeg_decoder_backend: Annotated[
        str | None, doc("decoder of an MJPEG stream, else empty", since="G1")
    ] = None
    video_decoder_backend: Annotated[str | None, doc("decoder of any stream", since="G1")] = None


class DisplaySnapshot(Channel, frozen=True, kw_only=True):
    """All display channels together; whichever published last wins. Source: ryll-formats.md 5.3."""

    image_cache_entries: Annotated[U64 | None, doc("images in the cache")] = None
    image_cache_ids: Annotated[
        list[U64] | None, doc("keys of the cache; from G2 at most 64, most recently used first")
    ] = None
    image_cache_bytes: Annotated[
        U64 | None,
        doc("RGBA bytes held, those of the GLZ dictionary too where it has no field of its own", "B"),
    ] = None
    recent_decodes: Annotated[list[DecodeResult] | None, doc("last 20 still images, oldest first")] = None
    ack_generation: Annotated[U32 | None, doc("generation of SET_ACK")] = None
    ack_window: Annotated[U32 | None, doc("window of SET_ACK", "messages")] = None
    message_count: Annotated[U32 | None, doc("messages received")] = None
    last_ack: Annotated[U32 | None, doc("`message_count` at the last ACK")] = None
    decode_total_count: Annotated[U64 | None, doc("still images decoded", since="G1")] = None
    decode_failed_count: Annotated[U64 | None, doc("still images that did not decode", since="G1")] = None
    decode_from_cache_count: Annotated[U64 | None, doc("still images from the cache", since="G1")] = None
    decode_recent_min_us: Annotated[
        U32 | None, doc("shortest of `recent_decodes`, hits and failures left out; 0: none", "µs", since="G1")
    ] = None
    decode_recent_max_us: Annotated[U32 | None, doc("the same, longest", "µs", since="G1")] = None
    decode_recent_mean_us: Annotated[U32 | None, doc("the same, mean", "µs", since="G1")] = None
    socket_read_count: Annotated[U64 | None, doc("reads that returned data", since="G1")] = None
    socket_reads_at_chunk_cap: Annotated[
        U64 | None, doc("reads that filled the buffer of 262,144 bytes", since="G1")
    ] = None
    socket_max_chunk_bytes: Annotated[U32 | None, doc("largest read", "B", since="G1")] = None
    ack_send_count: Annotated[U32 | None, doc("ACKs sent", since="G1")] = None
    last_ack_send_ts_secs: Annotated[float | None, doc("last ACK", "s", since="G1")] = None
    recent_ack_intervals_secs: Annotated[
        list[float | None] | None, doc("last 32 times between ACKs, oldest first", "s", since="G1")
    ] = None
    streams_active: Annotated[list[StreamSnapshot] | None, doc("open streams by id", since="G1")] = None
    streams_created_total: Annotated[U64 | None, doc("STREAM_CREATEs", since="G1")] = None
    streams_destroyed_total: Annotated[U64 | None, doc("streams ended", since="G1")] = None
    stream_data_orphan_count: Annotated[U64 | None, doc("stream data for an id not open", since="G1")] = None
    streams_recently_destroyed: Annotated[
        list[StreamSnapshot] | None, doc("last 16 streams ended, oldest first", since="G1")
    ] = None
    stream_reports_sent_total: Annotated[U64 | None, doc("STREAM_REPORTs sent", since="G1")] = None
    stream_reports_unsupported_signals_sent: Annotated[
        U64 | None, doc("reports that a stream cannot be played; always 0", since="G1")
    ] = None
    mjpeg_decode_recent_min_us: Annotated[
        U32 | None, doc("shortest of the last 20 MJPEG frames, failures included", "µs", since="G1")
    ] = None
    mjpeg_decode_recent_max_us: Annotated[U32 | None, doc("the same, longest", "µs", since="G1")] = None
    mjpeg_decode_recent_mean_us: Annotated[U32 | None, doc("the same, mean", "µs", since="G1")] = None
    mjpeg_decode_total_count: Annotated[U64 | None, doc("MJPEG frames", since="G1")] = None
    mjpeg_decode_failed_count: Annotated[U64 | None, doc("MJPEG frames that did not decode", since="G1")] = (
        None
    )
    h264_decode_recent_min_us: Annotated[
        U32 | None, doc("shortest of the last 20 H.264 packets, failures included", "µs", since="G1")
    ] = None
    h264_decode_recent_max_us: Annotated[U32 | None, doc("the same, longest", "µs", since="G1")] = None
    h264_decode_recent_mean_us: Annotated[U32 | None, doc("the same, mean", "µs", since="G1")] = None
    h264_decode_total_count: Annotated[
        U64 | None, doc("H.264 packets, those that gave no picture yet included", since="G1")
    ] = None
    h264_decode_failed_count: Annotated[U64 | None, doc("H.264 packets that did not decode", since="G1")] = (
        None
    )
    image_cache_evictions_total: Annotated[U64 | None, doc("images dropped for room", since="G1")] = None
    image_cache_evicted_bytes_total: Annotated[U64 | None, doc("their bytes", "B", since="G1")] = None
    image_cache_cap_bytes: Annotated[U64 | None, doc("most the cache may hold", "B", since="G1")] = None
    glz_dictionary_bytes: Annotated[U64 | None, doc("RGBA bytes held", "B", since="G1")] = None
    glz_dictionary_entries: Annotated[U64 | None, doc("images in the dictionary", since="G1")] = None
    glz_dictionary_cap_bytes: Annotated[U64 | None, doc("most the dictionary may hold", "B", since="G1")] = (
        None
    )
    glz_dictionary_evictions_total: Annotated[U64 | None, doc("images dropped for room", since="G1")] = None
    glz_dictionary_evicted_bytes_total: Annotated[U64 | None, doc("their bytes", "B", since="G1")] = None
    pref_compression_sent: Annotated[bool | None, doc("PREFERRED_COMPRESSION was sent", since="G1")] = None
    pref_video_codec_type_sent: Annotated[
        bool | None, doc("PREFERRED_VIDEO_CODEC_TYPE was sent", since="G1")
    ] = None
    streams_rejected_total: Annotated[
        U64 | None, doc("STREAM_CREATEs refused because 16 were open", since="G2")
    ] = None


class InputEvent(Struct, frozen=True, kw_only=True):
    """One key or mouse event of the user. Source: ryll-formats.md 5.5."""

    event_type: Annotated[str | None, doc("`KeyDown`, `KeyUp`, `MouseDown` …", private=True)] = None
    scancode: Annotated[U32 | None, doc("key", private=True)] = None
    x: Annotated[U32 | None, doc("position", "px", private=True)] = None
    y: Annotated[U32 | None, doc("position", "px", private=True)] = None
    button_mask: Annotated[U32 | None, doc("buttons held", private=True)] = None
    timestamp_secs: Annotated[float | None, doc("when", "s", private=True)] = None


class InputsSnapshot(Channel, frozen=True, kw_only=True):
    """The inputs channel. Source: ryll-formats.md 5.5."""

    button_state: Annotated[U32 | None, doc("mouse buttons held")] = None
    motion_count: Annotated[U32 | None, doc("motions the server has not acknowledged")] = None
    secs_since_last_key: Annotated[float | None, doc("time since the last key", "s")] = None
    recent_events: Annotated[list[InputEvent] | None, doc("last 50 events: what was typed", private=True)] = (
        None
    )
    client_keepalive_send_count: Annotated[U32 | None, doc("KEY_MODIFIERS sent on an idle channel")] = None
    last_client_keepalive_send_ts_secs: Annotated[float | None, doc("last of them", "s")] = None


class CursorShape(Struct, frozen=True, kw_only=True):
    """One cached cursor. Source: ryll-formats.md 5.6."""

    cursor_id: Annotated[U64 | None, doc("the server's id")] = None
    width: Annotated[U16 | None, doc("width", "px")] = None
    height: Annotated[U16 | None, doc("height", "px")] = None
    hot_spot_x: Annotated[U16 | None, doc("the point that points", "px")] = None
    hot_spot_y: Annotated[U16 | None, doc("the point that points", "px")] = None


class CursorSnapshot(Channel, frozen=True, kw_only=True):
    """The cursor channel. Source: ryll-formats.md 5.6."""

    cache_entries: Annotated[U64 | None, doc("cursors in the cache")] = None
    cache_contents: Annotated[list[CursorShape] | None, doc("the cursors")] = None
    ack_generation: Annotated[U32 | None, doc("generation of SET_ACK")] = None
    ack_window: Annotated[U32 | None, doc("window of SET_ACK", "messages")] = None
    message_count: Annotated[U32 | None, doc("messages received")] = None
    last_ack: Annotated[U32 | None, doc("`message_count` at the last ACK")] = None


class MainSnapshot(Channel, frozen=True, kw_only=True):
    """The main channel. Source: ryll-formats.md 5.7."""

    session_id: Annotated[U32 | None, doc("session_id of MAIN_INIT")] = None
    mm_time_now: Annotated[U32 | None, doc("the server's multimedia time as estimated", "ms", since="G1")] = (
        None
    )
    mm_time_set_count: Annotated[U64 | None, doc("MAIN_INIT and MULTI_MEDIA_TIME received", since="G1")] = (
        None
    )
    last_mm_time_set_ts_secs: Annotated[float | None, doc("last of them", "s", since="G1")] = None
    keepalive_timeout_fired: Annotated[bool | None, doc("the client gave up waiting for data")] = None
    client_keepalive_send_count: Annotated[U32 | None, doc("PONGs sent unasked; gone later in G1")] = None
    last_client_keepalive_send_ts_secs: Annotated[float | None, doc("last of them", "s")] = None
    agent_request_count: Annotated[
        U32 | None, doc("monitor configurations sent to the agent", since="G1")
    ] = None
    agent_reply_count: Annotated[U32 | None, doc("replies of the agent", since="G1")] = None
    agent_reply_error_count: Annotated[
        U32 | None, doc("replies whose result is not 0, and 1 means success: not to be believed", since="G1")
    ] = None
    last_agent_reply_ts_secs: Annotated[float | None, doc("last reply", "s", since="G1")] = None
    last_agent_reply_lag_us: Annotated[
        U32 | None, doc("its time since the latest request", "µs", since="G1")
    ] = None
    recent_agent_reply_lag_us: Annotated[list[U32] | None, doc("last 16, oldest first", "µs", since="G1")] = (
        None
    )
    outstanding_agent_request_count: Annotated[
        U32 | None, doc("requests without a reply; at most 99 in G3", since="G1")
    ] = None
    server_mouse_mode: Annotated[U32 | None, doc("mode the server announced last", since="G3")] = None
    events_dropped_count: Annotated[
        U64 | None, doc("events the window did not take within 5 s", since="G3")
    ] = None
    events_dropped_by_kind: Annotated[dict[str, U64] | None, doc("the same by kind", since="G3")] = None
    last_event_drop_ts_secs: Annotated[float | None, doc("last of them", "s", since="G3")] = None
    agent_tokens: Annotated[
        U32 | None, doc("messages the client may still send to the agent", since="G3")
    ] = None
    queued_agent_message_count: Annotated[U32 | None, doc("messages that wait for tokens", since="G3")] = None
    agent_starved_since_ts_secs: Annotated[float | None, doc("since when they wait", "s", since="G3")] = None
    agent_stall_count: Annotated[U32 | None, doc("waits longer than 5 s", since="G3")] = None


class PlaybackSession(Struct, frozen=True, kw_only=True):
    """What plays. Source: ryll-formats.md 5.8."""

    started_at_secs: Annotated[float | None, doc("PLAYBACK_START", "s", since="G1")] = None
    mm_time_at_start: Annotated[U32 | None, doc("its multimedia time", "ms", since="G1")] = None
    sample_rate_hz: Annotated[U32 | None, doc("sample rate", "Hz", since="G1")] = None
    channels: Annotated[U8 | None, doc("sound channels", since="G1")] = None
    codec: Annotated[
        dict[str, Any] | None, doc("`kind` raw, opus or other, then with `value`", since="G1")
    ] = None


class PlaybackSnapshot(Channel, frozen=True, kw_only=True):
    """The playback channel; before G1 its transport only. Source: ryll-formats.md 5.8."""

    current_session: Annotated[PlaybackSession | None, doc("what plays; null: nothing", since="G1")] = None
    start_count: Annotated[U64 | None, doc("PLAYBACK_STARTs", since="G1")] = None
    stop_count: Annotated[U64 | None, doc("PLAYBACK_STOPs", since="G1")] = None
    data_packets_received: Annotated[U64 | None, doc("PLAYBACK_DATAs", since="G1")] = None
    data_packets_decoded: Annotated[U64 | None, doc("of these, decoded", since="G1")] = None
    data_packets_decode_failed: Annotated[U64 | None, doc("of these, not decodable", since="G1")] = None
    data_bytes_received: Annotated[U64 | None, doc("compressed sound", "B", since="G1")] = None
    pcm_bytes_produced: Annotated[U64 | None, doc("decoded sound", "B", since="G1")] = None
    recent_decode_durations_us: Annotated[list[U32] | None, doc("last 64", "µs", since="G1")] = None
    device_callbacks_total: Annotated[U64 | None, doc("times the sound device asked", since="G1")] = None
    device_underrun_count: Annotated[U64 | None, doc("times there was too little", since="G1")] = None
    ring_overflow_count: Annotated[U64 | None, doc("times there was too much", since="G1")] = None
    samples_consumed_total: Annotated[U64 | None, doc("samples the device took", since="G1")] = None
    last_volume_per_channel: Annotated[list[U16] | None, doc("volume the server set", since="G1")] = None
    last_mute: Annotated[bool | None, doc("mute the server set", since="G1")] = None
    last_latency_ms: Annotated[U32 | None, doc("latency the server set", "ms", since="G1")] = None


class UsbDevice(Struct, frozen=True, kw_only=True):
    """One redirected device. Source: ryll-formats.md 5.9."""

    vendor_id: Annotated[U16 | None, doc("USB vendor", since="G1")] = None
    product_id: Annotated[U16 | None, doc("USB product", since="G1")] = None
    device_class: Annotated[U8 | None, doc("USB class", since="G1")] = None
    attached_at_secs: Annotated[float | None, doc("when", "s", since="G1")] = None
    bytes_to_guest: Annotated[U64 | None, doc("0 in G1, real in G2", "B", since="G1")] = None
    bytes_from_guest: Annotated[U64 | None, doc("0 in G1, real in G2", "B", since="G1")] = None


class UsbredirSnapshot(Channel, frozen=True, kw_only=True):
    """The usbredir channel; before G1 its transport only. Source: ryll-formats.md 5.9."""

    redirected_devices: Annotated[list[UsbDevice] | None, doc("devices", since="G1")] = None
    device_connect_total: Annotated[U64 | None, doc("devices attached", since="G1")] = None
    device_disconnect_total: Annotated[U64 | None, doc("devices detached", since="G1")] = None
    last_device_event_ts_secs: Annotated[float | None, doc("last of either", "s", since="G1")] = None
    server_caps: Annotated[U32 | None, doc("usbredir capabilities of the server", since="G1")] = None
    client_caps: Annotated[U32 | None, doc("usbredir capabilities of the client", since="G1")] = None


class WebdavSnapshot(Channel, frozen=True, kw_only=True):
    """The webdav channel; before G1 its transport only. Source: ryll-formats.md 5.10."""

    http_requests_received: Annotated[U64 | None, doc("connections accepted", since="G1")] = None
    http_response_bytes_sent: Annotated[U64 | None, doc("replies, headers included", "B", since="G1")] = None
    active_session_count: Annotated[U32 | None, doc("connections open", since="G1")] = None
    last_request_ts_secs: Annotated[float | None, doc("last request", "s", since="G1")] = None
    last_response_ts_secs: Annotated[float | None, doc("last reply", "s", since="G1")] = None
    decompressed_size_limit_exceeded_count: Annotated[
        U64 | None, doc("requests that unpack to too much", since="G1")
    ] = None


ChannelSnapshot = (
    DisplaySnapshot
    | InputsSnapshot
    | CursorSnapshot
    | MainSnapshot
    | PlaybackSnapshot
    | UsbredirSnapshot
    | WebdavSnapshot
)

SNAPSHOTS: Final[dict[str, type[ChannelSnapshot]]] = {
    "display": DisplaySnapshot,
    "inputs": InputsSnapshot,
    "cursor": CursorSnapshot,
    "main": MainSnapshot,
    "playback": PlaybackSnapshot,
    "usbredir": UsbredirSnapshot,
    "webdav": WebdavSnapshot,
}
"""The seven channels in the order an auto-snapshot lists them."""


class WallTime(Struct, frozen=True, kw_only=True):
    """Time since 1970, UTC."""

    secs_since_epoch: Annotated[U64 | None, doc("whole seconds", "s")] = None
    nanos_since_epoch: Annotated[U32 | None, doc("the rest", "ns")] = None


class Notification(Struct, frozen=True, kw_only=True):
    """One thing the client told its user; repeats within 30 s are one. Source: ryll-formats.md 6."""

    id: Annotated[U64 | None, doc("from 1, stable within the process")] = None
    when: Annotated[WallTime | None, doc("the newest of the repeats")] = None
    severity: Annotated[str | None, doc("`Info`, `Warn` or `Error`")] = None
    source: Annotated[str | dict[str, Any] | None, doc("who raised it, see `source_name`")] = None
    message: Annotated[str | None, doc("the text; for `Gap` the gap key")] = None
    count: Annotated[U32 | None, doc("how often")] = None
    visibility: Annotated[str | None, doc("`Low`, `Medium`, `High` of the server's own notices")] = None
    read: Annotated[bool | None, doc("whether the user has seen it")] = None

    @property
    def source_name(self) -> str:
        """`Gap`, `Connection`, …; `Spice` for the server's own notices; empty where unknown."""
        return variant(self.source)[0]

    @property
    def channel(self) -> str | None:
        """Lower-case name of the channel on which the server sent the notice."""
        channel = variant(self.source)[1].get("channel")
        return channel.lower() if isinstance(channel, str) else None

    @property
    def what(self) -> int | None:
        """The `what` code of the server's notice."""
        what = variant(self.source)[1].get("what")
        return what if isinstance(what, int) and not isinstance(what, bool) else None

    @property
    def time_ns(self) -> int | None:
        """UTC in nanoseconds since 1970; None where unknown or beyond what 63 bits hold (the year 2262)."""
        if self.when is None or self.when.secs_since_epoch is None:
            return None
        time_ns = self.when.secs_since_epoch * NS_PER_S + (self.when.nanos_since_epoch or 0)
        return time_ns if time_ns < 2**63 else None


class Process(Struct, frozen=True, kw_only=True):
    """The client's process. Source: ryll-formats.md 7."""

    cpu_percent: Annotated[float | None, doc("all threads together, may be over 100", "%")] = None
    rss_kb: Annotated[U64 | None, doc("resident memory", "KiB")] = None
    vm_size_kb: Annotated[U64 | None, doc("address space", "KiB")] = None
    uptime_secs: Annotated[float | None, doc("age of the process, not of the connection", "s")] = None


class Thread(Struct, frozen=True, kw_only=True):
    """One thread of the client. Source: ryll-formats.md 7."""

    tid: Annotated[U64 | None, doc("thread id")] = None
    name: Annotated[str | None, doc("15 characters on Linux; may be empty on macOS")] = None
    cpu_percent: Annotated[float | None, doc("share of one core", "%")] = None


class RuntimeMetrics(Struct, frozen=True, kw_only=True):
    """`runtime-metrics.json`; without `process` nothing was measured. Source: ryll-formats.md 7."""

    sample_window_ms: Annotated[U64 | None, doc("how long was measured", "ms")] = None
    platform: Annotated[str | None, doc("operating system")] = None
    process: Annotated[Process | None, doc("the process")] = None
    threads: Annotated[list[Thread] | None, doc("its threads, busiest first")] = None
    available: Annotated[bool | None, doc("false where nothing was measured")] = None
    reason: Annotated[str | None, doc("why nothing was measured")] = None


class ChannelAtDisconnect(Transport, frozen=True, kw_only=True):
    """One channel when the connection was lost. Source: ryll-formats.md 8."""

    client_keepalive_send_count: Annotated[
        U32 | None, doc("keep-alives sent; from G2 null where the channel sends none")
    ] = None
    last_client_keepalive_send_ts_secs: Annotated[float | None, doc("last of them", "s")] = None


class DisconnectCause(Struct, frozen=True, kw_only=True):
    """`disconnect-cause.json`: the first channel that noticed, not always the first to fail.

    Source: ryll-formats.md 8.
    """

    channel: Annotated[str | None, doc("channel that noticed; G0 also has `error`")] = None
    error_message: Annotated[str | None, doc("the error in words")] = None
    error_kind: Annotated[str | None, doc("Rust's io::ErrorKind")] = None
    keepalive_timeout_fired: Annotated[
        bool | None, doc("main gave up after 90 s (earlier 30 s) without data")
    ] = None
    session_uptime_secs: Annotated[float | None, doc("age of the connection", "s")] = None
    per_channel: Annotated[dict[str, ChannelAtDisconnect] | None, doc("the channels by name")] = None


@dataclass(frozen=True, slots=True)
class FieldDoc:
    """One declared field: its JSON name and bare type, and what `doc` says of it."""

    name: str
    type: Any
    meaning: str
    unit: str
    since: str
    private: bool


@cache
def fields_of(struct: type[Struct]) -> tuple[FieldDoc, ...]:
    """Return the documented fields of one of the structures above, inherited ones first."""
    return tuple(_field_doc(field) for field in msgspec.structs.fields(struct))


def _field_doc(field: msgspec.structs.FieldInfo) -> FieldDoc:
    meta = next(m for m in field.type.__metadata__ if m.extra is not None)
    return FieldDoc(field.encode_name, field.type.__origin__, meta.description, **meta.extra)
