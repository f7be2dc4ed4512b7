"""What a notebook uses: open an input, look at its tables."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from spicereplay.analysis import schema
from spicereplay.analysis.timeline import Tables
from spicereplay.defects import Defect
from spicereplay.errors import UsageError
from spicereplay.limits import DEFAULT_LIMITS, Limits
from spicereplay.replay import Progress, Replay, replay

if TYPE_CHECKING:
    import pandas as pd

    from spicereplay.comparison.result import Comparison
    from spicereplay.replay.picture import Picture
    from spicereplay.replay.still import Moment


def open(
    path: str | Path,
    *,
    decode: bool = True,
    limits: Limits = DEFAULT_LIMITS,
    progress: Progress | None = None,
    keylog: str | Path | None = None,
    reveal_keys: bool = False,
) -> Capture:
    """Open a capture, a bug report or a directory of either.

    The packets are read and framed at once; tables are made when they are looked at. `decode` says whether video
    frames are decoded to measure how long that takes when a table with decode times is asked for. `progress` is
    called with what is being done, how much is done, and how much there is. `keylog` names a file with the
    secrets of TLS connections (SSLKEYLOGFILE format); those inside a pcapng are used besides. With `reveal_keys` the
    table `inputs` says which keys were pressed, and passwords that were typed become readable.

    Raises `NotACaptureError` for something else, `NoSpiceError` where there is no readable SPICE (the message says
    what there is instead), `InputError` for what cannot be read, `UsageError` for a `keylog` that is no key log.
    """
    return Capture(
        replay(path, limits=limits, progress=progress, keylog=keylog),
        decode=decode,
        limits=limits,
        reveal_keys=reveal_keys,
    )


def compare(
    *inputs: str | Path | Capture | Session,
    labels: Sequence[str] | None = None,
    baseline: str | None = None,
    align_on: str | None = None,
    decode: bool = True,
    limits: Limits = DEFAULT_LIMITS,
    progress: Progress | None = None,
    keylog: str | Path | None = None,
) -> Comparison:
    """Compare two or more inputs: what differs, how sure that is, and whether it matters.

    An input is what `open` takes, or what it gave: a `Capture`, of which all sessions count together, or one of its
    sessions. `labels` name them (by default their files do); a label of the form `driver:qxl,vmem:16` also says what
    was varied. All are compared with the one labelled `baseline`, or with the first. `align_on` is the event at which
    their clocks are laid over each other (`spicereplay.comparison.alignment.EVENTS`). `decode`, `limits`, `progress`
    and `keylog` are as in `open`, for what is opened here.

    Raises what `open` raises, and `UsageError` for fewer than two inputs, labels that are not as many or not unique,
    an unknown baseline, and an event that not all of them have.
    """
    from spicereplay.comparison.labels import names
    from spicereplay.comparison.material import Subject
    from spicereplay.comparison.run import compare

    if labels is None:
        labels = names([_name(each) for each in inputs])
    elif len(labels) != len(inputs):
        raise UsageError(f"{len(labels)} labels for {len(inputs)} inputs")
    with ExitStack() as opened:
        subjects = []
        for label, each in zip(labels, inputs, strict=True):
            if isinstance(each, Capture | Session):
                capture = each if isinstance(each, Capture) else each.capture
                number = each.number if isinstance(each, Session) else None
                kept = capture.tables
                subjects.append(Subject(label, capture.replay, partial(_same, kept), kept.decode, number))
                continue
            found = opened.enter_context(replay(each, limits=limits, progress=progress, keylog=keylog))
            made = partial(Tables, found, decode=decode, limits=limits, progress=progress)
            subjects.append(Subject(label, found, made, decode))
        return compare(subjects, baseline=baseline, align_on=align_on, limits=limits, progress=progress)


def _same(tables: Tables) -> Tables:
    """Give the tables of a capture that the caller keeps open."""
    return tables


def _name(each: str | Path | Capture | Session) -> Path:
    """Return a path to name an input after; a session's ends in its number."""
    if isinstance(each, Session):
        return each.capture.path / f"session {each.number}"
    return each.path if isinstance(each, Capture) else Path(each)


