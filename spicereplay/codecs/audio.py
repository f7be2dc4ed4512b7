"""Packets of sound to samples: one decoder object for each START..STOP.

RAW is what it says, signed 16-bit little-endian samples, the channels in turn. Opus goes through PyAV's FFmpeg, with
libopus where it has that (the library that encodes in spice-server and decodes in spice-gtk), else with FFmpeg's own.
CELT 0.5.1, which servers before 2013 sent, is an ancestor of Opus that no library decodes any more.

Source: spice-wire.md 14; spice server/sound.cpp; RFC 6716.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from typing import TYPE_CHECKING, Final, Protocol, cast

import numpy as np
import numpy.typing as npt

from spicereplay.codecs.base import BackendInfo, BackendMissing, Data
from spicereplay.defects import DefectKind
from spicereplay.errors import DecodeError
from spicereplay.limits import DEFAULT_LIMITS, Limits

if TYPE_CHECKING:
    import av

Samples = npt.NDArray[np.int16]
"""Sound as (samples, channels) int16; of two channels the first is the left one."""

OPUS_RATE: Final = 48_000
"""Samples per second that an Opus decoder gives, whatever the encoder was fed. Source: RFC 6716 2."""
RAW_BACKEND: Final = "numpy"
_OPUS_DECODERS: Final = ("libopus", "opus")
"""FFmpeg's decoders in order of preference."""
_OPUS_MOST: Final = 5760
"""Samples of the longest Opus packet, 120 ms. Source: RFC 6716 3.2.5."""


class AudioCodec(IntEnum):
    """Codecs of sound. Source: spice.proto, audio_data_mode."""

    RAW = 1
    CELT_0_5_1 = 2
    OPUS = 3


@dataclass(frozen=True, slots=True, eq=False)
class Sound:
    """The samples of one packet, and who decoded them."""

    samples: Samples
    """(samples, channels) int16."""
    rate: int
    """Samples per second and channel."""
    backend: str
    """Which decoder made it: `numpy`, `pyav libopus (FFmpeg 8.1)`."""


class AudioDecoder(Protocol):
    """The decoder of one run of sound. Packets are given in the order they were sent."""

    @property
    def backend(self) -> str:
        """Name and version of what decodes."""

    def decode(self, data: Data) -> Sound:
        """Decode one packet; raises `DecodeError` where it cannot be decoded."""

    def lost(self) -> None:
        """Say that packets are missing here: what follows does not continue what came before."""


class RawSound:
    """Sound that is not compressed."""

    def __init__(self, channels: int, rate: int, limits: Limits = DEFAULT_LIMITS) -> None:
        self._channels = channels
        self._rate = rate
        self._limits = limits
        self.backend: str = RAW_BACKEND

    def lost(self) -> None:
        """Nothing is remembered between packets."""

    def decode(self, data: Data) -> Sound:
        """Return the samples of one packet, read-only.

        Raises `DecodeError`: `codec_data_short` for a packet that does not hold whole samples of all channels,
        `over_limit`.
        """
        _check_packet("raw", data, self._limits)
        if len(data) % (2 * self._channels):
            raise DecodeError(
                f"raw: {len(data)} bytes are no whole number of samples of {self._channels} channels",
                reason=DefectKind.CODEC_DATA_SHORT,
                offset=len(data) - len(data) % (2 * self._channels),
            )
        samples = np.frombuffer(data, "<i2").reshape(-1, self._channels)
        return Sound(samples, self._rate, self.backend)


class OpusSound:
    """One run of Opus packets, each a packet of RFC 6716 without a length before it."""

    def __init__(self, channels: int, limits: Limits = DEFAULT_LIMITS) -> None:
        import av

        if channels > 2:
            raise DecodeError(
                f"opus: {channels} channels; a packet by itself has 1 or 2",
                reason=DefectKind.CODEC_UNSUPPORTED,
            )
        name = _opus_decoder()
        if name is None:
            raise DecodeError(
                f"opus: this FFmpeg ({av.ffmpeg_version_info}) has no Opus decoder",
                reason=DefectKind.CODEC_UNSUPPORTED,
            )
        self._av = av
        self._limits = limits
        self._context = cast("av.AudioCodecContext", av.CodecContext.create(name, "r"))
        self._context.thread_count = 1
        self._context.sample_rate = OPUS_RATE
        self._context.layout = "stereo" if channels == 2 else "mono"
        self._channels = channels
        self.backend: str = f"pyav {name} (FFmpeg {av.ffmpeg_version_info})"

    def lost(self) -> None:
        """Say that packets are missing here: the decoder forgets what came before."""
        if self._context.is_open:
            self._context.flush_buffers()

    def decode(self, data: Data) -> Sound:
        """Return the samples of one packet.

        Raises `DecodeError`: `codec_data`, `codec_data_short` for an empty packet, `over_limit`.
        """
        _check_packet("opus", data, self._limits)
        try:
            frames = self._context.decode(self._av.Packet(bytes(data)))
        except self._av.error.FFmpegError as error:
            self.lost()
            raise DecodeError(f"opus: {error.strerror}") from None
        parts = [self._samples(frame) for frame in frames]
        if not parts:
            raise DecodeError("opus: the packet holds no sound")
        return Sound(parts[0] if len(parts) == 1 else np.concatenate(parts), OPUS_RATE, self.backend)

    def _samples(self, frame: av.AudioFrame) -> Samples:
        values = frame.to_ndarray()
        # A planar frame is an array of (channels, samples), a packed one of (1, samples × channels).
        pairs = values.T if frame.format.is_planar else values.reshape(-1, self._channels)
        if pairs.dtype != np.int16:
            pairs = np.clip(np.rint(pairs * 32768.0), -32768, 32767)
        return np.ascontiguousarray(pairs, np.int16)


