"""Which captures a path stands for: itself, or all that lie below a folder."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from spicereplay.bugreport.directory import detect
from spicereplay.errors import InputError, NotACaptureError
from spicereplay.golden.manifest import SUFFIX, beside
from spicereplay.limits import DEFAULT_LIMITS, Limits

SUFFIXES: Final = (".pcap", ".pcapng", ".cap", ".pcap.gz", ".pcapng.gz", ".cap.gz", ".zip")
"""Endings of the files that a walk through a folder takes for captures and bug reports."""


@dataclass(frozen=True, slots=True)
class Found:
    """What some paths stand for."""

    captures: tuple[Path, ...]
    """Files, and directories that are one input; also those that are gone, whose manifest is still there."""
    passed_over: tuple[Path, ...] = ()
    """Files below a folder with a capture's ending that are none and have no manifest."""


def find_captures(paths: Iterable[Path], limits: Limits = DEFAULT_LIMITS) -> Found:
    """Return the captures that `paths` stand for, each once, in order.

    A file stands for itself, and a manifest for its capture. A directory that is an input of its own (`--capture`,
    auto-snapshots, an unpacked bug report) stands for itself; any other is walked through.

    Raises `InputError` for a path that is not there.
    """
    captures: dict[Path, None] = {}
    passed_over: dict[Path, None] = {}
    for path in paths:
        if path.name.endswith(SUFFIX):
            path = path.with_name(path.name.removesuffix(SUFFIX))
            if not beside(path).exists():
                raise InputError(f"{beside(path)}: no such manifest")
        elif not path.exists():
            raise InputError(f"{path}: no such file or directory")
        if path.is_dir():
            _walk(path, limits, captures, passed_over)
        else:
            captures[path] = None
    return Found(tuple(captures), tuple(passed_over))


def _walk(folder: Path, limits: Limits, captures: dict[Path, None], passed_over: dict[Path, None]) -> None:
    if beside(folder).exists() or _is_input(folder, limits):
        captures[folder] = None
        return
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            if not path.name.startswith(".") and not path.is_symlink():
                _walk(path, limits, captures, passed_over)
        elif path.name.endswith(SUFFIX):
            captures[path.with_name(path.name.removesuffix(SUFFIX))] = None
        elif path.name.endswith(SUFFIXES):
            known = beside(path).exists() or _is_input(path, limits)
            (captures if known else passed_over)[path] = None


def _is_input(path: Path, limits: Limits) -> bool:
    """Whether a path is an input itself, rather than a folder with one in it."""
    try:
        return detect(path, limits=limits).path == path
    except NotACaptureError:
        return False
