"""What a live session knows, as the state files of ryll's bug reports say it.

What ryll counts and this client has no counterpart of (its window's lags, its own recorder's queue, a sound device)
stays at what it is before anything has happened. Of several channels of one type the one with the lowest id speaks.

Source: ryll-formats.md 4, 5, 6 and 8.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from spicereplay.bugreport import schema
from spicereplay.bugreport.newest import blank
from spicereplay.bugreport.schema import SNAPSHOTS
from spicereplay.client.agent import AgentDiagnostics
from spicereplay.client.cursor import CursorDiagnostics
from spicereplay.client.diagnostics import Baseline
from spicereplay.client.display import DisplayDiagnostics, StreamDiagnostics
from spicereplay.client.inputs import InputsDiagnostics
from spicereplay.client.main import MainDiagnostics
from spicereplay.client.notices import SERVER
from spicereplay.client.playback import PlaybackDiagnostics, Playing
from spicereplay.live import events as live
from spicereplay.live.notifications import RECORDER, Told
from spicereplay.live.screen import Kept
from spicereplay.protocol.enums import AudioDataMode, ChannelType, ServerCommon, ServerDisplay, Side
from spicereplay.units import NS_PER_MS, NS_PER_S, NS_PER_US

RECENT_DECODES: Final = 20
MARKS: Final = 120
HISTORY_S: Final = 60
"""Source: ryll-formats.md 5.3 and 4."""
CACHED: Final = "cache"
"""Backend of an image that was taken from the cache."""
_IMAGE_NAMES: Final = {
    "pixmap": "Pixmap",
    "bitmap": "Pixmap",
    "lz_plt": "LzPalette",
    "from_cache": "FromCache",
    "from_cache_lossless": "FromCacheLossless",
    "zlib_glz_rgb": "ZlibGlzRgb",
}
"""Image types whose names in ryll are not ours with the words joined. Source: ryll-formats.md 5.3."""
_SOURCES: Final = {
    RECORDER: "BugReport",
    "session": "Connection",
    "agent": "Internal",
    "recording": "Internal",
}

Channels = Iterable[tuple[str, Baseline, object]]
"""Name, counters and diagnostics of each channel, as `live.session.Snapshot` has them."""


@dataclass(slots=True, eq=False)
class _Durations:
    """How long the last decodings took."""

    total: int = 0
    failed: int = 0
    last_us: deque[int] = field(default_factory=lambda: deque(maxlen=RECENT_DECODES))

    def add(self, decode_ns: int, ok: bool) -> None:
        self.total += 1
        self.failed += not ok
        self.last_us.append(min(decode_ns // NS_PER_US, 2**32 - 1))

    def fields(self, prefix: str) -> dict[str, int]:
        return {
            f"{prefix}_decode_total_count": self.total,
            f"{prefix}_decode_failed_count": self.failed,
            **_spread(f"{prefix}_decode_recent", self.last_us),
        }


@dataclass(slots=True, eq=False)
class RyllState:
    """What is counted along the way on one connection that began at `started_ns`. Times in ns."""

    started_ns: int
    decodes: deque[schema.DecodeResult] = field(default_factory=lambda: deque(maxlen=RECENT_DECODES))
    decoded: int = 0
    decode_failed: int = 0
    from_cache: int = 0
    mjpeg: _Durations = field(default_factory=_Durations)
    h264: _Durations = field(default_factory=_Durations)
    marks: deque[int] = field(default_factory=lambda: deque(maxlen=MARKS))
    pings: deque[int] = field(default_factory=lambda: deque(maxlen=2))
    received: dict[int, int] = field(default_factory=dict)
    """Second of the connection to bytes from the server."""
    drawn: int = 0

    # --- along the way ---------------------------------------------------------------------------------

    def message(self, channel: ChannelType, side: Side, type: int, size: int, time_ns: int) -> None:
        """Count a message; `size` with its header."""
        if side is Side.CLIENT:
            return
        second = (time_ns - self.started_ns) // NS_PER_S
        self.received[second] = self.received.get(second, 0) + size
        while len(self.received) > HISTORY_S + 1:
            del self.received[next(iter(self.received))]
        if channel is ChannelType.DISPLAY and type == ServerDisplay.MARK:
            self.marks.append(time_ns)
        elif channel is ChannelType.MAIN and type == ServerCommon.PING:
            self.pings.append(time_ns)

    def event(self, event: live.Event) -> None:
        """Count what was decoded."""
        if isinstance(event, live.FrameDecoded):
            self.drawn += event.ok
            if event.codec == "mjpeg":
                self.mjpeg.add(event.decode_ns, event.ok)
            elif event.codec == "h264":
                self.h264.add(event.decode_ns, event.ok)
        elif isinstance(event, live.ImageDecoded):
            cached = event.backend == CACHED
            self.drawn += event.ok
            self.decoded += 1
            self.decode_failed += not event.ok
            self.from_cache += cached
            self.decodes.append(
                schema.DecodeResult(
                    image_type=f"Some({image_name(event.codec)})",
                    width=event.width,
                    height=event.height,
                    from_cache=cached,
                    success=event.ok,
                    timestamp_secs=self.seconds(event.time_ns),
                    decode_duration_us=event.decode_ns // NS_PER_US,
                )
            )

    # --- at one moment ---------------------------------------------------------------------------------

    def seconds(self, time_ns: int) -> float:
        """Return a time on the connection's clock."""
        return (time_ns - self.started_ns) / NS_PER_S

    def maybe(self, time_ns: int | None) -> float | None:
        """Return a time on the connection's clock, None where there is none."""
        return None if time_ns is None else self.seconds(time_ns)

    def session(self, channels: Channels, now_ns: int, **known: Any) -> schema.Session:
        """Return `session.json`; `known` are fields that others know."""
        own = {type(diagnostics): diagnostics for _, _, diagnostics in reversed(list(channels))}
        present = (now_ns - self.started_ns) // NS_PER_S
        history = [
            float(self.received.get(s, 0)) for s in range(max(0, present - HISTORY_S), max(0, present))
        ]
        marks_s = (self.marks[-1] - self.marks[0]) / NS_PER_S if len(self.marks) > 1 else 0.0
        display, main, cursor = (
            own.get(DisplayDiagnostics),
            own.get(MainDiagnostics),
            own.get(CursorDiagnostics),
        )
        found: dict[str, Any] = {
            "fps": (len(self.marks) - 1) / marks_s if marks_s > 0 else 0.0,
            "bandwidth_history": history,
            "bandwidth_current": history[-1] if history else 0.0,
            "last_latency_ms": (self.pings[1] - self.pings[0]) / NS_PER_MS if len(self.pings) == 2 else None,
            "frames_received": self.drawn,
            "uptime_secs": self.seconds(now_ns),
            "cursor_pos": [0, 0],
            "cursor_visible": True,
        }
        if isinstance(display, DisplayDiagnostics):
            found["surfaces"] = [
                schema.Surface(surface_id=0, width=m.width, height=m.height) for m in display.monitors[:1]
            ]
        if isinstance(main, MainDiagnostics):
            found["mouse_mode"] = main.mouse_mode
        if isinstance(cursor, CursorDiagnostics):
            found["cursor_pos"] = [max(0, min(cursor.x, 0xFFFF)), max(0, min(cursor.y, 0xFFFF))]
            found["cursor_visible"] = cursor.visible
        return blank(schema.Session, **(found | known))

    def channels(self, channels: Channels) -> dict[str, schema.ChannelSnapshot]:
        """Return `channel-state.json` of the channels that are joined, by name."""
        found: dict[str, schema.ChannelSnapshot] = {}
        for _, baseline, diagnostics in sorted(channels, key=lambda one: one[1].channel_id):
            label = baseline.channel.label
            if label in SNAPSHOTS and label not in found:
                values = self._baseline(baseline) | self._own(baseline, diagnostics)
                found[label] = blank(SNAPSHOTS[label], **values)
        return found

    def at_disconnect(self, channels: Channels) -> dict[str, schema.ChannelAtDisconnect]:
        """Return `per_channel` of `disconnect-cause.json`, of all channels. Source: ryll-formats.md 8."""
        states = self.channels(channels)
        names = [field.name for field in schema.fields_of(schema.Transport)]
        found = {}
        for name, kind in SNAPSHOTS.items():
            state = states.get(name) or blank(kind)
            counters = {field: getattr(state, field) for field in names}
            mechanism: dict[str, Any] = {
                "client_keepalive_send_count": getattr(state, "client_keepalive_send_count", None),
                "last_client_keepalive_send_ts_secs": getattr(
                    state, "last_client_keepalive_send_ts_secs", None
                ),
            }
            if name != "inputs":
                mechanism = dict.fromkeys(mechanism)
            found[name] = schema.ChannelAtDisconnect(**counters, **mechanism)
        return found

    # --- parts -----------------------------------------------------------------------------------------

    def _baseline(self, counted: Baseline) -> dict[str, Any]:
        return {
            "bytes_in": counted.bytes_in,
            "bytes_out": counted.bytes_out,
            "last_recv_ts_secs": self.maybe(counted.last_received_ns),
            "last_send_ts_secs": self.maybe(counted.last_sent_ns),
            "ping_recv_count": counted.pings,
            "pong_send_count": counted.pongs,
            "last_ping_recv_ts_secs": self.maybe(counted.last_ping_ns),
            "messages_recv_by_opcode": _by_opcode(counted.received, leaving_out=counted.unknown),
            "messages_send_by_opcode": _by_opcode(counted.sent),
            "last_unknown_opcode": counted.last_unknown,
            "unknown_opcode_count": sum(counted.unknown.values()),
        }

    def _own(self, counted: Baseline, diagnostics: object) -> dict[str, Any]:
        acknowledged = {
            "ack_generation": counted.ack_generation,
            "ack_window": counted.ack_window,
            "message_count": counted.messages % 2**32,
            "last_ack": counted.messages_at_ack % 2**32,
        }
        match diagnostics:
            case MainDiagnostics():
                return self._main(diagnostics)
            case DisplayDiagnostics():
                return acknowledged | self._acks(counted) | self._display(diagnostics)
            case InputsDiagnostics():
                return self._inputs(counted, diagnostics)
            case CursorDiagnostics():
                shapes = [
                    schema.CursorShape(
                        cursor_id=shape.unique,
                        width=shape.width,
                        height=shape.height,
                        hot_spot_x=shape.hot_spot_x,
                        hot_spot_y=shape.hot_spot_y,
                    )
                    for shape in diagnostics.cache
                ]
                return acknowledged | {"cache_entries": len(shapes), "cache_contents": shapes}
            case PlaybackDiagnostics():
                return self._playback(diagnostics)
        return {}

    def _main(self, main: MainDiagnostics) -> dict[str, Any]:
        return {
            "session_id": main.session_id,
            "mm_time_now": main.mm_time_ms,
            "mm_time_set_count": main.mm_time_sets,
            "last_mm_time_set_ts_secs": self.maybe(main.mm_time_set_ns),
            "server_mouse_mode": main.mouse_mode or None,
            "keepalive_timeout_fired": main.silent,
            **self._agent(main.agent),
        }

    def _agent(self, agent: AgentDiagnostics) -> dict[str, Any]:
        lag = agent.last_lag_ns
        return {
            "agent_request_count": agent.requests,
            "agent_reply_count": agent.replies,
            "agent_reply_error_count": agent.reply_errors,
            "last_agent_reply_ts_secs": self.maybe(agent.last_reply_ns),
            "last_agent_reply_lag_us": None if lag is None else _microseconds(lag),
            "recent_agent_reply_lag_us": [_microseconds(one) for one in agent.lags_ns],
            "outstanding_agent_request_count": agent.outstanding,
            "agent_tokens": agent.tokens,
            "queued_agent_message_count": agent.queued,
            "agent_starved_since_ts_secs": self.maybe(agent.starved_since_ns),
            "agent_stall_count": agent.stalls,
        }

    def _acks(self, counted: Baseline) -> dict[str, Any]:
        return {
            "ack_send_count": counted.acks,
            "last_ack_send_ts_secs": self.maybe(counted.last_ack_ns),
            "recent_ack_intervals_secs": [gap / NS_PER_S for gap in counted.ack_intervals_ns],
        }

    def _display(self, display: DisplayDiagnostics) -> dict[str, Any]:
        measured = [one.decode_duration_us or 0 for one in self.decodes if one.success and not one.from_cache]
        return {
            "recent_decodes": list(self.decodes),
            "decode_total_count": self.decoded,
            "decode_failed_count": self.decode_failed,
            "decode_from_cache_count": self.from_cache,
            **_spread("decode_recent", measured),
            "streams_active": [self._stream(stream) for stream in display.streams_active],
            "streams_recently_destroyed": [self._stream(stream) for stream in display.streams_ended],
            "streams_created_total": display.streams_created,
            "streams_destroyed_total": display.streams_destroyed,
            "streams_rejected_total": display.streams_refused,
            "stream_data_orphan_count": display.orphans,
            "stream_reports_sent_total": display.reports,
            "stream_reports_unsupported_signals_sent": display.cannot_play_reports,
            "pref_compression_sent": display.preferred_compression_sent,
            "pref_video_codec_type_sent": display.preferred_codecs_sent,
            **self.mjpeg.fields("mjpeg"),
            **self.h264.fields("h264"),
        }

    def _stream(self, stream: StreamDiagnostics) -> schema.StreamSnapshot:
        report = stream.last_report
        found: dict[str, Any] = {
            "stream_id": stream.stream_id,
            "surface_id": stream.surface_id,
            "codec_type": stream.codec,
            "stream_width": stream.width,
            "stream_height": stream.height,
            "dest_top": stream.dest.top % 2**32,
            "dest_left": stream.dest.left % 2**32,
            "dest_bottom": stream.dest.bottom % 2**32,
            "dest_right": stream.dest.right % 2**32,
            "created_at_secs": self.seconds(stream.created_ns),
            "frames_received": stream.frames,
            "frames_decoded_ok": stream.decoded,
            "frames_decode_failed": stream.failed,
            "last_frame_ts_secs": self.maybe(stream.last_frame_ns),
            "last_decode_ok_ts_secs": self.maybe(stream.last_decoded_ns),
            "last_decode_duration_us": _microseconds(stream.last_decode_ns),
            "destroyed_at_secs": self.maybe(stream.destroyed_ns),
            "report_is_active": stream.report_unique_id is not None,
            "report_unique_id": stream.report_unique_id or 0,
            "report_max_window_size": stream.report_window,
            "report_timeout_ms": stream.report_timeout_ms,
            "report_send_count": stream.reports,
            "last_report_sent_ts_secs": self.maybe(stream.last_report_ns),
            "mjpeg_decoder_backend": stream.backend if stream.codec == 1 else "",
            "video_decoder_backend": stream.backend,
        }
        if report is not None:
            found |= {
                "last_report_num_frames": report.num_frames,
                "last_report_num_drops": report.num_drops,
                "last_report_last_frame_delay": report.last_frame_delay,
            }
        return blank(schema.StreamSnapshot, **found)

    def _inputs(self, counted: Baseline, inputs: InputsDiagnostics) -> dict[str, Any]:
        last = max((t for t in (counted.last_received_ns, counted.last_sent_ns) if t), default=None)
        key = inputs.last_key_ns
        return {
            "button_state": inputs.buttons,
            "motion_count": inputs.motions_outstanding,
            "secs_since_last_key": None if key is None or last is None else max(0, last - key) / NS_PER_S,
            "client_keepalive_send_count": inputs.restatements,
            "last_client_keepalive_send_ts_secs": self.maybe(inputs.last_restatement_ns),
        }

    def _playback(self, playback: PlaybackDiagnostics) -> dict[str, Any]:
        playing = playback.playing
        return {
            "current_session": None if playing is None else self._playing(playing),
            "start_count": playback.starts,
            "stop_count": playback.stops,
            "data_packets_received": playback.packets,
            "data_bytes_received": playback.packet_bytes,
            "device_underrun_count": playback.underruns,
            "last_volume_per_channel": list(playback.volume),
            "last_mute": playback.mute,
            "last_latency_ms": playback.latency_ms,
        }

    def _playing(self, playing: Playing) -> schema.PlaybackSession:
        codecs: Mapping[int, dict[str, Any]] = {
            AudioDataMode.RAW: {"kind": "raw"},
            AudioDataMode.OPUS: {"kind": "opus"},
        }
        return schema.PlaybackSession(
            started_at_secs=self.seconds(playing.started_ns),
            mm_time_at_start=playing.start_time_ms,
            sample_rate_hz=playing.frequency,
            channels=min(playing.channels, 255),
            codec=codecs.get(playing.mode, {"kind": "other", "value": playing.mode}),
        )


