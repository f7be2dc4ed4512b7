"""Recordings that the client ryll makes: bug reports, auto-snapshots, `--capture` directories.

They have no link stage, fixed addresses, one client port per channel type, and a clock of their own that starts with
the connection or the recording. Source: ryll-formats.md 9 to 12.
"""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Final

import numpy as np

from spicereplay.bugreport import rules
from spicereplay.bugreport.report import BugReport
from spicereplay.bytestream import ByteStream
from spicereplay.capture import Capture, read_connections
from spicereplay.capture.connection import Connection
from spicereplay.capture.container import MappedFile, map_member
from spicereplay.defects import DefectKind, DefectLog
from spicereplay.errors import InputError
from spicereplay.limits import Limits
from spicereplay.protocol.channel import Assumption
from spicereplay.protocol.enums import Side
from spicereplay.protocol.framing import MINI_HEADER_BYTES, Framer
from spicereplay.replay.channels import Watched, watch
from spicereplay.session.grouping import alternating_compression, repeated_beginnings
from spicereplay.session.log import ChannelLog, Gap, GapCause

PCAP_HEADER_BYTES: Final = 24
BYTE_ORDERS: Final = {
    b"\xa1\xb2\xc3\xd4": ">",
    b"\xa1\xb2\x3c\x4d": ">",
    b"\xd4\xc3\xb2\xa1": "<",
    b"\x4d\x3c\xb2\xa1": "<",
}
"""Magic of a pcap to the byte order of its numbers. Source: ryll-formats.md 9.1."""
UNIT_SHARE: Final = 0.9
"""Share of packets that must begin a message and hold all of it before a recording counts as one of whole
messages. In a recording of raw reads far fewer do."""


def client_of(connection: Connection) -> int | None:
    """Return which endpoint of a connection of ryll's is the client; None where it is not one of ryll's."""
    for i in (0, 1):
        client, server = connection.endpoints[i], connection.endpoints[1 - i]
        if rules.is_ryll_connection(client.address, client.port, server.address, server.port):
            return i
    return None


def is_ryll(capture: Capture) -> bool:
    """Whether every connection of a capture has ryll's fixed addresses and ports and lacks a SYN."""
    return bool(capture.connections) and all(
        client_of(c) is not None and not c.streams[0].begins_with_syn for c in capture.connections
    )


def whole_messages(capture: Capture) -> bool:
    """Whether the packets of a capture of ryll's are messages (bug reports) or raw reads (`--capture`)."""
    starts = exact = 0
    for connection in capture.connections:
        client = client_of(connection)
        if client is None:
            continue
        # The client's packets are whole messages either way.
        stream = connection.streams[1 - client]
        for i in range(min(len(stream.position), 400)):
            head = stream.chunk_bytes(i)[:MINI_HEADER_BYTES]
            starts += 1
            exact += (
                len(head) == MINI_HEADER_BYTES
                and int.from_bytes(head[2:], "little") + MINI_HEADER_BYTES == stream.length[i]
            )
    return starts == 0 or exact >= UNIT_SHARE * starts


def read_channels(
    capture: Capture, limits: Limits, defects: DefectLog, *, units: bool, later_ns: int = 0
) -> list[ChannelLog]:
    """Read every connection of a capture of ryll's.

    `units`: its packets are whole messages. `later_ns` is added to all times, where the recording's clock does not
    begin with that of the others.
    """
    logs = []
    for connection in capture.connections:
        client = client_of(connection)
        channel = rules.channel_of_port(connection.endpoints[client].port) if client is not None else None
        if client is None or channel is None:
            continue
        assumed = Assumption(
            channel=channel,
            channel_id=0,
            mini_header=True,
            reason="recorded by ryll: the channel follows from its port, headers are mini headers, the link stage and "
            "the channel's id were never recorded",
            confidence=1.0,
            units=units,
        )
        labelled = _shifted(replace(connection, label=channel.label), later_ns)
        found = watch(labelled, limits, defects, assumed=(client, assumed), release=capture.file.release)
        if not isinstance(found, Watched):
            continue
        log = found.log
        log.facts = {}  # the TCP headers are made up
        log.closed_by = None
        log.gaps = [
            gap
            for side, i in ((Side.CLIENT, client), (Side.SERVER, 1 - client))
            for gap in _gaps(found.engine.framer(side), labelled.streams[i], side, units, log, defects)
        ]
        logs.append(log)
    return logs


