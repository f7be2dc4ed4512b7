"""Which SPICE channel a connection is, when its beginning is not in the capture.

Every channel type, header form and orientation is tried: the streams are framed as if it were that one, and a sample
of the bodies is taken apart. A reading gets bits of evidence for each message that its channel could have sent and
most others could not; it is believed when it is far enough ahead of every other one, and nothing is claimed
otherwise. What all channels have in common (PING, PONG) tells nothing.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from spicereplay.bytestream import ByteStream
from spicereplay.defects import DefectLog
from spicereplay.limits import Limits
from spicereplay.protocol import registry
from spicereplay.protocol._bounds import ACKNOWLEDGED
from spicereplay.protocol.channel import Assumption
from spicereplay.protocol.enums import (
    ChannelType,
    ClientCommon,
    ClientMain,
    ClientRecord,
    ServerCommon,
    ServerMain,
    ServerPlayback,
    ServerSpicevmc,
    Side,
)
from spicereplay.protocol.framing import Framer
from spicereplay.protocol.index import MessageIndex

LOOK_BYTES: Final = 512 * 1024
"""How much of each direction is looked at."""
SAMPLE: Final = 60
"""Bodies taken apart per direction and reading."""
LEAST_EXPLAINED: Final = 0.9
"""Share of the bytes, behind the message that the start of the capture cuts, that must read as messages."""
LEAST_CONFIDENCE: Final = 0.6
"""Below this nothing is claimed: the connection is called unknown."""
HALVING_BITS: Final = 8.0
"""Lead over the next best reading that halves the doubt."""
FIRST_CHANNEL_TYPE: Final = 101
"""Message types below this are common to all channels and tell nothing about which one it is."""
COUNTED_PER_TYPE: Final = 3
"""More messages of one type than this are no further evidence: they may all be the same mistake."""

CANDIDATES: Final = tuple(c for c in ChannelType if c is not ChannelType.TUNNEL)

BITS_AGAINST: Final = 12.0
"""What a message takes away that cannot be taken apart, or that no peer sends on that channel."""
AGAINST: Final = -1
WINDOW_TYPES: Final = {
    Side.SERVER: (ServerCommon.SET_ACK,),
    Side.CLIENT: (ClientCommon.ACK_SYNC, ClientCommon.ACK),
}

AUDIO_DATA: Final = {
    (ChannelType.PLAYBACK, Side.SERVER): ServerPlayback.DATA,
    (ChannelType.RECORD, Side.CLIENT): ClientRecord.DATA,
}
"""Messages that begin with a time in ms and hold sound."""
AUDIO_STEP_MS: Final = 250
"""Sound packets that follow each other are at most this far apart; a packet lasts 10 to 20 ms."""
AGENT_DATA: Final = {Side.SERVER: ServerMain.AGENT_DATA, Side.CLIENT: ClientMain.AGENT_DATA}
AGENT_PROTOCOL: Final = 1
AGENT_TYPES: Final = range(1, 17)
"""Source: spice-wire.md 6; spice-protocol spice/vd_agent.h."""
USBREDIR_TYPES: Final = frozenset((*range(26), *range(100, 104)))
"""Source: usbredir docs/usb-redirection-protocol.md."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One way to read a connection, and what speaks for it."""

    channel: ChannelType
    mini_header: bool
    client: int
    """Index of the endpoint that is taken for the client."""
    explained: float
    """Share of the bytes behind the first boundary that read as messages of this channel, 0 to 1."""
    bits: float
    """Evidence that it is this channel rather than any other, less what the search for boundaries could have
    found by chance."""


def infer(streams: tuple[ByteStream, ByteStream], limits: Limits) -> tuple[int, Assumption] | None:
    """Return the client's index and what is assumed about the channel; None when nothing fits well enough.

    `streams[i]` is what endpoint i sent; either may be empty.
    """
    heads = (_head(streams[0]), _head(streams[1]))
    readings = [
        reading
        for channel in CANDIDATES
        for mini in (True, False)
        for client in (0, 1)
        if (reading := _read(heads, channel, mini, client, limits)) is not None
    ]
    if not readings:
        return None
    readings.sort(key=lambda reading: reading.bits, reverse=True)
    best = readings[0]
    rival = max(
        (r.bits for r in readings if (r.channel, r.client) != (best.channel, best.client)), default=0.0
    )
    lead = best.bits - max(0.0, rival)
    confidence = round(best.explained * (1 - 2 ** (-lead / HALVING_BITS)), 2) if lead > 0 else 0.0
    if confidence < LEAST_CONFIDENCE:
        return None
    header = "mini" if best.mini_header else "full"
    return best.client, Assumption(
        channel=best.channel,
        channel_id=0,
        mini_header=best.mini_header,
        reason=(
            f"no link stage in the capture: {best.channel.label} channel with {header} headers inferred, "
            f"{100 * best.explained:.0f} % of the bytes looked at read as its messages "
            f"(confidence {confidence:.2f})"
        ),
        confidence=confidence,
    )


