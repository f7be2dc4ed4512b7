"""Running connections as the directory that `ryll --capture` writes: a pcap per channel.

It holds less than a pcapng: no link stage, no addresses, the time since the start alone, and only the channels that
ryll knows. Two connections of one channel follow each other without a mark. What ryll itself loses of long reads is
here: they are cut into pieces that fit. Source: ryll-formats.md 9 and 11.
"""

from __future__ import annotations

import json
import platform
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from spicereplay._version import __version__
from spicereplay.capture import ryll_frames
from spicereplay.errors import OutputExistsError, UsageError
from spicereplay.protocol.enums import ChannelType, Side
from spicereplay.protocol.link import LinkStatus, parse_link
from spicereplay.recording.rolling import Line
from spicereplay.recording.storage import BlockFile, Lost
from spicereplay.units import NS_PER_S

METADATA: Final = "metadata.json"
CHANNELS: Final = (
    ChannelType.MAIN,
    ChannelType.DISPLAY,
    ChannelType.CURSOR,
    ChannelType.INPUTS,
    ChannelType.USBREDIR,
)
"""Those that have a file, `<label>.pcap`, used or not. Source: ryll-formats.md 11.1."""


@dataclass(frozen=True, slots=True)
class RyllTarget:
    """Where the client was told to go, for `metadata.json`."""

    host: str = ""
    port: int = 0
    tls_port: int | None = None


@dataclass(eq=False, slots=True)
class _Channel:
    """One file and its flow."""

    file: BlockFile
    port: int
    """The client's."""
    sequence: dict[Side, int]


@dataclass(eq=False, slots=True)
class _Stage:
    """The link stage of a connection, which is not recorded but has to be known to find its end."""

    seen: dict[Side, bytearray] = field(default_factory=lambda: {side: bytearray() for side in Side})
    over: bool = False


class RyllDirectory:
    """Writes connections; called from one thread."""

    def __init__(self, path: Path, started_ns: int, target: RyllTarget, *, force: bool = False) -> None:
        self._path = path
        self._started_ns = started_ns
        self._channels: dict[ChannelType, _Channel] = {}
        self._stages: dict[Line, _Stage] = {}
        self._remarks: list[str] = []
        self._left_out: set[str] = set()
        try:
            path.mkdir(parents=True, exist_ok=True)
        except FileExistsError:
            raise UsageError(f"{path} is a file; a recording in ryll's form needs a directory") from None
        except OSError as error:
            raise UsageError(f"{path} cannot be made: {error.strerror}") from None
        if not force and (path / METADATA).exists():
            raise OutputExistsError(f"{path / METADATA} exists already; --force overwrites it")
        for channel in CHANNELS:
            file = BlockFile(path / f"{channel.label}.pcap", force=force)
            file.write(ryll_frames.FILE_HEADER)
            if lost := file.commit():
                raise UsageError(f"{file.path} cannot be written: {lost.reason}")
            sequence = {
                Side.CLIENT: ryll_frames.FIRST_FROM_CLIENT,
                Side.SERVER: ryll_frames.FIRST_FROM_SERVER,
            }
            self._channels[channel] = _Channel(file, ryll_frames.PORT_BASE + channel, sequence)
        (path / METADATA).write_text(_metadata(started_ns, target))

    # --- what happens to a connection ------------------------------------------------------------------

    def opened(self, line: Line, time_ns: int) -> None:
        """Begin a connection."""
        self._stages[line] = _Stage()
        if line.channel not in self._channels and line.label not in self._left_out:
            self._left_out.add(line.label)
            self._remarks.append(
                f"{line.label}: ryll's form has no file for this channel; it is not recorded"
            )

    def data(self, line: Line, side: Side, data: bytes, time_ns: int, comment: str) -> None:
        """Write bytes that a side sent, from the first message on."""
        stage = self._stages[line]
        if stage.over:
            self._unit(line, side, data, time_ns)
            return
        stage.seen[side] += data
        link = parse_link(bytes(stage.seen[Side.CLIENT]), bytes(stage.seen[Side.SERVER]))
        if link.status is LinkStatus.ESTABLISHED:
            stage.over = True
            for one, used in ((Side.SERVER, link.server_bytes), (Side.CLIENT, link.client_bytes)):
                self._unit(line, one, bytes(stage.seen[one][used:]), time_ns)
            stage.seen.clear()

    def gap(self, line: Line, side: Side, length: int) -> None:
        """Leave out bytes that a side sent; unlike ryll's own, their numbers are skipped."""
        if (channel := self._channel(line)) is not None:
            channel.sequence[side] += length

    def closed(self, line: Line, time_ns: int, by: Side, reset: bool) -> None:
        """End a connection: nothing in the file says so."""
        del self._stages[line]

    def remark(self, text: str, time_ns: int) -> None:
        """Pass over words: there is no place for them."""

    def commit(self) -> Lost | None:
        """Hand everything to the operating system; None, or what is lost for good: holes in the sequence."""
        found = [lost for one in self._channels.values() if (lost := one.file.commit())]
        if not found:
            return None
        return Lost(sum(lost.bytes for lost in found), sum(lost.blocks for lost in found), found[0].reason)

    def remarks(self) -> list[str]:
        """Return what else is to be told, and forget it."""
        told, self._remarks = self._remarks, []
        return told

    def close(self) -> None:
        """Close the files."""
        for channel in self._channels.values():
            channel.file.close()

    # --- parts -----------------------------------------------------------------------------------------

    def _channel(self, line: Line) -> _Channel | None:
        return None if line.channel is None else self._channels.get(line.channel)

    def _unit(self, line: Line, side: Side, data: bytes, time_ns: int) -> None:
        channel = self._channel(line)
        if channel is None:
            return
        for record in ryll_frames.records(
            channel.port,
            data,
            time_ns - self._started_ns,
            from_server=side is Side.SERVER,
            sequence=channel.sequence[side],
            acknowledgement=channel.sequence[side.other],
        ):
            channel.file.write(record)
        channel.sequence[side] += len(data)


def _metadata(started_ns: int, target: RyllTarget) -> str:
    started = datetime.fromtimestamp(started_ns // NS_PER_S, UTC)
    value = {
        "ryll_version": f"spicereplay {__version__}",
        "platform_os": platform.system().lower(),
        "platform_arch": platform.machine(),
        "target_host": target.host,
        "target_port": target.port,
        "target_tls_port": target.tls_port,
        "capture_started": started.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    return json.dumps(value, indent=2) + "\n"
