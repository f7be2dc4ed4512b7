"""The file that says what a capture showed: text, one line for each picture, in the order of the wire.

    spicereplay-golden 2
    capture 998729 46985cdea344e786
    recorded spicereplay 0.1.0 x86_64
    states 256
    library A simplejpeg 1.9.0 x86_64
    speed lz_rgb 0.54
    channel 0 display/0 4403
    image 4 9184 lz_rgb 800x600 rgb32 5a3b0e18c6f1d207 #kY0…
    image 31 60122 jpeg 96x64 yuv A:0ff1e2d3c4b5a697 ~gIGA…
    state 255 90211 surface/0 800x600 x888 1f2e3d4c5b6a7988 #…

The columns of a picture: kind, row of the message among the server's, its stream position, codec (or surface, message
or cursor type), size, pixel format, hash. A hash behind letters is that of pictures made by these libraries; `#`
begins the digests of its blocks, `~` their mean colours, `?` the hash of which pixels are unknown. In place of a hash
stands `refused` for data that does not decode and `missing` for an image that is not in the cache.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from spicereplay.errors import InputError
from spicereplay.golden.digest import grid_bytes
from spicereplay.limits import DEFAULT_LIMITS, Limits
from spicereplay.text import visible

VERSION: Final = 2
SUFFIX: Final = ".golden"
MAGIC: Final = "spicereplay-golden"
REFUSED: Final = "refused"
MISSING: Final = "missing"
KINDS: Final = ("image", "frame", "draw", "last", "state", "shape", "end")
"""`last` is a surface before it is destroyed, `end` one at the end of the capture."""

_HASH = re.compile(r"(?:([A-Z]+):)?([0-9a-f]{16})")
_SIZE = re.compile(r"([0-9]{1,6})x([0-9]{1,6})")
_NUMBER: Final = re.compile(r"[0-9]{1,18}")
_CHECK: Final = re.compile(r"[0-9a-f]{1,64}")
_LETTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """Which picture of a capture."""

    session: int
    channel: str
    """`display/0`"""
    row: int
    """Of the message among those from the server on its channel; for `end` how many there are."""
    kind: str
    what: str
    """Codec of an image or frame, `surface/3` of a state, name of a drawing message, type of a cursor."""
    ordinal: int = 0
    """Counts the pictures of one kind and codec that one message has."""

    def __str__(self) -> str:
        where = f"session {self.session} {self.channel}"
        match self.kind:
            case "end":
                return f"{where}: {self.what} at the end"
            case "state":
                return f"{where}: {self.what} after message {self.row}"
            case "last":
                return f"{where}: {self.what} before message {self.row} destroys it"
            case "draw":
                return f"{where} message {self.row}: what {self.what} drew"
            case "messages":
                return f"{where}: how many messages there are"
        return f"{where} message {self.row}: {self.kind} {self.what}"


@dataclass(frozen=True, slots=True)
class Entry:
    """One line: what one picture must be."""

    key: Key
    position: int
    """Of the message in the server's stream, bytes."""
    width: int
    height: int
    format: str
    hash: str
    """16 hexadecimal digits, or `REFUSED` or `MISSING`."""
    libraries: tuple[str, ...] = ()
    """What made the lossy pictures in it; none where all is lossless and the hash counts whoever decodes."""
    grid: bytes = b""
    """Digests of the blocks; with `libraries` their mean colours. See `digest`."""
    mask: str = ""
    """Hash of which pixels are unknown; empty where all are known."""

    @property
    def lossy(self) -> bool:
        """Whether the pixels may differ a little from library to library."""
        return bool(self.libraries)


@dataclass(frozen=True, slots=True, eq=False)
class Manifest:
    """What one capture showed when it was recorded."""

    size: int
    """Bytes of the capture …"""
    check: str
    """… and the first 16 digits of their SHA-256."""
    recorded: str
    """Which spicereplay recorded it, and the machine's architecture."""
    every: int
    """Surfaces are looked at after so many messages of a display channel."""
    entries: tuple[Entry, ...]
    channels: Mapping[tuple[int, str], int] = field(default_factory=dict)
    """Messages from the server on each display and cursor channel, by session and name."""
    speeds: Mapping[str, float] = field(default_factory=dict)
    """Codec to time per pixel, in that of a calibration on the same machine; see `matrix`."""


