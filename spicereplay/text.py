"""Text from the input made safe to look at.

Escaping HTML or quoting for a shell is the output's job; this module takes away what that leaves: characters that do
not show, or that make other characters show in a false order. Nothing is dropped: they are shown as the escape a
programmer would write.
"""

from __future__ import annotations

import unicodedata
from typing import Final

LONGEST_TEXT: Final = 600
"""Characters of one piece of text that are shown; the rest is counted."""

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
