"""Packets to TCP segments: one pass over the mapped file, one row per segment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from spicereplay.bytestream import Buffer, Int64Array
from spicereplay.capture._kernels import packets as kernel
from spicereplay.capture.connection import Endpoint
from spicereplay.capture.container import MappedFile
from spicereplay.capture.flows import FlowTable
from spicereplay.capture.fragments import FragmentStore
from spicereplay.capture.records import BATCH, Records, read_records
from spicereplay.defects import DefectKind, DefectLog
from spicereplay.limits import Limits

RAW_IP: Final = 101
"""Link type of a bare IP packet. Source: tcpdump.org/linktypes.html."""
_ETHERTYPES: Final = {
    0: "no EtherType known",
    0x0806: "ARP",
    0x8035: "RARP",
    0x8863: "PPPoE discovery",
    0x888E: "802.1X",
    0x88CC: "LLDP",
    0x88E5: "MACsec (encrypted)",
}
_PROTOCOLS: Final = {
    1: "ICMP",
    2: "IGMP",
    17: "UDP fragment",
    47: "GRE",
    50: "ESP (encrypted)",
    58: "ICMPv6",
    89: "OSPF",
    112: "VRRP",
    132: "SCTP",
}

Progress = Callable[[int, int], None]
"""Called with bytes done and bytes in all."""


@dataclass(frozen=True, slots=True, eq=False)
class EmptyRecords:
    """Records without a byte, captured or on the wire: they stand for something that was not written."""

    time_ns: Int64Array
    rows_before: Int64Array
    """How many segment rows precede each."""


@dataclass(frozen=True, slots=True, eq=False)
class PacketTable:
    """The TCP segments of a capture in packet order: one-dimensional columns, all equally long."""

    time_ns: Int64Array
    """Capture time; as the file has it, so it may step back."""
    packet: Int64Array
    """Number of the packet in the file, from 0."""
    flow: npt.NDArray[np.int32]
    """Index into `flows`."""
    side: npt.NDArray[np.uint8]
    """Which endpoint of the flow sent it."""
    sequence: npt.NDArray[np.uint32]
    acknowledgement: npt.NDArray[np.uint32]
    flags: npt.NDArray[np.uint8]
    window: npt.NDArray[np.uint16]
    """As sent, not scaled."""
    options: npt.NDArray[np.uint8]
    """Bytes of TCP options; they end where the payload begins. 255 where they were not captured whole."""
    offset: Int64Array
    """Where the payload lies: 0 or more in the file, else at `-1 - offset` of `spill`."""
    length: npt.NDArray[np.int32]
    """Payload bytes captured."""
    wire_length: npt.NDArray[np.int32]
    """Payload bytes sent, according to the IP header."""
    flows: list[tuple[Endpoint, Endpoint]]
    spill: bytes
    """Datagrams put together from fragments."""
    packets: int
    """Records of the file, of any kind."""
    start_time_ns: int
    """Time of the first packet of any kind; 0 if there is none."""
    end_time_ns: int
    """Latest time of any packet."""
    empty_records: EmptyRecords
    other: dict[str, int]
    """What else was there and how often, most frequent first: `{"UDP port 53": 12, "ARP": 3}`."""
    secrets: list[bytes]
    """TLS key logs that a pcapng carries."""
    format: str


_COLUMNS: Final[dict[str, Any]] = {
    "record": np.int32,
    "flow": np.int32,
    "side": np.uint8,
    "sequence": np.uint32,
    "acknowledgement": np.uint32,
    "flags": np.uint8,
    "window": np.uint16,
    "options": np.uint8,
    "offset": np.int64,
    "length": np.int32,
    "wire_length": np.int32,
}
"""What the kernel writes for each segment, in its order."""


@dataclass(slots=True, eq=False)
class _Decoder:
    """Decodes batches of records and gathers the rows."""

    limits: Limits
    defects: DefectLog
    flows: FlowTable = field(default_factory=FlowTable)
    ethertypes: Int64Array = field(default_factory=lambda: np.zeros(65536, np.int64))
    protocols: Int64Array = field(default_factory=lambda: np.zeros(256, np.int64))
    udp_ports: Int64Array = field(default_factory=lambda: np.zeros(65536, np.int64))
    links: dict[int, int] = field(default_factory=dict)
    """Packets of link types nobody here knows."""
    refused: int = 0
    """Segments of flows over the limit."""
    parts: dict[str, list[npt.NDArray[Any]]] = field(default_factory=dict)
    empty: list[tuple[Int64Array, Int64Array]] = field(default_factory=list)
    """Times and packet numbers of empty records."""
    verdict: npt.NDArray[np.uint8] = field(default_factory=lambda: np.empty(BATCH, np.uint8))
    fragment_at: Int64Array = field(default_factory=lambda: np.empty(BATCH, np.int64))
    scratch: dict[str, npt.NDArray[Any]] = field(
        default_factory=lambda: {name: np.empty(BATCH, dtype) for name, dtype in _COLUMNS.items()}
    )

    def decode(self, memory: Buffer, batch: Records, packet: Int64Array, in_file: bool) -> Int64Array:
        """Add the rows of `batch`, whose packets are those numbered `packet`; return which are fragments."""
        count = batch.count
        self.flows.make_room(count, self.limits.flows)
        rows, self.flows.count = kernel.tcp_segments(
            memory,
            count,
            batch.offset,
            batch.captured,
            batch.wire,
            batch.link,
            self.flows.keys,
            self.flows.slots,
            self.flows.count,
            self.limits.flows,
            self.flows.seed,
            self.ethertypes,
            self.protocols,
            self.udp_ports,
            self.verdict,
            self.fragment_at,
            *self.scratch.values(),
        )
        if rows:
            record = self.scratch["record"][:rows]
            self._keep("time_ns", batch.time_ns[record])
            self._keep("packet", packet[record])
            for name in list(_COLUMNS)[1:]:
                column = self.scratch[name][:rows]
                self._keep(name, -1 - column if name == "offset" and not in_file else column.copy())
        verdict = self.verdict[:count]
        if rows == count or (len(verdict) and (verdict <= kernel.Verdict.SEGMENT).all()):
            return np.empty(0, np.int64)
        self._note(batch, packet, verdict)
        return np.flatnonzero(verdict == kernel.Verdict.FRAGMENT)

    def _keep(self, name: str, column: npt.NDArray[Any]) -> None:
        self.parts.setdefault(name, []).append(column)

    def _note(self, batch: Records, packet: Int64Array, verdict: npt.NDArray[np.uint8]) -> None:
        """Remember what was neither a segment nor ordinary other traffic."""
        self.refused += int(np.count_nonzero(verdict == kernel.Verdict.FLOW_REFUSED))
        links, counts = np.unique(
            batch.link[: len(verdict)][verdict == kernel.Verdict.LINK_UNKNOWN], return_counts=True
        )
        for link, n in zip(links.tolist(), counts.tolist(), strict=True):
            self.links[link] = self.links.get(link, 0) + n
        empty = verdict == kernel.Verdict.EMPTY
        if empty.any():
            self.empty.append((batch.time_ns[: len(verdict)][empty], packet[: len(verdict)][empty]))
        malformed = np.flatnonzero(verdict == kernel.Verdict.MALFORMED)
        cut = batch.captured[malformed] < batch.wire[malformed]
        self._refuse(batch, packet, malformed[cut], DefectKind.PACKET_CUT, "was cut off within its headers")
        self._refuse(
            batch,
            packet,
            malformed[~cut],
            DefectKind.PACKET_MALFORMED,
            "has headers that contradict its size",
        )

    def _refuse(
        self, batch: Records, packet: Int64Array, records: Int64Array, kind: DefectKind, why: str
    ) -> None:
        """Add a defect for each of `records`; of a flood only as many as are kept anyway are spelt out."""
        for i in records[: self.defects.per_kind].tolist():
            self.defects.add(
                kind,
                "packets",
                f"record {packet[i] + 1} {why}, {batch.captured[i]:,} of {batch.wire[i]:,} bytes",
                time_ns=int(batch.time_ns[i]),
                position=int(batch.offset[i]),
            )
        self.defects.counts[kind, "packets"] += max(0, len(records) - self.defects.per_kind)

    def columns(self) -> dict[str, npt.NDArray[Any]]:
        """Join the rows, column by column so that only one of them is there twice at a time."""
        joined = {}
        for name, dtype in {"time_ns": np.int64, "packet": np.int64, **_COLUMNS}.items():
            if name != "record":
                parts = self.parts.pop(name, [])
                joined[name] = np.concatenate(parts) if parts else np.empty(0, dtype)
        return joined

    def other(self) -> dict[str, int]:
        """Say what there was besides TCP, most frequent first."""
        found = {f"link type {link}": n for link, n in self.links.items()}
        for kind in np.flatnonzero(self.ethertypes).tolist():
            found[_ETHERTYPES.get(kind, f"EtherType 0x{kind:04x}")] = int(self.ethertypes[kind])
        for protocol in np.flatnonzero(self.protocols).tolist():
            found[_PROTOCOLS.get(protocol, f"IP protocol {protocol}")] = int(self.protocols[protocol])
        for port in np.flatnonzero(self.udp_ports).tolist():
            found[f"UDP port {port}"] = int(self.udp_ports[port])
        return dict(sorted(found.items(), key=lambda item: -item[1]))


def read_packets(
    file: MappedFile, *, limits: Limits, defects: DefectLog, progress: Progress | None = None
) -> PacketTable:
    """Read every TCP segment of a capture file.

    What the file got wrong goes to `defects`. Raises `NotACaptureError` if it is no capture.
    """
    secrets: list[bytes] = []
    format_name, batches = read_records(file, limits=limits, defects=defects, secrets=secrets)
    decoder = _Decoder(limits, defects)
    fragments = FragmentStore(limits)
    datagrams: list[tuple[int, int, bytes]] = []
    packets, start_ns, end_ns = 0, None, 0
    for batch in batches:
        times = batch.time_ns[: batch.count]
        if batch.count:
            latest = int(times.max())
            start_ns, end_ns = (
                (int(times[0]), latest) if start_ns is None else (start_ns, max(end_ns, latest))
            )
            numbers = np.arange(batch.first, batch.first + batch.count, dtype=np.int64)
            packets = batch.first + batch.count
            for i in decoder.decode(file.memory, batch, numbers, True).tolist():
                end = int(batch.offset[i] + batch.captured[i])
                whole = fragments.add(file.memory, int(decoder.fragment_at[i]), end, int(times[i]))
                if whole is not None:
                    datagrams.append((int(times[i]), int(numbers[i]), whole))
        if progress is not None:
            progress(batch.stop, file.size)
    spill = _decode_datagrams(decoder, fragments, datagrams)
    fragments.report(defects)
    columns = decoder.columns()
    if spill:
        order = np.argsort(columns["packet"], kind="stable")
        columns = {name: column[order] for name, column in columns.items()}
    _summarise(columns, decoder, defects)
    empty_time = np.concatenate([t for t, _ in decoder.empty] or [np.empty(0, np.int64)])
    empty_packet = np.concatenate([p for _, p in decoder.empty] or [np.empty(0, np.int64)])
    return PacketTable(
        **columns,
        flows=decoder.flows.endpoints(),
        spill=spill,
        packets=packets,
        start_time_ns=start_ns or 0,
        end_time_ns=end_ns,
        empty_records=EmptyRecords(empty_time, np.searchsorted(columns["packet"], empty_packet)),
        other=decoder.other(),
        secrets=secrets,
        format=format_name,
    )


def _decode_datagrams(
    decoder: _Decoder, fragments: FragmentStore, datagrams: list[tuple[int, int, bytes]]
) -> bytes:
    """Decode datagrams that were put together; one of them may hold a fragment of another in a tunnel."""
    spill = bytearray()
    done = 0
    while done < len(datagrams):
        todo = datagrams[done : done + BATCH]
        begins = len(spill) + np.cumsum([0, *(len(d) for _, _, d in todo)], dtype=np.int64)
        sizes = np.diff(begins)
        spill += b"".join(d for _, _, d in todo)
        batch = Records(
            count=len(todo),
            time_ns=np.array([t for t, _, _ in todo], np.int64),
            offset=begins[:-1],
            captured=sizes,
            wire=sizes,
            link=np.full(len(todo), RAW_IP, np.int32),
        )
        numbers = np.array([n for _, n, _ in todo], np.int64)
        memory = bytes(spill)
        for i in decoder.decode(memory, batch, numbers, False).tolist():
            whole = fragments.add(
                memoryview(memory), int(decoder.fragment_at[i]), int(begins[i + 1]), int(batch.time_ns[i])
            )
            if whole is not None:
                datagrams.append((int(batch.time_ns[i]), int(numbers[i]), whole))
        done += len(todo)
    return bytes(spill)


def _summarise(columns: dict[str, npt.NDArray[Any]], decoder: _Decoder, defects: DefectLog) -> None:
    missing = columns["wire_length"] - columns["length"]
    cut = int(np.count_nonzero(missing))
    if cut:
        defects.add(
            DefectKind.PACKET_CUT,
            "packets",
            f"{cut:,} of {len(missing):,} TCP segments were not captured whole; "
            f"{int(missing.sum()):,} bytes are missing (was the snap length too small?)",
        )
    for link, n in sorted(decoder.links.items()):
        defects.add(
            DefectKind.PACKET_UNSUPPORTED,
            "packets",
            f"{n:,} packets have link type {link}, which is not known",
        )
    if decoder.refused:
        defects.add(
            DefectKind.OVER_LIMIT,
            "packets",
            f"more than {decoder.limits.flows:,} TCP connections; {decoder.refused:,} segments are left out",
        )
