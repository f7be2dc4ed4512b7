"""The screen of a live session: messages in, pictures drawn on a thread of their own.

Decoding releases Python's lock where it takes long, so the sockets are served meanwhile. Messages are drawn in the
order in which they came, over all channels, as a replay draws them.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Final, TypeVar

from spicereplay.display.model import DisplayModel, Screen
from spicereplay.display.records import ImageRecord
from spicereplay.limits import Limits
from spicereplay.protocol import registry
from spicereplay.protocol.enums import ChannelType, Side
from spicereplay.protocol.events import MessageSeen
from spicereplay.replay.damage import HEAD_BYTES, damage
from spicereplay.units import MIB

WAITING_BYTES: Final = 64 * MIB
"""Messages that wait to be drawn; with more of them, no more are read from the server."""
KEPT_IDS: Final = 64
"""Source: ryll-formats.md 5.3, `image_cache_ids`."""
_CHECK_S: Final = 0.01

T = TypeVar("T")
OnRecords = Callable[[list[ImageRecord]], None]


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept of pictures for messages to come. Bytes are those of the decoded pixels."""

    images: int
    """Images of the cache …"""
    image_bytes: int
    image_ids: tuple[int, ...]
    """… the last `KEPT_IDS` of them, the last one used first."""
    images_evicted: int
    """Thrown out to stay within the cap."""
    images_evicted_bytes: int
    images_cap_bytes: int
    glz_images: int
    """Images that GLZ images may refer to."""
    glz_bytes: int
    glz_evicted: int
    glz_evicted_bytes: int
    glz_cap_bytes: int


@dataclass(frozen=True, slots=True)
class _Drawing:
    channel: ChannelType
    channel_id: int
    message: MessageSeen


class LiveScreen:
    """Draws; `records` is called on its thread with what was decoded."""

    def __init__(self, limits: Limits, records: OnRecords) -> None:
        self._records = records
        self._limits = limits
        self._work: deque[_Drawing | Callable[[], None]] = deque()
        self._waiting = 0
        self._closing = False
        self._changed = threading.Condition()
        self._decoded: list[ImageRecord] = []
        self._model = self._new_model()
        self._thread = threading.Thread(target=self._run, name="screen", daemon=True)
        self._thread.start()

    def draw(self, channel: ChannelType, channel_id: int, message: MessageSeen) -> None:
        """Take in a message of a display or cursor channel."""
        with self._changed:
            self._work.append(_Drawing(channel, channel_id, message))
            self._waiting += len(message.body)
            self._changed.notify()

    async def room(self) -> None:
        """Wait while too much waits to be drawn."""
        while self._waiting > WAITING_BYTES:
            await asyncio.sleep(_CHECK_S)

    def joined(self, channel_id: int) -> None:
        """Say that there is a display channel; with several, one waits for images of another."""
        self.ask(lambda model: model.channel(channel_id))

    def begin(self) -> None:
        """Begin a new session: nothing of the screen before is left."""
        self._put(self._begin_again)

    def ask(self, question: Callable[[DisplayModel], T]) -> Future[T]:
        """Ask the model something when everything so far is drawn; it is asked on the thread that draws."""
        answer: Future[T] = Future()

        def work() -> None:
            if answer.set_running_or_notify_cancel():
                answer.set_result(question(self._model))

        if self._thread.is_alive():
            self._put(work)
        else:
            work()
        return answer

    def shown(self, channel_id: int = 0) -> Future[Screen | None]:
        """Ask what a channel shows."""
        return self.ask(lambda model: model.screen(channel_id))

    def kept(self) -> Future[Kept]:
        """Ask what is kept of pictures."""
        return self.ask(_kept)

    def close(self) -> None:
        """Draw what is left and end."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()

    # --- the thread ------------------------------------------------------------------------------------

    def _put(self, work: Callable[[], None]) -> None:
        with self._changed:
            self._work.append(work)
            self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._work or self._closing)
                if not self._work:
                    return
                work = self._work.popleft()
            if isinstance(work, _Drawing):
                self._draw(work)
                with self._changed:
                    self._waiting -= len(work.message.body)
            else:
                work()
            if self._decoded:
                decoded, self._decoded = self._decoded, []
                self._records(decoded)

    def _draw(self, work: _Drawing) -> None:
        message, model = work.message, self._model
        parsed = registry.parse_message(
            work.channel, Side.SERVER, message.type, message.body, limits=self._limits
        ).message
        if work.channel is ChannelType.CURSOR:
            if parsed is not None:
                model.handle_cursor(work.channel_id, parsed, message.time_ns)
        elif parsed is None:
            damage(model, work.channel_id, message.type, message.body[:HEAD_BYTES])
        else:
            model.handle(work.channel_id, parsed, message.time_ns)

    def _new_model(self) -> DisplayModel:
        return DisplayModel(
            limits=self._limits,
            channel_ids=(),
            clock=time.thread_time_ns,
            sink=self._decoded_one,
        )

    def _begin_again(self) -> None:
        self._model = self._new_model()

    def _decoded_one(self, record: ImageRecord) -> None:
        self._decoded.append(record)


def _kept(model: DisplayModel) -> Kept:
    cache, window = model.cache, model.window
    return Kept(
        images=len(cache),
        image_bytes=cache.held_bytes,
        image_ids=cache.recent_ids(KEPT_IDS),
        images_evicted=cache.counts.evicted,
        images_evicted_bytes=cache.counts.evicted_bytes,
        images_cap_bytes=cache.limits.image_cache_bytes,
        glz_images=len(window),
        glz_bytes=window.held_bytes,
        glz_evicted=window.evicted,
        glz_evicted_bytes=window.evicted_bytes,
        glz_cap_bytes=window.limits.glz_window_bytes,
    )
