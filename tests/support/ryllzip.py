"""Writes what ryll writes: ring pcaps, bug-report zips, `--capture` and auto-snapshot directories.

Made from ryll-formats.md alone, so that tests of the reader do not hold the reader's own declarations against
themselves. Everything is deterministic; a test changes what it is about.
"""

from __future__ import annotations

import io
import json
import struct
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

REVISIONS = ("G0", "G1", "G2", "G3")
CHANNELS = ("display", "inputs", "cursor", "main", "playback", "usbredir", "webdav")
KINDS: dict[str, tuple[Any, str]] = {
    "display": ("Display", "display"),
    "input": ("Input", "inputs"),
    "cursor": ("Cursor", "cursor"),
    "connection": ("Connection", "main"),
    "usb": ("Usb", "usbredir"),
    "pedantic": ({"Pedantic": {"gap_key": "display:unimpl:draw_text"}}, "display"),
    "disconnect": ({"Disconnect": {"channel": "main"}}, "main"),
    "notification": ({"Notification": {"notification_id": 3, "snapshot_state": "AtFire"}}, "main"),
    "auto_snapshot": ("AutoSnapshot", "all"),
}
"""Kind to `report_type` and `channel` (2.5)."""

PORTS = {
    "main": 10001,
    "display": 10002,
    "inputs": 10003,
    "cursor": 10004,
    "usbredir": 10009,
    "playback": 10099,
}
FILE_HEADER = bytes.fromhex("a1b2c3d4 0002 0004 00000000 00000000 0000ffff 00000001")
SEGMENT = 65_495
WRITTEN = 65_481
START = datetime(2026, 6, 1, 12, 0, 0, 250_000, UTC)
"""When the connection's zero was."""


# --- pcap (9, 10) ------------------------------------------------------------------------------------


class Unit(NamedTuple):
    """One recorded unit: in `traffic.pcap` a whole message, in a `--capture` pcap a read or a write."""

    time_s: float
    channel: str
    side: str
    data: bytes


def message(kind: int, body: bytes = b"") -> bytes:
    """Return one message behind its mini header (9.6)."""
    return struct.pack("<HI", kind, len(body)) + body


def frame(channel: str, side: str, sequence: int, acknowledged: int, payload: bytes) -> bytes:
    """Return one fake frame (9.3)."""
    client, server = bytes((10, 0, 0, 1)), bytes((10, 0, 0, 2))
    source, destination = (client, server) if side == "client" else (server, client)
    ports = (PORTS[channel], 5900) if side == "client" else (5900, PORTS[channel])
    tcp = struct.pack(">2H2L2B3H", *ports, sequence, acknowledged, 0x50, 0x10, 0xFFFF, 0, 0)
    pseudo = source + destination + struct.pack(">2H", 6, len(tcp) + len(payload))
    tcp = tcp[:16] + struct.pack(">H", _checksum(pseudo + tcp + payload)) + tcp[18:]
    ip = (
        struct.pack(">2B3H2BH", 0x45, 0, 20 + len(tcp) + len(payload), 0, 0x4000, 64, 6, 0)
        + source
        + destination
    )
    ip = ip[:10] + struct.pack(">H", _checksum(ip)) + ip[12:]
    return bytes.fromhex("020000000002 020000000001 0800") + ip + tcp + payload


