"""The clocks of one session, each as a mapping from capture time and back; `session.clocks` gives them.

Capture time is the axis: `time_s`, seconds since the capture's first packet, as in every table. A clock has `at`, what
it shows at a capture time, and `time_s`, the capture time at which it shows something; both take one value or many
and keep their shape. Every clock says how far off it can be and what it rests on; one that the capture tells nothing of
is None.

Source: spice-wire.md 4.4, 5.3 and 10.3; server-heuristics.md B1; ryll-formats.md 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final, overload

import numpy as np

from spicereplay.analysis.clock import (
    MEDIA_WRAP_MS,
    ClientMediaClock,
    ServerClock,
    client_media_clock,
    media_stamps,
    signed_ms,
)
from spicereplay.analysis.columns import Float64Array
from spicereplay.analysis.pings import clock_of
from spicereplay.bugreport.snapshots import SnapshotRun, group_runs
from spicereplay.markup import table
from spicereplay.protocol.enums import Side
from spicereplay.units import NS_PER_MS, NS_PER_S

if TYPE_CHECKING:
    import numpy.typing as npt
    import pandas as pd

    from spicereplay.replay import Replay
    from spicereplay.session.log import SessionLog

    Many = npt.NDArray[np.number] | Sequence[float] | pd.Series[float]
    """Several values."""
    Instants = pd.DatetimeIndex | pd.Series[pd.Timestamp] | Sequence[datetime]
    """Several times of day."""

_MS_PER_S: Final = NS_PER_S // NS_PER_MS
_STAMP_S: Final = 1 / _MS_PER_S
"""Multimedia times are whole milliseconds, cut."""


@dataclass(frozen=True, slots=True)
class SteadyClock:
    """A clock that counts seconds and runs as fast as capture time."""

    zero_s: float
    """Capture time at which it shows 0."""
    uncertainty_s: float | None
    """How far off it can be, in seconds; None: that cannot be told."""
    source: str
    """What it rests on, in words."""

    @overload
    def at(self, time_s: float) -> float: ...

    @overload
    def at(self, time_s: Many) -> Float64Array: ...

    def at(self, time_s: float | Many) -> float | Float64Array:
        """Return what it shows at a capture time, in seconds."""
        return _shaped(np.asarray(time_s, np.float64) - self.zero_s)

    @overload
    def time_s(self, reading_s: float) -> float: ...

    @overload
    def time_s(self, reading_s: Many) -> Float64Array: ...

    def time_s(self, reading_s: float | Many) -> float | Float64Array:
        """Return the capture time at which it shows so many seconds."""
        return _shaped(np.asarray(reading_s, np.float64) + self.zero_s)


@dataclass(frozen=True, slots=True)
class MediaClock:
    """The server's multimedia time, by which it stamps frames and sound: milliseconds that begin anew at 2^32."""

    origin_ms: float
    """What it shows at capture second 0."""
    uncertainty_s: float | None
    """How far off it can be, in seconds; None: that cannot be told."""
    source: str
    """What it rests on, in words."""

    @overload
    def at(self, time_s: float) -> float: ...

    @overload
    def at(self, time_s: Many) -> Float64Array: ...

    def at(self, time_s: float | Many) -> float | Float64Array:
        """Return what it shows at a capture time, in milliseconds from 0 up to 2^32."""
        return _shaped((self.origin_ms + np.asarray(time_s, np.float64) * _MS_PER_S) % MEDIA_WRAP_MS)

    @overload
    def time_s(self, mm_time: float, near_s: float = 0.0) -> float: ...

    @overload
    def time_s(self, mm_time: Many, near_s: float | Many = 0.0) -> Float64Array: ...

    def time_s(self, mm_time: float | Many, near_s: float | Many = 0.0) -> float | Float64Array:
        """Return the capture time at which it shows a multimedia time, of all such times the one next to `near_s`.

        The same reading comes back after 49.7 days; `near_s` has to be within half of that.
        """
        near = np.asarray(near_s, np.float64)
        away = signed_ms(np.asarray(mm_time, np.float64) - (self.origin_ms + near * _MS_PER_S))
        return _shaped(near + away / _MS_PER_S)


