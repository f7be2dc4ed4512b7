"""The sound of one session as a WAV file, every sound at its true time.

The file begins with the capture: a sound's place in it is the table's `time_s`. A run (START..STOP) lies where it was
captured; within it packets follow each other as they would in a player, and where multimedia time runs ahead of the
sound by more than a timer's unevenness there is silence. What was late on the way is not: the file holds what the
guest played, the table `playback` how it arrived. Volume and mute are not applied: they are orders to the client.

Above 4 GiB the file becomes an RF64, which is a WAV with 64-bit sizes.
Source: Microsoft, Multimedia Programming Interface and Data Specifications 1.0, "WAVE"; EBU Tech 3306 (RF64).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

import numpy as np

from spicereplay.analysis import sound
from spicereplay.analysis.playback import GAP_MS
from spicereplay.codecs.audio import OPUS_RATE, AudioCodec, Samples
from spicereplay.defects import DefectLog
from spicereplay.errors import InputError, UsageError
from spicereplay.export.folder import new_file
from spicereplay.limits import DEFAULT_LIMITS, Limits
from spicereplay.protocol.enums import ChannelType
from spicereplay.replay import Progress, Replay
from spicereplay.session.log import ChannelLog, SessionLog
from spicereplay.units import NS_PER_S

if TYPE_CHECKING:
    import av

_FORMAT: Final = struct.Struct("<4sIHHIIHH")
_PCM: Final = 1
_DS64: Final = struct.Struct("<4sIQQQI")
"""RF64's sizes, in the place of a JUNK chunk that is kept free for them. Source: EBU Tech 3306 3."""
_MOST_32: Final = 0xFFFF_FFFF
_HEAD_BYTES: Final = 12 + _DS64.size + _FORMAT.size + 8
_TELL_EVERY: Final = 500


@dataclass(frozen=True, slots=True)
class Wav:
    """What was written."""

    channel_id: int
    session: int
    channels: int
    rate: int
    duration_s: float
    sound_s: float
    """Of it, what is not the silence between sounds."""
    packets: int
    failed: int
    """Packets that could not be decoded; silence stands for them."""
    left_out: int
    """Packets that did not fit into `Limits.wav_bytes`."""
    backends: tuple[str, ...]


def write_wav(
    replay: Replay,
    path: Path,
    *,
    session: int | None = None,
    channel_id: int | None = None,
    recorded: bool = False,
    limits: Limits = DEFAULT_LIMITS,
    progress: Progress | None = None,
) -> Wav:
    """Write what the guest of one session played to `path`, which is replaced when it is complete.

    With `recorded` it is what the guest heard. Without `session` it is the first that has sound, without `channel_id`
    its first such channel. Channels and rate are those of the first run, and runs that differ are converted. Memory
    does not grow with the length.

    Raises `UsageError` for a session or channel that there is not, `InputError` where no sound can be decoded,
    `OSError` where `path` cannot be written.
    """
    kind = ChannelType.RECORD if recorded else ChannelType.PLAYBACK
    defects = DefectLog(limits.defects_per_kind)
    log, runs = _chosen(replay, kind, session, channel_id, limits, defects)
    first = next(run for run in runs if len(run.rows))
    rate = OPUS_RATE if AudioCodec.OPUS in first.mode else first.rate
    channels = min(max(first.channels, 1), limits.audio_channels)
    total = sum(len(run.rows) for run in runs)
    packets = failed = left_out = 0
    backends: dict[str, None] = {}
    with (
        new_file(path, force=True) as unfinished,
        unfinished.open("wb") as out,
        _Track(out, channels, rate, limits.wav_bytes) as track,
    ):
        for run in runs:
            start = max(0, run.start_ns - replay.start_time_ns) * rate // NS_PER_S
            end_ns = max(log.end_time_ns, run.start_ns) - run.start_ns
            at = np.clip(run.since_start_ms, 0.0, end_ns / 1e6)
            converter = _Converter(channels, rate)
            for heard in sound.decode(run, sound.place(log), limits, defects):
                if progress is not None and packets % _TELL_EVERY == 0:
                    progress("writing sound", packets, total)
                packets += 1
                place = start + round(at[heard.packet] * rate / 1e3)
                if heard.packet == 0 or place - track.position > GAP_MS * rate / 1e3:
                    track.silence_until(place)
                if heard.samples is None:
                    failed += 1
                    missing = max(0, int(run.samples[heard.packet])) * rate // run.played_rate
                    track.silence_until(track.position + missing)
                    continue
                backends.setdefault(heard.backend)
                left_out += not track.write(converter.convert(heard.samples, heard.rate))
            track.write(converter.rest())
        if not track.sounded:
            raise InputError(
                f"{replay.path.name}: none of the {packets} packets of {log.name} can be decoded"
            )
    return Wav(
        channel_id=log.channel_id,
        session=next(s.number for s in replay.sessions if log in s.channels),
        channels=channels,
        rate=rate,
        duration_s=track.position / rate,
        sound_s=track.sounded / rate,
        packets=packets,
        failed=failed,
        left_out=left_out,
        backends=tuple(backends),
    )


