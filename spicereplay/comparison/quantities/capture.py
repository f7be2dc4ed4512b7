"""How good the captures are: a difference here may be behind others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from spicereplay.comparison.material import Material
from spicereplay.comparison.observation import Observation, Occurrences
from spicereplay.comparison.quantities.declaration import OTHERS, Quantity


def _holes(material: Material) -> Mapping[str, Observation]:
    gaps = material.table("gaps")
    known = int(gaps["bytes"].fillna(0).sum())
    return {"": Occurrences(len(gaps), f"{len(gaps):,} holes with {known:,} bytes known to be missing")}


def _defects(material: Material) -> Mapping[str, Observation]:
    counts = material.table("defects")["kind"].astype(str).value_counts()
    found = {str(kind): Occurrences(int(times), f"{times:,} of them") for kind, times in counts.items()}
    return {**found, OTHERS: Occurrences(0)}


QUANTITIES: Final = (
    Quantity(
        "holes",
        "holes in the capture",
        "capture",
        "",
        "places where bytes were sent that the capture does not hold",
        "gaps, capture",
        "a hole",
        "more",
        40,
        1,
        1,
        _holes,
    ),
    Quantity(
        "defects",
        "defect of the input",
        "capture",
        "",
        "rules that the input breaks, by their names; the table is of the whole input, whatever the session",
        "defects, capture",
        "a defect",
        "more",
        38,
        1,
        1,
        _defects,
    ),
)
