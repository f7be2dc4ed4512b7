"""Message bodies for every declaration, and streams of messages with damage and holes."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from random import Random
from typing import Final

import numpy as np
from fuzz.fuzzing import Case, Harness, mutate
from support.spicewire import Real, full, mini, ping, real_streams, stream_data, stream_with_holes, sub_list

from spicereplay.defects import DefectLog
from spicereplay.limits import DEFAULT_LIMITS
from spicereplay.protocol.enums import ChannelType, Side
from spicereplay.protocol.framing import Framer
from spicereplay.protocol.registry import iter_declarations, message_class
from spicereplay.protocol.wire import Structure, build, parse

CAPTURES: Final = Path(__file__).parents[2] / "fixtures" / "captures"
NAMES: Final = ("desktop-jpeg-zlib-wan", "flap-mjpeg", "qemu-guest-desktop-lz4", "xspice-agent")
LARGEST_BODY: Final = 1000
PER_DECLARATION: Final = 12
SMALL_NUMBERS: Final = (0, 0, 0, 1, 2, 4, 8, 9, 40, 100)
"""Bytes that make counts, types and offsets which lead somewhere."""


@cache
def recorded() -> tuple[Real, ...]:
    return tuple(real_streams(CAPTURES, NAMES))


@cache
def bodies() -> dict[type[Structure], list[bytes]]:
    """A few bodies of each declaration: recorded ones where there are any, and small numbers."""
    chance = Random(3)
    found: dict[type[Structure], list[bytes]] = {cls: [] for cls in iter_declarations()}
    for real in recorded():
        for at, kind, size in real.messages:
            cls = message_class(real.channel, real.side, kind)
            if cls is not None and size <= LARGEST_BODY and len(found[cls]) < PER_DECLARATION:
                found[cls].append(real.data[at + 6 : at + 6 + size])
    for each in found.values():
        while len(each) < PER_DECLARATION:
            each.append(bytes(chance.choices(SMALL_NUMBERS, k=chance.randrange(160))))
    return found


def declarations(chance: Random) -> Case:
    """A body is parsed or its problem named, and what was parsed gives the very bytes back."""
    seeds = list(bodies().items())

    def case() -> str:
        cls, known = chance.choice(seeds)
        body = mutate(chance.choice(known), chance, chance.choice(known))
        parsed = parse(cls, body)
        assert parsed.body == body
        if parsed.message is None:
            assert parsed.problems
            return "malformed"
        assert build(parsed.message, layout=parsed.layout, residue=parsed.residue) == body
        return "with problems" if parsed.problems else "parsed"

    return case


def written(chance: Random) -> tuple[ChannelType, Side, bool, bytes]:
    """Return a stream of a display channel made here, lists included; whether its headers are mini."""
    small = chance.random() < 0.5
    out = b""
    for serial in range(1, 2 + int(chance.random() * 20)):
        kind, body = chance.choice(
            (
                (4, ping()),
                (123, stream_data(int(chance.random() * 200))),
                (102, b""),
                (8, sub_list((123, stream_data(9)), (4, ping()))),
            )
        )
        out += mini(kind, body) if small else full(serial, kind, body)
    return ChannelType.DISPLAY, Side.SERVER, small, out


def cut_out(chance: Random) -> tuple[ChannelType, Side, bool, bytes]:
    """Return some messages of a recorded stream."""
    real = chance.choice(recorded())
    first = int(chance.random() * len(real.messages))
    start = real.messages[first][0]
    return real.channel, real.side, True, real.data[start : start + 200 + int(chance.random() * 3000)]


def framing(chance: Random) -> Case:
    """Messages are found in order, within the stream, whatever it holds and however it comes."""

    def case() -> str:
        channel, side, small, data = chance.choice((written, cut_out))(chance)
        if chance.random() < 0.8:
            data = mutate(data, chance)
        at = lambda: int(chance.random() * (len(data) + 1))  # noqa: E731
        holes = [(at(), 1 + int(chance.random() * 200)) for _ in range(int(chance.random() * 3))]
        cuts = [at() for _ in range(int(chance.random() * 4))]
        stream = stream_with_holes(data, holes, cuts)
        defects = DefectLog()
        framer = Framer(
            channel,
            side,
            mini_header=small,
            start=0,
            trusted=chance.random() < 0.6,
            units=chance.random() < 0.15,
            limits=DEFAULT_LIMITS,
            defects=defects,
            where="fuzz",
        )
        framer.advance(stream, final=True)
        index = framer.index(stream)
        own = ~index.sub
        ends = index.position + index.size
        assert (np.diff(index.position[own]) > 0).all()
        assert (index.position >= 0).all()
        assert (ends[own & ~index.partial] <= stream.end).all()
        for row in range(len(index)):
            assert len(index.body(row)) <= index.size[row]
        if not len(index):
            return "nothing found"
        return "with defects" if len(defects) else "whole"

    return case


HARNESSES: Final = (Harness("declarations", declarations), Harness("framing", framing))