def kept_fields(kept: Kept) -> dict[str, Any]:
    """Return the fields of a display about what is kept of pictures. Source: ryll-formats.md 5.3."""
    return {
        "image_cache_entries": kept.images,
        "image_cache_ids": list(kept.image_ids),
        "image_cache_bytes": kept.image_bytes,
        "image_cache_evictions_total": kept.images_evicted,
        "image_cache_evicted_bytes_total": kept.images_evicted_bytes,
        "image_cache_cap_bytes": kept.images_cap_bytes,
        "glz_dictionary_entries": kept.glz_images,
        "glz_dictionary_bytes": kept.glz_bytes,
        "glz_dictionary_evictions_total": kept.glz_evicted,
        "glz_dictionary_evicted_bytes_total": kept.glz_evicted_bytes,
        "glz_dictionary_cap_bytes": kept.glz_cap_bytes,
    }


def notification(told: Told) -> schema.Notification:
    """Return an entry of `notifications.json`. Source: ryll-formats.md 6."""
    seconds, rest = divmod(told.time_ns, NS_PER_S)
    return schema.Notification(
        id=told.number,
        when=schema.WallTime(secs_since_epoch=seconds, nanos_since_epoch=rest),
        severity=told.severity.capitalize(),
        source=_source(told),
        message=told.text,
        count=told.count,
        visibility=None if told.visibility is None else told.visibility.capitalize(),
        read=False,
    )