def _head(stream: ByteStream) -> ByteStream:
    """Return the first `LOOK_BYTES` of a stream."""
    if not len(stream.position):
        return stream
    stop = int(np.searchsorted(stream.position, int(stream.position[0]) + LOOK_BYTES, "left"))
    return replace(
        stream,
        position=stream.position[:stop],
        offset=stream.offset[:stop],
        length=stream.length[:stop],
        time_ns=stream.time_ns[:stop],
        packet=stream.packet[:stop],
        end_position=-1,
    )


def _read(
    heads: tuple[ByteStream, ByteStream], channel: ChannelType, mini: bool, client: int, limits: Limits
) -> Reading | None:
    """Read both directions as one channel; None where too much of them makes no sense that way."""
    looked_at = explained = 0
    bits = 0.0
    for side, stream in ((Side.CLIENT, heads[client]), (Side.SERVER, heads[1 - client])):
        if not len(stream.position):
            continue
        framer = Framer(
            channel,
            side,
            mini_header=mini,
            start=int(stream.position[0]),
            trusted=False,
            units=False,
            limits=limits,
            defects=DefectLog(0),
            where="",
        )
        framer.advance(stream, final=True)
        index = framer.index(stream)
        # A message cut off by the end of what is looked at speaks neither for nor against.
        rows = np.flatnonzero(~index.sub & ~index.partial)
        if not len(rows):
            looked_at += stream.captured_bytes
            continue
        first = int(index.position[rows[0]]) - framer.header_bytes
        skipped = sum(len(piece) for _, piece in stream.pieces(0, first))
        behind = stream.captured_bytes - skipped
        good, told = _sample(index, rows, limits)
        looked_at += behind
        explained += int((behind - max(0, framer.unparsed_bytes - skipped)) * good)
        bits += told - math.log2(1 + skipped)
    if not looked_at or explained < LEAST_EXPLAINED * looked_at:
        return None
    return Reading(channel, mini, client, explained / looked_at, bits)


def _sample(index: MessageIndex, rows: np.ndarray, limits: Limits) -> tuple[float, float]:
    """Return the share of sampled bodies that can be taken apart, and the bits of those only this channel has."""
    chosen = rows[:: max(1, len(rows) // SAMPLE)][:SAMPLE]
    good, bits = 0, 0.0
    counted: Counter[int] = Counter()
    for row in chosen.tolist():
        kind, body = int(index.type[row]), index.body(row)
        parsed = registry.parse_message(index.channel, index.side, kind, body, limits=limits)
        windowed = kind in WINDOW_TYPES[index.side] and index.channel not in ACKNOWLEDGED
        if parsed.message is None or parsed.problems or windowed:
            if counted[AGAINST] < COUNTED_PER_TYPE:
                counted[AGAINST] += 1
                bits -= BITS_AGAINST
            good += windowed
            continue
        good += 1
        if kind < FIRST_CHANNEL_TYPE:
            continue
        told = _bits(index.channel, index.side, kind, body)
        if told and counted[kind] < COUNTED_PER_TYPE:
            counted[kind] += 1
            bits += told
    return good / len(chosen), bits + _audio_bits(index, rows)


def _bits(channel: ChannelType, side: Side, kind: int, body: bytes) -> float:
    """Return how much one well-formed message tells about its channel.

    A fixed size rules out most other readings, a structure that fits its size exactly nearly all; zero bytes or any
    bytes tell little or nothing, unless they show the protocol that the channel carries.
    """
    if kind == AGENT_DATA[side] and channel is ChannelType.MAIN:
        protocol, type = (int.from_bytes(body[at : at + 4], "little") for at in (0, 4))
        return 10.0 if len(body) >= 20 and protocol == AGENT_PROTOCOL and type in AGENT_TYPES else 0.0
    if kind == ServerSpicevmc.DATA and channel is ChannelType.USBREDIR:
        return 12.0 if _is_usbredir(body) else 0.0
    if kind == AUDIO_DATA.get((channel, side)):
        return 0.0
    least, most = registry.known_types(channel, side)[kind]
    if least == most:
        return 8.0 if least else 3.0
    return 12.0 if least >= 7 else 5.0 if least >= 2 else 0.0


def _is_usbredir(body: bytes) -> bool:
    """Whether bytes are whole usbredir packets: u32 type, u32 length, an id of 32 or 64 bits, data."""
    for header in (12, 16):
        at = 0
        while at + header <= len(body) and int.from_bytes(body[at : at + 4], "little") in USBREDIR_TYPES:
            at += header + int.from_bytes(body[at + 4 : at + 8], "little")
        if at == len(body) and at:
            return True
    return False


def _audio_bits(index: MessageIndex, rows: np.ndarray) -> float:
    """Return what the times in sound packets tell: they grow by little from one to the next."""
    data = AUDIO_DATA.get((index.channel, index.side))
    if data is None:
        return 0.0
    packets = rows[index.type[rows] == data][:SAMPLE]
    times = index.prefixes(packets, np.dtype([("ms", "<u4")]))["ms"].astype(np.uint32)
    steps = np.diff(times)  # of unsigned numbers: right across the wrap too
    return (
        8.0 * min(COUNTED_PER_TYPE, len(steps))
        if len(steps) and (steps <= AUDIO_STEP_MS).mean() > 0.9
        else 0.0
    )
