"""Which revision of ryll wrote a report, told by the fields it has: there is no version number.

Source: ryll-formats.md 1 (labels, "schema detection by presence"), 5.2, 5.7 and 8.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

LABELS: Final = ("G0", "G1", "G2", "G3")
"""The labels of ryll-formats.md 1, oldest first."""


@dataclass(frozen=True, slots=True)
class Revision:
    """What the fields prove: at least `label`, and at most `newest` as far as their absence counts."""

    label: str
    newest: str
    evidence: tuple[str, ...]
    """The fields that prove `label` and those whose absence bounds `newest`, in words."""


_SESSION_FIELDS: Final = {"auto_snapshots_saved": "G1"}
_CHANNEL_FIELDS: Final[Mapping[str, Mapping[str, str]]] = {
    "display": {
        "streams_active": "G1",
        "streams_created_total": "G1",
        "decode_total_count": "G1",
        "streams_rejected_total": "G2",
        "messages_recv_by_opcode": "G2",
    },
    "main": {
        "agent_request_count": "G1",
        "mm_time_set_count": "G1",
        "messages_recv_by_opcode": "G1",
        "agent_tokens": "G3",
        "events_dropped_count": "G3",
        "server_mouse_mode": "G3",
    },
    "inputs": {"messages_recv_by_opcode": "G1"},
    "cursor": {"messages_recv_by_opcode": "G1"},
    "playback": {"messages_recv_by_opcode": "G1", "start_count": "G1"},
    "usbredir": {"messages_recv_by_opcode": "G1", "redirected_devices": "G1"},
    "webdav": {"messages_recv_by_opcode": "G1", "http_requests_received": "G1"},
}


def revision_of(session: Any, channels: Mapping[str, Any], cause: Any) -> Revision:
    """Return the revision that session.json, each channel's state and disconnect-cause.json, as read, prove.

    A later field outweighs the absence of an earlier one: reports with members cut out are common enough.
    """
    present: dict[str, list[str]] = {}
    absent: dict[str, list[str]] = {}
    for member, value, marks in (
        ("session.json", session, _SESSION_FIELDS),
        *((f"channel-state.json {name}", state, _CHANNEL_FIELDS[name]) for name, state in channels.items()),
    ):
        if not isinstance(value, dict) or not value:
            continue
        for field, label in marks.items():
            (present if field in value else absent).setdefault(label, []).append(f"{member}: {field}")
    if (count := _keepalive_is_null(cause)) is not None:
        side = present if count else absent
        side.setdefault("G2", []).append("disconnect-cause.json: client_keepalive_send_count null")
    label = max(present, default="G0")
    evidence = [f"{name} (since {label})" for name in present.get(label, ())]
    newest = "G3"
    for first_lacking in sorted(absent):
        # Only when a revision brought several fields and none is there does their absence say anything.
        if first_lacking > label and first_lacking not in present:
            newest = LABELS[LABELS.index(first_lacking) - 1]
            evidence += [f"no {name} (since {first_lacking})" for name in absent[first_lacking]]
            break
    return Revision(label, newest, tuple(evidence))


def _keepalive_is_null(cause: Any) -> bool | None:
    """Whether a channel without the mechanism says null (from G2) or 0; None where nothing says."""
    channels = cause.get("per_channel") if isinstance(cause, dict) else None
    if not isinstance(channels, dict):
        return None
    counts = [
        state["client_keepalive_send_count"]
        for name, state in channels.items()
        if name != "inputs" and isinstance(state, dict) and "client_keepalive_send_count" in state
    ]
    return None in counts if counts else None
