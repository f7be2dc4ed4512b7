"""One TLS connection opened: two streams of ciphertext in, two streams of what it protected out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from spicereplay.bytestream import ByteStream
from spicereplay.defects import DefectKind, DefectLog
from spicereplay.limits import Limits
from spicereplay.transport.tls import keylog
from spicereplay.transport.tls.handshake import (
    ENCRYPTED_EXTENSIONS,
    END_OF_EARLY_DATA,
    FINISHED,
    KEY_UPDATE,
    TLS12,
    TLS13,
    Messages,
    ServerHello,
    client_random,
    server_hello,
    takes_early_data,
    version_name,
)
from spicereplay.transport.tls.keylog import KeyLog
from spicereplay.transport.tls.protection import Opener, content_bytes, tls12_opener, tls13_opener
from spicereplay.transport.tls.records import (
    ALERT,
    APPLICATION_DATA,
    CHANGE_CIPHER_SPEC,
    HANDSHAKE,
    Broken,
    Record,
    records,
)
from spicereplay.transport.tls.schedule import next_secret, tls12_keys, tls13_keys
from spicereplay.transport.tls.suites import SUITES, Suite, unopened_cipher

_CLOSE_NOTIFY: Final = 0


@dataclass(frozen=True, slots=True, eq=False)
class Opened:
    """What a TLS connection carried."""

    client: ByteStream
    server: ByteStream
    version: str
    """`TLS 1.2` or `TLS 1.3`."""
    suite: str
    """Name of the cipher suite."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """A TLS connection that cannot be opened."""

    reason: str


def open_connection(
    client: ByteStream, server: ByteStream, keys: KeyLog, *, limits: Limits, defects: DefectLog, where: str
) -> Opened | Sealed:
    """Open what both sides of a TLS connection sent, or say why it stays shut.

    The streams that come back hold one chunk per record, with the time of the segment that completed it. A record
    that fails authentication leaves a hole of its size. Where records cannot be followed any further (a segment
    is missing, keys were negotiated anew) a direction ends, with a defect and a hole for all that is left of it.
    """
    if not keys:
        return Sealed("no keys given")
    random = client_random(client, limits)
    if isinstance(random, str):
        return Sealed(random)
    secrets = keys.secrets.get(random)
    if secrets is None:
        return Sealed("no keys for this connection among those given")
    hello = server_hello(server, limits)
    if isinstance(hello, str):
        return Sealed(hello)
    suite = _chosen_suite(hello)
    if isinstance(suite, str):
        return Sealed(suite)
    sides = {"client": _Plaintext(client, suite), "server": _Plaintext(server, suite)}
    if suite.tls13:
        early = _EarlyData(sides["client"], secrets.get(keylog.EARLY))
        _read_tls13(sides["server"], "server", secrets, early, limits)  # it says whether it takes early data
        _read_tls13(sides["client"], "client", secrets, early, limits)
    elif keylog.MASTER not in secrets:
        return Sealed(f"the keys given lack its {keylog.MASTER}")
    else:
        pair = tls12_keys(suite, secrets[keylog.MASTER], random, hello.random)
        for into, side_keys in zip(sides.values(), pair, strict=True):
            _read_tls12(into, tls12_opener(suite, side_keys, encrypt_then_mac=hello.encrypt_then_mac))
    if all(into.empty for into in sides.values()):
        return Sealed(_why_shut(sides))
    for side, into in sides.items():
        into.report(defects, f"{where} from {side}")
    return Opened(sides["client"].stream(), sides["server"].stream(), version_name(hello.version), suite.name)


def _chosen_suite(hello: ServerHello) -> Suite | str:
    """Return the suite of a connection, or why its records cannot be opened."""
    if hello.version not in (TLS12, TLS13):
        return f"{version_name(hello.version)} is not supported"
    suite = SUITES.get(hello.suite)
    if suite is None or suite.tls13 != (hello.version == TLS13):
        cipher = unopened_cipher(hello.suite)
        called = f"{hello.suite:#06x}" + (f" ({cipher})" if cipher else "")
        return f"cipher suite {called} of {version_name(hello.version)} is not supported"
    if hello.compression:
        return f"compression method {hello.compression} is not supported"
    return suite


def _why_shut(sides: Mapping[str, _Plaintext]) -> str:
    troubles = {side: into.trouble for side, into in sides.items() if into.trouble}
    if len(set(troubles.values())) == 1:
        return next(iter(troubles.values()))
    return "; ".join(f"from {side}: {trouble}" for side, trouble in troubles.items()) or "it carried nothing"


def _read_tls12(into: _Plaintext, opener: Opener) -> None:
    """Open one direction of TLS 1.2: what follows its ChangeCipherSpec is protected."""
    protected, sequence = False, 0
    for record in records(into.source):
        if isinstance(record, Broken):
            into.stop(record)
            return
        if not protected:
            protected = record.kind == CHANGE_CIPHER_SPEC
            continue
        opened = opener(sequence, record)
        sequence += 1
        if opened is None:
            into.fail(record)
        elif record.kind == APPLICATION_DATA:
            into.add(record, opened[1])
        elif record.kind == ALERT and _closes(opened[1]):
            return
        elif record.kind == CHANGE_CIPHER_SPEC:
            into.stop(Broken(record.position, "the keys were negotiated anew, which is not followed"))
            return


def _read_tls13(
    into: _Plaintext, side: str, secrets: Mapping[str, bytes], early: _EarlyData, limits: Limits
) -> None:
    """Open one direction of TLS 1.3: handshake keys up to its Finished, then traffic keys, each after the other.

    A record that opens under the traffic keys ends the handshake as well: the secret of the handshake may not have
    been logged, and damage may lie in it.
    """
    suite = into.suite
    label = keylog.TRAFFIC[side]
    secret = secrets.get(label)
    if secret is None:
        into.lack(label)
        return
    traffic = tls13_opener(suite, tls13_keys(suite, secret))
    handshake_secret = secrets.get(keylog.HANDSHAKE[side])
    opener = tls13_opener(suite, tls13_keys(suite, handshake_secret)) if handshake_secret else traffic
    messages = Messages(limits.tls_handshake_bytes)
    shaking_hands, sequence = True, 0
    for record in records(into.source):
        if isinstance(record, Broken):
            into.stop(record)
            return
        if record.kind != APPLICATION_DATA:
            continue  # hellos, and what old middle boxes want to see: not protected
        if side == "client" and early.take(record):
            continue
        opened = opener(sequence, record)
        if shaking_hands and (opened is None or opener is traffic):
            opened = opened or traffic(0, record)
            if opened is None:
                into.unopened += 1
                if side == "client" and sequence == 0:
                    early.sealed.append(record)  # that comes first, and does not count
                sequence += sequence > 0
                continue
            shaking_hands, opener, sequence = False, traffic, 0
        sequence += 1
        if side == "client":
            early.end()
        if opened is None:
            into.fail(record)
            continue
        kind, content = opened
        if kind == APPLICATION_DATA:
            into.add(record, content)
        elif kind == ALERT and _closes(content):
            return
        elif kind == HANDSHAKE:
            for message, body in messages.feed(content):
                if message == FINISHED and shaking_hands:
                    shaking_hands, opener, sequence = False, traffic, 0
                elif message == ENCRYPTED_EXTENSIONS and side == "server":
                    early.taken = takes_early_data(body)
                elif message == KEY_UPDATE and not shaking_hands:
                    secret = next_secret(suite, secret)
                    opener, sequence = tls13_opener(suite, tls13_keys(suite, secret)), 0
            if messages.over_limit:
                into.stop(Broken(record.end, f"a handshake message is longer than {messages.limit:,} bytes"))
                return


class _EarlyData:
    """What a client of TLS 1.3 sends before the server has answered.

    It is content where the server takes it, which an EndOfEarlyData at its end shows, too; else the client says it
    again. Source: RFC 8446 sections 2.3 and 4.5.
    """

    def __init__(self, into: _Plaintext, secret: bytes | None) -> None:
        self._into = into
        self._opener = tls13_opener(into.suite, tls13_keys(into.suite, secret)) if secret else None
        self._opened: list[tuple[Record, bytes]] = []
        self._sequence = 0
        self._over = False
        self.taken = False
        """The server has said that it takes it."""
        self.sealed: list[Record] = []
        """Records before the client's handshake that no key opens."""

    def take(self, record: Record) -> bool:
        """Whether it is a record of early data, which is kept until its end."""
        opened = self._opener(self._sequence, record) if self._opener and not self._over else None
        if opened is None:
            return False
        self._sequence += 1
        kind, content = opened
        if kind == APPLICATION_DATA:
            self._opened.append((record, content))
        elif kind == HANDSHAKE and content[:1] == bytes([END_OF_EARLY_DATA]):
            self._over = True
            for earlier in self._opened:
                self._into.add(*earlier)
        return True

    def end(self) -> None:
        """Note that the client's handshake follows, and what was taken of what lies before without being opened."""
        if not self._over and self.taken:
            for record in self.sealed[:-1]:  # the last one says that it ends
                self._into.fail(record, f"early data, for which the keys given lack its {keylog.EARLY}")
        self._over = True


