"""What tshark's TCP analysis says of a capture, packet by packet."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_FLAGS: Final = (
    "retransmission",
    "fast_retransmission",
    "spurious_retransmission",
    "out_of_order",
    "duplicate_ack",
    "zero_window",
    "window_full",
    "window_update",
    "zero_window_probe",
    "keep_alive",
)
_FIELDS: Final = (
    "frame.number",
    "frame.time_epoch",
    "tcp.stream",
    "ip.src",
    "tcp.srcport",
    "ip.dst",
    "tcp.dstport",
    "tcp.seq_raw",
    "tcp.ack_raw",
    "tcp.len",
    "tcp.window_size_value",
    "tcp.flags",
    "tcp.analysis.ack_rtt",
    "tcp.analysis.initial_rtt",
    "tcp.options.mss_val",
    "tcp.options.wscale.shift",
    *(f"tcp.analysis.{flag}" for flag in _FLAGS),
)


@dataclass(frozen=True, slots=True)
class Judged:
    """One TCP segment and what tshark thinks of it."""

    number: int
    time_ns: int
    stream: int
    source: str
    destination: str
    """Address and port."""
    sequence: int
    acknowledgement: int
    length: int
    window: int
    """As sent, not scaled."""
    flags: int
    ack_rtt_ns: int | None
    initial_rtt_ns: int | None
    mss: int | None
    shift: int | None
    says: frozenset[str]
    """Names from `tcp.analysis.*`."""


def judged(path: Path) -> list[Judged]:
    """Run tshark and return every TCP segment over IPv4."""
    command = [
        "tshark",
        "-r",
        str(path),
        "-Y",
        "tcp && ip",
        "-T",
        "fields",
        "-o",
        "tcp.desegment_tcp_streams:FALSE",
    ]
    command += [word for name in _FIELDS for word in ("-e", name)]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [_judged(line.split("\t")) for line in out.splitlines()]


def _judged(cells: list[str]) -> Judged:
    row = dict(zip(_FIELDS, cells, strict=True))
    return Judged(
        number=int(row["frame.number"]),
        time_ns=_ns(row["frame.time_epoch"]) or 0,
        stream=int(row["tcp.stream"]),
        source=f"{row['ip.src']}:{row['tcp.srcport']}",
        destination=f"{row['ip.dst']}:{row['tcp.dstport']}",
        sequence=int(row["tcp.seq_raw"]),
        acknowledgement=int(row["tcp.ack_raw"]),
        length=int(row["tcp.len"]),
        window=int(row["tcp.window_size_value"]),
        flags=int(row["tcp.flags"], 16),
        ack_rtt_ns=_ns(row["tcp.analysis.ack_rtt"]),
        initial_rtt_ns=_ns(row["tcp.analysis.initial_rtt"]),
        mss=int(row["tcp.options.mss_val"]) if row["tcp.options.mss_val"] else None,
        shift=int(row["tcp.options.wscale.shift"]) if row["tcp.options.wscale.shift"] else None,
        says=frozenset(flag for flag in _FLAGS if row[f"tcp.analysis.{flag}"]),
    )


def _ns(seconds: str) -> int | None:
    """Nanoseconds from a decimal fraction, exactly."""
    if not seconds:
        return None
    whole, _, fraction = seconds.partition(".")
    return int(whole) * 10**9 + int(fraction.ljust(9, "0")[:9])
