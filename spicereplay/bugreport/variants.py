"""The enums of Rust that ryll writes as JSON: a bare name, or an object of one key that holds the fields.

Source: ryll-formats.md 2.5 and 6. Variants that are not known here are ordinary.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final


class ReportKind(StrEnum):
    """What made the client write a report. Source: ryll-formats.md 2.5."""

    DISPLAY = "display"
    INPUT = "input"
    CURSOR = "cursor"
    CONNECTION = "connection"
    USB = "usb"
    PEDANTIC = "pedantic"
    DISCONNECT = "disconnect"
    NOTIFICATION = "notification"
    AUTO_SNAPSHOT = "auto_snapshot"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportType:
    """`metadata.report_type` with what its variant carries."""

    kind: ReportKind
    written: str
    """The variant's name as written; empty where there is none."""
    gap_key: str | None = None
    """Pedantic: what the client cannot do, `channel:category:detail`."""
    channel: str | None = None
    """Disconnect: the channel that noticed."""
    notification_id: int | None = None
    """Notification: the `Notification.id`."""
    snapshot_state: str | None = None
    """Notification: `AtFire` (the traffic is that of the moment) or `PostEventOnly`."""


_KINDS: Final = {
    "Display": ReportKind.DISPLAY,
    "Input": ReportKind.INPUT,
    "Cursor": ReportKind.CURSOR,
    "Connection": ReportKind.CONNECTION,
    "Usb": ReportKind.USB,
    "Pedantic": ReportKind.PEDANTIC,
    "Disconnect": ReportKind.DISCONNECT,
    "Notification": ReportKind.NOTIFICATION,
    "AutoSnapshot": ReportKind.AUTO_SNAPSHOT,
}


def variant(value: str | dict[str, Any] | None) -> tuple[str, dict[str, Any]]:
    """Split an enum of Rust as serde writes it, a name or `{name: fields}`, into name and fields."""
    if isinstance(value, str):
        return value, {}
    if not value:
        return "", {}
    name, fields = next(iter(value.items()))
    return name, fields if isinstance(fields, dict) else {}


def report_type(value: str | dict[str, Any] | None) -> ReportType:
    """Read `metadata.report_type`; a variant not known here is `UNKNOWN`."""
    name, fields = variant(value)
    number = fields.get("notification_id")
    return ReportType(
        kind=_KINDS.get(name, ReportKind.UNKNOWN),
        written=name,
        gap_key=_text(fields.get("gap_key")),
        channel=_text(fields.get("channel")),
        notification_id=number if isinstance(number, int) and not isinstance(number, bool) else None,
        snapshot_state=_text(fields.get("snapshot_state")),
    )


def rust_value(type: ReportType) -> str | dict[str, Any]:
    """Return `metadata.report_type` as ryll writes it; the inverse of `report_type`."""
    fields = {
        ReportKind.PEDANTIC: {"gap_key": type.gap_key},
        ReportKind.DISCONNECT: {"channel": type.channel},
        ReportKind.NOTIFICATION: {
            "notification_id": type.notification_id,
            "snapshot_state": type.snapshot_state,
        },
    }.get(type.kind)
    return type.written if fields is None else {type.written: fields}


def type_of_kind(kind: ReportKind, **carried: Any) -> ReportType:
    """Return the type of a report to be written, with what its variant carries."""
    written = next((name for name, known in _KINDS.items() if known is kind), "")
    return ReportType(kind=kind, written=written, **carried)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
