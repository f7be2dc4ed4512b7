"""Running connections as pcapng: one file, or one after the other so that the first can go away.

Each file can be read alone: connections that go on in a later file are opened there again, with their link stage and
with the beginning of the message each side was in the middle of; a comment says so.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from spicereplay.capture.connection import Endpoint
from spicereplay.capture.frames import marker_frame
from spicereplay.capture.writer import PcapngWriter
from spicereplay.errors import SpiceReplayError, UsageError
from spicereplay.limits import DEFAULT_LIMITS, Limits
from spicereplay.protocol.enums import ChannelType, Side
from spicereplay.recording.opened_again import OpenedAgain
from spicereplay.recording.sessions import DOCUMENTATION_CLIENT, DOCUMENTATION_SERVER
from spicereplay.recording.storage import BlockFile, Lost
from spicereplay.recording.synthetic_tcp import MOST_GAP_BYTES, SyntheticTcp
from spicereplay.units import NS_PER_S

REMARK: Final = "spicereplay: a remark, see the packet's comment"
"""What a packet says that only carries a comment."""
CONTINUED: Final = "continued"
"""What the comment of a connection begins with that began in an earlier file."""
_SEQUENCE_STEP: Final = 0x3C6EF372
"""Between the first sequence numbers of one connection and the next, so that no two are mistaken for one."""
_RETRY_NS: Final = NS_PER_S
"""Between two attempts to begin a file on a disk that refuses."""


@dataclass(frozen=True, slots=True)
class Rotation:
    """When a new file begins; what comes first counts."""

    bytes: int | None = None
    seconds: float | None = None


@dataclass(eq=False, slots=True)
class Line:
    """One connection, as it is recorded."""

    number: int
    client: Endpoint
    server: Endpoint
    label: str
    channel: ChannelType | None = None


@dataclass(eq=False, slots=True)
class _Open:
    """A connection in the present file."""

    line: Line
    tcp: SyntheticTcp
    again: OpenedAgain
    begins_at: int
    """The file's block in which it begins; -1: that one was lost."""
    comment: str = ""
    """For its next packet."""


@dataclass(eq=False, slots=True)
class _Part:
    """One file."""

    file: BlockFile
    writer: PcapngWriter
    began_ns: int | None = None
    taken: set[tuple[Endpoint, Endpoint]] = field(default_factory=set)