def _source(told: Told) -> str | dict[str, object]:
    """Return where a notification comes from. Source: ryll-formats.md 6."""
    if told.source == SERVER:
        return {"Spice": {"channel": (told.channel or "main").capitalize(), "what": told.what}}
    return _SOURCES.get(told.source, "Internal")


def image_name(codec: str) -> str:
    """Return what ryll calls an image type: `zlib_glz_rgb` is `ZlibGlzRgb`. Source: ryll-formats.md 5.3."""
    return _IMAGE_NAMES.get(codec) or "".join(word.capitalize() for word in codec.split("_"))


def _by_opcode(counted: Mapping[int, int], leaving_out: Iterable[int] = ()) -> dict[str, int]:
    """Return counts by message type; those without a name are counted elsewhere. Source: ryll-formats.md 5.2."""
    unnamed = set(leaving_out)
    return {str(type): count for type, count in sorted(counted.items()) if type not in unnamed}


def _spread(prefix: str, durations_us: Iterable[int]) -> dict[str, int]:
    known = list(durations_us)
    if not known:
        return {}
    mean = sum(known) // len(known)
    return {f"{prefix}_min_us": min(known), f"{prefix}_max_us": max(known), f"{prefix}_mean_us": mean}


def _microseconds(time_ns: int) -> int:
    return min(max(0, time_ns) // NS_PER_US, 2**32 - 1)
