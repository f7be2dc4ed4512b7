"""What a notebook uses: open an input, look at its tables."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from functools import cached_property, partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from spicereplay.analysis import schema
from spicereplay.analysis.attributes import TableAttributes
from spicereplay.analysis.clocks import Clocks, clocks_of
from spicereplay.analysis.timeline import Tables
from spicereplay.errors import UsageError
from spicereplay.limits import DEFAULT_LIMITS, Limits
from spicereplay.markup import cell, size, table
from spicereplay.protocol.enums import Side
from spicereplay.replay import Progress, Replay, replay
from spicereplay.units import NS_PER_S

if TYPE_CHECKING:
    import pandas as pd

    from spicereplay.analysis.verdict import Verdict
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

        import spicereplay as sr

        capture = sr.open("bug.zip")
        capture.verdict                         # what went wrong, with the evidence
        capture.sessions[0].streams             # a pandas DataFrame, a row per video stream
        capture.frame_at(12.5)                  # the guest's screen 12.5 s after the first packet
        sr.plots.bandwidth(capture)             # a plot, with matplotlib

        with sr.open("a.pcapng", keylog="keys.log") as capture:     # closes the file at the end
            stalls = capture.ack_stalls

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


class Capture(TableAttributes):
    """An opened input; a context manager. The file stays mapped until it is closed.

    Every table of `spicereplay.analysis.schema` is an attribute, for all sessions together; `sessions[i]` has the
    same for one of them. Shows itself in a notebook.
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
    def verdict(self) -> Verdict:
        """What went wrong: `str` gives one sentence, a notebook all findings with their evidence."""
        return self.tables.verdict

    def table(self, name: str) -> pd.DataFrame:
        """Return a table by its name, for all sessions. Raises `KeyError` for a name that the schema does not know."""
        return self.tables[name]

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

    def __repr__(self) -> str:
        return f"<Capture {self.path.name}: {len(self.sessions)} sessions, {self.duration_s:.1f} s>"

    def _repr_html_(self) -> str:
        found = self.replay
        facts = [found.kind, f"{len(self.sessions)} session{'' if len(self.sessions) == 1 else 's'}"]
        facts.append(f"{self.duration_s:.1f} s")
        if found.packets:
            facts.append(f"{found.packets:,} packets")
        if len(found.other):
            facts.append(f"{len(found.other):,} connections that are no readable SPICE")
        rows = [
            (
                session.number,
                f"{session.start_s:.3f}",
                f"{session.duration_s:.3f}",
                ", ".join(channel.name for channel in session.log.channels),
                size(sum(channel.bytes_from.get(Side.SERVER, 0) for channel in session.log.channels)),
                size(sum(channel.bytes_from.get(Side.CLIENT, 0) for channel in session.log.channels)),
            )
            for session in self.sessions
        ]
        head = ("session", "start s", "length s", "channels", "from server", "from client")
        sessions = table(head, rows, numbers=(1, 2, 4, 5)) if rows else ""
        return f"<div><p><b>{cell(self.path.name)}</b> · {cell(' · '.join(facts))}</p>{sessions}</div>"

    def close(self) -> None:
        """Let go of the file."""
        self.replay.close()

    def __enter__(self) -> Capture:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class Session(TableAttributes):
    """One client's connection to one server; its tables are attributes. Shows itself in a notebook."""

    def __init__(self, capture: Capture, number: int) -> None:
        self.capture = capture
        self.number = number
        self.log = capture.replay.sessions[number]
        """The observed channels."""

    @property
    def session_id(self) -> int | None:
        """The server's id of the session; None where it was not seen."""
        return self.log.session_id

    @property
    def start_s(self) -> float:
        """The session's first packet, in seconds as in all tables."""
        return (self.log.start_time_ns - self.capture.replay.start_time_ns) / NS_PER_S

    @property
    def duration_s(self) -> float:
        """From there to its last packet, in seconds."""
        return (self.log.end_time_ns - self.log.start_time_ns) / NS_PER_S

    @cached_property
    def clocks(self) -> Clocks:
        """The clocks of the session, and what each shows at a capture time."""
        return clocks_of(self.capture.replay, self.log, self.capture.tables["pings"])

    def table(self, name: str) -> pd.DataFrame:
        """Return this session's rows of a table, with the row numbers they have in the capture's.

        Raises `KeyError` for a name that the schema does not know.
        """
        whole = self.capture.tables[name]
        if "session" not in schema.TABLES[name].names or len(self.capture.sessions) == 1:
            return whole
        return whole[whole["session"] == self.number]

    def frame_at(
        self,
        at: Moment,
        *,
        channel_id: int | None = None,
        surface: int | None = None,
        monitor: int | None = None,
        cursor: bool = False,
    ) -> Picture:
        """Return the guest's screen at a moment of this session, as `Capture.frame_at` does."""
        return self.capture.frame_at(
            at, session=self.number, channel_id=channel_id, surface=surface, monitor=monitor, cursor=cursor
        )

    def __repr__(self) -> str:
        channels = ", ".join(channel.name for channel in self.log.channels)
        return f"<Session {self.number}: {channels}>"

    def _repr_html_(self) -> str:
        rows = [
            (
                channel.name,
                f"{len(channel.server):,}",
                f"{len(channel.client):,}",
                size(channel.bytes_from.get(Side.SERVER, 0)),
                size(channel.bytes_from.get(Side.CLIENT, 0)),
                len(channel.gaps) or "",
                "" if channel.link is not None else "not captured",
            )
            for channel in self.log.channels
        ]
        head = (
            "channel",
            "messages from server",
            "from client",
            "bytes from server",
            "from client",
            "holes",
            "handshake",
        )
        until = self.start_s + self.duration_s
        span = f"{self.start_s:.3f} s to {until:.3f} s of {self.capture.path.name}"
        shown = table(head, rows, numbers=(1, 2, 3, 4, 5))
        return f"<div><p><b>Session {self.number}</b> · {cell(span)}</p>{shown}</div>"
