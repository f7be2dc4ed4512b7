"""What the client says of itself: as rows for a table, and as figures to hold against a capture.

Nothing here comes from the recording; every figure is `client_reported`. Of several snapshots of a connection
the newest is the state and the others are its history: call `summary` for each.

Source: ryll-formats.md 4 to 8, ryll-behaviour.md 5 to 9 and 14.
"""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Union, get_args, get_origin

from msgspec import Struct

from spicereplay.bugreport.lenient import join
from spicereplay.bugreport.report import CHANNEL_STATE, JSON_FILES, BugReport
from spicereplay.bugreport.schema import (
    SNAPSHOTS,
    Channel,
    ChannelAtDisconnect,
    DisplaySnapshot,
    MainSnapshot,
    RuntimeMetrics,
    StreamSnapshot,
    fields_of,
)

HIDDEN_HOST: Final = "<host>"
"""What stands for the server's name in texts that are shown."""

Row = tuple[str, str, str]
"""(member, path, value as text), the columns of the table `client_reported`."""


# --- rows --------------------------------------------------------------------------------------------


def rows(report: BugReport, *, private: bool = False) -> Iterator[Row]:
    """Yield every value the report's JSON files hold, in the order of their declaration.

    Without `private`, what is declared private is left out (keystrokes, the user's text, the host), as is
    what is not declared at all and so might be; the host's name inside other texts becomes `<host>`.
    """
    host = None if private else report.metadata.target_host
    walk = _Walk(private, host or "")
    values = report.plain_values()
    for member, kind in JSON_FILES.items():
        if member in values:
            yield from walk.rows(member, kind, values[member], "")
    for channel, path in report.channel_paths.items():
        state = report.channel_value(channel, values)
        if state is not None:
            yield from walk.rows(CHANNEL_STATE, SNAPSHOTS[channel], state, path)


@dataclass(frozen=True, slots=True)
class _Walk:
    private: bool
    host: str

    def rows(self, member: str, kind: Any, value: Any, path: str) -> Iterator[Row]:
        part = _shape(kind, value)
        if isinstance(value, dict) and value:
            for name, entry_kind in self._entries(part, value):
                yield from self.rows(member, entry_kind, value[name], join(path, name))
        elif isinstance(value, list) and value:
            entry_kind = get_args(part)[0] if get_origin(part) is list else Any
            for i, entry in enumerate(value):
                yield from self.rows(member, entry_kind, entry, f"{path}[{i}]")
        else:
            yield member, path, self._text(value)

    def _entries(self, part: Any, value: dict[str, Any]) -> Iterator[tuple[str, Any]]:
        if not (isinstance(part, type) and issubclass(part, Struct)):
            entry_kind = get_args(part)[1] if get_origin(part) is dict else Any
            yield from ((name, entry_kind) for name in value)
            return
        declared = fields_of(part)
        for field in declared:
            if field.name in value and (self.private or not field.private):
                yield field.name, field.type
        if self.private:
            known = {field.name for field in declared}
            yield from ((name, Any) for name in value if name not in known)

    def _text(self, value: Any) -> str:
        if value is None:
            return "null"
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, str):
            return value.replace(self.host, HIDDEN_HOST) if self.host else value
        return "[]" if isinstance(value, list) else "{}" if isinstance(value, dict) else repr(value)


def _shape(kind: Any, value: Any) -> Any:
    """Return the alternative of `kind` that an object or a list is declared as; `Any` where none is."""
    if get_origin(kind) is Annotated:
        return _shape(get_args(kind)[0], value)
    if get_origin(kind) in (Union, types.UnionType):
        shapes = (_shape(option, value) for option in get_args(kind))
        return next((shape for shape in shapes if shape is not Any), Any)
    wanted = list if isinstance(value, list) else dict
    is_struct = isinstance(kind, type) and issubclass(kind, Struct)
    return kind if get_origin(kind) is wanted or (is_struct and wanted is dict) else Any


# --- figures -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ChannelTraffic:
    """What the client counted on one channel; with several displays their sums do not hold (5)."""

    bytes_in: int | None
    """Read after the link handshake."""
    bytes_out: int | None
    last_recv_s: float | None
    last_send_s: float | None
    pings: int | None
    pongs: int | None
    received: Mapping[int, int] | None = None
    """Message type to messages received; None where the revision does not count them."""
    sent: Mapping[int, int] | None = None
    unknown: int | None = None
    """Messages of types without a name, or that the client does not act on."""
    capture_drops: int | None = None
    """Chunks lost to the `--capture` pcap of this channel."""


@dataclass(frozen=True, slots=True)
class StreamLife:
    """One stream as the client saw it. Times are connection-relative."""

    stream_id: int | None
    codec_type: int | None
    width: int | None
    height: int | None
    created_s: float | None
    destroyed_s: float | None
    """None while it is open."""
    frames: int | None
    backend: str | None

    @property
    def lifetime_s(self) -> float | None:
        """How long it was open, never negative. Source: ryll-behaviour.md 5."""
        if self.created_s is None or self.destroyed_s is None:
            return None
        return max(0.0, self.destroyed_s - self.created_s)


