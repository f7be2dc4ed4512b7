"""Packets of sound, replaced by silence of the same size.

RAW samples become zeros. An Opus packet keeps its configuration, so that it lasts as long, and its frames become
empty, which decoders take for "nothing was sent"; padding fills it up. A run in which something could be heard keeps
one packet that is not quite silent, so that it does not look as if the guest had played nothing.
Source: RFC 6716 3.1, 3.2.5 and 4.1; spice-wire.md 14.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

import numpy as np

from spicereplay.analysis import sound
from spicereplay.codecs.audio import AudioCodec
from spicereplay.defects import DefectLog
from spicereplay.limits import Limits
from spicereplay.session.log import ChannelLog

if TYPE_CHECKING:
    pass

TIME_BYTES: Final = 4
"""The field `time` before the sound. Source: spice-wire.md 14."""
_MANY: Final = 3
"""Code of an Opus packet whose second byte says how many frames it has."""
_PADDED: Final = 0x40
_RATE: Final = 48_000
_FRAME_MS: Final = (*(10.0, 20.0, 40.0, 60.0) * 3, *(10.0, 20.0) * 2, *(2.5, 5.0, 10.0, 20.0) * 4)
"""Milliseconds of a frame by configuration. Source: RFC 6716 3.1, table 2."""


def silent_packets(log: ChannelLog, limits: Limits) -> dict[int, bytes]:
    """Return what the packets of a playback or record channel become: row of the index to bytes of sound.

    Packets of a codec that nobody decodes any more become zeros.
    """
    made: dict[int, bytes] = {}
    for run in sound.runs(log, limits, DefectLog()):
        audible = any(
            heard.samples is not None and heard.samples.any()
            for heard in sound.decode(run, sound.place(log), limits, DefectLog())
        )
        for packet, row in enumerate(run.rows.tolist()):
            data = run.index.body(row)[TIME_BYTES:].ljust(max(0, int(run.size[packet])), b"\0")
            if int(run.mode[packet]) == AudioCodec.OPUS:
                quiet = quiet_opus(data) if audible else None
                made[row] = silent_opus(data) if quiet is None else quiet
                audible = audible and quiet is None
                continue
            blank = bytearray(len(data))
            if audible and int(run.mode[packet]) == AudioCodec.RAW and len(blank) >= 2:
                blank[0], audible = 1, False
            made[row] = bytes(blank)
    return made


def silent_opus(data: bytes) -> bytes:
    """Return an Opus packet that lasts as long as `data` and has as many bytes, all of its frames empty."""
    if len(data) < 2:
        return data[:1]
    made = _packed(data[0], _frames(data), b"", len(data))
    assert made is not None, "empty frames fit into any packet"
    return made


def quiet_opus(data: bytes) -> bytes | None:
    """Return an Opus packet as long as `data`, in both senses, in which there is next to nothing to be heard.

    None where it would have more bytes than `data`, or where this FFmpeg cannot encode Opus.
    """
    if len(data) < 2:
        return None
    frame = _quiet_frame(_FRAME_MS[data[0] >> 3])
    return None if frame is None else _packed(frame[0], _frames(data), frame[1:], len(data))


def _frames(data: bytes) -> int:
    code = data[0] & 3
    return data[1] & 63 if code == _MANY else 1 if code == 0 else 2


def _packed(configuration: int, frames: int, frame: bytes, size: int) -> bytes | None:
    """Return a packet of `frames` times `frame`, padded to `size` bytes; None where that is too small."""
    head, body = bytes([configuration | _MANY]), frame * frames
    rest = size - 2 - len(body)
    if rest <= 0:
        return head + bytes([frames]) + body if rest == 0 else None
    full, last = divmod(rest - 1, 255)
    # A byte of 255 stands for 254 bytes of padding and says that another length byte follows.
    lengths = b"\xff" * full + bytes([last])
    return (head + bytes([frames | _PADDED]) + lengths + body).ljust(size, b"\0")


@cache
def _quiet_frame(milliseconds: float) -> bytes | None:
    """Return an Opus packet of one frame with a tone of a thousandth of full scale."""
    import av
    from av.audio.frame import AudioFrame

    try:
        context = av.CodecContext.create("libopus", "w")
    except av.codec.codec.UnknownCodecError:
        return None
    context.sample_rate, context.layout, context.format = _RATE, "mono", "s16"
    context.bit_rate = 6000 if milliseconds >= 10 else 24_000
    context.options = {"frame_duration": f"{milliseconds:g}", "vbr": "on"}
    count = int(_RATE * milliseconds / 1000)
    tone = 32 * np.sin(np.arange(8 * count) * 2 * np.pi * 440 / _RATE)
    packets: list[bytes] = []
    for at in range(0, len(tone), count):
        samples = tone[at : at + count].astype(np.int16).reshape(1, -1)
        frame = AudioFrame.from_ndarray(samples, format="s16", layout="mono")
        frame.sample_rate, frame.pts = _RATE, at
        packets += [bytes(packet) for packet in context.encode(frame)]
    whole = [packet for packet in packets if len(packet) > 1 and not packet[0] & 3]
    return min(whole, key=len) if whole else None
