"""Writes bug-report zips in the form of ryll's newest revision, from the structures that reading them gives.

What the user typed, the scan codes in `recent_events`, is never written; whoever fills the rings keeps the keys out of
them. `channel` of `Contents` selects as it does in ryll: the state and the traffic of one channel, or of `all`.

Source: ryll-formats.md 2 to 8 and 15.2.
"""

from __future__ import annotations

import io
import platform
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Final

import msgspec

from spicereplay._version import __version__
from spicereplay.bugreport import report as names
from spicereplay.bugreport import schema
from spicereplay.bugreport.newest import blank, encode
from spicereplay.bugreport.ring import RING_BYTES, KeptTraffic
from spicereplay.bugreport.ring_pcap import pcap_chunks
from spicereplay.bugreport.schema import SNAPSHOTS
from spicereplay.bugreport.variants import ReportKind, ReportType, rust_value
from spicereplay.errors import OutputExistsError, UsageError
from spicereplay.protocol.enums import ChannelType
from spicereplay.units import NS_PER_S

ALL: Final = "all"
"""`Contents.channel` of a report about every channel."""
NO_RING: Final = frozenset({"webdav"})
"""Channels whose traffic ryll does not keep. Source: ryll-formats.md 2.4."""
_EARLIEST_ZIP: Final = (1980, 1, 1, 0, 0, 0)
"""Zips know no earlier date."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """Everything that a report says."""

    type: ReportType
    channel: str
    """The channel it is about, one of `SNAPSHOTS`, or `ALL`."""
    written_ns: int
    """When its state and traffic are from, UTC in ns since 1970."""
    uptime_s: float
    """The same on the connection's own clock."""
    triggered_ns: int | None = None
    """When it was asked for; None: at `written_ns`."""
    description: str = ""
    """Private: the user's words, or made up."""
    target_host: str = ""
    """Private."""
    target_port: int = 0
    session: schema.Session
    channels: Mapping[str, schema.ChannelSnapshot]
    """By name. What is not there is written as a channel that never connected."""
    notifications: Sequence[schema.Notification] = ()
    runtime: schema.RuntimeMetrics | None = None
    """None: not measured."""
    disconnect: schema.DisconnectCause | None = None
    """None: the report is not about one."""
    traffic: KeptTraffic | None = None
    """None: nothing was kept."""
    screenshot: bytes | None = None
    """A PNG file of the whole screen."""
    region_screenshot: bytes | None = None
    region: schema.Region | None = None
    """What `region_screenshot` shows."""


def report_name(contents: Contents) -> str:
    """Return the file name that ryll would give to the report. Source: ryll-formats.md 2.2."""
    told = contents.written_ns if contents.triggered_ns is None else contents.triggered_ns
    stamp = utc(told).replace(":", "-")
    match contents.type:
        case ReportType(kind=ReportKind.AUTO_SNAPSHOT):
            uptime = contents.uptime_s - (contents.written_ns - told) / NS_PER_S
            return f"ryll-auto-snapshot-{stamp}-T+{max(0.0, uptime):.1f}s.zip"
        case ReportType(kind=ReportKind.DISCONNECT, channel=str(channel)):
            return f"ryll-disconnect-{_safe(channel)}-{stamp}.zip"
        case ReportType(kind=ReportKind.PEDANTIC, gap_key=str(key)):
            return f"ryll-pedantic-{_safe(key)}-{stamp}.zip"
        case ReportType(kind=ReportKind.NOTIFICATION, notification_id=int(number), snapshot_state=state):
            return f"ryll-notification-{number}-{'atfire' if state == 'AtFire' else 'postevent'}-{stamp}.zip"
        case _:
            return f"ryll-bugreport-{stamp}.zip"