def _shifted(connection: Connection, later_ns: int) -> Connection:
    if not later_ns:
        return connection
    first, second = (replace(s, time_ns=s.time_ns + later_ns) for s in connection.streams)
    return replace(
        connection,
        streams=(first, second),
        first_time_ns=connection.first_time_ns + later_ns,
        last_time_ns=connection.last_time_ns + later_ns,
    )


def note_merged_displays(log: ChannelLog, defects: DefectLog) -> None:
    """Say so where several display channels were recorded as one. Source: ryll-formats.md 10.4."""
    evidence = [*repeated_beginnings(log), *alternating_compression(log)]
    if evidence:
        defects.add(
            DefectKind.CHANNELS_MERGED,
            log.name,
            f"several display channels were recorded as one: {'; '.join(evidence)}. Which message belongs to which "
            "cannot be told",
            time_ns=log.start_time_ns,
        )
        log.assumptions.append("read as one display channel, although several seem to be mixed in it")


def note_refused_chunks(logs: list[ChannelLog], report: BugReport, defects: DefectLog) -> None:
    """Compare a `--capture` recording with the client's own count of bytes, where its writer refused chunks.

    A refused chunk leaves no hole in the sequence numbers, and where it held whole messages not even the framing
    shows it. Source: ryll-formats.md 5.1 (writer_dropped_count), 11.3 (2).
    """
    for log in logs:
        state = report.channels.get(log.channel.label)
        refused = getattr(state, "writer_dropped_count", None)
        if state is None or not refused:
            continue
        missing = []
        for side, said in ((Side.SERVER, state.bytes_in), (Side.CLIENT, state.bytes_out)):
            held = log.bytes_from.get(side, 0) + sum(g.length or 0 for g in log.gaps if g.side is side)
            if said is not None and said > held:
                missing.append(f"at least {said - held} bytes from the {side}")
                log.gaps.append(Gap(side, log.end_time_ns, held, said - held, GapCause.SILENT))
        defects.add(
            DefectKind.BYTES_MISSING_SILENTLY,
            log.name,
            f"the client's writer refused {refused} chunks (client_reported), which leaves no hole in the sequence "
            f"numbers; by the client's own count {' and '.join(missing) or 'no bytes'} are missing",
        )


def _gaps(
    framer: Framer | None, stream: ByteStream, side: Side, units: bool, log: ChannelLog, defects: DefectLog
) -> list[Gap]:
    """Return the holes of one direction with their cause. Source: ryll-formats.md 9.4, 10.2, 10.5."""
    if not len(stream.position):
        return []
    gaps = []
    before = rules.lost_before(stream.first_sequence, side)
    if before:
        gaps.append(Gap(side, int(stream.time_ns[0]), -before, before, GapCause.EVICTED))
    where = f"{log.name} from {side}"
    index = log.index(side)
    for at, length, time_ns in stream.gaps():
        end = at + length
        chunk = int(np.searchsorted(stream.position, end, "left"))
        payload = int(stream.length[chunk]) if chunk < len(stream.length) else 0
        body = int(np.searchsorted(index.position, end + MINI_HEADER_BYTES, "left"))
        begins = body < len(index) and index.position[body] == end + MINI_HEADER_BYTES
        markers = int(((stream.markers >= at) & (stream.markers < end)).sum())
        told = rules.explain_hole(
            length, payload, bool(markers), next_is_message=begins, whole_messages=units
        )
        if markers > 1:  # an empty record for each; how the hole divides among them is not known
            told = replace(told, messages=markers, message_bytes=None)
        gaps.append(Gap(side, time_ns, at, length, told.cause, told.messages))
        kind = {
            GapCause.SEGMENT_OVER_SNAPLEN: DefectKind.SEGMENT_OVER_SNAPLEN,
            GapCause.OVERSIZE_PLACEHOLDER: DefectKind.OVERSIZE_PLACEHOLDER,
        }.get(told.cause, DefectKind.BYTES_MISSING)
        defects.add(kind, where, _explained(told, length, begins), time_ns=time_ns, position=at)
    if framer is not None:
        gaps += [Gap(side, h.time_ns, h.position, h.length, GapCause.SILENT) for h in framer.holes]
    return gaps


