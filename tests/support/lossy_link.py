"""A slow, lossy wire between two real TCP stacks, for captures of what they do about it.

Two network namespaces get a TUN device each; what one sends, this process hands to the other, late, out of order or
not at all, and writes to two capture files: at the one end before it is lost, at the other after. Needs root, Linux
and iproute2; nothing in the tests runs it, the captures it made are in `fixtures/lossy-wire`.

    with LossyLink(Wire(loss=0.02, delay_s=0.02)) as link:
        server = link.popen(1, ["..."])      # at 10.9.0.2
        client = link.popen(0, ["..."])      # at 10.9.0.1
        ...
    link.write(folder)                       # near-server.pcap, near-client.pcap
"""

from __future__ import annotations

import ctypes
import fcntl
import heapq
import os
import random
import select
import struct
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final

from support.pcapfile import RAW, Frame, write_pcap

ADDRESSES: Final = ("10.9.0.1", "10.9.0.2")
"""Of the client's end and of the server's."""
_TUNSETIFF: Final = 0x400454CA
_IFF_TUN_NO_PI: Final = 0x1001
_CLONE_NEWNET: Final = 0x40000000


@dataclass(frozen=True, slots=True)
class Wire:
    """What happens on the way, in both directions."""

    loss: float = 0.0
    """Share of packets that are dropped."""
    reorder: float = 0.0
    """Share of packets that are held back by `reorder_s`."""
    duplicate: float = 0.0
    delay_s: float = 0.01
    reorder_s: float = 0.002
    bytes_per_s: float = 4e6
    mtu: int = 1500
    seed: int = 1


class LossyLink:
    """The wire; a context manager."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.names = tuple(f"lossy{os.getpid()}-{end}" for end in (0, 1))
        self.seen: tuple[list[Frame], list[Frame]] = ([], [])
        self._devices: list[int] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._carry, daemon=True)

    def __enter__(self) -> LossyLink:
        for end, name in enumerate(self.names):
            subprocess.run(["ip", "netns", "add", name], check=True)
            self._devices.append(_device(f"/run/netns/{name}"))
            for words in (
                ["addr", "add", f"{ADDRESSES[end]}/24", "dev", "wire"],
                ["link", "set", "wire", "mtu", str(self.wire.mtu), "up"],
                ["link", "set", "lo", "up"],
            ):
                subprocess.run(["ip", "-n", name, *words], check=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        for device in self._devices:
            os.close(device)
        for name in self.names:
            subprocess.run(["ip", "netns", "del", name], check=True)

    def popen(self, end: int, command: list[str], **options: object) -> subprocess.Popen[bytes]:
        """Start a program at one end: 0 is the client's, 1 the server's."""
        return subprocess.Popen(["ip", "netns", "exec", self.names[end], *command], **options)  # type: ignore[call-overload, no-any-return]

    def write(self, folder: Path) -> None:
        """Write what passed the two ends."""
        for name, frames in zip(("near-client.pcap", "near-server.pcap"), self.seen, strict=True):
            write_pcap(folder / name, frames, link=RAW, nanoseconds=True)

    def _carry(self) -> None:
        wire, rng = self.wire, random.Random(self.wire.seed)
        waiting: list[tuple[float, int, int, bytes]] = []
        free_at = [0.0, 0.0]
        count = 0
        while not self._stop.is_set():
            now = time.monotonic()
            timeout = max(0.0, min(0.05, waiting[0][0] - now)) if waiting else 0.05
            readable, _, _ = select.select(self._devices, [], [], timeout)
            for device in readable:
                end = self._devices.index(device)
                packet = os.read(device, 65536)
                if packet[0] >> 4 != 4 or packet[9] != 6:
                    continue
                self.seen[end].append(Frame(packet, time.time_ns()))
                if rng.random() < wire.loss:
                    continue
                now = time.monotonic()
                free_at[end] = max(free_at[end], now) + len(packet) / wire.bytes_per_s
                for _ in range(1 + (rng.random() < wire.duplicate)):
                    held = wire.reorder_s if rng.random() < wire.reorder else 0.0
                    count += 1
                    heapq.heappush(waiting, (free_at[end] + wire.delay_s + held, count, end, packet))
            now = time.monotonic()
            while waiting and waiting[0][0] <= now:
                _, _, end, packet = heapq.heappop(waiting)
                self.seen[1 - end].append(Frame(packet, time.time_ns()))
                os.write(self._devices[1 - end], packet)


def _device(namespace: str) -> int:
    """Make a TUN device in a network namespace; return its file descriptor."""
    libc = ctypes.CDLL(None, use_errno=True)
    home = os.open("/proc/self/ns/net", os.O_RDONLY)
    there = os.open(namespace, os.O_RDONLY)
    if libc.setns(there, _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")
    device = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(device, _TUNSETIFF, struct.pack("16sH22x", b"wire", _IFF_TUN_NO_PI))
    if libc.setns(home, _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")
    os.close(home)
    os.close(there)
    return device
