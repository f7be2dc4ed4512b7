"""Makes the manifest of a capture from what it shows now."""

from __future__ import annotations

import contextlib
import hashlib
import platform
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from spicereplay._version import __version__
from spicereplay.errors import InputError
from spicereplay.golden.digest import block_digests, block_means, digest, mask_digest
from spicereplay.golden.manifest import SUFFIX, Entry, Manifest, read_manifest, to_text
from spicereplay.golden.observe import EVERY, Seen, message_counts, observe
from spicereplay.limits import DEFAULT_LIMITS, Limits
from spicereplay.recording.whole_file import whole_file
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


def record_anew(
    capture: Path,
    path: Path,
    *,
    every: int | None = None,
    keylog: Path | None = None,
    speeds: Mapping[str, float] | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> tuple[Manifest, str, bool]:
    """Write the manifest of a capture to `path`; return it, its text, and whether that is another than before.

    What is not given is taken from the manifest that lies there, if one does. Half a manifest is never left behind.
    Raises as `replay` does, and `OSError`.
    """
    before: Manifest | None = None
    old = ""
    # There may be none yet, or a damaged one that is to be overwritten.
    with contextlib.suppress(InputError, FileNotFoundError):
        before, old = read_manifest(path, limits), path.read_text()
    if every is None:
        every = EVERY if before is None else before.every
    if speeds is None:
        speeds = {} if before is None else before.speeds
    manifest = record(capture, every=every, keylog=keylog, speeds=speeds, limits=limits)
    text = to_text(manifest)
    with whole_file(path) as file:
        file.write(text.encode())
    return manifest, text, text != old


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
    """Return a capture's size in bytes and the first 16 digits of its SHA-256.

    Of a directory that of all files in it, manifests aside: a capture in there may have one of its own.
    """
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
        inside = (file for file in capture.rglob("*") if file.is_file())
        yield from sorted(file for file in inside if not file.name.endswith(SUFFIX))
    else:
        yield capture
