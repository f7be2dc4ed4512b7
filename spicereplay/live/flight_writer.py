"""Writes the flight recorder's reports, on a thread of its own: the session never waits for the disk."""

from __future__ import annotations

import io
import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotInTime
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from msgspec.structs import replace as replace_fields

from spicereplay.bugreport.schema import ChannelSnapshot, DisplaySnapshot, RuntimeMetrics
from spicereplay.bugreport.snapshots import snapshot_files
from spicereplay.bugreport.variants import ReportKind
from spicereplay.bugreport.writing import Contents, report_name, write_report
from spicereplay.display.model import Screen
from spicereplay.errors import OutputExistsError
from spicereplay.live import process_metrics
from spicereplay.live.clock import Clock
from spicereplay.live.events import Noticed
from spicereplay.live.notifications import INFO, RECORDER, WARN
from spicereplay.live.ryll_state import kept_fields
from spicereplay.live.screen import Kept
from spicereplay.protocol.enums import ChannelType
from spicereplay.replay.picture import opaque
from spicereplay.units import MIB, NS_PER_S

AUTOMATIC_MOST_BYTES: Final = 512 * MIB
"""Automatic reports of a folder that are kept have so many bytes at most. Source: ryll-formats.md 12.

Those of warnings and losses have their own allowance of the same size: a desktop whose videos flap for a night writes
one every minute.
"""
FAILURE_AGAIN_NS: Final = 300 * NS_PER_S
"""Least time between two notices that a report nobody asked for was not written. Source: ryll-behaviour.md 10."""
WAITING: Final = 3
"""Reports that wait for the disk at most; each holds what was in the rings."""
CLOSE_S: Final = 10.0
"""How long the end waits for reports that are being written."""
SAMPLE_S: Final = 2.0
"""How far back a report looks at the process, at least. Source: ryll-formats.md 7."""
PICTURE_S: Final = 2.0
"""How long a report waits for its screenshot."""


@dataclass(frozen=True, slots=True)
class Job:
    """A report to write."""

    contents: Contents
    automatic: bool
    """Nobody asked for it: what becomes of it need not always be told."""
    picture: Future[Screen | None] | None = None
    """The screen for it; None: it has none."""
    kept: Future[Kept] | None = None
    """What the displays keep of pictures; None: that is not told."""


class ReportWriter:
    """Writes into one folder. Notices go to `tell`, from the thread."""

    def __init__(self, folder: Path, keep: int, clock: Clock, tell: Callable[[Noticed], object]) -> None:
        self.saved = 0
        """Reports written, of any kind."""
        self.automatic_saved = 0
        self.pruned = 0
        """Automatic reports deleted because there were too many."""
        self.last = ""
        """Name of the last one written; empty: none."""
        self._folder = folder
        self._keep = keep
        self._clock = clock
        self._tell = tell
        self._jobs: queue.Queue[Job | None] = queue.Queue(WAITING)
        self._failed_ns: int | None = None
        self._lock = threading.Lock()
        self._of_trouble: list[Path] = []
        """Reports of warnings and losses that are still there, oldest first."""
        self._samples = [process_metrics.sample()] * 2
        """The process some seconds ago, and lately."""
        self._thread = threading.Thread(target=self._run, name="flight", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def put(self, job: Job) -> None:
        """Have a report written, if not too many wait already. Returns at once."""
        try:
            self._jobs.put_nowait(job)
        except queue.Full:
            self._failure(job, "the reports before it are still being written")

    def close(self) -> None:
        """Write what waits and end; what takes longer than `CLOSE_S` is given up."""
        if not self._thread.is_alive():
            return
        try:
            self._jobs.put(None, timeout=CLOSE_S)
        except queue.Full:
            return
        self._thread.join(CLOSE_S)

    # --- the thread ------------------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            try:
                job = self._jobs.get(timeout=SAMPLE_S)
            except queue.Empty:
                self._samples = [self._samples[1], process_metrics.sample()]
                continue
            if job is None:
                return
            self._write(job)
            self._jobs.task_done()

    def _write(self, job: Job) -> None:
        contents = replace(
            job.contents,
            runtime=self._runtime(job.contents),
            screenshot=_screenshot(job.picture),
            channels=_with_kept(job.contents.channels, job.kept),
        )
        path = self._folder / report_name(contents)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            write_report(path, contents)
            if contents.type.kind is ReportKind.AUTO_SNAPSHOT:
                self.automatic_saved += 1
                self.pruned += len(self._prune(snapshot_files(self._folder)))
            elif job.automatic:
                self._of_trouble.append(path)
                del self._of_trouble[: len(self._prune(self._of_trouble))]
        except OSError as error:
            self._failure(job, f"{error.filename or path}: {error.strerror or error}")
            return
        except OutputExistsError as error:
            self._failure(job, str(error))
            return
        self.saved += 1
        self.last = path.name
        if contents.type.kind is not ReportKind.AUTO_SNAPSHOT:
            self._notice(INFO, f"report written to {path}", "report_written")

    def _runtime(self, contents: Contents) -> RuntimeMetrics | None:
        """Return how busy the process was, in the reports in which ryll says it. Source: ryll-formats.md 7."""
        if contents.type.kind in (ReportKind.DISCONNECT, ReportKind.NOTIFICATION):
            return None
        return process_metrics.measured(self._samples[0], process_metrics.sample())

    def _prune(self, files: Sequence[Path]) -> Sequence[Path]:
        """Delete the oldest of these while there are too many, or too many bytes; return them. Never the newest."""
        sizes = [file.stat().st_size if file.exists() else 0 for file in files]
        gone = max(0, len(files) - self._keep)
        while gone < len(files) - 1 and sum(sizes[gone:]) > AUTOMATIC_MOST_BYTES:
            gone += 1
        for file in files[:gone]:
            file.unlink(missing_ok=True)
        return files[:gone]

    def _failure(self, job: Job, why: str) -> None:
        """Tell that a report was not written; of those that nobody asked for, every few minutes."""
        now = self._clock.now_ns()
        if job.automatic:
            with self._lock:
                if self._failed_ns is not None and now - self._failed_ns < FAILURE_AGAIN_NS:
                    return
                self._failed_ns = now
        self._notice(WARN, f"no report was written: {why}", "report_failed")

    def _notice(self, severity: str, text: str, code: str) -> None:
        now = self._clock.now_ns()
        self._tell(Noticed(time_ns=now, severity=severity, source=RECORDER, code=code, text=text))


def _with_kept(
    channels: Mapping[str, ChannelSnapshot], asked: Future[Kept] | None
) -> Mapping[str, ChannelSnapshot]:
    """Return the channels with what is kept of pictures, where that is told in time."""
    display = channels.get(ChannelType.DISPLAY.label)
    if asked is None or not isinstance(display, DisplaySnapshot):
        return channels
    try:
        kept = asked.result(PICTURE_S)
    except NotInTime:
        return channels
    return {**channels, ChannelType.DISPLAY.label: replace_fields(display, **kept_fields(kept))}


def _screenshot(asked: Future[Screen | None] | None) -> bytes | None:
    """Return the screen as a PNG file; None where there is none, or not in time."""
    if asked is None:
        return None
    try:
        screen = asked.result(PICTURE_S)
    except NotInTime:
        return None
    return None if screen is None else screenshot_png(screen)


def screenshot_png(screen: Screen) -> bytes:
    """Return what a display shows as a PNG file, RGBA, with a checkerboard where it is not known."""
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(opaque(screen), "RGBA").save(out, "PNG", compress_level=3)
    return out.getvalue()