def _check_packet(codec: str, data: Data, limits: Limits) -> None:
    if not len(data):
        raise DecodeError(f"{codec}: empty packet", reason=DefectKind.CODEC_DATA_SHORT, offset=0)
    if len(data) > limits.audio_packet_bytes:
        raise DecodeError(
            f"{codec}: packet of {len(data)} bytes, at most {limits.audio_packet_bytes}",
            reason=DefectKind.OVER_LIMIT,
        )


def open_audio(codec: int, *, channels: int, rate: int, limits: Limits = DEFAULT_LIMITS) -> AudioDecoder:
    """Return a decoder for a run of sound; `codec` is a number of `AudioCodec`, `rate` in Hz as START says.

    Raises `DecodeError`: `codec_unsupported` for CELT, a number that is none, or an FFmpeg without Opus; `over_limit`
    for more channels or a higher rate than `limits.audio_channels` and `limits.audio_rate_hz`, or none of them.
    """
    if not 0 < channels <= limits.audio_channels or not 0 < rate <= limits.audio_rate_hz:
        raise DecodeError(
            f"audio: {channels} channels at {rate} Hz, at most {limits.audio_channels} at {limits.audio_rate_hz} Hz",
            reason=DefectKind.OVER_LIMIT,
        )
    if codec == AudioCodec.RAW:
        return RawSound(channels, rate, limits)
    if codec == AudioCodec.OPUS:
        return OpusSound(channels, limits)
    name = AudioCodec(codec).name if codec in AudioCodec.__members__.values() else f"mode {codec}"
    raise DecodeError(f"audio: {name} cannot be decoded", reason=DefectKind.CODEC_UNSUPPORTED)


def _frame_samples() -> npt.NDArray[np.int64]:
    """Return the samples of one frame by the upper five bits of a packet's first byte. Source: RFC 6716 table 2."""
    silk, hybrid, celt = (480, 960, 1920, 2880), (480, 960), (120, 240, 480, 960)
    return np.array([*silk * 3, *hybrid * 2, *celt * 4], np.int64)


_FRAME: Final = _frame_samples()


def opus_samples(
    first: npt.NDArray[np.uint8], second: npt.NDArray[np.uint8], size: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Return how many samples per channel (at 48 kHz) Opus packets hold, -1 for what is no packet.

    `first` and `second` are the first two bytes of each packet, `size` its bytes; nothing is decoded.
    Source: RFC 6716 3.1 and 3.2.5.
    """
    code = first & 3
    count = np.select([code == 0, code == 3], [1, (second & 0x3F).astype(np.int64)], 2)
    samples = _FRAME[first >> 3] * count
    fits = (size >= np.where(code == 3, 2, 1)) & (samples > 0) & (samples <= _OPUS_MOST)
    return np.where(fits, samples, -1)


@cache
def _opus_decoder() -> str | None:
    """Return the name of the Opus decoder this FFmpeg has."""
    import av

    for name in _OPUS_DECODERS:
        try:
            av.codec.Codec(name, "r")
        except av.codec.codec.UnknownCodecError:
            continue
        return name
    return None


def audio_backends() -> tuple[list[BackendInfo], list[BackendMissing]]:
    """Return the Opus decoders of FFmpeg that are here, the used one first, and what is missing if none is."""
    how = "install PyAV's own wheel: pip install --only-binary av av"
    try:
        import av
    except ImportError as error:
        return [], [BackendMissing("pyav opus", str(error), "pip install av")]
    here: list[BackendInfo] = []
    for name in _OPUS_DECODERS:
        try:
            codec = av.codec.Codec(name, "r")
        except av.codec.codec.UnknownCodecError:
            continue
        here.append(
            BackendInfo(f"pyav {name}", av.__version__, f"FFmpeg {av.ffmpeg_version_info}, {codec.long_name}")
        )
    if here:
        return here, []
    return here, [BackendMissing("pyav opus", f"FFmpeg {av.ffmpeg_version_info} was built without it", how)]
