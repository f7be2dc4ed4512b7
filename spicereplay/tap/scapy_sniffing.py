"""Records a network interface without a program for it: scapy opens the raw socket. Slow, and better than nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from spicereplay.errors import InputError, UsageError
from spicereplay.tap.sniffing import Sniffed, Sniffing, forbidden


def sniff_with_scapy(
    wanted: Sniffing, *, over: threading.Event, started: Callable[[], None], duration_s: float | None
) -> Sniffed:
    """Record until `over` is set or `duration_s` has passed.

    Raises `InputError` where the interface cannot be opened, `UsageError` for a ring, which is not to be had here.
    """
    if wanted.ring_bytes is not None:
        raise UsageError("a ring needs dumpcap or tcpdump, and neither is installed")
    from scapy.error import Scapy_Exception
    from scapy.layers.inet import TCP
    from scapy.sendrecv import AsyncSniffer
    from scapy.utils import PcapNgWriter

    count = 0
    ports = frozenset(wanted.ports)

    def ours(packet: Any) -> bool:
        return TCP in packet and not ports.isdisjoint((packet[TCP].sport, packet[TCP].dport))

    with PcapNgWriter(str(wanted.output)) as file:

        def keep(packet: Any) -> None:
            nonlocal count
            file.write(packet)
            count += 1

        # The filter is our own: scapy's needs libpcap, which is what is missing where this is used.
        sniffer = AsyncSniffer(
            iface=wanted.interface, store=False, lfilter=ours, prn=keep, started_callback=started
        )
        try:
            sniffer.start()
            while not over.wait(0.2 if duration_s is None else min(0.2, max(duration_s, 0.0))):
                if sniffer.thread is None or not sniffer.thread.is_alive():
                    break
                if duration_s is not None and (duration_s := duration_s - 0.2) <= 0:
                    break
            failed = getattr(sniffer, "exception", None)
            if failed is None:
                sniffer.stop()
        except (Scapy_Exception, OSError) as error:
            failed = error
        if failed is not None:
            raise InputError(_why_not(wanted, failed))
    return Sniffed((wanted.output,), count, None)


def _why_not(wanted: Sniffing, error: Exception) -> str:
    if isinstance(error, PermissionError):
        return forbidden(wanted.interface, "scapy")
    return f"scapy does not record {wanted.interface}: {getattr(error, 'strerror', None) or error}"
