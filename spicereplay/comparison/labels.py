"""What compared inputs are called, and what a label says about how they were made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

_NO_NAME: Final = "capture"
_ENDINGS: Final = (".gz", ".zip", ".pcapng", ".pcap", ".cap")


def split(argument: str) -> tuple[str | None, Path]:
    """Split `LABEL=PATH`; an argument that names something that exists, or whose `=` comes after a `/`, is a path."""
    label, equals, path = argument.partition("=")
    if not equals or not label or not path or "/" in label or Path(argument).exists():
        return None, Path(argument)
    return label, Path(path)


def factors(label: str) -> Mapping[str, str]:
    """Return what a label of the form `driver:qxl,vmem:16` says was varied; nothing for any other label."""
    pairs = [part.strip().partition(":") for part in label.split(",")]
    if not all(name and colon and value for name, colon, value in pairs):
        return {}
    return {name.strip(): value.strip() for name, _, value in pairs}


def names(paths: Sequence[Path]) -> list[str]:
    """Return a short name for each of several inputs: as few last parts of its path as tell them apart.

    A file that is called just `capture` lends its folder's name. One that is given twice gets a number.
    """
    parts = [_parts(path) for path in paths]
    different = len(set(parts))
    depth = 1
    while len({each[-depth:] for each in parts}) < different:
        depth += 1
    short = ["/".join(each[-depth:]) for each in parts]
    return [
        name if (before := short[:i].count(name)) == 0 else f"{name} ({before + 1})"
        for i, name in enumerate(short)
    ]


def _parts(path: Path) -> tuple[str, ...]:
    *folders, name = path.resolve().parts
    for ending in _ENDINGS:
        name = name.removesuffix(ending)
    return tuple(folders) if name == _NO_NAME and folders else (*folders, name)