def write_report(path: Path, contents: Contents, *, force: bool = False) -> None:
    """Write a report to `path`; it is there whole or not at all.

    Raises `OutputExistsError` if there is a file already and not `force`, `UsageError` for contents that no report can
    have, and `OSError` where it cannot be written.
    """
    if not force and path.exists():
        raise OutputExistsError(f"{path} exists already")
    unfinished = path.with_name(f".{path.name}.part")
    try:
        with unfinished.open("wb") as file:
            write_report_to(file, contents)
        unfinished.replace(path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


def write_report_to(file: BinaryIO, contents: Contents) -> None:
    """Write a report to a seekable binary file. Raises `UsageError` for contents that no report can have."""
    if contents.channel not in (*SNAPSHOTS, ALL):
        known = ", ".join((*SNAPSHOTS, ALL))
        raise UsageError(f"no report can be about channel {contents.channel!r}; there are {known}")
    moment = datetime.fromtimestamp(contents.written_ns // NS_PER_S, UTC).timetuple()[:6]
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:

        def member(name: str) -> zipfile.ZipInfo:
            return zipfile.ZipInfo(name, max(moment, _EARLIEST_ZIP))

        archive.writestr(member(names.METADATA), encode(metadata_of(contents)))
        archive.writestr(member(names.SESSION), encode(_session(contents)))
        archive.writestr(member(names.CHANNEL_STATE), encode(_state(contents)))
        if contents.traffic is not None and contents.channel not in NO_RING:
            with archive.open(member(names.PCAP), "w", force_zip64=True) as pcap:
                for chunk in pcap_chunks(contents.traffic, _ring_channels(contents)):
                    pcap.write(chunk)
        pictures = (
            (names.SCREENSHOT, contents.screenshot),
            (names.REGION_SCREENSHOT, contents.region_screenshot),
        )
        for name, png in pictures:
            if png is not None:
                archive.writestr(member(name), png)
        archive.writestr(member(names.NOTIFICATIONS), encode(list(contents.notifications)))
        archive.writestr(member(names.RUNTIME), encode(contents.runtime or not_measured("not sampled")))
        if contents.disconnect is not None:
            archive.writestr(member(names.DISCONNECT), encode(contents.disconnect))


def report_bytes(contents: Contents) -> bytes:
    """Return a report as bytes. Raises as `write_report_to`."""
    file = io.BytesIO()
    write_report_to(file, contents)
    return file.getvalue()


def metadata_of(contents: Contents) -> schema.Metadata:
    """Return what `metadata.json` says. Source: ryll-formats.md 3."""
    told = contents.written_ns if contents.triggered_ns is None else contents.triggered_ns
    return schema.Metadata(
        ryll_version=f"spicereplay {__version__}",
        ryll_git_sha="unknown",
        platform_os=platform.system().lower(),
        platform_arch=platform.machine(),
        report_type=rust_value(contents.type),
        channel=contents.channel,
        description=contents.description,
        region=contents.region,
        timestamp=utc(contents.written_ns),
        target_host=contents.target_host,
        target_port=contents.target_port,
        session_uptime_secs=contents.uptime_s,
        triggered_at=utc(told),
        triggered_uptime_secs=contents.uptime_s - (contents.written_ns - told) / NS_PER_S,
    )


def not_measured(reason: str) -> schema.RuntimeMetrics:
    """Return what `runtime-metrics.json` says where the process was not looked at. Source: ryll-formats.md 7."""
    return schema.RuntimeMetrics(platform=platform.system().lower(), available=False, reason=reason)


def utc(time_ns: int) -> str:
    """Return a time as ryll writes it. Source: ryll-formats.md 1."""
    return datetime.fromtimestamp(time_ns // NS_PER_S, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _session(contents: Contents) -> schema.Session:
    return msgspec.structs.replace(contents.session, uptime_secs=contents.uptime_s)


def _state(contents: Contents) -> Any:
    """Return what `channel-state.json` says. Source: ryll-formats.md 2.5 and 5."""
    states = {name: contents.channels.get(name) or blank(kind) for name, kind in SNAPSHOTS.items()}
    if isinstance(inputs := states["inputs"], schema.InputsSnapshot):
        states["inputs"] = msgspec.structs.replace(inputs, recent_events=[])
    if contents.channel == ALL:
        return states
    if contents.type.kind is ReportKind.USB:
        return {}
    return states[contents.channel]


def _ring_channels(contents: Contents) -> set[ChannelType]:
    """Return the channels whose traffic is written. Source: ryll-formats.md 2.5."""
    if contents.channel == ALL:
        return set(RING_BYTES)
    return {ChannelType.from_label(contents.channel)}


def _safe(text: str) -> str:
    """Return text as ryll puts it into a file name. Source: ryll-formats.md 2.2."""
    hyphens = text.translate(str.maketrans(":/\\ ", "----"))
    return "".join(c if c.isascii() and (c.isalnum() or c in "_-.") else "_" for c in hyphens)
