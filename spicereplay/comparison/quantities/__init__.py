"""Every quantity that sessions are compared by, declared once, by subject.

Results, the page and the documentation take names, units, meanings and thresholds from here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from spicereplay.comparison.quantities import capture, drawing, guest, network, video
from spicereplay.comparison.quantities.declaration import Quantity

__all__ = ["QUANTITIES", "Quantity"]

QUANTITIES: Final[Mapping[str, Quantity]] = {
    quantity.name: quantity
    for subject in (video, drawing, network, guest, capture)
    for quantity in subject.QUANTITIES
}
