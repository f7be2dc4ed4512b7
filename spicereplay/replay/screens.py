"""The screens of an observed session at any time: its messages, in order, through a `DisplayModel`."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Final

from spicereplay.defects import DefectKind
from spicereplay.display.channel import OpenVideo
from spicereplay.display.images import AloneDecoder
from spicereplay.display.model import DisplayModel
from spicereplay.display.records import Clock, PictureSink, RecordSink
from spicereplay.limits import DEFAULT_LIMITS, Limits
from spicereplay.protocol import registry
from spicereplay.protocol.enums import ChannelType, Side
from spicereplay.protocol.index import WINDOW_BYTES, MessageIndex
from spicereplay.protocol.messages.images import Image
from spicereplay.replay.ahead import DecodeAhead, sources, worth_it
from spicereplay.replay.damage import HEAD_BYTES, damage
from spicereplay.replay.driver import Progress
from spicereplay.replay.order import GAP, screen_order
from spicereplay.session.log import ChannelLog, SessionLog
from spicereplay.units import MIB

AHEAD_MESSAGES: Final = 128
"""Messages read ahead of the one that is drawn."""
AHEAD_PIXELS: Final = 8 * MIB
"""Pixels of the images of these messages together, beyond which no further message is read: 32 MiB decoded."""
_TELL_EVERY: Final = 64


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that changes the screens: a message, or that messages are missing."""

    time_ns: int
    log: ChannelLog
    row: int
    """Of the channel's `server` index; `order.GAP` where messages are missing."""
    message: object | None
    """None: damaged or missing."""
    begun: tuple[Image, ...]
    """Images that are being decoded ahead."""
    pixels: int
    """Of these images together."""


