"""Made-up tables of the schema, for tests of what shows them.

`session_tables` is a believable session; `full` fills any table with given rows and leaves the rest at a
default that suits the column's dtype, so that a test names only the columns it is about.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from spicereplay.analysis import schema

START_NS = 1_709_294_400_123_456_789  # 2024-03-01 12:00:00.123 UTC


def full(name: str, /, **columns: Sequence[Any]) -> pd.DataFrame:
    """Return the table `name` with these columns; the others hold 0, NaN, null, false or empty text."""
    rows = max((len(v) for v in columns.values()), default=0)
    defaults: dict[str, Any] = {"float64": float("nan"), "Int64": pd.NA, "bool": False, "object": None}
    values: dict[str, Any] = {}
    for column in schema.TABLES[name].columns:
        text = column.dtype in ("category", "str")
        default = "" if text else defaults.get(column.dtype, 0)
        values[column.name] = list(columns.pop(column.name, [default] * rows))
    assert not columns, f"{name} has no column {sorted(columns)}"
    return schema.frame(name, values)


def empty_tables() -> dict[str, pd.DataFrame]:
    """Return every table without rows."""
    return {name: schema.empty(name) for name in schema.TABLES}


def session_tables(
    duration_s: float = 60.0, streams: int = 14, fps: float = 20.0, seed: int = 1
) -> dict[str, pd.DataFrame]:
    """Return the tables of a session in which streams flap, the agent is slow and some bytes are missing."""
    rng = np.random.default_rng(seed)
    tables = empty_tables()
    tables["streams"] = _streams(rng, duration_s, streams)
    tables["frames"] = _frames(rng, tables["streams"], duration_s, fps)
    tables["flaps"] = full(
        "flaps",
        time_s=np.linspace(0.1, 0.9, max(streams // 5, 1)) * duration_s,
        count=[5] * max(streams // 5, 1),
        window_s=[10.0] * max(streams // 5, 1),
        mean_lifetime_s=[1.25] * max(streams // 5, 1),
        instants=[5] * max(streams // 5, 1),
        kind=["flapping"] * max(streams // 5, 1),
    )
    tables["bandwidth"] = _bandwidth(rng, duration_s)
    tables["agent"] = _agent(rng, duration_s)
    tables["agent_starvation"] = full(
        "agent_starvation",
        **{"from": ["client"]},
        start_s=[duration_s * 0.4],
        end_s=[duration_s * 0.43],
        duration_s=[duration_s * 0.03],
    )
    tables["gaps"] = full(
        "gaps",
        channel=["display", "display", "usbredir"],
        **{"from": ["server", "server", "client"]},
        time_s=[duration_s * 0.2, duration_s * 0.71, duration_s * 0.72],
        position=[120_000, 4_400_120, 900],
        bytes=[1448, 65_160, pd.NA],
        cause=["not_captured", "segment_over_snaplen", "silent"],
        messages=[1, 3, pd.NA],
    )
    tables["ack_stalls"] = full(
        "ack_stalls",
        channel=["display"],
        start_s=[duration_s * 0.6],
        end_s=[duration_s * 0.65],
        duration_s=[duration_s * 0.05],
        window=[20],
        unacknowledged=[57],
    )
    tables["display_silence"] = full(
        "display_silence",
        start_s=[duration_s * at for at in (0.02, 0.30, 0.62)],
        end_s=[duration_s * at for at in (0.10, 0.36, 0.66)],
        duration_s=[duration_s * long for long in (0.08, 0.06, 0.04)],
        messages_elsewhere=[40, 22, 31],
        messages_from_server=[20, 12, 9],
        inputs_during=[0, 0, 6],
        first_input_s=[float("nan"), float("nan"), duration_s * 0.63],
        ended_by=["DRAW_COPY", "STREAM_DATA", "DRAW_FILL"],
    )
    tables["input_latency"] = _input_latency(duration_s)
    tables["regions"] = full(
        "regions",
        left=[0, 600],
        right=[320, 900],
        bottom=[240, 200],
        pictures=[211, 14],
        bytes=[9_120_440, 80_112],
        start_s=[duration_s * 0.1, duration_s * 0.3],
        end_s=[duration_s * 0.9, duration_s * 0.4],
        longest_run=[60, 3],
        reason=["too_small", "too_slow_or_short"],
    )
    tables["pings"] = full(
        "pings",
        channel=["main"] * 3 + ["display"] * 2,
        time_s=[0.1, 0.2, 0.3, 1.0, 2.0],
        rtt_ms=[1.2, 1.4, 22.0, 3.0, float("nan")],
        unit=["us"] * 3 + ["ns"] * 2,
    )
    tables["notifications"] = full(
        "notifications",
        time_s=[duration_s * 0.15, duration_s * 0.5, float("nan")],
        origin=["server", "client_reported", "client_reported"],
        source=["main", "display", "clipboard"],
        severity=["info", "warn", "error"],
        message=["keyboard channel is insecure", "video stream flapping", "clipboard request failed"],
        count=[1, 3, 1],
    )
    names = ("main", "display", "inputs", "cursor", "playback", "usbredir")
    tables["channels"] = full(
        "channels",
        channel=names,
        handshake=[True, True, True, True, True, False],
        mini_header=[True] * 6,
        start_s=[0.0, 0.1, 0.1, 0.1, 0.2, 0.2],
        end_s=[duration_s] * 6,
        messages_from_server=[240, 18_311, 12, 902, 3000, 44],
        messages_from_client=[190, 1502, 911, 41, 3, 12],
        bytes_from_server=[22_911, 187_334_120, 410, 80_211, 1_912_334, 3302],
        bytes_from_client=[12_004, 44_120, 20_114, 812, 91, 1290],
        gaps=[0, 2, 0, 0, 0, 1],
        missing_bytes=[0, 66_608, 0, 0, 0, 0],
        closed_by=["", "", "", "", "", "client"],
    )
    tables["messages"] = _messages(rng, duration_s)
    tables["tcp"] = full(
        "tcp",
        channel=[n for n in names for _ in range(2)],
        **{"from": ["server", "client"] * 6},
        segments=rng.integers(10, 9000, 12),
        bytes=rng.integers(1000, 9_000_000, 12),
        retransmitted_bytes=rng.integers(0, 2000, 12),
    )
    tables["disagreements"] = full(
        "disagreements",
        what=["frames of stream 0", "bytes received on display"],
        client_reported=["4,100", "187,200,004"],
        capture=["4,096", "187,334,120"],
        explanation=["", "the report was written 0.2 s before the capture ended"],
    )
    tables["defects"] = full(
        "defects",
        kind=["bytes_missing", "message_incomplete", "bytes_missing"],
        where=["display/0 from server"] * 3,
        time_s=[duration_s * 0.2, duration_s * 0.2, duration_s * 0.71],
        position=[120_000, 119_990, 4_400_120],
        detail=["1448 bytes are missing", "STREAM_DATA of 9120 bytes lacks 1448", "65,160 bytes are missing"],
    )
    tables["findings"] = full(
        "findings",
        code=["stream_flapping", "agent_slow", "capture_gap"],
        severity=["critical", "warn", "info"],
        title=[
            f"The server creates and destroys video streams: {streams} in {duration_s:.0f} s",
            "The guest agent answers slowly",
            "The capture lacks 66,608 bytes of display/0",
        ],
        time_s=[duration_s * 0.1, duration_s * 0.4, duration_s * 0.2],
        evidence=[
            ["mean lifetime 1.25 s (capture)", "5 destroys within 10 s, five instants (capture)"],
            ["median lag 240 ms, p95 900 ms over 40 requests (capture)"],
            ["2 gaps; one is a segment longer than the snap length"],
        ],
    )
    return tables


def _streams(rng: np.random.Generator, duration_s: float, count: int) -> pd.DataFrame:
    created = np.sort(rng.uniform(0.02, 0.95, count)) * duration_s
    life = rng.gamma(1.2, duration_s / 12 if count < 100 else 1.4, count)
    destroyed = np.minimum(created + life, duration_s)
    codec = np.where(rng.random(count) < 0.7, "mjpeg", rng.choice(["h264", "vp8", "vp9", "h265"], count))
    open_end = destroyed >= duration_s
    frames = np.maximum((destroyed - created) * 20, 1).astype(int)
    sizes = np.array([(1280, 720), (640, 360), (320, 240), (1920, 1080)])[rng.integers(0, 4, count)]
    return full(
        "streams",
        stream_id=np.arange(count) % 50,
        codec=codec,
        width=sizes[:, 0],
        height=sizes[:, 1],
        created_s=created,
        destroyed_s=np.where(open_end, np.nan, destroyed),
        lifetime_s=np.where(open_end, np.nan, destroyed - created),
        frames=frames,
        bytes=frames * 21_000,
        end_cause=np.where(open_end, "capture_ended", rng.choice(["timeout", "surface_destroyed"], count)),
        seen_create=np.arange(count) > 0,
        first_frame_s=created,
        last_frame_s=destroyed,
        fps=np.full(count, 20.0),
        longest_gap_s=rng.uniform(0.05, 0.9, count),
        late_frames=[pd.NA if i % 3 else 2 for i in range(count)],
        decode_ms_median=rng.uniform(1, 6, count),
        decode_ms_p95=rng.uniform(6, 14, count),
    )


def _frames(rng: np.random.Generator, streams: pd.DataFrame, duration_s: float, fps: float) -> pd.DataFrame:
    base = {"mjpeg": 3.0, "h264": 6.0, "vp8": 5.0, "vp9": 8.0, "h265": 9.0}
    time, row, cost = [], [], []
    for index, stream in enumerate(streams.itertuples()):
        end = duration_s if np.isnan(stream.destroyed_s) else stream.destroyed_s
        at = np.arange(stream.created_s, end, 1 / fps)
        time.append(at)
        row.append(np.full(len(at), index))
        scale = base[stream.codec] * np.sqrt(stream.width * stream.height / 921_600)
        cost.append(rng.lognormal(np.log(scale), 0.35, len(at)))
    times, rows, costs = (np.concatenate(part) for part in (time, row, cost))
    order = np.argsort(times, kind="stable")
    rows = rows[order]
    part = streams.iloc[rows]
    return full(
        "frames",
        stream=rows,
        stream_id=part["stream_id"].to_numpy(),
        time_s=times[order],
        codec=part["codec"].astype(str).to_numpy(),
        width=part["width"].to_numpy(),
        height=part["height"].to_numpy(),
        bytes=np.full(len(rows), 21_000),
        decode_ms=costs[order],
        backend=np.where(part["codec"].astype(str) == "mjpeg", "simplejpeg", "pyav"),
        outcome=["decoded"] * len(rows),
    )


def _bandwidth(rng: np.random.Generator, duration_s: float) -> pd.DataFrame:
    width = max(duration_s / 600, 0.1)
    bins = np.arange(0, duration_s, width)
    parts: dict[str, list[Any]] = {
        k: [] for k in ("channel", "from", "time_s", "width_s", "bytes", "messages")
    }
    levels = {"display": 3e6, "playback": 3e4, "cursor": 1e3, "main": 4e2, "inputs": 200, "usbredir": 5e3}
    for channel, level in levels.items():
        for side, share in (("server", 1.0), ("client", 0.01)):
            wave = 1 + np.sin(bins / duration_s * 40 + level) * 0.6
            there = rng.random(len(bins)) < 0.9
            parts["channel"] += [channel] * int(there.sum())
            parts["from"] += [side] * int(there.sum())
            parts["time_s"] += bins[there].tolist()
            parts["width_s"] += [width] * int(there.sum())
            amount = level * share * width * wave * rng.lognormal(0, 0.4, len(bins))
            parts["bytes"] += amount[there].astype(int).tolist()
            parts["messages"] += [3] * int(there.sum())
    return full("bandwidth", **parts)


def _agent(rng: np.random.Generator, duration_s: float) -> pd.DataFrame:
    time = np.sort(rng.uniform(0, duration_s, 40))
    lag = rng.lognormal(np.log(240), 0.8, 40)
    lost = np.arange(40) % 13 == 5
    return full(
        "agent",
        time_s=time,
        type=np.where(np.arange(40) % 4 == 0, "MONITORS_CONFIG", "CLIPBOARD_REQUEST"),
        reply_time_s=np.where(lost, np.nan, np.minimum(time + lag / 1000, duration_s)),
        lag_ms=np.where(lost, np.nan, lag),
        outcome=np.where(lost, "unanswered", "answered"),
    )


def _input_latency(duration_s: float) -> pd.DataFrame:
    rng = np.random.default_rng(2)
    time = np.sort(rng.uniform(0, duration_s, 120))
    lag = rng.lognormal(np.log(45), 0.6, 120)
    lag[-2:] = np.nan
    return full(
        "input_latency",
        time_s=time,
        kind=rng.choice(["key", "key", "key", "button", "wheel"], 120),
        next_draw_s=time + lag / 1000,
        next_display_s=time + lag / 1000,
        latency_ms=lag,
        busy=rng.random(120) < 0.3,
    )


def _messages(rng: np.random.Generator, duration_s: float) -> pd.DataFrame:
    kinds = [
        ("display", "server", "STREAM_DATA"),
        ("display", "server", "DRAW_COPY"),
        ("display", "client", "STREAM_REPORT"),
        ("main", "server", "PING"),
        ("main", "client", "PONG"),
        ("cursor", "server", "SET"),
        ("playback", "server", "DATA"),
    ]
    pick = rng.choice(len(kinds), 3000, p=[0.5, 0.2, 0.05, 0.05, 0.05, 0.05, 0.1])
    return full(
        "messages",
        time_s=np.sort(rng.uniform(0, duration_s, 3000)),
        channel=[kinds[k][0] for k in pick],
        **{"from": [kinds[k][1] for k in pick]},
        name=[kinds[k][2] for k in pick],
        size=rng.integers(4, 30_000, 3000),
        partial=rng.random(3000) < 0.01,
    )


def png(width: int, height: int, rng: np.random.Generator | None = None) -> bytes:
    """Return a PNG: a gradient, or noise (which does not compress) where a generator is given."""
    if rng is None:
        across = np.linspace(20, 235, width, dtype=np.uint8)
        rows = np.broadcast_to(across[None, :, None], (height, width, 3))
    else:
        rows = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    raw = b"".join(b"\0" + row.tobytes() for row in np.ascontiguousarray(rows))

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(raw))
        + chunk(b"IEND", b"")
    )


def sessions_of(tables: Mapping[str, pd.DataFrame]) -> list[dict[str, Any]]:
    """Return what `info --json` would say of the channels table, with some capabilities."""
    channels = [
        {
            "channel": str(row.channel),
            "channel_id": int(row.channel_id),
            "client_caps": ["AUTH_SELECTION", "AUTH_SPICE", "MINI_HEADER"],
            "server_caps": ["AUTH_SELECTION", "MINI_HEADER", "STREAM_REPORT"] if row.handshake else None,
        }
        for row in tables["channels"].itertuples()
    ]
    return [{"session": 0, "channels": channels}] if channels else []
