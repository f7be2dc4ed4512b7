"""The fixed facts of ryll's recorder that a replay needs: ports, sequence numbers, and what its holes mean.

Source: ryll-formats.md 9.1 to 9.4, 10.2, 10.5 and 15.1 (6).
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from spicereplay.capture.ryll_frames import (
    CLIENT_ADDRESS,
    FIRST_FROM_CLIENT,
    FIRST_FROM_SERVER,
    PORT_BASE,
    SERVER_ADDRESS,
    SERVER_PORT,
    WRITTEN_BYTES,
)
from spicereplay.protocol.enums import ChannelType, Side
from spicereplay.session.log import GapCause

CLIENT_PORTS: Final = MappingProxyType(
    {
        ChannelType.MAIN: 10001,
        ChannelType.DISPLAY: 10002,
        ChannelType.INPUTS: 10003,
        ChannelType.CURSOR: 10004,
        ChannelType.USBREDIR: 10009,
        ChannelType.PLAYBACK: 10099,
    }
)
"""The ports of ryll's channels; 10099 is its fallback, that is, playback. Source: ryll-formats.md 9.3."""

LIVE_PCAPS: Final = ("main", "display", "cursor", "inputs", "usbredir")
"""Channels that have a file in a `--capture` directory, `<label>.pcap`. Source: ryll-formats.md 11.1."""

FIRST_SEQUENCE: Final = MappingProxyType({Side.CLIENT: FIRST_FROM_CLIENT, Side.SERVER: FIRST_FROM_SERVER})
"""Sequence number of the first byte of a connection. Source: ryll-formats.md 9.3."""

SEGMENT_BYTES: Final = 65_495
"""Longest payload into which a unit is cut: the IPv4 length is then 65,535. Source: ryll-formats.md 9.4."""


@dataclass(frozen=True, slots=True)
class HoleExplanation:
    """What a hole in a stream of ryll's recording is."""

    cause: GapCause
    messages: int | None
    """Messages lost in it or that lost their head; None where that cannot be told."""
    message_bytes: int | None
    """Size of the one message concerned, data header included; None where that cannot be told."""


def channel_of_port(client_port: int) -> ChannelType | None:
    """Return the channel type that ryll records under this client port; None for a port that is not ryll's.

    10000 plus the channel type, and 10099 for playback. Source: ryll-formats.md 9.3.
    """
    for channel, port in CLIENT_PORTS.items():
        if port == client_port:
            return channel
    try:
        return ChannelType(client_port - PORT_BASE)
    except ValueError:
        return None


def is_ryll_connection(client: str, client_port: int, server: str, server_port: int) -> bool:
    """Whether a TCP connection has the addresses and ports that only ryll's recorder gives."""
    return (
        (client, server, server_port) == (CLIENT_ADDRESS, SERVER_ADDRESS, SERVER_PORT)
    ) and channel_of_port(client_port) is not None


def lost_before(first_sequence: int, side: Side) -> int:
    """Return how many bytes `side` sent before the first recorded one, modulo 2^32.

    0 means that the connection's first byte is there. Source: ryll-formats.md 10.2.
    """
    return (first_sequence - FIRST_SEQUENCE[side]) % 2**32


def explain_hole(
    length: int,
    next_payload: int,
    marker: bool,
    *,
    next_is_message: bool = False,
    whole_messages: bool = True,
) -> HoleExplanation:
    """Say what a hole of `length` bytes before a frame of `next_payload` bytes is.

    `marker`: an empty record lies in the hole. `next_is_message`: the frame after it begins a message (its
    data header gives just its length). `whole_messages`: the recording is a `traffic.pcap`, whose units are
    messages; those of a `--capture` pcap are reads of a socket, so that nothing can be said of messages
    there.

    - An empty record stands for one message above 65,495 bytes, and the hole has its size (G0).
    - A multiple of 65,495 with a tail behind it: full segments of one message, whose tail is in the file.
    - Otherwise only units with segments of 65,482 to 65,495 bytes can vanish whole; where one such segment
      explains the hole it is one message, where more are needed how they divide into messages is unknown.
    - Anything else ryll does not do: the bytes are not in the capture for some other reason.

    Source: ryll-formats.md 9.4, 10.5 and 15.1 (6).
    """
    if marker:
        return HoleExplanation(GapCause.OVERSIZE_PLACEHOLDER, 1, length)
    segments = -(-length // SEGMENT_BYTES)
    if length <= 0 or segments * (WRITTEN_BYTES + 1) > length:
        return HoleExplanation(GapCause.NOT_CAPTURED, None, None)
    if not whole_messages:
        return HoleExplanation(GapCause.SEGMENT_OVER_SNAPLEN, None, None)
    if length % SEGMENT_BYTES == 0 and not next_is_message:
        return HoleExplanation(GapCause.SEGMENT_OVER_SNAPLEN, 1, length + next_payload)
    if segments == 1 and (next_is_message or length < SEGMENT_BYTES):
        return HoleExplanation(GapCause.SEGMENT_OVER_SNAPLEN, 1, length)
    return HoleExplanation(GapCause.SEGMENT_OVER_SNAPLEN, None, None)
