"""Leaving out as many parts of something as can be spared.

After Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input" (IEEE Transactions on Software
Engineering 28, 2002), in the form that only takes parts away.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


def spare(units: Sequence[T], leave_out: Callable[[Sequence[T]], bool]) -> list[T]:
    """Return the units that are needed; no single one of them can be spared besides the others.

    `leave_out` tries to do without some units for good and says whether that was possible. It is asked for all of
    them first, then for halves, quarters and so on, and one by one until nothing changes.
    """
    left = list(units)
    size = len(left)
    while left:
        start, spared = 0, False
        while start < len(left):
            if leave_out(left[start : start + size]):
                del left[start : start + size]
                spared = True
            else:
                start += size
        if size == 1 and not spared:
            break
        size = max(1, min(size // 2, len(left)))
    return left
