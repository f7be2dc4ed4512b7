"""Who is who, under other names: the same host gets the same pseudonym everywhere.

Addresses become addresses that are set aside for documentation, so that they are valid and lead nowhere; loopback
addresses name nobody and stay. Source: RFC 5737, RFC 3849, RFC 2544 (when the first two blocks are used up).
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from typing import Final

from spicereplay.capture.connection import Endpoint

_BLOCKS_OF_4: Final = ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "198.18.0.0/15")
_BLOCK_OF_6: Final = "2001:db8::/32"
_FEWEST: Final = 3
"""Characters of the shortest name that is looked for inside other texts: a shorter one is in everything."""
_TRIED: Final = 1024
"""Pseudonyms that are tried for one address."""
_ADDRESS_IN_TEXT: Final = re.compile(
    r"(?<![\w.:])(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7})(?![\w:]|\.\d)"
)


@dataclass(slots=True)
class Pseudonyms:
    """All names that were replaced in one run."""

    addresses: dict[str, str] = field(default_factory=dict)
    """Address to pseudonym, both in their usual text form."""
    hosts: dict[str, str] = field(default_factory=dict)
    """Host name to pseudonym."""
    private: set[str] = field(default_factory=set)
    """Every text that names somebody: a notice that holds one is replaced."""
    real: set[str] = field(default_factory=set)
    """Addresses that are somebody's: no pseudonym is one of them, though they may be of the documentation's blocks."""
    made_up: set[str] = field(default_factory=set)
    """Addresses that are nobody's."""

    def keep(self, text: str) -> None:
        """Note an address that a recorder made up: it stays, since recordings of that kind are known by it."""
        self.made_up.add(text)

    def meet(self, text: str) -> None:
        """Note an address that is to be replaced sooner or later. Raises `ValueError` for what is none."""
        self.real.add(str(ipaddress.ip_address(text.partition("%")[0])))

    def address(self, text: str) -> str:
        """Return the pseudonym of an address, of the same version; loopback, unspecified and made up ones stay.

        Raises `ValueError` for what is no address.
        """
        known = self.addresses.get(text)
        if known is not None:
            return known
        real = ipaddress.ip_address(text.partition("%")[0])
        if real.is_loopback or real.is_unspecified or text in self.made_up:
            return text
        self.real.add(str(real))
        taken = sum(ipaddress.ip_address(a).version == real.version for a in self.addresses.values())
        used = self.real.union(self.addresses.values())
        made = next(
            (nth for n in range(_TRIED) if (nth := _nth(real.version, taken + 1 + n)) not in used),
            _nth(real.version, taken + 1),
        )
        self.addresses[text] = made
        self.private.add(text)
        return made

    def endpoint(self, end: Endpoint) -> Endpoint:
        """Return an endpoint under its pseudonym, with its own port."""
        return Endpoint(self.address(end.address), end.port)

    def host(self, name: str) -> str:
        """Return the pseudonym of a host: of an address an address, of a name one under `example`."""
        try:
            return self.address(name)
        except ValueError:
            pass
        if not name or name == "localhost":
            return name
        if name not in self.hosts:
            self.hosts[name] = f"host{len(self.hosts) + 1}.example"
            self.learn(name)
        return self.hosts[name]

    def learn(self, text: str) -> None:
        """Note a text that names somebody or something."""
        if len(text) >= _FEWEST:
            self.private.add(text)

    def holds_private(self, text: str) -> bool:
        """Whether a text holds a name that is replaced, or an address."""
        return any(name in text for name in self.private) or any(
            self._is_foreign(found[0]) for found in _ADDRESS_IN_TEXT.finditer(text)
        )

    def cleaned(self, text: str) -> str:
        """Return a text with pseudonyms for hosts and addresses, and `x` for whatever else names somebody."""
        for name in sorted(self.hosts, key=len, reverse=True):
            text = text.replace(name, self.hosts[name])
        text = _ADDRESS_IN_TEXT.sub(self._replaced, text)
        others = self.private - set(self.hosts) - set(self.addresses)
        for name in sorted(others, key=len, reverse=True):
            text = text.replace(name, "x" * len(name))
        return text

    def _replaced(self, found: re.Match[str]) -> str:
        return self.address(found[0]) if self._is_foreign(found[0]) else found[0]

    def _is_foreign(self, text: str) -> bool:
        if text in self.addresses.values():
            return False
        try:
            return self.address(text) != text
        except ValueError:
            return False


def _nth(version: int, n: int) -> str:
    """Return the n-th address for documentation, from 1; after all of them the last one serves for everybody."""
    if version == 6:
        return str(ipaddress.ip_network(_BLOCK_OF_6)[n])
    for block in map(ipaddress.ip_network, _BLOCKS_OF_4):
        if n < block.num_addresses - 1:
            return str(block[n])
        n -= block.num_addresses - 2
    return str(block[-2])


def same_length(name: bytes) -> bytes:
    """Return a name of `x` as long as another, NULs at its end kept."""
    bare = name.rstrip(b"\0")
    return b"x" * len(bare) + name[len(bare) :]
