"""What ryll's newest revision (G3) writes: which fields there are, and what they say before anything has happened.

`schema` declares every field that any revision ever wrote, all of them optional. A writer has to know two things more:
which of them are gone by now, and which may be null.

Source: ryll-formats.md 1 and 3 to 8.
"""

from __future__ import annotations

import math
from typing import Any, Final, TypeVar, get_args

import msgspec
from msgspec import Struct

from spicereplay.bugreport import schema
from spicereplay.bugreport.schema import fields_of

S = TypeVar("S", bound=Struct)

GONE: Final[dict[type[Struct], frozenset[str]]] = {
    schema.MainSnapshot: frozenset({"client_keepalive_send_count", "last_client_keepalive_send_ts_secs"}),
}
"""Fields that older revisions wrote. Source: ryll-formats.md 1 and 5.7."""

OFTEN_NULL: Final = frozenset(
    {
        "agent_starved_since_ts_secs",
        "current_session",
        "destroyed_at_secs",
        "error_kind",
        "last_agent_reply_lag_us",
        "last_latency_ms",
        "last_mute",
        "last_unknown_opcode",
        "region",
        "secs_since_last_key",
        "server_mouse_mode",
        "session_id",
        "visibility",
    }
)
"""Fields that are null until there is something to say; so are the times of what was last (`last_…`).

Source: ryll-formats.md 3 to 8.
"""

_SHAPES: Final = {False: ("sample_window_ms", "process", "threads"), True: ("available", "reason")}
"""Fields that `runtime-metrics.json` lacks: measured or not, it has one of two shapes. Source: ryll-formats.md 7."""


def blank(kind: type[S], **known: Any) -> S:
    """Return a structure of `schema` as the client writes it before anything has happened, but for what is known.

    Counters are 0, lists are empty. Raises `TypeError` for a field that it does not have.
    """
    values = {field.name: _nothing(field.name, field.type) for field in fields_of(kind)}
    return kind(**(values | known))


def plain(value: Any) -> Any:
    """Return the JSON value of a structure of `schema`, of a list or a dict of them, as the newest revision has it.

    Numbers that are not finite become null. Source: ryll-formats.md 1.
    """
    if isinstance(value, Struct):
        names = [field.name for field in fields_of(type(value))]
        left_out = set(GONE.get(type(value), ()))
        if isinstance(value, schema.RuntimeMetrics):
            left_out.update(_SHAPES[value.process is not None])
        return {name: plain(getattr(value, name)) for name in names if name not in left_out}
    if isinstance(value, dict):
        return {name: plain(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def encode(value: Any) -> bytes:
    """Return `plain(value)` as JSON with an indentation of two. Source: ryll-formats.md 1."""
    return msgspec.json.format(msgspec.json.encode(plain(value)), indent=2)


def _nothing(name: str, declared: Any) -> Any:
    """Return what a field says before anything has happened."""
    bare = next(option for option in get_args(declared) if option is not type(None))
    bare = getattr(bare, "__origin__", bare)
    if name in OFTEN_NULL or issubclass(bare, Struct) or (bare is float and name.startswith("last_")):
        return None
    return bare()
