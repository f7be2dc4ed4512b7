"""What the client counted, in words: rows of a name, a value and a note.

A figure that the report does not give has no row. Where a counter cannot be believed the note says so.

Source: ryll-formats.md 5, 7 and 8.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from spicereplay.analysis.finding import plural
from spicereplay.bugreport.client_reported import (
    AgentCounters,
    CacheState,
    ChannelTraffic,
    ClientSummary,
    DecodeTimes,
)
from spicereplay.report.text import number, size

Row = tuple[str, str, str]

_DECODED: Final = {"image": "still images", "mjpeg": "MJPEG frames", "h264": "H.264 frames"}
_CACHES: Final = {"image_cache": "image cache", "glz_dictionary": "GLZ dictionary"}


def counters(client: ClientSummary) -> list[Row]:
    """Return what the client counted of its decoders, its caches, the guest agent and its own process."""
    rows = [_decodes(decodes) for decodes in client.decodes]
    rows += [row for cache in client.caches for row in _cache(cache)]
    if client.agent is not None:
        rows.append(_agent(client.agent))
    rows += _unknown(client)
    rows += _process(client)
    if client.video_drops:
        rows.append(("frames lost", number(client.video_drops), "by its recorder of the screen, display.mp4"))
    return rows


def channels(client: ClientSummary) -> list[Row]:
    """Return what the client read and wrote on each channel, and when last.

    Of a lost connection this shows the channel that fell silent first, which need not be the one that noticed.
    Channels on which nothing ever passed are left out.
    """
    return [
        (name, _sides(traffic), _joined(_last(traffic), _pings(traffic)))
        for name, traffic in client.traffic.items()
        if traffic.bytes_in or traffic.bytes_out
    ]


def _decodes(decodes: DecodeTimes) -> Row:
    recent = None
    if decodes.mean_us is not None and decodes.max_us is not None:
        recent = f"{_ms(decodes.mean_us)} each on average, {_ms(decodes.max_us)} at most, of the last 20"
    failed = None if decodes.failed is None else f"{number(decodes.failed)} failed"
    value = _joined(plural(decodes.count or 0, "decode"), failed if decodes.count else None, by=", ")
    return _DECODED[decodes.what], value, recent or ""


def _cache(cache: CacheState) -> Iterator[Row]:
    if cache.entries is None and cache.bytes is None:
        return
    held = None if cache.bytes is None else size(cache.bytes)
    if held is not None and cache.cap is not None:
        held += f" of at most {size(cache.cap)}"
    entries = None if cache.entries is None else plural(cache.entries, "image")
    evicted = None if cache.evictions is None else f"{number(cache.evictions)} evicted"
    if cache.evictions and cache.evicted_bytes is not None:
        evicted = f"{evicted}, {size(cache.evicted_bytes)}"
    both = "may hold those of the GLZ dictionary too" if cache.includes_glz else None
    yield _CACHES[cache.what], _joined(entries, held, by=", "), _joined(evicted, both)


def _agent(agent: AgentCounters) -> Row:
    requests = None if agent.requests is None else plural(agent.requests, "request")
    replies = None if agent.replies is None else plural(agent.replies, "reply", "replies")
    lag = f"answered after {_ms(max(agent.recent_lags_us))} at most" if agent.recent_lags_us else None
    errors = None
    if agent.errors:
        errors = f"{plural(agent.errors, 'reply reports', 'replies report')} a failure"
    elif agent.errors is None and agent.errors_written:
        errors = "its count of failures cannot be believed: it equals the replies"
    return (
        "guest agent",
        _joined(requests, replies, by=", "),
        _joined(
            f"{number(agent.outstanding)} without a reply" if agent.outstanding else None,
            lag,
            errors,
            None if agent.tokens is None else f"{plural(agent.tokens, 'token')} left",
            f"{plural(agent.queued, 'message waits', 'messages wait')} for tokens" if agent.queued else None,
            f"{plural(agent.stalls, 'wait')} longer than 5 s" if agent.stalls else None,
        ),
    )


def _unknown(client: ClientSummary) -> Iterator[Row]:
    counts = {name: t.unknown for name, t in client.traffic.items() if t.unknown is not None}
    if counts:
        where = ", ".join(f"{name} {number(count)}" for name, count in counts.items() if count)
        yield "unknown messages", number(sum(counts.values())), where and f"ignored: {where}"


def _process(client: ClientSummary) -> Iterator[Row]:
    lag, busiest = client.worst_image_lag_us, client.busiest_thread_percent
    if client.cpu_percent is not None:
        thread = "" if busiest is None else f"its busiest thread {number(busiest, 1)} %"
        yield "processor", f"{number(client.cpu_percent, 1)} % of one core", thread
    if client.rss_kb is not None:
        yield "memory", size(client.rss_kb * 1024), "resident"
    if lag:
        yield "window's thread", _ms(lag), "longest recent wait of a picture for it"


def _sides(traffic: ChannelTraffic) -> str:
    sides = ((traffic.bytes_in, "in"), (traffic.bytes_out, "out"))
    return _joined(*(None if count is None else f"{size(count)} {way}" for count, way in sides), by=", ")


def _last(traffic: ChannelTraffic) -> str | None:
    times = ((traffic.last_recv_s, "received"), (traffic.last_send_s, "sent"))
    told = _joined(*(None if at is None else f"{way} at {number(at, 2)} s" for at, way in times), by=", ")
    return f"last {told}" if told else None


def _pings(traffic: ChannelTraffic) -> str | None:
    if not traffic.pings or traffic.pongs is None:
        return None
    return f"answered {number(traffic.pongs)} of {plural(traffic.pings, 'PING')}"


def _joined(*parts: str | None, by: str = "; ") -> str:
    return by.join(part for part in parts if part)


def _ms(us: float) -> str:
    return f"{number(us / 1e3, 2 if us < 10_000 else 0)} ms"
