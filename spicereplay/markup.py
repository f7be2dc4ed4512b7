"""Pieces of HTML by which results show themselves in a notebook.

Text from the input goes through `cell`, which shows hidden characters and escapes the rest; nothing else may. Colours
are set by notebooks, light or dark, so only the severities have one, and never without their word.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Final

from spicereplay.text import visible

LONGEST_CELL: Final = 160
"""Characters of one piece of text that are shown."""
MOST_ROWS: Final = 12
"""Rows of one table that are shown; the rest is counted."""

_SEVERITY: Final = {
    "critical": ("■", "#d0303c"),
    "warn": ("▲", "#b36b00"),
    "info": ("●", "#2f7cc4"),
    "ok": ("✓", "#2e8b4f"),
}
"""Sign and colour of a severity: between the light and the dark one of the page's style sheet, readable on both."""


def cell(text: object, longest: int = LONGEST_CELL) -> str:
    """Return text ready to stand in HTML."""
    return escape(visible(str(text), longest))


def table(head: Sequence[str], rows: Sequence[Sequence[object]], *, numbers: Iterable[int] = ()) -> str:
    """Return a table of at most `MOST_ROWS` rows; `numbers` are the columns to set flush right."""
    right = frozenset(numbers)

    def line(tag: str, texts: Sequence[object]) -> str:
        cells = (
            f'<{tag} style="text-align:{"right" if column in right else "left"}">{cell(text)}</{tag}>'
            for column, text in enumerate(texts)
        )
        return f"<tr>{''.join(cells)}</tr>"

    body = "".join(line("td", row) for row in rows[:MOST_ROWS])
    left = len(rows) - MOST_ROWS
    more = f"<p>… and {left:,} more</p>" if left > 0 else ""
    return f"<table><thead>{line('th', head)}</thead><tbody>{body}</tbody></table>{more}"


def severity(name: str) -> str:
    """Return a severity as sign and word, coloured."""
    sign, colour = _SEVERITY.get(name, _SEVERITY["info"])
    return f'<span style="color:{colour};white-space:nowrap">{sign} {cell(name)}</span>'


def size(count: int) -> str:
    """Return a number of bytes for people: `512 B`, `3.9 MB`."""
    if count < 1000:
        return f"{count} B"
    power = min(len(str(count)) - 1, 11) // 3
    return f"{count / 1000**power:,.1f} {('B', 'kB', 'MB', 'GB')[power]}"
