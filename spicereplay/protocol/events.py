"""What watching one connection tells, in order."""

from __future__ import annotations

from dataclasses import dataclass

from spicereplay.protocol.enums import Side
from spicereplay.protocol.link import Link


@dataclass(frozen=True, slots=True)
class LinkEnded:
    """The link stage is over, one way or the other."""

    time_ns: int
    link: Link


@dataclass(frozen=True, slots=True)
class MessageSeen:
    """A message is complete (or as complete as it will ever be)."""

    time_ns: int
    side: Side
    type: int
    size: int
    """Bytes of the body, as its header states."""
    serial: int
    sub: bool
    """It was carried inside another message."""
    partial: bool
    """Bytes of it are missing."""
    body: bytes
    """The body up to its first missing byte."""


@dataclass(frozen=True, slots=True)
class BytesMissing:
    """A hole that touched the messages."""

    time_ns: int
    side: Side
    position: int
    length: int | None


@dataclass(frozen=True, slots=True)
class SideClosed:
    """A side sends no more."""

    time_ns: int
    side: Side


Event = LinkEnded | MessageSeen | BytesMissing | SideClosed
