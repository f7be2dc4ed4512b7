"""Observed sessions as one pcapng that any tool reads: what was said, without how it travelled.

Each channel is a TCP connection of its own: opened, with a handshake, its messages at their original times, each
beginning in a segment of its own. Encryption, WebSocket, tunnels, retransmissions and reordering are gone; missing
bytes are missing here, too.
"""

from __future__ import annotations

import heapq
import ipaddress
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np

from spicereplay.capture.connection import Endpoint
from spicereplay.capture.frames import marker_frame
from spicereplay.capture.writer import PcapngWriter
from spicereplay.limits import DEFAULT_LIMITS, Limits
from spicereplay.protocol.enums import Side
from spicereplay.protocol.framing import FULL_HEADER_BYTES
from spicereplay.protocol.index import WINDOW_BYTES
from spicereplay.recording.handshake import Step, opening_of
from spicereplay.recording.script import ChannelScript, Inserted, Lane, script_of
from spicereplay.recording.synthetic_tcp import MOST_GAP_BYTES, SyntheticTcp
from spicereplay.recording.whole_file import whole_file
from spicereplay.session.log import ChannelLog, SessionLog

Progress = Callable[[str, int, int], None]

ORIGIN: Final = "spicereplay: from here the original recording counts its seconds"
"""What the packet says that stands for the beginning of the recording."""
SYNTHETIC: Final = "synthetic handshake"
"""What the comment of a handshake begins with that the capture lacks."""
DOCUMENTATION_CLIENT: Final = Endpoint("192.0.2.1", 49_152)
DOCUMENTATION_SERVER: Final = Endpoint("192.0.2.2", 5930)
"""Stand in where no address is known. Source: RFC 5737 (TEST-NET-1), RFC 6335 6 (dynamic ports). 5930 is the port of
the examples in the manuals of SPICE; on 5900 Wireshark would see VNC."""
_VNC_PORTS: Final = (5500, 5501, 5900, 5901)
"""Ports that Wireshark 4.0 takes for VNC whatever is said there. Source: wireshark epan/dissectors/packet-vnc.c."""
_SEQUENCE_STEP: Final = 0x3C6EF372
"""Between the first sequence numbers of one connection and the next, so that connections on the same ports differ."""
_TELL_EVERY: Final = 4096


@dataclass(frozen=True, slots=True)
class Remark:
    """Words about a moment; they become the comment of the first packet then or later."""

    time_ns: int
    """Capture time of the sessions written."""
    text: str


@dataclass(frozen=True, slots=True)
class Written:
    """What a capture that was written holds."""

    path: Path
    bytes: int
    packets: int
    sessions: int
    channels: int
    messages: int
    """Sub-messages are within those that carry them."""
    partial: int
    """Messages of which bytes are missing."""
    holes: int
    """Places between messages where bytes are missing."""
    inserted: int
    """Messages that nobody sent (excerpts have them)."""
    synthetic: tuple[str, ...]
    """Channels whose handshake is made up, as `session 0 display/0`."""
    left_out: tuple[str, ...] = ()
    """Channels of which there is neither a handshake nor a message."""
    vnc_ports: tuple[int, ...] = ()
    """Server ports on which Wireshark sees VNC unless it is told otherwise."""


def write_sessions(
    path: Path,
    sessions: Sequence[SessionLog],
    *,
    utc_offset_ns: int = 0,
    limits: Limits = DEFAULT_LIMITS,
    progress: Progress | None = None,
    origin_ns: int | None = None,
    comments: bool = True,
    remarks: Sequence[Remark] = (),
) -> Written:
    """Write observed sessions as a pcapng, in the clear, and say what was written.

    `utc_offset_ns` is added to every time (`Replay.utc_offset_ns`). `origin_ns` is the moment that seconds are counted
    from (`Replay.start_time_ns`): where it is given and lies before all else, a packet of no protocol stands for it,
    so that seconds mean the same in both captures. `comments` tells in packet comments what is made
    up or missing; what is made up is told in the comment of the section in any case. Messages with more than
    `limits.message_bytes` were never observed, so nothing is left to bound here but the holes. A `path` that exists is
    replaced. Raises `OSError` where it cannot be written, `UsageError` for times before 1970.
    """
    scripts = [[script_of(log, session.session_id) for log in session.channels] for session in sessions]
    return write_scripts(
        path,
        scripts,
        utc_offset_ns=utc_offset_ns,
        limits=limits,
        progress=progress,
        origin_ns=origin_ns,
        comments=comments,
        remarks=remarks,
    )


