"""One bug report of ryll: what the client says of itself, and where its recording is.

Source: ryll-formats.md 2 to 8, 13 and 15.1.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO, Final, TypeVar

import msgspec

from spicereplay.bugreport import schema
from spicereplay.bugreport.clock import ConnectionClock, connection_clock
from spicereplay.bugreport.container import Container, Source, open_folder, open_zip, source_label
from spicereplay.bugreport.lenient import decode, read, unknown_members
from spicereplay.bugreport.revision import Revision, revision_of
from spicereplay.bugreport.schema import SNAPSHOTS
from spicereplay.bugreport.variants import ReportKind, ReportType, report_type
from spicereplay.defects import DefectKind, DefectLog
from spicereplay.errors import NotACaptureError
from spicereplay.limits import DEFAULT_LIMITS, Limits

T = TypeVar("T")

METADATA: Final = "metadata.json"
SESSION: Final = "session.json"
CHANNEL_STATE: Final = "channel-state.json"
PCAP: Final = "traffic.pcap"
SCREENSHOT: Final = "screenshot.png"
REGION_SCREENSHOT: Final = "screenshot-region.png"
NOTIFICATIONS: Final = "notifications.json"
RUNTIME: Final = "runtime-metrics.json"
DISCONNECT: Final = "disconnect-cause.json"

MEMBERS: Final = (
    METADATA,
    SESSION,
    CHANNEL_STATE,
    PCAP,
    SCREENSHOT,
    REGION_SCREENSHOT,
    NOTIFICATIONS,
    RUNTIME,
    DISCONNECT,
)
"""Every member a report can have, in the client's order. Source: ryll-formats.md 2.4."""

JSON_FILES: Final[Mapping[str, Any]] = {
    METADATA: schema.Metadata,
    SESSION: schema.Session,
    NOTIFICATIONS: list[schema.Notification],
    RUNTIME: schema.RuntimeMetrics,
    DISCONNECT: schema.DisconnectCause,
}
"""What each JSON file is read as; channel-state.json goes by `schema.SNAPSHOTS`."""

_PICTURES: Final = (SCREENSHOT, REGION_SCREENSHOT)
_PNG_START: Final = b"\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR"

_TELLING: Final[Mapping[str, frozenset[str]]] = {
    "display": frozenset({"recent_decodes", "image_cache_entries", "streams_active"}),
    "main": frozenset({"session_id", "keepalive_timeout_fired", "mm_time_now"}),
    "inputs": frozenset({"button_state", "motion_count", "recent_events"}),
    "cursor": frozenset({"cache_entries", "cache_contents"}),
    "playback": frozenset({"data_packets_received", "device_callbacks_total"}),
    "usbredir": frozenset({"redirected_devices", "device_connect_total"}),
    "webdav": frozenset({"http_requests_received", "active_session_count"}),
}
"""Fields that only this channel's state has, to know it by when metadata.json is lost."""


@dataclass(frozen=True, slots=True)
class Screenshot:
    """A picture of the report: the PNG file as it is, and the size its header gives (None: no PNG header)."""

    name: str
    png: bytes
    width: int | None
    height: int | None


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class BugReport:
    """One bug report, read. `metadata`, `session` and so on have None for whatever the file did not say.

    Private are `metadata.description` and `metadata.target_host` (`schema.FieldDoc.private` marks fields);
    `client_reported.rows` leaves them out. What was typed is not in `channels`, only in `plain_values()`.
    """

    source: Source
    label: str
    """What to call it in messages: its path."""
    container: Container
    members: tuple[str, ...]
    """Names of the report's files that are there, in the order of the zip."""
    missing: tuple[str, ...]
    """What this kind of report should have and does not."""
    unknown_files: tuple[str, ...]
    """Files that are no part of any known report; never opened."""
    unknown_fields: Mapping[str, tuple[str, ...]]
    """JSON members the declaration does not know: file to paths."""
    type: ReportType
    revision: Revision
    metadata: schema.Metadata
    session: schema.Session
    channels: Mapping[str, schema.ChannelSnapshot]
    """Channel name to state; empty where the report carries none (`Usb` reports never do)."""
    channel_paths: Mapping[str, str]
    """Channel name to where its state lies in channel-state.json: its name, or empty for the whole file."""
    notifications: tuple[schema.Notification, ...]
    runtime: schema.RuntimeMetrics | None
    disconnect: schema.DisconnectCause | None
    screenshots: tuple[Screenshot, ...]
    assumptions: tuple[str, ...]
    """What had to be assumed because the report does not say it, in words."""
    limits: Limits
    prefix: str = ""
    """The folder inside the zip that holds the report (a report that was unpacked and packed again)."""

    def __repr__(self) -> str:
        return f"BugReport({self.label!r}, {self.kind}, {self.revision.label})"

    @property
    def kind(self) -> ReportKind:
        """What made the client write it."""
        return self.type.kind

    @property
    def clock(self) -> ConnectionClock | None:
        """The mapping from connection-relative seconds to UTC."""
        return connection_clock(self.metadata, self.notifications)

    @property
    def uptime_s(self) -> float | None:
        """Connection-relative time of the report's state."""
        known = (self.metadata.session_uptime_secs, self.session.uptime_secs)
        return next((uptime for uptime in known if uptime is not None), None)

    def plain_values(self) -> dict[str, Any]:
        """Read the JSON files once more and return their values by file, **private ones included**.

        They are not kept: a directory of snapshots holds thousands of reports.
        """
        return _plain_values(self.container, self.prefix, self.members, self.limits, DefectLog())

    def channel_value(self, channel: str, values: Mapping[str, Any]) -> Any:
        """Return the state of one of `channel_paths` out of `plain_values()`; None where it is gone."""
        state = values.get(CHANNEL_STATE)
        path = self.channel_paths[channel]
        if not path:
            return state
        return state.get(path) if isinstance(state, dict) else None

    def open_pcap(self, defects: DefectLog) -> BinaryIO | None:
        """Return `traffic.pcap` as a binary file to be read from front to back; None where there is none.

        It ends after `Limits.zip_member_bytes`. The caller closes it.
        """
        if PCAP not in self.members:
            return None
        return self.container.open(self.prefix + PCAP, self.limits.zip_member_bytes, defects)


