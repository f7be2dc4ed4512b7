"""One row per image that a display message brought or referred to, and the caches over time.

The whole recording is drawn for it, since what an image is may hang on the images before it; video is left out,
which the table `frames` measures. Images that depend on nothing else are decoded on all processors; their time is
the processor time of the one thread that decoded them, so that this does not distort it.
"""

from __future__ import annotations

import time
from array import array
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from spicereplay.analysis import schema
from spicereplay.analysis.columns import Float64Array, category, concat, seconds
from spicereplay.codecs.base import Data
from spicereplay.defects import DefectLog
from spicereplay.display.model import DisplayModel
from spicereplay.display.records import NOT_DECODED, Clock, ImageRecord
from spicereplay.limits import Limits
from spicereplay.protocol.enums import ChannelType
from spicereplay.replay.driver import Progress
from spicereplay.replay.screens import Screens
from spicereplay.session.log import SessionLog
from spicereplay.units import NS_PER_MS

if TYPE_CHECKING:
    import pandas as pd

SAMPLE_NS: Final = 100 * NS_PER_MS
"""How long the caches may change before the table `cache` gets its next row."""

CACHE_USES: Final = ("none", "hit", "miss", "stored")
_NONE, _HIT, _MISS, _STORED = range(4)


@dataclass(slots=True)
class _ImageColumns:
    """The records of one session as they come, a column each: there may be millions."""

    time_ns: array[int] = field(default_factory=lambda: array("q"))
    numbers: array[int] = field(default_factory=lambda: array("q"))
    """Ten per image, in the order of `_NUMBERS`."""
    image_id: array[int] = field(default_factory=lambda: array("Q"))
    names: dict[str, int] = field(default_factory=dict)
    """Codecs and backends, and their codes."""

    def add(self, record: ImageRecord, use: int) -> None:
        self.time_ns.append(record.time_ns)
        self.image_id.append(record.image_id or 0)
        self.numbers.extend(
            (
                record.channel_id,
                self._code(record.codec),
                self._code(record.backend),
                record.width,
                record.height,
                record.size_bytes,
                record.decode_ns if record.decoded and record.backend != NOT_DECODED else -1,
                use,
                record.surface_id,
                *record.box,
                record.decoded,
            )
        )

    def _code(self, name: str) -> int:
        return self.names.setdefault(name, len(self.names))


_NUMBERS: Final = (
    "channel_id",
    "codec",
    "backend",
    "width",
    "height",
    "bytes",
    "decode_ns",
    "cache",
    "surface_id",
    "left",
    "top",
    "right",
    "bottom",
    "decoded",
)


@dataclass(frozen=True, slots=True, eq=False)
class Observed:
    """What drawing a recording shows of its images."""

    images: pd.DataFrame
    """The table `images`."""
    cache: pd.DataFrame
    """The table `cache`."""
    defects: DefectLog
    """What was wrong with messages, images and references to them."""


def observe_images(
    sessions: Iterable[SessionLog],
    origin_ns: int,
    limits: Limits,
    *,
    workers: int | None = None,
    clock: Clock = time.thread_time_ns,
    progress: Progress | None = None,
) -> Observed:
    """Draw all sessions and return the tables `images` and `cache`, and the defects that only drawing shows.

    `clock` counts the time of the calling thread.
    """
    defects = DefectLog(limits.defects_per_kind)
    images, caches = [], []
    for session in sessions:
        if not session.of(ChannelType.DISPLAY):
            continue
        columns, samples = _ImageColumns(), _CacheSamples()
        new: list[ImageRecord] = []
        with Screens(
            session,
            limits=limits,
            workers=workers,
            clock=clock,
            sink=new.append,
            video=_unseen,
            progress=progress,
        ) as screens:
            cache = screens.model.cache
            while True:
                puts = cache.counts.puts + cache.counts.replaced
                step = screens.step()
                kept = cache.counts.puts + cache.counts.replaced > puts
                for record in new:
                    if record.stream_id is None:
                        columns.add(record, _use(record, kept and (record.image_id or 0) in cache))
                new.clear()
                if step is None:
                    break
                samples.look(screens.model, screens.now_ns)
            samples.look(screens.model, screens.now_ns, last=True)
            defects.extend(screens.model.defects)
        images.append(_images(session.number, columns, origin_ns))
        caches.append(samples.table(session.number, origin_ns))
    return Observed(concat("images", images), concat("cache", caches), defects)


