"""What a user was told during a session: repeats folded, the oldest forgotten, as ryll's notification list does it.

Source: ryll-formats.md 6; ryll-behaviour.md 10.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from typing import Final

from spicereplay.live import events as live
from spicereplay.units import NS_PER_S

FOLD_NS: Final = 30 * NS_PER_S
"""Repeats within that of the newest are one entry."""
MOST: Final = 500

INFO, WARN, ERROR = "info", "warn", "error"
RECORDER: Final = "flight recorder"
"""`Told.source` of what the flight recorder says of itself."""


@dataclass(frozen=True, slots=True)
class Told:
    """One thing that was told."""

    number: int
    """From 1; stable."""
    time_ns: int
    """The newest of the repeats, since 1970."""
    severity: str
    """`info`, `warn` or `error`."""
    source: str
    """`server`, `session`, or the part of the client that says so."""
    text: str
    """As received where the server sent it: not escaped."""
    code: str = ""
    """Stable name of what is told; empty for a server's own notices."""
    count: int = 1
    channel: str | None = None
    """Lower-case SPICE name of the channel on which it was said or noticed; None: on none."""
    what: int = 0
    """NOTIFY's number of what it is about."""
    visibility: str | None = None
    """`low`, `medium` or `high`; None: not the server's."""


class Notifications:
    """The list, made of a session's events. Times must not fall."""

    def __init__(self, most: int = MOST) -> None:
        self._all: deque[Told] = deque(maxlen=most)
        self._numbers = 0
        self._place = ""

    def all(self) -> tuple[Told, ...]:
        """Return the entries, oldest first."""
        return tuple(self._all)

    def see(self, event: live.Event) -> Told | None:
        """Take in what happened; return the entry if it is worth one."""
        match event:
            case live.Noticed():
                return self._add(
                    Told(
                        0,
                        event.time_ns,
                        event.severity,
                        event.source,
                        event.text,
                        event.code,
                        channel=event.channel,
                        what=event.what,
                        visibility=event.visibility,
                    )
                )
            case live.Linked(channel="main"):
                self._place = event.place
                return None
            case live.SessionBegan():
                return self._say(event, INFO, "session", f"connected to {self._place}", "connected")
            case live.Migrated():
                return self._say(event, INFO, "session", f"moved to {event.place}", "migrated")
            case live.Disconnected(retry_s=None):
                return self._say(event, ERROR, "session", event.reason, "disconnected")
            case live.Disconnected():
                text = f"{event.reason}; next attempt in {event.retry_s:g} s"
                return self._say(event, WARN, "session", text, "disconnected")
            case live.ChannelClosed():
                name = f"{event.channel}/{event.channel_id}"
                return self._say(event, INFO, name, f"ended: {event.reason}", "channel_closed")
            case live.Flap():
                severity = WARN if event.instants > 1 else INFO
                return self._say(event, severity, f"display/{event.channel_id}", flap_text(event), "flap")
            case live.RecordingTrouble():
                return self._say(event, ERROR, "recording", event.text, "recording_trouble")
            case live.Screenshot():
                return self._say(event, INFO, "screenshot", f"written to {event.path}", "screenshot")
            case live.EventsSkipped():
                text = f"{event.count:,} events came too fast to be looked at"
                return self._say(event, INFO, "session", text, "events_skipped")
        return None

    def tell(self, time_ns: int, severity: str, source: str, text: str, code: str = "") -> Told:
        """Add something, or count it where it was told within `FOLD_NS`; return the entry."""
        return self._add(Told(0, time_ns, severity, source, text, code))

    def _add(self, new: Told) -> Told:
        entry = None
        for old in reversed(self._all):
            if new.time_ns - old.time_ns > FOLD_NS:
                break
            if _same(old, new):
                # It moves to the end, so that the entries stay in the order of their times.
                self._all.remove(old)
                entry = replace(old, time_ns=new.time_ns, count=old.count + 1)
                break
        if entry is None:
            self._numbers += 1
            entry = replace(new, number=self._numbers)
        self._all.append(entry)
        return entry

    def _say(self, event: live.Event, severity: str, source: str, text: str, code: str) -> Told:
        return self.tell(event.time_ns, severity, source, text, code)


def _same(one: Told, other: Told) -> bool:
    """Whether two are repeats of each other. Source: ryll-formats.md 6."""
    return (one.severity, one.source, one.text, one.channel, one.what, one.visibility) == (
        other.severity,
        other.source,
        other.text,
        other.channel,
        other.what,
        other.visibility,
    )


def flap_text(flap: live.Flap) -> str:
    """Return the notice about flapping videos, in the words that ryll's readers look for."""
    text = (
        f"video stream flapping: {flap.count} streams ended within {flap.window_s:g} s, "
        f"mean lifetime {flap.mean_lifetime_s:.1f} s"
    )
    return text if flap.instants > 1 else f"{text}, all at one moment"
