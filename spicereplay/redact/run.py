"""Takes a capture or a bug report and writes one that may be shown to strangers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import numpy as np

from spicereplay.bytestream import ByteStream
from spicereplay.capture import Capture
from spicereplay.capture.connection import Connection
from spicereplay.defects import DefectKind
from spicereplay.limits import Limits
from spicereplay.protocol.enums import Side
from spicereplay.protocol.framing import FULL_HEADER_BYTES, MINI_HEADER_BYTES
from spicereplay.recording.sessions import write_sessions
from spicereplay.redact.captures import write_capture, write_ryll
from spicereplay.redact.channels import ChannelRedaction, keeps, learn_names
from spicereplay.redact.edits import Edits
from spicereplay.redact.glz_links import dictionary_of
from spicereplay.redact.link_stage import MOST_HEAD_BYTES, link_head
from spicereplay.redact.messages import Neutral
from spicereplay.redact.sealed import neutral_tls
from spicereplay.redact.video import NeutralVideo
from spicereplay.redact.what import Kind, Screen
from spicereplay.replay import Progress, Replay, identify, ryll
from spicereplay.session.log import ChannelLog, SessionLog

_Streams = dict[Side, ByteStream]
_SUB_LIST_BYTES: Final = 4
"""What stands behind type and size in a full header. Source: spice-wire.md 3."""
_NO_HEADER: Final = b"\xff"
"""Fills what belongs to no message: zeros would be messages of type 0, without a body, one after the other."""


@dataclass(slots=True)
class Redaction:
    """What is done to the sessions of one input, and to its capture files."""

    found: Replay
    how: Neutral
    edits: Edits = field(default_factory=Edits)
    as_sessions: bool = False
    """Whether the capture is written from its sessions, in the clear: they were under TLS, WebSocket or a proxy."""
    counts: Counter[Kind] = field(default_factory=Counter)
    kept: set[int] = field(default_factory=set)
    """Positions (by identity) of streams whose pictures or sound stay, as the user wants it."""
    _connections: dict[tuple[str, str, int], Connection] = field(default_factory=dict)
    _seen: list[ByteStream] = field(default_factory=list)
    """The streams of all channels."""

    def sessions(self, progress: Progress | None = None) -> None:
        """Make all messages of all sessions neutral, in `edits`."""
        self._connections = {key: c for capture in self.found.captures for key, c in _keyed(capture)}
        logs = self._logs()
        for log in logs:
            learn_names(log, self.how)
        videos = NeutralVideo()
        own = any(ryll.is_ryll(capture) for capture in self.found.captures)
        self.as_sessions = not own and not all(self._is_plain(log) for log in logs)
        covered: dict[int, list[tuple[int, int]]] = {}
        headers: dict[int, int] = {}
        for n, session in enumerate(self.found.sessions):
            if progress is not None:
                progress("replacing contents", n, len(self.found.sessions))
            blurred = self.how.choices.screen is Screen.BLUR
            glz = dictionary_of(session, self.how.limits, mosaics=blurred)
            how = replace(self.how, glz=glz)
            for log in session.channels:
                streams = self._streams(log)
                if keeps(log.channel, self.how.choices):
                    self.kept |= {id(stream.position) for stream in streams.values()}
                    self.kept |= {id(log.index(side).stream.position) for side in Side}
                self._seen += streams.values()
                redaction = ChannelRedaction(log, how, self.edits, videos)
                header = MINI_HEADER_BYTES if log.mini_header else FULL_HEADER_BYTES
                for side, stretches in redaction.run(streams).items():
                    covered.setdefault(id(streams[side].position), []).extend(stretches)
                    headers[id(streams[side].position)] = header
        if not self.as_sessions:
            for connection in self._kept():
                for stream in connection.streams:
                    key = id(stream.position)
                    self._unread(stream, covered.get(key), headers.get(key, MINI_HEADER_BYTES))
        self.counts += self.edits.counts

    def messages(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield all bytes of the channels as they were, and as they are now."""
        for stream in self._seen:
            now = self.edits.edited(stream)
            for (_, old), (_, new) in zip(
                stream.pieces(0, stream.end), now.pieces(0, stream.end), strict=True
            ):
                yield old, new

    def _streams(self, log: ChannelLog) -> _Streams:
        """Return all bytes of both sides of a channel, the link stage included."""
        connection = self._connections.get((log.client_address, log.server_address, log.start_time_ns))
        streams = {side: log.index(side).stream for side in Side}
        if connection is None or self.as_sessions:
            return streams
        client = 0 if str(connection.endpoints[0]) == log.client_address else 1
        return {Side.CLIENT: connection.streams[client], Side.SERVER: connection.streams[1 - client]}

    def _is_plain(self, log: ChannelLog) -> bool:
        """Whether what TCP carried is what SPICE said: no TLS, WebSocket or proxy around it."""
        streams = self._streams(log)
        for side in Side:
            mine, whole = log.index(side).stream, streams[side]
            if len(mine.position) and not (
                np.array_equal(mine.position, whole.position) and np.array_equal(mine.offset, whole.offset)
            ):
                return False
        return (log.client_address, log.server_address, log.start_time_ns) in self._connections

    def _kept(self) -> Iterator[Connection]:
        """Yield the connections that stay: those of the sessions, and those under TLS that nobody opened."""
        spice = {
            (log.client_address, log.server_address, log.start_time_ns)
            for session in self.found.sessions
            for log in session.channels
        }
        for capture in self.found.captures:
            # One of ryll's with damaged packets has connections nobody had, and without them another clock.
            own = any(ryll.client_of(connection) is not None for connection in capture.connections)
            kept: set[int] = set()
            for key, connection in _keyed(capture):
                stays = own or key in spice or _is_tls(connection) or self._is_broken(key)
                if stays and id(connection) not in kept:
                    kept.add(id(connection))
                    yield connection

    def _is_broken(self, key: tuple[str, str, int]) -> bool:
        """Whether a connection was taken for SPICE and has no link stage that can be read: that is a finding."""
        counts, ends = self.found.defects.counts, f"{key[0]} → {key[1]}"
        return any(counts[kind, ends] for kind in (DefectKind.LINK_MALFORMED, DefectKind.BYTES_MISSING))

    def _logs(self) -> list[ChannelLog]:
        return [log for session in self.found.sessions for log in session.channels]

    def _unread(self, stream: ByteStream, covered: list[tuple[int, int]] | None, header: int) -> None:
        """Replace what belongs to no message of a stream, `None` standing for a connection without messages.

        Where a header of `header` bytes should be, type and size stay: it was none, and is none for the same reason.
        """
        if not any(start == 0 for start, _ in covered or ()):
            head = link_head(stream.read(0, MOST_HEAD_BYTES))
            if head:
                self.edits.write(stream, 0, head, Kind.TICKETS)
                covered = [*(covered or ()), (0, len(head))]
        if covered is None:
            for at, new in neutral_tls(stream):
                if self.edits.write(stream, at, new, Kind.ENCRYPTED):
                    self.edits.counts[Kind.ENCRYPTED] += 1
            return
        ends = {stop for _, stop in covered}
        for start, stop in between(covered, stream.end):
            said = _said_at(start, header) if start in ends else range(0)
            for at, piece in stream.pieces(start, stop):
                made = bytearray(_NO_HEADER * len(piece))
                for place in range(max(at, said.start), min(at + len(piece), said.stop)):
                    made[place - at] = piece[place - at]
                if self.edits.write(stream, at, bytes(made), Kind.UNREAD):
                    self.edits.counts[Kind.UNREAD] += 1

    def write(self, capture: Capture, target: Path, limits: Limits, progress: Progress | None = None) -> None:
        """Write what a capture file of the input becomes."""
        if ryll.is_ryll(capture):
            write_ryll(capture, self.edits, capture.connections, target, limits)
        elif self.as_sessions:
            write_sessions(
                target,
                [self._edited(session) for session in self.found.sessions],
                utc_offset_ns=self.found.utc_offset_ns,
                limits=limits,
                progress=progress,
                origin_ns=self.found.start_time_ns,
            )
        else:
            kept = list(self._kept())
            tell = None if progress is None else lambda done, total: progress("writing packets", done, total)
            emptied = write_capture(capture, self.edits, self.how.names, kept, target, limits, tell)
            self.counts[Kind.PACKETS] += emptied
        self.counts[Kind.ADDRESSES] = len(self.how.names.addresses)

    def _edited(self, session: SessionLog) -> SessionLog:
        """Return a session over its new bytes, between pseudonyms."""
        return replace(session, channels=[self._edited_log(log) for log in session.channels])

    def _edited_log(self, log: ChannelLog) -> ChannelLog:
        made = replace(
            log,
            server=replace(log.server, stream=self.edits.edited(log.server.stream), release=None),
            client=replace(log.client, stream=self.edits.edited(log.client.stream), release=None),
        )
        made.client_address = self._endpoint(log.client_address)
        made.server_address = self._endpoint(log.server_address)
        return made

    def _endpoint(self, text: str) -> str:
        address, colon, port = text.rpartition(":")
        bare = address.strip("[]")
        made = self.how.names.address(bare) if bare else bare
        return (f"[{made}]" if ":" in made else made) + colon + port


def _said_at(start: int, header: int) -> range:
    """Return where type and size stand in a header of `header` bytes at `start`."""
    first = start + header - MINI_HEADER_BYTES - (_SUB_LIST_BYTES if header == FULL_HEADER_BYTES else 0)
    return range(first, first + MINI_HEADER_BYTES)


def _keyed(capture: Capture) -> Iterator[tuple[tuple[str, str, int], Connection]]:
    """Yield the connections of a capture by their ends, either of them as the client, and their beginning."""
    for connection in capture.connections:
        for client in (0, 1):
            ends = str(connection.endpoints[client]), str(connection.endpoints[1 - client])
            yield (*ends, connection.first_time_ns), connection


def _is_tls(connection: Connection) -> bool:
    heads = [stream.read(0, identify.LOOK_BYTES) for stream in connection.streams]
    return identify.recognise(heads)[0] == "tls"


def between(covered: Sequence[tuple[int, int]], end: int) -> Iterator[tuple[int, int]]:
    """Yield the stretches of `[0, end)` that no interval covers."""
    at = 0
    for start, stop in sorted(covered):
        if start > at:
            yield at, start
        at = max(at, stop)
    if at < end:
        yield at, end
