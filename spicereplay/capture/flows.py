"""Which two endpoints a TCP segment belongs to, as a number."""

from __future__ import annotations

import ipaddress
import os
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from spicereplay.capture._kernels import packets as kernel
from spicereplay.capture.connection import Endpoint

KEY_BYTES: Final = 40
"""Lower endpoint (16 bytes of address, 2 of port), higher endpoint, IP version, whether the first segment
came from the lower one, two bytes unused. IPv4 addresses are mapped into IPv6."""


def _seed() -> int:
    # So that nobody can prepare a capture whose flows all collide; no result depends on it.
    return int.from_bytes(os.urandom(8), "little")


@dataclass(slots=True, eq=False)
class FlowTable:
    """Flow numbers by endpoints: an open-addressing hash that the kernel reads and fills.

    `keys` is `(capacity, 40)` uint8, one row per flow in the order of their first segments; `slots` holds
    flow numbers at the places their hashes name, -1 where free.
    """

    count: int = 0
    keys: npt.NDArray[np.uint8] = field(default_factory=lambda: np.zeros((0, KEY_BYTES), np.uint8))
    slots: npt.NDArray[np.int32] = field(default_factory=lambda: np.full(1, -1, np.int32))
    seed: int = field(default_factory=_seed)

    def make_room(self, more: int, limit: int) -> None:
        """See that `more` new flows fit, but never more than `limit` in all; half of the slots stay free."""
        need = min(self.count + more, max(limit, self.count))
        if max(need, 1) > len(self.keys):
            keys = np.zeros((max(need, 2 * len(self.keys), 1), KEY_BYTES), np.uint8)
            keys[: self.count] = self.keys[: self.count]
            self.keys = keys
        if 2 * (self.count + more) > len(self.slots):
            self.slots = np.full(1 << (2 * (self.count + more)).bit_length(), -1, np.int32)
            kernel.index_flows(self.keys, self.count, self.slots, self.seed)

    def endpoints(self) -> list[tuple[Endpoint, Endpoint]]:
        """Return the two endpoints of each flow; the first is the one whose segment was found first."""
        pairs: list[tuple[Endpoint, Endpoint]] = []
        for key in self.keys[: self.count]:
            raw = key.tobytes()
            lower, higher = _endpoint(raw[:18], raw[36]), _endpoint(raw[18:36], raw[36])
            pairs.append((lower, higher) if raw[37] else (higher, lower))
        return pairs


def _endpoint(raw: bytes, version: int) -> Endpoint:
    address = str(ipaddress.IPv4Address(raw[12:16]) if version == 4 else ipaddress.IPv6Address(raw[:16]))
    return Endpoint(address, int.from_bytes(raw[16:18], "big"))
