"""TCP connections of a capture, as handed to whoever looks for a protocol in them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from spicereplay.bytestream import ByteStream, DirectionFacts
from spicereplay.defects import DefectLog


class Endpoint(NamedTuple):
    """An address and port; the address is in its usual text form, IPv6 without brackets.

    For a Unix socket it is the absolute path, and the port 0.
    """

    address: str
    port: int

    @property
    def is_path(self) -> bool:
        """Whether it is a Unix socket's."""
        return self.address.startswith("/")

    def __str__(self) -> str:
        if self.is_path:
            return self.address
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"


@dataclass(frozen=True, slots=True, eq=False)
class Connection:
    """One TCP connection: two endpoints and the bytes that each sent.

    Index 0 is the side that sent the SYN where that was seen, else the side whose packet came first;
    `opener_seen` tells which. A SYN with a new initial sequence number on the same ports starts another
    connection.
    """

    endpoints: tuple[Endpoint, Endpoint]
    streams: tuple[ByteStream, ByteStream]
    """`streams[i]` holds what `endpoints[i]` sent."""
    facts: tuple[DirectionFacts, DirectionFacts]
    opener_seen: bool
    first_time_ns: int
    last_time_ns: int
    closed: tuple[str | None, str | None] = (None, None)
    """`"fin"`, `"rst"` or None (not seen) per side."""
    closed_time_ns: int | None = None
    """Capture time of the first FIN or RST."""
    defects: DefectLog = field(default_factory=DefectLog)
    label: str | None = None
    """What the container says this connection is (for instance the name of a per-channel file)."""

    def __str__(self) -> str:
        return f"{self.endpoints[0]} → {self.endpoints[1]}"
