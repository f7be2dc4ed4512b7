"""What went wrong, worst first: every rule asked, its findings ranked.

A rule is a function of the tables and the facts to findings. It looks at nothing else, so that it can be tried on
tables of six rows. Rules live by theme: `find_decoding`, `find_video`, `find_network`, `find_transport`, `find_sound`,
`find_agent`, `find_client`, `find_capture`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Final

from spicereplay.analysis import (
    find_agent,
    find_capture,
    find_client,
    find_decoding,
    find_network,
    find_sound,
    find_transport,
    find_video,
)
from spicereplay.analysis.columns import records
from spicereplay.analysis.facts import Facts
from spicereplay.analysis.finding import SEVERITIES, Finding, cite

if TYPE_CHECKING:
    import pandas as pd

Rule = Callable[[Mapping[str, "pd.DataFrame"], Facts], Iterable[Finding]]

RULES: Final[tuple[Rule, ...]] = (
    *find_decoding.RULES,
    *find_video.RULES,
    *find_network.RULES,
    *find_transport.RULES,
    *find_sound.RULES,
    *find_agent.RULES,
    find_video.noticed_flapping,
    *find_client.RULES,
    *find_capture.RULES,
)


def find(tables: Mapping[str, pd.DataFrame], facts: Facts) -> list[Finding]:
    """Return the findings of all rules: by severity, then in the order of the rules, then by time."""
    found = [finding for rule in RULES for finding in rule(tables, facts)]
    return sorted(found, key=lambda finding: SEVERITIES.index(finding.severity))


def table(found: Iterable[Finding]) -> pd.DataFrame:
    """Return the table `findings`."""
    return records(
        "findings",
        [
            {
                "code": finding.code,
                "severity": finding.severity,
                "title": finding.title,
                "time_s": math.nan if finding.time_s is None else finding.time_s,
                "evidence": [*finding.evidence, *_blame(finding)],
            }
            for finding in found
        ],
    )


def _blame(finding: Finding) -> list[str]:
    """Say who was slow or wrong, where a rule can tell; a lack of the capture is nobody's fault."""
    return [cite(f"points to the {finding.who}", "inferred")] if finding.who not in ("", "capture") else []
