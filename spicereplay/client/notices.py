"""What a user must be told while a session runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from spicereplay.protocol.enums import NotifySeverity, NotifyVisibility

SERVER: Final = "server"
"""`Notice.source` of what the server says itself."""


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
    channel: str = ""
    """Lower-case SPICE name of the channel on which it was said or noticed; empty: on none."""
    channel_id: int = 0
    what: int = 0
    """NOTIFY's own number of what it is about; 0: none, or no NOTIFY."""