def _chosen(
    replay: Replay,
    kind: ChannelType,
    session: int | None,
    channel_id: int | None,
    limits: Limits,
    defects: DefectLog,
) -> tuple[ChannelLog, list[sound.Run]]:
    """Return the channel that is asked for, or the first with sound, and its runs."""
    if session is not None and not 0 <= session < len(replay.sessions):
        raise UsageError(f"no session {session}: there are {len(replay.sessions)}, from 0")
    asked: list[SessionLog] = replay.sessions if session is None else [replay.sessions[session]]
    logs = [log for each in asked for log in each.of(kind)]
    if channel_id is not None:
        logs = [log for log in logs if log.channel_id == channel_id]
        if not logs:
            raise UsageError(f"no channel {kind.label}/{channel_id}")
    for log in logs:
        runs = sound.runs(log, limits, defects)
        if any(len(run.rows) for run in runs):
            return log, runs
    which = f"session {session}" if session is not None else "this capture"
    raise InputError(
        f"{replay.path.name}: nothing was {'recorded' if kind is ChannelType.RECORD else 'played'} in {which}"
        + ("" if logs else f", which has no {kind.label} channel")
    )


class _Converter:
    """Gives the sound of one run the channels and rate of the file."""

    def __init__(self, channels: int, rate: int) -> None:
        self._channels = channels
        self._rate = rate
        self._resampler: av.AudioResampler | None = None

    def convert(self, samples: Samples, rate: int) -> Samples:
        """Return what `samples` become; another rate takes a resampler, which may keep a few of them for later."""
        mixed = _mixed(samples, self._channels)
        if rate == self._rate:
            return mixed
        import av

        if self._resampler is None:
            self._resampler = av.AudioResampler("s16", _layout(self._channels), self._rate)
        frame = av.AudioFrame.from_ndarray(mixed.reshape(1, -1), "s16", _layout(self._channels))
        frame.sample_rate = rate
        return self._resampled(frame)

    def rest(self) -> Samples:
        """Return what was kept for later."""
        return self._resampled(None)

    def _resampled(self, frame: av.AudioFrame | None) -> Samples:
        frames = [] if self._resampler is None else self._resampler.resample(frame)
        parts = [np.asarray(each.to_ndarray(), np.int16).reshape(-1, self._channels) for each in frames]
        return np.concatenate((np.empty((0, self._channels), np.int16), *parts))


def _layout(channels: int) -> str:
    return {1: "mono", 2: "stereo"}.get(channels, f"{channels}c")


def _mixed(samples: Samples, channels: int) -> Samples:
    """Return sound with that many channels: one becomes all, many become their mean."""
    if samples.shape[1] == channels:
        return np.ascontiguousarray(samples)
    mean = samples.mean(axis=1, dtype=np.float64).round().astype(np.int16)
    return np.repeat(mean[:, None], channels, axis=1)


class _Track:
    """A WAV file that grows; silence costs no disk where the file system can leave holes."""

    def __init__(self, out: BinaryIO, channels: int, rate: int, limit: int) -> None:
        self._out = out
        self._channels = channels
        self._rate = rate
        self._frame_bytes = 2 * channels
        self._most = max(0, limit - _HEAD_BYTES) // self._frame_bytes
        self._highest = 0
        self.position = 0
        """Samples per channel so far, silence included."""
        self.sounded = 0
        """Samples per channel that are no silence."""
        out.write(bytes(_HEAD_BYTES))

    def silence_until(self, position: int) -> None:
        """Let the next sound begin there, unless the file is that long already."""
        self.position = max(self.position, position)

    def write(self, samples: Samples) -> bool:
        """Append sound; false where it does not fit any more."""
        if self.position + len(samples) > self._most:
            return False
        self._out.seek(_HEAD_BYTES + self.position * self._frame_bytes)
        self._out.write(samples.astype("<i2", copy=False).tobytes())
        self.position += len(samples)
        self.sounded += len(samples)
        self._highest = self.position
        return True

    def __enter__(self) -> _Track:
        return self

    def __exit__(self, *_: object) -> None:
        self.position = self._highest
        self._out.seek(0)
        self._out.write(self._head(self.position * self._frame_bytes))

    def _head(self, data_bytes: int) -> bytes:
        riff_bytes = _HEAD_BYTES - 8 + data_bytes
        large = riff_bytes > _MOST_32
        junk = struct.pack("<4sI", b"JUNK", _DS64.size - 8).ljust(_DS64.size, b"\0")
        return b"".join(
            (
                struct.pack("<4sI4s", *(b"RF64", _MOST_32) if large else (b"RIFF", riff_bytes), b"WAVE"),
                _DS64.pack(b"ds64", _DS64.size - 8, riff_bytes, data_bytes, self.position, 0)
                if large
                else junk,
                _FORMAT.pack(
                    *(b"fmt ", 16, _PCM, self._channels, self._rate),
                    *(self._rate * self._frame_bytes, self._frame_bytes, 16),
                ),
                struct.pack("<4sI", b"data", _MOST_32 if large else data_bytes),
            )
        )
