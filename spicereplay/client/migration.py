"""Where a guest moves to, and how its client follows.

| way | the source says | the client |
|---|---|---|
| switch host | MIGRATE_SWITCH_HOST | leaves, and begins a new session at the target |
| semi-seamless | MIGRATE_BEGIN, MIGRATE_END | links all channels to the target beforehand, and begins them anew there |
| seamless | MIGRATE_BEGIN_SEAMLESS, MIGRATE | links them likewise, and each goes on there with its state |

Semi-seamless, the client says MIGRATE_CONNECTED when all channels are linked. At MIGRATE_END it leaves the source and
says MIGRATE_END to the target, whose INIT begins the channels. Seamless, it asks the target's main channel first
(MIGRATE_DST_DO_SEAMLESS), says MIGRATE_CONNECTED_SEAMLESS, and then every channel, main too, is told MIGRATE.

Source: spice-wire.md 5; spice-gtk src/channel-main.c, main_migrate_connect, and src/spice-session.c,
spice_session_migrate_end.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from spicereplay.protocol.messages.main import DstInfo, MigrateSwitchHost

NO_PORT: Final = 0xFFFF
"""A port that the target does not have: QEMU hands -1 to the server, which sends the lower 16 bits of it.

Source: spice server/reds.cpp, spice_server_migrate_connect; seen with QEMU 7.2.
"""


class MigrationKind(StrEnum):
    """The ways of the table above."""

    SWITCH_HOST = "switch_host"
    SEMI_SEAMLESS = "semi_seamless"
    SEAMLESS = "seamless"


class MigrationPhase(StrEnum):
    """What the client is to do now."""

    CONNECT = "connect"
    """Link main and all other channels to the target, beside what there is, and say how that went."""
    CONNECTED = "connected"
    """Wait: the source knows, and goes on."""
    ENDED = "ended"
    """The guest has moved: leave the source for the target."""


@dataclass(frozen=True, slots=True)
class Migration:
    """A migration under way."""

    kind: MigrationKind
    phase: MigrationPhase
    host: str
    port: int
    """0: none."""
    tls_port: int
    """0: none."""
    cert_subject: str
    """What the target's certificate must name; empty: its host."""
    source_version: int = 0
    """What the target is asked whether it can take over; seamless only."""


def migration_to(
    kind: MigrationKind, phase: MigrationPhase, info: DstInfo | MigrateSwitchHost, version: int = 0
) -> Migration | None:
    """Return the migration that a message announces; None where it names no host to go to."""
    host = _text(info.host_data)
    if not host:
        return None
    port, tls_port = (0 if number == NO_PORT else number for number in (info.port, info.sport))
    return Migration(kind, phase, host, port, tls_port, _text(info.cert_subject_data), version)


def _text(data: bytes | None) -> str:
    """Take a name up to its NUL."""
    return (data or b"").split(b"\0", 1)[0].decode("utf-8", "replace")
