"""A report whose every text was written by an enemy, and whose numbers are as odd as their types allow."""

from __future__ import annotations

from support.report_content import usual
from support.tables import full, session_tables

from spicereplay.report import ReportContent

NASTY = (
    "<script>document.title='owned'</script><img src=x onerror=document.title='owned'>"
    "\u202egnp.exe\u2066\x00\x1b[31m\u2028 \"'&{{7*7}}</script><!--<style>*{display:none}</style>"
    + "\u0301"
    * 30
)


def hostile() -> ReportContent:
    """Return a report in which `NASTY` stands wherever text can."""
    nan, inf = float("nan"), float("inf")
    server = {"from": [NASTY, "server"]}
    tables = session_tables()
    tables |= {
        "streams": full(
            "streams",
            codec=[NASTY] * 3,
            end_cause=[NASTY] * 3,
            width=[2**32 - 1] * 3,
            created_s=[1, nan, 1e300],
            destroyed_s=[-5, inf, 3],
        ),
        "frames": full(
            "frames", codec=[NASTY] * 3, time_s=[1, 2, inf], decode_ms=[1e-9, 1e9, 3], backend=[NASTY] * 3
        ),
        "findings": full(
            "findings",
            code=[NASTY] * 2,
            severity=["critical", NASTY],
            title=[NASTY, "W" * 5000],
            time_s=[inf, 5],
            evidence=[[NASTY] * 30, []],
        ),
        "notifications": full(
            "notifications", time_s=[5], message=[NASTY], severity=[NASTY], origin=[NASTY], source=[NASTY]
        ),
        "defects": full("defects", kind=[NASTY], where=[NASTY], detail=["x" * 10_000], time_s=[-inf]),
        "gaps": full("gaps", channel=[NASTY] * 2, **server, time_s=[4, nan], cause=[NASTY] * 2),
        "channels": full("channels", channel=[NASTY], closed_by=[NASTY]),
        "bandwidth": full(
            "bandwidth",
            channel=[NASTY] * 2,
            **server,
            time_s=[1, 1e300],
            width_s=[1, 1e-300],
            bytes=[5000, 2],
        ),
        "agent": full("agent", type=[NASTY], outcome=[NASTY], time_s=[3], lag_ms=[inf]),
        "messages": full("messages", name=[NASTY], channel=[NASTY], size=[2**32 - 1]),
        "disagreements": full("disagreements", what=[NASTY], client_reported=[NASTY], capture=[NASTY]),
    }
    session = {
        "session": NASTY,
        "channels": [{"channel": NASTY, "client_caps": [NASTY], "server_caps": {NASTY: NASTY}}],
    }
    return usual(
        tables=tables,
        title=NASTY,
        source_name=NASTY,
        start_time_ns=2**70,
        verdict=NASTY,
        verdict_evidence=[NASTY],
        client_report=[(NASTY, [(NASTY, NASTY, "W" * 3000)])],
        method=[(NASTY, NASTY)],
        command_line=NASTY,
        options={NASTY: NASTY},
        screenshots=[(NASTY, b"<svg onload=alert(1)>", 1, 1)],
        sessions=[session],
        quality=[],
    )
