"""Numbers, sizes and times made easy to read."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Final

NONE: Final = "–"
"""Stands for "not seen" in a cell."""

# Beyond this, a row of digits says less than a power of ten.
_COUNTABLE: Final = 10**15


def number(value: float | int | None, decimals: int = 0) -> str:
    """Return `value` with thousands separators and `decimals` places; `NONE` for no finite number."""
    if value is None or not math.isfinite(value):
        return NONE
    return f"{value:,.{decimals}f}" if abs(value) < _COUNTABLE else f"{value:.3g}"


def size(count: float) -> str:
    """Return a number of bytes in the decimal unit that leaves one to three digits before the point."""
    if count == 1:
        return "1 byte"
    for unit in ("bytes", "kB", "MB", "GB"):
        if abs(count) < 999.5 or unit == "GB":
            break
        count /= 1000
    return f"{count:,.0f} {unit}" if unit == "bytes" or abs(count) >= 100 else f"{count:,.1f} {unit}"


def duration(value: float) -> str:
    """Return a length of time the way people say it: ``0.42 s``, ``73.1 s``, ``1 h 02 min 05 s``."""
    if not math.isfinite(value):
        return NONE
    if abs(value) < 120:
        return f"{value:.2f} s" if abs(value) < 10 else f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:,} h {minutes:02} min {rest:02} s" if hours else f"{minutes} min {rest:02} s"


def utc(time_ns: int) -> str:
    """Return a time as ``2024-03-01 12:00:00.123 UTC``, or the bare number beyond the year 9999."""
    try:
        when = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=time_ns // 1000)
    except OverflowError:
        return f"{time_ns:,} ns"
    return f"{when:%Y-%m-%d %H:%M:%S}.{when.microsecond // 1000:03} UTC"