def write_scripts(
    path: Path,
    scripts: Sequence[Sequence[ChannelScript]],
    *,
    utc_offset_ns: int = 0,
    limits: Limits = DEFAULT_LIMITS,
    progress: Progress | None = None,
    origin_ns: int | None = None,
    comments: bool = True,
    remarks: Sequence[Remark] = (),
    about: str = "",
) -> Written:
    """Write the channels of sessions as their scripts say; the rest is as in `write_sessions`.

    `about` is put at the front of the comment of the section.
    """
    channels = [
        _Channel(number, script, comments, limits)
        for number, session in enumerate(scripts)
        for script in session
    ]
    left_out = tuple(c.name for c in channels if c.empty)
    channels = [channel for channel in channels if not channel.empty]
    for n, (channel, ends) in enumerate(zip(channels, _endpoints(channels), strict=True)):
        channel.connect_as(*ends, n * _SEQUENCE_STEP)
    with whole_file(path) as file:
        writer = _Remarking(file, comment=_section_comment(channels, about))
        writer.expect(remarks, utc_offset_ns)
        begins = min((channel.script.log.start_time_ns for channel in channels), default=None)
        if origin_ns is not None and begins is not None and origin_ns < begins:
            writer.write(marker_frame(ORIGIN), origin_ns + utc_offset_ns, comment=ORIGIN)
        total = sum(channel.script.messages for channel in channels)
        ordered = heapq.merge(*(channel.events() for channel in channels), key=lambda event: event.time_ns)
        for done, event in enumerate(ordered, 1):
            event.write(writer, event.time_ns + utc_offset_ns)
            if progress is not None and done % _TELL_EVERY == 0:
                progress("writing", min(done, total), total)
    return Written(
        path=path,
        bytes=writer.bytes_written,
        packets=writer.packets,
        sessions=len({channel.session for channel in channels}),
        channels=len(channels),
        messages=sum(channel.script.messages for channel in channels),
        partial=sum(channel.partial for channel in channels),
        holes=sum(channel.holes for channel in channels),
        inserted=sum(len(channel.script.inserted) for channel in channels),
        synthetic=tuple(channel.name for channel in channels if channel.made_up),
        left_out=left_out,
        vnc_ports=_vnc_ports(channels),
    )


def _section_comment(channels: Sequence[_Channel], about: str) -> str:
    made_up = [channel.name for channel in channels if channel.made_up]
    lines = [about] if about else []
    lines.append(
        "SPICE sessions in the clear, written by spicereplay: one TCP connection per channel, each message in segments "
        "of its own, at the time it was complete. Ethernet, IP and TCP headers are made up; missing bytes are skipped "
        "sequence numbers. Tickets are zero bytes."
    )
    if made_up:
        lines.append(
            f"{SYNTHETIC}s (the recording lacks them; capabilities are those the messages prove): {', '.join(made_up)}"
        )
    if ports := _vnc_ports(channels):
        lines.append(decode_as(ports))
    return "\n".join(lines)


def _vnc_ports(channels: Sequence[_Channel]) -> tuple[int, ...]:
    return tuple(sorted({channel.server_port for channel in channels} & set(_VNC_PORTS)))


def decode_as(ports: Sequence[int]) -> str:
    """Say how Wireshark is told what is spoken on `Written.vnc_ports`."""
    options = " ".join(f"-d tcp.port=={port},spice" for port in ports)
    return f"Wireshark takes the server's port for VNC: decode it as SPICE (tshark {options})"


class _Remarking(PcapngWriter):
    """A writer that hangs remarks on the packets at their times."""

    _remarks: list[tuple[int, str]]

    def expect(self, remarks: Iterable[Remark], offset_ns: int) -> None:
        """Take what is to be said, latest last."""
        self._remarks = sorted(((r.time_ns + offset_ns, r.text) for r in remarks), reverse=True)

    def write(
        self, packet: bytes, time_ns: int, *, comment: str = "", wire_length: int | None = None
    ) -> None:
        said = [comment] if comment else []
        while self._remarks and self._remarks[-1][0] <= time_ns:
            said.append(self._remarks.pop()[1])
        super().write(packet, time_ns, comment="\n".join(said), wire_length=wire_length)


@dataclass(frozen=True, slots=True)
class _Event:
    """Something to be written for one channel."""

    time_ns: int
    write: Callable[[PcapngWriter, int], None]