def beside(capture: Path) -> Path:
    """Return where the manifest of a capture (a file or a directory) lies."""
    named = capture if capture.name not in ("", "..") else capture.resolve()
    return named.parent / (named.name + SUFFIX)


# --- writing ----------------------------------------------------------------------------------------------


def to_text(manifest: Manifest) -> str:
    """Return a manifest as text: the same for the same content, whatever order the entries have."""
    libraries = sorted({library for entry in manifest.entries for library in entry.libraries})
    if len(libraries) > len(_LETTERS):
        raise InputError(f"{len(libraries)} libraries made one manifest's pictures")
    letters = dict(zip(libraries, _LETTERS, strict=False))
    lines = [
        f"{MAGIC} {VERSION}",
        f"capture {manifest.size} {manifest.check}",
        f"recorded {manifest.recorded}",
        f"states {manifest.every}",
        *(f"library {letter} {library}" for library, letter in letters.items()),
        *(f"speed {codec} {ratio:.3g}" for codec, ratio in sorted(manifest.speeds.items())),
    ]
    by_channel: dict[tuple[int, str], list[Entry]] = {channel: [] for channel in manifest.channels}
    for entry in manifest.entries:
        by_channel.setdefault((entry.key.session, entry.key.channel), []).append(entry)
    for (session, channel), entries in sorted(by_channel.items()):
        lines.append(f"channel {session} {channel} {manifest.channels.get((session, channel), 0)}")
        entries.sort(key=lambda e: (e.key.row, KINDS.index(e.key.kind), e.key.what, e.key.ordinal))
        lines += (_line(entry, letters) for entry in entries)
    return "\n".join(lines) + "\n"


def _line(entry: Entry, letters: Mapping[str, str]) -> str:
    key = entry.key
    hashed = entry.hash
    if entry.libraries:
        hashed = "".join(sorted(letters[library] for library in entry.libraries)) + ":" + hashed
    size = f"{entry.width}x{entry.height}"
    words = [key.kind, str(key.row), str(entry.position), key.what, size, entry.format, hashed]
    if entry.grid:
        text = base64.b64encode(entry.grid).decode().rstrip("=")
        words.append(("~" if entry.lossy else "#") + text)
    if entry.mask:
        words.append("?" + entry.mask)
    return " ".join(words)


# --- reading ----------------------------------------------------------------------------------------------


def read_manifest(path: Path, limits: Limits = DEFAULT_LIMITS) -> Manifest:
    """Read the manifest at `path`, of this or an older version.

    Raises `InputError` where it is none, is damaged, or is newer than this program; `OSError`.
    """
    with path.open("rb") as file:
        data = file.read(limits.manifest_bytes + 1)
    if len(data) > limits.manifest_bytes:
        raise InputError(f"{path.name}: a manifest of more than {limits.manifest_bytes} bytes")
    return parse(data.decode("utf-8", "replace"), path.name)


def parse(text: str, name: str = "manifest") -> Manifest:
    """Return the manifest that a text holds; raises `InputError`, which names the line."""
    lines = text.splitlines()
    magic, _, number = (lines[0] if lines else "").partition(" ")
    if magic != MAGIC or not _NUMBER.fullmatch(number):
        raise InputError(f"{name}: no golden manifest: its first line is not '{MAGIC} {VERSION}'")
    version = int(number)
    if version > VERSION or version < 1:
        raise InputError(
            f"{name}: a manifest of version {number}; this program knows up to {VERSION}, so update it"
        )
    return _Reader(name).read(migrate(lines, version))


def migrate(lines: list[str], version: int) -> list[str]:
    """Return the lines of a manifest of an older version as those of the present one.

    Version 1 named session and channel on each line, and knew neither how many messages a channel has nor speeds.
    """
    for old in range(version, VERSION):
        lines = _MIGRATIONS[old](lines)
    return lines


