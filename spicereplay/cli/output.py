"""How results look on a terminal: plain aligned text, safe to show, easy to cut and grep."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from spicereplay.analysis.json import to_records
from spicereplay.analysis.schema import TABLES
from spicereplay.text import visible

if TYPE_CHECKING:
    import pandas as pd

    from spicereplay.analysis.verdict import Verdict
    from spicereplay.codecs.select import CodecBackends

MARKS = {"critical": "!!", "warn": " !", "info": "  ", "ok": "  "}


def print_json(value: Any) -> None:
    """Print one JSON document."""
    json.dump(value, sys.stdout, ensure_ascii=True, allow_nan=False, indent=2)
    sys.stdout.write("\n")


def print_rows(header: Sequence[str], rows: Iterable[Sequence[str]], right: Iterable[int] = ()) -> None:
    """Print text in columns, as wide as they need to be; `right` names the columns aligned to the right."""
    last = len(header) - 1
    cells = [
        list(header),
        *([visible(c, 400 if i == last else 80) for i, c in enumerate(row)] for row in rows),
    ]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
    to_right = set(right)
    for row in cells:
        line = "  ".join(
            c.rjust(w) if i in to_right else c.ljust(w)
            for i, (c, w) in enumerate(zip(row, widths, strict=True))
        )
        print(line.rstrip())


def print_table(name: str, frame: pd.DataFrame, columns: Sequence[str], empty: str) -> None:
    """Print some columns of a table, or the sentence `empty`."""
    if not len(frame):
        print(empty)
        return
    declared = {c.name: c for c in TABLES[name].columns}
    numeric = [
        i
        for i, c in enumerate(columns)
        if declared[c].dtype not in ("category", "str", "object", "bool", "boolean")
    ]
    print_rows(columns, ([_cell(r[c]) for c in columns] for r in to_records(name, frame)), numeric)


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.3f}"
    if isinstance(value, list):
        return "; ".join(map(str, value))
    return str(value)


def print_findings(verdict: Verdict, records: Iterable[Mapping[str, Any]]) -> None:
    """Print the verdict and every finding with its evidence."""
    print(visible(verdict.sentence))
    for finding in records:
        at = "" if finding["time_s"] is None else f"  ({finding['time_s']:.2f} s)"
        print(f"\n{MARKS[finding['severity']]} {visible(finding['title'])}{at}  [{finding['code']}]")
        for sentence in finding["evidence"]:
            print(f"     {visible(sentence)}")


def print_info(facts: Mapping[str, Any]) -> None:
    """Print sessions and channels."""
    for session in facts["sessions"]:
        known = "" if session.get("session_id") is None else f", id {session['session_id']}"
        seen = "handshake seen" if session["handshake"] else "handshake not captured"
        print(f"session {session['session']}{known}: {session['duration_s']:.2f} s, {seen}")
        print_rows(
            (
                "channel",
                "messages from server",
                "from client",
                "bytes from server",
                "from client",
                "gaps",
                "missing",
                "unparsed",
            ),
            (
                (
                    f"{c['channel']}/{c['channel_id']}",
                    str(c["messages_from_server"]),
                    str(c["messages_from_client"]),
                    str(c["bytes_from_server"]),
                    str(c["bytes_from_client"]),
                    str(c["gaps"]),
                    str(c["missing_bytes"]),
                    str(c["unparsed_bytes"]),
                )
                for c in session["channels"]
            ),
            range(1, 8),
        )
        for channel in session["channels"]:
            for sentence in channel.get("assumptions", ()):
                print(f"  {channel['channel']}/{channel['channel_id']}: {visible(sentence)}")
        print()
    others = facts.get("other", ())
    if others:
        from spicereplay.replay.identify import looks_like

        print("connections that are no SPICE, or whose SPICE cannot be read:")
        print_rows(
            (
                "client",
                "server",
                "looks like",
                "from s",
                "for s",
                "bytes from server",
                "from client",
                "sent again",
                "zero windows",
            ),
            (
                (
                    o["client"],
                    o["server"],
                    looks_like(o["what"]) + (f" ({visible(o['detail'])})" if o["detail"] else ""),
                    f"{o['start_s']:.2f}",
                    f"{o['duration_s']:.2f}",
                    str(o["bytes_from_server"]),
                    str(o["bytes_from_client"]),
                    str(o["retransmitted_bytes_from_server"] + o["retransmitted_bytes_from_client"]),
                    str(o["zero_windows_from_server"] + o["zero_windows_from_client"]),
                )
                for o in others
            ),
            range(3, 9),
        )


def print_doctor(found: Sequence[CodecBackends]) -> None:
    """Print every codec with its decoders; the first of a codec is the one that is used."""
    rows = [(b.codec, i.name, i.version or "–", "ready", i.detail) for b in found for i in b.available]
    rows += [(b.codec, m.name, "–", "missing", f"{m.why}; {m.how}") for b in found for m in b.missing]
    rows.sort(key=lambda row: [b.codec for b in found].index(row[0]))
    print_rows(("codec", "decoder", "version", "state", "detail"), rows)
