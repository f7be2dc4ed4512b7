"""A plain mutation fuzzer: seeded, no coverage feedback, every failure can be had again.

A harness is run in rounds of `CASES`. Round *n* of a seed always does the same, and carries nothing over from the
rounds before, so a failure is named by harness, seed and round. Each harness runs in a process of its own: when a
kernel kills it, the round it was in is still known.
"""

from __future__ import annotations

import multiprocessing
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.sharedctypes import Synchronized
from random import Random
from typing import Final

CASES: Final = 200
"""Executions of one round."""
_BYTES: Final = (0, 1, 2, 31, 32, 127, 128, 224, 254, 255)
_WORDS: Final = tuple(
    bytes.fromhex(word) for word in (["00000000", "ffffffff", "00000080", "7fffffff", "01000000"])
)

Case = Callable[[], str]
"""Makes one input, hands it over, and returns in a word what came of it. Any exception is a failure."""


@dataclass(frozen=True, slots=True)
class Harness:
    """One family of things to be fuzzed."""

    name: str
    start: Callable[[Random], Case]
    """Begins a round: returns its cases. All chance comes from the argument."""


@dataclass(slots=True)
class Result:
    """What came of running a harness."""

    name: str
    rounds: int = 0
    seconds: float = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    failure: str | None = None

    @property
    def executions(self) -> int:
        """Cases carried out."""
        return self.outcomes.total()


def mutate(data: bytes, chance: Random, other: bytes = b"") -> bytes:
    """Return `data` changed in one to eight places; `other` is spliced in now and then."""
    changed = bytearray(data)
    draw = chance.random
    for _ in range(1 << int(draw() * 4)):
        size = len(changed)
        # A third of the changes go to the header.
        at = int(draw() * (size + 1 if draw() < 0.67 else min(size + 1, 64)))
        match int(draw() * 10):
            case 0 | 1 if at < size:
                changed[at] ^= 1 << int(draw() * 8)
            case 2 | 3 if at < size:
                changed[at] = _BYTES[int(draw() * len(_BYTES))]
            case 4 if at < size:
                changed[at] = (changed[at] + int(draw() * 9) - 4) & 255
            case 5:
                changed[at : at + 4] = _WORDS[int(draw() * len(_WORDS))]
            case 6:
                del changed[at : at + 1 + int(draw() * 20)]
            case 7:
                changed[at:at] = changed[at : at + 1 + int(draw() * 60)]
            case 8:
                changed[at : at + 8] = chance.randbytes(int(draw() * 16))
            case _ if draw() < 0.3:
                del changed[at:]
            case _ if other:
                start = int(draw() * len(other))
                changed[at:] = other[start : start + 400]
    return bytes(changed)


def run_round(harness: Harness, seed: int, number: int) -> Counter[str]:
    """Carry out one round and return how often each outcome was had."""
    case = harness.start(Random(f"{harness.name} {seed} {number}"))
    return Counter(case() for _ in range(CASES))


def run(harness: Harness, *, seed: int, seconds: float) -> Result:
    """Run a harness for about `seconds`, at least one round, until it fails."""
    number = multiprocessing.Value("q", 0)
    ours, theirs = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("fork").Process(
        target=_rounds, args=(harness, seed, seconds, number, theirs)
    )
    process.start()
    theirs.close()
    try:
        result: Result = ours.recv()
    except EOFError:
        result = Result(harness.name, rounds=number.value)
    process.join()
    if process.exitcode:
        again = f"PYTHONPATH=tests python -m fuzz {harness.name} --seed {seed} --round {number.value}"
        result.failure = f"exit code {process.exitcode}; to have it again: {again}"
    return result


def _rounds(harness: Harness, seed: int, seconds: float, number: Synchronized[int], to: Connection) -> None:
    result = Result(harness.name)
    begin = time.monotonic()
    try:
        while not result.rounds or result.seconds < seconds:
            number.value = result.rounds
            result.outcomes.update(run_round(harness, seed, result.rounds))
            result.rounds += 1
            result.seconds = time.monotonic() - begin
    finally:
        to.send(result)
