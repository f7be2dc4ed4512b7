"""Sound as it passed on a playback or record channel: its runs, the packets of each, and what they decode to.

A run is what the server puts between START and STOP: the guest plays, or listens. Playback is sent by the server,
recorded sound by the client, in messages of the same form.

Source: spice-wire.md 14; spice server/sound.cpp.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from spicereplay.analysis.clock import signed_ms
from spicereplay.analysis.columns import BoolArray, Float64Array, IndexArray
from spicereplay.analysis.fields import fields, fields_at, present
from spicereplay.bytestream import Int64Array
from spicereplay.codecs.audio import AudioCodec, AudioDecoder, Samples, open_audio, opus_samples
from spicereplay.defects import DefectKind, DefectLog
from spicereplay.errors import DecodeError
from spicereplay.limits import Limits
from spicereplay.protocol.enums import (
    AudioFormat,
    ChannelType,
    ClientRecord,
    ServerPlayback,
    ServerRecord,
    Side,
)
from spicereplay.protocol.index import MessageIndex
from spicereplay.session.log import ChannelLog

USUAL_CHANNELS: Final = 2
USUAL_RATE: Final = 48_000
"""What spice-server says in every START, and what is assumed where none was captured.
Source: spice-wire.md 14; spice server/sound.cpp, snd_set_command."""
_USUAL_RAW_BYTES: Final = 1920
"""Of a packet that is not compressed. Source: spice-wire.md 14."""
_LARGEST_OPUS: Final = 1275 * 2
"""More than any 10 ms packet. Source: RFC 6716 3.2.1."""
_TIME: Final = 4
"""Bytes of the field `time` before the sound."""
_LEVELS: Final = np.dtype([("nchannels", "u1"), ("volume", "<u2", 8)])
"""How VOLUME begins; levels of further channels are not looked at."""
CODECS: Final = {0: "unknown", **{codec.value: codec.name.lower() for codec in AudioCodec}}


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """One START..STOP of one channel, with its packets: rows of `index`, and arrays of one entry per packet."""

    index: MessageIndex
    """Messages of the side that sends the sound."""
    rows: IndexArray
    start_ns: int
    """START, or the first packet where no START was seen."""
    stop_ns: int | None
    """STOP; None where none was seen."""
    seen_start: bool
    first_mm: int
    """Multimedia time of START or of the first packet, ms."""
    channels: int
    rate: int
    """Hz, as START says."""
    format: int
    """Number of `AudioFormat`."""
    mode: npt.NDArray[np.uint16]
    """Number of `AudioCodec`, 0: neither seen nor to be guessed."""
    inferred: bool
    """The codec was told from the packets, because no MODE was captured."""
    mm_time: npt.NDArray[np.uint32]
    size: Int64Array
    """Bytes of sound."""
    partial: BoolArray
    after_hole: BoolArray
    """Bytes of this side are missing between the packet before and this one."""
    samples: Int64Array
    """Samples per channel that the packet holds, told without decoding; -1: unknown."""

    @property
    def time_ns(self) -> Int64Array:
        """Capture time of each packet."""
        return self.index.time_ns[self.rows]

    @property
    def played_rate(self) -> int:
        """Samples per second of what `samples` counts: Opus is always 48 kHz."""
        return USUAL_RATE if AudioCodec.OPUS in self.mode else max(self.rate, 1)

    @property
    def played_ms(self) -> Float64Array:
        """Milliseconds of sound in each packet; of one that cannot tell, what is usual in this run; else NaN."""
        told = self.samples >= 0
        usual = np.median(self.samples[told]) if told.any() else np.nan
        return np.where(told, self.samples, usual) * (1e3 / self.played_rate)

    @property
    def since_start_ms(self) -> Float64Array:
        """Multimedia time of each packet since the run began; goes on where the 32-bit clock wraps."""
        clock = np.concatenate(([self.first_mm], self.mm_time)).astype(np.int64)
        return np.cumsum(signed_ms(np.diff(clock)))


@dataclass(frozen=True, slots=True, eq=False)
class Levels:
    """The guest's volume and mute switch over time, as the server told them."""

    volume_ns: Int64Array
    volume: npt.NDArray[np.uint16]
    """Of the loudest channel."""
    mute_ns: Int64Array
    mute: BoolArray

    def silent(self, time_ns: Int64Array) -> BoolArray:
        """Say at which times the guest is muted or its volume is 0; what was not told is neither."""
        muted = np.concatenate(([False], self.mute))[np.searchsorted(self.mute_ns, time_ns, "right")]
        off = np.concatenate(([False], self.volume == 0))[np.searchsorted(self.volume_ns, time_ns, "right")]
        return muted | off

    def volumes(self, start_ns: int, end_ns: int) -> npt.NDArray[np.uint16]:
        """Return the volumes that held between two times."""
        first = max(0, int(np.searchsorted(self.volume_ns, start_ns, "right")) - 1)
        return self.volume[first : int(np.searchsorted(self.volume_ns, end_ns, "right"))]


