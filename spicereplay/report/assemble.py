"""From the tables of one input to what its page shows."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Final, cast

from spicereplay._version import __version__
from spicereplay.analysis.info import info
from spicereplay.report.content import QualityNote, ReportContent, SourceKind
from spicereplay.report.counted import channels, counters

if TYPE_CHECKING:
    from spicereplay.analysis.timeline import Tables
    from spicereplay.bugreport.client_reported import ClientSummary
    from spicereplay.bugreport.report import BugReport
    from spicereplay.replay import Replay

LIBRARIES: Final = ("numpy", "pandas", "av", "simplejpeg", "lz4")


def content_of(
    tables: Tables, *, command_line: str = "", options: Mapping[str, str] | None = None
) -> ReportContent:
    """Gather everything the page shows. Makes every table, so this is where the time goes."""
    replay = tables.replay
    made = tables.all()
    verdict = tables.verdict
    described = info(replay)
    return ReportContent(
        title=replay.path.resolve().name,
        source_name=replay.path.resolve().name,
        source_kind=cast(SourceKind, replay.kind),
        start_time_ns=replay.start_time_ns + replay.utc_offset_ns,
        duration_s=replay.duration_s,
        verdict=verdict.sentence,
        verdict_severity=verdict.severity,
        verdict_evidence=verdict.evidence,
        quality=[QualityNote(n.severity, n.title, n.consequence) for n in tables.quality],
        tables=made,
        sessions=described["sessions"],
        others=described["other"],
        client_report=list(_client(replay.reports, tables.facts.client)),
        screenshots=_screenshots(replay.reports),
        method=list(_method(tables, replay)),
        command_line=command_line,
        options=options or {},
    )


def _client(
    reports: Sequence[BugReport], summary: ClientSummary | None
) -> Iterator[tuple[str, list[tuple[str, str, str]]]]:
    """Yield what the newest report is, why it says the connection ended, and what the client counted.

    All that it says is in the table `client_reported`.
    """
    if not reports:
        return
    newest = reports[-1]
    rows = [
        ("kind of report", newest.kind.value, ""),
        ("channel", newest.metadata.channel or "–", ""),
        ("client version", newest.metadata.ryll_version or "–", newest.metadata.ryll_git_sha or ""),
        ("format", newest.revision.label, "; ".join(newest.revision.evidence)),
        (
            "platform",
            " ".join(filter(None, (newest.metadata.platform_os, newest.metadata.platform_arch))) or "–",
            "",
        ),
        ("files", ", ".join(newest.members), ""),
    ]
    if newest.uptime_s is not None:
        rows.append(("connection age", f"{newest.uptime_s:.2f} s", "at the time of the report"))
    if len(reports) > 1:
        rows.append(("reports", str(len(reports)), "the newest is shown"))
    if newest.missing:
        rows.append(("missing files", ", ".join(newest.missing), "this kind of report should have them"))
    if newest.unknown_files:
        rows.append(("unknown files", ", ".join(newest.unknown_files[:20]), "never opened"))
    if newest.metadata.description:
        rows.append(("the user's description", newest.metadata.description, ""))
    yield "The report", rows
    if newest.disconnect is not None:
        cause = newest.disconnect
        yield (
            "Disconnect",
            [
                ("channel", cause.channel or "–", "noticed it first; it need not have failed first"),
                ("error", cause.error_message or "–", cause.error_kind or ""),
                (
                    "keepalive time-out",
                    {True: "yes", False: "no", None: "–"}[cause.keepalive_timeout_fired],
                    "",
                ),
            ],
        )
    if summary is not None:
        yield from (
            (heading, counted)
            for heading, counted in (
                ("What the client counted", counters(summary)),
                ("The client's channels", channels(summary)),
            )
            if counted
        )


def _screenshots(reports: Sequence[BugReport]) -> list[tuple[str, bytes, int, int]]:
    captions = {
        "screenshot.png": "the client's screen when the report was begun",
        "screenshot-region.png": "the region the user marked, when the report was sent",
    }
    return [
        (captions.get(shot.name, shot.name), shot.png, shot.width, shot.height)
        for shot in (reports[-1].screenshots if reports else ())
        if shot.width is not None and shot.height is not None
    ]


def _method(tables: Tables, replay: Replay) -> Iterator[tuple[str, str]]:
    yield "spicereplay", __version__
    yield "Python", f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    yield "libraries", ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    yield "packets", f"{replay.packets:,}"
    if not replay.utc_known and not replay.start_time_ns:
        yield "time of day", "not known: the recording's clock begins with the connection"
    backends = sorted(set(tables["frames"]["backend"].astype(str)) - {"", "nan"})
    yield (
        "decode times",
        f"measured again here, one thread, by {', '.join(backends)}"
        if backends
        else "no video frame was decoded",
    )
    rule = tables.rule
    yield (
        "flap rule",
        f"{rule.min_destroys} or more streams destroyed within {rule.window_s:g} s that lived less than "
        f"{rule.mean_lifetime_s:g} s on average; next notice after {rule.cooldown_s:g} s at the earliest",
    )
    for name, text in tables.facts.assumptions:
        yield f"assumed for {name}", text