@dataclass(slots=True, eq=False)
class _Channel:
    """One channel on its way into the file."""

    session: int
    script: ChannelScript
    comments: bool
    limits: Limits
    tcp: SyntheticTcp | None = None
    partial: int = 0
    holes: int = 0
    empty: bool = field(init=False)
    steps: list[Step] = field(default_factory=list)
    """The handshake."""
    _ends: tuple[Endpoint, Endpoint, int] = (DOCUMENTATION_CLIENT, DOCUMENTATION_SERVER, 0)
    _read: dict[Side, tuple[int, int]] = field(default_factory=dict)
    """Positions of the stream: since which memory is held, and from which on it is given back."""

    def __post_init__(self) -> None:
        log = self.script.log
        self.empty = log.link is None and not len(log.server) and not len(log.client)
        if not self.empty:
            self.steps = opening_of(log, self.script.session_id)

    @property
    def made_up(self) -> bool:
        """Whether any of the handshake is not the capture's."""
        return any(step.made_up for step in self.steps)

    @property
    def name(self) -> str:
        return f"session {self.session} {self.script.log.name}"

    def connect_as(self, client: Endpoint, server: Endpoint, first_sequence: int) -> None:
        """Set endpoints and first sequence number."""
        self._ends = (client, server, first_sequence & 0xFFFFFFFF)

    @property
    def server_port(self) -> int:
        """Where the client connects to."""
        return self._ends[1].port

    def events(self) -> Iterator[_Event]:
        """Yield all that is to be written, in order of time."""
        log, script = self.script.log, self.script
        now = log.start_time_ns
        yield _Event(now, self._open)
        for step in self.steps:
            now = max(now, step.time_ns)
            comment = ""
            if step.made_up and step.side is Side.CLIENT:
                comment = f"{SYNTHETIC}: the recording of {log.name} lacks it"
            yield _Event(now, partial(self._say, step.side, step.data, comment))
        lanes = [script.lanes[side] for side in (Side.CLIENT, Side.SERVER)]
        for which, at, time_ns in _in_order(lanes, script.inserted):
            now = max(now, time_ns)
            if which == len(lanes):
                yield _Event(now, partial(self._insert, script.inserted[at]))
            else:
                yield _Event(now, partial(self._message, lanes[which], at))
        end = log.end_time_ns if script.stop_ns is None else min(log.end_time_ns, script.stop_ns)
        closed = log.closed_time_ns if log.closed_by is not None else None
        if script.stop_ns is not None and closed is not None and closed > script.stop_ns:
            closed = None
        yield _Event(max(now, end if closed is None else closed), partial(self._end, closed is not None))

    # --- writing ---------------------------------------------------------------------------------------

    def _open(self, writer: PcapngWriter, time_ns: int) -> None:
        client, server, first = self._ends
        # The two sides count from numbers far apart, as real ones do.
        self.tcp = SyntheticTcp(writer, client, server, first, first ^ 0x5A000000)
        self.tcp.open(time_ns)

    def _say(self, side: Side, data: bytes, comment: str, writer: PcapngWriter, time_ns: int) -> None:
        self._tcp.data(side, data, time_ns, comment if self.comments else "")

    def _message(self, lane: Lane, at: int, writer: PcapngWriter, time_ns: int) -> None:
        tcp, index = self._tcp, lane.index
        row, side = int(lane.rows[at]), index.side
        words: list[str] = []
        if hole := int(lane.hole[at]):
            self._skip(side, hole)
            self.holes += 1
            words.append(f"{hole} bytes are missing before this")
        size = int(index.size[row])
        if not index.partial[row]:
            tcp.data(side, self._header(lane, at) + index.body(row), time_ns, self._comment(words))
        else:
            self.partial += 1
            pieces = list(lane.pieces(at))
            missing = size - sum(len(piece) for _, piece in pieces)
            words.append(f"{missing} of the {size} bytes of this message are missing")
            self._partial(lane, at, pieces, time_ns, self._comment(words))
        if at + 1 == len(lane) and lane.end_hole:
            self._skip(side, lane.end_hole)
            self.holes += 1
        self._let_go(lane, row)

    def _partial(
        self, lane: Lane, at: int, pieces: list[tuple[int, bytes]], time_ns: int, comment: str
    ) -> None:
        """Write what there is of a message; the rest is a hole, so that the next one is where its size says.

        Behind the last one nothing is known to be missing: the recording ends within it.
        """
        index, row = lane.index, int(lane.rows[at])
        size = int(index.size[row])
        end = size if at + 1 < len(lane) else int(lane.stop[at] - index.position[row])
        data, done = self._header(lane, at), 0
        for offset, piece in (*pieces, (end, b"")):
            if offset > done:
                self._tcp.data(index.side, data, time_ns, comment)
                self._tcp.gap(index.side, offset - done)
                data = b""
            data += piece
            done = offset + len(piece)
        self._tcp.data(index.side, data, time_ns, comment if done == len(data) else "")

    def _insert(self, inserted: Inserted, writer: PcapngWriter, time_ns: int) -> None:
        if inserted.hole:
            self._skip(inserted.side, inserted.hole)
            self.holes += 1
        header = _header_bytes(self.script.log, 0, inserted.type, len(inserted.body))
        comment = inserted.comment if self.comments else ""
        self._tcp.data(inserted.side, header + inserted.body, time_ns, comment)

    def _end(self, closed: bool, writer: PcapngWriter, time_ns: int) -> None:
        log = self.script.log
        if closed:
            self._tcp.close(time_ns, Side.SERVER if log.closed_by == Side.SERVER else Side.CLIENT)
        else:
            self._tcp.acknowledge(time_ns)

    # --- parts -----------------------------------------------------------------------------------------

    @property
    def _tcp(self) -> SyntheticTcp:
        assert self.tcp is not None, "the connection is opened by the first event"
        return self.tcp

    def _skip(self, side: Side, length: int) -> None:
        self._tcp.gap(side, min(length, MOST_GAP_BYTES))

    def _comment(self, words: Sequence[str]) -> str:
        return "; ".join(words) if self.comments else ""

    def _header(self, lane: Lane, at: int) -> bytes:
        """Return a message's header: its own where that is long, since it says more than the index does."""
        index, row = lane.index, int(lane.rows[at])
        if not self.script.log.mini_header:
            start = int(index.position[row])
            own = index.stream.read(start - FULL_HEADER_BYTES, start) if start >= FULL_HEADER_BYTES else b""
            if len(own) == FULL_HEADER_BYTES:
                return own
        return _header_bytes(
            self.script.log, int(index.serial[row]), int(index.type[row]), int(index.size[row])
        )

    def _let_go(self, lane: Lane, row: int) -> None:
        """Give back the mapped file's memory behind what was written."""
        index = lane.index
        position = int(index.position[row])
        since, until = self._read.get(index.side, (0, 0))
        if index.release is None or position < until:
            return
        if (read := index.stream.span(since, position + 1)) is not None:
            index.release(*read)
        self._read[index.side] = position, index.stream.within(position, WINDOW_BYTES)


