"""What rules have to know besides the tables: what the client said, what was refused, what could not be read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from spicereplay.bugreport.client_reported import ClientSummary, summary
from spicereplay.protocol.enums import ChannelType, Side
from spicereplay.protocol.link import LinkStatus
from spicereplay.units import NS_PER_S

if TYPE_CHECKING:
    from spicereplay.replay import Replay
    from spicereplay.session.log import ChannelLog


@dataclass(frozen=True, slots=True)
class Refusal:
    """A channel that the server turned away."""

    session: int
    channel: str
    detail: str
    time_s: float


@dataclass(frozen=True, slots=True)
class Unread:
    """A connection that is not readable SPICE."""

    what: str
    client: str
    server: str
    bytes: int
    detail: str


@dataclass(frozen=True, slots=True)
class Facts:
    """See the fields; everything is empty or None where the input does not say."""

    kind: str = "pcap"
    """Kind of input, as `Replay.kind`."""
    duration_s: float = 0.0
    clients: tuple[ClientSummary, ...] = ()
    """What the client reported, oldest report first."""
    gap_key: str | None = None
    """What the client could not do and wrote this report for (ryll-behaviour.md 11)."""
    missing_members: tuple[str, ...] = ()
    """Files that this kind of report should have and has not."""
    refused: tuple[Refusal, ...] = ()
    unread: tuple[Unread, ...] = ()
    display_caps: Mapping[tuple[int, int], frozenset[str]] = field(default_factory=dict)
    """What the client announced on a display channel, by session and channel id, where that was captured."""
    assumptions: tuple[tuple[str, str], ...] = ()
    """Channel and what was assumed about it, in words."""
    unseen: tuple[tuple[str, str], ...] = ()
    """Channel and the side of which nothing that can be read was captured."""

    @property
    def client(self) -> ClientSummary | None:
        """The newest of `clients`."""
        return self.clients[-1] if self.clients else None

    @classmethod
    def of(cls, replay: Replay) -> Facts:
        """Gather the facts of one replayed input."""
        newest = replay.reports[-1] if replay.reports else None
        logs = [(session.number, log) for session in replay.sessions for log in session.channels]
        return cls(
            kind=replay.kind,
            duration_s=replay.duration_s,
            clients=tuple(summary(report) for report in replay.reports),
            gap_key=None if newest is None else newest.type.gap_key,
            missing_members=() if newest is None else newest.missing,
            refused=tuple(
                Refusal(
                    number, log.name, log.link.detail, (log.start_time_ns - replay.start_time_ns) / NS_PER_S
                )
                for number, log in logs
                if log.link is not None and log.link.status is LinkStatus.REFUSED
            ),
            unread=tuple(
                Unread(o.what, o.client, o.server, o.bytes_from_client + o.bytes_from_server, o.detail)
                for o in replay.other
            ),
            display_caps={
                (number, log.channel_id): caps
                for number, log in logs
                if log.channel is ChannelType.DISPLAY and (caps := _client_caps(log)) is not None
            },
            assumptions=tuple(
                (f"session {number} {log.name}", text) for number, log in logs for text in log.assumptions
            ),
            unseen=tuple(
                (f"session {number} {log.name}", str(side))
                for number, log in logs
                for side in sorted(log.unseen)
            ),
        )


def _client_caps(log: ChannelLog) -> frozenset[str] | None:
    names = None if log.link is None else log.link.cap_names(Side.CLIENT)
    return None if names is None else frozenset(names)
