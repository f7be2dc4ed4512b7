"""Runs the harnesses: `PYTHONPATH=tests python -m fuzz [NAME ...] --seconds 60 --seed 1`, or `make fuzz`.

`--seconds` is the time of all harnesses together. A failure prints the command that has it again.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from fuzz import captures, codecs, display, protocol
from fuzz.fuzzing import Harness, Result, run, run_round

HARNESSES: Sequence[Harness] = (
    *codecs.HARNESSES,
    *protocol.HARNESSES,
    *display.HARNESSES,
    *captures.HARNESSES,
)


def shares(result: Result) -> str:
    """Return the outcomes by how often they were had."""
    total = max(1, result.executions)
    return ", ".join(f"{name} {100 * count / total:.0f} %" for name, count in result.outcomes.most_common())


def main() -> int:
    """Run what the command line names; 1 if anything failed."""
    names = [harness.name for harness in HARNESSES]
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(names)}; all without any")
    parser.add_argument("--seconds", type=float, default=60, help="for all harnesses together")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--round", type=int, help="only this round, in this process")
    wanted = parser.parse_args()
    if wrong := set(wanted.names) - set(names):
        parser.error(f"no harness of the name {', '.join(sorted(wrong))}")
    chosen = [harness for harness in HARNESSES if not wanted.names or harness.name in wanted.names]
    if wanted.round is not None:
        for harness in chosen:
            print(harness.name, dict(run_round(harness, wanted.seed, wanted.round)))
        return 0
    total, failed = 0, 0
    for harness in chosen:
        result = run(harness, seed=wanted.seed, seconds=wanted.seconds / len(chosen))
        total += result.executions
        print(
            f"{harness.name:13} {result.executions:10,} in {result.seconds:6.1f} s: {shares(result)}",
            flush=True,
        )
        if result.failure:
            failed += 1
            print(f"{harness.name} failed: {result.failure}", file=sys.stderr, flush=True)
    print(f"{total:,} executions, {failed} of {len(chosen)} harnesses failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
