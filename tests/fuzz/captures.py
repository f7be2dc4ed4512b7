"""Capture files with damage, and TCP connections in every disorder."""

from __future__ import annotations

from functools import cache
from random import Random
from typing import Final

from fuzz.fuzzing import Case, Harness, mutate
from support.capture_seeds import hold_to_contract, seeds
from support.pcapfile import ACK, FIN, RST, SYN, Frame, pcap_bytes, tcp_frame

from spicereplay.capture import read_connections
from spicereplay.capture.container import map_bytes
from spicereplay.errors import NotACaptureError
from spicereplay.limits import Limits

SMALL: Final = Limits(fragment_bytes=100)


def outcome_of(data: bytes) -> str:
    """Read a capture; everything in it must keep to what `ByteStream` promises."""
    try:
        capture = read_connections(map_bytes(data), limits=SMALL)
    except NotACaptureError:
        return "no capture"
    hold_to_contract(capture)
    if not capture.connections:
        return "no connections"
    damaged = len(capture.defects) or any(len(connection.defects) for connection in capture.connections)
    return "with defects" if damaged else "read"


@cache
def files(pcapng: bool) -> tuple[bytes, ...]:
    return tuple(
        data for name, data in seeds().items() if ("pcap" in name and "pcapng" not in name) != pcapng
    )


def of_files(pcapng: bool, chance: Random) -> Case:
    known = files(pcapng)
    return lambda: outcome_of(mutate(chance.choice(known), chance, chance.choice(known)))


def tcp(chance: Random) -> Case:
    """Segments that overlap, repeat, contradict each other, wrap round and come in any order."""

    def case() -> str:
        draw = chance.random
        start = chance.choice((1000, 2**32 - 300, 2**31 - 300))
        near = lambda: (start + int(draw() * 700) - (60 if draw() < 0.1 else 0)) % 2**32  # noqa: E731
        frames = []
        for _ in range(2 + int(draw() * 24)):
            flags = ACK
            if draw() < 0.12:
                flags = chance.choice((SYN, SYN | ACK, FIN | ACK, RST, RST | ACK, 0))
            if draw() < 0.02:
                near_or_far = chance.randrange(2**32)
            else:
                near_or_far = near()
            payload = chance.randbytes(int(draw() * 90)) if draw() < 0.8 else bytes(int(draw() * 90))
            client = ("10.0.0.1", 40000 + (draw() < 0.1))
            frame = tcp_frame(
                payload,
                sequence=near_or_far,
                acknowledgement=near(),
                flags=flags,
                from_server=draw() < 0.3,
                client=client,
            )
            wire = len(frame.data) + int(draw() * 2000) if draw() < 0.05 else None
            frames.append(Frame(frame.data, int(draw() * 10**6), wire))
        return outcome_of(pcap_bytes(frames, nanoseconds=True))

    return case


HARNESSES: Final = (
    Harness("pcap", lambda chance: of_files(False, chance)),
    Harness("pcapng", lambda chance: of_files(True, chance)),
    Harness("tcp", tcp),
)
