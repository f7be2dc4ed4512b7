"""The smallest capture found that still shows a fault: delta debugging over what a session consists of.

Coarse parts go first, because one trial may rid it of thousands of messages: sessions, channels, the time before and
after, streams, surfaces and kinds of messages; then single messages (`ddmin.spare`). Each trial is written as a
capture and replayed like any other input, so that what is kept is valid and shows the fault by the very code that
users run.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from spicereplay.analysis.timeline import Tables
from spicereplay.defects import DefectKind
from spicereplay.errors import InputError, UsageError
from spicereplay.excerpt.ddmin import spare
from spicereplay.limits import DEFAULT_LIMITS, Limits
from spicereplay.protocol.enums import ChannelType, ClientDisplay, ServerDisplay, Side
from spicereplay.protocol.messages.drawing import DRAW_TYPES
from spicereplay.recording.script import ChannelScript, Lane, Rows, script_of
from spicereplay.recording.sessions import Progress, Written, write_scripts
from spicereplay.replay import Replay, replay

Shows = Callable[[Replay], bool]
"""Whether a replayed capture shows what is looked for."""
Clock = Callable[[], float]
"""Returns seconds; only differences count."""

MOST_SECONDS: Final = 60.0
_EXCERPT: Final = (
    "Smallest excerpt found of {name} that still shows {what}. Messages in between are left out."
)


def shows_finding(code: str, limits: Limits = DEFAULT_LIMITS) -> Shows:
    """Return a judge that looks for a finding."""

    def shows(found: Replay) -> bool:
        return bool((Tables(found, limits=limits)["findings"]["code"] == code).any())

    return shows


def shows_defect(kind: DefectKind, limits: Limits = DEFAULT_LIMITS) -> Shows:
    """Return a judge that looks for a defect of the input."""

    def shows(found: Replay) -> bool:
        if any(defect.kind is kind for defect in found.defects):
            return True
        return bool((Tables(found, limits=limits)["defects"]["kind"] == str(kind)).any())

    return shows


@dataclass(frozen=True, slots=True)
class Shrunk:
    """What came of it."""

    written: Written
    of_bytes: int
    """Bytes of the whole input, written the same way."""
    of_messages: int
    trials: int
    seconds: float
    complete: bool
    """Nothing further can be left out; False: the time was over before that was tried."""


class _TimeOver(Exception):
    """No time is left for another trial."""


@dataclass(frozen=True, slots=True, eq=False)
class _Channel:
    """A channel and which messages of it stay."""

    script: ChannelScript
    keep: dict[Side, npt.NDArray[np.bool_]]

    def cut(self) -> ChannelScript:
        lanes = {side: lane.take(self.keep[side]) for side, lane in self.script.lanes.items()}
        return replace(self.script, lanes=lanes)


_State = list[list[_Channel]]
"""Channels by session."""


def shrink(
    source: Replay,
    shows: Shows,
    out: Path,
    *,
    what: str = "it",
    max_seconds: float = MOST_SECONDS,
    clock: Clock = time.monotonic,
    limits: Limits = DEFAULT_LIMITS,
    progress: Progress | None = None,
) -> Shrunk:
    """Write the smallest capture found that `shows` something the whole input shows.

    `what` names it in the file's comment. After `max_seconds` the best so far is written; one trial is always made.
    An `out` that exists is replaced.

    Raises `UsageError` where the input, written as a capture of its sessions, does not show it: what lies in the file
    or the packets themselves, or in a client's own report, is not in such a capture. So for an `out` that is the input.
    """
    if out.resolve() == source.path.resolve():
        raise UsageError(f"{out} is the input itself")
    return _Shrinking(source, shows, what, max_seconds, clock, limits, progress).run(out)


@dataclass(slots=True)
class _Shrinking:
    source: Replay
    shows: Shows
    what: str
    max_seconds: float
    clock: Clock
    limits: Limits
    progress: Progress | None
    trials: int = 0
    state: _State = field(default_factory=list)
    _began: float = 0.0
    _trial: Path = field(init=False)

    def run(self, out: Path) -> Shrunk:
        self._began = self.clock()
        with tempfile.TemporaryDirectory(prefix="spicereplay-shrink-") as folder:
            self._trial = Path(folder) / "trial.pcapng"
            self.state = [
                [_whole(script_of(log, session.session_id)) for log in session.channels]
                for session in self.source.sessions
            ]
            whole = self._write(self.state, self._trial)
            if not self._judge():
                raise UsageError(
                    f"{self.source.path.name}: its sessions, written as a capture, do not show {self.what}: it is not "
                    "in this input, or it lies in the file or the packets themselves or in what a client reported, "
                    "of which such a capture has nothing"
                )
            complete = True
            try:
                self._reduce()
            except _TimeOver:
                complete = False
        written = self._write(self.state, out)
        return Shrunk(written, whole.bytes, whole.messages, self.trials, self.clock() - self._began, complete)

    # --- one trial ---------------------------------------------------------------------------------------

    def _write(self, state: _State, path: Path) -> Written:
        about = _EXCERPT.format(name=self.source.path.name, what=self.what)
        scripts = [[channel.cut() for channel in session] for session in state]
        return write_scripts(
            path,
            scripts,
            utc_offset_ns=self.source.utc_offset_ns,
            origin_ns=self.source.start_time_ns,
            limits=self.limits,
            about=about,
        )

    def _judge(self) -> bool:
        self.trials += 1
        if self.progress is not None:
            done = int(self.clock() - self._began)
            self.progress("shrinking", min(done, int(self.max_seconds)), int(self.max_seconds))
        try:
            with replay(self._trial, limits=self.limits) as found:
                return self.shows(found)
        except InputError:
            return False  # nothing is left that could be read

    def _try(self, state: _State) -> bool:
        """Take over a smaller state if it still shows what is looked for."""
        if self.clock() - self._began >= self.max_seconds:
            raise _TimeOver
        self._write(state, self._trial)
        if not self._judge():
            return False
        self.state = state
        return True

    # --- steps -------------------------------------------------------------------------------------------

    def _reduce(self) -> None:
        self._drop_whole()
        self._narrow_time()
        before = -1
        while before != (before := _messages(self.state)):
            spare(self._groups(), self._leave_out)
            spare(self._singles(), self._leave_out)
        self._drop_whole()

    def _drop_whole(self) -> None:
        """Leave out sessions, then channels, one after the other, the largest first."""
        for number in sorted(range(len(self.state)), key=lambda n: -_bytes(self.state[n])):
            if len(self.state) > 1 and self.state[number]:
                self._try([[] if n == number else session for n, session in enumerate(self.state)])
        self.state = [session for session in self.state if session]
        for channel in sorted((c for s in self.state for c in s), key=lambda c: -_bytes([c])):
            self._try([[c for c in session if c is not channel] for session in self.state])
        self.state = [session for session in self.state if session]

    def _narrow_time(self) -> None:
        """Find by halving how early it can end, then how late it can begin."""
        times = np.unique(
            np.concatenate([lane.time_ns for s in self.state for c in s for lane in c.script.lanes.values()])
        )
        low, high = 0, len(times) - 1
        while low < high:
            middle = (low + high) // 2
            if self._try(self._between(int(times[0]), int(times[middle]))):
                high = middle
            else:
                low = middle + 1
        end = high
        low, high = 0, end
        while low < high:
            middle = (low + high + 1) // 2
            if self._try(self._between(int(times[middle]), int(times[end]))):
                low = middle
            else:
                high = middle - 1

    def _between(self, first_ns: int, last_ns: int) -> _State:
        def inside(channel: _Channel, side: Side) -> npt.NDArray[np.bool_]:
            times = channel.script.lanes[side].time_ns
            return channel.keep[side] & (first_ns <= times) & (times <= last_ns)

        return [
            [replace(channel, keep={side: inside(channel, side) for side in Side}) for channel in session]
            for session in self.state
        ]

    # --- delta debugging -----------------------------------------------------------------------------------

    def _leave_out(self, units: Sequence[_Unit]) -> bool:
        fresh = [
            [replace(c, keep={side: keep.copy() for side, keep in c.keep.items()}) for c in session]
            for session in self.state
        ]
        for unit in units:
            for session, channel, side, at in unit.places:
                fresh[session][channel].keep[side][at] = False
        return _messages(fresh) < _messages(self.state) and self._try(fresh)

    def _groups(self) -> list[_Unit]:
        """Return streams and surfaces, each with all that is about it, and kinds of messages; the largest first."""
        units: dict[tuple[object, ...], _Unit] = {}
        for s, session in enumerate(self.state):
            for c, channel in enumerate(session):
                for side, keep in channel.keep.items():
                    for name, at in _named(channel.script.lanes[side], np.flatnonzero(keep)):
                        units.setdefault((s, c, *name), _Unit([])).places.append((s, c, side, at))
        return sorted(units.values(), key=lambda unit: -sum(len(at) for *_, at in unit.places))

    def _singles(self) -> list[_Unit]:
        return [
            _Unit([(s, c, side, np.array([at]))])
            for s, session in enumerate(self.state)
            for c, channel in enumerate(session)
            for side, keep in channel.keep.items()
            for at in np.flatnonzero(keep).tolist()
        ]


@dataclass(frozen=True, slots=True, eq=False)
class _Unit:
    """Messages that stay or go together."""

    places: list[tuple[int, int, Side, Rows]]
    """Session, channel, side, positions in the lane."""


def _whole(script: ChannelScript) -> _Channel:
    return _Channel(script, {side: np.ones(len(lane), np.bool_) for side, lane in script.lanes.items()})


def _bytes(channels: Iterable[_Channel]) -> int:
    return sum(
        int(lane.index.size[lane.rows[c.keep[side]]].sum(dtype=np.int64))
        for c in channels
        for side, lane in c.script.lanes.items()
    )


def _messages(state: _State) -> int:
    return sum(int(keep.sum()) for session in state for c in session for keep in c.keep.values())


_HEAD: Final = np.dtype([("first", "<u4"), ("second", "<u4")])
_STREAM: Final = frozenset(
    (
        ServerDisplay.STREAM_DATA,
        ServerDisplay.STREAM_DATA_SIZED,
        ServerDisplay.STREAM_CLIP,
        ServerDisplay.STREAM_DESTROY,
        ServerDisplay.STREAM_ACTIVATE_REPORT,
    )
)
_SURFACE: Final = frozenset(DRAW_TYPES) | {ServerDisplay.SURFACE_CREATE, ServerDisplay.SURFACE_DESTROY}


def _named(lane: Lane, at: Rows) -> Iterator[tuple[tuple[object, ...], Rows]]:
    """Yield the groups that messages of a lane belong to: a name and positions. One may be in several."""
    index = lane.index
    rows = lane.rows[at]
    kinds = index.type[rows]
    for kind in np.unique(kinds).tolist():
        yield ("kind", index.side, kind), at[kinds == kind]
    if index.channel is not ChannelType.DISPLAY:
        return
    heads = index.prefixes(rows, _HEAD)
    about: list[tuple[npt.NDArray[np.bool_], str, str]]
    if index.side is Side.CLIENT:
        about = [(kinds == ClientDisplay.STREAM_REPORT, "first", "stream")]
    else:
        about = [
            (np.isin(kinds, list(_STREAM)), "first", "stream"),
            (kinds == ServerDisplay.STREAM_CREATE, "second", "stream"),
            (np.isin(kinds, list(_SURFACE)), "first", "surface"),
        ]
    for mask, column, what in about:
        numbers = heads[column]
        for number in np.unique(numbers[mask]).tolist():
            yield (what, number), at[mask & (numbers == number)]
