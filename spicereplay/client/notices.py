"""What a user must be told while a session runs."""

from __future__ import annotations

from dataclasses import dataclass

from spicereplay.protocol.enums import NotifySeverity, NotifyVisibility


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing to tell."""

    time_ns: int
    severity: NotifySeverity
    source: str
    """Who says so: `server` (its NOTIFY), or the part of the client, `agent`, `display/0` …"""
    text: str
    """As received where the server sent it: not escaped."""
    code: str = ""
    """Stable name of what is told (`agent_silent`, `agent_starved` …); empty for a server's NOTIFY."""
    visibility: NotifyVisibility = NotifyVisibility.MEDIUM
    what: int = 0
    """NOTIFY's own number of what it is about; 0: none, or no NOTIFY."""
