"""The secrets of TLS connections, as clients and servers log them.

Whatever holds a secret here has no telling `repr`, and no error or defect quotes a line.

Source: the NSS key log format ("SSLKEYLOGFILE"), RFC 9850.
"""

from __future__ import annotations

import binascii
import codecs
import gzip
import zlib
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from io import BufferedReader
from typing import Final, Self

from spicereplay.defects import DefectKind, DefectLog
from spicereplay.errors import InputError
from spicereplay.limits import Limits
from spicereplay.units import KIB, MIB

MASTER: Final = "CLIENT_RANDOM"
"""Label of the master secret of TLS 1.2."""
HANDSHAKE: Final = {side: f"{side.upper()}_HANDSHAKE_TRAFFIC_SECRET" for side in ("client", "server")}
TRAFFIC: Final = {side: f"{side.upper()}_TRAFFIC_SECRET_0" for side in ("client", "server")}
"""Labels of the secrets of TLS 1.3, by the side that sends."""
EARLY: Final = "CLIENT_EARLY_TRAFFIC_SECRET"
"""Label of the secret of what a client of TLS 1.3 sends before the server has answered."""

SECRET_BYTES: Final[dict[str, tuple[int, ...]]] = {
    MASTER: (48,),
    **dict.fromkeys((*HANDSHAKE.values(), *TRAFFIC.values(), EARLY), (32, 48)),
}
"""The labels that open records, and how long their secrets may be."""

RANDOM_BYTES: Final = 32
WHERE: Final = "key log"
_PIECE: Final = MIB
_LINE_BYTES: Final = 64 * KIB
"""What is longer without a line's end is none of a key log; real ones have 200 bytes."""
_GZIP: Final = b"\x1f\x8b"


@dataclass(frozen=True, slots=True, repr=False)
class KeyLog:
    """Secrets by the random value of the ClientHello of their connection."""

    secrets: Mapping[bytes, Mapping[str, bytes]] = field(default_factory=dict)
    """Per client random: secret by label."""
    lines: int = 0
    """Lines that were neither empty nor comments."""
    bad_lines: int = 0
    """Lines of these that are not in the format."""

    @classmethod
    def parse(
        cls,
        texts: Iterable[bytes],
        *,
        limits: Limits,
        defects: DefectLog,
        wanted: Container[bytes] | None = None,
    ) -> Self:
        """Read key logs, each cut at the ends of lines if at all; of two secrets for one thing the first one counts.

        With `wanted` secrets are kept for these client randoms alone: programs add to their logs for years. Labels
        that open no records (exporter secrets, say) are stepped over. Lines that are not in the format are counted,
        and one defect says how many there were.
        """
        secrets: dict[bytes, dict[str, bytes]] = {}
        lines = bad = 0
        room = limits.key_log_bytes
        for text in texts:
            cut = len(text) > room
            if cut:
                defects.add(
                    DefectKind.OVER_LIMIT,
                    WHERE,
                    f"it has more than {limits.key_log_bytes:,} bytes: the rest is not read",
                )
                # The cut goes through a line, which must not be taken for a whole one.
                text = text[: text.rfind(b"\n", 0, room) + 1]
            room -= len(text)
            for line in text.removeprefix(codecs.BOM_UTF8).splitlines():
                words = line.split()
                if not words or words[0].startswith(b"#"):
                    continue
                lines += 1
                entry = _entry(words)
                if entry is None:
                    bad += 1
                elif entry[1] in SECRET_BYTES and (wanted is None or entry[0] in wanted):
                    random, label, secret = entry
                    secrets.setdefault(random, {}).setdefault(label, secret)
            if cut:
                break
        if bad:
            defects.add(
                DefectKind.KEY_LOG, WHERE, f"{bad:,} of {lines:,} lines are not in the key log format"
            )
        return cls(secrets, lines, bad)

    def __bool__(self) -> bool:
        """Whether there were any secrets, be it of other connections."""
        return self.lines > self.bad_lines

    def __repr__(self) -> str:
        return f"<KeyLog of {len(self.secrets)} connections>"


def pieces(file: BufferedReader) -> Iterator[bytes]:
    """Yield a key log, plain or compressed with gzip, in pieces that end where lines do; one at least.

    Raises `InputError` for damaged gzip data, `OSError` for what cannot be read.
    """
    source = gzip.GzipFile(fileobj=file) if file.peek(2).startswith(_GZIP) else file
    rest = b""
    while block := _read(source):
        whole, end, rest = (rest + block).rpartition(b"\n")
        if len(rest) > _LINE_BYTES:
            whole, end, rest = whole + end + rest, b"", b""
        yield whole + end
    yield rest


def _read(source: BufferedReader | gzip.GzipFile) -> bytes:
    try:
        return source.read(_PIECE)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"{WHERE}: its gzip data is damaged ({error})") from None


def _entry(words: list[bytes]) -> tuple[bytes, str, bytes] | None:
    """Return client random, label and secret of one line; None where it is not in the format."""
    if len(words) != 3:
        return None
    try:
        label, random, secret = (
            words[0].decode("ascii"),
            binascii.unhexlify(words[1]),
            binascii.unhexlify(words[2]),
        )
    except (binascii.Error, UnicodeDecodeError):
        return None
    if label in SECRET_BYTES and (len(random) != RANDOM_BYTES or len(secret) not in SECRET_BYTES[label]):
        return None
    return random, label, secret


NO_KEYS: Final = KeyLog()