@dataclass(frozen=True, slots=True)
class StreamTotals:
    """The client's streams."""

    created: int | None
    destroyed: int | None
    rejected: int | None
    """Refused because 16 were open."""
    orphan_frames: int | None
    """Stream data without an open stream: an unknown codec, say."""
    reports_sent: int | None
    active: tuple[StreamLife, ...]
    ended: tuple[StreamLife, ...]
    """The last 16, oldest first."""


@dataclass(frozen=True, slots=True)
class DecodeTimes:
    """Decodes of one kind; the times are of the last 20, and None where there were none."""

    what: str
    """`image`, `mjpeg` or `h264`."""
    count: int | None
    """Decodes, the failed ones too."""
    failed: int | None
    mean_us: int | None
    max_us: int | None


@dataclass(frozen=True, slots=True)
class CacheState:
    """One of the client's caches. Sizes in bytes of RGBA."""

    what: str
    """`image_cache` or `glz_dictionary`."""
    entries: int | None
    bytes: int | None
    cap: int | None
    evictions: int | None
    evicted_bytes: int | None
    includes_glz: bool
    """Image cache of a revision that counts the GLZ dictionary into it (5.3)."""


@dataclass(frozen=True, slots=True)
class AgentCounters:
    """What the client counted of the guest agent. Source: ryll-formats.md 5.7, ryll-behaviour.md 8."""

    requests: int | None
    """Monitor configurations sent; the only requests the client counts."""
    replies: int | None
    outstanding: int | None
    errors: int | None
    """Replies that report a failure; None where the counter cannot be believed, see `errors_written`."""
    errors_written: int | None
    """The counter as written. Most revisions count every reply whose result is not 0, and 1 means success, so
    a counter that equals the replies says nothing."""
    recent_lags_us: tuple[int, ...]
    """The last 16, oldest first."""
    tokens: int | None
    queued: int | None
    starved_since_s: float | None
    stalls: int | None


@dataclass(frozen=True, slots=True)
class Disconnect:
    """Why the connection ended; `channel` noticed first and need not have failed first."""

    channel: str | None
    message: str | None
    kind: str | None
    keepalive_timeout: bool | None


@dataclass(frozen=True, slots=True)
class ClientSummary:
    """The figures of one report that findings and pages are made from. None: the report does not say."""

    uptime_s: float | None
    traffic: Mapping[str, ChannelTraffic]
    streams: StreamTotals | None
    decodes: tuple[DecodeTimes, ...]
    backends: tuple[str, ...]
    """Names of the video decoders, in order of their streams."""
    caches: tuple[CacheState, ...]
    agent: AgentCounters | None
    keepalive_timeout: bool | None
    """Whether main gave up for want of data."""
    disconnect: Disconnect | None
    cpu_percent: float | None
    """Of all threads; above 100 is more than one core."""
    busiest_thread_percent: float | None
    rss_kb: int | None
    video_drops: int | None
    """Frames the client's own display.mp4 lost."""
    worst_image_lag_us: int | None
    """Longest recent wait of a picture for the window's thread."""


def summary(report: BugReport) -> ClientSummary:
    """Gather the figures of one report."""
    display = report.channels.get("display")
    main = report.channels.get("main")
    streams = _streams(display) if isinstance(display, DisplaySnapshot) else None
    cause = report.disconnect
    fired = main.keepalive_timeout_fired if isinstance(main, MainSnapshot) else None
    return ClientSummary(
        uptime_s=report.uptime_s,
        traffic=types.MappingProxyType(_traffic(report)),
        streams=streams,
        decodes=_decodes(display) if isinstance(display, DisplaySnapshot) else (),
        backends=tuple(
            dict.fromkeys(s.backend for s in (*streams.ended, *streams.active) if s.backend)
            if streams
            else ()
        ),
        caches=_caches(display) if isinstance(display, DisplaySnapshot) else (),
        agent=_agent(main) if isinstance(main, MainSnapshot) else None,
        keepalive_timeout=fired if cause is None else fired or cause.keepalive_timeout_fired,
        disconnect=None
        if cause is None
        else Disconnect(cause.channel, cause.error_message, cause.error_kind, cause.keepalive_timeout_fired),
        cpu_percent=_process(report.runtime)[0],
        busiest_thread_percent=_busiest(report.runtime),
        rss_kb=_process(report.runtime)[1],
        video_drops=report.session.video_drop_count,
        worst_image_lag_us=report.session.image_ready_lag_recent_max_us,
    )


def _traffic(report: BugReport) -> dict[str, ChannelTraffic]:
    """Return the channels' counters; those of a disconnect for channels whose state is not in the report."""
    known: dict[str, Channel | ChannelAtDisconnect] = {}
    if report.disconnect is not None:
        known.update(report.disconnect.per_channel or {})
    known.update(report.channels)
    return {name: _channel_traffic(state) for name, state in known.items()}