def levels(log: ChannelLog) -> Levels:
    """Return what the server said of volume and mute on a playback or record channel."""
    kinds = ServerPlayback if log.channel is ChannelType.PLAYBACK else ServerRecord
    index = log.server
    rows = index.rows(kinds.VOLUME)
    said = fields_at(index, rows, np.zeros(len(rows), np.int64), _LEVELS)
    there = np.arange(8) < said["nchannels"][:, None]
    mutes, muted = fields(index, kinds.MUTE)
    return Levels(
        volume_ns=index.time_ns[rows],
        volume=np.where(there, said["volume"], 0).max(axis=1, initial=0).astype(np.uint16),
        mute_ns=index.time_ns[mutes],
        mute=muted["mute"] != 0,
    )


def latencies(log: ChannelLog) -> tuple[Int64Array, npt.NDArray[np.uint32]]:
    """Return when the server asked for which latency (ms) of playback."""
    if log.channel is not ChannelType.PLAYBACK:
        return np.empty(0, np.int64), np.empty(0, np.uint32)
    rows, said = fields(log.server, ServerPlayback.LATENCY)
    return log.server.time_ns[rows], said["latency_ms"]


def runs(log: ChannelLog, limits: Limits, defects: DefectLog) -> list[Run]:
    """Return the runs of a playback or record channel, in order, `limits.sound_runs` at most.

    What is played before any START was captured makes a run of its own. Sound of the client may still come after the
    server said STOP; it belongs to the run before.
    """
    playback = log.channel is ChannelType.PLAYBACK
    index = log.server if playback else log.client
    kinds = ServerPlayback if playback else ServerRecord
    data = ServerPlayback.DATA if playback else ClientRecord.DATA
    mode = ServerPlayback.MODE if playback else ClientRecord.MODE

    rows = np.flatnonzero(index.type == data)
    rows = rows[present(index, rows, data)]
    mode_rows, modes = fields(index, mode)
    start_rows, starts = fields(log.server, kinds.START)
    if len(start_rows) > limits.sound_runs:
        detail = (
            f"sound was started {len(start_rows)} times; the last of {limits.sound_runs} runs has the rest"
        )
        defects.add(DefectKind.OVER_LIMIT, place(log), detail)
        start_rows, starts = start_rows[: limits.sound_runs], starts[: limits.sound_runs]
    stop_rows = log.server.rows(kinds.STOP)
    which_mode = np.searchsorted(mode_rows, rows)
    packet_mode = np.concatenate((np.zeros(1, np.uint16), modes["mode"]))[which_mode]
    start_ns, stop_ns = log.server.time_ns[start_rows], log.server.time_ns[stop_rows]
    # Messages of one side keep their order even where they share a time; those of two sides have only their times.
    first = np.searchsorted(rows, start_rows) if playback else np.searchsorted(index.time_ns[rows], start_ns)
    edges = [0, *first.tolist(), len(rows)]
    stop_of = np.searchsorted(stop_rows, start_rows).tolist()

    found: list[Run] = []
    for number in range(len(start_rows) + 1):
        mine = slice(edges[number], edges[number + 1])
        start = starts[number - 1] if number else None
        if start is None and mine.start == mine.stop:
            continue
        begins = int(start_ns[number - 1] if number else index.time_ns[rows[mine][0]])
        next_stop = stop_of[number - 1] if number else 0
        next_start = int(start_rows[number]) if number < len(start_rows) else len(log.server)
        stopped = next_stop < len(stop_rows) and stop_rows[next_stop] < next_start
        ends = int(stop_ns[next_stop]) if stopped else None
        found.append(_run(log, index, data, rows[mine], packet_mode[mine], start, begins, ends))
    return found


def _run(
    log: ChannelLog,
    index: MessageIndex,
    data: int,
    rows: IndexArray,
    mode: npt.NDArray[np.uint16],
    start: np.void | None,
    start_ns: int,
    stop_ns: int | None,
) -> Run:
    _, said = fields(index, data, rows)
    size = index.size[rows].astype(np.int64) - _TIME
    opening = fields_at(
        index, rows, np.full(len(rows), _TIME, np.int64), np.dtype([("first", "u1"), ("second", "u1")])
    )
    channels = USUAL_CHANNELS if start is None else int(start["channels"])
    inferred = bool(len(mode)) and not mode.any()
    opus = opus_samples(opening["first"], opening["second"], size)
    if inferred:
        mode = np.full(len(rows), _codec_of(size, opus), np.uint16)
    raw = size // (2 * max(channels, 1))
    holes = np.array([gap.position for gap in log.gaps if gap.side is index.side], np.int64)
    passed = np.searchsorted(np.sort(holes), index.position[rows], "right")
    # Of playback the server's START says when it begins; the client says nothing like that.
    known = start is not None and "time" in (start.dtype.names or ())
    first_mm = int(start["time"]) if known and start is not None else int(said["time"][0]) if len(rows) else 0
    return Run(
        index=index,
        rows=rows,
        start_ns=start_ns,
        stop_ns=stop_ns,
        seen_start=start is not None,
        first_mm=first_mm,
        channels=channels,
        rate=USUAL_RATE if start is None else int(start["frequency"]),
        format=AudioFormat.S16 if start is None else int(start["format"]),
        mode=mode,
        inferred=inferred,
        mm_time=said["time"],
        size=size,
        partial=index.partial[rows],
        after_hole=np.diff(passed, prepend=passed[:1]) > 0,
        samples=np.select([mode == AudioCodec.OPUS, mode == AudioCodec.RAW], [opus, raw], -1),
    )