class Capture:
    """An opened input; a context manager. The file stays mapped until it is closed.

    Every table of `spicereplay.analysis.schema` is an attribute, for all sessions together; `sessions[i]` has the
    same for one of them.
    """

    def __init__(self, replayed: Replay, *, decode: bool, limits: Limits, reveal_keys: bool = False) -> None:
        self.replay = replayed
        """The observed sessions themselves, with every message's bytes."""
        self.tables = Tables(replayed, decode=decode, limits=limits, reveal_keys=reveal_keys)
        self.sessions = [Session(self, log.number) for log in replayed.sessions]

    @property
    def path(self) -> Path:
        """What was opened."""
        return self.replay.path

    @property
    def start_time_ns(self) -> int:
        """Nanoseconds since 1970 at which all `time_s` begin; an estimate for recordings with a clock of their own."""
        return self.replay.start_time_ns + self.replay.utc_offset_ns

    @property
    def duration_s(self) -> float:
        """From there to the last packet, in seconds."""
        return self.replay.duration_s

    @property
    def defects(self) -> list[Defect]:
        """What was wrong with the input."""
        return list(self.replay.defects)

    def frame_at(
        self,
        at: Moment,
        *,
        session: int | None = None,
        channel_id: int | None = None,
        surface: int | None = None,
        monitor: int | None = None,
        cursor: bool = False,
    ) -> Picture:
        """Return the guest's screen at a moment: seconds since the first packet, or `"end"`.

        Its `pixels` are (height, width, 4) uint8 R, G, B, A; its `unknown` says which of them cannot be known. What
        the arguments choose, and what is raised, says `spicereplay.replay.still.picture_at`.
        """
        from spicereplay.replay.still import picture_at

        return picture_at(
            self.replay,
            at,
            session=session,
            channel_id=channel_id,
            surface=surface,
            monitor=monitor,
            cursor=cursor,
            limits=self.tables.limits,
        )

    def export(
        self,
        to: str,
        path: str | Path,
        *,
        tables: Sequence[str] = (),
        force: bool = False,
        progress: Progress | None = None,
    ) -> Path:
        """Write the input as `to` (`parquet`, `csv`, `json`, `perfetto`, `pcapng`, `wav` or `mp4`); return `path`.

        `parquet`, `csv` and `json` are folders with a file per table, of `tables` or all. What is raised says
        `spicereplay.export.formats.write`.
        """
        from spicereplay.export.formats import write

        return write(self.tables, to, path, names=tables, force=force, progress=progress).path

    @property
    def verdict(self) -> str:
        """What went wrong, in one sentence."""
        return self.tables.verdict.sentence

    def __getattr__(self, name: str) -> pd.DataFrame:
        if name in schema.TABLES:
            return self.tables[name]
        raise AttributeError(
            f"{type(self).__name__!r} has no attribute {name!r}; tables are {', '.join(schema.TABLES)}"
        )

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *schema.TABLES})

    def __repr__(self) -> str:
        return f"<Capture {self.path.name}: {len(self.sessions)} sessions, {self.duration_s:.1f} s>"

    def close(self) -> None:
        """Let go of the file."""
        self.replay.close()

    def __enter__(self) -> Capture:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class Session:
    """One client's connection to one server; its tables are attributes."""

    def __init__(self, capture: Capture, number: int) -> None:
        self.capture = capture
        self.number = number
        self.log = capture.replay.sessions[number]
        """The observed channels."""

    @property
    def session_id(self) -> int | None:
        """The server's id of the session; None where it was not seen."""
        return self.log.session_id

    def __getattr__(self, name: str) -> pd.DataFrame:
        if name not in schema.TABLES:
            raise AttributeError(
                f"{type(self).__name__!r} has no attribute {name!r}; tables are {', '.join(schema.TABLES)}"
            )
        table = self.capture.tables[name]
        if "session" not in schema.TABLES[name].names or len(self.capture.sessions) == 1:
            return table
        return table[table["session"] == self.number].reset_index(drop=True)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *schema.TABLES})

    def __repr__(self) -> str:
        channels = ", ".join(channel.name for channel in self.log.channels)
        return f"<Session {self.number}: {channels}>"
