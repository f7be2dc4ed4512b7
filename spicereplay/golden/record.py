"""Makes the manifest of a capture from what it shows now."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from spicereplay._version import __version__
from spicereplay.golden.digest import block_digests, block_means, digest, mask_digest
from spicereplay.golden.manifest import Entry, Manifest
from spicereplay.golden.observe import EVERY, Seen, message_counts, observe
from spicereplay.limits import DEFAULT_LIMITS, Limits
from spicereplay.replay.driver import Progress, replay

_BLOCK_BYTES: Final = 1 << 20


def record(
    capture: Path,
    *,
    every: int = EVERY,
    keylog: Path | None = None,
    speeds: Mapping[str, float] | None = None,
    limits: Limits = DEFAULT_LIMITS,
    progress: Progress | None = None,
) -> Manifest:
    """Return the manifest of a capture; `speeds` are what `matrix.relative_speeds` measured, if anything.

    Raises as `replay` does.
    """
    entries: list[Entry] = []
    with replay(capture, limits=limits, keylog=keylog, progress=progress) as found:
        observe(
            found, lambda seen: entries.append(entry_of(seen)), every=every, limits=limits, progress=progress
        )
        channels = message_counts(found)
    size, check = identity(capture)
    made_by = f"spicereplay {__version__} {platform.machine() or 'unknown'}"
    return Manifest(size, check, made_by, every, tuple(entries), channels, speeds or {})


def entry_of(seen: Seen) -> Entry:
    """Return the line for a picture."""
    width, height = seen.size
    pixels = seen.pixels
    if pixels is None:
        return Entry(seen.key, seen.position, width, height, "-", seen.why_not)
    grid = block_means(pixels) if seen.libraries else block_digests(pixels)
    mask = mask_digest(pixels)
    return Entry(
        seen.key, seen.position, width, height, pixels.format, digest(pixels), seen.libraries, grid, mask
    )


def identity(capture: Path) -> tuple[int, str]:
    """Return a capture's size in bytes and the first 16 digits of its SHA-256; of a directory that of all files."""
    state = hashlib.sha256()
    size = 0
    for file in _files(capture):
        if file != capture:
            state.update(f"{file.relative_to(capture)}\n".encode("utf-8", "surrogateescape"))
        with file.open("rb") as opened:
            while block := opened.read(_BLOCK_BYTES):
                state.update(block)
                size += len(block)
    return size, state.hexdigest()[:16]


def _files(capture: Path) -> Iterator[Path]:
    if capture.is_dir():
        yield from sorted(file for file in capture.rglob("*") if file.is_file())
    else:
        yield capture