def _closes(alert: bytes) -> bool:
    return len(alert) == 2 and alert[1] == _CLOSE_NOTIFY


class _Plaintext:
    """Collects the contents of one direction's records as the chunks of a new stream."""

    def __init__(self, source: ByteStream, suite: Suite) -> None:
        self.source = source
        self.suite = suite
        self.unopened = 0
        """Protected records that failed authentication."""
        self._spill = bytearray()
        self._rows: list[tuple[int, int, int]] = []
        """Position and length of each chunk, and where in the source its record ended."""
        self._end = 0
        self._failed: list[tuple[int, str]] = []
        self._broken: Broken | None = None
        self._lacking: str | None = None

    @property
    def empty(self) -> bool:
        """Whether nothing was opened."""
        return not self._rows

    @property
    def trouble(self) -> str | None:
        """Why nothing could be opened; None where something was, or there was nothing to open."""
        if self._rows:
            return None
        if self._lacking:
            return f"the keys given lack its {self._lacking}"
        if self.unopened:
            return "wrong keys: none of its protected records opens with them"
        return self._broken.reason if self._broken else None

    def add(self, record: Record, content: bytes) -> None:
        """Append the content of a record."""
        if content:
            self._rows.append((self._end, len(content), record.end))
            self._spill += content
            self._end += len(content)

    def fail(self, record: Record, why: str = "a record fails authentication") -> None:
        """Leave a hole for a record that was not opened; if TLS 1.3 hides what it was, as if for content."""
        self.unopened += 1
        if record.kind == APPLICATION_DATA:
            self._failed.append((record.position, why))
            self._end += content_bytes(self.suite, record)

    def stop(self, broken: Broken) -> None:
        """End the stream before its end."""
        self._broken = broken

    def lack(self, label: str) -> None:
        """Note that a secret is missing without which nothing can be opened."""
        self._lacking = label

    def report(self, defects: DefectLog, where: str) -> None:
        """Note what could not be opened."""
        if self.trouble:
            self._defect(defects, where, 0, f"{self.trouble}: nothing of this direction can be read")
            return
        for position, why in self._failed:
            self._defect(defects, where, position, f"{why}, and nothing of it is used")
        if self._broken:
            position, reason = self._broken.position, self._broken.reason
            left = self.source.end - position
            self._defect(
                defects, where, position, f"{reason}: nothing from there on can be opened ({left:,} bytes)"
            )

    def _defect(self, defects: DefectLog, where: str, position: int, detail: str) -> None:
        time_ns = self.source.time_at(position) if len(self.source.time_ns) else None
        defects.add(DefectKind.TLS_UNREADABLE, where, detail, time_ns=time_ns, position=position)

    def stream(self) -> ByteStream:
        """Return what was collected."""
        source = self.source
        position, length, record_end = np.array(self._rows, np.int64).reshape(-1, 3).T
        chunk = np.searchsorted(source.position + source.length, record_end, "left")
        # How many of the bytes that are left would have been content is not known: at most all of them.
        left = source.end - self._broken.position if self._broken else 0
        return ByteStream(
            file=source.file,
            spill=self._spill,
            position=np.ascontiguousarray(position),
            offset=-1 - np.concatenate(([0], np.cumsum(length)[:-1])).astype(np.int64)[: len(length)],
            length=np.ascontiguousarray(length),
            time_ns=source.time_ns[chunk],
            packet=source.packet[chunk],
            begins_with_syn=True,
            end_position=self._end + left,
        )
