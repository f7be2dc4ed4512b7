"""What it comes to: findings, notifications, defects, and what the client itself reported."""

from __future__ import annotations

from typing import Final

from spicereplay.analysis.schema.declaration import SESSION, TIME, Table, column

TABLES: Final = (
    Table(
        "notifications",
        "what the server told the user (NOTIFY) and what the client told its user (bug reports)",
        (
            SESSION,
            TIME,
            column("origin", "category", "`server` or `client_reported`"),
            column("source", "category", "channel or subsystem that raised it"),
            column("severity", "category", "`info`, `warn` or `error`"),
            column("message", "str", "the text"),
            column("count", "int64", "repeats folded into one"),
        ),
    ),
    Table(
        "defects",
        "what was wrong with the input",
        (
            column("kind", "category", "the rule that was broken (`spicereplay.defects.DefectKind`)"),
            column("where", "str", "the place"),
            column("time_s", "float64", "capture time; NaN: none", "s"),
            column("position", "Int64", "byte offset within the place; null: none", "bytes"),
            column("detail", "str", "what was expected and what was found"),
        ),
    ),
    Table(
        "client_reported",
        "what the client's bug report says, one row per value, beside what the capture shows",
        (
            SESSION,
            column("member", "category", "file of the bug report"),
            column("path", "str", "path of the value within it, `streams_active[0].codec_type`"),
            column("value", "str", "the value as text; `null` where the client had none"),
        ),
    ),
    Table(
        "disagreements",
        "where the client's own figures and the capture differ",
        (
            SESSION,
            column("what", "str", "the quantity"),
            column("client_reported", "str", "what the client says"),
            column("capture", "str", "what the capture shows"),
            column("explanation", "str", "a known reason, or empty"),
        ),
    ),
    Table(
        "findings",
        "what went wrong, worst first",
        (
            column("code", "str", "stable name of the rule"),
            column("severity", "category", "`critical`, `warn` or `info`"),
            column("title", "str", "one sentence"),
            column("time_s", "float64", "when it began or was noticed; NaN: not at a time", "s"),
            column("evidence", "object", "list of sentences with figures and their source"),
        ),
    ),
)