def _explained(told: rules.HoleExplanation, length: int, whole: bool) -> str:
    size = f" of {told.message_bytes} bytes" if told.message_bytes else ""
    match told.cause:
        case GapCause.OVERSIZE_PLACEHOLDER:
            if told.messages != 1:
                return f"{told.messages} empty records stand for messages that the recorder could not write"
            return f"an empty record stands for a message{size} that the recorder could not write"
        case GapCause.SEGMENT_OVER_SNAPLEN if told.messages == 1 and not whole:
            return (
                f"{length} bytes: the head of a message{size}; the recorder's full segments exceed its own "
                "snap length"
            )
        case GapCause.SEGMENT_OVER_SNAPLEN:
            return f"{length} bytes in segments that exceed the recorder's own snap length and never reached the file"
        case _:
            return f"{length} bytes are not in the recording"


def open_recording(
    report: BugReport, limits: Limits, defects: DefectLog, progress: Callable[[int, int], None] | None = None
) -> Capture | None:
    """Read the `traffic.pcap` of a bug report; None where it has none, or none that can be read."""
    file = report.open_pcap(defects)
    if file is None:
        return None
    with file:
        mapped = map_member(file, limits.zip_member_bytes, name="traffic.pcap")
    return _read(mapped, report.label, limits, defects, progress)


def open_merged(
    reports: Iterable[BugReport],
    limits: Limits,
    defects: DefectLog,
    progress: Callable[[int, int], None] | None = None,
) -> Capture | None:
    """Read the recordings of the snapshots of one connection as one.

    All of them share the clock and the sequence numbers of the connection; what several hold is a retransmission
    to the TCP reassembly, which drops it. Source: ryll-formats.md 12.
    """
    header = b""
    label = ""
    with tempfile.TemporaryFile() as joined:
        for report in reports:
            file = report.open_pcap(defects)
            if file is None:
                continue
            with file:
                data = file.read(limits.zip_member_bytes)
            own = data[:PCAP_HEADER_BYTES]
            if not header and len(own) == PCAP_HEADER_BYTES and own[:4] in BYTE_ORDERS:
                header, label = own, report.label
                joined.write(own)
            elif own != header or not header:
                defects.add(
                    DefectKind.FILE_DAMAGED,
                    report.label,
                    "its recording has another file header than those of the other snapshots; left out",
                )
                continue
            joined.write(memoryview(data)[PCAP_HEADER_BYTES : _whole_records(data, report.label, defects)])
        if not header:
            return None
        joined.seek(0)
        mapped = map_member(joined, limits.zip_member_bytes, name="traffic.pcap")
    return _read(mapped, label, limits, defects, progress)


def _whole_records(data: bytes, label: str, defects: DefectLog) -> int:
    """Return where the last whole record of a recording ends: what follows another one must begin with a record."""
    length_of = struct.Struct(BYTE_ORDERS[data[:4]] + "8xL4x")
    at, end = PCAP_HEADER_BYTES, len(data)
    while at + length_of.size <= end:
        after = at + length_of.size + length_of.unpack_from(data, at)[0]
        if after > end:
            break
        at = after
    if at < end:
        defects.add(
            DefectKind.FILE_TRUNCATED,
            label,
            f"the last record of its recording is cut off at {at}",
            position=at,
        )
    return at


def _read(
    mapped: MappedFile,
    label: str,
    limits: Limits,
    defects: DefectLog,
    progress: Callable[[int, int], None] | None,
) -> Capture | None:
    try:
        return read_connections(mapped, limits=limits, progress=progress)
    except InputError as error:
        mapped.close()
        defects.add(DefectKind.FILE_DAMAGED, label, f"traffic.pcap cannot be read: {error}")
        return None
