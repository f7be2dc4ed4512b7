"""One self-contained HTML page from tables and findings.

`render` gives the page as text, `write_report` writes it; `ReportContent` is what both need.
"""

from spicereplay.report.content import QualityNote, ReportContent, Severity, SourceKind
from spicereplay.report.page import render, write_report

__all__ = ["QualityNote", "ReportContent", "Severity", "SourceKind", "render", "write_report"]
