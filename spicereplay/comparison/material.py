"""What quantities are taken from: the tables of one input, or of one session of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from spicereplay.analysis import schema
from spicereplay.comparison.observation import Count, Float64Array, Sample
from spicereplay.comparison.resampling import dispersion

if TYPE_CHECKING:
    import pandas as pd

    from spicereplay.analysis.timeline import Tables
    from spicereplay.bugreport.client_reported import ClientSummary
    from spicereplay.replay import Replay
    from spicereplay.session.log import SessionLog

BIN_S: Final = 1.0
"""Width of the bins in which traffic is compared, about."""
COUNT_BINS: Final = 20
"""Parts that a recording is cut into to see whether events come in bursts."""


@dataclass(frozen=True, slots=True)
class Subject:
    """One input as it is handed in."""

    label: str
    replay: Replay
    tables: Callable[[], Tables]
    """Gives its tables; called once, and what it gives is let go of before the next input's turn."""
    decode: bool = True
    """Whether the tables are made with decoding."""
    session: int | None = None
    """The one session that counts; None: all of them together."""

    @property
    def sessions(self) -> list[SessionLog]:
        """The observed sessions that count."""
        every = self.replay.sessions
        return every if self.session is None else [every[self.session]]


@dataclass(frozen=True, slots=True)
class Material:
    """One input with what was measured here for the comparison."""

    subject: Subject
    tables: Tables
    decode_ms: Mapping[str, Float64Array]
    """Per codec, in order; measured in turn with the other inputs'."""

    @property
    def decoded(self) -> bool:
        """Whether images and frames were decoded: without, nothing is known of codecs' times and the caches."""
        return self.subject.decode

    @property
    def client(self) -> ClientSummary | None:
        """What the client reported last; it is about the newest connection."""
        newest = self.subject.session in (None, len(self.subject.replay.sessions) - 1)
        return self.tables.facts.client if newest else None

    def table(self, name: str) -> pd.DataFrame:
        """Return a table, as far as it is about the sessions that count; raises `KeyError` for no table."""
        table = self.tables[name]
        if self.subject.session is None or "session" not in schema.TABLES[name].names:
            return table
        return table[table["session"] == self.subject.session].reset_index(drop=True)

    def exposure_s(self, channel: str) -> float:
        """Return how long the channels of a type were recorded, added up."""
        return sum(stop - start for _, _, start, stop in self._spans(channel))

    def rate(self, rows: pd.DataFrame, weight: str, channel: str, at: str = "time_s") -> Sample:
        """Return the sum of a column per second, in bins of about a second over all channels of a type."""
        bins = [
            np.histogram(times, edges, weights=weights)[0] / (edges[1] - edges[0])
            for times, weights, edges in self._binned(rows, channel, at, weight)
        ]
        return Sample.of(np.concatenate(bins) if bins else np.empty(0), "mean")

    def count(self, rows: pd.DataFrame, channel: str, at: str = "time_s") -> Count:
        """Return how many rows there are in the time of all channels of a type."""
        spans = list(self._spans(channel))
        total = sum(stop - start for _, _, start, stop in spans)
        width = max(total / COUNT_BINS, 0.1)
        parts = [
            np.histogram(times, edges)[0].astype(np.float64)
            for times, _, edges in self._binned(rows, channel, at, None, width)
        ]
        counts = np.concatenate(parts) if parts else np.empty(0)
        return Count(int(counts.sum()), total, dispersion(counts))

    def _spans(self, channel: str) -> Iterator[tuple[int, int, float, float]]:
        channels = self.table("channels")
        mine = channels[channels["channel"] == channel]
        columns = (mine[name].tolist() for name in ("session", "channel_id", "start_s", "end_s"))
        for session, number, start, stop in zip(*columns, strict=True):
            if stop > start:
                yield session, number, start, stop

    def _binned(
        self, rows: pd.DataFrame, channel: str, at: str, weight: str | None, width: float = BIN_S
    ) -> Iterator[tuple[Float64Array, Float64Array, Float64Array]]:
        """Yield times, weights and bin edges of the rows of each channel of a type."""
        session = rows["session"].to_numpy()
        number = rows["channel_id"].to_numpy()
        times = rows[at].to_numpy(np.float64)
        weights = rows[weight].to_numpy(np.float64) if weight is not None else np.ones(len(rows))
        for of, which, start, stop in self._spans(channel):
            mine = (session == of) & (number == which) & np.isfinite(times)
            edges = np.linspace(start, stop, max(1, round((stop - start) / width)) + 1)
            yield np.clip(times[mine], start, stop), weights[mine], edges