def _channel_traffic(state: Channel | ChannelAtDisconnect) -> ChannelTraffic:
    counted = state if isinstance(state, Channel) else Channel()
    return ChannelTraffic(
        bytes_in=state.bytes_in,
        bytes_out=state.bytes_out,
        last_recv_s=state.last_recv_ts_secs,
        last_send_s=state.last_send_ts_secs,
        pings=state.ping_recv_count,
        pongs=state.pong_send_count,
        received=_by_type(counted.messages_recv_by_opcode),
        sent=_by_type(counted.messages_send_by_opcode),
        unknown=counted.unknown_opcode_count,
        capture_drops=counted.writer_dropped_count,
    )


def _by_type(counts: dict[str, int] | None) -> Mapping[int, int] | None:
    if counts is None:
        return None
    return types.MappingProxyType(
        {
            int(name): count
            for name, count in counts.items()
            if name.isascii() and name.isdigit() and len(name) <= 5
        }
    )


def _streams(display: DisplaySnapshot) -> StreamTotals | None:
    if display.streams_created_total is None and display.streams_active is None:
        return None
    return StreamTotals(
        created=display.streams_created_total,
        destroyed=display.streams_destroyed_total,
        rejected=display.streams_rejected_total,
        orphan_frames=display.stream_data_orphan_count,
        reports_sent=display.stream_reports_sent_total,
        active=tuple(_life(stream) for stream in display.streams_active or ()),
        ended=tuple(_life(stream) for stream in display.streams_recently_destroyed or ()),
    )


def _life(stream: StreamSnapshot) -> StreamLife:
    return StreamLife(
        stream_id=stream.stream_id,
        codec_type=stream.codec_type,
        width=stream.stream_width,
        height=stream.stream_height,
        created_s=stream.created_at_secs,
        destroyed_s=stream.destroyed_at_secs,
        frames=stream.frames_received,
        backend=stream.video_decoder_backend or stream.mjpeg_decoder_backend or None,
    )


def _decodes(display: DisplaySnapshot) -> tuple[DecodeTimes, ...]:
    d = display
    return tuple(
        DecodeTimes(what, count, failed, mean or None, high or None)
        for what, count, failed, mean, high in (
            (
                "image",
                d.decode_total_count,
                d.decode_failed_count,
                d.decode_recent_mean_us,
                d.decode_recent_max_us,
            ),
            (
                "mjpeg",
                d.mjpeg_decode_total_count,
                d.mjpeg_decode_failed_count,
                d.mjpeg_decode_recent_mean_us,
                d.mjpeg_decode_recent_max_us,
            ),
            (
                "h264",
                d.h264_decode_total_count,
                d.h264_decode_failed_count,
                d.h264_decode_recent_mean_us,
                d.h264_decode_recent_max_us,
            ),
        )
        if count is not None
    )


def _caches(display: DisplaySnapshot) -> tuple[CacheState, ...]:
    has_dictionary = (
        display.glz_dictionary_bytes,
        display.glz_dictionary_entries,
        display.glz_dictionary_cap_bytes,
        display.glz_dictionary_evictions_total,
    ) != (None, None, None, None)
    images = CacheState(
        "image_cache",
        display.image_cache_entries,
        display.image_cache_bytes,
        display.image_cache_cap_bytes,
        display.image_cache_evictions_total,
        display.image_cache_evicted_bytes_total,
        includes_glz=not has_dictionary,
    )
    if not has_dictionary:
        return (images,)
    dictionary = CacheState(
        "glz_dictionary",
        display.glz_dictionary_entries,
        display.glz_dictionary_bytes,
        display.glz_dictionary_cap_bytes,
        display.glz_dictionary_evictions_total,
        display.glz_dictionary_evicted_bytes_total,
        includes_glz=False,
    )
    return images, dictionary


def _agent(main: MainSnapshot) -> AgentCounters | None:
    if main.agent_request_count is None and main.agent_reply_count is None:
        return None
    written, replies = main.agent_reply_error_count, main.agent_reply_count
    return AgentCounters(
        requests=main.agent_request_count,
        replies=replies,
        outstanding=main.outstanding_agent_request_count,
        errors=None if written and written == replies else written,
        errors_written=written,
        recent_lags_us=tuple(main.recent_agent_reply_lag_us or ()),
        tokens=main.agent_tokens,
        queued=main.queued_agent_message_count,
        starved_since_s=main.agent_starved_since_ts_secs,
        stalls=main.agent_stall_count,
    )


def _process(runtime: RuntimeMetrics | None) -> tuple[float | None, int | None]:
    if runtime is None or runtime.process is None:
        return None, None
    return runtime.process.cpu_percent, runtime.process.rss_kb


def _busiest(runtime: RuntimeMetrics | None) -> float | None:
    threads = runtime.threads if runtime is not None else None
    return max((t.cpu_percent for t in threads or () if t.cpu_percent is not None), default=None)