def _use(record: ImageRecord, kept: bool) -> int:
    if record.codec.startswith("from_cache"):
        return _HIT if record.cache_hit else _MISS
    return _STORED if kept else _NONE


def _images(session: int, columns: _ImageColumns, origin_ns: int) -> pd.DataFrame:
    count = len(columns.time_ns)
    numbers = np.frombuffer(columns.numbers, np.int64) if count else np.empty(0, np.int64)
    by_name = dict(zip(_NUMBERS, numbers.reshape(count, len(_NUMBERS)).T, strict=True))
    names = list(columns.names)
    took = by_name["decode_ns"]
    return schema.frame(
        "images",
        {
            "session": np.full(count, session),
            "channel_id": by_name["channel_id"],
            "time_s": seconds(_int64(columns.time_ns), origin_ns),
            "image_id": np.frombuffer(columns.image_id, np.uint64) if count else np.empty(0, np.uint64),
            "codec": category(by_name["codec"], names),
            "width": by_name["width"],
            "height": by_name["height"],
            "bytes": by_name["bytes"],
            "decode_ms": np.where(took < 0, np.nan, took / NS_PER_MS),
            "backend": category(by_name["backend"], names),
            "cache": category(by_name["cache"], CACHE_USES),
            "decoded": by_name["decoded"] != 0,
            "surface_id": by_name["surface_id"],
            **{side: by_name[side] for side in ("left", "top", "right", "bottom")},
        },
    )


def _int64(values: array[int]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.array(values, np.int64)


_COUNTS: Final = (
    "images",
    "bytes",
    "hits",
    "misses",
    "puts",
    "invalidated",
    "evicted",
    "glz_images",
    "glz_bytes",
    "glz_evicted",
)


@dataclass(slots=True)
class _CacheSamples:
    """The state of the caches, taken when it has changed."""

    time_ns: array[int] = field(default_factory=lambda: array("q"))
    counts: array[int] = field(default_factory=lambda: array("q"))
    _last: tuple[int, ...] = (0,) * len(_COUNTS)
    _next_ns: int = 0

    def look(self, model: DisplayModel, time_ns: int, *, last: bool = False) -> None:
        """Take the present state if it is time and it differs from the last one."""
        if time_ns < self._next_ns and not last:
            return
        cache, counts, window = model.cache, model.cache.counts, model.window
        now = (
            len(cache),
            cache.held_bytes,
            counts.hits,
            counts.misses,
            counts.puts + counts.replaced,
            counts.invalidated,
            counts.evicted,
            len(window),
            window.held_bytes,
            window.evicted,
        )
        if now == self._last:
            return
        self._last, self._next_ns = now, time_ns + SAMPLE_NS
        self.time_ns.append(time_ns)
        self.counts.extend(now)

    def table(self, session: int, origin_ns: int) -> pd.DataFrame:
        """Return the table `cache` of one session."""
        count = len(self.time_ns)
        counts = np.array(self.counts, np.int64).reshape(count, len(_COUNTS)).T
        times: Float64Array = seconds(_int64(self.time_ns), origin_ns)
        return schema.frame(
            "cache",
            {
                "session": np.full(count, session),
                "time_s": times,
                **dict(zip(_COUNTS, counts, strict=True)),
            },
        )


class _Unseen:
    """Stands for a video decoder where only images count: its frames paint what is not known."""

    backend = ""
    waiting = True

    def lost(self) -> None:
        """Nothing to begin again."""

    def decode(self, data: Data) -> None:
        """Give no picture."""
        return


def _unseen(codec: int) -> _Unseen:
    return _Unseen()
