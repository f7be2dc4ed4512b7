"""What one report page is made from.

Everything a page shows comes in through `ReportContent`; the page adds figures that can be computed from the
tables (medians, percentiles, totals) and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

from spicereplay.analysis.schema import TABLES
from spicereplay.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd

Severity = Literal["ok", "info", "warn", "critical"]
SourceKind = Literal["pcap", "pcapng", "bug report", "auto-snapshots", "capture directory"]


@dataclass(frozen=True, slots=True)
class QualityNote:
    """One thing the capture lacks (`title`) and what nobody can know because of it (`consequence`)."""

    severity: Severity
    title: str
    consequence: str


@dataclass(frozen=True, slots=True)
class ReportContent:
    """All that `render` needs.

    `start_time_ns` is the capture time of the first packet (nanoseconds since 1970, UTC), `duration_s` the
    time from first to last packet. `tables` maps every name of `schema.TABLES` to a frame with its columns.
    `sessions` and `others` are the lists `sessions` and `other` of `info --json`. `client_report` is a list of groups
    `(heading, rows)`, a row being `(name, value, note)`; `screenshots` holds `(caption, PNG bytes, width,
    height)`; `method` holds `(term, text)`. `options` are the options the command ran with, as text.

    Raises `UsageError` when a table is missing or a severity is none of `Severity`.
    """

    title: str
    source_name: str
    source_kind: SourceKind
    start_time_ns: int
    duration_s: float
    verdict: str
    verdict_severity: Severity
    tables: Mapping[str, pd.DataFrame]
    verdict_evidence: Sequence[str] = ()
    quality: Sequence[QualityNote] = ()
    sessions: Sequence[Mapping[str, Any]] = ()
    others: Sequence[Mapping[str, Any]] = ()
    client_report: Sequence[tuple[str, Sequence[tuple[str, str, str]]]] = ()
    screenshots: Sequence[tuple[str, bytes, int, int]] = ()
    method: Sequence[tuple[str, str]] = ()
    command_line: str = ""
    options: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if missing := sorted(set(TABLES) - set(self.tables)):
            raise UsageError(f"a report needs every table of the schema; missing: {', '.join(missing)}")
        severities = get_args(Severity)
        for severity in (self.verdict_severity, *(note.severity for note in self.quality)):
            if severity not in severities:
                raise UsageError(f"severity {severity!r} is none of {', '.join(severities)}")
