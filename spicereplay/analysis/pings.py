"""PINGs of the server, their PONGs, and the server's clock that they carry. Source: spice-wire.md 4.4."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from spicereplay.analysis import schema
from spicereplay.analysis.clock import ServerClock, server_clock
from spicereplay.analysis.columns import NEVER, Float64Array, category, concat, constant, seconds
from spicereplay.analysis.fields import fields
from spicereplay.protocol.enums import ChannelType, ClientCommon, ServerCommon, ServerMain
from spicereplay.session.log import ChannelLog, SessionLog
from spicereplay.units import NS_PER_MS, NS_PER_S, NS_PER_US

if TYPE_CHECKING:
    import pandas as pd

    from spicereplay.bytestream import Int64Array

NET_TEST_PINGS: Final = 3
"""PINGs of the network test that follows MAIN_INIT; their timestamps are in µs."""
NET_TEST_BITS: Final = 8 * 256_000
"""Padding of the third one. Source: server-heuristics.md A1, NET_TEST_BYTES."""
LOW_BANDWIDTH_BITS: Final = 10 * 1024 * 1024
"""Below that many bits per second the server takes the client for badly connected. Source: A1."""
_UNITS: Final = ("ns", "us")


def pings(sessions: Sequence[SessionLog], origin_ns: int) -> pd.DataFrame:
    """Return the table `pings`, in order of time within each channel."""
    return concat(
        "pings",
        (
            _pings(session, log, origin_ns)
            for session in sessions
            for log in session.channels
            if len(log.server)
        ),
    )


def _pings(session: SessionLog, log: ChannelLog, origin_ns: int) -> pd.DataFrame:
    rows, sent = fields(log.server, ServerCommon.PING)
    time_ns = log.server.time_ns[rows]
    padding = log.server.size[rows].astype(np.int64) - sent.dtype.itemsize
    micro = net_test(log, sent["id"], time_ns, padding)
    pong_ns = _pongs(log, sent["id"], time_ns)
    rtt = np.where(pong_ns == NEVER, np.nan, (pong_ns - time_ns) / NS_PER_MS)
    return schema.frame(
        "pings",
        {
            "session": np.full(len(rows), session.number),
            "channel": constant(log.channel.label, len(rows)),
            "channel_id": np.full(len(rows), log.channel_id),
            "time_s": seconds(time_ns, origin_ns),
            "ping_id": sent["id"],
            "timestamp": sent["timestamp"],
            "unit": category(micro.astype(np.int8), _UNITS),
            "padding": np.maximum(padding, 0),
            "pong_s": seconds(pong_ns, origin_ns),
            "rtt_ms": rtt,
        },
    )


def net_test(
    log: ChannelLog, ping_id: npt.NDArray[np.uint32], time_ns: Int64Array, padding: Int64Array
) -> npt.NDArray[np.bool_]:
    """Say which PINGs belong to main's network test.

    It is the PING with padding and the up to two before it that have the numbers before it; where the padded one
    was not captured whole, the first PINGs after MAIN_INIT whose numbers are consecutive (those that measure
    latency later come in pairs of one number).
    """
    micro = padding > 0
    if log.channel is not ChannelType.MAIN or not len(ping_id):
        return np.zeros(len(ping_id), np.bool_)
    for third in np.flatnonzero(padding > 0):
        for back in range(1, NET_TEST_PINGS):
            if third >= back and int(ping_id[third - back]) == int(ping_id[third]) - back:
                micro[third - back] = True
    if not micro.any():
        started = log.server.time_ns[log.server.rows(ServerMain.INIT)]
        for init_ns in started.tolist():
            first = int(np.searchsorted(time_ns, init_ns))
            for i in range(first, min(first + NET_TEST_PINGS, len(ping_id))):
                if int(ping_id[i]) == int(ping_id[first]) + i - first:
                    micro[i] = i > first or (
                        first + 1 < len(ping_id) and int(ping_id[first + 1]) == int(ping_id[first]) + 1
                    )
    return micro


def _pongs(log: ChannelLog, ping_id: npt.NDArray[np.uint32], time_ns: Int64Array) -> Int64Array:
    """Return when each PING was answered: PONGs in order of time, each to the oldest open PING of its number."""
    rows, answered = fields(log.client, ClientCommon.PONG)
    answers: dict[int, list[int]] = {}
    for number, at in zip(answered["id"].tolist(), log.client.time_ns[rows].tolist(), strict=True):
        answers.setdefault(number, []).append(at)
    used: dict[int, int] = {}
    out = np.full(len(ping_id), NEVER, np.int64)
    for i, (number, asked) in enumerate(zip(ping_id.tolist(), time_ns.tolist(), strict=True)):
        waiting, at = answers.get(number, []), used.get(number, 0)
        while at < len(waiting) and waiting[at] < asked:
            at += 1
        if at < len(waiting):
            out[i] = waiting[at]
            at += 1
        used[number] = at
    return out


def clock_of(pings: pd.DataFrame, session: int, origin_ns: int) -> ServerClock | None:
    """Return the mapping between capture and server time that the PINGs of one session give."""
    mine = pings[pings["session"] == session]
    time_ns = np.round(mine["time_s"].to_numpy(np.float64) * NS_PER_S).astype(np.int64) + origin_ns
    factor = np.where(mine["unit"].to_numpy() == "us", NS_PER_US, 1).astype(np.uint64)
    timestamp = mine["timestamp"].to_numpy(np.uint64) * factor
    sane = timestamp < np.uint64(1 << 62)
    return server_clock(time_ns[sane], timestamp[sane].astype(np.int64))


def net_test_rate(pings: pd.DataFrame) -> Iterator[tuple[int, float, float]]:
    """Yield `(session, time_s, bits per second)` of every complete network test, as the server reckons it.

    Source: server-heuristics.md B1: the padding's bits over what the third round trip took more than the first.
    """
    for session, group in pings[pings["unit"] == "us"].groupby("session", observed=True):
        rtt: Float64Array = group["rtt_ms"].to_numpy(np.float64)
        if len(rtt) < NET_TEST_PINGS or not np.isfinite(rtt[:NET_TEST_PINGS]).all():
            continue
        extra_ms = rtt[2] - min(rtt[0], rtt[1])
        if group["padding"].iloc[2] and extra_ms > 0:
            yield int(str(session)), float(group["time_s"].iloc[0]), NET_TEST_BITS / (extra_ms / 1e3)