def _from_version_1(lines: list[str]) -> list[str]:
    head = [f"{MAGIC} 2", *(line for line in lines[1:] if line.split(" ", 1)[0] not in KINDS)]
    by_channel: dict[str, list[str]] = {}
    for line in lines[1:]:
        kind, _, rest = line.partition(" ")
        if kind in KINDS:
            session, _, rest = rest.partition(" ")
            channel, _, rest = rest.partition(" ")
            by_channel.setdefault(f"channel {session} {channel}", []).append(f"{kind} {rest}")
    return [*head, *(line for channel, entries in by_channel.items() for line in (channel, *entries))]


_MIGRATIONS: Final = {1: _from_version_1}


@dataclass(slots=True)
class _Reader:
    """Reads the lines of a manifest of the present version."""

    name: str
    size: int = -1
    check: str = ""
    recorded: str = "unknown"
    every: int = 0
    libraries: dict[str, str] = field(default_factory=dict)
    speeds: dict[str, float] = field(default_factory=dict)
    channels: dict[tuple[int, str], int] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)
    channel: tuple[int, str] | None = None
    seen: dict[Key, int] = field(default_factory=dict)

    def read(self, lines: Iterable[str]) -> Manifest:
        for number, line in enumerate(lines, 1):
            words = line.split(" ")
            try:
                if number > 1 and line:
                    self._take(words)
            except (ValueError, KeyError, IndexError, binascii.Error):
                raise InputError(f"{self.name}: line {number} is damaged: {visible(line, 80)}") from None
        if self.size < 0 or self.every < 1:
            raise InputError(f"{self.name}: damaged: its line 'capture' or 'states' is missing")
        entries = tuple(self.entries)
        return Manifest(self.size, self.check, self.recorded, self.every, entries, self.channels, self.speeds)

    def _take(self, words: list[str]) -> None:
        match words:
            case ["capture", size, check] if _CHECK.fullmatch(check):
                self.size, self.check = _number(size), check
            case ["recorded", *rest]:
                self.recorded = " ".join(rest)
            case ["states", every]:
                self.every = _number(every)
            case ["library", letter, *rest]:
                self.libraries[letter] = " ".join(rest)
            case ["speed", codec, ratio]:
                self.speeds[codec] = _ratio(ratio)
            case ["channel", session, channel, *messages]:
                self.channel = _number(session), channel
                if messages:
                    self.channels[self.channel] = _number(messages[0])
            case [kind, *_] if kind in KINDS:
                self.entries.append(self._entry(words))
            case _:
                raise ValueError

    def _entry(self, words: list[str]) -> Entry:
        kind, row, position, what, size, format, hashed, *more = words
        if self.channel is None or (sides := _SIZE.fullmatch(size)) is None:
            raise ValueError
        libraries: tuple[str, ...] = ()
        if hashed not in (REFUSED, MISSING):
            found = _HASH.fullmatch(hashed)
            if found is None:
                raise ValueError
            libraries = tuple(sorted(self.libraries[letter] for letter in found[1] or ""))
            hashed = found[2]
        grid, mask = b"", ""
        for word in more:
            if word[0] in "#~":
                grid = base64.b64decode(word[1:] + "=" * (-len(word[1:]) % 4), validate=True)
            elif word[0] == "?":
                mask = word[1:]
            else:
                raise ValueError
        width, height = int(sides[1]), int(sides[2])
        if grid and len(grid) not in grid_bytes((width, height), means=bool(libraries)):
            raise ValueError
        session, channel = self.channel
        first = Key(session, channel, _number(row), kind, what)
        ordinal = self.seen.get(first, 0)
        self.seen[first] = ordinal + 1
        key = Key(session, channel, _number(row), kind, what, ordinal)
        return Entry(key, _number(position), width, height, format, hashed, libraries, grid, mask)


def _number(word: str) -> int:
    """Return a count as it is written here; raises `ValueError` for all else that `int` takes."""
    if _NUMBER.fullmatch(word) is None:
        raise ValueError
    return int(word)


def _ratio(word: str) -> float:
    """Return a speed; one that is none (nan, inf, 0) would never be exceeded, and raises `ValueError`."""
    ratio = float(word)
    if not (math.isfinite(ratio) and ratio > 0):
        raise ValueError
    return ratio