def read_report(source: Source, *, limits: Limits = DEFAULT_LIMITS, defects: DefectLog) -> BugReport:
    """Read a bug-report zip, or the folder one was unpacked into.

    `source` is a path or a seekable binary file, which then has to stay open. What is wrong inside becomes a
    defect. Raises `InputError` if it cannot be read at all and `NotACaptureError` if it holds no report.
    """
    container: Container
    if isinstance(source, Path) and source.is_dir():
        container = open_folder(source, limits=limits)
    else:
        container = open_zip(source, limits=limits, defects=defects)
    label = source_label(source)
    prefix = _prefix(container.names)
    members = tuple(name[len(prefix) :] for name in container.names if name.startswith(prefix))
    known = tuple(name for name in members if name in MEMBERS)
    if not known:
        raise NotACaptureError(f"{label}: no bug report: {_held(container.names)}")

    values = _plain_values(container, prefix, known, limits, defects)

    def typed(kind: type[T], name: str) -> T | None:
        return read(kind, values[name], name, defects) if name in values else None

    metadata = typed(schema.Metadata, METADATA) or schema.Metadata()
    if known == (METADATA,) and is_capture_metadata(values.get(METADATA)):
        raise NotACaptureError(f"{label}: a zipped --capture directory: unpack it and give the folder")
    assumptions: list[str] = []
    written = report_type(metadata.report_type)
    states = _states(values.get(CHANNEL_STATE), metadata, written, assumptions, defects)
    channels = {
        name: snapshot
        for name, (path, state) in states.items()
        if (snapshot := read(SNAPSHOTS[name], state, CHANNEL_STATE, defects, path)) is not None
    }
    if isinstance(inputs := channels.get("inputs"), schema.InputsSnapshot):
        channels["inputs"] = msgspec.structs.replace(inputs, recent_events=None)
    pictures = {
        name: container.read(prefix + name, limits.zip_image_bytes, defects)
        for name in _PICTURES
        if name in known
    }
    missing = _missing(known, written, metadata)
    for name in missing:
        if name not in _PICTURES:
            why = "; builds without the capture feature write none" if name == PCAP else ""
            defects.add(DefectKind.MEMBER_MISSING, label, f"{name} is missing{why}")
    return BugReport(
        source=source,
        label=label,
        container=container,
        members=known,
        missing=missing,
        unknown_files=tuple(name for name in container.names if name.removeprefix(prefix) not in known),
        unknown_fields=MappingProxyType(_unknown_fields(values, states, limits)),
        type=written,
        revision=revision_of(
            values.get(SESSION), {name: state for name, (_, state) in states.items()}, values.get(DISCONNECT)
        ),
        metadata=metadata,
        session=typed(schema.Session, SESSION) or schema.Session(),
        channels=MappingProxyType(channels),
        channel_paths=MappingProxyType({name: path for name, (path, _) in states.items()}),
        notifications=tuple(typed(list[schema.Notification], NOTIFICATIONS) or ()),
        runtime=typed(schema.RuntimeMetrics, RUNTIME),
        disconnect=typed(schema.DisconnectCause, DISCONNECT),
        screenshots=tuple(
            _screenshot(name, png, defects) for name, png in pictures.items() if png is not None
        ),
        assumptions=tuple(assumptions),
        limits=limits,
        prefix=prefix,
    )


