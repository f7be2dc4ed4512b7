"""Rules about what the client says of itself. Source: ryll-behaviour.md 11 and 14, ryll-formats.md 4 to 8."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

from spicereplay.analysis.facts import Facts
from spicereplay.analysis.finding import Finding, at, cite, examples, plural, rows_of

if TYPE_CHECKING:
    import pandas as pd

Tables = Mapping[str, "pd.DataFrame"]

BUSY_THREAD_PERCENT: Final = 90.0
"""A thread that has no time left."""
WINDOW_LAG_US: Final = 100_000
"""A picture that waits that long for the window's thread is late whoever decoded it."""


def client_gap(tables: Tables, facts: Facts) -> Iterator[Finding]:
    """Find what the client met and cannot do (gap keys, ryll-behaviour.md 11)."""
    told = tables["notifications"]
    told = told[(told["source"] == "Gap") & (told["origin"] == "client_reported")]
    first = {str(row.message): row.time_s for row in reversed(list(rows_of(told)))}
    if facts.gap_key is not None:
        first.setdefault(facts.gap_key, float("nan"))
    for key, time_s in first.items():
        yield Finding(
            "client_gap",
            "warn",
            f"The client cannot do {key}",
            (
                cite(
                    f"gap {key}" + (" is what this report was written for" if key == facts.gap_key else ""),
                    "client_reported",
                ),
            ),
            at(time_s),
            "client",
        )


def client_notices(tables: Tables, facts: Facts) -> Iterator[Finding]:
    """Find warnings and errors of the client itself, those that have a finding of their own left out."""
    told = tables["notifications"]
    told = told[
        (told["origin"] == "client_reported")
        & told["severity"].isin(["warn", "error"])
        & ~told["source"].isin(["Gap", "Spice"])
        & ~told["message"].str.lower().str.contains("stream flapping")
    ]
    if len(told):
        yield Finding(
            "client_notice",
            "warn",
            f"The client told its user about {plural(len(told), 'problem')}",
            tuple(
                cite(s, "client_reported")
                for s in examples(
                    [f"{row.severity} from {row.source}: {row.message}" for row in rows_of(told)]
                )
            ),
            at(float(told["time_s"].min())),
            "client",
        )


def client_busy(tables: Tables, facts: Facts) -> Iterator[Finding]:
    """Find that the client's processor or window thread has no time left."""
    client = facts.client
    if client is None:
        return
    evidence = []
    if client.busiest_thread_percent is not None and client.busiest_thread_percent >= BUSY_THREAD_PERCENT:
        evidence.append(f"one thread used {client.busiest_thread_percent:.0f} % of a core")
    if client.worst_image_lag_us is not None and client.worst_image_lag_us >= WINDOW_LAG_US:
        evidence.append(f"a picture waited {client.worst_image_lag_us / 1e3:.0f} ms for the window's thread")
    if evidence:
        yield Finding(
            "client_busy",
            "warn",
            "The client itself has no time left",
            tuple(cite(sentence, "client_reported") for sentence in evidence),
            client.uptime_s,
            "client",
        )


def client_gave_up(tables: Tables, facts: Facts) -> Iterator[Finding]:
    """Find that the main channel timed out in the client, and this is not already what the report is about."""
    client = facts.client
    if client is not None and client.keepalive_timeout and client.disconnect is None:
        yield Finding(
            "client_gave_up",
            "critical",
            "The client ended the connection because main was silent for too long",
            (
                cite(
                    "keepalive_timeout_fired is set; it fires after 90 s without data on main",
                    "client_reported",
                ),
            ),
            client.uptime_s,
            "network",
        )


def streams_rejected(tables: Tables, facts: Facts) -> Iterator[Finding]:
    """Find streams that the client refused: it opens 16 at most (ryll-behaviour.md 4)."""
    streams = facts.client.streams if facts.client is not None else None
    if streams is not None and streams.rejected:
        yield Finding(
            "streams_rejected",
            "warn",
            f"The client refused {plural(streams.rejected, 'video stream')}: it opens 16 at most",
            (cite(f"streams_rejected_total is {streams.rejected}", "client_reported"),),
            who="client",
        )


def recorder_dropped(tables: Tables, facts: Facts) -> Iterator[Finding]:
    """Find chunks that the client's own recorder lost: holes without a gap in the sequence numbers."""
    traffic = facts.client.traffic if facts.client is not None else {}
    lost = [
        f"{name}: {counted.capture_drops} chunks"
        for name, counted in traffic.items()
        if counted.capture_drops
    ]
    if lost:
        yield Finding(
            "recorder_dropped",
            "warn",
            "The client's recorder lost traffic: the recording has holes that nothing marks",
            tuple(cite(sentence, "client_reported") for sentence in lost),
            who="capture",
        )


def server_notices(tables: Tables, facts: Facts) -> Iterator[Finding]:
    """Find warnings and errors that the server sent for the user to see."""
    told = tables["notifications"]
    told = told[(told["origin"] == "server") & told["severity"].isin(["warn", "error"])]
    if not len(told):
        return
    serious = told[told["severity"] == "error"]
    yield Finding(
        "server_notice",
        "warn" if len(serious) else "info",
        f"The server told the user about {plural(len(told), 'problem')}",
        tuple(
            cite(s, "capture") for s in examples([f"{row.severity}: {row.message}" for row in rows_of(told)])
        ),
        at(float((serious if len(serious) else told)["time_s"].min())),
        "server",
    )


def disagreements(tables: Tables, facts: Facts) -> Iterator[Finding]:
    """Find figures of the client that the capture contradicts for no known reason."""
    rows = tables["disagreements"]
    odd = rows[rows["explanation"].astype(str) == ""]
    if len(odd):
        yield Finding(
            "disagreements",
            "info",
            f"The client and the capture disagree about {plural(len(odd), 'figure')}",
            tuple(
                cite(
                    f"{row.what}: the client says {row.client_reported}, the capture shows {row.capture}",
                    "client_reported",
                )
                for row in rows_of(odd.head(5))
            ),
            who="client",
        )


RULES: Final = (
    client_gave_up,
    client_gap,
    client_notices,
    streams_rejected,
    client_busy,
    recorder_dropped,
    server_notices,
    disagreements,
)
