"""Damaged files have documented outcomes only: a capture with defects, or `NotACaptureError`."""

import random
from collections.abc import Iterator

import pytest
from support.capture_seeds import hold_to_contract, seeds
from support.pcapfile import Frame, pcap_bytes

from spicereplay.capture import read_connections
from spicereplay.capture.container import map_bytes
from spicereplay.errors import NotACaptureError
from spicereplay.limits import Limits

ROUNDS = 400


def mutations(seed: bytes, rng: random.Random) -> Iterator[bytes]:
    for _ in range(ROUNDS):
        data = bytearray(seed)
        for _ in range(rng.choice((1, 1, 2, 5, 40))):
            if len(data) < 60:
                break
            at = rng.randrange(len(data))
            match rng.randrange(6):
                case 0:
                    data[at] ^= 1 << rng.randrange(8)
                case 1:
                    data[at] = rng.choice((0, 1, 4, 127, 128, 255))
                case 2:
                    data[at : at + 4] = rng.choice(
                        (b"\xff" * 4, bytes(4), b"\0\0\0\x80", b"\x7f\xff\xff\xff")
                    )
                case 3:
                    del data[at : at + rng.randrange(1, 20)]
                case 4:
                    data[at:at] = data[at : at + rng.randrange(1, 60)]
                case 5:
                    del data[max(at, 40) :]
        yield bytes(data)


@pytest.mark.parametrize("name", seeds())
def test_the_seeds_themselves_are_well_formed(name: str) -> None:
    capture = read_connections(map_bytes(seeds()[name]))
    hold_to_contract(capture)
    assert len(capture.connections) == 2
    if "raw" not in name:
        assert not len(capture.defects)


@pytest.mark.parametrize("name", seeds())
def test_mutated_files(name: str) -> None:
    rng = random.Random(name)
    refused = 0
    for data in mutations(seeds()[name], rng):
        try:
            capture = read_connections(map_bytes(data), limits=Limits(fragment_bytes=100))
        except NotACaptureError:
            refused += 1
        else:
            hold_to_contract(capture)
    assert refused < ROUNDS / 2


def test_noise_behind_a_good_header() -> None:
    rng = random.Random(11)
    for link in (0, 1, 9, 51, 101, 105, 113, 127, 276):
        for _ in range(20):
            noise = [Frame(rng.randbytes(rng.randrange(200)), i) for i in range(50)]
            hold_to_contract(read_connections(map_bytes(pcap_bytes(noise, link=link))))
