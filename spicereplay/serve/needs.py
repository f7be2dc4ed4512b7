"""What a recording needs of a client, and what is left out for one that lacks it.

A real server would have asked first and sent something else; a recording has only what it sent to another client. What
the client has not announced is left out where that is a message of its own, and remarked upon where it is not.
Source: spice-wire.md 2.4, 5.1, 7.1, 10.2, 14.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from spicereplay.limits import DEFAULT_LIMITS, Limits
from spicereplay.protocol import caps, registry
from spicereplay.protocol.caps import DisplayCap, MainCap, PlaybackCap
from spicereplay.protocol.enums import (
    ChannelType,
    ImageType,
    ServerCommon,
    ServerDisplay,
    ServerMain,
    ServerPlayback,
    Side,
    SurfaceFormat,
    VideoCodec,
)
from spicereplay.protocol.messages.display import StreamCreate, SurfaceCreate
from spicereplay.serve.part import FIRST_OF_CHANNEL, Part, in_words
from spicereplay.serve.rehearsal import images_in

Bits = tuple[int, ...]

GATED: Final[dict[ChannelType, tuple[tuple[int, tuple[int, ...]], ...]]] = {
    ChannelType.MAIN: ((MainCap.NAME_AND_UUID, (ServerMain.NAME, ServerMain.UUID)),),
    ChannelType.DISPLAY: (
        (DisplayCap.MONITORS_CONFIG, (ServerDisplay.MONITORS_CONFIG,)),
        (DisplayCap.STREAM_REPORT, (ServerDisplay.STREAM_ACTIVATE_REPORT,)),
        (DisplayCap.COMPOSITE, (ServerDisplay.DRAW_COMPOSITE,)),
        (DisplayCap.SIZED_STREAM, (ServerDisplay.STREAM_DATA_SIZED,)),
    ),
    ChannelType.PLAYBACK: (
        (PlaybackCap.VOLUME, (ServerPlayback.VOLUME, ServerPlayback.MUTE)),
        (PlaybackCap.LATENCY, (ServerPlayback.LATENCY,)),
    ),
}
"""Messages that are sent to clients with a capability alone."""

CODEC_CAPS: Final = {
    VideoCodec.VP8: DisplayCap.CODEC_VP8,
    VideoCodec.H264: DisplayCap.CODEC_H264,
    VideoCodec.VP9: DisplayCap.CODEC_VP9,
    VideoCodec.H265: DisplayCap.CODEC_H265,
}
_OF_STREAM: Final = (
    ServerDisplay.STREAM_CREATE,
    ServerDisplay.STREAM_DATA,
    ServerDisplay.STREAM_DATA_SIZED,
    ServerDisplay.STREAM_CLIP,
    ServerDisplay.STREAM_DESTROY,
    ServerDisplay.STREAM_ACTIVATE_REPORT,
)
_SOUND_MODES: Final = {2: PlaybackCap.CELT_0_5_1, 3: PlaybackCap.OPUS}
"""Source: spice-wire.md 14."""
_RAW_SOUND: Final = 1


def suited(
    part: Part, client_caps: Bits, *, sound: bool = True, limits: Limits = DEFAULT_LIMITS
) -> tuple[Part, list[str]]:
    """Return the part as it is played to a client with these capability words of the channel, and remarks.

    Without `sound` there is none: a client plays it at its own rate and sets its multimedia clock by it, so that at
    another speed than the recorded one it would pile up, and video would wait for it.
    """
    remarks: list[str] = []
    before = part.left_out
    for cap, kinds in GATED.get(part.channel, ()):
        if not caps.has(client_caps, cap):
            part = part.without(np.isin(part.type, kinds), f"for want of {_name(part, cap)}")
    if part.channel is ChannelType.DISPLAY:
        part = _without_codecs(part, client_caps)
        remarks = _kept_all_the_same(part, client_caps, limits)
    if part.channel is ChannelType.PLAYBACK:
        part = _without_sound_modes(part, client_caps) if sound else _without_sound(part)
    if phrase := in_words(part.left_out - before):
        remarks.insert(0, f"left out {phrase}")
    return part, remarks


def _without_sound(part: Part) -> Part:
    spared = (ServerPlayback.VOLUME, ServerPlayback.MUTE)
    sound = (part.type >= FIRST_OF_CHANNEL) & ~np.isin(part.type, spared)
    return part.without(sound, "of sound, which has one speed")


def _name(part: Part, cap: int) -> str:
    known = caps.registry(part.channel)
    return known(cap).name if known is not None else str(cap)


def _without_codecs(part: Part, client_caps: Bits) -> Part:
    """Leave out video streams of codecs that the client has not announced. Source: spice-wire.md 10.2."""
    can_choose = caps.has(client_caps, DisplayCap.MULTI_CODEC)
    lacks = [c for c, cap in CODEC_CAPS.items() if not (can_choose and caps.has(client_caps, cap))]
    lines = np.flatnonzero(np.isin(part.type, _OF_STREAM)) if lacks else np.empty(0, np.intp)
    rows: dict[VideoCodec, list[int]] = {}
    live: dict[int, VideoCodec] = {}
    for line in lines.tolist():
        kind = int(part.type[line])
        number = int.from_bytes(part.body(line)[:4], "little")
        if kind == ServerDisplay.STREAM_CREATE:
            parsed = _parse(part, line)
            if not isinstance(parsed, StreamCreate):
                continue
            number = parsed.id
            live.pop(number, None)
            if parsed.codec_type in lacks:
                live[number] = VideoCodec(parsed.codec_type)
        if number in live:
            rows.setdefault(live[number], []).append(int(part.row[line]))
            if kind == ServerDisplay.STREAM_DESTROY:
                del live[number]
    for codec, marked in rows.items():
        part = part.without(
            np.isin(part.row, marked), f"of {codec.name} video for want of {CODEC_CAPS[codec].name}"
        )
    return part


def _without_sound_modes(part: Part, client_caps: Bits) -> Part:
    """Leave out sound in a form that the client has not announced."""
    mode = _RAW_SOUND
    marked: dict[PlaybackCap, list[int]] = {}
    for line in np.flatnonzero(np.isin(part.type, (ServerPlayback.MODE, ServerPlayback.DATA))).tolist():
        if part.type[line] == ServerPlayback.MODE:
            mode = int.from_bytes(part.body(line)[4:6], "little")
        cap = _SOUND_MODES.get(mode)
        if cap is not None and not caps.has(client_caps, cap):
            marked.setdefault(cap, []).append(line)
    mask = np.zeros(len(part), np.bool_)
    for lines in marked.values():
        mask[lines] = True
    return part.without(mask, f"of sound for want of {' and '.join(cap.name for cap in marked)}")


def _kept_all_the_same(part: Part, client_caps: Bits, limits: Limits) -> list[str]:
    """Say what is sent although the client has not announced it: it is drawn from later on, and cannot be spared."""
    remarks: list[str] = []
    if not caps.has(client_caps, DisplayCap.A8_SURFACE):
        creates = np.flatnonzero(part.type == ServerDisplay.SURFACE_CREATE).tolist()
        parsed = [_parse(part, line) for line in creates]
        count = sum(isinstance(p, SurfaceCreate) and p.format == SurfaceFormat.FMT_8_A for p in parsed)
        if count:
            remarks.append(
                f"{count} surfaces need A8_SURFACE, which the client lacks: its picture will differ"
            )
    if not caps.has(client_caps, DisplayCap.LZ4_COMPRESSION):
        count = _lz4_images(part, limits)
        if count:
            remarks.append(
                f"{count} images need LZ4_COMPRESSION, which the client lacks: its picture will differ"
            )
    return remarks


def _lz4_images(part: Part, limits: Limits) -> int:
    draws = np.flatnonzero(
        (part.type >= ServerDisplay.DRAW_FILL)
        & (part.type <= ServerDisplay.DRAW_COMPOSITE)
        & (part.type != ServerDisplay.SURFACE_CREATE)
        & (part.type != ServerDisplay.STREAM_DATA_SIZED)
    )
    return sum(
        image.descriptor.type == ImageType.LZ4
        for line in draws.tolist()
        for image in images_in(_parse(part, line, limits))
    )


def uses_glz(part: Part, *, limits: Limits = DEFAULT_LIMITS) -> bool:
    """Whether a display's part has an image that refers to others, for a client without a window for them."""
    draws = np.flatnonzero(part.type >= ServerDisplay.DRAW_FILL)
    return any(
        image.descriptor.type in (ImageType.GLZ_RGB, ImageType.ZLIB_GLZ_RGB)
        for line in draws.tolist()
        for image in images_in(_parse(part, line, limits))
    )


def _parse(part: Part, line: int, limits: Limits = DEFAULT_LIMITS) -> object:
    kind = int(part.type[line])
    if kind < ServerCommon.BASE_LAST:
        return None
    return registry.parse_message(part.channel, Side.SERVER, kind, part.body(line), limits=limits).message
