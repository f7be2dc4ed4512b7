"""Units of time and length, and the one conversion everybody needs.

Time is an integer number of nanoseconds everywhere in the package. A name that ends in `_ns` holds such a
number, one that ends in `_s` holds seconds as a float, made only at the edge where people read it.
"""

from __future__ import annotations

from typing import Final

NS_PER_S: Final = 1_000_000_000
NS_PER_MS: Final = 1_000_000
NS_PER_US: Final = 1_000

KIB: Final = 1024
MIB: Final = 1024 * 1024


def seconds(time_ns: int, origin_ns: int = 0) -> float:
    """Return `time_ns - origin_ns` in seconds, exact to the nanosecond for any session shorter than a month."""
    return (time_ns - origin_ns) / NS_PER_S