def _codec_of(size: Int64Array, opus: Int64Array) -> int:
    """Tell the codec of a run from its packets: spice-server's raw ones are all of one size, Opus ones are small."""
    if (size == _USUAL_RAW_BYTES).all():
        return AudioCodec.RAW
    if (size <= _LARGEST_OPUS).all() and (opus == opus[0]).all() and opus[0] > 0:
        return AudioCodec.OPUS
    return 0


def silences(at_ms: Float64Array, played_ms: Float64Array, after_hole: BoolArray) -> Float64Array:
    """Return how long before each packet a listener who holds nothing back would have heard nothing, in ms.

    `at_ms` is when each packet is there, `played_ms` how long it sounds. Sound that came early counts for later, so
    packets that come in bursts leave no silence. NaN for a packet behind missing bytes, where a new account begins,
    and where it is not known how long packets sound.
    """
    out = np.full(len(at_ms), np.nan)
    edges = [*np.flatnonzero(after_hole).tolist(), len(at_ms)]
    low = 0
    for high in edges:
        if high > low:
            supplied = np.concatenate(([0.0], np.cumsum(played_ms[low : high - 1])))
            lead = at_ms[low:high] - supplied
            out[low:high] = np.diff(np.maximum.accumulate(lead), prepend=lead[0])
            if low:
                out[low] = np.nan
        low = high
    return out


# --- decoding -----------------------------------------------------------------------------------------

OUTCOMES: Final = ("decoded", "failed", "partial", "unsupported", "not_decoded")
DECODED, FAILED, PARTIAL, UNSUPPORTED, NOT_DECODED = range(len(OUTCOMES))


@dataclass(frozen=True, slots=True, eq=False)
class Heard:
    """What became of one packet."""

    packet: int
    """Its place in the run."""
    outcome: int
    """Index into `OUTCOMES`."""
    samples: Samples | None
    """(samples, channels) int16 where it was decoded."""
    rate: int
    backend: str


def decode(run: Run, where: str, limits: Limits, defects: DefectLog) -> Iterator[Heard]:
    """Decode the packets of one run in order; what cannot be decoded is a defect and costs itself.

    Nothing is kept but the decoder. A change of codec within the run begins with a new one.
    """
    decoder: AudioDecoder | None = None
    opened = -1
    bodies = run.index.bodies(run.rows)
    for packet, (row, body) in enumerate(zip(run.rows.tolist(), bodies, strict=True)):
        mode, time_ns = int(run.mode[packet]), int(run.index.time_ns[row])
        if mode != opened:
            opened, decoder = mode, None
            try:
                decoder = _decoder(run, mode, limits)
            except DecodeError as error:
                defects.add(DefectKind(error.reason), where, str(error), time_ns=time_ns)
        if decoder is None:
            yield Heard(packet, UNSUPPORTED, None, 0, "")
            continue
        if run.after_hole[packet] or run.partial[packet]:
            decoder.lost()
        if run.partial[packet]:
            yield Heard(packet, PARTIAL, None, 0, "")
            continue
        try:
            sound = decoder.decode(body[_TIME:])
        except DecodeError as error:
            defects.add(DefectKind(error.reason), where, str(error), time_ns=time_ns)
            yield Heard(packet, FAILED, None, 0, "")
            continue
        yield Heard(packet, DECODED, sound.samples, sound.rate, sound.backend)


def _decoder(run: Run, mode: int, limits: Limits) -> AudioDecoder:
    if run.format != AudioFormat.S16:
        raise DecodeError(f"audio: samples of format {run.format}", reason=DefectKind.CODEC_UNSUPPORTED)
    return open_audio(mode, channels=run.channels, rate=run.rate, limits=limits)


def place(log: ChannelLog) -> str:
    """Return the words by which defects name who sent the sound of a channel."""
    return f"{log.name} from {Side.SERVER if log.channel is ChannelType.PLAYBACK else Side.CLIENT}"
