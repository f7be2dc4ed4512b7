"""From the client's own clock, seconds since its connection began, to UTC.

Source: ryll-formats.md 1 (time conventions), 3 and 6.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from spicereplay.bugreport.schema import Metadata, Notification
from spicereplay.units import NS_PER_S, NS_PER_US

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FAR_S: Final = 10**10
"""Three centuries: what a time of the client beyond them says is that it is wrong."""
_CONNECTED: Final = "connected to"
"""How the notice begins that a connection stands, also after a reconnect. Source: ryll-behaviour.md 10."""


@dataclass(frozen=True, slots=True)
class ConnectionClock:
    """The UTC instant of connection-relative second 0, known to lie in `[earliest_ns, latest_ns]`."""

    zero_ns: int
    """The best estimate, nanoseconds since 1970."""
    earliest_ns: int
    latest_ns: int
    source: str
    """What the estimate rests on, in words."""

    @property
    def uncertainty_ns(self) -> int:
        """How far the estimate can be off."""
        return max(self.zero_ns - self.earliest_ns, self.latest_ns - self.zero_ns)

    def utc_ns(self, time_s: float) -> int:
        """Return the UTC of a connection-relative instant in nanoseconds since 1970."""
        return self.zero_ns + _to_ns(time_s)


def connection_clock(
    metadata: Metadata, notifications: Iterable[Notification] = ()
) -> ConnectionClock | None:
    """Return the clock of a report; None where its timestamp or uptime is missing.

    `timestamp` is cut to whole seconds, so `timestamp - uptime` is up to a second early. Two facts narrow it:
    no notification is newer than the report, and the notice that the connection stands is not older than its
    zero. That notice follows the zero within the few round trips of a handshake, so it is the estimate where
    there is one.
    """
    stamp, uptime = utc_ns(metadata.timestamp), metadata.session_uptime_secs
    if stamp is None or uptime is None:
        return None
    base = stamp - _to_ns(uptime)
    earliest, latest = base, base + NS_PER_S
    source = "timestamp - session_uptime_secs"
    for notification in notifications:
        when = notification.time_ns
        if when is None:
            continue
        if earliest < when - (stamp - base) <= latest:
            earliest, source = when - (stamp - base), "the newest notification is not newer than the report"
        connected = notification.source_name == "Connection" and (
            (notification.message or "").lower().startswith(_CONNECTED)
        )
        if connected and earliest <= when < latest:
            latest, source = when, "the notice that the connection stands"
    return ConnectionClock(latest if latest < base + NS_PER_S else earliest, earliest, latest, source)


def utc_ns(text: str | None) -> int | None:
    """Return `YYYY-MM-DDTHH:MM:SSZ` as nanoseconds since 1970; None for `unknown` and anything else."""
    if text is None:
        return None
    try:
        when = datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError:
        return None
    return (when - _EPOCH) // timedelta(microseconds=1) * NS_PER_US


def _to_ns(time_s: float) -> int:
    return round(max(-_FAR_S, min(time_s, _FAR_S)) * NS_PER_S)