@dataclass(frozen=True, slots=True, eq=False)
class SetClock:
    """The client's multimedia clock, by which it shows frames: the server sets it, and then it runs by itself.

    MAIN_INIT and MULTI_MEDIA_TIME set it behind the server's multimedia time, by the time the client shall hold
    frames back. A frame is due when this clock shows its `mm_time`.
    """

    origin_ns: int
    """Capture second 0, in nanoseconds."""
    media: ClientMediaClock
    uncertainty_s: None = None
    """Never known: what a client makes of the messages is not in a capture."""
    source: str = (
        "MAIN_INIT and MULTI_MEDIA_TIME as captured; a client that plays sound follows the sound instead"
    )

    @property
    def set_s(self) -> Float64Array:
        """Capture times at which it was set."""
        return (self.media.set_ns - self.origin_ns) / NS_PER_S

    @overload
    def at(self, time_s: float) -> float: ...

    @overload
    def at(self, time_s: Many) -> Float64Array: ...

    def at(self, time_s: float | Many) -> float | Float64Array:
        """Return what it shows at a capture time, in milliseconds from 0 up to 2^32; NaN before it was set."""
        when = np.asarray(time_s, np.float64)
        which, since_s = self._setting(when)
        shown = (self.media.value_ms[which] + (when - since_s) * _MS_PER_S) % MEDIA_WRAP_MS
        return _shaped(np.where(when >= since_s, shown, np.nan))

    @overload
    def time_s(self, mm_time: float, near_s: float) -> float: ...

    @overload
    def time_s(self, mm_time: Many, near_s: float | Many) -> Float64Array: ...

    def time_s(self, mm_time: float | Many, near_s: float | Many) -> float | Float64Array:
        """Return when it shows a multimedia time, as it was set at `near_s`.

        With the arrival of a frame as `near_s` that is when the frame is due. NaN where the clock, as it was set
        then, never shows the time: it was set only later, or set to something else before.
        """
        near = np.asarray(near_s, np.float64)
        which, since_s = self._setting(near)
        ahead = signed_ms(
            np.asarray(mm_time, np.float64) - self.media.value_ms[which] - (near - since_s) * _MS_PER_S
        )
        found = near + ahead / _MS_PER_S
        until = np.append(self.set_s, np.inf)[which + 1]
        return _shaped(np.where((near >= since_s) & (found >= since_s) & (found < until), found, np.nan))

    def _setting(self, time_s: Float64Array) -> tuple[npt.NDArray[np.intp], Float64Array]:
        """Return which setting holds at capture times, the first one for times before it, and since when."""
        set_s = self.set_s
        which = np.maximum(np.searchsorted(set_s, time_s, "right") - 1, 0)
        return which, set_s[which]


@dataclass(frozen=True, slots=True)
class UtcClock:
    """The time of day."""

    zero_ns: int
    """Capture second 0, in nanoseconds since 1970."""
    uncertainty_s: float | None
    """How far off it can be, in seconds; None: that cannot be told."""
    source: str
    """What it rests on, in words."""

    @overload
    def at(self, time_s: float) -> pd.Timestamp: ...

    @overload
    def at(self, time_s: Many) -> pd.DatetimeIndex: ...

    def at(self, time_s: float | Many) -> pd.Timestamp | pd.DatetimeIndex:
        """Return the time of day at a capture time; NaT for NaN."""
        import pandas as pd

        since = np.asarray(time_s, np.float64)
        known = np.isfinite(since)
        ns = np.where(known, self.zero_ns + np.rint(np.where(known, since, 0) * NS_PER_S).astype(np.int64), 0)
        utc = pd.DatetimeIndex(ns.reshape(-1).view("M8[ns]"), tz="UTC")
        days = pd.DatetimeIndex(utc.where(known.reshape(-1)))
        return days if since.ndim else pd.Timestamp(days[0])

    @overload
    def time_s(self, when: str | datetime) -> float: ...

    @overload
    def time_s(self, when: Instants) -> Float64Array: ...

    def time_s(self, when: str | datetime | Instants) -> float | Float64Array:
        """Return the capture time of a time of day; without a time zone it is taken as UTC."""
        import pandas as pd

        if isinstance(when, str | datetime):
            return float(self.time_s([pd.Timestamp(when)])[0])
        days = pd.DatetimeIndex(pd.to_datetime(pd.Series(when), utc=True)).as_unit("ns")
        return np.where(days.isna(), np.nan, (days.asi8 - self.zero_ns) / NS_PER_S)


@dataclass(frozen=True, slots=True, eq=False)
class Clocks:
    """The clocks of one session against capture time. Shows itself in a notebook. Page: docs/topics/time.md."""

    server: SteadyClock | None
    """The server's monotonic clock, in seconds, which PINGs carry."""
    media: MediaClock | None
    """The server's multimedia time, in milliseconds modulo 2^32: the stamps of frames and sound."""
    client_media: SetClock | None
    """The client's multimedia clock, in the same milliseconds: by it frames are shown."""
    reported: SteadyClock | None
    """Seconds since the client's connection began: the times of a bug report."""
    utc: UtcClock | None
    """The time of day."""

    def __repr__(self) -> str:
        return f"<Clocks: {', '.join(name for name, clock in self._all().items() if clock is not None)}>"

    def _all(self) -> dict[str, SteadyClock | MediaClock | SetClock | UtcClock | None]:
        return {
            "server": self.server,
            "media": self.media,
            "client_media": self.client_media,
            "reported": self.reported,
            "utc": self.utc,
        }

    def _repr_html_(self) -> str:
        rows = []
        for name, clock in self._all().items():
            if clock is None:
                rows.append((name, "", "", "the capture does not tell"))
                continue
            start = clock.set_s[0] if isinstance(clock, SetClock) else 0.0
            shown = clock.at(float(start))
            reading = (
                f"{shown:,.3f} {_UNIT[name]}" if isinstance(shown, float) else f"{shown:%Y-%m-%d %H:%M:%S.%f}"
            )
            off = clock.uncertainty_s
            rows.append(
                (
                    name,
                    f"{reading} at {start:.3f} s",
                    "not known" if off is None else _span(off),
                    clock.source,
                )
            )
        return f"<div>{table(('clock', 'shows', 'off by up to', 'rests on'), rows)}</div>"


