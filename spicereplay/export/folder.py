"""Outputs that appear whole or not at all: a file, a folder of tables with a manifest that says what is in it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from spicereplay._version import __version__
from spicereplay.analysis.info import info
from spicereplay.analysis.schema import TABLES
from spicereplay.errors import OutputExistsError, UsageError
from spicereplay.export import ExportFormat

if TYPE_CHECKING:
    import pandas as pd

    from spicereplay.analysis.timeline import Tables
    from spicereplay.replay import Progress, Replay

    WriteFrame = Callable[[str, pd.DataFrame, Path], None]
    """Writes one table, given its name, to a file."""

MANIFEST: Final = "manifest.json"
SCHEMA_VERSION: Final = 1
"""Of the manifest; rises when a key changes its meaning or goes away."""

_TABLE_FILES: Final = frozenset(form.ending for form in ExportFormat if form.of_tables)


def chosen_tables(names: Sequence[str] | None) -> list[str]:
    """Return the names of the tables to write, each once: all of them where none is named.

    Raises `UsageError` for a name that the schema does not know.
    """
    for name in names or ():
        if name not in TABLES:
            raise UsageError(f"no table is called {name!r}; there are {', '.join(TABLES)}")
    return list(dict.fromkeys(names or TABLES))


def refuse_existing(path: Path, *, force: bool = False) -> None:
    """Raise `OutputExistsError` where something is at `path` and `force` is false."""
    if path.exists() and not force:
        raise OutputExistsError(f"{path} exists already; give another name, or --force")


def write_tables(
    tables: Tables,
    path: Path,
    write_frame: WriteFrame,
    ending: str,
    *,
    names: Sequence[str] | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> None:
    """Write tables (all, or those of `names`) to the folder `path`: a file each, and the manifest.

    The folder appears when it is complete. Raises `UsageError` for an unknown name, and as `new_folder` does.
    """
    chosen = chosen_tables(names)
    files = {name: f"{name}{ending}" for name in chosen}
    rows: dict[str, int] = {}
    with new_folder(path, force=force) as folder:
        for name in chosen:
            if progress is not None:
                progress("writing tables", len(rows), len(chosen))
            frame = tables[name]
            write_frame(name, frame, folder / files[name])
            rows[name] = len(frame)
        write_manifest(folder, tables.replay, rows, files)
    if progress is not None:
        progress("writing tables", len(chosen), len(chosen))


def write_table(
    tables: Tables, name: str, path: Path, write_frame: WriteFrame, *, force: bool = False
) -> None:
    """Write the table `name` to the file `path`. Raises `UsageError` for an unknown name, and as `new_file` does."""
    chosen_tables([name])
    with new_file(path, force=force) as unfinished:
        write_frame(name, tables[name], unfinished)


@contextlib.contextmanager
def new_file(path: Path, *, force: bool = False) -> Iterator[Path]:
    """Give the name of a file to write; it becomes `path` when the block ends well, and is deleted when not.

    Raises `OutputExistsError` where something is at `path` and `force` is false, `UsageError` where that is a folder or
    device, and where there is no folder to put the file in.
    """
    refuse_existing(path, force=force)
    target = path.resolve()
    if target.exists() and not target.is_file():
        raise UsageError(f"{path} is no ordinary file, and this format is one file")
    unfinished = _unfinished(target)
    try:
        yield unfinished
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)


@contextlib.contextmanager
def new_folder(path: Path, *, force: bool = False) -> Iterator[Path]:
    """Give a folder to write to; it becomes `path` when the block ends well, and is deleted when not.

    With `force` an earlier export at `path` (a folder of files and their manifest) or an empty folder is replaced.
    Raises `OutputExistsError` without it, and `UsageError` for anything else that is there: deleting a folder that
    holds other things would lose more than the caller can have meant.
    """
    refuse_existing(path, force=force)
    target = path.resolve()
    if target.exists() and not _is_export(target):
        raise UsageError(f"{path} is no earlier export and is left alone; give another name")
    unfinished = _unfinished(target)
    unfinished.mkdir()
    try:
        yield unfinished
        _put(unfinished, target)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def write_manifest(folder: Path, replay: Replay, rows: Mapping[str, int], files: Mapping[str, str]) -> None:
    """Write what a folder of tables holds: where it is from, its sessions, every table's rows and columns.

    `rows` and `files` give each table's number of rows and its file.
    """
    known = info(replay)
    manifest: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "spicereplay": __version__,
        "input": replay.path.resolve().name,
        **{key: known[key] for key in ("kind", "start_time_ns", "utc_known", "duration_s", "sessions")},
        "tables": {
            name: {
                "file": files[name],
                "rows": rows[name],
                "meaning": TABLES[name].meaning,
                "columns": [
                    {"name": c.name, "dtype": c.dtype, "unit": c.unit, "meaning": c.meaning}
                    for c in TABLES[name].columns
                ],
            }
            for name in rows
        },
    }
    text = json.dumps(manifest, ensure_ascii=True, allow_nan=False, indent=2)
    (folder / MANIFEST).write_text(text + "\n", encoding="ascii")


def encodable(text: str) -> str:
    r"""Return `text` with lone surrogates, which UTF-8 cannot hold, as escapes such as `\udc80`."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _unfinished(target: Path) -> Path:
    """Return a hidden name beside `target`, on the same file system, that no other process uses."""
    if not target.parent.is_dir():
        raise UsageError(f"there is no folder {target.parent} to put {target.name} in")
    return target.with_name(f".{target.name}.{os.getpid()}.part")


def _is_export(folder: Path) -> bool:
    """Whether a folder holds nothing but what an export writes, or nothing at all."""
    if not folder.is_dir():
        return False
    members = list(folder.iterdir())
    ours = all(m.is_file() and (m.name == MANIFEST or m.suffix in _TABLE_FILES) for m in members)
    return not members or (ours and folder / MANIFEST in members)


def _put(folder: Path, target: Path) -> None:
    """Move a finished folder into place; the earlier one is deleted only after that."""
    if not target.exists():
        folder.rename(target)
        return
    old = target.with_name(f".{target.name}.{os.getpid()}.old")
    target.rename(old)
    try:
        folder.rename(target)
    except OSError:
        old.rename(target)
        raise
    shutil.rmtree(old)
