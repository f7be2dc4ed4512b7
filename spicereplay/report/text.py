"""Text from the input made safe to look at, and numbers made easy to read.

HTML escaping is the template's job; this module takes away what escaping leaves: characters that do not
show, or that make other characters show in a false order.
"""

from __future__ import annotations

import math
import unicodedata
from datetime import UTC, datetime, timedelta
from typing import Final

LONGEST_TEXT: Final = 600
"""Characters of one piece of text that the page shows; the rest is counted."""

NONE: Final = "–"
"""Stands for "not seen" in a cell."""

# Beyond this, a row of digits says less than a power of ten.
_COUNTABLE: Final = 10**15

_NAMED: Final = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}

# Cc controls, Cf invisible format characters (all bidi controls are among them), Cs lone surrogates (which no
# encoding can write), Zl and Zp line breaks that JavaScript and terminals disagree about, Cn unassigned.
_HIDDEN: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp", "Cn"})

# Piled up without bound, combining marks paint over the lines above and below.
_MARKS_IN_A_ROW: Final = 4


def visible(text: str, longest: int = LONGEST_TEXT) -> str:
    r"""Return `text` with hidden and reordering characters as escapes such as ``\u202e``.

    Runs of more than four combining marks are escaped too. Text longer than `longest` characters is cut, and
    says how long it was.
    """
    cut = text[:longest]
    if not (cut.isascii() and cut.isprintable()):
        cut = _escaped(cut)
    return cut if len(text) <= longest else f"{cut}… ({len(text):,} characters)"


def _escaped(text: str) -> str:
    shown: list[str] = []
    marks = 0
    for char in text:
        category = unicodedata.category(char)
        marks = marks + 1 if category in ("Mn", "Me") else 0
        if category in _HIDDEN or marks > _MARKS_IN_A_ROW:
            shown.append(
                _NAMED.get(char) or (f"\\u{ord(char):04x}" if ord(char) < 0x10000 else f"\\U{ord(char):08x}")
            )
        else:
            shown.append(char)
    return "".join(shown)


def number(value: float | int | None, decimals: int = 0) -> str:
    """Return `value` with thousands separators and `decimals` places; `NONE` for no finite number."""
    if value is None or not math.isfinite(value):
        return NONE
    return f"{value:,.{decimals}f}" if abs(value) < _COUNTABLE else f"{value:.3g}"


def size(count: float) -> str:
    """Return a number of bytes in the decimal unit that leaves one to three digits before the point."""
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
