"""Which SPICE channel a connection is, when its beginning is not in the capture.

Every channel type, header form and orientation is tried: the streams are framed as if it were that one, and a sample
of the bodies is parsed. The answer carries a confidence: how much of the bytes the best reading explains, times how
far it is ahead of the second best.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from spicereplay.bytestream import ByteStream
from spicereplay.defects import DefectLog
from spicereplay.limits import Limits
from spicereplay.protocol import registry
from spicereplay.protocol.channel import Assumption
from spicereplay.protocol.enums import ChannelType, Side
from spicereplay.protocol.framing import Framer

LOOK_BYTES: Final = 512 * 1024
"""How much of each direction is looked at."""
SAMPLE: Final = 60
"""Bodies parsed per direction and reading."""
LEAST_CONFIDENCE: Final = 0.35
"""Below this nothing is claimed: the connection is called unknown."""
FIRST_CHANNEL_TYPE: Final = 101
"""Message types below this are common to all channels and tell nothing about which one it is."""

CANDIDATES: Final = tuple(c for c in ChannelType if c is not ChannelType.TUNNEL)


@dataclass(frozen=True, slots=True)
class Reading:
    """One way to read a connection, and what speaks for it."""

    channel: ChannelType
    mini_header: bool
    client: int
    """Index of the endpoint that is taken for the client."""
    explained: float
    """Share of the bytes looked at that parse as messages of this channel, 0 to 1."""
    evidence: float
    """Weight of the messages that only this channel could have sent."""


def infer(streams: tuple[ByteStream, ByteStream], limits: Limits) -> tuple[int, Assumption] | None:
    """Return the client's index and what is assumed about the channel; None when nothing fits.

    `streams[i]` is what endpoint i sent; either may be empty.
    """
    heads = tuple(_head(s) for s in streams)
    readings = [
        reading
        for channel in CANDIDATES
        for mini in (True, False)
        for client in (0, 1)
        if (reading := _read(heads, channel, mini, client, limits)) is not None
    ]
    if not readings:
        return None
    readings.sort(key=lambda r: r.explained * (1 + r.evidence), reverse=True)
    best = readings[0]
    rival = next((r for r in readings if r.channel is not best.channel or r.client != best.client), None)
    lead = (
        1.0
        if rival is None
        else 1 - (rival.explained * (1 + rival.evidence)) / (best.explained * (1 + best.evidence))
    )
    confidence = round(best.explained * min(1.0, 0.5 + lead), 2)
    if confidence < LEAST_CONFIDENCE or best.evidence == 0:
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
    heads: tuple[ByteStream, ...], channel: ChannelType, mini: bool, client: int, limits: Limits
) -> Reading | None:
    total = sum(s.captured_bytes for s in heads)
    explained = 0
    evidence = 0.0
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
        framer.advance(stream)
        index = framer.index(stream)
        main_rows = np.flatnonzero(~index.sub)
        if not len(main_rows):
            continue
        sizes = index.size[main_rows].astype(np.int64) + framer.header_bytes
        # A message still incomplete at the end of what is looked at speaks neither for nor against.
        reach = stream.captured_bytes - framer.unparsed_bytes
        good, weight = _sample(channel, side, index, main_rows, limits)
        explained += int(min(reach, int(sizes.sum()) + _open_end(framer, stream)) * good)
        evidence += weight
    if not explained:
        return None
    return Reading(channel, mini, client, min(1.0, explained / total), evidence)


def _open_end(framer: Framer, stream: ByteStream) -> int:
    """Bytes of the message that the end of what is looked at cuts."""
    return max(0, stream.end - framer.position)


def _sample(channel: ChannelType, side: Side, index, rows, limits: Limits) -> tuple[float, float]:  # type: ignore[no-untyped-def]
    """Return the share of sampled bodies that parse, and the weight of those only this channel has."""
    bounds = registry.known_types(channel, side)
    chosen = rows[:: max(1, len(rows) // SAMPLE)][:SAMPLE]
    good, weight = 0, 0.0
    for row in chosen.tolist():
        kind = int(index.type[row])
        parsed = registry.parse_message(channel, side, kind, index.body(row), limits=limits)
        if parsed.message is None:
            continue
        good += 1
        if kind >= FIRST_CHANNEL_TYPE:
            least, most = bounds.get(kind, (0, None))
            weight += (2.0 if least == most else 1.0 if least >= 8 else 0.1) - 0.5 * bool(parsed.problems)
    return good / len(chosen), weight / max(SAMPLE, len(chosen)) + (0.2 if weight > 0 else 0.0)
