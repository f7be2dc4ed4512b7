"""One replay of a script to one client: its channels, the clock they share, and what came of it.

No socket and no clock in here: who holds them says what was received and what time it is.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from spicereplay.errors import UsageError
from spicereplay.limits import DEFAULT_LIMITS, Limits
from spicereplay.protocol import caps
from spicereplay.protocol.enums import ChannelType, LinkError, ServerMain
from spicereplay.protocol.link import Link, error_name
from spicereplay.serve.needs import suited, uses_glz
from spicereplay.serve.player import Player
from spicereplay.serve.script import Key, Script
from spicereplay.serve.tempo import Tempo
from spicereplay.units import NS_PER_S

PATIENCE_S: Final = 5.0
"""How long a replay waits for a channel of the recorded client after the last one that came."""
_FOREVER: Final = (1 << 63) - 1
_GLZ_WINDOW_AT: Final = 10
"""Where in DISPLAY_INIT the size of the GLZ window lies. Source: spice-wire.md 7.2."""
_FALLBACK_CAPS: Final = {
    ChannelType.MAIN: ("NAME_AND_UUID", "AGENT_CONNECTED_TOKENS"),
    ChannelType.DISPLAY: ("MONITORS_CONFIG", "STREAM_REPORT", "PREF_COMPRESSION", "PREF_VIDEO_CODEC_TYPE"),
    ChannelType.INPUTS: ("KEY_SCANCODE",),
    ChannelType.PLAYBACK: ("VOLUME", "OPUS"),
}
"""What spice-server announces, for channels whose link stage was not recorded. Source: spice-wire.md 2.4."""
_MIGRATION: Final = ("SEMI_SEAMLESS_MIGRATE", "SEAMLESS_MIGRATE")


def server_caps(script: Script, channel: ChannelType, channel_id: int) -> tuple[int, ...]:
    """Return the capability words that are announced on a channel: the recorded ones, less those for migration."""
    part = script.parts.get((channel, channel_id))
    recorded = part.log.link if part is not None and part.log is not None else None
    if recorded is None or recorded.server_channel_caps is None:
        return caps.words(channel, _FALLBACK_CAPS.get(channel, ()))
    names = caps.names(channel, recorded.server_channel_caps)
    return caps.words(channel, (name for name in names if name not in _MIGRATION))


@dataclass(frozen=True, slots=True)
class ChannelSummary:
    """What one channel came to."""

    channel: str
    messages: int
    """Sent, our own included."""
    unsent: int
    """Of the recording, when the client left."""
    bytes: int
    """Sent, headers included."""
    acks: int
    pongs: int
    round_trip_ms: float | None
    """The shortest one; None where no PING was answered."""
    messages_from_client: int


@dataclass(slots=True, eq=False)
class Performance:
    """One client's replay."""

    script: Script
    session_id: int
    """What this client's channels have in their link message."""
    tempo: Tempo
    begun_ns: int
    """When the client came."""
    limits: Limits = DEFAULT_LIMITS
    patience_ns: int = int(PATIENCE_S * NS_PER_S)
    curtain_ns: int | None = None
    finished_ns: int | None = None
    """When the last message had been handed out."""
    players: dict[Key, Player] = field(default_factory=dict)
    _last_attached_ns: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.session_id < 1 << 32:
            raise UsageError(f"a session id has 32 bits and is not 0; {self.session_id} is none")

    # --- channels that come and go ----------------------------------------------------------------------

    def refusal(self, key: Key) -> tuple[LinkError, str]:
        """Return `OK`, or why a further channel cannot be attached."""
        name = f"{key[0].label}/{key[1]}"
        if key not in self.script.parts:
            return LinkError.CHANNEL_NOT_AVAILABLE, f"there is no {name} in the recording"
        if key in self.players:
            return LinkError.ERROR, f"it has {name} already"
        return LinkError.OK, ""

    def attach(self, link: Link, now_ns: int) -> tuple[Player, list[str]]:
        """Take in a channel whose link stage is over; return what plays it, and remarks on what the client lacks."""
        part = self.script.parts[_key(link)]
        part, remarks = suited(
            part, link.client_channel_caps or (), sound=self.tempo.as_recorded, limits=self.limits
        )
        player = Player(part, link, self, now_ns)
        self.players[part.key] = player
        self._last_attached_ns = now_ns
        return player, [f"{part.name}: {remark}" for remark in remarks]

    def detach(self, player: Player) -> None:
        """Let go of a channel whose connection is gone; it may come again, and begins anew then."""
        if self.players.get(player.part.key) is player:
            del self.players[player.part.key]

    # --- the clock they share ---------------------------------------------------------------------------

    def look(self, now_ns: int) -> list[str]:
        """Start the replay's clock if all is there, or has been waited for long enough; return remarks on that."""
        if self.curtain_ns is None:
            main_key = ChannelType.MAIN, 0
            absent = [key for key in sorted(self.script.awaited) if not self._is_ready(key)]
            if main_key in absent or (absent and now_ns < self.deadline_ns()):
                return []
            self.curtain_ns = now_ns
            # The client's clock was set by INIT, some time ago, or by none that belongs to the frames to come.
            self.players[main_key].say(ServerMain.MULTI_MEDIA_TIME, self.tempo.clock_ms.to_bytes(4, "little"))
            names = ", ".join(f"{channel.label}/{channel_id}" for channel, channel_id in absent)
            return [f"starts without {names}: not opened by the client"] if absent else []
        if self.finished_ns is None and self.players and all(p.finished for p in self.players.values()):
            self.finished_ns = now_ns
        return []

    def deadline_ns(self) -> int:
        """When no channel is waited for any more."""
        return self._last_attached_ns + self.patience_ns

    def due_ns(self, player: Player) -> int | None:
        """Return when to look again for a channel; None where that hangs on what is received."""
        if self.curtain_ns is not None:
            return player.due_ns()
        return self.deadline_ns() if self._is_ready((ChannelType.MAIN, 0)) else None

    def _is_ready(self, key: Key) -> bool:
        return key in self.players and self.players[key].greeted

    def horizon_ns(self) -> int:
        """Return the capture time of the earliest message that some display has still to send.

        Without waiting this keeps displays that draw with each other's images in step, and everything else with them.
        """
        displays = (p for p in self.players.values() if p.part.channel is ChannelType.DISPLAY and p.greeted)
        return min((at for p in displays if (at := p.next_ns) is not None), default=_FOREVER)

    def sent_as(self, channel_type: int, channel_id: int, recorded_serial: int) -> int:
        """Return the serial number that stands for a recorded one on another channel; 0 where it is not there."""
        for key, player in self.players.items():
            if key == (channel_type, channel_id):
                return player.part.sent_as(recorded_serial)
        return 0

    # --- what came of it --------------------------------------------------------------------------------

    def glz_remarks(self, player: Player) -> list[str]:
        """Say whether a display's client asked for less GLZ window than the recorded one had, where that matters."""
        init, log = player.display_init, player.part.log
        if init is None or log is None:
            return []
        asked = int.from_bytes(init.head[_GLZ_WINDOW_AT : _GLZ_WINDOW_AT + 4], "little", signed=True)
        if asked > 0 or not uses_glz(player.part, limits=self.limits):
            return []
        what = "the client wants no GLZ images, and the recording has some: its picture will differ"
        return [f"{player.part.name}: {what}"]


def summary_of(players: Iterable[Player]) -> list[ChannelSummary]:
    """Return what became of channels, in the order given."""
    return [
        ChannelSummary(
            channel=player.part.name,
            messages=player.messages,
            unsent=player.unsent,
            bytes=player.bytes_sent,
            acks=player.window.acks,
            pongs=len(player.round_trips_ns),
            round_trip_ms=min(player.round_trips_ns) / 1e6 if player.round_trips_ns else None,
            messages_from_client=player.from_client,
        )
        for player in players
    ]


def _key(link: Link) -> Key:
    assert isinstance(link.channel, ChannelType), "the door lets no others in"
    return link.channel, link.channel_id or 0


def refused(error: LinkError, why: str) -> str:
    """Say that a client was turned away."""
    return f"refused with {error_name(error)}: {why}"
