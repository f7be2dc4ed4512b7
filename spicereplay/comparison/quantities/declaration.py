"""How a quantity that sessions are compared by is declared."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from spicereplay.comparison.material import Material
from spicereplay.comparison.observation import Observation

Observe = Callable[[Material], Mapping[str, Observation]]
"""Returns what a session shows, per variant (a codec, a channel; empty where there are none).

A variant that the session does not show is left out; `OTHERS` stands for all of these where none of it is a result.
"""

OTHERS: Final = "*"
"""The variant that says what a session shows of each variant that it does not name."""

Subject = Literal["video", "drawing", "network", "guest", "capture"]


@dataclass(frozen=True, slots=True)
class Quantity:
    """One thing that can be more or less."""

    name: str
    """Stable, in snake case."""
    title: str
    """In plain words, as a noun."""
    subject: Subject
    unit: str
    meaning: str
    source: str
    """Table it comes from, and of whose making the figures are (`capture`, `remeasured`, `client_reported`)."""
    independent: str
    """What counts as one independent observation."""
    worse: Literal["more", "less", "neither"]
    weight: int
    """How early a difference is told: 100 first."""
    relevant: float
    """Smallest difference that matters, in the unit."""
    factor: float
    """Smallest ratio that matters besides; 1 where only the difference counts."""
    observe: Observe
