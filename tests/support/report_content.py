"""Made-up contents of a report page."""

from __future__ import annotations

from typing import Any

from support.tables import START_NS, empty_tables, png, session_tables, sessions_of

from spicereplay.report import QualityNote, ReportContent


def usual(duration_s: float = 60.0, streams: int = 14, fps: float = 20.0, **changes: Any) -> ReportContent:
    """Return a believable report; `changes` replace fields of it."""
    tables = session_tables(duration_s, streams, fps)
    fields: dict[str, Any] = {
        "title": "Report on lab-desktop.pcapng",
        "source_name": "lab-desktop.pcapng",
        "source_kind": "pcapng",
        "start_time_ns": START_NS,
        "duration_s": duration_s,
        "verdict": "The server keeps tearing down its video streams, so video stutters.",
        "verdict_severity": "critical",
        "verdict_evidence": [
            f"{streams} streams in {duration_s:.0f} s, mean lifetime 1.25 s (capture)",
            "Decoding is not the cause: p95 is 8.1 ms against a budget of 33 ms (remeasured)",
        ],
        "quality": [
            QualityNote(
                "warn",
                "66,608 bytes of display/0 from the server are missing",
                "Three messages cannot be rebuilt; right of x = 640 the picture is unknown at 43 s.",
            ),
            QualityNote(
                "info",
                "The link stage of usbredir/0 is missing",
                "Its capabilities are unknown and assumed to be none.",
            ),
        ],
        "tables": tables,
        "sessions": sessions_of(tables),
        "client_report": [
            ("Session", [("client", "ryll 0.9.2", ""), ("uptime", "61.2 s", "its own clock")]),
            (
                "Decoder",
                [("codec", "mjpeg", ""), ("mean decode", "41 ms", "ten times what was measured here")],
            ),
        ],
        "screenshots": [("The guest’s screen at 12.5 s", png(640, 360), 640, 360)],
        "method": [
            ("Decoders", "simplejpeg 1.8 (mjpeg), PyAV 15 (h264, vp8, vp9, h265), one thread each"),
            ("Assumptions", "Display channel 0 uses mini headers: both sides offered them."),
            ("Clock", "Capture time; multimedia time was mapped by 212 frames of playback."),
        ],
        "command_line": "spicereplay report lab-desktop.pcapng -o page.html",
        "options": {"force": "no"},
    }
    return ReportContent(**(fields | changes))


def bare(**changes: Any) -> ReportContent:
    """Return a report on an input with nothing in it."""
    fields: dict[str, Any] = {
        "title": "Report on empty.pcap",
        "source_name": "empty.pcap",
        "source_kind": "pcap",
        "start_time_ns": START_NS,
        "duration_s": 0.0,
        "verdict": "Nothing wrong was found.",
        "verdict_severity": "ok",
        "tables": empty_tables(),
    }
    return ReportContent(**(fields | changes))
