"""A file that is there whole or not at all, whoever else writes the same one at the same time."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """Give a file to write to that takes the place of `path` when all went well, and goes away when not.

    Until then it has a name of its own in the same folder, so that two who write at once do not mix: the later one's
    stays. Raises `OSError`, which names `path`, where it cannot be made.
    """
    beside = path.with_name(f".{secrets.token_hex(8)}.part")
    try:
        file = beside.open("xb")
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None
    try:
        with file:
            yield file
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