class Screens:
    """Plays one session; `model` holds what its displays show at `now_ns`. A context manager, for its threads.

    Everything up to and including a capture time is played with `play`; `step` takes in the next message alone.
    With more than one of `workers` (None: as many as there are processors), images that depend on nothing else are
    decoded ahead on threads; pixels, defects and records do not depend on that. `clock` is what decode times are
    taken with, None: they are not; it should count the time of the calling thread alone (`time.thread_time_ns`).
    `sink` gets the records of decoded images and frames; without it they are dropped. `seen` gets the pictures
    themselves. `decode` and `video` take the place of the model's own decoders; with `decode` nothing is decoded
    ahead.
    """

    def __init__(
        self,
        session: SessionLog,
        *,
        limits: Limits = DEFAULT_LIMITS,
        workers: int | None = None,
        clock: Clock | None = None,
        sink: RecordSink | None = None,
        seen: PictureSink | None = None,
        decode: AloneDecoder | None = None,
        video: OpenVideo | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.session = session
        self.limits = limits
        self.order = screen_order(session)
        self.now_ns = session.start_time_ns
        """Time of the last message taken in."""
        self._progress = progress
        self._done = 0
        self._pool: ThreadPoolExecutor | None = None
        self._ahead: DecodeAhead | None = None
        count = (os.cpu_count() or 1) if workers is None else workers
        if count > 1 and decode is None:
            self._pool = ThreadPoolExecutor(count, thread_name_prefix="decode")
            self._ahead = DecodeAhead(self._pool, limits, clock or _no_clock)
        self.model = DisplayModel(
            limits=limits,
            channel_ids=[log.channel_id for log in session.of(ChannelType.DISPLAY)],
            clock=self._ahead.clock if self._ahead is not None else clock or _no_clock,
            sink=sink or _drop,
            seen=seen,
            decode=self._ahead.decode if self._ahead is not None else decode,
            video=video,
        )
        self._released = [0] * len(self.order.logs)
        self._steps = self._read_ahead() if self._ahead is not None else self._read()
        self._next = next(self._steps, None)

    def __enter__(self) -> Screens:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let the threads end."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    @property
    def next_time_ns(self) -> int | None:
        """When the next message comes; None at the end."""
        return None if self._next is None else self._next.time_ns

    def step(self) -> Step | None:
        """Take in the next message; None at the end, where what waited for other channels is carried out, too."""
        step = self._next
        if step is None:
            self.model.finish()
            return None
        self.now_ns = step.time_ns
        self._take(step)
        if self._ahead is not None:
            for image in step.begun:
                self._ahead.forget(image)
        self._done += 1
        if self._progress is not None and self._done % _TELL_EVERY == 0:
            self._progress("drawing", self._done, len(self.order))
        self._next = next(self._steps, None)
        return step

    def play(self, until_ns: int | None = None) -> None:
        """Take in everything up to and including a capture time; None: everything there is."""
        while self._next is not None and (until_ns is None or self._next.time_ns <= until_ns):
            self.step()
        if self._next is None:
            self.model.finish()

    # --- reading ---------------------------------------------------------------------------------------

    def _read(self) -> Iterator[Step]:
        order = self.order
        for time_ns, which, row in order:
            log = order.logs[which]
            message = None if row == GAP else self._parse(log, row, time_ns)
            if row != GAP:
                self._released[which] = let_go(log.server, self._released[which], row)
            yield Step(time_ns, log, row, message, (), 0)

    def _read_ahead(self) -> Iterator[Step]:
        """Read a bounded number of messages further than is drawn, and let their images be decoded meanwhile."""
        assert self._ahead is not None
        waiting: deque[Step] = deque()
        pixels = 0
        for read in self._read():
            step = read
            images = tuple(image for image in sources(read.message) if worth_it(image))
            if images:
                size = sum(image.descriptor.width * image.descriptor.height for image in images)
                # One that is over the limit will be refused; it must not keep others from being read.
                step = Step(
                    read.time_ns,
                    read.log,
                    read.row,
                    read.message,
                    images,
                    min(size, self.limits.image_pixels),
                )
                for image in images:
                    self._ahead.begin(image)
            waiting.append(step)
            pixels += step.pixels
            while len(waiting) > 1 and (len(waiting) > AHEAD_MESSAGES or pixels > AHEAD_PIXELS):
                first = waiting.popleft()
                pixels -= first.pixels
                yield first
        yield from waiting

    def _parse(self, log: ChannelLog, row: int, time_ns: int) -> object | None:
        """Return one message; None where bytes of it are missing or it is malformed, which is a defect."""
        index = log.server
        if index.partial[row]:
            return None
        parsed = registry.parse_message(
            log.channel, Side.SERVER, int(index.type[row]), index.body(row), limits=self.limits
        )
        position = int(index.position[row])
        for problem in parsed.problems:
            self.model.defects.add(
                problem.kind,
                f"{log.name} from server",
                f"{self._name(log, row)}: {problem.detail}",
                time_ns=time_ns,
                position=position + problem.offset,
            )
        return parsed.message

    def _name(self, log: ChannelLog, row: int) -> str:
        return registry.message_name(log.channel, Side.SERVER, int(log.server.type[row]))

    # --- taking in -------------------------------------------------------------------------------------

    def _take(self, step: Step) -> None:
        log = step.log
        if log.channel is ChannelType.CURSOR:
            if step.message is not None:
                self.model.handle_cursor(log.channel_id, step.message, step.time_ns)
        elif step.message is not None:
            self.model.handle(log.channel_id, step.message, step.time_ns)
        elif step.row == GAP:
            self.model.lost(log.channel_id)
            self._note_loss(
                step, "bytes of this channel are missing: what it shows is unknown until drawn again"
            )
        else:
            self._damaged(step)

    def _damaged(self, step: Step) -> None:
        """Make unknown what a message that cannot be read may have changed."""
        log = step.log
        head = log.server.body(step.row)[:HEAD_BYTES]
        if (told := damage(self.model, log.channel_id, int(log.server.type[step.row]), head)) is not None:
            self._note_loss(step, told)

    def _note_loss(self, step: Step, detail: str) -> None:
        self.model.defects.add(
            DefectKind.MESSAGE_INCOMPLETE, f"display/{step.log.channel_id}", detail, time_ns=step.time_ns
        )


def let_go(index: MessageIndex, until: int, row: int) -> int:
    """Give back the memory of the mapped file before a row that begins at `until` or later, a position of the stream.

    Returns the next such position, `WINDOW_BYTES` of the file further on; the first is 0.
    """
    position = int(index.position[row])
    if index.release is None or position < until:
        return until
    if (read := index.stream.span(0, position + 1)) is not None:
        index.release(*read)
    return index.stream.within(position, WINDOW_BYTES)


def _no_clock() -> int:
    return 0


def _drop(_: object) -> None:
    """Take a record and keep nothing."""