def _plain_values(
    container: Container, prefix: str, members: tuple[str, ...], limits: Limits, defects: DefectLog
) -> dict[str, Any]:
    """Return file to plain value of the JSON files that are JSON."""
    values: dict[str, Any] = {}
    for name in members:
        if name.endswith(".json"):
            data = container.read(prefix + name, limits.zip_json_bytes, defects)
            value = None if data is None else decode(data, name, limits, defects)
            if value is not None:
                values[name] = value
    return values


def is_capture_metadata(value: Any) -> bool:
    """Whether a metadata.json is that of a `--capture` directory. Source: ryll-formats.md 15.1 (1)."""
    return isinstance(value, dict) and "capture_started" in value and "report_type" not in value


def _prefix(names: tuple[str, ...]) -> str:
    """Return the folder of the zip that holds most of a report's files, normally the top (empty)."""
    found: dict[str, int] = {"": 0}
    for name in names:
        folder, _, base = name.rpartition("/")
        if base in MEMBERS:
            prefix = f"{folder}/" if folder else ""
            found[prefix] = found.get(prefix, 0) + 1
    return max(found, key=lambda prefix: (found[prefix], -len(prefix)))


def _held(names: tuple[str, ...]) -> str:
    """Say what a zip holds instead of a report, and what to do."""
    shown = ", ".join(repr(name[:100]) for name in names[:5]) + (" …" if len(names) > 5 else "")
    inside = [name for name in names if name.lower().endswith((".zip", ".pcap", ".pcapng", ".gz"))]
    advice = (
        f"; unpack it and give {inside[0][:100]!r}" if inside else f"; a report has {METADATA} and {PCAP}"
    )
    return f"it holds {shown or 'nothing'}{advice}"


def _states(
    value: Any, metadata: schema.Metadata, written: ReportType, assumptions: list[str], defects: DefectLog
) -> dict[str, tuple[str, Any]]:
    """Return channel name to (path, plain state) of channel-state.json. Source: ryll-formats.md 2.5 and 5."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        defects.add(DefectKind.MEMBER_FIELD, CHANNEL_STATE, "the whole file: not an object")
        return {}
    if metadata.channel == "all" or any(isinstance(value.get(name), dict) for name in SNAPSHOTS):
        return {name: (name, value[name]) for name in SNAPSHOTS if value.get(name)}
    if not value:
        return {}
    if metadata.channel in SNAPSHOTS:
        return {metadata.channel: ("", value)}
    if written.kind is ReportKind.DISCONNECT:
        return {"main": ("", value)}
    for name, telling in _TELLING.items():
        if not telling.isdisjoint(value):
            assumptions.append(f"{CHANNEL_STATE} is taken for that of the {name} channel by its fields")
            return {name: ("", value)}
    assumptions.append(f"{CHANNEL_STATE} is not used: nothing says which channel it is of")
    return {}


def _missing(known: tuple[str, ...], written: ReportType, metadata: schema.Metadata) -> tuple[str, ...]:
    """Return what a report of this type should have and has not. Source: ryll-formats.md 2.4."""
    due = [METADATA, SESSION, CHANNEL_STATE]
    if "webdav" not in (metadata.channel, written.channel):
        due.append(PCAP)
    if written.kind is ReportKind.DISPLAY:
        due.append(SCREENSHOT)
        if metadata.region is not None and not metadata.region.is_empty:
            due.append(REGION_SCREENSHOT)
    due += [NOTIFICATIONS, RUNTIME]
    if written.kind is ReportKind.DISCONNECT:
        due.append(DISCONNECT)
    return tuple(name for name in due if name not in known)


def _screenshot(name: str, png: bytes, defects: DefectLog) -> Screenshot:
    if not png.startswith(_PNG_START) or len(png) < len(_PNG_START) + 8:
        defects.add(DefectKind.FILE_DAMAGED, name, "does not begin like a PNG file")
        return Screenshot(name, png, None, None)
    width, height = struct.unpack_from(">2I", png, len(_PNG_START))
    return Screenshot(name, png, width, height)


def _unknown_fields(
    values: Mapping[str, Any], states: Mapping[str, tuple[str, Any]], limits: Limits
) -> dict[str, tuple[str, ...]]:
    kinds: tuple[tuple[str, Any, str, Any], ...] = (
        *((name, kind, "", values.get(name)) for name, kind in JSON_FILES.items()),
        *((CHANNEL_STATE, SNAPSHOTS[channel], path, state) for channel, (path, state) in states.items()),
    )
    found: dict[str, list[str]] = {}
    for name, kind, path, value in kinds:
        paths = list(islice(unknown_members(kind, value, path), limits.json_items))
        if paths:
            found.setdefault(name, []).extend(paths)
    return {name: tuple(paths) for name, paths in found.items()}