def _header_bytes(log: ChannelLog, serial: int, kind: int, size: int) -> bytes:
    """Return the header of a message. Source: spice-wire.md 3."""
    if log.mini_header:
        return struct.pack("<HI", kind, size)
    return struct.pack("<QHII", serial & 0xFFFFFFFFFFFFFFFF, kind, size, 0)


def _in_order(lanes: Sequence[Lane], inserted: Sequence[Inserted]) -> Iterator[tuple[int, int, int]]:
    """Yield `(which, position in it, time)` of all messages of a channel.

    `which` is the number of lanes for those put in. Of equal times they come first, then what the capture held first.
    """
    time_ns = [lane.time_ns for lane in lanes] + [np.array([i.time_ns for i in inserted], np.int64)]
    packet = [_packets(lane) for lane in lanes] + [np.full(len(inserted), -1, np.int64)]
    which = np.repeat(np.arange(len(time_ns)), [len(times) for times in time_ns])
    at = np.concatenate([np.arange(len(times)) for times in time_ns])
    times = np.concatenate(time_ns)
    order = np.lexsort((np.concatenate(packet), times))
    for start in range(0, len(order), _TELL_EVERY):
        part = order[start : start + _TELL_EVERY]
        yield from zip(which[part].tolist(), at[part].tolist(), times[part].tolist(), strict=True)


def _packets(lane: Lane) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return the number of the packet that completed each message, never falling; 0 where there are no packets."""
    stream = lane.index.stream
    if not len(stream.position):
        return np.zeros(len(lane), np.int64)
    chunk = np.searchsorted(stream.position, lane.stop - 1, "right") - 1
    return np.maximum.accumulate(stream.packet[np.clip(chunk, 0, len(stream.packet) - 1)])


# --- addresses --------------------------------------------------------------------------------------------


def _endpoints(channels: Sequence[_Channel]) -> list[tuple[Endpoint, Endpoint]]:
    """Return client and server of each channel: their own, else those for documentation.

    Two connections that go on at the same time never share both: the later one gets the next free client port.
    """
    taken: dict[tuple[Endpoint, Endpoint], list[tuple[int, int]]] = {}
    ends: list[tuple[Endpoint, Endpoint]] = []
    for channel in channels:
        log = channel.script.log
        client = _endpoint(log.client_address)
        server = _endpoint(log.server_address)
        if client is None or server is None or _version(client) != _version(server):
            client, server = DOCUMENTATION_CLIENT, DOCUMENTATION_SERVER
        span = (log.start_time_ns, log.end_time_ns)
        while any(span[0] <= end and start <= span[1] for start, end in taken.get((client, server), ())):
            client = Endpoint(client.address, client.port % 0xFFFF + 1)
        taken.setdefault((client, server), []).append(span)
        ends.append((client, server))
    return ends


def _endpoint(text: str) -> Endpoint | None:
    address, _, port = text.rpartition(":")
    address = address.strip("[]")
    try:
        ipaddress.ip_address(address)
        return Endpoint(address, int(port))
    except ValueError:
        return None


def _version(end: Endpoint) -> int:
    return ipaddress.ip_address(end.address).version
