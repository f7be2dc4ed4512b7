"""The clocks of a session, kept apart, as they are measured: in nanoseconds, for all messages at once.

* *capture time*: nanoseconds, of the machine that recorded;
* *server time*: the server's monotonic clock; frames carry its milliseconds modulo 2^32 (multimedia time);
* the *client's multimedia clock*: what the server last set, moved on by the client's own clock.

The client's report has one more, seconds since its connection began; in a recording made by that client it is the
capture time itself. `clocks` makes of them what a notebook asks for.

Source: server-heuristics.md B1, spice-wire.md 4.4, 5.3 and 10.3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from spicereplay.analysis.columns import Float64Array
from spicereplay.analysis.fields import fields
from spicereplay.bytestream import Int64Array
from spicereplay.protocol.enums import ChannelType, ServerDisplay, ServerMain, ServerPlayback
from spicereplay.session.log import SessionLog
from spicereplay.units import NS_PER_MS

MEDIA_WRAP_MS: Final = 1 << 32
"""Multimedia time is a 32-bit number of milliseconds: it begins anew after 49.7 days."""
_HALF: Final = 1 << 31


def signed_ms(difference: Int64Array | Float64Array) -> Float64Array:
    """Return differences of two 32-bit millisecond clocks as the signed number nearest to zero."""
    return (np.asarray(difference, np.float64) + _HALF) % MEDIA_WRAP_MS - _HALF


@dataclass(frozen=True, slots=True)
class ServerClock:
    """Capture time minus server time, from the PINGs of all channels.

    The offset is the smallest seen: every PING is late by its queueing and its way to the capture point, so server
    times made from it are early by what the best PING took (on a capture at the client that is the one-way delay).
    """

    offset_ns: int
    pings: int
    spread_ns: int
    """Median minus smallest offset: what an ordinary PING takes more than the best one."""

    def server_ns(self, capture_ns: Int64Array) -> Int64Array:
        """Return the server's monotonic time at a capture time."""
        return capture_ns - self.offset_ns

    def lag_ms(self, capture_ns: Int64Array, mm_time: npt.NDArray[np.uint32]) -> Float64Array:
        """Return how long after the server stamped it something was captured: queue, encoder and network.

        The error is that of the offset plus a millisecond of rounding.
        """
        server_ms = self.server_ns(capture_ns) / NS_PER_MS
        return signed_ms(server_ms % MEDIA_WRAP_MS - mm_time)


def server_clock(ping_time_ns: Int64Array, timestamp_ns: Int64Array) -> ServerClock | None:
    """Return the mapping that PINGs captured at `ping_time_ns` give; None without any."""
    if not len(ping_time_ns):
        return None
    offsets = ping_time_ns - timestamp_ns
    least = int(offsets.min())
    # A median is a float; of differences it keeps its nanoseconds.
    return ServerClock(least, len(offsets), int(np.median(offsets - least)))


@dataclass(frozen=True, slots=True, eq=False)
class ClientMediaClock:
    """What the client took the multimedia time for, at any capture time.

    Known: the values the server set (MAIN_INIT, MULTI_MEDIA_TIME) and when they passed the capture point. Assumed:
    the client took them over at once and moves them on at the rate of the capture clock. Really its clock runs behind
    by the one-way delay (on a capture at the server) and by the time it took to look at the message (38 ms in one
    recorded session), so margins made from this one are too small by that. While sound plays the client follows
    the sound instead (spice-wire.md 5.3), and margins made from this clock can be off by the sound's latency.
    """

    set_ns: Int64Array
    value_ms: npt.NDArray[np.uint32]

    def margin_ms(self, capture_ns: Int64Array, mm_time: npt.NDArray[np.uint32]) -> Float64Array:
        """Return multimedia times minus the clock on arrival; NaN before the clock was set."""
        if not len(self.set_ns):
            return np.full(len(capture_ns), np.nan)
        which = np.searchsorted(self.set_ns, capture_ns, "right") - 1
        held = np.maximum(which, 0)
        now = self.value_ms[held].astype(np.float64) + (capture_ns - self.set_ns[held]) / NS_PER_MS
        return np.where(which >= 0, signed_ms(mm_time - now), np.nan)


def client_media_clock(session: SessionLog) -> ClientMediaClock:
    """Return the client's multimedia clock as the main channel set it."""
    times: list[Int64Array] = []
    values: list[npt.NDArray[np.uint32]] = []
    for log in session.of(ChannelType.MAIN):
        rows, init = fields(log.server, ServerMain.INIT)
        times.append(log.server.time_ns[rows])
        values.append(init["multi_media_time"])
        rows, later = fields(log.server, ServerMain.MULTI_MEDIA_TIME)
        times.append(log.server.time_ns[rows])
        values.append(later["time"])
    if not times:
        return ClientMediaClock(np.empty(0, np.int64), np.empty(0, np.uint32))
    time_ns, value = np.concatenate(times), np.concatenate(values)
    order = np.argsort(time_ns, kind="stable")
    return ClientMediaClock(time_ns[order], value[order])


def media_stamps(session: SessionLog) -> tuple[Int64Array, npt.NDArray[np.uint32]]:
    """Return capture time and multimedia time of every frame and packet of sound; arrays of one length.

    The server stamps them with its own clock when it takes them in hand. A stamp of 0 means none.
    Source: spice-wire.md 10.3.
    """
    times, stamps = [np.empty(0, np.int64)], [np.empty(0, np.uint32)]
    for kind, message_type, name in (
        (ChannelType.DISPLAY, ServerDisplay.STREAM_DATA, "base_multi_media_time"),
        (ChannelType.DISPLAY, ServerDisplay.STREAM_DATA_SIZED, "base_multi_media_time"),
        (ChannelType.PLAYBACK, ServerPlayback.DATA, "time"),
    ):
        for log in session.of(kind):
            rows, sent = fields(log.server, message_type)
            times.append(log.server.time_ns[rows])
            stamps.append(sent[name])
    time_ns, stamp = np.concatenate(times), np.concatenate(stamps)
    return time_ns[stamp != 0], stamp[stamp != 0]
