"""The one function that writes any of the formats."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from spicereplay.errors import UsageError
from spicereplay.export import ExportFormat, folder
from spicereplay.units import NS_PER_S

if TYPE_CHECKING:
    from spicereplay.analysis.timeline import Tables
    from spicereplay.replay import Progress

_Written = TypeVar("_Written")


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written."""

    path: Path
    remarks: tuple[str, ...] = ()
    """Sentences about what is missing or made up in it."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """What `write` was asked for."""

    tables: Tables
    to: ExportFormat
    path: Path
    names: Sequence[str]
    session: int | None
    channel_id: int | None
    force: bool
    progress: Progress | None


def write(
    tables: Tables,
    to: ExportFormat | str,
    path: str | Path,
    *,
    names: Sequence[str] = (),
    session: int | None = None,
    channel_id: int | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> Exported:
    """Write an input as `to`, to a folder (tables) or a file.

    `names` chooses tables; where the path ends as the format's files do (`.parquet`, `.csv`, `.jsonl`), the one table
    goes to that file, else each goes to a file in that folder. `session` and `channel_id` choose what `wav` and `mp4`
    render. The output appears when it is complete, and with `force` replaces an earlier one.

    Raises `UsageError` for a format or table that there is not, for a choice that the format does not have, and where
    a library that it needs is missing; `OutputExistsError` where something is at `path` and `force` is false; for
    `wav` and `mp4` also as `write_wav` and `write_movie` do.
    """
    try:
        form = ExportFormat(to)
    except ValueError:
        raise UsageError(f"no format is called {to!r}; there are {', '.join(ExportFormat)}") from None
    if names and not form.of_tables:
        raise UsageError(f"{form} has no tables to choose from")
    if (session is not None or channel_id is not None) and not form.rendered:
        raise UsageError(f"{form} holds all sessions and channels; only wav and mp4 are of one")
    folder.chosen_tables(names)
    target = Path(path)
    if target.resolve() == tables.replay.path.resolve():
        raise UsageError(f"{target} is the input itself")
    folder.refuse_existing(target, force=force)
    remarks = _WRITERS[form](_Asked(tables, form, target, names, session, channel_id, force, progress))
    return Exported(target, tuple(remarks))


def _write_tables(asked: _Asked, write_frame: folder.WriteFrame) -> Sequence[str]:
    ending, force = asked.to.ending, asked.force
    if asked.path.suffix != ending:
        folder.write_tables(
            asked.tables,
            asked.path,
            write_frame,
            ending,
            names=asked.names,
            force=force,
            progress=asked.progress,
        )
    elif len(asked.names) == 1:
        folder.write_table(asked.tables, asked.names[0], asked.path, write_frame, force=force)
    else:
        raise UsageError(f"{asked.path} is one file, for one table: name the table, or give a folder")
    return ()


def _parquet(asked: _Asked) -> Sequence[str]:
    from spicereplay.export.parquet import parquet_frame, pyarrow

    pyarrow()  # asked for before everything is decoded, not after
    return _write_tables(asked, parquet_frame)


def _csv(asked: _Asked) -> Sequence[str]:
    from spicereplay.export.text import csv_frame

    return _write_tables(asked, csv_frame)


def _json(asked: _Asked) -> Sequence[str]:
    from spicereplay.export.text import json_frame

    return _write_tables(asked, json_frame)


def _perfetto(asked: _Asked) -> Sequence[str]:
    from spicereplay.export import perfetto

    perfetto.write(asked.tables, asked.path, force=asked.force, progress=asked.progress)
    return ()


def _pcapng(asked: _Asked) -> Sequence[str]:
    from spicereplay.analysis.timeline import Tables
    from spicereplay.recording.sessions import Remark, decode_as, write_sessions

    replay = asked.tables.replay
    # What is found without decoding: a capture is written in seconds, and its comments are no reason to wait longer.
    found = Tables(replay, decode=False, limits=asked.tables.limits)["findings"].dropna(subset="time_s")
    remarks = [
        Remark(replay.start_time_ns + round(time_s * NS_PER_S), title)
        for time_s, title in zip(found["time_s"].tolist(), found["title"].tolist(), strict=True)
    ]
    with folder.new_file(asked.path, force=asked.force) as unfinished:
        written = write_sessions(
            unfinished,
            replay.sessions,
            utc_offset_ns=replay.utc_offset_ns,
            # So that a second of the export is the same second of the input.
            origin_ns=replay.start_time_ns,
            limits=asked.tables.limits,
            progress=asked.progress,
            remarks=remarks,
        )
    said = []
    if not written.packets:
        said.append("the input holds no recorded message, and the output no packet")
    if written.vnc_ports:
        said.append(decode_as(written.vnc_ports))
    if written.synthetic:
        said.append(f"handshakes made up, since the input lacks them: {', '.join(written.synthetic)}")
    if written.left_out:
        said.append(f"left out, since nothing of them was captured: {', '.join(written.left_out)}")
    if written.holes or written.partial:
        said.append(
            f"{written.holes} holes and {written.partial} incomplete messages are so in the output, too"
        )
    return said


def _of_one_channel(asked: _Asked, write_to: Callable[..., _Written]) -> _Written:
    with folder.new_file(asked.path, force=asked.force) as unfinished:
        return write_to(
            asked.tables.replay,
            unfinished,
            session=asked.session,
            channel_id=asked.channel_id,
            limits=asked.tables.limits,
            progress=asked.progress,
        )


def _wav(asked: _Asked) -> Sequence[str]:
    from spicereplay.export.wav import write_wav

    wav = _of_one_channel(asked, write_wav)
    said = [
        f"{wav.sound_s:.2f} s of sound in {wav.duration_s:.2f} s, {wav.channels} × {wav.rate} Hz, "
        f"{', '.join(wav.backends)}; session {wav.session}, channel {wav.channel_id}"
    ]
    if wav.failed:
        said.append(f"{wav.failed} of {wav.packets} packets could not be decoded and are silence")
    if wav.left_out:
        said.append(f"{wav.left_out} packets did not fit into the largest file that is allowed")
    return said


def _mp4(asked: _Asked) -> Sequence[str]:
    from spicereplay.replay.movie import write_movie

    movie = _of_one_channel(asked, write_movie)
    said = [
        f"{movie.frames} frames of {movie.width}×{movie.height} px in {movie.duration_s:.2f} s, {movie.encoder}; "
        f"session {movie.session}, display/{movie.channel_id}"
    ]
    if movie.unknown_frames:
        said.append(f"{movie.unknown_frames} frames have unknown parts, shown as a checkerboard")
    return said


_WRITERS: Final[Mapping[ExportFormat, Callable[[_Asked], Sequence[str]]]] = {
    ExportFormat.PARQUET: _parquet,
    ExportFormat.CSV: _csv,
    ExportFormat.JSON: _json,
    ExportFormat.PERFETTO: _perfetto,
    ExportFormat.PCAPNG: _pcapng,
    ExportFormat.WAV: _wav,
    ExportFormat.MP4: _mp4,
}