class PcapngFiles:
    """Writes connections; called from one thread. With `rotation`, `path` is a directory."""

    def __init__(
        self,
        path: Path,
        *,
        rotation: Rotation | None = None,
        force: bool = False,
        interface: str = "",
        comment: str = "",
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        self._path = path
        self._rotation = rotation
        self._force = force
        self._interface = interface
        self._comment = comment
        self._limits = limits
        self._open: dict[Line, _Open] = {}
        self._remarks: list[str] = []
        self._number = 0
        self._no_sooner_ns = 0
        if rotation is not None:
            _make_directory(path)
        self._lost: Lost | None = None
        """What the end of the file before lost, not told yet."""
        self._part = self._begin("")

    @property
    def path(self) -> Path:
        """The file that is written now."""
        return self._part.file.path

    # --- what happens to a connection ------------------------------------------------------------------

    def opened(self, line: Line, time_ns: int) -> None:
        """Begin a connection."""
        self._start(line, OpenedAgain(self._limits), time_ns, line.label)

    def data(self, line: Line, side: Side, data: bytes, time_ns: int, comment: str) -> None:
        """Write bytes that a side sent."""
        self._turn(time_ns)
        if self._open[line].begins_at < 0:
            self._again(self._open[line], time_ns)
        held = self._open[line]
        comment = "; ".join(text for text in (held.comment, comment) if text)
        held.comment = ""
        held.tcp.data(side, data, time_ns, comment)
        held.again.take(side, data)

    def gap(self, line: Line, side: Side, length: int) -> None:
        """Leave out bytes that a side sent."""
        held = self._open[line]
        for start in range(0, length, MOST_GAP_BYTES):
            held.tcp.gap(side, min(MOST_GAP_BYTES, length - start))
        held.again.lose(side)
        held.comment = f"{length:,} bytes from the {side} are missing before this: not recorded in time"

    def closed(self, line: Line, time_ns: int, by: Side, reset: bool) -> None:
        """End a connection."""
        self._open.pop(line).tcp.close(time_ns, by, reset=reset)

    def remark(self, text: str, time_ns: int) -> None:
        """Write words that belong to no connection."""
        self._part.writer.write(marker_frame(REMARK), time_ns, comment=text)

    def commit(self) -> Lost | None:
        """Hand everything to the operating system; None, or what is lost for good.

        What is lost has its place in the sequence numbers. A connection whose beginning is lost begins anew.
        """
        lost, self._lost = self._lost, None
        now = self._written()
        if lost is None or now is None:
            return lost or now
        return Lost(lost.bytes + now.bytes, lost.blocks + now.blocks, now.reason)

    def remarks(self) -> list[str]:
        """Return what else is to be told, and forget it."""
        told, self._remarks = self._remarks, []
        return told

    def close(self) -> None:
        """Close the file."""
        self._part.file.close()

    # --- files -----------------------------------------------------------------------------------------

    def _written(self) -> Lost | None:
        """Hand the present file's blocks to the operating system."""
        part = self._part
        lost = part.file.commit()
        if lost is not None:
            for held in self._open.values():
                if held.begins_at >= part.file.blocks:
                    held.begins_at = -1
                else:
                    held.comment = f"bytes are missing before this: writing failed ({lost.reason})"
        return lost

    def _begin(self, before: str) -> _Part:
        """Begin a file whose head is written. Raises as `BlockFile` does."""
        path = self._path
        if self._rotation is not None:
            path = path / f"{self._number + 1:06}.pcapng"
        file = BlockFile(path, force=self._force)
        words = "decrypted; every channel is a TCP connection made up around its bytes; tickets are zeroed"
        follows = f"continues {before}; what the screen showed at its end is not repeated" if before else ""
        comment = "; ".join(text for text in (self._comment, words, follows) if text)
        writer = PcapngWriter(file, interface=self._interface, comment=comment)
        if lost := file.commit():
            file.close()
            if self._rotation is not None:
                path.unlink(missing_ok=True)
            raise UsageError(f"{path} cannot be written: {lost.reason}")
        self._number += 1
        return _Part(file, writer)

    def _turn(self, time_ns: int) -> None:
        """Begin the next file if it is time, and if this one could be finished: a full disk takes no other one."""
        part, rotation = self._part, self._rotation
        if part.began_ns is None:
            part.began_ns = time_ns
        if rotation is None or time_ns < self._no_sooner_ns:
            return
        full = rotation.bytes is not None and part.file.taken >= rotation.bytes
        old = rotation.seconds is not None and time_ns - part.began_ns >= rotation.seconds * NS_PER_S
        if not (full or old):
            return
        try:
            if (lost := self._written()) is not None:
                self._lost = lost
                self._no_sooner_ns = time_ns + _RETRY_NS
                return
            following = self._begin(part.file.path.name)
        except SpiceReplayError as error:
            self._remarks.append(f"no new file can be begun: {error}")
            self._no_sooner_ns = time_ns + _RETRY_NS
            return
        self._part = following
        following.began_ns = time_ns
        part.file.close()
        for held in list(self._open.values()):
            self._again(held, time_ns)

    def _again(self, held: _Open, time_ns: int) -> None:
        """Open a connection again in the present file."""
        words = f"{CONTINUED}: {held.line.label}; its link stage is repeated, what followed it came before"
        self._start(held.line, held.again, time_ns, words)
        tcp = self._open[held.line].tcp
        for side, data in held.again.opening():
            tcp.data(side, data, time_ns)

    def _start(self, line: Line, again: OpenedAgain, time_ns: int, comment: str) -> None:
        part = self._part
        ends = _endpoints(line, part.taken)
        part.taken.add(ends)
        first = (line.number * _SEQUENCE_STEP + self._number) & 0xFFFFFFFF
        tcp = SyntheticTcp(part.writer, *ends, first, first ^ 0x5A000000)
        self._open[line] = _Open(line, tcp, again, part.file.next_block)
        tcp.open(time_ns, comment)


def _make_directory(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise UsageError(f"{path} is a file; files that follow each other need a directory") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be made: {error.strerror}") from None


def _endpoints(line: Line, taken: set[tuple[Endpoint, Endpoint]]) -> tuple[Endpoint, Endpoint]:
    """Return the ends of a connection: its own where they are addresses, and never those of another one."""
    client, server = line.client, line.server
    if (version := _version(client)) is None or version != _version(server):
        client, server = DOCUMENTATION_CLIENT, DOCUMENTATION_SERVER
    while (client, server) in taken:
        client = Endpoint(client.address, client.port % 0xFFFF + 1)
    return client, server


def _version(end: Endpoint) -> int | None:
    try:
        return ipaddress.ip_address(end.address.partition("%")[0]).version
    except ValueError:
        return None