_UNIT: Final = {"server": "s", "media": "ms", "client_media": "ms", "reported": "s"}


def clocks_of(replay: Replay, session: SessionLog, pings: pd.DataFrame) -> Clocks:
    """Return the clocks of one session of a replay; `pings` is that table."""
    origin_ns = replay.start_time_ns
    server = _server(session, clock_of(pings, session.number, origin_ns), origin_ns)
    media = client_media_clock(session)
    return Clocks(
        server=server,
        media=_media(session, server, origin_ns),
        client_media=SetClock(origin_ns, media) if len(media.set_ns) else None,
        reported=_reported(replay, session),
        utc=_utc(replay),
    )


def _server(session: SessionLog, clock: ServerClock | None, origin_ns: int) -> SteadyClock | None:
    """Return the clock that PINGs give: late by the way from the server, which is shorter than there and back."""
    if clock is None:
        return None
    trips = [
        int(facts.round_trips_ns.min())
        for log in session.channels
        if (facts := log.facts.get(Side.CLIENT)) is not None and len(facts.round_trips_ns)
    ]
    return SteadyClock(
        (clock.offset_ns - origin_ns) / NS_PER_S,
        min(trips) / NS_PER_S if trips else None,
        f"the fastest of {clock.pings} PINGs; behind by the way that one took",
    )


def _media(session: SessionLog, server: SteadyClock | None, origin_ns: int) -> MediaClock | None:
    """Return the clock of the stamps: the server's own, or without PINGs what the least late stamp shows."""
    if server is not None:
        known = server.uncertainty_s
        return MediaClock(
            -server.zero_s * _MS_PER_S % MEDIA_WRAP_MS,
            None if known is None else known + _STAMP_S,
            f"the server's clock: {server.source}",
        )
    time_ns, stamp_ms = media_stamps(session)
    if not len(time_ns):
        return None
    at_origin = stamp_ms - (time_ns - origin_ns) / NS_PER_MS
    ahead = signed_ms(at_origin - at_origin[0]).max()
    return MediaClock(
        float((at_origin[0] + ahead) % MEDIA_WRAP_MS),
        None,
        f"no PING; the promptest of {len(time_ns):,} stamps of frames and sound; behind by the way that one took",
    )


def _reported(replay: Replay, session: SessionLog) -> SteadyClock | None:
    """Return the clock of what the client reports, where it made the recording or a report lies beside it."""
    if replay.kind == "bug report":
        return SteadyClock(0.0, 0.0, "the client stamped its recording with this clock")
    zeros = [
        (run.clock.zero_ns - replay.utc_offset_ns, run) for run in _runs(replay) if run.clock is not None
    ]
    if replay.kind == "auto-snapshots":
        # Where no snapshot tells the time of day, there is one connection, on its own clock.
        begun = [zero for zero, _ in zeros if zero <= session.start_time_ns] or [0]
        return SteadyClock(max(begun) / NS_PER_S, 0.0, "the client stamped its recordings with this clock")
    if replay.kind == "capture directory" and replay.utc_known:
        # The recording's second 0 is not the connection's; both are known as times of day only.
        apart = [
            (zero, run.clock.uncertainty_ns + NS_PER_S)
            for zero, run in zeros
            if run.clock is not None and zero - run.clock.uncertainty_ns - NS_PER_S <= session.start_time_ns
        ]
        if apart:
            zero, off = max(apart)
            begun_ns = min(zero, session.start_time_ns)
            return SteadyClock(
                begun_ns / NS_PER_S,
                off / NS_PER_S,
                "times of day in the report and in the recording's metadata",
            )
    return None


def _runs(replay: Replay) -> list[SnapshotRun]:
    return group_runs(replay.reports)


def _utc(replay: Replay) -> UtcClock | None:
    """Return the time of day; None for a recording with a clock of its own and no report to date it."""
    if not replay.utc_known:
        return None
    zero = replay.start_time_ns + replay.utc_offset_ns
    if replay.kind == "capture directory":
        return UtcClock(zero, 1.0, "the recording's metadata, which gives whole seconds")
    clock = next((run.clock for run in _runs(replay) if run.clock is not None), None)
    if clock is None:
        return UtcClock(zero, None, "the clock of the machine that captured")
    return UtcClock(zero, clock.uncertainty_ns / NS_PER_S, f"the client's report: {clock.source}")


def _shaped(values: Float64Array) -> float | Float64Array:
    """Return one value as a float, several as they are."""
    return values if values.ndim else float(values)


def _span(seconds: float) -> str:
    if seconds >= 1:
        return f"{seconds:.2f} s"
    return f"{seconds * 1e3:.2f} ms" if seconds >= 1e-3 else f"{seconds * 1e6:.0f} µs"