def record(time_s: float, data: bytes) -> bytes:
    """Return one pcap record (9.2)."""
    micros = int(round(time_s * 1_000_000, 3))
    return struct.pack(">4L", micros // 1_000_000, micros % 1_000_000, len(data), len(data)) + data


def ring_pcap(
    units: Iterable[Unit],
    *,
    revision: str = "G1",
    evicted: Mapping[tuple[str, str], int] | None = None,
    segment: int = SEGMENT,
    writes_over_snaplen: bool = False,
) -> bytes:
    """Return a pcap as ryll writes it.

    `evicted` is (channel, side) to the bytes sent before the first unit. G0 writes an empty record for a unit
    over 65,495 bytes; later ones cut it at `segment`, and what is over 65,481 is lost unless
    `writes_over_snaplen` (9.4, 10.5).
    """
    sequence = {
        (channel, side): base for channel in PORTS for side, base in (("client", 1000), ("server", 2000))
    }
    for key, lost in (evicted or {}).items():
        sequence[key] = (sequence[key] + lost) % 2**32
    out = [FILE_HEADER]
    for unit in units:
        own, other = (
            (unit.channel, unit.side),
            (unit.channel, "server" if unit.side == "client" else "client"),
        )
        if revision == "G0" and len(unit.data) > SEGMENT:
            out.append(record(unit.time_s, b""))
        else:
            for at in range(0, len(unit.data), segment):
                piece = unit.data[at : at + segment]
                if len(piece) <= WRITTEN or writes_over_snaplen:
                    number = (sequence[own] + at) % 2**32
                    out.append(
                        record(unit.time_s, frame(unit.channel, unit.side, number, sequence[other], piece))
                    )
        sequence[own] = (sequence[own] + len(unit.data)) % 2**32
    return b"".join(out)


def _checksum(data: bytes) -> int:
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


# --- JSON (3 to 8) -----------------------------------------------------------------------------------


def _zeros(names: str) -> dict[str, Any]:
    return dict.fromkeys(names.split(), 0)


def transport() -> dict[str, Any]:
    """Return the counters every channel has (5.1)."""
    return _zeros("bytes_in bytes_out ping_recv_count pong_send_count") | dict.fromkeys(
        ("last_recv_ts_secs", "last_send_ts_secs", "last_ping_recv_ts_secs")
    )


def opcodes() -> dict[str, Any]:
    """Return the counters per message type (5.2)."""
    return {
        "messages_recv_by_opcode": {"4": 3},
        "messages_send_by_opcode": {"3": 3},
        "last_unknown_opcode": None,
        "unknown_opcode_count": 0,
    }


def stream(
    stream_id: int = 49, created_s: float = 1.0, destroyed_s: float | None = 3.0, **changes: Any
) -> dict[str, Any]:
    """Return one StreamSnapshot (5.4)."""
    return {
        "stream_id": stream_id, "surface_id": 0, "codec_type": 1, "stream_width": 160, "stream_height": 120,
        "dest_top": 300, "dest_left": 400, "dest_bottom": 420, "dest_right": 560,
        "created_at_secs": created_s, "frames_received": 20, "frames_decoded_ok": 20,
        "frames_decode_failed": 0,
        "last_frame_ts_secs": created_s + 1, "last_decode_ok_ts_secs": created_s + 1,
        "last_decode_duration_us": 230, "destroyed_at_secs": destroyed_s, "report_is_active": True,
        "report_unique_id": 7, "report_max_window_size": 5, "report_timeout_ms": 1000, "report_send_count": 2,
        "last_report_sent_ts_secs": created_s + 0.9, "last_report_num_frames": 5, "last_report_num_drops": 0,
        "last_report_last_frame_delay": -12, "mjpeg_decoder_backend": "libjpeg-turbo",
        "video_decoder_backend": "libjpeg-turbo",
    } | changes  # fmt: skip


def decode_result(**changes: Any) -> dict[str, Any]:
    """Return one DecodeResult (5.3)."""
    return {
        "image_type": "Some(ZlibGlzRgb)", "image_id": 2**64 - 1, "width": 640, "height": 480,
        "from_cache": False, "success": True, "timestamp_secs": 2.5, "decode_duration_us": 1200,
    } | changes  # fmt: skip


def channel_state(channel: str, revision: str = "G1") -> dict[str, Any]:
    """Return the snapshot of one channel as that revision writes it (5.3 to 5.10)."""
    state = transport()
    later = revision != "G0"
    if later:
        state["writer_dropped_count"] = 0
        if channel != "display" or revision in ("G2", "G3"):
            state |= opcodes()
    if channel == "display":
        state |= _zeros(
            "image_cache_entries image_cache_bytes ack_generation ack_window message_count last_ack"
        )
        state |= {"image_cache_ids": [], "recent_decodes": [decode_result()]}
        if later:
            state |= _zeros(
                "decode_total_count decode_failed_count decode_from_cache_count decode_recent_min_us"
                " decode_recent_max_us decode_recent_mean_us socket_read_count socket_reads_at_chunk_cap"
                " socket_max_chunk_bytes ack_send_count streams_created_total streams_destroyed_total"
                " stream_data_orphan_count stream_reports_sent_total stream_reports_unsupported_signals_sent"
                " mjpeg_decode_recent_min_us mjpeg_decode_recent_max_us mjpeg_decode_recent_mean_us"
                " mjpeg_decode_total_count mjpeg_decode_failed_count h264_decode_recent_min_us"
                " h264_decode_recent_max_us h264_decode_recent_mean_us h264_decode_total_count"
                " h264_decode_failed_count image_cache_evictions_total image_cache_evicted_bytes_total"
                " image_cache_cap_bytes glz_dictionary_bytes glz_dictionary_entries glz_dictionary_cap_bytes"
                " glz_dictionary_evictions_total glz_dictionary_evicted_bytes_total"
            )
            state |= {"last_ack_send_ts_secs": None, "recent_ack_intervals_secs": [0.5]}
            state |= {"streams_active": [], "streams_recently_destroyed": [stream()]}
            state |= {"streams_created_total": 1, "streams_destroyed_total": 1}
            state |= {"pref_compression_sent": True, "pref_video_codec_type_sent": False}
        if revision in ("G2", "G3"):
            state["streams_rejected_total"] = 0
    elif channel == "inputs":
        state |= _zeros("button_state motion_count client_keepalive_send_count")
        state |= {"secs_since_last_key": 1.5, "last_client_keepalive_send_ts_secs": None}
        state["recent_events"] = [
            {"event_type": "KeyDown", "scancode": 30, "x": 0, "y": 0, "button_mask": 0, "timestamp_secs": 4.0}
        ]
    elif channel == "cursor":
        state |= _zeros("cache_entries ack_generation ack_window message_count last_ack")
        shape = {"cursor_id": 5, "width": 24, "height": 24, "hot_spot_x": 1, "hot_spot_y": 2}
        state["cache_contents"] = [shape]
    elif channel == "main":
        state |= {"session_id": 77, "keepalive_timeout_fired": False}
        if later:
            state |= _zeros(
                "mm_time_now mm_time_set_count agent_request_count agent_reply_count agent_reply_error_count"
                " outstanding_agent_request_count"
            )
            state |= dict.fromkeys(
                ("last_mm_time_set_ts_secs", "last_agent_reply_ts_secs", "last_agent_reply_lag_us")
            )
            state["recent_agent_reply_lag_us"] = []
        else:
            state |= {"client_keepalive_send_count": 2, "last_client_keepalive_send_ts_secs": 9.0}
        if revision == "G3":
            state |= _zeros("events_dropped_count agent_tokens queued_agent_message_count agent_stall_count")
            state |= {"server_mouse_mode": 2, "events_dropped_by_kind": {"Mark": 1}}
            state |= dict.fromkeys(("last_event_drop_ts_secs", "agent_starved_since_ts_secs"))
    elif channel == "playback" and later:
        state |= _zeros(
            "start_count stop_count data_packets_received data_packets_decoded data_packets_decode_failed"
            " data_bytes_received pcm_bytes_produced device_callbacks_total device_underrun_count"
            " ring_overflow_count samples_consumed_total"
        )
        state["current_session"] = {
            "started_at_secs": 1.0, "mm_time_at_start": 500, "sample_rate_hz": 48000, "channels": 2,
            "codec": {"kind": "other", "value": 9},
        }  # fmt: skip
        state |= {"recent_decode_durations_us": [80], "last_volume_per_channel": [65535, 65535]}
        state |= {"last_mute": None, "last_latency_ms": None}
    elif channel == "usbredir" and later:
        state |= _zeros("device_connect_total device_disconnect_total server_caps client_caps")
        device = _zeros("vendor_id product_id device_class bytes_to_guest bytes_from_guest")
        state |= {
            "redirected_devices": [device | {"attached_at_secs": 1.0}],
            "last_device_event_ts_secs": None,
        }
    elif channel == "webdav" and later:
        state |= _zeros(
            "http_requests_received http_response_bytes_sent active_session_count"
            " decompressed_size_limit_exceeded_count"
        )
        state |= {"last_request_ts_secs": None, "last_response_ts_secs": None}
    return state


def session(revision: str = "G1", uptime_s: float = 10.5) -> dict[str, Any]:
    """Return session.json (4)."""
    value: dict[str, Any] = {
        "fps": 24.5, "bandwidth_history": [1000.0, None, 2000.0], "bandwidth_current": 2000.0,
        "last_latency_ms": None, "frames_received": 12,
        "surfaces": [{"surface_id": 0, "width": 1024, "height": 768}], "cursor_pos": [10, 20],
        "cursor_visible": True, "mouse_mode": 2, "connected": True, "uptime_secs": uptime_s,
        "auto_reconnect_count": 0,
    }  # fmt: skip
    if revision != "G0":
        value |= _zeros(
            "video_drop_count image_ready_lag_recent_min_us image_ready_lag_recent_max_us"
            " image_ready_lag_recent_mean_us display_mark_lag_recent_min_us display_mark_lag_recent_max_us"
            " display_mark_lag_recent_mean_us auto_snapshots_saved auto_snapshots_pruned"
        )
    return value


def notification(
    number: int, at: datetime, message: str, source: Any = "Connection", severity: str = "Info"
) -> dict[str, Any]:
    """Return one entry of notifications.json (6)."""
    return {
        "id": number,
        "when": {"secs_since_epoch": int(at.timestamp()), "nanos_since_epoch": at.microsecond * 1000},
        "severity": severity, "source": source, "message": message, "count": 1, "visibility": None,
        "read": False,
    }  # fmt: skip


def runtime(available: bool = True) -> dict[str, Any]:
    """Return runtime-metrics.json (7)."""
    if not available:
        return {"platform": "linux", "available": False, "reason": "not sampled for this report kind"}
    return {
        "sample_window_ms": 2000,
        "platform": "linux",
        "process": {"cpu_percent": 121.5, "rss_kb": 412300, "vm_size_kb": 2184500, "uptime_secs": 13.0},
        "threads": [
            {"tid": 1, "name": "ryll", "cpu_percent": 81.5},
            {"tid": 2, "name": "", "cpu_percent": 40.0},
        ],
    }


def disconnect(channel: str, revision: str, uptime_s: float) -> dict[str, Any]:
    """Return disconnect-cause.json (8)."""
    counts = {name: None if revision in ("G2", "G3") and name != "inputs" else 0 for name in CHANNELS}
    return {
        "channel": channel, "error_message": "early eof", "error_kind": "UnexpectedEof",
        "keepalive_timeout_fired": False, "session_uptime_secs": uptime_s,
        "per_channel": {
            name: transport()
            | {"client_keepalive_send_count": counts[name], "last_client_keepalive_send_ts_secs": None}
            for name in CHANNELS
        },
    }  # fmt: skip


# --- zip and directories (2, 11, 12) -----------------------------------------------------------------


def report_files(
    kind: str = "display",
    revision: str = "G1",
    *,
    uptime_s: float = 10.5,
    start: datetime = START,
    pcap: bytes | None = None,
    host: str = "desk.example.org",
) -> dict[str, Any]:
    """Return the files of a report in the client's order: bytes as they are, the rest to become JSON."""
    report_type, channel = KINDS[kind]
    stamp = _utc(start + timedelta(seconds=uptime_s))
    metadata = {
        "ryll_version": "0.1.7", "ryll_git_sha": "1a2b3c4", "platform_os": "linux", "platform_arch": "x86_64",
        "report_type": report_type, "channel": channel, "description": "my password is in the picture",
        "region": None, "timestamp": stamp, "target_host": host, "target_port": 5901,
        "session_uptime_secs": uptime_s, "triggered_at": stamp, "triggered_uptime_secs": uptime_s,
    }  # fmt: skip
    if channel == "all":
        state: dict[str, Any] = {name: channel_state(name, revision) for name in CHANNELS}
    else:
        state = {} if kind == "usb" else channel_state(channel, revision)
    files: dict[str, Any] = {
        "metadata.json": metadata,
        "session.json": session(revision, uptime_s),
        "channel-state.json": state,
        "traffic.pcap": ring_pcap([Unit(0.25, "main", "server", message(4, bytes(12)))])
        if pcap is None
        else pcap,
    }
    if kind == "display":
        metadata["region"] = {"left": 10, "top": 20, "right": 26, "bottom": 28}
        files["screenshot.png"] = png(64, 48)
        files["screenshot-region.png"] = png(16, 8)
    source = "Connection" if revision != "G0" else "Internal"
    files["notifications.json"] = [
        notification(1, start + timedelta(milliseconds=40), f"Connected to {host}:5901", source),
        notification(
            2, start + timedelta(seconds=2), "keyboard", {"Spice": {"channel": "Main", "what": 5}}, "Warn"
        ),
    ]
    files["runtime-metrics.json"] = runtime(kind not in ("disconnect", "notification"))
    if kind == "disconnect":
        files["disconnect-cause.json"] = disconnect(channel, revision, uptime_s)
    return files


def pack(files: Mapping[str, Any], method: int = zipfile.ZIP_STORED) -> bytes:
    """Return a zip of the files, stored as ryll does it unless told otherwise."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name, (2026, 6, 1, 12, 0, 0))
            entry.compress_type = method
            archive.writestr(entry, content if isinstance(content, bytes) else as_json(content))
    return out.getvalue()


def as_json(value: Any) -> bytes:
    """Return JSON as the client lays it out (1)."""
    return json.dumps(value, indent=2, ensure_ascii=False).encode()


def report_zip(kind: str = "display", revision: str = "G1", **options: Any) -> bytes:
    """Return a whole report; the options are those of `report_files`."""
    return pack(report_files(kind, revision, **options))


def write_snapshots(
    path: Path, uptimes: Iterable[float], *, start: datetime = START, revision: str = "G1", **options: Any
) -> list[Path]:
    """Write auto-snapshots of one connection into `path`, one per uptime, and return their paths."""
    path.mkdir(parents=True, exist_ok=True)
    written = []
    for uptime in uptimes:
        stamp = _utc(start + timedelta(seconds=uptime)).replace(":", "-")
        file = path / f"ryll-auto-snapshot-{stamp}-T+{uptime:.1f}s.zip"
        file.write_bytes(report_zip("auto_snapshot", revision, uptime_s=uptime, start=start, **options))
        written.append(file)
    return written


def write_capture_directory(path: Path, units: Iterable[Unit] = (), **options: Any) -> Path:
    """Write a `--capture` directory; the units go to the files of their channels."""
    path.mkdir(parents=True, exist_ok=True)
    units = list(units)
    for channel in ("main", "display", "cursor", "inputs", "usbredir"):
        own = [unit for unit in units if unit.channel == channel]
        (path / f"{channel}.pcap").write_bytes(ring_pcap(own, **options))
    metadata = {
        "ryll_version": "0.1.7", "ryll_git_sha": "1a2b3c4", "platform_os": "linux", "platform_arch": "x86_64",
        "target_host": "desk.example.org", "target_port": 5901, "target_tls_port": None,
        "capture_started": _utc(START),
    }  # fmt: skip
    (path / "metadata.json").write_bytes(as_json(metadata))
    (path / "bug-reports").mkdir(exist_ok=True)
    return path


def png(width: int, height: int) -> bytes:
    """Return a black RGBA picture."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">L", len(data)) + name + data + struct.pack(">L", zlib.crc32(name + data))

    header = struct.pack(">2L5B", width, height, 8, 6, 0, 0, 0)
    rows = (b"\0" + bytes(4 * width)) * height
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def _utc(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")
