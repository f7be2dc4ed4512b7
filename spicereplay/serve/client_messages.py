"""What a connected client says, cut into messages.

Nothing a client sends is kept but the first bytes of each message: of all it may say, a replay needs numbers alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from spicereplay.protocol.framing import FULL_HEADER_BYTES, MINI_HEADER_BYTES

HEAD_BYTES: Final = 64
"""Bytes of a body that are kept; the longest message that is looked into, DISPLAY_INIT, has 14."""


class ClientMessage(NamedTuple):
    """One message, whole when it is given."""

    type: int
    size: int
    """Bytes of its body."""
    head: bytes
    """The first `HEAD_BYTES` of it."""

    def word(self, at: int = 0) -> int:
        """Return the u32 at byte `at` of the body; 0 where the body is shorter."""
        return int.from_bytes(self.head[at : at + 4], "little")


@dataclass(slots=True)
class ClientMessages:
    """Takes bytes as they come; memory does not grow with what a client sends."""

    mini_header: bool
    _held: bytearray = field(default_factory=bytearray)
    _begun: ClientMessage | None = None
    _missing: int = 0
    """Bytes of the body of `_begun` that have not come."""

    def receive(self, data: bytes) -> Iterator[ClientMessage]:
        """Yield the messages that are complete now."""
        self._held += data
        header = MINI_HEADER_BYTES if self.mini_header else FULL_HEADER_BYTES
        type_at = 0 if self.mini_header else 8
        while True:
            if self._begun is None:
                if len(self._held) < header:
                    return
                kind = int.from_bytes(self._held[type_at : type_at + 2], "little")
                self._missing = int.from_bytes(self._held[type_at + 2 : type_at + 6], "little")
                self._begun = ClientMessage(kind, self._missing, b"")
                del self._held[:header]
            taken = bytes(self._held[: self._missing])
            del self._held[: len(taken)]
            self._missing -= len(taken)
            head = self._begun.head
            if len(head) < HEAD_BYTES:
                head += taken[: HEAD_BYTES - len(head)]
            self._begun = self._begun._replace(head=head)
            if self._missing:
                return
            yield self._begun
            self._begun = None
