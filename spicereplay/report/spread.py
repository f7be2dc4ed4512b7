"""How values of very different size are drawn beside one another: bins on a logarithmic axis."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

BINS: Final = 36
BIN_PX: Final = 6


@dataclass(frozen=True, slots=True)
class LogAxis:
    """An axis of `BINS` bins from `low` to `high`, both powers of ten above 0."""

    low: float
    high: float

    @classmethod
    def around(cls, least: float, greatest: float) -> LogAxis:
        """Return the axis of whole decades that holds values from `least` to `greatest`; below 0.001 is 0.001."""
        low = 10.0 ** math.floor(math.log10(max(least, 0.001)))
        return cls(low, 10.0 ** math.ceil(math.log10(max(greatest, low * 1.001))))

    @property
    def edges(self) -> np.ndarray[Any, np.dtype[np.float64]]:
        """The bounds of the bins."""
        return np.geomspace(self.low, self.high, BINS + 1)

    @property
    def ticks(self) -> list[tuple[float, str]]:
        """Each power of ten as (share of the width, text)."""
        decades = round(math.log10(self.high / self.low))
        return [(place / decades, f"{self.low * 10**place:g}") for place in range(decades + 1)]

    def place(self, value: float) -> float:
        """Return where a value lies on the drawn axis, 0 to `BINS * BIN_PX` px."""
        share = math.log(max(value, self.low) / self.low) / math.log(self.high / self.low)
        return round(share * BINS * BIN_PX, 1)
